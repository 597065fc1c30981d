#include "hextools/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec *by_name(const struct option_spec specs[], const char *name, size_t len)
{
	for (const struct option_spec *spec = specs; spec->name != NULL; spec++)
		if (strlen(spec->name) == len && memcmp(spec->name, name, len) == 0)
			return spec;
	return NULL;
}

static const struct option_spec *by_letter(const struct option_spec specs[], char letter)
{
	for (const struct option_spec *spec = specs; spec->name != NULL; spec++)
		if (spec->letter == letter)
			return spec;
	return NULL;
}

/* `attached` is a value in the same word, or NULL; *next counts on if the value is the next word. */
static int apply(const struct option_spec *spec, const char *attached, int argc, char **argv,
		 int *next, struct pogo_error *err)
{
	if (spec->flag != NULL) {
		if (attached != NULL)
			return pogo_fail(err, POGO_INPUT, "option --%s takes no value", spec->name);
		*spec->flag = true;
		return 0;
	}
	if (*spec->value != NULL)
		return pogo_fail(err, POGO_INPUT, "option --%s is given twice", spec->name);
	if (attached == NULL && *next >= argc)
		return pogo_fail(err, POGO_INPUT, "option --%s needs a value", spec->name);
	*spec->value = attached != NULL ? attached : argv[(*next)++];
	return 0;
}

static int take_option(const struct option_spec specs[], const char *word, int argc, char **argv,
		       int *next, struct pogo_error *err)
{
	const struct option_spec *spec;
	const char *attached = NULL;
	if (word[1] == '-') {
		const char *equals = strchr(word, '=');
		size_t len = equals != NULL ? (size_t)(equals - word) - 2 : strlen(word + 2);
		spec = by_name(specs, word + 2, len);
		attached = equals != NULL ? equals + 1 : NULL;
	} else {
		spec = by_letter(specs, word[1]);
		attached = word[2] != '\0' ? word + 2 : NULL;
	}
	if (spec == NULL)
		return pogo_fail(err, POGO_INPUT, "unknown option \"%.60s\"; see --help", word);
	return apply(spec, attached, argc, argv, next, err);
}

int options_parse(const struct option_spec specs[], int argc, char **argv, int *words,
		  struct pogo_error *err)
{
	bool options = true;
	*words = 0;
	for (int next = 0; next < argc;) {
		char *word = argv[next++];
		if (options && strcmp(word, "--") == 0) {
			options = false;
		} else if (options && word[0] == '-' && word[1] != '\0' && word[1] != '@') {
			if (take_option(specs, word, argc, argv, &next, err) != 0)
				return -1;
		} else {
			argv[(*words)++] = word;
		}
	}
	return 0;
}

int options_number(const char *text, const char *what, int64_t low, int64_t high, int64_t *out,
		   struct pogo_error *err)
{
	const char *digits = text + (*text == '-' || *text == '+');
	bool hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, hex ? 16 : 10);
	bool too_far = errno == ERANGE;
	if (!isdigit((unsigned char)*digits) || *end != '\0' || (hex && end == digits + 2))
		return pogo_fail(err, POGO_INPUT, "%s \"%.40s\" is no number (like %s)", what, text,
				 high > 255 ? "4096 or 0x1000" : "255 or 0xFF");
	if (too_far || value < low || value > high)
		return pogo_fail(err, POGO_INPUT, "%s %.40s is out of range, allowed are %" PRId64
				 " to %" PRId64, what, text, low, high);
	*out = value;
	return 0;
}
