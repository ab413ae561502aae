/* SPDX-License-Identifier: MIT */
/* UID lists: three means, the next when one is refused or tells nothing. Loop thread. RFC 9051
 * §6.4.4, RFC 4731. */
#include "backend/imap/search.h"

#include "backend/imap/request.h"
#include "backend/imap/session.h"

/* One line lists them all, and our lines are bounded: larger folders are listed by FETCH. */
#define SEARCH_MAX 80000

enum means { MEANS_ESEARCH, MEANS_SEARCH, MEANS_FETCH, MEANS_NONE };

static void search_next(struct search *search);

static void add_range(void *user, uint32_t first, uint32_t last)
{
	struct search *search = user;

	uidlist_add(&search->found, first, last);
}

static bool on_untagged(struct command *command, const struct imap_response *response)
{
	return imap_search_parse(response, add_range, command->user);
}

static bool on_fetch(struct command *command, const struct imap_fetch *fetch)
{
	struct search *search = command->user;

	if ((fetch->has & IMAP_FETCH_UID) == 0 || (fetch->has & ~(unsigned)IMAP_FETCH_UID) != 0)
		return false;
	uidlist_add(&search->found, fetch->uid, fetch->uid);
	return true;
}

/* More UIDs than messages: a range that the server cannot mean (SEC-29). */
static bool is_possible(struct search *search)
{
	const struct mailfs_session *s = search->request->session;

	return !search->found.is_over &&
		uidlist_count(&search->found) <= (uint64_t)s->box.exists + 1024;
}

static bool covers_all(const struct search *search)
{
	return search->first <= 1 && search->last == UINT32_MAX;
}

/* Refused once: not tried again on this connection (EX-4). */
static void latch(struct search *search)
{
	struct mailfs_session *s = search->request->session;

	if (search->means == MEANS_ESEARCH)
		s->no_esearch = true;
	else if (search->means == MEANS_SEARCH)
		s->no_search = true;
}

static void give_up(struct search *search, const char *text)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_PROTOCOL, "%s", text);

	search->then(search->request, error);
}

static void on_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct search *search = command->user;
	struct mailfs_session *s = search->request->session;
	bool is_syntax = error && response &&
		(response->status == IMAP_BAD || error->code == MAILFS_ERROR_PROTOCOL);

	if (is_syntax && search->means < MEANS_FETCH) {
		latch(search);
		search_next(search);
		return;
	}
	if (error) {
		search->then(search->request, error);
		return;
	}
	uidlist_sort(&search->found);
	/* Nothing found may mean that the server does not search at all. */
	if (uidlist_count(&search->found) == 0 && s->box.exists > 0 && search->means < MEANS_FETCH) {
		search_next(search);
		return;
	}
	if (uidlist_count(&search->found) == 0 && s->box.exists > 0 && covers_all(search)) {
		give_up(search, "the server lists no messages in a folder that has some");
		return;
	}
	if (!is_possible(search)) {
		give_up(search, "the server lists more messages than the folder has");
		return;
	}
	uidlist_clip(&search->found, search->first, search->last);
	search->then(search->request, NULL);
}

static const struct command_hooks hooks = {
	.untagged = on_untagged, .fetch = on_fetch, .done = on_done,
};

static bool is_offered(const struct mailfs_session *s, unsigned means)
{
	if (means == MEANS_FETCH)
		return true;
	if (s->box.exists > SEARCH_MAX)
		return false;
	return means == MEANS_ESEARCH ? s->caps.esearch && !s->no_esearch : !s->no_search;
}

static struct imap_cmd *build(const struct search *search)
{
	struct imap_cmd *cmd =
		imap_cmd_new(search->means == MEANS_FETCH ? "UID FETCH" : "UID SEARCH");
	g_autofree char *last = search->last == UINT32_MAX
		? g_strdup("*")
		: g_strdup_printf("%" G_GUINT32_FORMAT, search->last);
	bool is_all = covers_all(search);

	if (search->means == MEANS_ESEARCH)
		imap_cmd_raw(cmd, "RETURN (ALL)");
	if (search->means == MEANS_FETCH)
		imap_cmd_rawf(cmd, "%" G_GUINT32_FORMAT ":%s (UID)", search->first, last);
	else if (is_all)
		imap_cmd_raw(cmd, "ALL");
	else
		imap_cmd_rawf(cmd, "UID %" G_GUINT32_FORMAT ":%s", search->first, last);
	return cmd;
}

static void search_next(struct search *search)
{
	struct mailfs_session *s = search->request->session;
	struct command *command;

	do
		search->means++;
	while (!is_offered(s, search->means));
	uidlist_clear(&search->found);
	command = command_new(build(search), &hooks, search->request, "listing");
	command->user = search;
	command->box = g_strdup(search->box);
	command->has_uidvalidity = search->has_uidvalidity;
	command->uidvalidity = search->uidvalidity;
	queue_add(&s->queue, command);
}

void search_init(struct search *search)
{
	uidlist_init(&search->found);
}

void search_start(struct search *search)
{
	search->first = MAX(search->first, 1);
	search->means = (unsigned)-1;
	search_next(search);
}

void search_done(struct search *search)
{
	uidlist_done(&search->found);
}
