/* SPDX-License-Identifier: MIT */
/* The table of options, and one setter for command line and configuration file. */
#include "cli/options.h"

#include <string.h>

#include "base/parse.h"
#include "cli/exit_code.h"
#include "engine/engine.h"
#include "mailfs/backend.h"

#define O    OPTION_IN_O
#define C    OPTION_IN_CONFIG
#define BOTH (OPTION_IN_O | OPTION_IN_CONFIG)
#define AT(member) offsetof(struct options, member)

/* clang-format off */
const struct option_info option_table[] = {
	/* name              kind            places at                value   choices  min max  help */
	{ "source", OPTION_TEXT, C, AT(source), "=URL", NULL, 0, 0,
		"where the mail is: imaps://USER@HOST[:PORT][/FOLDER]" },
	{ "user", OPTION_TEXT, BOTH, AT(user), "=NAME", NULL, 0, 0,
		"user name, in place of the one in the URL" },
	{ "passfd", OPTION_NUMBER, O, AT(passfd), "=N", NULL, 0, 65535,
		"read the password from file descriptor N" },
	{ "password-command", OPTION_TEXT, C, AT(password_command), "=COMMAND", NULL, 0, 0,
		"program whose first line of output is the password" },
	{ "token-command", OPTION_TEXT, C, AT(token_command), "=COMMAND", NULL, 0, 0,
		"program whose first line of output is an OAuth access token" },
	{ "password", OPTION_TEXT, C, AT(password), "=TEXT", NULL, 0, 0,
		"the password; only in a file of mode 0600 or less" },

	{ "auth", OPTION_CHOICE, BOTH, AT(auth), "=METHOD",
		"any|plaintext|scram|plain|login|oauth|external", 0, 0,
		"how to log in: any, scram, plain, login, oauth, external; plaintext allows a password without TLS" },
	{ "tls", OPTION_CHOICE, BOTH, AT(tls), "=none", "required|none", 0, 0,
		"no encryption; only for imap:// and pop3:// URLs" },
	{ "tls-fingerprint", OPTION_FINGERPRINT, BOTH, AT(tls_fingerprint), "=sha256:HEX", NULL, 0, 0,
		"accept this certificate and no other" },
	{ "tls-ca", OPTION_FILE, BOTH, AT(tls_ca), "=FILE", NULL, 0, 0,
		"trust the CA certificates in FILE too" },
	{ "timeout", OPTION_NUMBER, BOTH, AT(timeout), "=SECONDS", NULL, 1, 3600,
		"longest wait of a read, of connecting, and for a silent server (30)" },
	{ "poll", OPTION_NUMBER, BOTH, AT(poll), "=SECONDS", NULL, 0, 86400,
		"ask for news this often, unless told (60, POP3 300); 0 = only on request" },
	{ "connections", OPTION_NUMBER, BOTH, AT(connections), "=N", NULL, 1, 16,
		"use at most N connections (3)" },
	{ "compress", OPTION_CHOICE, BOTH, AT(compress), "=yes|no|auto", "auto|no|yes", 0, 0,
		"COMPRESS=DEFLATE where offered: when the measured link is slow enough for it (auto)" },
	{ "disable", OPTION_LIST, BOTH, AT(disable), "=CAP;CAP", NULL, 0, 0,
		"treat these capabilities of the server as not offered" },
	{ "prefetch", OPTION_CHOICE, BOTH, AT(prefetch), "=auto|off|all", "auto|off|all", 0, 0,
		"fetch ahead of a program that reads through a folder (auto), or everything" },
	{ "delay_connect", OPTION_FLAG, BOTH, AT(delay_connect), NULL, NULL, 0, 0,
		"mount at once and connect later, also without a cache" },

	{ "name", OPTION_TEXT, BOTH, AT(name), "=human|uid", NULL, 0, 0,
		"names of message files (human), or a template in braces" },
	{ "include", OPTION_LIST, BOTH, AT(include), "=GLOB;GLOB", NULL, 0, 0,
		"show only folders that match" },
	{ "exclude", OPTION_LIST, BOTH, AT(exclude), "=GLOB;GLOB", NULL, 0, 0,
		"do not show folders that match" },
	{ "subscribed", OPTION_FLAG, BOTH, AT(subscribed), NULL, NULL, 0, 0,
		"show only folders that are subscribed to" },
	{ "inotify", OPTION_YES_NO, BOTH, AT(inotify), "=yes|no", NULL, 0, 0,
		"what happens on the server raises inotify events (yes)" },
	{ "exact-size", OPTION_FLAG, BOTH, AT(exact_size), NULL, NULL, 0, 0,
		"fetch a message when its size is asked for" },
	{ "ctime", OPTION_CHOICE, BOTH, AT(ctime), "=mtime", "change|mtime", 0, 0,
		"ctime does not rise when flags change, for backups" },
	{ "flagbits", OPTION_YES_NO, BOTH, AT(flag_bits), "=yes|no", NULL, 0, 0,
		"show \\Flagged as u+x (yes)" },

	{ "delete", OPTION_CHOICE, BOTH, AT(delete_mode), "=trash|expunge|no", "trash|expunge|no", 0, 0,
		"what rm does: move to the trash folder (trash), remove for ever, or refuse" },
	{ "flags", OPTION_CHOICE, BOTH, AT(flags), "=async|sync", "async|sync", 0, 0,
		"sync: a change of flags ends when the server has confirmed it (async)" },
	{ "confirm", OPTION_CHOICE, BOTH, AT(confirm), "=burst|each", "burst|each", 0, 0,
		"each: every mv and rm waits for the server, also in a long series (burst)" },
	{ "seen", OPTION_CHOICE, BOTH, AT(seen), "=never|read", "never|read", 0, 0,
		"read: reading a message marks it as read (never)" },
	{ "pop3-keep", OPTION_KEEP, BOTH, AT(keep), "=yes|no|DAYS", "yes|no", 1, 36500,
		"what a POP3 server loses when it is kept here for good: nothing (yes), all, all after DAYS" },
	{ "pop3-vanished", OPTION_CHOICE, BOTH, AT(vanished), "=keep|hide", "keep|hide", 0, 0,
		"hide: a cached message that a POP3 server has no more is not shown (keep)" },

	{ "ro", OPTION_FLAG, BOTH, AT(is_read_only), NULL, NULL, 0, 0,
		"mount read-only" },
	{ "allow_other", OPTION_FLAG, BOTH, AT(allow_other), NULL, NULL, 0, 0,
		"let other users in, as far as modes allow; implies default_permissions" },
	{ "default_permissions", OPTION_FLAG, BOTH, AT(default_permissions), NULL, NULL, 0, 0,
		"the kernel checks modes" },
	{ "uid", OPTION_NUMBER, BOTH, AT(uid), "=N", NULL, 0, UINT32_MAX - 1,
		"owner of all files" },
	{ "gid", OPTION_NUMBER, BOTH, AT(gid), "=N", NULL, 0, UINT32_MAX - 1,
		"group of all files" },
	{ "umask", OPTION_OCTAL, BOTH, AT(umask), "=OCTAL", NULL, 0, 0777,
		"mode bits to take away, in octal" },
	{ "nonempty", OPTION_FLAG, BOTH, AT(nonempty), NULL, NULL, 0, 0,
		"mount over a directory that is not empty" },
	{ "cache-size", OPTION_SIZE, BOTH, AT(cache_size), "=SIZE", NULL, 0, 0,
		"keep at most this many bytes of messages (2G)" },
	{ "confine", OPTION_YES_NO, BOTH, AT(confine), "=yes|no", NULL, 0, 0,
		"open no files but those that mailfs needs (yes)" },
	{ "debug", OPTION_FLAG, O, AT(debug), NULL, NULL, 0, 0,
		"as -d" },
	{ "debug-wire", OPTION_FILE, O, AT(debug_wire), "=FILE", NULL, 0, 0,
		"append what is sent and received to FILE, without secrets and mail" },
};
/* clang-format on */
const size_t option_count = G_N_ELEMENTS(option_table);

G_STATIC_ASSERT(G_N_ELEMENTS(option_table) <= 64);
/* The words of "delete" and "auth" stand in the order of their enums. */
G_STATIC_ASSERT(ENGINE_DELETE_TRASH == 0 && ENGINE_DELETE_EXPUNGE == 1 && ENGINE_DELETE_NO == 2);
G_STATIC_ASSERT(MAILFS_AUTH_ANY == 0 && MAILFS_AUTH_SCRAM == 2 && MAILFS_AUTH_EXTERNAL == 6);

/* Of mount(8), mount.fuse3 and systemd; a trailing '*' stands for anything. */
static const char *const generic_words[] = {
	"rw",       "auto",     "noauto",     "user",     "nouser",     "users",       "owner",
	"group",    "_netdev",  "nofail",     "defaults", "dev",        "nodev",       "suid",
	"nosuid",   "exec",     "noexec",     "atime",    "noatime",    "relatime",    "norelatime",
	"strictatime", "nostrictatime", "diratime", "nodiratime", "lazytime", "nolazytime", "sync",
	"async",    "dirsync",  "silent",     "loud",     "mand",       "nomand",      "iversion",
	"noiversion", "x-*",    "X-*",        "comment=*", "uhelper=*", "helper=*",
};

void options_init(struct options *options)
{
	*options = (struct options){
		.passfd = OPTION_UNSET,
		.timeout = 30,
		.poll = OPTION_UNSET,
		.keep = OPTION_UNSET,
		.connections = 3,
		.flag_bits = true,
		.inotify = true,
		.confine = true,
		.uid = OPTION_UNSET,
		.gid = OPTION_UNSET,
		.umask = OPTION_UNSET,
		.cache_size = (uint64_t)2 << 30,
	};
}

static void *member(struct options *options, const struct option_info *info)
{
	return (char *)options + info->offset;
}

static bool is_text(enum option_kind kind)
{
	return kind == OPTION_TEXT || kind == OPTION_FILE || kind == OPTION_FINGERPRINT;
}

void options_done(struct options *options)
{
	if (options->password)
		explicit_bzero(options->password, strlen(options->password));
	for (size_t i = 0; i < option_count; i++) {
		const struct option_info *info = &option_table[i];

		if (is_text(info->kind))
			g_free(*(char **)member(options, info));
		else if (info->kind == OPTION_LIST)
			g_strfreev(*(char ***)member(options, info));
	}
	options_init(options);
}

void options_copy(struct options *options, const struct options *from)
{
	*options = *from;
	for (size_t i = 0; i < option_count; i++) {
		const struct option_info *info = &option_table[i];
		void *at = member(options, info);

		if (is_text(info->kind))
			*(char **)at = g_strdup(*(char **)at);
		else if (info->kind == OPTION_LIST)
			*(char ***)at = g_strdupv(*(char ***)at);
	}
}

static bool is_same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
			return false;
	}
	return *a == *b;
}

const struct option_info *option_find(const char *name, enum option_place place)
{
	for (size_t i = 0; i < option_count; i++) {
		if ((option_table[i].places & place) != 0 && is_same_name(option_table[i].name, name))
			return &option_table[i];
	}
	return NULL;
}

bool option_is_generic(const char *word)
{
	for (size_t i = 0; i < G_N_ELEMENTS(generic_words); i++) {
		size_t len = strlen(generic_words[i]);

		if (generic_words[i][len - 1] == '*' ? strncmp(word, generic_words[i], len - 1) == 0
						     : strcmp(word, generic_words[i]) == 0)
			return true;
	}
	return false;
}

/* ---- values ------------------------------------------------------------------------------------ */

/* One value before it is put in its place. */
struct value {
	bool flag;
	uint32_t number;
	uint64_t size;
	char *text;
	char **list;
};

static bool parse_flag(const char *text, bool *ret_flag)
{
	static const char *const yes[] = { "yes", "true", "on", "1", NULL };
	static const char *const no[] = { "no", "false", "off", "0", NULL };

	if (g_strv_contains(yes, text))
		*ret_flag = true;
	else if (g_strv_contains(no, text))
		*ret_flag = false;
	else
		return false;
	return true;
}

static bool parse_octal(const char *text, uint32_t max, uint32_t *ret_number)
{
	uint32_t number = 0;

	if (!*text || strlen(text) > 6)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '7')
			return false;
		number = number * 8 + (uint32_t)(*text - '0');
	}
	if (number > max)
		return false;
	*ret_number = number;
	return true;
}

static bool parse_choice(const char *text, const char *choices, uint32_t *ret_index)
{
	g_auto(GStrv) words = g_strsplit(choices, "|", -1);

	for (uint32_t i = 0; words[i]; i++) {
		if (strcmp(words[i], text) == 0) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

/* sha256:AB:CD… or sha256:abcd…; the colons and the case mean nothing. */
static char *parse_fingerprint(const char *text)
{
	g_autoptr(GString) hex = g_string_new("sha256:");
	size_t digits = 0;

	if (!g_str_has_prefix(text, "sha256:"))
		return NULL;
	for (text += strlen("sha256:"); *text; text++) {
		if (*text == ':')
			continue;
		if (!g_ascii_isxdigit(*text))
			return NULL;
		g_string_append_c(hex, g_ascii_tolower(*text));
		digits++;
	}
	return digits == 64 ? g_string_free(g_steal_pointer(&hex), FALSE) : NULL;
}

static char *parse_file(const char *text, const char *base_dir)
{
	if (g_str_has_prefix(text, "~/"))
		return g_canonicalize_filename(text + 2, g_get_home_dir());
	return g_canonicalize_filename(text, base_dir);
}

static char **parse_list(const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, ";", -1);
	GPtrArray *list = g_ptr_array_new();

	for (char **word = words; *word; word++) {
		g_strstrip(*word);
		if (**word)
			g_ptr_array_add(list, g_strdup(*word));
	}
	g_ptr_array_add(list, NULL);
	return (char **)g_ptr_array_free(list, FALSE);
}

static bool parse_number(const struct option_info *info, const char *text, uint32_t *ret_number)
{
	uint32_t number;

	if (!parse_u32(text, strlen(text), &number) || number < info->min || number > info->max)
		return false;
	*ret_number = number;
	return true;
}

static bool parse_keep(const struct option_info *info, const char *text, uint32_t *ret_days)
{
	uint32_t word;

	if (!parse_choice(text, info->choices, &word))
		return parse_number(info, text, ret_days);
	*ret_days = word == 0 ? OPTION_UNSET : 0;
	return true;
}

static bool parse_value(const struct option_info *info, const char *text, const char *base_dir,
	struct value *value)
{
	switch (info->kind) {
	case OPTION_FLAG:
	case OPTION_YES_NO:
		return parse_flag(text, &value->flag);
	case OPTION_NUMBER:
		return parse_number(info, text, &value->number);
	case OPTION_OCTAL:
		return parse_octal(text, info->max, &value->number);
	case OPTION_SIZE:
		return parse_size(text, &value->size);
	case OPTION_TEXT:
		value->text = g_strdup(text);
		return *text != '\0';
	case OPTION_FILE:
		value->text = parse_file(text, base_dir);
		return *text != '\0';
	case OPTION_FINGERPRINT:
		value->text = parse_fingerprint(text);
		return value->text != NULL;
	case OPTION_LIST:
		value->list = parse_list(text);
		return true;
	case OPTION_CHOICE:
		return parse_choice(text, info->choices, &value->number);
	case OPTION_KEEP:
		return parse_keep(info, text, &value->number);
	}
	return false;
}

static void value_drop(struct value *value)
{
	if (value->text)
		explicit_bzero(value->text, strlen(value->text));
	g_free(value->text);
	g_strfreev(value->list);
}

static void assign(struct options *options, const struct option_info *info, struct value *value)
{
	void *at = member(options, info);

	switch (info->kind) {
	case OPTION_FLAG:
	case OPTION_YES_NO:
		*(bool *)at = value->flag;
		break;
	case OPTION_NUMBER:
	case OPTION_OCTAL:
	case OPTION_CHOICE:
	case OPTION_KEEP:
		*(uint32_t *)at = value->number;
		break;
	case OPTION_SIZE:
		*(uint64_t *)at = value->size;
		break;
	case OPTION_TEXT:
	case OPTION_FILE:
	case OPTION_FINGERPRINT:
		g_free(*(char **)at);
		*(char **)at = g_steal_pointer(&value->text);
		break;
	case OPTION_LIST:
		g_strfreev(*(char ***)at);
		*(char ***)at = g_steal_pointer(&value->list);
		break;
	}
}

/* ---- taking options ---------------------------------------------------------------------------- */

static bool refuse_value(const struct option_info *info, const char *value, GError **error)
{
	if (info->kind == OPTION_NUMBER)
		g_set_error(error, CLI_ERROR, EX_USAGE, "%s: '%s' is not a number from %u to %u", info->name,
			value, info->min, info->max);
	else if (info->kind == OPTION_CHOICE)
		g_set_error(error, CLI_ERROR, EX_USAGE, "%s: '%s' is none of %s", info->name, value,
			info->choices);
	else if (info->kind == OPTION_FLAG || info->kind == OPTION_YES_NO)
		g_set_error(error, CLI_ERROR, EX_USAGE, "%s: '%s' is none of yes|no", info->name, value);
	else if (info->offset == AT(password))
		g_set_error(error, CLI_ERROR, EX_USAGE, "%s: has no value", info->name);
	else
		g_set_error(error, CLI_ERROR, EX_USAGE, "%s: '%s' is not a valid value", info->name, value);
	return false;
}

bool options_set(struct options *options, const struct option_info *info, const char *value,
	enum option_place place, const char *base_dir, GError **error)
{
	uint64_t bit = (uint64_t)1 << (info - option_table);
	struct value parsed = { 0 };

	if (!value && info->kind != OPTION_FLAG) {
		g_set_error(error, CLI_ERROR, EX_USAGE, "%s: needs a value (%s%s)", info->name, info->name,
			info->value);
		return false;
	}
	if (!parse_value(info, value ? value : "yes", base_dir, &parsed)) {
		value_drop(&parsed);
		return refuse_value(info, value, error);
	}
	if (place == OPTION_IN_O)
		options->given |= bit;
	if (place == OPTION_IN_O || (options->given & bit) == 0)
		assign(options, info, &parsed);
	value_drop(&parsed);
	return true;
}

static bool refuse_name(const char *name, GError **error)
{
	static const char *const secrets[] = { "pass", "passwd", "password", "token", NULL };
	const struct option_info *info = option_find(name, OPTION_IN_CONFIG);

	if (g_strv_contains(secrets, name))
		g_set_error(error, CLI_ERROR, EX_USAGE,
			"%s: no secret is taken from -o, where every process can read it; use passfd=N or "
			"password-command in the configuration file",
			name);
	else if (info)
		g_set_error(error, CLI_ERROR, EX_USAGE, "%s: belongs in the configuration file, not in -o",
			name);
	else
		g_set_error(error, CLI_ERROR, EX_USAGE, "unknown option: %s", name);
	return false;
}

static bool take_word(struct options *options, const char *word, bool is_sloppy, GError **error)
{
	const char *equals = strchr(word, '=');
	g_autofree char *name = equals ? g_strndup(word, (gsize)(equals - word)) : g_strdup(word);
	const struct option_info *info = option_find(name, OPTION_IN_O);
	g_autofree char *cwd = NULL;

	if (!*word || option_is_generic(word))
		return true;
	if (!info)
		return is_sloppy ? true : refuse_name(name, error);
	cwd = g_get_current_dir();
	return options_set(options, info, equals ? equals + 1 : NULL, OPTION_IN_O, cwd, error);
}

bool options_parse(struct options *options, const char *text, bool is_sloppy, GError **error)
{
	g_autoptr(GString) word = g_string_new(NULL);

	for (;; text++) {
		if (*text == '\\' && (text[1] == ',' || text[1] == '\\')) {
			g_string_append_c(word, *++text);
			continue;
		}
		if (*text && *text != ',') {
			g_string_append_c(word, *text);
			continue;
		}
		if (!take_word(options, word->str, is_sloppy, error))
			return false;
		if (!*text)
			return true;
		g_string_truncate(word, 0);
	}
}
