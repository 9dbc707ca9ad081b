/*
 * IPv4 forwarding as DPDK's example l3fwd does it with an LPM table, as a contender for
 * `pipeline.rs`: bursts of frames from one ring through lookup and rewriting to another.
 *
 *     l3fwd FOLDER NAME TURNS [EAL options]
 *
 * reads the routes and frames that `pipeline --dump=FOLDER` wrote and prints `name,value,unit`.
 * The rings play the queues of network cards: a driver's work isn't in what is measured, nor is
 * that of the mbufs' pool. What is runs under callgrind too:
 *
 *     valgrind --tool=callgrind --collect-atstart=no --toggle-collect=measured l3fwd ...
 */
#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_lpm.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_ring.h>

#include "bench.h"

#define BURST 64
#define LEN 60
#define PORTS 2
/* Next hops are gateways behind port 1, then the one behind port 0; NOWHERE is no route. */
#define GATEWAYS 16
#define NOWHERE (GATEWAYS + 1)

struct route {
	uint32_t prefix, len, hop;
};

struct hop {
	struct rte_ether_addr macs[2];
	uint32_t port;
};

static struct hop hops[GATEWAYS + 1];
static struct rte_lpm *lpm;
static struct rte_mempool *pool;
static struct rte_ring *received, *ports[PORTS];

static inline struct rte_ipv4_hdr *ipv4(struct rte_mbuf *frame)
{
	return rte_pktmbuf_mtod_offset(frame, struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
}

/* The next hop of a frame; NOWHERE for what isn't IPv4. */
static inline uint32_t look_up(struct rte_mbuf *frame)
{
	uint32_t hop;

	if (!RTE_ETH_IS_IPV4_HDR(frame->packet_type) ||
	    rte_lpm_lookup(lpm, rte_be_to_cpu_32(ipv4(frame)->dst_addr), &hop) != 0)
		return NOWHERE;
	return hop;
}

/* Those of four frames. */
static inline void look_up_4(struct rte_mbuf **f, uint32_t *found)
{
	const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
	__m128i addresses = _mm_set_epi32(ipv4(f[3])->dst_addr, ipv4(f[2])->dst_addr,
					  ipv4(f[1])->dst_addr, ipv4(f[0])->dst_addr);
	uint32_t types = f[0]->packet_type & f[1]->packet_type & f[2]->packet_type & f[3]->packet_type;

	if (likely(RTE_ETH_IS_IPV4_HDR(types)))
		rte_lpm_lookupx4(lpm, _mm_shuffle_epi8(addresses, swap), found, NOWHERE);
	else
		for (int i = 0; i < 4; i++)
			found[i] = look_up(f[i]);
}

/* Checks and changes the headers. The port that the frame leaves by, or PORTS to drop it. */
static inline uint32_t forward(struct rte_mbuf *frame, uint32_t hop)
{
	struct rte_ipv4_hdr *ip = ipv4(frame);

	if (unlikely(hop == NOWHERE || ip->version_ihl < 0x45 || ip->version_ihl > 0x4f ||
		     rte_be_to_cpu_16(ip->total_length) < sizeof(*ip) || ip->time_to_live <= 1))
		return PORTS;
	ip->time_to_live--;
	/* In one's complement. */
	uint32_t sum = ip->hdr_checksum + rte_cpu_to_be_16(0x100);
	ip->hdr_checksum = sum + (sum >= 0xffff);
	memcpy(rte_pktmbuf_mtod(frame, void *), hops[hop].macs, sizeof(hops[hop].macs));
	return hops[hop].port;
}

static inline void transmit(struct rte_mbuf **frames, unsigned int count, uint32_t port)
{
	unsigned int sent = 0;

	if (likely(port < PORTS))
		sent = rte_ring_sp_enqueue_burst(ports[port], (void **)frames, count, NULL);
	for (; unlikely(sent < count); sent++)
		rte_pktmbuf_free(frames[sent]);
}

/* One poll of the receive queue. Not inlined, so that callgrind can count it. */
static __attribute__((noinline)) void measured(void)
{
	struct rte_mbuf *frames[BURST];
	uint32_t found[BURST], to[BURST];
	unsigned int count = rte_ring_sc_dequeue_burst(received, (void **)frames, BURST, NULL);
	unsigned int i, first;

	for (i = 0; i < count; i++)
		rte_prefetch0(ipv4(frames[i]));
	for (i = 0; i + 4 <= count; i += 4)
		look_up_4(frames + i, found + i);
	for (; i < count; i++)
		found[i] = look_up(frames[i]);
	for (i = 0; i < count; i++)
		to[i] = forward(frames[i], found[i]);
	for (first = 0; first < count; first = i) {
		for (i = first + 1; i < count && to[i] == to[first];)
			i++;
		transmit(frames + first, i - first, to[first]);
	}
}

/*
 * rte_lpm_add searches all routes of the same length for each it adds, which takes minutes for
 * a million; so prefixes of 24 bits are entered as it enters them.
 */
static void add(const struct route *route)
{
	if (route->len != 24) {
		if (rte_lpm_add(lpm, route->prefix, route->len, route->hop) != 0)
			fail("rte_lpm_add");
		return;
	}
	lpm->tbl24[route->prefix >> 8] = (struct rte_lpm_tbl_entry){
		.next_hop = route->hop, .valid = 1, .depth = 24,
	};
}

static void fill(const char *folder, const char *name)
{
	size_t size;
	struct route *routes = slurp(folder, name, "routes", &size);
	struct rte_lpm_config config = { .max_rules = 1024, .number_tbl8s = 256 };

	lpm = rte_lpm_create("lpm", SOCKET_ID_ANY, &config);
	if (lpm == NULL)
		fail("no room for the table");
	/* Shorter ones first. */
	for (size_t i = size / sizeof(*routes); i-- > 0;)
		add(&routes[i]);
	free(routes);
	for (uint32_t i = 0; i <= GATEWAYS; i++) {
		int up = i == GATEWAYS;
		hops[i] = (struct hop){
			.macs = { { { 2, 0, 0, 0, !up, up ? 0x99 : i } }, { { 2, 0, 0, 0, 0, 0xa1 - up } } },
			.port = !up,
		};
	}
}

/* Puts a burst of frames into the receive queue, as a card would. */
static void receive(uint8_t (*frames)[LEN], size_t count, size_t first)
{
	struct rte_mbuf *burst[BURST];

	if (rte_pktmbuf_alloc_bulk(pool, burst, BURST) != 0)
		fail("no mbufs");
	for (size_t i = 0; i < BURST; i++) {
		memcpy(rte_pktmbuf_append(burst[i], LEN), frames[(first + i) % count], LEN);
		burst[i]->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4;
	}
	if (rte_ring_sp_enqueue_bulk(received, (void **)burst, BURST, NULL) != BURST)
		fail("the receive queue is full");
}

/* Takes a burst out of the port and compares it with what has to arrive. */
static void check(uint8_t (*wanted)[LEN], size_t count, size_t first)
{
	struct rte_mbuf *burst[BURST];

	if (rte_ring_sc_dequeue_burst(ports[1], (void **)burst, BURST, NULL) != BURST)
		fail("frames are missing");
	for (size_t i = 0; i < BURST; i++)
		if (memcmp(rte_pktmbuf_mtod(burst[i], void *), wanted[(first + i) % count], LEN) != 0)
			fail("a frame is wrong");
	rte_pktmbuf_free_bulk(burst, BURST);
}

int main(int count, char **words)
{
	if (count < 4)
		fail("FOLDER NAME TURNS [EAL options]");
	const char *folder = words[1], *name = words[2];
	size_t turns = strtoul(words[3], NULL, 10), size;
	words[3] = words[0];
	if (rte_eal_init(count - 3, words + 3) < 0)
		fail("EAL");
	fill(folder, name);
	uint8_t (*frames)[LEN] = slurp(folder, name, "frames", &size);
	uint8_t (*wanted)[LEN] = slurp(folder, name, "wanted", &size);
	size_t flows = size / LEN;
	/* No cache of recently freed mbufs: each is used in turn, as those of a card's ring are. */
	pool = rte_pktmbuf_pool_create("frames", 511, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	unsigned int flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	received = rte_ring_create("received", 256, SOCKET_ID_ANY, flags);
	ports[0] = rte_ring_create("port0", 256, SOCKET_ID_ANY, flags);
	ports[1] = rte_ring_create("port1", 256, SOCKET_ID_ANY, flags);
	uint64_t *nanos = calloc(turns, sizeof(*nanos));
	if (pool == NULL || received == NULL || ports[0] == NULL || ports[1] == NULL || nanos == NULL)
		fail("no memory");

	for (size_t turn = 0; turn < turns; turn++) {
		receive(frames, flows, turn * BURST);
		uint64_t start = now();
		measured();
		nanos[turn] = now() - start;
		check(wanted, flows, turn * BURST);
	}
	printf("l3fwd_%s_frames,%zu,frames\n", name, turns * BURST);
	printf("l3fwd_%s,%.1f,ns/frame\n", name, (double)median(nanos, turns) / BURST);
	return 0;
}
