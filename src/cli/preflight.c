/* SPDX-License-Identifier: MIT */
/* Checks of account and mount point against each other. */
#include "cli/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/exit_code.h"
#include "cli/mountpoint.h"
#include "cli/storage.h"

/* `mount -a` cannot know that "work" of fstab is what stands as "me@host:" in the mount table. */
bool preflight_is_mounted(const struct account *account, const char *mountpoint)
{
	g_autoptr(GPtrArray) table = mount_table_read();
	const struct mount_entry *entry = mount_table_find(table, mountpoint);
	struct statvfs fs;

	return entry && mount_entry_is_ours(entry) && strcmp(entry->source, account->fsname) == 0 &&
		statvfs(mountpoint, &fs) == 0;
}

bool preflight_is_shown(const struct account *account)
{
	g_autoptr(GPtrArray) table = mount_table_read();

	for (guint i = 0; i < table->len; i++) {
		const struct mount_entry *entry = g_ptr_array_index(table, i);

		if (strcmp(entry->type, MOUNT_TYPE) == 0 && strcmp(entry->source, account->fsname) == 0)
			return true;
	}
	return false;
}

bool preflight_allow_other(const struct account *account, GError **error)
{
	const struct options *options = &account->options;

	if (!options->allow_other || getuid() != 0 || options->uid != OPTION_UNSET ||
		options->default_permissions)
		return true;
	g_set_error(error, CLI_ERROR, EX_USAGE,
		"allow_other: root must say whose mail it is: add uid=N (or default_permissions)");
	return false;
}

/* It stays open until the process ends. */
bool preflight_debug_wire(const char *path, GError **error)
{
	int fd;

	if (!path)
		return true;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0) {
		g_set_error(error, CLI_ERROR, EX_CANTCREAT, "debug-wire: %s: %s", path, g_strerror(errno));
		return false;
	}
	log_wire_to(fd);
	return true;
}

bool preflight_own_files(const struct account *account, const char *mountpoint, GError **error)
{
	g_autofree char *cache = storage_cache_dir(account);
	g_autofree char *state = g_build_filename(g_get_user_state_dir(), "mailfs", NULL);
	const char *const paths[] = { cache, state, account->config_path, account->options.tls_ca,
		account->options.debug_wire };

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		if (!paths[i] || !mountpoint_holds(mountpoint, paths[i]))
			continue;
		g_set_error(error, CLI_ERROR, EX_CONFIG,
			"%s lies inside the mount point %s; choose another mount point, or move it "
			"(XDG_CACHE_HOME, XDG_STATE_HOME, XDG_CONFIG_HOME)",
			paths[i], mountpoint);
		return false;
	}
	return true;
}
