/* SPDX-License-Identifier: MIT */
/* mailfsctl list: the accounts of the configuration file. */
#include <stdio.h>
#include <string.h>

#include "cli/config.h"
#include "cli/ctl.h"
#include "cli/exit_code.h"

static void print_accounts(const struct config *config)
{
	for (guint i = 0; i < config->accounts->len; i++) {
		const struct config_account *account = g_ptr_array_index(config->accounts, i);
		const char *source = config_get(account, "source");

		printf("%s\t%s\n", account->name, source ? source : "");
	}
	if (config->accounts->len == 0)
		fprintf(stderr, "mailfsctl: no accounts in %s\n", config->path);
}

int ctl_list(int argc, char **argv)
{
	bool has_file = argc == 3 && (strcmp(argv[1], "-F") == 0 || strcmp(argv[1], "--config") == 0);
	g_autofree char *path = has_file ? g_strdup(argv[2]) : config_default_path();
	g_autoptr(GError) error = NULL;
	struct config *config;

	if (argc > 1 && !has_file)
		return ctl_fail(EX_USAGE, "list: not understood: %s", argv[1]);
	config = config_load(path, has_file, &error);
	if (!config)
		return ctl_fail_error(error);
	print_accounts(config);
	config_free(config);
	return 0;
}
