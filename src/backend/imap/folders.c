/* SPDX-License-Identifier: MIT */
/*
 * The folder list. One extended LIST with everything where the server knows how, else plain LIST
 * and LSUB; judged by what came (EX-4). Names go up decoded and as they were on the wire; the
 * globs of the configuration are applied here. Loop thread. RFC 9051 §6.3.9, RFC 5258, RFC 5819.
 */
#include <string.h>

#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "wire/utf7.h"

#define FOLDERS_MAX 500000 /* more is an attack on our memory */

struct folder {
	char *name;
	char *path;
	char delimiter;
	unsigned flags;
	const char *role; /* static */
	struct mailfs_status status;
};

struct folders {
	struct request request;
	struct mailfs_list_request args;
	GHashTable *by_name; /* wire name → struct folder, owned by `all` */
	GPtrArray *all;      /* in the order of the server */
	bool is_extended;    /* the LIST with return options is under way */
	bool has_any;        /* a LIST line came, whatever was in it */
	unsigned open;
};

/* ---- what came ------------------------------------------------------------------------------- */

static void folder_free(gpointer data)
{
	struct folder *folder = data;

	g_free(folder->name);
	g_free(folder->path);
	g_free(folder);
}

static bool is_inbox(const char *name)
{
	return g_ascii_strcasecmp(name, "INBOX") == 0;
}

/* INBOX in any case is one folder, and so are its children's first names (NM-4). */
static void spell_inbox(char *path, char delimiter)
{
	if (g_ascii_strncasecmp(path, "INBOX", 5) == 0 &&
		(path[5] == '\0' || (delimiter != 0 && path[5] == delimiter)))
		memcpy(path, "INBOX", 5);
}

static char *decode_path(const struct imap_list *list)
{
	char *path;

	if (!utf7_decode(list->name, strlen(list->name), &path))
		path = g_strdup(list->name);
	spell_inbox(path, list->delimiter);
	return path;
}

/* Only the user's own folders: others' and shared ones would come by the thousand (NM-6). */
static bool is_personal(const struct mailfs_session *s, const char *name)
{
	const char *prefix = s->namespace_prefix;

	return !prefix || prefix[0] == '\0' || is_inbox(name) || g_str_has_prefix(name, prefix) ||
		(g_ascii_strncasecmp(prefix, "INBOX", 5) == 0 &&
			g_ascii_strncasecmp(name, prefix, strlen(prefix)) == 0);
}

/* Seeded: a server cannot choose names that all fall into one bucket. */
static guint hash_name(gconstpointer name)
{
	static guint seed;
	guint hash;

	if (seed == 0)
		seed = g_random_int() | 1;
	hash = seed;
	for (const guchar *p = name; *p; p++)
		hash = (hash ^ *p) * 16777619u + (hash >> 15) * seed;
	return hash;
}

static const char *key_of(const char *name)
{
	return is_inbox(name) ? "INBOX" : name;
}

static void add_folder(struct folders *folders, const struct imap_list *list)
{
	struct folder *folder;

	if (!is_personal(folders->request.session, list->name) || list->name[0] == '\0' ||
		g_hash_table_contains(folders->by_name, key_of(list->name)))
		return;
	if (folders->all->len >= FOLDERS_MAX) {
		session_fail(folders->request.session, MAILFS_ERROR_PROTOCOL,
			"the server lists folders without end");
		return;
	}
	folder = g_new0(struct folder, 1);
	*folder = (struct folder){
		.name = g_strdup(key_of(list->name)),
		.path = decode_path(list),
		.delimiter = list->delimiter,
		.flags = list->flags | (is_inbox(list->name) ? MAILFS_FOLDER_INBOX : 0u),
		.role = list->role,
	};
	g_ptr_array_add(folders->all, folder);
	g_hash_table_insert(folders->by_name, folder->name, folder);
}

static void add_status(struct folders *folders, const struct imap_status_resp *status)
{
	struct folder *folder = g_hash_table_lookup(folders->by_name, key_of(status->name));

	if (!folder)
		return;
	folder->status = watch_status(status);
}

static void add_subscribed(struct folders *folders, const char *name)
{
	struct folder *folder = g_hash_table_lookup(folders->by_name, key_of(name));

	if (folder)
		folder->flags |= MAILFS_FOLDER_SUBSCRIBED;
}

static bool on_untagged(struct command *command, const struct imap_response *response)
{
	struct folders *folders = (struct folders *)command->request;
	struct imap_status_resp status;
	struct imap_list list;

	if (strcmp(response->name, "LSUB") == 0) {
		if (imap_list_parse(response, &list))
			add_subscribed(folders, list.name);
		return true;
	}
	if (strcmp(response->name, "STATUS") == 0) {
		if (imap_status_parse(response, &status))
			add_status(folders, &status);
		return true;
	}
	if (!imap_list_parse(response, &list))
		return false;
	folders->has_any = true;
	add_folder(folders, &list);
	return true;
}

/* ---- what is wanted -------------------------------------------------------------------------- */

/* A glob that names a folder names what is inside it too. '/' stands for every delimiter. */
static bool glob_covers(const char *glob, const char *path)
{
	g_autofree char *part = g_strdup(path);
	char *cut;

	for (;;) {
		if (g_pattern_match_simple(glob, part))
			return true;
		cut = strrchr(part, '/');
		if (!cut)
			return false;
		*cut = '\0';
	}
}

static bool any_covers(const char *const *globs, const char *path)
{
	for (; globs && *globs; globs++)
		if (glob_covers(*globs, path))
			return true;
	return false;
}

static bool is_wanted(const struct mailfs_backend_config *config, const struct folder *folder)
{
	g_autofree char *path = g_utf8_make_valid(folder->path, -1);

	if (folder->delimiter != 0 && folder->delimiter != '/')
		g_strdelimit(path, (char[]){ folder->delimiter, '\0' }, '/');
	if (config->subscribed_only && (folder->flags & MAILFS_FOLDER_SUBSCRIBED) == 0 &&
		(folder->flags & MAILFS_FOLDER_INBOX) == 0)
		return false;
	if (config->include && config->include[0] && !any_covers(config->include, path))
		return false;
	return !any_covers(config->exclude, path);
}

/* `rm` needs it, whatever the user wants to see. */
static bool is_trash(const struct folder *folder)
{
	return folder->role && g_ascii_strcasecmp(folder->role, "\\Trash") == 0 &&
		(folder->flags & MAILFS_FOLDER_NOSELECT) == 0;
}

static void report(struct folders *folders, const struct folder *folder, unsigned more_flags)
{
	struct mailfs_folder_info info = {
		.name = folder->name,
		.path = folder->path,
		.delimiter = folder->delimiter,
		.flags = folder->flags | more_flags,
		.role = folder->role,
		.status = folder->status,
	};

	folders->args.folder(folders->args.user, &info);
}

static void report_all(struct folders *folders)
{
	const struct mailfs_backend_config *config = &folders->request.session->life.config;

	for (guint i = 0; i < folders->all->len && !folders->request.is_cancelled; i++) {
		const struct folder *folder = g_ptr_array_index(folders->all, i);

		if (is_wanted(config, folder))
			report(folders, folder, 0);
		else if (is_trash(folder))
			report(folders, folder, MAILFS_FOLDER_HIDDEN);
	}
}

/* ---- commands -------------------------------------------------------------------------------- */

static void list_plain(struct folders *folders);

static void add_command(struct folders *folders, struct imap_cmd *cmd,
	const struct command_hooks *hooks)
{
	folders->open++;
	queue_add(&folders->request.session->queue,
		command_new(cmd, hooks, &folders->request, "listing the folders"));
}

static void on_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct folders *folders = (struct folders *)command->request;

	folders->open--;
	if (folders->is_extended && response && (error || !folders->has_any) &&
		(!error || response->status == IMAP_BAD || error->code == MAILFS_ERROR_PROTOCOL ||
			error->code == MAILFS_ERROR_INVALID)) {
		folders->request.session->no_list_return = true;
		list_plain(folders);
		return;
	}
	if (error) {
		request_finish(&folders->request, error);
		return;
	}
	if (folders->open > 0)
		return;
	if (!folders->has_any) {
		request_fail(&folders->request, MAILFS_ERROR_PROTOCOL,
			"the server lists no folders, not even INBOX");
		return;
	}
	report_all(folders);
	request_finish(&folders->request, NULL);
}

/* LSUB is optional: its refusal leaves folders unsubscribed. */
static void on_lsub_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	on_done(command, response, response ? NULL : error);
}

static const struct command_hooks list_hooks = { .untagged = on_untagged, .done = on_done };
static const struct command_hooks lsub_hooks = { .untagged = on_untagged, .done = on_lsub_done };

/* `INBOX*` where all own folders are inside INBOX; the rest is left out on arrival. */
static const char *pattern_of(const struct mailfs_session *s)
{
	return s->namespace_prefix && g_ascii_strncasecmp(s->namespace_prefix, "INBOX", 5) == 0
		? "\"\" \"INBOX*\""
		: "\"\" \"*\"";
}

static void list_plain(struct folders *folders)
{
	const char *pattern = pattern_of(folders->request.session);
	struct imap_cmd *list = imap_cmd_new("LIST");
	struct imap_cmd *lsub = imap_cmd_new("LSUB");

	folders->is_extended = false;
	imap_cmd_raw(list, pattern);
	imap_cmd_raw(lsub, pattern);
	add_command(folders, list, &list_hooks);
	add_command(folders, lsub, &lsub_hooks);
}

static void list_extended(struct folders *folders)
{
	const struct imap_caps *caps = &folders->request.session->caps;
	struct imap_cmd *cmd = imap_cmd_new("LIST");
	GString *options = g_string_new("RETURN (SUBSCRIBED");

	/* RFC 6154 makes SPECIAL-USE a return option only together with LIST-EXTENDED. */
	if (caps->special_use)
		g_string_append(options, " SPECIAL-USE");
	if (caps->list_status) {
		g_string_append(options, " STATUS (MESSAGES UNSEEN UIDNEXT UIDVALIDITY");
		if (caps->condstore || caps->qresync)
			g_string_append(options, " HIGHESTMODSEQ");
		g_string_append_c(options, ')');
	}
	g_string_append_c(options, ')');
	folders->is_extended = true;
	imap_cmd_raw(cmd, pattern_of(folders->request.session));
	imap_cmd_raw(cmd, options->str);
	g_string_free(options, TRUE);
	add_command(folders, cmd, &list_hooks);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void folders_begin(struct request *request)
{
	const struct mailfs_session *s = request->session;

	if (s->caps.list_extended && !s->no_list_return && (s->quirks & QUIRK_NO_LIST_RETURN) == 0)
		list_extended((struct folders *)request);
	else
		list_plain((struct folders *)request);
}

static void folders_done(struct request *request, const GError *error)
{
	struct folders *folders = (struct folders *)request;

	folders->args.done(folders->args.user, error);
}

static void folders_free(struct request *request)
{
	struct folders *folders = (struct folders *)request;

	g_hash_table_unref(folders->by_name);
	g_ptr_array_unref(folders->all);
	g_free(folders);
}

mailfs_ticket folders_list(struct mailfs_session *s, const struct mailfs_list_request *args)
{
	struct folders *folders = g_new0(struct folders, 1);

	folders->request = (struct request){
		.start = folders_begin, .done = folders_done, .free = folders_free,
	};
	folders->args = *args;
	folders->by_name = g_hash_table_new(hash_name, g_str_equal);
	folders->all = g_ptr_array_new_with_free_func(folder_free);
	return request_add(s, &folders->request);
}
