/* SPDX-License-Identifier: MIT */
/* Strict numbers, and the clock that tests set. */
#include "base/parse.h"

#include <string.h>

#include <glib.h>

#include "base/clock.h"

static void reads_decimal_numbers(void)
{
	uint32_t small = 7;
	uint64_t large = 7;

	g_assert_true(parse_u32("0", 1, &small));
	g_assert_cmpuint(small, ==, 0);
	g_assert_true(parse_u32("4294967295", 10, &small));
	g_assert_cmpuint(small, ==, UINT32_MAX);
	g_assert_true(parse_u64("18446744073709551615", 20, &large));
	g_assert_cmpuint(large, ==, UINT64_MAX);
	g_assert_true(parse_u64("00000000000000000042", 20, &large));
	g_assert_cmpuint(large, ==, 42);
}

static void reads_no_further_than_told(void)
{
	const char digits[3] = { '1', '2', '3' };
	uint32_t value;

	g_assert_true(parse_u32(digits, 2, &value));
	g_assert_cmpuint(value, ==, 12);
}

static void refuses_all_else_and_leaves_the_output(void)
{
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 ", "1a", "0x1", "1.0", "1,0", "\xb2", "18446744073709551616",
		"99999999999999999999", "000000000000000000001", "18446744073709551615\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		uint32_t small = 7;
		uint64_t large = 7;

		g_assert_false(parse_u64(bad[i], strlen(bad[i]), &large));
		g_assert_false(parse_u32(bad[i], strlen(bad[i]), &small));
		g_assert_cmpuint(small, ==, 7);
		g_assert_cmpuint(large, ==, 7);
	}
}

static void u32_does_not_wrap(void)
{
	uint32_t value = 7;

	g_assert_false(parse_u32("4294967296", 10, &value));
	g_assert_false(parse_u32("18446744073709551615", 20, &value));
	g_assert_false(parse_u32("1\0", 2, &value));
	g_assert_cmpuint(value, ==, 7);
}

static void reads_sizes_with_units(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = {
		{ "0", 0 },
		{ "100", 100 },
		{ "64k", 65536 },
		{ "64K", 65536 },
		{ "512M", 512ull << 20 },
		{ "2G", 2ull << 30 },
		{ "3t", 3ull << 40 },
		{ "16777215T", 16777215ull << 40 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		uint64_t bytes = 7;

		g_assert_true(parse_size(sizes[i].text, &bytes));
		g_assert_cmpuint(bytes, ==, sizes[i].bytes);
	}
}

static void refuses_sizes_that_are_not(void)
{
	static const char *const bad[] = {
		"", "k", "1kB", "1 k", "1e", "-1k", "1.5G", "16777216T", "18446744073709551615k", "1k ",
		"1+", "1\xcb",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		uint64_t bytes = 7;

		g_assert_false(parse_size(bad[i], &bytes));
		g_assert_cmpuint(bytes, ==, 7);
	}
}

static void a_fake_clock_stands_still(void)
{
	clock_fake(1234567);
	g_assert_cmpint(clock_monotonic_us(), ==, 1234567);
	g_assert_cmpint(clock_boottime_us(), ==, 1234567);
	g_assert_cmpint(clock_realtime_ns(), ==, 1234567000);
	clock_fake(0);
	g_assert_cmpint(clock_realtime_ns(), >, 1600000000 * G_GINT64_CONSTANT(1000000000));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/parse/reads decimal numbers", reads_decimal_numbers);
	g_test_add_func("/base/parse/reads no further than told", reads_no_further_than_told);
	g_test_add_func("/base/parse/refuses all else and leaves the output",
		refuses_all_else_and_leaves_the_output);
	g_test_add_func("/base/parse/u32 does not wrap", u32_does_not_wrap);
	g_test_add_func("/base/parse/reads sizes with units", reads_sizes_with_units);
	g_test_add_func("/base/parse/refuses sizes that are not", refuses_sizes_that_are_not);
	g_test_add_func("/base/clock/a fake clock stands still", a_fake_clock_stands_still);
	return g_test_run();
}
