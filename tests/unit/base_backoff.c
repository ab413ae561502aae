/* SPDX-License-Identifier: MIT */
/* Waits between tries: growing, bounded, spread. */
#include <glib.h>

#include "base/backoff.h"

#define MIDDLE 0x80000000u

static void waits_double_up_to_the_limit(void)
{
	static const unsigned want[] = { 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 240000,
		240000, 240000 };
	struct backoff backoff = { 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(want); i++)
		g_assert_cmpuint(backoff_next_ms(&backoff, MIDDLE), ==, want[i]);
}

static void jitter_is_a_quarter_to_both_sides(void)
{
	for (unsigned failures = 0; failures < 12; failures++) {
		struct backoff low = { failures }, middle = { failures }, high = { failures };
		unsigned wait = backoff_next_ms(&middle, MIDDLE);

		g_assert_cmpuint(backoff_next_ms(&low, 0), ==, wait * 3 / 4);
		g_assert_cmpuint(backoff_next_ms(&high, UINT32_MAX), ==, wait * 5 / 4 - 1);
	}
}

static void no_number_of_failures_passes_five_minutes(void)
{
	struct backoff backoff = { 0 };

	for (unsigned i = 0; i < 100000; i++)
		g_assert_cmpuint(backoff_next_ms(&backoff, UINT32_MAX), <=, 300000);
	backoff.failures = UINT32_MAX;
	g_assert_cmpuint(backoff_next_ms(&backoff, UINT32_MAX), ==, 299999);
	g_assert_cmpuint(backoff_next_ms(&backoff, 0), ==, 180000);
}

static void reset_starts_over(void)
{
	struct backoff backoff = { 0 };

	for (unsigned i = 0; i < 20; i++)
		backoff_next_ms(&backoff, 0);
	backoff_reset(&backoff);
	g_assert_cmpuint(backoff_next_ms(&backoff, MIDDLE), ==, 1000);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/backoff/waits double up to the limit", waits_double_up_to_the_limit);
	g_test_add_func("/base/backoff/jitter is a quarter", jitter_is_a_quarter_to_both_sides);
	g_test_add_func("/base/backoff/never passes five minutes",
		no_number_of_failures_passes_five_minutes);
	g_test_add_func("/base/backoff/reset starts over", reset_starts_over);
	return g_test_run();
}
