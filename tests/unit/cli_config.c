/* SPDX-License-Identifier: MIT */
#include "cli/config.h"

#include <string.h>
#include <sys/stat.h>

#include <glib/gstdio.h>

#include "cli/account.h"
#include "cli/exit_code.h"

static const char good[] =
	"# comment\n"
	"\n"
	"[account work]\n"
	"source = imaps://me%40example.org@imap.example.org\n"
	"password-command = pass show \"a b\" \\ c # no comment\n"
	"  exclude = Junk;Trash  \n"
	"cache-size=4G\n"
	"ro = yes\r\n"
	"tls-ca = ca.pem\n"
	"; comment\n"
	"[account  home ]\n"
	"source=imap://x@y\n"
	"name = {date}_{subject:60}.{uid}.eml\n";

static struct config *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	struct config *config = config_parse("/etc/m.conf", text, false, &error);

	g_assert_no_error(error);
	return config;
}

static void assert_refused(const char *text, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(config_parse("m.conf", text, false, &error));
	g_assert_error(error, CLI_ERROR, EX_CONFIG);
	g_assert_cmpstr(error->message, ==, message);
}

static void accounts_and_keys_are_found(void)
{
	struct config *config = parse(good);
	const struct config_account *work = config_find(config, "work");

	g_assert_cmpuint(config->accounts->len, ==, 2);
	g_assert_nonnull(work);
	g_assert_cmpstr(config_get(work, "exclude"), ==, "Junk;Trash");
	g_assert_cmpstr(config_get(work, "cache-size"), ==, "4G");
	g_assert_null(config_get(work, "name"));
	g_assert_nonnull(config_find(config, "home"));
	g_assert_null(config_find(config, "nobody"));
	config_free(config);
}

static void values_are_kept_as_they_are_written(void)
{
	struct config *config = parse(good);

	g_assert_cmpstr(config_get(config_find(config, "work"), "password-command"), ==,
		"pass show \"a b\" \\ c # no comment");
	g_assert_cmpstr(config_get(config_find(config, "work"), "ro"), ==, "yes");
	config_free(config);
}

static void values_go_into_the_options(void)
{
	struct config *config = parse(good);
	struct options options;

	options_init(&options);
	g_assert_true(config_apply(config, config_find(config, "work"), &options, NULL));
	g_assert_cmpuint(options.cache_size, ==, (uint64_t)4 << 30);
	g_assert_true(options.is_read_only);
	g_assert_cmpstr(options.exclude[1], ==, "Trash");
	g_assert_cmpstr(options.tls_ca, ==, "/etc/ca.pem");
	options_done(&options);
	config_free(config);
}

static void the_command_line_wins(void)
{
	struct config *config = parse(good);
	struct options options;

	options_init(&options);
	g_assert_true(options_parse(&options, "cache-size=1G", false, NULL));
	g_assert_true(config_apply(config, config_find(config, "work"), &options, NULL));
	g_assert_cmpuint(options.cache_size, ==, (uint64_t)1 << 30);
	options_done(&options);
	config_free(config);
}

static void mistakes_are_told_with_their_line(void)
{
	assert_refused("[account a]\nuser = x\n\nnmae = uid\n", "m.conf:4: unknown key: nmae");
	assert_refused("[account a]\nuser = x\nuser = y\n", "m.conf:3: user: is there already, in line 2");
	assert_refused("[account a]\n[account a]\n", "m.conf:2: account a is there already, in line 1");
	assert_refused("user = x\n", "m.conf:1: user: stands before the first [account NAME]");
	assert_refused("[account a]\nnonsense\n", "m.conf:2: not a 'key = value' line");
	assert_refused("[work]\n", "m.conf:1: not a section that is known: write [account NAME]");
	assert_refused("[account a\n", "m.conf:1: ']' is missing");
	assert_refused("[account a]\ntimeout = x\n",
		"m.conf:2: timeout: 'x' is not a number from 1 to 3600");
	assert_refused("[account a]\nro = ja\n", "m.conf:2: ro: 'ja' is none of yes|no");
	assert_refused("[account a]\nname =\n", "m.conf:2: name: '' is not a valid value");
	assert_refused("[account a]\nuser = \xff\n", "m.conf:2: not UTF-8");
	assert_refused("[account a/b]\n", "m.conf:1: an account's name is made of letters, digits and . _ @ + -");
	assert_refused("[]\n", "m.conf:1: not a section that is known: write [account NAME]");
}

static void a_byte_order_mark_is_no_mistake(void)
{
	struct config *config = parse("\xef\xbb\xbf[account a]\nuser = x\n");

	g_assert_nonnull(config_find(config, "a"));
	config_free(config);
	assert_refused("[account a]\n\xef\xbb\xbfuser = x\n", "m.conf:2: unknown key: \xef\xbb\xbfuser");
}

static void keys_of_the_command_line_are_unknown_here(void)
{
	assert_refused("[account a]\npassfd = 3\n", "m.conf:2: unknown key: passfd");
	assert_refused("[account a]\nerase = trash\n", "m.conf:2: unknown key: erase");
}

static void a_password_needs_a_private_file(void)
{
	static const char text[] = "[account a]\npassword = canary\n";
	struct config *config = config_parse("m.conf", text, true, NULL);
	g_autoptr(GError) error = NULL;

	g_assert_nonnull(config);
	g_assert_cmpstr(config_get(config_find(config, "a"), "password"), ==, "canary");
	config_free(config);
	g_assert_null(config_parse("m.conf", text, false, &error));
	g_assert_null(strstr(error->message, "canary"));
	g_assert_nonnull(strstr(error->message, "m.conf:2: password"));
}

/* ---- files ------------------------------------------------------------------------------------- */

static char *write_file(const char *text, mode_t mode)
{
	g_autofree char *dir = g_dir_make_tmp("mailfs-XXXXXX", NULL);
	char *path = g_build_filename(dir, "m.conf", NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_cmpint(g_chmod(path, mode), ==, 0);
	return path;
}

static void remove_file(const char *path)
{
	g_autofree char *dir = g_path_get_dirname(path);

	g_unlink(path);
	g_rmdir(dir);
}

static void the_mode_of_the_file_decides(void)
{
	static const mode_t modes[] = { 0600, 0400, 0640, 0604 };

	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
		g_autofree char *path = write_file("[account a]\npassword = canary\n", modes[i]);
		struct config *config = config_load(path, true, NULL);

		g_assert_cmpint(config != NULL, ==, (modes[i] & 077) == 0);
		config_free(config);
		remove_file(path);
	}
}

static void a_missing_file_matters_only_if_it_must_exist(void)
{
	g_autoptr(GError) error = NULL;
	struct config *config = config_load("/nonexistent/m.conf", false, NULL);

	g_assert_nonnull(config);
	g_assert_cmpuint(config->accounts->len, ==, 0);
	config_free(config);
	g_assert_null(config_load("/nonexistent/m.conf", true, &error));
	g_assert_error(error, CLI_ERROR, EX_CONFIG);
	g_assert_nonnull(strstr(error->message, "mailfsctl add"));
	g_clear_error(&error);
	g_assert_null(config_load("/", false, &error));
	g_assert_error(error, CLI_ERROR, EX_CONFIG);
}

/* ---- accounts ---------------------------------------------------------------------------------- */

static struct account *account_of(const char *source, const char *path, const char *text, GError **error)
{
	struct options options;

	options_init(&options);
	g_assert_true(options_parse(&options, text, false, NULL));
	return account_new(source, path, &options, error);
}

static void a_url_is_an_account(void)
{
	g_autoptr(GError) error = NULL;
	struct account *account = account_of("imaps://a@h:1993/Work", NULL, "user=b@c,name=uid", &error);
	struct mailfs_backend_config config;

	g_assert_no_error(error);
	account_backend_config(account, &config);
	g_assert_cmpstr(account->name, ==, "b@c@h");
	g_assert_cmpstr(account->directory, ==, "b@c@h_1993");
	g_assert_cmpstr(account->identity, ==, "imap://b%40c@h:1993");
	g_assert_cmpstr(config.user, ==, "b@c");
	g_assert_cmpuint(config.port, ==, 1993);
	g_assert_cmpint(config.tls, ==, MAILFS_TLS_IMPLICIT);
	g_assert_false(config.want_head);
	g_assert_false(config.want_compress);
	account_free(account);
}

static void a_name_is_an_account_of_the_file(void)
{
	g_autofree char *path = write_file(good, 0644);
	g_autoptr(GError) error = NULL;
	struct account *account = account_of("home", path, "", &error);
	struct mailfs_backend_config config;

	g_assert_no_error(error);
	account_backend_config(account, &config);
	g_assert_cmpstr(account->name, ==, "home");
	g_assert_cmpstr(account->directory, ==, "home");
	g_assert_cmpstr(account->identity, ==, "imap://x@y");
	g_assert_cmpint(config.tls, ==, MAILFS_TLS_STARTTLS);
	g_assert_nonnull(account->own_view);
	account_free(account);
	remove_file(path);
}

static void assert_no_account(const char *source, const char *path, const char *text, int code)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(account_of(source, path, text, &error));
	g_assert_error(error, CLI_ERROR, code);
}

static void contradictions_are_refused(void)
{
	g_autofree char *path = write_file("[account a]\n"
					   "source = imaps://x@y\n"
					   "password-command = x\n"
					   "token-command = y\n"
					   "[account b]\n"
					   "user = x\n"
					   "[account c]\n"
					   "source = imaps://x:y@z\n",
		0644);

	assert_no_account("a", path, "", EX_CONFIG);
	assert_no_account("b", path, "", EX_CONFIG);
	assert_no_account("c", path, "", EX_CONFIG);
	assert_no_account("d", path, "", EX_CONFIG);
	assert_no_account("a b", path, "", EX_USAGE);
	assert_no_account("imaps://h", NULL, "", EX_USAGE);
	assert_no_account("imaps://a@h", NULL, "tls=none", EX_USAGE);
	assert_no_account("imaps://a@h", NULL, "name=other", EX_USAGE);
	assert_no_account("imaps://a@h", NULL, "tls-ca=/nonexistent/ca.pem", EX_CONFIG);
	assert_no_account("imaps://a@h", NULL, "name={nothing}", EX_USAGE);
	assert_no_account("pop3s://a@h/Folder", NULL, "", EX_USAGE);
	assert_no_account("pop3s://a@h", NULL, "tls=none", EX_USAGE);
	remove_file(path);
}

static void a_token_command_means_oauth(void)
{
	g_autofree char *path = write_file("[account a]\nsource = imaps://x@y\ntoken-command = t\n", 0644);
	struct account *account = account_of("a", path, "", NULL);
	struct mailfs_backend_config config;

	account_backend_config(account, &config);
	g_assert_cmpint(config.auth, ==, MAILFS_AUTH_OAUTH);
	account_free(account);
	remove_file(path);
}

static void only_yes_compresses_from_the_start(void)
{
	static const char *const choices[] = { "compress=yes", "compress=no", "compress=auto", "" };

	for (size_t i = 0; i < G_N_ELEMENTS(choices); i++) {
		struct account *account = account_of("imaps://a@h", NULL, choices[i], NULL);
		struct mailfs_backend_config config;

		account_backend_config(account, &config);
		g_assert_cmpint(config.want_compress, ==, i == 0);
		g_assert_cmpint(account->options.compress == COMPRESS_AUTO, ==, i >= 2);
		account_free(account);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cli/config/found", accounts_and_keys_are_found);
	g_test_add_func("/cli/config/as written", values_are_kept_as_they_are_written);
	g_test_add_func("/cli/config/applied", values_go_into_the_options);
	g_test_add_func("/cli/config/precedence", the_command_line_wins);
	g_test_add_func("/cli/config/mistakes", mistakes_are_told_with_their_line);
	g_test_add_func("/cli/config/byte order mark", a_byte_order_mark_is_no_mistake);
	g_test_add_func("/cli/config/not here", keys_of_the_command_line_are_unknown_here);
	g_test_add_func("/cli/config/SEC-52 password", a_password_needs_a_private_file);
	g_test_add_func("/cli/config/SEC-52 mode", the_mode_of_the_file_decides);
	g_test_add_func("/cli/config/missing", a_missing_file_matters_only_if_it_must_exist);
	g_test_add_func("/cli/account/url", a_url_is_an_account);
	g_test_add_func("/cli/account/name", a_name_is_an_account_of_the_file);
	g_test_add_func("/cli/account/contradictions", contradictions_are_refused);
	g_test_add_func("/cli/account/token", a_token_command_means_oauth);
	g_test_add_func("/cli/account/compress", only_yes_compresses_from_the_start);
	return g_test_run();
}
