/* SPDX-License-Identifier: MIT */
/* config-v1.1.xml, the format of Thunderbird's autoconfiguration: its <incomingServer type="imap">. */
#include <string.h>

#include "base/parse.h"
#include "cli/discover.h"

#define SERVERS_MAX 16u

struct reader {
	const char *address;
	GPtrArray *found;
	bool is_config;          /* the root was <clientConfig> */
	struct discovery *server; /* open <incomingServer type="imap"> */
	bool is_secure;
	GString *text;
};

static void on_start(GMarkupParseContext *context, const gchar *name, const gchar **keys,
	const gchar **values, gpointer user, GError **error)
{
	struct reader *reader = user;

	g_string_truncate(reader->text, 0);
	if (strcmp(name, "clientConfig") == 0)
		reader->is_config = true;
	if (strcmp(name, "incomingServer") != 0 || reader->server || reader->found->len >= SERVERS_MAX)
		return;
	for (; *keys; keys++, values++) {
		if (strcmp(*keys, "type") == 0 && strcmp(*values, "imap") == 0)
			reader->server = g_new0(struct discovery, 1);
	}
	reader->is_secure = false;
}

static void on_text(GMarkupParseContext *context, const gchar *text, gsize len, gpointer user,
	GError **error)
{
	struct reader *reader = user;

	if (reader->text->len + len <= 1024)
		g_string_append_len(reader->text, text, (gssize)len);
}

static char *fill_in(const char *text, const char *address)
{
	const char *at = strchr(address, '@');
	g_autofree char *local = g_strndup(address, (gsize)(at - address));
	GString *out = g_string_new(text);

	g_string_replace(out, "%EMAILADDRESS%", address, 0);
	g_string_replace(out, "%EMAILLOCALPART%", local, 0);
	g_string_replace(out, "%EMAILDOMAIN%", at + 1, 0);
	return g_string_free(out, FALSE);
}

static void take_field(struct reader *reader, const char *name, const char *text)
{
	struct discovery *server = reader->server;
	uint32_t port;

	if (strcmp(name, "hostname") == 0) {
		g_free(server->host);
		server->host = fill_in(text, reader->address);
	} else if (strcmp(name, "port") == 0 && parse_u32(text, strlen(text), &port) && port <= 65535) {
		server->port = (uint16_t)port;
	} else if (strcmp(name, "socketType") == 0) {
		server->is_implicit = strcmp(text, "SSL") == 0;
		reader->is_secure = server->is_implicit || strcmp(text, "STARTTLS") == 0;
	} else if (strcmp(name, "username") == 0) {
		g_free(server->user);
		server->user = fill_in(text, reader->address);
	}
}

static void discovery_free(gpointer data)
{
	struct discovery *one = data;

	g_free(one->host);
	g_free(one->user);
	g_free(one);
}

/* Servers without encryption are none. */
static void take_server(struct reader *reader)
{
	struct discovery *server = g_steal_pointer(&reader->server);

	if (!reader->is_secure || !server->host || !*server->host || server->port == 0) {
		discovery_free(server);
		return;
	}
	server->is_trusted = true;
	g_ptr_array_add(reader->found, server);
}

static void on_end(GMarkupParseContext *context, const gchar *name, gpointer user, GError **error)
{
	struct reader *reader = user;

	if (reader->server && strcmp(name, "incomingServer") == 0)
		take_server(reader);
	else if (reader->server)
		take_field(reader, name, g_strstrip(reader->text->str));
	g_string_truncate(reader->text, 0);
}

GPtrArray *discoveries_new(void)
{
	return g_ptr_array_new_with_free_func(discovery_free);
}

bool autoconfig_parse(const char *text, const char *address, GPtrArray *found, GError **error)
{
	static const GMarkupParser parser = { .start_element = on_start, .end_element = on_end,
		.text = on_text };
	struct reader reader = { .address = address, .found = found, .text = g_string_new(NULL) };
	GMarkupParseContext *context = g_markup_parse_context_new(&parser, G_MARKUP_DEFAULT_FLAGS, &reader,
		NULL);
	bool is_good = g_markup_parse_context_parse(context, text, -1, error) &&
		g_markup_parse_context_end_parse(context, error);

	g_markup_parse_context_free(context);
	if (reader.server)
		discovery_free(reader.server);
	g_string_free(reader.text, TRUE);
	if (is_good && !reader.is_config)
		g_set_error(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT, "no <clientConfig>");
	return is_good && reader.is_config;
}
