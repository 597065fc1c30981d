#include "hextools/qmk.h"

#include <ctype.h>
#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hextools/outfile.h"
#include "hextools/qmk_json.h"

enum { MAX_DEPTH = 5, MAX_LAYOUTS = 16 };

/* What is read on the way. Paths are relative to the tree. */
struct reading {
	const char *tree;
	struct qmk_keyboard *keyboard;
	char folders[MAX_DEPTH][256]; /* keyboards/a, keyboards/a/b, …: top first */
	size_t depth;
	char keymap_folder[320]; /* empty: no keymap named */
	struct qmk_value board, convert_to, layouts, rules_mcu, rules_bootloader;
	json_t *community[MAX_DEPTH]; /* community_layouts of each folder's JSON, or NULL */
	struct pogo_error *err;
};

static void full_path(const struct reading *r, const char *relative, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%.3000s/%.1000s", r->tree, relative);
}

static bool is_kind(const struct reading *r, const char *relative, mode_t kind)
{
	char path[PATH_MAX];
	struct stat info;
	full_path(r, relative, path);
	return stat(path, &info) == 0 && (info.st_mode & S_IFMT) == kind;
}

static void set_value(struct qmk_value *value, const char *text, size_t len, const char *from)
{
	snprintf(value->text, sizeof value->text, "%.*s", (int)len, text);
	snprintf(value->from, sizeof value->from, "%.239s", from);
	value->set = true;
}

/* ---- what stands in JSON -------------------------------------------------------------------------- */

static const char *kind_name(const json_t *value)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
		[JSON_INTEGER] = "a number", [JSON_REAL] = "a number",	[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",	     [JSON_NULL] = "null"};
	return names[json_typeof(value)];
}

/* *value: what stands at `key` of an object, NULL when there is nothing. Another kind than the one that QMK wants is an
 * error: read as nothing, a default would take its place. */
static int json_field(const struct reading *r, const json_t *object, const char *key, json_type kind, const char *file,
		      json_t **value)
{
	static const char *const wanted[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string"};
	*value = json_object_get(object, key);
	if (*value == NULL || json_typeof(*value) == kind)
		return 0;
	return pogo_fail(r->err, POGO_INPUT, "%s: \"%.60s\" is %s, QMK wants %s", file, key, kind_name(*value),
			 wanted[kind]);
}

/* The same for a string. */
static int json_text(const struct reading *r, const json_t *object, const char *key, const char *file,
		     const char **text)
{
	json_t *value;
	if (json_field(r, object, key, JSON_STRING, file, &value) != 0)
		return -1;
	*text = json_string_value(value);
	return 0;
}

/* ---- rules.mk as QMK's tools read it: plain text, make's conditionals ignored ----------------------- */

struct rule {
	const char *name;
	struct qmk_value *value;
};

static struct qmk_value *rule_value(const struct rule rules[], const char *name, size_t len)
{
	for (; rules->name != NULL; rules++)
		if (strlen(rules->name) == len && memcmp(rules->name, name, len) == 0)
			return rules->value;
	return NULL;
}

static void append_value(struct qmk_value *value, const char *text, size_t len, const char *from)
{
	size_t used = value->set ? strlen(value->text) : 0;
	snprintf(value->text + used, sizeof value->text - used, "%s%.*s", used > 0 ? " " : "", (int)len,
		 text);
	snprintf(value->from, sizeof value->from, "%.239s", from);
	value->set = true;
}

/* NAME = VALUE, with =, :=, ?= or +=; comments are cut. */
static void take_rule(const char *line, size_t len, const struct rule rules[], const char *from)
{
	const char *comment = memchr(line, '#', len);
	const char *end = comment != NULL ? comment : line + len;
	while (line < end && isspace((unsigned char)*line))
		line++;
	const char *name = line;
	while (line < end && (isalnum((unsigned char)*line) || *line == '_'))
		line++;
	struct qmk_value *value = rule_value(rules, name, (size_t)(line - name));
	while (line < end && isspace((unsigned char)*line))
		line++;
	char kind = '=';
	while (line < end && strchr(":?+", *line) != NULL)
		kind = *line++;
	if (value == NULL || line == end || *line++ != '=')
		return;
	while (line < end && isspace((unsigned char)*line))
		line++;
	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	if (kind == '+')
		append_value(value, line, (size_t)(end - line), from);
	else if (kind != '?' || !value->set)
		set_value(value, line, (size_t)(end - line), from);
}

/* A file that is not there says nothing. */
static int read_rules(struct reading *r, const char *relative, const struct rule rules[])
{
	char path[PATH_MAX], *text;
	size_t len;
	if (!is_kind(r, relative, S_IFREG))
		return 0;
	full_path(r, relative, path);
	if (infile_read(path, &text, &len, r->err) != 0)
		return -1;
	for (char *cut = text; (cut = strstr(cut, "\\\n")) != NULL;) /* a line goes on */
		cut[0] = cut[1] = ' ';
	for (const char *at = text; *at != '\0';) {
		size_t size = strcspn(at, "\n");
		take_rule(at, size, rules, relative);
		at += size + (at[size] == '\n');
	}
	free(text);
	return 0;
}

/* ---- the keyboard's folder ------------------------------------------------------------------------ */

static bool sound_name(const char *name)
{
	if (name[0] == '\0' || name[0] == '/' || strstr(name, "..") != NULL || strstr(name, "//") != NULL)
		return false;
	return name[strlen(name) - 1] != '/';
}

/* data/mappings/keyboard_aliases.hjson: old names of moved keyboards. */
static int follow_alias(struct reading *r, char name[200])
{
	static const char file[] = "data/mappings/keyboard_aliases.hjson";
	char path[PATH_MAX];
	if (!is_kind(r, file, S_IFREG))
		return 0;
	full_path(r, file, path);
	json_t *root = qmk_json_load(path, r->err), *alias;
	if (root == NULL)
		return -1;
	int rc = 0;
	for (int hops = 0; hops < 8; hops++) {
		const char *target = NULL;
		if (json_field(r, root, name, JSON_OBJECT, file, &alias) != 0 ||
		    json_text(r, alias, "target", file, &target) != 0)
			rc = -1;
		if (target == NULL || !sound_name(target))
			break;
		notes_add(&r->keyboard->notes, "keyboard \"%s\" is called \"%.100s\" now", name, target);
		snprintf(name, 200, "%s", target);
	}
	json_decref(root);
	return rc;
}

/* A folder that only points to its main revision. */
static int follow_default_folder(struct reading *r, char name[200])
{
	char file[300];
	struct qmk_value folder = {.set = false};
	const struct rule rules[] = {{"DEFAULT_FOLDER", &folder}, {NULL, NULL}};
	snprintf(file, sizeof file, "keyboards/%s/rules.mk", name);
	if (read_rules(r, file, rules) != 0)
		return -1;
	if (!folder.set || !sound_name(folder.text))
		return 0;
	notes_add(&r->keyboard->notes, "\"%s\" stands for \"%s\" (DEFAULT_FOLDER)", name, folder.text);
	snprintf(name, 200, "%s", folder.text);
	return 0;
}

/* Names of the folders below that can be built, for a message. */
static void list_revisions(const struct reading *r, const char *name, char *out, size_t size)
{
	char path[PATH_MAX], relative[400];
	struct dirent **entries = NULL;
	snprintf(relative, sizeof relative, "keyboards/%s", name);
	full_path(r, relative, path);
	int count = scandir(path, &entries, NULL, alphasort);
	out[0] = '\0';
	for (int i = 0; i < count; i++) {
		size_t used = strlen(out);
		snprintf(relative, sizeof relative, "keyboards/%.150s/%.100s/keyboard.json", name,
			 entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && is_kind(r, relative, S_IFREG))
			snprintf(out + used, size - used, "%s%.150s/%.60s", used > 0 ? ", " : "", name,
				 entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

static int split_folders(struct reading *r, const char *name)
{
	for (const char *at = name;; at++) {
		if (*at != '/' && *at != '\0')
			continue;
		if (r->depth == MAX_DEPTH)
			return pogo_fail(r->err, POGO_INPUT, "keyboard \"%.100s\": more than %d folders deep", name,
					 MAX_DEPTH);
		snprintf(r->folders[r->depth++], sizeof r->folders[0], "keyboards/%.*s", (int)(at - name),
			 name);
		if (*at == '\0')
			return 0;
	}
}

static int find_keyboard(struct reading *r)
{
	char *name = r->keyboard->name, file[300], revisions[300];
	if (!is_kind(r, "keyboards", S_IFDIR))
		return pogo_fail(r->err, POGO_INPUT,
				 "\"%.200s\" is no QMK tree: it has no folder \"keyboards\"", r->tree);
	if (follow_alias(r, name) != 0 || follow_default_folder(r, name) != 0 ||
	    split_folders(r, name) != 0)
		return -1;
	const char *own = r->folders[r->depth - 1];
	if (!is_kind(r, own, S_IFDIR))
		return pogo_fail(r->err, POGO_INPUT, "there is no keyboard \"%.150s\" in \"%.200s\"", name,
				 r->tree);
	snprintf(file, sizeof file, "%s/keyboard.json", own);
	if (is_kind(r, file, S_IFREG))
		return 0;
	list_revisions(r, name, revisions, sizeof revisions);
	snprintf(file, sizeof file, "%s/rules.mk", own);
	if (revisions[0] == '\0' && is_kind(r, file, S_IFREG)) {
		notes_add(&r->keyboard->notes, "%s has no keyboard.json: taken as in QMK before 2024, by its rules.mk",
			  own);
		return 0;
	}
	return pogo_fail(r->err, POGO_INPUT, "keyboard \"%.150s\" cannot be built: its folder has no keyboard.json%s%s",
			 name, revisions[0] != '\0' ? "; it has " : "", revisions);
}

/* ---- JSON ----------------------------------------------------------------------------------------- */

/* Merged from the deepest folder up, each later file overwriting: lib/python/qmk/info.py. */
static int take_json(struct reading *r, const json_t *root, const char *key, struct qmk_value *value, const char *from)
{
	const char *text;
	if (json_text(r, root, key, from, &text) != 0)
		return -1;
	if (text == NULL)
		return 0;
	if (value->set && strcmp(value->text, text) != 0)
		notes_add(&r->keyboard->notes,
			  "%s: \"%.40s\" in %s, \"%.40s\" in %s: QMK's code takes the parent's (its documentation says "
			  "the child's)",
			  key, value->text, value->from, text, from);
	set_value(value, text, strlen(text), from);
	return 0;
}

static int take_layouts(struct reading *r, const json_t *root, size_t i, const char *from)
{
	json_t *layouts, *layout;
	size_t k;
	if (json_field(r, root, "community_layouts", JSON_ARRAY, from, &layouts) != 0)
		return -1;
	json_array_foreach(layouts, k, layout)
		if (!json_is_string(layout))
			return pogo_fail(r->err, POGO_INPUT, "%s: \"community_layouts\" holds %s, QMK wants strings",
					 from, kind_name(layout));
	r->community[i] = json_incref(layouts);
	return 0;
}

static int read_folder_json(struct reading *r, size_t i)
{
	char own[300], info[300], path[PATH_MAX];
	snprintf(own, sizeof own, "%s/keyboard.json", r->folders[i]);
	snprintf(info, sizeof info, "%s/info.json", r->folders[i]);
	bool has_own = is_kind(r, own, S_IFREG), has_info = is_kind(r, info, S_IFREG);
	if (has_own && has_info)
		return pogo_fail(r->err, POGO_INPUT, "\"%s\" has both keyboard.json and info.json, QMK allows one",
				 r->folders[i]);
	if (!has_info && !(has_own && i + 1 == r->depth))
		return 0;
	const char *file = has_info ? info : own;
	full_path(r, file, path);
	json_t *root = qmk_json_load(path, r->err);
	if (root == NULL)
		return -1;
	int rc = 0;
	if (take_json(r, root, "processor", &r->keyboard->mcu, file) != 0 ||
	    take_json(r, root, "bootloader", &r->keyboard->bootloader, file) != 0 ||
	    take_json(r, root, "development_board", &r->board, file) != 0 || take_layouts(r, root, i, file) != 0)
		rc = -1;
	json_decref(root);
	return rc;
}

/* data/mappings/defaults.hjson: what a development board has on it. */
static int find_board(const struct reading *r, const json_t *root, const char *file, const char **mcu,
		      const char **bootloader)
{
	json_t *boards, *board;
	if (json_field(r, root, "development_board", JSON_OBJECT, file, &boards) != 0 ||
	    json_field(r, boards, r->board.text, JSON_OBJECT, file, &board) != 0 ||
	    json_text(r, board, "processor", file, mcu) != 0)
		return -1;
	return json_text(r, board, "bootloader", file, bootloader);
}

static int fill_from_board(struct reading *r)
{
	static const char file[] = "data/mappings/defaults.hjson";
	char path[PATH_MAX], from[120];
	struct qmk_keyboard *keyboard = r->keyboard;
	if (!r->board.set)
		return 0;
	snprintf(keyboard->development_board, sizeof keyboard->development_board, "%s", r->board.text);
	snprintf(from, sizeof from, "development_board \"%s\"", r->board.text);
	const char *mcu = NULL, *bootloader = NULL;
	json_t *root = NULL;
	int rc = 0;
	if (is_kind(r, file, S_IFREG)) {
		full_path(r, file, path);
		root = qmk_json_load(path, r->err);
		rc = root == NULL ? -1 : find_board(r, root, file, &mcu, &bootloader);
	} else if (strcmp(r->board.text, "promicro") == 0 || strcmp(r->board.text, "elite_c") == 0) {
		mcu = "atmega32u4";
		bootloader = r->board.text[0] == 'p' ? "caterina" : "atmel-dfu";
	}
	if (mcu != NULL && !keyboard->mcu.set)
		set_value(&keyboard->mcu, mcu, strlen(mcu), from);
	if (bootloader != NULL && !keyboard->bootloader.set)
		set_value(&keyboard->bootloader, bootloader, strlen(bootloader), from);
	if (rc == 0 && mcu == NULL && bootloader == NULL)
		rc = pogo_fail(r->err, POGO_INPUT, "development_board \"%s\" of %s is not known", r->board.text,
			       r->board.from);
	json_decref(root);
	return rc;
}

static int read_json(struct reading *r)
{
	for (size_t i = r->depth; i-- > 0;)
		if (read_folder_json(r, i) != 0)
			return -1;
	return fill_from_board(r);
}

/* ---- rules ---------------------------------------------------------------------------------------- */

static int read_keyboard_rules(struct reading *r)
{
	const struct rule rules[] = {{"MCU", &r->rules_mcu},
				     {"BOOTLOADER", &r->rules_bootloader},
				     {"BOOTLOADER_SIZE", &r->keyboard->bootloader_size},
				     {"F_CPU", &r->keyboard->f_cpu},
				     {"CONVERT_TO", &r->convert_to},
				     {"LAYOUTS", &r->layouts},
				     {NULL, NULL}};
	char file[400];
	for (size_t i = 0; i < r->depth; i++) {
		snprintf(file, sizeof file, "%s/rules.mk", r->folders[i]);
		if (read_rules(r, file, rules) != 0)
			return -1;
	}
	return 0;
}

/* ---- keymap --------------------------------------------------------------------------------------- */

static bool is_keymap(struct reading *r, const char *folder)
{
	static const char *const files[] = {"keymap.c", "keymap.json", "rules.mk"};
	char file[400];
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(file, sizeof file, "%s/%s", folder, files[i]);
		if (is_kind(r, file, S_IFREG)) {
			snprintf(r->keymap_folder, sizeof r->keymap_folder, "%s", folder);
			return true;
		}
	}
	return false;
}

static bool try_layout(struct reading *r, const char *layout)
{
	static const char *const shelves[] = {"community", "default"};
	char folder[320];
	for (size_t i = 0; i < 2; i++) {
		snprintf(folder, sizeof folder, "layouts/%s/%.80s/%s", shelves[i], layout, r->keyboard->keymap);
		if (is_keymap(r, folder))
			return true;
	}
	return false;
}

/* Keymaps shared by all keyboards of a layout. */
static bool find_community_keymap(struct reading *r)
{
	char words[64], *save = NULL;
	for (size_t i = 0; i < r->depth; i++)
		for (size_t k = 0; k < json_array_size(r->community[i]) && k < MAX_LAYOUTS; k++) {
			const char *layout = json_string_value(json_array_get(r->community[i], k));
			if (layout != NULL && sound_name(layout) && try_layout(r, layout))
				return true;
		}
	snprintf(words, sizeof words, "%s", r->layouts.text);
	for (char *word = strtok_r(words, " \t", &save); word != NULL; word = strtok_r(NULL, " \t", &save))
		if (sound_name(word) && try_layout(r, word))
			return true;
	return false;
}

static int find_keymap(struct reading *r)
{
	char folder[320];
	if (r->keyboard->keymap[0] == '\0')
		return 0;
	for (size_t i = r->depth; i-- > 0;) {
		snprintf(folder, sizeof folder, "%s/keymaps/%.60s", r->folders[i], r->keyboard->keymap);
		if (is_keymap(r, folder))
			return 0;
	}
	if (find_community_keymap(r))
		return 0;
	return pogo_fail(r->err, POGO_INPUT, "keyboard \"%.150s\" has no keymap \"%s\", and no layout of it has one",
			 r->keyboard->name, r->keyboard->keymap);
}

static int take_keymap_json(struct reading *r, const json_t *root, const char *file)
{
	const char *mcu, *bootloader, *converter;
	json_t *config;
	if (json_field(r, root, "config", JSON_OBJECT, file, &config) != 0 ||
	    json_text(r, config, "processor", file, &mcu) != 0 ||
	    json_text(r, config, "bootloader", file, &bootloader) != 0 ||
	    json_text(r, root, "converter", file, &converter) != 0)
		return -1;
	if (mcu != NULL)
		set_value(&r->rules_mcu, mcu, strlen(mcu), file);
	if (bootloader != NULL)
		set_value(&r->rules_bootloader, bootloader, strlen(bootloader), file);
	if (converter != NULL)
		set_value(&r->convert_to, converter, strlen(converter), file);
	return 0;
}

static int read_keymap_json(struct reading *r)
{
	char file[400], path[PATH_MAX];
	snprintf(file, sizeof file, "%s/keymap.json", r->keymap_folder);
	if (!is_kind(r, file, S_IFREG))
		return 0;
	full_path(r, file, path);
	json_t *root = qmk_json_load(path, r->err);
	if (root == NULL)
		return -1;
	int rc = take_keymap_json(r, root, file);
	json_decref(root);
	return rc;
}

static int read_keymap(struct reading *r)
{
	const struct rule rules[] = {{"MCU", &r->rules_mcu},
				     {"BOOTLOADER", &r->rules_bootloader},
				     {"BOOTLOADER_SIZE", &r->keyboard->bootloader_size},
				     {"F_CPU", &r->keyboard->f_cpu},
				     {"CONVERT_TO", &r->convert_to},
				     {NULL, NULL}};
	char file[400];
	if (r->keymap_folder[0] == '\0')
		return 0;
	snprintf(file, sizeof file, "%s/rules.mk", r->keymap_folder);
	return read_rules(r, file, rules) != 0 ? -1 : read_keymap_json(r);
}

/* Read by make after the chip has been settled, but in time for the bootloader. */
static int read_late_rules(struct reading *r)
{
	struct qmk_value late_mcu = {.set = false};
	const struct rule rules[] = {{"MCU", &late_mcu},
				     {"BOOTLOADER", &r->rules_bootloader},
				     {"BOOTLOADER_SIZE", &r->keyboard->bootloader_size},
				     {NULL, NULL}};
	char file[400];
	if (r->keyboard->keymap[0] != '\0') {
		snprintf(file, sizeof file, "users/%.60s/rules.mk", r->keyboard->keymap);
		if (read_rules(r, file, rules) != 0)
			return -1;
	}
	for (size_t i = 0; i < r->depth; i++) {
		snprintf(file, sizeof file, "%s/post_rules.mk", r->folders[i]);
		if (read_rules(r, file, rules) != 0)
			return -1;
	}
	if (late_mcu.set)
		notes_add(&r->keyboard->notes, "MCU in %s comes too late in QMK's build and counts for nothing",
			  late_mcu.from);
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------------ */

static void override(struct reading *r, const char *what, struct qmk_value *json,
		     const struct qmk_value *rule)
{
	if (!rule->set)
		return;
	if (json->set && strcmp(json->text, rule->text) != 0)
		notes_add(&r->keyboard->notes, "%s: \"%s\" in %s beats \"%s\" in %s", what, rule->text, rule->from,
			  json->text, json->from);
	*json = *rule;
}

static int conclude(struct reading *r)
{
	struct qmk_keyboard *keyboard = r->keyboard;
	if (r->convert_to.set && r->convert_to.text[0] != '\0')
		return pogo_fail(r->err, POGO_INPUT,
				 "%s sets CONVERT_TO to \"%s\", which changes chip, pins and bootloader of \"%.100s\": "
				 "converted keyboards are not supported; give --part and --bootloader yourself",
				 r->convert_to.from, r->convert_to.text, keyboard->name);
	override(r, "MCU", &keyboard->mcu, &r->rules_mcu);
	override(r, "BOOTLOADER", &keyboard->bootloader, &r->rules_bootloader);
	if (!keyboard->mcu.set) {
		set_value(&keyboard->mcu, "atmega32u4", 10, "");
		notes_add(&keyboard->notes, "no file names the processor: QMK assumes atmega32u4");
	}
	if (!keyboard->bootloader.set || keyboard->bootloader.text[0] == '\0')
		return pogo_fail(r->err, POGO_INPUT, "no file of keyboard \"%.150s\" names a bootloader; QMK would "
				 "not build it either", keyboard->name);
	return 0;
}

static int read_all(struct reading *r)
{
	if (find_keyboard(r) != 0 || read_json(r) != 0 || read_keyboard_rules(r) != 0 ||
	    find_keymap(r) != 0 || read_keymap(r) != 0 || read_late_rules(r) != 0)
		return -1;
	return conclude(r);
}

int qmk_read(const char *tree, const char *name, struct qmk_keyboard *keyboard, struct pogo_error *err)
{
	struct reading reading = {.tree = tree, .keyboard = keyboard, .err = err};
	const char *colon = strchr(name, ':');
	size_t len = colon != NULL ? (size_t)(colon - name) : strlen(name);
	memset(keyboard, 0, sizeof *keyboard);
	if (len >= sizeof keyboard->name ||
	    (colon != NULL && strlen(colon + 1) >= sizeof keyboard->keymap))
		return pogo_fail(err, POGO_INPUT, "the keyboard's name \"%.100s\" is too long", name);
	memcpy(keyboard->name, name, len);
	if (colon != NULL)
		snprintf(keyboard->keymap, sizeof keyboard->keymap, "%s", colon + 1);
	bool bad_keymap = colon != NULL && (strchr(keyboard->keymap, '/') != NULL ||
					    !sound_name(keyboard->keymap));
	if (!sound_name(keyboard->name) || bad_keymap)
		return pogo_fail(err, POGO_INPUT, "\"%.100s\" is no name of a keyboard, like planck/rev6:default",
				 name);
	int rc = read_all(&reading);
	for (size_t i = 0; i < MAX_DEPTH; i++)
		json_decref(reading.community[i]);
	return rc;
}
