#include "hextools/release_settings.h"

#include <string.h>

#include "hextools/edit.h"

/* Where avr-gcc's linker scripts put them (avr-libc user manual, "Memory Sections"). */
enum { FUSE_BASE = 0x820000, LOCK_BASE = 0x830000, SIGNATURE_BASE = 0x840000, SETTINGS_END = 0x84FFFF };

static int take_signature(const struct release *release, const struct release_input *input, struct pogo_error *err)
{
	/* In the file the third byte comes first. */
	const uint8_t *part = release->part->signature;
	uint8_t found[3];
	if (hex_image_read(&input->image, SIGNATURE_BASE, found, 3, 0xFF) == 0)
		return 0;
	if (found[0] == part[2] && found[1] == part[1] && found[2] == part[0])
		return 0;
	return pogo_fail(err, POGO_NO, "\"%.150s\" was built for signature %02X %02X %02X, the %s has %02X %02X %02X",
			 input->path, found[2], found[1], found[0], release->part->title, part[0], part[1], part[2]);
}

static int take_fuses(struct release *release, const struct release_input *input, struct pogo_error *err)
{
	struct release_settings *asked = &release->asked;
	uint8_t fuses[PART_FUSES];
	unsigned count = release->part->fuse_count;
	size_t found = hex_image_read(&input->image, FUSE_BASE, fuses, count, 0xFF);
	if (found == 0)
		return 0;
	if (found != count)
		return pogo_fail(err, POGO_NO, "\"%.150s\" has %zu fuse bytes, the %s has %u", input->path, found,
				 release->part->title, count);
	if (asked->has_fuses && memcmp(asked->fuses, fuses, count) != 0)
		return pogo_fail(err, POGO_NO, "\"%.150s\" and \"%.150s\" ask for different fuses", asked->path, input->path);
	memset(asked->fuses, 0xFF, sizeof asked->fuses);
	memcpy(asked->fuses, fuses, count);
	asked->has_fuses = true;
	asked->path = input->path;
	return 0;
}

static int take_lock(struct release *release, const struct release_input *input, struct pogo_error *err)
{
	struct release_settings *asked = &release->asked;
	uint8_t lock;
	if (hex_image_read(&input->image, LOCK_BASE, &lock, 1, 0xFF) == 0)
		return 0;
	if (asked->has_lock && asked->lock != lock)
		return pogo_fail(err, POGO_NO, "\"%.150s\" and \"%.150s\" ask for different lock bytes", asked->path, input->path);
	asked->lock = lock;
	asked->has_lock = true;
	asked->path = input->path;
	return 0;
}

int release_take_settings(struct release *release, struct release_input *input, struct pogo_error *err)
{
	const struct hex_range all = {.first = FUSE_BASE, .last = SETTINGS_END};
	if (!part_is_avr(release->part))
		return 0;
	if (take_signature(release, input, err) != 0 || take_fuses(release, input, err) != 0 ||
	    take_lock(release, input, err) != 0)
		return -1;
	return edit_exclude(&input->image, &all, 1, err);
}
