/*
 * Constant-rate frames from one network namespace, counted where they arrive.
 *
 *   traffic send  NAMESPACE SECONDS WARM_UP_SECONDS SETTLE_SECONDS < flows
 *   traffic probe NAMESPACE NAMESPACE DEVICE COUNT INTERVAL_US < flow
 *
 * A flow is one line: device, destination MAC, source MAC, source IPv4, destination IPv4, UDP
 * port, frame size in bytes without FCS, frames a second, the file with the sink's packet
 * counter ("-" for none).
 *
 * The generator sleeps between bursts of what is due. One that spins, as pktgen does above 10,000
 * frames/s, decides when everybody else on its CPU runs; and on an emulated machine whose
 * CPUs share one clock of instructions it takes time even from those on other CPUs.
 *
 * "send" prints "begin" and "end" around the window in which it counts, then the window in ns,
 * then for each flow a line: sent and received in the window, sent and received in all, with
 * what the queues still held at the end. In the window, a queue that fills doesn't pass
 * for throughput; in all, a frame on its way doesn't pass for lost.
 * "probe", whose second namespace and device are the sink's, prints the one-way delay of each probe in ns, -1 for one that was lost.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FLOWS = 64, MAX_FRAME = 9018, BURST = 64, HEADERS = 42 };

static const int64_t SECOND = 1000000000;
static const int64_t TICK = 100000;     /* ns between bursts, at least */
static const int64_t BEHIND = 20000000; /* ns of frames that are made up for when late */

struct flow {
	uint8_t frame[MAX_FRAME];
	size_t size;
	int64_t rate; /* frames a second */
	char device[IFNAMSIZ];
	struct sockaddr_ll out;
	int counter;  /* file descriptor, -1 for none */
	int64_t owed; /* in units of 1/SECOND of a frame */
	uint64_t sent;
	uint64_t received_first;                /* when it began to send */
	uint64_t sent_begin, received_begin;    /* at the window's begin */
	uint64_t sent_end, received_end;        /* at its end */
};

static struct flow flows[MAX_FLOWS];
static size_t flow_count;

static void die(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now(clockid_t clock)
{
	struct timespec at;
	clock_gettime(clock, &at);
	return at.tv_sec * SECOND + at.tv_nsec;
}

static void sleep_until(int64_t when)
{
	struct timespec at = { .tv_sec = when / SECOND, .tv_nsec = when % SECOND };
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

static void put16(uint8_t *to, unsigned value)
{
	to[0] = value >> 8;
	to[1] = value & 0xff;
}

/* RFC 791, section 3.1: the header's checksum. */
static unsigned ipv4_checksum(const uint8_t *header)
{
	unsigned sum = 0;
	for (int at = 0; at < 20; at += 2)
		sum += header[at] << 8 | header[at + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static void make_frame(struct flow *flow, const uint8_t *dst, const uint8_t *src, in_addr_t from,
		       in_addr_t to, unsigned port)
{
	uint8_t *ip = flow->frame + 14, *udp = ip + 20;
	memcpy(flow->frame, dst, 6);
	memcpy(flow->frame + 6, src, 6);
	put16(flow->frame + 12, ETHERTYPE_IP);
	ip[0] = 0x45;
	put16(ip + 2, flow->size - 14);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, &from, 4);
	memcpy(ip + 16, &to, 4);
	put16(ip + 10, ipv4_checksum(ip));
	put16(udp, port); /* source port: as the destination's; checksum 0: none */
	put16(udp + 2, port);
	put16(udp + 4, flow->size - 34);
}

static void read_flows(void)
{
	char line[600], from[32], to[32], counter[256];
	while (fgets(line, sizeof line, stdin)) {
		struct flow *flow = &flows[flow_count];
		uint8_t dst[6], src[6];
		unsigned port;
		long long rate;
		int words = sscanf(line,
				   "%15s %hhx:%hhx:%hhx:%hhx:%hhx:%hhx %hhx:%hhx:%hhx:%hhx:%hhx:%hhx"
				   " %31s %31s %u %zu %lld %255s",
				   flow->device, &dst[0], &dst[1], &dst[2], &dst[3], &dst[4], &dst[5], &src[0], &src[1],
				   &src[2], &src[3], &src[4], &src[5], from, to, &port, &flow->size, &rate,
				   counter);
		if (words != 19 || flow->size < 60 || flow->size > MAX_FRAME || flow_count + 1 == MAX_FLOWS) {
			fprintf(stderr, "traffic: not a flow: %s", line);
			exit(2);
		}
		flow->rate = rate;
		flow->counter = strcmp(counter, "-") ? open(counter, O_RDONLY) : -1;
		if (flow->counter < 0 && strcmp(counter, "-"))
			die(counter);
		make_frame(flow, dst, src, inet_addr(from), inet_addr(to), port);
		flow_count++;
	}
}

static uint64_t count(int counter)
{
	char text[32] = "";
	if (counter < 0)
		return 0;
	if (pread(counter, text, sizeof text - 1, 0) < 1)
		die("counter");
	return strtoull(text, NULL, 10);
}

static void enter(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "/run/netns/%s", name);
	int space = open(path, O_RDONLY);
	if (space < 0 || setns(space, CLONE_NEWNET))
		die(path);
	close(space);
}

/* A socket to send on: past the device's queue, as a wire has none. */
static int open_sender(void)
{
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	for (size_t i = 0; i < flow_count; i++) {
		flows[i].out.sll_family = AF_PACKET;
		flows[i].out.sll_ifindex = if_nametoindex(flows[i].device);
		if (!flows[i].out.sll_ifindex)
			die(flows[i].device);
	}
	return fd;
}

/* A socket that gets UDP frames to `port`, with the time when each came. */
static int open_receiver(const char *device, unsigned port)
{
	/* All protocols: other sockets come after the filter that lets sinks drop UDP. */
	struct sockaddr_ll place = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct sock_filter only[] = {
		{ BPF_LD | BPF_H | BPF_ABS, 0, 0, 12 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 3, ETHERTYPE_IP },
		{ BPF_LD | BPF_H | BPF_ABS, 0, 0, 36 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, port },
		{ BPF_RET | BPF_K, 0, 0, 256 },
		{ BPF_RET | BPF_K, 0, 0, 0 },
	};
	struct sock_fprog filter = { sizeof only / sizeof *only, only };
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW, 0);
	place.sll_ifindex = if_nametoindex(device);
	if (fd < 0 || !place.sll_ifindex ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) ||
	    bind(fd, (struct sockaddr *)&place, sizeof place))
		die(device);
	return fd;
}

static void transmit(int fd, struct mmsghdr *messages, unsigned count)
{
	for (unsigned done = 0; done < count;) {
		int sent = sendmmsg(fd, messages + done, count - done, MSG_DONTWAIT);
		if (sent < 0 && errno != ENOBUFS && errno != EAGAIN)
			die("send");
		done += sent > 0 ? sent : 1;
	}
}

/* Sends what every flow owes by now, one frame of each in turn. */
static void send_due(int fd, int64_t passed)
{
	static struct mmsghdr messages[BURST];
	static struct iovec parts[BURST];
	unsigned ready = 0;
	int more = 1;
	if (passed > BEHIND)
		passed = BEHIND;
	for (size_t i = 0; i < flow_count; i++)
		flows[i].owed += flows[i].rate * passed;
	while (more) {
		more = 0;
		for (size_t i = 0; i < flow_count; i++) {
			struct flow *flow = &flows[i];
			if (flow->owed < SECOND)
				continue;
			flow->owed -= SECOND;
			flow->sent++;
			more = 1;
			parts[ready] = (struct iovec){ flow->frame, flow->size };
			messages[ready].msg_hdr = (struct msghdr){ .msg_iov = &parts[ready],
								   .msg_iovlen = 1,
								   .msg_name = &flow->out,
								   .msg_namelen = sizeof flow->out };
			if (++ready == BURST) {
				transmit(fd, messages, ready);
				ready = 0;
			}
		}
	}
	transmit(fd, messages, ready);
}

/* How long until a flow owes its next frame, in ns. */
static int64_t until_due(void)
{
	int64_t least = SECOND / 100;
	for (size_t i = 0; i < flow_count; i++) {
		const struct flow *flow = &flows[i];
		int64_t wait = flow->rate ? (SECOND - flow->owed + flow->rate - 1) / flow->rate : least;
		if (wait < least)
			least = wait;
	}
	return least;
}

static void send_for(int fd, int64_t from, int64_t until)
{
	int64_t last = from, next = from;
	while (last < until) {
		int64_t wait = until_due();
		next += wait > TICK ? wait : TICK;
		sleep_until(next);
		int64_t at = now(CLOCK_MONOTONIC);
		send_due(fd, at - last);
		last = at;
		if (next < at - TICK)
			next = at;
	}
}

static int send_main(char **words)
{
	double seconds = atof(words[1]), warm_up = atof(words[2]), settle = atof(words[3]);
	read_flows();
	enter(words[0]);
	int fd = open_sender();
	struct sched_param first = { .sched_priority = 50 };
	/* What is offered must not depend on how busy the system under test is. */
	sched_setscheduler(0, SCHED_FIFO, &first);
	for (size_t i = 0; i < flow_count; i++)
		flows[i].received_first = count(flows[i].counter);
	int64_t begin = now(CLOCK_MONOTONIC);
	send_for(fd, begin, begin + (int64_t)(warm_up * SECOND));
	begin = now(CLOCK_MONOTONIC);
	for (size_t i = 0; i < flow_count; i++) {
		flows[i].sent_begin = flows[i].sent;
		flows[i].received_begin = count(flows[i].counter);
	}
	puts("begin");
	fflush(stdout);
	send_for(fd, begin, begin + (int64_t)(seconds * SECOND));
	int64_t end = now(CLOCK_MONOTONIC);
	for (size_t i = 0; i < flow_count; i++) {
		flows[i].sent_end = flows[i].sent;
		flows[i].received_end = count(flows[i].counter);
	}
	puts("end");
	fflush(stdout);
	sleep_until(end + (int64_t)(settle * SECOND));
	printf("%lld\n", (long long)(end - begin));
	for (size_t i = 0; i < flow_count; i++)
		printf("%llu %llu %llu %llu\n",
		       (unsigned long long)(flows[i].sent_end - flows[i].sent_begin),
		       (unsigned long long)(flows[i].received_end - flows[i].received_begin),
		       (unsigned long long)flows[i].sent,
		       (unsigned long long)(count(flows[i].counter) - flows[i].received_first));
	return 0;
}

struct stamp {
	uint32_t number;
	int64_t sent;
} __attribute__((packed));

/* Takes what came back; each probe carries its number and when it was sent. */
static void take_probes(int fd, int64_t *delays, uint32_t probes, unsigned port)
{
	uint8_t frame[MAX_FRAME], control[128];
	for (;;) {
		struct iovec part = { frame, sizeof frame };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
					  .msg_controllen = sizeof control };
		ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT);
		struct stamp stamp;
		struct timespec at;
		if (size < 0)
			return;
		if (size < HEADERS + (ssize_t)sizeof stamp || (unsigned)(frame[36] << 8 | frame[37]) != port)
			continue;
		memcpy(&stamp, frame + HEADERS, sizeof stamp);
		struct cmsghdr *extra = CMSG_FIRSTHDR(&message);
		if (stamp.number >= probes || !extra || extra->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&at, CMSG_DATA(extra), sizeof at);
		delays[stamp.number] = at.tv_sec * SECOND + at.tv_nsec - stamp.sent;
	}
}

static int probe_main(char **words)
{
	uint32_t probes = atoi(words[3]);
	int64_t interval = atoll(words[4]) * 1000;
	read_flows();
	struct flow *flow = &flows[0];
	unsigned port = flow->frame[36] << 8 | flow->frame[37];
	int64_t *delays = malloc(probes * sizeof *delays);
	int home = open("/proc/self/ns/net", O_RDONLY);
	enter(words[0]);
	int from = open_sender();
	setns(home, CLONE_NEWNET);
	enter(words[1]);
	int to = open_receiver(words[2], port);
	struct sched_param first = { .sched_priority = 60 };
	sched_setscheduler(0, SCHED_FIFO, &first);
	srandom(1);
	for (uint32_t number = 0; number < probes; number++)
		delays[number] = -1;
	int64_t next = now(CLOCK_MONOTONIC);
	for (uint32_t number = 0; number < probes; number++) {
		/* Not in step with the load: anywhere in the interval. */
		next += interval;
		sleep_until(next - random() % interval);
		struct stamp stamp = { number, now(CLOCK_REALTIME) };
		memcpy(flow->frame + HEADERS, &stamp, sizeof stamp);
		if (sendto(from, flow->frame, flow->size, MSG_DONTWAIT, (struct sockaddr *)&flow->out,
			   sizeof flow->out) < 0 &&
		    errno != ENOBUFS)
			die("send");
		take_probes(to, delays, probes, port);
	}
	sleep_until(now(CLOCK_MONOTONIC) + SECOND / 2);
	take_probes(to, delays, probes, port);
	for (uint32_t number = 0; number < probes; number++)
		printf("%lld\n", (long long)delays[number]);
	return 0;
}

int main(int count, char **words)
{
	if (count == 6 && !strcmp(words[1], "send"))
		return send_main(words + 2);
	if (count == 7 && !strcmp(words[1], "probe"))
		return probe_main(words + 2);
	fputs("usage: traffic send NAMESPACE SECONDS WARM_UP_SECONDS SETTLE_SECONDS < flows\n"
	      "       traffic probe NAMESPACE NAMESPACE DEVICE COUNT INTERVAL_US < flow\n",
	      stderr);
	return 2;
}
