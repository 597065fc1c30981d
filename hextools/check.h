#ifndef POGO_HEXTOOLS_CHECK_H
#define POGO_HEXTOOLS_CHECK_H

#include "hextools/bootloader.h"
#include "hextools/format.h"
#include "hextools/image.h"
#include "hextools/part.h"

/* Everything that can be known to be wrong with an image before a board is touched. */

enum { CHECK_FINDINGS = 48 };

enum check_severity {
	CHECK_ERROR,   /* the board would not work, or not for long */
	CHECK_WARNING, /* seldom meant so */
	CHECK_NOTE,    /* worth knowing */
};

struct check_finding {
	const char *id; /* a word that stays the same, like "boot-blank" */
	enum check_severity severity;
	bool has_address;
	uint32_t address;
	char text[480];   /* what is wrong */
	char way_out[240]; /* what to do about it */
};

struct check_order {
	const char *configs, *part;
	const char *image;      /* "FILE" or "FILE@OFFSET", as format.h has it */
	const char *bootloader; /* a family's name or a file; may be NULL */
	const char *fuses, *lock; /* as on a command line; may be NULL */
	uint32_t crystal_hz;
	bool external_clock, clock_given; /* the command line says something of the clock */
	struct format_reading reading;
};

struct check {
	struct part *part;
	struct bootloader_set known;
	struct hex_image image;
	struct hex_image boot_file; /* of --bootloader FILE, else empty */
	bool readable;              /* the image was read; else the findings tell why not */

	const struct bootloader *family;    /* named, or recognised in the image; or NULL */
	const struct bootloader_file *file; /* recognised in the image; or NULL */
	bool named;                         /* the caller named the bootloader */
	bool has_fuses, has_lock;
	uint8_t fuses[PART_FUSES], lock;
	bool has_boot;
	uint32_t boot_start, boot_end; /* where the bootloader is or should be; behind its pages */

	struct check_finding findings[CHECK_FINDINGS]; /* the first ones, in the order of their finding */
	size_t finding_count, errors, warnings, notes; /* all are counted */
};

/* 0 even with errors among the findings; -1 only if words or files are unusable (POGO_INPUT). On
 * failure *check is finished. It is large: not for the stack. */
int check_image(const struct check_order *order, struct check *check, struct pogo_error *err);

/* Of an image that is joined already, only what its code tells: the application's at 0 and the bootloader's at
 * boot_start, which may be one of the known files. *check borrows part and image and is not to be finished. */
int check_joined(struct part *part, const char *configs, const struct hex_image *image, uint32_t boot_start,
		 const struct bootloader_file *file, struct check *check, struct pogo_error *err);

void check_finish(struct check *check); /* safe when zeroed */

const char *check_severity_name(enum check_severity severity); /* "error", "warning", "note" */

#endif
