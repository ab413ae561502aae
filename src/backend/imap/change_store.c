/* SPDX-License-Identifier: MIT */
/*
 * Flags: for each set of UIDs STORE what is added, STORE what is removed, and FETCH what has become
 * of it, all in one go. A refusal of STORE does not keep the flags from being read back: some may
 * be done, and the caller compares. Loop thread. RFC 9051 §6.4.6, FL-1.
 */
#include "backend/imap/change.h"
#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "backend/imap/verdict.h"

struct store {
	struct request request;
	struct mailfs_store_request args;
	struct targets targets;
	char **add_keywords, **remove_keywords;
	unsigned open;   /* commands without an answer */
	GError *refusal; /* of the first STORE that was refused */
};

/* ---- answers --------------------------------------------------------------------------------- */

/* A server that runs commands side by side answers the FETCH before it says OK to the STORE (seen on
 * Dovecot 2.3). What was told earlier is told over by the answer, which comes last. */
static bool on_flags(struct command *command, const struct imap_fetch *line)
{
	struct store *store = (struct store *)command->request;

	if ((line->has & IMAP_FETCH_UID) == 0 || span_find(command, &store->targets, line->uid) < 0)
		return false;
	if ((line->has & IMAP_FETCH_FLAGS) != 0 && !store->request.is_cancelled)
		store->args.flags(store->args.user, line->uid, line->flags, line->keywords);
	return true;
}

/* Messages that are gone cannot be refused: what is read back has the last word. */
static void settle(struct store *store)
{
	bool is_final = store->refusal && store->refusal->code != MAILFS_ERROR_GONE;

	request_finish(&store->request, is_final ? store->refusal : NULL);
}

static void on_store_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct store *store = (struct store *)command->request;

	if (error && !response) {
		request_finish(&store->request, error);
		return;
	}
	if (error && !store->refusal)
		store->refusal = g_error_copy(error);
	if (--store->open == 0)
		settle(store);
}

static void on_flags_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct store *store = (struct store *)command->request;

	if (error)
		request_finish(&store->request, store->refusal ? store->refusal : error);
	else if (--store->open == 0)
		settle(store);
}

/* ---- commands -------------------------------------------------------------------------------- */

static bool add_store(struct store *store, const struct span *span, const char *set, bool is_add)
{
	static const struct command_hooks hooks = { .fetch = on_flags, .done = on_store_done };
	unsigned flags = is_add ? store->args.add : store->args.remove;
	char **keywords = is_add ? store->add_keywords : store->remove_keywords;
	struct imap_cmd *cmd;

	if (flags == 0 && !(keywords && keywords[0]))
		return true;
	cmd = change_store_cmd(set, is_add, flags, (const char *const *)keywords);
	if (!cmd)
		return false;
	store->open++;
	targets_add(&store->targets, cmd, &hooks, span, "changing flags");
	return true;
}

static bool store_set(struct store *store, size_t *at)
{
	static const struct command_hooks hooks = { .fetch = on_flags, .done = on_flags_done };
	g_autofree char *set = NULL;
	struct span span = targets_next(&store->targets, *at, SIZE_MAX, &set);

	*at = span.to;
	if (!add_store(store, &span, set, true) || !add_store(store, &span, set, false))
		return false;
	store->open++;
	targets_add(&store->targets, change_ask_cmd(set), &hooks, &span, "reading flags back");
	return true;
}

static void store_begin(struct request *request)
{
	struct store *store = (struct store *)request;
	size_t at = 0;

	if (change_is_refused(request))
		return;
	while (at < store->targets.count) {
		if (!store_set(store, &at)) {
			request_fail(request, MAILFS_ERROR_INVALID, "a keyword that no server takes");
			return;
		}
	}
	if (store->targets.count == 0)
		request_finish(request, NULL);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void store_done(struct request *request, const GError *error)
{
	struct store *store = (struct store *)request;

	store->args.done(store->args.user, error);
}

static void store_free(struct request *request)
{
	struct store *store = (struct store *)request;

	targets_done(&store->targets);
	g_strfreev(store->add_keywords);
	g_strfreev(store->remove_keywords);
	g_clear_error(&store->refusal);
	g_free(store);
}

mailfs_ticket store_start(struct mailfs_session *s, const struct mailfs_store_request *args)
{
	struct store *store = g_new0(struct store, 1);

	store->request =
		(struct request){ .start = store_begin, .done = store_done, .free = store_free };
	store->args = *args;
	store->add_keywords = g_strdupv((char **)args->add_keywords);
	store->remove_keywords = g_strdupv((char **)args->remove_keywords);
	targets_init(&store->targets, &store->request, args->folder, args->uidvalidity, args->uids,
		args->uid_count);
	return request_add(s, &store->request);
}
