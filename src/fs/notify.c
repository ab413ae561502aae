/* SPDX-License-Identifier: MIT */
/*
 * The notifier thread: one queue, in order.
 *
 * It may wait in the kernel for a lock whose holder waits for an answer of ours, and no signal gets it
 * out of there. So that a kill of the process ends this: the thread has a table of files of its own,
 * with a device of its own of the same connection (FUSE_DEV_IOC_CLONE). When the other threads are dead
 * their table is closed, with it the device on which requests were taken, and the kernel fails what
 * is unanswered there; the lock is released, the thread gets out, and dies too. With one table for
 * all threads nothing would be closed before this one has ended: neither it nor the holder of the lock
 * ever would. (A holder whose request nobody had read yet waits on, as does the thread; but the kernel
 * lets that one be killed.)
 */
#include "fs/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fuse_lowlevel.h>
#include <glib-unix.h>

#include "base/cleanup.h"
#include "base/post.h"

#define DEV_CLONE _IOR(229, 0, uint32_t) /* FUSE_DEV_IOC_CLONE of linux/fuse.h */
#define PAGES_MAX (8 * 1024 * 1024)      /* bytes that wait to be told */

struct notifier {
	struct post_thread *thread;
	struct fuse_session *session;
	int fd;            /* of the session: the same number in both tables */
	int wake_fd;       /* likewise: an eventfd. The loop's own is none of the thread's. */
	GAsyncQueue *said; /* struct note *, NOTE_CALL: for the loop */
	GSource *source;
	uint64_t told; /* the loop's: what was fed, but pages and calls */
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

/* ---- files of its own --------------------------------------------------------------------------- */

static void close_between(int first, int last)
{
	if (first <= last)
		close_range((unsigned)first, (unsigned)last, 0);
}

/* Where the kernel or a sandbox has none of this, the thread goes on as the others do. */
static void leave_files(void *data)
{
	const struct notifier *notifier = data;
	int low = MIN(notifier->fd, notifier->wake_fd), high = MAX(notifier->fd, notifier->wake_fd);
	uint32_t master = (uint32_t)notifier->fd;
	SCOPED(fd_closep) int device = -1;
	SCOPED(fd_closep) int null = -1;
	sigset_t all;

	/* A handler here would find none of the files that it writes to. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	if (unshare(CLONE_FILES) < 0)
		return;
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device >= 0 && ioctl(device, DEV_CLONE, &master) == 0)
		dup3(device, notifier->fd, O_CLOEXEC);
	fd_closep(&device);
	/* Whoever started us may wait for the end of file of what we had as standard output. */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	fd_closep(&null);
	/* Locks and connections of others end when they say so. */
	close_between(STDERR_FILENO + 1, low - 1);
	close_between(low + 1, high - 1);
	close_between(high + 1, G_MAXINT);
}

/* ---- the loop ------------------------------------------------------------------------------------ */

static void note_free(struct note *note)
{
	g_free(note->name);
	g_clear_pointer(&note->pages, g_array_unref);
	g_free(note);
}

static void hear_all(struct notifier *notifier)
{
	struct note *note;

	while ((note = g_async_queue_try_pop(notifier->said))) {
		note->fn(note->data);
		note_free(note);
	}
}

static gboolean on_wake(gint fd, GIOCondition condition, gpointer user)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
		return G_SOURCE_REMOVE;
	hear_all(user);
	return G_SOURCE_CONTINUE;
}

struct notifier *notifier_new(struct fuse_session *session)
{
	struct notifier *notifier = g_new0(struct notifier, 1);

	notifier->session = session;
	notifier->fd = fuse_session_fd(session);
	notifier->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	g_assert(notifier->wake_fd >= 0);
	notifier->said = g_async_queue_new();
	notifier->source = g_unix_fd_source_new(notifier->wake_fd, G_IO_IN);
	g_source_set_callback(
		notifier->source, (GSourceFunc)(void (*)(void))on_wake, notifier, NULL);
	g_source_set_can_recurse(notifier->source, TRUE); /* as in fs/mount.c */
	g_source_attach(notifier->source, NULL);
	notifier->thread = post_thread_new("notifier");
	post_to_thread(notifier->thread, leave_files, notifier);
	return notifier;
}

/* ---- the thread ---------------------------------------------------------------------------------- */

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

static void say(struct notifier *notifier, struct note *note)
{
	const uint64_t one = 1;

	g_async_queue_push(notifier->said, note);
	/* Full: then it is readable, too. */
	if (write(notifier->wake_fd, &one, sizeof(one)) < 0)
		g_assert(errno == EAGAIN);
}

/* Errors are no news: the kernel does not know the inode, or the mount is ending. */
static void on_thread(void *data)
{
	struct note *note = data;
	struct notifier *notifier = note->notifier;

	if (note->what == NOTE_END)
		g_atomic_int_set(&notifier->is_over, 1);
	else if (note->what == NOTE_CALL)
		; /* below */
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
	if (note->what == NOTE_CALL)
		say(notifier, note);
	else
		note_free(note);
}

/* ---- feeding it ---------------------------------------------------------------------------------- */

static void feed(struct notifier *notifier, const struct note *values)
{
	struct note *note = g_memdup2(values, sizeof(*values));

	note->notifier = notifier;
	notifier->told += note->what < NOTE_PAGES;
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

uint64_t notifier_told(const struct notifier *notifier)
{
	return notifier->told;
}

bool notifier_is_behind(const struct notifier *notifier)
{
	return g_atomic_int_get(&notifier->unsaid) > 0;
}

void notifier_join(struct notifier *notifier)
{
	post_thread_join(notifier->thread);
	g_source_destroy(notifier->source);
	g_source_unref(notifier->source);
	hear_all(notifier);
	g_async_queue_unref(notifier->said);
	fd_closep(&notifier->wake_fd);
	g_free(notifier);
}
