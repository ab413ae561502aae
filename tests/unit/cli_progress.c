/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include <string.h>

#include <glib.h>

static void assert_text(struct progress progress, int64_t now_us, unsigned columns, const char *expected)
{
	g_autofree char *text = progress_text(&progress, now_us, columns);

	/* GLib puts a no-break space between number and unit. */
	g_auto(GStrv) words = g_strsplit(text, "\302\240", -1);
	g_autofree char *plain = g_strjoinv(" ", words);

	g_assert_cmpstr(plain, ==, expected);
}

static void the_line_has_counts_bytes_rate_and_time(void)
{
	struct progress progress = { .count = 3, .count_max = 7, .bytes = 1u << 20, .bytes_max = 2u << 20 };

	assert_text(progress, 2000000, 71,
		"[##########----------] 3/7  1.0 MiB/2.0 MiB  512.0 KiB/s  0:03 left");
}

static void what_cost_nothing_is_not_part_of_the_rate(void)
{
	struct progress progress = { .count = 3, .count_max = 7, .bytes = 3u << 20, .bytes_max = 4u << 20,
		.bytes_free = 1u << 20 };
	g_autofree char *text = progress_text(&progress, 2000000, 80);

	g_assert_nonnull(strstr(text, "1.0\302\240MiB/s"));
}

static void before_anything_is_known_there_is_no_time(void)
{
	struct progress progress = { .count_max = 7, .bytes_max = 4u << 20 };
	g_autofree char *text = progress_text(&progress, 1000, 80);

	g_assert_nonnull(strstr(text, "? left"));
}

static void odd_numbers_do_no_harm(void)
{
	static const struct progress rows[] = {
		{ .count = 0 },
		{ .bytes = 5, .bytes_max = 3 },
		{ .bytes = UINT64_MAX, .bytes_max = UINT64_MAX, .count = UINT64_MAX, .count_max = UINT64_MAX },
		{ .bytes = 1, .bytes_max = UINT64_MAX },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *narrow = progress_text(&rows[i], 60000000, 20);
		g_autofree char *wide = progress_text(&rows[i], 60000000, 500);

		g_assert_true(*narrow == '[' && strlen(wide) < 200);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_setenv("LC_ALL", "C.UTF-8", TRUE);
	g_test_add_func("/cli/progress/line", the_line_has_counts_bytes_rate_and_time);
	g_test_add_func("/cli/progress/free", what_cost_nothing_is_not_part_of_the_rate);
	g_test_add_func("/cli/progress/unknown", before_anything_is_known_there_is_no_time);
	g_test_add_func("/cli/progress/odd", odd_numbers_do_no_harm);
	return g_test_run();
}
