/* What the benchmarks in C share: files, errors and times. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* Reads the file `folder`/`name`.`kind`. */
static void *slurp(const char *folder, const char *name, const char *kind, size_t *size)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s.%s", folder, name, kind);
	FILE *file = fopen(path, "rb");
	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
		fail(path);
	*size = ftell(file);
	rewind(file);
	void *bytes = malloc(*size);
	if (bytes == NULL || fread(bytes, 1, *size, file) != *size)
		fail(path);
	fclose(file);
	return bytes;
}

/* Nanoseconds since some moment. */
static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* The median of some times, which are put in order. */
static uint64_t median(uint64_t *nanos, size_t count)
{
	qsort(nanos, count, sizeof(*nanos), compare);
	return nanos[count / 2];
}
