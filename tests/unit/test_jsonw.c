#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/jsonw.h"

static void write_all_kinds(struct jsonw *json)
{
	jsonw_open(json, NULL, '{');
	jsonw_str(json, "text", "a \"quoted\" \\ \n\t\x01 line");
	jsonw_str(json, "utf8", "Gr\xC3\xB6\xC3\x9F" "e");
	jsonw_str(json, "broken", "x\xC3(\xFF\xED\xA0\x80y");
	jsonw_str(json, "nothing", NULL);
	jsonw_int(json, "int", -9007199254740993);
	jsonw_double(json, "tenth", 0.1);
	jsonw_double(json, "nan", NAN);
	jsonw_bool(json, "yes", true);
	jsonw_null(json, "null");
	jsonw_hex(json, "hex", "\x00\xAB\xFF", 3);
	jsonw_open(json, "empty", '[');
	jsonw_close(json, ']');
	jsonw_open(json, "list", '[');
	jsonw_int(json, NULL, 1);
	jsonw_open(json, NULL, '{');
	jsonw_close(json, '}');
	jsonw_str(json, NULL, "two");
	jsonw_close(json, ']');
	jsonw_close(json, '}');
}

static void one_line(void **state)
{
	(void)state;
	struct jsonw json;
	jsonw_init(&json, 0);
	write_all_kinds(&json);
	assert_true(jsonw_ok(&json));
	assert_string_equal(json.text,
			    "{\"text\":\"a \\\"quoted\\\" \\\\ \\n\\t\\u0001 line\","
			    "\"utf8\":\"Gr\xC3\xB6\xC3\x9F" "e\","
			    "\"broken\":\"x\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDy\","
			    "\"nothing\":null,\"int\":-9007199254740993,\"tenth\":0.1,\"nan\":null,"
			    "\"yes\":true,\"null\":null,\"hex\":\"00ABFF\",\"empty\":[],"
			    "\"list\":[1,{},\"two\"]}");
	assert_int_equal(json.len, strlen(json.text));
	jsonw_finish(&json);
}

static void a_line_for_each_member(void **state)
{
	(void)state;
	struct jsonw json;
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_int(&json, "a", 1);
	jsonw_open(&json, "b", '[');
	jsonw_int(&json, NULL, 2);
	jsonw_int(&json, NULL, 3);
	jsonw_close(&json, ']');
	jsonw_open(&json, "c", '{');
	jsonw_close(&json, '}');
	jsonw_close(&json, '}');
	jsonw_newline(&json);
	assert_string_equal(json.text, "{\n  \"a\": 1,\n  \"b\": [\n    2,\n    3\n  ],\n  \"c\": {}\n}\n");
	jsonw_finish(&json);
}

static void doubles_survive(void **state)
{
	(void)state;
	static const double values[] = {0, 1, -1.5, 0.1, 1e-300, 1.7976931348623157e308, 2.0 / 3};
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		struct jsonw json;
		jsonw_init(&json, 0);
		jsonw_double(&json, NULL, values[i]);
		assert_true(strtod(json.text, NULL) == values[i]);
		jsonw_finish(&json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line),
		cmocka_unit_test(a_line_for_each_member),
		cmocka_unit_test(doubles_survive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
