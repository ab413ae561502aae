/* SPDX-License-Identifier: MIT */
/*
 * Charset names as senders write them, and conversion to UTF-8. A label that is commonly put on
 * text of its superset (iso-8859-1 on windows-1252, gb2312 on gb18030) means the superset.
 */
#include "wire/charset.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"
#define NAME_MAX_LEN 40u

/* Names that are not iconv's. */
static const char guess[] = "guess", latin1[] = "latin1", utf8[] = "utf8";

static const struct {
	const char *label; /* lower case without `-` and `_` */
	const char *name;
} labels[] = {
	{ "8bit", guess },
	{ "ansix3.41968", guess },
	{ "ascii", guess },
	{ "binary", guess },
	{ "default", guess },
	{ "unknown", guess },
	{ "unknown8bit", guess },
	{ "usascii", guess },
	{ "utf8", utf8 },
	{ "utf8mb4", utf8 },
	{ "xunknown", guess },
	{ "xuserdefined", guess },

	{ "cp1252", latin1 },
	{ "iso88591", latin1 },
	{ "iso88591:1987", latin1 },
	{ "l1", latin1 },
	{ "latin1", latin1 },
	{ "windows1252", latin1 },
	{ "xansi", latin1 },

	{ "iso88592", "ISO-8859-2" },
	{ "iso88593", "ISO-8859-3" },
	{ "iso88594", "ISO-8859-4" },
	{ "iso88595", "ISO-8859-5" },
	{ "iso88596", "ISO-8859-6" },
	{ "iso88597", "ISO-8859-7" },
	{ "iso88598", "ISO-8859-8" },
	{ "iso88598i", "ISO-8859-8" },
	{ "iso88599", "CP1254" },
	{ "iso885910", "ISO-8859-10" },
	{ "iso885911", "CP874" },
	{ "iso885913", "ISO-8859-13" },
	{ "iso885914", "ISO-8859-14" },
	{ "iso885915", "ISO-8859-15" },
	{ "iso885916", "ISO-8859-16" },
	{ "latin2", "ISO-8859-2" },
	{ "latin9", "ISO-8859-15" },

	{ "cp1250", "CP1250" },
	{ "cp1251", "CP1251" },
	{ "cp1253", "CP1253" },
	{ "cp1254", "CP1254" },
	{ "cp1255", "CP1255" },
	{ "cp1256", "CP1256" },
	{ "cp1257", "CP1257" },
	{ "cp1258", "CP1258" },
	{ "cp437", "CP437" },
	{ "cp850", "CP850" },
	{ "cp852", "CP852" },
	{ "cp862", "CP862" },
	{ "cp866", "CP866" },
	{ "cp874", "CP874" },
	{ "ibm437", "CP437" },
	{ "ibm850", "CP850" },
	{ "ibm852", "CP852" },
	{ "ibm866", "CP866" },
	{ "koi8r", "KOI8-R" },
	{ "koi8u", "KOI8-U" },
	{ "mac", "MACINTOSH" },
	{ "macintosh", "MACINTOSH" },
	{ "tis620", "CP874" },
	{ "viscii", "VISCII" },
	{ "win1251", "CP1251" },
	{ "windows1250", "CP1250" },
	{ "windows1251", "CP1251" },
	{ "windows1253", "CP1253" },
	{ "windows1254", "CP1254" },
	{ "windows1255", "CP1255" },
	{ "windows1256", "CP1256" },
	{ "windows1257", "CP1257" },
	{ "windows1258", "CP1258" },
	{ "windows874", "CP874" },
	{ "xmaccyrillic", "MAC-CYRILLIC" },
	{ "xmacroman", "MACINTOSH" },

	{ "big5", "BIG5-HKSCS" },
	{ "big5hkscs", "BIG5-HKSCS" },
	{ "cnbig5", "BIG5-HKSCS" },
	{ "cp932", "CP932" },
	{ "cp936", "GB18030" },
	{ "cp949", "CP949" },
	{ "cp950", "BIG5-HKSCS" },
	{ "csiso2022jp", "ISO-2022-JP-2" },
	{ "euccn", "GB18030" },
	{ "eucjp", "EUC-JP-MS" },
	{ "euckr", "CP949" },
	{ "gb18030", "GB18030" },
	{ "gb2312", "GB18030" },
	{ "gb231280", "GB18030" },
	{ "gbk", "GB18030" },
	{ "iso2022cn", "ISO-2022-CN" },
	{ "iso2022jp", "ISO-2022-JP-2" },
	{ "iso2022jp1", "ISO-2022-JP-2" },
	{ "iso2022jp2", "ISO-2022-JP-2" },
	{ "iso2022jpms", "ISO-2022-JP-2" },
	{ "iso2022kr", "ISO-2022-KR" },
	{ "ksc5601", "CP949" },
	{ "ksc56011987", "CP949" },
	{ "ksc56011989", "CP949" },
	{ "mskanji", "CP932" },
	{ "shiftjis", "CP932" },
	{ "sjis", "CP932" },
	{ "uhc", "CP949" },
	{ "windows31j", "CP932" },
	{ "windows936", "GB18030" },
	{ "windows949", "CP949" },
	{ "xeucjp", "EUC-JP-MS" },
	{ "xgbk", "GB18030" },
	{ "xsjis", "CP932" },

	{ "unicode11utf7", "UTF-7" },
	{ "utf16", "UTF-16" },
	{ "utf16be", "UTF-16BE" },
	{ "utf16le", "UTF-16LE" },
	{ "utf32", "UTF-32" },
	{ "utf7", "UTF-7" },
};

/* windows-1252 from 0x80 to 0x9f; 0 = not assigned. */
static const uint16_t cp1252_upper[32] = {
	0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0,
	0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
};

/* NULL = unknown. */
static const char *label_find(const char *name, size_t name_len)
{
	char label[NAME_MAX_LEN + 1];
	size_t len = 0;

	if (name_len > NAME_MAX_LEN)
		return NULL;
	for (size_t i = 0; i < name_len; i++) {
		if (name[i] != '-' && name[i] != '_')
			label[len++] = g_ascii_tolower(name[i]);
	}
	label[len] = '\0';
	for (size_t i = 0; i < G_N_ELEMENTS(labels); i++) {
		if (strcmp(labels[i].label, label) == 0)
			return labels[i].name;
	}
	return NULL;
}

void charsets_init(struct charsets *charsets)
{
	charsets->count = 0;
}

void charsets_done(struct charsets *charsets)
{
	for (unsigned i = 0; i < charsets->count; i++) {
		if (charsets->open[i].cd != (GIConv)-1)
			g_iconv_close(charsets->open[i].cd);
	}
	charsets->count = 0;
}

static GIConv charsets_get(struct charsets *charsets, const char *name)
{
	unsigned i;

	for (i = 0; i < charsets->count; i++) {
		if (strcmp(charsets->open[i].name, name) == 0)
			return charsets->open[i].cd;
	}
	/* Opening one may load a module: a header must not make that happen a thousand times. */
	if (i == CHARSETS_MAX)
		return (GIConv)-1;
	charsets->open[i].name = name;
	charsets->open[i].cd = g_iconv_open("UTF-8", name);
	charsets->count++;
	return charsets->open[i].cd;
}

static void append_utf8(const char *bytes, size_t len, GString *out)
{
	const char *end = bytes + len;

	while (bytes < end) {
		gunichar c = *bytes == '\0' ? 0 : g_utf8_get_char_validated(bytes, end - bytes);

		if (c == (gunichar)-1 || c == (gunichar)-2) {
			g_string_append(out, REPLACEMENT);
			bytes++;
		} else {
			g_string_append_len(out, bytes, g_utf8_skip[(guchar)*bytes]);
			bytes += g_utf8_skip[(guchar)*bytes];
		}
	}
}

static void append_latin1(const char *bytes, size_t len, GString *out)
{
	for (size_t i = 0; i < len; i++) {
		gunichar c = (guchar)bytes[i];

		if (c >= 0x80 && c < 0xa0) {
			c = cp1252_upper[c - 0x80];
			c = c == 0 ? 0xfffd : c;
		}
		g_string_append_unichar(out, c);
	}
}

/* NUL is good here: it ends nothing, and becomes a space later. */
static bool is_utf8(const char *bytes, size_t len)
{
	const char *end = bytes + len;
	const char *stop;

	while (!g_utf8_validate_len(bytes, (gsize)(end - bytes), &stop)) {
		if (*stop != '\0')
			return false;
		bytes = stop + 1;
	}
	return true;
}

void charset_append_unlabelled(const char *bytes, size_t len, GString *out)
{
	if (is_utf8(bytes, len))
		g_string_append_len(out, bytes, (gssize)len);
	else
		append_latin1(bytes, len, out);
}

static void append_iconv(GIConv cd, const char *bytes, size_t len, GString *out)
{
	char *in = (char *)bytes;
	size_t left = len;
	bool is_flush = false;

	g_iconv(cd, NULL, NULL, NULL, NULL); /* shift state of the last use */
	for (;;) {
		char chunk[512];
		char *to = chunk;
		size_t room = sizeof(chunk);
		size_t r = g_iconv(cd, is_flush ? NULL : &in, is_flush ? NULL : &left, &to, &room);
		int error = errno;

		g_string_append_len(out, chunk, to - chunk);
		if (r != (size_t)-1) {
			if (is_flush)
				return;
			is_flush = true;
		} else if (error == E2BIG && to > chunk) {
			continue;
		} else if (error == EILSEQ && left > 0) {
			g_string_append(out, REPLACEMENT);
			in++;
			left--;
		} else {
			/* A character that was cut off; nothing follows it. */
			g_string_append(out, REPLACEMENT);
			return;
		}
	}
}

void charsets_append(struct charsets *charsets, const char *name, size_t name_len,
	const char *bytes, size_t len, GString *out)
{
	const char *known = label_find(name, name_len);
	GIConv cd;

	if (known == guess) {
		charset_append_unlabelled(bytes, len, out);
		return;
	}
	if (known == latin1) {
		append_latin1(bytes, len, out);
		return;
	}
	cd = known && known != utf8 ? charsets_get(charsets, known) : (GIConv)-1;
	/* Of an unknown charset only ASCII is sure, and UTF-8 by its form. */
	if (cd == (GIConv)-1)
		append_utf8(bytes, len, out);
	else
		append_iconv(cd, bytes, len, out);
}
