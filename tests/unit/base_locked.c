/* SPDX-License-Identifier: MIT */
#include "base/locked.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

/* Kilobytes that this process has locked. */
static unsigned locked_kb(void)
{
	g_autofree char *status = NULL;
	unsigned kb = 0;

	g_assert_true(g_file_get_contents("/proc/self/status", &status, NULL, NULL));
	g_assert_cmpint(sscanf(strstr(status, "VmLck:"), "VmLck: %u", &kb), ==, 1);
	return kb;
}

/* Is the page of `text` mapped? */
static bool is_mapped(const char *text)
{
	int fds[2];
	bool is_there;

	g_assert_cmpint(pipe(fds), ==, 0);
	is_there = write(fds[1], text, 1) == 1; /* else EFAULT */
	close(fds[0]);
	close(fds[1]);
	return is_there;
}

static void a_secret_is_what_it_was(void)
{
	const char *secret = locked_new("hunter2");
	const char *other = locked_new("");

	g_assert_cmpstr(secret, ==, "hunter2");
	g_assert_cmpstr(other, ==, "");
	locked_unref(secret);
	locked_unref(other);
	locked_unref(NULL);
}

static void the_last_reference_takes_it_away(void)
{
	const char *secret = locked_new("hunter2");

	g_assert_true(locked_ref(secret) == secret);
	locked_unref(secret);
	g_assert_true(is_mapped(secret));
	locked_unref(secret);
	g_assert_false(is_mapped(secret));
}

static void it_is_locked_as_long_as_it_lives(void)
{
	unsigned before = locked_kb();
	const char *secret = locked_new("hunter2");
	bool may_lock = locked_kb() > before;

	locked_unref(secret);
	g_assert_cmpuint(locked_kb(), ==, before);
	if (!may_lock)
		g_test_skip("no memory may be locked");
}

static void a_child_locks_it_again(void)
{
	const char *secret = locked_new("hunter2");
	unsigned before = locked_kb();
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		locked_after_fork();
		_exit(locked_kb() == before ? 0 : 1);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	locked_unref(secret);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/locked/a_secret_is_what_it_was", a_secret_is_what_it_was);
	g_test_add_func("/base/locked/the_last_reference_takes_it_away", the_last_reference_takes_it_away);
	g_test_add_func("/base/locked/it_is_locked_as_long_as_it_lives", it_is_locked_as_long_as_it_lives);
	g_test_add_func("/base/locked/a_child_locks_it_again", a_child_locks_it_again);
	return g_test_run();
}
