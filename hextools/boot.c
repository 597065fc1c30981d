#include "hextools/boot.h"

#include <fcntl.h>
#include <simavr/avr_eeprom.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hextools/fuses.h"

enum {
	DEFAULT_SECONDS = 12, /* most bootloaders wait one or two, the ATmega8's of 2005 eight */
	STEADY_DIVISOR = 4,   /* of a second, without anything new executed */
};

struct run {
	const struct boot_order *order;
	struct boot_result *result;
	avr_t *avr;
	uint8_t *seen;        /* a bit for each word of the flash that was executed */
	uint32_t loader_start; /* byte address; the flash's end = there is no boot section */
	uint64_t last_new, entered, budget, steady;
};

static void say_nothing(avr_t *avr, const int level, const char *format, va_list args)
{
	(void)avr;
	(void)level;
	(void)format;
	(void)args;
}

/* Simulated time needs no real time. */
static void do_not_sleep(avr_t *avr, avr_cycle_count_t cycles)
{
	(void)avr;
	(void)cycles;
}

/* Some of simavr's messages know no logger and go to standard output or error. */
static void hush(int saved[2])
{
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	fflush(stdout);
	for (int fd = 1; fd <= 2; fd++) {
		saved[fd - 1] = dup(fd);
		if (nowhere >= 0)
			dup2(nowhere, fd);
	}
	close(nowhere);
}

static void speak_again(const int saved[2])
{
	fflush(stdout);
	for (int fd = 1; fd <= 2; fd++) {
		if (saved[fd - 1] >= 0)
			dup2(saved[fd - 1], fd);
		close(saved[fd - 1]);
	}
}

/* simavr knows some parts by the name of the die they share. */
static avr_t *make_core(const char *part)
{
	static const char *const twins[][2] = {
		{"atmega32a", "atmega32"}, {"atmega8a", "atmega8"}};
	avr_global_logger_set(say_nothing);
	for (size_t i = 0; i < sizeof twins / sizeof twins[0]; i++)
		if (strcmp(part, twins[i][0]) == 0)
			part = twins[i][1];
	return avr_make_mcu_by_name(part);
}

static void load_memories(const struct run *run)
{
	const struct hex_image *image = run->order->image;
	const struct part *part = run->order->part;
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		if (!part_in_eeprom(part, segment->addr)) {
			uint32_t room = part->flash_bytes - segment->addr;
			memcpy(run->avr->flash + segment->addr, segment->bytes,
			       segment->len < room ? segment->len : room);
			continue;
		}
		uint32_t offset = segment->addr - AVR_EEPROM_BASE;
		if (offset >= part->eeprom_bytes)
			continue;
		uint32_t room = part->eeprom_bytes - offset;
		avr_eeprom_desc_t words = {.ee = segment->bytes,
					   .offset = (uint16_t)offset,
					   .size = segment->len < room ? (uint32_t)segment->len : room};
		avr_ioctl(run->avr, AVR_IOCTL_EEPROM_SET, &words);
	}
}

/* A polled UART would sleep in real time, and what is sent would go to standard output. */
static void quieten_uarts(avr_t *avr)
{
	for (int name = '0'; name <= '3'; name++) {
		uint32_t flags = 0;
		if (avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS(name), &flags) != 0)
			continue;
		flags &= ~(uint32_t)(AVR_UART_FLAG_POLL_SLEEP | AVR_UART_FLAG_STDIO);
		avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS(name), &flags);
	}
}

/* The part at power-up (or, at the boot section, after a reset by pin). */
static void power_up(const struct run *run)
{
	const struct boot_order *order = run->order;
	avr_t *avr = run->avr;
	avr_init(avr);
	avr->frequency = run->result->frequency;
	avr->sleep = do_not_sleep;
	quieten_uarts(avr);
	avr->log = LOG_NONE;
	avr->gdb_port = 0;
	avr->codeend = order->part->flash_bytes - 1;
	memset(avr->flash, 0xFF, order->part->flash_bytes);
	memcpy(avr->fuse, order->fuses, PART_FUSES);
	load_memories(run);
	if (order->from_boot || fuses_boot_reset(order->part, order->fuses))
		avr->reset_pc = run->loader_start;
	avr_reset(avr);
	avr->pc = avr->reset_pc;
	avr_regbit_set(avr, order->from_boot ? avr->reset_flags.extrf : avr->reset_flags.porf);
}

/* Books the instruction that is about to be executed; false: there is none. */
static bool look(struct run *run)
{
	struct boot_result *result = run->result;
	avr_t *avr = run->avr;
	uint32_t pc = avr->pc;
	if (pc + 1 >= run->order->part->flash_bytes || (avr->flash[pc] == 0xFF && avr->flash[pc + 1] == 0xFF))
		return false;
	memmove(result->trail, result->trail + 1, sizeof result->trail - sizeof result->trail[0]);
	result->trail[BOOT_TRAIL - 1] = pc;
	result->trail_count += result->trail_count < BOOT_TRAIL;
	if ((run->seen[pc / 16] & 1u << (pc / 2 % 8)) == 0) {
		run->seen[pc / 16] |= (uint8_t)(1u << (pc / 2 % 8));
		run->last_new = avr->cycle;
	}
	bool in_loader = pc >= run->loader_start, first = result->trail_count == 1;
	if (first || in_loader != result->in_loader)
		run->entered = avr->cycle;
	result->in_loader = in_loader;
	bool *entered = in_loader ? &result->loader_entered : &result->application_entered;
	if (!*entered) {
		*entered = true;
		*(in_loader ? &result->loader_cycle : &result->application_cycle) = avr->cycle;
	}
	return true;
}

/* The bootloader's own waiting is no end as long as it may still hand over. */
static bool settled(const struct run *run)
{
	uint64_t since = run->last_new > run->entered ? run->last_new : run->entered;
	return (!run->result->in_loader || run->order->from_boot) && run->avr->cycle - since > run->steady;
}

static enum boot_end follow(struct run *run)
{
	avr_t *avr = run->avr;
	while (avr->cycle < run->budget) {
		if (avr->state == cpu_Running && !look(run))
			return BOOT_BLANK;
		if (settled(run))
			return BOOT_LOOPS;
		uint32_t before = avr->pc;
		int state = avr_run(avr);
		if (state == cpu_Crashed)
			return BOOT_CRASHED;
		if (state == cpu_Done)
			return BOOT_SLEEPS;
		if (avr->pc == avr->reset_pc && before != avr->reset_pc && avr->cycle - run->entered > 1)
			run->result->resets++;
	}
	return BOOT_BUDGET;
}

int boot_run(const struct boot_order *order, struct boot_result *result, struct pogo_error *err)
{
	struct run run = {.order = order, .result = result, .loader_start = order->part->flash_bytes};
	uint32_t bytes;
	*result = (struct boot_result){.frequency = fuses_cpu_hz(order->part, order->fuses, order->crystal_hz)};
	if (result->frequency == 0)
		return pogo_fail(err, POGO_INPUT,
				 "these fuses give the %s no clock that could be simulated; see pogo-hex fuses",
				 order->part->title);
	if (!fuses_boot_section(order->part, order->fuses, &run.loader_start, &bytes))
		run.loader_start = order->part->flash_bytes;
	run.budget = order->cycles != 0 ? order->cycles : (uint64_t)DEFAULT_SECONDS * result->frequency;
	run.steady = result->frequency / STEADY_DIVISOR;
	run.seen = calloc(order->part->flash_bytes / 16 + 1, 1);
	run.avr = run.seen != NULL ? make_core(order->part->name) : NULL;
	if (run.avr == NULL) {
		free(run.seen);
		return pogo_fail(err, POGO_SYSTEM, "simavr does not simulate the %s, so boot cannot tell; check can",
				 order->part->title);
	}
	int streams[2];
	hush(streams);
	power_up(&run);
	result->end = follow(&run);
	result->cycles = run.avr->cycle;
	avr_terminate(run.avr);
	speak_again(streams);
	free(run.avr);
	free(run.seen);
	return 0;
}
