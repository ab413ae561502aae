/* SPDX-License-Identifier: MIT */
/*
 * Who wants names only. With each name of a listing the kernel is told all about the message, or a
 * walk through the folder would cost one request more for each. But it makes an inode of each, and
 * that is most of the time of a plain `ls` of a large folder (0.25 s of 0.4 s for 100,000).
 *
 * What reads a directory tells nothing of what it wants. Most programs read all of it before they look
 * at the first file, so those get everything. `ls` looks at each file, if at all, as it goes: it gets
 * names only, until it looks at one. A listing of names is not kept by the kernel, and the next one
 * of the folder has everything. A wrong guess, or none in time, costs time and nothing else.
 */
#include "fs/directory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>

#include "base/cleanup.h"

#define SKIM_MESSAGES 16384u /* below, the inodes take too little time to matter */
#define ANSWER_MS     1000 /* it comes within one, where nobody is in trouble */

static const char *const skimmers[] = { "ls", "dir", "vdir" };

bool skim_may_pay(const struct fs *fs, const struct folder *folder)
{
	const struct mailbox *box = folder_listing(folder);
	size_t count = box ? mailbox_count(box) : 0;

	if (!folder->box)
		count = MAX(count, folder->coming_total);
	return fs->config.name_program && count >= SKIM_MESSAGES;
}

/* ---- the question ------------------------------------------------------------------------------ */

static bool is_skimmer(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(skimmers); i++) {
		if (strcmp(name, skimmers[i]) == 0)
			return true;
	}
	return false;
}

void skim_forget(struct skim_question *question)
{
	g_clear_handle_id(&question->source, g_source_remove);
	g_clear_handle_id(&question->timer, g_source_remove);
	if (question->is_open)
		close(question->fd);
	question->is_open = false;
}

static void answer(struct skim_question *question, bool wants_names)
{
	skim_forget(question);
	question->done(question->user, wants_names);
}

static gboolean on_name(gint fd, GIOCondition condition, gpointer user)
{
	struct skim_question *question = user;
	char name[32];
	ssize_t got = read(fd, name, sizeof(name) - 1);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	question->source = 0;
	name[MAX(got, 0)] = '\0';
	answer(question, is_skimmer(name));
	return G_SOURCE_REMOVE;
}

static gboolean on_late(gpointer user)
{
	struct skim_question *question = user;

	question->timer = 0;
	answer(question, false);
	return G_SOURCE_REMOVE;
}

bool skim_ask(struct fs *fs, struct skim_question *question, pid_t pid)
{
	int fds[2];

	if (!g_unix_open_pipe(fds, FD_CLOEXEC, NULL))
		return false;
	question->is_open = pid > 0 && g_unix_set_fd_nonblocking(fds[0], TRUE, NULL) &&
		fs->config.name_program(pid, fds[1]);
	close(fds[1]);
	question->fd = fds[0];
	if (!question->is_open) {
		close(fds[0]);
		return false;
	}
	question->source = g_unix_fd_add(fds[0], G_IO_IN | G_IO_HUP | G_IO_ERR, on_name, question);
	question->timer = g_timeout_add(ANSWER_MS, on_late, question);
	return true;
}

/* ---- listings of names ------------------------------------------------------------------------- */

void skim_begin(struct fs *fs, struct directory *directory)
{
	directory->is_skimmed = true;
	fs->skims++;
}

void skim_end(struct fs *fs, struct directory *directory)
{
	fs->skims -= directory->is_skimmed;
	directory->is_skimmed = false;
}

void skim_note_lookup(struct fs *fs, uint64_t parent)
{
	GHashTableIter iter;
	gpointer directory;

	if (fs->skims == 0)
		return;
	g_hash_table_iter_init(&iter, fs->directories);
	while (g_hash_table_iter_next(&iter, &directory, NULL)) {
		if (((struct directory *)directory)->ino == parent)
			skim_end(fs, directory);
	}
}
