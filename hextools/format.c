#include "hextools/format.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/dfu_suffix.h"
#include "hextools/format_list.h"
#include "hextools/outfile.h"

/* In the order in which a file's content is held against them. */
static const struct format *const formats[] = {
	&format_ihex, &format_srec, &format_elf, &format_uf2, &format_binary,
};
enum { FORMATS = sizeof formats / sizeof formats[0], HEAD = 4096 };

static const char known_names[] = "ihex, srec, elf, uf2, binary";

const char *format_name(const struct format *format)
{
	return format->name;
}

const char *format_title(const struct format *format)
{
	return format->title;
}

static const struct format *by_name(const char *name, struct pogo_error *err)
{
	for (size_t i = 0; i < FORMATS; i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	pogo_fail(err, POGO_INPUT, "format \"%.40s\" is none of %s", name, known_names);
	return NULL;
}

/* By what stands behind the last dot of the path's first `len` characters; NULL: no known extension. */
static const struct format *by_extension(const char *path, size_t len)
{
	char word[16];
	size_t dot = len, n;
	while (dot > 0 && path[dot - 1] != '.' && path[dot - 1] != '/')
		dot--;
	n = len - dot;
	if (dot == 0 || path[dot - 1] != '.' || n == 0 || n > sizeof word - 3)
		return NULL;
	word[0] = word[n + 1] = ' ';
	word[n + 2] = '\0';
	for (size_t i = 0; i < n; i++)
		word[i + 1] = (char)tolower((unsigned char)path[dot + i]);
	for (size_t i = 0; i < FORMATS; i++)
		if (strstr(formats[i]->extensions, word) != NULL)
			return formats[i];
	return NULL;
}

/* The number behind the @, decimal or 0x…, perhaps with a sign. */
static int read_offset(const char *text, int64_t *offset, struct pogo_error *err)
{
	const int64_t most = (int64_t)1 << 32;
	const char *digits = text + (*text == '-' || *text == '+');
	bool hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
	char *end;
	errno = 0;
	*offset = strtoll(text, &end, hex ? 16 : 10);
	if (!isdigit((unsigned char)*digits) || *end != '\0' || (hex && end == digits + 2))
		return pogo_fail(err, POGO_INPUT, "offset \"%.40s\" is no number (like 4096 or 0x1000)", text);
	if (errno != 0 || *offset < -most || *offset > most)
		return pogo_fail(err, POGO_INPUT, "offset %.40s is out of range, allowed are -4294967296 to "
				 "4294967296", text);
	return 0;
}

int format_split_word(const char *word, size_t *path_len, int64_t *offset, bool *given,
		      struct pogo_error *err)
{
	const char *at = strrchr(word, '@');
	int64_t number = 0;
	bool is_offset = at != NULL && at[1] != '\0' && strchr("+-0123456789", at[1]) != NULL;
	if (is_offset && read_offset(at + 1, &number, err) != 0)
		return -1;
	*path_len = is_offset ? (size_t)(at - word) : strlen(word);
	if (offset != NULL)
		*offset = number;
	if (given != NULL)
		*given = is_offset;
	return 0;
}

/* Text is plain ASCII without control characters but line ends, tabs, form feeds and the CP/M end mark;
 * or it has a text editor's byte order mark, UTF-8's or UTF-16's with an ASCII character behind it. */
static bool looks_like_text(const uint8_t *head, size_t len)
{
	if (len >= 3 && memcmp(head, "\xEF\xBB\xBF", 3) == 0)
		return true;
	if (len >= 4 && ((head[0] == 0xFF && head[1] == 0xFE && head[2] < 0x80 && head[3] == 0) ||
			 (head[0] == 0xFE && head[1] == 0xFF && head[2] == 0 && head[3] < 0x80)))
		return true;
	for (size_t i = 0; i < len; i++)
		if (head[i] >= 0x7F || head[i] == '\0' || (head[i] < ' ' && strchr("\t\n\r\f\x1A", head[i]) == NULL))
			return false;
	return true;
}

/* What a file is whose first bytes no format knows. A damaged text file must not pass as raw data. */
static const struct format *of_unknown(const struct instream *in, const char *path, size_t path_len,
				       bool has_address, struct pogo_error *err)
{
	const struct format *named = by_extension(path, path_len);
	size_t len = (size_t)(in->end - in->at) < HEAD ? (size_t)(in->end - in->at) : HEAD;
	if (named != NULL && named->text)
		return named; /* its reader says what is wrong with it */
	if (len == 0 || looks_like_text(in->at, len))
		return named != NULL && has_address && len > 0 ? named : &format_ihex;
	if (has_address)
		return &format_binary;
	pogo_fail(err, POGO_INPUT,
		  "%.200s: no file format that is known by its content; if it is raw binary data, say where "
		  "it belongs: \"%.*s@ADDRESS\"",
		  in->name, path_len > 100 ? 100 : (int)path_len, path);
	return NULL;
}

static const struct format *recognise(struct instream *in, const char *path, size_t path_len,
				      bool has_address, struct pogo_error *err)
{
	if (instream_ahead(in, HEAD, err) != 0)
		return NULL;
	size_t len = (size_t)(in->end - in->at) < HEAD ? (size_t)(in->end - in->at) : HEAD;
	for (size_t i = 0; i < FORMATS; i++)
		if (formats[i]->detect != NULL && formats[i]->detect(in->at, len))
			return formats[i];
	return of_unknown(in, path, path_len, has_address, err);
}

/* Whether a file was taken for text by its name alone, against its content. */
static bool is_doubtful(const struct instream *in, const struct format *format)
{
	size_t len = (size_t)(in->end - in->at) < HEAD ? (size_t)(in->end - in->at) : HEAD;
	return format->text && !format->detect(in->at, len) && !looks_like_text(in->at, len);
}

static int hint_at_binary(struct pogo_error *err)
{
	size_t used = err != NULL ? strlen(err->text) : 0;
	if (err != NULL && err->kind == POGO_INPUT)
		snprintf(err->text + used, sizeof err->text - used,
			 "; if it is raw binary data, --format binary says so (--in-format of serial)");
	return -1;
}

/* Its reader looks for damage, not for another format. */
static int refuse_no_elf(struct instream *in, struct pogo_error *err)
{
	if (instream_ahead(in, HEAD, err) != 0)
		return -1;
	if (format_elf.detect(in->at, (size_t)(in->end - in->at)))
		return 0;
	return pogo_fail(err, POGO_INPUT, "%.200s: this is no ELF file; left out, the format is seen by the content",
			 in->name);
}

/* A suffix is at the end: of a pipe all must be there first, which for text is not worth it. */
static int take_suffix(struct instream *in, const struct format *format, struct format_origin *origin,
		       struct pogo_error *err)
{
	if (instream_length(in) == UINT64_MAX && (format->text || instream_whole(in, err) != 0))
		return format->text ? 0 : -1;
	return dfu_suffix_take(in, &origin->has_dfu, &origin->dfu, err);
}

static int read_stream(struct instream *in, const char *path, size_t path_len, int64_t offset,
		       bool has_offset, const struct format_reading *reading, struct hex_image *image,
		       struct format_origin *origin, struct pogo_error *err)
{
	const struct format *format = reading->format != NULL
					      ? by_name(reading->format, err)
					      : recognise(in, path, path_len, has_offset || reading->has_place, err);
	if (format == NULL)
		return -1;
	if (format == &format_binary && !has_offset && reading->has_place) {
		offset = reading->place;
		has_offset = true;
		notes_add(&origin->notes, "\"%.150s\" is a raw binary, taken for 0x%08" PRIX32, in->name, reading->place);
	}
	if (format == &format_binary && !has_offset)
		return pogo_fail(err, POGO_INPUT,
				 "%.200s: raw binary data has no address, say where it belongs: \"%.*s@ADDRESS\"",
				 in->name, path_len > 100 ? 100 : (int)path_len, path);
	origin->format = format;
	bool doubtful = reading->format == NULL && has_offset && is_doubtful(in, format);
	if ((format == &format_elf && refuse_no_elf(in, err) != 0) || take_suffix(in, format, origin, err) != 0)
		return -1;
	if (format->read(in, reading, image, origin, err) != 0)
		return doubtful ? hint_at_binary(err) : -1;
	struct pogo_error why;
	if (offset == 0 || hex_image_shift(image, offset, &why) == 0)
		return 0;
	hex_image_finish(image);
	return pogo_fail(err, why.kind, "\"%.150s\": %.300s", in->name, why.text);
}

/* Both ways of reading, once the word is split; `data` NULL: from the file. */
static int read_word(const void *data, size_t len, const char *word, const struct format_reading *reading,
		     struct hex_image *image, struct format_origin *origin, struct pogo_error *err)
{
	const struct format_reading strict = {.format = NULL};
	struct format_origin unasked;
	size_t path_len;
	int64_t offset;
	bool given;
	if (format_split_word(word, &path_len, &offset, &given, err) != 0)
		return -1;
	char *path = strndup(word, path_len);
	if (path == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	origin = origin != NULL ? origin : &unasked;
	*origin = (struct format_origin){.format = NULL};
	struct instream in;
	int rc = 0;
	if (data != NULL)
		instream_memory(&in, data, len, strcmp(path, "-") == 0 ? "standard input" : path);
	else
		rc = instream_open(&in, path, err);
	if (rc == 0)
		rc = read_stream(&in, path, path_len, offset, given, reading != NULL ? reading : &strict,
				 image, origin, err);
	instream_close(&in);
	free(path);
	return rc;
}

int format_read_file(const char *word, const struct format_reading *reading, struct hex_image *image,
		     struct format_origin *origin, struct pogo_error *err)
{
	return read_word(NULL, 0, word, reading, image, origin, err);
}

int format_read_memory(const void *data, size_t len, const char *word,
		       const struct format_reading *reading, struct hex_image *image,
		       struct format_origin *origin, struct pogo_error *err)
{
	return read_word(data != NULL ? data : "", len, word, reading, image, origin, err);
}

struct job {
	const struct format *format;
	const struct hex_image *image;
	const struct format_writing *writing;
};

static int write_image(void *context, struct sink *sink, struct pogo_error *err)
{
	const struct job *job = context;
	return job->format->write(job->image, job->writing, sink, err);
}

static int plan(const char *path, const struct hex_image *image, const struct format_writing *writing,
		struct job *job, struct pogo_error *err)
{
	const struct format *format = NULL;
	if (writing->format != NULL) {
		format = by_name(writing->format, err);
		if (format == NULL)
			return -1;
	} else if (path != NULL) {
		format = by_extension(path, strlen(path));
	}
	if (format == NULL)
		format = &format_ihex;
	if (format->write == NULL)
		return pogo_fail(err, POGO_INPUT, "%s is only read, not written: a program's sections and symbols "
				 "cannot be made of an image; --to-format says another", format->title);
	if (writing->has_dfu && format != &format_binary)
		return pogo_fail(err, POGO_INPUT, "a DFU suffix belongs behind a raw binary, this is %s", format->title);
	*job = (struct job){format, image, writing};
	return 0;
}

int format_loses_start(const char *path, const struct hex_image *image,
		       const struct format_writing *writing, bool *loses, struct pogo_error *err)
{
	struct job job;
	if (plan(path, image, writing, &job, err) != 0)
		return -1;
	*loses = (image->start_kind == HEX_START_LINEAR && !job.format->keeps_linear) ||
		 (image->start_kind == HEX_START_SEGMENT && !job.format->keeps_segment);
	return 0;
}

const char *format_of_output(const char *path, const struct format_writing *writing)
{
	const struct hex_image none = {.count = 0};
	struct job job;
	return plan(path, &none, writing, &job, NULL) == 0 ? job.format->title : NULL;
}

int format_write_file(const char *path, const struct hex_image *image,
		      const struct format_writing *writing, struct pogo_error *err)
{
	struct job job;
	if (plan(path, image, writing, &job, err) != 0)
		return -1;
	return outfile_write_from(path, write_image, &job, err);
}

int format_stage_file(struct outfile_set *set, const char *path, const struct hex_image *image,
		      const struct format_writing *writing, struct pogo_error *err)
{
	struct job job;
	if (plan(path, image, writing, &job, err) != 0)
		return -1;
	return outfile_stage_from(set, path, write_image, &job, err);
}

int format_write_memory(const char *path, const struct hex_image *image,
			const struct format_writing *writing, uint8_t **data, size_t *len,
			struct pogo_error *err)
{
	struct job job;
	struct sink sink;
	struct sink_memory memory = {.data = NULL};
	if (plan(path, image, writing, &job, err) != 0 ||
	    sink_init(&sink, sink_to_memory, &memory, err) != 0)
		return -1;
	int rc = write_image(&job, &sink, err);
	if (sink_finish(&sink) != 0 && rc == 0)
		rc = pogo_fail(err, POGO_SYSTEM, "out of memory for the output");
	if (rc != 0) {
		free(memory.data);
		return -1;
	}
	*data = memory.data;
	*len = memory.len;
	return 0;
}
