#include "hextools/map.h"

#include <inttypes.h>
#include <string.h>

enum { ROW_CELLS = 64, MAX_ROWS = 16, CHUNK = 1024 };

uint32_t map_cell_bytes(uint32_t memory_bytes, uint32_t page)
{
	uint32_t cell = page > 0 ? page : 1;
	while ((uint64_t)cell * ROW_CELLS * MAX_ROWS < memory_bytes)
		cell *= 2;
	return cell;
}

/* How many images have each of the bytes (255 stands for more). */
static void count_images(const struct map_view *view, uint32_t addr, uint32_t len, uint8_t seen[CHUNK])
{
	uint64_t stop = (uint64_t)addr + len;
	memset(seen, 0, len);
	for (size_t i = 0; i < view->count; i++) {
		const struct hex_image *image = view->images[i];
		const struct hex_segment *end = image->segments + image->count;
		for (const struct hex_segment *s = hex_image_from(image, addr);
		     s != NULL && s < end && s->addr < stop; s++) {
			uint64_t at = s->addr > addr ? s->addr : addr;
			for (; at < stop && at - s->addr < s->len; at++)
				seen[at - addr] += seen[at - addr] < 255;
		}
	}
}

static bool in_boot(const struct map_view *view, uint32_t addr)
{
	return view->has_boot && addr >= view->boot_start && addr - view->boot_start < view->boot_bytes;
}

enum map_cell map_look(const struct map_view *view, uint32_t addr, uint32_t len, struct map_bytes *bytes)
{
	uint64_t application = 0, boot = 0, conflict = 0;
	for (uint32_t done = 0; done < len;) {
		uint8_t seen[CHUNK];
		uint32_t part = len - done < CHUNK ? len - done : CHUNK;
		count_images(view, addr + done, part, seen);
		for (uint32_t i = 0; i < part; i++) {
			conflict += seen[i] > 1;
			if (seen[i] > 0 && in_boot(view, addr + done + i))
				boot++;
			else
				application += seen[i] > 0;
		}
		done += part;
	}
	bytes->conflict += conflict;
	bytes->boot += boot;
	if (part_in_eeprom(view->part, addr))
		bytes->eeprom += application;
	else
		bytes->application += application;
	if (conflict > 0)
		return MAP_CONFLICT;
	if (boot > 0)
		return MAP_BOOT;
	if (application > 0)
		return MAP_APPLICATION;
	return in_boot(view, addr) ? MAP_FREE_BOOT : MAP_FREE;
}

static void put_cell(FILE *out, const struct map_view *view, enum map_cell cell)
{
	static const char *const wide[] = {"·", "░", "█", "▓", "╳"};
	static const char *const plain[] = {".", "-", "#", "B", "X"};
	static const char *const colours[] = {"2", "36", "32", "1;36", "1;31"};
	const char *glyph = view->utf8 ? wide[cell] : plain[cell];
	if (view->colour)
		fprintf(out, "\033[%sm%s\033[0m", colours[cell], glyph);
	else
		fputs(glyph, out);
}

static void draw_memory(FILE *out, const struct map_view *view, const char *name, uint32_t base,
			uint32_t size, uint32_t page, struct map_bytes *bytes)
{
	uint32_t cell = map_cell_bytes(size, page);
	fprintf(out, "  %s, %" PRIu32 " bytes, %" PRIu32 " a cell\n", name, size, cell);
	for (uint32_t at = 0; at < size; at += cell) {
		if (at / cell % ROW_CELLS == 0)
			fprintf(out, "  0x%0*" PRIX32 "  ", hex_digits(base), base + at);
		put_cell(out, view, map_look(view, base + at, size - at < cell ? size - at : cell, bytes));
		if ((at / cell + 1) % ROW_CELLS == 0 || at + cell >= size)
			fputc('\n', out);
	}
}

/* Bytes that lie in neither memory. */
static uint64_t count_outside(const struct map_view *view)
{
	uint64_t sum = 0;
	const uint64_t flash = view->part->flash_start, flash_end = flash + view->part->flash_bytes;
	const uint64_t base = AVR_EEPROM_BASE, top = base + view->part->eeprom_bytes;
	for (size_t i = 0; i < view->count; i++) {
		for (size_t s = 0; s < view->images[i]->count; s++) {
			const struct hex_segment *segment = &view->images[i]->segments[s];
			uint64_t from = segment->addr, end = from + segment->len, inside = 0;
			if (from < flash_end && end > flash)
				inside += (end < flash_end ? end : flash_end) - (from > flash ? from : flash);
			if (from < top && end > base)
				inside += (end < top ? end : top) - (from > base ? from : base);
			sum += segment->len - inside;
		}
	}
	return sum;
}

static void put_legend(FILE *out, const struct map_view *view)
{
	fputs("  ", out);
	put_cell(out, view, MAP_APPLICATION);
	fputs(view->has_boot ? " application  " : " data  ", out);
	if (view->has_boot) {
		put_cell(out, view, MAP_BOOT);
		fputs(" boot  ", out);
	}
	put_cell(out, view, MAP_FREE);
	fputs(" free  ", out);
	if (view->has_boot) {
		put_cell(out, view, MAP_FREE_BOOT);
		fputs(" free in the boot section  ", out);
	}
	put_cell(out, view, MAP_CONFLICT);
	fputs(" in more than one file\n", out);
}

void map_draw(FILE *out, const struct map_view *view)
{
	const struct part *part = view->part;
	struct map_bytes bytes = {.outside = count_outside(view)};
	fprintf(out, "%s\n", part->title);
	draw_memory(out, view, "flash", part->flash_start, part->flash_bytes, part->flash_page, &bytes);
	if (part->eeprom_bytes > 0)
		draw_memory(out, view, "EEPROM", AVR_EEPROM_BASE, part->eeprom_bytes,
			    part->eeprom_bytes / ROW_CELLS, &bytes);
	put_legend(out, view);
	uint32_t boot = view->has_boot ? view->boot_bytes : 0;
	fprintf(out, "  %s %" PRIu64 " of %" PRIu32 " bytes", view->has_boot ? "application" : "data",
		bytes.application, part->flash_bytes - boot);
	if (view->has_boot)
		fprintf(out, ", boot %" PRIu64 " of %" PRIu32, bytes.boot, boot);
	if (part->eeprom_bytes > 0 || part_is_avr(part))
		fprintf(out, ", EEPROM %" PRIu64 " of %" PRIu32, bytes.eeprom, part->eeprom_bytes);
	fputc('\n', out);
	if (bytes.conflict > 0)
		fprintf(out, "  %" PRIu64 " bytes are in more than one file\n", bytes.conflict);
	if (bytes.outside > 0)
		fprintf(out, "  %" PRIu64 " bytes lie in no memory of the part\n", bytes.outside);
	if (!view->has_boot && part->boot_bytes[0] + part->boot_bytes[3] > 0)
		fputs("  the boot section is drawn when --fuses tells where it begins\n", out);
}
