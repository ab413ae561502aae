/* SPDX-License-Identifier: MIT */
/* INTERNALDATE, read leniently and written strictly. RFC 9051 §9 (date-time). Pure. */
#include "wire/imap_date.h"

#include <glib.h>

#include "wire/civil.h"

struct cursor {
	const char *text;
	size_t len;
	size_t pos;
};

static bool take(struct cursor *at, char c)
{
	if (at->pos == at->len || at->text[at->pos] != c)
		return false;
	at->pos++;
	return true;
}

static bool take_number(struct cursor *at, size_t least, size_t most, int *ret_number)
{
	size_t start = at->pos;
	int number = 0;

	while (at->pos < at->len && at->pos - start < most && g_ascii_isdigit(at->text[at->pos]))
		number = number * 10 + g_ascii_digit_value(at->text[at->pos++]);
	if (at->pos - start < least)
		return false;
	*ret_number = number;
	return true;
}

static bool take_month(struct cursor *at, int *ret_month)
{
	int month = civil_month(at->text + at->pos, at->len - at->pos);

	if (month == 0)
		return false;
	at->pos += 3;
	*ret_month = month;
	return true;
}

/* " -0700", or the end. */
static bool take_zone(struct cursor *at, int *ret_offset)
{
	int zone, sign;

	if (at->pos == at->len) {
		*ret_offset = 0;
		return true;
	}
	if (!take(at, ' '))
		return false;
	sign = take(at, '-') ? -1 : 1;
	if (sign > 0 && !take(at, '+'))
		return false;
	if (!take_number(at, 4, 4, &zone) || zone / 100 > 23 || zone % 100 > 59)
		return false;
	*ret_offset = sign * (zone / 100 * 3600 + zone % 100 * 60);
	return true;
}

bool imap_parse_internaldate(const char *text, size_t len, int64_t *ret_epoch)
{
	struct cursor at = { .text = text, .len = len };
	struct civil civil;
	int offset;

	take(&at, ' ');
	if (!take_number(&at, 1, 2, &civil.day) || !take(&at, '-') || !take_month(&at, &civil.month) ||
		!take(&at, '-') || !take_number(&at, 4, 4, &civil.year) || !take(&at, ' '))
		return false;
	if (!take_number(&at, 1, 2, &civil.hour) || !take(&at, ':') ||
		!take_number(&at, 2, 2, &civil.minute) || !take(&at, ':') ||
		!take_number(&at, 2, 2, &civil.second))
		return false;
	return take_zone(&at, &offset) && at.pos == at.len && civil_to_epoch(&civil, offset, ret_epoch);
}

char *imap_format_internaldate(int64_t epoch)
{
	struct civil civil;

	if (!civil_from_epoch(epoch, &civil))
		return NULL;
	return g_strdup_printf("%2d-%s-%04d %02d:%02d:%02d +0000", civil.day,
		civil_month_name(civil.month), civil.year, civil.hour, civil.minute, civil.second);
}
