/* SPDX-License-Identifier: MIT */
/* Modified UTF-7 mailbox names. */
#include "wire/utf7.h"

#include <string.h>

#include <glib.h>

static const struct {
	const char *wire;
	const char *utf8;
} pairs[] = {
	{ "", "" },
	{ "INBOX", "INBOX" },
	{ "a b~", "a b~" },
	{ "&-", "&" },
	{ "R&-D", "R&D" },
	{ "&-&-", "&&" },
	{ "Entw&APw-rfe", "Entwürfe" },
	{ "&AOkA6Q-", "éé" },
	{ "&AOk-&-", "é&" },
	{ "&-&AOk-", "&é" },
	{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語" },
	{ "&2D3cBA-", "\xf0\x9f\x90\x84" },         /* a surrogate pair */
	{ "&IKw-1", "€1" },
	{ "&AAk-", "\t" },
	{ "&AH8-", "\x7f" },
	{ "&,,8-", "\xef\xbf\xbf" },                  /* U+FFFF */
	{ "&2,,f,w-", "\xf4\x8f\xbf\xbf" },           /* U+10FFFF */
	{ "a-b", "a-b" },
	{ "-", "-" },
	{ "..", ".." },
};

/* One wire name per line of the table; every one must be refused. */
static const struct {
	const char *wire;
	size_t len;
} refused[] = {
#define WIRE(text) { text, sizeof(text) - 1 }
	WIRE("a&b"), WIRE("&"), WIRE("&AOk"), WIRE("&AC8-"), WIRE("&AC4-&AC4-"), WIRE("&AAA-"),
	WIRE("&2D0-"), WIRE("&3AQ-"), WIRE("&2D3YPQ-"), WIRE("&3ATYPQ-"), WIRE("&2D0-&3AQ-"),
	WIRE("&AGEAYg-"), WIRE("&ACY-"), WIRE("&AOl-"), WIRE("&AOkA-"), WIRE("&A-"), WIRE("&AO-"),
	WIRE("&AOkAA-"), WIRE("&AOk-&AOk-"), WIRE("&AOk/-"), WIRE("&AOk=-"), WIRE("&AO k-"),
	WIRE("caf\xc3\xa9"), WIRE("caf\xe9"), WIRE("a\0b"), WIRE("\0"), WIRE("a\tb"), WIRE("a\x7f"),
	WIRE("a\r\nb"), WIRE("&AOk\0-"), WIRE("&--&"), WIRE("&AAAA6Q-"), WIRE("&2D3cBABh2D3cBA-"),
};

static void decodes_what_is_canonical(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
		g_autofree char *utf8 = NULL;

		g_assert_true(utf7_decode(pairs[i].wire, strlen(pairs[i].wire), &utf8));
		g_assert_cmpstr(utf8, ==, pairs[i].utf8);
	}
}

static void encodes_the_canonical_form(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
		g_autofree char *wire = utf7_encode(pairs[i].utf8);

		g_assert_cmpstr(wire, ==, pairs[i].wire);
	}
}

static void rejects_what_is_not_canonical(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		char *utf8 = (char *)"untouched";

		if (utf7_decode(refused[i].wire, refused[i].len, &utf8))
			g_error("accepted %s as %s", refused[i].wire, utf8);
		g_assert_cmpstr(utf8, ==, "untouched");
	}
}

static void refuses_to_encode_invalid_utf8(void)
{
	g_assert_null(utf7_encode("\xff"));
	g_assert_null(utf7_encode("a\xc3"));
	g_assert_null(utf7_encode("\xed\xa0\xbd")); /* a surrogate half */
}

static char *random_utf8(GRand *rand)
{
	static const gunichar upper[] = { 0x7f, 0x100, 0x3000, 0x10000, 0x110000 };
	GString *text = g_string_new(NULL);
	int len = g_rand_int_range(rand, 0, 12);

	for (int i = 0; i < len; i++) {
		gunichar below = upper[g_rand_int_range(rand, 0, G_N_ELEMENTS(upper))];
		gunichar c = (gunichar)g_rand_int_range(rand, 1, (gint32)below);

		if (g_unichar_validate(c))
			g_string_append_unichar(text, c);
	}
	return g_string_free(text, FALSE);
}

static void any_text_survives_a_round_trip(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(7);

	for (int i = 0; i < 5000; i++) {
		g_autofree char *text = random_utf8(rand);
		g_autofree char *wire = utf7_encode(text);
		g_autofree char *back = NULL;

		g_assert_true(utf7_decode(wire, strlen(wire), &back));
		g_assert_cmpstr(back, ==, text);
	}
}

static void what_decodes_encodes_to_the_same_bytes(void)
{
	static const char letters[] = "&&&--AOk2D3cBAw,+/a8 ";
	g_autoptr(GRand) rand = g_rand_new_with_seed(11);
	unsigned good = 0;

	for (int i = 0; i < 200000; i++) {
		char wire[9] = { 0 };
		size_t len = (size_t)g_rand_int_range(rand, 0, 9);
		g_autofree char *utf8 = NULL;
		g_autofree char *again = NULL;

		for (size_t k = 0; k < len; k++)
			wire[k] = letters[g_rand_int_range(rand, 0, (gint32)sizeof(letters) - 1)];
		if (!utf7_decode(wire, len, &utf8))
			continue;
		good++;
		again = utf7_encode(utf8);
		g_assert_cmpstr(again, ==, wire);
	}
	g_assert_cmpuint(good, >, 1000);
}

static void agrees_with_iconv(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(13);
	GIConv cd = g_iconv_open("UTF-7-IMAP", "UTF-8");

	if (cd == (GIConv)-1) {
		g_test_skip("iconv has no UTF-7-IMAP");
		return;
	}
	g_iconv_close(cd);
	for (int i = 0; i < 5000; i++) {
		g_autofree char *text = random_utf8(rand);
		g_autofree char *ours = utf7_encode(text);
		g_autofree char *theirs = g_convert(text, -1, "UTF-7-IMAP", "UTF-8", NULL, NULL, NULL);

		g_assert_cmpstr(ours, ==, theirs);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wire/utf7/decodes what is canonical", decodes_what_is_canonical);
	g_test_add_func("/wire/utf7/encodes the canonical form", encodes_the_canonical_form);
	g_test_add_func("/wire/utf7/NM-2 rejects non-canonical", rejects_what_is_not_canonical);
	g_test_add_func("/wire/utf7/refuses to encode invalid UTF-8", refuses_to_encode_invalid_utf8);
	g_test_add_func("/wire/utf7/any text survives a round trip", any_text_survives_a_round_trip);
	g_test_add_func("/wire/utf7/NM-2 what decodes encodes to the same bytes",
		what_decodes_encodes_to_the_same_bytes);
	g_test_add_func("/wire/utf7/agrees with iconv", agrees_with_iconv);
	return g_test_run();
}
