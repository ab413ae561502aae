/* SPDX-License-Identifier: MIT */
/* Detection of walks through a folder. Pure. */
#include "engine/walk.h"

#include <stdlib.h>
#include <sys/param.h>

#define WALK_REACH        32           /* positions within which a step is a step of this walk */
#define WALK_ACTIVE       2u           /* steps that make a walk */
#define WALK_SCORE_MAX    8u           /* so that who turns round is believed soon */
#define WALK_STRIDE_STEPS 5u           /* equal steps that make a stride */
#define WALK_WINDOW_FIRST (1024u * 1024)
#define WALK_WINDOW_EARLY (4096u * 1024) /* of who has waited for the second message */
#define WALK_LONG         100          /* messages of a listing whose ends tell something */
#define WALK_STEPS_GROW   4u           /* before that, nobody is led farther than that */

static bool belongs(const struct walk *walk, int64_t position)
{
	int64_t reach = WALK_REACH * (int64_t)walk->stride;
	int64_t distance = llabs(position - walk->at);

	if (!walk->is_used)
		return false;
	if (distance <= reach)
		return true;
	/* Anywhere in what was fetched ahead. */
	return walk->direction != 0 && (position - walk->at) * walk->direction > 0 &&
		(walk->frontier - position) * walk->direction > 0;
}

static struct walk *find(struct walks *walks, int64_t position)
{
	struct walk *best = NULL;

	for (unsigned i = 0; i < WALKS_MAX; i++) {
		struct walk *walk = &walks->walks[i];

		if (belongs(walk, position) &&
			(!best || llabs(position - walk->at) < llabs(position - best->at)))
			best = walk;
	}
	return best;
}

const struct walk *walks_find(struct walks *walks, int64_t position)
{
	return find(walks, position);
}

static struct walk *oldest(struct walks *walks)
{
	struct walk *best = &walks->walks[0];

	for (unsigned i = 0; i < WALKS_MAX; i++) {
		struct walk *walk = &walks->walks[i];

		if (!walk->is_used)
			return walk;
		if (walk->touched < best->touched)
			best = walk;
	}
	return best;
}

/* What was skipped may be wanted after all; the fetcher knows what it has. */
static void no_stride(struct walk *walk)
{
	walk->same_steps = 0;
	if (walk->stride == 1)
		return;
	walk->stride = 1;
	walk->frontier = walk->at + walk->direction;
	walk->check_at = walk->at;
}

static void note_stride(struct walk *walk, uint32_t step)
{
	walk->same_steps = step == walk->last_step ? walk->same_steps + 1 : 1;
	walk->last_step = step;
	if (walk->same_steps >= WALK_STRIDE_STEPS)
		walk->stride = step;
	else if (step % walk->stride != 0)
		no_stride(walk);
}

/* The frontier lies ahead, and on a position that the walker will come by. */
static void align_frontier(struct walk *walk)
{
	int64_t stride = walk->stride;
	int64_t ahead = (walk->frontier - walk->at) * walk->direction;

	ahead = ahead <= 0 ? stride : (ahead + stride - 1) / stride * stride;
	walk->frontier = walk->at + ahead * walk->direction;
}

/* One more position of a walk; false: it was a repetition or a step back. */
static bool take_step(struct walk *walk, int64_t position)
{
	int64_t step = position - walk->at;
	int direction = step > 0 ? 1 : -1;

	if (step == 0)
		return false;
	if (walk->direction == 0) {
		walk->direction = direction;
		walk->frontier = position + direction;
	} else if (walk->direction != direction) {
		/* Jitter goes back a little; somebody who turned round goes on doing it. */
		if (walk->score > 0) {
			walk->score--;
			no_stride(walk);
			return false;
		}
		walk->direction = direction;
		walk->frontier = position + direction;
		walk->check_at = position;
		walk->window = WALK_WINDOW_FIRST;
		walk->is_led = false;
		walk->steps = 0;
	}
	note_stride(walk, (uint32_t)llabs(step));
	walk->score = walk->score < WALK_SCORE_MAX ? walk->score + 1 : WALK_SCORE_MAX;
	walk->at = position;
	walk->steps++;
	align_frontier(walk);
	return true;
}

static struct walk *begin(struct walks *walks, int64_t position, int64_t count)
{
	struct walk *walk = oldest(walks);

	*walk = (struct walk){
		.is_used = true,
		.stride = 1,
		.at = position,
		.frontier = position,
		.check_at = position,
		.window = WALK_WINDOW_FIRST,
	};
	/* Nobody picks the first message of a long listing but who wants them all. The last one is
	 * the newest, and often read alone: it makes the next one down a walk. */
	if (count < WALK_LONG)
		return walk;
	if (position == 0) {
		walk->direction = 1;
		walk->score = WALK_ACTIVE;
		walk->frontier = 1;
	} else if (position == count - 1) {
		walk->score = WALK_ACTIVE - 1;
	}
	return walk;
}

/* A line in slow start would idle if the second window were asked for only when the walk is beyond
 * doubt. */
static uint64_t window_limit(const struct walks *walks, const struct walk *walk)
{
	if (!walk->is_led || walk->steps == 0)
		return 0;
	return walk->steps < WALK_STEPS_GROW ? WALK_WINDOW_EARLY : walks->window_max;
}

struct walk_plan walks_note(struct walks *walks, int64_t position, int64_t count, bool is_here,
	walk_bytes_fn ahead, void *user)
{
	struct walk *walk = find(walks, position);
	struct walk_plan plan = { 0 };
	bool is_step = !walk || take_step(walk, position);
	uint64_t have;

	if (!walk)
		walk = begin(walks, position, count);
	walk->touched = ++walks->clock;
	if (!is_step || walk->score < WALK_ACTIVE || walk->direction == 0 || walk->frontier < 0 ||
		walk->frontier >= count)
		return plan;
	/* The walker waits for what was asked for: it is faster than that. Who reads at leisure finds
	 * everything in place, and is content with the window as it is. */
	if (!is_here && walk->window < window_limit(walks, walk)) {
		walk->window = MIN(walk->window * 4, window_limit(walks, walk));
		walk->check_at = walk->at;
	}
	/* Counting what is ahead at every step would cost more than it tells. */
	if ((walk->check_at - walk->at) * walk->direction > 0)
		return plan;
	have = ahead(user, walk->at + walk->direction, walk->frontier,
		walk->direction * (int64_t)walk->stride, walk->window / 2 + 1);
	if (have > walk->window / 2) {
		walk->check_at = walk->at + (walk->frontier - walk->at) / 4;
		return plan;
	}
	walk->check_at = walk->at;
	walk->is_led = true;
	plan.walk = walk;
	plan.from = walk->frontier;
	plan.step = walk->direction * (int64_t)walk->stride;
	plan.bytes = walk->window - have;
	return plan;
}
