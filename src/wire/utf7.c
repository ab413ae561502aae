/* SPDX-License-Identifier: MIT */
/* Modified UTF-7: base64 of UTF-16 between `&` and `-`. RFC 3501 §5.1.3. Pure. */
#include "wire/utf7.h"

#include <stdint.h>
#include <string.h>

#include <glib.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* Characters that stand for themselves. */
static bool is_direct(gunichar c)
{
	return c >= 0x20 && c <= 0x7e;
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == ',' ? 63 : -1;
}

/* Add one UTF-16 unit; *high holds a first surrogate that waits for its second. */
static bool put_unit(GString *out, uint32_t unit, uint32_t *high)
{
	bool is_high = unit >= 0xd800 && unit <= 0xdbff;
	bool is_low = unit >= 0xdc00 && unit <= 0xdfff;

	if (is_low != (*high != 0) || unit == 0)
		return false;
	if (is_high) {
		*high = unit;
		return true;
	}
	if (is_low)
		unit = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
	*high = 0;
	g_string_append_unichar(out, unit);
	return true;
}

/* Base64 up to the closing `-`; returns the position behind it, or 0. */
static size_t take_shifted(const char *wire, size_t len, size_t pos, GString *out)
{
	uint32_t bits = 0, high = 0;
	unsigned count = 0;

	for (; pos < len && wire[pos] != '-'; pos++) {
		int value = digit_value(wire[pos]);

		if (value < 0)
			return 0;
		bits = bits << 6 | (uint32_t)value;
		count += 6;
		if (count < 16)
			continue;
		count -= 16;
		if (!put_unit(out, bits >> count & 0xffff, &high))
			return 0;
		bits &= (1u << count) - 1;
	}
	return pos < len && high == 0 ? pos + 1 : 0;
}

/* Accepts more than the canonical form; the caller compares. */
static bool decode_loosely(const char *wire, size_t len, GString *out)
{
	size_t pos = 0;

	while (pos < len) {
		char c = wire[pos];

		if (!is_direct((guchar)c))
			return false;
		pos++;
		if (c != '&') {
			g_string_append_c(out, c);
		} else if (pos < len && wire[pos] == '-') {
			g_string_append_c(out, '&');
			pos++;
		} else {
			pos = take_shifted(wire, len, pos, out);
			if (pos == 0)
				return false;
		}
	}
	return true;
}

bool utf7_decode(const char *wire, size_t len, char **ret_utf8)
{
	g_autoptr(GString) out = g_string_sized_new(len);
	g_autofree char *again = NULL;

	if (!decode_loosely(wire, len, out))
		return false;
	/* Pad bits, ASCII in base64, a shift right behind a shift: all end here. */
	again = utf7_encode(out->str);
	if (!again || strlen(again) != len || memcmp(again, wire, len) != 0)
		return false;

	*ret_utf8 = g_string_free(g_steal_pointer(&out), FALSE);
	return true;
}

struct shift {
	uint32_t bits;
	unsigned count;
	bool is_open;
};

static void shift_put(struct shift *shift, GString *out, uint32_t unit)
{
	if (!shift->is_open)
		g_string_append_c(out, '&');
	shift->is_open = true;
	shift->bits = shift->bits << 16 | unit;
	shift->count += 16;
	while (shift->count >= 6) {
		shift->count -= 6;
		g_string_append_c(out, digits[shift->bits >> shift->count & 63]);
	}
	shift->bits &= (1u << shift->count) - 1;
}

static void shift_close(struct shift *shift, GString *out)
{
	if (!shift->is_open)
		return;
	if (shift->count > 0)
		g_string_append_c(out, digits[shift->bits << (6 - shift->count) & 63]);
	g_string_append_c(out, '-');
	*shift = (struct shift){ 0 };
}

char *utf7_encode(const char *utf8)
{
	struct shift shift = { 0 };
	GString *out;

	if (!g_utf8_validate(utf8, -1, NULL))
		return NULL;

	out = g_string_new(NULL);
	for (const char *p = utf8; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (is_direct(c)) {
			shift_close(&shift, out);
			g_string_append_c(out, (char)c);
			if (c == '&')
				g_string_append_c(out, '-');
		} else if (c < 0x10000) {
			shift_put(&shift, out, c);
		} else {
			shift_put(&shift, out, 0xd800 + ((c - 0x10000) >> 10));
			shift_put(&shift, out, 0xdc00 + ((c - 0x10000) & 0x3ff));
		}
	}
	shift_close(&shift, out);
	return g_string_free(out, FALSE);
}
