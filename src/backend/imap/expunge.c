/* SPDX-License-Identifier: MIT */
/* Marking, expunging, looking again. Loop thread. RFC 9051 §6.4.3, RFC 4315 §2.1, EX-1, WR-6. */
#include "backend/imap/expunge.h"

#include <string.h>

#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "backend/imap/verdict.h"

enum target_state {
	TARGET_OPEN,
	TARGET_MARKED, /* there, and \Deleted */
	TARGET_KEPT,   /* there, though it should not be */
	TARGET_GONE,   /* told */
};

/* ---- the end --------------------------------------------------------------------------------- */

static void finish(struct expunge *expunge, enum mailfs_error code, const char *text)
{
	g_autoptr(GError) error = NULL;

	if (text)
		error = g_error_new(MAILFS_ERROR, (gint)code, "%s", text);
	expunge->then(expunge->targets.request, error);
}

static void keep_refusal(struct expunge *expunge, const GError *error)
{
	if (!expunge->refusal)
		expunge->refusal = g_error_copy(error);
}

/* Nothing was answered: the folder is another, or could not be opened. */
static bool is_over(struct expunge *expunge, const struct imap_response *response,
	const GError *error)
{
	if (!error || response)
		return false;
	expunge->then(expunge->targets.request, error);
	return true;
}

static void tell_gone(struct expunge *expunge, size_t i)
{
	struct request *request = expunge->targets.request;

	expunge->states[i] = TARGET_GONE;
	if (!request->is_cancelled)
		expunge->gone(request, expunge->targets.uids[i]);
}

/* What is not in the answer counts as gone: so nothing else may be in flight that could take a line
 * of it. A server that runs commands side by side answers them in each other's place (Dovecot). */
static void ask_alone(const struct targets *targets, const char *set,
	const struct command_hooks *hooks, const struct span *span, const char *what)
{
	queue_add(&targets->request->session->queue,
		targets_command(targets, change_ask_cmd(set), hooks, span, what));
}

/* ---- looking again --------------------------------------------------------------------------- */

static bool on_still_there(struct command *command, const struct imap_fetch *line)
{
	const struct span *span = command->user;
	struct expunge *expunge = span->owner;
	ssize_t i = targets_find(&expunge->targets, line->uid);

	if ((line->has & IMAP_FETCH_UID) == 0 || i < 0)
		return false;
	if (expunge->states[i] == TARGET_MARKED)
		expunge->states[i] = TARGET_KEPT;
	return true;
}

static void judge(struct expunge *expunge)
{
	size_t kept = 0;

	for (size_t i = 0; i < expunge->targets.count; i++) {
		kept += expunge->states[i] == TARGET_KEPT;
		if (expunge->states[i] == TARGET_MARKED)
			tell_gone(expunge, i);
	}
	if (expunge->refusal)
		expunge->then(expunge->targets.request, expunge->refusal);
	else
		finish(expunge, MAILFS_ERROR_PROTOCOL,
			kept > 0 ? "the server did not remove what it was told to" : NULL);
}

static void on_look_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct expunge *expunge = ((struct span *)command->user)->owner;

	/* What was not looked at is not known to be gone. */
	if (error)
		expunge->then(expunge->targets.request, error);
	else if (--expunge->open == 0)
		judge(expunge);
}

static void take_vanished(void *user, uint32_t first, uint32_t last)
{
	struct expunge *expunge = user;

	const struct targets *marked = &expunge->marked;

	for (size_t i = targets_lower(marked, first); i < marked->count && marked->uids[i] <= last; i++) {
		ssize_t at = targets_find(&expunge->targets, marked->uids[i]);

		if (expunge->states[at] == TARGET_MARKED)
			tell_gone(expunge, (size_t)at);
	}
}

/* Those that VANISHED did not name. */
static void look_again(struct expunge *expunge)
{
	static const struct command_hooks hooks = { .fetch = on_still_there, .done = on_look_done };
	struct targets *left = &expunge->marked;
	size_t at = 0, kept = 0;

	uidlist_each(&expunge->vanished, take_vanished, expunge);
	for (size_t i = 0; i < left->count; i++)
		if (expunge->states[targets_find(&expunge->targets, left->uids[i])] == TARGET_MARKED)
			left->uids[kept++] = left->uids[i];
	left->count = kept;
	while (at < left->count) {
		g_autofree char *set = NULL;
		struct span span = targets_next(left, at, SIZE_MAX, &set);

		at = span.to;
		expunge->open++;
		ask_alone(left, set, &hooks, &span, "looking for removed messages");
	}
	if (expunge->open == 0)
		judge(expunge);
}

/* ---- EXPUNGE --------------------------------------------------------------------------------- */

static bool on_vanished(struct expunge *expunge, const struct imap_response *response)
{
	struct uidlist list;
	bool is_earlier;

	uidlist_init(&list);
	if (imap_vanished_parse(response, &is_earlier, uidlist_add_range, &list) && !is_earlier)
		uidlist_each(&list, uidlist_add_range, &expunge->vanished);
	uidlist_done(&list);
	return false;
}

static bool on_plain_untagged(struct command *command, const struct imap_response *response)
{
	return on_vanished(command->user, response);
}

static void on_plain_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct expunge *expunge = command->user;

	if (is_over(expunge, response, error))
		return;
	if (error)
		keep_refusal(expunge, error);
	look_again(expunge);
}

/* ---- without UIDPLUS ------------------------------------------------------------------------- */

struct comparison {
	const struct targets *marked;
	size_t at;
	bool is_equal;
};

static void compare_range(void *user, uint32_t first, uint32_t last)
{
	struct comparison *comparison = user;
	const struct targets *marked = comparison->marked;

	for (uint64_t uid = first; uid <= last && comparison->is_equal; uid++)
		comparison->is_equal = comparison->at < marked->count &&
			marked->uids[comparison->at++] == uid;
}

static bool is_exactly_ours(struct expunge *expunge)
{
	struct comparison comparison = { .marked = &expunge->marked, .is_equal = true };

	if (expunge->deleted.is_over)
		return false;
	uidlist_each(&expunge->deleted, compare_range, &comparison);
	return comparison.is_equal && comparison.at == expunge->marked.count;
}

static void add_plain(struct expunge *expunge)
{
	static const struct command_hooks hooks = {
		.untagged = on_plain_untagged, .done = on_plain_done,
	};
	struct command *command = targets_command(&expunge->targets, imap_cmd_new("EXPUNGE"), &hooks,
		NULL, "removing messages");

	command->user = expunge;
	/* Nothing may get between the list and the expunge. */
	queue_add_first(&expunge->targets.request->session->queue, command);
}

static void on_deleted_listed(struct expunge *expunge)
{
	if (is_exactly_ours(expunge))
		add_plain(expunge);
	else
		finish(expunge, MAILFS_ERROR_NOT_POSSIBLE,
			"other messages are marked as deleted, and the server cannot remove single ones: "
			"these stay marked");
}

static void add_range(void *user, uint32_t first, uint32_t last)
{
	uidlist_add(&((struct expunge *)user)->deleted, first, last);
}

static bool on_deleted_line(struct command *command, const struct imap_fetch *line)
{
	const unsigned both = IMAP_FETCH_UID | IMAP_FETCH_FLAGS;

	if ((line->has & both) != both)
		return false;
	if ((line->flags & MAILFS_FLAG_DELETED) != 0)
		add_range(command->user, line->uid, line->uid);
	return true;
}

static void on_all_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct expunge *expunge = command->user;

	if (error)
		expunge->then(expunge->targets.request, error);
	else
		on_deleted_listed(expunge);
}

/* Servers that do not search, or lie about it: the flags of all messages. */
static void list_by_fetch(struct expunge *expunge)
{
	static const struct command_hooks hooks = { .fetch = on_deleted_line, .done = on_all_done };
	struct command *command = targets_command(&expunge->targets, change_ask_cmd("1:*"), &hooks, NULL,
		"listing deleted messages");

	uidlist_clear(&expunge->deleted);
	command->user = expunge;
	queue_add_first(&expunge->targets.request->session->queue, command);
}

static bool on_deleted_found(struct command *command, const struct imap_response *response)
{
	return imap_search_parse(response, add_range, command->user);
}

static void on_search_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct expunge *expunge = command->user;

	if (is_over(expunge, response, error))
		return;
	if (error || uidlist_count(&expunge->deleted) < expunge->marked.count)
		list_by_fetch(expunge);
	else
		on_deleted_listed(expunge);
}

static void expunge_plainly(struct expunge *expunge)
{
	static const struct command_hooks hooks = {
		.untagged = on_deleted_found, .done = on_search_done,
	};
	struct command *command = targets_command(&expunge->targets,
		imap_cmd_new("UID SEARCH DELETED"), &hooks, NULL, "listing deleted messages");

	command->user = expunge;
	queue_add(&expunge->targets.request->session->queue, command);
}

/* ---- UID EXPUNGE ----------------------------------------------------------------------------- */

static bool on_uid_untagged(struct command *command, const struct imap_response *response)
{
	return on_vanished(((struct span *)command->user)->owner, response);
}

static void on_uid_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct expunge *expunge = ((struct span *)command->user)->owner;
	struct mailfs_session *s = expunge->targets.request->session;

	if (is_over(expunge, response, error))
		return;
	if (error && response->status == IMAP_BAD)
		s->no_uid_expunge = true;
	else if (error)
		keep_refusal(expunge, error);
	if (--expunge->open > 0)
		return;
	if (s->no_uid_expunge)
		expunge_plainly(expunge);
	else
		look_again(expunge);
}

static void expunge_by_uid(struct expunge *expunge)
{
	static const struct command_hooks hooks = { .untagged = on_uid_untagged, .done = on_uid_done };
	size_t at = 0;

	while (at < expunge->marked.count) {
		g_autofree char *set = NULL;
		struct span span = targets_next(&expunge->marked, at, SIZE_MAX, &set);
		struct imap_cmd *cmd = imap_cmd_new("UID EXPUNGE");

		at = span.to;
		imap_cmd_raw(cmd, set);
		expunge->open++;
		queue_add(&expunge->targets.request->session->queue,
			targets_command(&expunge->marked, cmd, &hooks, &span, "removing messages"));
	}
}

/* ---- marking --------------------------------------------------------------------------------- */

static bool on_early_flags(struct command *command, const struct imap_fetch *line)
{
	const struct span *span = command->user;
	struct expunge *expunge = span->owner;

	return (line->has & IMAP_FETCH_UID) != 0 &&
		span_find(command, &expunge->targets, line->uid) >= 0;
}

static bool on_flags(struct command *command, const struct imap_fetch *line)
{
	const struct span *span = command->user;
	struct expunge *expunge = span->owner;
	const unsigned both = IMAP_FETCH_UID | IMAP_FETCH_FLAGS;
	ssize_t i;

	if ((line->has & both) != both)
		return false;
	i = span_find(command, &expunge->targets, line->uid);
	if (i >= 0)
		expunge->states[i] =
			(line->flags & MAILFS_FLAG_DELETED) != 0 ? TARGET_MARKED : TARGET_KEPT;
	return i >= 0;
}

static bool sort_out(struct expunge *expunge)
{
	struct targets *marked = &expunge->marked;
	size_t kept = 0;

	for (size_t i = 0; i < expunge->targets.count; i++) {
		if (expunge->states[i] == TARGET_OPEN)
			tell_gone(expunge, i); /* it was gone before */
		else if (expunge->states[i] == TARGET_MARKED)
			marked->uids[marked->count++] = expunge->targets.uids[i];
		else
			kept++;
	}
	return kept == 0;
}

/* All are marked or gone, or it ends here: what the server does not mark it will not remove. */
static void on_marked(struct expunge *expunge)
{
	const struct mailfs_session *s = expunge->targets.request->session;

	if (!sort_out(expunge)) {
		if (expunge->refusal)
			expunge->then(expunge->targets.request, expunge->refusal);
		else
			finish(expunge, MAILFS_ERROR_PROTOCOL,
				"the server did not mark messages as deleted");
		return;
	}
	g_clear_error(&expunge->refusal); /* of messages that are gone */
	if (expunge->marked.count == 0)
		finish(expunge, 0, NULL);
	else if (s->caps.uidplus && !s->no_uid_expunge)
		expunge_by_uid(expunge);
	else
		expunge_plainly(expunge);
}

static void on_store_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct expunge *expunge = ((struct span *)command->user)->owner;

	if (is_over(expunge, response, error))
		return;
	if (error)
		keep_refusal(expunge, error);
	/* The read-back of the same set comes after it. */
	expunge->open--;
}

static void on_flags_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct expunge *expunge = ((struct span *)command->user)->owner;

	if (error)
		expunge->then(expunge->targets.request,
			expunge->refusal ? expunge->refusal : error);
	else if (--expunge->open == 0)
		on_marked(expunge);
}

void expunge_start(struct expunge *expunge)
{
	static const struct command_hooks mark_hooks = {
		.fetch = on_early_flags, .done = on_store_done,
	};
	static const struct command_hooks ask_hooks = { .fetch = on_flags, .done = on_flags_done };
	struct targets *targets = &expunge->targets;
	size_t at = 0;

	g_assert(targets->count > 0);
	targets->owner = expunge;
	targets_init(&expunge->marked, targets->request, targets->folder, targets->uidvalidity,
		targets->uids, targets->count);
	expunge->marked.owner = expunge;
	expunge->marked.count = 0; /* the room is what was wanted */
	expunge->states = g_new0(uint8_t, targets->count);
	while (at < targets->count) {
		g_autofree char *set = NULL;
		struct span span = targets_next(targets, at, SIZE_MAX, &set);

		at = span.to;
		expunge->open += 2;
		targets_add(targets, change_store_cmd(set, true, MAILFS_FLAG_DELETED, NULL),
			&mark_hooks, &span, "marking messages as deleted");
		ask_alone(targets, set, &ask_hooks, &span, "reading flags back");
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

void expunge_init(struct expunge *expunge)
{
	uidlist_init(&expunge->deleted);
	uidlist_init(&expunge->vanished);
}

void expunge_done(struct expunge *expunge)
{
	targets_done(&expunge->targets);
	targets_done(&expunge->marked);
	uidlist_done(&expunge->deleted);
	uidlist_done(&expunge->vanished);
	g_clear_error(&expunge->refusal);
	g_clear_pointer(&expunge->states, g_free);
}
