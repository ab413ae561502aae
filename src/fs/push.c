/* SPDX-License-Identifier: MIT */
/*
 * What was fetched ahead of a walk goes to the page cache before anybody reads it: a READ that does
 * not come costs neither us nor the reader anything, and to be woken for one, twice, takes longer
 * than to copy a message. Loop thread; the notifier tells the kernel.
 *
 * How far the walker is, its opens tell. Where there are none, each eighth message is left out: its
 * READ tells it.
 *
 * Never while sizes are unproven, for what the kernel has a wrong size of must be asked for; nor
 * with -o seen=read, for who reads must be seen.
 */
#include "base/post.h"
#include "fs/internal.h"

#define LEFT_OUT 8u

static void page_clear(gpointer data)
{
	g_bytes_unref(((struct notifier_page *)data)->bytes);
}

void push_init(struct fs *fs)
{
	fs->pushes = g_array_new(FALSE, FALSE, sizeof(struct notifier_page));
	g_array_set_clear_func(fs->pushes, page_clear);
}

void push_done(struct fs *fs)
{
	g_clear_handle_id(&fs->push_source, g_source_remove);
	g_array_unref(fs->pushes);
}

/* All that came in one turn at once: waking a thread costs as much as telling of a message. */
static gboolean on_turn(gpointer user)
{
	struct fs *fs = user;
	GArray *pages = g_steal_pointer(&fs->pushes);

	fs->push_source = 0;
	push_init(fs);
	if (fs->session && !fs->mount->is_ended)
		notifier_pages(fs->notifier, pages);
	else
		g_array_unref(pages);
	return G_SOURCE_REMOVE;
}

bool fs_message_came(struct fs *fs, const struct folder *folder, uint32_t uid, unsigned nth,
	GBytes *bytes)
{
	struct notifier_page page;

	if (!fs->session || fs->mount->is_ended || fs->config.marks_seen || engine_is_unproven(fs->engine) ||
		(fs->is_openless && nth % LEFT_OUT == 0))
		return false;
	page.ino = fs_node(fs, fs_ino(fs, INO_KIND_MESSAGE, folder->box->id, uid));
	page.bytes = g_bytes_ref(bytes);
	g_array_append_val(fs->pushes, page);
	fs->mount->came_us = fs->mount->answered_us;
	if (fs->push_source == 0)
		fs->push_source = g_idle_add_full(G_PRIORITY_DEFAULT, on_turn, fs, NULL);
	return true;
}
