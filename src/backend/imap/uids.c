/* SPDX-License-Identifier: MIT */
/* The plain UID list. Loop thread. */
#include "backend/imap/request.h"
#include "backend/imap/search.h"
#include "backend/imap/session.h"

#define BATCH 256

/* ---- uids ------------------------------------------------------------------------------------ */

struct uids {
	struct request request;
	struct mailfs_uids_request args;
	char *folder;
	struct search search;
	uint32_t batch[BATCH];
	size_t count;
};

static void report(struct uids *uids)
{
	if (uids->count > 0)
		uids->args.uids(uids->args.user, uids->batch, uids->count);
	uids->count = 0;
}

static void report_range(void *user, uint32_t first, uint32_t last)
{
	struct uids *uids = user;

	/* The search made sure that there are not many more than messages in the folder. */
	for (uint64_t uid = first; uid <= last; uid++) {
		uids->batch[uids->count++] = (uint32_t)uid;
		if (uids->count == BATCH)
			report(uids);
	}
}

static void uids_found(struct request *request, const GError *error)
{
	struct uids *uids = (struct uids *)request;

	if (!error) {
		uidlist_each(&uids->search.found, report_range, uids);
		report(uids);
	}
	request_finish(request, error);
}

static void uids_opened(struct request *request, const GError *error)
{
	struct uids *uids = (struct uids *)request;

	if (error || uids->args.first > uids->args.last)
		request_finish(request, error);
	else
		search_start(&uids->search);
}

static void uids_begin(struct request *request)
{
	struct uids *uids = (struct uids *)request;
	struct command *command;

	if (box_is(&request->session->box, uids->folder)) {
		uids_opened(request, NULL);
		return;
	}
	command = select_new(request->session, uids->folder, request, uids_opened);
	if (command)
		command->may_skip = true;
	if (command)
		queue_add(&request->session->queue, command);
	else
		request_fail(request, MAILFS_ERROR_INVALID, "no server takes this folder name");
}

static void uids_done(struct request *request, const GError *error)
{
	struct uids *uids = (struct uids *)request;

	uids->args.done(uids->args.user, error);
}

static void uids_free(struct request *request)
{
	struct uids *uids = (struct uids *)request;

	search_done(&uids->search);
	g_free(uids->folder);
	g_free(uids);
}

mailfs_ticket uids_start(struct mailfs_session *s, const struct mailfs_uids_request *args)
{
	struct uids *uids = g_new0(struct uids, 1);

	uids->request = (struct request){ .start = uids_begin, .done = uids_done, .free = uids_free };
	uids->args = *args;
	uids->folder = g_strdup(args->folder);
	uids->search = (struct search){
		.request = &uids->request, .box = uids->folder, .first = args->first,
		.last = args->last, .then = uids_found,
	};
	search_init(&uids->search);
	return request_add(s, &uids->request);
}
