#include "hextools/release.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hextools/json.h"
#include "hextools/version.h"

enum { MANIFEST_FORMAT = 1 };

/* Folders differ from desk to desk; a manifest must not. */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

static void put_byte(struct json *json, const char *key, uint8_t value)
{
	char text[8];
	snprintf(text, sizeof text, "0x%02X", value);
	json_str(json, key, text);
}

static void put_image(struct json *json, const struct hex_image *image)
{
	char text[12];
	uint32_t crc;
	bool has_crc = hex_image_crc32(image, &crc);
	snprintf(text, sizeof text, "%08" PRIX32, has_crc ? crc : 0);
	json_str(json, "crc32", has_crc ? text : NULL);
	json_int(json, "bytes", (int64_t)hex_image_bytes(image));
	json_open(json, "ranges", '[');
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		json_open(json, NULL, '{');
		json_int(json, "start", segment->addr);
		json_int(json, "end", (int64_t)segment->addr + (int64_t)segment->len - 1);
		json_int(json, "bytes", (int64_t)segment->len);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void put_inputs(struct json *json, const struct release *release)
{
	json_open(json, "inputs", '[');
	for (size_t i = 0; i < release->input_count; i++) {
		const struct release_input *input = &release->inputs[i];
		json_open(json, NULL, '{');
		json_str(json, "role", input->role);
		json_str(json, "path", base_name(input->path));
		json_str(json, "sha256", input->sha256);
		put_image(json, &input->image);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void put_fuses(struct json *json, const struct release *release)
{
	if (release->has_fuses) {
		json_open(json, "fuses", '{');
		put_byte(json, "low", release->fuses[FUSE_LOW]);
		put_byte(json, "high", release->fuses[FUSE_HIGH]);
		if (release->part->fuse_count == PART_FUSES)
			put_byte(json, "ext", release->fuses[FUSE_EXT]);
		json_close(json, '}');
	} else {
		json_null(json, "fuses");
	}
	if (release->has_lock)
		put_byte(json, "lock", release->lock);
	else
		json_null(json, "lock");
}

static void put_boot(struct json *json, const struct release *release)
{
	json_open(json, "boot_section", '{');
	json_int(json, "start", release->boot_start);
	json_int(json, "bytes", release->boot_bytes);
	json_str(json, "bootloader", release->family != NULL ? release->family->name : NULL);
	json_str(json, "title", release->file != NULL ? release->file->title : NULL);
	json_close(json, '}');
}

int release_manifest(const struct release *release, const char *image_path, char **text, size_t *len,
		     struct pogo_error *err)
{
	struct json json;
	json_init(&json, 2);
	json_open(&json, NULL, '{');
	json_int(&json, "manifest", MANIFEST_FORMAT);
	json_str(&json, "tool", "pogo-hex");
	json_str(&json, "version", POGO_VERSION);
	json_str(&json, "part", release->part->name);
	put_inputs(&json, release);
	json_open(&json, "image", '{');
	json_str(&json, "path", base_name(image_path));
	json_str(&json, "sha256", release->digest);
	put_image(&json, &release->image);
	json_close(&json, '}');
	put_fuses(&json, release);
	put_boot(&json, release);
	json_int(&json, "crystal_hz", release->crystal_hz);
	json_bool(&json, "external_clock", release->external_clock);
	json_open(&json, "notes", '[');
	for (size_t i = 0; i < release->note_count; i++)
		json_str(&json, NULL, release->notes[i]);
	json_close(&json, ']');
	json_close(&json, '}');
	json_newline(&json);
	if (!json_ok(&json)) {
		json_finish(&json);
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the manifest");
	}
	*text = json.text;
	*len = json.len;
	return 0;
}
