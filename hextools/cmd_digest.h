#ifndef POGO_HEXTOOLS_CMD_DIGEST_H
#define POGO_HEXTOOLS_CMD_DIGEST_H

#include "hextools/image.h"

/* The digest of a big image that is read from a file. Where the file is the canonical text already, the digest is
 * that of its bytes: a second thread hashes them while the first reads the records. */

struct file_digest;

/* Before the file is read. NULL: nothing to gain (small, no file, not Intel HEX, one processor). */
struct file_digest *file_digest_begin(const char *path);

/* Ends it: as ihex_digest(image), at once if every byte of the file is what the image's canonical text has there. */
int file_digest_end(struct file_digest *digest, const struct hex_image *image, char hex[65], struct pogo_error *err);

/* Ends it without a result; harmless on NULL. */
void file_digest_abandon(struct file_digest *digest);

#endif
