/* SPDX-License-Identifier: MIT */
/*
 * Shared by the tests of the backends: a scripted server on a loopback socket, in the same main loop. A script
 * is an array of lines:
 *   "S: text"   send text and CRLF; %t is the tag of the last command that was expected, %u of
 *               the one before, %v of the one before that, %w of the one before that
 *   "R: text"   send text as it is
 *   "C: glob"   wait for a command line, without its tag, that matches
 *   "L: glob"   wait for a line that has no tag (a literal, SASL)
 *   "B: N"      wait for N octets (of a literal), whatever they are
 *   "!close"    close the connection; "!stall" say nothing more
 * What the session reports becomes a transcript, compared as text.
 */
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include <gio/gio.h>

#include "base/log.h"
#include "mailfs/backend.h"

struct play {
	/* the server */
	GSocketListener *listener;
	guint16 port;
	GSocketConnection *connection;
	GSource *readable;
	const char *const *script;
	size_t at;
	GString *input;
	GString *extra; /* what the client said that no script line expected */
	char *tags[4]; /* newest first */

	/* the client */
	const struct mailfs_backend *backend;
	struct mailfs_backend_config config;
	const char *password;
	bool accepts_again; /* a connection after the one that was closed */
	GHashTable *keys; /* key → UID, of a backend with keys */
	uint32_t last_uid;
	struct mailfs_session *session;
	void (*act)(struct play *play);
	GString *log;
	bool is_dead, is_ready, is_timed_out;
	bool wants_status; /* events of it are in the transcript */
	unsigned open; /* requests without a done */
	gsize sent, received; /* octets of the server, in all */
	gsize cut_out, cut_in; /* it hangs up after so many of them; 0 = never */
	unsigned secrets; /* how often the password was asked for */
	GRand *mutator; /* bends what the server says; NULL = faithful */
	mailfs_secret_fn late_secret;
	void *late_user;
	struct mailfs_known known;
	mailfs_ticket ticket;
	uint64_t body_size, body_seen;
	bool cancel_in_data, fetch_in_state;
};

/* ---- the server ------------------------------------------------------------------------------ */

static inline void server_run(struct play *play);
static inline void server_close(struct play *play);
static inline void on_accepted(GObject *object, GAsyncResult *result, gpointer user);

static inline void server_send(struct play *play, const char *text, gsize len)
{
	GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(play->connection));
	bool is_cut = play->cut_out > 0 && play->sent + len >= play->cut_out;

	if (is_cut)
		len = play->cut_out - play->sent;
	play->sent += len;
	/* A client that has gone is no failure of the test. */
	g_output_stream_write_all(out, text, len, NULL, NULL, NULL);
	if (is_cut)
		server_close(play);
}

/* One small damage: a byte changed, doubled, left out, or a piece of the protocol put in. */
static inline void server_bend(struct play *play, GString *line)
{
	static const char *const pieces[] = {
		"(", ")", "{5}\r\n", "{70000}\r\n", "\r\n", "NIL", "* BYE\r\n", "[", "]", "\"", "UID 0",
		"4294967295", "18446744073709551616", "* 7 FETCH (UID 7)\r\n", "* VANISHED 1:*\r\n", "+ \r\n",
		"* 2 EXISTS\r\n", "* 1 EXPUNGE\r\n", "BODY[]", "<0>", " ", "\\",
	};
	gsize at = (gsize)g_rand_int_range(play->mutator, 0, (gint32)line->len);

	switch (g_rand_int_range(play->mutator, 0, 4)) {
	case 0:
		line->str[at] = (char)g_rand_int_range(play->mutator, 1, 256);
		break;
	case 1:
		g_string_erase(line, (gssize)at, 1);
		break;
	case 2:
		g_string_insert_c(line, (gssize)at, line->str[at]);
		break;
	default:
		g_string_insert(line, (gssize)at,
			pieces[g_rand_int_range(play->mutator, 0, G_N_ELEMENTS(pieces))]);
	}
}

static inline void server_send_line(struct play *play, const char *text, bool has_end)
{
	static const char *const names[] = { "%t", "%u", "%v", "%w" };
	g_autoptr(GString) line = g_string_new(text);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		g_string_replace(line, names[i], play->tags[i] ? play->tags[i] : "", 0);
	if (has_end)
		g_string_append(line, "\r\n");
	if (play->mutator && g_rand_int_range(play->mutator, 0, 12) == 0)
		server_bend(play, line);
	server_send(play, line->str, line->len);
}

static inline void server_close(struct play *play)
{
	if (play->readable) {
		g_source_destroy(play->readable);
		g_source_unref(play->readable);
		play->readable = NULL;
	}
	if (!play->connection)
		return;
	g_io_stream_close(G_IO_STREAM(play->connection), NULL, NULL);
	g_clear_object(&play->connection);
	if (!play->accepts_again)
		return;
	g_string_truncate(play->input, 0);
	g_socket_listener_accept_async(play->listener, NULL, on_accepted, play);
}

/* The next complete line of the client, or NULL. */
static inline char *server_line(struct play *play)
{
	char *end = strstr(play->input->str, "\r\n");
	char *line;

	if (!end)
		return NULL;
	line = g_strndup(play->input->str, (gsize)(end - play->input->str));
	g_string_erase(play->input, 0, (gssize)(strlen(line) + 2));
	return line;
}

static inline void server_expect(struct play *play, const char *glob, bool has_tag, char *line)
{
	char *rest = line;

	if (has_tag) {
		rest = strchr(line, ' ');
		if (!rest)
			g_error("the client said '%s' where '%s' was expected", line, glob);
		g_free(play->tags[3]);
		play->tags[3] = play->tags[2];
		play->tags[2] = play->tags[1];
		play->tags[1] = play->tags[0];
		play->tags[0] = g_strndup(line, (gsize)(rest - line));
		rest++;
	}
	if (!play->mutator && !g_pattern_match_simple(glob, rest))
		g_error("the client said '%s' where '%s' was expected", rest, glob);
}

/* Runs the script to where it must wait. */
static inline void server_run(struct play *play)
{
	while (play->connection) {
		const char *step = play->script[play->at];
		g_autofree char *line = NULL;

		if (!step || strcmp(step, "!stall") == 0)
			break;
		if (strcmp(step, "!close") == 0) {
			play->at += play->accepts_again;
			server_close(play);
			break;
		}
		if (step[0] == 'S' || step[0] == 'R') {
			play->at++;
			server_send_line(play, step + 3, step[0] == 'S');
			continue;
		}
		if (step[0] == 'B') {
			gsize count = (gsize)g_ascii_strtoull(step + 3, NULL, 10);

			if (play->input->len < count)
				return;
			g_string_erase(play->input, 0, (gssize)count);
			play->at++;
			continue;
		}
		line = server_line(play);
		if (!line)
			return;
		play->at++;
		server_expect(play, step + 3, step[0] == 'C', line);
	}
	if (play->input->len > 0) {
		g_string_append(play->extra, play->input->str);
		g_string_truncate(play->input, 0);
	}
}

static inline gboolean on_readable(GSocket *socket, GIOCondition condition, gpointer user)
{
	struct play *play = user;
	char bytes[4096];
	gssize len = g_socket_receive(socket, bytes, sizeof(bytes), NULL, NULL);

	if (len > 0 && play->cut_in > 0)
		len = MIN(len, (gssize)(play->cut_in - play->received));
	if (len > 0) {
		play->received += (gsize)len;
		g_string_append_len(play->input, bytes, len);
		server_run(play);
	}
	if (play->connection && len > 0 && play->received != play->cut_in)
		return G_SOURCE_CONTINUE;
	server_close(play);
	return G_SOURCE_REMOVE;
}

static inline void on_accepted(GObject *object, GAsyncResult *result, gpointer user)
{
	struct play *play = user;
	GSocket *socket;

	play->connection = g_socket_listener_accept_finish(play->listener, result, NULL, NULL);
	if (!play->connection)
		return;
	socket = g_socket_connection_get_socket(play->connection);
	g_socket_set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
	play->readable = g_socket_create_source(socket, G_IO_IN, NULL);
	g_source_set_callback(play->readable, G_SOURCE_FUNC(on_readable), play, NULL);
	g_source_attach(play->readable, NULL);
	server_run(play);
}

/* ---- the client ------------------------------------------------------------------------------ */

static const char *error_name(const GError *error)
{
	static const char *const names[] = {
		[MAILFS_ERROR_GONE] = "GONE",             [MAILFS_ERROR_STALE] = "STALE",
		[MAILFS_ERROR_TIMEOUT] = "TIMEOUT",       [MAILFS_ERROR_PROTOCOL] = "PROTOCOL",
		[MAILFS_ERROR_DENIED] = "DENIED",         [MAILFS_ERROR_LOGIN] = "LOGIN",
		[MAILFS_ERROR_INVALID] = "INVALID",       [MAILFS_ERROR_IN_USE] = "IN_USE",
		[MAILFS_ERROR_TRY_LATER] = "TRY_LATER",   [MAILFS_ERROR_REFUSED] = "REFUSED",
		[MAILFS_ERROR_CONNECTION_LOST] = "LOST",  [MAILFS_ERROR_TLS] = "TLS",
		[MAILFS_ERROR_LIMIT] = "LIMIT",           [MAILFS_ERROR_CANCELLED] = "CANCELLED",
		[MAILFS_ERROR_QUOTA] = "QUOTA",
		[MAILFS_ERROR_READ_ONLY] = "READ_ONLY",   [MAILFS_ERROR_TOO_BIG] = "TOO_BIG",
		[MAILFS_ERROR_EXISTS] = "EXISTS",         [MAILFS_ERROR_NOT_EMPTY] = "NOT_EMPTY",
		[MAILFS_ERROR_DISK] = "DISK",             [MAILFS_ERROR_NOT_POSSIBLE] = "NOT_POSSIBLE",
	};

	if (!error)
		return "OK";
	g_assert_true(error->domain == MAILFS_ERROR);
	g_assert_true(g_utf8_validate(error->message, -1, NULL));
	g_assert_null(strpbrk(error->message, "\r\n\033"));
	return (size_t)error->code < G_N_ELEMENTS(names) && names[error->code] ? names[error->code]
									       : "OTHER";
}

static inline void on_ready(void *user, const struct mailfs_server_info *info)
{
	struct play *play = user;

	play->is_ready = true;
	g_string_append(play->log, "ready|");
	if (play->act)
		play->act(play);
}

static inline void on_changed(void *user, const char *folder)
{
	g_string_append_printf(((struct play *)user)->log, "changed %s|", folder);
}

static inline void log_status(struct play *play, const struct mailfs_status *status)
{
	g_string_append_printf(play->log, "status %s", status->folder);
	if ((status->has & MAILFS_STATUS_MESSAGES) != 0)
		g_string_append_printf(play->log, " n=%u", status->messages);
	if ((status->has & MAILFS_STATUS_UIDNEXT) != 0)
		g_string_append_printf(play->log, " next=%u", status->uidnext);
	if ((status->has & MAILFS_STATUS_MODSEQ) != 0)
		g_string_append_printf(play->log, " modseq=%u", (unsigned)status->modseq);
	g_string_append_c(play->log, '|');
}

static inline void on_folder_status(void *user, const struct mailfs_status *status)
{
	if (((struct play *)user)->wants_status)
		log_status(user, status);
}

static inline void on_tree_changed(void *user)
{
	g_string_append(((struct play *)user)->log, "tree|");
}

static inline void on_alert(void *user, const char *text)
{
	g_string_append_printf(((struct play *)user)->log, "alert %s|", text);
}

static inline void on_dead(void *user, const GError *error)
{
	struct play *play = user;

	g_assert_cmpuint(play->open, ==, 0);
	g_string_append_printf(play->log, "dead %s|", error_name(error));
	play->is_dead = true;
}

static inline void give_secret(void *source_user, mailfs_secret_fn done, void *user)
{
	struct play *play = source_user;

	play->secrets++;
	play->late_secret = done;
	play->late_user = user;
	if (play->password)
		done(user, play->password, NULL);
}

static inline void on_folder(void *user, const struct mailfs_folder_info *info)
{
	struct play *play = user;

	g_string_append_printf(play->log, "%s>%s%s%s%s%s%s", info->name, info->path,
		(info->flags & MAILFS_FOLDER_NOSELECT) != 0 ? " noselect" : "",
		(info->flags & MAILFS_FOLDER_SUBSCRIBED) != 0 ? " subscribed" : "",
		(info->flags & MAILFS_FOLDER_INBOX) != 0 ? " inbox" : "",
		(info->flags & MAILFS_FOLDER_HIDDEN) != 0 ? " hidden" : "",
		info->role ? info->role : "");
	if (info->status.has != 0)
		g_string_append_printf(play->log, " n=%u", info->status.messages);
	g_string_append_c(play->log, '|');
}

static inline void finish(struct play *play, const char *what, const GError *error)
{
	g_assert_cmpuint(play->open, >, 0);
	play->open--;
	g_string_append_printf(play->log, "%s %s|", what, error_name(error));
}

static inline void on_list_done(void *user, const GError *error)
{
	finish(user, "list", error);
}

static inline void do_fetch(struct play *play);

static inline void on_state(void *user, const struct mailfs_sync_state *state)
{
	struct play *play = user;

	g_string_append_printf(play->log, "state v=%u n=%u%s%s|", state->uidvalidity, state->exists,
		state->is_delta ? " delta" : "", state->is_reset ? " reset" : "");
	if (play->fetch_in_state)
		do_fetch(play);
}

static inline void on_messages(void *user, const struct mailfs_message_info *infos, size_t count)
{
	struct play *play = user;

	g_assert_cmpuint(count, >, 0);
	for (size_t i = 0; i < count; i++) {
		g_string_append_printf(play->log, "m%u", infos[i].uid);
		if ((infos[i].fields & MAILFS_INFO_FLAGS) != 0)
			g_string_append_printf(play->log, " f%u", infos[i].flags);
		if ((infos[i].fields & MAILFS_INFO_SIZE) != 0)
			g_string_append_printf(play->log, " s%u", (unsigned)infos[i].size);
		if ((infos[i].fields & MAILFS_INFO_HEAD) != 0)
			g_string_append_printf(play->log, " '%s'", infos[i].head.subject);
		if ((infos[i].fields & MAILFS_INFO_REMOTE_ID) != 0)
			g_string_append_printf(play->log, " id=%s", infos[i].remote_id);
		for (size_t k = 0; infos[i].keywords && infos[i].keywords[k]; k++)
			g_string_append_printf(play->log, " %s", infos[i].keywords[k]);
		g_string_append_c(play->log, '|');
	}
}

static inline void on_uids(void *user, const uint32_t *uids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		g_string_append_printf(((struct play *)user)->log, "u%u|", uids[i]);
}

static inline void on_vanished(void *user, uint32_t first, uint32_t last)
{
	g_string_append_printf(((struct play *)user)->log, "gone %u:%u|", first, last);
}

static inline void on_sync_done(void *user, const struct mailfs_sync_result *result, const GError *error)
{
	struct play *play = user;

	g_assert_true((result != NULL) == (error == NULL));
	if (result)
		g_string_append_printf(play->log, "modseq %u|", (unsigned)result->modseq);
	finish(play, "sync", error);
}

static inline void on_uids_done(void *user, const GError *error)
{
	finish(user, "uids", error);
}

static inline void on_poll_done(void *user, const GError *error)
{
	finish(user, "poll", error);
}

static inline void on_begin(void *user, uint32_t uid, uint64_t size)
{
	struct play *play = user;

	play->body_size = size;
	play->body_seen = 0;
	if (size == UINT64_MAX)
		g_string_append_printf(play->log, "begin %u|", uid);
	else
		g_string_append_printf(play->log, "begin %u %u|", uid, (unsigned)size);
}

static inline void on_data(void *user, uint32_t uid, const void *bytes, size_t len)
{
	struct play *play = user;

	play->body_seen += len;
	g_assert_cmpuint(play->body_seen, <=, play->body_size);
	/* The pieces of a big body depend on how the network cuts it. */
	if (play->body_size <= 200 || play->body_size == UINT64_MAX)
		g_string_append_printf(play->log, "%.*s|", (int)len, (const char *)bytes);
	if (play->cancel_in_data)
		play->backend->cancel(play->session, play->ticket);
}

static inline void on_end(void *user, uint32_t uid)
{
	struct play *play = user;

	if (play->body_size != UINT64_MAX)
		g_assert_cmpuint(play->body_seen, ==, play->body_size);
	g_string_append_printf(play->log, "end %u|", uid);
}

static inline void on_fetch_done(void *user, const GError *error)
{
	finish(user, "fetch", error);
}

/* ---- what tests do --------------------------------------------------------------------------- */

static inline void do_list(struct play *play)
{
	struct mailfs_list_request request = { .folder = on_folder, .done = on_list_done, .user = play };

	play->open++;
	g_assert_cmpuint(play->backend->list(play->session, &request), !=, 0);
}

static inline uint32_t on_key(void *user, const char *key, unsigned *ret_wanted)
{
	struct play *play = user;
	uint32_t uid = GPOINTER_TO_UINT(g_hash_table_lookup(play->keys, key));

	*ret_wanted = uid == 0 ? ~0u : 0;
	if (uid == 0) {
		uid = ++play->last_uid;
		g_hash_table_insert(play->keys, g_strdup(key), GUINT_TO_POINTER(uid));
	}
	return uid;
}

static inline void do_sync(struct play *play)
{
	struct mailfs_sync_request request = {
		.folder = "INBOX", .known = play->known, .state = on_state, .messages = on_messages,
		.uids = on_uids, .vanished = on_vanished, .uid_of_key = on_key, .done = on_sync_done,
		.user = play,
	};

	play->open++;
	play->backend->sync(play->session, &request);
}

static inline void on_complete(void *user, uint32_t last)
{
	g_string_append_printf(((struct play *)user)->log, "up to %u|", last);
}

static inline void do_sync_in_parts(struct play *play)
{
	struct mailfs_sync_request request = {
		.folder = "INBOX", .known = play->known, .state = on_state, .messages = on_messages,
		.uids = on_uids, .vanished = on_vanished, .complete = on_complete, .done = on_sync_done,
		.user = play,
	};

	play->open++;
	imap_backend.sync(play->session, &request);
}

static inline void do_uids(struct play *play)
{
	struct mailfs_uids_request request = {
		.folder = "INBOX", .first = play->backend == &imap_backend ? 5 : 1, .last = UINT32_MAX, .uids = on_uids,
		.uid_of_key = on_key,
		.done = on_uids_done, .user = play,
	};

	play->open++;
	play->backend->uids(play->session, &request);
}

static inline void do_poll(struct play *play)
{
	play->open++;
	play->backend->poll(play->session, 0, on_poll_done, play);
}

static inline void fetch_uids(struct play *play, const char *folder, const uint32_t *uids, size_t count,
	const struct mailfs_range *range)
{
	struct mailfs_fetch_request request = {
		.folder = folder, .uidvalidity = 9, .uids = uids, .uid_count = count,
		.is_range = range != NULL, .begin = on_begin, .data = on_data, .end = on_end,
		.done = on_fetch_done, .user = play,
	};

	if (range)
		request.range = *range;
	play->open++;
	play->ticket = play->backend->fetch(play->session, &request);
}

static inline void do_fetch(struct play *play)
{
	fetch_uids(play, "INBOX", (const uint32_t[]){ 7 }, 1, NULL);
}

static inline void do_fetch_three(struct play *play)
{
	fetch_uids(play, "INBOX", (const uint32_t[]){ 7, 8, 9 }, 3, NULL);
}

static inline void do_fetch_range(struct play *play)
{
	fetch_uids(play, "INBOX", (const uint32_t[]){ 7 }, 1,
		&(const struct mailfs_range){ .offset = 2, .len = 3 });
}

/* ---- the stage ------------------------------------------------------------------------------- */

static inline void play_init(struct play *play, const char *const *script)
{
	*play = (struct play){ .script = script, .password = "p", .backend = &imap_backend };
	play->keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	play->listener = g_socket_listener_new();
	play->port = g_socket_listener_add_any_inet_port(play->listener, NULL, NULL);
	g_assert_cmpuint(play->port, !=, 0);
	play->input = g_string_new(NULL);
	play->extra = g_string_new(NULL);
	play->log = g_string_new(NULL);
	play->config = (struct mailfs_backend_config){
		.host = "127.0.0.1", .port = play->port, .tls = MAILFS_TLS_NONE, .user = "u",
		.secret = { .get = give_secret, .source_user = play },
		.connect_timeout_ms = 20000, .silence_timeout_ms = 20000, .want_head = true,
		.is_read_only = true,
	};
}

static inline gboolean on_watchdog(gpointer user)
{
	((struct play *)user)->is_timed_out = true;
	return G_SOURCE_CONTINUE;
}

/* Until the transcript ends with `until`. The watchdog is for tests that fail, not for timing. */
static inline void play_run(struct play *play, const char *until)
{
	static const struct mailfs_session_events events = {
		.ready = on_ready, .folder_changed = on_changed,
		.folder_status = on_folder_status, .tree_changed = on_tree_changed, .alert = on_alert, .dead = on_dead,
	};
	guint watchdog = g_timeout_add_seconds(15, on_watchdog, play);

	if (!play->session) {
		g_socket_listener_accept_async(play->listener, NULL, on_accepted, play);
		play->session = play->backend->open(&play->config, &events, play);
	}
	while (!g_str_has_suffix(play->log->str, until) && !play->is_dead && !play->is_timed_out)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(watchdog);
	if (play->is_timed_out)
		g_error("waited for '%s', have '%s'; script at '%s'", until, play->log->str,
			play->script[play->at] ? play->script[play->at] : "its end");
	if (!g_str_has_suffix(play->log->str, until))
		g_error("waited for '%s', have '%s'", until, play->log->str);
}

static inline void play_done(struct play *play)
{
	play->backend->free(play->session);
	play->accepts_again = false;
	server_close(play);
	g_socket_listener_close(play->listener);
	/* The accept that was cancelled still reports. */
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_object_unref(play->listener);
	g_string_free(play->input, TRUE);
	g_string_free(play->extra, TRUE);
	g_string_free(play->log, TRUE);
	g_hash_table_unref(play->keys);
	for (size_t i = 0; i < G_N_ELEMENTS(play->tags); i++)
		g_free(play->tags[i]);
}

/* What the client was to say, it says: a transcript may be right without that. */
static inline void play_to_the_end(struct play *play)
{
	guint watchdog = g_timeout_add_seconds(15, on_watchdog, play);

	while (play->script[play->at] && play->script[play->at][0] == 'C' && !play->is_timed_out)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(watchdog);
	if (play->is_timed_out)
		g_error("'%s' was never said, have '%s'", play->script[play->at], play->log->str);
}

/* The whole transcript; its last item is what is waited for. No octet is said that was not expected,
 * and all that was. */
static inline void play_expect(struct play *play, const char *want)
{
	const char *last = want + strlen(want) - 1;

	while (last > want && last[-1] != '|')
		last--;
	play_run(play, last);
	play_to_the_end(play);
	g_assert_cmpstr(play->log->str, ==, want);
	g_assert_cmpstr(play->extra->str, ==, "");
	play_done(play);
}

static inline void check_known(const char *const *script, void (*act)(struct play *play),
	const struct mailfs_known *known, const char *want)
{
	struct play play;

	play_init(&play, script);
	play.act = act;
	if (known)
		play.known = *known;
	play_expect(&play, want);
}

/* Of a session that may change things. */
static inline void check_change(
	const char *const *script, void (*act)(struct play *play), const char *want)
{
	struct play play;

	play_init(&play, script);
	play.config.is_read_only = false;
	play.act = act;
	play_expect(&play, want);
}

static inline void check(const char *const *script, void (*act)(struct play *play), const char *want)
{
	check_known(script, act, NULL, want);
}

#define SCRIPT(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* A login with capabilities `caps`, nothing more. */
#define LOGIN(caps)                                                                                \
	"S: * OK [CAPABILITY IMAP4rev1] hi", "C: LOGIN \"u\" \"p\"",                               \
		"S: %t OK [CAPABILITY IMAP4rev1" caps "] in"

#define BOX(exists)                                                                                \
	"S: * FLAGS (\\Seen)", "S: * " exists " EXISTS",                                           \
		"S: * OK [PERMANENTFLAGS (\\Seen a]b \\*)] flags", "S: * OK [UIDVALIDITY 9] v",    \
		"S: * OK [UIDNEXT 10] n"

#define OPEN(exists) "C: EXAMINE \"INBOX\"", BOX(exists), "S: %t OK [READ-ONLY] open"

#define OPEN_MODSEQ(exists, modseq)                                                                \
	"C: EXAMINE \"INBOX\" (CONDSTORE)", BOX(exists),                                           \
		"S: * OK [HIGHESTMODSEQ " modseq "]", "S: %t OK [READ-ONLY] open"
