/* SPDX-License-Identifier: MIT */
/*
 * Who wrote a message, as people say it. RFC 5322 §3.4. The address is cut into tokens first and
 * decoded afterwards, so that a comma or a bracket in an encoded word means nothing. Pure.
 */
#include "wire/head.h"

#include <string.h>

#include <glib.h>

#include "wire/rfc2047.h"

#define PLAIN_MAX 1024u

struct scan {
	const char *text;
	size_t len;
	size_t pos;
	GString *phrase;  /* before `<`, or a bare address; unquoted, still encoded */
	GString *comment; /* the last "(…)" of this address */
	GString *group;   /* "Name:" in front of it */
	GString *angle;   /* between `<` and `>` */
	bool has_angle;
	bool has_at;     /* in the phrase, not quoted */
	bool has_quotes; /* false: a quote was not closed, so none is from there on */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Quoted text; an unclosed quote is an ordinary character. */
static void take_quoted(struct scan *scan)
{
	size_t mark = scan->phrase->len;

	for (size_t i = scan->pos + 1; i < scan->len; i++) {
		char c = scan->text[i];

		if (c == '"') {
			scan->pos = i + 1;
			return;
		}
		if (c == '\\' && i + 1 < scan->len)
			c = scan->text[++i];
		g_string_append_c(scan->phrase, c);
	}
	/* Do not look again: with escaped quotes that would be quadratic. */
	scan->has_quotes = false;
	g_string_truncate(scan->phrase, mark);
}

static void take_comment(struct scan *scan)
{
	unsigned depth = 0;

	g_string_truncate(scan->comment, 0);
	for (; scan->pos < scan->len; scan->pos++) {
		char c = scan->text[scan->pos];
		bool is_edge = false;

		if (c == '(') {
			is_edge = depth++ == 0;
		} else if (c == ')') {
			is_edge = --depth == 0;
		} else if (c == '\\' && scan->pos + 1 < scan->len) {
			c = scan->text[++scan->pos];
		}
		if (!is_edge)
			g_string_append_c(scan->comment, c);
		if (depth == 0) {
			scan->pos++;
			return;
		}
	}
}

static void take_angle(struct scan *scan)
{
	const char *start = scan->text + scan->pos + 1;
	size_t left = scan->len - scan->pos - 1;
	const char *end = memchr(start, '>', left);
	size_t len = end ? (size_t)(end - start) : left;

	g_string_append_len(scan->angle, start, (gssize)len);
	scan->has_angle = true;
	scan->pos += 1 + len + (end ? 1 : 0);
}

static void take_plain(struct scan *scan)
{
	const char *at = scan->text + scan->pos;
	size_t len = rfc2047_word_len(at, scan->len - scan->pos);

	len = MAX(len, 1);
	/* Behind the angle only a comment is of use. */
	if (!scan->has_angle)
		g_string_append_len(scan->phrase, at, (gssize)len);
	scan->has_at |= *at == '@';
	scan->pos += len;
}

/* Of "a:b", so far `a` was read: a group's name, unless it already is an address. */
static void end_group_name(struct scan *scan)
{
	g_string_assign(scan->group, scan->phrase->str);
	g_string_truncate(scan->phrase, 0);
	g_string_truncate(scan->comment, 0);
	scan->pos++;
}

static bool is_blank(const GString *text)
{
	for (size_t i = 0; i < text->len; i++) {
		if (!is_space(text->str[i]))
			return false;
	}
	return true;
}

static bool is_empty(const struct scan *scan)
{
	return !scan->has_angle && is_blank(scan->phrase);
}

/* Reads up to the end of the first address that is not empty. */
static void scan_address(struct scan *scan)
{
	while (scan->pos < scan->len) {
		char c = scan->text[scan->pos];

		if (c == '"' && scan->has_quotes && !scan->has_angle) {
			take_quoted(scan);
		} else if (c == '(') {
			take_comment(scan);
		} else if (c == '<' && !scan->has_angle) {
			take_angle(scan);
		} else if (c == ',' || c == ';') {
			if (!is_empty(scan))
				return;
			g_string_truncate(scan->phrase, 0);
			scan->pos++;
		} else if (c == ':' && !scan->has_angle && !scan->has_at) {
			end_group_name(scan);
		} else {
			take_plain(scan);
		}
	}
}

static char *decoded_or_null(const char *text, size_t len)
{
	char *name = rfc2047_decode(text, len, HEAD_FIELD_MAX);

	if (*name == '\0')
		g_clear_pointer(&name, g_free);
	return name;
}

/* "ann" of "ann@example.org" and of the route "@a,@b:ann@example.org". */
static char *local_part(const GString *address)
{
	const char *start = address->str;
	const char *colon = *start == '@' ? strchr(start, ':') : NULL;
	const char *at;

	if (colon)
		start = colon + 1;
	at = strrchr(start, '@');
	return decoded_or_null(start, at ? (size_t)(at - start) : strlen(start));
}

static char *best_name(const struct scan *scan)
{
	/* With an angle the phrase is a name, else it is the address. */
	const GString *address = scan->has_angle ? scan->angle : scan->phrase;
	char *name = NULL;

	if (scan->has_angle)
		name = decoded_or_null(scan->phrase->str, scan->phrase->len);
	if (!name)
		name = decoded_or_null(scan->comment->str, scan->comment->len);
	if (!name)
		name = local_part(address);
	if (!name)
		name = decoded_or_null(scan->group->str, scan->group->len);
	return name;
}

static bool has_any(const char *text, size_t len, const char *stops)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0' || strchr(stops, text[i]))
			return true;
	}
	return false;
}

/*
 * `Ann Lee <ann@example.org>` and `"Lee, Ann" <ann@example.org>` with nothing special in them:
 * most addresses. NULL = this is not one of them, or there is no name in front.
 */
static char *plain_name(const char *value, size_t len)
{
	const char *angle, *end;
	size_t skip = 0;

	while (len > 0 && is_space(value[len - 1]))
		len--;
	while (skip < len && is_space(value[skip]))
		skip++;
	value += skip;
	len -= skip;
	if (len == 0 || len > PLAIN_MAX || value[len - 1] != '>')
		return NULL;
	angle = memchr(value, '<', len);
	if (!angle || memchr(angle, '>', len - 1 - (size_t)(angle - value)))
		return NULL;
	end = angle;
	while (end > value && end[-1] == ' ')
		end--;
	if (end - value >= 2 && *value == '"' && end[-1] == '"') {
		value++;
		end--;
		if (has_any(value, (size_t)(end - value), "\"\\"))
			return NULL;
	} else if (has_any(value, (size_t)(end - value), "\"\\(:,;")) {
		return NULL;
	}
	return decoded_or_null(value, (size_t)(end - value));
}

static char *any_name(const char *value, size_t len)
{
	struct scan scan = {
		.text = value,
		.len = MIN(len, RFC2047_INPUT_MAX),
		.phrase = g_string_new(NULL),
		.comment = g_string_new(NULL),
		.group = g_string_new(NULL),
		.angle = g_string_new(NULL),
		.has_quotes = true,
	};
	char *name;

	scan_address(&scan);
	name = best_name(&scan);

	g_string_free(scan.phrase, TRUE);
	g_string_free(scan.comment, TRUE);
	g_string_free(scan.group, TRUE);
	g_string_free(scan.angle, TRUE);
	return name;
}

char *head_parse_name(const char *value, size_t len)
{
	char *name = plain_name(value, len);

	return name ? name : any_name(value, len);
}
