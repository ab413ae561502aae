/* SPDX-License-Identifier: MIT */
/*
 * .mailfs at the root: not listed, but it can be entered. `ctl` takes one command a line.
 *
 * `status`, `status.json` and `pending` (what is not on the server yet) are written anew whenever their name is looked up, and the kernel may
 * not remember the name. Each text is an inode of its own, as far as the kernel is concerned: it
 * never changes, has its exact size, and may be kept in the page cache, so that it can be read
 * without an open. Programs see the same st_ino always. A text lives until the kernel forgets it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/watchdog.h"
#include "fs/internal.h"
#include "fs/watch.h"

static const struct {
	enum control_file file;
	const char *name;
	mode_t mode;
} files[] = {
	{ CONTROL_STATUS, "status", S_IFREG | 0400 },
	{ CONTROL_STATUS_JSON, "status.json", S_IFREG | 0400 },
	{ CONTROL_CTL, "ctl", S_IFREG | 0200 },
	{ CONTROL_PENDING, "pending", S_IFREG | 0400 },
	{ CONTROL_EVENTS, "events", S_IFREG | 0400 },
};

struct text {
	uint64_t ino;
	int64_t made_ns;
	GString *bytes;
};

static void text_free(gpointer data)
{
	struct text *text = data;

	g_string_free(text->bytes, TRUE);
	g_free(text);
}

void control_init(struct fs *fs)
{
	fs->texts = g_hash_table_new_full(g_int64_hash, g_int64_equal, text_free, NULL);
}

bool control_attr(struct fs *fs, uint64_t ino, struct stat *ret_attr)
{
	const struct text *text = g_hash_table_lookup(fs->texts, &ino);
	uint32_t file = ino_split(ino).uid;
	mode_t mode = file == CONTROL_DIR ? S_IFDIR | 0700 : 0;

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		if (files[i].file == file)
			mode = files[i].mode;
	}
	if (mode == 0 || (!text && ino_split(ino).id != 0))
		return false;
	memset(ret_attr, 0, sizeof(*ret_attr));
	ret_attr->st_ino = ino_make(INO_KIND_CONTROL, 0, file);
	ret_attr->st_mode = mode;
	ret_attr->st_nlink = file == CONTROL_DIR ? 2 : 1;
	ret_attr->st_uid = fs->config.uid;
	ret_attr->st_gid = fs->config.gid;
	ret_attr->st_mtim.tv_sec = fs->mounted_at;
	if (text) {
		ret_attr->st_size = (off_t)text->bytes->len;
		ret_attr->st_blocks = (ret_attr->st_size + 511) / 512;
		ret_attr->st_mtim.tv_sec = text->made_ns / 1000000000;
		ret_attr->st_mtim.tv_nsec = text->made_ns % 1000000000;
	}
	ret_attr->st_atim = ret_attr->st_mtim;
	ret_attr->st_ctim = ret_attr->st_mtim;
	return true;
}

const char *control_name(uint32_t index, uint64_t *ret_ino)
{
	if (index >= G_N_ELEMENTS(files))
		return NULL;
	*ret_ino = ino_make(INO_KIND_CONTROL, 0, files[index].file);
	return files[index].name;
}

/* ---- status ------------------------------------------------------------------------------------ */

/* One value under a key; the two formats differ only in how it is written. */
struct status_writer {
	GString *out;
	bool is_json;
	bool has_items;
};

void control_append_json(GString *out, const char *text)
{
	g_string_append_c(out, '"');
	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			g_string_append_c(out, '\\');
		if ((unsigned char)*p < 0x20)
			g_string_append_printf(out, "\\u%04x", (unsigned char)*p);
		else
			g_string_append_c(out, *p);
	}
	g_string_append_c(out, '"');
}

static void put_key(struct status_writer *writer, const char *key)
{
	if (writer->is_json) {
		g_string_append(writer->out, writer->has_items ? ",\n  " : "{\n  ");
		control_append_json(writer->out, key);
		g_string_append(writer->out, ": ");
	} else {
		g_string_append_printf(writer->out, "%s: ", key);
	}
	writer->has_items = true;
}

static void put_text(struct status_writer *writer, const char *key, const char *text)
{
	put_key(writer, key);
	if (!writer->is_json)
		g_string_append_printf(writer->out, "%s\n", text ? text : "-");
	else if (text)
		control_append_json(writer->out, text);
	else
		g_string_append(writer->out, "null");
}

static void put_number(struct status_writer *writer, const char *key, uint64_t number)
{
	put_key(writer, key);
	g_string_append_printf(writer->out, "%" G_GUINT64_FORMAT "%s", (guint64)number,
		writer->is_json ? "" : "\n");
}

static void put_time(struct status_writer *writer, const char *key, int64_t seconds)
{
	g_autoptr(GDateTime) time = seconds > 0 ? g_date_time_new_from_unix_utc(seconds) : NULL;
	g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;

	put_text(writer, key, text);
}

static void put_reasons(struct status_writer *writer, const GPtrArray *reasons)
{
	if (!writer->is_json) {
		for (guint i = 0; i < reasons->len; i++)
			put_text(writer, "reason", g_ptr_array_index(reasons, i));
		return;
	}
	put_key(writer, "reasons");
	g_string_append_c(writer->out, '[');
	for (guint i = 0; i < reasons->len; i++) {
		g_string_append(writer->out, i > 0 ? ",\n    " : "\n    ");
		control_append_json(writer->out, g_ptr_array_index(reasons, i));
	}
	g_string_append(writer->out, reasons->len > 0 ? "\n  ]" : "]");
}

static const char *trust_text(struct store_trust trust)
{
	if (trust.is_liar)
		return "liar";
	return trust.proven < STORE_TRUST_PROVEN ? "unproven" : "trusted";
}

struct pending_counts {
	uint64_t all, failed;
};

static void count_item(void *user, const struct engine_pending *item)
{
	struct pending_counts *counts = user;

	counts->all++;
	if (strcmp(item->state, "failed") == 0)
		counts->failed++;
}

static void put_pending_counts(struct fs *fs, struct status_writer *writer)
{
	struct pending_counts counts = { 0 };

	engine_each_pending(fs->engine, count_item, &counts);
	put_number(writer, "pending", counts.all);
	put_number(writer, "pending-failed", counts.failed);
}

const char *control_state_name(enum engine_state state)
{
	static const char *const states[] = {
		[ENGINE_CONNECTING] = "connecting", [ENGINE_ONLINE] = "online",
		[ENGINE_OFFLINE] = "offline", [ENGINE_LOGIN_REFUSED] = "login refused",
		[ENGINE_STOPPED] = "stopped",
	};

	return states[state];
}

static void put_status(struct fs *fs, struct status_writer *writer)
{
	struct engine_status status;

	engine_get_status(fs->engine, &status);
	put_text(writer, "account", status.account);
	put_text(writer, "server", status.server);
	put_text(writer, "state", control_state_name(status.state));
	if (engine_is_offline_by_request(fs->engine))
		put_text(writer, "offline-by", "request");
	put_time(writer, "online-since", status.online_since);
	put_time(writer, "last-sync", status.last_sync);
	put_text(writer, "watch", status.watch);
	put_time(writer, "last-check", status.last_check);
	put_number(writer, "retry-in-ms", status.retry_in_ms);
	put_text(writer, "tls", status.tls);
	put_text(writer, "auth", status.auth);
	put_text(writer, "server-id", status.server_id);
	put_text(writer, "compression", status.compression);
	put_number(writer, "connections", status.sessions);
	put_number(writer, "connections-max", status.sessions_max);
	put_number(writer, "waiting", status.waiting);
	put_number(writer, "folders", status.folders);
	put_number(writer, "folders-loaded", status.folders_loaded);
	put_number(writer, "messages-loaded", status.messages_loaded);
	put_number(writer, "listing-folders", status.folders_coming);
	put_number(writer, "listing-messages", status.messages_coming);
	put_number(writer, "listing-expected", status.messages_expected);
	put_text(writer, "sizes", trust_text(status.trust));
	put_number(writer, "cache-bytes", status.cache.body_bytes);
	put_number(writer, "cache-max", status.cache.max_bytes);
	put_number(writer, "cache-messages", status.cache.bodies);
	put_number(writer, "cache-evicted", status.cache.evicted);
	put_text(writer, "prefetch", status.fill.state);
	put_text(writer, "prefetch-folder", status.fill.folder);
	put_number(writer, "prefetch-total", status.fill.total);
	put_number(writer, "prefetch-done", status.fill.done);
	put_number(writer, "prefetch-bytes", status.fill.bytes);
	put_number(writer, "prefetched", status.ahead_fetched);
	put_number(writer, "prefetched-used", status.ahead_used);
	put_number(writer, "bodies-fetched", status.bodies_fetched);
	put_number(writer, "body-bytes-fetched", status.body_bytes_fetched);
	put_number(writer, "reads-from-cache", status.reads_from_cache);
	put_number(writer, "reads-fetched", status.reads_fetched);
	put_pending_counts(fs, writer);
	put_number(writer, "kept", status.kept);
	put_number(writer, "kept-gone", status.kept_gone);
	put_number(writer, "kept-bytes", status.kept_bytes);
	put_number(writer, "syncs", status.syncs);
	put_number(writer, "sweeps", status.sweeps);
	put_number(writer, "invalidations", notifier_told(fs->notifier));
	put_number(writer, "loop-longest-ms", (uint64_t)watchdog_longest_us() / 1000);
	put_text(writer, "view", fs->config.view->name);
	put_text(writer, "mountpoint", fs->config.mountpoint);
	put_text(writer, "confinement", fs->config.confinement);
	put_number(writer, "pid", (uint64_t)getpid());
	put_text(writer, "version", MAILFS_VERSION);
	put_reasons(writer, engine_reasons(fs->engine));
	if (writer->is_json)
		g_string_append(writer->out, "\n}\n");
}

/* ---- pending ----------------------------------------------------------------------------------- */

static void put_item(void *user, const struct engine_pending *item)
{
	GString *out = user;

	g_string_append_printf(out, "%" G_GUINT64_FORMAT "\t%s\t%s\t%s\t%s\t%s\n", (guint64)item->id,
		item->kind, item->state, item->folder ? item->folder : "-", item->text,
		item->reason ? item->reason : "-");
}

/* A line for each: id, kind, state, folder, what, why; with tabs between them. */
static void put_pending(struct fs *fs, GString *out)
{
	engine_each_pending(fs->engine, put_item, out);
}

/* ---- requests ---------------------------------------------------------------------------------- */

static uint64_t text_new(struct fs *fs, uint32_t file)
{
	struct status_writer writer = { .is_json = file == CONTROL_STATUS_JSON };
	struct text *text = g_new0(struct text, 1);

	do
		text->ino = ino_make(INO_KIND_CONTROL, ++fs->last_text & 0xffffff, file);
	while (ino_split(text->ino).id == 0 || g_hash_table_contains(fs->texts, &text->ino));
	text->made_ns = clock_realtime_ns();
	text->bytes = writer.out = g_string_new(NULL);
	if (file == CONTROL_PENDING)
		put_pending(fs, writer.out);
	else
		put_status(fs, &writer);
	g_hash_table_add(fs->texts, text);
	return text->ino;
}

static uint64_t find(struct fs *fs, const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		if (strcmp(files[i].name, name) != 0)
			continue;
		/* A stream needs an open, and there are none any more. */
		if (files[i].file == CONTROL_EVENTS && fs->is_openless)
			return 0;
		return files[i].file == CONTROL_CTL || files[i].file == CONTROL_EVENTS
			? ino_make(INO_KIND_CONTROL, 0, files[i].file)
			: text_new(fs, files[i].file);
	}
	return 0;
}

void control_lookup(struct fs *fs, fuse_req_t req, const char *name)
{
	uint64_t ino = name ? find(fs, name) : ino_make(INO_KIND_CONTROL, 0, CONTROL_DIR);
	struct fuse_entry_param entry = { .ino = ino, .attr_timeout = FS_LONG_TIMEOUT };

	if (ino == 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	/* The stream is there as long as there are opens. */
	if (ino_split(ino).id == 0 && ino_split(ino).uid != CONTROL_EVENTS)
		entry.entry_timeout = FS_LONG_TIMEOUT;
	control_attr(fs, ino, &entry.attr);
	/* An interrupted lookup is not forgotten. */
	if (fuse_reply_entry(req, &entry) == -ENOENT)
		control_forget(fs, ino);
}

void control_forget(struct fs *fs, uint64_t ino)
{
	g_hash_table_remove(fs->texts, &ino);
}

void control_open(struct fs *fs, fuse_req_t req, uint32_t file, struct fuse_file_info *fi)
{
	bool wants_write = (fi->flags & O_ACCMODE) != O_RDONLY;

	if (wants_write != (file == CONTROL_CTL)) {
		fuse_reply_err(req, EACCES);
		return;
	}
	if (file == CONTROL_EVENTS) {
		events_open(fs, req, fi);
		return;
	}
	fi->direct_io = wants_write;
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

void control_read(struct fs *fs, fuse_req_t req, uint64_t ino, size_t size, off_t offset)
{
	const struct text *text = g_hash_table_lookup(fs->texts, &ino);

	if (!text)
		fuse_reply_err(req, ESTALE);
	else if ((uint64_t)offset >= text->bytes->len)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, text->bytes->str + offset,
			MIN(size, text->bytes->len - (size_t)offset));
}
