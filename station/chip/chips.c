#include "station/chip/chip.h"

#include <string.h>

static const struct chip_driver *const drivers[] = {&chip_avr, &chip_stm32f1};

const struct chip_driver *chip_find(const char *family)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (strcmp(drivers[i]->family, family) == 0)
			return drivers[i];
	return NULL;
}

void chip_init(struct chip *chip, const struct chip_driver *driver, const struct recipe *recipe)
{
	memset(chip, 0, sizeof(*chip));
	chip->driver = driver;
	chip->recipe = recipe;
	chip->part = recipe->part;
}
