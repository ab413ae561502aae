/* SPDX-License-Identifier: MIT */
/*
 * SASLprep (RFC 4013): user names and passwords before they are hashed, so that one text typed on
 * two keyboards gives one key. Prepared as query strings: code points that Unicode 3.2 did not
 * know (emoji) pass. Two simplifications: NFKC is that of GLib's Unicode version, and a
 * left-to-right character (RFC 3454 table D.2) is taken to be any letter that is not in D.1.
 * No thread.
 */
#include <string.h>

#include <glib.h>

#include "base/cleanup.h"
#include "wire/sasl_impl.h"

struct code_range {
	gunichar first;
	gunichar last;
};

/* clang-format off */
/* RFC 3454 C.1.2: becomes a space. U+200B is in B.1 too; the space wins, as in RFC 4013's order. */
static const struct code_range to_space[] = {
	{ 0x00a0, 0x00a0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200b }, { 0x202f, 0x202f },
	{ 0x205f, 0x205f }, { 0x3000, 0x3000 },
};

/* RFC 3454 B.1: vanishes. */
static const struct code_range to_nothing[] = {
	{ 0x00ad, 0x00ad }, { 0x034f, 0x034f }, { 0x1806, 0x1806 }, { 0x180b, 0x180d },
	{ 0x200c, 0x200d }, { 0x2060, 0x2060 }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff },
};

/* RFC 3454 C.1.2, C.2.1, C.2.2, C.3 to C.9, merged and sorted. The last two code points of each
 * plane (C.4) are found by arithmetic. */
static const struct code_range prohibited[] = {
	{ 0x0000, 0x001f },   { 0x007f, 0x00a0 },     { 0x0340, 0x0341 },     { 0x06dd, 0x06dd },
	{ 0x070f, 0x070f },   { 0x1680, 0x1680 },     { 0x180e, 0x180e },     { 0x2000, 0x200f },
	{ 0x2028, 0x202f },   { 0x205f, 0x2063 },     { 0x206a, 0x206f },     { 0x2ff0, 0x2ffb },
	{ 0x3000, 0x3000 },   { 0xd800, 0xf8ff },     { 0xfdd0, 0xfdef },     { 0xfeff, 0xfeff },
	{ 0xfff9, 0xffff },   { 0x1d173, 0x1d17a },   { 0xe0001, 0xe0001 },   { 0xe0020, 0xe007f },
	{ 0xf0000, 0xfffff }, { 0x100000, 0x10ffff },
};

/* RFC 3454 D.1: written from right to left. */
static const struct code_range right_to_left[] = {
	{ 0x05be, 0x05be }, { 0x05c0, 0x05c0 }, { 0x05c3, 0x05c3 }, { 0x05d0, 0x05ea },
	{ 0x05f0, 0x05f4 }, { 0x061b, 0x061b }, { 0x061f, 0x061f }, { 0x0621, 0x063a },
	{ 0x0640, 0x064a }, { 0x066d, 0x066f }, { 0x0671, 0x06d5 }, { 0x06dd, 0x06dd },
	{ 0x06e5, 0x06e6 }, { 0x06fa, 0x06fe }, { 0x0700, 0x070d }, { 0x0710, 0x0710 },
	{ 0x0712, 0x072c }, { 0x0780, 0x07a5 }, { 0x07b1, 0x07b1 }, { 0x200f, 0x200f },
	{ 0xfb1d, 0xfb1d }, { 0xfb1f, 0xfb28 }, { 0xfb2a, 0xfb36 }, { 0xfb38, 0xfb3c },
	{ 0xfb3e, 0xfb3e }, { 0xfb40, 0xfb41 }, { 0xfb43, 0xfb44 }, { 0xfb46, 0xfbb1 },
	{ 0xfbd3, 0xfd3d }, { 0xfd50, 0xfd8f }, { 0xfd92, 0xfdc7 }, { 0xfdf0, 0xfdfc },
	{ 0xfe70, 0xfe74 }, { 0xfe76, 0xfefc },
};
/* clang-format on */

static bool is_in(const struct code_range *ranges, size_t count, gunichar c)
{
	for (size_t i = 0; i < count; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

static bool is_prohibited(gunichar c)
{
	return (c & 0xfffe) == 0xfffe || is_in(prohibited, G_N_ELEMENTS(prohibited), c);
}

static bool is_right_to_left(gunichar c)
{
	return is_in(right_to_left, G_N_ELEMENTS(right_to_left), c);
}

/* RFC 3454 §6: with one right-to-left character in it, a text begins and ends with such a one and
 * has no letter of the other direction. */
static bool has_one_direction(const char *text)
{
	bool has_right = false;
	bool has_left = false;
	gunichar last = 0;

	for (const char *at = text; *at; at = g_utf8_next_char(at)) {
		last = g_utf8_get_char(at);
		if (is_right_to_left(last))
			has_right = true;
		else if (g_unichar_isalpha(last))
			has_left = true;
	}
	if (!has_right)
		return true;
	return !has_left && is_right_to_left(g_utf8_get_char(text)) && is_right_to_left(last);
}

/* Never longer than the text: a space is shorter than what it stands for. */
static char *map_characters(const char *text)
{
	char *mapped = g_malloc(strlen(text) + 1);
	char *out = mapped;

	for (const char *at = text; *at; at = g_utf8_next_char(at)) {
		gunichar c = g_utf8_get_char(at);

		if (is_in(to_space, G_N_ELEMENTS(to_space), c))
			*out++ = ' ';
		else if (!is_in(to_nothing, G_N_ELEMENTS(to_nothing), c))
			out += g_unichar_to_utf8(c, out);
	}
	*out = '\0';
	return mapped;
}

static const char *find_fault(const char *text)
{
	if (text[0] == '\0')
		return "holds nothing but invisible characters";
	for (const char *at = text; *at; at = g_utf8_next_char(at))
		if (is_prohibited(g_utf8_get_char(at)))
			return "holds a control character or another one that SCRAM forbids";
	if (!has_one_direction(text))
		return "mixes right-to-left with other letters, which SCRAM forbids";
	return NULL;
}

/* GLib knows no way to normalise without intermediate copies: a text in ASCII, which is its own
 * normal form, is not given to it. */
static char *normalise(const char *text)
{
	if (g_str_is_ascii(text))
		return g_strdup(text);
	return g_utf8_normalize(text, -1, G_NORMALIZE_NFKC);
}

char *sasl_prep(const char *text, const char **ret_reason)
{
	SCOPED(sasl_secret_freep) char *mapped = NULL;
	SCOPED(sasl_secret_freep) char *normal = NULL;
	const char *fault;

	if (!g_utf8_validate(text, -1, NULL)) {
		*ret_reason = "is not UTF-8";
		return NULL;
	}
	mapped = map_characters(text);
	normal = normalise(mapped);
	fault = find_fault(normal);
	if (fault) {
		*ret_reason = fault;
		return NULL;
	}
	return g_steal_pointer(&normal);
}
