/* SPDX-License-Identifier: MIT */
/* Secrets are kept in one place each, and wiped when they are replaced or the program ends. */
#include "cli/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/locked.h"
#include "base/log.h"
#include "cli/keeper.h"
#include "cli/keyring.h"

#define COMMAND_TIMEOUT_MS 60000u

enum kept_from {
	KEPT_NOTHING,
	KEPT_PASSFD,
	KEPT_CREDENTIAL,
	KEPT_CONFIG,
	KEPT_KEYRING,
	KEPT_TERMINAL,
};

struct question {
	mailfs_secret_fn done;
	void *user;
};

struct secret {
	char *account, *where, *command_text;
	const char *password; /* of base/locked.h, as all that follow */
	int passfd;
	bool is_token, is_needed, may_prompt;

	const char *kept; /* NULL = the command is asked each time */
	enum kept_from kept_from;
	const char *masked, *masked_before; /* the last ones that log lines were told to hide */

	struct command *command; /* under way */
	GPtrArray *questions;    /* struct question *, waiting for an answer */
	guint answer_source;     /* they are answered from `kept` soon */
};

static void wipe(const char **text)
{
	locked_unref(*text);
	*text = NULL;
}

/* Of memory that is not locked. */
static void wipe_free(char *text)
{
	explicit_bzero(text, strlen(text));
	g_free(text);
}

static void configure(struct secret *secret, const struct secret_config *config)
{
	g_free(secret->account);
	g_free(secret->where);
	g_free(secret->command_text);
	wipe(&secret->password);
	secret->account = g_strdup(config->account);
	secret->where = g_strdup(config->where);
	secret->command_text = g_strdup(config->command);
	secret->password = config->password ? locked_new(config->password) : NULL;
	secret->is_token = config->is_token;
	secret->is_needed = config->is_needed;
	secret->may_prompt = config->may_prompt;
}

struct secret *secret_new(const struct secret_config *config)
{
	struct secret *secret = g_new0(struct secret, 1);

	configure(secret, config);
	secret->passfd = config->passfd;
	secret->questions = g_ptr_array_new_with_free_func(g_free);
	return secret;
}

static void unmask(const char **text)
{
	if (*text)
		log_secret_drop(*text);
	wipe(text);
}

static void answer_all(struct secret *secret, const char *text, const GError *error);

void secret_free(struct secret *secret)
{
	g_autoptr(GError) over = NULL;

	if (!secret)
		return;
	if (secret->command)
		command_cancel(secret->command);
	/* Each question has an answer: what waits for it is freed by it. */
	over = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the mount is ending");
	answer_all(secret, NULL, over);
	if (secret->answer_source != 0)
		g_source_remove(secret->answer_source);
	g_ptr_array_unref(secret->questions);
	g_free(secret->account);
	g_free(secret->where);
	g_free(secret->command_text);
	wipe(&secret->password);
	wipe(&secret->kept);
	unmask(&secret->masked);
	unmask(&secret->masked_before);
	g_free(secret);
}

/* Takes the reference. The one before stays: the server may repeat it still, and other threads may be
 * looking for it in a line. */
static void mask_take(struct secret *secret, const char *text)
{
	if (secret->masked && strcmp(secret->masked, text) == 0) {
		locked_unref(text);
		return;
	}
	unmask(&secret->masked_before);
	secret->masked_before = secret->masked;
	secret->masked = text;
	log_secret_add(text);
}

/* Takes the reference. */
static void keep_locked(struct secret *secret, const char *text, enum kept_from from)
{
	wipe(&secret->kept);
	secret->kept = text;
	secret->kept_from = from;
	mask_take(secret, locked_ref(text));
}

/* Takes the text, and moves it. */
static void keep(struct secret *secret, char *text, enum kept_from from)
{
	const char *locked = locked_new(text);

	wipe_free(text);
	keep_locked(secret, locked, from);
}

/* ---- reading from files ------------------------------------------------------------------------ */

static bool refuse(GError **error, const char *what, const char *why)
{
	g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "%s: %s", what, why);
	return false;
}

/* The first line, into a buffer of SECRET_MAX + 2 bytes. Reads no further than it must: the other
 * end of a pipe may stay open. */
static ssize_t read_first_line(int fd, char *text)
{
	size_t len = 0;

	while (len <= SECRET_MAX) {
		ssize_t got = read(fd, text + len, SECRET_MAX + 1 - len);
		char *end;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		end = memchr(text + len, '\n', (size_t)got);
		len += (size_t)got;
		if (end)
			len = (size_t)(end - text);
		if (end || got == 0)
			break;
	}
	if (len > 0 && len <= SECRET_MAX && text[len - 1] == '\r')
		len--;
	return (ssize_t)len;
}

static bool read_secret(int fd, const char *what, char **ret_text, GError **error)
{
	char *text = g_malloc0(SECRET_MAX + 2);
	ssize_t len = read_first_line(fd, text);
	bool is_good = false;

	if (len < 0)
		refuse(error, what, g_strerror((int)-len));
	else if (len == 0)
		refuse(error, what, "is empty");
	else if (len > (ssize_t)SECRET_MAX)
		refuse(error, what, "is too long");
	else if (memchr(text, '\0', (size_t)len))
		refuse(error, what, "has a NUL byte in it");
	else
		is_good = true;
	if (is_good)
		*ret_text = g_strndup(text, (gsize)len);
	explicit_bzero(text, SECRET_MAX + 2);
	g_free(text);
	return is_good;
}

static bool take_passfd(struct secret *secret, GError **error)
{
	SCOPED(fd_closep) int fd = secret->passfd;
	char *text;

	secret->passfd = -1;
	if (!read_secret(fd, "passfd", &text, error))
		return false;
	keep(secret, text, KEPT_PASSFD);
	return true;
}

/* systemd's LoadCredential=. A missing file is no error: *ret_text stays NULL. */
static bool read_credential(const struct secret *secret, char **ret_text, GError **error)
{
	const char *dir = g_getenv("CREDENTIALS_DIRECTORY");
	g_autofree char *name = g_strconcat("mailfs.", secret->account, NULL);
	g_autofree char *path = dir && *dir ? g_build_filename(dir, name, NULL) : NULL;
	SCOPED(fd_closep) int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;

	if (fd < 0 && path && errno != ENOENT)
		return refuse(error, path, g_strerror(errno));
	return fd < 0 ? true : read_secret(fd, path, ret_text, error);
}

static bool take_terminal(struct secret *secret, GError **error)
{
	g_autofree char *question = g_strdup_printf("Password for %s: ", secret->where);
	char *text;

	if (!secret->may_prompt)
		return refuse(error, secret->where, "no password is configured");
	if (!secret_prompt(question, &text, error))
		return false;
	if (!*text) {
		g_free(text);
		return refuse(error, secret->where, "the password is empty");
	}
	keep(secret, text, KEPT_TERMINAL);
	return true;
}

static bool take_keyring(struct secret *secret)
{
	char *text = secret->is_token ? NULL : keyring_lookup(secret->account);

	if (text)
		keep(secret, text, KEPT_KEYRING);
	return text != NULL;
}

/* Credential, command or file. *ret_is_there: one of them, or none is needed. */
static bool take_configured(struct secret *secret, bool *ret_is_there, GError **error)
{
	char *text = NULL;

	*ret_is_there = true;
	if (!secret->is_needed)
		return true;
	if (!read_credential(secret, &text, error))
		return false;
	if (text)
		keep(secret, text, KEPT_CREDENTIAL);
	else if (secret->command_text)
		secret->kept_from = KEPT_NOTHING;
	else if (secret->password)
		keep_locked(secret, locked_ref(secret->password), KEPT_CONFIG);
	else
		*ret_is_there = false;
	return true;
}

bool secret_prepare(struct secret *secret, GError **error)
{
	bool is_there;

	if (secret->is_needed && secret->passfd >= 0)
		return take_passfd(secret, error);
	if (!take_configured(secret, &is_there, error))
		return false;
	return is_there || take_keyring(secret) || take_terminal(secret, error);
}

const char *secret_peek(const struct secret *secret)
{
	return secret->kept;
}

static void answer_soon(struct secret *secret);

/* Whoever wants to know meanwhile waits. Without an answer all stays as it was. */
static void on_keyring(void *user, const char *line, const GError *error)
{
	struct secret *secret = user;

	secret->command = NULL;
	if (line)
		keep(secret, g_strdup(line), KEPT_KEYRING);
	else
		log_info("cli", "%s", error->message);
	if (secret->questions->len > 0)
		answer_soon(secret);
}

static void ask_keyring(struct secret *secret)
{
	if (!secret->command)
		secret->command = command_ask_keyring(secret->account, COMMAND_TIMEOUT_MS, on_keyring, secret,
			NULL);
}

static bool may_ask_keyring(const struct secret *secret)
{
	return secret->is_needed && !secret->is_token && keyring_is_there() && keeper_is_there();
}

/* What cannot be read a second time. */
static bool inherit(struct secret *secret, const struct secret *before)
{
	if (!before || !before->kept || secret->is_token || strcmp(secret->where, before->where) != 0 ||
		(before->kept_from != KEPT_PASSFD && before->kept_from != KEPT_TERMINAL))
		return false;
	keep_locked(secret, locked_ref(before->kept), before->kept_from);
	return true;
}

bool secret_prepare_again(struct secret *secret, const struct secret *before, GError **error)
{
	bool is_there;

	if (!take_configured(secret, &is_there, error))
		return false;
	if (is_there || inherit(secret, before))
		return true;
	if (!may_ask_keyring(secret))
		return refuse(error, secret->where, "no password is configured");
	ask_keyring(secret);
	return true;
}

const char *secret_command(const struct secret *secret)
{
	return secret->command_text;
}

void secret_forget(struct secret *secret)
{
	wipe(&secret->password);
	wipe(&secret->kept);
	wipe(&secret->masked);
	wipe(&secret->masked_before);
	secret->kept_from = KEPT_NOTHING;
}

void secret_reload(struct secret *secret, const struct secret_config *config)
{
	g_autoptr(GError) error = NULL;
	char *text = NULL;

	configure(secret, config);
	if (secret->kept_from == KEPT_PASSFD)
		return;
	if (!read_credential(secret, &text, &error)) {
		log_warn("cli", "%s", error->message);
		return;
	}
	if (text) {
		keep(secret, text, KEPT_CREDENTIAL);
	} else if (secret->command_text) {
		wipe(&secret->kept);
		secret->kept_from = KEPT_NOTHING;
	} else if (secret->password) {
		keep_locked(secret, locked_ref(secret->password), KEPT_CONFIG);
	} else if ((!secret->kept || secret->kept_from == KEPT_KEYRING) && may_ask_keyring(secret)) {
		ask_keyring(secret);
	}
}

/* ---- answering --------------------------------------------------------------------------------- */

static void answer_all(struct secret *secret, const char *text, const GError *error)
{
	g_autoptr(GPtrArray) questions = secret->questions;

	/* An answer may lead to the next question. */
	secret->questions = g_ptr_array_new_with_free_func(g_free);
	if (text)
		mask_take(secret, locked_new(text));
	for (guint i = 0; i < questions->len; i++) {
		const struct question *question = g_ptr_array_index(questions, i);

		question->done(question->user, text, error);
	}
}

static void on_command(void *user, const char *line, const GError *error)
{
	struct secret *secret = user;

	secret->command = NULL;
	answer_all(secret, line, error);
}

static void ask_command(struct secret *secret)
{
	g_autoptr(GError) error = NULL;

	secret->command = command_run(secret->account, secret->command_text, COMMAND_TIMEOUT_MS, on_command,
		secret, &error);
	if (!secret->command)
		answer_all(secret, NULL, error);
}

/* Where the answer comes from is decided here: a reload may have come in between. */
static gboolean on_due(gpointer user)
{
	struct secret *secret = user;
	g_autoptr(GError) error = NULL;

	secret->answer_source = 0;
	if (secret->kept) {
		answer_all(secret, secret->kept, NULL);
	} else if (secret->command_text) {
		ask_command(secret);
	} else if (!secret->is_needed) {
		answer_all(secret, "", NULL);
	} else {
		/* The file has none any more. An empty one would be a failed login. */
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_LOGIN, "%s: no password is configured",
			secret->where);
		answer_all(secret, NULL, error);
	}
	return G_SOURCE_REMOVE;
}

static void answer_soon(struct secret *secret)
{
	if (secret->answer_source == 0)
		secret->answer_source = g_idle_add_full(G_PRIORITY_DEFAULT, on_due, secret, NULL);
}

static void secret_get(void *source_user, mailfs_secret_fn done, void *user)
{
	struct secret *secret = source_user;
	struct question *question = g_new(struct question, 1);

	*question = (struct question){ .done = done, .user = user };
	g_ptr_array_add(secret->questions, question);
	if (!secret->command)
		answer_soon(secret);
}

struct mailfs_secret_source secret_source(struct secret *secret)
{
	return (struct mailfs_secret_source){ .get = secret_get, .source_user = secret };
}
