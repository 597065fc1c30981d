#include "hextools/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <simavr/avr_eeprom.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_uart.h>
#include <simavr/avr_watchdog.h>
#include <simavr/sim_avr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hextools/avr_code.h"
#include "hextools/fuses.h"

enum {
	DEFAULT_SECONDS = 12, /* most bootloaders wait one or two, the ATmega8's of 2005 eight */
	STEADY_DIVISOR = 4,   /* of a second, without anything new executed */
	RESTARTS = 3,         /* without anything new executed; one may be a bootloader's way to the application */
};

struct run {
	const struct boot_order *order;
	struct boot_result *result; /* shared with the process that asked */
	avr_t *avr;
	uint8_t *seen;         /* a bit for each word of the flash that was executed */
	uint32_t loader_start; /* byte address; the flash's end = there is no boot section */
	uint64_t last_new, last_restart, entered, budget, steady;
	unsigned restarts; /* since anything new was executed */
	bool was_reset;    /* and is not booked yet */
	void (*core_reset)(avr_t *avr);
	const avr_watchdog_t *watchdog; /* NULL: none */
	uint64_t watchdog_cycles;       /* its period, as last seen */
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

/* A level from outside, which an input reads. */
static void drive_pins(avr_t *avr, const struct boot_order *order)
{
	for (size_t i = 0; i < order->pin_count; i++) {
		const struct boot_pin *pin = &order->pins[i];
		avr_irq_t *irq = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ(pin->port), pin->bit);
		unsigned mask = 0, value = 0;
		for (size_t k = 0; k < order->pin_count; k++) {
			if (order->pins[k].port != pin->port)
				continue;
			mask |= 1u << order->pins[k].bit;
			value |= (unsigned)order->pins[k].level << order->pins[k].bit;
		}
		avr_ioport_external_t external = {.name = (unsigned char)pin->port & 0x7F, .mask = mask & 0xFF, .value = value & 0xFF};
		avr_ioctl(avr, AVR_IOCTL_IOPORT_SET_EXTERNAL(pin->port), &external);
		if (irq != NULL)
			avr_raise_irq(irq, pin->level);
	}
}

/* simavr calls it for the watchdog's resets, which are the only ones there are once the part runs. */
static void note_reset(avr_t *avr)
{
	struct run *run = avr->custom.data;
	run->was_reset = true;
	run->result->resets++;
	if (run->core_reset != NULL)
		run->core_reset(avr);
}

static void watch_resets(struct run *run)
{
	avr_t *avr = run->avr;
	run->core_reset = avr->reset;
	avr->custom.data = run;
	avr->reset = note_reset;
	for (avr_io_t *io = avr->io_port; io != NULL; io = io->next)
		if (strcmp(io->kind, "watchdog") == 0)
			run->watchdog = (const avr_watchdog_t *)io;
}

/* The part at power-up (or, at the boot section, after a reset by pin). */
static void power_up(struct run *run)
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
	if (fuses_boot_reset(order->part, order->fuses))
		avr->reset_pc = run->loader_start;
	avr_reset(avr);
	drive_pins(avr, order);
	avr->pc = order->from_boot ? run->loader_start : avr->reset_pc; /* the watchdog's reset asks no pin */
	watch_resets(run);
	avr_regbit_set(avr, order->from_boot ? avr->reset_flags.extrf : avr->reset_flags.porf);
}

static bool is_jump(const avr_t *avr, uint32_t pc)
{
	unsigned opcode = avr->flash[pc] | (unsigned)avr->flash[pc + 1] << 8;
	return avr_is_jump(opcode);
}

/* A reset, or a way back to where the application or the bootloader begins: a jump to 0, a call of NULL, avr-gcc's
 * answer to an interrupt without a handler. That the bootloader starts the application is none. A program that begins
 * with something else than a jump may have its loop there. */
static bool is_restart(const struct run *run, uint32_t pc)
{
	uint32_t from = run->result->trail[BOOT_TRAIL - 1];
	if (run->was_reset || run->result->trail_count == 0)
		return run->was_reset;
	if (from == pc || !is_jump(run->avr, pc))
		return false;
	return pc == run->loader_start || (pc == 0 && from < run->loader_start);
}

static void book_restart(struct run *run)
{
	struct boot_result *result = run->result;
	result->restart_from = result->trail[BOOT_TRAIL - 1];
	result->restart_of_loader = result->restart_from >= run->loader_start;
	result->restart_by_reset = run->was_reset;
	run->was_reset = false;
	run->restarts++;
	run->last_restart = run->avr->cycle;
}

/* Books the instruction that is about to be executed; false: there is none. */
static bool look(struct run *run)
{
	struct boot_result *result = run->result;
	avr_t *avr = run->avr;
	uint32_t pc = avr->pc;
	if (pc + 1 >= run->order->part->flash_bytes || (avr->flash[pc] == 0xFF && avr->flash[pc + 1] == 0xFF))
		return false;
	if (is_restart(run, pc))
		book_restart(run);
	memmove(result->trail, result->trail + 1, sizeof result->trail - sizeof result->trail[0]);
	result->trail[BOOT_TRAIL - 1] = pc;
	result->trail_count += result->trail_count < BOOT_TRAIL;
	if ((run->seen[pc / 16] & 1u << (pc / 2 % 8)) == 0) {
		run->seen[pc / 16] |= (uint8_t)(1u << (pc / 2 % 8));
		run->last_new = avr->cycle;
		run->restarts = 0;
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

/* For how long nothing happened that had not happened before. */
static uint64_t quiet(const struct run *run)
{
	uint64_t since = run->last_new > run->entered ? run->last_new : run->entered;
	return run->avr->cycle - (since > run->last_restart ? since : run->last_restart);
}

/* simavr has another period of a running watchdog begin at the next WDR; the part begins at once. */
static void follow_watchdog(struct run *run)
{
	if (run->watchdog == NULL || run->watchdog->cycle_count == run->watchdog_cycles)
		return;
	run->watchdog_cycles = run->watchdog->cycle_count;
	avr_ioctl(run->avr, AVR_IOCTL_WATCHDOG_RESET, NULL);
}

/* The watchdog may have the last word: its period and, since nobody knows its phase, a quarter. */
static uint64_t watchdog_wait(const struct run *run)
{
	const avr_watchdog_t *watchdog = run->watchdog;
	if (watchdog == NULL || !avr_regbit_get(run->avr, watchdog->wde) ||
	    avr_regbit_get(run->avr, watchdog->watchdog.enable))
		return 0;
	return watchdog->cycle_count + watchdog->cycle_count / 4;
}

/* The bootloader's own waiting, or restarting, is no end as long as it may still hand over. */
static bool settled(const struct run *run)
{
	return (!run->result->in_loader || run->order->from_boot) && quiet(run) > run->steady;
}

static bool only_restarts(const struct run *run)
{
	return run->restarts >= RESTARTS && run->avr->cycle - run->last_new > run->steady;
}

/* Right behind a restart, so that the trail shows the way to it. */
static bool restarts_for_ever(const struct run *run)
{
	return run->last_restart == run->avr->cycle && only_restarts(run) &&
	       (!run->result->restart_of_loader || run->order->from_boot);
}

static enum boot_end end_of_budget(const struct run *run)
{
	if (only_restarts(run))
		return BOOT_RESTARTS;
	return settled(run) && run->restarts == 0 ? BOOT_LOOPS : BOOT_BUDGET;
}

static enum boot_end follow(struct run *run)
{
	avr_t *avr = run->avr;
	while (avr->cycle < run->budget) {
		if (avr->state == cpu_Running && !look(run))
			return BOOT_BLANK;
		if (restarts_for_ever(run))
			return BOOT_RESTARTS;
		if (settled(run) && quiet(run) > watchdog_wait(run))
			return BOOT_LOOPS;
		int state = avr_run(avr);
		if (state == cpu_Crashed)
			return BOOT_CRASHED;
		if (state == cpu_Done)
			return BOOT_SLEEPS;
		follow_watchdog(run);
		if (run->was_reset)
			drive_pins(avr, run->order); /* a reset cleared the port's registers */
	}
	return end_of_budget(run);
}

/* ---- a process of its own for the simulator ---------------------------------------------------------- */

/* simavr aborts where it does not know further, and some of its messages know no logger: neither may be ours. */
struct cell {
	struct boot_result result; /* written as the simulation goes on */
	bool no_core;
};

static void be_quiet(void)
{
	const struct rlimit no_core_file = {0, 0};
	int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && nowhere >= 0; fd++)
		dup2(nowhere, fd);
	setrlimit(RLIMIT_CORE, &no_core_file);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static _Noreturn void simulate(struct run *run, struct cell *cell)
{
	be_quiet();
	run->avr = make_core(run->order->part->name);
	cell->no_core = run->avr == NULL;
	if (!cell->no_core) {
		power_up(run);
		run->result->end = follow(run);
		run->result->cycles = run->avr->cycle;
	}
	_exit(0);
}

/* The child's end; not 0: the signal that ended it. */
static int wait_for(pid_t child)
{
	int status = 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int run_apart(struct run *run, struct cell *cell, struct pogo_error *err)
{
	const char *title = run->order->part->title;
	fflush(NULL); /* what is buffered must not be written twice */
	pid_t child = fork();
	if (child < 0)
		return pogo_fail_errno(err, errno, "cannot start the simulator");
	if (child == 0)
		simulate(run, cell);
	int signal = wait_for(child);
	if (signal != 0)
		return pogo_fail(err, POGO_SYSTEM,
				 "simavr itself failed (%s) when the %s had come to 0x%05" PRIX32
				 ": that says nothing of the image",
				 strsignal(signal), title, cell->result.trail[BOOT_TRAIL - 1]);
	if (cell->no_core)
		return pogo_fail(err, POGO_SYSTEM, "simavr does not simulate the %s, so boot cannot tell; check can", title);
	return 0;
}

int boot_run(const struct boot_order *order, struct boot_result *result, struct pogo_error *err)
{
	uint32_t bytes, hz = fuses_cpu_hz(order->part, order->fuses, order->crystal_hz);
	if (hz == 0)
		return pogo_fail(err, POGO_INPUT,
				 "these fuses give the %s no clock that could be simulated; see pogo-hex fuses",
				 order->part->title);
	struct cell *cell = mmap(NULL, sizeof *cell, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (cell == MAP_FAILED)
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the simulator");
	struct run run = {.order = order, .result = &cell->result, .steady = hz / STEADY_DIVISOR};
	run.budget = order->cycles != 0 ? order->cycles : (uint64_t)DEFAULT_SECONDS * hz;
	run.seen = calloc(order->part->flash_bytes / 16 + 1, 1);
	cell->result.frequency = hz;
	if (!fuses_boot_section(order->part, order->fuses, &run.loader_start, &bytes))
		run.loader_start = order->part->flash_bytes;
	int rc = run.seen != NULL ? run_apart(&run, cell, err)
				  : pogo_fail(err, POGO_SYSTEM, "out of memory for the simulator");
	*result = cell->result;
	free(run.seen);
	munmap(cell, sizeof *cell);
	return rc;
}
