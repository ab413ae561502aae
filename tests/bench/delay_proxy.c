/* SPDX-License-Identifier: MIT
 *
 * A far-away server on this machine: a TCP proxy that delays every byte by a fixed time each way
 * and, if told to, lets all connections share a link of limited bandwidth. It models what decides
 * how fast mail arrives: the handshake's round trip, slow start (RFC 6928: ten segments at first,
 * doubled each round trip), its restart after idleness (RFC 2861), and a bottleneck queue whose
 * overflow halves the window. No packet loss else, no reordering, no jitter.
 *
 *   delay_proxy --target PORT [--rtt-us N] [--mbit N] [--window BYTES] [--initial BYTES]
 *               [--queue-ms N] [--no-slow-start]
 *
 * It listens on 127.0.0.1, prints "port N" and lives until its stdin ends. Lines on stdin:
 *   stats           answered by "connections N open N up BYTES down BYTES"
 *   rtt-us N        from now on
 *
 * One thread, epoll with edges; each direction of a connection is one ring of bytes with three
 * positions in it: received from the sender, put on the wire, handed to the receiver.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RING       (16u << 20) /* bytes of one direction: window and what waits */
#define WAITING    (1u << 20)  /* the sender's socket buffer: read no further ahead */
#define MARKS      8192u       /* segments in flight, and acknowledgements */
#define SEGMENT    65536u
#define LINK_PIECE 16384u /* with a bandwidth: how long one connection holds the link */
#define MSS        1460u
#define NEVER      INT64_MAX

static struct {
	int64_t delay; /* one way, ns */
	int64_t queue; /* of the bottleneck, ns */
	double ns_per_byte;
	uint64_t window, initial;
	int target;
	bool slow_start;
} config = { .window = 4u << 20, .initial = 10 * MSS, .queue = 100000000, .slow_start = true };

static struct {
	uint64_t connections, open, bytes[2];
} stats;

/* Bytes up to `end` are there at `due`. */
struct mark {
	uint64_t end;
	int64_t due;
};

struct marks {
	struct mark at[MARKS];
	unsigned head, tail;
};

/* One direction of one connection. */
struct flow {
	int from, to;
	bool can_read, can_write, at_eof, is_done;
	int64_t eof_due, start;

	uint8_t *ring;
	uint64_t received, sent, delivered, acked;
	struct marks wire, acks;

	uint64_t window, threshold;
	int64_t last_sent, last_cut;
};

struct end {
	struct conn *conn;
	unsigned side;
};

/* flow[0] goes up to the server, flow[1] down to the client; end[0] is the client's socket. */
struct conn {
	struct conn *next;
	struct end end[2];
	int fd[2];
	int64_t connect_at;
	bool is_connected, is_dead;
	struct flow flow[2];
};

static struct conn *conns;
static int epoll_fd, listen_fd;
static int64_t link_free[2]; /* when the link has sent what it was given, by direction */
static struct end listener, control;

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "delay_proxy: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- marks ---- */

static bool marks_full(const struct marks *m)
{
	return m->tail - m->head == MARKS;
}

static struct mark *marks_first(struct marks *m)
{
	return m->head == m->tail ? NULL : &m->at[m->head % MARKS];
}

static void marks_push(struct marks *m, uint64_t end, int64_t due)
{
	if (marks_full(m))
		m->tail--; /* only acknowledgements get here: the last one grows */
	m->at[m->tail++ % MARKS] = (struct mark){ end, due };
}

/* ---- congestion window ---- */

static bool has_window(void)
{
	return config.slow_start && config.delay > 0;
}

static uint64_t flow_window(const struct flow *f)
{
	if (config.delay == 0)
		return RING;
	return has_window() ? f->window : config.window;
}

/* Slow start below the threshold, one segment per round trip above; only if the window was used. */
static void grow(struct flow *f, uint64_t acked, uint64_t in_flight)
{
	if (in_flight * 2 < f->window)
		return;
	f->window += f->window < f->threshold ? acked : acked * MSS / f->window;
	if (f->window > config.window)
		f->window = config.window;
}

static void take_acks(struct flow *f, int64_t now)
{
	struct mark *m;

	while ((m = marks_first(&f->acks)) && m->due <= now) {
		uint64_t in_flight = f->sent - f->acked;
		uint64_t acked = m->end - f->acked;

		f->acked = m->end;
		f->acks.head++;
		grow(f, acked, in_flight);
	}
}

/* RFC 2861 as Linux has it: halved for every timeout without a segment. */
static void restart_after_idle(struct flow *f, int64_t now)
{
	int64_t timeout = 200000000 + 2 * config.delay;
	int64_t idle = now - f->last_sent;

	if (f->sent != f->acked)
		return;
	for (; idle > timeout && f->window > config.initial; idle -= timeout)
		f->window = f->window / 2 > config.initial ? f->window / 2 : config.initial;
}

/* The bottleneck's queue is full: once per round trip the window shrinks. */
static void cut(struct flow *f, int64_t now)
{
	if (now - f->last_cut < 2 * config.delay + config.queue)
		return;
	f->last_cut = now;
	f->threshold = f->window / 2 > config.initial ? f->window / 2 : config.initial;
	f->window = f->threshold;
}

/* ---- one direction ---- */

/* The part of a ring from `pos`, `len` bytes, as at most two pieces; returns how many. */
static int pieces(struct flow *f, uint64_t pos, uint64_t len, struct iovec *iov)
{
	uint64_t at = pos % RING;
	uint64_t first = len < RING - at ? len : RING - at;

	iov[0] = (struct iovec){ f->ring + at, first };
	iov[1] = (struct iovec){ f->ring, len - first };
	return len > first ? 2 : 1;
}

/* How much may be received now. */
static uint64_t flow_room(const struct flow *f)
{
	uint64_t waiting = f->received - f->sent;
	uint64_t room = RING - (f->received - f->delivered);

	if (room > WAITING)
		room = WAITING;
	return room > waiting ? room - waiting : 0;
}

/* An empty ring starts anew: its beginning is in the CPU's cache. */
static void flow_rewind(struct flow *f)
{
	if (f->delivered != f->received || f->acks.head != f->acks.tail ||
		f->received % RING < 8 * SEGMENT)
		return;
	f->received += RING - f->received % RING;
	f->sent = f->delivered = f->acked = f->received;
}

/* False: the connection is broken. */
static bool flow_receive(struct flow *f, int64_t now)
{
	while (f->can_read && !f->at_eof) {
		uint64_t room = flow_room(f);
		struct iovec iov[2];
		ssize_t n;

		if (room == 0)
			return true;
		flow_rewind(f);
		n = readv(f->from, iov, pieces(f, f->received, room, iov));
		if (n > 0) {
			f->received += n;
			/* Short: drained, the next edge tells. */
			if ((uint64_t)n < room)
				f->can_read = false;
			return true;
		}
		if (n == 0) {
			f->at_eof = true;
			f->eof_due = now + config.delay;
		} else if (errno == EAGAIN) {
			f->can_read = false;
		} else if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

/* Puts what the window allows on the wire. */
static void flow_send(struct flow *f, unsigned way, int64_t now)
{
	if (f->sent == f->received || now < f->start)
		return;
	if (has_window())
		restart_after_idle(f, now);

	while (f->sent < f->received && !marks_full(&f->wire)) {
		uint64_t in_flight = f->sent - f->acked;
		uint64_t len = f->received - f->sent;
		uint64_t most = config.ns_per_byte > 0 ? LINK_PIECE : SEGMENT;
		int64_t due = now;

		if (in_flight >= flow_window(f))
			return;
		if (len > flow_window(f) - in_flight)
			len = flow_window(f) - in_flight;
		if (len > most)
			len = most;
		if (config.ns_per_byte > 0) {
			if (link_free[way] > now + config.queue) {
				cut(f, now);
				return;
			}
			if (link_free[way] < now)
				link_free[way] = now;
			link_free[way] += (int64_t)((double)len * config.ns_per_byte);
			due = link_free[way];
		}
		f->sent += len;
		f->last_sent = now;
		marks_push(&f->wire, f->sent, due + config.delay);
	}
}

/* Hands over what has arrived. False: the connection is broken. */
static bool flow_deliver(struct flow *f, unsigned way, int64_t now)
{
	while (f->can_write) {
		uint64_t until = f->delivered;
		struct iovec iov[2];
		struct mark *m;
		ssize_t n;

		for (unsigned at = f->wire.head; at != f->wire.tail; at++) {
			if (f->wire.at[at % MARKS].due > now)
				break;
			until = f->wire.at[at % MARKS].end;
		}
		if (until == f->delivered)
			return true;
		n = writev(f->to, iov, pieces(f, f->delivered, until - f->delivered, iov));
		if (n < 0 && errno == EAGAIN)
			f->can_write = false;
		else if (n < 0 && errno != EINTR)
			return false;
		if (n <= 0)
			continue;
		f->delivered += n;
		stats.bytes[way] += n;
		while ((m = marks_first(&f->wire)) && m->end <= f->delivered)
			f->wire.head++;
		marks_push(&f->acks, f->delivered, now + config.delay);
	}
	return true;
}

/* The end of the stream travels like a byte. */
static void flow_finish(struct flow *f, int64_t now)
{
	if (f->is_done || !f->at_eof || f->delivered != f->received || now < f->eof_due)
		return;
	shutdown(f->to, SHUT_WR);
	f->is_done = true;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When something is to be done next without an event; NEVER. */
static int64_t flow_wakeup(struct flow *f, unsigned way, int64_t now)
{
	struct mark *wire = marks_first(&f->wire);
	struct mark *ack = marks_first(&f->acks);
	int64_t next = NEVER;

	if (wire && f->can_write)
		next = sooner(next, wire->due);
	if (ack && f->sent < f->received)
		next = sooner(next, ack->due);
	if (f->sent < f->received && now < f->start)
		next = sooner(next, f->start);
	if (f->sent < f->received && link_free[way] > now + config.queue)
		next = sooner(next, link_free[way] - config.queue);
	if (f->at_eof && !f->is_done)
		next = sooner(next, f->eof_due > now ? f->eof_due : next);
	if (f->can_read && !f->at_eof && flow_room(f) > 0)
		next = now;
	return next;
}

/* ---- connections ---- */

static void watch(int fd, struct end *end)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = end };
	int on = 1, size = 512 << 10;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static void flow_init(struct flow *f, int64_t start)
{
	f->ring = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->ring == MAP_FAILED)
		die("mmap");
	f->from = f->to = -1;
	f->window = config.initial;
	f->threshold = UINT64_MAX;
	f->start = start;
}

static void conn_accept(int64_t now)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *c;

	if (fd < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (!c)
		die("calloc");
	/* A client may write one round trip after its SYN; half a one later the server sees it. */
	flow_init(&c->flow[0], now + 2 * config.delay);
	flow_init(&c->flow[1], 0);
	c->connect_at = now + 3 * config.delay;
	c->fd[0] = c->flow[0].from = c->flow[1].to = fd;
	c->fd[1] = -1;
	c->end[0] = (struct end){ c, 0 };
	c->end[1] = (struct end){ c, 1 };
	c->next = conns;
	conns = c;
	watch(fd, &c->end[0]);
	stats.connections++;
	stats.open++;
}

static void conn_connect(struct conn *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(config.target),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	c->is_connected = true;
	c->fd[1] = c->flow[1].from = c->flow[0].to = fd;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		c->is_dead = true;
	watch(fd, &c->end[1]);
}

static void conn_free(struct conn *c)
{
	for (unsigned i = 0; i < 2; i++) {
		if (c->fd[i] >= 0)
			close(c->fd[i]);
		munmap(c->flow[i].ring, RING);
	}
	stats.open--;
	free(c);
}

/* Does what can be done now; returns when to come back. */
static int64_t conn_pump(struct conn *c, int64_t now)
{
	int64_t next = NEVER;

	if (!c->is_connected && now >= c->connect_at)
		conn_connect(c);
	if (!c->is_connected)
		next = c->connect_at;
	for (unsigned way = 0; way < 2 && !c->is_dead; way++) {
		struct flow *f = &c->flow[way];

		take_acks(f, now);
		if (!flow_receive(f, now))
			c->is_dead = true;
		flow_send(f, way, now);
		if (!flow_deliver(f, way, now))
			c->is_dead = true;
		flow_finish(f, now);
		next = sooner(next, flow_wakeup(f, way, now));
	}
	if (c->flow[0].is_done && c->flow[1].is_done)
		c->is_dead = true;
	return next;
}

/* Every connection gets its turn; the first of this time is the last of the next one. */
static int64_t pump_all(int64_t now)
{
	int64_t next = NEVER;
	struct conn **at, *first;

	for (struct conn *c = conns; c; c = c->next)
		next = sooner(next, conn_pump(c, now));
	for (at = &conns; *at;) {
		struct conn *c = *at;

		if (!c->is_dead) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		conn_free(c);
	}
	first = conns;
	if (first && first->next) {
		conns = first->next;
		first->next = NULL;
		*at = first;
	}
	return next;
}

/* ---- events ---- */

static void read_control(void)
{
	char line[256];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0)
		exit(0);
	line[n] = '\0';
	if (strncmp(line, "rtt-us ", 7) == 0)
		config.delay = strtoll(line + 7, NULL, 10) * 1000 / 2;
	printf("connections %llu open %llu up %llu down %llu\n",
		(unsigned long long)stats.connections, (unsigned long long)stats.open,
		(unsigned long long)stats.bytes[0], (unsigned long long)stats.bytes[1]);
	fflush(stdout);
}

static void on_event(const struct epoll_event *event, int64_t now)
{
	struct end *end = event->data.ptr;

	if (end == &listener) {
		conn_accept(now);
	} else if (end == &control) {
		read_control();
	} else {
		if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			end->conn->flow[end->side].can_read = true;
		if (event->events & EPOLLOUT)
			end->conn->flow[!end->side].can_write = true;
	}
}

static void run(void)
{
	int64_t next = NEVER;

	for (;;) {
		struct epoll_event events[64];
		int64_t now = clock_ns();
		int64_t wait = next > now ? next - now : 0;
		struct timespec limit = { wait / 1000000000, wait % 1000000000 };
		int n = epoll_pwait2(epoll_fd, events, 64, next == NEVER ? NULL : &limit, NULL);

		if (n < 0 && errno != EINTR)
			die("epoll_pwait2");
		now = clock_ns();
		for (int i = 0; i < n; i++)
			on_event(&events[i], now);
		next = pump_all(now);
	}
}

static void add_level(int fd, struct end *end)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = end };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static void start_listening(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listen_fd < 0 || bind(listen_fd, (struct sockaddr *)&at, len) < 0 ||
		listen(listen_fd, 64) < 0 || getsockname(listen_fd, (struct sockaddr *)&at, &len) < 0)
		die("listen");
	printf("port %d\n", ntohs(at.sin_port));
	fflush(stdout);
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "target", 1, NULL, 't' }, { "rtt-us", 1, NULL, 'r' }, { "mbit", 1, NULL, 'm' },
		{ "window", 1, NULL, 'w' }, { "initial", 1, NULL, 'i' }, { "queue-ms", 1, NULL, 'q' },
		{ "no-slow-start", 0, NULL, 'n' }, { NULL, 0, NULL, 0 },
	};
	double mbit;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't': config.target = (int)strtol(optarg, NULL, 10); break;
		case 'r': config.delay = strtoll(optarg, NULL, 10) * 1000 / 2; break;
		case 'w': config.window = strtoull(optarg, NULL, 10); break;
		case 'i': config.initial = strtoull(optarg, NULL, 10); break;
		case 'q': config.queue = strtoll(optarg, NULL, 10) * 1000000; break;
		case 'n': config.slow_start = false; break;
		case 'm':
			mbit = strtod(optarg, NULL);
			config.ns_per_byte = mbit > 0 ? 8000 / mbit : 0;
			break;
		default: exit(64);
		}
	}
	if (config.target == 0 || config.window == 0 || config.window > RING - 2 * WAITING) {
		fprintf(stderr, "delay_proxy: --target PORT is needed, --window is at most 14 MiB\n");
		exit(64);
	}
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
	start_listening();
	add_level(listen_fd, &listener);
	add_level(STDIN_FILENO, &control);
	run();
	return 0;
}
