/* SPDX-License-Identifier: MIT */
/*
 * Log lines: "mailfs: LAYER: text" on stderr, or records of the journal when stderr is one, or when
 * there is no stderr any more. Masks registered secrets.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "base/locked.h"

#define LOG_SECRET_MAX (16 * 1024)
#define LOG_SAFE_MAX 1024
#define SECRETS_MAX  256 /* two for each account */

static int max_level = LOG_WARN;
static gpointer secrets[SECRETS_MAX]; /* texts of base/locked.h; NULL = none */
static int wire_fd = -1;
static bool is_detached;

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
	return (int)level <= g_atomic_int_get(&max_level) || (level == LOG_WIRE && wire_fd >= 0);
}

void log_wire_to(int fd)
{
	wire_fd = fd;
}

void log_detach(void)
{
	is_detached = access("/run/systemd/journal/socket", W_OK) == 0;
}

/* Other threads read the slots meanwhile; a line that is just being written may miss a new one. */
void log_secret_add(const char *secret)
{
	if (strlen(secret) < 4)
		return;
	for (size_t i = 0; i < SECRETS_MAX; i++) {
		if (secrets[i])
			continue;
		g_atomic_pointer_set(&secrets[i], (gpointer)locked_ref(secret));
		return;
	}
}

static void drop(size_t slot)
{
	gpointer secret = secrets[slot];

	g_atomic_pointer_set(&secrets[slot], NULL);
	locked_unref(secret);
}

void log_secret_drop(const char *secret)
{
	for (size_t i = 0; i < SECRETS_MAX; i++) {
		if (secrets[i] == secret) {
			drop(i);
			return;
		}
	}
}

void log_secrets_clear(void)
{
	for (size_t i = 0; i < SECRETS_MAX; i++)
		drop(i);
}

/* Looks in `line`, masks in `masked`: so secrets that overlap or contain each other all go. */
static void mask_secret(const char *line, const char *secret, char *masked)
{
	size_t len = strlen(secret);
	size_t done = 0;

	for (const char *hit = strstr(line, secret); hit; hit = strstr(hit + 1, secret)) {
		size_t start = MAX((size_t)(hit - line), done);

		done = (size_t)(hit - line) + len;
		memset(masked + start, '*', done - start);
	}
}

static char *mask_secrets(const char *line)
{
	char *masked = g_strdup(line);

	for (size_t i = 0; i < SECRETS_MAX; i++) {
		const char *secret = g_atomic_pointer_get(&secrets[i]);

		if (secret)
			mask_secret(line, secret, masked);
	}
	return masked;
}

/* One write for each line: so they stay whole. A full disk is no reason to stop. */
static void write_wire(const char *layer, const char *line)
{
	gint64 now_us = g_get_real_time();
	time_t seconds = (time_t)(now_us / G_USEC_PER_SEC);
	g_autofree char *text = NULL;
	char when[32] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	text = g_strdup_printf("%s.%03dZ %s: %s\n", when, (int)(now_us / 1000 % 1000), layer, line);
	if (write(wire_fd, text, strlen(text)) < 0)
		return;
}

static void write_journal(enum log_level level, const char *layer, const char *line)
{
	static const char *const priorities[] = {
		[LOG_ERROR] = "3", [LOG_WARN] = "4", [LOG_INFO] = "6", [LOG_DEBUG] = "7", [LOG_WIRE] = "7",
	};
	g_autofree char *message = g_strconcat(layer, ": ", line, NULL);
	const GLogField fields[] = {
		{ "PRIORITY", priorities[level], -1 },
		{ "MESSAGE", message, -1 },
		{ "MAILFS_LAYER", layer, -1 },
		{ "SYSLOG_IDENTIFIER", "mailfs", -1 },
	};

	g_log_writer_journald(G_LOG_LEVEL_MESSAGE, fields, G_N_ELEMENTS(fields), NULL);
}

void log_write(enum log_level level, const char *layer, const char *format, ...)
{
	g_autofree char *text = NULL;
	g_autofree char *line = NULL;
	va_list args;

	if (!log_is_on(level))
		return;
	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	line = mask_secrets(text);
	if (level == LOG_WIRE && wire_fd >= 0)
		write_wire(layer, line);
	if ((int)level > g_atomic_int_get(&max_level))
		return;
	if (is_detached || g_log_writer_is_journald(fileno(stderr)))
		write_journal(level, layer, line);
	else
		fprintf(stderr, "mailfs: %s: %s\n", layer, line);
}

/* What moves the cursor, ends the line or turns the text round: C0, C1, DEL, bidi marks. */
static bool is_unsafe(gunichar c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

char *log_safe(const char *text, long len)
{
	size_t size = len < 0 ? strlen(text) : (size_t)len;
	/* Masked before it is cut, or half of a secret would show. */
	g_autofree char *raw = g_utf8_make_valid(text, (gssize)MIN(size, LOG_SAFE_MAX + LOG_SECRET_MAX));
	char *valid = mask_secrets(raw);
	char *p = valid;

	while (*p) {
		size_t width = g_utf8_skip[(guchar)*p];

		/* Each invalid byte has become three. */
		if ((size_t)(p - valid) + width > LOG_SAFE_MAX) {
			*p = '\0';
			break;
		}
		if (is_unsafe(g_utf8_get_char(p)))
			memset(p, '?', width);
		p += width;
	}
	return valid;
}
