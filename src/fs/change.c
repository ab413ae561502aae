/* SPDX-License-Identifier: MIT */
/* Requests that are answered when the engine has done what they ask. Loop thread. */
#include "fs/change.h"

#include "fs/internal.h"

static void change_release(struct op *op)
{
	g_free(((struct change *)op)->name);
	g_free(((struct change *)op)->former);
	g_free(((struct change *)op)->others);
}

struct change *change_new(struct fs *fs, fuse_req_t req, change_reply_fn reply)
{
	struct change *change = (struct change *)op_new(fs, req, sizeof(*change), change_release);

	if (change)
		change->reply = reply;
	return change;
}

void change_wait(struct change *change, engine_ticket ticket)
{
	if (ticket != 0)
		change->op.ticket = ticket;
}

static void reply_done(fuse_req_t req, void *data)
{
	struct change *change = data;

	if (change->reply)
		change->reply(change, req);
	else
		fuse_reply_err(req, 0);
}

void change_done(void *user, const GError *error)
{
	struct change *change = user;

	change->op.ticket = 0;
	if (error && change->undo)
		change->undo(change);
	if (error)
		op_finish_error(&change->op, error);
	else if (change->next)
		change->next(change);
	else
		op_finish(&change->op, reply_done, change);
}

void change_done_ref(void *user, const GError *error)
{
	struct op *op = op_ref_take(user);

	if (op)
		change_done(op, error);
}
