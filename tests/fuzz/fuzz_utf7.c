/* SPDX-License-Identifier: MIT */
/* Modified UTF-7: what decodes encodes to the same bytes, and the other way round. NM-2. */
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "wire/utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_decode(const char *wire, size_t len)
{
	g_autofree char *utf8 = NULL;
	g_autofree char *again = NULL;

	if (!utf7_decode(wire, len, &utf8))
		return;
	g_assert_true(g_utf8_validate(utf8, -1, NULL));
	again = utf7_encode(utf8);
	g_assert_cmpuint(strlen(again), ==, len);
	g_assert_true(memcmp(again, wire, len) == 0);
}

static void check_encode(const char *utf8)
{
	g_autofree char *wire = utf7_encode(utf8);
	g_autofree char *back = NULL;

	g_assert_true((wire != NULL) == g_utf8_validate(utf8, -1, NULL));
	if (!wire)
		return;
	g_assert_true(utf7_decode(wire, strlen(wire), &back));
	g_assert_cmpstr(back, ==, utf8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);

	check_decode((const char *)data, size);
	check_encode(text);
	return 0;
}
