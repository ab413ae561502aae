/* SPDX-License-Identifier: MIT */
/* One connection: its stream, what comes in, the kick, the goodbye and death. Loop thread. */
#include "backend/pop3/session.h"

#include <stdarg.h>

#include "backend/config.h"
#include "backend/pop3/login.h"
#include "base/log.h"

#define QUIT_WAIT_MS 2000

/* ---- marks and death --------------------------------------------------------------------------- */

static gboolean on_kick(gpointer user);

void pop3_session_kick(struct mailfs_session *s)
{
	if (s->kick || s->state == POP3_STATE_OVER)
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

void pop3_session_fail_take(struct mailfs_session *s, GError *error)
{
	if (s->failure || s->state == POP3_STATE_OVER) {
		g_error_free(error);
		return;
	}
	s->failure = error;
	pop3_session_kick(s);
}

void pop3_session_fail(struct mailfs_session *s, enum mailfs_error code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	pop3_session_fail_take(s, g_error_new_valist(MAILFS_ERROR, (gint)code, format, args));
	va_end(args);
}

static void finish_all(struct mailfs_session *s, const GError *error)
{
	struct pop3_request *request;

	while ((request = g_queue_peek_head(&s->requests)))
		pop3_request_finish(request, error);
}

static void drop_connection(struct mailfs_session *s)
{
	g_clear_pointer(&s->login, pop3_login_free);
	g_clear_pointer(&s->stream, stream_free);
	pop3_queue_done(&s->queue);
}

static void finish_all_as_lost(struct mailfs_session *s)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST,
		"the session ends, the next one will do it");

	finish_all(s, error);
}

/* Nothing is touched after `dead`: a caller that frees at once is forgiven. */
static void die(struct mailfs_session *s)
{
	g_autoptr(GError) error = g_error_copy(s->failure);

	drop_connection(s);
	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED))
		finish_all_as_lost(s);
	else
		finish_all(s, error);
	/* A done above may have called close(): then `closed` is the last word, by the next kick. */
	if (s->state == POP3_STATE_CLOSING)
		return;
	s->state = POP3_STATE_OVER;
	source_clear(&s->kick);
	source_clear(&s->quit_timer);
	log_debug("pop3", "session with %s ended: %s", s->config.host, error->message);
	s->events.dead(s->user, error);
}

/* ---- the goodbye ------------------------------------------------------------------------------- */

static gboolean on_quit_timeout(gpointer user)
{
	struct mailfs_session *s = user;

	s->is_goodbye_done = true;
	pop3_session_kick(s);
	return G_SOURCE_REMOVE;
}

static void quit_done(struct pop3_command *command, const char *text, const GError *error)
{
	pop3_session_has_quit(command->user);
}

void pop3_session_has_quit(struct mailfs_session *s)
{
	s->is_quit_sent = true;
	s->is_goodbye_done = true;
	pop3_session_kick(s);
}

static void send_quit(struct mailfs_session *s)
{
	static const struct pop3_hooks hooks = { .done = quit_done };
	struct pop3_command *command = pop3_command_new(&hooks, POP3_ONE_LINE, "QUIT", "QUIT");

	command->user = s;
	s->is_quit_sent = true;
	stream_hold(s->stream, false); /* whoever held it hears no more; the answer must come in */
	pop3_queue_add(&s->queue, command);
	pop3_queue_pump(&s->queue);
	s->quit_timer = g_timeout_source_new(QUIT_WAIT_MS);
	g_source_set_callback(s->quit_timer, on_quit_timeout, s, NULL);
	g_source_attach(s->quit_timer, g_main_context_get_thread_default());
}

static bool can_say_goodbye(const struct mailfs_session *s)
{
	return s->stream && !s->login && !s->failure && !s->is_switching;
}

/* True: there is nothing to wait for any more. */
static bool say_goodbye(struct mailfs_session *s)
{
	if (!s->is_quit_sent && can_say_goodbye(s)) {
		send_quit(s);
		return false;
	}
	return !s->is_quit_sent || s->is_goodbye_done || s->failure;
}

static void run_close(struct mailfs_session *s)
{
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the session was closed");

	finish_all(s, error);
	if (!say_goodbye(s))
		return;
	drop_connection(s);
	source_clear(&s->quit_timer);
	s->state = POP3_STATE_OVER;
	source_clear(&s->kick);
	s->closed(s->closed_user);
}

/* ---- ending by itself -------------------------------------------------------------------------- */

void pop3_session_end(struct mailfs_session *s)
{
	if (s->state == POP3_STATE_READY)
		s->state = POP3_STATE_ENDING;
	pop3_session_kick(s);
}

static bool has_started(const struct mailfs_session *s)
{
	for (GList *link = s->requests.head; link; link = link->next) {
		if (((const struct pop3_request *)link->data)->is_started)
			return true;
	}
	return false;
}

static void open_stream(struct mailfs_session *s);

static void dial_again(struct mailfs_session *s)
{
	drop_connection(s);
	source_clear(&s->quit_timer);
	pop3_reader_free(s->reader);
	s->reader = pop3_reader_new();
	maildrop_forget(&s->drop);
	s->state = POP3_STATE_LOGIN;
	s->queue.limit = 1;
	s->is_used = s->is_switching = s->is_quit_sent = s->is_goodbye_done = false;
	s->login = pop3_login_new(s);
	open_stream(s);
}

/* Who waits goes to the next connection, unless the server wants time between two logins. */
static void run_end(struct mailfs_session *s)
{
	if (has_started(s) || !say_goodbye(s))
		return;
	if (!g_queue_is_empty(&s->requests) && s->caps.login_delay == 0)
		dial_again(s);
	else
		pop3_session_fail(s, MAILFS_ERROR_CANCELLED, "the session has served its purpose");
}

/* ---- the kick ---------------------------------------------------------------------------------- */

static void finish_cancelled(struct mailfs_session *s)
{
	g_autoptr(GError) error = NULL;
	GList *link = s->requests.head;

	while (link) {
		struct pop3_request *request = link->data;

		if (!request->is_cancelled) {
			link = link->next;
			continue;
		}
		if (!error)
			error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "cancelled");
		pop3_request_finish(request, error);
		link = s->requests.head;
	}
}

/* One that ends the session waits until it is alone, and lets nobody pass. */
static bool must_wait(const struct mailfs_session *s, const struct pop3_request *request)
{
	const struct pop3_request *first = g_queue_peek_head((GQueue *)&s->requests);

	return request != first && (request->ends_session || first->ends_session);
}

static void start(struct mailfs_session *s, struct pop3_request *request)
{
	if (request->wants_news && s->is_used) {
		pop3_session_end(s);
		return;
	}
	request->is_started = true;
	if (request->needs_drop && !maildrop_want(s))
		return; /* maildrop_listed() goes on */
	request->is_begun = true;
	request->start(request);
}

static void start_new(struct mailfs_session *s)
{
	GList *link = s->requests.head;

	while (link && !s->failure && s->state == POP3_STATE_READY) {
		struct pop3_request *request = link->data;

		link = link->next;
		if (must_wait(s, request))
			return;
		if (request->is_started)
			continue;
		start(s, request);
		link = s->requests.head;
		if (s->state == POP3_STATE_ENDING)
			return;
	}
}

void pop3_session_redial(struct mailfs_session *s)
{
	s->is_redial_due = true;
	pop3_session_kick(s);
}

static gboolean on_kick(gpointer user)
{
	struct mailfs_session *s = user;

	/* Cleared first: what follows may mark anew. */
	g_clear_pointer(&s->kick, g_source_unref);
	if (s->state == POP3_STATE_CLOSING) {
		run_close(s);
		return G_SOURCE_REMOVE;
	}
	if (s->failure) {
		die(s);
		return G_SOURCE_REMOVE;
	}
	if (s->is_redial_due) {
		s->is_redial_due = false;
		s->no_capa = true;
		dial_again(s);
	}
	finish_cancelled(s);
	if (s->state == POP3_STATE_READY)
		start_new(s);
	if (s->state == POP3_STATE_ENDING)
		run_end(s);
	pop3_queue_pump(&s->queue);
	return G_SOURCE_REMOVE;
}

/* ---- what comes in ----------------------------------------------------------------------------- */

bool pop3_session_is_trusted(const struct mailfs_session *s)
{
	return s->config.tls == MAILFS_TLS_NONE || stream_is_tls(s->stream);
}

static void log_received(const struct pop3_event *event)
{
	g_autofree char *text = NULL;

	if (!log_is_on(LOG_WIRE) || event->type != POP3_EVENT_STATUS)
		return;
	text = log_safe(event->text, -1);
	log_write(LOG_WIRE, "pop3", "S: %s %s", event->is_ok ? "+OK" : "-ERR", text);
}

static bool take(struct mailfs_session *s, const struct pop3_event *event)
{
	if (s->login && pop3_login_on_event(s->login, event))
		return true;
	return pop3_queue_on_event(&s->queue, event);
}

/* Some say -ERR before they hang up. */
static void on_unasked(struct mailfs_session *s, const struct pop3_event *event)
{
	if (event->type == POP3_EVENT_STATUS && !event->is_ok)
		pop3_session_fail(s, MAILFS_ERROR_CONNECTION_LOST, "the server ends the connection");
	else
		pop3_session_fail(s, MAILFS_ERROR_PROTOCOL, "the server answers what was not asked");
}

/* One event; false when there is no more. */
static bool read_event(struct mailfs_session *s)
{
	struct pop3_event event;

	pop3_reader_next(s->reader, stream_input(s->stream), &event);
	if (event.type == POP3_EVENT_NEED_MORE)
		return false;
	log_received(&event);
	if (event.type == POP3_EVENT_ERROR)
		pop3_session_fail(s, MAILFS_ERROR_PROTOCOL, "the server's answer is out of step: %s",
			event.text);
	else if (!take(s, &event))
		on_unasked(s, &event);
	return true;
}

static void on_input(void *user)
{
	struct mailfs_session *s = user;

	while (!s->failure && !s->is_switching && !s->is_redial_due && s->stream &&
		s->state != POP3_STATE_OVER && read_event(s))
		;
	pop3_queue_pump(&s->queue);
}

/* ---- the stream -------------------------------------------------------------------------------- */

static void on_open(void *user)
{
	pop3_login_on_open(((struct mailfs_session *)user)->login);
}

static void on_secured(void *user)
{
	struct mailfs_session *s = user;

	s->is_switching = false;
	if (s->login && !s->failure)
		pop3_login_on_secured(s->login);
	on_input(s);
}

static void on_closed(void *user, const GError *error)
{
	struct mailfs_session *s = user;

	if (s->login && pop3_login_on_closed(s->login))
		return;
	/* Behind QUIT that is no surprise. */
	if (s->state == POP3_STATE_ENDING && s->is_quit_sent && !has_started(s)) {
		pop3_session_has_quit(s);
		return;
	}
	pop3_session_fail_take(s, g_error_copy(error));
}

static void on_sent(void *user)
{
	pop3_session_kick(user);
}

void pop3_session_ready(struct mailfs_session *s)
{
	g_autofree char *software =
		s->caps.implementation[0] ? log_safe(s->caps.implementation, -1) : NULL;
	g_autofree char *capabilities = log_safe(s->caps.text, -1);
	struct mailfs_server_info info = {
		.tls_version = stream_tls_version(s->stream),
		.tls_cipher = stream_tls_cipher(s->stream),
		.auth = s->auth_name,
		.server_id = software,
		.capabilities = capabilities,
		.login_delay = MIN(s->caps.login_delay, 24 * 3600),
	};

	if (s->caps.pipelining)
		s->queue.limit = POP3_QUEUE_MAX;
	info.max_pipeline = s->queue.limit;
	s->state = POP3_STATE_READY;
	pop3_session_kick(s);
	if (!s->was_ready)
		s->events.ready(s->user, &info);
	s->was_ready = true;
}

/* ---- life -------------------------------------------------------------------------------------- */

static void open_stream(struct mailfs_session *s)
{
	static const struct stream_events events = {
		.open = on_open, .input = on_input, .secured = on_secured, .closed = on_closed,
		.sent = on_sent,
	};
	struct stream_target target = {
		.host = s->config.host,
		.port = s->config.port,
		.is_tls = s->config.tls == MAILFS_TLS_IMPLICIT,
		.tls = s->tls,
		.connect_timeout_ms = s->config.connect_timeout_ms,
		.silence_timeout_ms = s->config.silence_timeout_ms,
	};

	s->stream = stream_new(&target, &events, s);
}

struct mailfs_session *pop3_session_open(const struct mailfs_backend_config *config,
	const struct mailfs_session_events *events, void *user)
{
	struct mailfs_session *s = g_new0(struct mailfs_session, 1);
	GError *error = NULL;

	s->events = *events;
	s->user = user;
	config_copy(&s->config, config);
	s->reader = pop3_reader_new();
	pop3_queue_init(&s->queue, s);
	maildrop_init(&s->drop);
	g_queue_init(&s->requests);
	s->login = pop3_login_new(s);
	if (s->config.tls != MAILFS_TLS_NONE)
		s->tls = config_tls(&s->config, "pop3", &error);
	if (error)
		pop3_session_fail_take(s, error);
	else
		open_stream(s);
	return s;
}

void pop3_session_close(struct mailfs_session *s, void (*closed)(void *user), void *user)
{
	g_assert(s->state != POP3_STATE_CLOSING);
	s->closed = closed;
	s->closed_user = user;
	/* After the death there is no kick any more; this one source is for `closed` alone. */
	s->state = POP3_STATE_CLOSING;
	pop3_session_kick(s);
}

void pop3_session_free(struct mailfs_session *s)
{
	struct pop3_request *request;

	if (!s)
		return;
	source_clear(&s->kick);
	source_clear(&s->quit_timer);
	s->state = POP3_STATE_OVER; /* no kick from here on */
	drop_connection(s);
	while ((request = g_queue_pop_head(&s->requests)))
		request->free(request);
	g_clear_error(&s->failure);
	g_clear_pointer(&s->tls, tls_config_unref);
	pop3_reader_free(s->reader);
	maildrop_done(&s->drop);
	config_done(&s->config);
	g_free(s);
}
