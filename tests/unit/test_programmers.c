#include "station/programmer/programmer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct usb_identity device(uint16_t vendor, uint16_t product, const char *manufacturer,
                                  const char *name)
{
	struct usb_identity id = {.path = "1-1", .vendor = vendor, .product = product};

	strcpy(id.manufacturer, manufacturer);
	strcpy(id.name, name);
	return id;
}

static void every_driver_is_whole(void **state)
{
	(void)state;
	for (const struct programmer_driver *const *p = programmer_drivers; *p != NULL; p++) {
		assert_non_null((*p)->kind);
		assert_non_null((*p)->match);
		assert_non_null((*p)->open);
		assert_non_null((*p)->close);
		assert_ptr_equal(programmer_find((*p)->kind), *p);
	}
}

static void unknown_kinds_are_not_found(void **state)
{
	(void)state;
	assert_ptr_equal(programmer_find("usbasp"), &programmer_usbasp);
	assert_null(programmer_find("USBasp"));
	assert_null(programmer_find(""));
	assert_null(programmer_find("toaster"));
}

static void usbasp_is_matched_by_ids_and_strings(void **state)
{
	(void)state;
	const struct {
		struct usb_identity id;
		bool is_usbasp;
	} cases[] = {
	        {device(0x16C0, 0x05DC, "www.fischl.de", "USBasp"), true},
	        {device(0x16C0, 0x05DC, "fischl.de", "USBasp"), true},
	        {device(0x16C0, 0x05DC, "", ""), true},
	        {device(0x16C0, 0x05DC, "", "USBasp"), true},
	        {device(0x03EB, 0xC7B4, "", ""), true},
	        {device(0x16C0, 0x092F, "www.nicai-systems.com", "NIBObee"), true},
	        {device(0x16C0, 0x05DC, "obdev.at", "LEDControl"), false},
	        {device(0x16C0, 0x05DC, "www.fischl.de", "iRSpy"), false},
	        {device(0x16C0, 0x05DC, "someone.else", "USBasp"), false},
	        {device(0x03EB, 0xC8B4, "zhifengsoft", "USBHID"), false},
	        {device(0x1D6B, 0x0002, "", ""), false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_ptr_equal(programmer_match(&cases[i].id),
		                 cases[i].is_usbasp ? &programmer_usbasp : NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_driver_is_whole),
	        cmocka_unit_test(unknown_kinds_are_not_found),
	        cmocka_unit_test(usbasp_is_matched_by_ids_and_strings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
