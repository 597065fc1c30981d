#include "hextools/commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/bootloader.h"
#include "hextools/cmd_digest.h"
#include "hextools/cmd_edit.h"
#include "hextools/cmd_map.h"
#include "hextools/conf.h"
#include "hextools/format.h"
#include "hextools/ihex.h"
#include "hextools/jsonw.h"
#include "hextools/options.h"
#include "hextools/uf2.h"

static const char help[] =
	"pogo-hex info [options] IN[@OFFSET]...\n"
	"\n"
	"Says of each file: its format, its ranges and the holes between them, bytes, start record, the\n"
	"CRC-32 from the lowest to the highest byte (holes as 0xFF; none, null in JSON, if these are more\n"
	"than 64 MiB), the digest (SHA-256 of the canonical text, which line ends and record lengths do not\n"
	"change), and the known bootloader in it.\n"
	"\n"
	"  --json             one JSON object on standard output\n" FORMAT_READ_HELP
	MAP_HELP
	"  --configs DIR      folder with parts/ and bootloaders/ (else $POGOLINE_CONFIGS, else found)\n";

/* A person does not read more; a machine takes --json. */
enum { MAX_LISTED = 40 };

struct finding {
	const char *path;
	struct hex_image image;
	struct format_origin origin;
	char digest[65];
	bool has_crc;
	uint32_t crc;
	const struct bootloader *family; /* NULL: none known */
	const struct bootloader_file *file;
};

/* The known bootloaders: read when the first is needed, which is while the second thread is hashing. */
struct shelf {
	const char *configs;
	bool loaded;
	struct bootloader_set set;
};

static int recognise(struct shelf *shelf, struct finding *found, struct pogo_error *err)
{
	if (!shelf->loaded && bootloader_load_all(shelf->configs, &shelf->set, err) != 0)
		return -1;
	shelf->loaded = true;
	if (!bootloader_recognise(&shelf->set, &found->image, &found->family, &found->file) &&
	    !bootloader_inside(&shelf->set, &found->image, &found->family, &found->file))
		found->family = NULL;
	return 0;
}

static int look(const char *path, const struct format_reading *reading, struct shelf *shelf,
		struct finding *found, struct pogo_error *err)
{
	found->path = path;
	struct early_digest *digest = early_digest_begin();
	struct format_reading watched = *reading;
	watched.watch = early_digest_watch(digest);
	if (format_read_file(path, &watched, &found->image, &found->origin, err) != 0 ||
	    recognise(shelf, found, err) != 0) {
		early_digest_abandon(digest);
		return -1;
	}
	cmd_notes(&found->origin.notes);
	found->has_crc = hex_image_crc32(&found->image, &found->crc);
	return early_digest_end(digest, &found->image, found->digest, err);
}

static void start_text(const struct hex_image *image, char *out, size_t size)
{
	if (image->start_kind == HEX_START_SEGMENT)
		snprintf(out, size, "%04X:%04X", image->start >> 16, image->start & 0xFFFF);
	else
		snprintf(out, size, "%08" PRIX32, image->start);
}

static uint64_t last_of(const struct hex_segment *segment)
{
	return (uint64_t)segment->addr + segment->len - 1;
}

static void print_ranges(FILE *out, const struct hex_image *image)
{
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		if (i == MAX_LISTED && image->count > MAX_LISTED + 1) {
			fprintf(out, "  … and %zu more ranges (all with --json)\n", image->count - i);
			return;
		}
		const char *memory = hex_segment_memory(segment), *before = i > 0 ? hex_segment_memory(segment - 1) : NULL;
		if (i > 0 && memory == before) /* between two memories nothing is missing */
			fprintf(out, "  hole     %" PRIu64 " bytes\n",
				segment->addr - last_of(segment - 1) - 1);
		fprintf(out, "  range    0x%0*" PRIX32 "-0x%0*" PRIX64 "  %zu bytes%s%s\n", hex_digits(segment->addr),
			segment->addr, hex_digits(segment->addr), last_of(segment), segment->len,
			memory != NULL ? ", " : "", memory != NULL ? memory : "");
	}
}

static void print_origin(FILE *out, const struct format_origin *origin)
{
	fprintf(out, "  format   %s", format_title(origin->format));
	if (origin->has_family) {
		const char *name = uf2_family_name(origin->family);
		fprintf(out, " for 0x%08" PRIX32 "%s%s%s", origin->family, name != NULL ? " (" : "",
			name != NULL ? name : "", name != NULL ? ")" : "");
	}
	if (origin->has_dfu)
		fprintf(out, ", DFU suffix for %04X:%04X", origin->dfu.vendor, origin->dfu.product);
	fputs("\n", out);
}

static void print_text(FILE *out, const struct finding *found)
{
	const struct hex_image *image = &found->image;
	uint64_t first = image->segments[0].addr, last = last_of(&image->segments[image->count - 1]);
	fprintf(out, "%s\n", found->path);
	print_origin(out, &found->origin);
	print_ranges(out, image);
	fprintf(out, "  bytes    %" PRIu64 " in %zu range%s, span %" PRIu64 "\n", hex_image_bytes(image),
		image->count, image->count == 1 ? "" : "s", last - first + 1);
	if (image->start_kind != HEX_START_NONE) {
		char start[16];
		start_text(image, start, sizeof start);
		fprintf(out, "  start    %s\n", start);
	}
	if (found->has_crc)
		fprintf(out, "  crc-32   %08" PRIX32 "\n", found->crc);
	else
		fputs("  crc-32   none, the span is more than 64 MiB\n", out);
	fprintf(out, "  digest   %s\n", found->digest);
	if (found->family != NULL)
		fprintf(out, "  known    %s (%s), bootloader \"%s\" of %s\n", found->file->title,
			found->file->name, found->family->name, found->file->part);
}

static void json_known(struct jsonw *json, const struct finding *found)
{
	if (found->family == NULL) {
		jsonw_null(json, "known");
		return;
	}
	jsonw_open(json, "known", '{');
	jsonw_str(json, "bootloader", found->family->name);
	jsonw_str(json, "title", found->file->title);
	jsonw_str(json, "file", found->file->name);
	jsonw_str(json, "part", found->file->part);
	jsonw_str(json, "usb", found->file->usb[0] != '\0' ? found->file->usb : NULL);
	jsonw_bool(json, "sketch", found->file->sketch);
	jsonw_close(json, '}');
}

static void json_finding(struct jsonw *json, const struct finding *found)
{
	const struct hex_image *image = &found->image;
	char text[16];
	jsonw_open(json, NULL, '{');
	jsonw_str(json, "path", found->path);
	jsonw_str(json, "format", format_name(found->origin.format));
	jsonw_int(json, "bytes", (int64_t)hex_image_bytes(image));
	jsonw_int(json, "span", (int64_t)(last_of(&image->segments[image->count - 1]) -
					 image->segments[0].addr + 1));
	jsonw_open(json, "ranges", '[');
	for (size_t i = 0; i < image->count; i++) {
		jsonw_open(json, NULL, '{');
		jsonw_int(json, "start", image->segments[i].addr);
		jsonw_int(json, "end", (int64_t)last_of(&image->segments[i]));
		jsonw_int(json, "bytes", (int64_t)image->segments[i].len);
		jsonw_str(json, "memory", hex_segment_memory(&image->segments[i]));
		jsonw_close(json, '}');
	}
	jsonw_close(json, ']');
	start_text(image, text, sizeof text);
	jsonw_str(json, "start", image->start_kind != HEX_START_NONE ? text : NULL);
	snprintf(text, sizeof text, "%08" PRIX32, found->crc);
	jsonw_str(json, "crc32", found->has_crc ? text : NULL);
	jsonw_str(json, "digest", found->digest);
	json_known(json, found);
	jsonw_close(json, '}');
}

static int report_json(const struct finding *found, int count, struct pogo_error *err)
{
	struct jsonw json;
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_open(&json, "images", '[');
	for (int i = 0; i < count; i++)
		json_finding(&json, &found[i]);
	jsonw_close(&json, ']');
	jsonw_close(&json, '}');
	return edit_print_json(&json, err);
}

static int report_text(const struct finding *found, int count, struct pogo_error *err)
{
	struct edit_text text;
	if (edit_text_open(&text, err) != 0)
		return -1;
	for (int i = 0; i < count; i++)
		print_text(text.out, &found[i]);
	return edit_text_print(&text, NULL, err);
}

static int report_map(struct map_options *map, const char *configs, const struct finding *found, int count,
		      struct pogo_error *err)
{
	/* An array of pointers is meant. NOLINTNEXTLINE(bugprone-sizeof-expression) */
	const struct hex_image **images = calloc((size_t)count, sizeof *images);
	if (images == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	for (int i = 0; i < count; i++) {
		images[i] = &found[i].image;
		if (map->family == NULL)
			map->family = found[i].family;
	}
	int rc = cmd_map_print(map, configs, images, (size_t)count, err);
	free(images);
	return rc;
}

int cmd_info(int argc, char **argv, struct pogo_error *err)
{
	bool want_help = false, want_json = false;
	const char *given = NULL;
	struct format_reading reading = {.format = NULL};
	struct map_options map = {.part = NULL};
	const struct option_spec specs[] = {{"help", 'h', NULL, &want_help},
					    {"json", 0, NULL, &want_json},
					    {"configs", 0, &given, NULL},
					    FORMAT_READ_SPECS(reading),
					    MAP_SPECS(map),
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (want_help)
		return cmd_print(help, err);
	if (count == 0)
		return pogo_fail(err, POGO_INPUT, "info needs at least one file");
	if (cmd_map_check(&map, want_json, err) != 0)
		return -1;
	char configs[PATH_MAX];
	struct shelf shelf = {.configs = configs};
	if (conf_dir(given, configs, sizeof configs, err) != 0)
		return -1;
	struct finding *found = calloc((size_t)count, sizeof *found);
	int rc = found == NULL ? pogo_fail(err, POGO_SYSTEM, "out of memory") : 0;
	for (int i = 0; i < count && rc == 0; i++)
		rc = look(argv[i], &reading, &shelf, &found[i], err);
	if (rc == 0)
		rc = want_json ? report_json(found, count, err) : report_text(found, count, err);
	if (rc == 0 && map.wanted)
		rc = report_map(&map, configs, found, count, err);
	for (int i = 0; found != NULL && i < count; i++)
		hex_image_finish(&found[i].image);
	free(found);
	bootloader_set_finish(&shelf.set);
	return rc;
}
