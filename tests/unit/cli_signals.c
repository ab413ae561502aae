/* SPDX-License-Identifier: MIT */
/* Signals, and the alarm that stands behind an end. */
#include "cli/signals.h"

#include <signal.h>
#include <unistd.h>

#include <glib.h>

static unsigned heard;
static int last;

static void on_signal(void *user, int number)
{
	heard++;
	last = number;
}

static void turn_until_heard(unsigned count)
{
	while (heard < count)
		g_main_context_iteration(NULL, TRUE);
}

static void a_signal_is_heard_by_the_loop(void)
{
	heard = 0;
	raise(SIGUSR1);
	g_assert_cmpuint(heard, ==, 0);
	turn_until_heard(1);
	g_assert_cmpint(last, ==, SIGUSR1);
	g_assert_cmpuint(alarm(0), ==, 0);
}

/* Whoever sends TERM again and again must not keep a stuck process alive by that. */
static void more_terms_never_put_off_the_end(void)
{
	unsigned first;

	heard = 0;
	raise(SIGTERM);
	first = alarm(1);
	g_assert_cmpuint(first, >, 1);
	g_assert_cmpuint(first, <, 5);
	for (unsigned i = 0; i < 3; i++)
		raise(SIGTERM);
	g_assert_cmpuint(alarm(first), <=, 1);
	raise(SIGINT);
	g_assert_cmpuint(alarm(0), <, first);
	turn_until_heard(5);
	g_assert_cmpint(last, ==, SIGINT);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	signals_start(on_signal, NULL);
	g_test_add_func("/cli/signals/a signal is heard by the loop", a_signal_is_heard_by_the_loop);
	g_test_add_func("/cli/signals/more TERMs never put off the end",
		more_terms_never_put_off_the_end);
	return g_test_run();
}
