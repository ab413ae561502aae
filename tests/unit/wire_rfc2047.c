/* SPDX-License-Identifier: MIT */
/* Decoding of header text. */
#include "wire/rfc2047.h"

#include <string.h>

#include <glib.h>

#define FFFD "\xef\xbf\xbd"

/* What every result must be, whatever the input. */
static void assert_fit(const char *text, size_t max_bytes)
{
	g_assert_nonnull(text);
	g_assert_true(g_utf8_validate(text, -1, NULL));
	g_assert_cmpuint(strlen(text), <=, max_bytes);
	for (const char *p = text; *p; p = g_utf8_next_char(p))
		g_assert_false(g_unichar_iscntrl(g_utf8_get_char(p)));
	g_assert_false(g_str_has_prefix(text, " ") || g_str_has_suffix(text, " "));
}

static void assert_bytes(const char *raw, size_t len, const char *want)
{
	g_autofree char *exact = g_memdup2(raw, len);
	g_autofree char *text = rfc2047_decode(exact, len, 4096);

	assert_fit(text, 4096);
	g_assert_cmpstr(text, ==, want);
}

#define DECODES(raw, want) assert_bytes((raw), sizeof(raw) - 1, (want))

static void decodes_q_and_b(void)
{
	DECODES("=?utf-8?q?Gr=C3=BC=c3=9fe_an_alle?=", "Grüße an alle");
	DECODES("=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße");
	DECODES("=?utf-8?Q?\?=", "");
	DECODES("=?utf-8?B?\?=", "");
}

static void leaves_plain_text_alone(void)
{
	DECODES("", "");
	DECODES("Re: 2 + 2 = 4, or not?", "Re: 2 + 2 = 4, or not?");
	DECODES("a  b", "a  b");
}

static void joins_adjacent_words(void)
{
	DECODES("=?utf-8?q?a?= =?utf-8?q?b?=", "ab");
	DECODES("=?utf-8?q?a?=\r\n\t =?utf-8?q?b?=", "ab");
	DECODES("=?utf-8?q?a?==?utf-8?q?b?=", "ab");
	DECODES("=?utf-8?q?a?= =?iso-8859-1?q?=e9?=", "aé");
	DECODES("=?utf-8?q?a_?= =?utf-8?q?b?=", "a b");
}

static void keeps_space_between_word_and_text(void)
{
	DECODES("x =?utf-8?q?a?= y", "x a y");
	DECODES("=?utf-8?q?a?= y =?utf-8?q?b?=", "a y b");
	DECODES("Re:=?utf-8?q?a?=(y)", "Re:a(y)");
}

static void joins_a_character_cut_between_words(void)
{
	DECODES("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü");
	DECODES("=?utf-8?B?4oI=?=\r\n =?utf-8?B?rA==?=", "€");
	DECODES("=?UTF-8?B?4oI=?= =?utf-8?Q?=AC?=", "€");
	DECODES("=?utf-8*en?q?=C3?= =?utf-8?q?=BC?=", "ü");
}

static void joins_base64_cut_between_words(void)
{
	/* "Grüße" is R3LDvMOfZQ==. */
	DECODES("=?utf-8?B?R3LDv?= =?utf-8?B?MOfZQ==?=", "Grüße");
	DECODES("=?utf-8?B?R?= =?utf-8?B?3LDvMO?= =?utf-8?B?fZQ==?=", "Grüße");
}

static void base64_may_lack_padding(void)
{
	DECODES("=?utf-8?B?R3LDvMOfZQ?=", "Grüße");
	DECODES("=?utf-8?B?YWI?= =?utf-8?B?Y2Q?=", "abcd");
	DECODES("=?utf-8?B?YWI=?= =?utf-8?B?Y2Q=?=", "abcd");
	DECODES("=?utf-8?B?YW\r\n I=?=", "ab");
	DECODES("=?utf-8?B?=?=", "");
	DECODES("=?utf-8?B?Y?=", "");
}

static void knows_the_usual_charsets(void)
{
	DECODES("=?iso-8859-1?q?=E9=80?=", "é€"); /* meant is windows-1252 */
	DECODES("=?ISO-8859-15?q?=A4?=", "€");
	DECODES("=?windows-1251?B?z/Do4uXy?=", "Привет");
	DECODES("=?koi8-r?B?8NLJ18XU?=", "Привет");
	DECODES("=?iso-2022-jp?B?GyRCRnxLXDhsGyhC?=", "日本語");
	DECODES("=?Shift_JIS?B?k/qWe4zq?=", "日本語");
	DECODES("=?euc-kr?B?x9GxuQ==?=", "한국");
	DECODES("=?ks_c_5601-1987?B?x9GxuQ==?=", "한국");
	DECODES("=?gb2312?B?1tDOxA==?=", "中文");
	DECODES("=?big5?B?pKSk5Q==?=", "中文");
	DECODES("=?us-ascii?q?plain?=", "plain");
	DECODES("=?us-ascii*en-us?q?plain?=", "plain");
	DECODES("=?utf-7?q?Gr+APwA3w-e?=", "Grüße");
}

static void a_stateful_charset_starts_anew_in_each_use(void)
{
	DECODES("=?iso-2022-jp?B?GyRCRnw=?= x =?iso-2022-jp?q?abc?=", "日 x abc");
	/* Cut off in a character, and shifted. */
	DECODES("=?iso-2022-jp?B?GyRCRg==?= x =?iso-2022-jp?q?abc?=", FFFD " x abc");
}

static void an_unknown_charset_keeps_ascii(void)
{
	DECODES("=?x-nonsense?q?abc=FFdef?=", "abc" FFFD "def");
	DECODES("=?x-nonsense?q?=C3=BC?=", "ü");
	DECODES("=?../../etc/passwd?q?abc?=", "abc");
	DECODES("=?UTF-8//TRANSLIT?q?abc?=", "abc");
}

static void bytes_outside_the_charset_are_replaced(void)
{
	DECODES("=?utf-8?q?a=FFb=C3?=", "a" FFFD "b" FFFD);
	DECODES("=?utf-8?q?=ED=A0=80?=", FFFD FFFD FFFD);
	DECODES("=?iso-8859-1?q?=81?=", FFFD);
	DECODES("=?big5?q?a=FF?=", "a" FFFD);
	DECODES("=?shift_jis?q?a=93?=", "a" FFFD);
	DECODES("=?utf-16be?q?=D8?=", FFFD);
}

static void raw_8bit_is_utf8_or_else_windows_1252(void)
{
	DECODES("Gr\xc3\xbc\xc3\x9f" "e", "Grüße");
	DECODES("Gr\xfc\xdf" "e \x80", "Grüße €");
	DECODES("\xfc =?utf-8?q?=C3=BC?= \xc3\xbc", "ü ü ü");
}

static void unfolds(void)
{
	DECODES(" a\r\n b", "a b");
	DECODES("a\n\tb", "a b");
	DECODES("a\r\n\r\n b", "a b");
	DECODES("a\r\nb", "a b");
	DECODES("a\rb\n", "a b");
}

static void controls_become_spaces(void)
{
	DECODES("a\0b", "a b");
	DECODES("a\0\xfc", "a ü");
	DECODES("a\0\xc3\xbc", "a ü");
	DECODES("=?utf-8?q?a=00=0D=0Ab?=", "a   b");
	DECODES("=?utf-8?q?=1B[31m=C2=9B0m?=", "[31m 0m");
	DECODES("a\x7f" "b\xe2\x80\xa8" "c\xe2\x80\xa9" "d", "a b c d");
	DECODES("=?utf-16be?q?=00a=00=0A=00b?=", "a b");
	DECODES(" \t\r\n", "");
}

static void broken_words_stay(void)
{
	DECODES("=?", "=?");
	DECODES("=?\?=", "=?\?=");
	DECODES("=?utf-8?=", "=?utf-8?=");
	DECODES("=?utf-8?q?", "=?utf-8?q?");
	DECODES("=?utf-8?q?abc", "=?utf-8?q?abc");
	DECODES("=?utf-8?q?abc?", "=?utf-8?q?abc?");
	DECODES("=?utf-8?x?abc?=", "=?utf-8?x?abc?=");
	DECODES("=??q?abc?=", "=??q?abc?=");
	DECODES("=?utf-8?b?YW?I?=", "=?utf-8?b?YW?I?=");
	DECODES("=?utf-8?q?a =?utf-8?q?b?=", "=?utf-8?q?a b");
}

static void q_takes_what_senders_leave_raw(void)
{
	DECODES("=?utf-8?q?a b?=", "a b");
	DECODES("=?utf-8?q?what?\?=", "what?");
	DECODES("=?utf-8?q?a?b?=", "a?b");
	DECODES("=?utf-8?q?50=_=zz=4?=", "50= =zz=4");
	DECODES("=?utf-8?q?gr\xc3\xbcn?=", "grün");
}

static void cuts_at_a_character_boundary(void)
{
	for (size_t max = 0; max < 12; max++) {
		g_autofree char *text = rfc2047_decode("a\xe2\x82\xac\xc3\xbc z", 8, max);

		assert_fit(text, max);
		g_assert_true(g_str_has_prefix("a€ü z", text));
	}
}

static void only_the_beginning_of_huge_input_counts(void)
{
	g_autoptr(GString) raw = g_string_new("x");
	g_autofree char *text = NULL;

	/* The bound falls into a character, which must not change how the rest is read. */
	while (raw->len < 3 * RFC2047_INPUT_MAX)
		g_string_append(raw, "ü");
	text = rfc2047_decode(raw->str, raw->len, 1u << 20);
	assert_fit(text, RFC2047_INPUT_MAX);
	g_assert_true(g_str_has_prefix(raw->str, text));
	g_assert_cmpuint(strlen(text), ==, RFC2047_INPUT_MAX - 1);
}

static void fills(const char *unit)
{
	g_autoptr(GString) raw = g_string_new(NULL);
	g_autofree char *text = NULL;

	while (raw->len < 2 * RFC2047_INPUT_MAX)
		g_string_append(raw, unit);
	text = rfc2047_decode(raw->str, raw->len, 1u << 20);
	assert_fit(text, 1u << 20);
}

static void repeated_beginnings_of_words_are_no_trouble(void)
{
	fills("=?");
	fills("=?a?q?");
	fills("=?a?q?x?");
	fills("=?a?b?");
	fills("=?big5?q?=A4?= ");
	fills("=?utf-8?b?Y?= ");
	fills("=?gbk?q?a?= =?koi8-r?q?b?= =?big5?q?c?= =?cp1250?q?d?= =?cp1251?q?e?= =?cp1253?q?f?= "
	      "=?cp1255?q?g?= =?cp1256?q?h?= =?cp1257?q?i?= =?cp1258?q?j?= ");
}

static void any_bytes_give_one_line_of_utf8(void)
{
	static const char *const parts[] = {
		"=?", "?=", "utf-8", "?q?", "?B?", "=", "?", "=C3", "\xc3", "\xbc", "YWI", " ", "\r\n",
		"iso-2022-jp", "\x1b$B", "\0", "=?utf-8?q?", "=?gbk?b?", "*en",
	};
	g_autoptr(GRand) rand = g_rand_new_with_seed(5);

	for (int i = 0; i < 20000; i++) {
		g_autoptr(GString) raw = g_string_new(NULL);
		g_autofree char *text = NULL;
		size_t max = (size_t)g_rand_int_range(rand, 0, 60);

		for (int k = g_rand_int_range(rand, 0, 16); k > 0; k--) {
			const char *part = parts[g_rand_int_range(rand, 0, G_N_ELEMENTS(parts))];

			g_string_append_len(raw, part, *part ? (gssize)strlen(part) : 1);
		}
		text = rfc2047_decode(raw->str, raw->len, max);
		assert_fit(text, max);
	}
}

static void clean_text_keeps_words_encoded(void)
{
	g_autofree char *text = rfc2047_clean(" <=?utf-8?q?a?=\xfc@b>\r\n", 22, 4096);

	g_assert_cmpstr(text, ==, "<=?utf-8?q?a?=ü@b>");
}

static void measures_a_word(void)
{
	g_assert_cmpuint(rfc2047_word_len("=?utf-8?q?a,b?=, c", 18), ==, 15);
	g_assert_cmpuint(rfc2047_word_len("=?utf-8?q?a,b?", 14), ==, 0);
	g_assert_cmpuint(rfc2047_word_len("x=?utf-8?q?a?=", 14), ==, 0);
	g_assert_cmpuint(rfc2047_word_len("", 0), ==, 0);
}

#define ADD(name, fn) g_test_add_func("/wire/rfc2047/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("decodes Q and B", decodes_q_and_b);
	ADD("leaves plain text alone", leaves_plain_text_alone);
	ADD("joins adjacent words", joins_adjacent_words);
	ADD("keeps space between word and text", keeps_space_between_word_and_text);
	ADD("joins a character cut between words", joins_a_character_cut_between_words);
	ADD("joins base64 cut between words", joins_base64_cut_between_words);
	ADD("base64 may lack padding", base64_may_lack_padding);
	ADD("knows the usual charsets", knows_the_usual_charsets);
	ADD("a stateful charset starts anew in each use", a_stateful_charset_starts_anew_in_each_use);
	ADD("an unknown charset keeps ASCII", an_unknown_charset_keeps_ascii);
	ADD("bytes outside the charset are replaced", bytes_outside_the_charset_are_replaced);
	ADD("raw 8-bit is UTF-8 or else windows-1252", raw_8bit_is_utf8_or_else_windows_1252);
	ADD("unfolds", unfolds);
	ADD("MD-3 controls become spaces", controls_become_spaces);
	ADD("MD-3 broken words stay", broken_words_stay);
	ADD("Q takes what senders leave raw", q_takes_what_senders_leave_raw);
	ADD("cuts at a character boundary", cuts_at_a_character_boundary);
	ADD("MD-3 only the beginning of huge input counts", only_the_beginning_of_huge_input_counts);
	ADD("repeated beginnings of words are no trouble",
		repeated_beginnings_of_words_are_no_trouble);
	ADD("any bytes give one line of UTF-8", any_bytes_give_one_line_of_utf8);
	ADD("clean text keeps words encoded", clean_text_keeps_words_encoded);
	ADD("measures a word", measures_a_word);
	return g_test_run();
}
