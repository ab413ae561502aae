/* SPDX-License-Identifier: MIT */
/* A process of the same program that writes to a cache until it kills itself. */
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#define WRITE_UNTIL_KILLED "--write-until-killed" /* its arguments: the cache, a seed */

static inline void run_killed_child(const char *program, const char *dir, unsigned seed)
{
	char text[16];
	pid_t pid;
	int status;

	g_snprintf(text, sizeof(text), "%u", seed);
	pid = fork();
	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		execl("/proc/self/exe", program, WRITE_UNTIL_KILLED, dir, text, NULL);
		_exit(127);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFSIGNALED(status));
	g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
}
