/* SPDX-License-Identifier: MIT */
/* The keeper's process, and what it does for one that may do nothing. */
#include "cli/keeper.h"

#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib-unix.h>
#include <glib/gstdio.h>

#include "base/cleanup.h"

#define LIMIT_MS 20000

struct run {
	int out, status;
};

/* A keeper for an account "work" of a configuration file with this line. */
static char *start(const char *line)
{
	struct options options;
	struct account *account;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = g_strconcat("[account work]\nsource = imaps://me@host\n", line, "\n", NULL);
	char *path;
	int fd = g_file_open_tmp("mailfs-keeper-XXXXXX", &path, &error);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
	close(fd);
	options_init(&options);
	account = account_new("work", path, &options, &error);
	g_assert_no_error(error);
	g_assert_true(keeper_start(&(struct keeper_config){ .accounts = &account, .account_count = 1 }));
	account_free(account); /* it has its own */
	return path;
}

static void stop(char *path)
{
	keeper_end();
	g_assert_cmpint(waitpid(-1, NULL, 0), >, 0);
	g_unlink(path);
	g_free(path);
}

static struct run run(const char *account)
{
	struct run run;
	int out[2], status[2];

	g_assert_true(g_unix_open_pipe(out, FD_CLOEXEC, NULL) && g_unix_open_pipe(status, FD_CLOEXEC, NULL));
	g_assert_true(keeper_run(account, out[1], status[1]));
	close(out[1]);
	close(status[1]);
	run.out = out[0];
	run.status = status[0];
	return run;
}

static int end_of(struct run *run)
{
	struct pollfd poll_fd = { .fd = run->status, .events = POLLIN };
	int status = -1;

	g_assert_cmpint(poll(&poll_fd, 1, LIMIT_MS), ==, 1);
	g_assert_cmpint(read(run->status, &status, sizeof(status)), ==, sizeof(status));
	close(run->status);
	close(run->out);
	return status;
}

static void assert_output(struct run *run, const char *expected)
{
	char text[64] = "";

	g_assert_cmpint(read(run->out, text, sizeof(text) - 1), ==, strlen(expected));
	g_assert_cmpstr(text, ==, expected);
}

static void the_command_of_the_file_is_run(void)
{
	char *path = start("password-command = sh -c 'echo secret; exit 3'");
	struct run one = run("work");
	int status;

	assert_output(&one, "secret\n");
	status = end_of(&one);
	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, 3);
	stop(path);
}

static void an_account_that_is_not_there_runs_nothing(void)
{
	char *path = start("password-command = echo secret");
	struct run one = run("other");

	g_assert_cmpint(end_of(&one), ==, -EINVAL);
	stop(path);
}

static void an_account_without_a_command_runs_nothing(void)
{
	char *path = start("user = me");
	struct run one = run("work");

	g_assert_cmpint(end_of(&one), ==, -EINVAL);
	stop(path);
}

static void a_program_that_is_not_there_says_so(void)
{
	char *path = start("password-command = /nowhere/at-all");
	struct run one = run("work");

	g_assert_cmpint(end_of(&one), ==, -ENOENT);
	stop(path);
}

/* The end of its output: it was killed. */
static void nobody_who_waits_is_the_end_of_the_program(void)
{
	char *path = start("password-command = sleep 1000");
	struct run one = run("work");
	struct pollfd poll_fd = { .fd = one.out };

	close(one.status);
	g_assert_cmpint(poll(&poll_fd, 1, LIMIT_MS), ==, 1);
	g_assert_cmpint(poll_fd.revents & POLLHUP, !=, 0);
	close(one.out);
	stop(path);
}

static void two_programs_run_at_the_same_time(void)
{
	char *path = start("password-command = cat /dev/null");
	struct run one = run("work");
	struct run two = run("work");

	g_assert_cmpint(end_of(&two), ==, 0);
	g_assert_cmpint(end_of(&one), ==, 0);
	stop(path);
}

static void a_reload_takes_the_new_command(void)
{
	static const char text[] = "[account work]\nsource = imaps://me@host\npassword-command = echo new\n";
	char *path = start("password-command = echo old");
	struct run one;

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	keeper_reload();
	one = run("work");
	assert_output(&one, "new\n");
	g_assert_cmpint(end_of(&one), ==, 0);
	stop(path);
}

static void a_mount_that_fails_is_no_fd(void)
{
	struct account *none = NULL;
	struct keeper_config config = { .accounts = &none, .account_count = 0,
		.mounter = { .mountpoint = "/not/there", .fsname = "x" } };

	g_assert_true(keeper_start(&config));
	g_assert_cmpint(keeper_mount(), ==, -1);
	stop(g_strdup("/not/there"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/cli/keeper/" #name, name)
	TEST(the_command_of_the_file_is_run);
	TEST(an_account_that_is_not_there_runs_nothing);
	TEST(an_account_without_a_command_runs_nothing);
	TEST(a_program_that_is_not_there_says_so);
	TEST(nobody_who_waits_is_the_end_of_the_program);
	TEST(two_programs_run_at_the_same_time);
	TEST(a_reload_takes_the_new_command);
	TEST(a_mount_that_fails_is_no_fd);
	return g_test_run();
}
