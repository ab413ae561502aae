/* SPDX-License-Identifier: MIT */
/* One connection: its stream, and what the kick, the goodbye and death mean here. Loop thread. */
#include "backend/imap/session.h"

#include "backend/imap/login.h"
#include "backend/imap/request.h"

/* ---- the connection ends ----------------------------------------------------------------------- */

static void drop(struct mailfs_session *s)
{
	g_clear_pointer(&s->login, login_free);
	g_clear_pointer(&s->stream, stream_free);
	idle_forget(s);
	queue_done(&s->queue);
}

static void logout_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	session_parted(command->user);
}

static const struct command_hooks logout_hooks = { .done = logout_done };

static bool can_part(const struct mailfs_session *s)
{
	return s->stream && !s->login && !s->queue.unsent && !s->is_switching && !s->is_compressing &&
		!idle_is_starting(s);
}

static bool part(struct mailfs_session *s)
{
	struct command *command;

	if (!can_part(s))
		return false;
	command = command_new(imap_cmd_new("LOGOUT"), &logout_hooks, NULL, "logout");
	command->user = s;
	idle_leave(s);
	stream_hold(s->stream, false); /* whoever held it hears no more; the answer must come in */
	queue_send_now(&s->queue, command);
	return true;
}

/* ---- the kick ---------------------------------------------------------------------------------- */

static void start_new(struct mailfs_session *s)
{
	GList *link = s->life.requests.head;

	while (link && !s->life.failure) {
		struct request *request = link->data;

		link = link->next;
		if (request->is_started)
			continue;
		request->is_started = true;
		request->start(request);
		link = s->life.requests.head;
	}
}

static void run(struct mailfs_session *s)
{
	if (s->life.state == SESSION_READY)
		start_new(s);
	append_run(s);
	queue_pump(&s->queue);
}

static void detach(struct mailfs_session *s, const struct request *request)
{
	queue_detach(&s->queue, request);
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
	if (s->login && !s->life.failure)
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
	};

	s->life.state = SESSION_READY;
	session_kick(s);
	s->life.events.ready(s->life.user, &info);
}

/* ---- life -------------------------------------------------------------------------------------- */

struct mailfs_session *imap_session_open(const struct mailfs_backend_config *config,
	const struct mailfs_session_events *events, void *user)
{
	static const struct life_hooks hooks = {
		.name = "imap", .run = run, .detach = detach, .drop = drop, .part = part,
	};
	static const struct stream_events stream_events = {
		.open = on_open, .input = session_on_input, .secured = on_secured, .closed = on_closed,
		.sent = on_sent,
	};
	struct mailfs_session *s = g_new0(struct mailfs_session, 1);

	life_init(s, &hooks, config, events, user);
	s->reader = imap_reader_new();
	arena_init(&s->arena);
	queue_init(&s->queue, s);
	s->login = login_new(s);
	s->stream = session_dial(s, "imap", &stream_events);
	return s;
}

void imap_session_free(struct mailfs_session *s)
{
	if (!s)
		return;
	life_done(s);
	imap_reader_free(s->reader);
	box_reset(&s->box);
	arena_done(&s->arena);
	g_free(s->greeting);
	g_free(s->server_id);
	g_free(s->namespace_prefix);
	g_free(s);
}
