/* SPDX-License-Identifier: MIT */
/*
 * Mounts without opens. Loop thread.
 *
 * On a read-only mount of an account whose sizes are trusted, open is answered ENOSYS: from then on
 * the kernel opens, flushes and closes files by itself, and reads from the page cache without any
 * request. That cannot be taken back, so it must hold for an account that begins to lie:
 *
 * A reader goes by the size that the kernel has, and nobody asks us before it does. So a size that
 * the kernel may have seen is never put right. The inode goes instead: in each round, the message
 * is another inode for the kernel (programs see the same st_ino). What has the old one open gets
 * errors for all that is not in the page cache, never less data than there is; the name is taken
 * away from the kernel, and who looks it up finds the new inode with its exact size.
 *
 * Once the account is not trusted any more, attributes are told only with exact sizes (as with -o
 * exact-size), and the kernel forgets all names of messages whose size is not exact.
 */
#include "fs/internal.h"
#include "fs/watch.h"

#define RELOOK_STEP 512u

void rounds_init(struct fs *fs)
{
	fs->rounds = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

bool fs_wants_no_open(struct fs *fs)
{
	/* What is open was promised a release, and none comes any more. */
	if (!fs->is_openless && fs->mount->can_be_openless && fs->config.is_read_only &&
		!engine_is_unproven(fs->engine) && g_hash_table_size(fs->handles) == 0 &&
		!events_are_wanted(fs))
		fs->is_openless = true;
	return fs->is_openless;
}

/* ---- rounds ------------------------------------------------------------------------------------ */

static unsigned round_of(struct fs *fs, uint64_t ino)
{
	unsigned round = 0;

	while (round < INO_ROUND_MAX) {
		uint64_t next = ino_with_round(ino, round + 1);

		if (!g_hash_table_contains(fs->rounds, &next))
			break;
		round++;
	}
	return round;
}

uint64_t fs_node(struct fs *fs, uint64_t ino)
{
	if (g_hash_table_size(fs->rounds) == 0)
		return ino;
	return ino_with_round(ino, round_of(fs, ino_with_round(ino, 0)));
}

bool fs_is_current(struct fs *fs, uint64_t node)
{
	uint64_t ino = ino_with_round(node, 0);

	/* Round 0 is in the set when there were too many. */
	return g_hash_table_size(fs->rounds) == 0 ||
		(fs_node(fs, ino) == node && !g_hash_table_contains(fs->rounds, &ino));
}

/* ---- names that must be looked up again -------------------------------------------------------- */

/* A walk over all loaded messages, some at a time. */
struct relook {
	guint source;
	GArray *boxes; /* uint32_t box_id */
	uint32_t after; /* UIDs of the first box that are done */
};

static void relook_free(struct fs *fs)
{
	if (!fs->relook)
		return;
	if (fs->relook->source != 0)
		g_source_remove(fs->relook->source);
	g_array_unref(fs->relook->boxes);
	g_clear_pointer(&fs->relook, g_free);
}

/* False: the folder is done. */
static bool relook_some(struct fs *fs, const struct folder *folder, uint32_t *after)
{
	const struct mailbox *box = folder->box;
	size_t at = mailbox_lower_bound(box, *after + 1);
	size_t end = MIN(at + RELOOK_STEP, mailbox_count(box));

	for (; at < end; at++) {
		const struct message *message = mailbox_at(box, at);

		*after = message->uid;
		if ((message->bits & MESSAGE_SIZE_EXACT) == 0)
			fs_forget_name(fs, folder, box->id, message->uid);
	}
	return end < mailbox_count(box) && *after < UINT32_MAX;
}

static gboolean on_relook(gpointer user)
{
	struct fs *fs = user;
	struct relook *relook = fs->relook;
	const struct folder *folder;

	if (relook->boxes->len == 0) {
		relook->source = 0;
		relook_free(fs);
		return G_SOURCE_REMOVE;
	}
	folder = tree_by_box(engine_tree(fs->engine), g_array_index(relook->boxes, uint32_t, 0));
	if (!folder || !relook_some(fs, folder, &relook->after)) {
		g_array_remove_index_fast(relook->boxes, 0);
		relook->after = 0;
	}
	return G_SOURCE_CONTINUE;
}

static void relook_begin(struct fs *fs)
{
	GHashTableIter iter;
	gpointer folder;

	fs->is_relooked = true;
	fs->relook = g_new0(struct relook, 1);
	fs->relook->boxes = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_hash_table_iter_init(&iter, engine_tree(fs->engine)->by_box);
	while (g_hash_table_iter_next(&iter, NULL, &folder))
		g_array_append_val(fs->relook->boxes, ((struct folder *)folder)->box->id);
	fs->relook->source = g_idle_add(on_relook, fs);
}

/* ---- the engine tells -------------------------------------------------------------------------- */

void fs_message_resized(struct fs *fs, const struct folder *folder, uint32_t uid)
{
	uint64_t ino, node, next;
	unsigned round;

	if (!fs->session || !fs->is_openless || !folder->box)
		return;
	ino = fs_ino(fs, INO_KIND_MESSAGE, folder->box->id, uid);
	node = fs_node(fs, ino);
	round = round_of(fs, ino);
	next = ino_with_round(ino, round < INO_ROUND_MAX ? round + 1 : 0);
	g_hash_table_add(fs->rounds, g_memdup2(&next, sizeof(next)));
	notifier_attributes(fs->notifier, node);
	fs_forget_name(fs, folder, folder->box->id, uid);
	if (!fs->is_relooked && engine_is_unproven(fs->engine))
		relook_begin(fs);
}

void rounds_done(struct fs *fs)
{
	relook_free(fs);
	g_hash_table_unref(fs->rounds);
}
