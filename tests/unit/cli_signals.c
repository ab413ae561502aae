/* SPDX-License-Identifier: MIT */
/* Signals, and the alarm that stands behind an end. */
#include "cli/signals.h"

#include <signal.h>
#include <sys/time.h>
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

static unsigned left_ms(void)
{
	struct itimerval left;

	g_assert_cmpint(getitimer(ITIMER_REAL, &left), ==, 0);
	return (unsigned)left.it_value.tv_sec * 1000 + (unsigned)left.it_value.tv_usec / 1000;
}

static void a_step_of_the_end_has_its_own_time(void)
{
	heard = 0;
	raise(SIGTERM);
	g_assert_cmpuint(left_ms(), <=, SIGNALS_END_MS);
	signals_arm_for(60000);
	g_assert_cmpuint(left_ms(), >, SIGNALS_END_MS);
	turn_until_heard(1);
}

/* Whoever sends TERM again and again must not keep a stuck process alive by that. */
static void more_terms_never_put_off_the_end(void)
{
	const unsigned first = 4;

	heard = 1;
	alarm(1);
	for (unsigned i = 0; i < 3; i++)
		raise(SIGTERM);
	g_assert_cmpuint(alarm(first), <=, 1);
	raise(SIGINT);
	g_assert_cmpuint(alarm(0), <, first);
	turn_until_heard(5);
	g_assert_cmpint(last, ==, SIGINT);
}

/* As above, where whole seconds would be too many. */
static void nor_do_they_by_parts_of_a_second(void)
{
	const struct itimerval short_of = { .it_value = { 1, 900000 } };

	heard = 0;
	setitimer(ITIMER_REAL, &short_of, NULL);
	raise(SIGTERM);
	g_assert_cmpuint(left_ms(), <=, 1900);
	signals_arm_for(60000);
	g_assert_cmpuint(left_ms(), <=, 1900);
	alarm(0);
	turn_until_heard(1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	signals_start(on_signal, NULL);
	g_test_add_func("/cli/signals/a signal is heard by the loop", a_signal_is_heard_by_the_loop);
	g_test_add_func("/cli/signals/a step of the end has its own time", a_step_of_the_end_has_its_own_time);
	g_test_add_func("/cli/signals/more TERMs never put off the end",
		more_terms_never_put_off_the_end);
	g_test_add_func("/cli/signals/nor do they by parts of a second", nor_do_they_by_parts_of_a_second);
	return g_test_run();
}
