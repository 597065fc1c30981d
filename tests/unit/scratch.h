#ifndef POGO_TESTS_SCRATCH_H
#define POGO_TESTS_SCRATCH_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of a test's own under $TMPDIR, without folders in it. */

static inline void scratch_make(char folder[256])
{
	const char *tmp = getenv("TMPDIR");
	snprintf(folder, 256, "%s/pogo-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(folder) == NULL)
		abort();
}

/* How many files are in it, hidden ones too. */
static inline int scratch_count(const char *folder)
{
	int count = 0;
	DIR *dir = opendir(folder);
	for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	if (dir != NULL)
		closedir(dir);
	return count;
}

static inline void scratch_clear(const char *folder)
{
	DIR *dir = opendir(folder);
	for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir != NULL)
		closedir(dir);
}

static inline void scratch_remove(const char *folder)
{
	scratch_clear(folder);
	rmdir(folder);
}

static inline void scratch_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
		abort();
}

#endif
