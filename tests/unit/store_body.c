/* SPDX-License-Identifier: MIT */
/* Bodies: coverage, memory and file, completeness, pins, drops. */
#include "store_test.h"

#include <zlib.h>

#include "store/extents.h"
#include "store/store_impl.h"
#include "store/uid_set.h"

#define BOX 0x00abcd

static struct cache cache;

static void setup(void)
{
	cache_init(&cache);
	cache_open(&cache);
}

static void a_new_body_covers_nothing(void)
{
	struct body *body;

	setup();
	body = open_body(cache.store, BOX, 1);
	g_assert_true(body_is_ready(body));
	g_assert_false(body_is_complete(body));
	g_assert_false(body_covers(body, (struct mailfs_range){ 0, 1 }));
	g_assert_cmpuint(body_covered_until(body, 5), ==, 5);
	body_unref(body);
	cache_done(&cache);
}

static void added_bytes_read_at_once_from_memory(void)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static("0123456789", 10);
	struct read_result result = { 0 };
	struct body *body;

	setup();
	body = open_body(cache.store, BOX, 1);
	body_add(body, 100, bytes, NULL, NULL);
	g_assert_cmpuint(body_pending_bytes(cache.store), ==, 10);
	g_assert_true(body_covers(body, (struct mailfs_range){ 100, 10 }));
	g_assert_false(body_covers(body, (struct mailfs_range){ 99, 2 }));
	g_assert_false(body_covers(body, (struct mailfs_range){ 109, 2 }));
	body_read(body, (struct mailfs_range){ 103, 100 }, on_read, &result);
	g_assert_true(result.is_done);
	g_assert_true(result.is_memory);
	g_assert_cmpmem(result.bytes, result.len, "3456789", 7);
	g_free(result.bytes);
	body_unref(body);
	cache_done(&cache);
}

static void written_bytes_read_from_the_file(void)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static("0123456789", 10);
	struct read_result result = { 0 };
	struct body *body;

	setup();
	body = open_body(cache.store, BOX, 1);
	g_assert_cmpint(add_bytes(body, 0, bytes), ==, 0);
	g_assert_cmpuint(body_pending_bytes(cache.store), ==, 0);
	body_read(body, (struct mailfs_range){ 2, 3 }, on_read, &result);
	g_assert_true(result.is_done);
	g_assert_false(result.is_memory);
	g_assert_cmpmem(result.bytes, result.len, "234", 3);
	g_free(result.bytes);
	body_unref(body);
	cache_done(&cache);
}

/* What was fetched ahead is read later: it needs neither the index nor a second look at its bytes. */
static void many_bodies_that_nobody_holds_are_at_hand(void)
{
	setup();
	for (uint32_t uid = 1; uid <= 1000; uid++)
		g_assert_cmpint(add_whole(cache.store, BOX, uid, 100), ==, 0);
	for (uint32_t uid = 1; uid <= 1000; uid++) {
		struct body *body = body_open(cache.store, BOX, uid);

		g_assert_true(body_is_ready(body));
		g_assert_true(body_is_complete(body));
		body_unref(body);
	}
	cache_done(&cache);
}

static void a_complete_body_survives_reopening(void)
{
	setup();
	g_assert_cmpint(add_whole(cache.store, BOX, 7, 5000), ==, 0);
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, 5000);
	cache_reopen(&cache);
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, 5000);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 1);
	g_assert_cmpint(check_whole(cache.store, BOX, 7, 5000), ==, 0);
	g_assert_cmpint(check_whole(cache.store, BOX, 8, 5000), ==, -1);
	cache_done(&cache);
}

static void a_large_body_in_pieces_out_of_order_is_whole(void)
{
	const size_t size = (3 << 20) + 17, cut = (1 << 20) + 5;
	g_autoptr(GBytes) bytes = content(9, size);
	g_autoptr(GBytes) first = g_bytes_new_from_bytes(bytes, 0, cut);
	g_autoptr(GBytes) rest = g_bytes_new_from_bytes(bytes, cut, size - cut);
	struct body *body;

	setup();
	body = open_body(cache.store, BOX, 9);
	g_assert_cmpint(add_bytes(body, cut, rest), ==, 0);
	body_complete(body, size);
	g_assert_false(body_is_complete(body));
	g_assert_cmpint(add_bytes(body, 0, first), ==, 0);
	body_complete(body, size);
	g_assert_true(body_is_complete(body));
	body_unref(body);
	cache_reopen(&cache);
	g_assert_cmpint(check_whole(cache.store, BOX, 9, size), ==, 0);
	cache_done(&cache);
}

static void many_small_pieces_make_few_extents(void)
{
	GArray *extents = extents_new();
	g_autoptr(GBytes) encoded = NULL;
	struct extent extent = { .len = 1000, .state = EXTENT_CHECKED };

	for (extent.offset = 0; extent.offset < 4000000; extent.offset += extent.len)
		extents_insert(extents, &extent);
	extents_merge(extents);
	g_assert_cmpuint(extents->len, ==, 4);
	g_assert_true(extents_are_whole(extents, 4000000, true));
	encoded = extents_encode(extents);
	g_assert_cmpuint(g_bytes_get_size(encoded), ==, 64);
	g_array_unref(extents);
}

static void merged_extents_have_the_checksum_of_both(void)
{
	static const uint8_t text[] = "abcdef";
	GArray *extents = extents_new();
	struct extent left = { .len = 3, .state = EXTENT_CHECKED };
	struct extent right = { .offset = 3, .len = 3, .state = EXTENT_CHECKED };

	left.crc = (uint32_t)crc32(0, text, 3);
	right.crc = (uint32_t)crc32(0, text + 3, 3);
	extents_insert(extents, &right);
	extents_insert(extents, &left);
	extents_merge(extents);
	g_assert_cmpuint(extents->len, ==, 1);
	g_assert_cmpuint(g_array_index(extents, struct extent, 0).crc, ==, crc32(0, text, 6));
	g_array_unref(extents);
}

static void a_partial_body_keeps_its_extents(void)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static("0123456789", 10);
	struct read_result result = { 0 };
	struct body *body;

	setup();
	body = open_body(cache.store, BOX, 2);
	g_assert_cmpint(add_bytes(body, 1000, bytes), ==, 0);
	g_assert_cmpint(add_bytes(body, 5000, bytes), ==, 0);
	body_unref(body);
	cache_reopen(&cache);
	body = open_body(cache.store, BOX, 2);
	g_assert_false(body_is_complete(body));
	g_assert_cmpuint(body_covered_until(body, 1000), ==, 1010);
	g_assert_cmpuint(body_covered_until(body, 5003), ==, 5010);
	g_assert_false(body_covers(body, (struct mailfs_range){ 1000, 4010 }));
	body_read(body, (struct mailfs_range){ 5004, 99 }, on_read, &result);
	g_assert_false(result.is_done); /* not before it was checked */
	run_until(&result.is_done);
	g_assert_cmpmem(result.bytes, result.len, "456789", 6);
	g_free(result.bytes);
	body_unref(body);
	cache_done(&cache);
}

static void bytes_that_are_here_are_skipped(void)
{
	g_autoptr(GBytes) some = g_bytes_new_static("cde", 3);
	g_autoptr(GBytes) all = g_bytes_new_static("abcdefgh", 8);
	g_autoptr(GBytes) got = NULL;
	struct body *body;
	int code;

	setup();
	body = open_body(cache.store, BOX, 2);
	g_assert_cmpint(add_bytes(body, 2, some), ==, 0);
	g_assert_cmpint(add_bytes(body, 0, all), ==, 0);
	g_assert_cmpint(add_bytes(body, 0, all), ==, 0);
	body_complete(body, 8);
	got = read_whole(body, &code);
	g_assert_true(g_bytes_equal(got, all));
	g_assert_cmpuint(body_pending_bytes(cache.store), ==, 0);
	body_unref(body);
	cache_done(&cache);
}

static void bytes_added_before_the_index_answered_are_kept(void)
{
	g_autoptr(GBytes) bytes = content(3, 100);
	struct outcome outcome = { 0 };
	struct body *body;

	setup();
	g_assert_cmpint(add_whole(cache.store, BOX, 3, 40), ==, 0);
	cache_reopen(&cache);
	body = body_open(cache.store, BOX, 3);
	g_assert_false(body_is_ready(body));
	body_add(body, 0, bytes, on_done, &outcome);
	body_complete(body, 100);
	run_until(&outcome.is_done);
	g_assert_cmpint(outcome.code, ==, 0);
	body_unref(body);
	cache_reopen(&cache);
	g_assert_cmpint(check_whole(cache.store, BOX, 3, 100), ==, 0);
	cache_done(&cache);
}

static void an_empty_body_can_be_complete(void)
{
	struct body *body;

	setup();
	body = open_body(cache.store, BOX, 4);
	body_complete(body, 0);
	g_assert_true(body_is_complete(body));
	body_unref(body);
	cache_reopen(&cache);
	body = open_body(cache.store, BOX, 4);
	g_assert_true(body_is_complete(body));
	g_assert_cmpuint(body_size(body), ==, 0);
	body_unref(body);
	cache_done(&cache);
}

static void objects_of_one_message_are_one(void)
{
	struct body *one, *two;

	setup();
	one = body_open(cache.store, BOX, 5);
	two = body_open(cache.store, BOX, 5);
	g_assert_true(one == two);
	body_unref(one);
	body_unref(two);
	cache_done(&cache);
}

static void bodies_that_are_absent_are_ready_at_once(void)
{
	struct body *body;

	setup();
	g_assert_cmpint(add_whole(cache.store, BOX, 1, 10), ==, 0);
	g_assert_cmpint(add_alone(cache.store, BOX, 2, 10), ==, 0);
	cache_reopen(&cache);
	body_unref(open_body(cache.store, BOX, 99)); /* the first question is for all */
	settle(cache.store);
	for (uint32_t uid = 1; uid <= 5; uid++) {
		body = body_open(cache.store, BOX, uid);
		g_assert_cmpint(body_is_ready(body), ==, uid > 2);
		body_unref(body);
	}
	cache_done(&cache);
}

static void what_comes_and_goes_is_neither_missed_nor_made_up(void)
{
	static const uint32_t uids[] = { 1, 1023, 1024, 70000, UINT32_MAX };

	setup();
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < G_N_ELEMENTS(uids); i++) {
			struct body *body;

			g_assert_cmpint(add_whole(cache.store, BOX, uids[i], 10), ==, 0);
			g_assert_cmpint(check_whole(cache.store, BOX, uids[i], 10), ==, 0);
			cache_reopen(&cache);
			g_assert_cmpint(check_whole(cache.store, BOX, uids[i], 10), ==, 0);
			body = open_body(cache.store, BOX, uids[i]);
			body_drop(body);
			body_unref(body);
			settle(cache.store);
			g_assert_cmpint(check_whole(cache.store, BOX, uids[i], 10), ==, -1);
		}
	}
	cache_done(&cache);
}

static void a_set_has_what_was_added_and_not_removed(void)
{
	static const uint32_t uids[] = { 0, 1, 63, 64, 1023, 1024, 1u << 31, UINT32_MAX };
	struct uid_set *set = uid_set_new();

	for (size_t i = 0; i < G_N_ELEMENTS(uids); i++) {
		g_assert_false(uid_set_has(set, uids[i]));
		uid_set_add(set, uids[i]);
		g_assert_true(uid_set_has(set, uids[i]));
	}
	g_assert_cmpuint(uid_set_blocks(set), ==, 4);
	uid_set_remove(set, 64);
	uid_set_remove(set, 5000000);
	for (size_t i = 0; i < G_N_ELEMENTS(uids); i++)
		g_assert_cmpint(uid_set_has(set, uids[i]), ==, uids[i] != 64);
	uid_set_free(set);
}

static GAsyncQueue *gate;

static int gate_run(struct store_thread *thread, struct store_job *job)
{
	g_async_queue_pop(gate);
	return SQLITE_OK;
}

struct early {
	bool is_ready, is_committed, was_ready_before;
};

static void on_early_commit(void *user, const GError *error)
{
	struct early *early = user;

	early->is_committed = true;
	early->was_ready_before = early->is_ready;
}

static void a_whole_body_does_not_wait_for_a_commit(void)
{
	struct store_job *wait = g_new0(struct store_job, 1);
	struct store_batch *batch;
	struct early early = { 0 };
	struct body *body;

	setup();
	g_assert_cmpint(add_whole(cache.store, BOX, 1, 10), ==, 0);
	cache_reopen(&cache);
	/* Until both are posted the store thread does neither. */
	gate = g_async_queue_new();
	wait->run = gate_run;
	store_thread_post(cache.store->thread, wait);
	batch = store_batch_new(cache.store, 0xfffff1);
	store_batch_commit(batch, on_early_commit, &early);
	body = body_open(cache.store, BOX, 1);
	body_when_ready(body, on_ready, &early.is_ready);
	g_async_queue_push(gate, gate);
	run_until(&early.is_committed);
	g_async_queue_unref(gate);
	g_assert_true(early.was_ready_before);
	body_unref(body);
	cache_done(&cache);
}

static void a_forgotten_waiter_is_not_run(void)
{
	bool is_one = false, is_two = false;
	struct body *body;

	setup();
	body = body_open(cache.store, BOX, 5);
	body_when_ready(body, on_ready, &is_one);
	body_when_ready(body, on_ready, &is_two);
	body_forget_waiter(body, &is_one);
	run_until(&is_two);
	g_assert_false(is_one);
	body_unref(body);
	cache_done(&cache);
}

/* As a file that was unlinked, whether its bytes reached the disk or not. */
static void what_is_held_can_be_read_after_its_message_went(gconstpointer is_written)
{
	static const char text[] = "0123456789";
	g_autoptr(GBytes) bytes = g_bytes_new_static(text, 10);
	struct store_batch *batch;
	struct read_result result = { 0 };
	struct body *body, *other;

	setup();
	body = open_body(cache.store, BOX, 1);
	body_add(body, 0, bytes, NULL, NULL);
	body_complete(body, 10);
	if (is_written)
		settle(cache.store);
	batch = store_batch_new(cache.store, BOX);
	store_batch_remove(batch, 1, 1);
	store_batch_commit(batch, NULL, NULL);
	g_assert_cmpuint(body_pending_bytes(cache.store), ==, 0);
	settle(cache.store);
	body_read(body, (struct mailfs_range){ 2, 100 }, on_read, &result);
	run_until(&result.is_done);
	g_assert_cmpmem(result.bytes, result.len, text + 2, 8);
	g_free(result.bytes);
	other = open_body(cache.store, BOX, 1);
	g_assert_true(other != body);
	body_unref(other);
	body_unref(body);
	g_assert_cmpuint(body_pending_bytes(cache.store), ==, 0);
	cache_done(&cache);
}

static void a_dropped_body_is_gone_and_can_be_fetched_again(void)
{
	g_autofree char *file = NULL;
	struct body *body;

	setup();
	file = g_build_filename(cache.dir, "bodies", "00abcd", "6", NULL);
	g_assert_cmpint(add_alone(cache.store, BOX, 6, 300), ==, 0);
	g_assert_true(path_exists(file));
	body = open_body(cache.store, BOX, 6);
	body_drop(body);
	g_assert_false(body_is_complete(body));
	g_assert_cmpuint(body_covered_until(body, 0), ==, 0);
	settle(cache.store);
	g_assert_false(path_exists(file));
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, 0);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 0);
	body_unref(body);
	g_assert_cmpint(add_whole(cache.store, BOX, 6, 300), ==, 0);
	cache_reopen(&cache);
	g_assert_cmpint(check_whole(cache.store, BOX, 6, 300), ==, 0);
	cache_done(&cache);
}

static void dropping_while_writing_loses_nothing_that_comes_after(void)
{
	g_autoptr(GBytes) bytes = content(6, 5000);
	struct outcome first = { 0 }, second = { 0 };
	struct body *body;

	setup();
	for (int i = 0; i < 50; i++) {
		first = second = (struct outcome){ 0 };
		body = open_body(cache.store, BOX, 6);
		body_drop(body);
		body_add(body, 0, bytes, on_done, &first);
		body_drop(body);
		body_add(body, 0, bytes, on_done, &second);
		body_complete(body, 5000);
		run_until(&first.is_done);
		run_until(&second.is_done);
		g_assert_cmpint(first.code, ==, MAILFS_ERROR_CANCELLED);
		g_assert_cmpint(second.code, ==, 0);
		body_drop(body);
		body_add(body, 0, bytes, NULL, NULL);
		body_complete(body, 5000);
		body_unref(body);
	}
	cache_reopen(&cache);
	g_assert_cmpint(check_whole(cache.store, BOX, 6, 5000), ==, 0);
	cache_done(&cache);
}

static struct body_fd *held;
static int held_fd;

static void on_read_hold_fd(void *user, const struct body_slice *slice, const GError *error)
{
	g_assert_no_error(error);
	held_fd = slice->fd;
	held = body_fd_hold(user);
}

static void a_held_fd_outlives_the_body(void)
{
	char got[4] = "";
	g_autoptr(GBytes) bytes = g_bytes_new_static("abcdef", 6);
	struct body *body;

	setup();
	body = open_body(cache.store, BOX, 6);
	g_assert_cmpint(add_bytes(body, 0, bytes), ==, 0);
	body_read(body, (struct mailfs_range){ 1, 3 }, on_read_hold_fd, body);
	body_drop(body);
	body_unref(body);
	settle(cache.store);
	g_assert_cmpint(pread(held_fd, got, 3, 1), ==, 3);
	g_assert_cmpstr(got, ==, "bcd");
	body_fd_release(held);
	cache_done(&cache);
}

static void a_pin_is_remembered_without_bytes(void)
{
	struct body *body;

	setup();
	body = open_body(cache.store, BOX, 8);
	body_pin(body, true);
	body_unref(body);
	cache_reopen(&cache);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 1);
	body = open_body(cache.store, BOX, 8);
	body_pin(body, false);
	settle(cache.store);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 0);
	body_unref(body);
	cache_done(&cache);
}

static void closing_writes_what_was_added(void)
{
	g_autoptr(GBytes) bytes = content(11, 100000);
	struct body *body;

	setup();
	body = open_body(cache.store, BOX, 11);
	body_add(body, 0, bytes, NULL, NULL);
	body_complete(body, 100000);
	body_unref(body);
	cache_reopen(&cache);
	g_assert_cmpint(check_whole(cache.store, BOX, 11, 100000), ==, 0);
	cache_done(&cache);
}

static void a_body_that_is_held_over_closing_is_empty(void)
{
	struct read_result result = { 0 };
	struct body *body;

	setup();
	g_assert_cmpint(add_whole(cache.store, BOX, 12, 10), ==, 0);
	body = open_body(cache.store, BOX, 12);
	cache_close(&cache);
	g_assert_false(body_is_complete(body));
	body_read(body, (struct mailfs_range){ 0, 1 }, on_read, &result);
	g_assert_cmpint(result.code, ==, MAILFS_ERROR_GONE);
	body_unref(body);
	cache_done(&cache);
}

static void a_read_that_waits_at_close_is_answered(void)
{
	struct read_result result = { 0 };
	struct body *body;

	setup();
	g_assert_cmpint(add_whole(cache.store, BOX, 12, 10), ==, 0);
	cache_reopen(&cache);
	body = open_body(cache.store, BOX, 12);
	body_read(body, (struct mailfs_range){ 0, 1 }, on_read, &result);
	body_unref(body);
	cache_close(&cache);
	g_assert_cmpint(result.code, ==, MAILFS_ERROR_DISK);
	cache_done(&cache);
}

static void reading_what_is_not_here_says_gone(void)
{
	struct read_result result = { 0 };
	struct body *body;

	setup();
	body = open_body(cache.store, BOX, 13);
	body_read(body, (struct mailfs_range){ 0, 1 }, on_read, &result);
	g_assert_true(result.is_done);
	g_assert_cmpint(result.code, ==, MAILFS_ERROR_GONE);
	body_unref(body);
	cache_done(&cache);
}

static void files_and_directories_are_private(void)
{
	static const char *const names[] = { "", "lock", "index.db", "index.db-wal", "bodies",
		"bodies/00abcd", "bodies/00abcd/1", "bodies/000000", "bodies/000000/1" };
	mode_t mask = umask(0);

	setup();
	g_assert_cmpint(add_alone(cache.store, BOX, 1, 10), ==, 0);
	g_assert_cmpint(add_whole(cache.store, BOX, 2, 10), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = cache_path(&cache, names[i]);
		struct stat st;

		g_assert_cmpint(lstat(path, &st), ==, 0);
		g_assert_cmpint(st.st_mode & 0777, ==, S_ISDIR(st.st_mode) ? 0700 : 0600);
	}
	umask(mask);
	cache_done(&cache);
}

#define ADD(name, fn) g_test_add_func("/store/body/" name, fn)

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	post_workers_start(2);
	ADD("a new one covers nothing", a_new_body_covers_nothing);
	ADD("added bytes read at once from memory", added_bytes_read_at_once_from_memory);
	ADD("written bytes read from the file", written_bytes_read_from_the_file);
	ADD("many that nobody holds", many_bodies_that_nobody_holds_are_at_hand);
	ADD("a complete one survives reopening", a_complete_body_survives_reopening);
	ADD("pieces out of order are whole", a_large_body_in_pieces_out_of_order_is_whole);
	ADD("many small pieces make few extents", many_small_pieces_make_few_extents);
	ADD("merged extents have the checksum of both", merged_extents_have_the_checksum_of_both);
	ADD("a partial one keeps its extents", a_partial_body_keeps_its_extents);
	ADD("bytes that are here are skipped", bytes_that_are_here_are_skipped);
	ADD("bytes added before the index answered are kept",
		bytes_added_before_the_index_answered_are_kept);
	ADD("an empty one can be complete", an_empty_body_can_be_complete);
	ADD("objects of one message are one", objects_of_one_message_are_one);
	ADD("absent ones are ready at once", bodies_that_are_absent_are_ready_at_once);
	ADD("what comes and goes is neither missed nor made up",
		what_comes_and_goes_is_neither_missed_nor_made_up);
	ADD("a set of UIDs has what was added", a_set_has_what_was_added_and_not_removed);
	ADD("a whole one does not wait for a commit", a_whole_body_does_not_wait_for_a_commit);
	ADD("a forgotten waiter is not run", a_forgotten_waiter_is_not_run);
	ADD("a dropped one is gone, can be fetched again",
		a_dropped_body_is_gone_and_can_be_fetched_again);
	g_test_add_data_func("/store/body/a held one in memory outlives its message", NULL,
		what_is_held_can_be_read_after_its_message_went);
	g_test_add_data_func("/store/body/a held one on disk outlives its message", "",
		what_is_held_can_be_read_after_its_message_went);
	ADD("dropping while writing loses nothing after",
		dropping_while_writing_loses_nothing_that_comes_after);
	ADD("a held fd outlives the body", a_held_fd_outlives_the_body);
	ADD("a pin is remembered without bytes", a_pin_is_remembered_without_bytes);
	ADD("closing writes what was added", closing_writes_what_was_added);
	ADD("one held over closing is empty", a_body_that_is_held_over_closing_is_empty);
	ADD("a read that waits at close is answered", a_read_that_waits_at_close_is_answered);
	ADD("reading what is not here says gone", reading_what_is_not_here_says_gone);
	ADD("files and directories are private", files_and_directories_are_private);
	r = g_test_run();
	post_workers_stop();
	return r;
}
