/* SPDX-License-Identifier: MIT */
/*
 * Bodies by BODY.PEEK[], whole or a range. A message counts as delivered when the very UID, the
 * very item and the close of the FETCH line came (SZ-2); whatever did not come is asked for again
 * by (UID FLAGS): gone, or the server lies. Loop thread. RFC 9051 §6.4.5.
 */
#include <string.h>

#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "wire/imap_seqset.h"
#include "wire/limits.h"

enum want_state {
	WANT_OPEN,    /* nothing came */
	WANT_EMPTY,   /* an empty body came: true only if the size is 0 too (SZ-3) */
	WANT_BAD,     /* something came that cannot be the message */
	WANT_ALONE,   /* its line named no UID before the body: ask for it alone */
	WANT_GONE,    /* not listed any more */
	WANT_DONE,    /* `end` was reported */
};

struct want {
	uint32_t uid;
	enum want_state state;
	bool is_listed;   /* confirmed to be there */
	bool was_missed;  /* and so asked for once more */
};

struct fetch {
	struct request request;
	struct mailfs_fetch_request args;
	char *folder;
	struct want *wants; /* ascending by UID */
	size_t count;
	unsigned open; /* commands without an answer */
	GError *refusal; /* of the first NO; lines that came with it count (AS-2) */
	bool was_alone;

	/* The body that streams now; reset by begin_body(). */
	struct want *current;
	uint64_t skip, left; /* bytes to drop, then bytes to pass on */
};

static void fetch_queue(struct fetch *fetch);

/* ---- one body -------------------------------------------------------------------------------- */

static struct want *find_want(const struct fetch *fetch, uint32_t uid)
{
	size_t low = 0, high = fetch->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (fetch->wants[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < fetch->count && fetch->wants[low].uid == uid ? &fetch->wants[low] : NULL;
}

/*
 * What part of a literal of `len` bytes is ours. Servers that answer a range without its origin
 * may have sent the whole message (SZ-5): then the range is cut out of it.
 */
static bool fit_range(const struct fetch *fetch, const struct imap_fetch *line, uint64_t len,
	uint64_t *ret_skip, uint64_t *ret_take)
{
	struct mailfs_range range = fetch->args.range;

	*ret_skip = 0;
	*ret_take = len;
	if (!fetch->args.is_range)
		return !line->has_body_origin;
	if (line->has_body_origin)
		return line->body_origin == range.offset && len <= range.len;
	if (range.offset == 0 && len <= range.len)
		return true;
	if (len <= range.len)
		return false; /* the part without its origin, or a short whole: nobody can tell */
	*ret_skip = MIN(range.offset, len);
	*ret_take = MIN(range.len, len - *ret_skip);
	return true;
}

static bool begin_body(struct fetch *fetch, struct want *want, const struct imap_fetch *line)
{
	uint64_t len = line->body->len;

	if (want->state == WANT_DONE)
		return false; /* a second answer: the first counts */
	if (!fit_range(fetch, line, len, &fetch->skip, &fetch->left)) {
		want->state = WANT_BAD;
		return false;
	}
	/* An empty answer is the end of the file, or a lie. */
	if (fetch->left == 0 && !(fetch->args.is_range && fetch->args.range.offset > 0)) {
		want->state = WANT_EMPTY;
		return false;
	}
	fetch->current = want;
	fetch->args.begin(fetch->args.user, want->uid, fetch->left);
	return true;
}

static void pass_on(struct fetch *fetch, const uint8_t *bytes, size_t len)
{
	size_t skipped = (size_t)MIN(fetch->skip, len);
	size_t taken = (size_t)MIN(fetch->left, len - skipped);

	fetch->skip -= skipped;
	fetch->left -= taken;
	/* However dense these are: they are no bomb, since they were asked for (EX-6). */
	stream_excuse(fetch->request.session->stream, taken);
	if (taken > 0 && !fetch->request.is_cancelled)
		fetch->args.data(fetch->args.user, fetch->current->uid, bytes + skipped, taken);
}

static void end_body(struct fetch *fetch)
{
	struct want *want = fetch->current;

	fetch->current = NULL;
	want->state = fetch->left == 0 ? WANT_DONE : WANT_BAD;
	if (want->state == WANT_DONE && !fetch->request.is_cancelled)
		fetch->args.end(fetch->args.user, want->uid);
}

/* ---- the command that fetches ---------------------------------------------------------------- */

/* Bodies that are due on the whole connection: with one, a line without a UID is that one's. */
static unsigned bodies_due(const struct mailfs_session *s)
{
	unsigned due = 0;

	for (GList *link = s->queue.in_flight.head; link; link = link->next) {
		const struct command *command = link->data;

		due += command->bodies;
	}
	return due;
}

static struct want *only_open(struct fetch *fetch)
{
	struct want *only = NULL;

	for (size_t i = 0; i < fetch->count; i++) {
		if (fetch->wants[i].state != WANT_OPEN && fetch->wants[i].state != WANT_ALONE)
			continue;
		if (only)
			return NULL;
		only = &fetch->wants[i];
	}
	return only;
}

static struct want *want_of_line(struct fetch *fetch, const struct imap_fetch *line)
{
	if ((line->has & IMAP_FETCH_UID) != 0)
		return find_want(fetch, line->uid);
	return NULL;
}

static bool on_begin(struct command *command, const struct imap_fetch *line)
{
	struct fetch *fetch = (struct fetch *)command->request;
	struct want *want = want_of_line(fetch, line);

	if ((line->has & IMAP_FETCH_UID) == 0) {
		want = bodies_due(fetch->request.session) == 1 ? only_open(fetch) : NULL;
		/* Which message this is will be known too late: ask again, one by one. */
		if (!want)
			fetch->request.session->is_uid_late = true;
	}
	return want && begin_body(fetch, want, line);
}

static void on_data(struct command *command, const uint8_t *bytes, size_t len)
{
	struct fetch *fetch = (struct fetch *)command->request;

	if (fetch->current)
		pass_on(fetch, bytes, len);
}

/* The line of a body that streamed is complete: was it the message we took it for? */
static bool on_streamed(struct fetch *fetch, const struct imap_fetch *line)
{
	if ((line->has & IMAP_FETCH_UID) != 0 && line->uid != fetch->current->uid) {
		fetch->current->state = WANT_BAD;
		fetch->current = NULL;
		return true;
	}
	end_body(fetch);
	return true;
}

/* A short body came inside the line. */
static bool on_inline(struct fetch *fetch, struct want *want, const struct imap_fetch *line)
{
	const struct imap_node *body = line->body;

	if (body->type == IMAP_NODE_STREAMED) {
		/* It streamed by before its UID was known. */
		if (want->state == WANT_OPEN)
			want->state = WANT_ALONE;
	} else if (body->type != IMAP_NODE_STRING) {
		if (want->state != WANT_DONE)
			want->state = WANT_BAD; /* NIL */
	} else if (begin_body(fetch, want, line)) {
		pass_on(fetch, (const uint8_t *)body->text, (size_t)body->len);
		end_body(fetch);
	}
	return true;
}

static bool on_fetch(struct command *command, const struct imap_fetch *line)
{
	struct fetch *fetch = (struct fetch *)command->request;
	struct want *want;

	if (fetch->current)
		return on_streamed(fetch, line);
	if ((line->has & IMAP_FETCH_BODY) == 0 || !line->body)
		return false;
	want = want_of_line(fetch, line);
	if ((line->has & IMAP_FETCH_UID) == 0 && bodies_due(fetch->request.session) == 1)
		want = only_open(fetch);
	return want && on_inline(fetch, want, line);
}

/* ---- confirming ------------------------------------------------------------------------------ */

static bool is_doubtful(const struct want *want)
{
	return want->state != WANT_DONE && want->state != WANT_GONE;
}

/* A message that came by another connection is not answered for by one that has not heard of it
 * (seen on Dovecot 2.3); the NOOP has told it. False: there is none to be asked for again. */
static bool fetch_again(struct fetch *fetch)
{
	bool is_any = false;

	for (size_t i = 0; i < fetch->count; i++) {
		struct want *want = &fetch->wants[i];
		bool is_missed = want->state == WANT_OPEN && want->is_listed && !want->was_missed;

		if (want->state == WANT_OPEN && !is_missed)
			want->state = want->is_listed ? WANT_BAD : WANT_GONE;
		want->was_missed |= is_missed;
		want->is_listed = want->is_listed && !is_missed;
		is_any |= is_missed;
	}
	if (is_any)
		fetch_queue(fetch);
	return is_any;
}

/* What the server does not list any more is gone; what it lists, it should have sent. */
static void fetch_judge(struct fetch *fetch)
{
	size_t bad = 0;

	if (fetch_again(fetch))
		return;
	for (size_t i = 0; i < fetch->count; i++)
		bad += is_doubtful(&fetch->wants[i]) && fetch->wants[i].is_listed;
	if (bad == 0)
		request_finish(&fetch->request, NULL);
	else
		request_fail(&fetch->request, MAILFS_ERROR_PROTOCOL,
			"the server did not send %zu of %zu messages, though it has them%s%s", bad,
			fetch->count, fetch->refusal ? ": " : "",
			fetch->refusal ? fetch->refusal->message : "");
}

static bool on_confirm_fetch(struct command *command, const struct imap_fetch *line)
{
	struct fetch *fetch = (struct fetch *)command->request;
	struct want *want = want_of_line(fetch, line);

	if (!want || !is_doubtful(want))
		return false;
	want->is_listed = true;
	if (want->state == WANT_EMPTY && (line->has & IMAP_FETCH_SIZE) != 0 && line->size == 0) {
		want->state = WANT_DONE;
		fetch->args.begin(fetch->args.user, want->uid, 0);
		fetch->args.end(fetch->args.user, want->uid);
	}
	return true;
}

static void on_confirm_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct fetch *fetch = (struct fetch *)command->request;

	/* A refusal proves nothing about what is there: better an error than a lost message. */
	if (error)
		request_finish(&fetch->request, error);
	else if (--fetch->open == 0)
		fetch_judge(fetch);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void add_command(struct fetch *fetch, struct imap_cmd *cmd,
	const struct command_hooks *hooks, size_t bodies)
{
	struct command *command = command_new(cmd, hooks, &fetch->request, "fetching a message");

	command->bodies = (unsigned)bodies;
	command->box = g_strdup(fetch->folder);
	command->has_uidvalidity = true;
	command->uidvalidity = fetch->args.uidvalidity;
	command->is_pipelined = !fetch->request.session->is_uid_late;
	command->is_background = fetch->args.is_background;
	fetch->open++;
	queue_add(&fetch->request.session->queue, command);
}

typedef bool (*want_filter)(const struct want *want);

/* One command for as many of the wanted as fit into a set, and so on (CN-7). */
static void add_commands(struct fetch *fetch, want_filter filter, const char *items,
	const struct command_hooks *hooks, bool is_alone, bool has_bodies)
{
	g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	size_t at = 0;

	for (size_t i = 0; i < fetch->count; i++)
		if (filter(&fetch->wants[i]))
			g_array_append_val(uids, fetch->wants[i].uid);
	while (at < uids->len) {
		g_autoptr(GString) set = g_string_new(NULL);
		struct imap_cmd *cmd = imap_cmd_new("UID FETCH");
		size_t taken = imap_seqset_encode(&g_array_index(uids, uint32_t, at),
			is_alone ? 1 : uids->len - at, WIRE_SET_MAX, set);

		imap_cmd_rawf(cmd, "%s %s", set->str, items);
		add_command(fetch, cmd, hooks, has_bodies ? taken : 0);
		at += taken;
	}
}

static void fetch_confirm(struct fetch *fetch)
{
	static const struct command_hooks hooks = {
		.fetch = on_confirm_fetch, .done = on_confirm_done,
	};
	bool has_empty = false;

	for (size_t i = 0; i < fetch->count; i++)
		has_empty = has_empty || fetch->wants[i].state == WANT_EMPTY;
	add_commands(fetch, is_doubtful, has_empty ? "(UID RFC822.SIZE)" : "(UID FLAGS)", &hooks,
		false, false);
}

static void on_noop_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct fetch *fetch = (struct fetch *)command->request;

	fetch->open--;
	if (error)
		request_finish(&fetch->request, error);
	else
		fetch_confirm(fetch);
}

/* NOOP first: it lets the server say what was expunged, so that it no longer answers for it. */
static void fetch_check(struct fetch *fetch)
{
	static const struct command_hooks hooks = { .done = on_noop_done };

	add_command(fetch, imap_cmd_new("NOOP"), &hooks, 0);
}

static bool has_state(const struct fetch *fetch, enum want_state state)
{
	for (size_t i = 0; i < fetch->count; i++)
		if (fetch->wants[i].state == state)
			return true;
	return false;
}

/* A refusal that says nothing about these messages ends the request. */
static bool is_final(const GError *refusal)
{
	return refusal && refusal->code != MAILFS_ERROR_GONE && refusal->code != MAILFS_ERROR_PROTOCOL;
}

/* All commands were answered. */
static void fetch_settle(struct fetch *fetch)
{
	bool is_whole = true;

	if (fetch->request.session->box.uidvalidity != fetch->args.uidvalidity) {
		request_fail(&fetch->request, MAILFS_ERROR_STALE,
			"the folder has another UIDVALIDITY now");
		return;
	}
	for (size_t i = 0; i < fetch->count; i++)
		is_whole = is_whole && !is_doubtful(&fetch->wants[i]);
	if (is_whole) {
		request_finish(&fetch->request, NULL);
	} else if (is_final(fetch->refusal)) {
		request_finish(&fetch->request, fetch->refusal);
	} else if (has_state(fetch, WANT_ALONE) && !fetch->was_alone) {
		fetch->was_alone = true;
		fetch_queue(fetch);
	} else {
		fetch_check(fetch);
	}
}

static void on_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct fetch *fetch = (struct fetch *)command->request;

	if (error && !response) {
		request_finish(&fetch->request, error); /* stale, or the folder did not open */
		return;
	}
	if (error && !fetch->refusal)
		fetch->refusal = g_error_copy(error);
	if (--fetch->open == 0)
		fetch_settle(fetch);
}

static bool is_due(const struct want *want)
{
	return want->state == WANT_OPEN || want->state == WANT_ALONE;
}

static void fetch_queue(struct fetch *fetch)
{
	static const struct command_hooks hooks = {
		.fetch = on_fetch, .begin = on_begin, .data = on_data, .done = on_done,
	};
	bool is_alone = fetch->request.session->is_uid_late;
	struct mailfs_range range = fetch->args.range;
	g_autofree char *items = fetch->args.is_range
		? g_strdup_printf("(UID BODY.PEEK[]<%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ">)",
			  range.offset, range.len)
		: g_strdup("(UID BODY.PEEK[])");

	add_commands(fetch, is_due, items, &hooks, is_alone, true);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void fetch_begin(struct request *request)
{
	struct fetch *fetch = (struct fetch *)request;

	fetch_queue(fetch);
	if (fetch->open == 0)
		request_finish(request, NULL); /* nothing was asked for */
}

static void fetch_done(struct request *request, const GError *error)
{
	struct fetch *fetch = (struct fetch *)request;

	fetch->args.done(fetch->args.user, error);
}

static void fetch_free(struct request *request)
{
	struct fetch *fetch = (struct fetch *)request;

	g_clear_error(&fetch->refusal);
	g_free(fetch->folder);
	g_free(fetch->wants);
	g_free(fetch);
}

mailfs_ticket fetch_start(struct mailfs_session *s, const struct mailfs_fetch_request *args)
{
	struct fetch *fetch = g_new0(struct fetch, 1);

	g_assert(!args->is_range || args->uid_count == 1);
	fetch->request =
		(struct request){ .start = fetch_begin, .done = fetch_done, .free = fetch_free };
	fetch->args = *args;
	fetch->args.uids = NULL;
	fetch->folder = g_strdup(args->folder);
	fetch->wants = g_new0(struct want, args->uid_count);
	for (size_t i = 0; i < args->uid_count; i++)
		if (args->uids[i] != 0 &&
			(fetch->count == 0 || args->uids[i] > fetch->wants[fetch->count - 1].uid))
			fetch->wants[fetch->count++].uid = args->uids[i];
	return request_add(s, &fetch->request);
}
