#include "station/link/link.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libusb.h>

/* The libusb host against a libusb of our own: these definitions stand before those of the shared
 * library. It has a root hub, a device that may be opened, and one that may not. Completion comes
 * from the event thread, as in the real one. */

struct libusb_context {
	int unused;
};

struct libusb_device {
	uint8_t ports[3];
	int port_count;
	int open_result;
	libusb_device *parent;
	uint8_t class, protocol;
};

struct libusb_device_handle {
	int unused;
};

enum behaviour { ANSWER, SILENT, STALLS, BUS_ERROR, NO_DEVICE, SUBMIT_FAILS };

static struct fake {
	libusb_context context;
	libusb_device hub, outer, good, forbidden; /* the root hub, and one plugged into it */
	libusb_device_handle handle;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct libusb_transfer *pending;
	bool cancelled, interrupted, hotplug_known, leave_after_error, unplug_now;
	enum behaviour behaviour;
	unsigned opened, closed, claimed, refs, cancels, resets;
	int reset_result, claim_result, kernel_driver;
	libusb_hotplug_callback_fn callback;
	void *callback_data;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

static void reset_fake(enum behaviour behaviour)
{
	fake.good = (libusb_device){.ports = {4, 2}, .port_count = 2};
	fake.forbidden =
	        (libusb_device){.ports = {3}, .port_count = 1, .open_result = LIBUSB_ERROR_ACCESS};
	fake.hub = (libusb_device){.port_count = 0};
	fake.outer = (libusb_device){.ports = {4}, .port_count = 1, .parent = &fake.hub, .class = 9, .protocol = 1};
	fake.good.parent = &fake.outer;
	fake.forbidden.parent = &fake.hub;
	fake.pending = NULL;
	fake.cancelled = fake.interrupted = fake.leave_after_error = fake.unplug_now = false;
	fake.hotplug_known = true;
	fake.behaviour = behaviour;
	fake.opened = fake.closed = fake.claimed = fake.refs = fake.cancels = 0;
	fake.claim_result = fake.kernel_driver = 0;
	fake.callback = NULL;
}

int libusb_init(libusb_context **context)
{
	*context = &fake.context;
	return 0;
}

void libusb_exit(libusb_context *context)
{
	(void)context;
}

int libusb_has_capability(uint32_t capability)
{
	return capability == LIBUSB_CAP_HAS_HOTPLUG && fake.hotplug_known;
}

int libusb_hotplug_register_callback(libusb_context *context, int events, int flags, int vendor,
                                     int product, int class, libusb_hotplug_callback_fn callback,
                                     void *data, libusb_hotplug_callback_handle *handle)
{
	(void)context, (void)events, (void)flags, (void)vendor, (void)product, (void)class;
	fake.callback = callback;
	fake.callback_data = data;
	*handle = 1;
	return LIBUSB_SUCCESS;
}

void libusb_hotplug_deregister_callback(libusb_context *context,
                                        libusb_hotplug_callback_handle handle)
{
	(void)context, (void)handle;
}

ssize_t libusb_get_device_list(libusb_context *context, libusb_device ***list)
{
	(void)context;
	*list = calloc(4, sizeof **list);
	assert_non_null(*list);
	(*list)[0] = &fake.hub;
	(*list)[1] = &fake.forbidden;
	(*list)[2] = &fake.good;
	return 3;
}

void libusb_free_device_list(libusb_device **list, int unref)
{
	(void)unref;
	free(list);
}

int libusb_get_port_numbers(libusb_device *device, uint8_t *ports, int room)
{
	assert_true(room >= device->port_count);
	memcpy(ports, device->ports, (size_t)device->port_count);
	return device->port_count;
}

uint8_t libusb_get_bus_number(libusb_device *device)
{
	(void)device;
	return 1;
}

uint8_t libusb_get_device_address(libusb_device *device)
{
	return device == &fake.forbidden ? 12 : 13;
}

int libusb_get_device_speed(libusb_device *device)
{
	(void)device;
	return LIBUSB_SPEED_LOW;
}

int libusb_get_device_descriptor(libusb_device *device, struct libusb_device_descriptor *out)
{
	*out = (struct libusb_device_descriptor){.idVendor = 0x16C0,
	                                         .idProduct = 0x05DC,
	                                         .bcdDevice = 0x0104,
	                                         .bDeviceClass = device->class,
	                                         .bDeviceProtocol = device->protocol};
	return 0;
}

libusb_device *libusb_get_parent(libusb_device *device)
{
	return device->parent;
}

int libusb_open(libusb_device *device, libusb_device_handle **handle)
{
	if (device->open_result == 0) {
		*handle = &fake.handle;
		fake.opened++;
	}
	return device->open_result;
}

void libusb_close(libusb_device_handle *handle)
{
	(void)handle;
	fake.closed++;
}

libusb_device *libusb_ref_device(libusb_device *device)
{
	fake.refs++;
	return device;
}

void libusb_unref_device(libusb_device *device)
{
	(void)device;
	fake.refs--;
}

int libusb_set_auto_detach_kernel_driver(libusb_device_handle *handle, int enable)
{
	(void)handle, (void)enable;
	return 0;
}

int libusb_kernel_driver_active(libusb_device_handle *handle, int number)
{
	(void)handle, (void)number;
	return fake.kernel_driver;
}

int libusb_claim_interface(libusb_device_handle *handle, int number)
{
	(void)handle, (void)number;
	if (fake.claim_result != 0)
		return fake.claim_result;
	fake.claimed++;
	return 0;
}

int libusb_release_interface(libusb_device_handle *handle, int number)
{
	(void)handle, (void)number;
	fake.claimed--;
	return 0;
}

int libusb_clear_halt(libusb_device_handle *handle, unsigned char endpoint)
{
	(void)handle, (void)endpoint;
	return 0;
}

int libusb_reset_device(libusb_device_handle *handle)
{
	(void)handle;
	fake.resets++;
	return fake.reset_result;
}

struct libusb_transfer *libusb_alloc_transfer(int packets)
{
	(void)packets;
	return calloc(1, sizeof(struct libusb_transfer));
}

void libusb_free_transfer(struct libusb_transfer *transfer)
{
	free(transfer);
}

int libusb_submit_transfer(struct libusb_transfer *transfer)
{
	if (fake.behaviour == SUBMIT_FAILS)
		return LIBUSB_ERROR_NO_DEVICE;
	pthread_mutex_lock(&fake.lock);
	fake.pending = transfer;
	fake.cancelled = false;
	pthread_cond_signal(&fake.work);
	pthread_mutex_unlock(&fake.lock);
	return 0;
}

int libusb_cancel_transfer(struct libusb_transfer *transfer)
{
	pthread_mutex_lock(&fake.lock);
	assert_ptr_equal(fake.pending, transfer);
	fake.cancelled = true;
	fake.cancels++;
	pthread_cond_signal(&fake.work);
	pthread_mutex_unlock(&fake.lock);
	return 0;
}

void libusb_interrupt_event_handler(libusb_context *context)
{
	(void)context;
	pthread_mutex_lock(&fake.lock);
	fake.interrupted = true;
	pthread_cond_signal(&fake.work);
	pthread_mutex_unlock(&fake.lock);
}

static void settle(struct libusb_transfer *t)
{
	static const enum libusb_transfer_status status[] = {
	        LIBUSB_TRANSFER_COMPLETED, LIBUSB_TRANSFER_CANCELLED, LIBUSB_TRANSFER_STALL,
	        LIBUSB_TRANSFER_ERROR,     LIBUSB_TRANSFER_NO_DEVICE,
	};
	t->status = status[fake.behaviour];
	if (t->status == LIBUSB_TRANSFER_COMPLETED) {
		bool control = t->type == LIBUSB_TRANSFER_TYPE_CONTROL;
		t->actual_length = t->length - (control ? (int)LIBUSB_CONTROL_SETUP_SIZE : 0);
		for (int i = 0; i < t->actual_length; i++)
			t->buffer[(control ? LIBUSB_CONTROL_SETUP_SIZE : 0) + i] = (uint8_t)(i + 1);
	}
	t->callback(t);
}

int libusb_handle_events_timeout_completed(libusb_context *context, struct timeval *timeout,
                                           int *completed)
{
	(void)timeout, (void)completed;
	pthread_mutex_lock(&fake.lock);
	while (!fake.interrupted && !fake.unplug_now &&
	       (fake.pending == NULL || (fake.behaviour == SILENT && !fake.cancelled)))
		pthread_cond_wait(&fake.work, &fake.lock);
	struct libusb_transfer *due = fake.pending;
	bool left = fake.unplug_now || (due != NULL && fake.leave_after_error);
	fake.pending = NULL;
	fake.interrupted = fake.unplug_now = false;
	pthread_mutex_unlock(&fake.lock);
	if (due != NULL)
		settle(due);
	if (left)
		fake.callback(context, &fake.good, LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT,
		              fake.callback_data);
	return 0;
}

/* ---- the tests -------------------------------------------------------------------------- */

static struct host *host_with(enum behaviour behaviour, struct link **link)
{
	struct host *host = NULL;
	struct usb_identity id;
	struct pogo_error err = {0};

	reset_fake(behaviour);
	assert_int_equal(host_libusb_create(&host, &err), 0);
	if (link != NULL) {
		assert_int_equal(host->ops->open(host, "1-4.2", link, &id, &err), 0);
		assert_string_equal(id.path, "1-4.2");
		assert_int_equal(id.vendor, 0x16C0);
		assert_int_equal(id.speed, 1);
	}
	return host;
}

static void finish(struct host *host, struct link *link)
{
	if (link != NULL)
		link->ops->close(link);
	host->ops->destroy(host);
	assert_int_equal(fake.opened, fake.closed);
	assert_int_equal(fake.refs, 0);
	assert_int_equal(fake.claimed, 0);
}

static int in4(struct link *link, uint8_t bytes[4], deadline_t deadline)
{
	return link->ops->control(link, 0xC0, 3, 0, 0, bytes, 4, deadline);
}

static void list_skips_root_hubs_and_opens_nothing(void **state)
{
	(void)state;
	struct host *host = host_with(ANSWER, NULL);
	struct usb_identity ids[8];
	assert_int_equal(host->ops->list(host, ids, 8, false, NULL), 2);
	assert_string_equal(ids[0].path, "1-3");
	assert_string_equal(ids[1].path, "1-4.2");
	assert_int_equal(fake.opened, 0);
	assert_int_equal(host->ops->list(host, ids, 8, true, NULL),
	                 2); /* the forbidden one without a word */
	assert_int_equal(fake.opened, 1);
	finish(host, NULL);
}

static void the_hub_in_front_is_told(void **state)
{
	(void)state;
	static const struct {
		uint8_t class, protocol;
		enum hub_kind kind;
	} hubs[] = {{9, 1, HUB_SINGLE_TT}, {9, 2, HUB_MULTI_TT}, {9, 0, HUB_SINGLE_TT}, {9, 3, HUB_UNKNOWN}, {0, 1, HUB_UNKNOWN}};
	struct host *host = host_with(ANSWER, NULL);
	struct usb_identity ids[8];

	for (size_t i = 0; i < sizeof hubs / sizeof hubs[0]; i++) {
		fake.outer.class = hubs[i].class;
		fake.outer.protocol = hubs[i].protocol;
		assert_int_equal(host->ops->list(host, ids, 8, false, NULL), 2);
		assert_int_equal(ids[0].hub, HUB_ROOT);
		assert_int_equal(ids[1].hub, hubs[i].kind);
	}
	fake.good.parent = NULL;
	assert_int_equal(host->ops->list(host, ids, 8, false, NULL), 2);
	assert_int_equal(ids[1].hub, HUB_UNKNOWN);
	finish(host, NULL);
}

static void open_says_why_not(void **state)
{
	(void)state;
	struct host *host = host_with(ANSWER, NULL);
	struct link *link = NULL;
	struct usb_identity id;
	struct pogo_error err = {0};
	assert_int_equal(host->ops->open(host, "1-9", &link, &id, &err), 1);
	assert_int_equal(host->ops->open(host, "1-3", &link, &id, &err), -1);
	assert_int_equal(err.kind, POGO_SYSTEM);
	assert_non_null(strstr(err.text, "/dev/bus/usb/001/012"));
	assert_non_null(strstr(err.text, "1-3"));
	assert_non_null(strstr(err.text, "configs/udev/60-pogoline.rules"));
	fake.forbidden.open_result = LIBUSB_ERROR_BUSY;
	assert_int_equal(host->ops->open(host, "1-3", &link, &id, &err), -1);
	assert_non_null(strstr(err.text, "in use"));
	fake.forbidden.open_result = LIBUSB_ERROR_NO_DEVICE;
	assert_int_equal(host->ops->open(host, "1-3", &link, &id, &err), 1);
	finish(host, NULL);
}

static void two_programs_do_not_share_a_device(void **state)
{
	(void)state;
	struct host *host = host_with(ANSWER, NULL);
	struct link *link = NULL;
	struct usb_identity id;
	struct pogo_error err = {0};

	fake.claim_result = LIBUSB_ERROR_BUSY; /* a running line has it */
	assert_int_equal(host->ops->open(host, "1-4.2", &link, &id, &err), -1);
	assert_non_null(strstr(err.text, "in use"));
	fake.claim_result = LIBUSB_ERROR_NO_DEVICE;
	assert_int_equal(host->ops->open(host, "1-4.2", &link, &id, &err), 1);
	fake.claim_result = LIBUSB_ERROR_NOT_FOUND; /* not configured: endpoint 0 works all the same */
	assert_int_equal(host->ops->open(host, "1-4.2", &link, &id, &err), 0);
	link->ops->close(link);
	fake.claim_result = 0;
	fake.kernel_driver = 1; /* somebody's keyboard */
	assert_int_equal(host->ops->open(host, "1-4.2", &link, &id, &err), 0);
	assert_int_equal(fake.claimed, 0);
	finish(host, link);
}

static void transfers_bring_bytes(void **state)
{
	(void)state;
	struct link *link = NULL;
	struct host *host = host_with(ANSWER, &link);
	uint8_t bytes[64] = {0};
	assert_int_equal(in4(link, bytes, deadline_in_ms(60000)), 4);
	assert_memory_equal(bytes, "\1\2\3\4\0", 5);
	assert_int_equal(fake.claimed, 1); /* endpoint 0 needs no interface: it is the mark of the owner */
	assert_int_equal(link->ops->bulk(link, 0x81, bytes, 64, deadline_in_ms(60000)), 64);
	assert_int_equal(link->ops->bulk(link, 0x02, bytes, 64, deadline_in_ms(60000)), 64);
	assert_int_equal(fake.claimed, 1);
	finish(host, link);
}

static void the_deadline_cancels_and_waits_for_it(void **state)
{
	(void)state;
	struct link *link = NULL;
	struct host *host = host_with(SILENT, &link);
	uint8_t bytes[4];
	assert_int_equal(in4(link, bytes, deadline_in_ms(10)), -LINK_TIMEOUT);
	assert_int_equal(fake.cancels, 1);
	assert_null(fake.pending);
	assert_int_equal(in4(link, bytes, clock_now()),
	                 -LINK_TIMEOUT); /* past: not even submitted */
	assert_int_equal(fake.cancels, 1);
	fake.behaviour = ANSWER;
	assert_int_equal(in4(link, bytes, deadline_in_ms(60000)), 4);
	finish(host, link);
}

static void results_are_told_apart(void **state)
{
	(void)state;
	const struct {
		enum behaviour behaviour;
		bool leaves;
		int result, next;
	} cases[] = {
	        {STALLS, false, -LINK_STALL, 4},
	        {BUS_ERROR, false, -LINK_IO, 4},
	        {BUS_ERROR, true, -LINK_GONE, -LINK_GONE},
	        {NO_DEVICE, false, -LINK_GONE, -LINK_GONE},
	        {SUBMIT_FAILS, false, -LINK_GONE, -LINK_GONE},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct link *link = NULL;
		struct host *host = host_with(ANSWER, &link);
		uint8_t bytes[4];
		fake.behaviour = cases[i].behaviour;
		fake.leave_after_error = cases[i].leaves;
		assert_int_equal(in4(link, bytes, deadline_in_ms(60000)), cases[i].result);
		fake.behaviour = ANSWER;
		fake.leave_after_error = false;
		assert_int_equal(in4(link, bytes, deadline_in_ms(60000)), cases[i].next);
		finish(host, link);
	}
}

static void restart_resets_the_port(void **state)
{
	(void)state;
	struct link *link = NULL;
	struct host *host = host_with(ANSWER, &link);
	uint8_t bytes[4];
	fake.resets = 0;
	fake.reset_result = 0;
	assert_int_equal(link->ops->restart(link, deadline_in_ms(60000)), 0);
	assert_int_equal(in4(link, bytes, deadline_in_ms(60000)), 4);
	fake.reset_result = LIBUSB_ERROR_OTHER;
	assert_int_equal(link->ops->restart(link, deadline_in_ms(60000)), -LINK_IO);
	fake.reset_result = LIBUSB_ERROR_NOT_FOUND; /* it came back as another device */
	assert_int_equal(link->ops->restart(link, deadline_in_ms(60000)), -LINK_GONE);
	assert_int_equal(link->ops->restart(link, deadline_in_ms(60000)), -LINK_GONE);
	assert_int_equal(fake.resets, 3);
	assert_int_equal(in4(link, bytes, deadline_in_ms(60000)), -LINK_GONE);
	finish(host, link);
}

static void leaving_wakes_and_makes_links_inert(void **state)
{
	(void)state;
	struct link *link = NULL;
	struct host *host = host_with(ANSWER, &link);
	uint8_t bytes[4];
	pthread_mutex_lock(&fake.lock);
	fake.unplug_now = true;
	pthread_cond_signal(&fake.work);
	pthread_mutex_unlock(&fake.lock);
	/* Whether the news comes before or during the wait: it returns, and before long the link
	 * knows. */
	while (in4(link, bytes, deadline_in_ms(60000)) != -LINK_GONE)
		host->ops->wait_change(host, deadline_in_ms(60000));
	finish(host, link);
}

static void two_hosts_and_no_hotplug(void **state)
{
	(void)state;
	struct host *one = host_with(ANSWER, NULL), *two = NULL;
	one->ops->destroy(one);
	reset_fake(ANSWER);
	fake.hotplug_known = false;
	assert_int_equal(host_libusb_create(&two, NULL), 0);
	two->ops->wait_change(two, deadline_in_ms(5));
	two->ops->wait_change(two, deadline_in_ms(3600 * 1000)); /* looks again by itself */
	two->ops->wake(two);
	finish(two, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(list_skips_root_hubs_and_opens_nothing),
	        cmocka_unit_test(the_hub_in_front_is_told),
	        cmocka_unit_test(open_says_why_not),
	        cmocka_unit_test(two_programs_do_not_share_a_device),
	        cmocka_unit_test(transfers_bring_bytes),
	        cmocka_unit_test(the_deadline_cancels_and_waits_for_it),
	        cmocka_unit_test(results_are_told_apart),
	        cmocka_unit_test(restart_resets_the_port),
	        cmocka_unit_test(leaving_wakes_and_makes_links_inert),
	        cmocka_unit_test(two_hosts_and_no_hotplug),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
