/* SPDX-License-Identifier: MIT */
/*
 * .mailfs/events: a stream of lines, one JSON object each. Several may read at once, each what happens
 * from its open on. What a reader has not taken yet is kept up to a bound; beyond it, it is told how
 * many it missed. Loop thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "fs/internal.h"
#include "fs/top.h"
#include "fs/watch.h"

#define READERS_MAX 64u
#define KEPT_MAX    65536u /* bytes for each reader */

struct reader {
	GString *text;   /* not read yet */
	uint64_t missed; /* since then */
	struct events_op *waiting;
	struct fuse_pollhandle *poll;
};

struct events {
	GPtrArray *readers;
	bool is_over;
};

struct events_op {
	struct op op;
	struct reader *reader;
	size_t size;
};

/* ---- lines ------------------------------------------------------------------------------------- */

static void begin_line(GString *line, const char *event)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");

	g_string_append_printf(line, "{\"event\":\"%s\",\"time\":\"%s.%03dZ\"", event, time,
		g_date_time_get_microsecond(now) / 1000);
}

static void put_text(GString *line, const char *key, const char *value)
{
	g_string_append_printf(line, ",\"%s\":", key);
	control_append_json(line, value);
}

static const char *folder_change(enum engine_news_kind kind)
{
	if (kind == ENGINE_NEWS_FOLDER)
		return "new";
	return kind == ENGINE_NEWS_FOLDER_GONE ? "gone" : "reset";
}

/* Where all accounts are told of, a folder's path begins with its account's name. */
static void put_folder(GString *line, const char *account, const char *folder)
{
	g_autofree char *path = account ? g_build_filename(account, folder, NULL) : g_strdup(folder);

	put_text(line, "folder", path);
}

static GString *line_of(const struct watch_item *item, const char *account)
{
	static const char *const events[] = {
		[ENGINE_NEWS_MESSAGE] = "new",
		[ENGINE_NEWS_EXPUNGED] = "expunged",
		[ENGINE_NEWS_FLAGS] = "flags",
	};
	GString *line = g_string_new(NULL);

	begin_line(line, item->uid != 0 ? events[item->kind] : "folder");
	put_folder(line, account, item->folder);
	if (item->uid != 0) {
		g_string_append_printf(line, ",\"uid\":%u", item->uid);
		if (item->name)
			put_text(line, "name", item->name);
	} else {
		put_text(line, "change", folder_change(item->kind));
	}
	g_string_append(line, "}\n");
	return line;
}

/* ---- readers ----------------------------------------------------------------------------------- */

static void reply_text(fuse_req_t req, void *data)
{
	struct events_op *read = data;
	GString *text = read->reader->text;
	size_t len = MIN(read->size, text->len);

	fuse_reply_buf(req, text->str, len);
	g_string_erase(text, 0, (gssize)len);
}

static void note_missed(struct reader *reader)
{
	if (reader->missed == 0 || reader->text->len > KEPT_MAX / 2)
		return;
	begin_line(reader->text, "missed");
	g_string_append_printf(reader->text, ",\"count\":%" G_GUINT64_FORMAT "}\n",
		(guint64)reader->missed);
	reader->missed = 0;
}

static void wake(struct reader *reader)
{
	struct fuse_pollhandle *handle = g_steal_pointer(&reader->poll);
	struct events_op *read = reader->waiting;

	if (read)
		op_finish(&read->op, reply_text, read);
	/* Takes no lock of an inode: it need not be the notifier's. */
	if (handle) {
		fuse_lowlevel_notify_poll(handle);
		fuse_pollhandle_destroy(handle);
	}
}

static void put_all(struct fs *fs, const GString *line)
{
	for (guint i = 0; i < fs->stream->readers->len; i++) {
		struct reader *reader = g_ptr_array_index(fs->stream->readers, i);

		note_missed(reader);
		if (reader->missed > 0 || reader->text->len + line->len > KEPT_MAX) {
			reader->missed++;
			continue;
		}
		g_string_append_len(reader->text, line->str, (gssize)line->len);
		wake(reader);
	}
}

static bool has_readers(const struct fs *fs)
{
	return fs && fs->stream && fs->stream->readers->len > 0;
}

/* Who reads there hears of all accounts; NULL: there is one only. */
static struct fs *top_of(const struct fs *fs)
{
	return fs->mount->config.has_accounts ? fs->mount->accounts[0] : NULL;
}

bool events_are_wanted(const struct fs *fs)
{
	return has_readers(fs) || has_readers(top_of(fs));
}

static void put_once(struct fs *fs, GString *line)
{
	put_all(fs, line);
	g_string_free(line, TRUE);
}

void events_put(struct fs *fs, const struct watch_item *item)
{
	if (has_readers(fs))
		put_once(fs, line_of(item, NULL));
	if (has_readers(top_of(fs)))
		put_once(top_of(fs), line_of(item, fs->config.name));
}

static GString *line_of_state(enum engine_state state, const char *account)
{
	GString *line = g_string_new(NULL);

	begin_line(line, "state");
	if (account)
		put_text(line, "account", account);
	put_text(line, "state", control_state_name(state));
	g_string_append(line, "}\n");
	return line;
}

void events_put_state(struct fs *fs, enum engine_state state)
{
	if (has_readers(fs))
		put_once(fs, line_of_state(state, NULL));
	if (has_readers(top_of(fs)))
		put_once(top_of(fs), line_of_state(state, fs->config.name));
}

/* ---- operations -------------------------------------------------------------------------------- */

static struct reader *reader_of(const struct fuse_file_info *fi)
{
	return (struct reader *)(uintptr_t)fi->fh;
}

static void reader_free(gpointer data)
{
	struct reader *reader = data;

	if (reader->poll)
		fuse_pollhandle_destroy(reader->poll);
	g_string_free(reader->text, TRUE);
	g_free(reader);
}

static void on_inbox_known(void *user, const GError *error)
{
}

/* Whoever listens wants to hear of new mail without ever having looked at a folder. */
static void make_inbox_known(struct fs *fs)
{
	struct folder *inbox = tree_by_name(engine_tree(fs->engine), "INBOX");

	if (inbox && inbox->box_id == 0 && *fs->config.root == '\0')
		engine_open_folder(fs->engine, inbox, on_inbox_known, NULL);
}

/* Of all, at the top; none, where there is no engine. */
static void each_account(struct fs *fs, void (*fn)(struct fs *fs))
{
	unsigned at = 0;
	struct fs *account;

	if (fs->engine)
		fn(fs);
	while (top_is(fs) && (account = top_next(fs->mount, &at))) {
		if (account->engine)
			fn(account);
	}
}

void events_open(struct fs *fs, fuse_req_t req, struct fuse_file_info *fi)
{
	struct reader *reader;

	if (!fs->stream) {
		fs->stream = g_new0(struct events, 1);
		fs->stream->readers = g_ptr_array_new_with_free_func(reader_free);
	}
	if (fs->stream->readers->len >= READERS_MAX) {
		fuse_reply_err(req, EBUSY);
		return;
	}
	reader = g_new0(struct reader, 1);
	reader->text = g_string_new(NULL);
	g_ptr_array_add(fs->stream->readers, reader);
	fi->fh = (uint64_t)(uintptr_t)reader;
	fi->direct_io = 1;
	fi->nonseekable = 1;
	fi->noflush = 1;
	/* An interrupted open sends no release. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		g_ptr_array_remove(fs->stream->readers, reader);
	each_account(fs, make_inbox_known);
}

static void read_release(struct op *op)
{
	((struct events_op *)op)->reader->waiting = NULL;
}

void events_read(struct fs *fs, fuse_req_t req, size_t size, const struct fuse_file_info *fi)
{
	struct reader *reader = reader_of(fi);
	struct events_op now = { .reader = reader, .size = size };
	struct events_op *read;

	note_missed(reader);
	if (reader->text->len > 0 || fs->stream->is_over) {
		reply_text(req, &now);
		return;
	}
	/* One waits on each open file; who shares it may ask again. */
	if (reader->waiting || (fi->flags & O_NONBLOCK) != 0) {
		fuse_reply_err(req, EAGAIN);
		return;
	}
	read = (struct events_op *)op_new(fs, req, sizeof(*read), read_release);
	if (!read)
		return;
	op_wait_for_ever(&read->op);
	read->reader = reader;
	read->size = size;
	reader->waiting = read;
}

void events_poll(struct fs *fs, fuse_req_t req, const struct fuse_file_info *fi,
	struct fuse_pollhandle *handle)
{
	struct reader *reader = reader_of(fi);
	bool is_ready = reader->text->len > 0 || reader->missed > 0 || fs->stream->is_over;

	if (handle) {
		if (reader->poll)
			fuse_pollhandle_destroy(reader->poll);
		reader->poll = handle;
	}
	fuse_reply_poll(req, is_ready ? POLLIN | POLLRDNORM : 0);
}

void events_release(struct fs *fs, const struct fuse_file_info *fi)
{
	struct reader *reader = reader_of(fi);

	if (reader->waiting)
		op_finish_errno(&reader->waiting->op, EINTR);
	g_ptr_array_remove(fs->stream->readers, reader);
}

void events_end(struct fs *fs)
{
	if (!fs->stream)
		return;
	fs->stream->is_over = true;
	for (guint i = 0; i < fs->stream->readers->len; i++)
		wake(g_ptr_array_index(fs->stream->readers, i));
}

void events_done(struct fs *fs)
{
	if (!fs->stream)
		return;
	g_ptr_array_unref(fs->stream->readers);
	g_clear_pointer(&fs->stream, g_free);
}
