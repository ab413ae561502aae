/* SPDX-License-Identifier: MIT */
#include "cli/ctl_prefetch.h"
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
	struct progress progress = { .count = 4, .count_max = 8, .bytes = 1u << 20 };

	assert_text(progress, 2000000, 62, "[##########----------] 4/8  1.0 MiB  512.0 KiB/s  0:03 left");
}

static void what_was_done_before_is_not_part_of_the_rate(void)
{
	struct progress progress = { .count = 6, .count_max = 8, .bytes = 3u << 20, .count_before = 4,
		.bytes_before = 1u << 20 };
	g_autofree char *text = progress_text(&progress, 2000000, 80);

	g_assert_nonnull(strstr(text, "1.0\302\240MiB/s  0:03 left"));
}

static void before_anything_is_known_there_is_no_time(void)
{
	struct progress progress = { .count_max = 7 };
	g_autofree char *text = progress_text(&progress, 1000, 80);

	g_assert_nonnull(strstr(text, "? left"));
}

static void odd_numbers_do_no_harm(void)
{
	static const struct progress rows[] = {
		{ .count = 0 },
		{ .count = 5, .count_max = 3, .count_before = 9, .bytes_before = 9 },
		{ .bytes = UINT64_MAX, .count = UINT64_MAX, .count_max = UINT64_MAX },
		{ .count = 1, .count_max = UINT64_MAX },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *narrow = progress_text(&rows[i], 60000000, 20);
		g_autofree char *wide = progress_text(&rows[i], 60000000, 500);

		g_assert_true(*narrow == '[' && strlen(wide) < 200);
	}
}

/* ---- status.json, as `mailfsctl prefetch` reads it ------------------------------------------------ */

static struct prefetch_view view_of(const char *state, const char *fill)
{
	g_autofree char *json = g_strdup_printf("{\n  \"account\": \"me\",\n  \"state\": %s,\n"
						"  \"prefetch\": \"%s\",\n  \"prefetch-total\": 10,\n"
						"  \"prefetch-done\": 7,\n  \"prefetch-bytes\": 900\n}\n",
		state, fill);
	struct prefetch_view view;

	prefetch_view_read(json, &view);
	g_assert_cmpuint(view.total, ==, 10);
	g_assert_cmpuint(view.done, ==, 7);
	g_assert_cmpuint(view.bytes, ==, 900);
	return view;
}

static void an_account_that_is_online_goes_on(void)
{
	g_assert_cmpuint(view_of("\"online\"", "running").running, ==, 1);
	g_assert_cmpuint(view_of("\"online\"", "paused").running, ==, 1);
	g_assert_cmpuint(view_of("\"online\"", "done").running, ==, 0);
	g_assert_cmpuint(view_of("\"online\"", "full").full, ==, 1);
	g_assert_cmpuint(view_of("\"offline\"", "done").waiting, ==, 0);
}

static void one_that_is_not_is_told_apart(void)
{
	struct prefetch_view view = view_of("\"offline\"", "paused");

	g_assert_cmpuint(view.running, ==, 1);
	g_assert_cmpuint(view.waiting, ==, 1);
	view = view_of("\"offline\",\n  \"offline-by\": \"request\"", "paused");
	g_assert_cmpuint(view.running, ==, 0);
	g_assert_cmpuint(view.offline, ==, 1);
	view = view_of("\"login refused\"", "paused");
	g_assert_cmpuint(view.running, ==, 0);
	g_assert_cmpuint(view.refused, ==, 1);
}

static void several_accounts_are_added_up(void)
{
	static const char json[] =
		"{\n  \"accounts\": 2,\n  \"account-list\": [{\n  \"account\": \"a\",\n  \"state\": \"offline\",\n"
		"  \"prefetch\": \"running\",\n  \"prefetch-total\": 3\n},\n{\n  \"account\": \"b\",\n"
		"  \"state\": \"online\",\n  \"prefetch\": \"running\",\n  \"prefetch-total\": 4\n}]\n}\n";
	struct prefetch_view view;

	prefetch_view_read(json, &view);
	g_assert_cmpuint(view.total, ==, 7);
	g_assert_cmpuint(view.running, ==, 2);
	g_assert_cmpuint(view.waiting, ==, 1);
}

static void what_a_server_says_is_no_key(void)
{
	struct prefetch_view view;

	prefetch_view_read("{\n  \"server-id\": \"x  \"prefetch\": \"running\",\n  \"prefetch-total\": x\n}", &view);
	g_assert_cmpuint(view.running, ==, 0);
	g_assert_cmpuint(view.total, ==, 0);
	prefetch_view_read("", &view);
	g_assert_cmpuint(view.running, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_setenv("LC_ALL", "C.UTF-8", TRUE);
	g_test_add_func("/cli/progress/line", the_line_has_counts_bytes_rate_and_time);
	g_test_add_func("/cli/progress/before", what_was_done_before_is_not_part_of_the_rate);
	g_test_add_func("/cli/progress/unknown", before_anything_is_known_there_is_no_time);
	g_test_add_func("/cli/progress/odd", odd_numbers_do_no_harm);
	g_test_add_func("/cli/prefetch/online", an_account_that_is_online_goes_on);
	g_test_add_func("/cli/prefetch/offline", one_that_is_not_is_told_apart);
	g_test_add_func("/cli/prefetch/several", several_accounts_are_added_up);
	g_test_add_func("/cli/prefetch/other-keys", what_a_server_says_is_no_key);
	return g_test_run();
}
