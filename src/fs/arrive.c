/* SPDX-License-Identifier: MIT */
/*
 * Moves of a burst are answered before they are done (engine_move). Until then a lookup finds the
 * message under its new name, as it was where it was; whatever else is done to that name, or to that
 * message, waits until it is there. Loop thread.
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

/* A folder of the request whose mailbox left memory meanwhile. */
static struct folder *lacking(const struct waiting *waiting)
{
	struct fs *fs = waiting->op.fs;
	struct folder *folders[] = {
		fs_folder(fs, waiting->again.parent), fs_folder(fs, waiting->again.newparent),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
		if (folders[i] && folders[i]->name &&
			tree_by_unloaded(engine_tree(fs->engine), folders[i]->box_id) == folders[i])
			return folders[i];
	}
	return NULL;
}

static void on_arrived(void *user, const GError *error)
{
	struct waiting *waiting = user;
	struct folder *folder = error ? NULL : lacking(waiting);
	engine_ticket ticket;

	waiting->op.ticket = 0;
	if (error) {
		op_finish_error(&waiting->op, error);
	} else if (folder) {
		ticket = engine_open_folder(waiting->op.fs->engine, folder, on_arrived, waiting);
		if (ticket != 0)
			waiting->op.ticket = ticket;
	} else {
		op_finish(&waiting->op, begin, &waiting->again);
	}
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

/* ---- by inode ---------------------------------------------------------------------------------- */

static void on_left(void *user, const GError *error)
{
	struct op *op = user;

	op->ticket = 0;
	if (error)
		op_finish_error(op, error);
	else
		op_finish_errno(op, ESTALE);
}

bool fs_look_again(fuse_req_t req, uint64_t ino)
{
	struct fs *fs = fs_of(req);
	struct ino what = ino_split(ino);
	struct folder *folder;
	engine_ticket ticket;
	struct op *op;

	if (!fs_message(fs, ino, &folder) || !engine_is_hidden(fs->engine, what.id, what.uid))
		return false;
	op = op_new(fs, req, sizeof(*op), NULL);
	if (!op)
		return true;
	ticket = engine_await_departures(fs->engine, folder, on_left, op);
	if (ticket != 0)
		op->ticket = ticket;
	return true;
}
