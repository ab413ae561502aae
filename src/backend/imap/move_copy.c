/* SPDX-License-Identifier: MIT */
/*
 * A batch moved without MOVE: STATUS of the target, COPY, proof that each copy is there (COPYUID, or
 * a message of that size among those that are new in the target), and only then the removal from
 * the source. Any doubt leaves both. Loop thread. EX-2, RFC 4315.
 */
#include <string.h>

#include "backend/imap/move_impl.h"
#include "backend/imap/session.h"

#define FRESH_MAX 20000 /* lines that are looked at */

/* A message, there or here. */
struct copy {
	uint64_t size;
	uint32_t uid; /* in the target */
	size_t i;     /* in the source */
};

void move_copy_done(struct move *move)
{
	if (move->has_expunge)
		expunge_done(&move->expunge);
	move->has_expunge = false;
	g_clear_pointer(&move->fresh, g_array_unref);
	move->floor_uid = move->floor_seq = 0;
}

static void fail_unproven(struct move *move)
{
	/* Nothing is under way: what was copied stays, and so does what it was copied from. */
	move->is_unsure = false;
	request_fail(&move->request, MAILFS_ERROR_PROTOCOL,
		"the copies cannot be found in the target: the messages stay where they are too");
}

/* ---- removal --------------------------------------------------------------------------------- */

static void on_gone(struct request *request, uint32_t uid)
{
	struct move *move = (struct move *)request;

	move_tell(move, (size_t)targets_find(&move->targets, uid));
}

static void on_removed(struct request *request, const GError *error)
{
	struct move *move = (struct move *)request;

	move->is_unsure = false;
	if (error)
		request_finish(request, error);
	else
		move_next(move);
}

/* All of the batch is in the target, or gone from the source. */
static void remove_batch(struct move *move)
{
	for (size_t i = move->batch.from; i < move->batch.to; i++) {
		const struct pair *pair = &move->pairs[i];

		if (pair->is_copied && !move->request.is_cancelled)
			move->args.copied(move->args.user, move->targets.uids[i], pair->uidvalidity,
				pair->uid);
	}
	move->expunge = (struct expunge){ .gone = on_gone, .then = on_removed };
	expunge_init(&move->expunge);
	targets_init(&move->expunge.targets, &move->request, move->targets.folder,
		move->targets.uidvalidity, move->targets.uids + move->batch.from,
		move->batch.to - move->batch.from);
	move->has_expunge = true;
	expunge_start(&move->expunge);
}

/* ---- proof by size --------------------------------------------------------------------------- */

static gint compare_sizes(gconstpointer a, gconstpointer b)
{
	const struct copy *left = a, *right = b;

	return (left->size > right->size) - (left->size < right->size);
}

static struct copy *copy_at(GArray *copies, guint i)
{
	return &g_array_index(copies, struct copy, i);
}

static bool is_single(GArray *copies, guint i)
{
	return (i == 0 || copy_at(copies, i - 1)->size != copy_at(copies, i)->size) &&
		(i + 1 == copies->len || copy_at(copies, i + 1)->size != copy_at(copies, i)->size);
}

static GArray *unproven(const struct move *move)
{
	GArray *copies = g_array_new(FALSE, FALSE, sizeof(struct copy));

	for (size_t i = move->batch.from; i < move->batch.to; i++) {
		struct copy copy = { .size = move->pairs[i].size, .i = i };

		if (move->pairs[i].is_listed && !move->pairs[i].is_copied)
			g_array_append_val(copies, copy);
	}
	g_array_sort(copies, compare_sizes);
	return copies;
}

/* Each message needs one of its size in the target. Which it is, is known only where both are the
 * only ones. */
static bool match(struct move *move)
{
	g_autoptr(GArray) sources = unproven(move);
	guint at = 0;

	g_array_sort(move->fresh, compare_sizes);
	for (guint i = 0; i < sources->len; i++, at++) {
		const struct copy *source = copy_at(sources, i);
		struct pair *pair = &move->pairs[source->i];

		while (at < move->fresh->len && copy_at(move->fresh, at)->size < source->size)
			at++;
		if (at == move->fresh->len || copy_at(move->fresh, at)->size != source->size)
			return false;
		pair->is_copied = true;
		if (is_single(sources, i) && is_single(move->fresh, at))
			pair->uid = copy_at(move->fresh, at)->uid;
	}
	return true;
}

static bool on_fresh(struct command *command, const struct imap_fetch *line)
{
	struct move *move = (struct move *)command->request;
	const unsigned both = IMAP_FETCH_UID | IMAP_FETCH_SIZE;
	struct copy copy = { .size = line->size, .uid = line->uid };

	if ((line->has & both) != both)
		return false;
	/* n:* names the last message even when it is older (ID-3). */
	if ((move->floor_uid != 0 ? line->uid >= move->floor_uid : line->seq > move->floor_seq) &&
		move->fresh->len < FRESH_MAX)
		g_array_append_val(move->fresh, copy);
	return true;
}

static void on_fresh_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct move *move = (struct move *)command->request;

	if (error || !match(move))
		fail_unproven(move);
	else
		remove_batch(move);
}

static void look_into_target(struct move *move)
{
	static const struct command_hooks hooks = { .fetch = on_fresh, .done = on_fresh_done };
	bool by_uid = move->floor_uid != 0;
	struct imap_cmd *cmd = imap_cmd_new(by_uid ? "UID FETCH" : "FETCH");
	struct command *command;

	imap_cmd_rawf(cmd, "%u:* (UID RFC822.SIZE)", by_uid ? move->floor_uid : move->floor_seq + 1);
	command = command_new(cmd, &hooks, &move->request, "looking for copies");
	command->box = g_strdup(move->target);
	move->fresh = g_array_new(FALSE, FALSE, sizeof(struct copy));
	queue_add(&move->request.session->queue, command);
}

static bool on_size(struct command *command, const struct imap_fetch *line)
{
	struct move *move = (struct move *)command->request;
	const unsigned both = IMAP_FETCH_UID | IMAP_FETCH_SIZE;
	ssize_t i = targets_find(&move->targets, line->uid);

	if ((line->has & both) != both || i < 0)
		return false;
	move->pairs[i].is_listed = true;
	move->pairs[i].size = line->size;
	return true;
}

/* Messages that are not there any more had nothing to be copied. */
static void on_sizes_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct move *move = (struct move *)command->request;
	g_autoptr(GArray) left = unproven(move);

	if (error || (left->len > 0 && move->floor_uid == 0 && move->floor_seq == UINT32_MAX))
		fail_unproven(move);
	else if (left->len > 0)
		look_into_target(move);
	else
		remove_batch(move);
}

static void ask_sizes(struct move *move)
{
	static const struct command_hooks hooks = { .fetch = on_size, .done = on_sizes_done };
	g_autofree char *set = NULL;
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");

	targets_next(&move->targets, move->batch.from, move->batch.to - move->batch.from, &set);
	imap_cmd_rawf(cmd, "%s (UID RFC822.SIZE)", set);
	queue_add(&move->request.session->queue,
		move_command(move, cmd, &hooks, "looking for messages to copy"));
}

/* ---- COPY ------------------------------------------------------------------------------------ */

static void on_copied(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct move *move = (struct move *)command->request;
	bool is_proven = true;

	if (error) {
		/* Refused: nothing was removed, and RFC 9051 §6.4.7 has nothing copied. */
		move->is_unsure = move->is_unsure && !response;
		request_finish(&move->request, error);
		return;
	}
	move_take_pairs(move, response);
	for (size_t i = move->batch.from; i < move->batch.to; i++)
		is_proven = is_proven && move->pairs[i].is_copied;
	if (is_proven)
		remove_batch(move);
	else
		ask_sizes(move);
}

static bool on_copy_untagged(struct command *command, const struct imap_response *response)
{
	move_take_pairs((struct move *)command->request, response);
	return false;
}

static void on_copy_sent(struct command *command)
{
	((struct move *)command->request)->is_unsure = true;
}

static void send_copy(struct move *move)
{
	static const struct command_hooks hooks = {
		.untagged = on_copy_untagged, .sent = on_copy_sent, .done = on_copied,
	};
	struct imap_cmd *cmd = imap_cmd_new("UID COPY");

	if (move_cmd_args(cmd, move))
		queue_add(&move->request.session->queue,
			move_command(move, cmd, &hooks, "copying messages"));
	else
		imap_cmd_free(cmd);
}

static bool on_status(struct command *command, const struct imap_response *response)
{
	struct move *move = (struct move *)command->request;
	struct imap_status_resp status;

	if (!imap_status_parse(response, &status))
		return false;
	if ((status.has & IMAP_STATUS_UIDNEXT) != 0)
		move->floor_uid = status.uidnext;
	if ((status.has & IMAP_STATUS_MESSAGES) != 0)
		move->floor_seq = status.messages;
	return true;
}

static void on_status_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct move *move = (struct move *)command->request;

	if (error)
		request_finish(&move->request, error);
	else
		send_copy(move);
}

static void ask_status(struct move *move)
{
	static const struct command_hooks hooks = { .untagged = on_status, .done = on_status_done };
	struct imap_cmd *cmd = imap_cmd_new("STATUS");

	if (!imap_cmd_mailbox(cmd, move->target)) {
		imap_cmd_free(cmd);
		request_fail(&move->request, MAILFS_ERROR_INVALID, "no server takes this folder name");
		return;
	}
	imap_cmd_raw(cmd, "(MESSAGES UIDNEXT)");
	/* Never of the open box (ID-7): that is the source. */
	queue_add(&move->request.session->queue,
		move_command(move, cmd, &hooks, "looking at the target"));
}

/* ---- can they be removed at all? -------------------------------------------------------------- */

static void take_marked(void *user, uint32_t first, uint32_t last)
{
	struct move *move = user;
	uint64_t count = (uint64_t)last - first + 1;
	size_t i = targets_lower(&move->targets, first);

	move->has_foreign = move->has_foreign || i < move->batch.from || i + count > move->batch.to ||
		move->targets.uids[i] != first || move->targets.uids[i + count - 1] != last;
}

static bool on_marked(struct command *command, const struct imap_response *response)
{
	return imap_search_parse(response, take_marked, command->request);
}

static void on_marked_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct move *move = (struct move *)command->request;

	/* A server that does not search is asked again, in another way, before anything is removed. */
	if (error && !response)
		request_finish(&move->request, error);
	else if (!error && move->has_foreign)
		request_fail(&move->request, MAILFS_ERROR_NOT_POSSIBLE,
			"other messages are marked as deleted, and the server cannot remove single ones: "
			"nothing was moved");
	else
		ask_status(move);
}

/* Without UIDPLUS nothing is removed while others are marked (EX-1): better known before there are
 * two of each. */
static void ask_marked(struct move *move)
{
	static const struct command_hooks hooks = { .untagged = on_marked, .done = on_marked_done };

	move->has_foreign = false;
	queue_add(&move->request.session->queue,
		move_command(move, imap_cmd_new("UID SEARCH DELETED"), &hooks,
			"looking for deleted messages"));
}

void move_copy(struct move *move)
{
	const struct mailfs_session *s = move->request.session;

	move_copy_done(move);
	move->floor_seq = UINT32_MAX; /* not told */
	for (size_t i = move->batch.from; i < move->batch.to; i++)
		move->pairs[i] = (struct pair){ 0 };
	if (s->caps.uidplus && !s->no_uid_expunge)
		ask_status(move);
	else
		ask_marked(move);
}
