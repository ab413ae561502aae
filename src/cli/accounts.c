/* SPDX-License-Identifier: MIT */
/* Which accounts a mount has, and where in it. */
#include "cli/accounts.h"

#include <stdio.h>

#include "base/log.h"
#include "cli/exit_code.h"
#include "cli/mountpoint.h"

G_STATIC_ASSERT(MOUNT_ACCOUNTS_MAX < 32);

unsigned accounts_place(uint32_t *taken, const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	for (unsigned i = 0; i < MOUNT_ACCOUNTS_MAX; i++) {
		unsigned place = 1 + (hash % MOUNT_ACCOUNTS_MAX + i) % MOUNT_ACCOUNTS_MAX;

		if ((*taken & 1u << place) != 0)
			continue;
		*taken |= 1u << place;
		return place;
	}
	return 0;
}

static GPtrArray *load_one(const struct cmdline *line, const char *mountpoint, GError **error)
{
	g_autoptr(GPtrArray) accounts = g_ptr_array_new_with_free_func((GDestroyNotify)served_free);
	struct served *served = served_new(line->source, mountpoint, 0);

	g_ptr_array_add(accounts, served);
	return served_load(served, line->config_path, &line->options, error)
		? g_steal_pointer(&accounts)
		: NULL;
}

static bool add_all(GPtrArray *accounts, const struct config *config, const char *mountpoint,
	GError **error)
{
	uint32_t taken = 0;

	for (guint i = 0; i < config->accounts->len; i++) {
		const struct config_account *account = g_ptr_array_index(config->accounts, i);
		unsigned place = accounts_place(&taken, account->name);

		if (place == 0) {
			g_set_error(error, CLI_ERROR, EX_CONFIG, "%s: --all takes %u accounts at most",
				config->path, MOUNT_ACCOUNTS_MAX);
			return false;
		}
		g_ptr_array_add(accounts, served_new(account->name, mountpoint, place));
	}
	if (accounts->len == 0)
		g_set_error(error, CLI_ERROR, EX_CONFIG,
			"%s: there are no accounts ('mailfsctl add ADDRESS' adds one)", config->path);
	return accounts->len > 0;
}

static GPtrArray *load_all(const struct cmdline *line, const char *mountpoint, GError **error)
{
	g_autoptr(GPtrArray) accounts = g_ptr_array_new_with_free_func((GDestroyNotify)served_free);
	g_autofree char *path = line->config_path ? g_strdup(line->config_path) : config_default_path();
	struct config *config = config_load_sections(path, line->config_path != NULL, error);
	bool is_good = config && add_all(accounts, config, mountpoint, error);

	config_free(config);
	if (!is_good)
		return NULL;
	for (guint i = 0; i < accounts->len; i++) {
		struct served *served = g_ptr_array_index(accounts, i);
		g_autoptr(GError) wrong = NULL;

		if (!served_load(served, line->config_path, &line->options, &wrong))
			served_warn(served, wrong);
	}
	return accounts_have_failed(accounts, error) ? NULL : g_steal_pointer(&accounts);
}

GPtrArray *accounts_load(const struct cmdline *line, const char *mountpoint, GError **error)
{
	return line->is_all ? load_all(line, mountpoint, error) : load_one(line, mountpoint, error);
}

bool accounts_have_failed(const GPtrArray *accounts, GError **error)
{
	const struct served *first = g_ptr_array_index(accounts, 0);

	for (guint i = 0; i < accounts->len; i++) {
		if (!((const struct served *)g_ptr_array_index(accounts, i))->failure)
			return false;
	}
	if (accounts->len > 1)
		g_set_error(error, first->failure->domain, first->failure->code, "no account can be mounted");
	else
		g_propagate_error(error, g_error_copy(first->failure));
	return true;
}

bool accounts_ask(GPtrArray *accounts, bool is_all, GError **error)
{
	for (guint i = 0; i < accounts->len; i++) {
		struct served *served = g_ptr_array_index(accounts, i);
		g_autoptr(GError) wrong = NULL;

		if (served->failure || served_ask(served, &wrong))
			continue;
		if (is_all)
			served_warn(served, wrong);
	}
	return !accounts_have_failed(accounts, error);
}

struct mounter accounts_mounter(const GPtrArray *accounts, const struct cmdline *line,
	const char *mountpoint)
{
	struct mounter mounter = {
		.mountpoint = mountpoint,
		.fsname = MOUNT_SOURCE_ALL,
		.is_read_only = true,
	};

	for (guint i = 0; i < accounts->len; i++) {
		const struct account *account = ((struct served *)g_ptr_array_index(accounts, i))->account;

		/* One that does not work yet may turn out to be writable. */
		mounter.is_read_only &= account ? account->options.is_read_only : line->options.is_read_only;
		mounter.allow_other |= account && account->options.allow_other;
		mounter.default_permissions |= account && account->options.default_permissions;
		if (!line->is_all)
			mounter.fsname = account->fsname;
	}
	return mounter;
}

GPtrArray *accounts_known(GPtrArray *accounts, const struct cmdline *line)
{
	GPtrArray *known = g_ptr_array_new();

	for (guint i = 0; i < accounts->len; i++)
		g_ptr_array_add(known, (gpointer)served_known(g_ptr_array_index(accounts, i),
			line->config_path, &line->options));
	return known;
}

bool accounts_want_nonempty(const GPtrArray *accounts)
{
	for (guint i = 0; i < accounts->len; i++) {
		const struct account *account = ((struct served *)g_ptr_array_index(accounts, i))->account;

		if (account && account->options.nonempty)
			return true;
	}
	return false;
}

/* ---- telling the user -------------------------------------------------------------------------- */

const struct account *accounts_only(const GPtrArray *accounts)
{
	const struct served *first = accounts && accounts->len > 0 ? g_ptr_array_index(accounts, 0) : NULL;

	return first && first->place == 0 ? first->account : NULL;
}

/* Through the log, which masks secrets: a server may repeat what it was sent. */
static void tell(const struct account *account, const char *text)
{
	g_autofree char *safe = NULL;

	if (account) {
		log_error(account->name, "%s", text);
		return;
	}
	safe = log_safe(text, -1);
	fprintf(stderr, "mailfs: %s\n", safe);
}

void accounts_report(const GPtrArray *accounts, const GError *error)
{
	const struct account *account = accounts_only(accounts);
	const char *advice = exit_code_advice(error);
	g_autofree char *text = log_safe(error->message, -1);

	tell(account, text);
	if (advice)
		tell(account, advice);
	if (account && error->domain == MAILFS_ERROR &&
		error->code != MAILFS_ERROR_IN_USE && error->code != MAILFS_ERROR_CANCELLED)
		log_error(account->name, "to find out more: mailfsctl check %s", account->given);
}
