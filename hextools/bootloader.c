#include "hextools/bootloader.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/conf.h"
#include "hextools/edit.h"
#include "hextools/fuses.h"

static int load_text(const struct conf_node *group, const char *key, bool required, char *out,
		     size_t size, struct pogo_error *err)
{
	const char *text = NULL;
	if (conf_str(group, key, required, &text, err) != 0)
		return -1;
	if (text == NULL)
		return 0;
	if (*text == '\0' || strlen(text) >= size)
		return conf_fail(group, err, "\"%s\" must have 1 to %zu characters", key, size - 1);
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

/* "VVVV:PPPP" */
static int load_usb(const struct conf_node *group, char out[12], struct pogo_error *err)
{
	if (load_text(group, "usb", false, out, 12, err) != 0)
		return -1;
	static const char digits[] = "0123456789ABCDEF";
	if (out[0] != '\0' && (strlen(out) != 9 || strspn(out, digits) != 4 || out[4] != ':' ||
			       strspn(out + 5, digits) != 4))
		return conf_fail(group, err, "\"usb\" is \"%s\", not like \"03EB:2FF4\"", out);
	return 0;
}

/* CRC-32 as 8 hexadecimal digits in a string: libconfig's plain numbers end at 31 bits. */
static int load_crc(const struct conf_node *group, uint32_t *out, struct pogo_error *err)
{
	char text[12] = "", *end;
	if (load_text(group, "crc32", true, text, sizeof text, err) != 0)
		return -1;
	*out = (uint32_t)strtoul(text, &end, 16);
	if (strlen(text) != 8 || *end != '\0' || strspn(text, "0123456789ABCDEF") != 8)
		return conf_fail(group, err, "\"crc32\" is \"%s\", not 8 hexadecimal digits", text);
	return 0;
}

/* Fuse bytes as the part has them; missing ones are 0xFF. */
static int load_fuses(const struct conf_node *group, const char *key, const struct part *part,
		      bool *has, uint8_t fuses[PART_FUSES], struct pogo_error *err)
{
	const struct conf_node *list;
	if (conf_list(group, key, false, &list, err) != 0)
		return -1;
	*has = list != NULL;
	if (list == NULL)
		return 0;
	if (conf_len(list) != part->fuse_count)
		return conf_fail(list, err, "\"%s\": the %s has %d fuse bytes", key, part->title,
				 part->fuse_count);
	memset(fuses, 0xFF, PART_FUSES);
	for (size_t i = 0; i < part->fuse_count; i++) {
		int64_t value;
		if (conf_int_at(list, i, 0, 0xFF, &value, err) != 0)
			return -1;
		fuses[i] = (uint8_t)value;
	}
	return 0;
}

/* Published fuses must not contradict what the family says about itself. */
static int check_fuses(const struct conf_node *group, const struct bootloader *family,
		       const struct part *part, uint32_t section_bytes,
		       const uint8_t fuses[PART_FUSES], struct pogo_error *err)
{
	const uint32_t any_crystal = 16000000;
	uint32_t start = 0, bytes = 0;
	struct pogo_error why;
	if (!fuses_boot_section(part, fuses, &start, &bytes) || bytes != section_bytes)
		return conf_fail(group, err, "\"fuses\" select a boot section of %u bytes, not %u", bytes,
				 section_bytes);
	if (family->reset != BOOTLOADER_RESET_UNKNOWN &&
	    fuses_boot_reset(part, fuses) != (family->reset == BOOTLOADER_RESET_BOOT))
		return conf_fail(group, err, "BOOTRST in \"fuses\" contradicts \"reset\"");
	if (fuses_check_safe(part, fuses, any_crystal, false, &why) != 0)
		return conf_fail(group, err, "\"fuses\": %s", why.text);
	return 0;
}

static bool has_section(const struct part *part, uint32_t bytes)
{
	for (size_t i = 0; i < 4; i++)
		if (part->boot_bytes[i] == bytes)
			return true;
	return false;
}

/* The parts that the files name, each read once. */
enum { SHELF_PARTS = 64 };

struct shelf {
	const char *configs;
	struct part *parts[SHELF_PARTS];
	size_t count;
};

static int shelf_part(struct shelf *shelf, const struct conf_node *group, const char *name,
		      const struct part **out, struct pogo_error *err)
{
	struct pogo_error why;
	for (size_t i = 0; i < shelf->count; i++) {
		*out = shelf->parts[i];
		if (strcmp((*out)->name, name) == 0)
			return 0;
	}
	if (shelf->count == SHELF_PARTS)
		return conf_fail(group, err, "more than %d parts", SHELF_PARTS);
	if (part_load(shelf->configs, name, &shelf->parts[shelf->count], &why) != 0)
		return conf_fail(group, err, "%s", why.text);
	*out = shelf->parts[shelf->count++];
	return 0;
}

static int load_sizes(const struct conf_node *group, const struct part *part,
		      struct bootloader_part *entry, struct pogo_error *err)
{
	int64_t section = 0, reserved = 0;
	if (conf_int(group, "section", true, 1, part->flash_bytes, &section, err) != 0)
		return -1;
	reserved = section;
	if (conf_int(group, "reserved", false, section, part->flash_bytes, &reserved, err) != 0)
		return -1;
	entry->section_bytes = (uint32_t)section;
	entry->section_start = part_is_avr(part) ? part->flash_bytes - entry->section_bytes : part->flash_start;
	entry->reserved_bytes = (uint32_t)reserved;
	if (!part_is_avr(part) && (section % part->flash_page != 0 || reserved % part->flash_page != 0))
		return conf_fail(group, err, "the %s is erased in pages of %u bytes; a bootloader takes whole ones",
				 part->title, part->flash_page);
	if (part_is_avr(part) && !has_section(part, entry->section_bytes))
		return conf_fail(group, err, "the %s has no boot section of %u bytes", part->title,
				 entry->section_bytes);
	return 0;
}

static int load_part(const struct conf_node *group, struct shelf *shelf, struct bootloader *family,
		     struct pogo_error *err)
{
	static const char *const keys[] = {"part", "section", "reserved", "fuses",
					   "guide", "remark", "usb", NULL};
	struct bootloader_part *entry = &family->parts[family->part_count];
	const struct part *part;
	if (conf_only(group, keys, err) != 0 ||
	    load_text(group, "part", true, entry->part, sizeof entry->part, err) != 0 ||
	    load_text(group, "remark", false, entry->remark, sizeof entry->remark, err) != 0 ||
	    load_usb(group, entry->usb, err) != 0)
		return -1;
	if (bootloader_part(family, entry->part) != NULL)
		return conf_fail(group, err, "part \"%s\" is there twice", entry->part);
	if (shelf_part(shelf, group, entry->part, &part, err) != 0 ||
	    load_sizes(group, part, entry, err) != 0 ||
	    load_fuses(group, "fuses", part, &entry->has_fuses, entry->fuses, err) != 0 ||
	    load_fuses(group, "guide", part, &entry->has_guide, entry->guide, err) != 0)
		return -1;
	if (entry->has_fuses &&
	    check_fuses(group, family, part, entry->section_bytes, entry->fuses, err) != 0)
		return -1;
	family->part_count++;
	return 0;
}

/* The length of the next word in a list with spaces, 0 at its end; *at moves to its begin. */
static size_t word_at(const char *list, size_t *at)
{
	*at += strspn(list + *at, " ");
	return strcspn(list + *at, " ");
}

static int load_file(const struct conf_node *group, struct shelf *shelf, struct bootloader *family,
		     struct pogo_error *err)
{
	static const char *const keys[] = {"name",  "title", "part",   "also", "crc32",
					   "fuses", "usb",   "sketch", NULL};
	struct bootloader_file *file = &family->files[family->file_count];
	const struct part *part;
	if (conf_only(group, keys, err) != 0 ||
	    load_text(group, "name", true, file->name, sizeof file->name, err) != 0 ||
	    load_text(group, "title", true, file->title, sizeof file->title, err) != 0 ||
	    load_text(group, "part", true, file->part, sizeof file->part, err) != 0 ||
	    load_text(group, "also", false, file->also, sizeof file->also, err) != 0 ||
	    load_crc(group, &file->crc32, err) != 0 || load_usb(group, file->usb, err) != 0 ||
	    conf_bool(group, "sketch", false, &file->sketch, err) != 0)
		return -1;
	const struct bootloader_part *entry = bootloader_part(family, file->part);
	if (entry == NULL)
		return conf_fail(group, err, "part \"%s\" is not in \"parts\"", file->part);
	for (size_t at = 0, len; (len = word_at(file->also, &at)) > 0; at += len) {
		char twin[sizeof entry->part];
		snprintf(twin, sizeof twin, "%.*s", (int)len, file->also + at);
		if (bootloader_part(family, twin) == NULL)
			return conf_fail(group, err, "part \"%s\" is not in \"parts\"", twin);
	}
	if (bootloader_file(family, file->crc32) != NULL)
		return conf_fail(group, err, "crc32 %08X is there twice", file->crc32);
	if (shelf_part(shelf, group, file->part, &part, err) != 0 ||
	    load_fuses(group, "fuses", part, &file->has_fuses, file->fuses, err) != 0)
		return -1;
	if (file->has_fuses &&
	    check_fuses(group, family, part, entry->section_bytes, file->fuses, err) != 0)
		return -1;
	family->file_count++;
	return 0;
}

static int load_reset(const struct conf_node *root, enum bootloader_reset *out,
		      struct pogo_error *err)
{
	static const char *const names[] = {"boot", "application", "unknown"};
	const char *text = NULL;
	if (conf_str(root, "reset", true, &text, err) != 0)
		return -1;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum bootloader_reset)i;
			return 0;
		}
	}
	return conf_fail(root, err, "\"reset\" is \"%s\", allowed are boot, application, unknown", text);
}

static int load_root(const struct conf_node *root, struct shelf *shelf, const char *name,
		     struct bootloader *family, struct pogo_error *err)
{
	static const char *const keys[] = {"name", "title", "reset", "lock", "parts", "files", NULL};
	const struct conf_node *parts, *files;
	int64_t lock = -1;
	if (conf_only(root, keys, err) != 0 ||
	    load_text(root, "name", true, family->name, sizeof family->name, err) != 0 ||
	    load_text(root, "title", true, family->title, sizeof family->title, err) != 0 ||
	    load_reset(root, &family->reset, err) != 0 ||
	    conf_int(root, "lock", false, 0, 0xFF, &lock, err) != 0 ||
	    conf_list(root, "parts", true, &parts, err) != 0 ||
	    conf_list(root, "files", false, &files, err) != 0)
		return -1;
	if (strcmp(family->name, name) != 0)
		return conf_fail(root, err, "the file calls itself \"%s\"", family->name);
	family->has_lock = lock >= 0;
	family->lock = family->has_lock ? (uint8_t)lock : 0xFF;
	if (conf_len(parts) > BOOTLOADER_PARTS || conf_len(files) > BOOTLOADER_FILES)
		return conf_fail(root, err, "more than %d parts or %d files", BOOTLOADER_PARTS,
				 BOOTLOADER_FILES);
	for (size_t i = 0; i < conf_len(parts); i++)
		if (load_part(conf_at(parts, i), shelf, family, err) != 0)
			return -1;
	for (size_t i = 0; i < conf_len(files); i++)
		if (load_file(conf_at(files, i), shelf, family, err) != 0)
			return -1;
	return 0;
}

static int load_family(struct shelf *shelf, const char *file_name, struct bootloader *family,
		       struct pogo_error *err)
{
	char path[PATH_MAX], name[sizeof family->name];
	struct conf *conf;
	snprintf(path, sizeof path, "%s/bootloaders/%s", shelf->configs, file_name);
	snprintf(name, sizeof name, "%.*s", (int)strlen(file_name) - 4, file_name);
	if (conf_open(path, &conf, err) != 0)
		return -1;
	int rc = load_root(conf_root(conf), shelf, name, family, err);
	conf_close(conf);
	return rc;
}

static int is_cfg(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".cfg") == 0;
}

int bootloader_load_all(const char *configs, struct bootloader_set *set, struct pogo_error *err)
{
	char folder[PATH_MAX];
	struct dirent **entries = NULL;
	struct shelf shelf = {.configs = configs};
	snprintf(folder, sizeof folder, "%s/bootloaders", configs);
	int count = scandir(folder, &entries, is_cfg, alphasort);
	*set = (struct bootloader_set){0};
	if (count < 0)
		return pogo_fail(err, POGO_INPUT, "cannot read the folder \"%s\": %s", folder,
				 strerror(errno));
	int rc = 0;
	if (count > BOOTLOADER_FAMILIES)
		rc = pogo_fail(err, POGO_INPUT, "\"%s\" has more than %d bootloaders", folder,
			       BOOTLOADER_FAMILIES);
	else if ((set->family = calloc((size_t)count + 1, sizeof *set->family)) == NULL)
		rc = pogo_fail(err, POGO_SYSTEM, "out of memory");
	for (int i = 0; i < count; i++) {
		if (rc == 0)
			rc = load_family(&shelf, entries[i]->d_name, &set->family[set->count], err);
		if (rc == 0)
			set->count++;
		free(entries[i]);
	}
	free(entries);
	for (size_t i = 0; i < shelf.count; i++)
		free(shelf.parts[i]);
	if (rc != 0)
		bootloader_set_finish(set);
	return rc;
}

void bootloader_set_finish(struct bootloader_set *set)
{
	free(set->family);
	*set = (struct bootloader_set){0};
}

const struct bootloader *bootloader_find(const struct bootloader_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++)
		if (strcmp(set->family[i].name, name) == 0)
			return &set->family[i];
	return NULL;
}

const struct bootloader_part *bootloader_part(const struct bootloader *family, const char *part)
{
	for (size_t i = 0; i < family->part_count; i++)
		if (strcmp(family->parts[i].part, part) == 0)
			return &family->parts[i];
	return NULL;
}

const struct bootloader_file *bootloader_file(const struct bootloader *family, uint32_t crc32)
{
	for (size_t i = 0; i < family->file_count; i++)
		if (family->files[i].crc32 == crc32)
			return &family->files[i];
	return NULL;
}

bool bootloader_fits(const struct bootloader_file *file, const char *part)
{
	if (strcmp(file->part, part) == 0)
		return true;
	for (size_t at = 0, len; (len = word_at(file->also, &at)) > 0; at += len)
		if (strlen(part) == len && memcmp(file->also + at, part, len) == 0)
			return true;
	return false;
}

bool bootloader_recognise(const struct bootloader_set *set, const struct hex_image *image,
			  const struct bootloader **family, const struct bootloader_file **file)
{
	uint32_t crc;
	if (!hex_image_crc32(image, &crc))
		return false;
	for (size_t i = 0; i < set->count; i++) {
		*family = &set->family[i];
		*file = bootloader_file(*family, crc);
		if (*file != NULL)
			return true;
	}
	return false;
}

/* The data in the section, copied into *part; false: there is none, or no memory. */
static bool take_section(const struct hex_image *image, const struct bootloader_part *entry,
			 struct hex_image *part)
{
	uint64_t end = (uint64_t)entry->section_start + entry->section_bytes;
	const struct hex_segment *stop = image->segments + image->count;
	const struct hex_segment *segment = hex_image_from(image, entry->section_start);
	bool ok = true;
	for (; segment != NULL && segment != stop && segment->addr < end && ok; segment++) {
		uint64_t from = segment->addr > entry->section_start ? segment->addr : entry->section_start;
		uint64_t last = (uint64_t)segment->addr + segment->len;
		uint64_t until = last < end ? last : end;
		ok = hex_image_add(part, (uint32_t)from, segment->bytes + (from - segment->addr),
				   (size_t)(until - from), HEX_OVERLAP_ERROR, NULL, NULL) == 0;
	}
	return ok && part->count > 0;
}

/* The known file that the section holds; NULL: none. What was read back from a chip, and a raw binary, have 0xFF where
 * a file has nothing. */
static const struct bootloader_file *section_file(const struct bootloader *family, const struct bootloader_part *entry,
						  const struct hex_image *image)
{
	const struct bootloader_file *file = NULL;
	struct hex_image part;
	uint32_t crc;
	hex_image_init(&part);
	if (take_section(image, entry, &part) && hex_image_crc32(&part, &crc)) {
		file = bootloader_file(family, crc);
		if (file == NULL && edit_trim_end(&part, NULL) == 0 && hex_image_crc32(&part, &crc))
			file = bootloader_file(family, crc);
	}
	hex_image_finish(&part);
	return file;
}

bool bootloader_inside(const struct bootloader_set *set, const struct hex_image *image,
		       const struct bootloader **family, const struct bootloader_file **file)
{
	for (size_t i = 0; i < set->count; i++) {
		*family = &set->family[i];
		for (size_t p = 0; p < (*family)->part_count; p++) {
			const struct bootloader_part *entry = &(*family)->parts[p];
			*file = section_file(*family, entry, image);
			if (*file != NULL && strcmp((*file)->part, entry->part) == 0)
				return true;
		}
	}
	return false;
}

const uint8_t *bootloader_fuses(const struct bootloader *family, const struct bootloader_file *file,
				const char *part)
{
	const struct bootloader_part *entry = bootloader_part(family, part);
	if (file != NULL && file->has_fuses)
		return file->fuses;
	return entry != NULL && entry->has_fuses ? entry->fuses : NULL;
}
