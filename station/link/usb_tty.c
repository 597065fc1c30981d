#include "station/link/usb_tty.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEVELS = 5 }; /* from a tty up to its device: interface, port, and some to spare */

/* Fills `least` with the entry of `folder` that begins with `prefix` and sorts first; false: there is none. */
static bool first_entry(const char *folder, const char *prefix, char *least, size_t room)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	least[0] = '\0';
	if (dir == NULL)
		return false;
	while ((entry = readdir(dir)) != NULL)
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && strlen(entry->d_name) < room &&
		    (least[0] == '\0' || strcmp(entry->d_name, least) < 0))
			snprintf(least, room, "%s", entry->d_name);
	closedir(dir);
	return least[0] != '\0';
}

/* The two layouts: P:1.0/tty/ttyACM0 (cdc-acm), P:1.0/ttyUSB0 (usb-serial). */
static bool tty_of_interface(const char *interface, char *name, size_t room)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof folder, "%s/tty", interface);
	return first_entry(folder, "tty", name, room) || first_entry(interface, "ttyUSB", name, room);
}

bool usb_tty_of(const char *sys, const char *path, char *tty, size_t room)
{
	char device[PATH_MAX / 4], interface[PATH_MAX / 2], name[32], best_interface[64] = "";
	const struct dirent *entry;
	size_t len = strlen(path);

	tty[0] = '\0';
	snprintf(device, sizeof device, "%s/bus/usb/devices/%s", sys, path);
	DIR *dir = opendir(device);
	if (dir == NULL)
		return false;
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, path, len) != 0 || entry->d_name[len] != ':' ||
		    strlen(entry->d_name) >= sizeof best_interface)
			continue;
		snprintf(interface, sizeof interface, "%s/%s", device, entry->d_name);
		if ((best_interface[0] != '\0' && strcmp(entry->d_name, best_interface) > 0) ||
		    !tty_of_interface(interface, name, sizeof name))
			continue;
		snprintf(best_interface, sizeof best_interface, "%s", entry->d_name);
		snprintf(tty, room, "/dev/%s", name);
	}
	closedir(dir);
	return tty[0] != '\0';
}

/* One attribute as it may be shown: these texts reach terminals and logs. */
static bool read_attribute(const char *folder, const char *name, char *text, size_t room)
{
	char path[PATH_MAX];

	text[0] = '\0';
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	bool got = fgets(text, (int)room, file) != NULL;
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	for (char *at = text; *at != '\0'; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
	return got;
}

static uint16_t read_hex(const char *folder, const char *name)
{
	char text[16];

	return read_attribute(folder, name, text, sizeof text) ? (uint16_t)strtoul(text, NULL, 16) : 0;
}

static bool identify(const char *device, struct usb_identity *identity)
{
	char text[16];

	if (!read_attribute(device, "idVendor", text, sizeof text))
		return false;
	identity->vendor = (uint16_t)strtoul(text, NULL, 16);
	identity->product = read_hex(device, "idProduct");
	identity->release = read_hex(device, "bcdDevice");
	read_attribute(device, "manufacturer", identity->manufacturer, sizeof identity->manufacturer);
	read_attribute(device, "product", identity->name, sizeof identity->name);
	read_attribute(device, "serial", identity->serial, sizeof identity->serial);
	return true;
}

bool usb_tty_identity(const char *sys, const char *path, struct usb_identity *identity)
{
	char device[PATH_MAX];

	snprintf(device, sizeof device, "%s/bus/usb/devices/%s", sys, path);
	return identify(device, identity);
}

/* "/dev/ttyACM0" or a link to it: "ttyACM0". */
static bool kernel_name(const char *tty, char *name, size_t room)
{
	char *real = realpath(tty, NULL);
	const char *whole = real != NULL ? real : tty, *base = strrchr(whole, '/');

	base = base != NULL ? base + 1 : whole;
	bool fits = base[0] != '\0' && strlen(base) < room;
	snprintf(name, room, "%s", fits ? base : "");
	free(real);
	return fits;
}

bool usb_tty_behind(const char *sys, const char *tty, struct usb_identity *identity)
{
	char name[64], folder[PATH_MAX];

	if (!kernel_name(tty, name, sizeof name))
		return false;
	snprintf(folder, sizeof folder, "%s/class/tty/%s/device", sys, name);
	char *at = realpath(folder, NULL);
	bool found = false;
	for (int level = 0; at != NULL && level < LEVELS && !found; level++) {
		char *slash = strrchr(at, '/');
		found = identify(at, identity);
		if (slash == NULL || slash == at)
			break;
		if (found)
			snprintf(identity->path, sizeof identity->path, "%s", slash + 1);
		*slash = '\0';
	}
	free(at);
	return found;
}

bool usb_tty_is_listed(const char *sys, const char *tty)
{
	char name[64], folder[PATH_MAX];

	if (!kernel_name(tty, name, sizeof name))
		return false;
	snprintf(folder, sizeof folder, "%s/class/tty/%s", sys, name);
	return access(folder, F_OK) == 0;
}

bool usb_tty_is_ftdi(const char *sys, const char *tty)
{
	char name[64], folder[PATH_MAX];

	if (!kernel_name(tty, name, sizeof name))
		return false;
	snprintf(folder, sizeof folder, "%s/class/tty/%s/device/driver", sys, name);
	char *driver = realpath(folder, NULL);
	const char *slash = driver != NULL ? strrchr(driver, '/') : NULL;
	bool is_ftdi = slash != NULL && strcmp(slash + 1, "ftdi_sio") == 0;
	free(driver);
	return is_ftdi;
}

/* One process: do its open files hold this one? */
static bool process_has(const char *process, const char *tty)
{
	char folder[PATH_MAX / 4], file[PATH_MAX / 2], target[PATH_MAX];
	const struct dirent *entry;
	bool found = false;

	snprintf(folder, sizeof folder, "/proc/%s/fd", process);
	DIR *dir = opendir(folder);
	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL) {
		snprintf(file, sizeof file, "%s/%s", folder, entry->d_name);
		ssize_t len = readlink(file, target, sizeof target - 1);
		target[len > 0 ? len : 0] = '\0';
		found = strcmp(target, tty) == 0;
	}
	closedir(dir);
	return found;
}

bool usb_tty_is_open(const char *tty)
{
	char *real = realpath(tty, NULL);
	DIR *dir = real != NULL ? opendir("/proc") : NULL;
	const struct dirent *entry;
	bool found = false;

	while (dir != NULL && !found && (entry = readdir(dir)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			found = process_has(entry->d_name, real);
	if (dir != NULL)
		closedir(dir);
	free(real);
	return found;
}
