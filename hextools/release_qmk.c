#include "hextools/release_qmk.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "hextools/options.h"

/* QMK platforms/avr/bootloader.mk: where BOOTLOADER_SIZE in rules.mk counts ("?="), and how to come by
 * the file when none is released. */
static const struct {
	const char *family;
	bool open_size;
	const char *file;
} habits[] = {
	{"atmel-dfu", false, "Atmel's bootloader for this part was never published as a file; take qmk-dfu"},
	{"bootloadhid", false, "its file is in QMK's util/"},
	{"caterina", false, "its file comes from the board's vendor"},
	{"halfkay", false, "PJRC publishes no file: once overwritten it cannot be restored"},
	{"lufa-dfu", true, "it is built from LUFA"},
	{"lufa-ms", true, "it is built from LUFA"},
	{"qmk-dfu", true, NULL},
	{"qmk-hid", true, NULL},
	{"usbasploader", false, "it is built from USBaspLoader for the board's pins and crystal"},
};

enum { HABITS = sizeof habits / sizeof habits[0] };

static size_t habit_of(const char *family)
{
	size_t i = 0;
	while (i < HABITS && strcmp(habits[i].family, family) != 0)
		i++;
	return i;
}

/* Every BOOTLOADER that QMK builds with, platforms/avr/bootloader.mk and platforms/chibios/bootloader.mk; any other
 * name, or another spelling, ends its build. */
static const char *const avr_names[] = {"atmel-dfu", "bootloadhid", "caterina", "custom", "halfkay", "lufa-dfu",
					"lufa-ms", "qmk-dfu", "qmk-hid", "usbasploader", NULL};
static const char *const arm_names[] = {"apm32-dfu", "at32-dfu", "custom", "gd32v-dfu", "halfkay", "kiibohd", "rp2040",
					"stm32-dfu", "stm32duino", "tinyuf2", "uf2boot", "wb32-dfu", NULL};

static const char *find_name(const char *const names[], const char *name, int (*compare)(const char *, const char *))
{
	while (*names != NULL && compare(*names, name) != 0)
		names++;
	return *names;
}

static void list_names(const char *const names[], char *out, size_t size)
{
	size_t used = 0;
	for (out[0] = '\0'; *names != NULL && used < size; names++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", *names);
}

/* A name of one's own, which a changed QMK may know, has a file in configs/bootloaders (then `family` is not NULL). */
static int check_name(const struct qmk_keyboard *keyboard, const char *part, const struct bootloader *family,
		      struct pogo_error *err)
{
	const char *const *names = strncasecmp(part, "stm32", 5) == 0 ? arm_names : avr_names;
	const char *name = keyboard->bootloader.text, *from = keyboard->bootloader.from, *spelling;
	char list[200];
	if (find_name(names, name, strcmp) != NULL)
		return 0;
	if (family != NULL && find_name(avr_names, name, strcmp) == NULL && find_name(arm_names, name, strcmp) == NULL)
		return 0;
	spelling = find_name(names, name, strcasecmp);
	if (spelling == NULL && names == avr_names && strcasecmp(name, "USBasp") == 0)
		spelling = "usbasploader"; /* its old name */
	if (spelling != NULL)
		return pogo_fail(err, POGO_INPUT, "\"%.100s\" has a BOOTLOADER \"%s\" (%s), which QMK does not build: "
				 "it is called \"%s\" there", keyboard->name, name, from, spelling);
	list_names(names, list, sizeof list);
	return pogo_fail(err, POGO_INPUT, "\"%.100s\" has a BOOTLOADER \"%s\" (%s), which QMK does not build for the "
			 "%s; it knows %s", keyboard->name, name, from, part, list);
}

/* Released files of the family for this part, as many as fit a sentence; those in the tree's util/ with a path. */
static void name_files(const char *tree, const struct bootloader *family, const char *part, char *out,
		       size_t size)
{
	size_t used = 0, more = 0;
	out[0] = '\0';
	for (size_t i = 0; i < family->file_count; i++) {
		const struct bootloader_file *file = &family->files[i];
		char path[PATH_MAX], entry[200];
		struct stat info;
		if (!bootloader_fits(file, part) || strchr(file->name, ',') != NULL)
			continue;
		snprintf(path, sizeof path, "%.3000s/util/%s", tree, file->name);
		bool here = stat(path, &info) == 0;
		snprintf(entry, sizeof entry, "%.170s%s", here ? path : file->name,
			 file->sketch ? " (with --boot-only)" : "");
		if (more > 0 || used + strlen(entry) + sizeof ",  and 99 more" > size)
			more++;
		else
			used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", entry);
	}
	if (more > 0)
		snprintf(out + used, size - used, " and %zu more", more);
}

/* QMK names what it builds after keyboard and keymap. */
static int ask_for_file(const char *tree, const struct qmk_keyboard *keyboard,
			const struct bootloader *family, const char *part, struct pogo_error *err)
{
	char files[300], target[280];
	const char *keymap = keyboard->keymap[0] != '\0' ? keyboard->keymap : "default";
	name_files(tree, family, part, files, sizeof files);
	if (files[0] != '\0')
		return pogo_fail(err, POGO_INPUT, "\"%.80s\" (%s, %s) needs its bootloader; give --bootloader with %s",
				 keyboard->name, part, family->name, files);
	size_t habit = habit_of(family->name);
	if (habit < HABITS && habits[habit].file != NULL)
		return pogo_fail(err, POGO_INPUT, "\"%.80s\" (%s, %s) needs its bootloader; give --bootloader; %s",
				 keyboard->name, part, family->name, habits[habit].file);
	snprintf(target, sizeof target, "%s_%s_bootloader.hex", keyboard->name, keymap);
	for (char *at = target; *at != '\0'; at++)
		if (*at == '/')
			*at = '_';
	return pogo_fail(err, POGO_INPUT,
			 "\"%.80s\" (%s, %s) needs its bootloader; \"make %.80s:%s:bootloader\" in the QMK tree builds "
			 "it; give --bootloader %s",
			 keyboard->name, part, family->name, keyboard->name, keymap, target);
}

/* QMK names some families by one word; its linker script of the most usual size stands for them unless a board says
 * otherwise (platforms/chibios/boards/STM32_F103_STM32DUINO: x8). */
static const struct {
	const char *mcu, *part;
} sizes[] = {{"STM32F103", "stm32f103x8"}};

/* Is `part` one of the sizes that QMK's word stands for? */
static bool is_size_of(const char *mcu, const char *part)
{
	return strlen(part) > strlen(mcu) && strncasecmp(part, mcu, strlen(mcu)) == 0;
}

static bool take_size_of_family(struct qmk_keyboard *keyboard, struct release_order *order)
{
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		if (strcmp(sizes[i].mcu, keyboard->mcu.text) != 0)
			continue;
		if (order->part != NULL)
			return is_size_of(sizes[i].mcu, order->part);
		order->part = sizes[i].part;
		notes_add(&keyboard->notes, "processor \"%s\" is taken for %s; --part says another size", sizes[i].mcu,
			  sizes[i].part);
		return true;
	}
	return false;
}

static int take_part(struct qmk_keyboard *keyboard, struct release_order *order, struct pogo_error *err)
{
	struct part *part;
	struct pogo_error why;
	if (take_size_of_family(keyboard, order))
		return 0;
	if (order->part != NULL && strcmp(order->part, keyboard->mcu.text) != 0)
		return pogo_fail(err, POGO_NO, "--part %.40s, but \"%.100s\" has a processor \"%s\" (%s)", order->part,
				 keyboard->name, keyboard->mcu.text, keyboard->mcu.from);
	if (part_load(order->configs, keyboard->mcu.text, &part, &why) != 0)
		return pogo_fail(err, POGO_INPUT, "processor \"%s\" of \"%.100s\" (%s): %.300s", keyboard->mcu.text,
				 keyboard->name, keyboard->mcu.from, why.text);
	free(part);
	order->part = keyboard->mcu.text;
	return 0;
}

static int take_size(struct qmk_keyboard *keyboard, struct release_order *order, struct pogo_error *err)
{
	const struct qmk_value *size = &keyboard->bootloader_size;
	size_t habit = habit_of(keyboard->bootloader.text);
	int64_t bytes;
	if (!size->set || size->text[0] == '\0')
		return 0;
	if (options_number(size->text, "BOOTLOADER_SIZE", 1, 1 << 20, &bytes, err) != 0)
		return -1;
	if (habit < HABITS && habits[habit].open_size)
		order->boot_bytes = (uint32_t)bytes;
	else
		notes_add(&keyboard->notes, "BOOTLOADER_SIZE in %s counts for nothing with \"%s\"", size->from,
			  keyboard->bootloader.text);
	return 0;
}

/* The boards' crystal is QMK's F_CPU; 12 MHz is its default for the ATmega32A alone. */
static void take_crystal(const struct qmk_keyboard *keyboard, struct release_order *order)
{
	int64_t hz;
	if (strcmp(keyboard->mcu.text, "atmega32a") == 0)
		order->crystal_hz = 12000000;
	if (keyboard->f_cpu.set &&
	    options_number(keyboard->f_cpu.text, "F_CPU", 1, 100000000, &hz, NULL) == 0)
		order->crystal_hz = (uint32_t)hz;
}

static int take_bootloader(const char *tree, struct qmk_keyboard *keyboard, struct release_order *order,
			   struct pogo_error *err)
{
	struct bootloader_set set;
	if (bootloader_load_all(order->configs, &set, err) != 0)
		return -1;
	const struct bootloader *family = bootloader_find(&set, keyboard->bootloader.text);
	int rc = check_name(keyboard, order->part, family, err);
	if (rc == 0 && family == NULL) {
		notes_add(&keyboard->notes, "bootloader \"%s\" (%s) has no file in configs/bootloaders: its file and "
			  "fuses are yours to choose", keyboard->bootloader.text, keyboard->bootloader.from);
		if (order->bootloader == NULL)
			rc = pogo_fail(err, POGO_INPUT, "\"%.100s\" has a bootloader \"%s\", which no file in "
				       "configs/bootloaders describes; give its own file with --bootloader",
				       keyboard->name, keyboard->bootloader.text);
	} else if (rc == 0) {
		order->family = keyboard->bootloader.text;
		if (order->bootloader == NULL)
			rc = ask_for_file(tree, keyboard, family, order->part, err);
	}
	bootloader_set_finish(&set);
	return rc;
}

int release_from_qmk(const char *tree, const char *name, bool crystal, struct qmk_keyboard *keyboard,
		     struct release_order *order, struct pogo_error *err)
{
	if (qmk_read(tree, name, keyboard, err) != 0 || take_part(keyboard, order, err) != 0 ||
	    take_size(keyboard, order, err) != 0)
		return -1;
	if (crystal)
		take_crystal(keyboard, order);
	return take_bootloader(tree, keyboard, order, err);
}
