/* SPDX-License-Identifier: MIT */
/*
 * NOTIFY: the server tells what happens in all folders of the user, without IDLE and beside all other
 * commands: STATUS of folders that changed, LIST of folders that came or went; of the open folder as
 * ever. All of it is a hint to look (ID-7). Loop thread. RFC 5465.
 */
#include <string.h>

#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "base/log.h"

#define RENEW_MAX_S 540u /* CN-1 */

struct notify {
	struct request request;
	struct mailfs_watch_request args;
	GSource *timer;
};

/* ---- what comes ------------------------------------------------------------------------------- */

struct mailfs_status watch_status(const struct imap_status_resp *from)
{
	static const struct {
		unsigned item, has;
	} same[] = {
		{ IMAP_STATUS_MESSAGES, MAILFS_STATUS_MESSAGES },
		{ IMAP_STATUS_UNSEEN, MAILFS_STATUS_UNSEEN },
		{ IMAP_STATUS_UIDNEXT, MAILFS_STATUS_UIDNEXT },
		{ IMAP_STATUS_UIDVALIDITY, MAILFS_STATUS_UIDVALIDITY },
		{ IMAP_STATUS_HIGHESTMODSEQ, MAILFS_STATUS_MODSEQ },
	};
	struct mailfs_status status = {
		.messages = from->messages,
		.unseen = from->unseen,
		.uidnext = from->uidnext,
		.uidvalidity = from->uidvalidity,
		.modseq = from->highestmodseq,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(same); i++)
		if ((from->has & same[i].item) != 0)
			status.has |= same[i].has;
	return status;
}

bool watch_tell_status(const struct imap_response *response, watch_status_fn tell, void *user)
{
	struct imap_status_resp from;
	struct mailfs_status status;

	if (strcmp(response->name, "STATUS") != 0)
		return false;
	if (!imap_status_parse(response, &from))
		return true;
	status = watch_status(&from);
	status.folder = g_ascii_strcasecmp(from.name, "INBOX") == 0 ? "INBOX" : from.name;
	if (tell)
		tell(user, &status);
	return true;
}

void notify_on_untagged(struct mailfs_session *s, const struct imap_response *response)
{
	struct imap_list list;

	if (!s->notify)
		return;
	if (response->code && strcmp(response->code, "NOTIFICATIONOVERFLOW") == 0)
		request_fail(s->notify, MAILFS_ERROR_TRY_LATER, "more happened than the server can tell");
	else if (watch_tell_status(response, s->life.events.folder_status, s->life.user))
		return;
	else if (imap_list_parse(response, &list) && s->life.events.tree_changed)
		s->life.events.tree_changed(s->life.user);
}

/* ---- the sign of life ------------------------------------------------------------------------- */

static void ignore_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
}

/* Nothing else may have been said for long: routers and servers forget who is silent (CN-1). */
static gboolean on_renew(gpointer user)
{
	static const struct command_hooks hooks = { .done = ignore_done };
	struct notify *notify = user;
	struct mailfs_session *s = notify->request.session;
	struct command *command;

	if (!queue_is_quiet(&s->queue) || queue_has_waiting(&s->queue))
		return G_SOURCE_CONTINUE;
	command = command_new(imap_cmd_new("NOOP"), &hooks, NULL, "NOOP");
	command->is_pipelined = true;
	queue_add(&s->queue, command);
	return G_SOURCE_CONTINUE;
}

static void start_timer(struct notify *notify)
{
	notify->timer = g_timeout_source_new(CLAMP(notify->args.renew_s, 1, RENEW_MAX_S) * 1000);
	g_source_set_callback(notify->timer, on_renew, notify, NULL);
	g_source_attach(notify->timer, g_main_context_get_thread_default());
}

/* ---- the request ------------------------------------------------------------------------------ */

/* The lines that the command itself asks for (STATUS of all folders) are like those that follow. */
static bool on_untagged(struct command *command, const struct imap_response *response)
{
	struct mailfs_session *s = command->user;

	return command->request && watch_tell_status(response, s->life.events.folder_status, s->life.user);
}

static void on_answer(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct notify *notify = (struct notify *)command->request;
	struct mailfs_session *s = command->user;

	if (!error) {
		s->notify = &notify->request;
		start_timer(notify);
		if (!notify->request.is_cancelled)
			notify->args.begun(notify->args.user);
		return;
	}
	if (error->code == MAILFS_ERROR_TRY_LATER) {
		request_finish(&notify->request, error);
		return;
	}
	s->no_notify = true;
	request_fail(&notify->request, MAILFS_ERROR_NOT_POSSIBLE, "%s", error->message);
}

static void notify_begin(struct request *request)
{
	static const struct command_hooks hooks = { .untagged = on_untagged, .done = on_answer };
	struct mailfs_session *s = request->session;
	struct imap_cmd *cmd;
	struct command *command;

	if (!s->caps.notify || s->no_notify || s->notify) {
		request_fail(request, MAILFS_ERROR_NOT_POSSIBLE, "no NOTIFY here");
		return;
	}
	/* Removals of the open folder come at once: everything is asked for by UID anyway. */
	cmd = imap_cmd_new("NOTIFY SET STATUS");
	imap_cmd_raw(cmd, "(SELECTED (MessageNew MessageExpunge FlagChange)) "
			  "(PERSONAL (MessageNew MessageExpunge FlagChange MailboxName "
			  "SubscriptionChange))");
	command = command_new(cmd, &hooks, request, "NOTIFY");
	command->user = s;
	queue_add(&s->queue, command);
}

static void notify_done(struct request *request, const GError *error)
{
	struct notify *notify = (struct notify *)request;

	if (request->session->notify == request)
		request->session->notify = NULL;
	notify->args.done(notify->args.user, error);
}

static void notify_free(struct request *request)
{
	struct notify *notify = (struct notify *)request;

	if (request->session->notify == request)
		request->session->notify = NULL;
	if (notify->timer) {
		g_source_destroy(notify->timer);
		g_source_unref(notify->timer);
	}
	g_free(notify);
}

mailfs_ticket notify_start(struct mailfs_session *s, const struct mailfs_watch_request *args)
{
	struct notify *notify = g_new0(struct notify, 1);

	notify->request = (struct request){
		.start = notify_begin, .done = notify_done, .free = notify_free,
	};
	notify->args = *args;
	return request_add(s, &notify->request);
}
