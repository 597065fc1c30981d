#include "hextools/release.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hextools/jsonw.h"
#include "hextools/version.h"

enum { MANIFEST_FORMAT = 1 };

/* Folders differ from desk to desk; a manifest must not. */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

static void put_byte(struct jsonw *json, const char *key, uint8_t value)
{
	char text[8];
	snprintf(text, sizeof text, "0x%02X", value);
	jsonw_str(json, key, text);
}

static void put_image(struct jsonw *json, const struct hex_image *image)
{
	char text[12];
	uint32_t crc;
	bool has_crc = hex_image_crc32(image, &crc);
	snprintf(text, sizeof text, "%08" PRIX32, has_crc ? crc : 0);
	jsonw_str(json, "crc32", has_crc ? text : NULL);
	jsonw_int(json, "bytes", (int64_t)hex_image_bytes(image));
	jsonw_open(json, "ranges", '[');
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		jsonw_open(json, NULL, '{');
		jsonw_int(json, "start", segment->addr);
		jsonw_int(json, "end", (int64_t)segment->addr + (int64_t)segment->len - 1);
		jsonw_int(json, "bytes", (int64_t)segment->len);
		jsonw_close(json, '}');
	}
	jsonw_close(json, ']');
}

static void put_inputs(struct jsonw *json, const struct release *release)
{
	jsonw_open(json, "inputs", '[');
	for (size_t i = 0; i < release->input_count; i++) {
		const struct release_input *input = &release->inputs[i];
		jsonw_open(json, NULL, '{');
		jsonw_str(json, "role", input->role);
		jsonw_str(json, "path", base_name(input->path));
		jsonw_str(json, "sha256", input->sha256);
		put_image(json, &input->image);
		jsonw_close(json, '}');
	}
	jsonw_close(json, ']');
}

static void put_fuses(struct jsonw *json, const struct release *release)
{
	if (release->has_fuses) {
		jsonw_open(json, "fuses", '{');
		put_byte(json, "low", release->fuses[FUSE_LOW]);
		put_byte(json, "high", release->fuses[FUSE_HIGH]);
		if (release->part->fuse_count == PART_FUSES)
			put_byte(json, "ext", release->fuses[FUSE_EXT]);
		jsonw_close(json, '}');
	} else {
		jsonw_null(json, "fuses");
	}
	if (release->has_lock)
		put_byte(json, "lock", release->lock);
	else
		jsonw_null(json, "lock");
}

static void put_boot(struct jsonw *json, const struct release *release)
{
	jsonw_open(json, "boot_section", '{');
	jsonw_int(json, "start", release->boot_start);
	jsonw_int(json, "bytes", release->boot_bytes);
	jsonw_int(json, "application_start", release->app_start);
	jsonw_str(json, "bootloader", release->family != NULL ? release->family->name : NULL);
	jsonw_str(json, "title", release->file != NULL ? release->file->title : NULL);
	jsonw_close(json, '}');
}

int release_manifest(const struct release *release, const char *image_path, char **text, size_t *len,
		     struct pogo_error *err)
{
	struct jsonw json;
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_int(&json, "manifest", MANIFEST_FORMAT);
	jsonw_str(&json, "tool", "pogo-hex");
	jsonw_str(&json, "version", POGO_VERSION);
	jsonw_str(&json, "part", release->part->name);
	put_inputs(&json, release);
	jsonw_open(&json, "image", '{');
	jsonw_str(&json, "path", base_name(image_path));
	jsonw_str(&json, "sha256", release->digest);
	put_image(&json, &release->image);
	jsonw_close(&json, '}');
	put_fuses(&json, release);
	put_boot(&json, release);
	if (part_is_avr(release->part)) {
		jsonw_int(&json, "crystal_hz", release->crystal_hz);
		jsonw_bool(&json, "external_clock", release->external_clock);
	}
	jsonw_open(&json, "notes", '[');
	for (size_t i = 0; i < release->note_count; i++)
		jsonw_str(&json, NULL, release->notes[i]);
	jsonw_close(&json, ']');
	jsonw_close(&json, '}');
	jsonw_newline(&json);
	if (!jsonw_ok(&json)) {
		jsonw_finish(&json);
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the manifest");
	}
	*text = json.text;
	*len = json.len;
	return 0;
}
