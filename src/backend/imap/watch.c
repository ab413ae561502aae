/* SPDX-License-Identifier: MIT */
/*
 * IDLE: the server tells what happens in the open folder. It is left for every other command, and
 * renewed before servers and routers forget it (CN-1). DONE may only follow the "+", and nothing may
 * follow DONE before the tagged answer (CN-6). Loop thread. RFC 2177, RFC 9051 §6.3.13.
 */
#include "backend/imap/watch.h"

#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "base/clock.h"
#include "base/log.h"

#define BEGIN_WAIT_MS 10000u                  /* for the "+", which some servers forget */
#define BEGIN_LOOK_MS 3000u                   /* if somebody waits behind it, no longer than that */
#define RENEW_MAX_S   540u                    /* CN-1 */
#define SHORT_LIFE_US (5 * G_USEC_PER_SEC)    /* a server that ends IDLE sooner does not idle */

struct watch {
	struct request request;
	struct mailfs_watch_request args;
	char *folder;
	bool is_begun; /* was told */
};

/* ---- the state -------------------------------------------------------------------------------- */

static void stop_timer(struct idling *idling)
{
	if (idling->timer) {
		g_source_destroy(idling->timer);
		g_source_unref(idling->timer);
	}
	idling->timer = NULL;
}

static void start_timer(struct mailfs_session *s, unsigned ms, GSourceFunc fn)
{
	stop_timer(&s->idling);
	s->idling.timer = g_timeout_source_new(ms);
	g_source_set_callback(s->idling.timer, fn, s, NULL);
	g_source_attach(s->idling.timer, g_main_context_get_thread_default());
}

void idle_forget(struct mailfs_session *s)
{
	stop_timer(&s->idling);
	s->idling = (struct idling){ 0 };
}

bool idle_is_starting(const struct mailfs_session *s)
{
	return s->idling.command && !s->idling.has_begun;
}

bool idle_is_silent(const struct mailfs_session *s)
{
	return s->idling.command && s->idling.has_begun && !s->idling.is_leaving;
}

void idle_leave(struct mailfs_session *s)
{
	if (!idle_is_silent(s))
		return;
	stop_timer(&s->idling);
	s->idling.is_leaving = true;
	log_write(LOG_WIRE, "imap", "C: DONE");
	stream_write(s->stream, "DONE\r\n", 6);
}

void idle_pump(struct mailfs_session *s)
{
	if (idle_is_silent(s) && (queue_has_waiting(&s->queue) || !s->idling.command->request))
		idle_leave(s);
}

/* ---- clocks ----------------------------------------------------------------------------------- */

static gboolean on_renew(gpointer user)
{
	struct mailfs_session *s = user;

	idle_leave(s);
	session_kick(s); /* an answer is due now */
	return G_SOURCE_REMOVE;
}

static gboolean on_late(gpointer user)
{
	struct mailfs_session *s = user;

	s->idling.late_ms += BEGIN_LOOK_MS;
	if (s->idling.late_ms < BEGIN_WAIT_MS && !queue_has_waiting(&s->queue))
		return G_SOURCE_CONTINUE;
	/* Neither "+" nor an answer: nothing can be sent any more, on this connection. */
	session_fail(s, MAILFS_ERROR_CONNECTION_LOST, "the server did not begin to idle");
	return G_SOURCE_REMOVE;
}

bool idle_on_continuation(struct mailfs_session *s)
{
	struct idling *idling = &s->idling;
	struct watch *watch;

	if (!idling->command)
		return false;
	if (idling->has_begun)
		return true; /* some say it again and again */
	idling->has_begun = true;
	idling->begun_us = clock_monotonic_us();
	stop_timer(idling);
	watch = (struct watch *)idling->command->request;
	if (!watch)
		return true; /* the next pump leaves it */
	start_timer(s, CLAMP(watch->args.renew_s, 1, RENEW_MAX_S) * 1000, on_renew);
	if (!watch->is_begun && watch->args.begun && !watch->request.is_cancelled) {
		watch->is_begun = true;
		watch->args.begun(watch->args.user);
	}
	return true;
}

/* ---- the command ------------------------------------------------------------------------------ */

static void send_idle(struct watch *watch);

static void idle_refused(struct watch *watch, const GError *error)
{
	struct mailfs_session *s = watch->request.session;

	if (error->code == MAILFS_ERROR_TRY_LATER) {
		request_finish(&watch->request, error);
		return;
	}
	s->no_idle = true;
	request_fail(&watch->request, MAILFS_ERROR_NOT_POSSIBLE, "%s", error->message);
}

static void idle_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct mailfs_session *s = command->user;
	struct watch *watch = (struct watch *)command->request;
	struct idling was = s->idling;

	if (was.command == command)
		idle_forget(s);
	if (!watch)
		return;
	if (!response) {
		request_finish(&watch->request, error); /* the folder could not be opened again */
		return;
	}
	if (error) {
		idle_refused(watch, error);
		return;
	}
	/* By itself, at once: it understood something else. */
	if (!was.has_begun ||
		(!was.is_leaving && clock_monotonic_us() - was.begun_us < SHORT_LIFE_US)) {
		s->no_idle = true;
		request_fail(&watch->request, MAILFS_ERROR_NOT_POSSIBLE, "the server does not idle");
		return;
	}
	if (queue_has_waiting(&s->queue))
		request_finish(&watch->request, NULL);
	else
		send_idle(watch);
}

static void idle_sent(struct command *command)
{
	struct mailfs_session *s = command->user;

	s->idling = (struct idling){ .command = command };
	start_timer(s, BEGIN_LOOK_MS, on_late);
}

static void send_idle(struct watch *watch)
{
	static const struct command_hooks hooks = { .sent = idle_sent, .done = idle_done };
	struct command *command =
		command_new(imap_cmd_new("IDLE"), &hooks, &watch->request, "IDLE");

	command->user = watch->request.session;
	command->box = g_strdup(watch->folder);
	command->is_idle = true;
	command->is_background = true;
	queue_add(&watch->request.session->queue, command);
}

/* ---- the request ------------------------------------------------------------------------------ */

static void watch_opened(struct request *request, const GError *error)
{
	if (error) {
		request_finish(request, error);
		return;
	}
	select_tell_status(request->session);
	send_idle((struct watch *)request);
}

static void watch_begin(struct request *request)
{
	struct watch *watch = (struct watch *)request;
	struct mailfs_session *s = request->session;
	struct command *command;

	if (!s->caps.idle || s->no_idle) {
		request_fail(request, MAILFS_ERROR_NOT_POSSIBLE, "no IDLE here");
		return;
	}
	if (box_is(&s->box, watch->folder)) {
		send_idle(watch);
		return;
	}
	command = select_new(s, watch->folder, request, watch_opened);
	if (command)
		queue_add(&s->queue, command);
	else
		request_fail(request, MAILFS_ERROR_INVALID, "no server takes this folder name");
}

static void watch_done(struct request *request, const GError *error)
{
	struct watch *watch = (struct watch *)request;

	watch->args.done(watch->args.user, error);
}

static void watch_free(struct request *request)
{
	g_free(((struct watch *)request)->folder);
	g_free(request);
}

mailfs_ticket idle_start(struct mailfs_session *s, const struct mailfs_watch_request *args)
{
	struct watch *watch;

	if (!args->folder)
		return notify_start(s, args);
	watch = g_new0(struct watch, 1);
	watch->request = (struct request){
		.start = watch_begin, .done = watch_done, .free = watch_free,
	};
	watch->args = *args;
	watch->folder = g_strdup(args->folder);
	return request_add(s, &watch->request);
}
