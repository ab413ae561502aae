/* SPDX-License-Identifier: MIT */
/*
 * What an account has on this machine's disk: the store (cache, may be lost) and the journal with its
 * spool (state, may not). Opened before the engine, closed after it. Blocks; loop thread.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "cli/account.h"
#include "store/journal.h"
#include "store/store.h"

struct storage {
	struct store *store;
	struct journal *journal;
};

/* False + error: MAILFS_ERROR_IN_USE if another process has it, EX_CONFIG if it may not be there. What was opened stays in *storage:
 * storage_close() it. */
bool storage_open(struct storage *storage, const struct account *account, GError **error);
void storage_close(struct storage *storage);

/* Directories of the account, there or not; g_free() them. */
char *storage_cache_dir(const struct account *account);
char *storage_state_dir(const struct account *account);
