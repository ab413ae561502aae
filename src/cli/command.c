/* SPDX-License-Identifier: MIT */
/*
 * A password command: started by the keeper, or by g_spawn where there is none; its output is read as
 * it comes. GSubprocess would leave copies of the secret in buffers that nobody wipes.
 *
 * The program's standard input is /dev/null, or the terminal as long as mailfs has one; its
 * messages go where ours go. Its directory is /: never inside our own mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib-unix.h>

#include "cli/confine.h"
#include "cli/keeper.h"
#include "cli/secret.h"

struct command {
	command_fn done;
	void *user;
	char *name; /* argv[0], for messages */
	GPid pid;   /* 0 = has ended, or is the keeper's */
	int fd;     /* -1 = end of file was seen */
	int status_fd; /* where the keeper tells how it has ended; -1 = no keeper, or told */
	guint child_source, fd_source, timer; /* child_source: of the end, by pid or status_fd */
	char *output; /* SECRET_MAX + 2 bytes */
	size_t len;
	bool is_overflow;
};

static void command_free(struct command *command)
{
	if (command->child_source != 0)
		g_source_remove(command->child_source);
	if (command->fd_source != 0)
		g_source_remove(command->fd_source);
	if (command->timer != 0)
		g_source_remove(command->timer);
	if (command->fd >= 0)
		close(command->fd);
	if (command->status_fd >= 0)
		close(command->status_fd); /* and the keeper kills it */
	explicit_bzero(command->output, SECRET_MAX + 2);
	g_free(command->output);
	g_free(command->name);
	g_free(command);
}

static void on_orphan(GPid pid, gint status, gpointer user)
{
	g_spawn_close_pid(pid);
}

static void command_kill(struct command *command)
{
	if (command->pid == 0)
		return;
	kill(command->pid, SIGKILL);
	g_source_remove(command->child_source);
	command->child_source = 0;
	/* Somebody must still reap it. */
	g_child_watch_add(command->pid, on_orphan, NULL);
	command->pid = 0;
}

void command_cancel(struct command *command)
{
	command_kill(command);
	command_free(command);
}

static void finish(struct command *command, const char *line, const GError *error)
{
	command->done(command->user, line, error);
	command_free(command);
}

static void fail(struct command *command, const char *what)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_LOGIN, "%s %s", command->name,
		what);

	command_kill(command);
	finish(command, NULL, error);
}

/* False: end of file or nothing there now. */
static bool read_some(struct command *command)
{
	size_t room = SECRET_MAX + 1 - command->len;
	char rest[512];
	ssize_t got;

	/* The first line is what counts; more output must not block the program. */
	if (room == 0) {
		got = read(command->fd, rest, sizeof(rest));
		command->is_overflow = command->is_overflow || got > 0;
		explicit_bzero(rest, sizeof(rest));
	} else {
		got = read(command->fd, command->output + command->len, room);
		command->len += got > 0 ? (size_t)got : 0;
	}
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		close(command->fd);
		command->fd = -1;
	}
	return got > 0;
}

static gboolean on_output(gint fd, GIOCondition condition, gpointer user)
{
	struct command *command = user;

	read_some(command);
	if (command->fd >= 0)
		return G_SOURCE_CONTINUE;
	command->fd_source = 0;
	return G_SOURCE_REMOVE;
}

static void take_output(struct command *command)
{
	char *end = memchr(command->output, '\n', command->len);
	size_t len = end ? (size_t)(end - command->output) : command->len;

	if (!end && (command->is_overflow || len > SECRET_MAX)) {
		fail(command, "has written too much");
		return;
	}
	if (len > 0 && command->output[len - 1] == '\r')
		len--;
	command->output[len] = '\0';
	if (len == 0)
		fail(command, "has written nothing");
	else if (strlen(command->output) != len)
		fail(command, "has written a NUL byte");
	else
		finish(command, command->output, NULL);
}

static void take_end(struct command *command, int status)
{
	g_autofree char *what = NULL;

	/* Not until end of file: an agent that it has started may hold the pipe for ever. */
	while (command->fd >= 0 && read_some(command))
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		take_output(command);
		return;
	}
	if (WIFEXITED(status))
		what = g_strdup_printf("failed with exit code %d", WEXITSTATUS(status));
	else
		what = g_strdup_printf("was killed by signal %d", WTERMSIG(status));
	fail(command, what);
}

static void on_child_end(GPid pid, gint status, gpointer user)
{
	struct command *command = user;

	g_spawn_close_pid(pid);
	command->pid = 0;
	command->child_source = 0;
	take_end(command, status);
}

static gboolean on_status(gint fd, GIOCondition condition, gpointer user)
{
	struct command *command = user;
	g_autofree char *what = NULL;
	int status = -EPIPE;
	ssize_t got = read(fd, &status, sizeof(status));

	command->child_source = 0;
	close(command->status_fd);
	command->status_fd = -1;
	if (got == (ssize_t)sizeof(status) && status >= 0) {
		take_end(command, status);
		return G_SOURCE_REMOVE;
	}
	what = g_strdup_printf("cannot be started: %s", g_strerror(-status));
	fail(command, what);
	return G_SOURCE_REMOVE;
}

static gboolean on_timeout(gpointer user)
{
	struct command *command = user;

	command->timer = 0;
	fail(command, "took too long and was ended");
	return G_SOURCE_REMOVE;
}

static bool spawn(struct command *command, char **argv, int out, GError **error)
{
	int in = isatty(STDIN_FILENO) ? STDIN_FILENO : -1;

	if (!g_spawn_async_with_fds("/", argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL,
		    NULL, &command->pid, in, out, -1, error)) {
		command->pid = 0;
		return false;
	}
	command->child_source = g_child_watch_add(command->pid, on_child_end, command);
	return true;
}

/* `argv` NULL: the keyring. */
static bool may_spawn(char **argv, GError **error)
{
	if (argv && confine_may_run())
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
		"mailfs-keeper, which does that, was killed; unmount, and mount again");
	return false;
}

static bool order(struct command *command, const char *account, char **argv, int out, GError **error)
{
	int fds[2];
	bool is_good;

	if (!g_unix_open_pipe(fds, FD_CLOEXEC, error))
		return false;
	is_good = argv ? keeper_run(account, out, fds[1]) : keeper_ask_keyring(account, out, fds[1]);
	if (!is_good)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s", g_strerror(errno));
	close(fds[1]);
	command->status_fd = fds[0];
	if (is_good)
		command->child_source = g_unix_fd_add(fds[0], G_IO_IN | G_IO_HUP, on_status, command);
	return is_good;
}

static bool start(struct command *command, const char *account, char **argv, GError **error)
{
	g_autoptr(GError) wrong = NULL;
	int pipe_fds[2];
	bool is_good = g_unix_open_pipe(pipe_fds, FD_CLOEXEC, &wrong);

	if (is_good) {
		if (keeper_is_there())
			is_good = order(command, account, argv, pipe_fds[1], &wrong);
		else
			is_good = may_spawn(argv, &wrong) && spawn(command, argv, pipe_fds[1], &wrong);
		close(pipe_fds[1]);
		command->fd = pipe_fds[0];
		g_unix_set_fd_nonblocking(command->fd, TRUE, NULL);
	}
	if (!is_good)
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "%s cannot be started: %s",
			command->name, wrong->message);
	return is_good;
}

static struct command *begin(const char *account, char **argv, unsigned timeout_ms, command_fn done,
	void *user, GError **error)
{
	struct command *command = g_new0(struct command, 1);

	command->done = done;
	command->user = user;
	command->name = g_strdup(argv ? argv[0] : "the keyring");
	command->fd = command->status_fd = -1;
	command->output = g_malloc0(SECRET_MAX + 2);
	if (!start(command, account, argv, error)) {
		command_free(command);
		return NULL;
	}
	command->fd_source = g_unix_fd_add(command->fd, G_IO_IN | G_IO_HUP, on_output, command);
	command->timer = g_timeout_add(timeout_ms, on_timeout, command);
	return command;
}

struct command *command_run(const char *account, const char *text, unsigned timeout_ms, command_fn done,
	void *user, GError **error)
{
	g_autoptr(GError) wrong = NULL;
	g_auto(GStrv) argv = NULL;

	if (g_shell_parse_argv(text, NULL, &argv, &wrong))
		return begin(account, argv, timeout_ms, done, user, error);
	g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "password or token command: %s", wrong->message);
	return NULL;
}

struct command *command_ask_keyring(const char *account, unsigned timeout_ms, command_fn done, void *user,
	GError **error)
{
	return begin(account, NULL, timeout_ms, done, user, error);
}
