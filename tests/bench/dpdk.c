/*
 * DPDK's forwarding tables for IPv4 and IPv6, as contenders for `run.py`.
 *
 *     dpdk DIR [EAL options]
 *
 * reads the tables and addresses that `table dump DIR` wrote, prints "ready", then serves
 * lines "FAMILY PATTERN CONTENDER" as `table serve` does.
 */
#include <rte_eal.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_lpm.h>
#include <rte_lpm6.h>

#include "bench.h"

#define ADDRESSES (1u << 20)
#define BURST 64
/* Addresses that are timed together. */
#define PART 4096
#define TBL8S_V4 65536
#define TBL8S_V6 262144

struct route4 {
	uint32_t prefix, len, value;
};

struct route6 {
	uint8_t prefix[16];
	uint32_t len, value;
};

typedef void lookup_burst(unsigned int first, uint64_t *sum);

static uint32_t *addresses4;
static uint8_t (*addresses6)[16];
static struct rte_fib *fib;
static struct rte_fib6 *fib6;
static struct rte_lpm *lpm;
static struct rte_lpm6 *lpm6;

static void burst_fib(unsigned int first, uint64_t *sum)
{
	uint64_t hops[BURST];
	rte_fib_lookup_bulk(fib, addresses4 + first, hops, BURST);
	for (int i = 0; i < BURST; i++)
		*sum += hops[i];
}

static void burst_lpm(unsigned int first, uint64_t *sum)
{
	uint32_t hops[BURST];
	rte_lpm_lookup_bulk(lpm, addresses4 + first, hops, BURST);
	for (int i = 0; i < BURST; i++)
		*sum += hops[i] & RTE_LPM_LOOKUP_SUCCESS ? hops[i] & 0xffffff : 0;
}

static void burst_fib6(unsigned int first, uint64_t *sum)
{
	uint64_t hops[BURST];
	rte_fib6_lookup_bulk(fib6, addresses6 + first, hops, BURST);
	for (int i = 0; i < BURST; i++)
		*sum += hops[i];
}

static void burst_lpm6(unsigned int first, uint64_t *sum)
{
	int32_t hops[BURST];
	rte_lpm6_lookup_bulk_func(lpm6, addresses6 + first, hops, BURST);
	for (int i = 0; i < BURST; i++)
		*sum += hops[i] >= 0 ? hops[i] : 0;
}

/* Not inlined, so that callgrind can count what it calls. */
static __attribute__((noinline)) void measured(lookup_burst *burst, unsigned int first, uint64_t *sum)
{
	burst(first, sum);
}

static double pass(lookup_burst *burst, unsigned int count, uint64_t *sum)
{
	static uint64_t nanos[ADDRESSES / PART];
	unsigned int parts = 0;
	*sum = 0;
	for (unsigned int part = 0; part < count; part += PART) {
		uint64_t start = now();
		for (unsigned int first = part; first < part + PART; first += BURST)
			measured(burst, first, sum);
		nanos[parts++] = now() - start;
	}
	return (double)median(nanos, parts) / PART;
}

static void fill4(const char *folder, const char *only)
{
	size_t size;
	struct route4 *routes = slurp(folder, "v4", "routes", &size);
	size_t count = size / sizeof(*routes);
	struct rte_fib_conf fib_conf = {
		.type = RTE_FIB_DIR24_8,
		.max_routes = 1 << 21,
		.dir24_8 = { .nh_sz = RTE_FIB_DIR24_8_2B, .num_tbl8 = TBL8S_V4 / 4 },
	};
	struct rte_lpm_config lpm_conf = { .max_rules = 1 << 21, .number_tbl8s = TBL8S_V4 };
	fib = rte_fib_create("fib", SOCKET_ID_ANY, &fib_conf);
	lpm = rte_lpm_create("lpm", SOCKET_ID_ANY, &lpm_conf);
	if (fib == NULL || lpm == NULL)
		fail("no room for the IPv4 tables");
	for (size_t i = 0; i < count; i++) {
		if (strcmp(only, "rte_lpm") != 0 &&
		    rte_fib_add(fib, routes[i].prefix, routes[i].len, routes[i].value) != 0)
			fail("rte_fib_add");
		if (strcmp(only, "rte_fib") != 0 &&
		    rte_lpm_add(lpm, routes[i].prefix, routes[i].len, routes[i].value) != 0)
			fail("rte_lpm_add");
	}
	free(routes);
}

static void fill6(const char *folder, const char *only)
{
	size_t size;
	struct route6 *routes = slurp(folder, "v6", "routes", &size);
	size_t count = size / sizeof(*routes);
	struct rte_fib6_conf fib_conf = {
		.type = RTE_FIB6_TRIE,
		.max_routes = 1 << 20,
		.trie = { .nh_sz = RTE_FIB6_TRIE_4B, .num_tbl8 = TBL8S_V6 },
	};
	struct rte_lpm6_config lpm_conf = { .max_rules = 1 << 20, .number_tbl8s = TBL8S_V6 };
	fib6 = rte_fib6_create("fib6", SOCKET_ID_ANY, &fib_conf);
	lpm6 = rte_lpm6_create("lpm6", SOCKET_ID_ANY, &lpm_conf);
	if (fib6 == NULL || lpm6 == NULL)
		fail("no room for the IPv6 tables");
	for (size_t i = 0; i < count; i++) {
		if (strcmp(only, "rte_lpm6") != 0 &&
		    rte_fib6_add(fib6, routes[i].prefix, routes[i].len, routes[i].value) != 0)
			fail("rte_fib6_add");
		if (strcmp(only, "rte_fib6") != 0 &&
		    rte_lpm6_add(lpm6, routes[i].prefix, routes[i].len, routes[i].value) != 0)
			fail("rte_lpm6_add");
	}
	free(routes);
}

int main(int count, char **words)
{
	if (count < 2)
		fail("which folder?");
	const char *folder = words[1];
	words[1] = words[0];
	if (rte_eal_init(count - 1, words + 1) < 0)
		fail("EAL");
	fill4(folder, "");
	fill6(folder, "");
	size_t size;
	uint32_t *patterns4[] = { slurp(folder, "v4", "uniform", &size), slurp(folder, "v4", "mix", &size) };
	uint8_t (*patterns6[])[16] = { slurp(folder, "v6", "uniform", &size),
				       slurp(folder, "v6", "mix", &size) };
	printf("ready\n");
	fflush(stdout);

	char family[8], pattern[16], contender[16];
	while (scanf("%7s %15s %15s", family, pattern, contender) == 3) {
		int mix = strcmp(pattern, "mix") == 0;
		lookup_burst *burst;
		addresses4 = patterns4[mix];
		addresses6 = patterns6[mix];
		if (strcmp(contender, "rte_lpm") == 0) {
			burst = burst_lpm;
		} else if (strcmp(contender, "rte_lpm6") == 0) {
			burst = burst_lpm6;
		} else if (strncmp(contender, "rte_fib6", 8) == 0) {
			burst = burst_fib6;
			if (rte_fib6_select_lookup(fib6, strstr(contender, "avx") ?
				RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512 : RTE_FIB6_LOOKUP_TRIE_SCALAR) != 0)
				burst = NULL;
		} else {
			burst = burst_fib;
			if (rte_fib_select_lookup(fib, strstr(contender, "avx") ?
				RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512 :
				RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO) != 0)
				burst = NULL;
		}
		if (burst == NULL) {
			printf("unsupported\n");
		} else {
			uint64_t sum;
			pass(burst, ADDRESSES, &sum);
			double nanos = pass(burst, ADDRESSES, &sum);
			printf("%.3f %" PRIu64 "\n", nanos, sum);
		}
		fflush(stdout);
	}
	return 0;
}
