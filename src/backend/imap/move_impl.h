/* SPDX-License-Identifier: MIT */
/* What the two halves of a move share: move.c (batches, UID MOVE) and move_copy.c (COPY, proof,
 * removal). Loop thread. */
#pragma once

#include "backend/imap/expunge.h"
#include "backend/imap/request.h"

struct pair {
	uint32_t uidvalidity, uid; /* in the target; uid 0 = not known */
	bool is_copied; /* the copy is there, proven */
	bool is_listed; /* still in the source */
	bool is_gone;   /* VANISHED named it */
	bool is_told;   /* `moved` */
	uint64_t size;  /* in the source */
};

struct move {
	struct request request;
	struct mailfs_move_request args;
	char *target;
	struct targets targets;
	struct pair *pairs; /* of each target */

	struct span batch; /* under way */
	bool is_unsure;    /* the server may have done what it has not told yet */
	GError *refusal;   /* of the batch */
	uint64_t expunged; /* lines, during the batch */

	/* Of move_copy.c; for the batch. */
	uint32_t floor_uid, floor_seq; /* the target before the copy; 0 = not told */
	GArray *fresh;                 /* struct copy, what came into the target */
	struct expunge expunge;
	bool has_expunge;
	bool has_foreign; /* somebody else's \Deleted messages are in the source */
};

/* Of move.c. */
struct command *move_command(struct move *move, struct imap_cmd *cmd,
	const struct command_hooks *hooks, const char *what);
void move_take_pairs(struct move *move, const struct imap_response *response);
void move_tell(struct move *move, size_t i);    /* it has left the source */
void move_next(struct move *move);              /* the batch is done: the next, or the end */
bool move_cmd_args(struct imap_cmd *cmd, struct move *move); /* " SET TARGET" of the batch */

/* Of move_copy.c. The batch by COPY; ends in move_next() or in the end of the request. */
void move_copy(struct move *move);
void move_copy_done(struct move *move); /* forgets what belongs to the batch */
