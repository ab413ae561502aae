/* SPDX-License-Identifier: MIT */
/* From SOURCE, options and configuration file to something that can be connected to. */
#include "cli/account.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/exit_code.h"

#define POLL_SECONDS 60u

static bool load_section(struct account *account, struct options *options, GError **error)
{
	struct config *config = config_load_sections(account->config_path, true, error);
	const struct config_account *section;
	bool is_good;

	if (!config)
		return false;
	section = config_find(config, account->given);
	is_good = section && config_apply(config, section, options, error);
	if (!section)
		g_set_error(error, CLI_ERROR, EX_CONFIG, "%s: there is no [account %s]; 'mailfsctl list' tells which there are", config->path,
			account->given);
	config_free(config);
	return is_good;
}

static bool load_source(struct account *account, GError **error)
{
	g_autoptr(GError) wrong = NULL;

	if (!account->config_path)
		return source_parse(account->given, &account->source, error);
	if (!load_section(account, &account->options, error))
		return false;
	if (!account->options.source) {
		g_set_error(error, CLI_ERROR, EX_CONFIG, "%s: [account %s] has no source",
			account->config_path, account->given);
		return false;
	}
	if (source_parse(account->options.source, &account->source, &wrong))
		return true;
	g_set_error(error, CLI_ERROR, EX_CONFIG, "%s: [account %s]: %s", account->config_path,
		account->given, wrong->message);
	return false;
}

static bool refuse(struct account *account, GError **error, const char *why)
{
	g_set_error(error, CLI_ERROR, account->config_path ? EX_CONFIG : EX_USAGE, "%s: %s",
		account->given, why);
	return false;
}

static bool check_user(struct account *account, GError **error)
{
	struct options *options = &account->options;

	if (options->user) {
		g_free(account->source.user);
		account->source.user = g_strdup(options->user);
	}
	if (!account->source.user)
		return refuse(account, error,
			"no user name: write it in the URL (imaps://USER@HOST) or give -o user=NAME");
	if (!g_utf8_validate(account->source.user, -1, NULL))
		return refuse(account, error, "the user name is not UTF-8");
	for (const char *p = account->source.user; *p; p++) {
		if (g_ascii_iscntrl(*p))
			return refuse(account, error, "the user name has a control character in it");
	}
	return true;
}

/* An account that is one folder is mounted as that folder. */
static bool check_folder(struct account *account, GError **error)
{
	const char *only = account->backend->only_folder;

	if (!only)
		return true;
	if (*account->source.folder && strcmp(account->source.folder, only) != 0)
		return refuse(account, error, "a maildrop has no folders: leave out what is behind the host");
	g_free(account->source.folder);
	account->source.folder = g_strdup(only);
	return true;
}

static bool check_protocol(struct account *account, GError **error)
{
	account->backend = account->source.is_imap ? &imap_backend : &pop3_backend;
	if (!check_folder(account, error))
		return false;
	if (account->options.tls == TLS_NONE && account->source.is_implicit)
		return refuse(account, error, "tls=none and an encrypted URL (imaps://, pop3s://) contradict each other");
	if (account->options.keep != OPTION_UNSET && account->options.is_read_only)
		return refuse(account, error, "a read-only mount (ro) deletes nothing: pop3-keep=yes");
	if (account->options.password_command && account->options.token_command)
		return refuse(account, error, "password-command and token-command exclude each other");
	return true;
}

static bool check_files(const struct account *account, GError **error)
{
	const char *file = account->options.tls_ca;

	if (!file || access(file, R_OK) == 0)
		return true;
	g_set_error(error, CLI_ERROR, EX_CONFIG, "%s: tls-ca: %s: %s", account->given, file,
		g_strerror(errno));
	return false;
}

static bool choose_view(struct account *account, GError **error)
{
	g_autoptr(GError) wrong = NULL;
	const char *name = account->options.name ? account->options.name : "human";

	account->view = view_find(name);
	if (account->view)
		return true;
	if (!strchr(name, '{')) {
		g_autofree char *why = g_strdup_printf("name: '%s' is neither human nor uid", name);

		return refuse(account, error, why);
	}
	account->own_view = view_from_template(name, &wrong);
	account->view = account->own_view;
	return account->view ? true : refuse(account, error, wrong->message);
}

static struct secret_config secret_config(const struct account *account,
	const struct options *options)
{
	bool is_token = options->token_command || options->auth == MAILFS_AUTH_OAUTH;

	return (struct secret_config){
		.account = account->name,
		.where = account->where,
		.passfd = options->passfd == OPTION_UNSET ? -1 : (int)options->passfd,
		.command = options->token_command ? options->token_command : options->password_command,
		.password = options->password,
		.is_token = is_token,
		.is_needed = options->auth != MAILFS_AUTH_EXTERNAL,
		.may_prompt = !is_token,
	};
}

/* It is in one place from now on. */
static void forget_password(struct options *options)
{
	if (options->password)
		explicit_bzero(options->password, strlen(options->password));
	g_clear_pointer(&options->password, g_free);
}

static void fill_names(struct account *account)
{
	struct secret_config config;

	account->where = g_strdup_printf("%s@%s", account->source.user, account->source.host);
	account->name = g_strdup(account->config_path ? account->given : account->where);
	account->directory = account->config_path ? g_strdup(account->given)
						  : source_directory(&account->source);
	account->identity = source_identity(&account->source);
	account->fsname = source_fsname(&account->source);
	config = secret_config(account, &account->options);
	account->secret = secret_new(&config);
	forget_password(&account->options);
}

struct account *account_new(const char *source, const char *config_path, struct options *options,
	GError **error)
{
	struct account *account = g_new0(struct account, 1);

	account->options = *options;
	options_init(options);
	account->given = g_strdup(source);
	if (!source_is_url(source)) {
		if (!source_is_account_name(source)) {
			g_set_error(error, CLI_ERROR, EX_USAGE,
				"%s: neither a URL (imaps://USER@HOST) nor the name of an account", source);
			account_free(account);
			return NULL;
		}
		account->config_path = config_path ? g_canonicalize_filename(config_path, NULL)
						   : config_default_path();
	}
	if (!load_source(account, error) || !check_protocol(account, error) ||
		!check_user(account, error) || !choose_view(account, error) ||
		!check_files(account, error)) {
		account_free(account);
		return NULL;
	}
	fill_names(account);
	return account;
}

struct account *account_stub(const char *name, const char *config_path, struct options *options)
{
	struct account *account = g_new0(struct account, 1);
	struct secret_config config;

	account->options = *options;
	options_init(options);
	account->given = g_strdup(name);
	account->name = g_strdup(name);
	account->directory = g_strdup(name);
	account->where = g_strdup(name);
	account->config_path = config_path ? g_canonicalize_filename(config_path, NULL)
					   : config_default_path();
	config = secret_config(account, &account->options);
	account->secret = secret_new(&config);
	return account;
}

void account_free(struct account *account)
{
	if (!account)
		return;
	secret_free(account->secret);
	view_free(account->own_view);
	source_done(&account->source);
	options_done(&account->options);
	g_free(account->given);
	g_free(account->config_path);
	g_free(account->name);
	g_free(account->directory);
	g_free(account->identity);
	g_free(account->fsname);
	g_free(account->where);
	g_free(account);
}

bool account_reload(struct account *account, GError **error)
{
	struct options options;
	struct secret_config config;
	bool is_good = true;

	options_init(&options);
	options.auth = account->options.auth;
	if (account->config_path)
		is_good = load_section(account, &options, error);
	if (is_good) {
		config = secret_config(account, &options);
		secret_reload(account->secret, &config);
	}
	options_done(&options);
	return is_good;
}

void account_forget_secret(struct account *account)
{
	secret_forget(account->secret);
}

unsigned account_poll(const struct account *account)
{
	if (account->options.poll != OPTION_UNSET)
		return account->options.poll;
	return account->backend->poll_seconds != 0 ? account->backend->poll_seconds : POLL_SECONDS;
}

void account_backend_config(struct account *account, struct mailfs_backend_config *ret_config)
{
	const struct options *options = &account->options;
	enum mailfs_tls tls = account->source.is_implicit ? MAILFS_TLS_IMPLICIT : MAILFS_TLS_STARTTLS;

	*ret_config = (struct mailfs_backend_config){
		.host = account->source.host,
		.port = account->source.port,
		.tls = options->tls == TLS_NONE ? MAILFS_TLS_NONE : tls,
		.tls_fingerprint = options->tls_fingerprint,
		.tls_ca_file = options->tls_ca,
		.user = account->source.user,
		.auth = options->token_command && options->auth == MAILFS_AUTH_ANY
			? MAILFS_AUTH_OAUTH
			: (enum mailfs_auth)options->auth,
		.secret = secret_source(account->secret),
		.disable = (const char *const *)options->disable,
		.include = (const char *const *)options->include,
		.exclude = (const char *const *)options->exclude,
		.subscribed_only = options->subscribed,
		.want_compress = options->compress == COMPRESS_YES,
		.want_head = account->view->needs_head,
		.is_read_only = options->is_read_only,
		.connect_timeout_ms = options->timeout * 1000,
		.silence_timeout_ms = options->timeout * 1000,
	};
}
