/* SPDX-License-Identifier: MIT */
/* Places of accounts in a mount of several, and files of which a part is wrong. */
#include "cli/accounts.h"

#include <string.h>

#include <glib/gstdio.h>

#include "cli/exit_code.h"

static void an_account_keeps_its_place_without_the_others(void)
{
	uint32_t alone = 0, among = 0;
	unsigned place = accounts_place(&alone, "work");

	accounts_place(&among, "home");
	accounts_place(&among, "list");
	g_assert_cmpuint(accounts_place(&among, "work"), ==, place);
	g_assert_cmpuint(place, >=, 1);
	g_assert_cmpuint(place, <=, MOUNT_ACCOUNTS_MAX);
}

static void there_is_a_place_for_each_and_no_more(void)
{
	uint32_t taken = 0, seen = 0;

	for (unsigned i = 0; i < MOUNT_ACCOUNTS_MAX; i++) {
		g_autofree char *name = g_strdup_printf("account%u", i);
		unsigned place = accounts_place(&taken, name);

		g_assert_cmpuint(place, >=, 1);
		g_assert_cmpuint(place, <=, MOUNT_ACCOUNTS_MAX);
		g_assert_cmphex(seen & 1u << place, ==, 0);
		seen |= 1u << place;
	}
	g_assert_cmpuint(accounts_place(&taken, "one more"), ==, 0);
}

static struct config *load(const char *text, GError **error)
{
	g_autofree char *path = NULL;
	struct config *config;
	int fd = g_file_open_tmp("mailfs-conf-XXXXXX", &path, NULL);

	g_assert_cmpint(fd, >=, 0);
	g_assert_true(g_close(fd, NULL));
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	config = config_load_sections(path, true, error);
	g_remove(path);
	return config;
}

static bool applies(const struct config *config, const char *name, GError **error)
{
	struct options options;
	bool is_good;

	options_init(&options);
	is_good = config_apply(config, config_find(config, name), &options, error);
	options_done(&options);
	return is_good;
}

static void a_mistake_in_one_section_spares_the_others(void)
{
	g_autoptr(GError) error = NULL;
	struct config *config = load("[account a]\nsource = imaps://a@host\n"
				     "[account b]\ncolour = red\nname = uid\ntimeout = never\n"
				     "[account c]\nsource = imaps://c@host\n", NULL);

	g_assert_nonnull(config);
	g_assert_cmpuint(config->accounts->len, ==, 3);
	g_assert_true(applies(config, "a", NULL));
	g_assert_true(applies(config, "c", NULL));
	g_assert_false(applies(config, "b", &error));
	g_assert_cmpint(error->code, ==, EX_CONFIG);
	g_assert_nonnull(strstr(error->message, ":4: unknown key: colour"));
	config_free(config);
}

static void a_mistake_outside_of_sections_is_the_files(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(load("[account a]\nsource = imaps://a@host\n[acount b]\n", &error));
	g_assert_cmpint(error->code, ==, EX_CONFIG);
	g_clear_error(&error);
	g_assert_null(load("name = uid\n[account a]\nsource = imaps://a@host\n", &error));
	g_assert_cmpint(error->code, ==, EX_CONFIG);
}

static void a_copy_of_options_has_strings_of_its_own(void)
{
	struct options options, copy;

	options_init(&options);
	g_assert_true(options_parse(&options, "user=me,exclude=a;b,timeout=7,ro", false, NULL));
	options_copy(&copy, &options);
	options_done(&options);
	g_assert_cmpstr(copy.user, ==, "me");
	g_assert_cmpstr(copy.exclude[1], ==, "b");
	g_assert_cmpuint(copy.timeout, ==, 7);
	g_assert_true(copy.is_read_only);
	options_done(&copy);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cli/accounts/an account keeps its place without the others",
		an_account_keeps_its_place_without_the_others);
	g_test_add_func("/cli/accounts/there is a place for each and no more",
		there_is_a_place_for_each_and_no_more);
	g_test_add_func("/cli/accounts/a mistake in one section spares the others",
		a_mistake_in_one_section_spares_the_others);
	g_test_add_func("/cli/accounts/a mistake outside of sections is the file's",
		a_mistake_outside_of_sections_is_the_files);
	g_test_add_func("/cli/accounts/a copy of options has strings of its own",
		a_copy_of_options_has_strings_of_its_own);
	return g_test_run();
}
