#include "station/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "station/station.h"

enum { DEVICES = 256, LOOK_MS = 300 };

static const char help[] =
        "usage: pogo-station learn STATION [--slots N] [--programmer KIND] [--bench URL]\n"
        "\n"
        "Writes a station file by plugging: plug the programmer of slot 1, then that of slot 2, and so\n"
        "on. Programmers of one kind look all alike; what tells them apart is the USB port. One that is\n"
        "plugged already: unplug it and plug it again. Enter (or `done` and Enter) ends, or N slots.\n"
        "\n"
        "--programmer KIND takes whatever is plugged for that kind, unless it is another known one: for\n"
        "serial programmers (stk500v1, buspirate) on boards whose USB id says nothing.\n"
        "\n"
        "A station file that is there already keeps its name and no_board_s; its slots are replaced\n"
        "at the end. Ctrl-C leaves it as it was.\n"
        "\n"
        "Exit code: 0 the file is written; 1 no slot was taught, nothing is written; 2 wrong words\n"
        "or a file that is no station file; 3 the system failed.\n";

struct lesson {
	struct host *host;
	struct station_file file;
	size_t wanted; /* slots; STATION_SLOTS = until the person ends it */
	const char *kind; /* of what tells nothing of itself; "" = leave that alone */
	bool stdin_open;
	int count; /* of before */
	struct usb_identity before[DEVICES], now[DEVICES];
};

/* The same thing at the same port: a board that starts in its boot loader comes back as another. NULL: it is new. */
static const struct usb_identity *seen_before(const struct lesson *lesson, const struct usb_identity *device)
{
	for (int i = 0; i < lesson->count; i++)
		if (strcmp(lesson->before[i].path, device->path) == 0 && lesson->before[i].vendor == device->vendor &&
		    lesson->before[i].product == device->product)
			return &lesson->before[i];
	return NULL;
}

static bool was_plugged(const struct lesson *lesson, const char *path)
{
	for (int i = 0; i < lesson->count; i++)
		if (strcmp(lesson->before[i].path, path) == 0)
			return true;
	return false;
}

static bool is_taught(const struct station_file *file, const char *path)
{
	for (size_t i = 0; i < file->slot_count; i++)
		if (strcmp(file->slots[i].port, path) == 0)
			return true;
	return false;
}

static void ask_next(const struct lesson *lesson)
{
	if (lesson->file.slot_count < lesson->wanted) {
		printf("plug the programmer of slot %zu …\n", lesson->file.slot_count + 1);
		fflush(stdout);
	}
}

static void teach(struct lesson *lesson, const struct usb_identity *device, const char *kind)
{
	struct station_file *file = &lesson->file;
	struct slot_place *place = &file->slots[file->slot_count++];

	snprintf(place->name, sizeof place->name, "%zu", file->slot_count);
	snprintf(place->port, sizeof place->port, "%s", device->path);
	snprintf(place->kind, sizeof place->kind, "%s", kind);
	printf("slot %s is the %s at port %s\n", place->name, kind, place->port);
	ask_next(lesson);
}

/* NULL: it is no programmer that anybody knows of. */
static const char *kind_of(const struct lesson *lesson, const struct usb_identity *device)
{
	const struct programmer_driver *driver = programmer_match(device);

	if (driver == NULL && lesson->kind[0] != '\0')
		driver = place_programmer_for(lesson->kind, device);
	return driver != NULL ? driver->kind : NULL;
}

/* A serial line of no known id is no slot by itself; its tty comes a moment after the device. */
static void hint(const struct usb_identity *device, const struct usb_identity *before)
{
	if (device->tty[0] == '\0' || (before != NULL && before->tty[0] != '\0'))
		return;
	printf("at port %s is a serial line, %s of the USB device %04x:%04x, which may be anything; if it is a programmer, say "
	       "which with --programmer\n",
	       device->path, device->tty, device->vendor, device->product);
	fflush(stdout);
}

/* What has come since the last look. */
static int look(struct lesson *lesson, struct pogo_error *err)
{
	int count = lesson->host->ops->list(lesson->host, lesson->now, DEVICES, false, err);

	if (count < 0)
		return -1;
	if (count > DEVICES)
		count = DEVICES;
	for (int i = 0; i < count && lesson->file.slot_count < lesson->wanted; i++) {
		const struct usb_identity *device = &lesson->now[i], *before = seen_before(lesson, device);
		const char *kind = kind_of(lesson, device);
		if (kind == NULL)
			hint(device, before);
		else if (before == NULL && !is_taught(&lesson->file, device->path))
			teach(lesson, device, kind);
		else if (before == NULL && !was_plugged(lesson, device->path))
			printf("port %s is a slot already\n", device->path);
	}
	memcpy(lesson->before, lesson->now, sizeof lesson->before);
	lesson->count = count;
	return 0;
}

/* True when a line came in: any line ends the lesson. So does the end of the input, unless --slots
 * said how many there will be. */
static bool person_ends(struct lesson *lesson, int timeout_ms)
{
	struct pollfd input = {.fd = lesson->stdin_open ? STDIN_FILENO : -1, .events = POLLIN};
	char line[64];

	if (poll(&input, 1, timeout_ms) <= 0)
		return false;
	ssize_t len = read(STDIN_FILENO, line, sizeof line);
	if (len > 0)
		return true;
	lesson->stdin_open = false;
	return lesson->wanted == STATION_SLOTS;
}

/* What would go wrong at the end must be told before eight programmers were plugged. */
static int prove_writable(const struct lesson *lesson, struct pogo_error *err)
{
	char folder[sizeof lesson->file.path];
	char *slash;

	snprintf(folder, sizeof folder, "%s", lesson->file.path);
	slash = strrchr(folder, '/');
	if (slash == NULL)
		snprintf(folder, sizeof folder, ".");
	else
		slash[slash == folder ? 1 : 0] = '\0';
	if (access(folder, W_OK | X_OK) != 0)
		return pogo_fail(err, POGO_SYSTEM,
		                 "cannot write %s: the folder %s: %s; name another place, or make "
		                 "it writable",
		                 lesson->file.path, folder, strerror(errno));
	return 0;
}

/* A station that learns anew keeps its name and its patience; only the slots are new. */
static int begin_file(struct lesson *lesson, const char *path, struct pogo_error *err)
{
	struct station_file *file = &lesson->file, old;

	if (strlen(path) >= sizeof file->path)
		return pogo_fail(err, POGO_INPUT,
		                 "%.80s…: the station file's path is longer than %zu characters",
		                 path, sizeof file->path - 1);
	snprintf(file->path, sizeof file->path, "%s", path);
	if (prove_writable(lesson, err) != 0)
		return -1;
	if (access(path, F_OK) == 0) {
		/* Something else by that name would be lost. */
		if (station_file_load(path, &old, err) != 0)
			return -1;
		memcpy(file->station, old.station, sizeof file->station);
		file->no_board_s = old.no_board_s;
		printf("%s has %zu slot%s now; they are replaced when this lesson ends\n", path,
		       old.slot_count, old.slot_count == 1 ? "" : "s");
		return 0;
	}
	if (gethostname(file->station, sizeof file->station - 1) != 0 || file->station[0] == '\0')
		snprintf(file->station, sizeof file->station, "station");
	return 0;
}

static int run_lesson(struct lesson *lesson, struct pogo_error *err)
{
	int count = lesson->host->ops->list(lesson->host, lesson->before, DEVICES, false, err);

	if (count < 0)
		return -1;
	lesson->count = count < DEVICES ? count : DEVICES;
	ask_next(lesson);
	while (lesson->file.slot_count < lesson->wanted && !person_ends(lesson, LOOK_MS))
		if (look(lesson, err) != 0)
			return -1;
	if (lesson->file.slot_count == 0)
		return pogo_fail(err, POGO_NO,
		                 "no programmer was plugged, so no station file was written");
	if (station_file_save(&lesson->file, err) != 0)
		return -1;
	printf("%s: %zu slot%s\n", lesson->file.path, lesson->file.slot_count,
	       lesson->file.slot_count == 1 ? "" : "s");
	return 0;
}

static int learn(const char *path, const char *url, const char *kind, size_t wanted)
{
	struct lesson *lesson = calloc(1, sizeof *lesson);
	struct pogo_error err = {.kind = POGO_SYSTEM, .text = "no memory to learn a station"};
	int result = -1;

	if (lesson == NULL)
		return cmd_fail(&err);
	lesson->wanted = wanted;
	lesson->kind = kind;
	lesson->stdin_open = true;
	if (begin_file(lesson, path, &err) == 0 &&
	    station_host_create(url, NULL, &lesson->host, &err) == 0) {
		result = run_lesson(lesson, &err);
		lesson->host->ops->destroy(lesson->host);
	}
	free(lesson);
	return result == 0 ? 0 : cmd_fail(&err);
}

int cmd_learn(int argc, char **argv)
{
	static const struct option options[] = {
	        {"slots", required_argument, NULL, 'n'},
	        {"programmer", required_argument, NULL, 'p'},
	        {"bench", required_argument, NULL, 'b'},
	        {"help", no_argument, NULL, 'h'},
	        {0},
	};
	const char *url = NULL, *kind = "";
	uint64_t wanted = STATION_SLOTS;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case 'n':
			if (!cmd_number(optarg, 1, STATION_SLOTS, &wanted))
				return cmd_usage("learn", "--slots %s is not a number from 1 to %d",
				                 optarg, STATION_SLOTS);
			break;
		case 'p':
			kind = optarg;
			if (programmer_find(kind) == NULL)
				return cmd_usage("learn", "--programmer \"%s\" is no kind of programmer", kind);
			break;
		case 'b':
			url = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return cmd_bad_option("learn", argv, opt);
		}
	}
	if (argc - optind != 1)
		return cmd_usage("learn", "%s",
		                 argc == optind ? "which station file?"
		                                : "one station file, not several");
	return learn(argv[optind], url, kind, (size_t)wanted);
}
