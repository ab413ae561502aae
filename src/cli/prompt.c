/* SPDX-License-Identifier: MIT */
/* A question on the terminal. Before any thread exists: signals end it, the echo comes back. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/secret.h"

static volatile sig_atomic_t got_signal;

static void on_signal(int number)
{
	got_signal = number;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };

static void say(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t put = write(fd, text, len);

		if (put < 0)
			return;
		text += put;
		len -= (size_t)put;
	}
}

/* A line without its end; false = signal, end of file, or too long. */
static bool read_line(int fd, char *line, size_t size)
{
	size_t len = 0;

	while (got_signal == 0 && len < size) {
		ssize_t got = read(fd, line + len, 1);

		if (got <= 0)
			break;
		if (line[len] == '\n') {
			line[len] = '\0';
			return true;
		}
		len++;
	}
	return false;
}

static bool ask(int fd, const char *question, char *line, size_t size)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct sigaction before[G_N_ELEMENTS(signals)];
	struct termios quiet, normal;
	bool is_good;

	got_signal = 0;
	for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
		sigaction(signals[i], &action, &before[i]);
	say(fd, question);
	is_good = tcgetattr(fd, &normal) == 0;
	if (is_good) {
		quiet = normal;
		quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
		quiet.c_lflag |= ICANON | ISIG;
		tcsetattr(fd, TCSAFLUSH, &quiet);
		is_good = read_line(fd, line, size);
		tcsetattr(fd, TCSAFLUSH, &normal);
	}
	say(fd, "\n");
	for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
		sigaction(signals[i], &before[i], NULL);
	return is_good;
}

bool secret_prompt(const char *question, char **ret_text, GError **error)
{
	SCOPED(fd_closep) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	char *line;

	if (fd < 0) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID,
			"no password is configured, and there is no terminal to ask on; see PASSWORDS in "
			"mailfs(1)");
		return false;
	}
	line = g_malloc0(SECRET_MAX + 1);
	if (!ask(fd, question, line, SECRET_MAX)) {
		explicit_bzero(line, SECRET_MAX + 1);
		g_free(line);
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "no password was given");
		return false;
	}
	*ret_text = line;
	return true;
}
