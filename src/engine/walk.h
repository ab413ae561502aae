/* SPDX-License-Identifier: MIT */
/*
 * Finds out that somebody walks through a folder: messages opened one after another in listing
 * order, up or down, with a stride, with jitter (names sort by date, listings by UID), several
 * walkers at once. Pure; the prefetcher feeds it positions and acts on its plans.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WALKS_MAX 8u /* walkers of one folder that are told apart */

struct walk {
	bool is_used;
	int direction;     /* +1, -1; 0 = one message seen so far */
	unsigned score;    /* steps in the direction, less those against it */
	uint32_t stride;   /* positions a step goes; 1 unless three steps agreed on more */
	uint32_t last_step;
	unsigned same_steps;
	int64_t at;        /* the furthest position that was opened */
	int64_t frontier;  /* the next position to fetch ahead */
	int64_t check_at;  /* the position from which on it may be time to fetch more */
	uint64_t window;   /* bytes to be ahead; grows when the walker has to wait */
	unsigned steps;    /* in this direction */
	bool is_led;       /* something was fetched ahead of it */
	uint64_t touched;  /* for finding the oldest */
};

struct walks {
	uint64_t window_max; /* the owner's: bytes to be ahead of one walker at most */
	struct walk walks[WALKS_MAX];
	uint64_t clock;
};

/* Steps after which a walk is no chance any more. */
#define WALK_SURE 16u

/* The walk that a message at this position would be a step of; NULL: none. */
const struct walk *walks_find(struct walks *walks, int64_t position);

/* What to fetch: from `from` on in steps of `step` (negative: downwards), until `bytes` more are
 * ahead of the walker. `step` 0: nothing. */
struct walk_plan {
	struct walk *walk;
	int64_t from;
	int64_t step;
	uint64_t bytes;
};

/* The message at `position` of a listing of `count` was opened or read; `is_here`: without waiting
 * for the server. `ahead` tells how many bytes lie between two positions of the listing (in steps of
 * `stride`), at most `limit`. */
typedef uint64_t (*walk_bytes_fn)(void *user, int64_t from, int64_t to, int64_t step,
	uint64_t limit);
struct walk_plan walks_note(struct walks *walks, int64_t position, int64_t count, bool is_here,
	walk_bytes_fn ahead, void *user);
