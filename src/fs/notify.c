/* SPDX-License-Identifier: MIT */
/*
 * The notifier thread: one queue, in order.
 */
#include "fs/notify.h"

#include <string.h>

#include <fuse_lowlevel.h>
#include <glib.h>

#include "base/post.h"

#define PAGES_MAX (8 * 1024 * 1024) /* bytes that wait to be told */

struct notifier {
	struct post_thread *thread;
	struct fuse_session *session;
	/* atomic */
	gint is_stopped;
	gint is_over; /* the thread has seen the end of the feed */
	gint unsaid;  /* notes that were fed and not told yet */
	gint pages;   /* bytes of them */
};

enum note_what { NOTE_ATTRIBUTES, NOTE_EVERYTHING, NOTE_ENTRY, NOTE_PAGES, NOTE_CALL, NOTE_END };

struct note {
	struct notifier *notifier;
	enum note_what what;
	uint64_t ino;
	char *name;
	GArray *pages;
	void (*fn)(void *data);
	void *data;
};

struct notifier *notifier_new(struct fuse_session *session)
{
	struct notifier *notifier = g_new0(struct notifier, 1);

	notifier->session = session;
	notifier->thread = post_thread_new("notifier");
	return notifier;
}

static void store_page(struct notifier *notifier, const struct notifier_page *page)
{
	gsize len;
	const void *bytes = g_bytes_get_data(page->bytes, &len);
	struct fuse_bufvec vector = FUSE_BUFVEC_INIT(len);

	vector.buf[0].mem = (void *)bytes;
	fuse_lowlevel_notify_store(notifier->session, page->ino, 0, &vector, 0);
}

static void store_pages(struct notifier *notifier, const GArray *pages)
{
	for (guint i = 0; i < pages->len; i++) {
		const struct notifier_page *page = &g_array_index(pages, struct notifier_page, i);

		if (!g_atomic_int_get(&notifier->is_stopped))
			store_page(notifier, page);
		g_atomic_int_add(&notifier->pages, -(gint)g_bytes_get_size(page->bytes));
	}
}

/* Errors are no news: the kernel does not know the inode, or the mount is ending. */
static void on_thread(void *data)
{
	struct note *note = data;
	struct notifier *notifier = note->notifier;

	if (note->what == NOTE_END)
		g_atomic_int_set(&notifier->is_over, 1);
	else if (note->what == NOTE_CALL)
		post_to_loop(note->fn, note->data);
	else if (note->what == NOTE_PAGES)
		store_pages(notifier, note->pages);
	else if (g_atomic_int_get(&notifier->is_stopped))
		; /* the mount is ending */
	else if (note->what == NOTE_ENTRY)
		fuse_lowlevel_notify_inval_entry(notifier->session, note->ino, note->name,
			strlen(note->name));
	else
		fuse_lowlevel_notify_inval_inode(notifier->session, note->ino,
			note->what == NOTE_ATTRIBUTES ? -1 : 0, 0);
	g_atomic_int_add(&notifier->unsaid, -1);
	g_free(note->name);
	g_clear_pointer(&note->pages, g_array_unref);
	g_free(note);
}

static void feed(struct notifier *notifier, const struct note *values)
{
	struct note *note = g_memdup2(values, sizeof(*values));

	note->notifier = notifier;
	g_atomic_int_inc(&notifier->unsaid);
	post_to_thread(notifier->thread, on_thread, note);
}

void notifier_attributes(struct notifier *notifier, uint64_t ino)
{
	feed(notifier, &(struct note){ .what = NOTE_ATTRIBUTES, .ino = ino });
}

void notifier_everything(struct notifier *notifier, uint64_t ino)
{
	feed(notifier, &(struct note){ .what = NOTE_EVERYTHING, .ino = ino });
}

void notifier_entry(struct notifier *notifier, uint64_t parent, const char *name)
{
	feed(notifier, &(struct note){ .what = NOTE_ENTRY, .ino = parent, .name = g_strdup(name) });
}

void notifier_pages(struct notifier *notifier, GArray *pages)
{
	size_t bytes = 0;
	guint kept = 0;

	while (kept < pages->len) {
		size_t len = g_bytes_get_size(g_array_index(pages, struct notifier_page, kept).bytes);

		if (g_atomic_int_get(&notifier->pages) + bytes + len > PAGES_MAX)
			break;
		bytes += len;
		kept++;
	}
	g_array_set_size(pages, kept);
	g_atomic_int_add(&notifier->pages, (gint)bytes);
	feed(notifier, &(struct note){ .what = NOTE_PAGES, .pages = pages });
}

void notifier_then(struct notifier *notifier, void (*fn)(void *data), void *data)
{
	feed(notifier, &(struct note){ .what = NOTE_CALL, .fn = fn, .data = data });
}

void notifier_stop_feed(struct notifier *notifier)
{
	g_atomic_int_set(&notifier->is_stopped, 1);
	feed(notifier, &(struct note){ .what = NOTE_END });
}

bool notifier_is_over(const struct notifier *notifier)
{
	return g_atomic_int_get(&notifier->is_over) != 0;
}

bool notifier_is_behind(const struct notifier *notifier)
{
	return g_atomic_int_get(&notifier->unsaid) > 0;
}

void notifier_join(struct notifier *notifier)
{
	post_thread_join(notifier->thread);
	g_free(notifier);
}
