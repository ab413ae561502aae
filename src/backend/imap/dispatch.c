/* SPDX-License-Identifier: MIT */
/*
 * What comes in on a connection, in whatever state: events of the reader to whoever waits for them.
 * Loop thread. RFC 9051 §3, §7.
 */
#include "backend/imap/session.h"

#include <string.h>

#include "backend/imap/login.h"
#include "backend/imap/request.h"
#include "backend/imap/verdict.h"
#include "base/log.h"

/* ---- what may be told -------------------------------------------------------------------------- */

bool session_is_trusted(const struct mailfs_session *s)
{
	return s->life.config.tls == MAILFS_TLS_NONE || stream_is_tls(s->stream);
}

void session_box_changed(struct mailfs_session *s)
{
	bool is_watched = s->notify || idle_is_silent(s);

	if (s->life.state != SESSION_READY || s->box.state != BOX_OPEN ||
		(s->box.is_change_told && !is_watched))
		return;
	s->box.is_change_told = true;
	if (s->life.events.folder_changed)
		s->life.events.folder_changed(s->life.user, s->box.name);
}

void session_alert(struct mailfs_session *s, const struct imap_response *response)
{
	g_autofree char *text = NULL;

	if (!response->code || strcmp(response->code, "ALERT") != 0 || !session_is_trusted(s))
		return;
	text = log_safe(response->text, -1);
	log_info("imap", "the server says: %s", text);
	if (s->life.events.alert)
		s->life.events.alert(s->life.user, text);
}

/* ---- responses --------------------------------------------------------------------------------- */

static void on_bye(struct mailfs_session *s, const struct imap_response *response)
{
	if (s->life.is_part_sent)
		return;
	session_fail_take(s, verdict_error(response,
		s->life.state == SESSION_LOGIN ? VERDICT_HELLO : VERDICT_READ, "connection"));
}

static void on_fetch(struct mailfs_session *s, const struct imap_response *response)
{
	struct imap_fetch fetch;

	if (!imap_fetch_parse(response, &s->arena, &fetch))
		return;
	if (fetch.seq == 0 || s->box.state != BOX_OPEN)
		return; /* ID-5, SEC-34 */
	if (queue_on_fetch(&s->queue, &fetch))
		return;
	/* News about flags that nobody asked for; of a message without a name too (ID-5). */
	if ((fetch.has & IMAP_FETCH_FLAGS) != 0 && fetch.seq <= s->box.exists)
		session_box_changed(s);
}

static void on_untagged(struct mailfs_session *s, const struct imap_response *response)
{
	session_alert(s, response);
	if (response->status == IMAP_BYE) {
		on_bye(s, response);
		return;
	}
	if (strcmp(response->name, "FETCH") == 0) {
		on_fetch(s, response);
		return;
	}
	/* Both look at VANISHED: the box counts, a sync reports. */
	if (queue_on_untagged(&s->queue, response) && strcmp(response->name, "VANISHED") != 0)
		return;
	if (!box_on_untagged(s, response) || response->code)
		notify_on_untagged(s, response);
}

static void log_received(const struct imap_response *r)
{
	g_autofree char *text = NULL;

	if (!log_is_on(LOG_WIRE))
		return;
	text = r->text ? log_safe(r->text, -1) : g_strdup("");
	if (r->has_number)
		log_write(LOG_WIRE, "imap", "S: * %u %s", r->number, r->name);
	else
		log_write(LOG_WIRE, "imap", "S: %s %s%s%s%s %s",
			r->kind == IMAP_TAGGED ? r->tag : r->kind == IMAP_UNTAGGED ? "*" : "+",
			r->name, r->code ? " [" : "", r->code ? r->code : "", r->code ? "]" : "",
			r->kind == IMAP_CONTINUATION ? "" : text);
}

static void on_response(struct mailfs_session *s, const struct imap_response *response)
{
	log_received(response);
	if (s->login)
		login_on_response(s->login, response);
	else if (response->kind == IMAP_TAGGED)
		queue_on_tagged(&s->queue, response);
	else if (response->kind == IMAP_CONTINUATION)
		queue_on_continuation(&s->queue, response);
	else
		on_untagged(s, response);
	/* Whoever took the body that streamed has seen its end now. */
	s->queue.is_streaming = false;
	s->queue.streaming = NULL;
}

static void on_data_begin(struct mailfs_session *s, const struct imap_response *response)
{
	struct imap_fetch fetch;
	bool is_fetch = !s->login && s->box.state == BOX_OPEN && response->kind == IMAP_UNTAGGED &&
		imap_fetch_parse(response, &s->arena, &fetch) && fetch.body &&
		fetch.body->type == IMAP_NODE_STREAMED;

	if (s->login)
		session_fail(s, MAILFS_ERROR_PROTOCOL, "the server sends too much before the login");
	queue_on_data_begin(&s->queue, is_fetch ? &fetch : NULL);
}

/* ---- the way in -------------------------------------------------------------------------------- */

/* One event; false when there is no more. */
static bool read_event(struct mailfs_session *s)
{
	struct imap_event event;

	imap_reader_next(s->reader, stream_input(s->stream), &event);
	switch (event.type) {
	case IMAP_EVENT_NEED_MORE:
		return false;
	case IMAP_EVENT_RESPONSE:
		on_response(s, event.response);
		break;
	case IMAP_EVENT_DATA_BEGIN:
		on_data_begin(s, event.response);
		break;
	case IMAP_EVENT_DATA:
		queue_on_data(&s->queue, event.bytes, event.len);
		break;
	case IMAP_EVENT_DATA_END:
		break;
	case IMAP_EVENT_ERROR:
		session_fail(s, MAILFS_ERROR_PROTOCOL, "the server's answer is out of step: %s",
			event.error);
		return false;
	}
	arena_reset(&s->arena);
	return true;
}

static void flush_requests(struct mailfs_session *s)
{
	for (GList *link = s->life.requests.head; link; link = link->next) {
		struct request *request = link->data;

		/* It reports only; what the callback asks for waits for the kick. */
		if (request->flush && !request->is_cancelled)
			request->flush(request);
	}
}

void session_on_input(void *user)
{
	struct mailfs_session *s = user;

	while (!s->life.failure && !s->is_switching && s->life.state != SESSION_OVER && read_event(s))
		;
	if (!s->life.failure && s->life.state == SESSION_READY)
		flush_requests(s);
	queue_pump(&s->queue);
}
