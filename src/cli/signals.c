/* SPDX-License-Identifier: MIT */
/* A handler, a pipe and the loop. g_unix_signal_add() would hear nothing while the loop is stuck. */
#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <glib-unix.h>

#include "cli/exit_code.h"
#include "cli/keeper.h"

#define END_SECONDS   4u /* the whole of a clean end */
#define HURRY_SECONDS 2u /* after a second TERM */

static const int handled[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

static int pipe_fds[2] = { -1, -1 };
static guint source;
static signals_fn callback;
static void *callback_user;
static const char *volatile guarded;
static volatile sig_atomic_t is_ending;

/* A second TERM may bring the end nearer, never put it off. */
static void arm(void)
{
	unsigned seconds = is_ending ? HURRY_SECONDS : END_SECONDS;
	unsigned left = alarm(seconds);

	if (is_ending && left != 0 && left < seconds)
		alarm(left);
	is_ending = 1;
}

static void on_signal(int number)
{
	int saved = errno;
	unsigned char byte = (unsigned char)number;

	if (number == SIGTERM || number == SIGINT)
		arm();
	/* A full pipe means that the loop has plenty to hear already. */
	if (write(pipe_fds[1], &byte, 1) < 0)
		errno = saved;
	errno = saved;
}

static void on_alarm(int number)
{
	if (guarded)
		keeper_abandon();
	_exit(EX_TEMPFAIL);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer user)
{
	unsigned char numbers[16];
	ssize_t got = read(fd, numbers, sizeof(numbers));

	for (ssize_t i = 0; i < got; i++)
		callback(callback_user, numbers[i]);
	return G_SOURCE_CONTINUE;
}

void signals_start(signals_fn fn, void *user)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction last = { .sa_handler = on_alarm };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	if (!g_unix_open_pipe(pipe_fds, FD_CLOEXEC, NULL))
		g_error("no pipe for signals");
	g_unix_set_fd_nonblocking(pipe_fds[0], TRUE, NULL);
	g_unix_set_fd_nonblocking(pipe_fds[1], TRUE, NULL);
	callback = fn;
	callback_user = user;
	source = g_unix_fd_add_full(G_PRIORITY_HIGH, pipe_fds[0], G_IO_IN, on_readable, NULL, NULL);
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < G_N_ELEMENTS(handled); i++)
		sigaction(handled[i], &action, NULL);
	sigaction(SIGALRM, &last, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

void signals_stop(void)
{
	g_source_remove(source);
}

void signals_set_mountpoint(const char *mountpoint)
{
	guarded = mountpoint;
}

void signals_arm(void)
{
	if (!is_ending)
		arm();
}
