#include "hextools/crc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hextools/digest.h"

/* clang-format off */
#define ROW(name, width, poly, init, in, out, xorout, check) \
	{name, poly, init, xorout, check, CRC_POLYNOMIAL, width, in, out}
enum { F = false, T = true };

static const struct crc_algorithm algorithms[] = {
	ROW("CRC-8/AUTOSAR",             8, 0x2F, 0xFF, F, F, 0xFF, 0xDF),
	ROW("CRC-8/BLUETOOTH",           8, 0xA7, 0x00, T, T, 0x00, 0x26),
	ROW("CRC-8/CDMA2000",            8, 0x9B, 0xFF, F, F, 0x00, 0xDA),
	ROW("CRC-8/DARC",                8, 0x39, 0x00, T, T, 0x00, 0x15),
	ROW("CRC-8/DVB-S2",              8, 0xD5, 0x00, F, F, 0x00, 0xBC),
	ROW("CRC-8/GSM-A",               8, 0x1D, 0x00, F, F, 0x00, 0x37),
	ROW("CRC-8/GSM-B",               8, 0x49, 0x00, F, F, 0xFF, 0x94),
	ROW("CRC-8/HITAG",               8, 0x1D, 0xFF, F, F, 0x00, 0xB4),
	ROW("CRC-8/I-432-1",             8, 0x07, 0x00, F, F, 0x55, 0xA1),
	ROW("CRC-8/I-CODE",              8, 0x1D, 0xFD, F, F, 0x00, 0x7E),
	ROW("CRC-8/LTE",                 8, 0x9B, 0x00, F, F, 0x00, 0xEA),
	ROW("CRC-8/MAXIM-DOW",           8, 0x31, 0x00, T, T, 0x00, 0xA1),
	ROW("CRC-8/MIFARE-MAD",          8, 0x1D, 0xC7, F, F, 0x00, 0x99),
	ROW("CRC-8/NRSC-5",              8, 0x31, 0xFF, F, F, 0x00, 0xF7),
	ROW("CRC-8/OPENSAFETY",          8, 0x2F, 0x00, F, F, 0x00, 0x3E),
	ROW("CRC-8/ROHC",                8, 0x07, 0xFF, T, T, 0x00, 0xD0),
	ROW("CRC-8/SAE-J1850",           8, 0x1D, 0xFF, F, F, 0xFF, 0x4B),
	ROW("CRC-8/SMBUS",               8, 0x07, 0x00, F, F, 0x00, 0xF4),
	ROW("CRC-8/TECH-3250",           8, 0x1D, 0xFF, T, T, 0x00, 0x97),
	ROW("CRC-8/WCDMA",               8, 0x9B, 0x00, T, T, 0x00, 0x25),

	ROW("CRC-16/ARC",               16, 0x8005, 0x0000, T, T, 0x0000, 0xBB3D),
	ROW("CRC-16/CDMA2000",          16, 0xC867, 0xFFFF, F, F, 0x0000, 0x4C06),
	ROW("CRC-16/CMS",               16, 0x8005, 0xFFFF, F, F, 0x0000, 0xAEE7),
	ROW("CRC-16/DDS-110",           16, 0x8005, 0x800D, F, F, 0x0000, 0x9ECF),
	ROW("CRC-16/DECT-R",            16, 0x0589, 0x0000, F, F, 0x0001, 0x007E),
	ROW("CRC-16/DECT-X",            16, 0x0589, 0x0000, F, F, 0x0000, 0x007F),
	ROW("CRC-16/DNP",               16, 0x3D65, 0x0000, T, T, 0xFFFF, 0xEA82),
	ROW("CRC-16/EN-13757",          16, 0x3D65, 0x0000, F, F, 0xFFFF, 0xC2B7),
	ROW("CRC-16/GENIBUS",           16, 0x1021, 0xFFFF, F, F, 0xFFFF, 0xD64E),
	ROW("CRC-16/GSM",               16, 0x1021, 0x0000, F, F, 0xFFFF, 0xCE3C),
	ROW("CRC-16/IBM-3740",          16, 0x1021, 0xFFFF, F, F, 0x0000, 0x29B1),
	ROW("CRC-16/IBM-SDLC",          16, 0x1021, 0xFFFF, T, T, 0xFFFF, 0x906E),
	ROW("CRC-16/ISO-IEC-14443-3-A", 16, 0x1021, 0xC6C6, T, T, 0x0000, 0xBF05),
	ROW("CRC-16/KERMIT",            16, 0x1021, 0x0000, T, T, 0x0000, 0x2189),
	ROW("CRC-16/LJ1200",            16, 0x6F63, 0x0000, F, F, 0x0000, 0xBDF4),
	ROW("CRC-16/M17",               16, 0x5935, 0xFFFF, F, F, 0x0000, 0x772B),
	ROW("CRC-16/MAXIM-DOW",         16, 0x8005, 0x0000, T, T, 0xFFFF, 0x44C2),
	ROW("CRC-16/MCRF4XX",           16, 0x1021, 0xFFFF, T, T, 0x0000, 0x6F91),
	ROW("CRC-16/MODBUS",            16, 0x8005, 0xFFFF, T, T, 0x0000, 0x4B37),
	ROW("CRC-16/NRSC-5",            16, 0x080B, 0xFFFF, T, T, 0x0000, 0xA066),
	ROW("CRC-16/OPENSAFETY-A",      16, 0x5935, 0x0000, F, F, 0x0000, 0x5D38),
	ROW("CRC-16/OPENSAFETY-B",      16, 0x755B, 0x0000, F, F, 0x0000, 0x20FE),
	ROW("CRC-16/PROFIBUS",          16, 0x1DCF, 0xFFFF, F, F, 0xFFFF, 0xA819),
	ROW("CRC-16/RIELLO",            16, 0x1021, 0xB2AA, T, T, 0x0000, 0x63D0),
	ROW("CRC-16/SPI-FUJITSU",       16, 0x1021, 0x1D0F, F, F, 0x0000, 0xE5CC),
	ROW("CRC-16/T10-DIF",           16, 0x8BB7, 0x0000, F, F, 0x0000, 0xD0DB),
	ROW("CRC-16/TELEDISK",          16, 0xA097, 0x0000, F, F, 0x0000, 0x0FB3),
	ROW("CRC-16/TMS37157",          16, 0x1021, 0x89EC, T, T, 0x0000, 0x26B1),
	ROW("CRC-16/UMTS",              16, 0x8005, 0x0000, F, F, 0x0000, 0xFEE8),
	ROW("CRC-16/USB",               16, 0x8005, 0xFFFF, T, T, 0xFFFF, 0xB4C8),
	ROW("CRC-16/XMODEM",            16, 0x1021, 0x0000, F, F, 0x0000, 0x31C3),

	ROW("CRC-32/AIXM",     32, 0x814141AB, 0x00000000, F, F, 0x00000000, 0x3010BF7F),
	ROW("CRC-32/AUTOSAR",  32, 0xF4ACFB13, 0xFFFFFFFF, T, T, 0xFFFFFFFF, 0x1697D06A),
	ROW("CRC-32/BASE91-D", 32, 0xA833982B, 0xFFFFFFFF, T, T, 0xFFFFFFFF, 0x87315576),
	ROW("CRC-32/BZIP2",    32, 0x04C11DB7, 0xFFFFFFFF, F, F, 0xFFFFFFFF, 0xFC891918),
	ROW("CRC-32/CD-ROM-EDC", 32, 0x8001801B, 0x00000000, T, T, 0x00000000, 0x6EC2EDC4),
	ROW("CRC-32/CKSUM",    32, 0x04C11DB7, 0x00000000, F, F, 0xFFFFFFFF, 0x765E7680),
	ROW("CRC-32/ISCSI",    32, 0x1EDC6F41, 0xFFFFFFFF, T, T, 0xFFFFFFFF, 0xE3069283),
	ROW("CRC-32/ISO-HDLC", 32, 0x04C11DB7, 0xFFFFFFFF, T, T, 0xFFFFFFFF, 0xCBF43926),
	ROW("CRC-32/JAMCRC",   32, 0x04C11DB7, 0xFFFFFFFF, T, T, 0x00000000, 0x340BC6D9),
	ROW("CRC-32/MEF",      32, 0x741B8CD7, 0xFFFFFFFF, T, T, 0x00000000, 0xD2C22F51),
	ROW("CRC-32/MPEG-2",   32, 0x04C11DB7, 0xFFFFFFFF, F, F, 0x00000000, 0x0376E6E7),
	ROW("CRC-32/XFER",     32, 0x000000AF, 0x00000000, F, F, 0x00000000, 0xBD0BE338),

	/* '1' to '9' add up to 477 = 0x1DD. */
	{.name = "sum-8",   .kind = CRC_SUM,  .width = 8,  .check = 0xDD},
	{.name = "sum-16",  .kind = CRC_SUM,  .width = 16, .check = 0x01DD},
	{.name = "sum-32",  .kind = CRC_SUM,  .width = 32, .check = 0x000001DD},
	{.name = "twos-8",  .kind = CRC_TWOS, .width = 8,  .check = 0x23},
	{.name = "twos-16", .kind = CRC_TWOS, .width = 16, .check = 0xFE23},
	{.name = "twos-32", .kind = CRC_TWOS, .width = 32, .check = 0xFFFFFE23},
	{.name = "xor-8",   .kind = CRC_XOR,  .width = 8,  .check = 0x31},
	{.name = "sha-256", .kind = CRC_SHA256},
};

/* Other names that the catalogue lists, or that people use. */
static const struct { const char *alias, *name; } aliases[] = {
	{"CRC-8", "CRC-8/SMBUS"},
	{"CRC-8/MAXIM", "CRC-8/MAXIM-DOW"},
	{"DOW-CRC", "CRC-8/MAXIM-DOW"},
	{"CRC-8/ITU", "CRC-8/I-432-1"},
	{"CRC-8/AES", "CRC-8/TECH-3250"},
	{"CRC-8/EBU", "CRC-8/TECH-3250"},
	{"CRC-16", "CRC-16/ARC"},
	{"CRC-16/LHA", "CRC-16/ARC"},
	{"CRC-16/AUTOSAR", "CRC-16/IBM-3740"},
	{"CRC-16/CCITT-FALSE", "CRC-16/IBM-3740"},
	{"CRC-16/CCITT", "CRC-16/KERMIT"},
	{"CRC-16/CCITT-TRUE", "CRC-16/KERMIT"},
	{"CRC-16/V-41-LSB", "CRC-16/KERMIT"},
	{"CRC-CCITT", "CRC-16/KERMIT"},
	{"KERMIT", "CRC-16/KERMIT"},
	{"CRC-16/ISO-HDLC", "CRC-16/IBM-SDLC"},
	{"CRC-16/ISO-IEC-14443-3-B", "CRC-16/IBM-SDLC"},
	{"CRC-16/X-25", "CRC-16/IBM-SDLC"},
	{"X-25", "CRC-16/IBM-SDLC"},
	{"CRC-A", "CRC-16/ISO-IEC-14443-3-A"},
	{"CRC-B", "CRC-16/IBM-SDLC"},
	{"CRC-16/AUG-CCITT", "CRC-16/SPI-FUJITSU"},
	{"CRC-16/DARC", "CRC-16/GENIBUS"},
	{"CRC-16/EPC", "CRC-16/GENIBUS"},
	{"CRC-16/I-CODE", "CRC-16/GENIBUS"},
	{"CRC-16/BUYPASS", "CRC-16/UMTS"},
	{"CRC-16/MAXIM", "CRC-16/MAXIM-DOW"},
	{"MODBUS", "CRC-16/MODBUS"},
	{"CRC-16/ACORN", "CRC-16/XMODEM"},
	{"CRC-16/LTE", "CRC-16/XMODEM"},
	{"CRC-16/V-41-MSB", "CRC-16/XMODEM"},
	{"XMODEM", "CRC-16/XMODEM"},
	{"ZMODEM", "CRC-16/XMODEM"},
	{"CRC-32", "CRC-32/ISO-HDLC"},
	{"CRC-32/ADCCP", "CRC-32/ISO-HDLC"},
	{"CRC-32/V-42", "CRC-32/ISO-HDLC"},
	{"CRC-32/XZ", "CRC-32/ISO-HDLC"},
	{"PKZIP", "CRC-32/ISO-HDLC"},
	{"CRC-32/AAL5", "CRC-32/BZIP2"},
	{"CRC-32/DECT-B", "CRC-32/BZIP2"},
	{"CRC-32C", "CRC-32/ISCSI"},
	{"CRC-32/CASTAGNOLI", "CRC-32/ISCSI"},
	{"CRC-32/INTERLAKEN", "CRC-32/ISCSI"},
	{"CRC-32/NVME", "CRC-32/ISCSI"},
	{"CRC-32D", "CRC-32/BASE91-D"},
	{"CRC-32Q", "CRC-32/AIXM"},
	{"CRC-32/POSIX", "CRC-32/CKSUM"},
	{"CKSUM", "CRC-32/CKSUM"},
	{"JAMCRC", "CRC-32/JAMCRC"},
	{"XFER", "CRC-32/XFER"},
	{"sha256", "sha-256"},
};
/* clang-format on */

const struct crc_algorithm *crc_algorithms(size_t *count)
{
	*count = sizeof algorithms / sizeof algorithms[0];
	return algorithms;
}

static const struct crc_algorithm *by_name(const char *name)
{
	for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
		if (strcasecmp(algorithms[i].name, name) == 0)
			return &algorithms[i];
	return NULL;
}

const struct crc_algorithm *crc_find(const char *name)
{
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
		if (strcasecmp(aliases[i].alias, name) == 0)
			return by_name(aliases[i].name);
	return by_name(name);
}

unsigned crc_bytes(const struct crc_algorithm *algorithm)
{
	return algorithm->kind == CRC_SHA256 ? 32 : algorithm->width / 8u;
}

/* ---- the calculation -------------------------------------------------------------------------------- */

/* A polynomial runs in 32 bits whatever its width: reflected ones at the low end of the register, the
 * others at the high end. table[n][b] is what byte b does to the register n bytes later. */
struct crc_run {
	const struct crc_algorithm *algorithm;
	uint32_t value;
	struct sha256 sha;
	uint32_t table[8][256];
};

static uint32_t reflect(uint32_t value, unsigned bits)
{
	uint32_t out = 0;
	for (unsigned i = 0; i < bits; i++)
		out |= (value >> i & 1) << (bits - 1 - i);
	return out;
}

static void make_tables(struct crc_run *run)
{
	const struct crc_algorithm *a = run->algorithm;
	uint32_t poly = a->refin ? reflect(a->poly, a->width) : a->poly << (32 - a->width);
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t value = a->refin ? byte : byte << 24;
		for (int bit = 0; bit < 8; bit++) {
			if (a->refin)
				value = value & 1 ? value >> 1 ^ poly : value >> 1;
			else
				value = value >> 31 ? value << 1 ^ poly : value << 1;
		}
		run->table[0][byte] = value;
	}
	for (int n = 1; n < 8; n++) {
		for (int byte = 0; byte < 256; byte++) {
			uint32_t v = run->table[n - 1][byte];
			run->table[n][byte] = a->refin ? v >> 8 ^ run->table[0][v & 0xFF]
						       : v << 8 ^ run->table[0][v >> 24];
		}
	}
}

struct crc_run *crc_begin(const struct crc_algorithm *algorithm)
{
	struct crc_run *run = calloc(1, sizeof *run);
	if (run == NULL)
		return NULL;
	run->algorithm = algorithm;
	if (algorithm->kind == CRC_SHA256)
		sha256_init(&run->sha);
	if (algorithm->kind != CRC_POLYNOMIAL)
		return run;
	make_tables(run);
	run->value = algorithm->refin ? reflect(algorithm->init, algorithm->width)
				      : algorithm->init << (32 - algorithm->width);
	return run;
}

static uint32_t add_reflected(const uint32_t (*t)[256], uint32_t value, const uint8_t *at, size_t len)
{
	for (; len >= 8; at += 8, len -= 8) {
		value ^= at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
		value = t[7][value & 0xFF] ^ t[6][value >> 8 & 0xFF] ^ t[5][value >> 16 & 0xFF] ^
			t[4][value >> 24] ^ t[3][at[4]] ^ t[2][at[5]] ^ t[1][at[6]] ^ t[0][at[7]];
	}
	for (; len > 0; at++, len--)
		value = value >> 8 ^ t[0][(value ^ *at) & 0xFF];
	return value;
}

static uint32_t add_straight(const uint32_t (*t)[256], uint32_t value, const uint8_t *at, size_t len)
{
	for (; len >= 8; at += 8, len -= 8) {
		value ^= (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
		value = t[7][value >> 24] ^ t[6][value >> 16 & 0xFF] ^ t[5][value >> 8 & 0xFF] ^
			t[4][value & 0xFF] ^ t[3][at[4]] ^ t[2][at[5]] ^ t[1][at[6]] ^ t[0][at[7]];
	}
	for (; len > 0; at++, len--)
		value = value << 8 ^ t[0][value >> 24 ^ *at];
	return value;
}

void crc_add(struct crc_run *run, const void *data, size_t len)
{
	const struct crc_algorithm *a = run->algorithm;
	const uint8_t *at = data;
	switch (a->kind) {
	case CRC_POLYNOMIAL:
		run->value = a->refin ? add_reflected((const uint32_t(*)[256])run->table, run->value, at, len)
				      : add_straight((const uint32_t(*)[256])run->table, run->value, at, len);
		break;
	case CRC_SUM:
	case CRC_TWOS:
		for (size_t i = 0; i < len; i++)
			run->value += at[i];
		break;
	case CRC_XOR:
		for (size_t i = 0; i < len; i++)
			run->value ^= at[i];
		break;
	case CRC_SHA256:
		sha256_update(&run->sha, data, len);
		break;
	}
}

void crc_end(struct crc_run *run, uint8_t value[CRC_MAX_BYTES])
{
	const struct crc_algorithm *a = run->algorithm;
	uint32_t v = run->value;
	if (a->kind == CRC_SHA256) {
		sha256_final(&run->sha, value);
		free(run);
		return;
	}
	if (a->kind == CRC_POLYNOMIAL) {
		if (!a->refin)
			v >>= 32 - a->width;
		if (a->refin != a->refout)
			v = reflect(v, a->width);
		v ^= a->xorout;
	}
	if (a->kind == CRC_TWOS)
		v = 0u - v;
	for (unsigned i = 0, n = crc_bytes(a); i < n; i++)
		value[i] = (uint8_t)(v >> (n - 1 - i) * 8);
	free(run);
}

/* ---- over an image ---------------------------------------------------------------------------------- */

static void add_constant(struct crc_run *run, int byte, uint64_t len)
{
	uint8_t block[4096];
	memset(block, byte, sizeof block);
	for (uint64_t part; len > 0; len -= part) {
		part = len < sizeof block ? len : sizeof block;
		crc_add(run, block, (size_t)part);
	}
}

static void add_range(struct crc_run *run, const struct hex_image *image, const struct hex_range *range,
		      int fill)
{
	const struct hex_segment *end = image->segments + image->count;
	uint64_t next = range->first;
	for (const struct hex_segment *s = hex_image_from(image, range->first);
	     s != NULL && s < end && s->addr <= range->last; s++) {
		uint64_t from = s->addr > next ? s->addr : next;
		uint64_t stop = (uint64_t)s->addr + s->len;
		if (stop > (uint64_t)range->last + 1)
			stop = (uint64_t)range->last + 1;
		add_constant(run, fill, from - next);
		crc_add(run, s->bytes + (from - s->addr), (size_t)(stop - from));
		next = stop;
	}
	add_constant(run, fill, (uint64_t)range->last + 1 - next);
}

/* The parts of the range before and behind the value's own bytes; false: there is none such. */
static bool before_self(const struct hex_range *range, const struct crc_holes *holes,
			struct hex_range *part)
{
	if (!holes->has_self || holes->self.last < range->first || holes->self.first > range->last) {
		*part = *range;
		return true;
	}
	*part = (struct hex_range){range->first, holes->self.first - 1};
	return holes->self.first > range->first;
}

static bool behind_self(const struct hex_range *range, const struct crc_holes *holes,
			struct hex_range *part)
{
	*part = (struct hex_range){holes->self.last + 1, range->last};
	return holes->has_self && holes->self.last >= range->first && holes->self.last < range->last;
}

static int refuse_hole(const struct hex_image *image, const struct hex_range *part,
		       struct pogo_error *err)
{
	uint32_t hole = 0;
	uint64_t have = range_count(image, part, &hole), len = range_len(part);
	if (have == len)
		return 0;
	return pogo_fail(err, POGO_NO,
			 "%" PRIu64 " of the %" PRIu64 " bytes of 0x%05" PRIX32 "-0x%05" PRIX32
			 " have no data, the first is 0x%05" PRIX32
			 "; --fill 0xFF would say what they count as",
			 len - have, len, part->first, part->last, hole);
}

int crc_image(const struct crc_algorithm *algorithm, const struct hex_image *image,
	      const struct hex_range *range, const struct crc_holes *holes,
	      uint8_t value[CRC_MAX_BYTES], struct pogo_error *err)
{
	struct hex_range before, behind;
	bool has_before = before_self(range, holes, &before), has_behind = behind_self(range, holes, &behind);
	if (holes->fill < 0 && ((has_before && refuse_hole(image, &before, err) != 0) ||
				(has_behind && refuse_hole(image, &behind, err) != 0)))
		return -1;
	struct crc_run *run = crc_begin(algorithm);
	if (run == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	if (has_before)
		add_range(run, image, &before, holes->fill);
	/* Inside the range but for its edges: what lies between the two parts. */
	if (holes->has_self && holes->self_byte >= 0 &&
	    range_len(range) > (has_before ? range_len(&before) : 0) + (has_behind ? range_len(&behind) : 0)) {
		uint32_t from = holes->self.first > range->first ? holes->self.first : range->first;
		uint32_t to = holes->self.last < range->last ? holes->self.last : range->last;
		add_constant(run, holes->self_byte, (uint64_t)to - from + 1);
	}
	if (has_behind)
		add_range(run, image, &behind, holes->fill);
	crc_end(run, value);
	return 0;
}
