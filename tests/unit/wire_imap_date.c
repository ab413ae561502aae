/* SPDX-License-Identifier: MIT */
/* INTERNALDATE both ways, and the calendar below it. */
#include "wire/imap_date.h"

#include <string.h>
#include <time.h>

#include <glib.h>

#include "wire/civil.h"

#define UNTOUCHED 424242

static int64_t parsed(const char *text, size_t len)
{
	g_autofree char *exact = g_memdup2(text, len);
	int64_t epoch = UNTOUCHED;
	bool is_good = imap_parse_internaldate(exact ? exact : "", len, &epoch);

	g_assert_true(is_good == (epoch != UNTOUCHED));
	return epoch;
}

static void assert_parsed(const char *text, int64_t want)
{
	g_assert_cmpint(parsed(text, strlen(text)), ==, want);
}

static void reads_the_form_of_the_rfc(void)
{
	assert_parsed("17-Jul-1996 02:44:25 -0700", 837596665);
	assert_parsed("01-Jan-1970 00:00:00 +0000", 0);
	assert_parsed("29-Feb-2000 23:59:59 +0000", 951868799);
	assert_parsed("31-Dec-9999 23:59:59 +0000", 253402300799);
}

static void day_of_one_digit_may_lack_its_space(void)
{
	assert_parsed(" 2-Jan-2024 14:30:05 +0000", 1704205805);
	assert_parsed("2-Jan-2024 14:30:05 +0000", 1704205805);
	assert_parsed("02-jan-2024 14:30:05 +0000", 1704205805);
	assert_parsed("2-JAN-2024 4:30:05 +0000", 1704169805);
}

static void knows_all_offsets_in_use(void)
{
	assert_parsed("02-Jan-2024 14:30:05 +1400", 1704205805 - 14 * 3600);
	assert_parsed("02-Jan-2024 14:30:05 -1200", 1704205805 + 12 * 3600);
	assert_parsed("02-Jan-2024 14:30:05 -0330", 1704205805 + 12600);
	assert_parsed("02-Jan-2024 14:30:05 +0545", 1704205805 - 20700);
	assert_parsed("02-Jan-2024 14:30:05 -0000", 1704205805);
	assert_parsed("02-Jan-2024 14:30:05", 1704205805);
}

static void times_before_1970_are_negative(void)
{
	assert_parsed("31-Dec-1969 23:59:59 +0000", -1);
	assert_parsed("30-Dec-1899 00:00:00 +0000", -2209161600);
	assert_parsed("01-Jan-0102 00:00:00 +0000", -58948387200);
}

static void refuses_times_that_are_not(void)
{
	static const char *const bad[] = {
		"00-Jan-0000 00:00:00 +0000", "30-Feb-2024 00:00:00 +0000", "29-Feb-2023 00:00:00 +0000",
		"29-Feb-1900 00:00:00 +0000", "31-Apr-2024 00:00:00 +0000", "32-Jan-2024 00:00:00 +0000",
		"01-Foo-2024 00:00:00 +0000", "01-Jan-2024 24:00:00 +0000", "01-Jan-2024 00:60:00 +0000",
		"01-Jan-2024 00:00:61 +0000", "01-Jan-2024 00:00:00 +9999", "01-Jan-2024 00:00:00 +2400",
		"01-Jan-2024 00:00:00 +0060", "01-Jan-2024 00:00:00 0000", "01-Jan-2024 00:00:00 +000",
		"01-Jan-2024 00:00:00 +00000", "01-Jan-2024 00:00:00 GMT", "01-Jan-2024 00:00:00 ",
		"01-Jan-2024 00:00", "01-Jan-2024", "01-Jan-24 00:00:00 +0000", "1-Ja", "01-", "0", "",
		"01 Jan 2024 00:00:00 +0000", "Mon, 1 Jan 2024 00:00:00 +0000", "-1-Jan-2024 00:00:00 +0000",
		"2024-01-01T00:00:00Z", "NIL",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_parsed(bad[i], UNTOUCHED);
	g_assert_cmpint(parsed("01-Jan-2024 00:00:00\0 +0000", 27), ==, UNTOUCHED);
}

static void refuses_a_megabyte(void)
{
	g_autofree char *text = g_strnfill(1u << 20, '1');

	assert_parsed(text, UNTOUCHED);
}

static void any_cut_of_a_date_is_refused_or_has_no_zone(void)
{
	static const char text[] = "17-Jul-1996 02:44:25 -0700";

	for (size_t len = 0; len < sizeof(text) - 1; len++)
		g_assert_cmpint(parsed(text, len), ==, len == 20 ? 837571465 : UNTOUCHED);
}

static void writes_utc_with_a_padded_day(void)
{
	g_autofree char *text = imap_format_internaldate(1704205805);
	g_autofree char *early = imap_format_internaldate(-1);

	g_assert_cmpstr(text, ==, " 2-Jan-2024 14:30:05 +0000");
	g_assert_cmpstr(early, ==, "31-Dec-1969 23:59:59 +0000");
	g_assert_null(imap_format_internaldate(253402300800));
	g_assert_null(imap_format_internaldate(INT64_MIN));
	g_assert_null(imap_format_internaldate(INT64_MAX));
}

static void agrees_with_the_c_library(void)
{
	for (int64_t day = -719528; day < 2932897; day += 7) {
		int64_t epoch = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
		time_t when = (time_t)epoch;
		int64_t back = UNTOUCHED;
		struct civil civil;
		struct tm tm;

		g_assert_nonnull(gmtime_r(&when, &tm));
		g_assert_true(civil_from_epoch(epoch, &civil));
		g_assert_cmpint(civil.year, ==, tm.tm_year + 1900);
		g_assert_cmpint(civil.month, ==, tm.tm_mon + 1);
		g_assert_cmpint(civil.day, ==, tm.tm_mday);
		g_assert_cmpint(civil.hour, ==, tm.tm_hour);
		g_assert_cmpint(civil.minute, ==, tm.tm_min);
		g_assert_cmpint(civil.second, ==, tm.tm_sec);
		g_assert_true(civil_to_epoch(&civil, 0, &back));
		g_assert_cmpint(back, ==, epoch);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wire/imap_date/reads the form of the RFC", reads_the_form_of_the_rfc);
	g_test_add_func("/wire/imap_date/MD-1 day of one digit may lack its space",
		day_of_one_digit_may_lack_its_space);
	g_test_add_func("/wire/imap_date/MD-1 knows all offsets in use", knows_all_offsets_in_use);
	g_test_add_func("/wire/imap_date/MD-1 times before 1970 are negative",
		times_before_1970_are_negative);
	g_test_add_func("/wire/imap_date/MD-1 refuses times that are not", refuses_times_that_are_not);
	g_test_add_func("/wire/imap_date/SEC-24 refuses a megabyte", refuses_a_megabyte);
	g_test_add_func("/wire/imap_date/any cut of a date is refused or has no zone",
		any_cut_of_a_date_is_refused_or_has_no_zone);
	g_test_add_func("/wire/imap_date/writes UTC with a padded day", writes_utc_with_a_padded_day);
	g_test_add_func("/wire/imap_date/agrees with the C library", agrees_with_the_c_library);
	return g_test_run();
}
