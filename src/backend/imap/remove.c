/* SPDX-License-Identifier: MIT */
/* Messages removed for ever. Loop thread. WR-6. */
#include "backend/imap/expunge.h"
#include "backend/imap/request.h"
#include "backend/imap/session.h"

struct removal {
	struct request request;
	struct mailfs_remove_request args;
	struct expunge expunge;
};

static void on_gone(struct request *request, uint32_t uid)
{
	struct removal *removal = (struct removal *)request;

	removal->args.removed(removal->args.user, uid);
}

static void removal_begin(struct request *request)
{
	struct removal *removal = (struct removal *)request;

	if (targets_are_refused(&removal->expunge.targets))
		return;
	if (removal->expunge.targets.count == 0)
		request_finish(request, NULL);
	else
		expunge_start(&removal->expunge);
}

static void removal_done(struct request *request, const GError *error)
{
	struct removal *removal = (struct removal *)request;

	removal->args.done(removal->args.user, error);
}

static void removal_free(struct request *request)
{
	struct removal *removal = (struct removal *)request;

	expunge_done(&removal->expunge);
	g_free(removal);
}

mailfs_ticket remove_start(struct mailfs_session *s, const struct mailfs_remove_request *args)
{
	struct removal *removal = g_new0(struct removal, 1);

	removal->request = (struct request){
		.start = removal_begin, .done = removal_done, .free = removal_free,
	};
	removal->args = *args;
	removal->expunge = (struct expunge){ .gone = on_gone, .then = request_finish };
	expunge_init(&removal->expunge);
	targets_init(&removal->expunge.targets, &removal->request, args->folder, args->uidvalidity,
		args->uids, args->uid_count);
	return request_add(s, &removal->request);
}
