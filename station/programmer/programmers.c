#include "station/programmer/programmer.h"

#include <string.h>

const struct programmer_driver *const programmer_drivers[] = {
        &programmer_stlink,
        &programmer_usbasp,
        &programmer_usbtiny,
        &programmer_avrispmk2,
        NULL,
};

const struct programmer_driver *programmer_find(const char *kind)
{
	for (const struct programmer_driver *const *p = programmer_drivers; *p != NULL; p++)
		if (strcmp((*p)->kind, kind) == 0)
			return *p;
	return NULL;
}

const struct programmer_driver *programmer_match(const struct usb_identity *id)
{
	for (const struct programmer_driver *const *p = programmer_drivers; *p != NULL; p++)
		if ((*p)->match(id))
			return *p;
	return NULL;
}
