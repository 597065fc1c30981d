#include "station/station.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hextools/conf.h"
#include "hextools/version.h"
#include "station/event_sink.h"
#include "station/recorder.h"

enum {
	EVENT_ROOM = 1024,
	TICK_MS = 100,
	BATCH = 64, /* events absorbed between two drawings */
	DEVICES = 256,
};

struct station {
	const struct station_options *options;
	struct station_file file;
	struct recipe *recipes[SLOT_JOBS];
	struct recorder *recorder;
	struct log_recovery recovery;
	struct host *host;
	struct event_queue *events;
	struct event_sink *sink;
	struct view *view, *sink_view; /* view is borrowed, sink_view owned */
	struct snapshot *snapshot;
	struct slot_shared shared;
	struct slot slots[STATION_SLOTS];
	size_t started;
};

/* ---- devices */

static bool all_are_lines(const struct station_file *file)
{
	size_t i = 0;

	while (file != NULL && i < file->slot_count && place_is_line(&file->slots[i]))
		i++;
	return i > 0 && i == file->slot_count;
}

int station_host_create(const char *url, const struct station_file *file, struct host **out, struct pogo_error *err)
{
	if (url != NULL)
		return host_usbip_create(url, out, err);
	if (host_libusb_create(out, err) == 0)
		return 0;
	return all_are_lines(file) ? host_none_create(out, err) : -1;
}

int station_port_order(const char *a, const char *b)
{
	while (*a != '\0' && *b != '\0') {
		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			char *end_a, *end_b;
			unsigned long x = strtoul(a, &end_a, 10), y = strtoul(b, &end_b, 10);
			if (x != y)
				return x < y ? -1 : 1;
			a = end_a;
			b = end_b;
		} else if (*a != *b) {
			return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
		} else {
			a++;
			b++;
		}
	}
	return (*a != '\0') - (*b != '\0');
}

static int place_order(const void *a, const void *b)
{
	const struct slot_place *x = a, *y = b;

	return station_port_order(x->port, y->port);
}

int station_file_from_plugs(struct host *host, place_judge *programmer_for, struct station_file *file,
                            struct pogo_error *err)
{
	struct usb_identity *plugged = calloc(DEVICES, sizeof *plugged);

	if (plugged == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for the list of devices");
	int count = host->ops->list(host, plugged, DEVICES, false, err);
	for (int i = 0; i < count && i < DEVICES && file->slot_count < STATION_SLOTS; i++) {
		if (programmer_for("", &plugged[i]) == NULL)
			continue;
		struct slot_place *place = &file->slots[file->slot_count++];
		*place = (struct slot_place){.name = ""};
		snprintf(place->port, sizeof place->port, "%s", plugged[i].path);
	}
	free(plugged);
	if (count < 0)
		return -1;
	if (file->slot_count == 0)
		return pogo_fail(err, POGO_SYSTEM,
		                 "no known programmer among the %d devices that are plugged; "
		                 "plug one (`pogo-station pods` lists them) or give a station file "
		                 "with --station",
		                 count);
	qsort(file->slots, file->slot_count, sizeof file->slots[0], place_order);
	for (size_t i = 0; i < file->slot_count; i++)
		snprintf(file->slots[i].name, sizeof file->slots[i].name, "%u", (unsigned)(i + 1));
	return 0;
}

static int open_host(struct station *station, struct pogo_error *err)
{
	const struct station_seams *seams = station->options->seams;

	if (seams != NULL)
		return seams->host_create(seams->context, &station->host, err);
	return station_host_create(station->options->host_url, &station->file, &station->host, err);
}

/* Also asks once what is plugged: a server that is not there must be told now, not by every slot.
 */
static int find_slots(struct station *station, struct pogo_error *err)
{
	struct usb_identity *plugged;

	if (station->file.slot_count == 0)
		return station_file_from_plugs(station->host, station->shared.programmer_for,
		                               &station->file, err);
	plugged = calloc(DEVICES, sizeof *plugged);
	if (plugged == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for the list of devices");
	int count = station->host->ops->list(station->host, plugged, DEVICES, false, err);
	free(plugged);
	return count < 0 ? -1 : 0;
}

/* ---- before the first slot */

static int take_recipe(struct station *station, size_t number, const char *configs, struct pogo_error *err)
{
	const struct station_options *options = station->options;
	struct slot_job *job = &station->shared.jobs[number];

	if (recipe_load(configs, options->recipe_paths[number], &station->recipes[number], err) != 0) {
		/* `check` asked whether the recipe is good, and the answer is no. A run was to flash
		 * boards: to it a recipe that must not be used is unusable input. */
		if (err->kind == POGO_NO)
			err->kind = POGO_INPUT;
		return -1;
	}
	const struct recipe *recipe = job->recipe = station->recipes[number];
	job->chip_driver = options->seams != NULL ? options->seams->chip_driver : chip_find(recipe->part->family);
	if (job->chip_driver == NULL)
		return pogo_fail(err, POGO_INPUT,
		                 "%s: part \"%s\" is of the family \"%s\", which this station "
		                 "cannot program",
		                 recipe->path, recipe->part->name, recipe->part->family);
	for (size_t i = 0; i < number; i++)
		if (station->shared.jobs[i].chip_driver->port == job->chip_driver->port)
			return pogo_fail(err, POGO_INPUT,
			                 "%s and %s are both for %s programmers: a slot could not know which one its board "
			                 "is for; give each its own run",
			                 station->recipes[i]->path, recipe->path,
			                 job->chip_driver->port == PORT_ISP ? "ISP" : "SWD");
	station->shared.job_count = number + 1;
	return 0;
}

/* Words and files: all of it is proved before any device is opened. */
static int load_files(struct station *station, struct pogo_error *err)
{
	const struct station_options *options = station->options;
	char configs[512];

	if (conf_dir(options->configs, configs, sizeof configs, err) != 0)
		return -1;
	for (size_t i = 0; i < options->recipe_count; i++)
		if (take_recipe(station, i, configs, err) != 0)
			return -1;
	station->shared.programmer_for =
	        options->seams != NULL ? options->seams->programmer_for : place_programmer_for;
	if (options->station_path != NULL)
		return station_file_load(options->station_path, &station->file, err);
	if (gethostname(station->file.station, sizeof station->file.station - 1) != 0 ||
	    station->file.station[0] == '\0')
		snprintf(station->file.station, sizeof station->file.station, "station");
	return 0;
}

/* A run of the log has one recipe: what came of it is counted by product. */
static int begin_run(struct station *station, struct slot_job *job, struct pogo_error *err)
{
	const struct recipe *recipe = job->recipe;
	struct log_run run = {
	        .station = station->file.station,
	        .operator_name = station->options->operator_name,
	        .tool_version = POGO_VERSION,
	        .product = recipe->product,
	        .part = recipe->part->name,
	        .recipe_digest = recipe->digest,
	        .recipe_text = recipe->text,
	        .recipe_path = recipe->path,
	        .image_digest = recipe->image_digest,
	        .image_path = recipe->image_path,
	        .image_crc32 = recipe->image_crc32,
	        .image_bytes = hex_image_bytes(&recipe->image),
	        .now_ms = clock_wall_ms(),
	};

	return recorder_run_begin(station->recorder, &run, &job->run_id, err);
}

static int begin_runs(struct station *station, struct pogo_error *err)
{
	for (size_t i = 0; i < station->shared.job_count; i++)
		if (begin_run(station, &station->shared.jobs[i], err) != 0)
			return -1;
	return 0;
}

static int end_runs(struct station *station, struct pogo_error *err)
{
	int result = 0;

	for (size_t i = 0; i < station->shared.job_count; i++)
		if (recorder_run_end(station->recorder, station->shared.jobs[i].run_id, result == 0 ? err : NULL) != 0)
			result = -1;
	return result;
}

/* Two recipes are shown as "kb + pad", and have no one image. */
static void show_job(struct station *station)
{
	const struct station_options *options = station->options;
	const struct slot_job *jobs = station->shared.jobs;
	char product[2 * sizeof jobs->recipe->product + 4];
	bool one = station->shared.job_count == 1;

	snprintf(product, sizeof product, "%s%s%s", jobs[0].recipe->product, one ? "" : " + ",
	         one ? "" : jobs[1].recipe->product);
	snapshot_init(station->snapshot, &station->file, product, one ? jobs[0].recipe->image_digest : "several",
	              options->operator_name, options->count);
}

static int open_views(struct station *station, struct pogo_error *err)
{
	const struct station_options *options = station->options;

	station->events = event_queue_create(EVENT_ROOM);
	station->snapshot = calloc(1, sizeof *station->snapshot);
	if (station->events == NULL || station->snapshot == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for the events of the slots");
	if (options->events_path == NULL)
		return 0;
	if (event_sink_open(options->events_path, &station->sink, err) != 0)
		return -1;
	station->sink_view = view_json_create(event_sink_stream(station->sink));
	if (station->sink_view == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for the events to \"%s\"",
		                 options->events_path);
	return 0;
}

static int prepare(struct station *station, struct pogo_error *err)
{
	const struct station_options *options = station->options;
	struct slot_shared *shared = &station->shared;

	if (load_files(station, err) != 0 || open_views(station, err) != 0)
		return -1;
	if (recorder_create(options->db_path, &station->recorder, &station->recovery, err) != 0)
		return -1;
	if (open_host(station, err) != 0 || find_slots(station, err) != 0 ||
	    begin_runs(station, err) != 0)
		return -1;
	shared->host = station->host;
	shared->recorder = station->recorder;
	shared->events = station->events;
	shared->no_board_s = station->file.no_board_s;
	shared->count = options->count;
	show_job(station);
	return 0;
}

/* ---- the run */

static void show(struct station *station, const struct event *event)
{
	snapshot_absorb(station->snapshot, event);
	station->snapshot->events_lost = event_lost(station->events);
	station->view->ops->event(station->view, event, station->snapshot);
	if (station->sink_view != NULL)
		station->sink_view->ops->event(station->sink_view, event, station->snapshot);
}

static void show_whole(struct station *station, enum event_kind kind, const char *text)
{
	struct event event = {.kind = kind,
	                      .slot = -1,
	                      .wall_ms = clock_wall_ms(),
	                      .run_id = station->shared.jobs[0].run_id};

	snprintf(event.text, sizeof event.text, "%s", text);
	show(station, &event);
}

/* ": KB000012, KB000013 and others" */
static void name_serials(const struct log_recovery *recovery, char *text, size_t size)
{
	unsigned named = 0;
	size_t used = 0;

	text[0] = '\0';
	for (; named < LOG_RECOVERY_NAMES && recovery->names[named][0] != '\0'; named++)
		used += (size_t)snprintf(text + used, size - used, "%s%s",
		                         named == 0 ? ": " : ", ", recovery->names[named]);
	if (named > 0 && named < recovery->serials)
		snprintf(text + used, size - used, " and others");
}

static void tell_recovery(struct station *station)
{
	const struct log_recovery *recovery = &station->recovery;
	char names[LOG_RECOVERY_NAMES * 50 + 16], text[320];

	if (recovery->runs == 0 && recovery->attempts == 0 && recovery->serials == 0)
		return;
	name_serials(recovery, names, sizeof names);
	if (recovery->attempts == 0 && recovery->serials == 0)
		snprintf(text, sizeof text,
		         "the last run was interrupted between two boards: nothing is in doubt");
	else
		snprintf(text, sizeof text,
		         "the last run was interrupted: %u attempt%s closed as interrupted, %u "
		         "serial number%s in doubt%s",
		         recovery->attempts, recovery->attempts == 1 ? "" : "s", recovery->serials,
		         recovery->serials == 1 ? "" : "s", names);
	show_whole(station, EVENT_NOTE, text);
}

static bool absorb_batch(struct station *station, int timeout_ms)
{
	struct event event;
	int taken = 0;

	while (taken < BATCH && event_take(station->events, &event, taken == 0 ? timeout_ms : 0)) {
		show(station, &event);
		taken++;
	}
	return taken > 0;
}

static void obey(struct station *station, enum view_wish wish, int signals)
{
	struct slot_shared *shared = &station->shared;
	bool abort = wish == VIEW_ABORT || signals >= 2, finish = wish != VIEW_GO_ON || signals >= 1;

	/* Both are told once: whoever pressed must see that it was heard. */
	if (abort && !atomic_exchange(&shared->abort, true))
		show_whole(station, EVENT_NOTE,
		           "aborting: boards in work are stopped and logged as ABORTED");
	else if (finish && !atomic_load(&shared->finish))
		show_whole(station, EVENT_NOTE,
		           "finishing: boards in work end, no new one starts; once more aborts them");
	if (finish)
		atomic_store(&shared->finish, true);
}

/* Until every slot has ended. Ending slots may sit in wait_change, and a wake counts only for waits
 * that have begun: so it is repeated. */
static void watch(struct station *station, const atomic_int *stop_signals)
{
	struct slot_shared *shared = &station->shared;

	while (atomic_load(&shared->alive) > 0) {
		absorb_batch(station, TICK_MS);
		obey(station, station->view->ops->tick(station->view, station->snapshot),
		     stop_signals != NULL ? atomic_load(stop_signals) : 0);
		if (station->sink_view != NULL)
			station->sink_view->ops->tick(station->sink_view, station->snapshot);
		if (recorder_broken(station->recorder))
			atomic_store(&shared->finish, true);
		if (atomic_load(&shared->finish) ||
		    (shared->count > 0 && atomic_load(&shared->started) >= shared->count))
			station->host->ops->wake(station->host);
	}
}

static int start_slots(struct station *station, struct pogo_error *err)
{
	for (size_t i = 0; i < station->file.slot_count; i++) {
		if (slot_start(&station->slots[i], (int)i, &station->file.slots[i],
		               &station->shared, err) != 0) {
			atomic_store(&station->shared.finish, true);
			return -1;
		}
		station->started++;
	}
	return 0;
}

static void summarize(struct station *station, struct station_summary *summary)
{
	struct slot_shared *shared = &station->shared;

	summary->passed = atomic_load(&shared->passed);
	summary->failed = atomic_load(&shared->failed);
	summary->errors = atomic_load(&shared->errors);
	summary->attempts = summary->passed + summary->failed + summary->errors;
}

static int run(struct station *station, const atomic_int *stop_signals,
               struct station_summary *summary, struct pogo_error *err)
{
	char why[480];

	show_whole(station, EVENT_RUN_BEGIN, "");
	tell_recovery(station);
	int result = start_slots(station, err);
	watch(station, stop_signals);
	for (size_t i = 0; i < station->started; i++)
		slot_join(&station->slots[i]);
	while (absorb_batch(station, 0))
		;
	summarize(station, summary);
	show_whole(station, EVENT_RUN_END, "");
	station->view->ops->tick(station->view, station->snapshot);
	if (recorder_broken(station->recorder)) {
		recorder_why(station->recorder, why, sizeof why);
		return pogo_fail(err, POGO_SYSTEM,
		                 "the log cannot be written, so the run was ended: %s", why);
	}
	if (result != 0) {
		end_runs(station, NULL);
		return -1;
	}
	return end_runs(station, err);
}

/* The other way round than prepare. The log last of all: it waits for what is still queued. */
static void tear_down(struct station *station)
{
	if (station->sink_view != NULL)
		station->sink_view->ops->destroy(station->sink_view);
	event_sink_close(station->sink);
	if (station->host != NULL)
		station->host->ops->destroy(station->host);
	recorder_destroy(station->recorder);
	event_queue_destroy(station->events);
	if (station->snapshot != NULL)
		snapshot_finish(station->snapshot);
	free(station->snapshot);
	for (size_t i = 0; i < SLOT_JOBS; i++)
		recipe_free(station->recipes[i]);
	free(station);
}

int station_run(const struct station_options *options, struct view *view,
                const atomic_int *stop_signals, struct station_summary *summary,
                struct pogo_error *err)
{
	struct station *station = calloc(1, sizeof *station);

	*summary = (struct station_summary){0};
	if (station == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for the station");
	station->options = options;
	station->view = view;
	int result = prepare(station, err);
	if (result == 0)
		result = run(station, stop_signals, summary, err);
	tear_down(station);
	return result;
}
