/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 of whole messages as the server has them now, to know a message again in another folder.
 * Fetched and thrown away: for the rare case that an outcome is unknown. Loop thread.
 */
#pragma once

#include "engine/internal.h"

#define DIGEST_BYTES 32

struct digests;

/* Asks for them (`uids`: uint32_t, ascending). `done` comes from the loop, with what could not be
 * had as an error; the digests are its user's. Freed before that: it does not come; only allowed
 * when the pool is gone. */
struct digests *digests_new(struct engine *engine, const char *folder, uint32_t uidvalidity,
	const GArray *uids, engine_done_fn done, void *user);
void digests_free(struct digests *digests); /* NULL is fine */

/* NULL: there is no such message, or it was not asked for. DIGEST_BYTES. */
const uint8_t *digests_of(const struct digests *digests, uint32_t uid);
