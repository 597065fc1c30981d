#include "station/station_file.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/conf.h"
#include "hextools/outfile.h"
#include "station/place.h"

enum { MAX_WAIT_S = 86400 };

/* "1-4.2": bus, then the ports from the root hub down, as Linux and libusb count them. */
static bool is_port_path(const char *port)
{
	const char *at = port + strspn(port, "0123456789");

	if (at == port || *at != '-')
		return false;
	do {
		const char *number = at + 1;

		at = number + strspn(number, "0123456789");
		if (at == number)
			return false;
	} while (*at == '.');
	return *at == '\0';
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7F)
			return false;
	return true;
}

static int copy_text(const struct conf_node *node, const char *key, const char *value, char *out,
                     size_t size, struct pogo_error *err)
{
	if (strlen(value) >= size)
		return conf_fail(node, err, "%s: \"%.60s\" is longer than %zu characters", key,
		                 value, size - 1);
	if (!*value || !is_printable(value))
		return conf_fail(node, err, "%s: must be one or more printable characters", key);
	memcpy(out, value, strlen(value) + 1);
	return 0;
}

static int prove_unique(const struct station_file *file, const struct slot_place *place,
                        const struct conf_node *node, struct pogo_error *err)
{
	for (size_t i = 0; i < file->slot_count; i++) {
		if (strcmp(file->slots[i].name, place->name) == 0)
			return conf_fail(node, err, "slots: the name \"%s\" is there twice",
			                 place->name);
		if (strcmp(file->slots[i].port, place->port) == 0)
			return conf_fail(node, err,
			                 "slots: \"%s\" and \"%s\" both stand at port %s",
			                 file->slots[i].name, place->name, place->port);
	}
	return 0;
}

static int prove_port(const struct slot_place *place, const struct conf_node *node, struct pogo_error *err)
{
	if (place_is_line(place) || is_port_path(place->port))
		return 0;
	return conf_fail(node, err,
	                 "port: \"%s\" is no USB port path such as \"1-4.2\" and no serial line such as \"/dev/ttyS0\"; "
	                 "`pogo-station pods` shows what is plugged",
	                 place->port);
}

static int prove_kind(const struct slot_place *place, const struct conf_node *node, struct pogo_error *err)
{
	const struct programmer_driver *driver = programmer_find(place->kind);

	if (place->kind[0] && !driver)
		return conf_fail(node, err,
		                 "programmer: \"%s\" is not known here; leave the key out to take "
		                 "whatever is "
		                 "plugged in",
		                 place->kind);
	if (!place_is_line(place) || (driver && driver->serial))
		return 0;
	if (!driver)
		return conf_fail(node, err,
		                 "programmer: the serial line %s does not tell what is behind it; say which kind it is, as "
		                 "in programmer = \"stk500v1\"",
		                 place->port);
	return conf_fail(node, err, "programmer: a %s does not hang on a serial line such as %s; give its USB port", place->kind,
	                 place->port);
}

static int load_slot(struct station_file *file, const struct conf_node *node,
                     struct pogo_error *err)
{
	static const char *const keys[] = {"name", "port", "programmer", NULL};
	struct slot_place *place = &file->slots[file->slot_count];
	const char *name = NULL, *port = NULL, *kind = NULL;

	memset(place, 0, sizeof(*place));
	if (conf_only(node, keys, err) || conf_str(node, "name", true, &name, err) ||
	    conf_str(node, "port", true, &port, err) ||
	    conf_str(node, "programmer", false, &kind, err) ||
	    copy_text(node, "name", name, place->name, sizeof(place->name), err) ||
	    copy_text(node, "port", port, place->port, sizeof(place->port), err) ||
	    (kind && copy_text(node, "programmer", kind, place->kind, sizeof(place->kind), err)))
		return -1;
	if (prove_port(place, node, err) || prove_kind(place, node, err))
		return -1;
	if (prove_unique(file, place, node, err))
		return -1;
	file->slot_count++;
	return 0;
}

static int load_slots(struct station_file *file, const struct conf_node *root,
                      struct pogo_error *err)
{
	const struct conf_node *list;

	if (conf_list(root, "slots", true, &list, err))
		return -1;
	if (!conf_len(list))
		return conf_fail(list, err,
		                 "slots: the list is empty; `pogo-station learn %s` fills it",
		                 file->path);
	if (conf_len(list) > STATION_SLOTS)
		return conf_fail(list, err, "slots: %zu are too many, a station has at most %d",
		                 conf_len(list), STATION_SLOTS);
	for (size_t i = 0; i < conf_len(list); i++)
		if (load_slot(file, conf_at(list, i), err))
			return -1;
	return 0;
}

static int load_root(struct station_file *file, const struct conf_node *root,
                     struct pogo_error *err)
{
	static const char *const keys[] = {"station", "slots", "no_board_s", NULL};
	const char *station = NULL;
	int64_t no_board_s = 0;

	if (conf_only(root, keys, err) || conf_str(root, "station", true, &station, err) ||
	    copy_text(root, "station", station, file->station, sizeof(file->station), err) ||
	    conf_int(root, "no_board_s", false, 0, MAX_WAIT_S, &no_board_s, err))
		return -1;
	file->no_board_s = (unsigned)no_board_s;
	return load_slots(file, root, err);
}

int station_file_load(const char *path, struct station_file *out, struct pogo_error *err)
{
	struct station_file file = {.slot_count = 0};
	struct conf *conf = NULL;
	int rc;

	if (strlen(path) >= sizeof(file.path))
		return pogo_fail(err, POGO_INPUT,
		                 "%.80s…: the station file's path is longer than %zu characters",
		                 path, sizeof(file.path) - 1);
	memcpy(file.path, path, strlen(path) + 1);
	if (conf_open(path, &conf, err))
		return -1;
	rc = load_root(&file, conf_root(conf), err);
	conf_close(conf);
	if (!rc)
		*out = file;
	return rc;
}

/* ---- saving */

/* A string as the reader takes it; only \ and " need a backslash, control characters are never
 * there. */
static void put_string(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', out);
		putc(*text, out);
	}
	putc('"', out);
}

static void put_slot(FILE *out, const struct slot_place *place, bool last)
{
	fputs("  { name = ", out);
	put_string(out, place->name);
	fputs("; port = ", out);
	put_string(out, place->port);
	if (place->kind[0]) {
		fputs("; programmer = ", out);
		put_string(out, place->kind);
	}
	fprintf(out, "; }%s\n", last ? "" : ",");
}

static void put_file(FILE *out, const struct station_file *file)
{
	fputs("# Which slot is which USB port: `pogo-station learn` writes this, an editor changes "
	      "it.\nstation = ",
	      out);
	put_string(out, file->station);
	fputs(";\n", out);
	if (file->no_board_s)
		fprintf(out, "no_board_s = %u;\n", file->no_board_s);
	fputs("slots = (\n", out);
	for (size_t i = 0; i < file->slot_count; i++)
		put_slot(out, &file->slots[i], i + 1 == file->slot_count);
	fputs(");\n", out);
}

int station_file_save(const struct station_file *file, struct pogo_error *err)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool failed;
	int rc;

	if (!out)
		return pogo_fail(err, POGO_SYSTEM, "%s: out of memory", file->path);
	put_file(out, file);
	failed = ferror(out) != 0;
	failed |= fclose(out) != 0;
	rc = failed ? pogo_fail(err, POGO_SYSTEM, "%s: out of memory", file->path)
	            : outfile_write(file->path, text, len, err);
	free(text);
	return rc;
}
