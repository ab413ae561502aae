/* SPDX-License-Identifier: MIT */
#include "cli/secret.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>
#include <glib/gstdio.h>

#include "base/log.h"

struct answer {
	GMainLoop *loop;
	unsigned count, wanted;
	char *text;
	GError *error;
};

static void on_secret(void *user, const char *text, const GError *error)
{
	struct answer *answer = user;

	g_assert_true((text != NULL) != (error != NULL));
	g_free(answer->text);
	g_clear_error(&answer->error);
	answer->text = g_strdup(text);
	answer->error = error ? g_error_copy(error) : NULL;
	if (++answer->count == answer->wanted)
		g_main_loop_quit(answer->loop);
}

/* Asks `times` at once, waits for all answers; the last one is returned. */
static struct answer ask(struct secret *secret, unsigned times)
{
	struct answer answer = { .loop = g_main_loop_new(NULL, FALSE), .wanted = times };
	struct mailfs_secret_source source = secret_source(secret);

	for (unsigned i = 0; i < times; i++)
		source.get(source.source_user, on_secret, &answer);
	g_assert_cmpuint(answer.count, ==, 0); /* never from inside the call */
	g_main_loop_run(answer.loop);
	g_main_loop_unref(answer.loop);
	return answer;
}

static void answer_done(struct answer *answer)
{
	g_free(answer->text);
	g_clear_error(&answer->error);
}

static struct secret_config config_of(const char *command)
{
	return (struct secret_config){
		.account = "work",
		.where = "me@host",
		.passfd = -1,
		.command = command,
		.is_needed = true,
	};
}

static struct secret *secret_of(const char *command)
{
	struct secret_config config = config_of(command);
	struct secret *secret = secret_new(&config);
	g_autoptr(GError) error = NULL;

	secret_prepare(secret, &error);
	g_assert_no_error(error);
	return secret;
}

static void assert_command(const char *command, const char *expected)
{
	struct secret *secret = secret_of(command);
	struct answer answer = ask(secret, 1);

	g_assert_no_error(answer.error);
	g_assert_cmpstr(answer.text, ==, expected);
	answer_done(&answer);
	secret_free(secret);
}

static void assert_command_fails(const char *command, int code, const char *part)
{
	struct secret *secret = secret_of(command);
	struct answer answer = ask(secret, 1);

	g_assert_error(answer.error, MAILFS_ERROR, code);
	if (!strstr(answer.error->message, part))
		g_error("%s: %s", command, answer.error->message);
	answer_done(&answer);
	secret_free(secret);
}

static void the_first_line_of_a_command_counts(void)
{
	assert_command("printf 'one\\ntwo\\n'", "one");
	assert_command("printf 'no end'", "no end");
	assert_command("printf 'crlf\\r\\n'", "crlf");
	assert_command("printf ' spaces \\n'", " spaces ");
	assert_command("printf 'Größe\\n'", "Größe");
}

static void quotes_are_understood_and_no_shell_is_there(void)
{
	assert_command("echo 'a  b' \"c d\" e\\ f", "a  b c d e f");
	assert_command("echo $HOME `id` $(id) | cat ; true", "$HOME `id` $(id) | cat ; true");
	assert_command("sh -c 'echo $((1 + 2))'", "3");
}

static void commands_run_in_the_root_directory(void)
{
	assert_command("pwd", "/");
}

static void failing_commands_are_errors(void)
{
	assert_command_fails("sh -c 'echo half; exit 3'", MAILFS_ERROR_LOGIN, "exit code 3");
	assert_command_fails("sh -c 'kill -9 $$'", MAILFS_ERROR_LOGIN, "signal 9");
	assert_command_fails("true", MAILFS_ERROR_LOGIN, "nothing");
	assert_command_fails("echo", MAILFS_ERROR_LOGIN, "nothing");
	assert_command_fails("printf 'a\\0b\\n'", MAILFS_ERROR_LOGIN, "NUL");
	assert_command_fails("/nonexistent/program x", MAILFS_ERROR_INVALID, "/nonexistent/program");
	assert_command_fails("echo 'open", MAILFS_ERROR_INVALID, "command");
}

static void output_has_a_limit(void)
{
	assert_command_fails("head -c 70000 /dev/zero", MAILFS_ERROR_LOGIN, "too much");
	assert_command_fails("sh -c 'head -c 1000000 /dev/zero | tr \"\\\\0\" x'", MAILFS_ERROR_LOGIN,
		"too much");
	assert_command("sh -c 'echo first; head -c 1000000 /dev/zero'", "first");
}

static void a_long_token_comes_whole(void)
{
	g_autofree char *token = g_strnfill(10000, 't');

	assert_command("sh -c 'head -c 10000 /dev/zero | tr \"\\\\0\" t'", token);
}

static void a_helper_that_stays_behind_is_not_waited_for(void)
{
	/* It may hold the pipe, but not our standard error: whoever runs this test waits for its end. */
	assert_command("sh -c 'sleep 30 2>/dev/null & echo done'", "done");
}

static char *counter_file(void)
{
	char *path = NULL;
	int fd = g_file_open_tmp("mailfs-XXXXXX", &path, NULL);

	g_assert_cmpint(fd, >=, 0);
	close(fd);
	return path;
}

static size_t counter_value(const char *path)
{
	g_autofree char *text = NULL;
	gsize len = 0;

	g_assert_true(g_file_get_contents(path, &text, &len, NULL));
	return len;
}

static void each_login_runs_the_command_anew(void)
{
	g_autofree char *path = counter_file();
	g_autofree char *command = g_strdup_printf("sh -c 'printf x >>%s; wc -c <%s'", path, path);
	struct secret *secret = secret_of(command);
	struct answer answer;

	g_assert_cmpuint(counter_value(path), ==, 0); /* not before it is needed */
	answer = ask(secret, 1);
	g_assert_cmpstr(answer.text, ==, "1");
	answer_done(&answer);
	answer = ask(secret, 1);
	g_assert_cmpstr(answer.text, ==, "2");
	answer_done(&answer);
	secret_free(secret);
	g_unlink(path);
}

static void logins_at_the_same_time_share_a_run(void)
{
	g_autofree char *path = counter_file();
	g_autofree char *command = g_strdup_printf("sh -c 'printf x >>%s; echo p'", path);
	struct secret *secret = secret_of(command);
	struct answer answer = ask(secret, 3);

	g_assert_cmpuint(answer.count, ==, 3);
	g_assert_cmpstr(answer.text, ==, "p");
	g_assert_cmpuint(counter_value(path), ==, 1);
	answer_done(&answer);
	secret_free(secret);
	g_unlink(path);
}

/* One that was told `text` by a pipe. */
static struct secret *secret_told(const char *text)
{
	struct secret_config config = config_of(NULL);
	g_autoptr(GError) error = NULL;
	struct secret *secret;
	int fds[2];

	g_assert_true(g_unix_open_pipe(fds, FD_CLOEXEC, &error));
	g_assert_cmpint(write(fds[1], text, strlen(text)), ==, strlen(text));
	close(fds[1]);
	config.passfd = fds[0];
	secret = secret_new(&config);
	secret_prepare(secret, &error);
	g_assert_no_error(error);
	return secret;
}

/* `config` tried in place of one that was told "told"; what it has then, NULL = an error. */
static char *tried_again(const struct secret_config *config)
{
	struct secret *before = secret_told("told\n");
	struct secret *secret = secret_new(config);
	g_autoptr(GError) error = NULL;
	bool is_good = secret_prepare_again(secret, before, &error);
	char *kept = g_strdup(secret_peek(secret));

	g_assert_true(is_good == (error == NULL));
	if (error)
		g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID);
	secret_free(before);
	secret_free(secret);
	return kept;
}

static void what_was_told_once_serves_again(void)
{
	struct secret_config config = config_of(NULL);
	g_autofree char *same = tried_again(&config);
	g_autofree char *other = NULL;
	g_autofree char *file = NULL;

	g_assert_cmpstr(same, ==, "told");
	config.where = "me@elsewhere";
	config.may_prompt = true; /* but not then */
	other = tried_again(&config);
	g_assert_null(other);
	config = config_of(NULL);
	config.password = "file";
	file = tried_again(&config);
	g_assert_cmpstr(file, ==, "file");
}

static void an_end_during_a_run_is_clean(void)
{
	struct secret *secret = secret_of("sleep 30");
	struct mailfs_secret_source source = secret_source(secret);
	struct answer answer = { 0 };

	source.get(source.source_user, on_secret, &answer);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(answer.count, ==, 0);
	secret_free(secret);
	g_assert_cmpuint(answer.count, ==, 1);
	g_assert_error(answer.error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(answer.count, ==, 1);
	answer_done(&answer);
}

static void on_command(void *user, const char *line, const GError *error)
{
	struct answer *answer = user;

	on_secret(answer, line, error);
}

static void a_command_that_hangs_is_ended(void)
{
	struct answer answer = { .loop = g_main_loop_new(NULL, FALSE), .wanted = 1 };

	g_assert_nonnull(command_run("work", "sleep 30", 10, on_command, &answer, NULL));
	g_main_loop_run(answer.loop);
	g_assert_error(answer.error, MAILFS_ERROR, MAILFS_ERROR_LOGIN);
	g_assert_nonnull(strstr(answer.error->message, "too long"));
	answer_done(&answer);
	g_main_loop_unref(answer.loop);
}

/* ---- other places ------------------------------------------------------------------------------ */

/* A pipe that holds `len` bytes; its other end stays open. */
static int pipe_with(const char *bytes, size_t len, int *ret_other)
{
	int fds[2];

	g_assert_cmpint(pipe(fds), ==, 0);
	g_assert_cmpint(write(fds[1], bytes, len), ==, (ssize_t)len);
	*ret_other = fds[1];
	return fds[0];
}

static struct secret *secret_of_fd(const char *bytes, size_t len, GError **error)
{
	struct secret_config config = config_of("echo command");
	struct secret *secret;
	int other;

	config.passfd = pipe_with(bytes, len, &other);
	if (!memchr(bytes, '\n', len))
		close(other);
	secret = secret_new(&config);
	secret_prepare(secret, error);
	return secret;
}

static void assert_fd(const char *bytes, const char *expected)
{
	g_autoptr(GError) error = NULL;
	struct secret *secret = secret_of_fd(bytes, strlen(bytes), &error);
	struct answer answer;

	g_assert_no_error(error);
	answer = ask(secret, 1);
	g_assert_cmpstr(answer.text, ==, expected);
	answer_done(&answer);
	answer = ask(secret, 1); /* kept for the next login */
	g_assert_cmpstr(answer.text, ==, expected);
	answer_done(&answer);
	secret_free(secret);
}

static void passfd_comes_first_and_is_kept(void)
{
	assert_fd("secret\nmore\n", "secret");
	assert_fd("secret", "secret");
	assert_fd("quote\"back\\slash\r\n", "quote\"back\\slash");
}

static void passfd_that_is_no_password_is_refused(void)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = { { "", 0 }, { "\n", 1 }, { "a\0b\n", 4 } };

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		struct secret *secret = secret_of_fd(rows[i].bytes, rows[i].len, &error);

		g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID);
		secret_free(secret);
	}
}

static void the_credentials_directory_comes_before_the_command(void)
{
	g_autofree char *dir = g_dir_make_tmp("mailfs-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "mailfs.work", NULL);
	struct secret *secret;
	struct answer answer;

	g_assert_true(g_file_set_contents(path, "credential\n", -1, NULL));
	g_setenv("CREDENTIALS_DIRECTORY", dir, TRUE);
	secret = secret_of("echo command");
	answer = ask(secret, 1);
	g_assert_cmpstr(answer.text, ==, "credential");
	answer_done(&answer);

	/* SIGHUP: the file has another password now. */
	g_assert_true(g_file_set_contents(path, "changed\n", -1, NULL));
	{
		struct secret_config config = config_of("echo command");

		secret_reload(secret, &config);
	}
	answer = ask(secret, 1);
	g_assert_cmpstr(answer.text, ==, "changed");
	answer_done(&answer);
	secret_free(secret);
	g_unlink(path);
	secret = secret_of("echo command");
	answer = ask(secret, 1);
	g_assert_cmpstr(answer.text, ==, "command");
	answer_done(&answer);
	secret_free(secret);
	g_unsetenv("CREDENTIALS_DIRECTORY");
	g_rmdir(dir);
}

static void the_password_of_the_file_comes_after_the_command(void)
{
	struct secret_config config = config_of(NULL);
	struct secret *secret;
	struct answer answer;

	config.password = "of the file";
	secret = secret_new(&config);
	g_assert_true(secret_prepare(secret, NULL));
	answer = ask(secret, 1);
	g_assert_cmpstr(answer.text, ==, "of the file");
	answer_done(&answer);

	config.command = "echo of the command";
	secret_reload(secret, &config);
	answer = ask(secret, 1);
	g_assert_cmpstr(answer.text, ==, "of the command");
	answer_done(&answer);
	secret_free(secret);
}

/* Asked, then reloaded before the answer could come. */
static struct answer ask_around_reload(struct secret *secret, const struct secret_config *config)
{
	struct answer answer = { .loop = g_main_loop_new(NULL, FALSE), .wanted = 1 };
	struct mailfs_secret_source source = secret_source(secret);

	source.get(source.source_user, on_secret, &answer);
	secret_reload(secret, config);
	g_main_loop_run(answer.loop);
	g_main_loop_unref(answer.loop);
	return answer;
}

static void a_reload_before_the_answer_decides_where_it_comes_from(void)
{
	struct secret_config config = config_of(NULL);
	struct secret *secret;
	struct answer answer;

	config.password = "of the file";
	secret = secret_new(&config);
	g_assert_true(secret_prepare(secret, NULL));
	config.command = "echo of the command";
	answer = ask_around_reload(secret, &config);
	g_assert_cmpstr(answer.text, ==, "of the command");
	answer_done(&answer);

	config.command = NULL;
	answer = ask_around_reload(secret, &config);
	g_assert_cmpstr(answer.text, ==, "of the file");
	answer_done(&answer);
	secret_free(secret);
}

static void an_empty_password_is_never_made_up(void)
{
	struct secret_config config = config_of(NULL);
	struct secret *secret = secret_of("echo of the command");
	struct answer answer = ask_around_reload(secret, &config);

	g_assert_error(answer.error, MAILFS_ERROR, MAILFS_ERROR_LOGIN);
	answer_done(&answer);
	secret_free(secret);
}

static void no_source_at_all_is_a_configuration_error(void)
{
	struct secret_config config = config_of(NULL);
	struct secret *secret = secret_new(&config);
	g_autoptr(GError) error = NULL;

	g_assert_false(secret_prepare(secret, &error));
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID);
	secret_free(secret);
}

static void external_needs_none(void)
{
	struct secret_config config = config_of(NULL);
	struct secret *secret;

	config.is_needed = false;
	secret = secret_new(&config);
	g_assert_true(secret_prepare(secret, NULL));
	secret_free(secret);
}

static void a_secret_is_masked_in_the_log(void)
{
	if (g_test_subprocess()) {
		struct secret *secret = secret_of("echo canary-of-command");
		struct answer answer = ask(secret, 1);

		log_warn("cli", "got %s", answer.text);
		answer_done(&answer);
		secret_free(secret);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr("*cli: got *");
	g_test_trap_assert_stderr_unmatched("*canary*");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_unsetenv("CREDENTIALS_DIRECTORY");
	g_test_add_func("/cli/secret/first line", the_first_line_of_a_command_counts);
	g_test_add_func("/cli/secret/SEC-38 no shell", quotes_are_understood_and_no_shell_is_there);
	g_test_add_func("/cli/secret/KC-8 directory", commands_run_in_the_root_directory);
	g_test_add_func("/cli/secret/failing", failing_commands_are_errors);
	g_test_add_func("/cli/secret/limit", output_has_a_limit);
	g_test_add_func("/cli/secret/long token", a_long_token_comes_whole);
	g_test_add_func("/cli/secret/left behind", a_helper_that_stays_behind_is_not_waited_for);
	g_test_add_func("/cli/secret/CN-5 anew", each_login_runs_the_command_anew);
	g_test_add_func("/cli/secret/shared", logins_at_the_same_time_share_a_run);
	g_test_add_func("/cli/secret/end", an_end_during_a_run_is_clean);
	g_test_add_func("/cli/secret/hangs", a_command_that_hangs_is_ended);
	g_test_add_func("/cli/secret/passfd", passfd_comes_first_and_is_kept);
	g_test_add_func("/cli/secret/SEC-20 bad passfd", passfd_that_is_no_password_is_refused);
	g_test_add_func("/cli/secret/credentials", the_credentials_directory_comes_before_the_command);
	g_test_add_func("/cli/secret/file", the_password_of_the_file_comes_after_the_command);
	g_test_add_func("/cli/secret/none", no_source_at_all_is_a_configuration_error);
	g_test_add_func("/cli/secret/told once", what_was_told_once_serves_again);
	g_test_add_func("/cli/secret/external", external_needs_none);
	g_test_add_func("/cli/secret/reload in between",
		a_reload_before_the_answer_decides_where_it_comes_from);
	g_test_add_func("/cli/secret/SEC-19 none left", an_empty_password_is_never_made_up);
	g_test_add_func("/cli/secret/SEC-52 masked", a_secret_is_masked_in_the_log);
	return g_test_run();
}
