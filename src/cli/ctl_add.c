/* SPDX-License-Identifier: MIT */
/*
 * mailfsctl add: finds the server of a mail address, logs in, and only then writes the account to the
 * configuration file. Asks on the terminal what it must; with answers in options it asks nothing.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cmdline.h"
#include "cli/ctl.h"
#include "cli/discover.h"
#include "cli/exit_code.h"
#include "cli/mailfs.h"
#include "cli/probe.h"

struct add {
	int argc; /* what is left for cmdline_parse() */
	char **argv;
	const char *name, *source, *password_command, *token_command; /* NULL = not given */
	bool saves_password, agrees;

	char *address;
	char *config_path;
	char *password; /* that was asked for; wiped */
	struct account *account; /* that could log in */
	struct probe probe;
	GError *error;
};

/* ---- the command line -------------------------------------------------------------------------- */

static bool take_value(struct add *add, int *at, const char *word, const char **ret_value)
{
	size_t len = strlen(word);
	const char *given = add->argv[*at];

	if (strncmp(given, word, len) != 0)
		return false;
	if (given[len] == '=') {
		*ret_value = given + len + 1;
		return true;
	}
	if (given[len] != '\0' || *at + 1 >= add->argc)
		return false;
	*ret_value = add->argv[++*at];
	return true;
}

static bool take_flag(const char *given, const char *word, bool *ret_flag)
{
	if (strcmp(given, word) != 0)
		return false;
	*ret_flag = true;
	return true;
}

/* Takes our own words out; the others are those of mailfs. */
static void take_words(struct add *add)
{
	int kept = 1;

	for (int i = 1; i < add->argc; i++) {
		const char *given = add->argv[i];

		if (take_value(add, &i, "--name", &add->name) ||
			take_value(add, &i, "--source", &add->source) ||
			take_value(add, &i, "--password-command", &add->password_command) ||
			take_value(add, &i, "--token-command", &add->token_command) ||
			take_flag(given, "--save-password", &add->saves_password) ||
			take_flag(given, "--yes", &add->agrees))
			continue;
		add->argv[kept++] = add->argv[i];
	}
	add->argv[kept] = NULL;
	add->argc = kept;
}

static bool is_address(const char *text)
{
	const char *at = strchr(text, '@');

	return at && at != text && at[1] && !strchr(at + 1, '@') && strchr(at + 1, '.') &&
		!strpbrk(text, " \t\r\n/\\<>\"%") && g_utf8_validate(text, -1, NULL);
}

/* ---- logging in -------------------------------------------------------------------------------- */

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	g_clear_pointer(text, g_free);
}

static char *url_of(bool is_implicit, const char *host, uint16_t port)
{
	const char *scheme = is_implicit ? "imaps" : "imap";

	if (port == (is_implicit ? 993 : 143))
		return g_strdup_printf("%s://%s", scheme, host);
	return g_strdup_printf("%s://%s:%u", scheme, host, port);
}

/* An account of the command line's options, this URL and this user; NULL + add->error. */
static struct account *make_account(struct add *add, const char *url, const char *user)
{
	struct account *account = NULL;
	struct cmdline line;

	if (cmdline_parse(&line, add->argc, add->argv, true, &add->error)) {
		if (!line.options.user)
			line.options.user = g_strdup(user);
		line.options.password_command = g_strdup(add->password_command);
		line.options.token_command = g_strdup(add->token_command);
		/* Descriptors and terminals are read once. */
		line.options.password = g_strdup(add->password);
		if (add->password)
			line.options.passfd = OPTION_UNSET;
		account = account_new(url, NULL, &line.options, &add->error);
	}
	cmdline_done(&line);
	return account;
}

static bool try_login(struct add *add, const char *url, const char *user)
{
	struct account *account = make_account(add, url, user);
	bool is_good = account && secret_prepare(account->secret, &add->error);

	if (is_good && !add->password)
		add->password = g_strdup(secret_peek(account->secret));
	is_good = is_good && probe_run(&add->probe, account, &add->error);
	if (is_good) {
		add->account = account;
		return true;
	}
	probe_done(&add->probe);
	account_free(account);
	return false;
}

static bool is_refused(const struct add *add)
{
	return g_error_matches(add->error, MAILFS_ERROR, MAILFS_ERROR_LOGIN);
}

/* RFC 6186 §4: the address is tried as user name, then what is before its "@". */
static bool try_users(struct add *add, const char *url, const char *user)
{
	g_autofree char *local = g_strndup(add->address, strcspn(add->address, "@"));

	if (try_login(add, url, user ? user : add->address))
		return true;
	if (user || !is_refused(add))
		return false;
	fprintf(stderr, "refused as %s; trying as %s\n", add->address, local);
	g_clear_error(&add->error);
	return try_login(add, url, local);
}

static bool log_in(struct add *add, const struct discovery *one)
{
	g_autofree char *url = url_of(one->is_implicit, one->host, one->port);

	fprintf(stderr, "trying %s (%s)\n", url, one->how);
	if (one->note)
		fprintf(stderr, "note: %s\n", one->note);
	return try_users(add, url, one->user);
}

/* --source, which may name the user. */
static bool log_in_there(struct add *add)
{
	struct source source;
	bool is_good;

	if (!source_parse(add->source, &source, &add->error))
		return false;
	fprintf(stderr, "trying %s\n", add->source);
	is_good = try_users(add, add->source, source.user);
	source_done(&source);
	return is_good;
}

/* ---- which server ------------------------------------------------------------------------------ */

static bool agree(struct add *add, const struct discovery *one)
{
	char answer[8] = "";

	if (one->is_trusted || add->agrees)
		return true;
	fprintf(stderr, "%s was found by DNS, and is no part of %s.\n", one->host,
		strchr(add->address, '@') + 1);
	if (isatty(STDIN_FILENO)) {
		fputs("Is that where your password may go? [y/N] ", stderr);
		if (fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y'))
			return true;
	}
	if (!add->error)
		g_set_error(&add->error, CLI_ERROR, EX_UNAVAILABLE,
			"%s was not agreed to; --yes does, --source=imaps://HOST names another", one->host);
	return false;
}

static bool find_server(struct add *add)
{
	g_autoptr(GPtrArray) found = NULL;

	if (add->source)
		return log_in_there(add);
	found = discover(add->address);
	for (guint i = 0; i < found->len; i++) {
		const struct discovery *one = g_ptr_array_index(found, i);

		if (!agree(add, one))
			continue;
		g_clear_error(&add->error);
		if (log_in(add, one))
			return true;
		/* A password that one server refuses is not shown to the next one. */
		if (is_refused(add) || add->error->domain == CLI_ERROR ||
			add->error->code == MAILFS_ERROR_CANCELLED || add->error->code == MAILFS_ERROR_INVALID)
			return false;
		fprintf(stderr, "%s\n", add->error->message);
	}
	if (!add->error)
		g_set_error(&add->error, CLI_ERROR, EX_NOHOST,
			"no IMAP server was found for %s; name it: --source=imaps://HOST", add->address);
	return false;
}

/* ---- writing it down --------------------------------------------------------------------------- */

static bool write_account(struct add *add)
{
	const struct source *source = &add->account->source;
	GString *text = g_string_new(NULL);
	g_autofree char *url = add->source
		? g_strdup(add->source)
		: url_of(source->is_implicit, source->host, source->port);
	bool is_good;

	g_string_append_printf(text, "[account %s]\nsource = %s\n", add->name, url);
	g_string_append_printf(text, "user = %s\n", source->user);
	config_print_options(text, &add->account->options, "user");
	if (add->password_command)
		g_string_append_printf(text, "password-command = %s\n", add->password_command);
	else if (add->token_command)
		g_string_append_printf(text, "token-command = %s\n", add->token_command);
	else if (add->saves_password && add->password)
		g_string_append_printf(text, "password = %s\n", add->password);
	is_good = config_add(add->config_path, add->name, text->str, add->saves_password, &add->error);
	explicit_bzero(text->str, text->len);
	g_string_free(text, TRUE);
	return is_good;
}

static void tell_success(const struct add *add)
{
	const struct probe *probe = &add->probe;

	fprintf(stderr, "logged in: %s, %u folders", probe->server_id ? probe->server_id : "it works",
		probe->folder_count);
	if (probe->has_status)
		fprintf(stderr, ", %" G_GUINT64_FORMAT " messages", probe->message_count);
	fprintf(stderr, "\nwritten to %s; mount it with\n\n", add->config_path);
	printf("    mkdir -p ~/Mail && mailfs %s ~/Mail\n", add->name);
	fflush(stdout);
	fputs("\nor, whenever you are logged in, at ~/Mail/ACCOUNT with\n\n", stderr);
	fprintf(stderr, "    systemctl --user enable --now mailfs@%s\n", add->name);
	if (!add->password_command && !add->token_command && !add->saves_password)
		fputs("\nThe password is asked for at each mount. password-command in mailfs.conf(5) fetches\n"
		      "it from a password manager, 'mailfsctl add --save-password' writes it to the file.\n",
			stderr);
}

static int run(struct add *add)
{
	const char *advice;
	g_autofree char *safe = NULL;

	/* Before a password is asked for. */
	if (config_add_check(add->config_path, add->name, &add->error) && find_server(add) &&
		write_account(add)) {
		tell_success(add);
		return 0;
	}
	safe = log_safe(add->error->message, -1);
	ctl_fail(0, "%s", safe);
	advice = exit_code_advice(add->error);
	if (advice)
		ctl_fail(0, "%s", advice);
	return exit_code(add->error, false);
}

static int refuse_words(struct add *add, const struct cmdline *line)
{
	if (!is_address(line->source))
		return ctl_fail(EX_USAGE, "add: not a mail address: %s", line->source);
	if (add->password_command && add->token_command)
		return ctl_fail(EX_USAGE, "add: --password-command and --token-command exclude each other");
	if (add->source && !source_is_url(add->source))
		return ctl_fail(EX_USAGE, "add: not a URL: %s", add->source);
	if (!add->name)
		add->name = add->address;
	if (!source_is_account_name(add->name))
		return ctl_fail(EX_USAGE, "add: not a name for an account: %s (--name=NAME chooses one)",
			add->name);
	return 0;
}

int ctl_add(int argc, char **argv)
{
	struct add add = { .argc = argc, .argv = argv };
	struct cmdline line;
	int code;

	take_words(&add);
	if (!cmdline_parse(&line, add.argc, add.argv, true, &add.error)) {
		code = ctl_fail(EX_USAGE, "add: %s", add.error->message);
	} else if (line.want_help || line.want_version) {
		char *words[] = { argv[0], line.want_help ? (char *)"--help" : (char *)"--version", NULL };

		code = ctl_main(2, words);
	} else {
		log_set_level(line.level);
		add.address = g_strdup(line.source);
		add.config_path = line.config_path ? g_canonicalize_filename(line.config_path, NULL)
						   : config_default_path();
		code = refuse_words(&add, &line);
		code = code != 0 ? code : run(&add);
	}
	cmdline_done(&line);
	probe_done(&add.probe);
	account_free(add.account);
	wipe(&add.password);
	g_free(add.address);
	g_free(add.config_path);
	g_clear_error(&add.error);
	log_secrets_clear();
	return code;
}
