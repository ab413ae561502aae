/* SPDX-License-Identifier: MIT */
/* Header text: whatever comes in, one bounded line of valid UTF-8 without controls comes out. */
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "wire/rfc2047.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(char *text, size_t max_bytes)
{
	g_assert_nonnull(text);
	g_assert_cmpuint(strlen(text), <=, max_bytes);
	g_assert_true(g_utf8_validate(text, -1, NULL));
	g_assert_false(g_str_has_prefix(text, " ") || g_str_has_suffix(text, " "));
	for (const char *p = text; *p; p = g_utf8_next_char(p))
		g_assert_false(g_unichar_iscntrl(g_utf8_get_char(p)));
	g_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *raw = (const char *)data;

	check(rfc2047_decode(raw, size, 1u << 20), 1u << 20);
	check(rfc2047_decode(raw, size, size / 2), size / 2);
	check(rfc2047_clean(raw, size, 1u << 20), 1u << 20);
	for (size_t i = 0; i < MIN(size, 64); i++)
		g_assert_cmpuint(rfc2047_word_len(raw + i, size - i), <=, size - i);
	return 0;
}
