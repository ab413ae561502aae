/* SPDX-License-Identifier: MIT */
/*
 * Dates of mail headers, RFC 5322 §3.3 and §4.3. Each token says by its form and by what is known
 * already what it is; so "2 Jan 2024", "02-Jan-24", "Jan 2 14:30:05 2024" are read alike. What
 * follows a complete date is ignored. Pure.
 */
#include "wire/head.h"

#include <glib.h>

#include "wire/civil.h"

enum token { TOKEN_GOOD, TOKEN_BAD, TOKEN_END };

struct date {
	const char *text;
	size_t len;
	size_t pos;
	struct civil civil; /* month 0, day 0, year -1 = not seen */
	int offset;
	bool has_time;
	bool has_zone; /* a name that a number may follow: "GMT+0200" */
};

static const struct {
	char name[4];
	int hours;
} zones[] = {
	{ "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 },
	{ "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 },
};

static char peek(const struct date *date, size_t ahead)
{
	return date->len - date->pos > ahead ? date->text[date->pos + ahead] : '\0';
}

static void skip_comment(struct date *date)
{
	unsigned depth = 0;

	while (date->pos < date->len) {
		char c = date->text[date->pos++];

		if (c == '\\' && date->pos < date->len)
			date->pos++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return;
	}
}

static void skip_space(struct date *date)
{
	while (date->pos < date->len) {
		char c = date->text[date->pos];

		if (c == '(')
			skip_comment(date);
		else if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',')
			date->pos++;
		else
			return;
	}
}

/* Returns how many digits there were, at most `most`. */
static unsigned take_digits(struct date *date, unsigned most, int *ret_number)
{
	unsigned count = 0;
	int number = 0;

	for (; count < most && g_ascii_isdigit(peek(date, 0)); count++, date->pos++)
		number = number * 10 + g_ascii_digit_value(peek(date, 0));
	*ret_number = number;
	return count;
}

/* ":30", ":30:05", ":30:05.123" behind the hour; some write dots. */
static bool take_time(struct date *date, int hour)
{
	char separator = peek(date, 0);
	int fraction;

	date->pos++;
	date->civil.hour = hour;
	if (take_digits(date, 2, &date->civil.minute) == 0)
		return false;
	if (peek(date, 0) == separator && g_ascii_isdigit(peek(date, 1))) {
		date->pos++;
		take_digits(date, 2, &date->civil.second);
	}
	if (peek(date, 0) == '.') {
		date->pos++;
		while (take_digits(date, 9, &fraction) == 9)
			;
	}
	date->has_time = true;
	return !g_ascii_isdigit(peek(date, 0));
}

/* Two and three digits as RFC 5322 §4.3 says. */
static bool set_year(struct date *date, int number, unsigned count)
{
	if (count == 2 && number < 50)
		number += 2000;
	else if (count == 2 || count == 3)
		number += 1900;
	date->civil.year = number;
	return count >= 2 && count <= 4 && number >= 1900;
}

static enum token take_number(struct date *date)
{
	bool is_dated = date->civil.day != 0 && date->civil.month != 0;
	unsigned count;
	int number;
	char next;

	count = take_digits(date, 5, &number);
	next = peek(date, 0);
	if (!date->has_time && is_dated && count <= 2 && (next == ':' || next == '.'))
		return take_time(date, number) ? TOKEN_GOOD : TOKEN_BAD;
	if (date->civil.day == 0) {
		date->civil.day = number;
		return count <= 2 ? TOKEN_GOOD : TOKEN_BAD;
	}
	if (date->civil.year < 0)
		return set_year(date, number, count) ? TOKEN_GOOD : TOKEN_BAD;
	return date->has_time ? TOKEN_END : TOKEN_BAD;
}

static int zone_hours(const char *name, size_t len)
{
	for (size_t i = 0; len == 3 && i < G_N_ELEMENTS(zones); i++) {
		if (g_ascii_strncasecmp(name, zones[i].name, 3) == 0)
			return zones[i].hours;
	}
	return 0; /* GMT, UT, Z; and all others: RFC 5322 §4.3 */
}

static enum token take_word(struct date *date)
{
	const char *word = date->text + date->pos;
	size_t start = date->pos;
	size_t len;
	int month;

	while (g_ascii_isalpha(peek(date, 0)))
		date->pos++;
	len = date->pos - start;
	if (date->has_time) {
		if (!date->has_zone)
			date->offset = zone_hours(word, len) * 3600;
		date->has_zone = true;
		return TOKEN_GOOD;
	}

	month = civil_month(word, len);
	if (date->civil.month == 0 && month != 0) {
		date->civil.month = month;
		if (peek(date, 0) == '.')
			date->pos++;
		return TOKEN_GOOD;
	}
	/* A weekday, in whatever language; nothing depends on it. */
	return date->civil.day == 0 && date->civil.month == 0 ? TOKEN_GOOD : TOKEN_BAD;
}

/* "+0100", "+01:00", "+1". */
static enum token take_offset(struct date *date)
{
	int sign = peek(date, 0) == '-' ? -1 : 1;
	int hours, minutes = 0;
	unsigned count;

	date->pos++;
	count = take_digits(date, 4, &hours);
	if (count > 2) {
		minutes = hours % 100;
		hours /= 100;
	} else if (peek(date, 0) == ':') {
		date->pos++;
		take_digits(date, 2, &minutes);
	}
	if (hours > 23 || minutes > 59)
		hours = minutes = 0;
	date->offset = sign * (hours * 3600 + minutes * 60);
	return date->civil.year < 0 ? TOKEN_GOOD : TOKEN_END;
}

static enum token take_token(struct date *date)
{
	char c;

	skip_space(date);
	if (date->pos == date->len)
		return TOKEN_END;
	c = peek(date, 0);
	if (g_ascii_isdigit(c))
		return take_number(date);
	if (g_ascii_isalpha(c))
		return take_word(date);
	if ((c == '+' || c == '-') && date->has_time)
		return take_offset(date);
	if (date->has_time && date->civil.year >= 0)
		return TOKEN_END;
	/* "02-Jan-2024"; and a weekday may be in any script. */
	if (c != '-' && (date->civil.day != 0 || date->civil.month != 0))
		return TOKEN_BAD;
	date->pos++;
	return TOKEN_GOOD;
}

bool head_parse_date(const char *value, size_t len, int64_t *ret_epoch)
{
	struct date date = { .text = value, .len = len, .civil.year = -1 };
	enum token token;

	do {
		token = take_token(&date);
	} while (token == TOKEN_GOOD);
	if (token == TOKEN_BAD || !date.has_time || date.civil.year < 0)
		return false;
	return civil_to_epoch(&date.civil, date.offset, ret_epoch);
}
