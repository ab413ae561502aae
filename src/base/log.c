/* SPDX-License-Identifier: MIT */
/*
 * Log lines: "mailfs: LAYER: text" on stderr, or the journal when stderr is one (GLib's default
 * writer knows). Masks registered secrets.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#define LOG_SAFE_MAX 1024

static int max_level = LOG_WARN;
static GPtrArray *secrets;

void log_set_level(enum log_level level)
{
	g_atomic_int_set(&max_level, (int)level);
}

enum log_level log_get_level(void)
{
	return (enum log_level)g_atomic_int_get(&max_level);
}

bool log_is_on(enum log_level level)
{
	return (int)level <= g_atomic_int_get(&max_level);
}

static void wipe_free(gpointer secret)
{
	explicit_bzero(secret, strlen(secret));
	g_free(secret);
}

void log_secret_add(const char *secret)
{
	if (strlen(secret) < 4)
		return;
	if (!secrets)
		secrets = g_ptr_array_new_with_free_func(wipe_free);
	g_ptr_array_add(secrets, g_strdup(secret));
}

void log_secrets_clear(void)
{
	g_clear_pointer(&secrets, g_ptr_array_unref);
}

static void mask_secrets(char *line)
{
	for (guint i = 0; secrets && i < secrets->len; i++) {
		const char *secret = g_ptr_array_index(secrets, i);
		char *hit = line;

		while ((hit = strstr(hit, secret)))
			memset(hit, '*', strlen(secret));
	}
}

void log_write(enum log_level level, const char *layer, const char *format, ...)
{
	static const GLogLevelFlags flags[] = {
		[LOG_ERROR] = G_LOG_LEVEL_WARNING, [LOG_WARN] = G_LOG_LEVEL_WARNING,
		[LOG_INFO] = G_LOG_LEVEL_MESSAGE,  [LOG_DEBUG] = G_LOG_LEVEL_MESSAGE,
		[LOG_WIRE] = G_LOG_LEVEL_MESSAGE,
	};
	g_autofree char *line = NULL;
	va_list args;

	if (!log_is_on(level))
		return;
	va_start(args, format);
	line = g_strdup_vprintf(format, args);
	va_end(args);
	mask_secrets(line);
	if (g_log_writer_is_journald(fileno(stderr)))
		g_log_structured("mailfs", flags[level], "MAILFS_LAYER", layer, "MESSAGE", "%s: %s", layer,
			line);
	else
		fprintf(stderr, "mailfs: %s: %s\n", layer, line);
}

char *log_safe(const char *text, long len)
{
	size_t size = len < 0 ? strlen(text) : (size_t)len;
	char *valid = g_utf8_make_valid(text, (gssize)MIN(size, LOG_SAFE_MAX));

	for (char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		/* C0 and DEL are one byte; C1 controls and bidi marks are replaced bytewise. */
		if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
			(c >= 0x2066 && c <= 0x2069)) {
			int width = g_utf8_skip[(guchar)*p];

			memset(p, '?', (size_t)width);
		}
	}
	return valid;
}
