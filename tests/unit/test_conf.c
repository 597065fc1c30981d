#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hextools/conf.h"
#include "tests/unit/scratch.h"

static char folder[256], path[300];

static int setup(void **state)
{
	(void)state;
	scratch_make(folder);
	snprintf(path, sizeof path, "%s/t.cfg", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(folder);
	return 0;
}

static struct conf *open_text(const char *text)
{
	struct conf *conf;
	struct pogo_error err;
	scratch_write(path, text);
	if (conf_open(path, &conf, &err) != 0)
		fail_msg("%s", err.text);
	return conf;
}

static void assert_says(const struct pogo_error *err, unsigned line, const char *phrase)
{
	char start[320];
	snprintf(start, sizeof start, "%s:%u: ", path, line);
	assert_int_equal(err->kind, POGO_INPUT);
	if (strncmp(err->text, start, strlen(start)) != 0 || strstr(err->text, phrase) == NULL)
		fail_msg("wanted line %u and \"%s\", got: %s", line, phrase, err->text);
}

static void values(void **state)
{
	(void)state;
	struct conf *conf = open_text("text = \"abc\";\nnumber = 0x1F;\nbig = 5000000000L;\nyes = true;\n"
				      "group = { a = 1; };\nlist = ( { b = 2; }, { b = 3; } );\n"
				      "array = [ 7, 8 ];\nwords = [ \"x\", \"y\" ];\n");
	const struct conf_node *root = conf_root(conf), *node;
	const char *text = NULL;
	int64_t number = 0;
	bool yes = false;
	struct pogo_error err;
	assert_int_equal(conf_str(root, "text", true, &text, &err), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(conf_int(root, "number", true, 0, 255, &number, &err), 0);
	assert_int_equal(number, 31);
	assert_int_equal(conf_int(root, "big", true, 0, INT64_MAX, &number, &err), 0);
	assert_true(number == 5000000000);
	assert_int_equal(conf_bool(root, "yes", true, &yes, &err), 0);
	assert_true(yes);
	assert_int_equal(conf_group(root, "group", true, &node, &err), 0);
	assert_int_equal(conf_int(node, "a", true, 0, 9, &number, &err), 0);
	assert_int_equal(conf_list(root, "list", true, &node, &err), 0);
	assert_int_equal(conf_len(node), 2);
	assert_int_equal(conf_int(conf_at(node, 1), "b", true, 0, 9, &number, &err), 0);
	assert_int_equal(number, 3);
	assert_int_equal(conf_list(root, "array", true, &node, &err), 0);
	assert_int_equal(conf_int_at(node, 1, 0, 9, &number, &err), 0);
	assert_int_equal(number, 8);
	assert_int_equal(conf_int_at(node, 2, 0, 9, &number, &err), -1);
	assert_int_equal(conf_list(root, "words", true, &node, &err), 0);
	assert_int_equal(conf_str_at(node, 1, &text, &err), 0);
	assert_string_equal(text, "y");
	conf_close(conf);
}

static void missing_and_optional(void **state)
{
	(void)state;
	struct conf *conf = open_text("\n\ngroup = {\n};\n");
	const struct conf_node *root = conf_root(conf), *group, *none = root;
	struct pogo_error err;
	int64_t number = 42;
	assert_int_equal(conf_int(root, "x", false, 0, 9, &number, &err), 0);
	assert_int_equal(number, 42);
	assert_int_equal(conf_group(root, "y", false, &none, &err), 0);
	assert_null(none);
	assert_int_equal(conf_len(NULL), 0);
	assert_int_equal(conf_group(root, "group", true, &group, &err), 0);
	assert_int_equal(conf_int(group, "x", true, 0, 9, &number, &err), -1);
	assert_says(&err, 3, "\"x\"");
	conf_close(conf);
}

static void wrong_kinds_and_ranges(void **state)
{
	(void)state;
	struct conf *conf = open_text("a = 300;\nb = \"x\";\nc = 1.5;\nd = 1;\n");
	const struct conf_node *root = conf_root(conf), *node;
	static const char *const keys[] = {"a", "b", "c", NULL};
	struct pogo_error err;
	int64_t number = 0;
	const char *text;
	bool yes;
	assert_int_equal(conf_int(root, "a", true, 0, 255, &number, &err), -1);
	assert_says(&err, 1, "300");
	assert_int_equal(conf_int(root, "b", true, 0, 255, &number, &err), -1);
	assert_says(&err, 2, "whole number");
	assert_int_equal(conf_int(root, "c", true, 0, 255, &number, &err), -1);
	assert_says(&err, 3, "whole number");
	assert_int_equal(conf_str(root, "a", true, &text, &err), -1);
	assert_says(&err, 1, "string");
	assert_int_equal(conf_bool(root, "d", true, &yes, &err), -1);
	assert_says(&err, 4, "true or false");
	assert_int_equal(conf_group(root, "a", true, &node, &err), -1);
	assert_says(&err, 1, "group");
	assert_int_equal(conf_list(root, "a", true, &node, &err), -1);
	assert_says(&err, 1, "list");
	assert_int_equal(conf_only(root, keys, &err), -1);
	assert_says(&err, 4, "unknown key \"d\"; known here: a, b, c");
	conf_close(conf);
}

static void unparsable(void **state)
{
	(void)state;
	struct conf *conf;
	struct pogo_error err;
	scratch_write(path, "a = 1;\nb = = 2;\n");
	assert_int_equal(conf_open(path, &conf, &err), -1);
	assert_says(&err, 2, "");
	scratch_write(path, "a = 1;\na = 2;\n");
	assert_int_equal(conf_open(path, &conf, &err), -1);
	assert_says(&err, 2, "");
	assert_int_equal(conf_open(folder, &conf, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	unlink(path);
	assert_int_equal(conf_open(path, &conf, &err), -1);
	assert_non_null(strstr(err.text, path));
}

static void the_folder(void **state)
{
	(void)state;
	char dir[300];
	struct pogo_error err;
	assert_int_equal(conf_dir("configs", dir, sizeof dir, &err), 0);
	assert_string_equal(dir, "configs");
	assert_int_equal(conf_dir(folder, dir, sizeof dir, &err), -1);
	assert_non_null(strstr(err.text, folder));
	setenv("POGOLINE_CONFIGS", folder, 1);
	assert_int_equal(conf_dir(NULL, dir, sizeof dir, &err), -1);
	assert_non_null(strstr(err.text, "POGOLINE_CONFIGS"));
	setenv("POGOLINE_CONFIGS", "configs", 1);
	assert_int_equal(conf_dir(NULL, dir, sizeof dir, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values, setup, teardown),
		cmocka_unit_test_setup_teardown(missing_and_optional, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_kinds_and_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(unparsable, setup, teardown),
		cmocka_unit_test_setup_teardown(the_folder, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
