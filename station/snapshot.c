#include "station/snapshot.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which serials this run has seen: 64-bit hashes in open addressing, 0 = empty. Hashes instead of the
 * serials themselves, because a wrong answer only shifts a figure on the screen by one (the log does the
 * yield that counts), and a million units stay at 16 MiB. */
enum { SET_FIRST_ROOM = 256, SET_LAST_ROOM = 1 << 21 };

struct serial_set {
	size_t used, room; /* room is a power of two, at most half of it used */
	uint64_t *hashes;
};

/* FNV-1a, 64 bits (Fowler, Noll, Vo); never 0. */
static uint64_t serial_hash(const char *serial)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *serial; serial++)
		hash = (hash ^ (unsigned char)*serial) * 0x100000001b3u;
	return hash ? hash : 1;
}

static uint64_t *set_cell(uint64_t *hashes, size_t room, uint64_t hash)
{
	size_t i = hash & (room - 1);

	while (hashes[i] && hashes[i] != hash)
		i = (i + 1) & (room - 1);
	return &hashes[i];
}

static bool set_grow(struct serial_set *set)
{
	size_t room = set->room ? set->room * 2 : SET_FIRST_ROOM;
	uint64_t *hashes = room <= SET_LAST_ROOM ? calloc(room, sizeof(*hashes)) : NULL;

	if (!hashes)
		return false;
	for (size_t i = 0; i < set->room; i++)
		if (set->hashes[i])
			*set_cell(hashes, room, set->hashes[i]) = set->hashes[i];
	free(set->hashes);
	set->hashes = hashes;
	set->room = room;
	return true;
}

/* True when the serial is new. A set that cannot grow takes every unknown serial for new. */
static bool set_add(struct serial_set *set, const char *serial)
{
	uint64_t hash = serial_hash(serial);
	bool grown = set->used * 2 < set->room || set_grow(set);
	uint64_t *cell = set->room ? set_cell(set->hashes, set->room, hash) : NULL;

	if (cell && *cell)
		return false;
	if (cell && grown) {
		*cell = hash;
		set->used++;
	}
	return true;
}

static void copy(char *to, size_t room, const char *from)
{
	snprintf(to, room, "%s", from ? from : "");
}

void snapshot_init(struct snapshot *snapshot, const struct station_file *file, const char *product,
		   const char *image_digest, const char *operator_name, uint64_t count_wanted)
{
	memset(snapshot, 0, sizeof(*snapshot));
	copy(snapshot->station, sizeof(snapshot->station), file->station);
	copy(snapshot->product, sizeof(snapshot->product), product);
	copy(snapshot->image_digest, sizeof(snapshot->image_digest), image_digest);
	snprintf(snapshot->image_short, sizeof(snapshot->image_short), "%.8s", snapshot->image_digest);
	copy(snapshot->operator_name, sizeof(snapshot->operator_name), operator_name);
	snapshot->count_wanted = count_wanted;
	snapshot->slot_count = file->slot_count < STATION_SLOTS ? file->slot_count : STATION_SLOTS;
	for (size_t i = 0; i < snapshot->slot_count; i++) {
		struct slot_snapshot *slot = &snapshot->slots[i];

		copy(slot->name, sizeof(slot->name), file->slots[i].name);
		copy(slot->port, sizeof(slot->port), file->slots[i].port);
	}
	/* Without memory for it every serial counts as a new unit. */
	snapshot->seen = calloc(1, sizeof(*snapshot->seen));
}

void snapshot_finish(struct snapshot *snapshot)
{
	if (snapshot->seen)
		free(snapshot->seen->hashes);
	free(snapshot->seen);
	snapshot->seen = NULL;
}

const struct slot_snapshot *snapshot_slot(const struct snapshot *snapshot, int index)
{
	return index >= 0 && (size_t)index < snapshot->slot_count ? &snapshot->slots[index] : NULL;
}

/* An attempt without a serial is a unit of its own: contact failures must not vanish from the yield. */
static bool is_new_unit(struct snapshot *snapshot, const char *serial)
{
	return !serial[0] || !snapshot->seen || set_add(snapshot->seen, serial);
}

static void count_result(struct snapshot *snapshot, struct slot_snapshot *slot, const struct event *event)
{
	bool passed = event->fault.code == FAIL_NONE;

	if (event->fault.code == FAIL_NO_BOARD)
		return; /* what nobody set is no board */
	snapshot->finished++;
	slot->attempts++;
	if (!passed && fail_is_error(event->fault.code)) {
		slot->errors++;
		return;
	}
	if (passed)
		slot->passed++;
	else
		slot->failed++;
	if (is_new_unit(snapshot, event->serial)) {
		slot->units++;
		slot->units_first_pass += passed;
	}
}

static void absorb_result(struct snapshot *snapshot, struct slot_snapshot *slot, const struct event *event)
{
	count_result(snapshot, slot, event);
	copy(slot->last_serial, sizeof(slot->last_serial), event->serial);
	copy(slot->last_text, sizeof(slot->last_text), event->text);
	slot->last_code = event->fault.code;
	slot->last_duration_ms = event->duration_ms;
	if (event->fault.code != FAIL_NONE)
		copy(snapshot->note, sizeof(snapshot->note), event->text);
}

static void absorb_state(struct slot_snapshot *slot, const struct event *event)
{
	slot->state = event->state;
	slot->since_ms = event->wall_ms;
	if (event->state == SLOT_PASS || event->state == SLOT_FAIL || event->state == SLOT_ERROR)
		return; /* the board still lies there: its serial stays in sight */
	slot->serial[0] = '\0';
	slot->step = STEP_NONE;
	slot->done = slot->total = 0;
}

static void absorb_slot(struct snapshot *snapshot, struct slot_snapshot *slot, const struct event *event)
{
	switch (event->kind) {
	case EVENT_STATE:
		absorb_state(slot, event);
		break;
	case EVENT_STEP:
	case EVENT_PROGRESS:
		slot->step = event->step;
		slot->done = event->done;
		slot->total = event->total;
		break;
	case EVENT_SERIAL:
		copy(slot->serial, sizeof(slot->serial), event->serial);
		break;
	case EVENT_RESULT:
		absorb_result(snapshot, slot, event);
		break;
	case EVENT_RUN_BEGIN:
	case EVENT_RUN_END:
	case EVENT_NOTE:
		break;
	}
}

void snapshot_absorb(struct snapshot *snapshot, const struct event *event)
{
	if (event->kind == EVENT_RUN_BEGIN) {
		snapshot->run_id = event->run_id;
		snapshot->started_ms = event->wall_ms;
	}
	if (event->kind == EVENT_NOTE)
		copy(snapshot->note, sizeof(snapshot->note), event->text);
	if (snapshot_slot(snapshot, event->slot))
		absorb_slot(snapshot, &snapshot->slots[event->slot], event);
}

void snapshot_total(const struct snapshot *snapshot, struct snapshot_totals *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < snapshot->slot_count; i++) {
		const struct slot_snapshot *slot = &snapshot->slots[i];

		out->attempts += slot->attempts;
		out->passed += slot->passed;
		out->failed += slot->failed;
		out->errors += slot->errors;
		out->units += slot->units;
		out->units_first_pass += slot->units_first_pass;
	}
}
