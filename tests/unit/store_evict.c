/* SPDX-License-Identifier: MIT */
/* Eviction: order, what it never takes, the sweep of files nobody knows, a full disk. */
#include "store_test.h"
#include "own_mounts.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#define BOX  0x00beef
#define SIZE 1000u

static struct cache cache;

static void setup(uint64_t max_bytes)
{
	cache_init(&cache);
	cache.max_bytes = max_bytes;
	cache_open(&cache);
}

/* Lets eviction come to rest: its jobs post further jobs. */
static void rest(void)
{
	for (int i = 0; i < 40; i++)
		settle(cache.store);
}

static bool is_cached(uint32_t uid)
{
	return check_whole(cache.store, BOX, uid, SIZE) == 0;
}

static void the_least_recently_used_go_first(void)
{
	setup(10 * SIZE);
	for (uint32_t uid = 1; uid <= 10; uid++)
		g_assert_cmpint(add_whole(cache.store, BOX, uid, SIZE), ==, 0);
	g_assert_true(is_cached(1)); /* a use */
	g_assert_true(is_cached(2));
	g_assert_cmpint(add_whole(cache.store, BOX, 11, SIZE), ==, 0);
	g_assert_cmpint(add_whole(cache.store, BOX, 12, SIZE), ==, 0);
	rest();
	g_assert_cmpuint(store_usage(cache.store).body_bytes, <=, 10 * SIZE);
	g_assert_cmpuint(store_usage(cache.store).evicted, >=, 2);
	g_assert_cmpuint(store_usage(cache.store).evicted, <=, 4);
	g_assert_false(is_cached(3));
	g_assert_false(is_cached(4));
	g_assert_true(is_cached(1));
	g_assert_true(is_cached(2));
	g_assert_true(is_cached(12));
	cache_done(&cache);
}

static void the_order_of_use_survives_reopening(void)
{
	setup(100 * SIZE);
	for (uint32_t uid = 1; uid <= 10; uid++)
		g_assert_cmpint(add_whole(cache.store, BOX, uid, SIZE), ==, 0);
	g_assert_true(is_cached(1));
	cache.max_bytes = 5 * SIZE;
	cache_reopen(&cache); /* evicts by itself */
	rest();
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 4);
	g_assert_true(is_cached(1));
	g_assert_true(is_cached(10));
	g_assert_false(is_cached(2));
	cache_done(&cache);
}

static void the_file_of_an_evicted_body_is_gone(void)
{
	g_autofree char *file = NULL;

	setup(2 * SIZE);
	file = g_build_filename(cache.dir, "bodies", "00beef", "1", NULL);
	g_assert_cmpint(add_whole(cache.store, BOX, 1, SIZE), ==, 0);
	g_assert_true(path_exists(file));
	for (uint32_t uid = 2; uid <= 5; uid++)
		g_assert_cmpint(add_whole(cache.store, BOX, uid, SIZE), ==, 0);
	rest();
	g_assert_false(path_exists(file));
	cache_done(&cache);
}

static void a_body_that_is_held_stays(void)
{
	struct body *body;

	setup(3 * SIZE);
	g_assert_cmpint(add_whole(cache.store, BOX, 1, SIZE), ==, 0);
	body = open_body(cache.store, BOX, 1);
	for (uint32_t uid = 2; uid <= 20; uid++) {
		g_assert_cmpint(add_whole(cache.store, BOX, uid, SIZE), ==, 0);
		rest();
		g_assert_true(body_is_complete(body));
		g_assert_cmpuint(store_usage(cache.store).body_bytes, <=, 3 * SIZE);
	}
	body_unref(body);
	g_assert_true(is_cached(1));
	cache_done(&cache);
}

static void a_pinned_body_stays(void)
{
	struct body *body;

	setup(3 * SIZE);
	g_assert_cmpint(add_whole(cache.store, BOX, 1, SIZE), ==, 0);
	body = open_body(cache.store, BOX, 1);
	body_pin(body, true);
	body_unref(body);
	cache_reopen(&cache);
	for (uint32_t uid = 2; uid <= 10; uid++)
		g_assert_cmpint(add_whole(cache.store, BOX, uid, SIZE), ==, 0);
	rest();
	g_assert_true(is_cached(1));
	g_assert_false(is_cached(2));
	cache_done(&cache);
}

static void when_all_are_held_nothing_is_taken(void)
{
	struct body *bodies[6];

	setup(2 * SIZE);
	for (uint32_t i = 0; i < 6; i++) {
		g_autoptr(GBytes) bytes = content(i + 1, SIZE);

		bodies[i] = open_body(cache.store, BOX, i + 1);
		g_assert_cmpint(add_bytes(bodies[i], 0, bytes), ==, 0);
	}
	rest();
	g_assert_cmpuint(store_usage(cache.store).evicted, ==, 0);
	for (uint32_t i = 0; i < 6; i++)
		body_unref(bodies[i]);
	g_assert_cmpint(add_whole(cache.store, BOX, 50, SIZE), ==, 0);
	rest();
	g_assert_cmpuint(store_usage(cache.store).body_bytes, <=, 2 * SIZE);
	cache_done(&cache);
}

static void a_body_that_was_evicted_can_be_fetched_again(void)
{
	setup(2 * SIZE);
	for (int round = 0; round < 5; round++) {
		for (uint32_t uid = 1; uid <= 6; uid++)
			g_assert_cmpint(add_whole(cache.store, BOX, uid, SIZE), ==, 0);
	}
	rest();
	g_assert_cmpint(add_whole(cache.store, BOX, 1, SIZE), ==, 0);
	g_assert_true(is_cached(1));
	cache_done(&cache);
}

/* ---- the sweep ----------------------------------------------------------------------------- */

static void write_file(const char *path)
{
	g_assert_true(g_file_set_contents(path, "x", 1, NULL));
}

static void files_without_rows_are_swept_and_nothing_else(void)
{
	static const char *const garbage[] = { "bodies/00beef/77", "bodies/123456/1" };
	static const char *const others[] = { "bodies/00beef/077", "bodies/00beef/7.part",
		"bodies/mine/1", "bodies/ABCDEF/1", "notes" };

	setup(100 * SIZE);
	g_assert_cmpint(add_whole(cache.store, BOX, 1, SIZE), ==, 0);
	for (size_t i = 0; i < 3; i++) {
		static const char *const dirs[] = { "bodies/123456", "bodies/mine", "bodies/ABCDEF" };
		g_autofree char *path = cache_path(&cache, dirs[i]);

		g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(garbage); i++) {
		g_autofree char *path = cache_path(&cache, garbage[i]);

		write_file(path);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		g_autofree char *path = cache_path(&cache, others[i]);

		write_file(path);
	}
	cache_reopen(&cache);
	rest();
	for (size_t i = 0; i < G_N_ELEMENTS(garbage); i++) {
		g_autofree char *path = cache_path(&cache, garbage[i]);

		g_assert_false(path_exists(path));
	}
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		g_autofree char *path = cache_path(&cache, others[i]);

		g_assert_true(path_exists(path));
	}
	g_assert_true(is_cached(1));
	cache_done(&cache);
}

static void a_body_written_during_the_sweep_stays(void)
{
	setup(1000 * SIZE);
	g_assert_cmpint(add_whole(cache.store, BOX, 1, SIZE), ==, 0);
	for (int round = 0; round < 10; round++) {
		cache_reopen(&cache);
		for (uint32_t uid = 1; uid <= 20; uid++) {
			struct body *body = body_open(cache.store, BOX, (uint32_t)round * 20 + uid);
			g_autoptr(GBytes) bytes = content((uint32_t)round * 20 + uid, SIZE);

			body_add(body, 0, bytes, NULL, NULL);
			body_complete(body, SIZE);
			body_unref(body);
		}
		rest();
	}
	cache_reopen(&cache);
	rest();
	for (uint32_t uid = 1; uid <= 200; uid++)
		g_assert_true(is_cached(uid));
	cache_done(&cache);
}

/* ---- a full disk --------------------------------------------------------------------------- */

static void on_cleared(void *user, const GError *error)
{
	g_assert_no_error(error);
	++*(unsigned *)user;
}

static void all_can_be_cleared_but_what_is_held_or_pinned(void)
{
	struct body *held, *pinned;
	unsigned cleared = 0;

	setup(100 * SIZE);
	for (uint32_t uid = 1; uid <= 20; uid++)
		g_assert_cmpint(add_whole(cache.store, BOX, uid, SIZE), ==, 0);
	held = body_open(cache.store, BOX, 3);
	pinned = body_open(cache.store, BOX, 7);
	settle(cache.store);
	body_pin(pinned, true);
	body_unref(pinned);
	rest();
	g_assert_cmpuint(store_counted(cache.store, BOX).cached, ==, 0);
	store_count_bodies(cache.store, on_cleared, &cleared);
	while (cleared < 1)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(store_counted(cache.store, BOX).cached, ==, 20);
	g_assert_cmpuint(store_counted(cache.store, BOX).pinned, ==, 1);
	g_assert_cmpuint(store_counted(cache.store, BOX).bytes, ==, 20 * SIZE);
	g_assert_cmpuint(store_counted(cache.store, BOX + 1).bytes, ==, 0);
	cleared = 0;
	store_clear_bodies(cache.store, on_cleared, &cleared);
	store_clear_bodies(cache.store, on_cleared, &cleared);
	while (cleared < 2)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 2);
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, 2 * SIZE);
	g_assert_false(is_cached(1));
	g_assert_true(is_cached(3));
	g_assert_true(is_cached(7));
	body_unref(held);
	g_assert_cmpint(add_whole(cache.store, BOX, 1, SIZE), ==, 0);
	rest();
	g_assert_true(is_cached(1));
	cache_done(&cache);
}

/* Some of the turns meet an eviction that has its last round behind it. */
static void what_is_let_go_while_others_are_cleared_goes_with_the_next_clearing(void)
{
	for (unsigned turns = 0; turns < 16; turns++) {
		unsigned cleared = 0;
		struct body *held;

		setup(100 * SIZE);
		for (uint32_t uid = 1; uid <= 3; uid++)
			g_assert_cmpint(add_whole(cache.store, BOX, uid, SIZE), ==, 0);
		held = body_open(cache.store, BOX, 2);
		settle(cache.store);
		store_clear_bodies(cache.store, on_cleared, &cleared);
		for (unsigned turn = 0; turn < turns && cleared == 0; turn++)
			g_main_context_iteration(NULL, TRUE);
		body_unref(held);
		store_clear_bodies(cache.store, on_cleared, &cleared);
		while (cleared < 2)
			g_main_context_iteration(NULL, TRUE);
		g_assert_cmpuint(store_usage(cache.store).bodies, ==, 0);
		cache_done(&cache);
	}
}

static void a_write_beyond_the_limit_fails_and_reading_goes_on(void)
{
	struct rlimit before, limit;
	struct body *body;
	g_autoptr(GBytes) bytes = content(2, 2 << 20);

	setup(100 << 20);
	g_assert_cmpint(add_whole(cache.store, BOX, 1, SIZE), ==, 0);
	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
	limit = before;
	limit.rlim_cur = 1 << 20;
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);

	body = open_body(cache.store, BOX, 2);
	g_assert_cmpint(add_bytes(body, 0, bytes), !=, 0);
	g_assert_cmpuint(body_covered_until(body, 0), ==, 0);
	g_assert_cmpuint(body_pending_bytes(cache.store), ==, 0);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);

	g_assert_cmpint(add_bytes(body, 0, bytes), ==, 0);
	body_unref(body);
	cache_done(&cache);
}

static void on_a_full_disk_old_bodies_make_room(void)
{
	enum { BIG = 1 << 20 };

	cache_init(&cache);
	if (mount("tmpfs", cache.root, "tmpfs", 0, "size=24m,mode=0700") < 0) {
		g_test_skip("cannot mount a tmpfs");
		rmdir(cache.root);
		g_free(cache.dir);
		g_free(cache.root);
		return;
	}
	cache.max_bytes = UINT64_C(1) << 40;
	cache_open(&cache);
	for (uint32_t uid = 1; uid <= 60; uid++) {
		g_assert_cmpint(add_whole(cache.store, BOX, uid, BIG), ==, 0);
		g_assert_cmpint(check_whole(cache.store, BOX, uid, BIG), ==, 0);
	}
	g_assert_false(store_is_broken(cache.store));
	g_assert_cmpuint(store_usage(cache.store).evicted, >, 30);
	cache_close(&cache);
	g_assert_cmpint(umount2(cache.root, MNT_DETACH), ==, 0);
	rmdir(cache.root);
	g_free(cache.dir);
	g_free(cache.root);
}

#define ADD(name, fn) g_test_add_func("/store/evict/" name, fn)

int main(int argc, char **argv)
{
	int r;

	own_mounts();
	g_test_init(&argc, &argv, NULL);
	log_set_level(LOG_ERROR);
	post_workers_start(2);
	ADD("the least recently used go first", the_least_recently_used_go_first);
	ADD("the order of use survives reopening", the_order_of_use_survives_reopening);
	ADD("the file of an evicted body is gone", the_file_of_an_evicted_body_is_gone);
	ADD("one that is held stays", a_body_that_is_held_stays);
	ADD("a pinned one stays", a_pinned_body_stays);
	ADD("when all are held nothing is taken", when_all_are_held_nothing_is_taken);
	ADD("an evicted one can be fetched again", a_body_that_was_evicted_can_be_fetched_again);
	ADD("all can be cleared", all_can_be_cleared_but_what_is_held_or_pinned);
	ADD("files without rows are swept, nothing else",
		files_without_rows_are_swept_and_nothing_else);
	ADD("one written during the sweep stays", a_body_written_during_the_sweep_stays);
	ADD("a write beyond the limit fails, reading goes on",
		a_write_beyond_the_limit_fails_and_reading_goes_on);
	ADD("let go while others are cleared",
		what_is_let_go_while_others_are_cleared_goes_with_the_next_clearing);
	ADD("on a full disk old bodies make room", on_a_full_disk_old_bodies_make_room);
	r = g_test_run();
	post_workers_stop();
	return r;
}
