#include "hextools/dfu_suffix.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/digest.h"

/* In file order: bcdDevice, idProduct, idVendor, bcdDFU, "UFD", bLength, dwCRC, little-endian (table B.1
 * lists them from the file's end). The CRC covers all before it and is not inverted at the end. */
enum { AT_DEVICE = 0, AT_PRODUCT = 2, AT_VENDOR = 4, AT_DFU = 6, AT_SIGNATURE = 8, AT_LENGTH = 11, AT_CRC = 12 };

static uint16_t le16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t le32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

bool dfu_suffix_ends(const uint8_t *bytes, size_t len)
{
	return len >= DFU_SUFFIX && memcmp(bytes + len - DFU_SUFFIX + AT_SIGNATURE, "UFD", 3) == 0 &&
	       bytes[len - DFU_SUFFIX + AT_LENGTH] == DFU_SUFFIX;
}

static int crc_of(struct instream *in, uint64_t length, uint32_t *crc, struct pogo_error *err)
{
	*crc = 0;
	if (instream_rewind(in, err) != 0)
		return -1;
	while (length > 0) {
		if (instream_ahead(in, 1, err) != 0)
			return -1;
		size_t part = (size_t)(in->end - in->at);
		if (part == 0)
			return pogo_fail(err, POGO_SYSTEM, "\"%.200s\" became shorter while it was read", in->name);
		if (part > length)
			part = (size_t)length;
		*crc = crc32_update(*crc, in->at, part);
		in->at += part;
		length -= part;
	}
	return instream_rewind(in, err);
}

int dfu_suffix_take(struct instream *in, bool *found, struct dfu_ids *ids, struct pogo_error *err)
{
	uint8_t tail[DFU_SUFFIX];
	uint64_t length = instream_length(in);
	uint32_t crc;
	*found = false;
	if (length < DFU_SUFFIX)
		return 0;
	if (instream_tail(in, tail, sizeof tail, err) != 0)
		return -1;
	if (memcmp(tail + AT_SIGNATURE, "UFD", 3) != 0)
		return 0;
	unsigned own = tail[AT_LENGTH], version = le16(tail + AT_DFU);
	if (own < DFU_SUFFIX || own > length)
		return pogo_fail(err, POGO_INPUT, "%.200s: offset 0x%" PRIX64 ": DFU suffix of %u bytes, it has 16",
				 in->name, length - DFU_SUFFIX + AT_LENGTH, own);
	if (version == 0x011A)
		return pogo_fail(err, POGO_INPUT, "%.200s: a DfuSe file (DFU 1.1a): its data is in elements of its "
				 "own; take the raw binary", in->name);
	if (crc_of(in, length - 4, &crc, err) != 0)
		return -1;
	if (le32(tail + AT_CRC) != (uint32_t)~crc)
		return pogo_fail(err, POGO_INPUT,
				 "%.200s: offset 0x%" PRIX64 ": DFU suffix with CRC %08" PRIX32
				 ", the file needs %08" PRIX32 ": damaged or cut",
				 in->name, length - 4, le32(tail + AT_CRC), (uint32_t)~crc);
	*found = true;
	*ids = (struct dfu_ids){.vendor = le16(tail + AT_VENDOR),
				.product = le16(tail + AT_PRODUCT),
				.device = le16(tail + AT_DEVICE)};
	instream_cut(in, length - own);
	return 0;
}

static void put16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)value;
	to[1] = (uint8_t)(value >> 8);
}

void dfu_suffix_make(const struct dfu_ids *ids, uint32_t crc, uint8_t out[DFU_SUFFIX])
{
	put16(out + AT_DEVICE, ids->device);
	put16(out + AT_PRODUCT, ids->product);
	put16(out + AT_VENDOR, ids->vendor);
	put16(out + AT_DFU, 0x0100);
	memcpy(out + AT_SIGNATURE, (const uint8_t[]){'U', 'F', 'D'}, 3);
	out[AT_LENGTH] = DFU_SUFFIX;
	crc = ~crc32_update(crc, out, AT_CRC);
	put16(out + AT_CRC, crc & 0xFFFF);
	put16(out + AT_CRC + 2, crc >> 16);
}

static bool take_id(const char **text, uint16_t *out)
{
	char *end;
	size_t digits = strspn(*text, "0123456789abcdefABCDEF");
	if (digits == 0 || digits > 4)
		return false;
	*out = (uint16_t)strtoul(*text, &end, 16);
	*text = end;
	return true;
}

int dfu_suffix_ids(const char *text, struct dfu_ids *ids, struct pogo_error *err)
{
	const char *at = text;
	*ids = (struct dfu_ids){.device = 0xFFFF};
	bool good = take_id(&at, &ids->vendor) && *at++ == ':' && take_id(&at, &ids->product);
	if (good && *at == ':') {
		at++;
		good = take_id(&at, &ids->device);
	}
	if (good && *at == '\0')
		return 0;
	return pogo_fail(err, POGO_INPUT, "DFU ids \"%.40s\": wanted is VID:PID in hexadecimal, like 1EAF:0003", text);
}
