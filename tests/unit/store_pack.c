/* SPDX-License-Identifier: MIT */
/*
 * Packs: what goes in, damage, dead bytes and how they come back, eviction, kill -9, older caches.
 */
#include "store_killed.h"
#include "store_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "store/store_impl.h"
#include "own_mounts.h"

#define BOX   0x00face
#define SMALL 3000u
#define MIB   (1u << 20)

static struct cache cache;
static char *program;

static void setup(uint64_t max_bytes)
{
	cache_init(&cache);
	cache.max_bytes = max_bytes;
	cache_open(&cache);
}

/* Eviction, removal and compaction come to rest: their jobs post further jobs. A pack that could
 * not be emptied because somebody had a body of it open gets its next turn after some events; so
 * there are events here. */
static void rest(void)
{
	struct store *store = cache.store;

	for (int i = 0; i < 100 || store->jobs_out > 0 || store->evict || store->packs.compaction; i++) {
		settle(store);
		packs_tend(store);
	}
}

static void add_many(uint32_t first, uint32_t last, size_t size)
{
	for (uint32_t uid = first; uid <= last; uid++) {
		struct body *body = body_open(cache.store, BOX, uid);
		g_autoptr(GBytes) bytes = content(uid, size);

		body_add(body, 0, bytes, NULL, NULL);
		body_complete(body, size);
		body_unref(body);
		if (uid % 16 == 0)
			g_main_context_iteration(NULL, FALSE);
		while (body_pending_bytes(cache.store) > 4 * MIB)
			g_main_context_iteration(NULL, TRUE);
	}
	while (body_pending_bytes(cache.store) > 0)
		g_main_context_iteration(NULL, TRUE);
	settle(cache.store);
}

/* One by one: several at a time may lie in another order. */
static void add_in_order(uint32_t last)
{
	for (uint32_t uid = 1; uid <= last; uid++)
		add_many(uid, uid, 20000);
}

static void drop(uint32_t uid)
{
	struct body *body = open_body(cache.store, BOX, uid);

	body_drop(body);
	body_unref(body);
}

static void assert_whole(uint32_t uid, size_t size)
{
	g_assert_cmpint(check_whole(cache.store, BOX, uid, size), ==, 0);
}

static char *pack_path(uint32_t id)
{
	return g_strdup_printf("%s/bodies/000000/%u", cache.dir, id);
}

static bool has_pack(uint32_t id)
{
	g_autofree char *path = pack_path(id);

	return path_exists(path);
}

static uint64_t bytes_in_packs(unsigned *ret_count)
{
	g_autofree char *path = cache_path(&cache, "bodies/000000");
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;
	uint64_t bytes = 0;

	*ret_count = 0;
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		struct stat st;

		g_assert_cmpint(stat(file, &st), ==, 0);
		bytes += (uint64_t)st.st_size;
		(*ret_count)++;
	}
	if (dir)
		g_dir_close(dir);
	return bytes;
}

/* ---- what goes in -------------------------------------------------------------------------- */

static void small_bodies_share_a_file_and_survive_reopening(void)
{
	g_autofree char *own = NULL;
	unsigned packs;

	setup(64 * MIB);
	own = cache_path(&cache, "bodies/00face");
	add_many(1, 100, SMALL);
	g_assert_false(path_exists(own));
	g_assert_cmpuint(bytes_in_packs(&packs), ==, 100 * SMALL);
	g_assert_cmpuint(packs, ==, 1);
	cache_reopen(&cache);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 100);
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, 100 * SMALL);
	g_assert_cmpuint(store_usage(cache.store).dead_bytes, ==, 0);
	for (uint32_t uid = 1; uid <= 100; uid++)
		assert_whole(uid, SMALL);
	cache_done(&cache);
}

static void the_last_pack_goes_on_after_reopening(void)
{
	unsigned packs;

	setup(64 * MIB);
	for (uint32_t round = 0; round < 5; round++) {
		add_many(round * 10 + 1, round * 10 + 10, SMALL);
		cache_reopen(&cache);
	}
	g_assert_cmpuint(bytes_in_packs(&packs), ==, 50 * SMALL);
	g_assert_cmpuint(packs, ==, 1);
	for (uint32_t uid = 1; uid <= 50; uid++)
		assert_whole(uid, SMALL);
	cache_done(&cache);
}

static void large_and_partial_bodies_have_files_of_their_own(void)
{
	g_autofree char *large = NULL, *partial = NULL;
	g_autoptr(GBytes) some = g_bytes_new_static("abc", 3);
	struct body *body;
	unsigned packs;

	setup(64 * MIB);
	large = cache_path(&cache, "bodies/00face/1");
	partial = cache_path(&cache, "bodies/00face/2");
	g_assert_cmpint(add_whole(cache.store, BOX, 1, PACK_BODY_MAX + 1), ==, 0);
	body = open_body(cache.store, BOX, 2);
	g_assert_cmpint(add_bytes(body, 0, some), ==, 0);
	body_unref(body);
	g_assert_true(path_exists(large));
	g_assert_true(path_exists(partial));
	g_assert_cmpint(add_whole(cache.store, BOX, 3, PACK_BODY_MAX), ==, 0);
	g_assert_cmpuint(bytes_in_packs(&packs), ==, PACK_BODY_MAX);
	cache_done(&cache);
}

static void a_pack_is_bounded_and_another_one_begins(void)
{
	unsigned packs;

	setup(16 * MIB); /* packs of 1 MiB */
	add_many(1, 100, 40000);
	g_assert_cmpuint(bytes_in_packs(&packs), ==, 100 * 40000);
	g_assert_cmpuint(packs, >=, 4);
	for (uint32_t uid = 1; uid <= 100; uid++)
		assert_whole(uid, 40000);
	cache_done(&cache);
}

static void slices_of_packed_bodies_read_the_right_bytes(void)
{
	g_autoptr(GBytes) want = content(5, SMALL);
	struct read_result result = { 0 };
	struct body *body;

	setup(64 * MIB);
	add_many(1, 10, SMALL);
	cache_reopen(&cache);
	body = open_body(cache.store, BOX, 5);
	body_read(body, (struct mailfs_range){ 100, 50 }, on_read, &result);
	run_until(&result.is_done);
	g_assert_false(result.is_memory);
	g_assert_cmpmem(result.bytes, result.len,
		(const uint8_t *)g_bytes_get_data(want, NULL) + 100, 50);
	g_free(result.bytes);
	result = (struct read_result){ 0 };
	body_read(body, (struct mailfs_range){ SMALL - 7, 5000 }, on_read, &result);
	g_assert_true(result.is_done);
	g_assert_cmpuint(result.len, ==, 7); /* and nothing of the neighbour */
	g_free(result.bytes);
	body_unref(body);
	cache_done(&cache);
}

static void what_is_added_to_a_packed_body_gives_it_a_file(void)
{
	g_autoptr(GBytes) bytes = content(1, SMALL + 100);
	g_autoptr(GBytes) first = g_bytes_new_from_bytes(bytes, 0, SMALL);
	g_autoptr(GBytes) more = g_bytes_new_from_bytes(bytes, SMALL, 100);
	struct body *body;

	setup(64 * MIB);
	for (int is_early = 0; is_early < 2; is_early++) {
		body = open_body(cache.store, BOX, 1);
		body_add(body, 0, first, NULL, NULL);
		body_complete(body, SMALL);
		if (!is_early)
			rest();
		g_assert_cmpint(add_bytes(body, SMALL, more), ==, 0);
		g_assert_cmpint(add_bytes(body, 0, first), ==, 0);
		g_assert_true(body_covers(body, (struct mailfs_range){ 0, SMALL + 100 }));
		body_unref(body);
		rest();
		drop(1);
		rest();
	}
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, 0);
	cache_done(&cache);
}

static void a_body_dropped_on_its_way_is_not_there(void)
{
	g_autoptr(GBytes) bytes = content(1, SMALL);
	struct outcome outcome;
	struct body *body;

	setup(64 * MIB);
	for (int turns = 0; turns < 30; turns++) {
		outcome = (struct outcome){ 0 };
		body = open_body(cache.store, BOX, 1);
		body_add(body, 0, bytes, on_done, &outcome);
		body_complete(body, SMALL);
		for (int i = 0; i < turns % 10; i++)
			g_main_context_iteration(NULL, FALSE);
		body_drop(body);
		g_assert_false(body_is_complete(body));
		run_until(&outcome.is_done);
		body_unref(body);
		if (turns % 3 == 0)
			cache_reopen(&cache);
		g_assert_cmpint(check_whole(cache.store, BOX, 1, SMALL), ==, -1);
		g_assert_cmpuint(body_pending_bytes(cache.store), ==, 0);
	}
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 0);
	cache_done(&cache);
}

static void few_fds_serve_many_bodies(void)
{
	g_autofree struct body **bodies = g_new0(struct body *, 1000);
	struct read_result result;
	unsigned fds = 0;
	GDir *dir;

	setup(64 * MIB);
	add_many(1, 1000, SMALL);
	cache_reopen(&cache);
	for (uint32_t i = 0; i < 1000; i++) {
		bodies[i] = open_body(cache.store, BOX, i + 1);
		result = (struct read_result){ 0 };
		body_read(bodies[i], (struct mailfs_range){ 0, 1 }, on_read, &result);
		run_until(&result.is_done);
		g_assert_cmpint(result.code, ==, 0);
		g_free(result.bytes);
	}
	dir = g_dir_open("/proc/self/fd", 0, NULL);
	while (g_dir_read_name(dir))
		fds++;
	g_dir_close(dir);
	g_assert_cmpuint(fds, <, 60);
	for (uint32_t i = 0; i < 1000; i++)
		body_unref(bodies[i]);
	cache_done(&cache);
}

/* ---- damage -------------------------------------------------------------------------------- */

static void flip(uint32_t id, off_t at)
{
	g_autofree char *path = pack_path(id);
	int fd = open(path, O_RDWR);
	uint8_t byte;

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
	byte ^= 1;
	g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
	close(fd);
}

/* Lost: those in the mask of UIDs 1 … 5; the others are right. Then all can come again. */
static void assert_lost(unsigned lost)
{
	cache_open(&cache);
	for (uint32_t uid = 1; uid <= 5; uid++) {
		int code = check_whole(cache.store, BOX, uid, SMALL);

		/* Compaction may have been the first to see it. */
		if ((lost & 1u << uid) != 0)
			g_assert_true(code == MAILFS_ERROR_DISK || code == -1);
		else
			g_assert_cmpint(code, ==, 0);
	}
	for (uint32_t uid = 1; uid <= 5; uid++) {
		g_assert_cmpint(add_whole(cache.store, BOX, uid, SMALL), ==, 0);
		assert_whole(uid, SMALL);
	}
	cache_reopen(&cache);
	for (uint32_t uid = 1; uid <= 5; uid++)
		assert_whole(uid, SMALL);
	cache_done(&cache);
}

static void setup_five(void)
{
	setup(64 * MIB);
	add_many(1, 5, SMALL);
	cache_close(&cache);
}

static void a_flipped_bit_costs_one_body(void)
{
	for (off_t at = 0; at < 5 * (off_t)SMALL; at += 487) {
		setup_five();
		flip(1, at);
		assert_lost(2u << at / SMALL);
	}
}

static void a_cut_pack_costs_what_was_cut(void)
{
	for (off_t len = 0; len < 5 * (off_t)SMALL; len += 1451) {
		g_autofree char *path = NULL;

		setup_five();
		path = pack_path(1);
		g_assert_cmpint(truncate(path, len), ==, 0);
		assert_lost(0x3e & ~((2u << len / SMALL) - 1));
	}
}

static void a_missing_pack_costs_its_bodies(void)
{
	g_autofree char *path = NULL;

	setup_five();
	path = pack_path(1);
	g_assert_cmpint(unlink(path), ==, 0);
	assert_lost(0x3e);
}

static void other_things_in_place_of_a_pack_do_no_harm(void)
{
	for (int what = 0; what < 3; what++) {
		g_autofree char *path = NULL, *victim = NULL, *text = NULL;

		setup_five();
		path = pack_path(1);
		victim = g_build_filename(cache.root, "victim", NULL);
		g_assert_true(g_file_set_contents(victim, "precious", -1, NULL));
		g_assert_cmpint(unlink(path), ==, 0);
		g_assert_cmpint(what == 0 ? mkfifo(path, 0600)
				: what == 1 ? symlink(victim, path) : mkdir(path, 0700), ==, 0);
		cache_open(&cache);
		for (uint32_t uid = 1; uid <= 5; uid++)
			check_whole(cache.store, BOX, uid, SMALL);
		for (uint32_t uid = 1; uid <= 5; uid++) {
			g_assert_cmpint(add_whole(cache.store, BOX, uid, SMALL), ==, 0);
			assert_whole(uid, SMALL);
		}
		g_assert_true(g_file_get_contents(victim, &text, NULL, NULL));
		g_assert_cmpstr(text, ==, "precious");
		cache_done(&cache);
	}
}

static void packs_deleted_under_the_mount_come_again(void)
{
	g_autofree char *packs = NULL;

	setup(64 * MIB);
	packs = cache_path(&cache, "bodies/000000");
	add_many(1, 5, SMALL);
	cache_reopen(&cache);
	nftw(packs, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	for (uint32_t uid = 1; uid <= 5; uid++)
		g_assert_cmpint(check_whole(cache.store, BOX, uid, SMALL), !=, 0);
	add_many(1, 20, SMALL);
	for (uint32_t uid = 1; uid <= 20; uid++)
		assert_whole(uid, SMALL);
	cache_reopen(&cache);
	for (uint32_t uid = 1; uid <= 20; uid++)
		check_whole(cache.store, BOX, uid, SMALL);
	cache_done(&cache);
}

static void a_flip_in_the_index_never_shows_other_bytes(void)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(1);

	for (int round = 0; round < 60; round++) {
		g_autofree char *path = NULL;
		struct stat st;
		uint8_t byte;
		off_t at;
		int fd;

		setup_five();
		path = cache_path(&cache, "index.db");
		fd = open(path, O_RDWR);
		g_assert_cmpint(fstat(fd, &st), ==, 0);
		at = g_rand_int_range(random, 0, (gint32)st.st_size);
		g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
		byte ^= (uint8_t)(1u << g_rand_int_range(random, 0, 8));
		g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
		close(fd);
		cache_open(&cache);
		for (uint32_t uid = 1; uid <= 5; uid++)
			check_whole(cache.store, BOX, uid, SMALL);
		for (uint32_t uid = 6; uid <= 9; uid++)
			add_whole(cache.store, BOX, uid, SMALL); /* if the index still can */
		for (uint32_t uid = 1; uid <= 9; uid++)
			check_whole(cache.store, BOX, uid, SMALL);
		cache_done(&cache);
	}
}

static void bytes_behind_the_last_row_are_written_over(void)
{
	g_autofree char *path = NULL, *garbage = g_strnfill(SMALL + 77, 'x');
	unsigned packs;
	int fd;

	setup_five();
	path = pack_path(1);
	fd = open(path, O_WRONLY | O_APPEND);
	g_assert_cmpint(write(fd, garbage, SMALL + 77), ==, SMALL + 77);
	close(fd);
	cache_open(&cache);
	g_assert_cmpuint(store_usage(cache.store).dead_bytes, ==, SMALL + 77);
	add_many(6, 9, SMALL);
	g_assert_cmpuint(store_usage(cache.store).dead_bytes, ==, 0);
	g_assert_cmpuint(bytes_in_packs(&packs), ==, 9 * SMALL);
	for (uint32_t uid = 1; uid <= 9; uid++)
		assert_whole(uid, SMALL);
	cache_done(&cache);
}

static void packs_without_rows_are_removed_and_nothing_else(void)
{
	g_autofree char *pack = NULL, *other = NULL;

	setup_five();
	pack = pack_path(7);
	other = cache_path(&cache, "bodies/000000/07");
	g_assert_true(g_file_set_contents(pack, "x", 1, NULL));
	g_assert_true(g_file_set_contents(other, "x", 1, NULL));
	cache_open(&cache);
	rest();
	g_assert_false(path_exists(pack));
	g_assert_true(path_exists(other));
	add_many(6, 9, SMALL);
	for (uint32_t uid = 1; uid <= 9; uid++)
		assert_whole(uid, SMALL);
	cache_done(&cache);
}

/* ---- dead bytes ---------------------------------------------------------------------------- */

static void a_pack_without_live_bodies_is_removed(void)
{
	setup(16 * MIB);
	add_many(1, 100, 20000);
	g_assert_true(has_pack(1));
	for (uint32_t uid = 1; uid <= 100; uid++)
		drop(uid);
	rest();
	g_assert_false(has_pack(1));
	g_assert_false(has_pack(2));
	g_assert_cmpuint(store_usage(cache.store).dead_bytes, ==, 0);
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, 0);
	cache_done(&cache);
}

/* Packs 1 and 2 of 1 MiB are full; of the first every fourth body is left. */
static void fill_and_thin(void)
{
	setup(16 * MIB);
	add_in_order(120);
	g_assert_true(has_pack(2));
	for (uint32_t uid = 1; uid <= 50; uid++) {
		if (uid % 4 != 0)
			drop(uid);
	}
}

static void assert_thinned(void)
{
	for (uint32_t uid = 1; uid <= 120; uid++)
		g_assert_cmpint(check_whole(cache.store, BOX, uid, 20000), ==,
			uid <= 50 && uid % 4 != 0 ? -1 : 0);
}

static void a_pack_with_few_live_bodies_is_compacted(void)
{
	unsigned packs;

	fill_and_thin();
	rest();
	g_assert_false(has_pack(1));
	g_assert_cmpuint(bytes_in_packs(&packs), <, (120 - 38) * 20000 + 10 * 20000);
	assert_thinned();
	cache_reopen(&cache);
	assert_thinned();
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 120 - 38);
	cache_done(&cache);
}

static void closing_during_compaction_loses_nothing(void)
{
	for (int turns = 0; turns < 24; turns++) {
		fill_and_thin();
		for (int i = 0; i < turns; i++)
			g_main_context_iteration(NULL, FALSE);
		cache_reopen(&cache);
		assert_thinned();
		rest();
		assert_thinned();
		g_assert_false(has_pack(1));
		cache_done(&cache);
	}
}

static void bodies_that_are_held_are_not_moved(void)
{
	struct body *body;
	struct read_result result = { 0 };

	setup(16 * MIB);
	add_in_order(120);
	body = open_body(cache.store, BOX, 4);
	for (uint32_t uid = 1; uid <= 50; uid++) {
		if (uid % 4 != 0)
			drop(uid);
	}
	rest();
	g_assert_true(has_pack(1));
	body_read(body, (struct mailfs_range){ 0, 10 }, on_read, &result);
	run_until(&result.is_done);
	g_assert_cmpint(result.code, ==, 0);
	g_free(result.bytes);
	body_unref(body);
	assert_thinned();
	cache_reopen(&cache);
	rest();
	g_assert_false(has_pack(1)); /* now it is nobody's */
	assert_thinned();
	cache_done(&cache);
}

static struct body_fd *held;
static int held_fd;
static uint64_t held_offset;

static void on_read_hold(void *user, const struct body_slice *slice, const GError *error)
{
	g_assert_no_error(error);
	held_fd = slice->fd;
	held_offset = slice->offset;
	held = body_fd_hold(user);
}

static void a_held_fd_outlives_its_pack(void)
{
	g_autoptr(GBytes) want = content(2, SMALL);
	g_autofree uint8_t *got = g_malloc(SMALL);
	struct body *body;

	setup(64 * MIB);
	add_many(1, 3, SMALL);
	body = open_body(cache.store, BOX, 2);
	body_read(body, (struct mailfs_range){ 0, SMALL }, on_read_hold, body);
	while (!held)
		g_main_context_iteration(NULL, TRUE);
	body_unref(body);
	for (uint32_t uid = 1; uid <= 3; uid++)
		drop(uid);
	rest();
	g_assert_false(has_pack(1));
	add_many(4, 9, SMALL);
	g_assert_cmpint(pread(held_fd, got, SMALL, (off_t)held_offset), ==, SMALL);
	g_assert_cmpmem(got, SMALL, g_bytes_get_data(want, NULL), SMALL);
	body_fd_release(g_steal_pointer(&held));
	cache_done(&cache);
}

static void a_body_damaged_before_compaction_is_fetched_again(void)
{
	setup(16 * MIB);
	add_in_order(120);
	cache_close(&cache);
	flip(1, 3 * 20000 + 5); /* UID 4 */
	cache_open(&cache);
	for (uint32_t uid = 1; uid <= 50; uid++) {
		if (uid % 4 != 0)
			drop(uid);
	}
	rest();
	g_assert_false(has_pack(1));
	g_assert_cmpint(check_whole(cache.store, BOX, 4, 20000), ==, -1);
	assert_whole(8, 20000);
	g_assert_cmpint(add_whole(cache.store, BOX, 4, 20000), ==, 0);
	assert_thinned();
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, (120 - 38) * 20000);
	cache_done(&cache);
}

static void a_pin_survives_compaction(void)
{
	struct body *body;

	setup(16 * MIB);
	add_in_order(120);
	body = open_body(cache.store, BOX, 8);
	body_pin(body, true);
	body_unref(body);
	for (uint32_t uid = 1; uid <= 50; uid++) {
		if (uid % 4 != 0)
			drop(uid);
	}
	rest();
	g_assert_false(has_pack(1));
	add_many(1000, 3000, 20000); /* all others are evicted */
	rest();
	assert_whole(8, 20000);
	g_assert_cmpint(check_whole(cache.store, BOX, 12, 20000), ==, -1);
	cache_done(&cache);
}

static void forgotten_messages_leave_no_pack(void)
{
	struct store_batch *batch;
	uint32_t box;

	setup(64 * MIB);
	list_one(cache.store, "INBOX");
	box = store_box_id(cache.store, "INBOX", 1);
	for (uint32_t uid = 1; uid <= 20; uid++)
		g_assert_cmpint(add_whole(cache.store, box, uid, SMALL), ==, 0);
	batch = store_batch_new(cache.store, box);
	store_batch_remove(batch, 1, 10);
	g_assert_cmpint(commit(batch), ==, 0);
	rest();
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, 10 * SMALL);
	g_assert_cmpint(check_whole(cache.store, box, 3, SMALL), ==, -1);
	g_assert_cmpint(check_whole(cache.store, box, 13, SMALL), ==, 0);
	store_box_id(cache.store, "INBOX", 2);
	rest();
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, 0);
	g_assert_cmpuint(store_usage(cache.store).dead_bytes, ==, 0);
	g_assert_false(has_pack(1));
	cache_done(&cache);
}

/* ---- eviction ------------------------------------------------------------------------------ */

static void eviction_bounds_what_lies_on_the_disk(void)
{
	const uint64_t max = 16 * MIB;
	unsigned packs;

	setup(max);
	for (uint32_t uid = 1; uid <= 4000; uid += 50) {
		add_many(uid, uid + 49, 15000);
		if (uid > 1)
			check_whole(cache.store, BOX, 1, 15000); /* used all the time */
	}
	rest();
	g_assert_cmpuint(store_usage(cache.store).body_bytes, >, max / 2);
	g_assert_cmpuint(bytes_in_packs(&packs), <=, max + max / 16);
	g_assert_cmpuint(store_usage(cache.store).body_bytes + store_usage(cache.store).dead_bytes, ==,
		bytes_in_packs(&packs));
	assert_whole(1, 15000);
	assert_whole(4000, 15000);
	g_assert_cmpint(check_whole(cache.store, BOX, 2, 15000), ==, -1);
	cache_done(&cache);
}

/* Whatever is done in whatever order: what is complete is right. */
static void at_random_nothing_wrong_is_ever_read(void)
{
	enum { UIDS = 600 };
	g_autoptr(GRand) random = g_rand_new_with_seed(1);
	static const size_t sizes[] = { 100, 5000, 30000, 100000, PACK_BODY_MAX + 10 };
	unsigned packs, found = 0;

	setup(16 * MIB);
	for (int turn = 0; turn < 4000; turn++) {
		uint32_t uid = (uint32_t)g_rand_int_range(random, 1, UIDS);
		size_t size = sizes[uid % G_N_ELEMENTS(sizes)];
		int what = g_rand_int_range(random, 0, 100);

		if (what < 50)
			add_many(uid, uid, size);
		else if (what < 60)
			drop(uid);
		else if (what < 99)
			found += check_whole(cache.store, BOX, uid, size) == 0;
		else
			cache_reopen(&cache);
		g_main_context_iteration(NULL, FALSE);
	}
	rest();
	g_assert_cmpuint(found, >, 100);
	g_assert_cmpuint(bytes_in_packs(&packs), <=, 18 * MIB);
	for (uint32_t uid = 1; uid <= UIDS; uid++)
		g_assert_cmpint(check_whole(cache.store, BOX, uid, sizes[uid % G_N_ELEMENTS(sizes)]),
			<=, 0);
	cache_done(&cache);
}

static void on_a_full_disk_packs_make_room(void)
{
	unsigned kept = 0;

	cache_init(&cache);
	if (mount("tmpfs", cache.root, "tmpfs", 0, "size=24m,mode=0700") < 0) {
		g_test_skip("cannot mount a tmpfs");
		rmdir(cache.root);
		g_free(cache.dir);
		g_free(cache.root);
		return;
	}
	cache.max_bytes = 128 * MIB; /* packs of 8 MiB */
	cache_open(&cache);
	for (uint32_t uid = 1; uid <= 1500; uid++) {
		if (add_whole(cache.store, BOX, uid, 50000) == 0)
			kept += check_whole(cache.store, BOX, uid, 50000) == 0;
	}
	g_assert_false(store_is_broken(cache.store));
	g_assert_cmpuint(kept, >, 1400);
	assert_whole(1500, 50000);
	cache_close(&cache);
	g_assert_cmpint(umount2(cache.root, MNT_DETACH), ==, 0);
	rmdir(cache.root);
	g_free(cache.dir);
	g_free(cache.root);
}

/* ---- older caches -------------------------------------------------------------------------- */

static void an_older_cache_keeps_its_files(void)
{
	g_autofree char *path = NULL, *file = NULL;
	sqlite3 *db;

	setup(64 * MIB);
	path = cache_path(&cache, "index.db");
	file = cache_path(&cache, "bodies/00face/3");
	for (uint32_t uid = 1; uid <= 9; uid++)
		g_assert_cmpint(add_alone(cache.store, BOX, uid, SMALL), ==, 0);
	cache_close(&cache);
	/* As version 1 had it. */
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, "DELETE FROM meta WHERE key='schema';"
		"DROP INDEX body_pack; DROP INDEX detail_remote;"
		"ALTER TABLE body DROP COLUMN pack; ALTER TABLE body DROP COLUMN pack_offset;"
		"PRAGMA user_version=1", NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);

	cache_open(&cache);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 9);
	for (uint32_t uid = 1; uid <= 9; uid++)
		assert_whole(uid, SMALL);
	rest();
	g_assert_true(path_exists(file));
	add_many(10, 20, SMALL);
	cache_reopen(&cache);
	for (uint32_t uid = 1; uid <= 20; uid++)
		assert_whole(uid, SMALL);
	cache_done(&cache);
}

/* ---- kill -9 ------------------------------------------------------------------------------- */

#define KILL_SIZE 6000u
#define KILL_UIDS 4000u

/* The child: adds, drops and reads until it kills itself. */
static int write_until_killed(const char *dir, const char *seed)
{
	g_autoptr(GRand) random = g_rand_new_with_seed((guint32)g_ascii_strtoull(seed, NULL, 10));
	unsigned turns = (unsigned)g_rand_int_range(random, 1, 9000);

	post_workers_start(2);
	cache.dir = g_strdup(dir);
	cache.max_bytes = 16 * MIB;
	cache_open(&cache);
	for (unsigned turn = 0; turn < turns; turn++) {
		uint32_t uid = (uint32_t)g_rand_int_range(random, 1, (gint32)KILL_UIDS);
		struct body *body = body_open(cache.store, BOX, uid);
		g_autoptr(GBytes) bytes = content(uid, KILL_SIZE);

		if (uid % 3 == 0)
			body_drop(body);
		body_add(body, 0, bytes, NULL, NULL);
		body_complete(body, KILL_SIZE);
		body_unref(body);
		if (turn % 5 == 0)
			g_main_context_iteration(NULL, FALSE);
		while (body_pending_bytes(cache.store) > MIB)
			g_main_context_iteration(NULL, TRUE);
	}
	return kill(getpid(), SIGKILL);
}

static void a_killed_process_leaves_packs_that_are_right(void)
{
	g_autofree char *damaged = NULL;
	unsigned whole = 0, packs;

	cache_init(&cache);
	cache.max_bytes = 16 * MIB;
	damaged = cache_path(&cache, "index.db.damaged");
	for (unsigned round = 0; round < 12; round++) {
		run_killed_child(program, cache.dir, (unsigned)g_test_rand_int_range(0, G_MAXINT));
		cache_open(&cache);
		g_assert_false(path_exists(damaged));
		for (uint32_t uid = 1; uid < KILL_UIDS; uid += 3) {
			int code = check_whole(cache.store, BOX, uid, KILL_SIZE);

			/* A row never claims what the pack does not have. */
			g_assert_true(code == 0 || code == -1);
			whole += code == 0;
		}
		rest();
		g_assert_cmpuint(store_usage(cache.store).body_bytes +
			store_usage(cache.store).dead_bytes, >=, bytes_in_packs(&packs));
		cache_close(&cache);
	}
	g_assert_cmpuint(whole, >, 100);
	cache_open(&cache);
	cache_done(&cache);
}

#define ADD(name, fn) g_test_add_func("/store/pack/" name, fn)

int main(int argc, char **argv)
{
	int r;

	own_mounts();
	log_set_level(LOG_ERROR - 1);
	if (argc == 4 && strcmp(argv[1], WRITE_UNTIL_KILLED) == 0)
		return write_until_killed(argv[2], argv[3]);
	program = argv[0];
	g_test_init(&argc, &argv, NULL);
	post_workers_start(2);
	ADD("small ones share a file and survive reopening",
		small_bodies_share_a_file_and_survive_reopening);
	ADD("the last pack goes on after reopening", the_last_pack_goes_on_after_reopening);
	ADD("large and partial ones have files", large_and_partial_bodies_have_files_of_their_own);
	ADD("a pack is bounded", a_pack_is_bounded_and_another_one_begins);
	ADD("slices read the right bytes", slices_of_packed_bodies_read_the_right_bytes);
	ADD("what is added to a packed one gives it a file",
		what_is_added_to_a_packed_body_gives_it_a_file);
	ADD("one dropped on its way is not there", a_body_dropped_on_its_way_is_not_there);
	ADD("few fds serve many", few_fds_serve_many_bodies);
	ADD("SEC-42 a flipped bit costs one body", a_flipped_bit_costs_one_body);
	ADD("SEC-42 a cut pack costs what was cut", a_cut_pack_costs_what_was_cut);
	ADD("SEC-42 a missing pack costs its bodies", a_missing_pack_costs_its_bodies);
	ADD("SEC-40 other things in place of a pack", other_things_in_place_of_a_pack_do_no_harm);
	ADD("packs deleted under the mount come again", packs_deleted_under_the_mount_come_again);
	ADD("SEC-42 a flip in the index never shows other bytes",
		a_flip_in_the_index_never_shows_other_bytes);
	ADD("bytes behind the last row are written over",
		bytes_behind_the_last_row_are_written_over);
	ADD("packs without rows are removed", packs_without_rows_are_removed_and_nothing_else);
	ADD("a pack without live bodies is removed", a_pack_without_live_bodies_is_removed);
	ADD("a pack with few live bodies is compacted", a_pack_with_few_live_bodies_is_compacted);
	ADD("closing during compaction loses nothing", closing_during_compaction_loses_nothing);
	ADD("those that are held are not moved", bodies_that_are_held_are_not_moved);
	ADD("a held fd outlives its pack", a_held_fd_outlives_its_pack);
	ADD("one damaged before compaction comes again",
		a_body_damaged_before_compaction_is_fetched_again);
	ADD("a pin survives compaction", a_pin_survives_compaction);
	ADD("forgotten messages leave no pack", forgotten_messages_leave_no_pack);
	ADD("eviction bounds what lies on the disk", eviction_bounds_what_lies_on_the_disk);
	ADD("at random nothing wrong is ever read", at_random_nothing_wrong_is_ever_read);
	ADD("on a full disk packs make room", on_a_full_disk_packs_make_room);
	ADD("an older cache keeps its files", an_older_cache_keeps_its_files);
	ADD("a killed process leaves packs that are right",
		a_killed_process_leaves_packs_that_are_right);
	r = g_test_run();
	post_workers_stop();
	return r;
}
