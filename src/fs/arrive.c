/* SPDX-License-Identifier: MIT */
/*
 * Moves of a burst are answered before they are done (engine_move). Until then a lookup finds the
 * message under its new name, as it was where it was; whatever else is done to that name waits until
 * the message is there. Loop thread.
 */
#include <errno.h>

#include "fs/internal.h"
#include "fs/op.h"

struct waiting {
	struct op op;
	struct again again;
	char *name, *newname;
};

static void waiting_release(struct op *op)
{
	g_free(((struct waiting *)op)->name);
	g_free(((struct waiting *)op)->newname);
}

static void begin(fuse_req_t req, void *data)
{
	const struct again *again = data;

	again->begin(req, again);
}

static void on_arrived(void *user, const GError *error)
{
	struct waiting *waiting = user;

	waiting->op.ticket = 0;
	if (error)
		op_finish_error(&waiting->op, error);
	else
		op_finish(&waiting->op, begin, &waiting->again);
}

bool fs_begin_again(fuse_req_t req, uint64_t parent, const char *name, const struct again *again)
{
	struct fs *fs = fs_of(req);
	struct folder *folder = fs_folder(fs, parent);
	struct waiting *waiting;
	engine_ticket ticket;
	struct stat attr;

	if (!folder || !fs_find_arriving(fs, folder, name, &attr))
		return false;
	waiting = (struct waiting *)op_new(fs, req, sizeof(*waiting), waiting_release);
	if (!waiting)
		return true;
	waiting->name = g_strdup(again->name);
	waiting->newname = g_strdup(again->newname);
	waiting->again = *again;
	waiting->again.name = waiting->name;
	waiting->again.newname = waiting->newname;
	ticket = engine_await_arrivals(fs->engine, folder, on_arrived, waiting);
	if (ticket != 0)
		waiting->op.ticket = ticket;
	return true;
}
