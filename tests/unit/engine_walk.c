/* SPDX-License-Identifier: MIT */
/* Walks through a folder are found, and only walks. */
#include <glib.h>

#include "engine/walk.h"

#define SIZE 6000u /* of every message here */

/* What a test fetched ahead: positions that were planned. */
struct run {
	struct walks walks;
	int64_t count; /* messages of the folder */
	GHashTable *fetched;
	unsigned plans;
	bool is_behind; /* what was planned is never there in time */
};

static uint64_t ahead(void *user G_GNUC_UNUSED, int64_t from, int64_t to, int64_t step, uint64_t limit)
{
	int64_t steps = (to - from) / step;

	return MIN((uint64_t)MAX(steps, 0) * SIZE, limit);
}

static void run_init(struct run *run, int64_t count)
{
	*run = (struct run){ .count = count, .walks.window_max = 64u << 20 };
	run->fetched = g_hash_table_new(NULL, NULL);
}

static void run_done(struct run *run)
{
	g_hash_table_unref(run->fetched);
}

static void open_at(struct run *run, int64_t position)
{
	bool is_here = g_hash_table_contains(run->fetched, GSIZE_TO_POINTER(position));
	struct walk_plan plan = walks_note(&run->walks, position, run->count,
		is_here && !run->is_behind, ahead, run);
	int64_t at = plan.from;
	uint64_t bytes = 0;

	if (plan.step == 0)
		return;
	run->plans++;
	for (; at >= 0 && at < run->count && bytes < plan.bytes; at += plan.step, bytes += SIZE)
		g_hash_table_add(run->fetched, GSIZE_TO_POINTER(at));
	plan.walk->frontier = at;
}

static bool was_fetched(const struct run *run, int64_t position)
{
	return g_hash_table_contains(run->fetched, GSIZE_TO_POINTER(position));
}

static void walking_up_is_found_at_the_third_message(void)
{
	struct run run;

	run_init(&run, 10000);
	run.is_behind = true;
	open_at(&run, 20);
	open_at(&run, 21);
	g_assert_cmpuint(run.plans, ==, 0);
	open_at(&run, 22);
	g_assert_cmpuint(run.plans, ==, 1);
	for (int64_t i = 23; i < 10000; i++) {
		g_assert_true(was_fetched(&run, i));
		open_at(&run, i);
	}
	/* The window doubles: few plans for many messages. */
	g_assert_cmpuint(run.plans, <, 60);
	run_done(&run);
}

static void who_begins_at_the_beginning_is_believed_at_once(void)
{
	struct run run;

	run_init(&run, 10000);
	open_at(&run, 0);
	g_assert_cmpuint(run.plans, ==, 1);
	g_assert_true(was_fetched(&run, 1));
	run_done(&run);
}

static void who_begins_at_the_end_is_believed_at_the_second(void)
{
	struct run run;

	run_init(&run, 10000);
	open_at(&run, 9999);
	g_assert_cmpuint(run.plans, ==, 0);
	open_at(&run, 9998);
	g_assert_cmpuint(run.plans, ==, 1);
	g_assert_true(was_fetched(&run, 9997));
	run_done(&run);
}

static void short_listings_need_three_opens(void)
{
	struct run run;

	run_init(&run, 20);
	open_at(&run, 0);
	open_at(&run, 1);
	g_assert_cmpuint(run.plans, ==, 0);
	open_at(&run, 2);
	g_assert_cmpuint(run.plans, ==, 1);
	run_done(&run);
}

static unsigned fetched_after(unsigned steps, bool is_behind)
{
	struct run run;
	unsigned fetched;

	run_init(&run, 100000);
	run.is_behind = is_behind;
	for (int64_t i = 0; i < steps; i++)
		open_at(&run, i);
	fetched = g_hash_table_size(run.fetched);
	run_done(&run);
	return fetched;
}

static void who_never_waits_is_not_led_farther(void)
{
	g_assert_cmpuint(fetched_after(3000, false), <, 3000 + 2 * (1 << 20) / SIZE);
}

static void who_waits_is_led_farther_up_to_the_bound(void)
{
	g_assert_cmpuint(fetched_after(3000, true), >, 3000 + (32 << 20) / SIZE);
	g_assert_cmpuint(fetched_after(3000, true), <, 3000 + (65 << 20) / SIZE);
}

/* Nobody is led far on two opens, and far enough that a line which is slow to start is not idle. */
static void who_waits_early_is_led_a_little_farther(void)
{
	g_assert_cmpuint(fetched_after(1, true), <=, 1 + (1 << 20) / SIZE);
	for (unsigned steps = 2; steps <= 4; steps++) {
		g_assert_cmpuint(fetched_after(steps, true), >, (3 << 20) / SIZE);
		g_assert_cmpuint(fetched_after(steps, true), <, 5 + (4 << 20) / SIZE);
	}
	g_assert_cmpuint(fetched_after(5, true), >, (8 << 20) / SIZE);
}

static void walking_down_is_found(void)
{
	struct run run;

	run_init(&run, 1000);
	for (int64_t i = 999; i >= 0; i--) {
		if (i < 997)
			g_assert_true(was_fetched(&run, i));
		open_at(&run, i);
	}
	run_done(&run);
}

static void a_stride_is_learnt(void)
{
	struct run run;
	unsigned hits = 0;

	run_init(&run, 30000);
	for (int64_t i = 0; i < 30000; i += 7) {
		hits += was_fetched(&run, i);
		open_at(&run, i);
	}
	g_assert_cmpuint(hits, >, 30000 / 7 - 50);
	/* Not what lies between the steps. */
	g_assert_cmpuint(g_hash_table_size(run.fetched), <, 30000 / 7 + 400);
	run_done(&run);
}

static void jitter_does_not_break_a_walk(void)
{
	struct run run;
	GRand *random = g_rand_new_with_seed(1);
	unsigned hits = 0;

	run_init(&run, 5000);
	for (int64_t i = 0; i < 5000; i += 4) {
		int64_t order[4] = { i, i + 1, i + 2, i + 3 };

		for (int k = 3; k > 0; k--) {
			int other = g_rand_int_range(random, 0, k + 1);
			int64_t kept = order[k];

			order[k] = order[other];
			order[other] = kept;
		}
		for (int k = 0; k < 4; k++) {
			hits += was_fetched(&run, order[k]);
			open_at(&run, order[k]);
		}
	}
	g_assert_cmpuint(hits, >, 4900);
	g_rand_free(random);
	run_done(&run);
}

static void several_walkers_are_told_apart(void)
{
	struct run run;
	unsigned hits = 0;

	run_init(&run, 8000);
	for (int64_t i = 0; i < 2000; i++) {
		for (int64_t walker = 0; walker < 4; walker++) {
			hits += was_fetched(&run, walker * 2000 + i);
			open_at(&run, walker * 2000 + i);
		}
	}
	g_assert_cmpuint(hits, >, 7900);
	run_done(&run);
}

static void reading_at_random_fetches_nothing_to_speak_of(void)
{
	struct run run;
	GRand *random = g_rand_new_with_seed(2);

	run_init(&run, 100000);
	for (int i = 0; i < 1000; i++)
		open_at(&run, g_rand_int_range(random, 0, 100000));
	g_assert_cmpuint(g_hash_table_size(run.fetched), <, 1000);
	g_rand_free(random);
	run_done(&run);
}

static void one_message_again_and_again_is_no_walk(void)
{
	struct run run;

	run_init(&run, 100);
	for (int i = 0; i < 50; i++)
		open_at(&run, 10);
	g_assert_cmpuint(run.plans, ==, 0);
	run_done(&run);
}

static void who_turns_round_is_followed(void)
{
	struct run run;
	unsigned hits = 0;

	run_init(&run, 100000);
	for (int64_t i = 50000; i < 50500; i++)
		open_at(&run, i);
	g_hash_table_remove_all(run.fetched);
	for (int64_t i = 50499; i > 40000; i--) {
		hits += was_fetched(&run, i);
		open_at(&run, i);
	}
	g_assert_cmpuint(hits, >, 10400);
	run_done(&run);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/engine/walk/up", walking_up_is_found_at_the_third_message);
	g_test_add_func("/engine/walk/first", who_begins_at_the_beginning_is_believed_at_once);
	g_test_add_func("/engine/walk/last", who_begins_at_the_end_is_believed_at_the_second);
	g_test_add_func("/engine/walk/short", short_listings_need_three_opens);
	g_test_add_func("/engine/walk/at leisure", who_never_waits_is_not_led_farther);
	g_test_add_func("/engine/walk/in a hurry", who_waits_is_led_farther_up_to_the_bound);
	g_test_add_func("/engine/walk/in a hurry at first", who_waits_early_is_led_a_little_farther);
	g_test_add_func("/engine/walk/down", walking_down_is_found);
	g_test_add_func("/engine/walk/stride", a_stride_is_learnt);
	g_test_add_func("/engine/walk/jitter", jitter_does_not_break_a_walk);
	g_test_add_func("/engine/walk/several", several_walkers_are_told_apart);
	g_test_add_func("/engine/walk/random", reading_at_random_fetches_nothing_to_speak_of);
	g_test_add_func("/engine/walk/repeated", one_message_again_and_again_is_no_walk);
	g_test_add_func("/engine/walk/turn", who_turns_round_is_followed);
	return g_test_run();
}
