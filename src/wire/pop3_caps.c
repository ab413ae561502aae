/* SPDX-License-Identifier: MIT */
/* CAPA lines → flags: one table of names. Pure. */
#include "wire/pop3_caps.h"

#include <stddef.h>
#include <string.h>

#include <glib.h>

#include "base/parse.h"
#include "wire/sasl.h"

static const struct {
	const char *name;
	size_t offset;
} names[] = {
	{ "USER", offsetof(struct pop3_caps, user) },
	{ "STLS", offsetof(struct pop3_caps, stls) },
	{ "TOP", offsetof(struct pop3_caps, top) },
	{ "UIDL", offsetof(struct pop3_caps, uidl) },
	{ "PIPELINING", offsetof(struct pop3_caps, pipelining) },
	{ "RESP-CODES", offsetof(struct pop3_caps, resp_codes) },
	{ "UTF8", offsetof(struct pop3_caps, utf8) },
};

void pop3_caps_reset(struct pop3_caps *caps)
{
	*caps = (struct pop3_caps){ 0 };
}

static bool is_disabled(const char *const *disable, const char *prefix, const char *name)
{
	size_t len = strlen(prefix);

	for (; disable && *disable; disable++) {
		if (g_ascii_strncasecmp(*disable, prefix, len) == 0 &&
			g_ascii_strcasecmp(*disable + len, name) == 0)
			return true;
	}
	return false;
}

static void add_mechs(struct pop3_caps *caps, char **words, const char *const *disable)
{
	for (; *words; words++) {
		if (!is_disabled(disable, "SASL=", *words) && !is_disabled(disable, "AUTH=", *words))
			caps->auth |= sasl_mech_from_name(*words, strlen(*words));
	}
}

static void add_expire(struct pop3_caps *caps, const char *word)
{
	uint32_t days;

	if (g_ascii_strcasecmp(word, "NEVER") == 0)
		days = UINT32_MAX;
	else if (!parse_u32(word, strlen(word), &days))
		return;
	caps->has_expire = true;
	caps->expire = days;
}

static void add_named(struct pop3_caps *caps, char **words, const char *line,
	const char *const *disable)
{
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (g_ascii_strcasecmp(words[0], names[i].name) == 0)
			*(bool *)((char *)caps + names[i].offset) = true;
	}
	if (g_ascii_strcasecmp(words[0], "SASL") == 0)
		add_mechs(caps, words + 1, disable);
	else if (g_ascii_strcasecmp(words[0], "LOGIN-DELAY") == 0 && words[1])
		parse_u32(words[1], strlen(words[1]), &caps->login_delay);
	else if (g_ascii_strcasecmp(words[0], "EXPIRE") == 0 && words[1])
		add_expire(caps, words[1]);
	else if (g_ascii_strcasecmp(words[0], "IMPLEMENTATION") == 0 && words[1])
		g_strlcpy(caps->implementation, line + strlen("IMPLEMENTATION "),
			sizeof(caps->implementation));
}

static void add_text(struct pop3_caps *caps, const char *line)
{
	if (caps->text[0] != '\0')
		g_strlcat(caps->text, " ", sizeof(caps->text));
	g_strlcat(caps->text, line, sizeof(caps->text));
}

/* A line of capabilities is short; what is behind the first words of a long one is left out. */
void pop3_caps_add(struct pop3_caps *caps, const char *line, const char *const *disable)
{
	g_auto(GStrv) words = NULL;
	guint kept = 0;

	while (*line == ' ')
		line++;
	words = g_strsplit(line, " ", 64);
	for (guint i = 0; words[i]; i++) {
		if (words[i][0] != '\0')
			words[kept++] = words[i];
		else
			g_free(words[i]);
	}
	words[kept] = NULL;
	if (kept == 0 || is_disabled(disable, "", words[0]))
		return;
	add_named(caps, words, line, disable);
	add_text(caps, line);
}
