/* SPDX-License-Identifier: MIT */
/* Does compression pay: synthetic links, in steps of 200 ms; nothing here knows the time. */
#include "engine/link.h"

#include <string.h>

#include <glib.h>

#define STEP_US   200000
#define A_WEEK_S  (7 * 24 * 3600)
#define NOW_S     1700000000

/* A world to measure: a link, and a server that packs `ratio`:1 and no faster than `packs`. */
struct path {
	double wire, packs, ratio;
};

struct scene {
	struct link link;
	int64_t now_us;
	unsigned changes; /* of is_on */
};

static void scene_init(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	scene->now_us = 1000 * G_USEC_PER_SEC;
	link_init(&scene->link, LINK_AUTO);
}

static struct link_sample sample_of(const struct scene *scene, const struct path *path)
{
	struct link_sample sample = { .us = STEP_US, .is_packed = scene->link.is_on };
	double plain = path->wire;

	if (sample.is_packed)
		plain = MIN(path->packs, path->wire * path->ratio);
	sample.plain = (uint64_t)(plain * STEP_US / G_USEC_PER_SEC);
	sample.wire = sample.is_packed ? (uint64_t)((double)sample.plain / path->ratio) : sample.plain;
	return sample;
}

static void add(struct scene *scene, const struct link_sample *sample)
{
	bool was_on = scene->link.is_on;

	scene->now_us += sample->us;
	link_add(&scene->link, sample, scene->now_us);
	scene->changes += scene->link.is_on != was_on;
}

static void transfer(struct scene *scene, const struct path *path, double seconds)
{
	for (double at = 0; at < seconds * G_USEC_PER_SEC; at += STEP_US) {
		struct link_sample sample = sample_of(scene, path);

		add(scene, &sample);
	}
}

static const struct path loopback = { 300e6, 18e6, 1.6 };
static const struct path lan = { 115e6, 18e6, 1.6 };
static const struct path mbit100 = { 11.9e6, 18e6, 1.6 };
static const struct path dsl = { 2e6, 18e6, 1.6 };
static const struct path modem = { 30e3, 18e6, 1.6 };

static void assert_is(const struct scene *scene, bool is_on, enum link_why why)
{
	g_assert_cmpint(scene->link.is_on, ==, is_on);
	g_assert_cmpint(scene->link.why, ==, why);
}

/* ---- on and off ------------------------------------------------------------------------------ */

static void nothing_is_compressed_before_something_was_measured(void)
{
	struct scene scene;

	scene_init(&scene);
	assert_is(&scene, false, LINK_UNKNOWN);
	transfer(&scene, &dsl, 1);
	assert_is(&scene, false, LINK_UNKNOWN);
}

static void slow_links_are_compressed_fast_ones_are_not(void)
{
	static const struct {
		const struct path *path;
		bool is_on;
	} cases[] = {
		{ &loopback, false }, { &lan, false }, { &mbit100, true }, { &dsl, true }, { &modem, true },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct scene scene;

		scene_init(&scene);
		transfer(&scene, cases[i].path, 120);
		assert_is(&scene, cases[i].is_on, cases[i].is_on ? LINK_PAYS : LINK_FAST);
	}
}

/* 50 ms away: the first half second of a fast link is slow. */
static void slow_start_is_no_slow_link(void)
{
	struct path path = lan;
	struct scene scene;

	scene_init(&scene);
	for (path.wire = 1e6; path.wire < 50e6; path.wire *= 1.5)
		transfer(&scene, &path, 0.2);
	transfer(&scene, &lan, 5);
	assert_is(&scene, false, LINK_FAST);
	g_assert_cmpuint(scene.changes, ==, 0);
}

static void waiting_for_the_reader_or_the_disk_is_no_slow_link(void)
{
	struct scene scene;

	scene_init(&scene);
	for (int i = 0; i < 1000; i++) {
		struct link_sample sample = sample_of(&scene, &dsl);

		sample.is_void = true;
		add(&scene, &sample);
	}
	assert_is(&scene, false, LINK_UNKNOWN);
}

/* A reader that stops now and then: what lies between two pauses counts. */
static void pauses_do_not_hide_a_slow_link(void)
{
	struct scene scene;

	scene_init(&scene);
	for (int i = 0; i < 20; i++) {
		struct link_sample pause = { .us = STEP_US, .is_void = true };

		transfer(&scene, &dsl, 1);
		add(&scene, &pause);
	}
	assert_is(&scene, true, LINK_PAYS);
}

static void small_transfers_that_lie_far_apart_say_nothing(void)
{
	struct scene scene;

	scene_init(&scene);
	for (int i = 0; i < 100; i++) {
		transfer(&scene, &dsl, 1);
		scene.now_us += 300ll * G_USEC_PER_SEC;
	}
	assert_is(&scene, false, LINK_UNKNOWN);
}

static void what_was_chosen_stays(void)
{
	static const enum link_mode modes[] = { LINK_NEVER, LINK_ALWAYS };

	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
		struct scene scene;

		scene_init(&scene);
		link_init(&scene.link, modes[i]);
		transfer(&scene, &dsl, 60);
		transfer(&scene, &loopback, 60);
		assert_is(&scene, modes[i] == LINK_ALWAYS, LINK_CHOSEN);
		link_break(&scene.link);
		assert_is(&scene, false, LINK_BROKEN);
	}
}

/* ---- and back -------------------------------------------------------------------------------- */

static void a_server_that_is_slow_by_itself_is_not_made_slower(void)
{
	static const struct path throttled = { 5e6, 5e6, 1.6 };
	struct scene scene;

	scene_init(&scene);
	transfer(&scene, &throttled, 4);
	assert_is(&scene, true, LINK_PAYS);
	transfer(&scene, &throttled, 8);
	assert_is(&scene, false, LINK_NO_GAIN);
	transfer(&scene, &throttled, 24 * 3600);
	g_assert_cmpuint(scene.changes, ==, 2);
}

static void after_no_gain_a_much_slower_link_is_compressed(void)
{
	static const struct path throttled = { 5e6, 5e6, 1.6 };
	struct scene scene;

	scene_init(&scene);
	transfer(&scene, &throttled, 20);
	assert_is(&scene, false, LINK_NO_GAIN);
	transfer(&scene, &dsl, 20);
	assert_is(&scene, true, LINK_PAYS);
}

static void a_link_that_becomes_fast_is_found_out(void)
{
	struct scene scene;

	scene_init(&scene);
	transfer(&scene, &dsl, 30);
	assert_is(&scene, true, LINK_PAYS);
	transfer(&scene, &lan, 120);
	assert_is(&scene, false, LINK_FAST);
	g_assert_cmpuint(scene.changes, ==, 2);
}

static void a_link_that_becomes_slow_is_found_out(void)
{
	struct scene scene;

	scene_init(&scene);
	transfer(&scene, &lan, 120);
	transfer(&scene, &dsl, 10);
	assert_is(&scene, true, LINK_PAYS);
}

/* 100 Mbit/s: compressed it is so fast that it might be a fast link. */
static void a_link_near_the_threshold_does_not_flap(void)
{
	struct scene scene;

	scene_init(&scene);
	transfer(&scene, &mbit100, 24 * 3600);
	assert_is(&scene, true, LINK_PAYS);
	g_assert_cmpuint(scene.changes, <=, 1 + 2 * 24);
}

/* Every ten seconds another link: as often as it may, and more and more rarely. */
static void a_link_that_changes_all_the_time_does_not_flap(void)
{
	struct scene scene;

	scene_init(&scene);
	for (int i = 0; i < 24 * 360; i++)
		transfer(&scene, i % 2 == 0 ? &dsl : &lan, 10);
	g_assert_cmpuint(scene.changes, <=, 2 * (24 + 8));
}

/* ---- remembering ----------------------------------------------------------------------------- */

static void a_slow_link_is_remembered(void)
{
	struct scene scene, later;
	char text[64];

	scene_init(&scene);
	transfer(&scene, &dsl, 30);
	link_format(&scene.link, NOW_S, text, sizeof(text));
	scene_init(&later);
	link_restore(&later.link, text, NOW_S + 3600, later.now_us);
	assert_is(&later, true, LINK_PAYS);
	transfer(&later, &dsl, 600);
	g_assert_cmpuint(later.changes, ==, 0);
	transfer(&later, &lan, 120);
	assert_is(&later, false, LINK_FAST);
}

static void no_gain_is_remembered(void)
{
	static const struct path throttled = { 5e6, 5e6, 1.6 };
	struct scene scene, later;
	char text[64];

	scene_init(&scene);
	transfer(&scene, &throttled, 60);
	link_format(&scene.link, NOW_S, text, sizeof(text));
	scene_init(&later);
	link_restore(&later.link, text, NOW_S, later.now_us);
	transfer(&later, &throttled, 60);
	g_assert_cmpuint(later.changes, ==, 0);
	assert_is(&later, false, LINK_NO_GAIN);
}

static void what_is_old_or_unreadable_counts_no_more(void)
{
	g_autofree char *old = g_strdup_printf("1 3 2000000 0 %d", NOW_S - A_WEEK_S - 1);
	g_autofree char *future = g_strdup_printf("1 3 2000000 0 %d", NOW_S + 1);
	g_autofree char *other = g_strdup_printf("1 6 2000000 0 %d", NOW_S);
	g_autofree char *huge = g_strdup_printf("1 3 18446744073709551615 0 %d", NOW_S);
	const char *const texts[] = { old, future, other, huge, "", "1", "1 3 x 0 1", "1 3 1 1 1 1",
		"1 3 1 1 18446744073709551615", NULL };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct scene scene;

		scene_init(&scene);
		link_restore(&scene.link, texts[i], NOW_S, scene.now_us);
		assert_is(&scene, false, LINK_UNKNOWN);
	}
}

static void what_failed_is_not_tried_again(void)
{
	struct scene scene;

	scene_init(&scene);
	transfer(&scene, &dsl, 10);
	link_break(&scene.link);
	transfer(&scene, &dsl, 3600);
	assert_is(&scene, false, LINK_BROKEN);
}

static void people_are_told_what_was_measured(void)
{
	struct scene scene;
	g_autofree char *before = NULL, *after = NULL, *wanted = NULL;

	scene_init(&scene);
	before = link_describe(&scene.link, false);
	g_assert_cmpstr(before, ==, "off (not measured yet)");
	transfer(&scene, &dsl, 60);
	after = link_describe(&scene.link, true);
	g_assert_cmpstr(after, ==, "on (3.2 MB/s with it, 2.0 without)");
	wanted = link_describe(&scene.link, false);
	g_assert_cmpstr(wanted, ==, "off (wanted at 2.0 MB/s; not in use, or not offered)");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/engine/link/unknown", nothing_is_compressed_before_something_was_measured);
	g_test_add_func("/engine/link/slow and fast", slow_links_are_compressed_fast_ones_are_not);
	g_test_add_func("/engine/link/slow start", slow_start_is_no_slow_link);
	g_test_add_func("/engine/link/void", waiting_for_the_reader_or_the_disk_is_no_slow_link);
	g_test_add_func("/engine/link/pauses", pauses_do_not_hide_a_slow_link);
	g_test_add_func("/engine/link/far apart", small_transfers_that_lie_far_apart_say_nothing);
	g_test_add_func("/engine/link/chosen", what_was_chosen_stays);
	g_test_add_func("/engine/link/no gain", a_server_that_is_slow_by_itself_is_not_made_slower);
	g_test_add_func("/engine/link/no gain, slower", after_no_gain_a_much_slower_link_is_compressed);
	g_test_add_func("/engine/link/becomes fast", a_link_that_becomes_fast_is_found_out);
	g_test_add_func("/engine/link/becomes slow", a_link_that_becomes_slow_is_found_out);
	g_test_add_func("/engine/link/threshold", a_link_near_the_threshold_does_not_flap);
	g_test_add_func("/engine/link/changing", a_link_that_changes_all_the_time_does_not_flap);
	g_test_add_func("/engine/link/remembered", a_slow_link_is_remembered);
	g_test_add_func("/engine/link/no gain remembered", no_gain_is_remembered);
	g_test_add_func("/engine/link/old", what_is_old_or_unreadable_counts_no_more);
	g_test_add_func("/engine/link/broken", what_failed_is_not_tried_again);
	g_test_add_func("/engine/link/told", people_are_told_what_was_measured);
	return g_test_run();
}
