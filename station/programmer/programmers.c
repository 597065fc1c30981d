#include "station/programmer/programmer.h"

#include <string.h>

const struct programmer_driver *const programmer_drivers[] = {
        &programmer_stlink,
        &programmer_usbasp,
        &programmer_usbtiny,
        &programmer_avrispmk2,
        &programmer_stk500v1,
        &programmer_buspirate,
        NULL,
};

enum { USUAL_OPEN_MS = 3000 };

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

deadline_t programmer_open_deadline(const struct programmer_driver *driver)
{
	return deadline_in_ms(driver->open_ms > 0 ? driver->open_ms : USUAL_OPEN_MS);
}
