/* SPDX-License-Identifier: MIT */
/* The stream against servers on loopback: events, ends, clocks, back pressure, TLS, DEFLATE. */
#include <errno.h>
#include <string.h>

#include <glib.h>
#include <zlib.h>

#include "base/clock.h"
#include "net/stream.h"
#include "net_server.h"

#define MIB (1024u * 1024)

static struct cert ca, good, evil;
static char *ca_path;

/* ---- the client ---------------------------------------------------------------------------- */

enum event { EVENT_NONE, EVENT_OPEN, EVENT_INPUT, EVENT_SECURED, EVENT_CLOSED };

struct client {
	struct stream *stream;
	struct tls_config *tls;
	unsigned opened, inputs, secured, closed;
	GError *error;
	GString *got;         /* what was received; NULL = leave it in the input */
	enum event free_in;   /* the event to free the stream in */
	bool in_call;         /* an event now would be one from inside a call */
	void (*on_input)(struct client *client);
	void (*on_secured)(struct client *client);
};

static gboolean on_late(gpointer unused)
{
	g_error("the test took too long");
	return G_SOURCE_REMOVE;
}

static void note(struct client *client, enum event event)
{
	g_assert_false(client->in_call);
	g_assert_nonnull(client->stream); /* nothing comes after stream_free() */
	g_assert_cmpuint(client->closed, ==, event == EVENT_CLOSED ? 1 : 0);
	if (client->free_in != event)
		return;
	client->in_call = true;
	stream_free(client->stream);
	client->in_call = false;
	client->stream = NULL;
}

static void on_open(void *user)
{
	struct client *client = user;

	client->opened++;
	note(client, EVENT_OPEN);
}

static void on_input(void *user)
{
	struct client *client = user;
	struct bytebuf *input = stream_input(client->stream);

	client->inputs++;
	g_assert_cmpuint(input->len, >, 0);
	if (client->on_input) {
		client->on_input(client);
	} else if (client->got) {
		g_string_append_len(client->got, (const char *)bytebuf_bytes(input), (gssize)input->len);
		bytebuf_consume(input, input->len);
	}
	note(client, EVENT_INPUT);
}

static void on_secured(void *user)
{
	struct client *client = user;

	client->secured++;
	if (client->on_secured)
		client->on_secured(client);
	note(client, EVENT_SECURED);
}

static void on_closed(void *user, const GError *error)
{
	struct client *client = user;

	client->closed++;
	g_assert_nonnull(error);
	client->error = g_error_copy(error);
	note(client, EVENT_CLOSED);
}

static const struct stream_events events = { on_open, on_input, on_secured, on_closed };

static void client_connect(struct client *client, uint16_t port, bool is_tls)
{
	struct stream_target target = {
		.host = "127.0.0.1",
		.port = port,
		.is_tls = is_tls,
		.connect_timeout_ms = 60000,
		.silence_timeout_ms = 60000,
	};
	GError *error = NULL;

	if (!client->tls)
		client->tls = tls_config_new(ca_path, NULL, "imap", &error);
	g_assert_no_error(error);
	target.tls = client->tls;
	client->in_call = true;
	client->stream = stream_new(&target, &events, client);
	client->in_call = false;
}

static void client_done(struct client *client)
{
	stream_free(client->stream);
	tls_config_unref(client->tls);
	g_clear_error(&client->error);
	if (client->got)
		g_string_free(client->got, TRUE);
	/* What is under way in GIO ends, unheard. */
	while (g_main_context_iteration(NULL, FALSE))
		;
}

#define RUN_UNTIL(condition)                                                                       \
	do {                                                                                       \
		guint late = g_timeout_add_seconds(30, on_late, NULL);                             \
		while (!(condition))                                                               \
			g_main_context_iteration(NULL, TRUE);                                      \
		g_source_remove(late);                                                             \
	} while (0)

/* Everything that can happen now happens. */
static void settle(void)
{
	for (int i = 0; i < 20; i++)
		g_main_context_iteration(NULL, FALSE);
}

static void say(struct client *client, const char *text)
{
	client->in_call = true;
	stream_write(client->stream, text, strlen(text));
	client->in_call = false;
}

static SSL_CTX *good_server(void)
{
	return cert_server(&good, NULL);
}

/* ---- clear text ---------------------------------------------------------------------------- */

static void script_echo(struct server *server, int fd)
{
	char bytes[4096];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		serve_bytes(fd, bytes, (size_t)n);
}

static void bytes_go_both_ways(void)
{
	struct server server = { .script = script_echo };
	struct client client = { .got = g_string_new(NULL) };

	server_start(&server);
	client_connect(&client, server.port, false);
	say(&client, "written before it is open, "); /* waits in the queue */
	g_assert_cmpuint(stream_unsent(client.stream), ==, 27);
	RUN_UNTIL(client.opened);
	say(&client, "and after");
	RUN_UNTIL(client.got->len == 36);
	g_assert_cmpstr(client.got->str, ==, "written before it is open, and after");
	g_assert_cmpuint(stream_unsent(client.stream), ==, 0);
	g_assert_cmpuint(stream_bytes_in(client.stream), ==, 36);
	g_assert_cmpuint(stream_bytes_out(client.stream), ==, 36);
	g_assert_true(stream_is_loopback(client.stream));
	g_assert_false(stream_is_tls(client.stream));
	g_assert_null(stream_tls_version(client.stream));
	g_assert_null(stream_tls_cipher(client.stream));
	client_done(&client);
	server_stop(&server);
}

static void large_writes_arrive_whole(void)
{
	struct server server = { .script = script_echo };
	struct client client = { .got = g_string_new(NULL) };
	g_autofree char *sent = g_malloc(8 * MIB);

	for (size_t i = 0; i < 8 * MIB; i++)
		sent[i] = (char)(i % 251);
	server_start(&server);
	client_connect(&client, server.port, false);
	client.in_call = true;
	stream_write(client.stream, sent, 8 * MIB);
	client.in_call = false;
	RUN_UNTIL(client.got->len == 8 * MIB);
	g_assert_cmpmem(client.got->str, client.got->len, sent, 8 * MIB);
	client_done(&client);
	server_stop(&server);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void script_talk_and_close(struct server *server, int fd)
{
	g_autofree char *text = g_strnfill(3 * MIB, 'y');

	serve_text(fd, text);
}

static void closed_comes_once_after_all_input(void)
{
	struct server server = { .script = script_talk_and_close };
	struct client client = { .got = g_string_new(NULL) };

	server_start(&server);
	client_connect(&client, server.port, false);
	RUN_UNTIL(client.closed);
	settle();
	g_assert_cmpuint(client.closed, ==, 1);
	g_assert_cmpuint(client.got->len, ==, 3 * MIB);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST);
	say(&client, "too late"); /* harmless */
	stream_finish(client.stream);
	stream_start_deflate(client.stream);
	settle();
	g_assert_cmpuint(client.closed, ==, 1);
	client_done(&client);
	server_stop(&server);
}

static void script_reset(struct server *server, int fd)
{
	struct linger now = { .l_onoff = 1 };

	serve_expect(fd, "hello");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void reset_is_a_lost_connection(void)
{
	struct server server = { .script = script_reset };
	struct client client = { 0 };

	server_start(&server);
	client_connect(&client, server.port, false);
	say(&client, "hello");
	RUN_UNTIL(client.closed);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST);
	client_done(&client);
	server_stop(&server);
}

/* The stream is gone when the event returns, and nothing comes after it. */
static void freeing_inside_an_event_ends_it(gconstpointer data)
{
	enum event event = (enum event)GPOINTER_TO_INT(data);
	struct server server = { .script = script_talk_and_close };
	struct client client = { .free_in = event, .got = g_string_new(NULL) };

	server_start(&server);
	client_connect(&client, server.port, false);
	if (event == EVENT_SECURED) {
		RUN_UNTIL(client.opened);
		stream_start_deflate(client.stream);
	}
	RUN_UNTIL(!client.stream);
	settle();
	g_assert_cmpuint(client.closed, ==, event == EVENT_CLOSED ? 1 : 0);
	client_done(&client);
	server_stop(&server);
}

static void freeing_at_once_is_silent(void)
{
	struct server server = { .script = script_echo };
	struct client client = { 0 }, second = { 0 };

	server_start(&server);
	client_connect(&client, server.port, false);
	stream_free(client.stream);
	client.stream = NULL;
	settle();
	/* GIO may or may not have come as far as connecting. */
	client_connect(&second, server.port, false);
	RUN_UNTIL(second.opened || second.closed);
	g_assert_cmpuint(client.opened + client.closed, ==, 0);
	client_done(&second);
	client_done(&client);
	server_stop(&server);
}

/* ---- clocks -------------------------------------------------------------------------------- */

#define START_US 1000000000LL

static void pass_ms(int64_t *clock_us, int64_t ms)
{
	*clock_us += ms * 1000;
	clock_fake(*clock_us);
	settle();
}

static void script_on_go(struct server *server, int fd)
{
	serve_wait(server);
	serve_text(fd, "x");
	serve_wait(server);
}

static void silence_ends_the_connection(void)
{
	struct server server = { .script = script_on_go };
	struct client client = { .got = g_string_new(NULL) };
	int64_t clock_us = START_US;

	clock_fake(clock_us);
	server_start(&server);
	client_connect(&client, server.port, false);
	RUN_UNTIL(client.opened);
	pass_ms(&clock_us, 3600000); /* nothing is expected */
	stream_expect(client.stream, true);
	pass_ms(&clock_us, 59000);
	g_assert_cmpuint(client.closed, ==, 0);
	server_go(&server);
	RUN_UNTIL(client.got->len == 1); /* one byte is a sign of life */
	pass_ms(&clock_us, 59000);
	g_assert_cmpuint(client.closed, ==, 0);
	pass_ms(&clock_us, 2000);
	g_assert_cmpuint(client.closed, ==, 1);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_TIMEOUT);
	server_go(&server);
	client_done(&client);
	server_stop(&server);
	clock_fake(0);
}

static void silence_clock_stands_still_during_hold(void)
{
	struct server server = { .script = script_on_go };
	struct client client = { .got = g_string_new(NULL) };
	int64_t clock_us = START_US;

	clock_fake(clock_us);
	server_start(&server);
	client_connect(&client, server.port, false);
	RUN_UNTIL(client.opened);
	stream_expect(client.stream, true);
	stream_hold(client.stream, true);
	pass_ms(&clock_us, 3600000);
	stream_hold(client.stream, false);
	pass_ms(&clock_us, 59000);
	g_assert_cmpuint(client.closed, ==, 0);
	stream_expect(client.stream, false);
	pass_ms(&clock_us, 3600000);
	g_assert_cmpuint(client.closed, ==, 0);
	stream_expect(client.stream, true);
	pass_ms(&clock_us, 61000);
	g_assert_cmpuint(client.closed, ==, 1);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_TIMEOUT);
	server_go(&server);
	server_go(&server);
	client_done(&client);
	server_stop(&server);
	clock_fake(0);
}

static gint slow_reader_is_done;

static void script_slow_reader(struct server *server, int fd)
{
	g_autofree char *bytes = g_malloc(8 * MIB);

	serve_wait(server);
	g_assert_cmpint(recv(fd, bytes, 8 * MIB, MSG_WAITALL), ==, 8 * MIB);
	g_atomic_int_set(&slow_reader_is_done, 1);
	g_main_context_wakeup(NULL);
	serve_wait(server);
}

/* A server that takes an upload step by step does not answer, but it is alive. */
static void upload_under_way_is_not_silence(void)
{
	struct server server = { .script = script_slow_reader };
	struct client client = { 0 };
	g_autofree char *bytes = g_malloc0(32 * MIB);
	int64_t clock_us = START_US;
	uint64_t before;

	clock_fake(clock_us);
	server_start(&server);
	client_connect(&client, server.port, false);
	RUN_UNTIL(client.opened);
	stream_write(client.stream, bytes, 32 * MIB);
	stream_expect(client.stream, true);
	settle();
	settle();
	before = stream_bytes_out(client.stream);
	g_assert_cmpuint(before, <, 32 * MIB);
	pass_ms(&clock_us, 59000);
	server_go(&server);
	RUN_UNTIL(g_atomic_int_get(&slow_reader_is_done));
	g_assert_cmpuint(stream_bytes_out(client.stream), >, before);
	pass_ms(&clock_us, 59000);
	g_assert_cmpuint(client.closed, ==, 0);
	for (int i = 0; i < 1000 && !client.closed; i++)
		pass_ms(&clock_us, 61000);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_TIMEOUT);
	server_go(&server);
	client_done(&client);
	server_stop(&server);
	clock_fake(0);
}

static void script_silent(struct server *server, int fd)
{
	serve_wait(server);
}

static void tls_server_that_stalls_times_out(void)
{
	struct server server = { .script = script_silent };
	struct client client = { 0 };
	int64_t clock_us = START_US;

	clock_fake(clock_us);
	server_start(&server);
	client_connect(&client, server.port, true);
	RUN_UNTIL(stream_bytes_out(client.stream) > 0);
	pass_ms(&clock_us, 59000);
	g_assert_cmpuint(client.closed, ==, 0);
	pass_ms(&clock_us, 2000);
	g_assert_cmpuint(client.closed, ==, 1);
	g_assert_cmpuint(client.opened, ==, 0);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_TIMEOUT);
	server_go(&server);
	client_done(&client);
	server_stop(&server);
	clock_fake(0);
}

static void script_starttls_stall(struct server *server, int fd)
{
	serve_text(fd, "OK\r\n");
	serve_wait(server);
}

static void start_tls(struct client *client)
{
	struct bytebuf *input = stream_input(client->stream);
	const uint8_t *end = memchr(bytebuf_bytes(input), '\n', input->len);

	if (!end)
		return;
	bytebuf_consume(input, (size_t)(end + 1 - bytebuf_bytes(input)));
	client->on_input = NULL;
	client->in_call = true;
	stream_start_tls(client->stream);
	client->in_call = false;
}

static void starttls_that_stalls_times_out(void)
{
	struct server server = { .script = script_starttls_stall };
	struct client client = { .on_input = start_tls };
	int64_t clock_us = START_US;

	clock_fake(clock_us);
	server_start(&server);
	client_connect(&client, server.port, false);
	RUN_UNTIL(client.inputs && stream_bytes_out(client.stream) > 0);
	pass_ms(&clock_us, 61000);
	g_assert_cmpuint(client.closed, ==, 1);
	g_assert_cmpuint(client.secured, ==, 0);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_TIMEOUT);
	server_go(&server);
	client_done(&client);
	server_stop(&server);
	clock_fake(0);
}

/* ---- back pressure ------------------------------------------------------------------------- */

static void script_flood(struct server *server, int fd)
{
	g_autofree char *bytes = g_malloc(16 * MIB);

	for (size_t i = 0; i < 16 * MIB; i++)
		bytes[i] = (char)(i % 251);
	if (server->ctx) {
		SSL *ssl = serve_tls(server, fd);

		g_assert_nonnull(ssl);
		g_assert_cmpint(SSL_write(ssl, bytes, 16 * MIB), ==, 16 * MIB);
		SSL_shutdown(ssl);
		SSL_free(ssl);
		return;
	}
	serve_bytes(fd, bytes, 16 * MIB);
}

/* Runs the loop until the stream takes no more by itself. */
static void run_until_still(struct client *client)
{
	uint64_t before;

	do {
		before = stream_bytes_in(client->stream);
		settle();
	} while (stream_bytes_in(client->stream) > before);
}

static void check_flood(const GString *got)
{
	g_assert_cmpuint(got->len, ==, 16 * MIB);
	for (size_t i = 0; i < got->len; i++)
		if (got->str[i] != (char)(i % 251))
			g_error("byte %zu differs", i);
}

static void unread_input_stops_reading(gconstpointer data)
{
	bool is_tls = GPOINTER_TO_INT(data);
	struct server server = { .script = script_flood, .ctx = is_tls ? good_server() : NULL };
	struct client client = { 0 };
	struct bytebuf *input;

	server_start(&server);
	client_connect(&client, server.port, is_tls);
	RUN_UNTIL(client.inputs && stream_input(client.stream)->len > MIB);
	run_until_still(&client);
	input = stream_input(client.stream);
	g_assert_cmpuint(input->len, >, MIB);
	g_assert_cmpuint(input->len, <=, MIB + 256 * 1024 + 16384);

	/* Consumed outside of any event: reading goes on by itself. */
	client.got = g_string_new_len((const char *)bytebuf_bytes(input), (gssize)input->len);
	bytebuf_consume(input, input->len);
	RUN_UNTIL(client.closed);
	check_flood(client.got);
	client_done(&client);
	server_stop(&server);
}

static void hold_stops_reading_and_nothing_is_lost(gconstpointer data)
{
	bool is_tls = GPOINTER_TO_INT(data);
	struct server server = { .script = script_flood, .ctx = is_tls ? good_server() : NULL };
	struct client client = { .got = g_string_new(NULL) };
	uint64_t before;
	unsigned inputs;

	server_start(&server);
	client_connect(&client, server.port, is_tls);
	RUN_UNTIL(client.inputs);
	stream_hold(client.stream, true);
	settle();
	before = stream_bytes_in(client.stream);
	inputs = client.inputs;
	settle();
	g_assert_cmpuint(stream_bytes_in(client.stream), ==, before);
	g_assert_cmpuint(client.inputs, ==, inputs);
	stream_hold(client.stream, false);
	RUN_UNTIL(client.closed);
	check_flood(client.got);
	client_done(&client);
	server_stop(&server);
}

static void hold_at_first_input(struct client *client)
{
	client->on_input = NULL;
	stream_hold(client->stream, true);
}

static void script_hello(struct server *server, int fd)
{
	serve_text(fd, "hello");
}

/* The end waits for a reader that asked for patience, and the reader is called again. */
static void end_is_not_reported_during_hold(void)
{
	struct server server = { .script = script_hello };
	struct client client = { .on_input = hold_at_first_input, .got = g_string_new(NULL) };

	server_start(&server);
	client_connect(&client, server.port, false);
	RUN_UNTIL(client.inputs);
	server_stop(&server);
	settle();
	g_assert_cmpuint(client.closed, ==, 0);
	stream_hold(client.stream, false);
	RUN_UNTIL(client.closed);
	g_assert_cmpstr(client.got->str, ==, "hello");
	client_done(&client);
}

/* ---- TLS ----------------------------------------------------------------------------------- */

static void script_tls_echo(struct server *server, int fd)
{
	SSL *ssl = serve_tls(server, fd);
	char bytes[4096];
	int n;

	g_assert_nonnull(ssl);
	while ((n = SSL_read(ssl, bytes, sizeof(bytes))) > 0)
		g_assert_cmpint(SSL_write(ssl, bytes, n), ==, n);
	/* The client says goodbye in order. */
	g_assert_cmpint(SSL_get_error(ssl, n), ==, SSL_ERROR_ZERO_RETURN);
	SSL_shutdown(ssl);
	SSL_free(ssl);
}

static void implicit_tls_is_verified_before_open(void)
{
	struct server server = { .script = script_tls_echo, .ctx = good_server() };
	struct client client = { .got = g_string_new(NULL) };
	uint8_t binding[64];
	size_t len;

	server_start(&server);
	client_connect(&client, server.port, true);
	say(&client, "queued early; ");
	g_assert_false(stream_is_tls(client.stream));
	RUN_UNTIL(client.opened);
	g_assert_true(stream_is_tls(client.stream));
	g_assert_cmpstr(stream_tls_version(client.stream), ==, "TLSv1.3");
	g_assert_nonnull(stream_tls_cipher(client.stream));
	g_assert_cmpstr(stream_channel_binding(client.stream, binding, sizeof(binding), &len), ==,
		"tls-exporter");
	say(&client, "late");
	RUN_UNTIL(client.got->len == 18);
	g_assert_cmpstr(client.got->str, ==, "queued early; late");
	g_assert_cmpuint(client.secured, ==, 0);
	stream_finish(client.stream);
	RUN_UNTIL(client.closed);
	client_done(&client);
	server_stop(&server);
}

static void script_tls_refused(struct server *server, int fd)
{
	SSL *ssl = serve_tls(server, fd);

	g_assert_null(ssl);
}

static void bad_certificate_closes_before_open(void)
{
	struct server server = { .script = script_tls_refused, .ctx = cert_server(&evil, NULL) };
	struct client client = { 0 };

	server_start(&server);
	client_connect(&client, server.port, true);
	say(&client, "LOGIN me secret\r\n");
	RUN_UNTIL(client.closed);
	g_assert_cmpuint(client.opened, ==, 0);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_TLS);
	g_assert_nonnull(strstr(client.error->message, "it is for evil.test"));
	g_assert_false(stream_is_tls(client.stream));
	client_done(&client);
	server_stop(&server);
}

static void script_second_is_bad(struct server *server, int fd)
{
	SSL *ssl;

	if (server->arg) {
		serve_expect(fd, "STARTTLS\r\n");
		serve_text(fd, "OK\r\n");
	}
	ssl = serve_tls(server, fd);
	if (server->served > 0) {
		g_assert_null(ssl);
		return;
	}
	g_assert_nonnull(ssl);
	serve_tls_text(ssl, "hello");
	SSL_free(ssl);
}

static void connect_and_secure(struct client *client, uint16_t port, bool with_starttls)
{
	client->on_input = with_starttls ? start_tls : NULL;
	client->opened = client->closed = client->secured = 0;
	g_clear_error(&client->error);
	client_connect(client, port, !with_starttls);
	if (with_starttls)
		say(client, "STARTTLS\r\n");
	RUN_UNTIL(client->closed);
}

static void second_connection_is_verified_too(gconstpointer data)
{
	bool with_starttls = GPOINTER_TO_INT(data);
	struct server server = { .script = script_second_is_bad, .connections = 2,
		.ctx = good_server(), .second_ctx = cert_server(&evil, NULL), .arg = data };
	struct client client = { .got = g_string_new(NULL) };

	server_start(&server);
	connect_and_secure(&client, server.port, with_starttls);
	g_assert_cmpstr(client.got->str, ==, "hello");
	stream_free(client.stream);
	connect_and_secure(&client, server.port, with_starttls);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_TLS);
	g_assert_cmpuint(client.secured, ==, 0);
	g_assert_cmpuint(client.opened, ==, with_starttls ? 1 : 0);
	client_done(&client);
	server_stop(&server);
}

static void script_tls_bytewise(struct server *server, int fd)
{
	SSL *ssl = serve_tls(server, fd);

	g_assert_nonnull(ssl);
	for (int i = 0; i < 3000; i++) {
		char byte = (char)('a' + i % 26);

		g_assert_cmpint(SSL_write(ssl, &byte, 1), ==, 1);
	}
	SSL_shutdown(ssl);
	SSL_free(ssl);
}

static void records_of_one_byte_give_the_same(void)
{
	struct server server = { .script = script_tls_bytewise, .ctx = good_server() };
	struct client client = { .got = g_string_new(NULL) };

	server_start(&server);
	client_connect(&client, server.port, true);
	RUN_UNTIL(client.closed);
	g_assert_cmpuint(client.got->len, ==, 3000);
	for (size_t i = 0; i < 3000; i++)
		g_assert_cmpint(client.got->str[i], ==, 'a' + (int)i % 26);
	client_done(&client);
	server_stop(&server);
}

static void script_tls_cut(struct server *server, int fd)
{
	SSL *ssl = serve_tls(server, fd);

	g_assert_nonnull(ssl);
	serve_tls_text(ssl, "half a litera");
	if (server->arg)
		SSL_shutdown(ssl);
	SSL_free(ssl);
}

static void tls_end_is_a_lost_connection(gconstpointer data)
{
	struct server server = { .script = script_tls_cut, .ctx = good_server(), .arg = data };
	struct client client = { .got = g_string_new(NULL) };

	server_start(&server);
	client_connect(&client, server.port, true);
	RUN_UNTIL(client.closed);
	g_assert_cmpstr(client.got->str, ==, "half a litera");
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST);
	client_done(&client);
	server_stop(&server);
}

static void script_close_in_handshake(struct server *server, int fd)
{
	char bytes[16];

	g_assert_cmpint(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), ==, sizeof(bytes));
}

static void end_inside_the_handshake_is_a_lost_connection(void)
{
	struct server server = { .script = script_close_in_handshake };
	struct client client = { 0 };

	server_start(&server);
	client_connect(&client, server.port, true);
	RUN_UNTIL(client.closed);
	g_assert_cmpuint(client.opened, ==, 0);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST);
	client_done(&client);
	server_stop(&server);
}

/* ---- STARTTLS ------------------------------------------------------------------------------ */

static void script_starttls(struct server *server, int fd)
{
	SSL *ssl;

	serve_expect(fd, "STARTTLS\r\n");
	serve_text(fd, "OK\r\n");
	ssl = serve_tls(server, fd);
	g_assert_nonnull(ssl);
	serve_tls_expect(ssl, "CAPABILITY\r\nLOGIN\r\n");
	serve_tls_text(ssl, "fine");
	SSL_shutdown(ssl);
	SSL_free(ssl);
}

/* What is written after the switch was asked for must not leave in clear. */
static void start_tls_and_write(struct client *client)
{
	start_tls(client);
	say(client, "CAPABILITY\r\n");
}

static void write_when_secured(struct client *client)
{
	g_assert_true(stream_is_tls(client->stream));
	say(client, "LOGIN\r\n");
}

static void starttls_secures_what_follows(void)
{
	struct server server = { .script = script_starttls, .ctx = good_server() };
	struct client client = { .got = g_string_new(NULL), .on_input = start_tls_and_write,
		.on_secured = write_when_secured };

	server_start(&server);
	client_connect(&client, server.port, false);
	say(&client, "STARTTLS\r\n");
	RUN_UNTIL(client.closed);
	g_assert_cmpuint(client.opened, ==, 1);
	g_assert_cmpuint(client.secured, ==, 1);
	g_assert_cmpstr(client.got->str, ==, "fine");
	client_done(&client);
	server_stop(&server);
}

static const char *const injections[] = {
	"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n",
	"* LIST () \"/\" evil\r\n",
	"* 1 FETCH (BODY[] {3}\r\nabc)\r\n",
	"* BYE go away\r\n",
	"* OK [ALERT] visit evil.test\r\n",
	"a2 OK logged in\r\n",
	"* half a li",
	"* 1 FETCH (BODY[] {300}\r\nabc",
	"\r\n",
	"\n",
	" ",
	"\x16\x03\x03",
};

static void script_inject(struct server *server, int fd)
{
	g_autofree char *text = g_strconcat("OK\r\n", server->arg, NULL);

	serve_expect(fd, "STARTTLS\r\n");
	serve_text(fd, text);
	serve_expect_end(fd); /* not even a ClientHello */
}

static void bytes_behind_the_starttls_answer_are_refused(gconstpointer data)
{
	struct server server = { .script = script_inject, .arg = data };
	struct client client = { .got = g_string_new(NULL), .on_input = start_tls };

	server_start(&server);
	client_connect(&client, server.port, false);
	say(&client, "STARTTLS\r\n");
	RUN_UNTIL(client.closed);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_TLS);
	g_assert_cmpuint(client.secured, ==, 0);
	g_assert_cmpuint(client.inputs, ==, 1);
	client_done(&client);
	server_stop(&server);
}

static void script_inject_later(struct server *server, int fd)
{
	char bytes[16];

	serve_expect(fd, "STARTTLS\r\n");
	serve_text(fd, "OK\r\n");
	g_assert_cmpint(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), ==, sizeof(bytes));
	serve_text(fd, "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n");
	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
}

static void clear_text_in_the_handshake_is_refused(void)
{
	struct server server = { .script = script_inject_later };
	struct client client = { .got = g_string_new(NULL), .on_input = start_tls };

	server_start(&server);
	client_connect(&client, server.port, false);
	say(&client, "STARTTLS\r\n");
	RUN_UNTIL(client.closed);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_TLS);
	g_assert_cmpuint(client.secured, ==, 0);
	g_assert_cmpuint(client.inputs, ==, 1);
	client_done(&client);
	server_stop(&server);
}

/* ---- finish -------------------------------------------------------------------------------- */

static void script_until_end(struct server *server, int fd)
{
	serve_expect(fd, "LOGOUT\r\n");
	serve_text(fd, "* BYE that nobody reads\r\n");
	serve_expect_end(fd);
}

static void finish_sends_the_queue_then_fin(void)
{
	struct server server = { .script = script_until_end };
	struct client client = { 0 };

	server_start(&server);
	client_connect(&client, server.port, false);
	RUN_UNTIL(client.opened);
	client.in_call = true;
	stream_write(client.stream, "LOGOUT\r\n", 8);
	stream_finish(client.stream);
	client.in_call = false;
	RUN_UNTIL(client.closed);
	g_assert_error(client.error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST);
	g_assert_cmpuint(client.inputs, ==, 0);
	client_done(&client);
	server_stop(&server);
}

static void finish_is_bounded(void)
{
	struct server server = { .script = script_silent };
	struct client client = { 0 };
	int64_t clock_us = START_US;

	clock_fake(clock_us);
	server_start(&server);
	client_connect(&client, server.port, false);
	RUN_UNTIL(client.opened);
	stream_finish(client.stream);
	pass_ms(&clock_us, 1900);
	g_assert_cmpuint(client.closed, ==, 0);
	pass_ms(&clock_us, 200);
	g_assert_cmpuint(client.closed, ==, 1);
	server_go(&server);
	client_done(&client);
	server_stop(&server);
	clock_fake(0);
}

static void finish_before_open_closes(void)
{
	struct server server = { .script = script_silent };
	struct client client = { 0 };

	server_start(&server);
	client_connect(&client, server.port, true);
	RUN_UNTIL(stream_bytes_out(client.stream) > 0);
	client.in_call = true;
	stream_finish(client.stream);
	client.in_call = false;
	RUN_UNTIL(client.closed);
	g_assert_cmpuint(client.opened, ==, 0);
	server_go(&server);
	client_done(&client);
	server_stop(&server);
}

/* ---- DEFLATE ------------------------------------------------------------------------------- */

struct packed {
	const char *lead;   /* in clear, up to its line end */
	const char *plain;  /* compressed behind it, in the same segment */
	size_t zeros;       /* then so many, compressed */
	int flush;
	size_t cut;         /* bytes not sent of it all */
	const char *trail;  /* then this, in clear */
	int code;
	const char *got;    /* what arrives; NULL = does not matter */
};

static size_t pack_text(const struct packed *packed, uint8_t *out, size_t size)
{
	g_autofree char *zeros = g_malloc0(packed->zeros + 1);
	z_stream z = { .next_out = out, .avail_out = (uInt)size };

	deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
	z.next_in = (z_const Bytef *)packed->plain;
	z.avail_in = (uInt)strlen(packed->plain);
	deflate(&z, Z_NO_FLUSH);
	z.next_in = (Bytef *)zeros;
	z.avail_in = (uInt)packed->zeros;
	deflate(&z, packed->flush);
	deflateEnd(&z);
	return z.total_out;
}

static void script_packed(struct server *server, int fd)
{
	const struct packed *packed = server->arg;
	g_autofree uint8_t *bytes = g_malloc(MIB);
	size_t len = strlen(packed->lead);

	memcpy(bytes, packed->lead, len);
	len += pack_text(packed, bytes + len, MIB - len) - packed->cut;
	if (packed->trail) {
		memcpy(bytes + len, packed->trail, strlen(packed->trail));
		len += strlen(packed->trail);
	}
	if (server->ctx) {
		SSL *ssl = serve_tls(server, fd);

		g_assert_nonnull(ssl);
		SSL_write(ssl, bytes, (int)len);
		SSL_free(ssl);
	} else {
		serve_bytes(fd, bytes, len);
	}
}

static void start_deflate(struct client *client)
{
	struct bytebuf *input = stream_input(client->stream);
	const uint8_t *end = memchr(bytebuf_bytes(input), '\n', input->len);

	if (!end)
		return;
	bytebuf_consume(input, (size_t)(end + 1 - bytebuf_bytes(input)));
	client->on_input = NULL;
	client->in_call = true;
	stream_start_deflate(client->stream);
	client->in_call = false;
}

static const struct packed packed_leftover = { "OK\r\n", "* 1 EXISTS\r\n", 0, Z_SYNC_FLUSH, 0, NULL,
	MAILFS_ERROR_CONNECTION_LOST, "* 1 EXISTS\r\n" };
static const struct packed packed_cut = { "OK\r\n", "* 1 EXISTS\r\n* 2 EXISTS\r\n", 0, Z_FINISH, 2,
	NULL, MAILFS_ERROR_CONNECTION_LOST, NULL };
static const struct packed packed_bomb = { "OK\r\n", "", 16 * MIB, Z_SYNC_FLUSH, 0, NULL,
	MAILFS_ERROR_PROTOCOL, NULL };
static const struct packed packed_trail = { "OK\r\n", "* 1 EXISTS\r\n", 0, Z_FINISH, 0,
	"* BYE in clear\r\n", MAILFS_ERROR_PROTOCOL, NULL };

static void check_packed(const struct packed *packed, bool is_tls)
{
	struct server server = { .script = script_packed, .arg = packed,
		.ctx = is_tls ? good_server() : NULL };
	struct client client = { .got = g_string_new(NULL), .on_input = start_deflate };

	server_start(&server);
	client_connect(&client, server.port, is_tls);
	RUN_UNTIL(client.closed);
	g_assert_cmpint(client.error->code, ==, packed->code);
	g_assert_cmpuint(client.secured, ==, 1);
	g_assert_cmpuint(client.got->len, <=, MIB);
	if (packed->got)
		g_assert_cmpstr(client.got->str, ==, packed->got);
	client_done(&client);
	server_stop(&server);
}

static void packed_bytes_are_judged(gconstpointer data)
{
	check_packed(data, false);
	check_packed(data, true);
}

static void script_packed_echo(struct server *server, int fd)
{
	SSL *ssl = serve_tls(server, fd);
	uint8_t in[4096], plain[4096];
	z_stream z = { 0 };
	int n;

	g_assert_nonnull(ssl);
	inflateInit2(&z, -15);
	z.next_out = plain;
	z.avail_out = sizeof(plain);
	while (z.total_out < 12) {
		n = SSL_read(ssl, in, sizeof(in));
		g_assert_cmpint(n, >, 0);
		z.next_in = in;
		z.avail_in = (uInt)n;
		g_assert_cmpint(inflate(&z, Z_SYNC_FLUSH), ==, Z_OK);
	}
	g_assert_cmpmem(plain, z.total_out, "a1 NOOP\r\nxyz", 12);
	inflateEnd(&z);
	SSL_free(ssl);
}

static void written_bytes_are_compressed(void)
{
	struct server server = { .script = script_packed_echo, .ctx = good_server() };
	struct client client = { 0 };

	server_start(&server);
	client_connect(&client, server.port, true);
	RUN_UNTIL(client.opened);
	stream_start_deflate(client.stream);
	say(&client, "a1 NOOP\r\n");
	RUN_UNTIL(client.secured && stream_unsent(client.stream) == 0);
	say(&client, "xyz");
	RUN_UNTIL(client.closed);
	client_done(&client);
	server_stop(&server);
}

/* 12 MiB that pass 200:1 nowhere, in a few hundred kB: read step by step, never all at once. */
static void script_dense(struct server *server, int fd)
{
	g_autofree uint8_t *plain = g_malloc(12 * MIB);
	g_autofree uint8_t *bytes = g_malloc(MIB);
	z_stream z = { .next_in = plain, .avail_in = 12 * MIB, .next_out = bytes, .avail_out = MIB };
	uint32_t seed = 1;

	for (size_t i = 0; i < 12 * MIB; i++) {
		seed = seed * 1664525 + 1013904223;
		plain[i] = i % 300 == 0 ? (uint8_t)(seed >> 24) : 'a';
	}
	deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
	deflate(&z, Z_SYNC_FLUSH);
	deflateEnd(&z);
	serve_wait(server);
	serve_bytes(fd, bytes, z.total_out);
}

static void count_bounded_input(struct client *client)
{
	struct bytebuf *input = stream_input(client->stream);

	g_assert_cmpuint(input->len, <=, 256 * 1024);
	g_string_append_len(client->got, (const char *)bytebuf_bytes(input), (gssize)input->len);
	bytebuf_consume(input, input->len);
}

static void dense_stream_is_read_in_bounded_steps(void)
{
	struct server server = { .script = script_dense };
	struct client client = { .got = g_string_new(NULL), .on_input = count_bounded_input };

	server_start(&server);
	client_connect(&client, server.port, false);
	RUN_UNTIL(client.opened);
	stream_start_deflate(client.stream);
	RUN_UNTIL(client.secured);
	server_go(&server);
	RUN_UNTIL(client.closed);
	g_assert_cmpuint(client.got->len, ==, 12 * MIB);
	g_assert_cmpuint(client.inputs, >=, 48);
	client_done(&client);
	server_stop(&server);
}

/* ---- list ---------------------------------------------------------------------------------- */

static void add_ends(void)
{
	g_test_add_func("/net/stream/both ways", bytes_go_both_ways);
	g_test_add_func("/net/stream/large writes", large_writes_arrive_whole);
	g_test_add_func("/net/stream/SZ-6 closed once after input", closed_comes_once_after_all_input);
	g_test_add_func("/net/stream/SZ-6 reset", reset_is_a_lost_connection);
	g_test_add_data_func("/net/stream/free in open", GINT_TO_POINTER(EVENT_OPEN),
		freeing_inside_an_event_ends_it);
	g_test_add_data_func("/net/stream/free in input", GINT_TO_POINTER(EVENT_INPUT),
		freeing_inside_an_event_ends_it);
	g_test_add_data_func("/net/stream/free in secured", GINT_TO_POINTER(EVENT_SECURED),
		freeing_inside_an_event_ends_it);
	g_test_add_data_func("/net/stream/free in closed", GINT_TO_POINTER(EVENT_CLOSED),
		freeing_inside_an_event_ends_it);
	g_test_add_func("/net/stream/free at once", freeing_at_once_is_silent);
	g_test_add_func("/net/stream/finish", finish_sends_the_queue_then_fin);
	g_test_add_func("/net/stream/CN-4 finish is bounded", finish_is_bounded);
	g_test_add_func("/net/stream/finish before open", finish_before_open_closes);
}

static void add_pressure(void)
{
	g_test_add_func("/net/stream/CN-4 silence", silence_ends_the_connection);
	g_test_add_func("/net/stream/CN-4 hold stops the clock", silence_clock_stands_still_during_hold);
	g_test_add_func("/net/stream/CN-4 upload", upload_under_way_is_not_silence);
	g_test_add_func("/net/stream/SEC-12 TLS stalls", tls_server_that_stalls_times_out);
	g_test_add_func("/net/stream/SEC-12 STARTTLS stalls", starttls_that_stalls_times_out);
	g_test_add_data_func("/net/stream/unread input", GINT_TO_POINTER(0), unread_input_stops_reading);
	g_test_add_data_func("/net/stream/unread input, TLS", GINT_TO_POINTER(1),
		unread_input_stops_reading);
	g_test_add_data_func("/net/stream/hold", GINT_TO_POINTER(0),
		hold_stops_reading_and_nothing_is_lost);
	g_test_add_data_func("/net/stream/hold, TLS", GINT_TO_POINTER(1),
		hold_stops_reading_and_nothing_is_lost);
	g_test_add_func("/net/stream/no end during hold", end_is_not_reported_during_hold);
}

static void add_tls(void)
{
	g_test_add_func("/net/stream/TLS", implicit_tls_is_verified_before_open);
	g_test_add_func("/net/stream/SEC-8 bad certificate", bad_certificate_closes_before_open);
	g_test_add_data_func("/net/stream/SEC-9 second connection", GINT_TO_POINTER(0),
		second_connection_is_verified_too);
	g_test_add_data_func("/net/stream/SEC-9 second STARTTLS", GINT_TO_POINTER(1),
		second_connection_is_verified_too);
	g_test_add_func("/net/stream/PX-17 records of one byte", records_of_one_byte_give_the_same);
	g_test_add_data_func("/net/stream/SEC-10 no close_notify", NULL, tls_end_is_a_lost_connection);
	g_test_add_data_func("/net/stream/SEC-10 close_notify", "yes", tls_end_is_a_lost_connection);
	g_test_add_func("/net/stream/SZ-6 end in handshake",
		end_inside_the_handshake_is_a_lost_connection);
	g_test_add_func("/net/stream/SEC-4 STARTTLS", starttls_secures_what_follows);
	g_test_add_func("/net/stream/SEC-3 in the handshake", clear_text_in_the_handshake_is_refused);
	for (size_t i = 0; i < G_N_ELEMENTS(injections); i++) {
		g_autofree char *path = g_strdup_printf("/net/stream/SEC-3 injection %zu", i);

		g_test_add_data_func(path, injections[i], bytes_behind_the_starttls_answer_are_refused);
	}
}

static void add_deflate(void)
{
	g_test_add_data_func("/net/stream/EX-6 leftover", &packed_leftover, packed_bytes_are_judged);
	g_test_add_data_func("/net/stream/EX-6 truncated", &packed_cut, packed_bytes_are_judged);
	g_test_add_data_func("/net/stream/EX-6 bomb", &packed_bomb, packed_bytes_are_judged);
	g_test_add_data_func("/net/stream/EX-6 trailing text", &packed_trail, packed_bytes_are_judged);
	g_test_add_func("/net/stream/EX-6 written", written_bytes_are_compressed);
	g_test_add_func("/net/stream/EX-6 dense", dense_stream_is_read_in_bounded_steps);
}

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	ca = cert_make(&(struct cert_spec){ "Test CA", .is_ca = true });
	good = cert_make(&(struct cert_spec){ "x", "IP:127.0.0.1", .issuer = &ca });
	evil = cert_make(&(struct cert_spec){ "x", "DNS:evil.test", .issuer = &ca });
	ca_path = cert_write(&ca);
	add_ends();
	add_pressure();
	add_tls();
	add_deflate();
	r = g_test_run();
	g_unlink(ca_path);
	g_free(ca_path);
	cert_free(&ca);
	cert_free(&good);
	cert_free(&evil);
	return r;
}
