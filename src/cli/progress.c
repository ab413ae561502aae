/* SPDX-License-Identifier: MIT */
/* Plain characters, one line, no colours. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <glib.h>

#define BAR_MAX    40u
#define REDRAW_US  100000
#define COLUMNS_MIN 60u

static char *size_text(uint64_t bytes)
{
	return g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
}

/* Seconds left by the rate so far; negative = nobody can tell yet. */
static int64_t seconds_left(const struct progress *progress, double rate)
{
	if (rate < 1 || progress->bytes_max <= progress->bytes)
		return progress->bytes_max <= progress->bytes ? 0 : -1;
	return (int64_t)((double)(progress->bytes_max - progress->bytes) / rate) + 1;
}

char *progress_text(const struct progress *progress, int64_t now_us, unsigned columns)
{
	double seconds = (double)(now_us - progress->begun_us) / 1e6;
	double rate = seconds > 0.2 ? (double)(progress->bytes - progress->bytes_free) / seconds : 0;
	int64_t left = seconds_left(progress, rate);
	g_autofree char *done = size_text(progress->bytes);
	g_autofree char *all = size_text(progress->bytes_max);
	g_autofree char *speed = size_text((uint64_t)rate);
	g_autofree char *time = left < 0 ? g_strdup("?")
					 : g_strdup_printf("%" G_GINT64_FORMAT ":%02d", left / 60, (int)(left % 60));
	GString *text = g_string_new(NULL);
	unsigned width, filled;

	g_string_printf(text, "] %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT "  %s/%s  %s/s  %s left",
		progress->count, progress->count_max, done, all, speed, time);
	width = columns > text->len + 12 ? MIN(columns - (unsigned)text->len - 2, BAR_MAX) : 10;
	filled = progress->bytes_max == 0
		? width
		: (unsigned)((double)MIN(progress->bytes, progress->bytes_max) * width / (double)progress->bytes_max);
	for (unsigned i = width; i > 0; i--)
		g_string_prepend_c(text, i <= filled ? '#' : '-');
	g_string_prepend_c(text, '[');
	return g_string_free(text, FALSE);
}

static unsigned columns(void)
{
	struct winsize size = { 0 };

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < COLUMNS_MIN)
		return 80;
	return size.ws_col;
}

void progress_begin(struct progress *progress)
{
	progress->is_shown = isatty(STDERR_FILENO) && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
	progress->begun_us = g_get_monotonic_time();
}

void progress_update(struct progress *progress)
{
	int64_t now_us = g_get_monotonic_time();
	g_autofree char *text = NULL;

	if (!progress->is_shown || now_us - progress->drawn_us < REDRAW_US)
		return;
	progress->drawn_us = now_us;
	text = progress_text(progress, now_us, columns());
	fprintf(stderr, "\r%s\033[K", text);
	fflush(stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->is_shown && progress->drawn_us != 0)
		fputs("\r\033[K", stderr);
}
