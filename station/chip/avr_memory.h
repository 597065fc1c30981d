#ifndef POGO_STATION_CHIP_AVR_MEMORY_H
#define POGO_STATION_CHIP_AVR_MEMORY_H

#include "station/chip/chip.h"

/* Private to station/chip: flash and EEPROM of an AVR as one image address space. Contracts as the
 * calls of the same name in struct chip_driver. */

int avr_memory_read(struct chip *chip, uint32_t address, uint8_t *bytes, size_t len,
                    deadline_t deadline, struct fault *fault);
int avr_memory_program(struct chip *chip, const struct hex_image *image, deadline_t deadline,
                       struct fault *fault);
int avr_memory_verify(struct chip *chip, const struct hex_image *image, deadline_t deadline,
                      struct fault *fault);

#endif
