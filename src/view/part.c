/* SPDX-License-Identifier: MIT */
/* Free text to one part of a message name: filter, then NFC, then cut. MD-3. */
#include "view/part.h"

#include <string.h>

#include <glib.h>

/* Far more than a name holds, even after NFC has made a third of it; bounds the work. */
#define FILTERED_MAX 1024
/* More than any script stacks; keeps the names of jokers on their own line. */
#define MARKS_MAX 8

enum char_class {
	CLASS_KEEP,
	CLASS_MARK,
	CLASS_SEPARATE,
	CLASS_DROP,
};

struct range {
	uint32_t first, last;
};

/* Leave no trace on screen, though their category is letter, mark or symbol. Ascending. */
static const struct range invisible[] = {
	{ 0x034f, 0x034f },   /* combining grapheme joiner */
	{ 0x115f, 0x1160 },   /* Hangul fillers */
	{ 0x17b4, 0x17b5 },   /* Khmer inherent vowels */
	{ 0x180b, 0x180f },   /* Mongolian selectors */
	{ 0x3164, 0x3164 },   /* Hangul filler */
	{ 0xfe00, 0xfe0f },   /* variation selectors */
	{ 0xffa0, 0xffa0 },   /* halfwidth Hangul filler */
	{ 0x13441, 0x13442 }, /* Egyptian blanks */
	{ 0x16fe4, 0x16fe4 }, /* Khitan filler */
	{ 0x1d159, 0x1d159 }, /* null notehead */
	{ 0xe0000, 0xe0fff }, /* tags and variation selectors */
};

/* Symbols that stand for nothing. Ascending. */
static const struct range blank[] = {
	{ 0x2800, 0x2800 }, /* braille without a dot */
	{ 0xfffc, 0xfffd }, /* object here, undecodable here */
};

static bool in_ranges(const struct range *ranges, size_t count, uint32_t code)
{
	for (size_t i = 0; i < count && code >= ranges[i].first; i++) {
		if (code <= ranges[i].last)
			return true;
	}
	return false;
}

/* Vowels and finals of Hangul compose with the character before them, as marks do. */
static bool joins_hangul(uint32_t code)
{
	return (code > 0x1160 && code <= 0x11ff) || (code >= 0xd7b0 && code <= 0xd7ff);
}

static enum char_class classify(uint32_t code)
{
	if (code < 0x80)
		return g_ascii_isalnum((char)code) || code == '+' ? CLASS_KEEP : CLASS_SEPARATE;
	if (in_ranges(invisible, G_N_ELEMENTS(invisible), code))
		return CLASS_DROP;
	if (in_ranges(blank, G_N_ELEMENTS(blank), code))
		return CLASS_SEPARATE;

	switch (g_unichar_type(code)) {
	case G_UNICODE_UPPERCASE_LETTER:
	case G_UNICODE_LOWERCASE_LETTER:
	case G_UNICODE_TITLECASE_LETTER:
	case G_UNICODE_MODIFIER_LETTER:
	case G_UNICODE_DECIMAL_NUMBER:
	case G_UNICODE_LETTER_NUMBER:
	case G_UNICODE_OTHER_NUMBER:
	case G_UNICODE_CURRENCY_SYMBOL:
	case G_UNICODE_OTHER_SYMBOL:
		return CLASS_KEEP;
	case G_UNICODE_OTHER_LETTER:
		return joins_hangul(code) ? CLASS_MARK : CLASS_KEEP;
	case G_UNICODE_SPACING_MARK:
	case G_UNICODE_NON_SPACING_MARK:
		return CLASS_MARK;
	case G_UNICODE_FORMAT:
	case G_UNICODE_ENCLOSING_MARK:
		return CLASS_DROP;
	default:
		return CLASS_SEPARATE;
	}
}

bool part_is_plain(uint32_t code)
{
	return classify(code) == CLASS_KEEP;
}

bool part_is_mark(uint32_t code)
{
	return classify(code) == CLASS_MARK;
}

struct filter {
	char text[FILTERED_MAX + 1];
	size_t len;
	unsigned marks; /* since the last character kept */
	char separator; /* waits for the next character kept; 0 = none */
};

static void filter_separate(struct filter *filter, uint32_t code)
{
	bool is_lone_dot = code == '.' && filter->separator == 0;

	filter->separator = is_lone_dot ? '.' : '-';
}

static void filter_keep(struct filter *filter, const char *bytes, size_t len)
{
	if (filter->separator != 0 && filter->len > 0)
		filter->text[filter->len++] = filter->separator;
	filter->separator = 0;
	filter->marks = 0;
	memcpy(filter->text + filter->len, bytes, len);
	filter->len += len;
}

static void filter_mark(struct filter *filter, const char *bytes, size_t len)
{
	if (filter->len == 0 || filter->separator != 0 || filter->marks == MARKS_MAX)
		return;
	filter->marks++;
	memcpy(filter->text + filter->len, bytes, len);
	filter->len += len;
}

/* What is invalid or cut short is a byte that separates. */
static gunichar next_code(const char *at, size_t left, size_t *ret_len)
{
	gunichar code = (unsigned char)*at;

	*ret_len = 1;
	if (code < 0x80)
		return code;
	code = g_utf8_get_char_validated(at, (gssize)left);
	if (code >= 0x110000)
		return 0;
	*ret_len = (size_t)g_unichar_to_utf8(code, NULL);
	return code;
}

static void filter_run(struct filter *filter, struct slice text)
{
	size_t len;

	/* 5: a separator and the longest character. */
	for (size_t i = 0; i < text.len && filter->len + 5 <= FILTERED_MAX; i += len) {
		const char *at = text.text + i;
		gunichar code = next_code(at, text.len - i, &len);

		switch (classify(code)) {
		case CLASS_KEEP:
			filter_keep(filter, at, len);
			break;
		case CLASS_MARK:
			filter_mark(filter, at, len);
			break;
		case CLASS_SEPARATE:
			filter_separate(filter, code);
			break;
		case CLASS_DROP:
			break;
		}
	}
	filter->text[filter->len] = '\0';
}

static size_t previous_char(const char *part, size_t at)
{
	do
		at--;
	while (at > 0 && ((unsigned char)part[at] & 0xc0) == 0x80);
	return at;
}

size_t part_cut(char *part, size_t len, size_t limit)
{
	size_t end = limit, whole;

	if (len <= limit)
		return len;
	while (end > 0 && ((unsigned char)part[end] & 0xc0) == 0x80)
		end--;
	/* A letter goes with its marks, unless that is all there is. */
	whole = end;
	while (whole > 0 && part_is_mark(g_utf8_get_char(part + whole)))
		whole = previous_char(part, whole);
	if (whole > 0)
		end = whole;
	/* Both separators are one byte, and never two in a row. */
	if (part[end - 1] == '-' || part[end - 1] == '.')
		end--;
	part[end] = '\0';
	return end;
}

size_t part_write(struct slice text, size_t limit, char *ret_part)
{
	struct filter filter = { .len = 0 };
	g_autofree char *composed = NULL;
	char *part = filter.text;
	size_t len;

	filter_run(&filter, text);
	/* Composing comes after filtering: what vanished may have stood between letter and mark. */
	if (!g_str_is_ascii(part)) {
		composed = g_utf8_normalize(part, (gssize)filter.len, G_NORMALIZE_NFC);
		part = composed;
	}
	len = part_cut(part, strlen(part), limit);
	memcpy(ret_part, part, len + 1);
	return len;
}
