/* SPDX-License-Identifier: MIT */
/* URLs by hand: g_uri_parse() accepts far more than is wanted here. RFC 5092 for the idea. */
#include "cli/source.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/parse.h"
#include "cli/exit_code.h"

#define DIRECTORY_MAX 200u

struct scheme {
	const char *prefix;
	bool is_imap;
	bool is_implicit;
	uint16_t port;
};

static const struct scheme schemes[] = {
	{ "imaps://", true, true, 993 },
	{ "imap://", true, false, 143 },
	{ "pop3s://", false, true, 995 },
	{ "pop3://", false, false, 110 },
};

static bool refuse(GError **error, const char *why)
{
	g_set_error(error, CLI_ERROR, EX_USAGE, "source: %s", why);
	return false;
}

static const struct scheme *find_scheme(const char *url)
{
	for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
		if (g_ascii_strncasecmp(url, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
			return &schemes[i];
	}
	return NULL;
}

/* %XX decoded, valid UTF-8 without control characters; NULL = it is not that. */
static char *decode(const char *text, size_t len)
{
	g_autofree char *plain = g_uri_unescape_segment(text, text + len, NULL);

	if (!plain || !g_utf8_validate(plain, -1, NULL))
		return NULL;
	for (const char *p = plain; *p; p++) {
		if (g_ascii_iscntrl(*p))
			return NULL;
	}
	return g_steal_pointer(&plain);
}

static bool is_host(const char *host)
{
	struct in6_addr address;

	if (strchr(host, ':'))
		return inet_pton(AF_INET6, host, &address) == 1;
	/* A leading '-' could be taken for an option by whatever it is handed to. */
	if (!*host || strlen(host) > 253 || *host == '-' || *host == '.')
		return false;
	for (const char *p = host; *p; p++) {
		if (!g_ascii_isalnum(*p) && !strchr("-._", *p) && (guchar)*p < 0x80)
			return false;
	}
	return true;
}

static bool parse_user(const char *text, size_t len, struct source *source, GError **error)
{
	if (memchr(text, ':', len))
		return refuse(error,
			"a password does not belong in a URL, where every process can read it; use -o passfd=N, "
			"password-command in the configuration file, or be asked on the terminal");
	source->user = decode(text, len);
	if (!source->user || !*source->user)
		return refuse(error, "the user name is not valid (write '@' as %40, or use -o user=NAME)");
	return true;
}

/* host, [v6], with :port behind. */
static bool parse_host(const char *text, size_t len, struct source *source, GError **error)
{
	const char *end = text + len;
	const char *colon;
	g_autofree char *host = NULL;
	uint32_t port;

	if (len > 0 && *text == '[') {
		const char *close = memchr(text, ']', len);

		if (!close || (close + 1 < end && close[1] != ':'))
			return refuse(error, "the address in brackets is not valid");
		host = g_strndup(text + 1, (gsize)(close - text - 1));
		if (!strchr(host, ':'))
			return refuse(error, "the address in brackets is not valid");
		colon = close + 1 < end ? close + 1 : NULL;
	} else {
		colon = memchr(text, ':', len);
		host = g_strndup(text, (gsize)((colon ? colon : end) - text));
	}
	if (!is_host(host))
		return refuse(error, "the host name is not valid");
	if (colon) {
		if (!parse_u32(colon + 1, (size_t)(end - colon - 1), &port) || port == 0 || port > 65535)
			return refuse(error, "the port is not a number from 1 to 65535");
		source->port = (uint16_t)port;
	}
	source->host = g_ascii_strdown(host, -1);
	return true;
}

static bool parse_folder(const char *text, struct source *source, GError **error)
{
	size_t len;

	while (*text == '/')
		text++;
	len = strlen(text);
	while (len > 0 && text[len - 1] == '/')
		len--;
	if (strchr(text, '?') || strchr(text, '#') || strchr(text, ';'))
		return refuse(error, "the folder has a character that is written %3F, %23 or %3B");
	source->folder = decode(text, len);
	return source->folder ? true : refuse(error, "the folder name is not valid");
}

static bool parse_rest(const char *text, struct source *source, GError **error)
{
	size_t len = strcspn(text, "/");
	const char *at = memrchr(text, '@', len);
	size_t user_len = at ? (size_t)(at - text) : 0;

	if (at && memchr(text, '@', user_len) && !memchr(text, ':', user_len))
		return refuse(error, "two '@': write the one in the user name as %40, or use -o user=NAME");
	if (at && !parse_user(text, user_len, source, error))
		return false;
	if (at)
		user_len++;
	return parse_host(text + user_len, len - user_len, source, error) &&
		parse_folder(text + len, source, error);
}

bool source_parse(const char *url, struct source *source, GError **error)
{
	const struct scheme *scheme = find_scheme(url);
	struct source parsed = { 0 };

	if (!scheme)
		return refuse(error, "not a URL of a kind that is known: imaps://USER@HOST or imap://USER@HOST");
	parsed.is_imap = scheme->is_imap;
	parsed.is_implicit = scheme->is_implicit;
	parsed.port = scheme->port;
	if (!parse_rest(url + strlen(scheme->prefix), &parsed, error)) {
		source_done(&parsed);
		return false;
	}
	*source = parsed;
	return true;
}

void source_done(struct source *source)
{
	g_free(source->user);
	g_free(source->host);
	g_free(source->folder);
	*source = (struct source){ 0 };
}

bool source_is_url(const char *text)
{
	return strstr(text, "://") != NULL;
}

static bool is_plain(char c)
{
	return g_ascii_isalnum(c) || (c && strchr("._@+-", c));
}

bool source_is_account_name(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > 64 || *text == '.' || *text == '-')
		return false;
	for (; *text; text++) {
		if (!is_plain(*text))
			return false;
	}
	return true;
}

static bool is_usual_port(const struct source *source)
{
	for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
		if (schemes[i].is_imap == source->is_imap && schemes[i].is_implicit == source->is_implicit)
			return schemes[i].port == source->port;
	}
	return false;
}

char *source_identity(const struct source *source)
{
	g_autofree char *user = g_uri_escape_string(source->user, NULL, TRUE);
	g_autofree char *port = is_usual_port(source) ? NULL : g_strdup_printf(":%u", source->port);
	bool is_v6 = strchr(source->host, ':') != NULL;

	return g_strconcat(source->is_imap ? "imap" : "pop3", "://", user, "@", is_v6 ? "[" : "",
		source->host, is_v6 ? "]" : "", port, NULL);
}

/* %XX for whatever could mean something in a path; the result is unique to its input. */
static void append_safe(GString *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (is_plain(*p) && (out->len > 0 || *p != '.'))
			g_string_append_c(out, *p);
		else
			g_string_append_printf(out, "%%%02X", (guchar)*p);
	}
}

char *source_directory(const struct source *source)
{
	GString *out = g_string_new(NULL);

	append_safe(out, source->user);
	g_string_append_c(out, '@');
	append_safe(out, source->host);
	if (!source->is_imap)
		g_string_append(out, "_pop3");
	if (!is_usual_port(source))
		g_string_append_printf(out, "_%u", source->port);
	if (out->len > DIRECTORY_MAX) {
		g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, out->str, -1);

		g_string_truncate(out, DIRECTORY_MAX - 17);
		g_string_append_c(out, '_');
		g_string_append_len(out, hash, 16);
	}
	return g_string_free(out, FALSE);
}

char *source_fsname(const struct source *source)
{
	char *name = g_strconcat(source->user, "@", source->host, ":", NULL);

	for (char *p = name; *p; p++) {
		if (*p == ',' || *p == '\\' || g_ascii_isspace(*p))
			*p = '_';
	}
	return name;
}
