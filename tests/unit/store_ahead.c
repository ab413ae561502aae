/* SPDX-License-Identifier: MIT */
/* Walks through cached bodies: what comes next is looked up and checked before it is read. */
#include "store_test.h"

#include "store/body_impl.h"

#define BOX   0x00face
#define SMALL 3000u
#define COUNT 40u

static struct cache cache;

static void setup(void)
{
	cache_init(&cache);
	cache_open(&cache);
	for (uint32_t uid = 1; uid <= COUNT; uid++) {
		struct body *body = body_open(cache.store, BOX, uid);
		g_autoptr(GBytes) bytes = content(uid, SMALL);

		body_add(body, 0, bytes, NULL, NULL);
		body_complete(body, SMALL);
		body_unref(body);
	}
	while (body_pending_bytes(cache.store) > 0)
		g_main_context_iteration(NULL, TRUE);
	settle(cache.store);
	cache_reopen(&cache);
}

static void read_one(uint32_t uid)
{
	g_assert_cmpint(check_whole(cache.store, BOX, uid, SMALL), ==, 0);
}

/* What was asked of the index was answered, and what was to be checked then is checked. */
static void rest(void)
{
	settle(cache.store);
	while (cache.store->jobs_out > 0)
		g_main_context_iteration(NULL, TRUE);
}

static bool is_checked(uint32_t uid)
{
	struct body *body = bodies_find(cache.store, body_key(BOX, uid));
	struct extent *first = body ? extents_find(body->extents, 0) : NULL;

	return first && first->state == EXTENT_CHECKED;
}

static void a_walk_finds_the_next_bodies_checked(void)
{
	setup();
	for (uint32_t uid = 1; uid <= 5; uid++)
		read_one(uid);
	rest();
	for (uint32_t uid = 6; uid <= COUNT; uid++)
		g_assert_true(is_checked(uid));
	for (uint32_t uid = 6; uid <= COUNT; uid++)
		read_one(uid);
	cache_done(&cache);
}

static void a_walk_with_gaps_is_one_too(void)
{
	setup();
	for (uint32_t uid = 1; uid <= 13; uid += 3)
		read_one(uid);
	rest();
	g_assert_true(is_checked(16));
	cache_done(&cache);
}

static void reads_here_and_there_check_nothing_else(void)
{
	static const uint32_t uids[] = { 1, 20, 3, 38, 7, 25, 2 };

	setup();
	for (size_t i = 0; i < G_N_ELEMENTS(uids); i++)
		read_one(uids[i]);
	rest();
	g_assert_null(bodies_find(cache.store, body_key(BOX, 4)));
	g_assert_null(bodies_find(cache.store, body_key(BOX, 21)));
	cache_done(&cache);
}

static void closing_in_the_middle_of_a_walk_is_clean(void)
{
	setup();
	for (uint32_t uid = 1; uid <= 5; uid++)
		read_one(uid);
	cache_reopen(&cache);
	for (uint32_t uid = 1; uid <= COUNT; uid++)
		read_one(uid);
	cache_done(&cache);
}

static void a_walk_to_the_last_uid_ends_there(void)
{
	setup();
	read_one(1); /* has the set of UIDs loaded */
	settle(cache.store);
	for (uint32_t uid = COUNT - 6; uid <= COUNT; uid++)
		read_one(uid);
	rest();
	g_assert_null(bodies_find(cache.store, body_key(BOX, COUNT + 1)));
	cache_done(&cache);
}

#define ADD(name, fn) g_test_add_func("/store/ahead/" name, fn)

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	post_workers_start(2);
	ADD("walk", a_walk_finds_the_next_bodies_checked);
	ADD("gaps", a_walk_with_gaps_is_one_too);
	ADD("random", reads_here_and_there_check_nothing_else);
	ADD("close", closing_in_the_middle_of_a_walk_is_clean);
	ADD("end", a_walk_to_the_last_uid_ends_there);
	r = g_test_run();
	post_workers_stop();
	return r;
}
