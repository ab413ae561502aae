/* SPDX-License-Identifier: MIT */
/*
 * A change of flags that somebody asks for: what of it may be, and the request itself. Nothing that a
 * server does not take for an atom ever gets past this (FL-2). Loop thread.
 */
#include "base/clock.h"
#include "engine/changer_impl.h"

/* ---- may it be? -------------------------------------------------------------------------------- */

static bool are_atoms(const char *const *list)
{
	for (unsigned count = 0; list && *list; list++) {
		if (!keyword_is_valid(*list) || ++count > KEYWORDS_MAX)
			return false;
	}
	return true;
}

/* PERMANENTFLAGS: what the server would not keep is refused, never silently lost (FL-1). */
static bool is_permanent(const struct folder *folder, const struct delta *delta)
{
	g_autofree char *both = words_plus(delta->add_words, delta->remove_words);
	g_autofree char *known = NULL;

	if (((delta->add | delta->remove) & ~folder->permanent_flags) != 0)
		return false;
	if (folder->keywords_allowed || *both == '\0')
		return true;
	known = words_new((const char *const *)folder->keywords);
	return words_include(known, both);
}

static unsigned rights_for(const struct delta *delta)
{
	unsigned flags = delta->add | delta->remove;
	unsigned rights = 0;

	if ((flags & MAILFS_FLAG_SEEN) != 0)
		rights |= MAILFS_RIGHT_SEEN;
	if ((flags & MAILFS_FLAG_DELETED) != 0)
		rights |= MAILFS_RIGHT_DELETE;
	if ((flags & ~(MAILFS_FLAG_SEEN | MAILFS_FLAG_DELETED)) != 0 ||
		*delta->add_words != '\0' || *delta->remove_words != '\0')
		rights |= MAILFS_RIGHT_FLAGS;
	return rights;
}

/* Of a whole set: what differs from what is shown. */
static struct delta make_delta(const struct mailbox *box, const struct message *message,
	const struct engine_flag_change *change)
{
	const char *shown = mailbox_keywords(box, message->keywords);
	g_autofree char *wanted = words_new(change->add_keywords);
	unsigned remove;

	if (!change->is_replacement)
		return delta_make(change->add, change->remove, g_steal_pointer(&wanted),
			words_new(change->remove_keywords));
	remove = message->flags & ~change->add;
	return delta_make(change->add & ~(unsigned)message->flags, remove, words_minus(wanted, shown),
		words_minus(shown, wanted));
}

static bool check(const struct engine *engine, const struct folder *folder,
	const struct message *message, const struct delta *delta, GError **error)
{
	unsigned flags = message->flags;
	g_autofree char *words = g_strdup(mailbox_keywords(folder->box, message->keywords));

	if (!changes_allowed(engine, folder, rights_for(delta), error))
		return false;
	delta_apply(delta, &flags, &words);
	if (*delta->add_words != '\0' && words_count(words) > KEYWORDS_MAX)
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "too many keywords");
	else if (!is_permanent(folder, delta))
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE,
			"%s: the server does not keep such a flag", folder->path);
	else
		return true;
	return false;
}

/* The server has no flags: these are the cache's. */
static void apply_here(struct engine *engine, struct folder *folder, struct message *message,
	const struct delta *delta)
{
	g_autofree char *words = g_strdup(mailbox_keywords(folder->box, message->keywords));
	struct store_batch *batch = store_batch_new(engine->config.store, folder->box->id);
	bool was_seen = (message->flags & MAILFS_FLAG_SEEN) != 0;
	unsigned flags = message->flags;

	delta_apply(delta, &flags, &words);
	mailbox_set_flags(folder->box, message, flags, mailbox_intern_keyword_text(folder->box, words));
	message->ctime_ns = MAX(clock_realtime_ns(), message->ctime_ns + 1);
	if (!was_seen && (message->flags & MAILFS_FLAG_SEEN) != 0)
		message->seen_time = (uint32_t)(message->ctime_ns / 1000000000);
	folder->unseen = folder->box->unseen;
	store_batch_put(batch, &(struct store_message){ .message = message, .keywords = words });
	store_batch_commit(batch, NULL, NULL);
	engine->events.message_changed(engine->user, folder, message->uid);
}

/* Takes what may be changed and is of any effect; else an error, or nothing. */
static struct wish_row *make_row(struct engine *engine, uint32_t box_id, uint32_t uid,
	const struct engine_flag_change *change, GError **error)
{
	struct folder *folder = tree_by_box(engine->tree, box_id);
	struct message *message = folder && folder->box ? mailbox_find(folder->box, uid) : NULL;
	struct wish_row *row;
	struct delta delta;

	if (!message || engine_is_hidden(engine, box_id, uid)) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_GONE, "the message is no more");
		return NULL;
	}
	if (!are_atoms(change->add_keywords) || !are_atoms(change->remove_keywords)) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "not a keyword that a server takes");
		return NULL;
	}
	delta = make_delta(folder->box, message, change);
	if (!check(engine, folder, message, &delta, error) || delta_is_empty(&delta)) {
		delta_clear(&delta);
		return NULL;
	}
	if (!engine->config.backend->store) {
		apply_here(engine, folder, message, &delta);
		delta_clear(&delta);
		return NULL;
	}
	row = g_new0(struct wish_row, 1);
	row->delta = delta;
	changer_add(engine, folder, message, row);
	return row;
}

engine_ticket engine_change_flags(struct engine *engine, uint32_t box_id, uint32_t uid,
	const struct engine_flag_change *change, engine_done_fn done, void *user)
{
	g_autoptr(GError) error = NULL;
	struct wish_row *row = make_row(engine, box_id, uid, change, &error);

	if (!row) {
		if (done)
			done(user, error);
		return 0;
	}
	if (!done)
		return 0;
	row->done = done;
	row->user = user;
	engine_waiter_add(engine, &row->waiter, &changer_waiter_class);
	return row->waiter.ticket;
}

void engine_mark_read(struct engine *engine, uint32_t box_id, uint32_t uid)
{
	struct folder *folder = tree_by_box(engine->tree, box_id);
	const struct message *message =
		folder && folder->box ? mailbox_find(folder->box, uid) : NULL;

	if (message && (message->flags & MAILFS_FLAG_SEEN) == 0)
		engine_change_flags(engine, box_id, uid,
			&(struct engine_flag_change){ .add = MAILFS_FLAG_SEEN }, NULL, NULL);
}
