/* SPDX-License-Identifier: MIT */
/* Sequence sets, both ways. */
#include "wire/imap_seqset.h"

#include <inttypes.h>
#include <string.h>

/* "1-1 3-5" for "1,3:5"; NULL when refused. */
static char *parsed(const char *text, size_t len)
{
	g_autoptr(GArray) ranges = NULL;
	g_autofree char *exact = g_memdup2(text, len);
	GString *seen;

	/* An exact copy without NUL lets ASan see a read past the end. */
	if (!imap_seqset_parse(exact ? exact : "", len, &ranges))
		return NULL;
	seen = g_string_new(NULL);
	for (guint i = 0; i < ranges->len; i++) {
		struct imap_seqset_range *range = &g_array_index(ranges, struct imap_seqset_range, i);

		g_string_append_printf(seen, "%s%" PRIu32 "-%" PRIu32, i > 0 ? " " : "", range->first,
			range->last);
	}
	return g_string_free(seen, FALSE);
}

static void assert_parsed(const char *text, const char *want)
{
	g_autofree char *seen = parsed(text, strlen(text));

	g_assert_cmpstr(seen, ==, want);
}

static void reads_numbers_and_ranges(void)
{
	assert_parsed("1", "1-1");
	assert_parsed("1,3:5,9", "1-1 3-5 9-9");
	assert_parsed("4294967295", "4294967295-4294967295");
	assert_parsed("1:4294967295", "1-4294967295");
}

static void star_is_the_largest_number(void)
{
	assert_parsed("*", "4294967295-4294967295");
	assert_parsed("5:*", "5-4294967295");
	assert_parsed("*:5", "5-4294967295");
	assert_parsed("*:*", "4294967295-4294967295");
}

static void turns_descending_ranges_round(void)
{
	assert_parsed("9:5,3:1", "5-9 1-3");
}

static void refuses_what_is_no_set(void)
{
	static const char *const bad[] = {
		"", ",", "1,", ",1", "1,,2", ":", "1:", ":1", "1:*:3", "1:2:3", "**", "*1", "0", "0:5",
		"5:0", "4294967296", "99999999999999999999999", "-1", "+1", "1 ", " 1", "1, 2", "a", "1:a",
		"1.2", "(1)", "1\r\n", "$",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_parsed(bad[i], NULL);
	g_assert_null(parsed("1\0002", 3));
}

static void leaves_the_output_alone_on_failure(void)
{
	GArray *ranges = (GArray *)&ranges;

	g_assert_false(imap_seqset_parse("1,", 2, &ranges));
	g_assert_true(ranges == (GArray *)&ranges);
}

static GString *many_items(guint count)
{
	GString *text = g_string_new("1");

	for (guint i = 1; i < count; i++)
		g_string_append(text, ",1");
	return text;
}

static void takes_a_million_items_and_no_more(void)
{
	g_autoptr(GString) most = many_items(IMAP_SEQSET_ITEMS_MAX);
	g_autoptr(GString) more = many_items(IMAP_SEQSET_ITEMS_MAX + 1);
	g_autoptr(GArray) ranges = NULL;

	g_assert_true(imap_seqset_parse(most->str, most->len, &ranges));
	g_assert_cmpuint(ranges->len, ==, IMAP_SEQSET_ITEMS_MAX);
	g_assert_false(imap_seqset_parse(more->str, more->len, &ranges));
}

static void encodes_ranges_compressed(void)
{
	static const uint32_t uids[] = { 1, 2, 3, 5, 7, 8, 4294967294, 4294967295 };
	g_autoptr(GString) text = g_string_new("UID FETCH ");

	g_assert_cmpuint(imap_seqset_encode(uids, G_N_ELEMENTS(uids), 900, text), ==, 8);
	g_assert_cmpstr(text->str, ==, "UID FETCH 1:3,5,7:8,4294967294:4294967295");
}

static void encodes_nothing_from_nothing(void)
{
	g_autoptr(GString) text = g_string_new(NULL);

	g_assert_cmpuint(imap_seqset_encode(NULL, 0, 900, text), ==, 0);
	g_assert_cmpstr(text->str, ==, "");
}

static void splits_where_the_next_item_does_not_fit(void)
{
	static const uint32_t uids[] = { 1000000000, 1000000002, 1000000004 };
	g_autoptr(GString) text = g_string_new(NULL);

	g_assert_cmpuint(imap_seqset_encode(uids, 3, 21, text), ==, 2);
	g_assert_cmpstr(text->str, ==, "1000000000,1000000002"); /* 21 bytes: just fits */
	g_string_truncate(text, 0);
	g_assert_cmpuint(imap_seqset_encode(uids + 2, 1, 21, text), ==, 1);
	g_assert_cmpstr(text->str, ==, "1000000004");
}

static void a_split_set_names_every_uid_once(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(3);
	g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	const uint32_t *all;
	size_t done = 0, named = 0;

	for (uint32_t uid = 1; uid < 200000; uid += (uint32_t)g_rand_int_range(rand, 1, 4))
		g_array_append_val(uids, uid);
	all = (const uint32_t *)(void *)uids->data;

	while (done < uids->len) {
		g_autoptr(GString) text = g_string_new(NULL);
		g_autoptr(GArray) ranges = NULL;

		done += imap_seqset_encode(all + done, uids->len - done, 900, text);
		g_assert_cmpuint(text->len, <=, 900);
		g_assert_true(imap_seqset_parse(text->str, text->len, &ranges));
		for (guint i = 0; i < ranges->len; i++) {
			struct imap_seqset_range *range =
				&g_array_index(ranges, struct imap_seqset_range, i);

			for (uint32_t uid = range->first; uid <= range->last; uid++)
				g_assert_cmpuint(uid, ==, all[named++]);
		}
		g_assert_cmpuint(named, ==, done);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wire/seqset/reads numbers and ranges", reads_numbers_and_ranges);
	g_test_add_func("/wire/seqset/star is the largest number", star_is_the_largest_number);
	g_test_add_func("/wire/seqset/SEC-28 turns descending ranges round",
		turns_descending_ranges_round);
	g_test_add_func("/wire/seqset/SEC-28 refuses what is no set", refuses_what_is_no_set);
	g_test_add_func("/wire/seqset/leaves the output alone on failure",
		leaves_the_output_alone_on_failure);
	g_test_add_func("/wire/seqset/SEC-28 takes a million items and no more",
		takes_a_million_items_and_no_more);
	g_test_add_func("/wire/seqset/encodes ranges compressed", encodes_ranges_compressed);
	g_test_add_func("/wire/seqset/encodes nothing from nothing", encodes_nothing_from_nothing);
	g_test_add_func("/wire/seqset/CN-7 splits where the next item does not fit",
		splits_where_the_next_item_does_not_fit);
	g_test_add_func("/wire/seqset/CN-7 a split set names every uid once",
		a_split_set_names_every_uid_once);
	return g_test_run();
}
