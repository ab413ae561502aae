/* SPDX-License-Identifier: MIT */
/* The escaping of folder names, and its inverse. */
#include "view/sanitize.h"

#include <string.h>

#include <glib.h>

#define RESERVED ".mailfs"
#define MESSAGE_SUFFIX ".eml"
#define HASH_DIGITS 16
/* Bytes of a cut name before '~' and the hash. */
#define CUT_LEN (FOLDER_COMPONENT_MAX - 1 - HASH_DIGITS)

struct range {
	gunichar first, last;
};

/* Characters that are not seen or that move others. Our own table, not GLib's: a newer Unicode
 * must not rename directories. Ascending. */
static const struct range unseen[] = {
	{ 0x80, 0x9f },       /* C1 controls */
	{ 0xad, 0xad },       /* soft hyphen */
	{ 0x61c, 0x61c },     /* Arabic letter mark */
	{ 0x180e, 0x180e },   /* Mongolian vowel separator */
	{ 0x200b, 0x200b },   /* zero width space */
	{ 0x200e, 0x200f },   /* left-to-right, right-to-left mark */
	{ 0x2028, 0x202e },   /* line and paragraph separator; embeddings, overrides */
	{ 0x2060, 0x206f },   /* word joiner … isolates … deprecated format characters */
	{ 0xfeff, 0xfeff },   /* byte order mark */
	{ 0xfff9, 0xfffb },   /* interlinear annotation */
	{ 0xe0000, 0xe007f }, /* tags */
};

static bool is_unseen(gunichar code)
{
	for (size_t i = 0; i < G_N_ELEMENTS(unseen) && code >= unseen[i].first; i++) {
		if (code <= unseen[i].last)
			return true;
	}
	return false;
}

static bool has_tail(const char *bytes, size_t len, const char *tail)
{
	size_t tail_len = strlen(tail);

	return len >= tail_len && memcmp(bytes + len - tail_len, tail, tail_len) == 0;
}

static bool equals(const char *bytes, size_t len, const char *text)
{
	return len == strlen(text) && has_tail(bytes, len, text);
}

/* "…~0123456789abcdef", as names look that were cut. */
static bool looks_cut(const char *bytes, size_t len)
{
	if (len < HASH_DIGITS + 1 || bytes[len - HASH_DIGITS - 1] != '~')
		return false;
	for (size_t i = len - HASH_DIGITS; i < len; i++) {
		if (!g_ascii_isxdigit(bytes[i]) || g_ascii_isupper(bytes[i]))
			return false;
	}
	return true;
}

/* What is to be escaped because of where it stands in the whole name; len = nothing. */
static size_t special_index(const char *bytes, size_t len, unsigned flags)
{
	if (equals(bytes, len, ".") || equals(bytes, len, "..") || equals(bytes, len, "%"))
		return 0;
	if ((flags & FOLDER_AT_ROOT) != 0 && equals(bytes, len, RESERVED))
		return 0;
	if (has_tail(bytes, len, MESSAGE_SUFFIX))
		return len - strlen(MESSAGE_SUFFIX);
	if (looks_cut(bytes, len))
		return len - HASH_DIGITS - 1;
	return len;
}

/* Bytes of the character at `at`, at least 1. Is it fit to be shown as it is? */
static size_t next_char(const char *at, size_t left, bool *ret_is_plain)
{
	unsigned char byte = (unsigned char)*at;
	gunichar code;

	*ret_is_plain = false;
	if (byte == '%') {
		*ret_is_plain = left < 3 || !g_ascii_isxdigit(at[1]) || !g_ascii_isxdigit(at[2]);
		return 1;
	}
	if (byte < 0x80) {
		*ret_is_plain = byte >= 0x20 && byte != 0x7f && byte != '/';
		return 1;
	}
	code = g_utf8_get_char_validated(at, (gssize)MIN(left, 4));
	if (code >= 0x110000) /* invalid, or the end came too soon */
		return 1;
	*ret_is_plain = !is_unseen(code);
	return (size_t)g_unichar_to_utf8(code, NULL);
}

static void append_escaped(GString *shown, const char *bytes, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		g_string_append_c(shown, '%');
		g_string_append_c(shown, digits[byte >> 4]);
		g_string_append_c(shown, digits[byte & 15]);
	}
}

static void cut(GString *shown, size_t cut_at, const char *bytes, size_t len)
{
	g_autofree char *hash = g_compute_checksum_for_data(G_CHECKSUM_SHA256,
		(const guchar *)bytes, len);

	g_string_truncate(shown, cut_at);
	g_string_append_c(shown, '~');
	g_string_append_len(shown, hash, HASH_DIGITS);
}

char *folder_component_escape(const char *bytes, size_t len, unsigned flags)
{
	GString *shown = g_string_sized_new(64);
	size_t special = special_index(bytes, len, flags);
	size_t char_len, cut_at = 0;
	bool is_taken = (flags & FOLDER_TAKEN) != 0;

	if (len == 0)
		g_string_append_c(shown, '%');
	for (size_t i = 0; i < len && shown->len <= FOLDER_COMPONENT_MAX; i += char_len) {
		bool is_plain;

		char_len = next_char(bytes + i, len - i, &is_plain);
		if (is_plain && i != special && !is_taken) {
			g_string_append_len(shown, bytes + i, (gssize)char_len);
		} else {
			append_escaped(shown, bytes + i, char_len);
			if (is_plain && i != special)
				is_taken = false;
		}
		if (shown->len <= CUT_LEN)
			cut_at = shown->len;
	}
	if (shown->len > FOLDER_COMPONENT_MAX)
		cut(shown, cut_at, bytes, len);
	return g_string_free(shown, FALSE);
}

static GString *decode(const char *shown, size_t len)
{
	GString *bytes = g_string_sized_new(len);

	for (size_t i = 0; i < len; i++) {
		if (shown[i] == '%' && len - i >= 3 && g_ascii_isxdigit(shown[i + 1]) &&
			g_ascii_isxdigit(shown[i + 2])) {
			g_string_append_c(bytes, (char)(g_ascii_xdigit_value(shown[i + 1]) << 4 |
				g_ascii_xdigit_value(shown[i + 2])));
			i += 2;
		} else {
			g_string_append_c(bytes, shown[i]);
		}
	}
	return bytes;
}

/* Decoding alone takes too much ("%41", "a/b"): only what escaping gives back is an output. */
static bool is_output(const char *shown, const GString *bytes)
{
	for (unsigned flags = 0; flags <= (FOLDER_AT_ROOT | FOLDER_TAKEN); flags++) {
		g_autofree char *again = folder_component_escape(bytes->str, bytes->len, flags);

		if (strcmp(again, shown) == 0)
			return true;
	}
	return false;
}

char *folder_component_unescape(const char *shown, size_t *ret_len)
{
	size_t len = strlen(shown);
	GString *bytes;

	if (len == 0 || len > FOLDER_COMPONENT_MAX)
		return NULL;
	bytes = strcmp(shown, "%") == 0 ? g_string_new("") : decode(shown, len);
	if (!is_output(shown, bytes)) {
		g_string_free(bytes, TRUE);
		return NULL;
	}
	*ret_len = bytes->len;
	return g_string_free(bytes, FALSE);
}
