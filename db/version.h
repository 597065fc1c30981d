#ifndef POGO_DB_VERSION_H
#define POGO_DB_VERSION_H

/* db includes nothing of the other folders; a build that wants one number for all programs defines it. */
#ifndef POGO_VERSION
#define POGO_VERSION "0.1.0"
#endif

#endif
