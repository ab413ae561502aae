/* SPDX-License-Identifier: MIT */
/* From file names back to UIDs, name hashes, and the list of presets. */
#include <glib.h>

#include "mailfs/view.h"

static char *candidates(const char *name, size_t max)
{
	uint32_t uids[VIEW_UIDS_MAX];
	GString *text = g_string_new(NULL);
	size_t count = view_uid_candidates(name, uids, max);

	for (size_t i = 0; i < count; i++)
		g_string_append_printf(text, "%s%u", i == 0 ? "" : " ", (unsigned)uids[i]);
	return g_string_free(text, FALSE);
}

static void expect_candidates(const char *name, const char *expected)
{
	g_autofree char *found = candidates(name, VIEW_UIDS_MAX);

	g_assert_cmpstr(found, ==, expected);
}

static void last_run_of_digits_comes_first(void)
{
	expect_candidates("2024-01-02_1430_Ann-Lee_Re-Budget-Q1.1234.eml", "1234 1 1430 2024");
}

static void runs_that_cannot_be_a_uid_are_left_out(void)
{
	expect_candidates("0.eml", "");
	expect_candidates("007.eml", "");
	expect_candidates("4294967295.eml", "4294967295");
	expect_candidates("4294967296.eml", "");
	expect_candidates("12345678901.eml", "");
	expect_candidates("99999999999999999999999999.5", "5");
}

static void names_without_digits_have_no_candidates(void)
{
	expect_candidates("", "");
	expect_candidates("notes.eml", "");
	expect_candidates("٣٤.eml", ""); /* digits, but not ASCII */
}

static void candidates_end_at_max(void)
{
	g_autofree char *two = candidates("1.2.3.4", 2);
	g_autofree char *none = candidates("1.2.3.4", 0);

	g_assert_cmpstr(two, ==, "4 3");
	g_assert_cmpstr(none, ==, "");
}

static void every_run_of_the_longest_name_fits(void)
{
	char name[MAILFS_NAME_MAX + 1];
	uint32_t uids[VIEW_UIDS_MAX + 1];

	for (size_t i = 0; i < MAILFS_NAME_MAX; i++)
		name[i] = i % 2 == 0 ? '7' : '.';
	name[MAILFS_NAME_MAX] = '\0';
	g_assert_cmpuint(view_uid_candidates(name, uids, VIEW_UIDS_MAX + 1), ==, VIEW_UIDS_MAX);
}

static void name_hash_is_the_same_on_every_machine(void)
{
	/* Stored in caches: a change of these is a change of the cache format. */
	g_assert_cmphex(view_name_hash("1234.eml"), ==, 0xebc60850);
	g_assert_cmphex(view_name_hash("\xc3\xa9"), ==, 0x8e4756c7);
}

static void name_hashes_of_neighbours_differ(void)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

	for (unsigned uid = 1; uid <= 2000; uid++) {
		g_autofree char *name = g_strdup_printf("%u.eml", uid);
		uint32_t hash = view_name_hash(name);

		g_assert_cmpuint(hash, !=, 0);
		g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(hash)));
	}
}

static void bare_uid_names_are_known_exactly(void)
{
	uint32_t uid = 0;

	g_assert_true(view_is_uid_name("1234.eml", &uid));
	g_assert_cmpuint(uid, ==, 1234);
	g_assert_true(view_is_uid_name("4294967295.eml", &uid));
	g_assert_cmpuint(uid, ==, 4294967295u);
}

static void near_misses_are_no_bare_uid_names(void)
{
	static const char *const misses[] = {
		"", ".eml", "0.eml", "01.eml", "+1.eml", " 1.eml", "1.EML", "1.eml ", "1.eml.eml", "1",
		"a.1.eml", "1.1.eml", "4294967296.eml", "-1.eml", "1eml", "١.eml",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(misses); i++) {
		uint32_t uid = 42;

		g_assert_false(view_is_uid_name(misses[i], &uid));
		g_assert_cmpuint(uid, ==, 42); /* untouched */
	}
}

static void presets_are_found_by_name(void)
{
	g_assert_cmpstr(view_find("human")->name, ==, "human");
	g_assert_true(view_find("human")->needs_head);
	g_assert_cmpstr(view_find("uid")->name, ==, "uid");
	g_assert_false(view_find("uid")->needs_head);
}

static void unknown_presets_are_null(void)
{
	g_assert_null(view_find(""));
	g_assert_null(view_find("Human"));
	g_assert_null(view_find("{uid}"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/view/candidates/last run first", last_run_of_digits_comes_first);
	g_test_add_func("/view/candidates/not a UID", runs_that_cannot_be_a_uid_are_left_out);
	g_test_add_func("/view/candidates/no digits", names_without_digits_have_no_candidates);
	g_test_add_func("/view/candidates/max", candidates_end_at_max);
	g_test_add_func("/view/candidates/all fit", every_run_of_the_longest_name_fits);
	g_test_add_func("/view/hash/stable", name_hash_is_the_same_on_every_machine);
	g_test_add_func("/view/hash/spread", name_hashes_of_neighbours_differ);
	g_test_add_func("/view/uid name/exact", bare_uid_names_are_known_exactly);
	g_test_add_func("/view/uid name/near misses", near_misses_are_no_bare_uid_names);
	g_test_add_func("/view/find/known", presets_are_found_by_name);
	g_test_add_func("/view/find/unknown", unknown_presets_are_null);
	return g_test_run();
}
