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

/* By what was done since it began; g_free() it. */
static char *time_left(const struct progress *progress, double seconds)
{
	uint64_t done = progress->count - MIN(progress->count, progress->count_before);
	uint64_t left = progress->count_max - MIN(progress->count, progress->count_max);
	double need = done > 0 ? seconds * (double)left / (double)done + 1 : 0;

	if (left == 0)
		return g_strdup("0:00");
	if (done == 0 || seconds <= 0.2 || need >= 360000)
		return g_strdup("?");
	return g_strdup_printf("%d:%02d", (int)need / 60, (int)need % 60);
}

char *progress_text(const struct progress *progress, int64_t now_us, unsigned columns)
{
	double seconds = (double)(now_us - progress->begun_us) / 1e6;
	uint64_t come = progress->bytes - MIN(progress->bytes, progress->bytes_before);
	uint64_t count = MIN(progress->count, progress->count_max);
	g_autofree char *done = size_text(progress->bytes);
	g_autofree char *speed = size_text(seconds > 0.2 ? (uint64_t)((double)come / seconds) : 0);
	g_autofree char *time = time_left(progress, seconds);
	GString *text = g_string_new(NULL);
	unsigned width, filled;

	g_string_printf(text, "] %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT "  %s  %s/s  %s left",
		progress->count, progress->count_max, done, speed, time);
	width = columns > text->len + 12 ? MIN(columns - (unsigned)text->len - 2, BAR_MAX) : 10;
	filled = progress->count_max == 0
		? width
		: (unsigned)((double)count * width / (double)progress->count_max);
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
	progress->count_before = progress->count;
	progress->bytes_before = progress->bytes;
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
