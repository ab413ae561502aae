/* SPDX-License-Identifier: MIT */
/* Requests that are answered when the engine has done what they ask. Loop thread. */
#include "fs/change.h"

#include <errno.h>

#include "fs/errno_map.h"
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

/* With ESTALE the kernel would look the path up again, and repeat the request with whatever has that
 * name now: after another UIDVALIDITY another message would be removed or moved (ID-1). */
static void refuse(struct change *change, const GError *error)
{
	int code = errno_of(error);

	op_finish_errno(&change->op, code == ESTALE ? ENOENT : code);
}

void change_done(void *user, const GError *error)
{
	struct change *change = user;

	change->op.ticket = 0;
	if (error && change->undo)
		change->undo(change);
	if (error)
		refuse(change, error);
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
