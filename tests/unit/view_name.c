/* SPDX-License-Identifier: MIT */
/* The presets "human" and "uid": what names promise, whatever the headers hold. MD-3. */
#include <string.h>

#include <glib.h>

#include "mailfs/view.h"

#define DATE 1704205800 /* 2024-01-02 14:30:00 UTC */

static const char *human(uint32_t uid, int64_t date, const char *from_name, const char *subject)
{
	static char name[MAILFS_NAME_MAX + 1];
	struct mailfs_head head = { .from_name = from_name, .subject = subject };
	struct mailfs_name_input input = { uid, date, &head };

	memset(name, 'x', sizeof(name));
	view_name(view_find("human"), &input, name);
	return name;
}

static void expect_subject(const char *subject, const char *part)
{
	g_autofree char *expected = g_strdup_printf("2024-01-02_1430_Ann_%s.7.eml", part);

	g_assert_cmpstr(human(7, DATE, "Ann", subject), ==, expected);
}

static void date_sender_subject_and_uid_make_a_name(void)
{
	g_assert_cmpstr(human(1234, DATE, "Ann Lee", "Re: Budget/Q1"), ==,
		"2024-01-02_1430_Ann-Lee_Re-Budget-Q1.1234.eml");
}

static void what_is_missing_has_a_word(void)
{
	struct mailfs_name_input input = { 9, DATE, NULL };
	char name[MAILFS_NAME_MAX + 1];

	view_name(view_find("human"), &input, name);
	g_assert_cmpstr(name, ==, "2024-01-02_1430_unknown_no-subject.9.eml");
	g_assert_cmpstr(human(9, DATE, NULL, NULL), ==, name);
	g_assert_cmpstr(human(9, DATE, "", "???"), ==, name);
}

static void dates_are_utc_and_proleptic_gregorian(void)
{
	g_assert_true(g_str_has_prefix(human(1, 0, "a", "b"), "1970-01-01_0000_"));
	g_assert_true(g_str_has_prefix(human(1, -1, "a", "b"), "1969-12-31_2359_"));
	g_assert_true(g_str_has_prefix(human(1, 951827696, "a", "b"), "2000-02-29_1234_"));
	g_assert_true(g_str_has_prefix(human(1, -2203891200, "a", "b"), "1900-03-01_0000_"));
	g_assert_true(g_str_has_prefix(human(1, 4107542399, "a", "b"), "2100-02-28_2359_"));
	g_assert_true(g_str_has_prefix(human(1, 4107542400, "a", "b"), "2100-03-01_0000_"));
}

static void dates_agree_with_glib_over_ten_thousand_years(void)
{
	for (int64_t date = -62135596800; date < 253402300800; date += 86400 * 13 + 12345) {
		g_autoptr(GDateTime) when = g_date_time_new_from_unix_utc(date);
		g_autofree char *expected = g_strdup_printf("%04d-%02d-%02d_%02d%02d_",
			g_date_time_get_year(when), g_date_time_get_month(when),
			g_date_time_get_day_of_month(when), g_date_time_get_hour(when),
			g_date_time_get_minute(when));

		g_assert_true(g_str_has_prefix(human(1, date, "a", "b"), expected));
	}
}

static void impossible_dates_are_clamped(void)
{
	g_assert_true(g_str_has_prefix(human(1, INT64_MIN, "a", "b"), "0000-01-01_0000_"));
	g_assert_true(g_str_has_prefix(human(1, -62167219200, "a", "b"), "0000-01-01_0000_"));
	g_assert_true(g_str_has_prefix(human(1, -62167219140, "a", "b"), "0000-01-01_0001_"));
	g_assert_true(g_str_has_prefix(human(1, 253402300799, "a", "b"), "9999-12-31_2359_"));
	g_assert_true(g_str_has_prefix(human(1, INT64_MAX, "a", "b"), "9999-12-31_2359_"));
}

static void paths_cannot_be_made_of_subjects(void)
{
	expect_subject("../../x", "x");
	expect_subject("a/../../b", "a-b");
	expect_subject("C:\\Windows\\x", "C-Windows-x");
	expect_subject("..", "no-subject");
	expect_subject("/", "no-subject");
}

static void control_characters_separate(void)
{
	expect_subject("a\r\nb", "a-b");
	expect_subject("a\033[31mb\a", "a-31mb");
	expect_subject("a\x7f" "b", "a-b");
	expect_subject("a\xc2\x9b" "31mb", "a-31mb"); /* CSI as C1 */
	expect_subject("tab\there", "tab-here");
}

static void bidi_and_invisible_characters_vanish(void)
{
	expect_subject("exe\u202Efdp.x", "exefdp.x");
	expect_subject("a\u200Bb\u2066c\uFEFFd\u00ADe\u034Ff", "abcdef");
	expect_subject("\u3164\u115F", "no-subject");
	expect_subject("❤\uFE0F", "❤");
	expect_subject("\U0001F3F4\U000E0067\U000E007F", "\U0001F3F4");
}

static void shell_characters_separate(void)
{
	expect_subject("a b\"c'd$e`f&g(h)i;j<k>l|m*n?o!p#q~r=s{t}u[v]w^x@y%z",
		"a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q-r-s-t-u-v-w-x-y-z");
	expect_subject("$(touch x)", "touch-x");
	expect_subject("--option", "option");
}

static void runs_become_one_dash_and_ends_are_trimmed(void)
{
	expect_subject("  [list]  Re:  hello!! ", "list-Re-hello");
	expect_subject("wait... what", "wait-what");
	expect_subject("wait...what", "wait-what");
	expect_subject("a-.b", "a-b");
	expect_subject("v1.2. final.", "v1.2-final");
	expect_subject(".hidden.", "hidden");
	expect_subject("“Grüße” — heute…", "Grüße-heute");
}

static void underscores_only_separate_parts(void)
{
	expect_subject("snake_case_", "snake-case");
	g_assert_cmpstr(human(7, DATE, "_a_b_", "c"), ==, "2024-01-02_1430_a-b_c.7.eml");
}

static void letters_of_any_script_stay(void)
{
	expect_subject("Привет, мир", "Привет-мир");
	expect_subject("会議の議事録", "会議の議事録");
	expect_subject("مرحبا بالعالم", "مرحبا-بالعالم");
	expect_subject("नमस्ते दुनिया", "नमस्ते-दुनिया");
	expect_subject("ภาษาไทย", "ภาษาไทย");
	expect_subject("C++ für 5€", "C++-für-5€");
}

static void emoji_stay(void)
{
	expect_subject("Party 🎉🎉!", "Party-🎉🎉");
}

static void names_are_nfc(void)
{
	expect_subject("Cafe\u0301", "Caf\u00E9");
	expect_subject("e\u034F\u0301", "\u00E9"); /* what vanishes parts nobody */
	expect_subject("\u212B", "\u00C5");
	expect_subject("\u1112\u1161\u11AB", "\uD55C");
	/* These compose to ';' and '`': filtered before. */
	expect_subject("a\u037Eb\u1FEFc", "a-b-c");
}

static void marks_need_something_to_stand_on(void)
{
	expect_subject("\u0301x", "x");
	expect_subject("a \u0301b", "a-b");
	expect_subject("\u1161\u11A8", "no-subject");
}

static void stacks_of_marks_are_cut(void)
{
	g_autofree char *marks = g_strnfill(2000, 0);
	g_autofree char *subject = NULL;

	for (size_t i = 0; i < 2000; i += 2)
		memcpy(marks + i, "\u0323", 2);
	subject = g_strconcat("x", marks, "y", NULL);
	expect_subject(subject, "x\u0323\u0323\u0323\u0323\u0323\u0323\u0323\u0323y");
}

static void invalid_utf8_separates(void)
{
	expect_subject("a\xff\xfe" "b", "a-b");
	expect_subject("\xed\xa0\x80", "no-subject"); /* a surrogate */
	expect_subject("\xc0\xaf", "no-subject");     /* '/' in two bytes */
	expect_subject("x\xe2\x82", "x");             /* cut short */
}

static void long_texts_are_cut_to_the_limit(void)
{
	g_autofree char *subject = g_strnfill(10240, 's');
	const char *name = human(4294967295u, DATE, subject, subject);

	g_assert_cmpuint(strlen(name), ==, MAILFS_NAME_MAX);
	g_assert_true(g_str_has_prefix(name, "2024-01-02_1430_ssss"));
	g_assert_true(g_str_has_suffix(name, "sss.4294967295.eml"));
}

static void cuts_fall_between_characters(void)
{
	for (size_t pad = 0; pad < 12; pad++) {
		GString *subject = g_string_new(NULL);
		const char *name;

		for (size_t i = 0; i < pad; i++)
			g_string_append_c(subject, 'x');
		for (size_t i = 0; i < 100; i++)
			g_string_append(subject, "e\u0323\u0302\u0308क\u093F");
		name = human(1, DATE, subject->str, subject->str);
		g_assert_true(g_utf8_validate(name, -1, NULL));
		g_assert_cmpuint(strlen(name), <=, MAILFS_NAME_MAX);
		g_assert_cmpuint(strlen(name), >, MAILFS_NAME_MAX - 8);
		/* A letter that lost one of its marks would show here. */
		g_assert_true(strstr(name, "ệ\u0308.1.eml") || strstr(name, "कि.1.eml"));
		g_string_free(subject, TRUE);
	}
}

static void cuts_leave_no_separator_behind(void)
{
	for (size_t len = 60; len < 140; len++) {
		g_autofree char *start = g_strnfill(len, 'x');
		g_autofree char *subject = g_strconcat(start, " y.z z z z z z z z z z z z z z z z z z", NULL);
		const char *name = human(1, DATE, "Ann", subject);

		g_assert_null(strstr(name, "-.1.eml"));
		g_assert_null(strstr(name, "..1.eml"));
	}
}

static void uid_names_are_bare(void)
{
	struct mailfs_name_input input = { 1234, DATE, NULL };
	char name[MAILFS_NAME_MAX + 1];
	uint32_t uid = 0;

	view_name(view_find("uid"), &input, name);
	g_assert_cmpstr(name, ==, "1234.eml");
	input.uid = UINT32_MAX;
	view_name(view_find("uid"), &input, name);
	g_assert_cmpstr(name, ==, "4294967295.eml");
	g_assert_true(view_is_uid_name(name, &uid));
}

/* Random text of characters that matter, to hold against the promises of view.h. */
static char *random_text(GRand *rand)
{
	static const char *const bits[] = {
		"a", "Z", "7", "42", "é", "e\u0301", "\u0323", "漢", "🎉", "\u202E", "\u200D", "..", "/", "-",
		".", "_", " ", "\n", "\x1b", "\xff", "%", "\u1112", "\u1161", "\u11AB", "م", "\u00A0", "'",
	};
	GString *text = g_string_new(NULL);
	int count = g_rand_int_range(rand, 0, 80);

	for (int i = 0; i < count; i++)
		g_string_append(text, bits[g_rand_int_range(rand, 0, G_N_ELEMENTS(bits))]);
	return g_string_free(text, FALSE);
}

static void check_promises(const char *name, uint32_t uid)
{
	g_autofree char *composed = g_utf8_normalize(name, -1, G_NORMALIZE_NFC);
	uint32_t found = 0;

	g_assert_nonnull(composed); /* valid UTF-8 */
	g_assert_cmpstr(name, ==, composed);
	g_assert_cmpuint(strlen(name), <=, MAILFS_NAME_MAX);
	g_assert_true(g_str_has_suffix(name, ".eml"));
	g_assert_null(strpbrk(name, " /\\:*?\"<>|'`$&;()[]{}!#~=^@%\n\r\t\x1b\x7f"));
	g_assert_null(strstr(name, ".."));
	g_assert_true(name[0] != '.' && name[0] != '-');
	for (const char *at = name; *at != '\0'; at = g_utf8_next_char(at)) {
		if (!g_unichar_isprint(g_utf8_get_char(at)))
			g_error("U+%04X in \"%s\"", g_utf8_get_char(at), name);
	}
	g_assert_cmpuint(view_uid_candidates(name, &found, 1), ==, 1);
	g_assert_cmpuint(found, ==, uid);
}

static void random_headers_keep_every_promise(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(20240102);

	for (int round = 0; round < 5000; round++) {
		g_autofree char *from = random_text(rand);
		g_autofree char *subject = random_text(rand);
		uint32_t uid = (g_rand_int(rand) | 1u << 31) >> g_rand_int_range(rand, 0, 32);

		check_promises(human(uid, (int32_t)g_rand_int(rand), from, subject), uid);
	}
}

/* All of Unicode, eight to a name, so that no character of any version slips through. */
static void every_single_character_keeps_every_promise(void)
{
	for (gunichar first = 0; first < 0x110000; first += 8) {
		char subject[64];
		size_t len = 0;

		if (first >= 0xd800 && first < 0xe000)
			continue;
		for (gunichar code = MAX(first, 1); code < first + 8; code++) {
			subject[len++] = 'x';
			len += (size_t)g_unichar_to_utf8(code, subject + len);
		}
		subject[len] = '\0';
		check_promises(human(5, DATE, "Ann", subject), 5);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/view/human/example", date_sender_subject_and_uid_make_a_name);
	g_test_add_func("/view/human/missing", what_is_missing_has_a_word);
	g_test_add_func("/view/human/dates", dates_are_utc_and_proleptic_gregorian);
	g_test_add_func("/view/human/dates agree", dates_agree_with_glib_over_ten_thousand_years);
	g_test_add_func("/view/human/MD-1 clamped", impossible_dates_are_clamped);
	g_test_add_func("/view/human/MD-3 paths", paths_cannot_be_made_of_subjects);
	g_test_add_func("/view/human/MD-3 control", control_characters_separate);
	g_test_add_func("/view/human/MD-3 bidi", bidi_and_invisible_characters_vanish);
	g_test_add_func("/view/human/SEC-38 shell", shell_characters_separate);
	g_test_add_func("/view/human/runs", runs_become_one_dash_and_ends_are_trimmed);
	g_test_add_func("/view/human/underscores", underscores_only_separate_parts);
	g_test_add_func("/view/human/scripts", letters_of_any_script_stay);
	g_test_add_func("/view/human/emoji", emoji_stay);
	g_test_add_func("/view/human/NFC", names_are_nfc);
	g_test_add_func("/view/human/marks", marks_need_something_to_stand_on);
	g_test_add_func("/view/human/stacks", stacks_of_marks_are_cut);
	g_test_add_func("/view/human/MD-3 invalid", invalid_utf8_separates);
	g_test_add_func("/view/human/MD-3 10 kB", long_texts_are_cut_to_the_limit);
	g_test_add_func("/view/human/cut at characters", cuts_fall_between_characters);
	g_test_add_func("/view/human/cut at words", cuts_leave_no_separator_behind);
	g_test_add_func("/view/uid/bare", uid_names_are_bare);
	g_test_add_func("/view/human/random", random_headers_keep_every_promise);
	g_test_add_func("/view/human/every character", every_single_character_keeps_every_promise);
	return g_test_run();
}
