/* SPDX-License-Identifier: MIT */
/* RFC 8259. Text that is not UTF-8 is repaired. */
#include "cli/json.h"

void json_init(struct json *json)
{
	*json = (struct json){ .out = g_string_new(NULL) };
}

void json_done(struct json *json)
{
	g_string_free(json->out, TRUE);
	json->out = NULL;
}

static void append_string(GString *out, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	g_string_append_c(out, '"');
	for (const char *p = valid; *p; p++) {
		if (*p == '"' || *p == '\\')
			g_string_append_c(out, '\\');
		if ((guchar)*p < 0x20)
			g_string_append_printf(out, "\\u%04x", (guchar)*p);
		else
			g_string_append_c(out, *p);
	}
	g_string_append_c(out, '"');
}

static void begin_value(struct json *json, const char *key)
{
	if (json->needs_comma)
		g_string_append(json->out, ", ");
	json->needs_comma = true;
	if (!key)
		return;
	append_string(json->out, key);
	g_string_append(json->out, ": ");
}

void json_begin(struct json *json, const char *key, char bracket)
{
	begin_value(json, key);
	g_string_append_c(json->out, bracket);
	json->needs_comma = false;
}

void json_end(struct json *json, char bracket)
{
	g_string_append_c(json->out, bracket);
	json->needs_comma = true;
}

void json_text(struct json *json, const char *key, const char *text)
{
	begin_value(json, key);
	if (text)
		append_string(json->out, text);
	else
		g_string_append(json->out, "null");
}

void json_number(struct json *json, const char *key, uint64_t number)
{
	begin_value(json, key);
	g_string_append_printf(json->out, "%" G_GUINT64_FORMAT, number);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_value(json, key);
	g_string_append(json->out, value ? "true" : "false");
}
