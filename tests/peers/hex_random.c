/* hex_random SEED FIRST COUNT DIR: writes random images FIRST, FIRST + 1, … as N.a and N.b, two files to be
 * merged, and N.truth, what the merged image is. It shares no code with hextools, so that the truth does
 * not depend on what is judged by it. The same seed and number give the same files in every run. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RUNS = 6, MAX_LEN = 700, MAX_RECORDS = MAX_RUNS * MAX_LEN };

struct run {
	uint64_t addr;
	unsigned len, side; /* side 0 is file a */
	uint8_t byte[MAX_LEN];
};

struct record {
	uint64_t addr;
	unsigned len;
	const uint8_t *byte;
};

enum base { BASE_NONE, BASE_SEGMENT, BASE_LINEAR };

struct dialect {
	enum base base;
	unsigned width; /* 0: every record another one */
	int order;      /* 0 ascending, 1 descending, 2 shuffled */
	int lower, blank_lines, start_first;
	const char *newline;
};

struct image {
	struct run run[MAX_RUNS];
	unsigned runs, start_type; /* 0, 3 or 5 */
	uint32_t start;
	uint64_t limit; /* addresses are below */
	int srec, conflict;
};

struct random {
	uint64_t state;
};

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t next(struct random *random)
{
	uint64_t z = random->state += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static unsigned below(struct random *random, unsigned limit)
{
	return (unsigned)(next(random) % limit);
}

static int overlaps(const struct image *image, const struct run *run)
{
	for (unsigned i = 0; i < image->runs; i++) {
		const struct run *other = &image->run[i];
		if (run->addr < other->addr + other->len && other->addr < run->addr + run->len)
			return 1;
	}
	return 0;
}

/* Near another run as often as far from it: touching runs and small holes are where tools go wrong. */
static void add_run(struct image *image, struct random *random)
{
	struct run *run = &image->run[image->runs];
	run->len = below(random, 4) == 0 ? 1 + below(random, 4) : 1 + below(random, MAX_LEN);
	run->side = below(random, 2);
	run->addr = next(random) % (image->limit - run->len + 1);
	if (image->runs > 0 && below(random, 2) == 0) {
		const struct run *near = &image->run[below(random, image->runs)];
		run->addr = near->addr + near->len + (below(random, 3) == 0 ? 0 : below(random, 40));
	} else if (below(random, 12) == 0) {
		run->addr = image->limit - run->len;
	} else if (image->limit > 0x20000 && below(random, 6) == 0) {
		run->addr = (run->addr & ~UINT64_C(0xFFFF)) + 0x10000 - below(random, run->len + 1);
	}
	if (run->addr + run->len > image->limit || overlaps(image, run))
		return;
	int blank = below(random, 10) == 0; /* 0xFF is data too */
	for (unsigned i = 0; i < run->len; i++)
		run->byte[i] = blank ? 0xFF : (uint8_t)next(random);
	image->runs++;
}

static void make_image(struct image *image, struct random *random)
{
	static const uint64_t limits[] = {0x8000, 0x10000, 0x20000, 0x100000, 0x1000000, UINT64_C(0x100000000)};
	static const unsigned starts[] = {0, 0, 3, 5};
	memset(image, 0, sizeof *image);
	image->limit = limits[below(random, 6)];
	image->srec = below(random, 4) == 0;
	image->conflict = below(random, 16) == 0;
	while (image->runs == 0)
		for (unsigned i = 1 + below(random, MAX_RUNS); i > 0; i--)
			add_run(image, random);
	image->run[0].side = 0; /* neither file is empty: those are no images */
	if (image->runs == 1 && image->run[0].len > 1) {
		struct run *half = &image->run[image->runs++];
		*half = image->run[0];
		image->run[0].len /= 2;
		half->len -= image->run[0].len;
		half->addr += image->run[0].len;
		memcpy(half->byte, image->run[0].byte + image->run[0].len, half->len);
	}
	if (image->runs > 1)
		image->run[1].side = 1;
	image->start_type = image->srec ? 0 : starts[below(random, 4)];
	image->start = (uint32_t)next(random);
	if (image->start_type == 3 && below(random, 2) == 0)
		image->start = 0xFFFFu & image->start; /* CS 0, as AVR tools write it */
}

static unsigned collect(const struct image *image, unsigned side, const struct dialect *dialect,
			struct random *random, struct record *record)
{
	unsigned count = 0;
	for (unsigned i = 0; i < image->runs; i++) {
		const struct run *run = &image->run[i];
		for (unsigned done = 0; run->side == side && done < run->len;) {
			uint64_t addr = run->addr + done;
			unsigned len = dialect->width != 0 ? dialect->width : 1 + below(random, 64);
			unsigned to_edge = 0x10000 - (unsigned)(addr & 0xFFFF);
			if (len > run->len - done)
				len = run->len - done;
			/* Only linear records may run across 64 KiB, and not all readers know it: mostly not. */
			if (len > to_edge && (dialect->base != BASE_LINEAR || below(random, 4) != 0))
				len = to_edge;
			record[count++] = (struct record){addr, len, run->byte + done};
			done += len;
		}
	}
	return count;
}

static int by_address(const void *a, const void *b)
{
	const struct record *x = a, *y = b;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static void arrange(struct record *record, unsigned count, int order, struct random *random)
{
	qsort(record, count, sizeof *record, by_address);
	for (unsigned i = 0; order == 1 && i < count / 2; i++) {
		struct record swap = record[i];
		record[i] = record[count - 1 - i];
		record[count - 1 - i] = swap;
	}
	for (unsigned i = count; order == 2 && i > 1; i--) {
		unsigned j = below(random, i);
		struct record swap = record[i - 1];
		record[i - 1] = record[j];
		record[j] = swap;
	}
}

static void put_bytes(FILE *out, const struct dialect *dialect, const uint8_t *byte, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		fprintf(out, dialect->lower ? "%02x" : "%02X", byte[i]);
}

static void put_ihex(FILE *out, const struct dialect *dialect, unsigned type, unsigned offset,
		     const uint8_t *byte, unsigned len)
{
	uint8_t head[4] = {(uint8_t)len, (uint8_t)(offset >> 8), (uint8_t)offset, (uint8_t)type};
	uint8_t sum = 0;
	for (unsigned i = 0; i < 4; i++)
		sum = (uint8_t)(sum - head[i]);
	for (unsigned i = 0; i < len; i++)
		sum = (uint8_t)(sum - byte[i]);
	fputc(':', out);
	put_bytes(out, dialect, head, 4);
	put_bytes(out, dialect, byte, len);
	put_bytes(out, dialect, &sum, 1);
	fputs(dialect->newline, out);
}

static void put_start(FILE *out, const struct dialect *dialect, const struct image *image)
{
	const uint8_t start[4] = {(uint8_t)(image->start >> 24), (uint8_t)(image->start >> 16),
				  (uint8_t)(image->start >> 8), (uint8_t)image->start};
	if (image->start_type != 0)
		put_ihex(out, dialect, image->start_type, 0, start, 4);
}

/* The base record that this data needs, if another than the one in force; returns the base in force. */
static uint64_t put_base(FILE *out, const struct dialect *dialect, uint64_t base, const struct record *record,
			 struct random *random)
{
	uint64_t wanted = record->addr & ~UINT64_C(0xFFFF);
	unsigned value = (unsigned)(wanted >> 16);
	if (dialect->base == BASE_SEGMENT) {
		if (record->addr >= base && record->addr + record->len <= base + 0x10000)
			return base;
		/* Any paragraph that reaches it; records never run across 64 KiB here. */
		if (record->addr < 0xF0000 && below(random, 2) == 0)
			wanted = record->addr & ~UINT64_C(15);
		value = (unsigned)(wanted >> 4);
	}
	/* Below 64 KiB a record may only cross the edge when a base, even of 0, says that the file is linear. */
	int crosses = record->addr % 0x10000 + record->len > 0x10000;
	if (wanted == base && !(base == 0 && crosses))
		return base;
	const uint8_t byte[2] = {(uint8_t)(value >> 8), (uint8_t)value};
	put_ihex(out, dialect, dialect->base == BASE_SEGMENT ? 2 : 4, 0, byte, 2);
	return wanted;
}

static void write_ihex(FILE *out, const struct image *image, unsigned side, const struct dialect *dialect,
		       const struct record *record, unsigned count, struct random *random)
{
	uint64_t base = 0;
	if (side == 0 && dialect->start_first)
		put_start(out, dialect, image);
	for (unsigned i = 0; i < count; i++) {
		if (dialect->base != BASE_NONE)
			base = put_base(out, dialect, base, &record[i], random);
		put_ihex(out, dialect, 0, (unsigned)(record[i].addr - base) & 0xFFFF, record[i].byte, record[i].len);
		if (dialect->blank_lines && below(random, 20) == 0)
			fputs(dialect->newline, out);
	}
	if (side == 0 && !dialect->start_first)
		put_start(out, dialect, image);
	put_ihex(out, dialect, 1, 0, NULL, 0);
}

static void put_srec(FILE *out, const struct dialect *dialect, unsigned type, unsigned address_bytes,
		     uint64_t addr, const uint8_t *byte, unsigned len)
{
	uint8_t head[5] = {(uint8_t)(address_bytes + len + 1)}, sum = head[0];
	for (unsigned i = 0; i < address_bytes; i++)
		sum = (uint8_t)(sum + (head[1 + i] = (uint8_t)(addr >> 8 * (address_bytes - 1 - i))));
	for (unsigned i = 0; i < len; i++)
		sum = (uint8_t)(sum + byte[i]);
	sum = (uint8_t)~sum;
	fprintf(out, "S%u", type);
	put_bytes(out, dialect, head, 1 + address_bytes);
	put_bytes(out, dialect, byte, len);
	put_bytes(out, dialect, &sum, 1);
	fputs(dialect->newline, out);
}

static void write_srec(FILE *out, const struct image *image, const struct dialect *dialect,
		       const struct record *record, unsigned count, struct random *random)
{
	unsigned least = image->limit <= 0x10000 ? 2 : image->limit <= 0x1000000 ? 3 : 4;
	unsigned address_bytes = least + below(random, 5 - least);
	if (below(random, 2) == 0)
		put_srec(out, dialect, 0, 2, 0, (const uint8_t *)"random", 6);
	for (unsigned i = 0; i < count; i++)
		put_srec(out, dialect, address_bytes - 1, address_bytes, record[i].addr, record[i].byte,
			 record[i].len);
	if (below(random, 2) == 0)
		put_srec(out, dialect, 5, 2, count, NULL, 0);
	put_srec(out, dialect, 11 - address_bytes, address_bytes, 0, NULL, 0);
}

static void choose(struct dialect *dialect, const struct image *image, struct random *random)
{
	static const unsigned widths[] = {16, 16, 32, 8, 0, 0, 1, 250};
	*dialect = (struct dialect){
		.width = widths[below(random, 8)],
		.order = (int)below(random, 3),
		.lower = below(random, 3) == 0,
		.blank_lines = below(random, 5) == 0,
		.start_first = (int)below(random, 2),
		.newline = below(random, 3) == 0 ? "\r\n" : "\n",
	};
	dialect->base = image->limit <= 0x10000 ? (enum base)below(random, 3)
			: image->limit <= 0x100000 ? (below(random, 2) ? BASE_SEGMENT : BASE_LINEAR)
						   : BASE_LINEAR;
}

static FILE *create(const char *dir, unsigned number, const char *extension)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%u.%s", dir, number, extension);
	FILE *file = fopen(path, "wb");
	if (file == NULL) {
		perror(path);
		exit(3);
	}
	return file;
}

static void close_or_die(FILE *file)
{
	if (fclose(file) != 0) {
		perror("hex_random");
		exit(3);
	}
}

static void write_side(const char *dir, unsigned number, const struct image *image, unsigned side,
		       struct random *random)
{
	struct record *record = malloc((MAX_RECORDS + 1) * sizeof *record);
	struct dialect dialect;
	if (record == NULL)
		exit(3);
	choose(&dialect, image, random);
	unsigned count = collect(image, side, &dialect, random, record);
	uint8_t other = 0;
	if (side == 1 && image->conflict) { /* one byte that file a has otherwise */
		other = (uint8_t)~image->run[0].byte[0];
		record[count++] = (struct record){image->run[0].addr, 1, &other};
	}
	arrange(record, count, dialect.order, random);
	FILE *out = create(dir, number, side == 0 ? "a" : "b");
	if (side == 0 && image->srec)
		write_srec(out, image, &dialect, record, count, random);
	else
		write_ihex(out, image, side, &dialect, record, count, random);
	close_or_die(out);
	free(record);
}

/* Lines: "srec" if file a is one, "conflict" if the two cannot be merged, "start TYPE VALUE", and the data. */
static void write_truth(const char *dir, unsigned number, const struct image *image)
{
	const struct dialect upper = {.lower = 0};
	FILE *out = create(dir, number, "truth");
	if (image->srec)
		fputs("srec\n", out);
	if (image->conflict)
		fputs("conflict\n", out);
	if (image->start_type != 0)
		fprintf(out, "start %u %08" PRIX32 "\n", image->start_type, image->start);
	for (unsigned i = 0; i < image->runs; i++) {
		fprintf(out, "data %08" PRIX64 " ", image->run[i].addr);
		put_bytes(out, &upper, image->run[i].byte, image->run[i].len);
		fputc('\n', out);
	}
	close_or_die(out);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fputs("usage: hex_random SEED FIRST COUNT DIR\n", stderr);
		return 2;
	}
	uint64_t seed = strtoull(argv[1], NULL, 0);
	unsigned first = (unsigned)strtoul(argv[2], NULL, 0), count = (unsigned)strtoul(argv[3], NULL, 0);
	struct image *image = malloc(sizeof *image);
	if (image == NULL)
		return 3;
	for (unsigned number = first; number < first + count; number++) {
		struct random random = {seed ^ (uint64_t)number << 32};
		next(&random);
		do
			make_image(image, &random);
		while (image->runs < 2);
		write_side(argv[4], number, image, 0, &random);
		write_side(argv[4], number, image, 1, &random);
		write_truth(argv[4], number, image);
	}
	free(image);
	return 0;
}
