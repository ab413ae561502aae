/* SPDX-License-Identifier: MIT */
/* The kick that does what was asked for from above, the goodbye and death. Loop thread. */
#include "backend/session.h"

#include <stdarg.h>

#include "backend/config.h"
#include "base/log.h"

#define PART_WAIT_MS 2000u

static struct life *life_of(struct mailfs_session *s)
{
	return (struct life *)(void *)s; /* its first member */
}

void source_clear(GSource **source)
{
	if (*source) {
		g_source_destroy(*source);
		g_source_unref(*source);
	}
	*source = NULL;
}

void source_after(GSource **source, unsigned ms, GSourceFunc fn, void *user)
{
	source_clear(source);
	*source = g_timeout_source_new(ms);
	g_source_set_callback(*source, fn, user, NULL);
	g_source_attach(*source, g_main_context_get_thread_default());
}

/* ---- marks and death --------------------------------------------------------------------------- */

static gboolean on_kick(gpointer user);

void session_kick(struct mailfs_session *s)
{
	struct life *life = life_of(s);

	if (life->kick || life->state == SESSION_OVER)
		return;
	life->kick = g_idle_source_new();
	g_source_set_priority(life->kick, G_PRIORITY_DEFAULT);
	g_source_set_callback(life->kick, on_kick, s, NULL);
	g_source_attach(life->kick, g_main_context_get_thread_default());
}

void session_fail_take(struct mailfs_session *s, GError *error)
{
	struct life *life = life_of(s);

	if (life->failure || life->state == SESSION_OVER) {
		g_error_free(error);
		return;
	}
	life->failure = error;
	session_kick(s);
}

void session_fail(struct mailfs_session *s, enum mailfs_error code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	session_fail_take(s, g_error_new_valist(MAILFS_ERROR, (gint)code, format, args));
	va_end(args);
}

static void finish_all(struct life *life, const GError *error)
{
	struct request *request;

	while ((request = g_queue_peek_head(&life->requests)))
		request_finish(request, error);
}

static void finish_all_as_lost(struct life *life)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST,
		"the session ends, the next one will do it");

	finish_all(life, error);
}

static void over(struct life *life)
{
	life->state = SESSION_OVER;
	source_clear(&life->kick);
	source_clear(&life->part_timer);
}

/* Nothing is touched after `dead`: a caller that frees at once is forgiven. */
static void die(struct mailfs_session *s)
{
	struct life *life = life_of(s);
	g_autoptr(GError) error = g_error_copy(life->failure);

	life->hooks->drop(s);
	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED))
		finish_all_as_lost(life);
	else
		finish_all(life, error);
	/* A done above may have called close(): then `closed` is the last word, by the next kick. */
	if (life->state == SESSION_LOGOUT)
		return;
	over(life);
	log_debug(life->hooks->name, "session with %s ended: %s", life->config.host, error->message);
	life->events.dead(life->user, error);
}

/* ---- the goodbye ------------------------------------------------------------------------------- */

void session_parted(struct mailfs_session *s)
{
	life_of(s)->is_part_sent = true;
	life_of(s)->is_parted = true;
	session_kick(s);
}

void session_part_anew(struct mailfs_session *s)
{
	struct life *life = life_of(s);

	life->is_part_sent = life->is_parted = false;
	source_clear(&life->part_timer);
}

static gboolean on_part_timeout(gpointer user)
{
	session_parted(user);
	return G_SOURCE_REMOVE;
}

bool session_part(struct mailfs_session *s)
{
	struct life *life = life_of(s);

	if (!life->is_part_sent && !life->failure && life->hooks->part(s)) {
		life->is_part_sent = true;
		source_after(&life->part_timer, PART_WAIT_MS, on_part_timeout, s);
		return false;
	}
	return !life->is_part_sent || life->is_parted || life->failure;
}

static void run_close(struct mailfs_session *s)
{
	struct life *life = life_of(s);
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the session was closed");

	finish_all(life, error);
	if (!session_part(s))
		return;
	life->hooks->drop(s);
	over(life);
	life->closed(life->closed_user);
}

/* ---- the kick ---------------------------------------------------------------------------------- */

static void finish_cancelled(struct life *life)
{
	g_autoptr(GError) error = NULL;
	GList *link = life->requests.head;

	while (link) {
		struct request *request = link->data;

		if (!request->is_cancelled) {
			link = link->next;
			continue;
		}
		if (!error)
			error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "cancelled");
		request_finish(request, error);
		link = life->requests.head; /* the callback may have changed the list */
	}
}

static gboolean on_kick(gpointer user)
{
	struct mailfs_session *s = user;
	struct life *life = life_of(s);

	/* Cleared first: what follows may mark anew. */
	g_clear_pointer(&life->kick, g_source_unref);
	if (life->state == SESSION_LOGOUT) {
		run_close(s);
	} else if (life->failure) {
		die(s);
	} else {
		finish_cancelled(life);
		life->hooks->run(s);
	}
	return G_SOURCE_REMOVE;
}

/* ---- requests ---------------------------------------------------------------------------------- */

mailfs_ticket request_add(struct mailfs_session *s, struct request *request)
{
	struct life *life = life_of(s);

	request->session = s;
	request->ticket = ++life->last_ticket;
	g_queue_push_tail(&life->requests, request);
	session_kick(s);
	return request->ticket;
}

void request_finish(struct request *request, const GError *error)
{
	struct mailfs_session *s = request->session;
	struct life *life = life_of(s);

	g_queue_remove(&life->requests, request);
	life->hooks->detach(s, request);
	request->done(request, error);
	request->free(request);
	/* Detaching may have unblocked the queue, and the callback may have asked for more. */
	session_kick(s);
}

void request_fail(struct request *request, enum mailfs_error code, const char *format, ...)
{
	g_autoptr(GError) error = NULL;
	va_list args;

	va_start(args, format);
	error = g_error_new_valist(MAILFS_ERROR, (gint)code, format, args);
	va_end(args);
	request_finish(request, error);
}

/* The request itself ends in the next kick: no callback comes from inside a call. */
void session_cancel(struct mailfs_session *s, mailfs_ticket ticket)
{
	for (GList *link = life_of(s)->requests.head; link; link = link->next) {
		struct request *request = link->data;

		if (request->ticket == ticket)
			request->is_cancelled = true;
	}
	session_kick(s);
}

/* ---- beginning and end ------------------------------------------------------------------------- */

struct stream *session_dial(struct mailfs_session *s, const char *alpn,
	const struct stream_events *events)
{
	struct life *life = life_of(s);
	const struct mailfs_backend_config *config = &life->config;
	struct stream_target target = {
		.host = config->host,
		.port = config->port,
		.is_tls = config->tls == MAILFS_TLS_IMPLICIT,
		.connect_timeout_ms = config->connect_timeout_ms,
		.silence_timeout_ms = config->silence_timeout_ms,
	};
	GError *error = NULL;

	if (!life->tls && config->tls != MAILFS_TLS_NONE) {
		life->tls = config_tls(config, alpn, &error);
		if (!life->tls) {
			session_fail_take(s, error);
			return NULL;
		}
	}
	target.tls = life->tls;
	return stream_new(&target, events, s);
}

void session_close(struct mailfs_session *s, void (*closed)(void *user), void *user)
{
	struct life *life = life_of(s);

	g_assert(life->state != SESSION_LOGOUT);
	life->closed = closed;
	life->closed_user = user;
	/* After the death there is no kick any more; this one source is for `closed` alone. */
	life->state = SESSION_LOGOUT;
	session_kick(s);
}

void life_init(struct mailfs_session *s, const struct life_hooks *hooks,
	const struct mailfs_backend_config *config, const struct mailfs_session_events *events,
	void *user)
{
	struct life *life = life_of(s);

	life->hooks = hooks;
	life->events = *events;
	life->user = user;
	config_copy(&life->config, config);
	g_queue_init(&life->requests);
}

void life_done(struct mailfs_session *s)
{
	struct life *life = life_of(s);
	struct request *request;

	over(life); /* no kick from here on */
	life->hooks->drop(s);
	while ((request = g_queue_pop_head(&life->requests)))
		request->free(request);
	g_clear_error(&life->failure);
	g_clear_pointer(&life->tls, tls_config_unref);
	config_done(&life->config);
}
