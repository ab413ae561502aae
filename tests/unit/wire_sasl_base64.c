/* SPDX-License-Identifier: MIT */
/* wire/sasl.h: base64, both ways, strict and tolerant. SEC-26. */
#include "wire/sasl.h"

#include <string.h>

#include <glib.h>

#include "base/cleanup.h"

#define LEN_MAX 100

/* The text is copied to a block of its very size, so that a read past the end shows. */
static bool decodes(const char *text, size_t len, enum sasl_base64 how, struct bytebuf *out)
{
	g_autofree char *copy = g_memdup2(text, len);

	bytebuf_clear(out);
	return sasl_base64_decode(copy, len, how, out);
}

static void assert_decodes(const char *text, enum sasl_base64 how, const char *want)
{
	SCOPED(bytebuf_done) struct bytebuf out = { 0 };

	g_assert_true(decodes(text, strlen(text), how, &out));
	g_assert_cmpmem(bytebuf_bytes(&out), out.len, want, strlen(want));
}

static void assert_refused(const char *text, enum sasl_base64 how)
{
	SCOPED(bytebuf_done) struct bytebuf out = { 0 };

	if (decodes(text, strlen(text), how, &out))
		g_error("taken: '%s'", text);
	g_assert_cmpuint(out.len, ==, 0);
}

static void known_pairs_of_rfc_4648_match(void)
{
	static const char *const pairs[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
		SCOPED(bytebuf_done) struct bytebuf text = { 0 };

		sasl_base64_encode(pairs[i][0], strlen(pairs[i][0]), &text);
		g_assert_cmpmem(bytebuf_bytes(&text), text.len, pairs[i][1], strlen(pairs[i][1]));
		assert_decodes(pairs[i][1], SASL_BASE64_STRICT, pairs[i][0]);
		assert_decodes(pairs[i][1], SASL_BASE64_TOLERANT, pairs[i][0]);
	}
}

static void every_byte_value_survives(void)
{
	SCOPED(bytebuf_done) struct bytebuf text = { 0 };
	SCOPED(bytebuf_done) struct bytebuf back = { 0 };
	uint8_t bytes[256];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	sasl_base64_encode(bytes, sizeof(bytes), &text);
	g_assert_true(decodes((const char *)bytebuf_bytes(&text), text.len, SASL_BASE64_STRICT, &back));
	g_assert_cmpmem(bytebuf_bytes(&back), back.len, bytes, sizeof(bytes));
}

static void all_lengths_to_100_agree_with_glib(void)
{
	uint8_t bytes[LEN_MAX];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 200);
	for (size_t len = 0; len <= LEN_MAX; len++) {
		SCOPED(bytebuf_done) struct bytebuf text = { 0 };
		SCOPED(bytebuf_done) struct bytebuf back = { 0 };
		g_autofree char *want = g_base64_encode(bytes, len);

		sasl_base64_encode(bytes, len, &text);
		g_assert_cmpmem(bytebuf_bytes(&text), text.len, want, strlen(want));
		g_assert_true(decodes(want, strlen(want), SASL_BASE64_STRICT, &back));
		g_assert_cmpmem(bytebuf_bytes(&back), back.len, bytes, len);
	}
}

static void digits_of_all_lengths_to_100_decode_or_are_refused(void)
{
	char digits[LEN_MAX];

	memset(digits, 'A', sizeof(digits));
	for (size_t len = 0; len <= LEN_MAX; len++) {
		SCOPED(bytebuf_done) struct bytebuf out = { 0 };

		g_assert_cmpint(decodes(digits, len, SASL_BASE64_STRICT, &out), ==, len % 4 == 0);
		g_assert_cmpuint(out.len, ==, len % 4 == 0 ? len / 4 * 3 : 0);
		g_assert_cmpint(decodes(digits, len, SASL_BASE64_TOLERANT, &out), ==, len % 4 != 1);
		g_assert_cmpuint(out.len, ==, len % 4 != 1 ? len * 3 / 4 : 0);
	}
}

static void bad_padding_is_refused(void)
{
	static const char *const bad[] = {
		"=",     "==",     "====",     "Z===",     "Zg===",     "Zm8==",    "Zm9v=", "Zm9v==",
		"Z=g=",  "Zg=g",   "=Zg=",     "Zg==Zg==", "Zm8=Zm8=",  "Zm9v====", "Zg==A", "Zm9vY===",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		assert_refused(bad[i], SASL_BASE64_STRICT);
		assert_refused(bad[i], SASL_BASE64_TOLERANT);
	}
}

static void foreign_characters_are_refused(void)
{
	for (unsigned c = 0; c < 256; c++) {
		SCOPED(bytebuf_done) struct bytebuf out = { 0 };
		char text[4] = { 'Z', (char)c, '9', 'v' };
		bool is_digit = c < 0x80 && (g_ascii_isalnum((char)c) || c == '+' || c == '/');
		bool is_space = c == ' ' || c == '\t' || c == '\r' || c == '\n';

		g_assert_cmpint(decodes(text, 4, SASL_BASE64_STRICT, &out), ==, is_digit);
		g_assert_cmpint(decodes(text, 4, SASL_BASE64_TOLERANT, &out), ==, is_digit || is_space);
	}
}

static void strict_wants_padding(void)
{
	assert_refused("Zg", SASL_BASE64_STRICT);
	assert_refused("Zg=", SASL_BASE64_STRICT);
	assert_refused("Zm8", SASL_BASE64_STRICT);
}

static void tolerant_takes_missing_padding(void)
{
	assert_decodes("Zg", SASL_BASE64_TOLERANT, "f");
	assert_decodes("Zg=", SASL_BASE64_TOLERANT, "f");
	assert_decodes("Zm8", SASL_BASE64_TOLERANT, "fo");
}

static void strict_refuses_spare_bits(void)
{
	assert_refused("Zh==", SASL_BASE64_STRICT);
	assert_refused("Zm9=", SASL_BASE64_STRICT);
}

static void tolerant_drops_spare_bits(void)
{
	assert_decodes("Zh==", SASL_BASE64_TOLERANT, "f");
	assert_decodes("Zm9=", SASL_BASE64_TOLERANT, "fo");
}

static void strict_refuses_white_space(void)
{
	assert_refused(" Zm9v", SASL_BASE64_STRICT);
	assert_refused("Zm9v\r\n", SASL_BASE64_STRICT);
}

static void tolerant_skips_white_space(void)
{
	assert_decodes(" Zm\r\n9v\t", SASL_BASE64_TOLERANT, "foo");
	assert_decodes("Zg = =\r\n", SASL_BASE64_TOLERANT, "f");
	assert_decodes("  ", SASL_BASE64_TOLERANT, "");
}

static void both_directions_append(void)
{
	SCOPED(bytebuf_done) struct bytebuf out = { 0 };

	bytebuf_append_str(&out, "+ ");
	sasl_base64_encode("foo", 3, &out);
	g_assert_true(sasl_base64_decode("Zm9v", 4, SASL_BASE64_STRICT, &out));
	g_assert_cmpmem(bytebuf_bytes(&out), out.len, "+ Zm9vfoo", 9);
}

static void a_refused_text_appends_nothing(void)
{
	SCOPED(bytebuf_done) struct bytebuf out = { 0 };

	bytebuf_append_str(&out, "kept");
	g_assert_false(sasl_base64_decode("Zm9vZm9v!", 9, SASL_BASE64_STRICT, &out));
	g_assert_cmpmem(bytebuf_bytes(&out), out.len, "kept", 4);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wire/sasl_base64/known pairs of RFC 4648 match", known_pairs_of_rfc_4648_match);
	g_test_add_func("/wire/sasl_base64/every byte value survives", every_byte_value_survives);
	g_test_add_func("/wire/sasl_base64/SEC-26 all lengths to 100 agree with glib",
	                all_lengths_to_100_agree_with_glib);
	g_test_add_func("/wire/sasl_base64/SEC-26 digits of all lengths to 100 decode or are refused",
	                digits_of_all_lengths_to_100_decode_or_are_refused);
	g_test_add_func("/wire/sasl_base64/SEC-26 bad padding is refused", bad_padding_is_refused);
	g_test_add_func("/wire/sasl_base64/SEC-26 foreign characters are refused",
	                foreign_characters_are_refused);
	g_test_add_func("/wire/sasl_base64/strict wants padding", strict_wants_padding);
	g_test_add_func("/wire/sasl_base64/tolerant takes missing padding",
	                tolerant_takes_missing_padding);
	g_test_add_func("/wire/sasl_base64/strict refuses spare bits", strict_refuses_spare_bits);
	g_test_add_func("/wire/sasl_base64/tolerant drops spare bits", tolerant_drops_spare_bits);
	g_test_add_func("/wire/sasl_base64/strict refuses white space", strict_refuses_white_space);
	g_test_add_func("/wire/sasl_base64/tolerant skips white space", tolerant_skips_white_space);
	g_test_add_func("/wire/sasl_base64/both directions append", both_directions_append);
	g_test_add_func("/wire/sasl_base64/a refused text appends nothing",
	                a_refused_text_appends_nothing);
	return g_test_run();
}
