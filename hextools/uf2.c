#include "hextools/uf2.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/builder.h"
#include "hextools/format_list.h"

/* UF2, the file that a bootloader takes as a USB drive ("UF2 File Format Specification", Microsoft): blocks
 * of 512 bytes, each with magic numbers, flags, address, payload size, its number, how many there are, and
 * the family of chips it is for. */

enum {
	BLOCK = 512,
	MOST_PAYLOAD = 476,
	PAGE = 256, /* what every bootloader takes; some take nothing else */
	FAMILIES = 16,

	AT_FLAGS = 8,
	AT_ADDRESS = 12,
	AT_SIZE = 16,
	AT_NUMBER = 20,
	AT_BLOCKS = 24,
	AT_FAMILY = 28,
	AT_DATA = 32,
	AT_END = 508,

	NOT_MAIN_FLASH = 0x1,
	FILE_CONTAINER = 0x1000,
	HAS_FAMILY = 0x2000,
};

static const uint32_t magic[2] = {0x0A324655, 0x9E5D5157}, magic_end = 0x0AB16F30;

/* microsoft/uf2, utils/uf2families.json; the RP2350's from the RP2350 data sheet, 5.5.3. */
static const struct {
	uint32_t id;
	const char *name;
} families[] = {
	{0xe48bff56, "RP2040"},       {0xe48bff57, "RP2XXX_ABSOLUTE"}, {0xe48bff58, "RP2XXX_DATA"},
	{0xe48bff59, "RP2350_ARM_S"}, {0xe48bff5a, "RP2350_RISCV"},    {0xe48bff5b, "RP2350_ARM_NS"},
	{0x647824b6, "STM32F0"},      {0x5ee21072, "STM32F1"},	       {0x5d1a0a2e, "STM32F2"},
	{0x6b846188, "STM32F3"},      {0x57755a57, "STM32F4"},	       {0x6d0922fa, "STM32F407"},
	{0x8fb060fe, "STM32F407VG"},  {0x53b80f00, "STM32F7"},	       {0x300f5633, "STM32G0"},
	{0x4c71240a, "STM32G4"},      {0x6db66082, "STM32H7"},	       {0x202e3a91, "STM32L0"},
	{0x1e1f432d, "STM32L1"},      {0x00ff6919, "STM32L4"},	       {0x04240bdf, "STM32L5"},
	{0x70d16653, "STM32WB"},      {0x21460ff0, "STM32WL"},	       {0x68ed2b88, "SAMD21"},
	{0x55114460, "SAMD51"},	      {0x1851780a, "SAML21"},	       {0x1b57745f, "NRF52"},
	{0x621e937a, "NRF52833"},     {0xada52840, "NRF52840"},	       {0x16573617, "ATMEGA32"},
	{0x31d228c6, "GD32F350"},     {0x9af03e33, "GD32VF103"},       {0x7f83e793, "KL32L2"},
	{0x2abc77ec, "LPC55"},	      {0x4fb2d5bd, "MIMXRT10XX"},      {0x1c5f21b0, "ESP32"},
	{0xbfdd4eee, "ESP32S2"},      {0xc47e5767, "ESP32S3"},	       {0xd42ba06c, "ESP32C3"},
	{0x7eab61ed, "ESP8266"},
};

const char *uf2_family_name(uint32_t family)
{
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
		if (families[i].id == family)
			return families[i].name;
	return NULL;
}

int uf2_family(const char *text, uint32_t *family, struct pogo_error *err)
{
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
		if (strcasecmp(families[i].name, text) == 0) {
			*family = families[i].id;
			return 0;
		}
	}
	char *end;
	if (strncasecmp(text, "0x", 2) == 0 && strspn(text + 2, "0123456789abcdefABCDEF") == strlen(text) - 2 &&
	    strlen(text) > 2 && strlen(text) <= 10) {
		*family = (uint32_t)strtoul(text + 2, &end, 16);
		return 0;
	}
	return pogo_fail(err, POGO_INPUT,
			 "UF2 family \"%.40s\" is unknown; give a name like RP2040, SAMD21 or STM32F1, or the id "
			 "as 0x and hexadecimal digits", text);
}

/* How far the blocks of one family have come. */
struct track {
	bool has_id;
	uint32_t id, blocks, next;
};

struct reader {
	struct instream *in;
	struct notes *notes;
	uint64_t offset; /* of the block at hand */
	bool wants;
	uint32_t wanted;
	struct track tracks[FAMILIES];
	size_t track_count;
	uint64_t skipped;
};

static uint32_t le32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static const char *show_family(const struct track *track, char out[32])
{
	const char *name = track->has_id ? uf2_family_name(track->id) : "no family";
	if (name != NULL)
		snprintf(out, 32, "%s", name);
	else
		snprintf(out, 32, "0x%08" PRIX32, track->id);
	return out;
}

static int bad_block(const struct reader *reader, unsigned at, const char *what, uint32_t found,
		     uint32_t wanted, struct pogo_error *err)
{
	return pogo_fail(err, POGO_INPUT,
			 "%.200s: offset 0x%" PRIX64 ": block %" PRIu64 ": %s 0x%08" PRIX32 ", wanted is 0x%08" PRIX32,
			 reader->in->name, reader->offset + at, reader->offset / BLOCK, what, found, wanted);
}

static int check_frame(const struct reader *reader, const uint8_t *block, struct pogo_error *err)
{
	if (le32(block) != magic[0])
		return bad_block(reader, 0, "first magic number", le32(block), magic[0], err);
	if (le32(block + 4) != magic[1])
		return bad_block(reader, 4, "second magic number", le32(block + 4), magic[1], err);
	if (le32(block + AT_END) != magic_end)
		return bad_block(reader, AT_END, "last magic number", le32(block + AT_END), magic_end, err);
	uint32_t size = le32(block + AT_SIZE), addr = le32(block + AT_ADDRESS);
	if (size == 0 || size > MOST_PAYLOAD)
		return pogo_fail(err, POGO_INPUT,
				 "%.200s: offset 0x%" PRIX64 ": block %" PRIu64 ": payload of %" PRIu32
				 " bytes, a block has 1 to 476",
				 reader->in->name, reader->offset + AT_SIZE, reader->offset / BLOCK, size);
	if ((uint64_t)addr + size > UINT64_C(1) << 32)
		return pogo_fail(err, POGO_INPUT,
				 "%.200s: offset 0x%" PRIX64 ": block %" PRIu64 ": %" PRIu32 " bytes at 0x%08" PRIX32
				 " run past 4 GiB",
				 reader->in->name, reader->offset + AT_ADDRESS, reader->offset / BLOCK, size, addr);
	if ((le32(block + AT_FLAGS) & FILE_CONTAINER) != 0)
		return pogo_fail(err, POGO_INPUT,
				 "%.200s: offset 0x%" PRIX64 ": a UF2 file container holds files and no flash image",
				 reader->in->name, reader->offset + AT_FLAGS);
	return 0;
}

static struct track *find_track(struct reader *reader, const uint8_t *block, struct pogo_error *err)
{
	bool has_id = (le32(block + AT_FLAGS) & HAS_FAMILY) != 0;
	uint32_t id = has_id ? le32(block + AT_FAMILY) : 0;
	for (size_t i = 0; i < reader->track_count; i++)
		if (reader->tracks[i].has_id == has_id && reader->tracks[i].id == id)
			return &reader->tracks[i];
	if (reader->track_count == FAMILIES) {
		pogo_fail(err, POGO_INPUT, "%.200s: offset 0x%" PRIX64 ": more than %d families in one file",
			  reader->in->name, reader->offset + AT_FAMILY, FAMILIES);
		return NULL;
	}
	struct track *track = &reader->tracks[reader->track_count++];
	*track = (struct track){.has_id = has_id, .id = id, .blocks = le32(block + AT_BLOCKS)};
	return track;
}

/* The blocks of each family are numbered from 0 and every one says how many there are. */
static int check_number(const struct reader *reader, const uint8_t *block, struct track *track,
			struct pogo_error *err)
{
	if (le32(block + AT_BLOCKS) != track->blocks)
		return bad_block(reader, AT_BLOCKS, "number of blocks", le32(block + AT_BLOCKS), track->blocks, err);
	if (le32(block + AT_NUMBER) != track->next)
		return bad_block(reader, AT_NUMBER, "a block is missing or out of order: its number is",
				 le32(block + AT_NUMBER), track->next, err);
	if (track->next >= track->blocks)
		return bad_block(reader, AT_BLOCKS, "more blocks than it says, number", track->next,
				 track->blocks - 1, err);
	track->next++;
	return 0;
}

static int take_block(struct reader *reader, const uint8_t *block, struct builder *builder,
		      struct pogo_error *err)
{
	if (check_frame(reader, block, err) != 0)
		return -1;
	struct track *track = find_track(reader, block, err);
	if (track == NULL || check_number(reader, block, track, err) != 0)
		return -1;
	if ((le32(block + AT_FLAGS) & NOT_MAIN_FLASH) != 0) {
		reader->skipped++;
		return 0;
	}
	if (reader->wants && (!track->has_id || track->id != reader->wanted))
		return 0;
	return builder_add(builder, le32(block + AT_ADDRESS), block + AT_DATA, le32(block + AT_SIZE), err);
}

static int check_families(const struct reader *reader, struct pogo_error *err)
{
	char list[FAMILIES * 34] = "", shown[32];
	for (size_t i = 0; i < reader->track_count; i++) {
		const struct track *track = &reader->tracks[i];
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", show_family(track, shown));
		if (track->next != track->blocks)
			return pogo_fail(err, POGO_INPUT,
					 "%.200s: the file ends after %" PRIu32 " of %" PRIu32
					 " blocks (%s): it is cut off",
					 reader->in->name, track->next, track->blocks, shown);
	}
	if (!reader->wants && reader->track_count > 1)
		return pogo_fail(err, POGO_INPUT, "%.200s: images for several families in one file (%.250s); --family "
				 "says which one to take", reader->in->name, list);
	for (size_t i = 0; reader->wants && i < reader->track_count; i++)
		if (reader->tracks[i].has_id && reader->tracks[i].id == reader->wanted)
			return 0;
	if (reader->wants)
		return pogo_fail(err, POGO_INPUT, "%.200s: nothing for the wanted family in it, only %.250s",
				 reader->in->name, list);
	return 0;
}

static int read_blocks(struct reader *reader, struct builder *builder, struct pogo_error *err)
{
	struct instream *in = reader->in;
	for (;; in->at += BLOCK) {
		reader->offset = instream_offset(in);
		if (instream_ahead(in, BLOCK, err) != 0)
			return -1;
		size_t left = (size_t)(in->end - in->at);
		if (left == 0)
			break;
		if (left < BLOCK)
			return pogo_fail(err, POGO_INPUT,
					 "%.200s: offset 0x%" PRIX64 ": %zu bytes at the end, a block has 512: the file "
					 "is cut off", in->name, reader->offset, left);
		if (take_block(reader, in->at, builder, err) != 0)
			return -1;
	}
	if (reader->track_count == 0)
		return pogo_fail(err, POGO_INPUT, "%.200s:1:1: the file is empty", in->name);
	if (check_families(reader, err) != 0)
		return -1;
	if (builder_empty(builder))
		return pogo_fail(err, POGO_INPUT, "%.200s: no data for the main flash in it", in->name);
	return 0;
}

static int read_uf2(struct instream *in, const struct format_reading *reading, struct hex_image *image,
		    struct format_origin *origin, struct pogo_error *err)
{
	struct reader reader = {.in = in, .notes = &origin->notes, .wants = reading->family != NULL};
	struct hex_conflict conflict = {.len = 0};
	struct builder builder;
	if (reader.wants && uf2_family(reading->family, &reader.wanted, err) != 0)
		return -1;
	builder_init(&builder);
	builder.watch = reading->watch;
	builder.expected = instream_length(in) != UINT64_MAX ? instream_length(in) / 2 : 0;
	if (read_blocks(&reader, &builder, err) != 0) {
		builder_abandon(&builder);
		return -1;
	}
	struct pogo_error why;
	if (builder_finish(&builder, image, &conflict, &why) != 0)
		return pogo_fail(err, conflict.len > 0 ? POGO_INPUT : why.kind, "%.200s: %.300s", in->name, why.text);
	if (reader.skipped > 0)
		notes_add(reader.notes, "%.200s: %" PRIu64 " blocks that are not for the main flash were left out",
			  in->name, reader.skipped);
	origin->has_family = reader.wants || reader.tracks[0].has_id;
	origin->family = reader.wants ? reader.wanted : reader.tracks[0].id;
	return 0;
}

static bool detect_uf2(const uint8_t *head, size_t len)
{
	return len >= 8 && le32(head) == magic[0] && le32(head + 4) == magic[1];
}

/* How many pages of 256 bytes hold data. */
static uint64_t count_pages(const struct hex_image *image)
{
	uint64_t pages = 0, next = 0;
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		uint64_t first = segment->addr / PAGE, last = ((uint64_t)segment->addr + segment->len - 1) / PAGE;
		if (first < next)
			first = next;
		if (last >= first)
			pages += last - first + 1;
		next = last + 1;
	}
	return pages;
}

static void put32(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)value;
	to[1] = (uint8_t)(value >> 8);
	to[2] = (uint8_t)(value >> 16);
	to[3] = (uint8_t)(value >> 24);
}

/* Whole pages, their holes 0xFF: the smallest unit that bootloaders take. */
static int write_uf2(const struct hex_image *image, const struct format_writing *writing,
		     struct sink *sink, struct pogo_error *err)
{
	uint32_t family, number = 0;
	if (writing->family == NULL)
		return pogo_fail(err, POGO_INPUT,
				 "a UF2 file needs the chip's family: --to-family RP2040, for example");
	if (uf2_family(writing->family, &family, err) != 0)
		return -1;
	if (image->count == 0)
		return pogo_fail(err, POGO_INPUT, "no data for a UF2 file");
	uint32_t pages = (uint32_t)count_pages(image);
	uint64_t next = 0;
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		uint64_t page = segment->addr / PAGE, last = ((uint64_t)segment->addr + segment->len - 1) / PAGE;
		for (page = page < next ? next : page; page <= last && sink->error == 0; page++) {
			uint8_t *block = sink_room(sink, BLOCK);
			memset(block, 0, BLOCK);
			put32(block, magic[0]);
			put32(block + 4, magic[1]);
			put32(block + AT_FLAGS, HAS_FAMILY);
			put32(block + AT_ADDRESS, (uint32_t)(page * PAGE));
			put32(block + AT_SIZE, PAGE);
			put32(block + AT_NUMBER, number++);
			put32(block + AT_BLOCKS, pages);
			put32(block + AT_FAMILY, family);
			hex_image_read(image, (uint32_t)(page * PAGE), block + AT_DATA, PAGE, 0xFF);
			put32(block + AT_END, magic_end);
			sink->at += BLOCK;
		}
		next = last + 1;
	}
	return 0;
}

const struct format format_uf2 = {
	.name = "uf2",
	.title = "UF2",
	.extensions = " uf2 ",
	.detect = detect_uf2,
	.read = read_uf2,
	.write = write_uf2,
};
