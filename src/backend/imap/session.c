/* SPDX-License-Identifier: MIT */
/*
 * One connection: its stream, the kick that does what was asked for from above, the goodbye and
 * death. Loop thread.
 */
#include "backend/imap/session.h"

#include <stdarg.h>

#include "backend/config.h"
#include "backend/imap/login.h"
#include "backend/imap/request.h"
#include "base/log.h"

#define LOGOUT_WAIT_MS 2000

/* ---- marks and death --------------------------------------------------------------------------- */

static gboolean on_kick(gpointer user);

void session_kick(struct mailfs_session *s)
{
	if (s->kick || s->state == SESSION_OVER)
		return;
	s->kick = g_idle_source_new();
	g_source_set_priority(s->kick, G_PRIORITY_DEFAULT);
	g_source_set_callback(s->kick, on_kick, s, NULL);
	g_source_attach(s->kick, g_main_context_get_thread_default());
}

static void source_clear(GSource **source)
{
	if (*source) {
		g_source_destroy(*source);
		g_source_unref(*source);
	}
	*source = NULL;
}

void session_fail_take(struct mailfs_session *s, GError *error)
{
	if (s->failure || s->state == SESSION_OVER) {
		g_error_free(error);
		return;
	}
	s->failure = error;
	session_kick(s);
}

void session_fail(struct mailfs_session *s, enum mailfs_error code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	session_fail_take(s, g_error_new_valist(MAILFS_ERROR, (gint)code, format, args));
	va_end(args);
}

static void finish_all(struct mailfs_session *s, const GError *error)
{
	struct request *request;

	while ((request = g_queue_peek_head(&s->requests)))
		request_finish(request, error);
}

static void drop_connection(struct mailfs_session *s)
{
	g_clear_pointer(&s->login, login_free);
	g_clear_pointer(&s->stream, stream_free);
	idle_forget(s);
	queue_done(&s->queue);
}

/* Nothing is touched after `dead`: a caller that frees at once is forgiven. */
static void die(struct mailfs_session *s)
{
	g_autoptr(GError) error = g_error_copy(s->failure);

	drop_connection(s);
	finish_all(s, error);
	/* A done above may have called close(): then `closed` is the last word, by the next kick. */
	if (s->state == SESSION_LOGOUT)
		return;
	s->state = SESSION_OVER;
	source_clear(&s->kick);
	log_debug("imap", "session with %s ended: %s", s->config.host, error->message);
	s->events.dead(s->user, error);
}

/* ---- the goodbye ------------------------------------------------------------------------------- */

static gboolean on_logout_timeout(gpointer user)
{
	struct mailfs_session *s = user;

	s->is_goodbye_done = true;
	session_kick(s);
	return G_SOURCE_REMOVE;
}

static void logout_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct mailfs_session *s = command->user;

	s->is_goodbye_done = true;
	session_kick(s);
}

static const struct command_hooks logout_hooks = { .done = logout_done };

static void send_logout(struct mailfs_session *s)
{
	struct command *command = command_new(imap_cmd_new("LOGOUT"), &logout_hooks, NULL, "logout");

	command->user = s;
	s->is_logout_sent = true;
	idle_leave(s);
	stream_hold(s->stream, false); /* whoever held it hears no more; the answer must come in */
	queue_send_now(&s->queue, command);
	s->logout_timer = g_timeout_source_new(LOGOUT_WAIT_MS);
	g_source_set_callback(s->logout_timer, on_logout_timeout, s, NULL);
	g_source_attach(s->logout_timer, g_main_context_get_thread_default());
}

static bool can_say_goodbye(const struct mailfs_session *s)
{
	return s->stream && !s->login && !s->failure && !s->queue.unsent && !s->is_switching &&
		!s->is_compressing && !idle_is_starting(s);
}

static void run_close(struct mailfs_session *s)
{
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the session was closed");

	finish_all(s, error);
	if (!s->is_logout_sent && can_say_goodbye(s)) {
		send_logout(s);
		return;
	}
	if (s->is_logout_sent && !s->is_goodbye_done && !s->failure)
		return;
	drop_connection(s);
	source_clear(&s->logout_timer);
	s->state = SESSION_OVER;
	source_clear(&s->kick);
	s->closed(s->closed_user);
}

/* ---- the kick ---------------------------------------------------------------------------------- */

static void finish_cancelled(struct mailfs_session *s)
{
	g_autoptr(GError) error = NULL;
	GList *link = s->requests.head;

	while (link) {
		struct request *request = link->data;

		if (!request->is_cancelled) {
			link = link->next;
			continue;
		}
		if (!error)
			error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "cancelled");
		request_finish(request, error);
		link = s->requests.head; /* the callback may have changed the list */
	}
}

static void start_new(struct mailfs_session *s)
{
	GList *link = s->requests.head;

	while (link && !s->failure) {
		struct request *request = link->data;

		link = link->next;
		if (request->is_started)
			continue;
		request->is_started = true;
		request->start(request);
		link = s->requests.head;
	}
}

static gboolean on_kick(gpointer user)
{
	struct mailfs_session *s = user;

	/* Cleared first: what follows may mark anew. */
	g_clear_pointer(&s->kick, g_source_unref);
	if (s->state == SESSION_LOGOUT) {
		run_close(s);
		return G_SOURCE_REMOVE;
	}
	if (s->failure) {
		die(s);
		return G_SOURCE_REMOVE;
	}
	finish_cancelled(s);
	if (s->state == SESSION_READY)
		start_new(s);
	append_run(s);
	queue_pump(&s->queue);
	return G_SOURCE_REMOVE;
}

/* ---- the stream -------------------------------------------------------------------------------- */

static void on_open(void *user)
{
	struct mailfs_session *s = user;

	login_on_open(s->login);
}

static void on_secured(void *user)
{
	struct mailfs_session *s = user;

	s->is_switching = false;
	if (s->login && !s->failure)
		login_on_secured(s->login);
	session_on_input(s);
}

static void on_closed(void *user, const GError *error)
{
	session_fail_take(user, g_error_copy(error));
}

static void on_sent(void *user)
{
	session_kick(user);
}

void session_ready(struct mailfs_session *s)
{
	struct mailfs_server_info info = {
		.tls_version = stream_tls_version(s->stream),
		.tls_cipher = stream_tls_cipher(s->stream),
		.auth = s->auth_name,
		.server_id = s->server_id,
		.capabilities = s->caps.text,
		.compressed = s->is_compressed,
		.max_pipeline = s->queue.limit,
		.append_limit = s->caps.append_limit,
		.can_range = (s->quirks & QUIRK_NO_RANGE) == 0,
		.can_delta = s->caps.condstore || s->caps.qresync,
		.can_idle = s->caps.idle,
		.can_notify = s->caps.notify,
		.can_list_status = s->caps.list_extended && s->caps.list_status &&
			(s->quirks & QUIRK_NO_LIST_RETURN) == 0,
	};

	s->state = SESSION_READY;
	session_kick(s);
	s->events.ready(s->user, &info);
}

/* ---- life -------------------------------------------------------------------------------------- */

static void dial(struct mailfs_session *s)
{
	static const struct stream_events events = {
		.open = on_open, .input = session_on_input, .secured = on_secured, .closed = on_closed,
		.sent = on_sent,
	};
	struct stream_target target = {
		.host = s->config.host,
		.port = s->config.port,
		.is_tls = s->config.tls == MAILFS_TLS_IMPLICIT,
		.connect_timeout_ms = s->config.connect_timeout_ms,
		.silence_timeout_ms = s->config.silence_timeout_ms,
	};
	GError *error = NULL;

	if (s->config.tls != MAILFS_TLS_NONE) {
		s->tls = config_tls(&s->config, "imap", &error);
		if (!s->tls) {
			session_fail_take(s, error);
			return;
		}
	}
	target.tls = s->tls;
	s->stream = stream_new(&target, &events, s);
}

struct mailfs_session *session_open(const struct mailfs_backend_config *config,
	const struct mailfs_session_events *events, void *user)
{
	struct mailfs_session *s = g_new0(struct mailfs_session, 1);

	s->events = *events;
	s->user = user;
	config_copy(&s->config, config);
	s->reader = imap_reader_new();
	arena_init(&s->arena);
	queue_init(&s->queue, s);
	g_queue_init(&s->requests);
	s->login = login_new(s);
	dial(s);
	return s;
}

void session_close(struct mailfs_session *s, void (*closed)(void *user), void *user)
{
	g_assert(s->state != SESSION_LOGOUT);
	s->closed = closed;
	s->closed_user = user;
	/* After the death there is no kick any more; this one source is for `closed` alone. */
	s->state = SESSION_LOGOUT;
	session_kick(s);
}

void session_free(struct mailfs_session *s)
{
	struct request *request;

	if (!s)
		return;
	source_clear(&s->kick);
	source_clear(&s->logout_timer);
	s->state = SESSION_OVER; /* no kick from here on */
	drop_connection(s);
	while ((request = g_queue_pop_head(&s->requests)))
		request->free(request);
	g_clear_error(&s->failure);
	g_clear_pointer(&s->tls, tls_config_unref);
	imap_reader_free(s->reader);
	box_reset(&s->box);
	arena_done(&s->arena);
	config_done(&s->config);
	g_free(s->greeting);
	g_free(s->server_id);
	g_free(s->namespace_prefix);
	g_free(s);
}
