/* SPDX-License-Identifier: MIT */
#include "cli/exit_code.h"

#include "mailfs/error.h"

static int code_of(GQuark domain, int code, bool is_helper)
{
	g_autoptr(GError) error = g_error_new_literal(domain, code, "x");

	return exit_code(error, is_helper);
}

static void success_is_zero(void)
{
	g_assert_cmpint(exit_code(NULL, false), ==, 0);
	g_assert_cmpint(exit_code(NULL, true), ==, 0);
}

static void codes_are_those_of_the_manual(void)
{
	g_assert_cmpint(code_of(CLI_ERROR, EX_USAGE, false), ==, 64);
	g_assert_cmpint(code_of(CLI_ERROR, EX_NOINPUT, false), ==, 66);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_GONE, false), ==, 66);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_NO_HOST, false), ==, 68);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_REFUSED, false), ==, 69);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_TIMEOUT, false), ==, 75);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST, false), ==, 75);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_TRY_LATER, false), ==, 75);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_PROTOCOL, false), ==, 76);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_TLS, false), ==, 76);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_LOGIN, false), ==, 77);
	g_assert_cmpint(code_of(CLI_ERROR, EX_CONFIG, false), ==, 78);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_INVALID, false), ==, 78);
}

static void every_error_has_a_code(void)
{
	for (int code = MAILFS_ERROR_GONE; code <= MAILFS_ERROR_CANCELLED; code++) {
		int exit = code_of(MAILFS_ERROR, code, false);

		g_assert_cmpint(exit, >=, EX_USAGE);
		g_assert_cmpint(exit, <=, EX_CONFIG);
	}
}

static void errors_of_others_are_temporary(void)
{
	g_assert_cmpint(code_of(G_FILE_ERROR, G_FILE_ERROR_IO, false), ==, 75);
	g_assert_cmpint(code_of(MAILFS_ERROR, 9999, false), ==, 75);
	g_assert_cmpint(code_of(MAILFS_ERROR, -1, false), ==, 75);
}

static void a_helper_has_the_codes_of_mount(void)
{
	g_assert_cmpint(code_of(CLI_ERROR, EX_USAGE, true), ==, 1);
	g_assert_cmpint(code_of(CLI_ERROR, EX_NOINPUT, true), ==, 32);
	g_assert_cmpint(code_of(MAILFS_ERROR, MAILFS_ERROR_LOGIN, true), ==, 32);
	g_assert_cmpint(code_of(CLI_ERROR, EX_CONFIG, true), ==, 32);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cli/exit_code/success", success_is_zero);
	g_test_add_func("/cli/exit_code/manual", codes_are_those_of_the_manual);
	g_test_add_func("/cli/exit_code/all", every_error_has_a_code);
	g_test_add_func("/cli/exit_code/others", errors_of_others_are_temporary);
	g_test_add_func("/cli/exit_code/helper", a_helper_has_the_codes_of_mount);
	return g_test_run();
}
