/* SPDX-License-Identifier: MIT */
/* HTTP/1.1, as little of it as will do. RFC 9112. */
#include "cli/https.h"

#include <string.h>

#include "base/parse.h"
#include "cli/resolve.h"
#include "net/stream.h"

#define ANSWER_MAX    (256u * 1024)
#define TIMEOUT_MS    15000u
#define REDIRECTS_MAX 3

struct get {
	struct stream *stream;
	GMainLoop *loop;
	const char *host, *path;
	GString *answer;
	GError *error;
};

static void end(struct get *get, enum mailfs_error code, const char *text)
{
	if (!get->error)
		get->error = g_error_new(MAILFS_ERROR, code, "%s: %s", get->host, text);
	g_main_loop_quit(get->loop);
}

static void on_open(void *user)
{
	struct get *get = user;
	g_autofree char *request = g_strdup_printf("GET %s HTTP/1.1\r\nHost: %s\r\n"
						   "User-Agent: mailfs/" MAILFS_VERSION "\r\n"
						   "Accept: */*\r\nConnection: close\r\n\r\n",
		get->path, get->host);

	stream_write(get->stream, request, strlen(request));
}

static void on_input(void *user)
{
	struct get *get = user;
	struct bytebuf *input = stream_input(get->stream);

	g_string_append_len(get->answer, (const char *)bytebuf_bytes(input), (gssize)input->len);
	bytebuf_consume(input, input->len);
	if (get->answer->len > ANSWER_MAX)
		end(get, MAILFS_ERROR_TOO_BIG, "the answer is too long");
}

static void on_secured(void *user)
{
}

/* The end of the connection is the end of the answer; whether it is whole is looked at later. */
static void on_closed(void *user, const GError *error)
{
	struct get *get = user;

	if (get->answer->len == 0 && !get->error)
		get->error = g_error_copy(error);
	g_main_loop_quit(get->loop);
}

static gboolean on_timeout(gpointer user)
{
	end(user, MAILFS_ERROR_TIMEOUT, "no answer in time");
	return G_SOURCE_CONTINUE;
}

static char *run(struct get *get, GError **error)
{
	static const struct stream_events events = {
		.open = on_open,
		.input = on_input,
		.secured = on_secured,
		.closed = on_closed,
	};
	struct tls_config *tls = tls_config_new(NULL, NULL, "http/1.1", error);
	struct stream_target target = { .host = get->host, .is_tls = true, .tls = tls };
	guint timer;

	if (!tls)
		return NULL;
	target.port = resolve_https_port();
	target.connect_timeout_ms = TIMEOUT_MS;
	get->loop = g_main_loop_new(NULL, FALSE);
	get->answer = g_string_new(NULL);
	timer = g_timeout_add(TIMEOUT_MS, on_timeout, get);
	get->stream = stream_new(&target, &events, get);
	g_main_loop_run(get->loop);
	g_source_remove(timer);
	stream_free(get->stream);
	g_main_loop_unref(get->loop);
	tls_config_unref(tls);
	if (!get->error)
		return g_string_free(get->answer, FALSE);
	g_string_free(get->answer, TRUE);
	g_propagate_error(error, get->error);
	return NULL;
}

/* ---- the answer -------------------------------------------------------------------------------- */

/* Value of a header field; NULL = not there. `head` ends with an empty line. g_free() it. */
static char *field(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (g_ascii_strncasecmp(line, name, len) == 0 && line[len] == ':')
			return g_strstrip(g_strndup(line + len + 1, strcspn(line + len + 1, "\r\n")));
	}
	return NULL;
}

/* RFC 9112 §7.1. In place; false = cut or broken. */
static bool join_chunks(char *body)
{
	char *to = body, *from = body;

	for (;;) {
		char *after;
		guint64 size = g_ascii_isxdigit(*from) ? g_ascii_strtoull(from, &after, 16) : ANSWER_MAX + 1;

		from = strstr(from, "\r\n");
		if (!from || size > ANSWER_MAX)
			return false;
		from += 2;
		if (size == 0)
			break;
		if (strnlen(from, size) < size)
			return false;
		memmove(to, from, size);
		to += size;
		from += size;
		if (strncmp(from, "\r\n", 2) != 0)
			return false;
		from += 2;
	}
	*to = '\0';
	return true;
}

static bool is_whole(const char *head, char *body)
{
	g_autofree char *encoding = field(head, "Transfer-Encoding");
	g_autofree char *length = field(head, "Content-Length");
	uint32_t size;

	if (encoding && g_ascii_strcasecmp(encoding, "chunked") == 0)
		return join_chunks(body);
	return !encoding &&
		(!length || (parse_u32(length, strlen(length), &size) && strlen(body) >= size));
}

static char *refuse(const char *host, enum mailfs_error code, const char *text, GError **error)
{
	g_set_error(error, MAILFS_ERROR, code, "%s: %s", host, text);
	return NULL;
}

/* The body; or NULL with *ret_location, or NULL with an error. */
static char *take_answer(const char *host, char *answer, char **ret_location, GError **error)
{
	char *body = strstr(answer, "\r\n\r\n");
	uint32_t status = 0;

	if (!g_str_has_prefix(answer, "HTTP/1.") || strlen(answer) < 13 || !body ||
		!parse_u32(answer + 9, 3, &status))
		return refuse(host, MAILFS_ERROR_PROTOCOL, "does not speak HTTP", error);
	body[2] = '\0';
	body += 4;
	if (status / 100 == 3 && (*ret_location = field(answer, "Location")))
		return NULL;
	if (status != 200)
		return refuse(host, MAILFS_ERROR_GONE, "has no such file", error);
	if (!is_whole(answer, body))
		return refuse(host, MAILFS_ERROR_CONNECTION_LOST, "the answer was cut", error);
	return g_strdup(body);
}

/* One request. *ret_location: where to go on. */
static char *get_once(const char *url, char **ret_location, GError **error)
{
	g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_ENCODED, error);
	g_autofree char *answer = NULL;
	g_autofree char *path = NULL;
	struct get get = { 0 };

	if (!uri)
		return NULL;
	if (g_strcmp0(g_uri_get_scheme(uri), "https") != 0 || !g_uri_get_host(uri) ||
		g_uri_get_port(uri) > 0 || strpbrk(url, " \r\n\t"))
		return refuse(url, MAILFS_ERROR_PROTOCOL, "is not followed: only https is", error);
	path = g_strconcat(*g_uri_get_path(uri) ? g_uri_get_path(uri) : "/",
		g_uri_get_query(uri) ? "?" : "", g_uri_get_query(uri), NULL);
	get.host = g_uri_get_host(uri);
	get.path = path;
	answer = run(&get, error);
	return answer ? take_answer(get.host, answer, ret_location, error) : NULL;
}

char *https_get(const char *url, GError **error)
{
	g_autofree char *current = g_strdup(url);

	for (int i = 0; i <= REDIRECTS_MAX; i++) {
		g_autofree char *location = NULL;
		char *body = get_once(current, &location, error);
		char *next;

		if (!location)
			return body;
		next = g_uri_resolve_relative(current, location, G_URI_FLAGS_ENCODED, error);
		if (!next)
			return NULL;
		g_free(current);
		current = next;
	}
	return refuse(url, MAILFS_ERROR_PROTOCOL, "leads in circles", error);
}
