/* SPDX-License-Identifier: MIT */
/*
 * Whether COMPRESS=DEFLATE pays, from what was received. Windows are long enough to mean something,
 * a run is judged by its best window: slow start, a pause of the reader and a moment of a busy
 * machine make windows slower than the link, nothing makes one faster. Loop thread.
 */
#include "engine/link.h"

#include <string.h>

#include <glib.h>

#include "base/parse.h"

#define WINDOW_US      300000
#define WINDOW_BYTES   (1u << 20)
#define RUN_US         (3 * G_USEC_PER_SEC)
#define RUN_FORGET_US  (60 * G_USEC_PER_SEC) /* windows so far apart belong to different runs */
#define GAIN           1.1  /* compression must be faster by that */
#define GROWN          1.5  /* the link carries more than was measured: it is another one */
#define BAD_RUNS       2u   /* before it is given up */
#define AGAIN_MIN_US   (60 * G_USEC_PER_SEC)
#define AGAIN_MAX_US   (3600ll * G_USEC_PER_SEC)
#define REMEMBER_S     (7 * 24 * 3600)

void link_init(struct link *link, enum link_mode mode)
{
	*link = (struct link){
		.mode = mode,
		.is_on = mode == LINK_ALWAYS,
		.why = mode == LINK_AUTO ? LINK_UNKNOWN : LINK_CHOSEN,
		.again_wait_us = AGAIN_MIN_US,
	};
}

static void window_clear(struct link *link)
{
	link->window = (struct link_window){ 0 };
}

static void run_clear(struct link *link)
{
	window_clear(link);
	link->run_us = 0;
	link->run_wire = link->run_plain = 0;
}

/* ---- decisions --------------------------------------------------------------------------------- */

static void turn(struct link *link, bool is_on, enum link_why why)
{
	link->is_on = is_on;
	link->why = why;
	link->bad_runs = 0;
	run_clear(link);
}

static bool is_near(double a, double b)
{
	return a < b * 1.25 && b < a * 1.25;
}

/* A run without compression. */
static bool judge_plain(struct link *link, int64_t now_us)
{
	enum link_why why = link->why;

	link->rate = link->run_plain;
	if (link->why == LINK_NO_GAIN && link->rate >= link->no_gain_rate / 2)
		return false;
	if (link->rate >= LINK_SLOW) {
		link->why = LINK_FAST;
		return why != LINK_FAST;
	}
	link->packed = 0;
	link->again_at_us = now_us + link->again_wait_us;
	turn(link, true, LINK_PAYS);
	return true;
}

static bool is_worth_another_look(const struct link *link, int64_t now_us)
{
	bool is_full = is_near(link->run_wire, link->rate); /* the link it was, to all appearance */
	int64_t due_us = link->again_at_us + (is_full ? AGAIN_MAX_US : 0);

	return now_us >= due_us &&
		(link->run_plain >= LINK_PACKED_FAST || link->run_wire >= link->rate * GROWN);
}

/* A run with compression. */
static bool judge_packed(struct link *link, int64_t now_us)
{
	link->packed = link->run_plain;
	if (link->packed < link->rate * GAIN && ++link->bad_runs >= BAD_RUNS) {
		link->no_gain_rate = link->rate;
		turn(link, false, LINK_NO_GAIN);
		return true;
	}
	if (link->packed >= link->rate * GAIN)
		link->bad_runs = 0;
	if (is_worth_another_look(link, now_us)) {
		link->again_wait_us = MIN(link->again_wait_us * 2, AGAIN_MAX_US);
		turn(link, false, LINK_AGAIN);
		return true;
	}
	return false;
}

/* ---- measuring --------------------------------------------------------------------------------- */

static bool end_window(struct link *link, int64_t now_us)
{
	const struct link_window *window = &link->window;
	double seconds = (double)window->us / G_USEC_PER_SEC;
	bool has_changed;

	link->run_wire = MAX(link->run_wire, (double)window->wire / seconds);
	link->run_plain = MAX(link->run_plain, (double)window->plain / seconds);
	link->run_us += window->us;
	window_clear(link);
	if (link->run_us < RUN_US)
		return false;
	has_changed = link->is_run_packed ? judge_packed(link, now_us) : judge_plain(link, now_us);
	run_clear(link);
	return has_changed;
}

bool link_add(struct link *link, const struct link_sample *sample, int64_t now_us)
{
	if (link->mode != LINK_AUTO || link->why == LINK_BROKEN)
		return false;
	/* A decision that is not carried out yet, or a pause: the windows before it still count. */
	if (sample->is_void || sample->is_packed != link->is_on || sample->us <= 0) {
		window_clear(link);
		return false;
	}
	if (sample->is_packed != link->is_run_packed || now_us - link->heard_us > RUN_FORGET_US)
		run_clear(link);
	link->is_run_packed = sample->is_packed;
	link->heard_us = now_us;
	link->window.us += sample->us;
	link->window.wire += sample->wire;
	link->window.plain += sample->plain;
	if (link->window.us < WINDOW_US || link->window.plain < WINDOW_BYTES)
		return false;
	return end_window(link, now_us);
}

void link_break(struct link *link)
{
	turn(link, false, LINK_BROKEN);
}

/* ---- remembering ------------------------------------------------------------------------------- */

void link_format(const struct link *link, int64_t now_s, char *text, size_t size)
{
	g_snprintf(text, size, "%d %d %.0f %.0f %" G_GINT64_FORMAT, link->is_on, (int)link->why,
		link->rate, link->no_gain_rate, now_s);
}

static bool parse_all(const char *text, uint64_t *numbers, size_t count)
{
	g_auto(GStrv) words = g_strsplit(text, " ", (gint)count + 1);

	if (g_strv_length(words) != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!parse_u64(words[i], strlen(words[i]), &numbers[i]))
			return false;
	return true;
}

void link_restore(struct link *link, const char *text, int64_t now_s, int64_t now_us)
{
	uint64_t numbers[5];
	int64_t age_s;

	if (link->mode != LINK_AUTO || !text || !parse_all(text, numbers, G_N_ELEMENTS(numbers)))
		return;
	age_s = (int64_t)((uint64_t)now_s - numbers[4]);
	if (age_s < 0 || age_s > REMEMBER_S || numbers[2] > G_MAXUINT32 || numbers[3] > G_MAXUINT32)
		return;
	if (numbers[1] != LINK_FAST && numbers[1] != LINK_PAYS && numbers[1] != LINK_NO_GAIN)
		return;
	link->is_on = numbers[1] == LINK_PAYS;
	link->why = (enum link_why)numbers[1];
	link->rate = (double)numbers[2];
	link->no_gain_rate = (double)numbers[3];
	link->again_at_us = now_us + link->again_wait_us;
}

/* ---- telling ----------------------------------------------------------------------------------- */

char *link_describe(const struct link *link, bool is_packed)
{
	const char *state = is_packed ? "on" : "off";
	double rate = link->rate / 1e6, packed = link->packed / 1e6;

	if (link->why == LINK_PAYS && !is_packed)
		return g_strdup_printf("off (wanted at %.1f MB/s; not in use, or not offered)", rate);
	switch (link->why) {
	case LINK_FAST:
		return g_strdup_printf("%s (%.1f MB/s without it)", state, rate);
	case LINK_PAYS:
		if (link->packed > 0)
			return g_strdup_printf("%s (%.1f MB/s with it, %.1f without)", state, packed, rate);
		return g_strdup_printf("%s (%.1f MB/s without it)", state, rate);
	case LINK_NO_GAIN:
		return g_strdup_printf("%s (no gain: %.1f MB/s without it)", state, rate);
	case LINK_AGAIN:
		return g_strdup_printf("%s (to be measured again)", state);
	case LINK_BROKEN:
		return g_strdup_printf("%s (it failed)", state);
	case LINK_UNKNOWN:
		return g_strdup_printf("%s (not measured yet)", state);
	default:
		return g_strdup_printf("%s (as configured)", state);
	}
}
