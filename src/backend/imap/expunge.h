/* SPDX-License-Identifier: MIT */
/*
 * Removal of exactly these messages: STORE \Deleted, read back, UID EXPUNGE, verified. Without
 * UIDPLUS a plain EXPUNGE, only if the messages marked \Deleted just before are exactly these;
 * else they stay marked and the error is NOT_POSSIBLE (EX-1). Messages that are not there (any more)
 * count as removed. Loop thread; embedded in a request.
 */
#pragma once

#include "backend/imap/change.h"
#include "backend/imap/uidlist.h"

struct expunge {
	/* Set by the owner, who calls targets_init(); kept until expunge_done(). */
	struct targets targets;
	void (*gone)(struct request *request, uint32_t uid); /* verified; may be called from input only */
	/* The end. After an error some of those not told of may still be there, or not. */
	void (*then)(struct request *request, const GError *error);

	/* The expunge's own. */
	uint8_t *states; /* enum target_state, of each target */
	struct targets marked; /* those that the server shows as \Deleted */
	struct uidlist deleted, vanished;
	unsigned open; /* commands without an answer */
	GError *refusal; /* the first one */
};

void expunge_init(struct expunge *expunge);
void expunge_start(struct expunge *expunge);
void expunge_done(struct expunge *expunge);
