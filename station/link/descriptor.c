#include "station/link/descriptor.h"

enum { DEFAULT_LANGUAGE = 0x0409, MAX_DESCRIPTOR = 255 };

static int get_descriptor(struct link *link, uint8_t type, uint8_t index, uint16_t language,
                          uint8_t *raw, uint16_t room, deadline_t deadline)
{
	return link->ops->control(link, USB_DEVICE_TO_HOST, USB_GET_DESCRIPTOR,
	                          (uint16_t)(type << 8 | index), language, raw, room, deadline);
}

int descriptor_read_device(struct link *link, struct usb_identity *identity,
                           struct device_strings *strings, deadline_t deadline)
{
	uint8_t raw[18] = {0};
	int got = get_descriptor(link, USB_DEVICE_DESCRIPTOR, 0, 0, raw, sizeof raw, deadline);

	if (got < 0)
		return got;
	if (got != (int)sizeof raw || raw[1] != USB_DEVICE_DESCRIPTOR)
		return -LINK_IO;
	identity->vendor = (uint16_t)(raw[8] | raw[9] << 8);
	identity->product = (uint16_t)(raw[10] | raw[11] << 8);
	identity->release = (uint16_t)(raw[12] | raw[13] << 8);
	*strings = (struct device_strings){raw[14], raw[15], raw[16]};
	return 0;
}

static size_t put_utf8(uint32_t point, char out[4])
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		out[0] = (char)(0xC0 | point >> 6);
		out[1] = (char)(0x80 | (point & 0x3F));
		return 2;
	}
	if (point < 0x10000) {
		out[0] = (char)(0xE0 | point >> 12);
		out[1] = (char)(0x80 | (point >> 6 & 0x3F));
		out[2] = (char)(0x80 | (point & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | point >> 18);
	out[1] = (char)(0x80 | (point >> 12 & 0x3F));
	out[2] = (char)(0x80 | (point >> 6 & 0x3F));
	out[3] = (char)(0x80 | (point & 0x3F));
	return 4;
}

static bool is_surrogate(uint32_t word, uint32_t first)
{
	return word >= first && word < first + 0x400;
}

void descriptor_text(const uint8_t *raw, size_t len, char *out, size_t room)
{
	size_t used = 0;

	/* The descriptor's own length byte may claim more than what came. */
	if (len >= 2 && raw[0] < len)
		len = raw[0];
	for (size_t i = 2; i + 1 < len; i += 2) {
		uint32_t point = (uint32_t)(raw[i] | raw[i + 1] << 8);
		if (is_surrogate(point, 0xD800) && i + 3 < len &&
		    is_surrogate((uint32_t)(raw[i + 2] | raw[i + 3] << 8), 0xDC00)) {
			uint32_t low = (uint32_t)(raw[i + 2] | raw[i + 3] << 8);
			point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
			i += 2;
		} else if (point == 0) {
			break; /* AVRISP mkII: the end of a C string went into the descriptor */
		} else if (point >= 0xD800 && point < 0xE000) {
			point = '?';
		}
		if (point < 0x20 || (point >= 0x7F && point < 0xA0))
			point = '?'; /* these texts reach terminals and logs */
		char utf8[4];
		size_t n = put_utf8(point, utf8);
		if (used + n + 1 > room)
			break;
		for (size_t k = 0; k < n; k++)
			out[used++] = utf8[k];
	}
	out[used] = '\0';
}

static void read_string(struct link *link, uint8_t index, uint16_t language, char *out, size_t room,
                        deadline_t deadline)
{
	uint8_t raw[MAX_DESCRIPTOR] = {0};

	out[0] = '\0';
	if (index == 0)
		return;
	int got = get_descriptor(link, USB_STRING_DESCRIPTOR, index, language, raw, sizeof raw,
	                         deadline);
	if (got >= 2 && raw[1] == USB_STRING_DESCRIPTOR)
		descriptor_text(raw, (size_t)got, out, room);
}

void descriptor_read_strings(struct link *link, const struct device_strings *strings,
                             struct usb_identity *identity, deadline_t deadline)
{
	uint8_t raw[MAX_DESCRIPTOR] = {0};
	uint16_t language = DEFAULT_LANGUAGE;

	identity->manufacturer[0] = identity->name[0] = identity->serial[0] = '\0';
	if (strings->manufacturer == 0 && strings->product == 0 && strings->serial == 0)
		return;
	int got = get_descriptor(link, USB_STRING_DESCRIPTOR, 0, 0, raw, sizeof raw, deadline);
	if (got >= 4 && raw[1] == USB_STRING_DESCRIPTOR)
		language = (uint16_t)(raw[2] | raw[3] << 8);
	read_string(link, strings->manufacturer, language, identity->manufacturer,
	            sizeof identity->manufacturer, deadline);
	read_string(link, strings->product, language, identity->name, sizeof identity->name,
	            deadline);
	read_string(link, strings->serial, language, identity->serial, sizeof identity->serial,
	            deadline);
}
