/* SPDX-License-Identifier: MIT */
/* The configuration file, line by line. */
#include "cli/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/exit_code.h"
#include "cli/source.h"

#define CONFIG_MAX (1u << 20)

struct reader {
	struct config *config;
	struct config_account *account; /* of the section; NULL = before the first */
	const struct option_info *password;
	bool is_private;
	bool is_lenient; /* a mistake below [account NAME] is that account's */
	unsigned line;
	GError **error;
};

static bool complain(struct reader *reader, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool complain(struct reader *reader, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(reader->error, CLI_ERROR, EX_CONFIG, "%s:%u: %s", reader->config->path,
		reader->line, text);
	return false;
}

static void entry_free(gpointer data)
{
	struct config_entry *entry = data;

	explicit_bzero(entry->value, strlen(entry->value));
	g_free(entry->value);
	g_free(entry);
}

static void account_free(gpointer data)
{
	struct config_account *account = data;

	g_ptr_array_unref(account->entries);
	g_free(account->name);
	g_free(account->mistake);
	g_free(account);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	g_ptr_array_unref(config->accounts);
	g_free(config->path);
	g_free(config);
}

static bool take_section(struct reader *reader, char *text)
{
	size_t len = strlen(text);
	struct config_account *account;
	const struct config_account *same;
	char *name;

	if (text[len - 1] != ']')
		return complain(reader, "']' is missing");
	text[len - 1] = '\0';
	text++;
	if (!g_str_has_prefix(text, "account") || !g_ascii_isspace(text[strlen("account")]))
		return complain(reader, "not a section that is known: write [account NAME]");
	name = g_strstrip(text + strlen("account"));
	if (!source_is_account_name(name))
		return complain(reader, "an account's name is made of letters, digits and . _ @ + -");
	same = config_find(reader->config, name);
	if (same)
		return complain(reader, "account %s is there already, in line %u", name, same->line);
	account = g_new0(struct config_account, 1);
	account->name = g_strdup(name);
	account->line = reader->line;
	account->entries = g_ptr_array_new_with_free_func(entry_free);
	g_ptr_array_add(reader->config->accounts, account);
	reader->account = account;
	return true;
}

static const struct config_entry *find_entry(const struct config_account *account,
	const struct option_info *info)
{
	for (guint i = 0; i < account->entries->len; i++) {
		const struct config_entry *entry = g_ptr_array_index(account->entries, i);

		if (entry->info == info)
			return entry;
	}
	return NULL;
}

/* Wrong values are found now, not when the account is used. */
static bool check_value(struct reader *reader, const struct option_info *info, const char *value)
{
	g_autoptr(GError) error = NULL;
	struct options scratch;
	bool is_good;

	options_init(&scratch);
	is_good = options_set(&scratch, info, value, OPTION_IN_CONFIG, "/", &error);
	options_done(&scratch);
	return is_good ? true : complain(reader, "%s", error->message);
}

static bool take_key(struct reader *reader, char *text)
{
	char *equals = strchr(text, '=');
	const struct option_info *info;
	const struct config_entry *same;
	struct config_entry *entry;
	const char *value;

	if (!equals)
		return complain(reader, "not a 'key = value' line");
	*equals = '\0';
	g_strstrip(text);
	value = g_strstrip(equals + 1);
	if (!reader->account)
		return complain(reader, "%s: stands before the first [account NAME]", text);
	info = option_find(text, OPTION_IN_CONFIG);
	if (!info)
		return complain(reader, "unknown key: %s", text);
	same = find_entry(reader->account, info);
	if (same)
		return complain(reader, "%s: is there already, in line %u", info->name, same->line);
	if (info == reader->password && !reader->is_private)
		return complain(reader,
			"password: the file can be read by others; chmod 600 it, or use password-command");
	if (!check_value(reader, info, value))
		return false;
	entry = g_new(struct config_entry, 1);
	*entry = (struct config_entry){ .info = info, .value = g_strdup(value), .line = reader->line };
	g_ptr_array_add(reader->account->entries, entry);
	return true;
}

/* False: the file cannot be used. */
static bool take_mistake(struct reader *reader)
{
	if (!reader->is_lenient || !reader->account)
		return false;
	if (!reader->account->mistake)
		reader->account->mistake = g_strdup((*reader->error)->message);
	g_clear_error(reader->error);
	return true;
}

static bool take_line(struct reader *reader, char *text)
{
	if (!g_utf8_validate(text, -1, NULL))
		return complain(reader, "not UTF-8");
	g_strstrip(text);
	if (!*text || *text == '#' || *text == ';')
		return true;
	if (*text == '[')
		return take_section(reader, text);
	return take_key(reader, text) || take_mistake(reader);
}

static bool read_lines(struct reader *reader, const char *text)
{
	bool is_good = true;

	while (is_good && *text) {
		size_t len = strcspn(text, "\n");
		char *line = g_strndup(text, len);

		reader->line++;
		is_good = take_line(reader, line);
		/* g_strstrip() has moved the text inside: wipe all of it, it may be a password. */
		explicit_bzero(line, len);
		g_free(line);
		text += len;
		if (*text)
			text++;
	}
	return is_good;
}

static struct config *parse(const char *path, const char *text, bool is_private, bool is_lenient,
	GError **error)
{
	struct config *config = g_new0(struct config, 1);
	GError *wrong = NULL;
	struct reader reader = {
		.config = config,
		.password = option_find("password", OPTION_IN_CONFIG),
		.is_private = is_private,
		.is_lenient = is_lenient,
		.error = &wrong,
	};

	config->path = g_strdup(path);
	config->accounts = g_ptr_array_new_with_free_func(account_free);
	/* What some editors begin UTF-8 with. */
	if (g_str_has_prefix(text, "\xef\xbb\xbf"))
		text += 3;
	if (!read_lines(&reader, text)) {
		g_propagate_error(error, wrong);
		config_free(config);
		return NULL;
	}
	return config;
}

struct config *config_parse(const char *path, const char *text, bool is_private, GError **error)
{
	return parse(path, text, is_private, false, error);
}

char *config_default_path(void)
{
	return g_build_filename(g_get_user_config_dir(), "mailfs", "mailfs.conf", NULL);
}

static struct config *refuse_file(const char *path, const char *why, GError **error)
{
	g_set_error(error, CLI_ERROR, EX_CONFIG, "%s: %s", path, why);
	return NULL;
}

static struct config *load(const char *path, bool must_exist, bool is_lenient, GError **error)
{
	SCOPED(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct config *config;
	struct stat st;
	char *text;
	size_t len = 0;
	ssize_t got;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR) && !must_exist)
		return config_parse(path, "", false, error);
	if (fd < 0 && errno == ENOENT)
		return refuse_file(path, "there is no such file; 'mailfsctl add ADDRESS' writes one", error);
	if (fd < 0 || fstat(fd, &st) < 0)
		return refuse_file(path, g_strerror(errno), error);
	if (!S_ISREG(st.st_mode))
		return refuse_file(path, "not a file", error);
	if (st.st_size > CONFIG_MAX)
		return refuse_file(path, "too large", error);
	text = g_malloc(CONFIG_MAX + 1);
	while (len < CONFIG_MAX && (got = read(fd, text + len, CONFIG_MAX - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	if (strlen(text) != len)
		config = refuse_file(path, "has a NUL byte in it", error);
	else
		config = parse(path, text, (st.st_mode & 077) == 0, is_lenient, error);
	explicit_bzero(text, len);
	g_free(text);
	return config;
}

struct config *config_load(const char *path, bool must_exist, GError **error)
{
	return load(path, must_exist, false, error);
}

struct config *config_load_sections(const char *path, bool must_exist, GError **error)
{
	return load(path, must_exist, true, error);
}

const struct config_account *config_find(const struct config *config, const char *name)
{
	for (guint i = 0; i < config->accounts->len; i++) {
		const struct config_account *account = g_ptr_array_index(config->accounts, i);

		if (strcmp(account->name, name) == 0)
			return account;
	}
	return NULL;
}

const char *config_get(const struct config_account *account, const char *key)
{
	const struct option_info *info = option_find(key, OPTION_IN_CONFIG);
	const struct config_entry *entry = info ? find_entry(account, info) : NULL;

	return entry ? entry->value : NULL;
}

bool config_apply(const struct config *config, const struct config_account *account,
	struct options *options, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(config->path);
	g_autofree char *base_dir = g_canonicalize_filename(dir, NULL);

	if (account->mistake) {
		g_set_error_literal(error, CLI_ERROR, EX_CONFIG, account->mistake);
		return false;
	}
	for (guint i = 0; i < account->entries->len; i++) {
		const struct config_entry *entry = g_ptr_array_index(account->entries, i);
		g_autoptr(GError) wrong = NULL;

		if (options_set(options, entry->info, entry->value, OPTION_IN_CONFIG, base_dir, &wrong))
			continue;
		g_set_error(error, CLI_ERROR, EX_CONFIG, "%s:%u: %s", config->path, entry->line,
			wrong->message);
		return false;
	}
	return true;
}
