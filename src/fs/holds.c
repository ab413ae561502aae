/* SPDX-License-Identifier: MIT */
/*
 * Names that the kernel is to forget. For that it needs the lock of their directory, which whoever
 * looks up, lists, makes or removes a name in there holds until we answer. So while such a request
 * waits with us, the names of its directory wait too: the notifier never waits for ourselves, and
 * if we are killed it keeps nobody from ending (see notify.c). Loop thread.
 */
#include <string.h>

#include <linux/fuse.h>

#include "fs/internal.h"
#include "fs/op.h"

struct hold {
	uint64_t ino; /* of the directory; key */
	unsigned ops;
	GPtrArray *names; /* to be told */
};

static void hold_free(gpointer data)
{
	struct hold *hold = data;

	g_ptr_array_unref(hold->names);
	g_free(hold);
}

void holds_init(struct mount *mount)
{
	mount->holds = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, hold_free);
}

void holds_done(struct mount *mount)
{
	g_hash_table_unref(mount->holds);
}

static void add(struct mount *mount, uint64_t ino)
{
	struct hold *hold = g_hash_table_lookup(mount->holds, &ino);

	if (!hold) {
		hold = g_new0(struct hold, 1);
		hold->ino = ino;
		hold->names = g_ptr_array_new_with_free_func(g_free);
		g_hash_table_insert(mount->holds, &hold->ino, hold);
	}
	hold->ops++;
}

static void drop(struct mount *mount, uint64_t ino)
{
	struct hold *hold = g_hash_table_lookup(mount->holds, &ino);

	if (--hold->ops > 0)
		return;
	for (guint i = 0; mount->session && i < hold->names->len; i++)
		notifier_entry(mount->notifier, ino, g_ptr_array_index(hold->names, i));
	g_hash_table_remove(mount->holds, &ino);
}

/* The directories that the kernel has locked for this request. */
static void find(const struct fuse_buf *buf, uint64_t *ret_dirs)
{
	struct fuse_in_header head;

	if ((buf->flags & FUSE_BUF_IS_FD) != 0 || buf->size < sizeof(head))
		return;
	memcpy(&head, buf->mem, sizeof(head));
	switch (head.opcode) {
	case FUSE_RENAME:
	case FUSE_RENAME2: /* both begin with the other directory */
		if (buf->size >= sizeof(head) + sizeof(uint64_t))
			memcpy(&ret_dirs[1], (const char *)buf->mem + sizeof(head),
				sizeof(uint64_t));
		/* fall through */
	case FUSE_LOOKUP:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_CREATE:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		ret_dirs[0] = head.nodeid;
		break;
	default:
		break;
	}
}

void holds_begin(struct mount *mount, uint64_t *ret_dirs)
{
	if (mount->current)
		find(mount->current, ret_dirs);
	else if (mount->ending) /* one that begins anew */
		memcpy(ret_dirs, mount->ending->dirs, sizeof(mount->ending->dirs));
	if (ret_dirs[1] == ret_dirs[0])
		ret_dirs[1] = 0;
	for (unsigned i = 0; i < OP_DIRS; i++) {
		if (ret_dirs[i] != 0)
			add(mount, ret_dirs[i]);
	}
}

void holds_end(struct mount *mount, const uint64_t *dirs)
{
	for (unsigned i = 0; i < OP_DIRS; i++) {
		if (dirs[i] != 0)
			drop(mount, dirs[i]);
	}
}

void fs_tell_entry(struct fs *fs, uint64_t parent, const char *name)
{
	const struct hold *hold = g_hash_table_lookup(fs->mount->holds, &parent);

	if (hold)
		g_ptr_array_add(hold->names, g_strdup(name));
	else
		notifier_entry(fs->notifier, parent, name);
}
