/* SPDX-License-Identifier: MIT */
/*
 * Requests for a mailbox that left memory (engine/unload.c), or whose first listing is on its way:
 * the kernel knows its inodes. They are kept as they came, and processed as if they came now when
 * the mailbox is (back) in memory, so that no operation need know of it. Loop thread.
 */
#include <stddef.h>
#include <string.h>

#include <linux/fuse.h>

#include "fs/internal.h"

#define WAITING_MAX 4096u
#define ROUNDS_MAX  8u /* of loading what a request needs: one folder may push the other out */

struct waiting {
	struct fs *fs;
	struct fuse_buf buf; /* owns its memory */
	engine_ticket ticket;
	guint timer;
	unsigned rounds;
	uint32_t coming_to; /* of the folder, when it was last looked at */
};

/* What is done with a directory and answered from its messages. Opening it, and looking a name up,
 * wait by themselves. */
static bool asks_for_messages(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_GETXATTR:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_CREATE:
	case FUSE_UNLINK:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_LINK:
		return true;
	default:
		return false;
	}
}

static bool is_late(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT ||
		opcode == FUSE_RELEASE || opcode == FUSE_FLUSH || opcode == FUSE_DESTROY;
}

static struct folder *unloaded(struct fs *fs, uint64_t ino)
{
	struct folder *folder = fs_folder(fs, ino);

	if (!folder || folder->coming)
		return folder;
	return tree_by_unloaded(engine_tree(fs->engine), folder->box_id) == folder ? folder : NULL;
}

/* Where rename(2) brings it; what bears the name there is in the way. 0 = no rename. */
static uint64_t second_directory(struct fs *fs, const struct fuse_buf *buf, uint32_t opcode)
{
	const char *bytes = buf->mem;
	uint64_t ino;

	G_STATIC_ASSERT(offsetof(struct fuse_rename_in, newdir) == 0);
	G_STATIC_ASSERT(offsetof(struct fuse_rename2_in, newdir) == 0);
	if ((opcode != FUSE_RENAME && opcode != FUSE_RENAME2) ||
		buf->size < sizeof(struct fuse_in_header) + sizeof(ino))
		return 0;
	memcpy(&ino, bytes + sizeof(struct fuse_in_header), sizeof(ino));
	/* Nothing gets from one account to another. */
	return mount_fs(fs->mount, ino) == fs ? ino : 0;
}

/* The folder whose mailbox the request needs and that left memory; NULL: it can be processed. */
static struct folder *lacking(struct fs *fs, const struct fuse_buf *buf)
{
	struct fuse_in_header head;
	struct folder *folder;
	struct ino what;

	memcpy(&head, buf->mem, sizeof(head));
	what = ino_split(head.nodeid);
	if (is_late(head.opcode))
		return NULL;
	if (what.kind == INO_KIND_MESSAGE)
		return tree_by_unloaded(engine_tree(fs->engine), what.id);
	if (!asks_for_messages(head.opcode))
		return NULL;
	folder = unloaded(fs, head.nodeid);
	/* What is coming can be listed as it comes. */
	if (folder && folder->coming &&
		(head.opcode == FUSE_READDIR || head.opcode == FUSE_READDIRPLUS))
		return NULL;
	return folder ? folder : unloaded(fs, second_directory(fs, buf, head.opcode));
}

static void waiting_end(struct waiting *waiting)
{
	struct fs *fs = waiting->fs;

	g_hash_table_remove(fs->waiting, waiting);
	g_clear_handle_id(&waiting->timer, g_source_remove);
	if (waiting->ticket != 0)
		engine_cancel(fs->engine, waiting->ticket);
	requests_process(fs->mount, &waiting->buf);
	g_free(waiting->buf.mem);
	g_free(waiting);
}

static void on_loaded(void *user, const GError *error);

static void load(struct waiting *waiting, struct folder *folder)
{
	/* 0: it was answered from inside, and is perhaps gone. */
	engine_ticket ticket = engine_open_folder(waiting->fs->engine, folder, on_loaded, waiting);

	if (ticket != 0)
		waiting->ticket = ticket;
}

/* Also when it failed: what is not there answers ESTALE. */
static void on_loaded(void *user, const GError *error)
{
	struct waiting *waiting = user;
	struct folder *folder = error ? NULL : lacking(waiting->fs, &waiting->buf);

	waiting->ticket = 0;
	if (folder && waiting->rounds++ < ROUNDS_MAX)
		load(waiting, folder);
	else
		waiting_end(waiting);
}

static gboolean on_deadline(gpointer user)
{
	struct waiting *waiting = user;
	const struct folder *folder = lacking(waiting->fs, &waiting->buf);

	/* While a first listing makes headway, so does this. */
	if (folder && folder->coming && folder->coming_to > waiting->coming_to) {
		waiting->coming_to = folder->coming_to;
		return G_SOURCE_CONTINUE;
	}
	waiting->timer = 0;
	waiting_end(waiting);
	return G_SOURCE_REMOVE;
}

bool wait_for_box(struct fs *fs, const struct fuse_buf *buf)
{
	struct waiting *waiting;
	struct folder *folder;

	if (!fs->engine || tree_unloaded(engine_tree(fs->engine)) == 0 || fs->mount->is_ended ||
		(buf->flags & FUSE_BUF_IS_FD) != 0 || buf->size < sizeof(struct fuse_in_header) ||
		g_hash_table_size(fs->waiting) >= WAITING_MAX)
		return false;
	folder = lacking(fs, buf);
	if (!folder)
		return false;
	waiting = g_new0(struct waiting, 1);
	waiting->fs = fs;
	waiting->coming_to = folder->coming_to;
	waiting->buf = *buf;
	waiting->buf.mem = g_memdup2(buf->mem, buf->size);
	waiting->timer = g_timeout_add(fs->config.timeout_ms, on_deadline, waiting);
	g_hash_table_add(fs->waiting, waiting);
	load(waiting, folder);
	return true;
}

void wait_end_all(struct fs *fs)
{
	g_autoptr(GList) all = g_hash_table_get_keys(fs->waiting);

	for (GList *at = all; at; at = at->next)
		waiting_end(at->data);
}

bool fs_is_in_use(struct fs *fs, const struct folder *folder)
{
	GHashTableIter iter;
	gpointer ino;

	if (!fs->session)
		return false;
	/* Without opens nobody knows what is open, and rounds.c must find all that the kernel has seen. */
	if (fs->is_openless)
		return true;
	g_hash_table_iter_init(&iter, fs->files);
	while (g_hash_table_iter_next(&iter, &ino, NULL)) {
		struct ino what = ino_split(*(uint64_t *)ino);

		if (what.kind == INO_KIND_MESSAGE && folder->box && what.id == folder->box->id)
			return true;
	}
	return directory_is_open(fs, fs_folder_ino(fs, folder));
}
