#include "station/link/link.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libusb.h>

#include "station/link/descriptor.h"
#include "station/link/usb_tty.h"

/* This machine's USB. One thread per host runs libusb_handle_events; a slot thread submits a
 * transfer and waits on a condition until the callback, run by the event thread, says that it is
 * over. */

enum {
	LOOK_AGAIN_MS = 500, /* wait_change never sleeps longer: covers a missed event and systems
	                        without hotplug */
	LEFT_MS = 300, /* an unplugged device fails with a bus error first; the kernel needs this to
	                  notice */
	STRINGS_MS = 500,
	SETTLE_MS = 2000, /* after plugging: the kernel's driver makes the tty, then udev gives it its group */
	SETTLE_STEP_US = 20 * 1000,
	EVENT_TICK_S = 1,
	MAX_PORTS = 7,
};

struct usb_link;

struct usb_host {
	struct host base;
	libusb_context *usb;
	pthread_t events;
	bool has_hotplug;
	libusb_hotplug_callback_handle hotplug;
	pthread_mutex_t lock; /* guards all below, and what the links say of their transfers */
	pthread_cond_t changed;
	bool stop;
	unsigned generation;    /* counts arrivals, departures and wakes */
	int64_t plugged_at;     /* clock_now() of the last arrival; in the beginning, of creation */
	struct usb_link *links; /* open ones, to tell each when its device leaves */
};

struct usb_link {
	struct link base;
	struct usb_host *host;
	struct usb_link *next;
	libusb_device *device;
	libusb_device_handle *handle;
	pthread_cond_t finished;
	bool gone;
	bool claimed;
};

struct flight { /* one transfer; lives on the stack of the thread that waits for it */
	struct usb_link *link;
	struct libusb_transfer *transfer;
	bool over;
};

/* ---- waiting ---------------------------------------------------------------------------- */

static void init_monotonic(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

/* Returns non-zero at the deadline. */
static int wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, deadline_t deadline)
{
	const struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000),
	                               .tv_nsec = deadline % 1000000000};

	return pthread_cond_timedwait(cond, lock, &until);
}

static void *run_events(void *context)
{
	struct usb_host *host = context;
	bool stop = false;

	while (!stop) {
		struct timeval tick = {.tv_sec = EVENT_TICK_S};
		libusb_handle_events_timeout_completed(host->usb, &tick, NULL);
		pthread_mutex_lock(&host->lock);
		stop = host->stop;
		pthread_mutex_unlock(&host->lock);
	}
	return NULL;
}

/* Runs in the event thread, where libusb may not be called back: it only marks and signals. */
static int LIBUSB_CALL on_hotplug(libusb_context *usb, libusb_device *device,
                                  libusb_hotplug_event event, void *context)
{
	struct usb_host *host = context;

	(void)usb;
	pthread_mutex_lock(&host->lock);
	if (event == LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT)
		for (struct usb_link *link = host->links; link != NULL; link = link->next)
			if (link->device == device) {
				link->gone = true;
				pthread_cond_broadcast(&link->finished);
			}
	if (event == LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED)
		host->plugged_at = clock_now();
	host->generation++;
	pthread_cond_broadcast(&host->changed);
	pthread_mutex_unlock(&host->lock);
	return 0;
}

/* ---- transfers -------------------------------------------------------------------------- */

static void LIBUSB_CALL on_transfer(struct libusb_transfer *transfer)
{
	struct flight *flight = transfer->user_data;
	struct usb_link *link = flight->link;

	pthread_mutex_lock(&link->host->lock);
	flight->over = true;
	pthread_cond_broadcast(&link->finished);
	pthread_mutex_unlock(&link->host->lock);
}

static int mark_gone(struct usb_link *link)
{
	pthread_mutex_lock(&link->host->lock);
	link->gone = true;
	pthread_mutex_unlock(&link->host->lock);
	return -LINK_GONE;
}

/* A bus error is either a passing one or the first sign of an unplugged device. */
static int gone_or_io(struct usb_link *link)
{
	deadline_t deadline = deadline_in_ms(LEFT_MS);
	bool gone;

	pthread_mutex_lock(&link->host->lock);
	while (!link->gone && wait_until(&link->finished, &link->host->lock, deadline) == 0)
		;
	gone = link->gone;
	pthread_mutex_unlock(&link->host->lock);
	return gone ? -LINK_GONE : -LINK_IO;
}

static int result_of(struct usb_link *link, const struct libusb_transfer *transfer)
{
	switch (transfer->status) {
	case LIBUSB_TRANSFER_COMPLETED:
		return transfer->actual_length;
	case LIBUSB_TRANSFER_TIMED_OUT:
	case LIBUSB_TRANSFER_CANCELLED:
		return -LINK_TIMEOUT;
	case LIBUSB_TRANSFER_STALL:
		return -LINK_STALL;
	case LIBUSB_TRANSFER_NO_DEVICE:
		return mark_gone(link);
	case LIBUSB_TRANSFER_ERROR:
		return gone_or_io(link);
	case LIBUSB_TRANSFER_OVERFLOW:
		break;
	}
	return -LINK_IO;
}

/* Submits, waits, cancels at the deadline. Returns only when libusb is done with the buffer. */
static int fly(struct usb_link *link, struct flight *flight, deadline_t deadline)
{
	struct usb_host *host = link->host;
	int failed = libusb_submit_transfer(flight->transfer);

	if (failed == LIBUSB_ERROR_NO_DEVICE)
		return mark_gone(link);
	if (failed != 0)
		return gone_or_io(link);
	bool cancelled = false;
	pthread_mutex_lock(&host->lock);
	while (!flight->over) {
		if (cancelled) {
			pthread_cond_wait(&link->finished, &host->lock);
		} else if (wait_until(&link->finished, &host->lock, deadline) != 0 &&
		           !flight->over) {
			pthread_mutex_unlock(&host->lock);
			libusb_cancel_transfer(flight->transfer);
			pthread_mutex_lock(&host->lock);
			cancelled = true;
		}
	}
	pthread_mutex_unlock(&host->lock);
	return result_of(link, flight->transfer);
}

static bool is_gone(struct usb_link *link)
{
	pthread_mutex_lock(&link->host->lock);
	bool gone = link->gone;
	pthread_mutex_unlock(&link->host->lock);
	return gone;
}

static int usb_control(struct link *base, uint8_t request_type, uint8_t request, uint16_t value,
                       uint16_t index, void *data, uint16_t length, deadline_t deadline)
{
	struct usb_link *link = (struct usb_link *)base;

	if (is_gone(link))
		return -LINK_GONE;
	if (deadline_left_ms(deadline) == 0)
		return -LINK_TIMEOUT;
	uint8_t *buffer = calloc(1, LIBUSB_CONTROL_SETUP_SIZE + (size_t)length);
	struct flight flight = {.link = link, .transfer = libusb_alloc_transfer(0)};
	int result = -LINK_IO;
	if (buffer != NULL && flight.transfer != NULL) {
		libusb_fill_control_setup(buffer, request_type, request, value, index, length);
		if (!(request_type & LIBUSB_ENDPOINT_IN) && length > 0)
			memcpy(buffer + LIBUSB_CONTROL_SETUP_SIZE, data, length);
		libusb_fill_control_transfer(flight.transfer, link->handle, buffer, on_transfer,
		                             &flight, 0);
		result = fly(link, &flight, deadline);
		if (result > length)
			result = length;
		if ((request_type & LIBUSB_ENDPOINT_IN) && result > 0)
			memcpy(data, buffer + LIBUSB_CONTROL_SETUP_SIZE, (size_t)result);
	}
	libusb_free_transfer(flight.transfer);
	free(buffer);
	return result;
}

/* Bulk endpoints belong to an interface, and a kernel driver that has it must let it go. */
static int claim_for_bulk(struct usb_link *link)
{
	if (link->claimed)
		return 0;
	libusb_set_auto_detach_kernel_driver(link->handle, 1);
	int failed = libusb_claim_interface(link->handle, 0);
	if (failed == LIBUSB_ERROR_NO_DEVICE)
		return mark_gone(link);
	if (failed != 0)
		return -LINK_IO;
	link->claimed = true;
	return 0;
}

/* Endpoint 0 works without any claim, also for two programs at once: `pogo-station pods` beside a
 * running line would then speak into the middle of a board. The kernel gives an interface to one
 * opener only, so holding it is the mark that the device is taken. A device that a kernel driver
 * has is not disturbed: it may be somebody's keyboard. Returns 0 or the libusb error. */
static int hold(struct usb_link *link)
{
	if (libusb_kernel_driver_active(link->handle, 0) == 1)
		return 0;
	int failed = libusb_claim_interface(link->handle, 0);
	link->claimed = failed == 0;
	return failed == LIBUSB_ERROR_BUSY || failed == LIBUSB_ERROR_NO_DEVICE ? failed : 0;
}

static int usb_bulk(struct link *base, uint8_t endpoint, void *data, size_t length,
                    deadline_t deadline)
{
	struct usb_link *link = (struct usb_link *)base;

	if (is_gone(link))
		return -LINK_GONE;
	if (deadline_left_ms(deadline) == 0)
		return -LINK_TIMEOUT;
	int result = claim_for_bulk(link);
	if (result < 0)
		return result;
	/* The caller's buffer is safe to lend: fly returns only after the transfer is over. */
	struct flight flight = {.link = link, .transfer = libusb_alloc_transfer(0)};
	if (flight.transfer == NULL || length > INT32_MAX) {
		libusb_free_transfer(flight.transfer);
		return -LINK_IO;
	}
	libusb_fill_bulk_transfer(flight.transfer, link->handle, endpoint, data, (int)length,
	                          on_transfer, &flight, 0);
	result = fly(link, &flight, deadline);
	if (result == -LINK_STALL)
		libusb_clear_halt(link->handle, endpoint);
	libusb_free_transfer(flight.transfer);
	return result;
}

/* The kernel resets the port and puts configuration and claims back (it may take some hundred ms, whatever the deadline). A
 * device that comes back with other descriptors is another one to it: NOT_FOUND, as if it had been unplugged. */
static int usb_restart(struct link *base, deadline_t deadline)
{
	struct usb_link *link = (struct usb_link *)base;

	if (is_gone(link))
		return -LINK_GONE;
	if (deadline_left_ms(deadline) == 0)
		return -LINK_TIMEOUT;
	int failed = libusb_reset_device(link->handle);
	if (failed == LIBUSB_ERROR_NOT_FOUND || failed == LIBUSB_ERROR_NO_DEVICE)
		return mark_gone(link);
	return failed == 0 ? 0 : -LINK_IO;
}

static void usb_close(struct link *base)
{
	struct usb_link *link = (struct usb_link *)base;
	struct usb_host *host = link->host;

	pthread_mutex_lock(&host->lock);
	for (struct usb_link **p = &host->links; *p != NULL; p = &(*p)->next)
		if (*p == link) {
			*p = link->next;
			break;
		}
	pthread_mutex_unlock(&host->lock);
	if (link->claimed)
		libusb_release_interface(link->handle, 0);
	libusb_close(link->handle);
	libusb_unref_device(link->device);
	pthread_cond_destroy(&link->finished);
	free(link);
}

static const struct link_ops usb_link_ops = {
        .control = usb_control, .bulk = usb_bulk, .restart = usb_restart, .close = usb_close};

/* ---- devices ---------------------------------------------------------------------------- */

/* "BUS-PORT.PORT", as the directories of /sys/bus/usb/devices are called. False: a root hub. */
static bool port_path(libusb_device *device, char *out, size_t room)
{
	uint8_t ports[MAX_PORTS];
	int count = libusb_get_port_numbers(device, ports, MAX_PORTS);

	if (count <= 0)
		return false;
	int used = snprintf(out, room, "%u-%u", libusb_get_bus_number(device), ports[0]);
	for (int i = 1; i < count && used > 0 && (size_t)used < room; i++)
		used += snprintf(out + used, room - (size_t)used, ".%u", ports[i]);
	return used > 0 && (size_t)used < room;
}

/* What the hub in front says of itself (USB 2.0, 11.23.1): protocol 1 is one translator, 2 is one per port; 0 is a hub
 * of full speed, whose ports share 12 Mbit/s as well. USB 3 halves of hubs (3) carry no slow devices. */
static enum hub_kind hub_above(libusb_device *device)
{
	static const enum hub_kind kinds[] = {HUB_SINGLE_TT, HUB_SINGLE_TT, HUB_MULTI_TT};
	struct libusb_device_descriptor hub;
	uint8_t ports[MAX_PORTS];

	if (libusb_get_port_numbers(device, ports, MAX_PORTS) == 1)
		return HUB_ROOT;
	libusb_device *parent = libusb_get_parent(device);
	if (parent == NULL || libusb_get_device_descriptor(parent, &hub) != 0 ||
	    hub.bDeviceClass != LIBUSB_CLASS_HUB || hub.bDeviceProtocol >= sizeof kinds / sizeof kinds[0])
		return HUB_UNKNOWN;
	return kinds[hub.bDeviceProtocol];
}

/* Of a device from a list that is not freed yet: only so long a device knows its hub. */
static bool identify(libusb_device *device, struct usb_identity *identity,
                     struct device_strings *strings)
{
	struct libusb_device_descriptor descriptor;

	*identity = (struct usb_identity){0};
	if (!port_path(device, identity->path, sizeof identity->path) ||
	    libusb_get_device_descriptor(device, &descriptor) != 0)
		return false;
	identity->vendor = descriptor.idVendor;
	identity->product = descriptor.idProduct;
	identity->release = descriptor.bcdDevice;
	identity->speed = (uint8_t)libusb_get_device_speed(device);
	identity->hub = hub_above(device);
	*strings = (struct device_strings){descriptor.iManufacturer, descriptor.iProduct,
	                                   descriptor.iSerialNumber};
	return true;
}

static int open_failed(libusb_device *device, const struct usb_identity *id, int failed,
                       struct pogo_error *err)
{
	char node[40];

	if (failed == LIBUSB_ERROR_NO_DEVICE || failed == LIBUSB_ERROR_NOT_FOUND)
		return 1; /* it left since the list was made */
	snprintf(node, sizeof node, "/dev/bus/usb/%03u/%03u", libusb_get_bus_number(device),
	         libusb_get_device_address(device));
	if (failed == LIBUSB_ERROR_ACCESS)
		return pogo_fail(err, POGO_SYSTEM,
		                 "no permission to open %s, the USB device %04x:%04x at port %s: "
		                 "install the udev rule "
		                 "configs/udev/60-pogoline.rules into /etc/udev/rules.d (its first "
		                 "lines say how) and plug "
		                 "the device in again",
		                 node, id->vendor, id->product, id->path);
	if (failed == LIBUSB_ERROR_BUSY)
		return pogo_fail(err, POGO_SYSTEM,
		                 "%s, the USB device %04x:%04x at port %s, is in use: end the "
		                 "other program that has it "
		                 "open",
		                 node, id->vendor, id->product, id->path);
	return pogo_fail(err, POGO_SYSTEM,
	                 "cannot open %s, the USB device %04x:%04x at port %s: %s; unplug it and "
	                 "plug it in again",
	                 node, id->vendor, id->product, id->path, libusb_strerror(failed));
}

/* Returns 0, 1 = it left meanwhile, -1 with *err. */
static int open_device(struct usb_host *host, libusb_device *device, const struct usb_identity *id,
                       struct usb_link **out, struct pogo_error *err)
{
	struct usb_link *link = calloc(1, sizeof *link);

	if (link == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	int failed = libusb_open(device, &link->handle);
	if (failed != 0) {
		free(link);
		return open_failed(device, id, failed, err);
	}
	link->base.ops = &usb_link_ops;
	link->host = host;
	link->device = libusb_ref_device(device);
	init_monotonic(&link->finished);
	pthread_mutex_lock(&host->lock);
	link->next = host->links;
	host->links = link;
	pthread_mutex_unlock(&host->lock);
	*out = link;
	return 0;
}

static bool is_open_here(struct usb_host *host, libusb_device *device)
{
	bool found = false;

	pthread_mutex_lock(&host->lock);
	for (struct usb_link *link = host->links; link != NULL && !found; link = link->next)
		found = link->device == device;
	pthread_mutex_unlock(&host->lock);
	return found;
}

static void try_strings(struct usb_host *host, libusb_device *device,
                        const struct device_strings *strings, struct usb_identity *id)
{
	struct usb_link *link = NULL;

	/* Somebody's slot is at work there: its strings are not worth a disturbance. */
	if (is_open_here(host, device) || open_device(host, device, id, &link, NULL) != 0 ||
	    link == NULL)
		return;
	descriptor_read_strings(&link->base, strings, id, deadline_in_ms(STRINGS_MS));
	usb_close(&link->base);
}

static int get_devices(struct usb_host *host, libusb_device ***devices, struct pogo_error *err)
{
	ssize_t count = libusb_get_device_list(host->usb, devices);

	if (count < 0)
		return pogo_fail(err, POGO_SYSTEM,
		                 "cannot list the USB devices of this machine: %s",
		                 libusb_strerror((int)count));
	return (int)count;
}

static int usb_list(struct host *base, struct usb_identity *out, size_t room, bool with_strings,
                    struct pogo_error *err)
{
	struct usb_host *host = (struct usb_host *)base;
	libusb_device **devices;
	int count = get_devices(host, &devices, err), found = 0;

	if (count < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		struct usb_identity id;
		struct device_strings strings;
		if (!identify(devices[i], &id, &strings))
			continue;
		if ((size_t)found < room) {
			if (with_strings)
				try_strings(host, devices[i], &strings, &id);
			usb_tty_of(USB_TTY_SYSFS, id.path, id.tty, sizeof id.tty);
			out[found] = id;
		}
		found++;
	}
	libusb_free_device_list(devices, 1);
	return found;
}

static int usb_open(struct host *base, const char *path, struct link **out,
                    struct usb_identity *identity, struct pogo_error *err)
{
	struct usb_host *host = (struct usb_host *)base;
	libusb_device **devices;
	int count = get_devices(host, &devices, err), result = 1;

	if (count < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		struct device_strings strings;
		struct usb_link *link = NULL;
		struct usb_identity id;
		if (!identify(devices[i], &id, &strings) || strcmp(id.path, path) != 0)
			continue;
		result = open_device(host, devices[i], &id, &link, err);
		int failed = result == 0 ? hold(link) : 0;
		if (failed != 0) {
			usb_close(&link->base);
			result = open_failed(devices[i], &id, failed, err);
		} else if (result == 0) {
			descriptor_read_strings(&link->base, &strings, &id,
			                        deadline_in_ms(STRINGS_MS));
			*out = &link->base;
			*identity = id;
		}
		break;
	}
	libusb_free_device_list(devices, 1);
	return result;
}

/* ---- serial lines ----------------------------------------------------------------------- */

/* 0 = nothing is plugged there, 1 and its ids, -1 and *err. */
static int find_plugged(struct usb_host *host, const char *path, struct usb_identity *id, struct pogo_error *err)
{
	libusb_device **devices;
	int count = get_devices(host, &devices, err), found = 0;
	struct device_strings strings;

	if (count < 0)
		return -1;
	for (int i = 0; i < count && !found; i++)
		found = identify(devices[i], id, &strings) && strcmp(id->path, path) == 0;
	libusb_free_device_list(devices, 1);
	return found;
}

/* The tty of a device that has just come is made by the kernel's driver after the device itself, and may be opened only
 * when udev has seen it too. False: there is none; one that must not be opened is left to the opening, which says why. */
static bool await_tty(struct usb_host *host, const char *path, char *tty, size_t room)
{
	pthread_mutex_lock(&host->lock);
	deadline_t deadline = host->plugged_at + SETTLE_MS * 1000000LL;
	pthread_mutex_unlock(&host->lock);
	for (;;) {
		bool found = usb_tty_of(USB_TTY_SYSFS, path, tty, room);
		if ((found && access(tty, R_OK | W_OK) == 0) || deadline_left_ms(deadline) == 0)
			return found;
		clock_sleep_us(SETTLE_STEP_US);
	}
}

static int usb_open_serial(struct host *base, const char *path, struct link **out, struct usb_identity *identity,
                           struct pogo_error *err)
{
	struct usb_host *host = (struct usb_host *)base;
	struct usb_identity id, line;
	char now[sizeof id.tty];
	int found = find_plugged(host, path, &id, err);

	if (found <= 0)
		return found < 0 ? -1 : 1;
	if (!await_tty(host, path, id.tty, sizeof id.tty)) {
		if (find_plugged(host, path, &id, NULL) == 0)
			return 1;
		return pogo_fail(err, POGO_INPUT,
		                 "the USB device %04x:%04x at port %s is no serial line: the kernel has no tty of it (or brltty "
		                 "took it, see 60-pogoline.rules); plug a serial programmer there, or correct the station file",
		                 id.vendor, id.product, path);
	}
	int result = link_serial_open(id.tty, out, &line, err);
	if (result != 0)
		return result;
	/* Replugged meanwhile, the name may be another device's. */
	if (!usb_tty_of(USB_TTY_SYSFS, path, now, sizeof now) || strcmp(now, id.tty) != 0) {
		(*out)->ops->close(*out);
		return 1;
	}
	usb_tty_identity(USB_TTY_SYSFS, path, &id);
	*identity = id;
	return 0;
}

/* ---- host ------------------------------------------------------------------------------- */

static void usb_wait_change(struct host *base, deadline_t deadline)
{
	struct usb_host *host = (struct usb_host *)base;
	deadline_t again = deadline_in_ms(LOOK_AGAIN_MS);

	if (again < deadline)
		deadline = again;
	pthread_mutex_lock(&host->lock);
	unsigned begin = host->generation;
	while (host->generation == begin && wait_until(&host->changed, &host->lock, deadline) == 0)
		;
	pthread_mutex_unlock(&host->lock);
}

static void usb_wake(struct host *base)
{
	struct usb_host *host = (struct usb_host *)base;

	pthread_mutex_lock(&host->lock);
	host->generation++;
	pthread_cond_broadcast(&host->changed);
	pthread_mutex_unlock(&host->lock);
}

static void free_host(struct usb_host *host)
{
	libusb_exit(host->usb);
	pthread_cond_destroy(&host->changed);
	pthread_mutex_destroy(&host->lock);
	free(host);
}

static void usb_destroy(struct host *base)
{
	struct usb_host *host = (struct usb_host *)base;

	if (host->has_hotplug)
		libusb_hotplug_deregister_callback(host->usb, host->hotplug);
	pthread_mutex_lock(&host->lock);
	host->stop = true;
	pthread_mutex_unlock(&host->lock);
	libusb_interrupt_event_handler(host->usb);
	pthread_join(host->events, NULL);
	free_host(host);
}

static const struct host_ops usb_host_ops = {
        .list = usb_list,
        .open = usb_open,
        .open_serial = usb_open_serial,
        .wait_change = usb_wait_change,
        .wake = usb_wake,
        .destroy = usb_destroy,
};

static void watch_hotplug(struct usb_host *host)
{
	const int events = LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED | LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT;

	if (libusb_has_capability(LIBUSB_CAP_HAS_HOTPLUG) == 0)
		return;
	host->has_hotplug =
	        libusb_hotplug_register_callback(host->usb, events, LIBUSB_HOTPLUG_NO_FLAGS,
	                                         LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY,
	                                         LIBUSB_HOTPLUG_MATCH_ANY, on_hotplug, host,
	                                         &host->hotplug) == LIBUSB_SUCCESS;
}

int host_libusb_create(struct host **out, struct pogo_error *err)
{
	struct usb_host *host = calloc(1, sizeof *host);

	if (host == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	host->base.ops = &usb_host_ops;
	host->plugged_at = clock_now();
	int failed = libusb_init(&host->usb);
	if (failed != 0) {
		free(host);
		return pogo_fail(err, POGO_SYSTEM,
		                 "cannot use the USB of this machine (%s): it has no /dev/bus/usb, "
		                 "or the kernel no USB "
		                 "support; programmers on another machine or a virtual bench are "
		                 "reached with --bench "
		                 "usbip://HOST",
		                 libusb_strerror(failed));
	}
	pthread_mutex_init(&host->lock, NULL);
	init_monotonic(&host->changed);
	watch_hotplug(host);
	failed = pthread_create(&host->events, NULL, run_events, host);
	if (failed != 0) {
		free_host(host);
		return pogo_fail_errno(err, failed, "cannot start the thread for USB events");
	}
	*out = &host->base;
	return 0;
}
