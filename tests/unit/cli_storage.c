/* SPDX-License-Identifier: MIT */
#include "cli/storage.h"

#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "cli/exit_code.h"

#define NOBODY 65534

static char *home;

static struct account *account_of(const char *source)
{
	g_autoptr(GError) error = NULL;
	struct account *account;
	struct options options;

	options_init(&options);
	account = account_new(source, NULL, &options, &error);
	g_assert_no_error(error);
	return account;
}

static void a_directory_that_cannot_be_written_is_configuration(void)
{
	struct account *account = account_of("imaps://a@h");
	struct storage storage = { 0 };
	g_autoptr(GError) error = NULL;
	bool is_root = geteuid() == 0;

	if (is_root)
		g_assert_cmpint(seteuid(NOBODY), ==, 0);
	g_assert_false(storage_open(&storage, account, &error));
	if (is_root)
		g_assert_cmpint(seteuid(0), ==, 0);
	g_assert_error(error, CLI_ERROR, EX_CONFIG);
	g_assert_nonnull(strstr(error->message, "Permission denied; XDG_CACHE_HOME names another place"));
	storage_close(&storage);
	account_free(account);
}

int main(int argc, char **argv)
{
	int result;

	g_test_init(&argc, &argv, NULL);
	home = g_dir_make_tmp("mailfs-storage-XXXXXX", NULL);
	g_assert_nonnull(home);
	g_assert_cmpint(g_chmod(home, 0500), ==, 0);
	g_setenv("XDG_CACHE_HOME", home, TRUE);
	g_setenv("XDG_STATE_HOME", home, TRUE);
	g_test_add_func("/cli/storage/no place", a_directory_that_cannot_be_written_is_configuration);
	result = g_test_run();
	g_rmdir(home);
	g_free(home);
	return result;
}
