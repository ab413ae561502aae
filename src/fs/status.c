/* SPDX-License-Identifier: MIT */
/* The texts of .mailfs: status for people and as JSON, and what is not on the server yet. Loop thread. */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/watchdog.h"
#include "fs/internal.h"
#include "fs/top.h"

/* ---- values ------------------------------------------------------------------------------------ */

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

static void put_engine(struct fs *fs, struct status_writer *writer)
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
	if (status.server_keeps)
		put_text(writer, "server-keeps", status.server_keeps);
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
	put_text(writer, "cache-directory", status.cache_dir);
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
	put_number(writer, "bytes-read", status.bytes_read);
	put_number(writer, "bytes-saved", status.bytes_saved);
	put_pending_counts(fs, writer);
	put_number(writer, "kept", status.kept);
	put_number(writer, "kept-gone", status.kept_gone);
	put_number(writer, "kept-bytes", status.kept_bytes);
	put_number(writer, "syncs", status.syncs);
	put_number(writer, "sweeps", status.sweeps);
	put_number(writer, "invalidations", notifier_told(fs->notifier));
	put_text(writer, "view", fs->config.view->name);
	put_text(writer, "mountpoint", fs->config.path);
}

/* ---- folders ----------------------------------------------------------------------------------- */

#define FOLDERS_MAX      4096u /* as JSON */
#define FOLDERS_MAX_TEXT 100u

struct folder_rows {
	struct fs *fs;
	struct status_writer *writer;
	unsigned count;
};

static void put_folder_json(struct folder_rows *rows, const char *path,
	const struct engine_folder_status *status)
{
	GString *out = rows->writer->out;

	g_string_append(out, rows->count > 0 ? ",\n    {\"folder\": " : "\n    {\"folder\": ");
	control_append_json(out, path);
	g_string_append_printf(out,
		", \"state\": \"%s\", \"known\": %u, \"total\": %u, \"in-use\": %s", status->state,
		status->known, status->total, status->is_in_use ? "true" : "false");
	g_string_append_printf(out, ", \"cached\": %u, \"pinned\": %u, \"bytes\": %" G_GUINT64_FORMAT "}",
		status->cache.cached, status->cache.pinned, (guint64)status->cache.bytes);
}

/* People want to see what is under way, and what they look at. */
static bool is_for_people(const struct engine_folder_status *status)
{
	return status->is_in_use || strcmp(status->state, "listing") == 0 ||
		strcmp(status->state, "behind") == 0;
}

static void put_folder(struct folder_rows *rows, const char *path, const struct folder *folder)
{
	struct engine_folder_status status;

	if (!folder->name || (folder->flags & MAILFS_FOLDER_NOSELECT) != 0)
		return;
	engine_get_folder_status(rows->fs->engine, folder, &status);
	if (!rows->writer->is_json && !is_for_people(&status))
		return;
	if (rows->writer->is_json) {
		put_folder_json(rows, path, &status);
	} else {
		g_autofree char *safe = log_safe(path, -1);

		g_string_append_printf(rows->writer->out, "folder: %u of %u, %s: %s\n", status.known,
			status.total, status.state, safe);
	}
	rows->count++;
}

/* Paths as below the mount point, which is ".". */
static void put_folder_tree(struct folder_rows *rows, const char *path, const struct folder *folder)
{
	put_folder(rows, path ? path : ".", folder);
	for (guint i = 0; folder->children && i < folder->children->len; i++) {
		const struct folder *child = g_ptr_array_index(folder->children, i);
		g_autofree char *below = path ? g_strconcat(path, "/", child->shown, NULL)
					      : g_strdup(child->shown);

		if (rows->count >= (rows->writer->is_json ? FOLDERS_MAX : FOLDERS_MAX_TEXT))
			return;
		put_folder_tree(rows, below, child);
	}
}

static void put_folders(struct fs *fs, struct status_writer *writer)
{
	const struct folder *root = fs_folder(fs, fs->root);
	struct folder_rows rows = { .fs = fs, .writer = writer };

	if (writer->is_json) {
		put_key(writer, "folder-list");
		g_string_append_c(writer->out, '[');
	}
	if (root)
		put_folder_tree(&rows, NULL, root);
	if (writer->is_json)
		g_string_append(writer->out, rows.count > 0 ? "\n  ]" : "]");
}

/* ---- accounts ---------------------------------------------------------------------------------- */

/* Of the process, whatever it serves. */
static void put_process(struct status_writer *writer, const char *confinement)
{
	put_number(writer, "loop-longest-ms", (uint64_t)watchdog_longest_us() / 1000);
	put_text(writer, "confinement", confinement);
	put_number(writer, "pid", (uint64_t)getpid());
	put_text(writer, "version", MAILFS_VERSION);
}

static void put_failure(const struct fs *fs, struct status_writer *writer)
{
	put_text(writer, "account", fs->config.name);
	put_text(writer, "state", "failed");
	put_text(writer, "mountpoint", fs->config.path);
	put_text(writer, "failure", fs->failure ? fs->failure->message : NULL);
}

/* `is_part`: of a text that tells of the process itself. */
static void put_account(struct fs *fs, struct status_writer *writer, bool is_part)
{
	if (fs->engine)
		put_engine(fs, writer);
	else
		put_failure(fs, writer);
	if (!is_part)
		put_process(writer, fs->config.confinement);
	if (fs->engine) {
		put_folders(fs, writer);
		put_reasons(writer, engine_reasons(fs->engine));
	}
	if (writer->is_json)
		g_string_append(writer->out, "\n}");
}

/* Each as it tells of itself. */
static void put_accounts(const struct fs *top, struct status_writer *writer)
{
	const char *before = writer->is_json ? "[" : "\n";
	unsigned at = 0;
	struct fs *fs;

	while ((fs = top_next(top->mount, &at))) {
		struct status_writer part = { .out = writer->out, .is_json = writer->is_json };

		g_string_append(writer->out, before);
		put_account(fs, &part, true);
		before = writer->is_json ? ",\n" : "\n";
	}
}

static void put_top(struct fs *top, struct status_writer *writer)
{
	unsigned at = 0, accounts = 0, online = 0;
	struct fs *fs;

	while ((fs = top_next(top->mount, &at))) {
		accounts++;
		online += fs->engine && engine_state(fs->engine) == ENGINE_ONLINE;
	}
	put_number(writer, "accounts", accounts);
	put_number(writer, "accounts-online", online);
	put_text(writer, "mountpoint", top->config.path);
	put_process(writer, top->config.confinement);
	if (writer->is_json)
		put_key(writer, "account-list");
	put_accounts(top, writer);
	if (writer->is_json)
		g_string_append(writer->out, "]\n}");
}

void status_put(struct fs *fs, GString *out, bool is_json)
{
	struct status_writer writer = { .out = out, .is_json = is_json };

	if (top_is(fs))
		put_top(fs, &writer);
	else
		put_account(fs, &writer, false);
	if (is_json)
		g_string_append_c(out, '\n');
}

/* ---- pending ----------------------------------------------------------------------------------- */

struct pending_list {
	GString *out;
	const char *account; /* ids are an account's own; NULL = there is no other */
};

static void put_item(void *user, const struct engine_pending *item)
{
	struct pending_list *list = user;
	GString *out = list->out;

	if (list->account)
		g_string_append_printf(out, "%s:", list->account);
	g_string_append_printf(out, "%" G_GUINT64_FORMAT "\t%s\t%s\t", (guint64)item->id, item->kind,
		item->state);
	if (list->account && item->folder)
		g_string_append_printf(out, "%s/", list->account);
	g_string_append_printf(out, "%s\t%s\t%s\n", item->folder ? item->folder : "-", item->text,
		item->reason ? item->reason : "-");
}

void status_put_pending(struct fs *fs, GString *out)
{
	unsigned at = 0;
	struct fs *account;

	if (fs->engine)
		engine_each_pending(fs->engine, put_item, &(struct pending_list){ out, NULL });
	while (top_is(fs) && (account = top_next(fs->mount, &at))) {
		struct pending_list list = { out, account->config.name };

		if (account->engine)
			engine_each_pending(account->engine, put_item, &list);
	}
}
