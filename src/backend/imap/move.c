/* SPDX-License-Identifier: MIT */
/*
 * Messages moved, in batches, so that progress is told: UID MOVE, or what move_copy.c does where the
 * server has none. A message counts as moved when it is gone from the source: VANISHED named it, or
 * as many EXPUNGEs came as COPYUID has pairs, or it is not listed any more. Loop thread. RFC 6851,
 * EX-2, WR-7.
 */
#include "backend/imap/move_impl.h"

#include <string.h>

#include "backend/imap/session.h"
#include "wire/imap_seqset.h"

#define BATCH 1000 /* messages: mass moves break connections */

/* ---- pairs ----------------------------------------------------------------------------------- */

/* Every source must be one of ours, or nothing of the answer can be believed (ID-4). */
static bool are_ours(const struct move *move, GArray *ranges)
{
	for (guint r = 0; r < ranges->len; r++) {
		struct imap_seqset_range range = g_array_index(ranges, struct imap_seqset_range, r);
		size_t i = targets_lower(&move->targets, range.first);
		uint64_t count = (uint64_t)range.last - range.first + 1;

		if (i < move->batch.from || i + count > move->batch.to ||
			move->targets.uids[i] != range.first ||
			move->targets.uids[i + count - 1] != range.last)
			return false;
	}
	return true;
}

/* The n-th UID of ranges that ascend; `r` and `offset` are the cursor. */
static uint32_t next_uid(GArray *ranges, guint *r, uint32_t *offset)
{
	struct imap_seqset_range range = g_array_index(ranges, struct imap_seqset_range, *r);
	uint32_t uid = range.first + (*offset)++;

	if (uid == range.last) {
		(*r)++;
		*offset = 0;
	}
	return uid;
}

static void pair_up(struct move *move, const struct imap_copyuid *copyuid)
{
	guint source = 0, target = 0;
	uint32_t source_offset = 0, target_offset = 0;

	while (source < copyuid->source->len) {
		uint32_t from = next_uid(copyuid->source, &source, &source_offset);
		uint32_t to = next_uid(copyuid->target, &target, &target_offset);
		struct pair *pair = &move->pairs[targets_find(&move->targets, from)];

		/* Two answers about one message: neither is believed. */
		pair->uid = pair->is_copied && pair->uid != to ? 0 : to;
		pair->uidvalidity = copyuid->uidvalidity;
		pair->is_copied = true;
	}
}

void move_take_pairs(struct move *move, const struct imap_response *response)
{
	struct imap_copyuid copyuid;

	if (!imap_copyuid_parse(response, &copyuid))
		return;
	if (are_ours(move, copyuid.source))
		pair_up(move, &copyuid);
	g_array_unref(copyuid.source);
	g_array_unref(copyuid.target);
}

void move_tell(struct move *move, size_t i)
{
	struct pair *pair = &move->pairs[i];

	if (pair->is_told)
		return;
	pair->is_told = true;
	if (!move->request.is_cancelled)
		move->args.moved(move->args.user, move->targets.uids[i], pair->uidvalidity, pair->uid);
}

/* ---- is it gone? ----------------------------------------------------------------------------- */

static void settle(struct move *move)
{
	size_t left = 0;

	for (size_t i = move->batch.from; i < move->batch.to; i++) {
		if (move->pairs[i].is_listed)
			left++;
		else
			move_tell(move, i);
	}
	move->is_unsure = false;
	if (move->refusal) {
		request_finish(&move->request, move->refusal);
	} else if (left > 0) {
		move->request.session->no_move = true; /* a MOVE that does not move (EX-4) */
		request_fail(&move->request, MAILFS_ERROR_PROTOCOL,
			"the server did not move %zu messages", left);
	} else {
		move_next(move);
	}
}

static bool on_listed(struct command *command, const struct imap_fetch *line)
{
	struct move *move = (struct move *)command->request;
	ssize_t i = targets_find(&move->targets, line->uid);

	if ((line->has & IMAP_FETCH_UID) == 0 || i < 0)
		return false;
	move->pairs[i].is_listed = true;
	return true;
}

static void on_list_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct move *move = (struct move *)command->request;

	if (error)
		request_finish(&move->request, move->refusal ? move->refusal : error);
	else
		settle(move);
}

static void list(struct move *move)
{
	static const struct command_hooks hooks = { .fetch = on_listed, .done = on_list_done };
	GString *set = g_string_new(NULL);

	imap_seqset_encode(move->targets.uids + move->batch.from, move->batch.to - move->batch.from,
		SIZE_MAX, set);
	queue_add(&move->request.session->queue,
		move_command(move, change_ask_cmd(set->str), &hooks, "looking for moved messages"));
	g_string_free(set, TRUE);
}

static void on_noop_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct move *move = (struct move *)command->request;

	if (error)
		request_finish(&move->request, move->refusal ? move->refusal : error);
	else
		list(move);
}

/* A server that has not told of the expunges yet answers for the messages still (RFC 9051 §7.5.1):
 * NOOP lets it say so, then what it lists decides. */
static void look(struct move *move)
{
	static const struct command_hooks hooks = { .done = on_noop_done };

	queue_add(&move->request.session->queue,
		move_command(move, imap_cmd_new("NOOP"), &hooks, "looking for moved messages"));
}

static bool is_proven(const struct move *move)
{
	size_t pairs = 0, gone = 0;

	for (size_t i = move->batch.from; i < move->batch.to; i++) {
		pairs += move->pairs[i].is_copied;
		gone += move->pairs[i].is_gone;
	}
	return gone == move->batch.to - move->batch.from ||
		(pairs == move->batch.to - move->batch.from && move->expunged >= pairs);
}

/* ---- UID MOVE -------------------------------------------------------------------------------- */

static void add_vanished(void *user, uint32_t first, uint32_t last)
{
	struct move *move = user;

	for (size_t i = targets_lower(&move->targets, MAX(first, 1));
		i < move->batch.to && move->targets.uids[i] <= last; i++)
		move->pairs[i].is_gone = move->pairs[i].is_gone || i >= move->batch.from;
}

/* COPYUID comes before the first EXPUNGE, RFC 6851 §4.3. The box counts the expunges as well. */
static bool on_untagged(struct command *command, const struct imap_response *response)
{
	struct move *move = (struct move *)command->request;
	struct uidlist list;
	bool is_earlier;

	if (strcmp(response->name, "EXPUNGE") == 0)
		move->expunged++;
	move_take_pairs(move, response);
	uidlist_init(&list);
	if (imap_vanished_parse(response, &is_earlier, uidlist_add_range, &list) && !is_earlier)
		uidlist_each(&list, add_vanished, move);
	uidlist_done(&list);
	return false;
}

static void on_sent(struct command *command)
{
	((struct move *)command->request)->is_unsure = true;
}

static void on_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct move *move = (struct move *)command->request;

	if (error && !response) {
		request_finish(&move->request, error); /* nothing was sent */
		return;
	}
	if (error && response->status == IMAP_BAD) {
		move->is_unsure = false;
		move->request.session->no_move = true;
		move_copy(move);
		return;
	}
	move_take_pairs(move, response);
	/* A refusal may come halfway: whatever has left the source is told first. */
	if (error)
		move->refusal = g_error_copy(error);
	if (!error && is_proven(move))
		settle(move);
	else
		look(move);
}

static void move_by_move(struct move *move)
{
	static const struct command_hooks hooks = {
		.untagged = on_untagged, .sent = on_sent, .done = on_done,
	};
	struct imap_cmd *cmd = imap_cmd_new("UID MOVE");

	if (move_cmd_args(cmd, move))
		queue_add(&move->request.session->queue,
			move_command(move, cmd, &hooks, "moving messages"));
	else
		imap_cmd_free(cmd);
}

/* ---- batches --------------------------------------------------------------------------------- */

bool move_cmd_args(struct imap_cmd *cmd, struct move *move)
{
	g_autoptr(GString) set = g_string_new(NULL);

	imap_seqset_encode(move->targets.uids + move->batch.from, move->batch.to - move->batch.from,
		SIZE_MAX, set);
	imap_cmd_raw(cmd, set->str);
	if (imap_cmd_mailbox(cmd, move->target))
		return true;
	request_fail(&move->request, MAILFS_ERROR_INVALID, "no server takes this folder name");
	return false;
}

struct command *move_command(struct move *move, struct imap_cmd *cmd,
	const struct command_hooks *hooks, const char *what)
{
	return targets_command(&move->targets, cmd, hooks, NULL, what);
}

void move_next(struct move *move)
{
	const struct mailfs_session *s = move->request.session;
	g_autofree char *set = NULL;

	move_copy_done(move);
	move->expunged = 0;
	if (move->batch.to == move->targets.count) {
		request_finish(&move->request, NULL);
		return;
	}
	/* The span is what fits into a short command (CN-7). */
	move->batch = targets_next(&move->targets, move->batch.to, BATCH, &set);
	if (s->caps.move && !s->no_move)
		move_by_move(move);
	else
		move_copy(move);
}

static void move_begin(struct request *request)
{
	struct move *move = (struct move *)request;

	if (targets_are_refused(&move->targets))
		return;
	if (strcmp(move->target, move->targets.folder) == 0)
		request_fail(request, MAILFS_ERROR_INVALID, "moved to where it is");
	else
		move_next(move);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void move_done(struct request *request, const GError *error)
{
	struct move *move = (struct move *)request;

	move->args.done(move->args.user, !move->is_unsure, error);
}

static void move_free(struct request *request)
{
	struct move *move = (struct move *)request;

	move_copy_done(move);
	targets_done(&move->targets);
	g_clear_error(&move->refusal);
	g_free(move->pairs);
	g_free(move->target);
	g_free(move);
}

mailfs_ticket move_start(struct mailfs_session *s, const struct mailfs_move_request *args)
{
	struct move *move = g_new0(struct move, 1);

	move->request =
		(struct request){ .start = move_begin, .done = move_done, .free = move_free };
	move->args = *args;
	move->target = g_strdup(args->target);
	targets_init(&move->targets, &move->request, args->folder, args->uidvalidity, args->uids,
		args->uid_count);
	move->pairs = g_new0(struct pair, move->targets.count + 1);
	return request_add(s, &move->request);
}
