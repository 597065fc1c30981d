#ifndef POGO_HEXTOOLS_CMD_DIGEST_H
#define POGO_HEXTOOLS_CMD_DIGEST_H

#include "hextools/builder.h"
#include "hextools/image.h"

/* The digest of a big image, begun by a second thread while the first still reads the file. */

struct early_digest;

/* Before the file is read. NULL: no second processor (or no memory): the others then do without. */
struct early_digest *early_digest_begin(void);

/* What is to be given to the reader; lives as long as the digest. */
const struct builder_watch *early_digest_watch(const struct early_digest *digest);

/* Ends it: as ihex_digest(image), of the image that was read under the watch (and perhaps moved since). */
int early_digest_end(struct early_digest *digest, const struct hex_image *image, char hex[65],
		     struct pogo_error *err);

/* Ends it without a result; harmless on NULL. */
void early_digest_abandon(struct early_digest *digest);

#endif
