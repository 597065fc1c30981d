#ifndef POGO_STATION_CHIP_STM32F1_FLASH_H
#define POGO_STATION_CHIP_STM32F1_FLASH_H

#include "station/chip/chip.h"

/* Private to station/chip: the flash of the STM32F1 line, its controller (ST programming manual PM0075) and the loader in
 * SRAM that writes it. The core must be halted at its reset for all but reading. */

int stm32f1_flash_read(struct chip *chip, uint32_t address, uint8_t *bytes, size_t len, deadline_t deadline,
                       struct fault *fault);
/* The pages that the recipe's image needs, or all, whichever is quicker; proved blank at both ends of the image. */
int stm32f1_flash_erase(struct chip *chip, deadline_t deadline, struct fault *fault);
int stm32f1_flash_prove_blank(struct chip *chip, deadline_t deadline, struct fault *fault);
int stm32f1_flash_program(struct chip *chip, const struct hex_image *image, deadline_t deadline, struct fault *fault);
int stm32f1_flash_verify(struct chip *chip, const struct hex_image *image, deadline_t deadline, struct fault *fault);

enum stm32f1_option { OPTION_RDP, OPTION_USER, OPTION_DATA0, OPTION_DATA1, OPTION_WRP0, OPTION_BYTES = 8 };
enum { RDP_OPEN = 0xA5, RDP_PROTECTED = 0x00 };

/* What stands in the option bytes; *protected is what is in force since the last reset. */
int stm32f1_options_read(struct chip *chip, uint8_t options[OPTION_BYTES], bool *protected, deadline_t deadline,
                         struct fault *fault);
/* Erases and writes them, resets the chip so that they count, and reads them back. Taking the protection away erases all
 * of the flash. */
int stm32f1_options_write(struct chip *chip, const uint8_t options[OPTION_BYTES], enum fail_code code,
                          deadline_t deadline, struct fault *fault);

/* Resets the chip, halts it before its first instruction, and stops its watchdogs while it is halted. */
int stm32f1_take_over(struct chip *chip, deadline_t deadline, struct fault *fault);

#endif
