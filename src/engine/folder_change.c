/* SPDX-License-Identifier: MIT */
/*
 * Folders that are made, removed, renamed and subscribed: what may be asked, the request, then the
 * list of folders, and the answer when the tree shows it. After a lost connection the list decides:
 * what is as it should be is good, else it is tried once more. What is cached of a folder that was
 * renamed stays (listing_note_rename), unless the answer was lost. Loop thread.
 */
#include <string.h>

#include "base/fault.h"
#include "engine/change_impl.h"

#define COMPONENT_BYTES_MAX 255u
#define LISTS_MAX           3u

struct folder_change {
	struct engine_waiter waiter; /* while `done` is set */
	engine_done_fn done;
	void *user;
	struct engine *engine;
	struct pool_job job;
	enum mailfs_folder_verb verb;

	char *folder;    /* wire name; NULL = to be made */
	char *parent;    /* wire name of the new one; NULL = the top */
	char *component;
	char delimiter;
	char *name;      /* that exists now, as the server told */
	unsigned tries;
	unsigned lists; /* that failed, after it was done */
	GError *lost; /* the outcome is unknown because of this */
	bool is_refused; /* `lost` is the refusal */
};

/* ---- who waits --------------------------------------------------------------------------------- */

static void change_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	((struct folder_change *)waiter)->done = NULL;
}

static void change_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct folder_change *change = (struct folder_change *)waiter;
	engine_done_fn done = change->done;

	change->done = NULL;
	done(change->user, error);
}

static const struct engine_waiter_class change_class = {
	.cancel = change_cancel,
	.fail = change_fail,
};

void folder_change_free(gpointer data)
{
	struct folder_change *change = data;

	g_clear_error(&change->lost);
	g_free(change->folder);
	g_free(change->parent);
	g_free(change->component);
	g_free(change->name);
	g_free(change);
}

static void change_end(struct folder_change *change, const GError *error)
{
	struct engine *engine = change->engine;

	/* Not before the tree knows: who waited for the folder would open it by its old name. */
	pool_vacated(engine->pool, &change->job);
	if (change->done) {
		engine_waiter_remove(engine, &change->waiter);
		change_fail(engine, &change->waiter, error);
	}
	g_ptr_array_remove_fast(engine->folder_changes, change); /* frees it */
}

/* ---- what is there ----------------------------------------------------------------------------- */

static struct folder *named_folder(const struct folder_change *change, const char *name)
{
	return name ? tree_by_name(change->engine->tree, name) : NULL;
}

static const char *last_component(const struct folder *folder)
{
	const char *cut = folder->delimiter != 0 ? strrchr(folder->path, folder->delimiter) : NULL;

	return cut ? cut + 1 : folder->path;
}

static struct folder *child_called(const struct folder *parent, const char *component)
{
	for (guint i = 0; i < parent->children->len; i++) {
		struct folder *child = g_ptr_array_index(parent->children, i);

		if (strcmp(last_component(child), component) == 0)
			return child;
	}
	return NULL;
}

/* The new folder, if the tree has it. */
static struct folder *find_new(const struct folder_change *change)
{
	const struct folder *parent = change->parent ? named_folder(change, change->parent) :
		change->engine->tree->root;
	struct folder *folder = named_folder(change, change->name);

	return folder || !parent ? folder : child_called(parent, change->component);
}

/* The tree is as it was wanted. */
static bool is_so(const struct folder_change *change)
{
	const struct folder *folder = named_folder(change, change->folder);
	bool is_subscribed = folder && (folder->flags & MAILFS_FOLDER_SUBSCRIBED) != 0;

	switch (change->verb) {
	case MAILFS_FOLDER_CREATE:
		return find_new(change) != NULL;
	case MAILFS_FOLDER_DELETE:
		return !folder || (folder->flags & MAILFS_FOLDER_NOSELECT) != 0;
	case MAILFS_FOLDER_RENAME:
		return !folder && find_new(change);
	case MAILFS_FOLDER_SUBSCRIBE:
		return is_subscribed;
	case MAILFS_FOLDER_UNSUBSCRIBE:
		return !is_subscribed;
	}
	return false;
}

/* ---- the request ------------------------------------------------------------------------------- */

static void submit(struct folder_change *change);

/* What waits for messages of the folder follows it, before the tree forgets the old name. */
static void follow(struct folder_change *change, const char *name)
{
	struct engine *engine = change->engine;

	fault_point("folder: before the journal's rename");
	journal_rename_folder(engine->config.journal, change->folder, name, change->delimiter, NULL,
		NULL);
	changes_folder_renamed(engine, change->folder, name, change->delimiter);
	listing_note_rename(engine->listing, change->folder, name, change->delimiter);
}

static void on_listed(void *user, const GError *error);

/* The server has said yes. What somebody is about to look for must be shown; everything else will be
 * the next time. */
static void on_listed_good(struct folder_change *change, const GError *error)
{
	bool must_show = change->verb == MAILFS_FOLDER_CREATE && change->done && !find_new(change);

	if (error && must_show && change->lists++ < LISTS_MAX)
		listing_refresh(change->engine->listing, on_listed, change);
	else
		change_end(change, must_show ? error : NULL);
}

static void on_listed(void *user, const GError *error)
{
	struct folder_change *change = user;
	g_autoptr(GError) lost = g_steal_pointer(&change->lost);
	bool was_known = change->name != NULL;

	if (!lost) {
		on_listed_good(change, error);
		return;
	}
	if (error || change->is_refused || (!is_so(change) && (change->tries++ > 0 || !change->done))) {
		change_end(change, lost);
		return;
	}
	if (!is_so(change)) {
		submit(change);
		return;
	}
	if (change->verb == MAILFS_FOLDER_RENAME && !was_known)
		follow(change, find_new(change)->name);
	change_end(change, NULL);
}

static bool is_lost(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST);
}

/* The server's tree is not the one that we know, or half of it was done. */
static bool is_odd(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_EXISTS) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_GONE) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_TRY_LATER);
}

static void on_done(void *user, const char *name, const GError *error)
{
	struct folder_change *change = user;
	struct engine *engine = change->engine;

	pool_done(engine->pool, &change->job, error);
	fault_point("folder: after the command");
	change->is_refused = error && !is_lost(error);
	if (change->is_refused)
		engine_add_reason(engine, "%s: %s", change->component ? change->component : change->folder,
			error->message);
	if (change->is_refused && !is_odd(error)) {
		change_end(change, error);
		return;
	}
	if (error)
		change->lost = g_error_copy(error);
	change->name = g_strdup(name);
	if (!error && name && change->verb == MAILFS_FOLDER_RENAME)
		follow(change, name);
	listing_refresh(engine->listing, on_listed, change);
}

static struct folder_change *of_job(struct pool_job *job)
{
	return (struct folder_change *)((char *)job - G_STRUCT_OFFSET(struct folder_change, job));
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct folder_change *change = of_job(job);

	fault_point("folder: before the command");
	return change->engine->config.backend->change_folder(session,
		&(struct mailfs_folder_request){
			.verb = change->verb,
			.folder = change->folder,
			.parent = change->parent,
			.delimiter = change->delimiter,
			.component = change->component,
			.done = on_done,
			.user = change,
		});
}

static void job_fail(struct pool_job *job, const GError *error)
{
	change_end(of_job(job), error);
}

static void submit(struct folder_change *change)
{
	change->job = (struct pool_job){
		.priority = POOL_INTERACTIVE,
		.weight = 2,
		.vacates = change->verb == MAILFS_FOLDER_DELETE || change->verb == MAILFS_FOLDER_RENAME
			? change->folder : NULL,
		/* What has children is not deleted. */
		.vacates_below = change->verb == MAILFS_FOLDER_RENAME ? change->delimiter : 0,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(change->engine->pool, &change->job);
}

/* What was moved or removed early must be gone before the folder goes. */
static void on_settled(void *user, const GError *error)
{
	struct folder_change *change = user;

	if (error || !change->done)
		change_end(change, error);
	else
		submit(change);
}

/* Takes the change over. */
static engine_ticket begin(struct folder_change *change, struct folder *folder, engine_done_fn done,
	void *user)
{
	struct engine *engine = change->engine;
	engine_ticket ticket;

	change->done = done;
	change->user = user;
	g_ptr_array_add(engine->folder_changes, change);
	engine_waiter_add(engine, &change->waiter, &change_class);
	ticket = change->waiter.ticket;
	if (folder)
		engine_settle(engine, folder, on_settled, change);
	else
		submit(change);
	return g_hash_table_contains(engine->waiters, &ticket) ? ticket : 0;
}

static struct folder_change *change_new(struct engine *engine, enum mailfs_folder_verb verb,
	const struct folder *folder)
{
	struct folder_change *change = g_new0(struct folder_change, 1);

	change->engine = engine;
	change->verb = verb;
	change->folder = folder ? g_strdup(folder->name) : NULL;
	change->delimiter = folder ? folder->delimiter : 0;
	return change;
}

static void go_below(struct folder_change *change, const struct folder *parent,
	const char *component)
{
	change->parent = g_strdup(parent->name);
	change->component = g_strdup(component);
	if (parent->delimiter != 0)
		change->delimiter = parent->delimiter;
}

/* ---- may it be? -------------------------------------------------------------------------------- */

static bool deny(GError **error, enum mailfs_error code, const char *text)
{
	g_set_error_literal(error, MAILFS_ERROR, (gint)code, text);
	return false;
}

static bool may_change(const struct engine *engine, GError **error)
{
	enum engine_state state = pool_state(engine->pool);

	if (engine->config.is_read_only || !engine->config.journal)
		return deny(error, MAILFS_ERROR_READ_ONLY, "the mount is read-only");
	if (!engine->config.backend->change_folder)
		return deny(error, MAILFS_ERROR_READ_ONLY, "the server has no folders");
	if (state == ENGINE_OFFLINE || state == ENGINE_LOGIN_REFUSED || state == ENGINE_STOPPED)
		return deny(error, MAILFS_ERROR_OFFLINE, "offline");
	return true;
}

/* Rights are of folders: the top has none. */
static bool has_right(const struct folder *folder, unsigned right, GError **error)
{
	if (folder->name && (folder->rights & right) == 0)
		return deny(error, MAILFS_ERROR_DENIED, "the server does not allow it");
	return true;
}

static bool may_hold(const struct folder *parent, const char *component, GError **error)
{
	if (*component == '\0' || strlen(component) > COMPONENT_BYTES_MAX ||
		strchr(component, '/') || strcmp(component, ".") == 0 || strcmp(component, "..") == 0 ||
		!g_utf8_validate(component, -1, NULL))
		return deny(error, MAILFS_ERROR_INVALID, "not a name for a folder");
	if (parent->delimiter != 0 && strchr(component, parent->delimiter))
		return deny(error, MAILFS_ERROR_INVALID, "the name holds the server's delimiter");
	if ((parent->flags & MAILFS_FOLDER_NOINFERIORS) != 0)
		return deny(error, MAILFS_ERROR_NOT_POSSIBLE, "the folder takes no folders");
	if (child_called(parent, component))
		return deny(error, MAILFS_ERROR_EXISTS, "there is a folder of that name");
	return has_right(parent, MAILFS_RIGHT_CREATE, error);
}

static bool is_within(const struct folder *folder, const struct folder *top)
{
	for (; folder; folder = folder->parent) {
		if (folder == top)
			return true;
	}
	return false;
}

static bool may_go(const struct folder *folder, GError **error)
{
	if (!folder->name || (folder->flags & MAILFS_FOLDER_INBOX) != 0 ||
		g_ascii_strcasecmp(folder->name, "INBOX") == 0)
		return deny(error, MAILFS_ERROR_NOT_POSSIBLE, "INBOX stays where it is");
	return has_right(folder, MAILFS_RIGHT_REMOVE, error);
}

static void note_draft(void *user, struct draft *draft)
{
	*(bool *)user = true;
}

static bool is_empty(const struct engine *engine, const struct folder *folder)
{
	bool has_draft = false;

	if (folder->children->len > 0)
		return false;
	engine_each_draft(engine, folder, note_draft, &has_draft);
	return !has_draft;
}

/* ---- for those above --------------------------------------------------------------------------- */

engine_ticket engine_make_folder(struct engine *engine, struct folder *parent, const char *name,
	engine_done_fn done, void *user)
{
	g_autoptr(GError) error = NULL;
	struct folder_change *change;

	if (!may_change(engine, &error) || !may_hold(parent, name, &error)) {
		done(user, error);
		return 0;
	}
	change = change_new(engine, MAILFS_FOLDER_CREATE, NULL);
	go_below(change, parent, name);
	return begin(change, NULL, done, user);
}

engine_ticket engine_remove_folder(struct engine *engine, struct folder *folder,
	engine_done_fn done, void *user)
{
	g_autoptr(GError) error = NULL;

	if (may_change(engine, &error) && may_go(folder, &error)) {
		/* What the server or its programs count on is not removed by an rm -r. */
		if (folder->role)
			deny(&error, MAILFS_ERROR_NOT_POSSIBLE, "the folder has a special use");
		else if (!is_empty(engine, folder))
			deny(&error, MAILFS_ERROR_NOT_EMPTY, "the folder is not empty");
	}
	if (error) {
		done(user, error);
		return 0;
	}
	return begin(change_new(engine, MAILFS_FOLDER_DELETE, folder), folder, done, user);
}

engine_ticket engine_rename_folder(struct engine *engine, struct folder *folder,
	struct folder *parent, const char *name, engine_done_fn done, void *user)
{
	g_autoptr(GError) error = NULL;
	struct folder_change *change;

	if (may_change(engine, &error) && may_go(folder, &error)) {
		if (is_within(parent, folder))
			deny(&error, MAILFS_ERROR_INVALID, "a folder cannot go into itself");
		else
			may_hold(parent, name, &error);
	}
	if (error) {
		done(user, error);
		return 0;
	}
	change = change_new(engine, MAILFS_FOLDER_RENAME, folder);
	go_below(change, parent, name);
	return begin(change, folder, done, user);
}

engine_ticket engine_subscribe_folder(struct engine *engine, struct folder *folder, bool is_wanted,
	engine_done_fn done, void *user)
{
	g_autoptr(GError) error = NULL;

	if (may_change(engine, &error) && !folder->name)
		deny(&error, MAILFS_ERROR_NOT_POSSIBLE, "there is nothing to subscribe to");
	if (error || ((folder->flags & MAILFS_FOLDER_SUBSCRIBED) != 0) == is_wanted) {
		done(user, error);
		return 0;
	}
	return begin(change_new(engine,
			     is_wanted ? MAILFS_FOLDER_SUBSCRIBE : MAILFS_FOLDER_UNSUBSCRIBE, folder),
		NULL, done, user);
}
