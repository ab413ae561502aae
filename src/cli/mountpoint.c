/* SPDX-License-Identifier: MIT */
/*
 * Mount table and mount point. fusermount3 is run with a fixed argument vector and an empty
 * environment (SEC-49); nothing here goes through a shell.
 */
#include "cli/mountpoint.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/exit_code.h"

static const char *const fusermounts[] = { "/usr/bin/fusermount3", "/bin/fusermount3",
	"/usr/local/bin/fusermount3" };

/* ---- the table --------------------------------------------------------------------------------- */

static void entry_free(gpointer data)
{
	struct mount_entry *entry = data;

	g_free(entry->id);
	g_free(entry->path);
	g_free(entry->type);
	g_free(entry->source);
	g_free(entry->options);
	g_free(entry);
}

/* 36 35 98:0 /root /mount/point rw,noatime shared:1 - type source rw,user_id=0: proc(5). */
static struct mount_entry *entry_parse(const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	guint count = g_strv_length(words);
	struct mount_entry *entry;
	guint dash = 6;

	while (dash < count && strcmp(words[dash], "-") != 0)
		dash++;
	if (dash + 3 >= count)
		return NULL;
	entry = g_new(struct mount_entry, 1);
	*entry = (struct mount_entry){
		.id = g_strconcat(words[0], " ", words[2], NULL),
		.path = g_strcompress(words[4]), /* "\040" and the like */
		.type = g_strdup(words[dash + 1]),
		.source = g_strcompress(words[dash + 2]),
		.options = g_strdup(words[dash + 3]),
	};
	return entry;
}

GPtrArray *mount_table_parse(const char *text)
{
	GPtrArray *table = g_ptr_array_new_with_free_func(entry_free);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line; line++) {
		struct mount_entry *entry = entry_parse(*line);

		if (entry)
			g_ptr_array_add(table, entry);
	}
	return table;
}

GPtrArray *mount_table_read(void)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
		return mount_table_parse("");
	return mount_table_parse(text);
}

const struct mount_entry *mount_table_find(const GPtrArray *table, const char *path)
{
	for (guint i = table->len; i > 0; i--) {
		const struct mount_entry *entry = g_ptr_array_index(table, i - 1);

		if (strcmp(entry->path, path) == 0)
			return entry;
	}
	return NULL;
}

/* ---- paths ------------------------------------------------------------------------------------- */

/* Links in all components but the last are resolved. */
char *mountpoint_canonical(const char *path)
{
	g_autofree char *absolute = g_canonicalize_filename(path, NULL);
	g_autofree char *parent = g_path_get_dirname(absolute);
	g_autofree char *name = g_path_get_basename(absolute);
	char *real = realpath(absolute, NULL);
	char *result;

	if (real) {
		result = g_strdup(real);
		free(real);
		return result;
	}
	real = realpath(parent, NULL);
	result = real && strcmp(absolute, "/") != 0 ? g_build_filename(real, name, NULL)
						    : g_strdup(absolute);
	free(real);
	return result;
}

/* The deepest part of it that exists decides. */
bool mountpoint_holds(const char *mountpoint, const char *path)
{
	g_autofree char *rest = g_canonicalize_filename(path, NULL);
	size_t len = strlen(mountpoint);
	char *real = realpath(rest, NULL);
	bool is_inside;

	while (!real && strcmp(rest, "/") != 0) {
		char *parent = g_path_get_dirname(rest);

		/* A mount point that is about to be made counts as well as what is below it. */
		if (strcmp(rest, mountpoint) == 0) {
			g_free(parent);
			return true;
		}
		g_free(rest);
		rest = parent;
		real = realpath(rest, NULL);
	}
	is_inside = real && strncmp(real, mountpoint, len) == 0 && (real[len] == '/' || !real[len]);
	free(real);
	return is_inside;
}

/* ---- unmounting -------------------------------------------------------------------------------- */

static const char *find_fusermount(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(fusermounts); i++) {
		if (access(fusermounts[i], X_OK) == 0)
			return fusermounts[i];
	}
	return NULL;
}

static void exec_fusermount(const char *program, const char *path, bool is_lazy)
{
	char *const lazy[] = { "fusermount3", "-u", "-q", "-z", "--", (char *)path, NULL };
	char *const plain[] = { "fusermount3", "-u", "--", (char *)path, NULL };
	char *const environment[] = { NULL };

	execve(program, is_lazy ? lazy : plain, environment);
	_exit(127);
}

static bool run_fusermount(const char *program, const char *path, bool is_lazy)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		exec_fusermount(program, path, is_lazy);
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return false;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool mountpoint_unmount(const char *path, bool is_lazy, GError **error)
{
	const char *program = find_fusermount();

	if (program && run_fusermount(program, path, is_lazy))
		return true;
	if (!program && umount2(path, UMOUNT_NOFOLLOW | (is_lazy ? MNT_DETACH : 0)) == 0)
		return true;
	if (program)
		g_set_error(error, CLI_ERROR, EX_NOINPUT,
			"%s: fusermount3 could not unmount it; is a program, or a shell, still in it?", path);
	else
		g_set_error(error, CLI_ERROR, EX_NOINPUT, "%s: %s (and there is no fusermount3)", path,
			g_strerror(errno));
	return false;
}

/* ---- a directory to mount on ------------------------------------------------------------------- */

static bool refuse(GError **error, const char *path, const char *why)
{
	g_set_error(error, CLI_ERROR, EX_NOINPUT, "mount point %s: %s", path, why);
	return false;
}

bool mount_entry_is_ours(const struct mount_entry *entry)
{
	g_autofree char *user = g_strdup_printf("user_id=%u", (unsigned)getuid());
	g_auto(GStrv) words = g_strsplit(entry->options, ",", -1);

	return strcmp(entry->type, MOUNT_TYPE) == 0 && g_strv_contains((const char *const *)words, user);
}

/* ENOTCONN: the daemon behind it is dead. KC-9. */
static bool heal(const char *path, GError **error)
{
	g_autoptr(GPtrArray) table = mount_table_read();
	const struct mount_entry *entry = mount_table_find(table, path);

	if (!entry || !mount_entry_is_ours(entry))
		return refuse(error, path, "is a dead mount of somebody else; unmount it first");
	log_info("cli", "%s: taking away a dead mount", path);
	return mountpoint_unmount(path, true, error);
}

static bool is_empty(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

	return !dir || !g_dir_read_name(dir);
}

static bool check_directory(const char *path, bool may_have_files, GError **error)
{
	g_autoptr(GPtrArray) table = mount_table_read();
	const struct mount_entry *entry = mount_table_find(table, path);

	if (entry && strcmp(entry->type, MOUNT_TYPE) == 0)
		return refuse(error, path, "there is a mailfs already; see 'mailfsctl status'");
	/* Opening the trigger of an automount from inside its own mount command waits for ever. */
	if (may_have_files || (entry && strcmp(entry->type, "autofs") == 0))
		return true;
	return is_empty(path) ? true
			      : refuse(error, path, "is not empty; -o nonempty mounts over what is there");
}

/* Dead mounts may lie one on another. */
#define HEAL_MAX 8

bool mountpoint_prepare(const char *path, bool may_have_files, GError **error)
{
	struct statvfs fs;
	struct stat st;

	/* statvfs() always reaches the daemon; stat() may be answered by what the kernel remembers. */
	for (unsigned i = 0; stat(path, &st) < 0 || statvfs(path, &fs) < 0; i++) {
		if (errno != ENOTCONN || i == HEAL_MAX)
			return refuse(error, path,
				errno == ENOENT ? "No such file or directory; mkdir makes it" : g_strerror(errno));
		if (!heal(path, error))
			return false;
	}
	if (!S_ISDIR(st.st_mode))
		return refuse(error, path, "is not a directory");
	return check_directory(path, may_have_files, error);
}
