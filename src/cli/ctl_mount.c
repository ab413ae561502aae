/* SPDX-License-Identifier: MIT */
/*
 * Mounts are found in the kernel's mount table, never by pid files; a mount is talked to through its
 * .mailfs directory. One that hangs must not take its readers with it: they are children.
 */
#include "cli/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/mountpoint.h"
#include "fs/command.h"

#define ANSWER_MS  5000
#define ANSWER_MAX (16u << 20) /* bytes; status.json of a large account has some hundred KiB */

struct ctl_read {
	char *path;
	pid_t pid;
	int fd; /* what the child has read comes here; -1 = it could not be started */
	gint64 deadline;
};

static bool is_mailfs(const struct mount_entry *entry)
{
	return entry && strcmp(entry->type, MOUNT_TYPE) == 0;
}

bool ctl_is_mount(const char *mountpoint)
{
	g_autoptr(GPtrArray) table = mount_table_read();

	return is_mailfs(mount_table_find(table, mountpoint));
}

char *ctl_find_mount(const char *path)
{
	g_autofree char *canonical = mountpoint_canonical(path);
	g_autofree char *parent = g_path_get_dirname(canonical);
	g_autoptr(GPtrArray) table = mount_table_read();
	const struct mount_entry *above = mount_table_find(table, parent);

	if (is_mailfs(mount_table_find(table, canonical)) ||
		(is_mailfs(above) && strcmp(above->source, MOUNT_SOURCE_ALL) == 0))
		return g_steal_pointer(&canonical);
	ctl_fail(EX_NOINPUT, "%s: no mailfs is mounted there", path);
	return NULL;
}

/* ---- the child --------------------------------------------------------------------------------- */

static bool put(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t wrote = write(fd, data, len);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return false;
		data += wrote;
		len -= (size_t)wrote;
	}
	return true;
}

/* Its exit status is the errno. */
static void G_GNUC_NORETURN read_in_child(const char *path, int to)
{
	char buffer[16384];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	while (fd >= 0 && (got = read(fd, buffer, sizeof(buffer))) > 0) {
		if (!put(to, buffer, (size_t)got))
			_exit(EPIPE);
	}
	_exit(got < 0 ? errno : 0);
}

struct ctl_read *ctl_read_begin(const char *mountpoint, const char *name)
{
	struct ctl_read *read = g_new(struct ctl_read, 1);
	int fds[2];

	*read = (struct ctl_read){
		.path = g_build_filename(mountpoint, ".mailfs", name, NULL),
		.pid = -1,
		.fd = -1,
		.deadline = g_get_monotonic_time() + ANSWER_MS * 1000,
	};
	if (pipe2(fds, O_CLOEXEC) < 0)
		return read;
	read->pid = fork();
	if (read->pid == 0)
		read_in_child(read->path, fds[1]);
	close(fds[1]);
	read->fd = fds[0];
	return read;
}

/* ---- its answer -------------------------------------------------------------------------------- */

/* False: it takes too long. The end of file is an answer too. */
static bool wait_readable(const struct ctl_read *read)
{
	struct pollfd poll_fd = { .fd = read->fd, .events = POLLIN };
	int r;

	do {
		gint64 left = (read->deadline - g_get_monotonic_time()) / 1000;

		r = poll(&poll_fd, 1, left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	return r > 0;
}

static bool collect(struct ctl_read *self, GString *text)
{
	char buffer[16384];
	ssize_t got = 1;

	while (got > 0 && text->len < ANSWER_MAX) {
		if (!wait_readable(self))
			return false;
		got = read(self->fd, buffer, sizeof(buffer));
		if (got > 0)
			g_string_append_len(text, buffer, got);
	}
	return true;
}

/* The errno of the child. One that cannot even be killed is init's to reap. */
static int end_child(struct ctl_read *read, bool has_ended)
{
	int status = 0;

	if (!has_ended) {
		kill(read->pid, SIGKILL);
		return ETIMEDOUT;
	}
	while (waitpid(read->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static void read_free(struct ctl_read *read)
{
	if (read->fd >= 0)
		close(read->fd);
	g_free(read->path);
	g_free(read);
}

char *ctl_read_end(struct ctl_read *read, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	int code = EAGAIN; /* no process to be had */

	if (read->pid > 0)
		code = end_child(read, collect(read, text));
	if (code == ETIMEDOUT)
		g_set_error(error, CLI_ERROR, EX_TEMPFAIL, "%s: does not answer within %d s", read->path,
			ANSWER_MS / 1000);
	else if (code != 0)
		g_set_error(error, CLI_ERROR, EX_UNAVAILABLE, "%s: %s", read->path, g_strerror(code));
	read_free(read);
	return code == 0 ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

char *ctl_read_now(const char *mountpoint, const char *name, GError **error)
{
	return ctl_read_end(ctl_read_begin(mountpoint, name), error);
}

/* ---- what it says ------------------------------------------------------------------------------ */

const char *ctl_json_value(const char *line, const char *key)
{
	size_t len = strlen(key);

	if (strncmp(line, "  \"", 3) != 0 || strncmp(line + 3, key, len) != 0 ||
		strncmp(line + 3 + len, "\": ", 3) != 0)
		return NULL;
	return line + 3 + len + 3;
}

/* The account of that cache, as it is written there; NULL = none. */
static char *find_account(const char *status, const char *dir)
{
	struct json quoted;
	const char *account = NULL, *value;
	bool is_found = false;

	json_init(&quoted);
	json_text(&quoted, NULL, dir);
	for (const char *line = status; line && !is_found; line = strchr(line, '\n')) {
		line += *line == '\n';
		value = ctl_json_value(line, "account");
		account = value ? value + 1 : account;
		value = ctl_json_value(line, "cache-directory");
		is_found = value && account && strncmp(value, quoted.out->str, quoted.out->len) == 0;
	}
	json_done(&quoted);
	return is_found ? g_strndup(account, strcspn(account, "\"\n")) : NULL;
}

static char *find_cache_in(const struct mount_entry *entry, const char *dir)
{
	g_autofree char *status = ctl_read_now(entry->path, "status.json", NULL);
	g_autofree char *account = status ? find_account(status, dir) : NULL;

	if (account && strcmp(entry->source, MOUNT_SOURCE_ALL) == 0)
		return g_build_filename(entry->path, account, NULL);
	return account ? g_strdup(entry->path) : NULL;
}

char *ctl_find_cache(const char *dir)
{
	g_autoptr(GPtrArray) table = mount_table_read();
	char *found = NULL;

	for (guint i = 0; i < table->len && !found; i++) {
		const struct mount_entry *entry = g_ptr_array_index(table, i);

		if (mount_entry_is_ours(entry))
			found = find_cache_in(entry, dir);
	}
	return found;
}

/* ---- other ways to talk ------------------------------------------------------------------------ */

/* A read-only mount takes no writes, not even there. */
static int command_by_ioctl(const char *mountpoint, const char *text)
{
	g_autofree char *path = g_build_filename(mountpoint, ".mailfs", "status", NULL);
	SCOPED(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct mailfs_command command = { 0 };

	if (fd < 0)
		return -errno;
	if (g_strlcpy(command.line, text, sizeof(command.line)) >= sizeof(command.line))
		return -ENAMETOOLONG;
	return ioctl(fd, MAILFS_IOC_COMMAND, &command) < 0 ? -errno : 0;
}

int ctl_write(const char *mountpoint, const char *text)
{
	g_autofree char *path = g_build_filename(mountpoint, ".mailfs", "ctl", NULL);
	SCOPED(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == EROFS ? command_by_ioctl(mountpoint, text) : -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* "pid": 123 of status.json. */
pid_t ctl_find_pid(const char *mountpoint)
{
	g_autofree char *text = ctl_read_now(mountpoint, "status.json", NULL);
	const char *at = text ? strstr(text, "\"pid\":") : NULL;
	uint32_t pid;

	if (!at)
		return 0;
	at += strlen("\"pid\":");
	at += strspn(at, " ");
	if (!parse_u32(at, strspn(at, "0123456789"), &pid) || pid > G_MAXINT32)
		return 0;
	return (pid_t)pid;
}
