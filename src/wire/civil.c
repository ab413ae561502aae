/* SPDX-License-Identifier: MIT */
/* Calendar arithmetic. */
#include "wire/civil.h"

#include <glib.h>

#define DAYS_TO_1970 719528 /* from 0000-01-01 */

static const char names[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int month_days(int year, int month)
{
	static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Days from 0000-01-01 to the first of `year`; year 0 is a leap year. */
static int64_t year_start(int year)
{
	int past = year - 1;

	return year == 0 ? 0 : (int64_t)year * 365 + past / 4 - past / 100 + past / 400 + 1;
}

bool civil_to_epoch(const struct civil *civil, int offset, int64_t *ret_epoch)
{
	int64_t days;

	if (civil->year < 0 || civil->year > 9999 || civil->month < 1 || civil->month > 12 ||
		civil->day < 1 || civil->day > month_days(civil->year, civil->month))
		return false;
	if (civil->hour < 0 || civil->hour > 23 || civil->minute < 0 || civil->minute > 59 ||
		civil->second < 0 || civil->second > 60)
		return false;

	days = year_start(civil->year) - DAYS_TO_1970 + civil->day - 1;
	for (int month = 1; month < civil->month; month++)
		days += month_days(civil->year, month);
	*ret_epoch = days * 86400 + civil->hour * 3600 + civil->minute * 60 + civil->second - offset;
	return true;
}

bool civil_from_epoch(int64_t epoch, struct civil *ret_civil)
{
	struct civil civil = { .month = 1 };
	int64_t days, seconds;

	if (epoch < -(int64_t)DAYS_TO_1970 * 86400 ||
		epoch >= (year_start(10000) - DAYS_TO_1970) * 86400)
		return false;

	seconds = epoch + (int64_t)DAYS_TO_1970 * 86400; /* not negative */
	days = seconds / 86400;
	seconds %= 86400;
	/* 366 days a year never guess too far. */
	civil.year = (int)(days / 366);
	while (year_start(civil.year + 1) <= days)
		civil.year++;
	days -= year_start(civil.year);
	while (days >= month_days(civil.year, civil.month))
		days -= month_days(civil.year, civil.month++);

	civil.day = (int)days + 1;
	civil.hour = (int)(seconds / 3600);
	civil.minute = (int)(seconds / 60 % 60);
	civil.second = (int)(seconds % 60);
	*ret_civil = civil;
	return true;
}

int civil_month(const char *name, size_t len)
{
	for (int i = 0; len >= 3 && i < 12; i++) {
		if (g_ascii_strncasecmp(name, names[i], 3) == 0)
			return i + 1;
	}
	return 0;
}

const char *civil_month_name(int month)
{
	g_assert(month >= 1 && month <= 12);
	return names[month - 1];
}
