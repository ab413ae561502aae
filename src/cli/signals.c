/* SPDX-License-Identifier: MIT */
/* A handler, a pipe and the loop. g_unix_signal_add() would hear nothing while the loop is stuck. */
#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <glib-unix.h>

#include "cli/exit_code.h"
#include "cli/keeper.h"

#define HURRY_MS 2000u /* after a second TERM */

static const int handled[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

static int pipe_fds[2] = { -1, -1 };
static guint source;
static signals_fn callback;
static void *callback_user;
static const char *volatile guarded;
static volatile sig_atomic_t is_ending, is_hurried;

/* Not alarm(2): it rounds what is left. */
static void set_alarm(unsigned ms)
{
	const struct itimerval in = { .it_value = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 } };

	setitimer(ITIMER_REAL, &in, NULL);
}

static unsigned alarm_left_ms(void)
{
	struct itimerval left;

	getitimer(ITIMER_REAL, &left);
	return (unsigned)left.it_value.tv_sec * 1000 + (unsigned)left.it_value.tv_usec / 1000;
}

/* A second TERM may bring the end nearer, never put it off. */
static void arm(void)
{
	unsigned left = alarm_left_ms();

	if (!is_ending && left == 0)
		set_alarm(SIGNALS_END_MS);
	else if (is_ending && (left == 0 || left > HURRY_MS))
		set_alarm(HURRY_MS);
	is_hurried = is_ending;
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
	if (alarm_left_ms() == 0)
		set_alarm(SIGNALS_END_MS);
}

void signals_arm_for(unsigned ms)
{
	if (!is_hurried)
		set_alarm(ms);
}
