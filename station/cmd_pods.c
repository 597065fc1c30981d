#include "station/cmd.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/jsonw.h"
#include "station/link/usb_tty.h"
#include "station/station.h"

enum { DEVICES = 256 };

static const char help[] =
        "usage: pogo-station pods [--bench URL] [--station FILE] [--json]\n"
        "\n"
        "Lists the programmers that are plugged: port, kind, firmware, what they can do, the hub\n"
        "that they hang on, SCK steps, and the slot that the station file gives them. One that a\n"
        "running line uses is left alone and listed as in use. A serial line is asked only when the\n"
        "station file names its kind, or its USB id is that of a board that usually is a programmer;\n"
        "opening resets some boards. Other serial lines are listed and not opened.\n"
        "\n"
        "Exit code: 0 done; 1 no known programmer is plugged; 2 wrong words or files; 3 a device\n"
        "cannot be opened.\n";

struct pod {
	struct usb_identity identity; /* path: as the station file would name it */
	char usb_port[64];            /* of the device, also behind a fixed line; "" = none, or not known */
	char kind[16];                /* "" = a serial line that nobody knows: not asked */
	char slot[16];                /* "" = none */
	bool in_use;
	char trouble[600]; /* "" = open worked and info is filled */
	struct programmer_info info;
};

/* False: not for the list. It is a fixed line that is not there, or its strings say that it is nobody's, and no slot's. */
static bool ask_pod(struct host *host, struct pod *pod, const struct slot_place *place)
{
	struct programmer *programmer = NULL;
	struct usb_identity identity;
	struct pogo_error err = {.text = ""};
	int got = place_open(place, host, place_programmer_for, &programmer, &identity, &err);

	snprintf(pod->slot, sizeof pod->slot, "%s", place->name);
	if (got != 0) {
		snprintf(pod->trouble, sizeof pod->trouble, "%s", got > 0 ? "was unplugged meanwhile" : err.text);
		pod->in_use = got < 0 && strstr(err.text, "in use") != NULL;
		return got > 0 ? !place_is_line(place) : err.kind != POGO_INPUT || place->name[0] != '\0';
	}
	memcpy(identity.path, pod->identity.path, sizeof identity.path);
	identity.hub = pod->identity.hub;
	pod->identity = identity;
	pod->info = programmer->info;
	programmer->driver->close(programmer);
	return true;
}

static const struct slot_place *place_at(const struct station_file *file, const char *port)
{
	for (size_t i = 0; i < file->slot_count; i++)
		if (strcmp(file->slots[i].port, port) == 0)
			return &file->slots[i];
	return NULL;
}

static int pod_order(const void *a, const void *b)
{
	const struct pod *x = a, *y = b;

	return station_port_order(x->identity.path, y->identity.path);
}

/* The fixed lines of the station file; returns how many of them are there. */
static int find_lines(struct host *host, const struct station_file *file, struct pod *pods)
{
	int found = 0;

	for (size_t i = 0; i < file->slot_count; i++) {
		const struct slot_place *place = &file->slots[i];
		struct pod *pod = &pods[found];
		if (!place_is_line(place))
			continue;
		*pod = (struct pod){.in_use = false};
		if (usb_tty_behind(USB_TTY_SYSFS, place->port, &pod->identity))
			memcpy(pod->usb_port, pod->identity.path, sizeof pod->usb_port);
		memcpy(pod->identity.path, place->port, sizeof pod->identity.path);
		snprintf(pod->identity.tty, sizeof pod->identity.tty, "%s", place->port);
		memcpy(pod->kind, place->kind, sizeof pod->kind);
		found += ask_pod(host, pod, place);
	}
	return found;
}

static bool is_found(const struct pod *pods, int count, const char *usb_port)
{
	for (int i = 0; i < count; i++)
		if (strcmp(pods[i].usb_port, usb_port) == 0)
			return true;
	return false;
}

/* Returns 1 when the device belongs on the list. */
static int find_pod(struct host *host, const struct station_file *file, const struct usb_identity *device, struct pod *pod)
{
	struct slot_place place = {.name = ""};
	const struct slot_place *named = place_at(file, device->path);

	if (named != NULL)
		place = *named;
	memcpy(place.port, device->path, sizeof place.port);
	const struct programmer_driver *driver = place_programmer_for(place.kind, device);
	/* What stands in a slot that wants another kind is still what it is. */
	if (driver == NULL) {
		place.kind[0] = '\0';
		driver = programmer_match(device);
	}
	if (driver == NULL && device->tty[0] == '\0')
		return 0;
	*pod = (struct pod){.identity = *device};
	memcpy(pod->usb_port, device->path, sizeof pod->usb_port);
	snprintf(pod->slot, sizeof pod->slot, "%s", place.name);
	if (driver == NULL) {
		snprintf(pod->trouble, sizeof pod->trouble, "not opened: any device may be behind a serial line; name a programmer in the station file "
			 "(learn --programmer KIND)");
		return 1;
	}
	snprintf(pod->kind, sizeof pod->kind, "%s", driver->kind);
	return ask_pod(host, pod, &place);
}

static int find_pods(struct host *host, const struct station_file *file, struct pod *pods,
                     struct pogo_error *err)
{
	struct usb_identity *plugged = calloc(DEVICES, sizeof *plugged);

	if (plugged == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for the list of devices");
	int found = find_lines(host, file, pods);
	/* Without strings: reading them would open devices that a running line talks to. */
	int count = host->ops->list(host, plugged, DEVICES, false, err);
	for (int i = 0; i < count && i < DEVICES; i++)
		if (!is_found(pods, found, plugged[i].path))
			found += find_pod(host, file, &plugged[i], &pods[found]);
	free(plugged);
	if (count < 0)
		return -1;
	qsort(pods, (size_t)found, sizeof *pods, pod_order);
	return found;
}

static size_t step_count(const struct programmer_info *info)
{
	size_t count = 0;

	while (count < sizeof info->sck_steps / sizeof info->sck_steps[0] &&
	       info->sck_steps[count] != 0)
		count++;
	return count;
}

static const char *hub_word(enum hub_kind kind)
{
	static const char *const words[] = {
	        [HUB_UNKNOWN] = NULL, [HUB_ROOT] = "root", [HUB_SINGLE_TT] = "single-TT", [HUB_MULTI_TT] = "multi-TT"};

	return words[kind];
}

static void print_place(const struct pod *pod)
{
	const struct usb_identity *id = &pod->identity;
	static const char *const words[] = {
	        [HUB_ROOT] = "in a port of the machine itself",
	        [HUB_SINGLE_TT] = "on a single-TT hub: all slow devices on it share 12 Mbit/s",
	        [HUB_MULTI_TT] = "on a multi-TT hub",
	};

	if (id->tty[0] != '\0' && pod->usb_port[0] != '\0')
		printf("             serial line %s of the USB device at port %s\n", id->tty, pod->usb_port);
	if (id->hub != HUB_UNKNOWN)
		printf("             %s\n", words[id->hub]);
}

static void name_device(const struct pod *pod, char *text, size_t size)
{
	const struct usb_identity *id = &pod->identity;

	text[0] = '\0';
	if (pod->usb_port[0] != '\0')
		snprintf(text, size, "%04x:%04x %x.%02x", id->vendor, id->product, id->release >> 8, id->release & 0xffu);
}

static void print_pod(const struct pod *pod)
{
	const struct usb_identity *id = &pod->identity;
	size_t steps = step_count(&pod->info);

	char usb[32];

	name_device(pod, usb, sizeof usb);
	printf("%-12s %-8s %-14s  %s%s\n", id->path, pod->kind[0] != '\0' ? pod->kind : "unknown",
	       usb[0] != '\0' ? usb : "serial line", pod->slot[0] != '\0' ? "slot " : "no slot", pod->slot);
	if (pod->in_use)
		printf("             in use: a running line or another program has it\n");
	else if (pod->trouble[0] != '\0')
		printf("             %s\n", pod->trouble);
	else
		printf("             firmware %s; %s%s%s\n", pod->info.firmware, pod->info.abilities,
		       pod->info.label[0] != '\0' ? "; serial " : "", pod->info.label);
	print_place(pod);
	if (steps == 0)
		return;
	printf("             SCK");
	for (size_t i = 0; i < steps; i++)
		printf("%s %g kHz", i > 0 ? "," : "", pod->info.sck_steps[i] / 1000.0);
	printf("\n");
}

static void print_missing(const struct station_file *file, const struct pod *pods, int count)
{
	for (size_t i = 0; i < file->slot_count; i++) {
		bool there = false;
		for (int p = 0; p < count; p++)
			there = there || strcmp(pods[p].identity.path, file->slots[i].port) == 0;
		if (!there)
			printf("%-12s -        nothing known is plugged  slot %s\n",
			       file->slots[i].port, file->slots[i].name);
	}
}

static void json_pod(struct jsonw *json, const struct pod *pod)
{
	char usb[32];

	name_device(pod, usb, sizeof usb);
	jsonw_open(json, NULL, '{');
	jsonw_str(json, "port", pod->identity.path);
	jsonw_str(json, "kind", pod->kind[0] != '\0' ? pod->kind : NULL);
	jsonw_str(json, "usb", usb[0] != '\0' ? usb : NULL);
	jsonw_str(json, "usb_port", pod->usb_port[0] != '\0' ? pod->usb_port : NULL);
	jsonw_str(json, "hub", hub_word(pod->identity.hub));
	jsonw_str(json, "tty", pod->identity.tty[0] != '\0' ? pod->identity.tty : NULL);
	jsonw_str(json, "slot", pod->slot[0] != '\0' ? pod->slot : NULL);
	jsonw_str(json, "status",
	         pod->in_use               ? "in use"
	         : pod->kind[0] == '\0'    ? "unknown"
	         : pod->trouble[0] != '\0' ? "error"
	                                   : "ready");
	if (pod->trouble[0] != '\0') {
		jsonw_str(json, "text", pod->trouble);
	} else {
		jsonw_str(json, "serial", pod->info.label[0] != '\0' ? pod->info.label : pod->identity.serial);
		jsonw_str(json, "firmware", pod->info.firmware);
		jsonw_str(json, "abilities", pod->info.abilities);
		jsonw_open(json, "sck_hz", '[');
		for (size_t i = 0; i < step_count(&pod->info); i++)
			jsonw_int(json, NULL, pod->info.sck_steps[i]);
		jsonw_close(json, ']');
	}
	jsonw_close(json, '}');
}

static int print_json(const struct pod *pods, int count)
{
	struct jsonw json;

	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '[');
	for (int i = 0; i < count; i++)
		json_pod(&json, &pods[i]);
	jsonw_close(&json, ']');
	bool ok = jsonw_ok(&json);
	if (ok)
		printf("%s\n", json.text);
	jsonw_finish(&json);
	return ok ? 0 : POGO_SYSTEM;
}

/* The exit code that the list means. */
static int judge(const struct pod *pods, int count)
{
	int known = 0, code = 0;

	for (int i = 0; i < count; i++) {
		known += pods[i].kind[0] != '\0';
		if (pods[i].kind[0] != '\0' && pods[i].trouble[0] != '\0' && !pods[i].in_use)
			code = POGO_SYSTEM;
	}
	if (known > 0)
		return code;
	fprintf(stderr, "pogo-station: no known programmer is plugged; plug one, or name where they are "
	                "with --bench usbip://HOST\n");
	return POGO_NO;
}

static int show_pods(struct host *host, const struct station_file *file, bool as_json)
{
	struct pogo_error err = {.kind = POGO_SYSTEM,
	                         .text = "no memory for the list of programmers"};
	struct pod *pods = calloc(DEVICES + STATION_SLOTS, sizeof *pods);
	int code = 0;

	if (pods == NULL)
		return cmd_fail(&err);
	int count = find_pods(host, file, pods, &err);
	if (count < 0) {
		free(pods);
		return cmd_fail(&err);
	}
	if (as_json) {
		code = print_json(pods, count);
	} else {
		for (int i = 0; i < count; i++)
			print_pod(&pods[i]);
		print_missing(file, pods, count);
	}
	int verdict = judge(pods, count);
	free(pods);
	return verdict != 0 ? verdict : code;
}

int cmd_pods(int argc, char **argv)
{
	static const struct option options[] = {
	        {"bench", required_argument, NULL, 'b'},
	        {"station", required_argument, NULL, 's'},
	        {"json", no_argument, NULL, 'j'},
	        {"help", no_argument, NULL, 'h'},
	        {0},
	};
	const char *url = NULL, *station_path = NULL;
	bool as_json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case 'b':
			url = optarg;
			break;
		case 's':
			station_path = optarg;
			break;
		case 'j':
			as_json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return cmd_bad_option("pods", argv, opt);
		}
	}
	if (optind < argc)
		return cmd_usage("pods", "\"%s\" is one word too many", argv[optind]);

	struct station_file file = {.slot_count = 0};
	struct host *host = NULL;
	struct pogo_error err = {.kind = POGO_SYSTEM, .text = ""};
	if (station_path != NULL && station_file_load(station_path, &file, &err) != 0)
		return cmd_fail(&err);
	if (station_host_create(url, &file, &host, &err) != 0)
		return cmd_fail(&err);
	int code = show_pods(host, &file, as_json);
	host->ops->destroy(host);
	return code;
}
