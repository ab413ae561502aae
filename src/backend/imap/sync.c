/* SPDX-License-Identifier: MIT */
/*
 * Bringing a folder up to date. SELECT (or EXAMINE) first; then, from the cheapest:
 *
 *   delta   known, and the server counts changes (CONDSTORE): flags CHANGEDSINCE, with VANISHED
 *           where QRESYNC is on; new mail; where the numbers do not add up, the UID list, whose
 *           gaps are what vanished. is_delta = true.
 *   compare known, no CONDSTORE: the flags of all known UIDs, and new mail. is_delta = false.
 *   sweep   nothing known: everything about everything, in chunks. is_delta = false.
 *
 * VANISHED is held back to the end and is never expanded; when it would remove half of a folder
 * the UID list has the last word (ID-6). A full listing that is shorter than the folder is an
 * error, never a smaller folder. Loop thread. RFC 7162.
 */
#include <string.h>

#include "backend/imap/session.h"
#include "backend/imap/sync_impl.h"

#define VANISHED_DOUBT 20                 /* fewer vanished messages than this are believed */
#define MESSAGES_MAX   (16u * 1000 * 1000) /* a larger folder is an attack on our memory */

/* ---- the end --------------------------------------------------------------------------------- */

static void report_vanished(void *user, uint32_t first, uint32_t last)
{
	struct sync *sync = user;

	sync->args.vanished(sync->args.user, first, last);
}

static void sync_finish(struct sync *sync)
{
	sync_report_flush(sync);
	uidlist_each(&sync->vanished, report_vanished, sync);
	request_finish(&sync->request, NULL);
}

/* ---- what all commands have in common -------------------------------------------------------- */

bool sync_on_vanished(struct command *command, const struct imap_response *response)
{
	struct sync *sync = (struct sync *)command->request;
	bool is_earlier;

	if (strcmp(response->name, "VANISHED") != 0)
		return false;
	sync->has_vanished = true;
	return imap_vanished_parse(response, &is_earlier, uidlist_add_range, &sync->vanished);
}

/* Some messages have two lines, none has a hundred. */
static bool is_endless(struct sync *sync)
{
	uint32_t messages = MAX(sync->request.session->box.exists, sync->args.known.count);

	return ++sync->lines > (uint64_t)messages * 4 + 100000;
}

static bool take_line(struct sync *sync, const struct imap_fetch *line, bool is_full)
{
	if (line->uid == 0)
		return true; /* ID-4: no message has this UID */
	uidlist_add(&sync->seen, line->uid, line->uid);
	if (is_endless(sync)) {
		session_fail(sync->request.session, MAILFS_ERROR_PROTOCOL,
			"the server lists messages without end");
		return true;
	}
	sync_report_add(sync, line, is_full);
	return true;
}

bool sync_take_full(struct sync *sync, const struct imap_fetch *line)
{
	const unsigned rest = IMAP_FETCH_SIZE | IMAP_FETCH_DATE | IMAP_FETCH_HEADER |
		IMAP_FETCH_EMAIL_ID;

	if ((line->has & rest) != 0)
		return take_line(sync, line, true);
	/* Only flags: some other session changed them. The message is there, and told about with
	 * its own line; if that was before, the next sync has the news. */
	uidlist_add(&sync->seen, line->uid, line->uid);
	return false;
}

static bool on_known(struct command *command, const struct imap_fetch *line)
{
	struct sync *sync = (struct sync *)command->request;

	if ((line->has & IMAP_FETCH_UID) == 0 || line->uid > sync->args.known.uid_max)
		return false;
	return take_line(sync, line, false);
}

static bool on_new(struct command *command, const struct imap_fetch *line)
{
	struct sync *sync = (struct sync *)command->request;

	if ((line->has & IMAP_FETCH_UID) == 0)
		return false;
	/* n:* names the last message even when it is older than n (ID-3): no news. Only flags: a
	 * change that some other session made. */
	if (line->uid <= sync->args.known.uid_max)
		return (line->has & (IMAP_FETCH_SIZE | IMAP_FETCH_DATE)) != 0;
	return sync_take_full(sync, line);
}

struct command *sync_add_command(struct sync *sync, struct imap_cmd *cmd,
	const struct command_hooks *hooks, bool is_pipelined)
{
	struct command *command = command_new(cmd, hooks, &sync->request, "listing the folder");

	command->box = g_strdup(sync->folder);
	command->has_uidvalidity = true;
	command->uidvalidity = sync->uidvalidity;
	command->is_pipelined = is_pipelined;
	sync->open++;
	queue_add(&sync->request.session->queue, command);
	return command;
}

static void on_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct sync *sync = (struct sync *)command->request;

	if (error)
		request_finish(&sync->request, error);
	else if (--sync->open == 0)
		sync_check(sync);
}

char *sync_items(const struct mailfs_session *s)
{
	GString *items = g_string_new("(UID FLAGS INTERNALDATE RFC822.SIZE");

	if (s->caps.condstore || s->caps.qresync)
		g_string_append(items, " MODSEQ");
	if (s->caps.gmail)
		g_string_append(items, " X-GM-MSGID X-GM-THRID");
	else if (s->caps.objectid)
		g_string_append(items, " EMAILID");
	if (s->life.config.want_head)
		g_string_append(items,
			" BODY.PEEK[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID)]");
	g_string_append_c(items, ')');
	return g_string_free(items, FALSE);
}

/* ---- delta and compare ----------------------------------------------------------------------- */

static void fetch_new(struct sync *sync)
{
	static const struct command_hooks hooks = {
		.untagged = sync_on_vanished, .fetch = on_new, .done = on_done,
	};
	g_autofree char *items = sync_items(sync->request.session);
	struct imap_cmd *cmd;

	if (sync->args.known.uid_max == UINT32_MAX)
		return;
	cmd = imap_cmd_new("UID FETCH");
	imap_cmd_rawf(cmd, "%u:* %s", sync->args.known.uid_max + 1, items);
	sync_add_command(sync, cmd, &hooks, true);
}

static void fetch_flags(struct sync *sync, const char *modifier);

/* BAD, or NO without a code that tells of something that will pass. */
static bool is_not_understood(const struct imap_response *response)
{
	return response->status == IMAP_BAD || (response->status == IMAP_NO && !response->code);
}

/* The server knows CHANGEDSINCE by name only (EX-4): all flags then. What was said in `state`
 * stays true: the numbers are checked in the end. */
static void on_flags_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct sync *sync = (struct sync *)command->request;
	struct mailfs_session *s = sync->request.session;

	if (!error || !response || !is_not_understood(response) || !sync->is_delta ||
		!s->caps.condstore) {
		on_done(command, response, error);
		return;
	}
	s->caps.condstore = s->caps.qresync = false;
	sync->open--;
	fetch_flags(sync, "");
}

static void fetch_flags(struct sync *sync, const char *modifier)
{
	static const struct command_hooks hooks = {
		.untagged = sync_on_vanished, .fetch = on_known, .done = on_flags_done,
	};
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");

	imap_cmd_rawf(cmd, "1:%u (UID FLAGS)%s", sync->args.known.uid_max, modifier);
	sync_add_command(sync, cmd, &hooks, true);
}

static bool is_unchanged(const struct sync *sync)
{
	const struct box *box = &sync->request.session->box;
	const struct mailfs_known *known = &sync->args.known;

	return box->highestmodseq == known->modseq && box->exists == known->count;
}

static void delta(struct sync *sync)
{
	bool has_vanished = sync->request.session->has_enabled_qresync;
	g_autofree char *modifier = g_strdup_printf(" (CHANGEDSINCE %" G_GUINT64_FORMAT "%s)",
		sync->args.known.modseq, has_vanished ? " VANISHED" : "");

	if (is_unchanged(sync)) {
		sync_finish(sync);
		return;
	}
	fetch_flags(sync, modifier);
	fetch_new(sync);
}

static void compare(struct sync *sync)
{
	fetch_flags(sync, "");
	fetch_new(sync);
}

/* ---- do the numbers add up? ------------------------------------------------------------------ */

static uint32_t count_up_to(struct uidlist *list, uint32_t last)
{
	struct uidlist part;
	uint64_t count;

	uidlist_init(&part);
	uidlist_each(list, uidlist_add_range, &part);
	uidlist_clip(&part, 1, last);
	count = uidlist_count(&part);
	uidlist_done(&part);
	return (uint32_t)MIN(count, UINT32_MAX);
}

/* The UID list has the last word: what it leaves out up to the highest known UID is gone. */
static void on_listed(struct request *request, const GError *error)
{
	struct sync *sync = (struct sync *)request;
	uint32_t uid_max = sync->args.known.uid_max;

	if (error) {
		request_finish(request, error);
		return;
	}
	uidlist_clear(&sync->vanished);
	uidlist_each_gap(&sync->search.found, uid_max, uidlist_add_range, &sync->vanished);
	/* More than were known: some were never heard of. They are told about now. */
	if (count_up_to(&sync->search.found, uid_max) > sync->args.known.count && !sync->did_sweep)
		sync_sweep(sync, uid_max);
	else
		sync_finish(sync);
}

static void list_uids(struct sync *sync)
{
	sync->search.has_uidvalidity = true;
	sync->search.uidvalidity = sync->uidvalidity;
	search_start(&sync->search);
}

/* Can the folder have become what it is by what was reported? */
static bool does_delta_add_up(struct sync *sync)
{
	uint64_t exists = sync->request.session->box.exists;
	uint32_t known = sync->args.known.count;
	uint64_t fresh, lost;

	fresh = uidlist_count(&sync->seen) - count_up_to(&sync->seen, sync->args.known.uid_max);
	if (!sync->has_vanished)
		return exists == known + fresh;
	/* VANISHED may name UIDs that we never knew: it only bounds what is lost. */
	lost = count_up_to(&sync->vanished, sync->args.known.uid_max);
	if (sync->vanished.is_over || (lost > VANISHED_DOUBT && lost > known / 2))
		return false;
	return exists <= known + fresh && exists + lost >= known + fresh;
}

static void check_delta(struct sync *sync)
{
	if (!sync->did_sweep && !does_delta_add_up(sync))
		list_uids(sync);
	else
		sync_finish(sync);
}

/* What was expunged meanwhile is still counted until the server may say so: NOOP lets it. */
static void wait_for_news(struct sync *sync)
{
	static const struct command_hooks hooks = { .untagged = sync_on_vanished, .done = on_done };

	sync->did_wait = true;
	sync_add_command(sync, imap_cmd_new("NOOP"), &hooks, false);
}

static void check_full(struct sync *sync)
{
	uint32_t exists = sync->request.session->box.exists;
	uint64_t seen = uidlist_count(&sync->seen);
	uint32_t uid_max = sync->args.known.uid_max;

	if (seen < exists) {
		if (!sync->did_wait)
			wait_for_news(sync);
		else
			request_fail(&sync->request, MAILFS_ERROR_PROTOCOL,
				"the server lists %" G_GUINT64_FORMAT " messages of %u", seen, exists);
		return;
	}
	/* Some below the highest known UID were never heard of: all about them (ID-4). */
	if (!sync->did_sweep && count_up_to(&sync->seen, uid_max) > sync->args.known.count)
		sync_sweep(sync, uid_max);
	else
		sync_finish(sync);
}

void sync_check(struct sync *sync)
{
	if (sync->is_delta)
		check_delta(sync);
	else
		check_full(sync);
}

/* ---- start ----------------------------------------------------------------------------------- */

static bool can_delta(const struct sync *sync)
{
	const struct mailfs_session *s = sync->request.session;

	/* A counter that went back cannot be trusted (ID-6). */
	return (s->caps.condstore || s->caps.qresync) && sync->args.known.modseq > 0 &&
		s->box.highestmodseq >= sync->args.known.modseq;
}

/* The server's READ-ONLY counts more than rights, and UIDs that do not last cannot be changed
 * safely (ID-2, FL-5). */
static unsigned rights_of(const struct sync *sync, unsigned granted)
{
	const struct box *box = &sync->request.session->box;

	if (box->is_read_only || sync->request.session->life.config.is_read_only || box->uidvalidity == 0)
		return 0;
	return granted;
}

/* What an ACL grants; all, where none is told of. */
static unsigned granted_by(const struct sync *sync)
{
	const struct box *box = &sync->request.session->box;

	if (sync->rights != RIGHTS_UNKNOWN)
		return sync->rights;
	return box->has_rights ? box->rights : MAILFS_RIGHTS_ALL;
}

/* None told, or none at all where something may be written: unknown, which is not "none" (FL-1). */
static unsigned flags_of(const struct box *box)
{
	bool is_told = box->has_permanent_flags && (box->permanent_flags != 0 || box->has_star ||
		(box->keywords && box->keywords[0]) || box->is_read_only);

	return is_told ? box->permanent_flags : MAILFS_FLAGS_ALL;
}

static void report_state(struct sync *sync, bool is_reset)
{
	const struct box *box = &sync->request.session->box;
	unsigned granted = granted_by(sync);
	struct mailfs_sync_state state = {
		.uidvalidity = box->uidvalidity,
		.uidnext = box->uidnext,
		.exists = box->exists,
		.read_only = box->is_read_only,
		.rights = rights_of(sync, granted),
		.denied = MAILFS_RIGHTS_ALL & ~granted,
		.keywords_allowed = !box->has_permanent_flags || box->has_star,
		.permanent_flags = flags_of(box),
		.keywords = (const char *const *)box->keywords,
		.is_delta = sync->is_delta,
		.is_reset = is_reset,
	};

	sync->args.state(sync->args.user, &state);
}

static void on_opened(struct request *request, const GError *error)
{
	struct sync *sync = (struct sync *)request;
	const struct box *box = &request->session->box;
	struct mailfs_known *known = &sync->args.known;
	bool is_reset;

	if (error) {
		request_finish(request, error);
		return;
	}
	if (box->exists > MESSAGES_MAX) {
		request_fail(request, MAILFS_ERROR_PROTOCOL,
			"the folder is said to hold %u messages", box->exists);
		return;
	}
	is_reset = known->uidvalidity != 0 && known->uidvalidity != box->uidvalidity;
	if (known->uidvalidity != box->uidvalidity || box->uidvalidity == 0)
		*known = (struct mailfs_known){ 0 };
	sync->uidvalidity = box->uidvalidity;
	sync->modseq = box->highestmodseq;
	sync->is_delta = box->exists > 0 && known->uid_max > 0 && can_delta(sync);
	report_state(sync, is_reset);
	if (box->exists == 0)
		sync_finish(sync);
	else if (sync->is_delta)
		delta(sync);
	else if (known->uid_max > 0 && known->count > 0)
		compare(sync);
	else
		sync_sweep(sync, UINT32_MAX);
}

static void sync_begin(struct request *request)
{
	struct sync *sync = (struct sync *)request;
	struct command *rights =
		select_rights_new(request->session, sync->folder, request, &sync->rights);
	struct command *command =
		select_new(request->session, sync->folder, request, on_opened);

	sync->rights = RIGHTS_UNKNOWN;
	if (rights)
		queue_add(&request->session->queue, rights);
	if (command)
		queue_add(&request->session->queue, command);
	else
		request_fail(request, MAILFS_ERROR_INVALID, "no server takes this folder name");
}

static void sync_flush(struct request *request)
{
	sync_report_flush((struct sync *)request);
}

static void sync_done(struct request *request, const GError *error)
{
	struct sync *sync = (struct sync *)request;
	struct mailfs_sync_result result = { .modseq = sync->modseq };

	sync->args.done(sync->args.user, error ? NULL : &result, error);
}

static void sync_free(struct request *request)
{
	struct sync *sync = (struct sync *)request;

	search_done(&sync->search);
	uidlist_done(&sync->seen);
	uidlist_done(&sync->vanished);
	g_array_unref(sync->borders);
	g_byte_array_unref(sync->answered);
	sync_report_done(sync);
	g_free(sync->folder);
	g_free(sync);
}

mailfs_ticket sync_start(struct mailfs_session *s, const struct mailfs_sync_request *args)
{
	struct sync *sync = g_new0(struct sync, 1);

	sync->request = (struct request){
		.start = sync_begin, .flush = sync_flush, .done = sync_done, .free = sync_free,
	};
	sync->args = *args;
	sync->folder = g_strdup(args->folder);
	sync->borders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->answered = g_byte_array_new();
	sync_report_init(sync);
	uidlist_init(&sync->seen);
	uidlist_init(&sync->vanished);
	sync->search = (struct search){
		.request = &sync->request, .box = sync->folder, .first = 1, .last = UINT32_MAX,
		.then = on_listed,
	};
	search_init(&sync->search);
	return request_add(s, &sync->request);
}
