/* SPDX-License-Identifier: MIT
 *
 * The least an IMAP client can do: log in over TLS, EXAMINE, UID FETCH, take the bytes. What it
 * needs is the floor that everything else is measured against. One thread per connection.
 *
 *   raw_fetch --port N --user U --password P --ca FILE [--host localhost] [--folder INBOX]
 *             [--connections 1] [--first UID] [--last UID] [--chunk 0] [--depth 2]
 *             [--store discard|files|pack] [--dir DIR] [--sweep plain|heads] [--login-only]
 *
 * --chunk 0   each connection fetches one contiguous range with one command; N: commands of N
 *             messages, --depth of them in flight, handed out to whichever connection is free
 * --store     files: one per message in DIR; pack: appended to one file per connection in DIR,
 *             with an index beside it
 * --sweep     only metadata, over one connection; heads: with the header fields of a listing
 *
 * UIDs are taken to be 1 to EXISTS. Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#define RAW_NAME "raw_fetch"
#include "raw.h"

#define MAX_CONNECTIONS 32
#define INPUT           (256u << 10)
#define LINE            (64u << 10)
#define PACK_BUFFER     (1u << 20)

enum store {
	STORE_DISCARD,
	STORE_FILES,
	STORE_PACK,
};

static struct {
	const char *host, *port, *user, *password, *ca, *folder, *dir, *items;
	enum store store;
	uint32_t first, last, chunk, depth;
	unsigned connections;
	bool want_sweep, login_only;
} config = { .host = "localhost", .folder = "INBOX", .first = 1, .depth = 2, .connections = 1,
	.items = "(UID BODY.PEEK[])" };

static SSL_CTX *tls;
static int dir_fd = -1;
static _Atomic uint32_t next_uid;

struct entry {
	uint32_t uid, len;
	uint64_t offset;
};

struct client {
	pthread_t thread;
	unsigned number;
	SSL *ssl;

	uint8_t input[INPUT];
	size_t at, filled;
	char line[LINE];
	size_t line_len;

	/* of the FETCH response that is coming in */
	uint32_t uid;
	uint64_t literal_left, literal_len;
	int file;

	uint32_t exists, sent, done;
	uint64_t bytes, messages, responses;
	double ready; /* when LOGIN was answered */

	int pack;
	uint8_t *buffer;
	size_t buffered;
	uint64_t offset;
	struct entry *entries;
	size_t entry_count, entry_room;
};

/* ---- the connection ---- */

static void client_send(struct client *c, const char *text)
{
	if (SSL_write(c->ssl, text, (int)strlen(text)) <= 0)
		die("write");
}

static void fill(struct client *c)
{
	int n = SSL_read(c->ssl, c->input, INPUT);

	if (n <= 0)
		die("read");
	c->at = 0;
	c->filled = (size_t)n;
}

/* ---- where bodies go ---- */

static void write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			die("write to disk");
		data += n;
		len -= (size_t)n;
	}
}

static void pack_flush(struct client *c)
{
	write_all(c->pack, c->buffer, c->buffered);
	c->buffered = 0;
}

static void pack_add(struct client *c, const uint8_t *data, size_t len)
{
	if (c->buffered + len > PACK_BUFFER)
		pack_flush(c);
	if (len > PACK_BUFFER) {
		write_all(c->pack, data, len);
	} else {
		memcpy(c->buffer + c->buffered, data, len);
		c->buffered += len;
	}
	c->offset += len;
}

static void pack_open(struct client *c)
{
	char name[32];

	snprintf(name, sizeof(name), "pack.%u", c->number);
	c->pack = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	c->buffer = malloc(PACK_BUFFER);
	if (c->pack < 0 || !c->buffer)
		die(name);
}

static void pack_close(struct client *c)
{
	char name[32];
	int fd;

	pack_flush(c);
	close(c->pack);
	snprintf(name, sizeof(name), "index.%u", c->number);
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(name);
	write_all(fd, (uint8_t *)c->entries, c->entry_count * sizeof(*c->entries));
	close(fd);
}

static void pack_note(struct client *c)
{
	if (c->entry_count == c->entry_room) {
		c->entry_room = c->entry_room ? c->entry_room * 2 : 1024;
		c->entries = realloc(c->entries, c->entry_room * sizeof(*c->entries));
		if (!c->entries)
			die("realloc");
	}
	c->entries[c->entry_count++] =
		(struct entry){ c->uid, (uint32_t)c->literal_len, c->offset };
}

static void body_begin(struct client *c)
{
	char name[32];

	if (config.store == STORE_PACK)
		pack_note(c);
	if (config.store != STORE_FILES)
		return;
	snprintf(name, sizeof(name), "%u.eml", c->uid);
	c->file = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (c->file < 0)
		die(name);
}

static void body_data(struct client *c, const uint8_t *data, size_t len)
{
	c->bytes += len;
	if (config.store == STORE_FILES)
		write_all(c->file, data, len);
	else if (config.store == STORE_PACK)
		pack_add(c, data, len);
}

static void body_end(struct client *c)
{
	c->messages++;
	if (config.store == STORE_FILES)
		close(c->file);
}

/* ---- responses ---- */

static void literal_begin(struct client *c, uint64_t len)
{
	const char *uid = memmem(c->line, c->line_len, "UID ", 4);

	c->uid = uid ? (uint32_t)strtoul(uid + 4, NULL, 10) : 0;
	c->literal_len = c->literal_left = len;
	if (config.want_sweep)
		return;
	body_begin(c);
	if (len == 0)
		body_end(c);
}

static void literal_data(struct client *c)
{
	size_t len = c->filled - c->at;

	if (len > c->literal_left)
		len = (size_t)c->literal_left;
	if (!config.want_sweep)
		body_data(c, c->input + c->at, len);
	else
		c->bytes += len;
	c->at += len;
	c->literal_left -= len;
	if (c->literal_left == 0 && !config.want_sweep)
		body_end(c);
}

/* "… {123}" at the end of a line: a literal follows. */
static bool line_has_literal(const struct client *c, uint64_t *ret_len)
{
	const char *brace;

	if (c->line_len < 3 || c->line[c->line_len - 1] != '}')
		return false;
	brace = memrchr(c->line, '{', c->line_len);
	if (!brace)
		return false;
	*ret_len = strtoull(brace + 1, NULL, 10);
	return true;
}

/* A whole line is there, without its end. */
static void on_line(struct client *c)
{
	uint64_t len;
	char *rest;

	if (line_has_literal(c, &len)) {
		literal_begin(c, len);
		return;
	}
	if (c->line[0] == '*' && c->line[1] == ' ') {
		unsigned long number = strtoul(c->line + 2, &rest, 10);

		if (strcmp(rest, " EXISTS") == 0)
			c->exists = (uint32_t)number;
	} else if (c->line[0] == 'a') {
		const char *verdict = strchr(c->line, ' ');

		if (!verdict || strncmp(verdict, " OK", 3) != 0) {
			fprintf(stderr, "raw_fetch: %s\n", c->line);
			exit(1);
		}
		c->done++;
	}
	if (c->line[0] == '*' || c->line[0] == ')')
		c->responses++;
}

static void take_line(struct client *c)
{
	uint8_t *start = c->input + c->at;
	uint8_t *end = memchr(start, '\n', c->filled - c->at);
	size_t len = end ? (size_t)(end - start) : c->filled - c->at;

	if (c->line_len + len >= LINE) {
		fprintf(stderr, "raw_fetch: a line is too long\n");
		exit(1);
	}
	memcpy(c->line + c->line_len, start, len);
	c->line_len += len;
	c->at += len;
	if (!end)
		return;
	c->at++;
	if (c->line_len > 0 && c->line[c->line_len - 1] == '\r')
		c->line_len--;
	c->line[c->line_len] = '\0';
	on_line(c);
	c->line_len = 0;
}

/* Reads until `count` tagged answers have come since the start. */
static void wait_done(struct client *c, uint32_t count)
{
	while (c->done < count) {
		if (c->at == c->filled)
			fill(c);
		if (c->literal_left > 0)
			literal_data(c);
		else
			take_line(c);
	}
}

/* ---- the work ---- */

static void login(struct client *c)
{
	char text[512];

	c->ssl = tls_dial(tls, config.host, config.port);
	/* The greeting need not be waited for. */
	snprintf(text, sizeof(text), "a1 LOGIN \"%s\" \"%s\"\r\n", config.user, config.password);
	client_send(c, text);
	wait_done(c, 1);
	c->ready = now();
	snprintf(text, sizeof(text), "a2 EXAMINE \"%s\"\r\n", config.folder);
	client_send(c, text);
	wait_done(c, 2);
	c->sent = c->done;
	if (config.last == 0 || config.last > c->exists)
		config.last = c->exists; /* every thread writes the same value */
}

static void fetch(struct client *c, uint32_t first, uint32_t last)
{
	char text[512];

	c->sent++;
	snprintf(text, sizeof(text), "a%u UID FETCH %u:%u %s\r\n", c->sent, first, last, config.items);
	client_send(c, text);
}

static void fetch_range(struct client *c)
{
	uint64_t count = config.last + 1 - config.first;
	uint32_t from = config.first + (uint32_t)(count * c->number / config.connections);
	uint32_t to = config.first + (uint32_t)(count * (c->number + 1) / config.connections);

	if (to > from)
		fetch(c, from, to - 1);
	wait_done(c, c->sent);
}

static void fetch_chunks(struct client *c)
{
	bool has_more = true;

	while (has_more || c->done < c->sent) {
		uint32_t from;

		if (!has_more || c->sent - c->done >= config.depth) {
			wait_done(c, c->done + 1);
			continue;
		}
		from = atomic_fetch_add(&next_uid, config.chunk);
		has_more = from <= config.last;
		if (has_more)
			fetch(c, from, config.last - from < config.chunk ? config.last : from + config.chunk - 1);
	}
}

static void *client_run(void *arg)
{
	struct client *c = arg;

	if (config.store == STORE_PACK)
		pack_open(c);
	login(c);
	if (config.login_only || config.last < config.first)
		return NULL;
	if (config.chunk == 0)
		fetch_range(c);
	else
		fetch_chunks(c);
	if (config.store == STORE_PACK)
		pack_close(c);
	return NULL;
}

/* ru_maxrss would count the parent that forked us. */
static long peak_kb(void)
{
	char text[4096];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	const char *line;

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	line = strstr(text, "VmHWM:");
	return line ? strtol(line + 6, NULL, 10) : 0;
}

static void report(struct client **clients, double start)
{
	uint64_t bytes = 0, messages = 0, responses = 0;
	double end = now(), ready = 0;
	struct rusage usage;

	for (unsigned i = 0; i < config.connections; i++) {
		bytes += clients[i]->bytes;
		messages += clients[i]->messages;
		responses += clients[i]->responses;
		if (clients[i]->ready > ready)
			ready = clients[i]->ready;
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"seconds\": %.6f, \"login_seconds\": %.6f, \"bytes\": %llu, \"messages\": %llu, "
		"\"responses\": %llu, \"exists\": %u, \"user\": %.6f, \"sys\": %.6f, \"peak_kb\": %ld}\n",
		end - start, ready - start, (unsigned long long)bytes, (unsigned long long)messages,
		(unsigned long long)responses, clients[0]->exists,
		(double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
		(double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6, peak_kb());
}

static void choose_store(const char *name)
{
	if (strcmp(name, "files") == 0)
		config.store = STORE_FILES;
	else if (strcmp(name, "pack") == 0)
		config.store = STORE_PACK;
}

static void choose_sweep(const char *name)
{
	config.want_sweep = true;
	config.items = strcmp(name, "heads") == 0 ?
		"(UID FLAGS INTERNALDATE RFC822.SIZE "
		"BODY.PEEK[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID)])" :
		"(UID FLAGS INTERNALDATE RFC822.SIZE)";
}

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "host", 1, NULL, 'h' }, { "port", 1, NULL, 'p' }, { "user", 1, NULL, 'u' },
		{ "password", 1, NULL, 'w' }, { "ca", 1, NULL, 'a' }, { "folder", 1, NULL, 'f' },
		{ "connections", 1, NULL, 'n' }, { "first", 1, NULL, '1' }, { "last", 1, NULL, '9' },
		{ "chunk", 1, NULL, 'c' }, { "depth", 1, NULL, 'd' }, { "store", 1, NULL, 's' },
		{ "dir", 1, NULL, 'D' }, { "sweep", 1, NULL, 'S' }, { "login-only", 0, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'h': config.host = optarg; break;
		case 'p': config.port = optarg; break;
		case 'u': config.user = optarg; break;
		case 'w': config.password = optarg; break;
		case 'a': config.ca = optarg; break;
		case 'f': config.folder = optarg; break;
		case 'n': config.connections = number(optarg); break;
		case '1': config.first = number(optarg); break;
		case '9': config.last = number(optarg); break;
		case 'c': config.chunk = number(optarg); break;
		case 'd': config.depth = number(optarg); break;
		case 's': choose_store(optarg); break;
		case 'D': config.dir = optarg; break;
		case 'S': choose_sweep(optarg); break;
		case 'l': config.login_only = true; break;
		default: exit(64);
		}
	}
	if (!config.port || !config.user || !config.password || !config.ca || config.depth == 0 ||
		config.connections == 0 || config.connections > MAX_CONNECTIONS) {
		fprintf(stderr, "raw_fetch: needs --port, --user, --password and --ca\n");
		exit(64);
	}
}

static void prepare(void)
{
	tls = tls_context(config.ca, INPUT);
	next_uid = config.first;
	if (config.store == STORE_DISCARD)
		return;
	dir_fd = open(config.dir ? config.dir : "", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		die("--dir");
}

int main(int argc, char **argv)
{
	struct client *clients[MAX_CONNECTIONS];
	double start = now();

	read_options(argc, argv);
	prepare();
	for (unsigned i = 0; i < config.connections; i++) {
		clients[i] = calloc(1, sizeof(**clients));
		if (!clients[i])
			die("calloc");
		clients[i]->number = i;
		if (pthread_create(&clients[i]->thread, NULL, client_run, clients[i]) != 0)
			die("pthread_create");
	}
	for (unsigned i = 0; i < config.connections; i++)
		pthread_join(clients[i]->thread, NULL);
	report(clients, start);
	return 0;
}
