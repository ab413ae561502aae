/* SPDX-License-Identifier: MIT */
/* Cache and state of an account: $XDG_CACHE_HOME/mailfs/NAME, $XDG_STATE_HOME/mailfs/NAME. */
#include "cli/storage.h"

#include "cli/exit_code.h"
#include "mailfs/error.h"

char *storage_cache_dir(const struct account *account)
{
	return g_build_filename(g_get_user_cache_dir(), "mailfs", account->directory, NULL);
}

char *storage_state_dir(const struct account *account)
{
	return g_build_filename(g_get_user_state_dir(), "mailfs", account->directory, NULL);
}

/* A directory that cannot be written is no refused login: another one has to be named. */
static void name_another(GError **error, const char *variable)
{
	g_autoptr(GError) wrong = NULL;

	if (!g_error_matches(*error, MAILFS_ERROR, MAILFS_ERROR_DENIED))
		return;
	wrong = g_steal_pointer(error);
	g_set_error(error, CLI_ERROR, EX_CONFIG, "%s; %s names another place", wrong->message, variable);
}

static bool open_journal(struct storage *storage, const struct account *account, GError **error)
{
	g_autofree char *dir = storage_state_dir(account);
	g_autofree char *parent = g_path_get_dirname(dir);
	bool is_read_only = account->options.is_read_only;

	if (!is_read_only)
		g_mkdir_with_parents(parent, 0700); /* journal_open() says what is wrong with it */
	storage->journal = journal_open(
		&(struct journal_config){
			.dir = dir,
			.identity = account->identity,
			.is_read_only = is_read_only,
		},
		error);
	if (!storage->journal)
		name_another(error, "XDG_STATE_HOME");
	return storage->journal != NULL;
}

static bool open_store(struct storage *storage, const struct account *account, GError **error)
{
	g_autofree char *dir = storage_cache_dir(account);
	g_autofree char *parent = g_path_get_dirname(dir);

	g_mkdir_with_parents(parent, 0700); /* store_open() says what is wrong with it */
	storage->store = store_open(
		&(struct store_config){
			.dir = dir,
			.identity = account->identity,
			.max_bytes = account->options.cache_size,
		},
		error);
	if (!storage->store && g_error_matches(*error, MAILFS_ERROR, MAILFS_ERROR_IN_USE))
		g_prefix_error(error, "%s is mounted already, see 'mailfsctl status': ", account->name);
	if (!storage->store)
		name_another(error, "XDG_CACHE_HOME");
	return storage->store != NULL;
}

bool storage_open(struct storage *storage, const struct account *account, GError **error)
{
	return open_store(storage, account, error) && open_journal(storage, account, error);
}

void storage_close(struct storage *storage)
{
	store_close(storage->store);
	journal_close(storage->journal);
	*storage = (struct storage){ 0 };
}
