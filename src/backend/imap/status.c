/* SPDX-License-Identifier: MIT */
/*
 * Asking whether something has happened: NOOP, the sign of life, and STATUS of folders, which never
 * names the one that is open (ID-7). Loop thread. RFC 9051 §6.1.2, §6.3.11.
 */
#include <string.h>

#include "backend/imap/request.h"
#include "backend/imap/session.h"

/* ---- poll ------------------------------------------------------------------------------------ */

struct poll {
	struct request request;
	mailfs_done_fn done;
	void *user;
	unsigned patience_ms;
	uint64_t heard; /* bytes, when it was looked last */
	GSource *timer;
};

static void noop_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	request_finish(command->request, error);
}

/* Somebody who trickles is alive. */
static gboolean on_patience(gpointer user)
{
	struct poll *poll = user;
	struct mailfs_session *s = poll->request.session;
	uint64_t heard = s->stream ? stream_bytes_in(s->stream) : poll->heard;

	if (heard != poll->heard) {
		poll->heard = heard;
		return G_SOURCE_CONTINUE;
	}
	session_fail(s, MAILFS_ERROR_CONNECTION_LOST, "the server gives no sign of life");
	return G_SOURCE_REMOVE;
}

static void poll_begin(struct request *request)
{
	static const struct command_hooks hooks = { .done = noop_done };
	struct poll *poll = (struct poll *)request;
	struct command *command = command_new(imap_cmd_new("NOOP"), &hooks, request, "NOOP");

	/* NOOP does not disturb fetches by UID. */
	command->is_pipelined = true;
	queue_add(&request->session->queue, command);
	if (poll->patience_ms == 0)
		return;
	poll->heard = stream_bytes_in(request->session->stream);
	poll->timer = g_timeout_source_new(poll->patience_ms);
	g_source_set_callback(poll->timer, on_patience, poll, NULL);
	g_source_attach(poll->timer, g_main_context_get_thread_default());
}

static void poll_done(struct request *request, const GError *error)
{
	struct poll *poll = (struct poll *)request;

	poll->done(poll->user, error);
}

static void poll_free(struct request *request)
{
	struct poll *poll = (struct poll *)request;

	if (poll->timer) {
		g_source_destroy(poll->timer);
		g_source_unref(poll->timer);
	}
	g_free(poll);
}

mailfs_ticket poll_start(struct mailfs_session *s, unsigned patience_ms, mailfs_done_fn done,
	void *user)
{
	struct poll *poll = g_new0(struct poll, 1);

	poll->request = (struct request){ .start = poll_begin, .done = poll_done, .free = poll_free };
	poll->done = done;
	poll->user = user;
	poll->patience_ms = patience_ms;
	return request_add(s, &poll->request);
}

/* ---- status ---------------------------------------------------------------------------------- */

struct status {
	struct request request;
	struct mailfs_status_request args;
	char **folders;
	unsigned open;
	GError *error; /* the first one that says more than that a folder is not there */
};

static bool on_untagged(struct command *command, const struct imap_response *response)
{
	struct status *status = (struct status *)command->request;

	return status && watch_tell_status(response, status->args.status, status->args.user);
}

static void on_answer(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct status *status = (struct status *)command->request;

	if (error && !status->error &&
		(error->code == MAILFS_ERROR_TRY_LATER || error->code == MAILFS_ERROR_LIMIT))
		status->error = g_error_copy(error);
	if (--status->open == 0)
		request_finish(&status->request, status->error);
}

static void ask(struct status *status, const char *folder)
{
	static const struct command_hooks hooks = { .untagged = on_untagged, .done = on_answer };
	struct mailfs_session *s = status->request.session;
	bool is_open = s->box.state != BOX_NONE && strcmp(s->box.name, folder) == 0;
	struct imap_cmd *cmd = imap_cmd_new(is_open ? "NOOP" : "STATUS");
	struct command *command;

	if (!is_open && !imap_cmd_mailbox(cmd, folder)) {
		imap_cmd_free(cmd);
		return;
	}
	if (!is_open)
		imap_cmd_raw(cmd, s->caps.condstore || s->caps.qresync
			? "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ)"
			: "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)");
	command = command_new(cmd, &hooks, &status->request, "STATUS");
	command->is_pipelined = true;
	command->is_background = true;
	status->open++;
	queue_add(&s->queue, command);
}

static void status_begin(struct request *request)
{
	struct status *status = (struct status *)request;

	for (char **folder = status->folders; *folder; folder++)
		ask(status, *folder);
	if (status->open == 0)
		request_finish(request, NULL);
}

static void status_done(struct request *request, const GError *error)
{
	struct status *status = (struct status *)request;

	status->args.done(status->args.user, error);
}

static void status_free(struct request *request)
{
	struct status *status = (struct status *)request;

	g_clear_error(&status->error);
	g_strfreev(status->folders);
	g_free(status);
}

mailfs_ticket status_start(struct mailfs_session *s, const struct mailfs_status_request *args)
{
	struct status *status = g_new0(struct status, 1);

	status->request = (struct request){
		.start = status_begin, .done = status_done, .free = status_free,
	};
	status->args = *args;
	status->folders = g_strdupv((char **)args->folders);
	return request_add(s, &status->request);
}
