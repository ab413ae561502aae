/* SPDX-License-Identifier: MIT */
/* One connection, or several, one after the other: what comes in, the kick, the end. Loop thread. */
#include "backend/pop3/session.h"

#include "backend/pop3/login.h"
#include "base/log.h"

/* ---- the goodbye ------------------------------------------------------------------------------- */

static void drop(struct mailfs_session *s)
{
	g_clear_pointer(&s->login, pop3_login_free);
	g_clear_pointer(&s->stream, stream_free);
	pop3_queue_done(&s->queue);
}

static void quit_done(struct pop3_command *command, const char *text, const GError *error)
{
	session_parted(command->user);
}

static bool part(struct mailfs_session *s)
{
	static const struct pop3_hooks hooks = { .done = quit_done };
	struct pop3_command *command;

	if (!s->stream || s->login || s->is_switching)
		return false;
	command = pop3_command_new(&hooks, POP3_ONE_LINE, "QUIT", "QUIT");
	command->user = s;
	stream_hold(s->stream, false); /* whoever held it hears no more; the answer must come in */
	pop3_queue_add(&s->queue, command);
	pop3_queue_pump(&s->queue);
	return true;
}

/* ---- ending by itself -------------------------------------------------------------------------- */

void pop3_session_end(struct mailfs_session *s)
{
	if (s->life.state == SESSION_READY)
		s->life.state = SESSION_ENDING;
	session_kick(s);
}

static bool has_started(const struct mailfs_session *s)
{
	for (GList *link = s->life.requests.head; link; link = link->next) {
		if (((const struct request *)link->data)->is_started)
			return true;
	}
	return false;
}

static void dial(struct mailfs_session *s);

static void dial_again(struct mailfs_session *s)
{
	drop(s);
	session_part_anew(s);
	pop3_reader_free(s->reader);
	s->reader = pop3_reader_new();
	maildrop_forget(&s->drop);
	s->life.state = SESSION_LOGIN;
	s->queue.limit = 1;
	s->is_used = s->is_switching = false;
	s->login = pop3_login_new(s);
	dial(s);
}

/* Who waits goes to the next connection, unless the server wants time between two logins. */
static void run_end(struct mailfs_session *s)
{
	if (has_started(s) || !session_part(s))
		return;
	if (!g_queue_is_empty(&s->life.requests) && s->caps.login_delay == 0)
		dial_again(s);
	else
		session_fail(s, MAILFS_ERROR_CANCELLED, "the session has served its purpose");
}

/* ---- the kick ---------------------------------------------------------------------------------- */

/* One that ends the session waits until it is alone, and lets nobody pass. */
static bool must_wait(const struct mailfs_session *s, const struct request *request)
{
	const struct request *first = g_queue_peek_head((GQueue *)&s->life.requests);

	return request != first && ((request->marks | first->marks) & POP3_ENDS_SESSION) != 0;
}

static void start(struct mailfs_session *s, struct request *request)
{
	if ((request->marks & POP3_WANTS_NEWS) != 0 && s->is_used) {
		pop3_session_end(s);
		return;
	}
	request->is_started = true;
	if ((request->marks & POP3_NEEDS_DROP) != 0 && !maildrop_want(s))
		return; /* maildrop_listed() goes on */
	request->marks |= POP3_IS_BEGUN;
	request->start(request);
}

static void start_new(struct mailfs_session *s)
{
	GList *link = s->life.requests.head;

	while (link && !s->life.failure && s->life.state == SESSION_READY) {
		struct request *request = link->data;

		link = link->next;
		if (must_wait(s, request))
			return;
		if (request->is_started)
			continue;
		start(s, request);
		link = s->life.requests.head;
		if (s->life.state == SESSION_ENDING)
			return;
	}
}

void pop3_session_redial(struct mailfs_session *s)
{
	s->is_redial_due = true;
	session_kick(s);
}

static void run(struct mailfs_session *s)
{
	if (s->is_redial_due) {
		s->is_redial_due = false;
		s->no_capa = true;
		dial_again(s);
	}
	if (s->life.state == SESSION_READY)
		start_new(s);
	if (s->life.state == SESSION_ENDING)
		run_end(s);
	pop3_queue_pump(&s->queue);
}

static void detach(struct mailfs_session *s, const struct request *request)
{
	pop3_queue_detach(&s->queue, request);
}

/* ---- what comes in ----------------------------------------------------------------------------- */

bool pop3_session_is_trusted(const struct mailfs_session *s)
{
	return s->life.config.tls == MAILFS_TLS_NONE || stream_is_tls(s->stream);
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
		session_fail(s, MAILFS_ERROR_CONNECTION_LOST, "the server ends the connection");
	else
		session_fail(s, MAILFS_ERROR_PROTOCOL, "the server answers what was not asked");
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
		session_fail(s, MAILFS_ERROR_PROTOCOL, "the server's answer is out of step: %s",
			event.text);
	else if (!take(s, &event))
		on_unasked(s, &event);
	return true;
}

static void on_input(void *user)
{
	struct mailfs_session *s = user;

	while (!s->life.failure && !s->is_switching && !s->is_redial_due && s->stream &&
		s->life.state != SESSION_OVER && read_event(s))
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
	if (s->login && !s->life.failure)
		pop3_login_on_secured(s->login);
	on_input(s);
}

static void on_closed(void *user, const GError *error)
{
	struct mailfs_session *s = user;

	if (s->login && pop3_login_on_closed(s->login))
		return;
	/* Behind QUIT that is no surprise. */
	if (s->life.state == SESSION_ENDING && s->life.is_part_sent && !has_started(s)) {
		session_parted(s);
		return;
	}
	session_fail_take(s, g_error_copy(error));
}

static void on_sent(void *user)
{
	session_kick(user);
}

/* RFC 2449 §6.7. */
static char *describe_expire(const struct pop3_caps *caps)
{
	if (!caps->has_expire)
		return NULL;
	if (caps->expire == UINT32_MAX)
		return g_strdup("for ever (EXPIRE NEVER)");
	if (caps->expire == 0)
		return g_strdup("not once they were read (EXPIRE 0)");
	return g_strdup_printf("for %u days (EXPIRE %u)", caps->expire, caps->expire);
}

void pop3_session_ready(struct mailfs_session *s)
{
	g_autofree char *keeps = describe_expire(&s->caps);
	g_autofree char *software =
		s->caps.implementation[0] ? log_safe(s->caps.implementation, -1) : NULL;
	g_autofree char *capabilities = log_safe(s->caps.text, -1);
	struct mailfs_server_info info = {
		.tls_version = stream_tls_version(s->stream),
		.tls_cipher = stream_tls_cipher(s->stream),
		.auth = s->auth_name,
		.server_id = software,
		.capabilities = capabilities,
		.keeps = keeps,
		.login_delay = MIN(s->caps.login_delay, 24 * 3600),
	};

	if (s->caps.pipelining)
		s->queue.limit = POP3_QUEUE_MAX;
	info.max_pipeline = s->queue.limit;
	s->life.state = SESSION_READY;
	session_kick(s);
	if (!s->was_ready)
		s->life.events.ready(s->life.user, &info);
	s->was_ready = true;
}

/* ---- life -------------------------------------------------------------------------------------- */

static void dial(struct mailfs_session *s)
{
	static const struct stream_events events = {
		.open = on_open, .input = on_input, .secured = on_secured, .closed = on_closed,
		.sent = on_sent,
	};

	s->stream = session_dial(s, "pop3", &events);
}

struct mailfs_session *pop3_session_open(const struct mailfs_backend_config *config,
	const struct mailfs_session_events *events, void *user)
{
	static const struct life_hooks hooks = {
		.name = "pop3", .run = run, .detach = detach, .drop = drop, .part = part,
	};
	struct mailfs_session *s = g_new0(struct mailfs_session, 1);

	life_init(s, &hooks, config, events, user);
	s->reader = pop3_reader_new();
	pop3_queue_init(&s->queue, s);
	maildrop_init(&s->drop);
	s->login = pop3_login_new(s);
	dial(s);
	return s;
}

void pop3_session_free(struct mailfs_session *s)
{
	if (!s)
		return;
	life_done(s);
	pop3_reader_free(s->reader);
	maildrop_done(&s->drop);
	g_free(s);
}
