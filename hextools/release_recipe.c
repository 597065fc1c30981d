#include "hextools/release.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/outfile.h"

/* A string between double quotes as libconfig reads it. */
static void put_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < ' ')
			fprintf(out, "\\x%02X", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

/* The absolute path of a file that need not exist; its folder must. */
static int absolute(const char *path, char out[PATH_MAX], struct pogo_error *err)
{
	char folder[PATH_MAX] = ".", real[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	if (slash != NULL)
		snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (realpath(folder, real) == NULL)
		return pogo_fail_errno(err, errno, "cannot write \"%.200s\"", path);
	int used = snprintf(out, PATH_MAX, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
	if (used < 0 || used >= PATH_MAX)
		return pogo_fail(err, POGO_INPUT, "the path \"%.200s\" is too long", path);
	return 0;
}

/* `to` as seen from the folder of the file `from`; both absolute. */
static int relative(const char *from, const char *to, char out[PATH_MAX], struct pogo_error *err)
{
	size_t common = 0, used = 0;
	for (size_t i = 0; from[i] == to[i] && from[i] != '\0'; i++)
		if (from[i] == '/')
			common = i + 1;
	for (const char *at = strchr(from + common, '/'); at != NULL; at = strchr(at + 1, '/')) {
		if (used + 3 >= PATH_MAX)
			return pogo_fail(err, POGO_INPUT, "the path \"%.200s\" is too long", to);
		used += (size_t)snprintf(out + used, PATH_MAX - used, "../");
	}
	int len = snprintf(out + used, PATH_MAX - used, "%s", to + common);
	if (len < 0 || (size_t)len >= PATH_MAX - used)
		return pogo_fail(err, POGO_INPUT, "the path \"%.200s\" is too long", to);
	return 0;
}

/* The application's file name without folder and ending. */
static void name_of(const struct release *release, char *out, size_t size)
{
	const char *path = release->inputs[1].path, *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	const char *dot = strrchr(name, '.');
	int len = dot != NULL && dot != name ? (int)(dot - name) : (int)strlen(name);
	snprintf(out, size, "%.*s", strcmp(path, "-") == 0 ? 0 : len, name);
	if (out[0] == '\0')
		snprintf(out, size, "product");
}

/* Fuses, lock, clock and EEPROM: an AVR's. */
static void put_avr(FILE *out, const struct release *release)
{
	fprintf(out, "crystal_hz = %" PRIu32 ";                 # on the board; 0 = none\n", release->crystal_hz);
	fprintf(out, "%sexternal_clock = true;               # only if CKSEL = external clock is meant\n\n",
		release->external_clock ? "" : "# ");
	fprintf(out, "fuses = { low = 0x%02X; high = 0x%02X;", release->fuses[FUSE_LOW], release->fuses[FUSE_HIGH]);
	if (release->part->fuse_count == PART_FUSES)
		fprintf(out, " ext = 0x%02X;", release->fuses[FUSE_EXT]);
	fputs(" };\n", out);
	if (release->has_lock)
		fprintf(out, "lock = 0x%02X;                          # leave out: lock bits stay open\n", release->lock);
	else
		fputs("# lock = 0xEF;                        # left out: lock bits stay open\n", out);
}

static void put_stm32(FILE *out)
{
	fputs("# allow_unlock = true;                # a read-protected board may be unprotected, which erases it\n"
	      "# full_readback = false;              # verify by a CRC that the chip computes, which is faster\n"
	      "# protect = true;                     # read-out protection on, as the last step\n"
	      "# options = { user = 0xFF; data0 = 0xFF; data1 = 0xFF; wrp = [ 0xFF, 0xFF, 0xFF, 0xFF ]; };\n",
	      out);
}

enum { SERIAL_ROOM = 16 };

/* Where a serial number lives best: an AVR's last EEPROM bytes. In an STM32's flash, the end of the bootloader's pages
 * is neither rewritten by an update over USB nor part of the EEPROM that QMK emulates at the end of the flash. */
static uint32_t serial_place(const struct release *release)
{
	const struct part *part = release->part;
	uint8_t there[SERIAL_ROOM];
	uint32_t address = release->app_start - SERIAL_ROOM;
	if (part_is_avr(part))
		return part->eeprom_bytes - SERIAL_ROOM;
	if (hex_image_read(&release->image, address, there, sizeof there, 0xFF) == 0)
		return address;
	return part->flash_start + part->flash_bytes - SERIAL_ROOM;
}

static void put_serial(FILE *out, const struct release *release)
{
	bool avr = part_is_avr(release->part);
	fprintf(out,
		"\n# serial = {                           # left out: no serial number\n"
		"#   prefix = \"KB\";\n"
		"#   width = 6;                         # digits, zero-padded\n"
		"#   first = 1;\n"
		"#   memory = \"%s\";%s\n"
		"#   address = 0x%" PRIX32 ";\n"
		"# };\n",
		avr ? "eeprom" : "flash", avr ? "                 # or \"flash\"" : "", serial_place(release));
}

static void put_recipe(FILE *out, const struct release *release, const char *product,
		       const char *image)
{
	fputs("# A recipe, made by pogo-hex release: everything that one product needs. Prove it with\n"
	      "# `pogo-station check`, which touches no board.\n"
	      "product = ", out);
	put_string(out, product);
	fprintf(out, ";\npart = \"%s\";\nimage = ", release->part->name);
	put_string(out, image);
	fprintf(out, ";\nimage_sha256 = \"%s\";\n\n", release->digest);
	if (part_is_avr(release->part))
		put_avr(out, release);
	else
		put_stm32(out);
	put_serial(out, release);
}

int release_recipe(const struct release *release, const char *image_path, const char *recipe_path,
		   const char *product, char **text, size_t *len, struct pogo_error *err)
{
	char image[PATH_MAX], recipe[PATH_MAX], path[PATH_MAX], name[64];
	if (part_is_avr(release->part) && !release->has_fuses)
		return pogo_fail(err, POGO_INPUT,
				 "a recipe needs fuses and this bootloader is not a known one; give "
				 "--fuses LOW,HIGH%s", release->part->fuse_count == 3 ? ",EXT" : "");
	if (outfile_is_stdout(image_path))
		return pogo_fail(err, POGO_INPUT, "a recipe needs the image in a file, not on standard output");
	if (absolute(image_path, image, err) != 0)
		return -1;
	if (outfile_is_stdout(recipe_path))
		snprintf(path, sizeof path, "%s", image);
	else if (absolute(recipe_path, recipe, err) != 0 || relative(recipe, image, path, err) != 0)
		return -1;
	if (product != NULL && (*product == '\0' || strlen(product) >= sizeof name))
		return pogo_fail(err, POGO_INPUT, "--product must have 1 to %zu characters", sizeof name - 1);
	if (product == NULL)
		name_of(release, name, sizeof name);
	FILE *out = open_memstream(text, len);
	if (out == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the recipe");
	put_recipe(out, release, product != NULL ? product : name, path);
	if (fclose(out) != 0) {
		free(*text);
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the recipe");
	}
	return 0;
}
