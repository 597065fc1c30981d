#ifndef POGO_HEXTOOLS_IHEX_H
#define POGO_HEXTOOLS_IHEX_H

#include <stddef.h>

#include "hextools/builder.h"
#include "hextools/digest.h"
#include "hextools/image.h"
#include "hextools/instream.h"
#include "hextools/notes.h"
#include "hextools/sink.h"

/* Intel HEX, revision A of 1988-01-06, types 00 to 05. */

/* Reads `len` characters of text into the initialised, empty *image, all or nothing. `name` is what a
 * message calls the file. A defect is POGO_INPUT and reads "NAME:LINE:COLUMN: offending text, rule". */
int ihex_parse(const char *text, size_t len, const char *name, struct hex_image *image, struct pogo_error *err);

/* The same from a file; "-" is standard input. */
int ihex_read_file(const char *path, struct hex_image *image, struct pogo_error *err);

/* The same from a stream. A lenient reader steps over byte order mark, leading blanks, comment lines that
 * begin with #, text behind a checksum, NULs or a second end record at the end, an address in the end
 * record and a 03 beside a 05 start record, with a note for each kind (`notes` and `watch` may be NULL). */
int ihex_read_stream(struct instream *in, bool lenient, const struct builder_watch *watch,
		     struct hex_image *image, struct notes *notes, struct pogo_error *err);

enum { IHEX_CANONICAL_WIDTH = 16 };

/* Canonical text: ascending, records of `width` (1..255, 16 is canonical) data bytes that never cross
 * a multiple of 64 KiB, 04 only when the upper half changes, start record before the one EOF, LF,
 * upper case. Equal images give equal text. *text is malloc'ed, the caller frees it. */
int ihex_format(const struct hex_image *image, unsigned width, char **text, size_t *len, struct pogo_error *err);

/* The same into a sink; a width that is not 1..255 is refused first. */
int ihex_write(const struct hex_image *image, unsigned width, struct sink *sink, struct pogo_error *err);

/* The image's digest: SHA-256 of its canonical text (width 16), as 64 lower-case hex digits and a
 * NUL. So it is also what sha256sum says of a file that pogo-hex wrote, and CRLF changes nothing. */
int ihex_digest(const struct hex_image *image, char hex[65], struct pogo_error *err);

/* The same of an image that is still being read: `more` takes what lies at its lowest addresses, in pieces that each
 * begin where the one before ended and end at a multiple of 64 KiB, `end` the whole image and how many of its bytes
 * were among them. Begun well, it wants end or abandon. */
struct ihex_running_digest {
	struct sha256 sha;
	struct sink sink; /* flushed into sha */
};
int ihex_digest_begin(struct ihex_running_digest *digest, struct pogo_error *err);
void ihex_digest_more(struct ihex_running_digest *digest, uint32_t addr, const uint8_t *bytes, size_t len);
void ihex_digest_end(struct ihex_running_digest *digest, const struct hex_image *image, size_t known, char hex[65]);
void ihex_digest_abandon(struct ihex_running_digest *digest);

#endif
