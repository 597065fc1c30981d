#ifndef POGO_TESTS_FAKE_STLINK_H
#define POGO_TESTS_FAKE_STLINK_H

/* An ST-Link with an STM32F103 behind it, as a link: the dongle's commands, the chip's debug registers, its flash
 * controller and option bytes; its core is Unicorn's, so that the station's loader really runs. Time is not modelled: the
 * core gets some instructions at every command. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unicorn/unicorn.h>

#include "station/link/link.h"

enum {
	F1_FLASH = 0x20000, /* 128 KiB, whatever the size word says */
	F1_SRAM = 0x5000,
	F1_SLICE = 3000, /* instructions a command */
	F1_REPLY = 8192,
};

struct f1 {
	/* as made */
	uint32_t port_id, cpuid, idcode, rom_etm;
	uint8_t rom_pidr[5]; /* PIDR0, 1, 2, 4 */
	uint16_t flash_kib;
	uint8_t unique[12];
	/* the test's wishes */
	bool boot0; /* its jumper is at 1 */
	bool absent, nrst_cut, swd_off_by_firmware, erase_is_a_lie, no_crc, core_deaf;
	uint32_t stuck_address; /* this flash byte has a bit that cannot be programmed; 0 = none */
	uint32_t max_hz;        /* faster SWD reads wrong bytes; 0 = any speed works */
	/* state */
	uint8_t flash[F1_FLASH], options[16];
	uint8_t *sram;
	uint32_t cr, sr, ar, obr, wrpr, ahbenr, dbgmcu, crc;
	unsigned keys, option_keys;
	bool key_dead, debug, halted, reset_seen, catch_reset, swd_off, nrst_low;
	uint32_t dfsr, core[17], ran_from;
	unsigned mass_erases, page_erases, resets, watchdog_feeds, halfwords, option_erases;
	uc_engine *uc;
};

struct fake_stlink {
	struct link base; /* first */
	struct f1 chip;
	uint8_t version[6], version_v3[12];
	uint16_t vendor, product;
	uint8_t mode;
	uint32_t millivolts, hz;
	uint8_t serial[64];
	size_t serial_len;
	/* conversation */
	uint8_t reply[F1_REPLY];
	size_t reply_len, reply_at;
	bool reply_there;
	uint8_t write_command[16];
	size_t write_left, write_at;
	uint8_t write_bytes[F1_REPLY];
	uint8_t status, next_status;
	unsigned next_status_times;
	/* what was seen, what goes wrong */
	unsigned commands, longest, aborts, dfu_exits, syncs;
	int lose_reply_at; /* the reply of that command never comes; -1 = all from then on are lost; 0 = none */
	unsigned lose_from;
	bool hangs_until_restart; /* what lose_from began ends with a reset of the port */
	unsigned restarts;
	bool unplugged, closed;
};

/* ---- the chip */

static inline uint32_t f1_word(const uint8_t *b)
{
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline void f1_load_options(struct f1 *f)
{
	bool open = f->options[0] == 0xA5 && f->options[1] == 0x5A;

	f->obr = (open ? 0u : 2u) | (f->options[2] & 7u) << 2 | (uint32_t)f->options[4] << 10 |
	         (uint32_t)f->options[6] << 18;
	f->wrpr = f->options[8] | (uint32_t)f->options[10] << 8 | (uint32_t)f->options[12] << 16 |
	          (uint32_t)f->options[14] << 24;
}

static inline void f1_reset(struct f1 *f)
{
	f->resets++;
	f->cr = 0x80;
	f->sr = f->keys = f->option_keys = 0;
	f->key_dead = false;
	f->ahbenr = 0x14;
	f1_load_options(f);
	f->core[15] = f1_word(f->flash + 4) & ~1u;
	f->core[13] = f1_word(f->flash);
	f->reset_seen = true;
	f->halted = f->debug && f->catch_reset && !f->core_deaf;
	f->dfsr |= f->halted ? 8u : 0;
	f->swd_off = f->swd_off_by_firmware && !f->halted && !f->nrst_low;
}

static inline bool f1_write_protected(const struct f1 *f, uint32_t offset)
{
	unsigned bit = offset / 4096 < 31 ? offset / 4096 : 31;

	return !(f->wrpr >> bit & 1) || ((f->obr & 2) && offset < 4096);
}

static inline void f1_erase_all(struct f1 *f)
{
	if (!f->erase_is_a_lie)
		memset(f->flash, 0xFF, sizeof f->flash);
}

static inline void f1_start_erase(struct f1 *f)
{
	if (f->cr & 4) {
		f->mass_erases++;
		if (f->wrpr != 0xFFFFFFFF || (f->obr & 2))
			f->sr |= 0x10;
		else
			f1_erase_all(f);
	} else if (f->cr & 2) {
		uint32_t offset = (f->ar - 0x08000000) & ~1023u;
		f->page_erases++;
		if (f1_write_protected(f, offset))
			f->sr |= 0x10;
		else if (!f->erase_is_a_lie)
			memset(f->flash + offset, 0xFF, 1024);
	} else if ((f->cr & 0x220) == 0x220) {
		f->option_erases++;
		memset(f->options, 0xFF, sizeof f->options);
	}
	f->sr |= 0x20;
}

static inline void f1_keys(struct f1 *f, unsigned *state, uint32_t key, uint32_t clears, uint32_t sets)
{
	const uint32_t wanted[2] = {0x45670123, 0xCDEF89AB};

	if (*state < 2 && key == wanted[*state] && !f->key_dead) {
		if (++*state == 2) {
			f->cr = (f->cr & ~clears) | sets;
			*state = 0;
		}
		return;
	}
	f->key_dead = true;
}

static inline bool f1_set_flash_register(struct f1 *f, uint32_t offset, uint32_t word)
{
	switch (offset) {
	case 0x04:
		f1_keys(f, &f->keys, word, 0x80, 0);
		return true;
	case 0x08:
		if (!(f->cr & 0x80))
			f1_keys(f, &f->option_keys, word, 0, 0x200);
		return true;
	case 0x0C:
		f->sr &= ~(word & 0x34);
		return true;
	case 0x10:
		if (f->cr & 0x80)
			return true;
		if (word & 0x80) {
			f->cr = 0x80;
			return true;
		}
		f->cr = (word & 0x37) | (word & 0x40) | (f->cr & word & 0x200);
		if (word & 0x40) {
			f1_start_erase(f);
			f->cr &= ~0x40u;
		}
		return true;
	case 0x14:
		f->ar = word;
		return true;
	default:
		return false;
	}
}

/* 16 bits into the flash or the option bytes. */
static inline bool f1_program(struct f1 *f, uint32_t address, uint32_t value)
{
	if (address >= 0x1FFFF800 && address < 0x1FFFF810) {
		if ((f->cr & 0x210) != 0x210)
			return false;
		uint32_t at = address - 0x1FFFF800;
		bool was_protected = (f->obr & 2) != 0;
		f->options[at] = (uint8_t)value;
		f->options[at + 1] = (uint8_t)~value;
		if (at == 0 && was_protected && (uint8_t)value == 0xA5)
			memset(f->flash, 0xFF, sizeof f->flash);
		return true;
	}
	uint32_t at = address - 0x08000000;
	if (at + 2 > F1_FLASH || !(f->cr & 1) || (f->cr & 0x80))
		return false;
	f->halfwords++;
	if (f1_write_protected(f, at)) {
		f->sr |= 0x10;
		return true;
	}
	if ((f->flash[at] != 0xFF || f->flash[at + 1] != 0xFF) && value != 0) {
		f->sr |= 0x04;
		return true;
	}
	f->flash[at] = (uint8_t)value;
	f->flash[at + 1] = (uint8_t)(value >> 8);
	if (f->stuck_address != 0 && (f->stuck_address & ~1u) == address)
		f->flash[f->stuck_address - 0x08000000] |= 0x10;
	f->sr |= 0x20;
	return true;
}

static inline bool f1_get_debug(struct f1 *f, uint32_t address, uint32_t *word)
{
	switch (address) {
	case 0xE000ED00:
		*word = f->cpuid;
		return true;
	case 0xE000ED30:
		*word = f->dfsr;
		return true;
	case 0xE000EDF0:
		*word = 0x00010000 | (f->debug ? 1 : 0) | (f->halted ? 0x20002 : 0) | (f->reset_seen ? 0x02000000 : 0);
		f->reset_seen = f->nrst_low && !f->nrst_cut;
		return true;
	case 0xE000EDFC:
		*word = f->catch_reset;
		return true;
	case 0xE00FF014:
		*word = f->rom_etm;
		return true;
	case 0xE00FFFE0:
	case 0xE00FFFE4:
	case 0xE00FFFE8:
		*word = f->rom_pidr[(address & 0xF) / 4];
		return true;
	case 0xE00FFFD0:
		*word = f->rom_pidr[3];
		return true;
	case 0xE0042000:
		*word = f->idcode;
		return true;
	case 0xE0042004:
		*word = f->dbgmcu;
		return true;
	default:
		return false;
	}
}

/* One access of 1, 2 or 4 bytes, by the debugger or (from_core) the core. False: a bus fault. */
static inline bool f1_get(struct f1 *f, uint32_t address, unsigned size, uint32_t *value, bool from_core)
{
	uint32_t word = 0;

	if (address >= 0x08000000 && address + size <= 0x08000000 + F1_FLASH) {
		if ((f->obr & 2) && !from_core)
			return false;
		memcpy(value, memcpy(&word, f->flash + (address - 0x08000000), size), 4);
		return true;
	}
	if (address < 0x10) {
		if (!f->boot0)
			return f1_get(f, address + 0x08000000, size, value, from_core);
		address += 0x1FFFF000;
	}
	if (address >= 0x1FFFF000 && address < 0x1FFFF010) { /* the boot loader in the ROM */
		*value = 0x1FFFF123 + address;
		return true;
	}
	if (address >= 0x20000000 && address + size <= 0x20000000 + F1_SRAM) {
		memcpy(value, memcpy(&word, f->sram + (address - 0x20000000), size), 4);
		return true;
	}
	if (address >= 0x1FFFF800 && address + size <= 0x1FFFF810) {
		memcpy(value, memcpy(&word, f->options + (address - 0x1FFFF800), size), 4);
		return true;
	}
	if (address >= 0x1FFFF7E8 && address + size <= 0x1FFFF7F4) {
		memcpy(value, memcpy(&word, f->unique + (address - 0x1FFFF7E8), size), 4);
		return true;
	}
	switch (address) {
	case 0x1FFFF7E0:
		*value = 0xFFFF0000u | f->flash_kib;
		return true;
	case 0x4002200C:
		*value = f->sr;
		return true;
	case 0x40022010:
		*value = f->cr;
		return true;
	case 0x4002201C:
		*value = f->obr;
		return true;
	case 0x40022020:
		*value = f->wrpr;
		return true;
	case 0x40021014:
		*value = f->ahbenr;
		return true;
	case 0x40023000:
		*value = f->no_crc ? 0 : f->crc;
		return true;
	default:
		return f1_get_debug(f, address, value);
	}
}

static inline bool f1_set_debug(struct f1 *f, uint32_t address, uint32_t word)
{
	switch (address) {
	case 0xE000ED0C:
		if (word == 0x05FA0004)
			f1_reset(f);
		return true;
	case 0xE000ED30:
		f->dfsr &= ~word;
		return true;
	case 0xE000EDF0:
		if (word >> 16 != 0xA05F)
			return true;
		f->debug = (word & 1) != 0;
		if (!f->core_deaf)
			f->halted = f->debug && (word & 2) != 0;
		return true;
	case 0xE000EDFC:
		f->catch_reset = (word & 1) != 0;
		return true;
	case 0xE0042004:
		f->dbgmcu = word;
		return true;
	default:
		return false;
	}
}

static inline void f1_crc(struct f1 *f, uint32_t word)
{
	f->crc ^= word;
	for (unsigned i = 0; i < 32; i++)
		f->crc = f->crc & 0x80000000u ? f->crc << 1 ^ 0x04C11DB7u : f->crc << 1;
}

static inline bool f1_set(struct f1 *f, uint32_t address, unsigned size, uint32_t value)
{
	if (address >= 0x20000000 && address + size <= 0x20000000 + F1_SRAM) {
		memcpy(f->sram + (address - 0x20000000), &value, size);
		return true;
	}
	if (address >= 0x40022000 && address < 0x40022400 && size == 4)
		return f1_set_flash_register(f, address - 0x40022000, value);
	if ((address >> 24 == 0x08 || address >> 24 == 0x1F))
		return size == 2 && f1_program(f, address, value);
	switch (address) {
	case 0x40003000:
		f->watchdog_feeds += value == 0xAAAA;
		return true;
	case 0x40021014:
		f->ahbenr = value;
		return true;
	case 0x40023000:
		if (f->ahbenr & 0x40)
			f1_crc(f, value);
		return true;
	case 0x40023008:
		if (f->ahbenr & 0x40)
			f->crc = 0xFFFFFFFF;
		return true;
	default:
		return f1_set_debug(f, address, value);
	}
}

/* ---- its core */

static inline uint64_t f1_core_read(uc_engine *uc, uint64_t offset, unsigned size, void *user)
{
	uint32_t value = 0;
	struct f1 *f = *(struct f1 **)user;

	f1_get(f, (uint32_t)(((uintptr_t *)user)[1] + offset), size, &value, true);
	(void)uc;
	return value;
}

static inline void f1_core_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user)
{
	struct f1 *f = *(struct f1 **)user;

	(void)uc;
	f1_set(f, (uint32_t)(((uintptr_t *)user)[1] + offset), size, (uint32_t)value);
}

static inline void f1_core_trap(uc_engine *uc, uint32_t number, void *user)
{
	struct f1 *f = user;

	(void)number;
	f->halted = true;
	f->dfsr |= 2;
	uc_emu_stop(uc);
}

struct f1_window {
	struct f1 *chip;
	uintptr_t base;
};

static inline void f1_power_on(struct f1 *f)
{
	static const uint32_t bases[] = {0x08000000, 0x1FFFF000, 0x40003000, 0x40021000, 0x40022000, 0x40023000};
	static struct f1_window windows[64]; /* Unicorn keeps the pointers */
	static unsigned used;
	uc_hook hook;

	f->sram = aligned_alloc(4096, F1_SRAM);
	memset(f->sram, 0xEE, F1_SRAM);
	if (uc_open(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS, &f->uc) != UC_ERR_OK)
		abort();
	uc_ctl_set_cpu_model(f->uc, UC_CPU_ARM_CORTEX_M3);
	uc_mem_map_ptr(f->uc, 0x20000000, F1_SRAM, UC_PROT_ALL, f->sram);
	for (unsigned i = 0; i < sizeof bases / sizeof bases[0]; i++) {
		struct f1_window *window = &windows[used++ % 64];
		*window = (struct f1_window){f, bases[i]};
		if (uc_mmio_map(f->uc, bases[i], bases[i] == 0x08000000 ? F1_FLASH : 0x1000, f1_core_read, window,
		                f1_core_write, window) != UC_ERR_OK)
			abort();
	}
	uc_hook_add(f->uc, &hook, UC_HOOK_INTR, (void *)f1_core_trap, f, 1, 0);
	f->catch_reset = false;
	f1_reset(f);
}

static inline void f1_power_off(struct f1 *f)
{
	uc_close(f->uc);
	free(f->sram);
}

/* Only what runs in SRAM is run: the firmware in the flash is nobody's business here. */
static inline void f1_run(struct f1 *f)
{
	static const int ids[17] = {UC_ARM_REG_R0,  UC_ARM_REG_R1,  UC_ARM_REG_R2,  UC_ARM_REG_R3, UC_ARM_REG_R4,
	                            UC_ARM_REG_R5,  UC_ARM_REG_R6,  UC_ARM_REG_R7,  UC_ARM_REG_R8, UC_ARM_REG_R9,
	                            UC_ARM_REG_R10, UC_ARM_REG_R11, UC_ARM_REG_R12, UC_ARM_REG_SP, UC_ARM_REG_LR,
	                            UC_ARM_REG_PC,  UC_ARM_REG_XPSR};

	if (f->halted || f->core[15] >> 24 != 0x20 || f->absent)
		return;
	for (unsigned i = 0; i < 15; i++)
		uc_reg_write(f->uc, ids[i], &f->core[i]);
	uint32_t flags = f->core[16];
	uc_reg_write(f->uc, ids[16], &flags);
	uc_emu_start(f->uc, f->core[15] | 1, 0xFFFFFFF0, 0, F1_SLICE);
	for (unsigned i = 0; i < 17; i++)
		uc_reg_read(f->uc, ids[i], &f->core[i]);
	f->core[15] &= ~1u;
}

/* ---- the dongle */

static inline void fs_reply(struct fake_stlink *s, const void *bytes, size_t len)
{
	memcpy(s->reply, bytes, len);
	s->reply_len = len;
	s->reply_at = 0;
	s->reply_there = true;
}

static inline bool fs_target(const struct fake_stlink *s)
{
	const struct f1 *f = &s->chip;

	return !f->absent && (!f->swd_off || (f->nrst_low && !f->nrst_cut));
}

static inline uint8_t fs_status(const struct fake_stlink *s, bool ok)
{
	return !fs_target(s) ? 0x12 : ok ? 0x80 : 0x11;
}

static inline void fs_status_word(struct fake_stlink *s, uint8_t status, uint32_t word, size_t len)
{
	uint8_t reply[16] = {status};

	if (len >= 8)
		memcpy(reply + 4, &word, 4);
	fs_reply(s, reply, len);
}

static inline void fs_memory(struct fake_stlink *s, const uint8_t *c)
{
	uint32_t address = f1_word(c + 2), len = c[6] | (uint32_t)c[7] << 8;

	if (len > s->longest)
		s->longest = len;
	s->status = fs_status(s, true);
	if (c[1] == 0x08) {
		memcpy(s->write_command, c, 16);
		s->write_left = len;
		s->write_at = 0;
		return;
	}
	for (uint32_t i = 0; i < len; i += 4) {
		uint32_t word = 0;
		if (!fs_target(s) || !f1_get(&s->chip, address + i, 4, &word, false))
			s->status = fs_status(s, false);
		if (s->chip.max_hz != 0 && s->hz > s->chip.max_hz)
			word ^= 0x400;
		memcpy(s->reply + i, &word, 4);
	}
	s->reply_len = len;
	s->reply_at = 0;
	s->reply_there = true;
}

static inline void fs_write_done(struct fake_stlink *s)
{
	uint32_t address = f1_word(s->write_command + 2);

	for (size_t i = 0; i < s->write_at; i += 4)
		if (!fs_target(s) || !f1_set(&s->chip, address + (uint32_t)i, 4, f1_word(s->write_bytes + i)))
			s->status = fs_status(s, false);
}

static inline void fs_nrst(struct fake_stlink *s, bool low)
{
	struct f1 *f = &s->chip;
	bool rises = f->nrst_low && !low;

	f->nrst_low = low;
	if (!f->nrst_cut && low)
		f->reset_seen = true;
	if (!f->nrst_cut && rises && !f->absent)
		f1_reset(f);
}

static inline void fs_debug(struct fake_stlink *s, const uint8_t *c)
{
	static const uint16_t divisors[] = {0, 1, 2, 3, 5, 7, 9, 15, 31, 40};
	static const uint32_t hz[] = {4000000, 1800000, 1200000, 950000, 650000, 480000, 400000, 240000, 125000, 100000};
	struct f1 *f = &s->chip;
	uint32_t word = 0;
	bool ok;

	switch (c[1]) {
	case 0x30:
		s->mode = fs_target(s) ? 2 : s->mode;
		fs_status_word(s, fs_target(s) ? 0x80 : 0x09, 0, 2);
		return;
	case 0x21:
		s->mode = 1;
		return;
	case 0x31:
		fs_status_word(s, 0x80, fs_target(s) ? f->port_id : 0, 12);
		return;
	case 0x33:
		fs_status_word(s, fs_status(s, f->halted), f->core[c[2] % 17], 8);
		return;
	case 0x34:
		f->core[c[2] % 17] = f1_word(c + 3);
		f->ran_from = c[2] == 15 ? f1_word(c + 3) : f->ran_from;
		fs_status_word(s, fs_status(s, f->halted), 0, 2);
		return;
	case 0x35:
		ok = fs_target(s) && f1_set(f, f1_word(c + 2), 4, f1_word(c + 6));
		fs_status_word(s, fs_status(s, ok), 0, 2);
		return;
	case 0x36:
		ok = fs_target(s) && f1_get(f, f1_word(c + 2), 4, &word, false);
		fs_status_word(s, fs_status(s, ok), word, 8);
		return;
	case 0x3C:
		fs_nrst(s, c[2] == 0);
		fs_status_word(s, 0x80, 0, 2);
		return;
	case 0x3E:
		fs_status_word(s, s->status, 0, 12);
		return;
	case 0x43:
		for (unsigned i = 0; i < 10; i++)
			s->hz = divisors[i] == (c[2] | c[3] << 8) ? hz[i] : s->hz;
		fs_status_word(s, 0x80, 0, 2);
		return;
	case 0x46:
		s->aborts++;
		fs_status_word(s, 0x80, 0, 2);
		return;
	case 0x61:
		s->hz = f1_word(c + 4) * 1000;
		fs_status_word(s, 0x80, 0, 8);
		return;
	case 0x62: {
		uint8_t reply[52] = {0x80, [8] = 3, [12] = 0xC0, 0x5D, 0, 0, 0xA0, 0x0F, 0, 0, 0xE8, 0x03, 0, 0};
		fs_reply(s, reply, sizeof reply);
		return;
	}
	case 0x07:
	case 0x08:
		fs_memory(s, c);
		return;
	default:
		fs_status_word(s, 0x42, 0, 2);
	}
}

static inline void fs_command(struct fake_stlink *s, const uint8_t *c)
{
	uint8_t mode[2] = {s->mode, 0};
	uint32_t volts[2] = {1500, 1500 * s->millivolts / 2400};

	s->commands++;
	s->reply_there = false;
	f1_run(&s->chip);
	switch (c[0]) {
	case 0xF1:
		s->syncs++;
		fs_reply(s, s->version, sizeof s->version);
		break;
	case 0xFB:
		fs_reply(s, s->version_v3, sizeof s->version_v3);
		break;
	case 0xF5:
		fs_reply(s, mode, 2);
		break;
	case 0xF7:
		fs_reply(s, volts, 8);
		break;
	case 0xF3:
		s->dfu_exits++;
		s->mode = 1;
		break;
	case 0xF4:
		s->mode = 1;
		break;
	case 0xF2:
		fs_debug(s, c);
		if (s->next_status_times > 0 && s->reply_there && c[1] == 0x36) {
			s->next_status_times--;
			s->reply[0] = s->next_status;
		}
		break;
	default:
		fs_status_word(s, 0x42, 0, 2);
	}
	if ((s->lose_reply_at > 0 && s->commands == (unsigned)s->lose_reply_at) ||
	    (s->lose_from > 0 && s->commands >= s->lose_from))
		s->reply_there = false;
}

static inline int fs_bulk(struct link *link, uint8_t endpoint, void *data, size_t length, deadline_t deadline)
{
	struct fake_stlink *s = (struct fake_stlink *)link;

	(void)deadline;
	if (s->unplugged)
		return -LINK_GONE;
	if (endpoint == 0x81) {
		if (!s->reply_there)
			return -LINK_TIMEOUT;
		size_t left = s->reply_len - s->reply_at, n = left < length ? left : length;
		memcpy(data, s->reply + s->reply_at, n);
		s->reply_at += n;
		s->reply_there = s->reply_at < s->reply_len;
		return (int)n;
	}
	if (s->write_left > 0) {
		memcpy(s->write_bytes + s->write_at, data, length);
		s->write_at += length;
		s->write_left -= length;
		if (s->write_left == 0)
			fs_write_done(s);
		return (int)length;
	}
	if (length != 16)
		abort();
	fs_command(s, data);
	return 16;
}

static inline int fs_control(struct link *link, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                             void *data, uint16_t length, deadline_t deadline)
{
	struct fake_stlink *s = (struct fake_stlink *)link;

	(void)index;
	(void)deadline;
	if (type != 0x80 || request != 6 || value != 0x0303 || s->serial_len == 0)
		return -LINK_STALL;
	size_t n = s->serial_len < length ? s->serial_len : length;
	memcpy(data, s->serial, n);
	return (int)n;
}

static inline int fs_restart(struct link *link, deadline_t deadline)
{
	struct fake_stlink *s = (struct fake_stlink *)link;

	(void)deadline;
	if (s->unplugged)
		return -LINK_GONE;
	s->restarts++;
	if (s->hangs_until_restart)
		s->lose_from = 0;
	s->mode = 1;
	return 0;
}

static inline void fs_close(struct link *link)
{
	((struct fake_stlink *)link)->closed = true;
}

static const struct link_ops fs_ops = {.control = fs_control, .bulk = fs_bulk, .restart = fs_restart, .close = fs_close};

static inline void fs_version(struct fake_stlink *s, unsigned major, unsigned j, unsigned last)
{
	unsigned word = major << 12 | j << 6 | last;
	const uint8_t version[6] = {(uint8_t)(word >> 8), (uint8_t)word, 0x83, 0x04, (uint8_t)s->product,
	                            (uint8_t)(s->product >> 8)};

	memcpy(s->version, version, 6);
}

/* A V2 with J37 and a blank genuine chip of 64 KiB. */
static inline struct fake_stlink *fs_create(void)
{
	struct fake_stlink *s = calloc(1, sizeof *s);

	s->base.ops = &fs_ops;
	s->product = 0x3748;
	fs_version(s, 2, 37, 7);
	s->millivolts = 3300;
	s->hz = 1800000;
	s->chip.port_id = 0x1BA01477;
	s->chip.cpuid = 0x411FC231;
	s->chip.idcode = 0x20036410;
	memcpy(s->chip.rom_pidr, (const uint8_t[]){0x10, 0x04, 0x0A, 0x00}, 4);
	s->chip.flash_kib = 64;
	memcpy(s->chip.unique, "unique-id-01", 12);
	memset(s->chip.flash, 0xFF, sizeof s->chip.flash);
	memset(s->chip.options, 0xFF, sizeof s->chip.options);
	for (unsigned i = 0; i < 8; i++) {
		s->chip.options[2 * i] = i == 0 ? 0xA5 : 0xFF;
		s->chip.options[2 * i + 1] = (uint8_t)~s->chip.options[2 * i];
	}
	f1_power_on(&s->chip);
	return s;
}

static inline void fs_destroy(struct fake_stlink *s)
{
	f1_power_off(&s->chip);
	free(s);
}

#endif
