/* SPDX-License-Identifier: MIT */
/* Folder names as directory names: safe, readable, and undone without loss. NM-1. */
#include <string.h>

#include <glib.h>

#include "mailfs/view.h"
#include "view/sanitize.h"

#define LONG "0123456789012345678901234567890123456789012345678901234567890123"

static void expect_bytes(const char *bytes, size_t len, unsigned flags, const char *expected)
{
	g_autofree char *shown = folder_component_escape(bytes, len, flags);
	g_autofree char *back = NULL;
	size_t back_len = 0;

	g_assert_cmpstr(shown, ==, expected);
	back = folder_component_unescape(shown, &back_len);
	g_assert_nonnull(back);
	g_assert_cmpmem(back, back_len, bytes, len);
}

static void expect(const char *name, const char *expected)
{
	expect_bytes(name, strlen(name), 0, expected);
}

static void ordinary_names_stay(void)
{
	expect("INBOX", "INBOX");
	expect("Sent Items", "Sent Items");
	expect("[Gmail]", "[Gmail]");
	expect("Entwürfe", "Entwürfe");
	expect("受信トレイ", "受信トレイ");
	expect("می\u200Cخواهم", "می\u200Cخواهم");
	expect(".hidden", ".hidden");
	expect("...", "...");
	expect("-rf", "-rf");
}

static void spaces_quotes_and_brackets_stay(void)
{
	expect("trailing ", "trailing ");
	expect(" ", " ");
	expect("a\"b'c\\d[e]", "a\"b'c\\d[e]");
	expect("NIL", "NIL");
	expect("`touch x`", "`touch x`");
}

static void slashes_are_escaped(void)
{
	expect("a/b", "a%2Fb");
	expect("/", "%2F");
	expect("../../etc", "..%2F..%2Fetc");
}

static void dots_alone_are_escaped(void)
{
	expect(".", "%2E");
	expect("..", "%2E.");
}

static void control_characters_are_escaped(void)
{
	expect_bytes("a\0b", 3, 0, "a%00b");
	expect("a\nb\tc\x1b[0m", "a%0Ab%09c%1B[0m");
	expect("\x7f", "%7F");
	expect("\xc2\x9b", "%C2%9B");
}

static void bidi_characters_are_escaped(void)
{
	expect("a\u202Eb", "a%E2%80%AEb");
	expect("\u2066x\u2069", "%E2%81%A6x%E2%81%A9");
	expect("\uFEFFINBOX", "%EF%BB%BFINBOX");
}

static void invalid_utf8_is_escaped_by_bytes(void)
{
	expect("a\xff" "b", "a%FFb");
	expect("Entw\xfcrfe", "Entw%FCrfe");
	expect("\xc0\xaf", "%C0%AF");
	expect("\xed\xa0\x80", "%ED%A0%80");
	expect("\xe2\x82", "%E2%82");
	expect("\xf4\x90\x80\x80", "%F4%90%80%80");
}

static void percent_stays_where_it_is_clear(void)
{
	expect("100%", "100%");
	expect("50% off", "50% off");
	expect("%zz", "%zz");
	expect("%%", "%%");
	expect("a%2", "a%2");
	expect("p%q", "p%q");
}

static void percent_is_escaped_where_it_would_mislead(void)
{
	expect("%2F", "%252F");
	expect("%2f", "%252f");
	expect("%%41", "%%2541");
	expect("%25", "%2525");
	expect("%", "%25");
	expect("%/", "%%2F");
	expect("%2/", "%2%2F");
}

static void the_empty_name_has_a_form_of_its_own(void)
{
	expect("", "%");
}

static void the_control_directory_is_reserved_at_the_root(void)
{
	expect_bytes(".mailfs", 7, FOLDER_AT_ROOT, "%2Emailfs");
	expect_bytes(".mailfs", 7, 0, ".mailfs");
	expect_bytes(".mailfs2", 8, FOLDER_AT_ROOT, ".mailfs2");
	expect_bytes("INBOX", 5, FOLDER_AT_ROOT, "INBOX");
}

static void no_folder_looks_like_a_message(void)
{
	expect("1234.eml", "1234%2Eeml");
	expect("x.1234.eml", "x.1234%2Eeml");
	expect(".eml", "%2Eeml");
	expect("1234.eml2", "1234.eml2");
	expect("eml", "eml");
}

static void a_taken_name_gets_another_form(void)
{
	expect_bytes("&Jjo!", 5, FOLDER_TAKEN, "%26Jjo!");
	expect_bytes("été", 5, FOLDER_TAKEN, "%C3%A9té");
	expect_bytes("/a", 2, FOLDER_TAKEN, "%2F%61");
	expect_bytes(".mailfs", 7, FOLDER_TAKEN | FOLDER_AT_ROOT, "%2E%6Dailfs");
}

static void a_folder_named_like_an_escape_is_told_apart(void)
{
	g_autofree char *plain = folder_component_escape("a/b", 3, 0);
	g_autofree char *literal = folder_component_escape("a%2Fb", 5, 0);

	g_assert_cmpstr(plain, !=, literal);
}

static void composed_and_decomposed_are_two_folders(void)
{
	expect("\u00E9", "\u00E9");
	expect("e\u0301", "e\u0301");
}

static void case_is_kept(void)
{
	expect("Work", "Work");
	expect("work", "work");
}

static void names_of_255_bytes_are_whole(void)
{
	g_autofree char *name = g_strnfill(255, 'n');

	expect(name, name);
}

static void longer_names_are_cut_with_a_hash(void)
{
	g_autofree char *name = g_strnfill(256, 'n');
	g_autofree char *shown = folder_component_escape(name, 256, 0);
	g_autofree char *expected = NULL;
	size_t len;

	name[238] = '\0';
	/* printf 'n%.0s' $(seq 256) | sha256sum */
	expected = g_strconcat(name, "~342aaaf5a0fcb18c", NULL);
	g_assert_cmpstr(shown, ==, expected);
	g_assert_null(folder_component_unescape(shown, &len));
}

static void names_with_a_common_start_are_cut_differently(void)
{
	g_autofree char *start = g_strnfill(300, 'n');
	g_autofree char *name_a = g_strconcat(start, "a", NULL);
	g_autofree char *name_b = g_strconcat(start, "b", NULL);
	g_autofree char *shown_a = folder_component_escape(name_a, 301, 0);
	g_autofree char *shown_b = folder_component_escape(name_b, 301, 0);

	g_assert_cmpstr(shown_a, !=, shown_b);
}

static void cuts_split_no_character_and_no_escape(void)
{
	for (size_t pad = 0; pad < 6; pad++) {
		GString *name = g_string_new(NULL);
		g_autofree char *shown = NULL;
		size_t prefix_len;

		for (size_t i = 0; i < pad; i++)
			g_string_append_c(name, 'x');
		for (size_t i = 0; i < 100; i++)
			g_string_append(name, "漢/");
		shown = folder_component_escape(name->str, name->len, 0);
		g_assert_true(g_utf8_validate(shown, -1, NULL));
		g_assert_cmpuint(strlen(shown), <=, FOLDER_COMPONENT_MAX);
		prefix_len = strlen(shown) - 17;
		g_assert_cmpint(shown[prefix_len], ==, '~');
		g_assert_true(memcmp(shown + prefix_len - 3, "%2F", 3) == 0 ||
			memcmp(shown + prefix_len - 3, "漢", 3) == 0);
		g_string_free(name, TRUE);
	}
}

static void names_that_look_cut_are_escaped(void)
{
	expect("x~0123456789abcdef", "x%7E0123456789abcdef");
	expect("~0123456789abcdef", "%7E0123456789abcdef");
	expect("x~0123456789ABCDEF", "x~0123456789ABCDEF");
	expect("x~123456789abcdef", "x~123456789abcdef");
	expect("x~0123456789abcdef0", "x~0123456789abcdef0");
}

static void nobody_can_take_the_form_of_a_cut_name(void)
{
	g_autofree char *name = g_strnfill(300, 'n');
	g_autofree char *shown = folder_component_escape(name, 300, 0);
	g_autofree char *again = folder_component_escape(shown, strlen(shown), 0);

	g_assert_cmpstr(again, !=, shown);
}

static void huge_names_cost_no_more_than_reading_them(void)
{
	g_autofree char *name = g_strnfill(1 << 20, '\1');
	g_autofree char *shown = folder_component_escape(name, 1 << 20, 0);

	g_assert_cmpuint(strlen(shown), <=, FOLDER_COMPONENT_MAX);
	g_assert_true(g_str_has_prefix(shown, "%01%01%01"));
}

static void what_escaping_never_gives_is_refused(void)
{
	static const char *const alien[] = {
		"", ".", "..", "a/b", "a\nb", "%00b%41", "%2f", "x%41y", "1234.eml", "\xff", "a\u202Eb",
		"%E2%82%AC%E2%82%AC", "x~0123456789abcdef", LONG LONG LONG LONG,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(alien); i++) {
		size_t len = 42;
		g_autofree char *back = folder_component_unescape(alien[i], &len);

		if (back)
			g_test_message("accepted: %s", alien[i]);
		g_assert_null(back);
		g_assert_cmpuint(len, ==, 42);
	}
}

/* Bytes of which many combinations matter. */
static size_t random_name(GRand *rand, char *name, size_t max)
{
	static const char *const bits[] = {
		"%", "%", "2", "F", "f", "5", "/", ".", "..", "~", ".eml", ".mailfs", "a", "é", "\xc3",
		"\xa9", "\xe2\x80", "\xae", "\n", "~0123456789abcdef", "%2F", "%25", "1", "漢",
	};
	size_t len = 0;
	int count = g_rand_int_range(rand, 0, 6);

	for (int i = 0; i < count; i++) {
		const char *bit = bits[g_rand_int_range(rand, 0, G_N_ELEMENTS(bits))];
		size_t bit_len = strlen(bit);

		if (g_rand_int_range(rand, 0, 12) == 0) {
			name[len++] = (char)g_rand_int_range(rand, 0, 256);
			continue;
		}
		g_assert_cmpuint(len + bit_len, <=, max);
		memcpy(name + len, bit, bit_len);
		len += bit_len;
	}
	return len;
}

static void check_safe(const char *shown)
{
	size_t len = strlen(shown);

	g_assert_true(len > 0 && len <= FOLDER_COMPONENT_MAX);
	g_assert_cmpstr(shown, !=, ".");
	g_assert_cmpstr(shown, !=, "..");
	g_assert_null(strchr(shown, '/'));
	g_assert_true(g_utf8_validate(shown, -1, NULL));
	g_assert_false(g_str_has_suffix(shown, ".eml"));
	for (size_t i = 0; i < len; i++)
		g_assert_true((unsigned char)shown[i] >= 0x20 && shown[i] != 0x7f);
}

static void random_names_are_undone_and_never_collide(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(4711);
	g_autoptr(GHashTable) owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
		(GDestroyNotify)g_bytes_unref);

	for (int round = 0; round < 200000; round++) {
		char name[128];
		size_t len = random_name(rand, name, sizeof(name)), back_len = 0;
		char *shown = folder_component_escape(name, len, 0);
		g_autofree char *back = folder_component_unescape(shown, &back_len);
		GBytes *owner = g_hash_table_lookup(owners, shown);

		check_safe(shown);
		g_assert_cmpmem(back, back_len, name, len);
		if (owner)
			g_assert_cmpmem(g_bytes_get_data(owner, NULL), g_bytes_get_size(owner), name, len);
		g_hash_table_insert(owners, shown, g_bytes_new(name, len));
	}
	g_assert_cmpuint(g_hash_table_size(owners), >, 50000);
}

/* Every name of up to three bytes out of those that the rules speak of. */
static void short_names_never_collide(void)
{
	static const char alphabet[] = { '%', '2', 'F', 'f', '/', '.', '~', 'x', '\0', '\xc3', '\xa9' };
	const size_t base = sizeof(alphabet);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	size_t count = 0;

	for (size_t len = 0, names = 1; len <= 4; len++, names *= base) {
		for (size_t number = 0; number < names; number++) {
			char name[4];
			size_t rest = number;
			char *shown;

			for (size_t i = 0; i < len; i++, rest /= base)
				name[i] = alphabet[rest % base];
			shown = folder_component_escape(name, len, 0);
			check_safe(shown);
			g_assert_true(g_hash_table_add(seen, shown));
			count++;
		}
	}
	g_assert_cmpuint(count, ==, 1 + 11 + 121 + 1331 + 14641);
}

static void random_strings_are_refused_or_escape_to_themselves(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(99);
	int accepted = 0;

	for (int round = 0; round < 50000; round++) {
		char shown[129];
		size_t len = random_name(rand, shown, sizeof(shown) - 1), back_len;
		g_autofree char *back = NULL;
		bool is_same = false;

		shown[len] = '\0';
		back = folder_component_unescape(shown, &back_len);
		if (!back)
			continue;
		accepted++;
		for (unsigned flags = 0; flags < 4; flags++) {
			g_autofree char *again = folder_component_escape(back, back_len, flags);

			is_same |= strcmp(again, shown) == 0;
		}
		g_assert_true(is_same);
	}
	g_assert_cmpint(accepted, >, 1000);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/view/folder/ordinary", ordinary_names_stay);
	g_test_add_func("/view/folder/NM-11 odd but fine", spaces_quotes_and_brackets_stay);
	g_test_add_func("/view/folder/NM-1 SEC-36 slash", slashes_are_escaped);
	g_test_add_func("/view/folder/NM-1 SEC-36 dots", dots_alone_are_escaped);
	g_test_add_func("/view/folder/NM-1 control", control_characters_are_escaped);
	g_test_add_func("/view/folder/NM-1 bidi", bidi_characters_are_escaped);
	g_test_add_func("/view/folder/NM-1 invalid", invalid_utf8_is_escaped_by_bytes);
	g_test_add_func("/view/folder/NM-8 percent stays", percent_stays_where_it_is_clear);
	g_test_add_func("/view/folder/NM-1 percent", percent_is_escaped_where_it_would_mislead);
	g_test_add_func("/view/folder/NM-1 empty", the_empty_name_has_a_form_of_its_own);
	g_test_add_func("/view/folder/NM-1 reserved", the_control_directory_is_reserved_at_the_root);
	g_test_add_func("/view/folder/NM-12 messages", no_folder_looks_like_a_message);
	g_test_add_func("/view/folder/NM-2 taken", a_taken_name_gets_another_form);
	g_test_add_func("/view/folder/NM-1 literal escape", a_folder_named_like_an_escape_is_told_apart);
	g_test_add_func("/view/folder/NM-3 NFC and NFD", composed_and_decomposed_are_two_folders);
	g_test_add_func("/view/folder/NM-4 case", case_is_kept);
	g_test_add_func("/view/folder/NM-1 255", names_of_255_bytes_are_whole);
	g_test_add_func("/view/folder/NM-1 256", longer_names_are_cut_with_a_hash);
	g_test_add_func("/view/folder/NM-1 same start", names_with_a_common_start_are_cut_differently);
	g_test_add_func("/view/folder/NM-1 cut whole", cuts_split_no_character_and_no_escape);
	g_test_add_func("/view/folder/NM-1 looks cut", names_that_look_cut_are_escaped);
	g_test_add_func("/view/folder/NM-1 forged cut", nobody_can_take_the_form_of_a_cut_name);
	g_test_add_func("/view/folder/NM-1 1 MiB", huge_names_cost_no_more_than_reading_them);
	g_test_add_func("/view/folder/NM-1 refused", what_escaping_never_gives_is_refused);
	g_test_add_func("/view/folder/NM-1 random", random_names_are_undone_and_never_collide);
	g_test_add_func("/view/folder/NM-1 short", short_names_never_collide);
	g_test_add_func("/view/folder/NM-1 inverse", random_strings_are_refused_or_escape_to_themselves);
	return g_test_run();
}
