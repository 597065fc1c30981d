#ifndef POGO_STATION_SOCKET_H
#define POGO_STATION_SOCKET_H

#include <stddef.h>

#include "hextools/err.h"
#include "station/clock.h"

/* A TCP connection whose every call ends at a deadline. */

enum { SOCKET_TIMEOUT = -1, SOCKET_CLOSED = -2 };

/* Connected, non-blocking, without Nagle's delay; or -1 and *err. */
int socket_connect(const char *host, const char *port, deadline_t deadline, struct pogo_error *err);

/* All `len` bytes: 0, or SOCKET_TIMEOUT or SOCKET_CLOSED; after either the stream is out of step.
 */
int socket_send(int fd, const void *bytes, size_t len, deadline_t deadline);
int socket_receive(int fd, void *bytes, size_t len, deadline_t deadline);

/* Waits for the first byte without taking it: 0, or as above. A time-out here leaves the stream in
 * step. */
int socket_wait_readable(int fd, deadline_t deadline);

#endif
