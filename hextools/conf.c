#include "hextools/conf.h"

#include <libconfig.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hextools/outfile.h"

#undef conf_fail

enum { CONF_MAX_BYTES = 1 << 20, CONF_DIR_LEVELS = 4 };

struct conf {
	config_t config;
	char *path;
};

/* A node is libconfig's own setting under a name of ours; nobody else may look inside. */
static config_setting_t *setting_of(const struct conf_node *node)
{
	return (config_setting_t *)node;
}

static const struct conf_node *node_of(const config_setting_t *setting)
{
	return (const struct conf_node *)setting;
}

static const char *file_of(const config_setting_t *setting)
{
	const char *included = config_setting_source_file(setting);
	if (included != NULL)
		return included;
	const struct conf *conf = config_setting_get_hook(config_root_setting(setting->config));
	return conf->path;
}

int conf_fail(const struct conf_node *node, struct pogo_error *err, const char *format, ...)
{
	char sentence[sizeof err->text];
	va_list ap;
	va_start(ap, format);
	vsnprintf(sentence, sizeof sentence, format, ap);
	va_end(ap);
	const config_setting_t *setting = setting_of(node);
	unsigned line = config_setting_source_line(setting);
	/* The root group has no line of its own. */
	if (line == 0)
		return pogo_fail(err, POGO_INPUT, "%s: %s", file_of(setting), sentence);
	return pogo_fail(err, POGO_INPUT, "%s:%u: %s", file_of(setting), line, sentence);
}

static int conf_parse(struct conf *conf, const char *text, size_t len, struct pogo_error *err)
{
	if (len > CONF_MAX_BYTES)
		return pogo_fail(err, POGO_INPUT, "%s: %zu bytes are too many for a configuration file",
				 conf->path, len);
	if (memchr(text, '\0', len) != NULL)
		return pogo_fail(err, POGO_INPUT, "%s: a NUL byte, so this is no configuration file",
				 conf->path);
	if (config_read_string(&conf->config, text) == CONFIG_TRUE) {
		/* So that any node finds the name of its file. */
		config_setting_set_hook(config_root_setting(&conf->config), conf);
		return 0;
	}
	const char *file = config_error_file(&conf->config);
	return pogo_fail(err, POGO_INPUT, "%s:%d: %s", file != NULL ? file : conf->path,
			 config_error_line(&conf->config), config_error_text(&conf->config));
}

int conf_open(const char *path, struct conf **out, struct pogo_error *err)
{
	char *text;
	size_t len;
	/* Read by ourselves: libconfig's scanner ends the process when a read fails. */
	if (infile_read(path, &text, &len, err) != 0)
		return -1;
	struct conf *conf = calloc(1, sizeof *conf);
	if (conf != NULL)
		conf->path = strdup(path);
	if (conf == NULL || conf->path == NULL) {
		free(conf);
		free(text);
		return pogo_fail(err, POGO_SYSTEM, "%s: out of memory", path);
	}
	config_init(&conf->config);
	int rc = conf_parse(conf, text, len, err);
	free(text);
	if (rc != 0) {
		conf_close(conf);
		return -1;
	}
	*out = conf;
	return 0;
}

void conf_close(struct conf *conf)
{
	if (conf == NULL)
		return;
	config_destroy(&conf->config);
	free(conf->path);
	free(conf);
}

const struct conf_node *conf_root(const struct conf *conf)
{
	return node_of(config_root_setting(&conf->config));
}

int conf_only(const struct conf_node *group, const char *const keys[], struct pogo_error *err)
{
	const config_setting_t *setting = setting_of(group);
	for (int i = 0; i < config_setting_length(setting); i++) {
		const config_setting_t *child = config_setting_get_elem(setting, (unsigned)i);
		const char *name = config_setting_name(child);
		bool known = false;
		for (const char *const *key = keys; *key != NULL && !known; key++)
			known = strcmp(*key, name) == 0;
		if (known)
			continue;
		char list[300] = "";
		for (const char *const *key = keys; *key != NULL; key++) {
			size_t used = strlen(list);
			snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", *key);
		}
		return conf_fail(node_of(child), err, "unknown key \"%s\"; known here: %s", name, list);
	}
	return 0;
}

/* *out = NULL without an error: not there and not required. */
static int member(const struct conf_node *group, const char *key, bool required,
		  const config_setting_t **out, struct pogo_error *err)
{
	*out = config_setting_get_member(setting_of(group), key);
	if (*out == NULL && required)
		return conf_fail(group, err, "key \"%s\" is missing", key);
	return 0;
}

int conf_str(const struct conf_node *group, const char *key, bool required, const char **out,
	     struct pogo_error *err)
{
	const config_setting_t *child;
	if (member(group, key, required, &child, err) != 0)
		return -1;
	if (child == NULL)
		return 0;
	const char *value = config_setting_get_string(child);
	if (value == NULL)
		return conf_fail(node_of(child), err, "\"%s\" must be a string in double quotes", key);
	*out = value;
	return 0;
}

static bool is_integer(const config_setting_t *setting)
{
	int type = config_setting_type(setting);
	return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
}

static int in_range(const config_setting_t *setting, const char *key, int64_t low, int64_t high,
		    int64_t *out, struct pogo_error *err)
{
	if (!is_integer(setting))
		return conf_fail(node_of(setting), err, "\"%s\" must be a whole number", key);
	int64_t value = config_setting_get_int64(setting);
	if (value < low || value > high)
		return conf_fail(node_of(setting), err,
				 "\"%s\" is %lld, allowed are %lld to %lld", key, (long long)value,
				 (long long)low, (long long)high);
	*out = value;
	return 0;
}

int conf_int(const struct conf_node *group, const char *key, bool required, int64_t low,
	     int64_t high, int64_t *out, struct pogo_error *err)
{
	const config_setting_t *child;
	if (member(group, key, required, &child, err) != 0)
		return -1;
	return child == NULL ? 0 : in_range(child, key, low, high, out, err);
}

int conf_bool(const struct conf_node *group, const char *key, bool required, bool *out,
	      struct pogo_error *err)
{
	const config_setting_t *child;
	if (member(group, key, required, &child, err) != 0)
		return -1;
	if (child == NULL)
		return 0;
	if (config_setting_type(child) != CONFIG_TYPE_BOOL)
		return conf_fail(node_of(child), err, "\"%s\" must be true or false", key);
	*out = config_setting_get_bool(child) == CONFIG_TRUE;
	return 0;
}

int conf_group(const struct conf_node *group, const char *key, bool required,
	       const struct conf_node **out, struct pogo_error *err)
{
	const config_setting_t *child;
	*out = NULL;
	if (member(group, key, required, &child, err) != 0)
		return -1;
	if (child != NULL && !config_setting_is_group(child))
		return conf_fail(node_of(child), err, "\"%s\" must be a group: { … }", key);
	*out = node_of(child);
	return 0;
}

int conf_list(const struct conf_node *group, const char *key, bool required,
	      const struct conf_node **out, struct pogo_error *err)
{
	const config_setting_t *child;
	*out = NULL;
	if (member(group, key, required, &child, err) != 0)
		return -1;
	if (child != NULL && !config_setting_is_list(child) && !config_setting_is_array(child))
		return conf_fail(node_of(child), err, "\"%s\" must be a list ( … ) or an array [ … ]",
				 key);
	*out = node_of(child);
	return 0;
}

size_t conf_len(const struct conf_node *list)
{
	return list == NULL ? 0 : (size_t)config_setting_length(setting_of(list));
}

const struct conf_node *conf_at(const struct conf_node *list, size_t i)
{
	return node_of(config_setting_get_elem(setting_of(list), (unsigned)i));
}

/* What a message calls a list: its key. */
static const char *list_name(const struct conf_node *list)
{
	const char *name = config_setting_name(setting_of(list));
	return name != NULL ? name : "list";
}

int conf_int_at(const struct conf_node *list, size_t i, int64_t low, int64_t high, int64_t *out,
		struct pogo_error *err)
{
	if (i >= conf_len(list))
		return conf_fail(list, err, "\"%s\" has no element %zu", list_name(list), i + 1);
	return in_range(setting_of(conf_at(list, i)), list_name(list), low, high, out, err);
}

int conf_str_at(const struct conf_node *list, size_t i, const char **out, struct pogo_error *err)
{
	if (i >= conf_len(list))
		return conf_fail(list, err, "\"%s\" has no element %zu", list_name(list), i + 1);
	const char *value = config_setting_get_string(setting_of(conf_at(list, i)));
	if (value == NULL)
		return conf_fail(list, err, "element %zu of \"%s\" must be a string", i + 1,
				 list_name(list));
	*out = value;
	return 0;
}

static bool has_parts(const char *configs)
{
	char probe[PATH_MAX + 16];
	snprintf(probe, sizeof probe, "%s/parts", configs);
	return access(probe, R_OK | X_OK) == 0;
}

/* "FOLDER/configs" where FOLDER is the program's own or one of the few above it. */
static bool near_program(char *out, size_t size)
{
	char folder[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", folder, sizeof folder - 1);
	if (len <= 0)
		return false;
	folder[len] = '\0';
	for (int level = 0; level <= CONF_DIR_LEVELS; level++) {
		char *slash = strrchr(folder, '/');
		if (slash == NULL)
			return false;
		*slash = '\0';
		int used = snprintf(out, size, "%s/configs", folder);
		if (used > 0 && (size_t)used < size && has_parts(out))
			return true;
	}
	return false;
}

static int named_dir(const char *dir, const char *whose, char *out, size_t size,
		     struct pogo_error *err)
{
	if (strlen(dir) >= size)
		return pogo_fail(err, POGO_INPUT, "the configs folder %s names is too long a path",
				 whose);
	if (!has_parts(dir))
		return pogo_fail(err, POGO_INPUT,
				 "%s names \"%s\" as the configs folder, but there is no folder "
				 "\"parts\" in it", whose, dir);
	memcpy(out, dir, strlen(dir) + 1);
	return 0;
}

int conf_dir(const char *given, char *out, size_t size, struct pogo_error *err)
{
	if (given != NULL)
		return named_dir(given, "--configs", out, size, err);
	const char *env = getenv("POGOLINE_CONFIGS");
	if (env != NULL && *env != '\0')
		return named_dir(env, "POGOLINE_CONFIGS", out, size, err);
	if (near_program(out, size))
		return 0;
	int used = snprintf(out, size, "%s/configs", POGO_DATADIR);
	if (used > 0 && (size_t)used < size && has_parts(out))
		return 0;
	return pogo_fail(err, POGO_INPUT,
			 "no configs folder beside the program or in %s; name one with "
			 "POGOLINE_CONFIGS", POGO_DATADIR);
}
