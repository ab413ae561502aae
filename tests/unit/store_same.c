/* SPDX-License-Identifier: MIT */
/* One message in several mailboxes, told by its remote id: fetched and stored once. */
#include "store_test.h"

#include <fcntl.h>

#define SMALL 3000u
#define LARGE (700u << 10)
#define DATE  1700000000

static struct cache cache;
static uint32_t inbox, all;

static void open_boxes(void)
{
	static const struct mailfs_folder_info infos[] = {
		{ .name = "INBOX", .path = "INBOX", .delimiter = '/' },
		{ .name = "All", .path = "All", .delimiter = '/' },
	};

	store_set_folders(cache.store, infos, G_N_ELEMENTS(infos));
	inbox = store_box_id(cache.store, "INBOX", 1);
	all = store_box_id(cache.store, "All", 1);
}

static void setup(void)
{
	cache_init(&cache);
	cache_open(&cache);
	open_boxes();
}

/* Without waiting. */
static void put_dated(uint32_t box, uint32_t uid, const char *id, uint64_t size, int64_t date)
{
	struct store_batch *batch = store_batch_new(cache.store, box);
	struct message message = { .uid = uid, .date = date, .size = size };
	struct store_message row = { .message = &message, .remote_id = id };

	store_batch_put(batch, &row);
	store_batch_commit(batch, NULL, NULL);
}

static void put(uint32_t box, uint32_t uid, const char *id, uint64_t size)
{
	put_dated(box, uid, id, size, DATE);
}

static void remove_message(uint32_t box, uint32_t uid)
{
	struct store_batch *batch = store_batch_new(cache.store, box);

	store_batch_remove(batch, uid, uid);
	g_assert_cmpint(commit(batch), ==, 0);
}

/* Reads what is to be the bytes of `as`. 0: they are; -1: not complete; else the error. */
static int read_as(uint32_t box, uint32_t uid, uint32_t as, size_t size)
{
	struct body *body = open_body(cache.store, box, uid);
	g_autoptr(GBytes) want = content(as, size);
	g_autoptr(GBytes) got = NULL;
	int code = -1;

	if (body_is_complete(body)) {
		g_assert_cmpuint(body_size(body), ==, size);
		got = read_whole(body, &code);
		g_assert_true(!got || g_bytes_equal(got, want));
	}
	body_unref(body);
	return code;
}

static void read_copy_of(uint32_t size)
{
	setup();
	put(inbox, 1, "M1", size);
	put(all, 7, "M1", size);
	g_assert_cmpint(add_whole(cache.store, inbox, 1, size), ==, 0);
	g_assert_cmpint(read_as(all, 7, 1, size), ==, 0);
	g_assert_cmpint(read_as(all, 7, 1, size), ==, 0);
	g_assert_cmpint(read_as(inbox, 1, 1, size), ==, 0);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 1);
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, size);

	cache_reopen(&cache);
	g_assert_cmpint(read_as(all, 7, 1, size), ==, 0);
	g_assert_cmpint(read_as(inbox, 1, 1, size), ==, 0);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 1);
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, size);
	cache_done(&cache);
}

static void a_copy_is_read_from_where_it_is(void)
{
	read_copy_of(SMALL);
}

static void a_large_copy_is_read_from_where_it_is(void)
{
	read_copy_of(LARGE);
}

static void a_copy_of_another_size_date_or_id_is_none(void)
{
	setup();
	put(inbox, 1, "M1", SMALL);
	put(all, 1, "M1", SMALL + 1);
	put_dated(all, 2, "M1", SMALL, DATE + 1);
	put(all, 3, "M2", SMALL);
	put(all, 4, NULL, SMALL);
	put(all, 5, "m1", SMALL);
	put(all, 6, "M1", SMALL);
	g_assert_cmpint(add_whole(cache.store, inbox, 1, SMALL), ==, 0);
	for (int round = 0; round < 2; round++) {
		for (uint32_t uid = 1; uid <= 5; uid++)
			g_assert_cmpint(read_as(all, uid, 1, SMALL), ==, -1);
		g_assert_cmpint(read_as(all, 6, 1, SMALL), ==, 0);
		cache_reopen(&cache);
	}
	cache_done(&cache);
}

/* Its size was claimed, and what came has another: so would the copy's. */
static void a_body_that_is_not_as_long_as_was_claimed_is_not_shared(void)
{
	setup();
	put(inbox, 1, "M1", SMALL);
	put(all, 7, "M1", SMALL);
	g_assert_cmpint(add_whole(cache.store, inbox, 1, SMALL + 5), ==, 0);
	g_assert_cmpint(read_as(all, 7, 1, SMALL), ==, -1);
	cache_done(&cache);
}

static void a_partial_copy_is_not_read(void)
{
	g_autoptr(GBytes) bytes = content(1, 1000);
	struct body *body;

	setup();
	put(inbox, 1, "M1", SMALL);
	put(all, 7, "M1", SMALL);
	body = open_body(cache.store, inbox, 1);
	g_assert_cmpint(add_bytes(body, 0, bytes), ==, 0);
	body_unref(body);
	g_assert_cmpint(read_as(all, 7, 1, SMALL), ==, -1);
	cache_done(&cache);
}

static void bytes_on_their_way_to_the_disk_are_shared(void)
{
	static const uint32_t sizes[] = { SMALL, LARGE };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autoptr(GBytes) bytes = content(1, sizes[i]);
		struct body *body;

		setup();
		put(inbox, 1, "M1", sizes[i]);
		put(all, 7, "M1", sizes[i]);
		body = open_body(cache.store, inbox, 1);
		body_add(body, 0, bytes, NULL, NULL);
		body_complete(body, sizes[i]);
		body_unref(body);
		g_assert_cmpint(read_as(all, 7, 1, sizes[i]), ==, 0);
		settle(cache.store);
		cache_reopen(&cache);
		g_assert_cmpuint(body_pending_bytes(cache.store), ==, 0);
		g_assert_cmpuint(store_usage(cache.store).bodies, ==, 1);
		g_assert_cmpint(read_as(inbox, 1, 1, sizes[i]), ==, 0);
		g_assert_cmpint(read_as(all, 7, 1, sizes[i]), ==, 0);
		cache_done(&cache);
	}
}

/* What is known to be absent is known of the message that was alone, too. */
static void a_message_that_comes_later_is_a_copy_at_once(void)
{
	setup();
	put(inbox, 1, "M1", SMALL);
	put(inbox, 2, "M2", SMALL);
	g_assert_cmpint(add_whole(cache.store, inbox, 1, SMALL), ==, 0);
	g_assert_cmpint(read_as(inbox, 2, 2, SMALL), ==, -1);
	g_assert_cmpint(read_as(all, 7, 1, SMALL), ==, -1);
	put(all, 7, "M1", SMALL);
	g_assert_cmpint(read_as(all, 7, 1, SMALL), ==, 0);
	put(all, 8, "M2", SMALL);
	g_assert_cmpint(add_whole(cache.store, all, 8, SMALL), ==, 0);
	g_assert_cmpint(read_as(inbox, 2, 8, SMALL), ==, 0);
	cache_done(&cache);
}

static void a_copy_is_read_on_after_the_message_is_gone_and_fetched_later(void)
{
	static const uint32_t sizes[] = { SMALL, LARGE };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autoptr(GBytes) want = content(1, sizes[i]);
		g_autoptr(GBytes) got = NULL;
		struct body *body;
		int code;

		setup();
		put(inbox, 1, "M1", sizes[i]);
		put(all, 7, "M1", sizes[i]);
		g_assert_cmpint(add_whole(cache.store, inbox, 1, sizes[i]), ==, 0);
		cache_reopen(&cache);
		g_assert_cmpint(read_as(all, 7, 1, sizes[i]), ==, 0);
		body = open_body(cache.store, all, 7);
		remove_message(inbox, 1);
		got = read_whole(body, &code);
		g_assert_cmpint(code, ==, 0);
		g_assert_true(g_bytes_equal(got, want));
		body_unref(body);

		cache_reopen(&cache);
		g_assert_cmpint(read_as(all, 7, 1, sizes[i]), ==, -1);
		g_assert_cmpint(add_whole(cache.store, all, 7, sizes[i]), ==, 0);
		cache_reopen(&cache);
		g_assert_cmpint(read_as(all, 7, 7, sizes[i]), ==, 0);
		g_assert_cmpuint(store_usage(cache.store).bodies, ==, 1);
		cache_done(&cache);
	}
}

static void a_copy_that_is_expunged_leaves_the_bytes(void)
{
	setup();
	put(inbox, 1, "M1", SMALL);
	put(all, 7, "M1", SMALL);
	g_assert_cmpint(add_whole(cache.store, inbox, 1, SMALL), ==, 0);
	g_assert_cmpint(read_as(all, 7, 1, SMALL), ==, 0);
	remove_message(all, 7);
	g_assert_cmpint(read_as(inbox, 1, 1, SMALL), ==, 0);
	g_assert_cmpint(read_as(all, 7, 1, SMALL), ==, -1);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 1);
	cache_done(&cache);
}

static void dropping_a_copy_leaves_the_other(void)
{
	struct body *body;

	setup();
	put(inbox, 1, "M1", SMALL);
	put(all, 7, "M1", SMALL);
	g_assert_cmpint(add_whole(cache.store, inbox, 1, SMALL), ==, 0);
	body = open_body(cache.store, all, 7);
	body_drop(body);
	g_assert_false(body_is_complete(body));
	settle(cache.store);
	/* What is fetched for it now is its own. */
	g_assert_cmpint(add_whole(cache.store, all, 7, SMALL), ==, 0);
	body_unref(body);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 2);
	cache_reopen(&cache);
	g_assert_cmpint(read_as(inbox, 1, 1, SMALL), ==, 0);
	g_assert_cmpint(read_as(all, 7, 7, SMALL), ==, 0);
	cache_done(&cache);
}

/* SEC-42 */
static void damage_of_the_other_is_noticed_and_costs_a_fetch(void)
{
	g_autofree char *path = NULL;
	uint8_t byte = 'x';
	int fd;

	setup();
	put(inbox, 1, "M1", LARGE);
	put(all, 7, "M1", LARGE);
	g_assert_cmpint(add_whole(cache.store, inbox, 1, LARGE), ==, 0);
	path = g_strdup_printf("%s/bodies/%06x/1", cache.dir, inbox);
	cache_close(&cache);
	fd = open(path, O_WRONLY);
	g_assert_cmpint(pwrite(fd, &byte, 1, 1234), ==, 1);
	g_assert_cmpint(pwrite(fd, &byte, 1, 1236), ==, 1);
	close(fd);
	cache_open(&cache);
	g_assert_cmpint(read_as(all, 7, 1, LARGE), ==, MAILFS_ERROR_DISK);
	g_assert_cmpint(read_as(all, 7, 1, LARGE), ==, -1); /* nobody is given them again */
	g_assert_cmpint(add_whole(cache.store, all, 7, LARGE), ==, 0);
	g_assert_cmpint(read_as(all, 7, 7, LARGE), ==, 0);
	g_assert_cmpint(read_as(inbox, 1, 7, LARGE), ==, 0);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 1);
	cache_done(&cache);
}

/* What is read through a copy was used: the others go first. */
static void reading_a_copy_keeps_the_bytes(void)
{
	enum { EACH = 100000, KEPT = 5 };

	cache_init(&cache);
	cache.max_bytes = 2 << 20;
	cache_open(&cache);
	open_boxes();
	put(all, 7, "M5", EACH);
	for (uint32_t uid = 1; uid <= 60; uid++) {
		g_autofree char *id = g_strdup_printf("M%u", uid);

		put(inbox, uid, id, EACH);
		g_assert_cmpint(add_whole(cache.store, inbox, uid, EACH), ==, 0);
		if (uid >= KEPT)
			g_assert_cmpint(read_as(all, 7, KEPT, EACH), ==, 0);
		settle(cache.store);
	}
	g_assert_cmpuint(store_usage(cache.store).evicted, >, 30);
	g_assert_cmpint(read_as(inbox, KEPT, KEPT, EACH), ==, 0);
	cache_done(&cache);
}

static void one_id_for_all_messages_costs_no_more_than_a_few_looks(void)
{
	struct store_batch *batch;

	setup();
	batch = store_batch_new(cache.store, all);
	for (uint32_t uid = 1; uid <= 20000; uid++) {
		struct message message = { .uid = uid, .date = DATE + uid, .size = SMALL };
		struct store_message row = { .message = &message, .remote_id = "M1" };

		store_batch_put(batch, &row);
	}
	g_assert_cmpint(commit(batch), ==, 0);
	g_assert_cmpint(add_whole(cache.store, all, 2, SMALL), ==, 0);
	for (uint32_t uid = 3; uid <= 2000; uid++)
		g_assert_cmpint(read_as(all, uid, 2, SMALL), ==, -1);
	put_dated(inbox, 1, "M1", SMALL, DATE + 2);
	g_assert_cmpint(read_as(inbox, 1, 2, SMALL), ==, 0);
	cache_done(&cache);
}

static void on_details(void *user, const struct store_details *details)
{
	g_assert_nonnull(details);
	g_assert_true(details->is_body_complete);
	g_assert_cmpuint(details->body_bytes, ==, SMALL);
	*(bool *)user = true;
}

static void details_tell_that_a_copy_is_here(void)
{
	bool is_done = false;

	setup();
	put(inbox, 1, "M1", SMALL);
	put(all, 7, "M1", SMALL);
	g_assert_cmpint(add_whole(cache.store, inbox, 1, SMALL), ==, 0);
	store_load_details(cache.store, all, 7, on_details, &is_done);
	run_until(&is_done);
	cache_done(&cache);
}

#define ADD(name, fn) g_test_add_func("/store/same/" name, fn)

int main(int argc, char **argv)
{
	int r;

	log_set_level(LOG_ERROR - 1);
	g_test_init(&argc, &argv, NULL);
	post_workers_start(2);
	ADD("a copy is read from where it is", a_copy_is_read_from_where_it_is);
	ADD("a large copy is read from where it is", a_large_copy_is_read_from_where_it_is);
	ADD("a copy of another size, date or id is none", a_copy_of_another_size_date_or_id_is_none);
	ADD("SZ-1 one that is not as long as claimed is not shared",
		a_body_that_is_not_as_long_as_was_claimed_is_not_shared);
	ADD("a partial copy is not read", a_partial_copy_is_not_read);
	ADD("bytes on their way to the disk are shared", bytes_on_their_way_to_the_disk_are_shared);
	ADD("a message that comes later is a copy at once",
		a_message_that_comes_later_is_a_copy_at_once);
	ADD("a copy is read on after the message is gone",
		a_copy_is_read_on_after_the_message_is_gone_and_fetched_later);
	ADD("a copy that is expunged leaves the bytes", a_copy_that_is_expunged_leaves_the_bytes);
	ADD("dropping a copy leaves the other", dropping_a_copy_leaves_the_other);
	ADD("SEC-42 damage of the other is noticed",
		damage_of_the_other_is_noticed_and_costs_a_fetch);
	ADD("reading a copy keeps the bytes", reading_a_copy_keeps_the_bytes);
	ADD("one id for all messages costs a few looks",
		one_id_for_all_messages_costs_no_more_than_a_few_looks);
	ADD("details tell that a copy is here", details_tell_that_a_copy_is_here);
	r = g_test_run();
	post_workers_stop();
	return r;
}
