#include "station/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = 256 };

const struct programmer_driver *place_programmer_for(const char *kind, const struct usb_identity *identity)
{
	const struct programmer_driver *driver;

	if (kind[0] == '\0')
		return programmer_match(identity);
	driver = programmer_find(kind);
	return driver != NULL && (driver->serial || driver->match(identity)) ? driver : NULL;
}

bool place_is_line(const struct slot_place *place)
{
	return place->port[0] == '/';
}

/* What is plugged at the place, by its descriptors alone. 0, 1 = nothing, -1. */
static int look_at(const struct slot_place *place, struct host *host, struct usb_identity *identity,
		   struct pogo_error *err)
{
	struct usb_identity *plugged = calloc(DEVICES, sizeof *plugged);

	if (plugged == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for the list of devices");
	int count = host->ops->list(host, plugged, DEVICES, false, err), result = count < 0 ? -1 : 1;
	for (int i = 0; i < count && i < DEVICES && result == 1; i++) {
		if (strcmp(plugged[i].path, place->port) != 0)
			continue;
		*identity = plugged[i];
		result = 0;
	}
	free(plugged);
	return result;
}

static int stranger(const struct slot_place *place, const struct usb_identity *identity, struct pogo_error *err)
{
	bool any = place->kind[0] == '\0', named = identity->name[0] != '\0';

	return pogo_fail(err, POGO_INPUT, "at %s is %04x:%04x%s%s%s, %s %s; plug the programmer there, or correct the station file",
			 place->port, identity->vendor, identity->product, named ? " \"" : "", identity->name,
			 named ? "\"" : "", any ? "no known" : "not a", any ? "programmer" : place->kind);
}

/* A serial line cannot be asked what it is: the station file says it. */
static int open_line(const struct slot_place *place, place_judge *programmer_for, const struct programmer_driver **driver,
		     struct link **link, struct usb_identity *identity, struct pogo_error *err)
{
	int got = link_serial_open(place->port, link, identity, err);

	if (got != 0)
		return got;
	*driver = programmer_for(place->kind, identity);
	if (*driver != NULL && (*driver)->serial)
		return 0;
	(*link)->ops->close(*link);
	return stranger(place, identity, err);
}

/* Judged twice: the ids say whether it is to be opened, and how; the strings, which only opening tells, whether it is it. */
static int open_usb(const struct slot_place *place, struct host *host, place_judge *programmer_for,
		    const struct programmer_driver **driver, struct link **link, struct usb_identity *identity,
		    struct pogo_error *err)
{
	int got = look_at(place, host, identity, err);

	if (got != 0)
		return got;
	*driver = programmer_for(place->kind, identity);
	if (*driver == NULL)
		return stranger(place, identity, err);
	bool serial = (*driver)->serial;
	got = serial ? host->ops->open_serial(host, place->port, link, identity, err)
		     : host->ops->open(host, place->port, link, identity, err);
	if (got != 0)
		return got;
	*driver = programmer_for(place->kind, identity);
	if (*driver != NULL && (*driver)->serial == serial)
		return 0;
	(*link)->ops->close(*link);
	return stranger(place, identity, err);
}

int place_open(const struct slot_place *place, struct host *host, place_judge *programmer_for, struct programmer **out,
	       struct usb_identity *identity, struct pogo_error *err)
{
	const struct programmer_driver *driver = NULL;
	struct fault fault = {.code = FAIL_NONE};
	struct link *link = NULL;

	*out = NULL;
	*identity = (struct usb_identity){.vendor = 0};
	int got = place_is_line(place) ? open_line(place, programmer_for, &driver, &link, identity, err)
				       : open_usb(place, host, programmer_for, &driver, &link, identity, err);
	if (got != 0)
		return got;
	if (driver->open(link, identity, out, programmer_open_deadline(driver), &fault) == 0)
		return 0;
	*out = NULL;
	link->ops->close(link);
	return pogo_fail(err, POGO_SYSTEM, "%s", fault.text);
}
