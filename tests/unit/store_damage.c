/* SPDX-License-Identifier: MIT */
/*
 * Damage of any kind costs bandwidth only: flipped bits, cut files, foreign files, links, a full
 * disk under the index, a process that is killed.
 */
#include "store_killed.h"
#include "store_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <sqlite3.h>

#define ROWS       60u
#define BODIES     6u
#define BODY_SIZE  700u
#define VALIDITY   4711u
#define KILL_SIZE  6000u

static struct cache cache;
static uint32_t box;

/* ---- a cache with known content ------------------------------------------------------------ */

static struct message message_of(uint32_t uid)
{
	return (struct message){ .uid = uid,
		.date = 1700000000 + uid,
		.ctime_ns = (1700000000 + (int64_t)uid) * 1000000000,
		.size = BODY_SIZE + uid,
		.name_hash = uid * 31,
		.flags = uid % 3 ? MAILFS_FLAG_SEEN : 0 };
}

static void put_message(struct store_batch *batch, uint32_t uid)
{
	struct message message = message_of(uid);
	g_autofree char *subject = g_strdup_printf("subject of %u", uid);
	g_autofree char *name = g_strdup_printf("name of %u.eml", uid);
	g_autofree char *remote_id = g_strdup_printf("M%u", uid);
	struct mailfs_head head = { .subject = subject, .from = "Ann <ann@example.org>" };
	struct store_message row = { &message, uid % 5 ? NULL : "work", name, &head, remote_id, NULL,
		uid };

	store_batch_put(batch, &row);
}

/* False: there is damage that only writing finds. */
static bool try_fill(void)
{
	struct store_batch *batch;
	bool is_good;

	list_one(cache.store, "INBOX");
	box = store_box_id(cache.store, "INBOX", VALIDITY);
	batch = store_batch_new(cache.store, box);
	for (uint32_t uid = 1; uid <= ROWS; uid++)
		put_message(batch, uid);
	store_batch_set_state(batch, ROWS, 1, ROWS, ROWS / 3);
	is_good = commit(batch) == 0;
	for (uint32_t uid = 1; is_good && uid <= BODIES; uid++)
		is_good = add_alone(cache.store, box, uid, BODY_SIZE) == 0;
	g_assert_true(is_good || store_is_broken(cache.store));
	return is_good;
}

static void setup(void)
{
	cache_init(&cache);
	cache_open(&cache);
	g_assert_true(try_fill());
}

static bool is_box_whole(void)
{
	struct mailbox *loaded = load_box(cache.store, box);
	bool is_whole = loaded != NULL;

	if (!loaded)
		return false;
	/* What loads is right in every field: no row is missing, none has changed. */
	g_assert_cmpuint(loaded->uidvalidity, ==, VALIDITY);
	if (loaded->modseq == 0) { /* was forgotten and begins anew */
		g_assert_cmpuint(mailbox_count(loaded), ==, 0);
		is_whole = false;
	} else {
		g_assert_cmpuint(mailbox_count(loaded), ==, ROWS);
		g_assert_cmpuint(loaded->modseq, ==, ROWS);
	}
	for (uint32_t uid = 1; uid <= mailbox_count(loaded); uid++) {
		struct message want = message_of(uid), *got = mailbox_find(loaded, uid);

		g_assert_nonnull(got);
		g_assert_cmpstr(mailbox_keywords(loaded, got->keywords), ==, uid % 5 ? "" : "work");
		want.bits = MESSAGE_HAS_HEAD;
		want.keywords = got->keywords;
		g_assert_cmpmem(got, sizeof(*got), &want, sizeof(want));
	}
	mailbox_free(loaded);
	return is_whole;
}

static void check_names(void *user, size_t count, const uint32_t *uids, const char *const *names)
{
	for (size_t i = 0; i < count; i++) {
		g_autofree char *want = g_strdup_printf("name of %u.eml", uids[i]);

		g_assert_cmpstr(names[i], ==, want);
	}
	*(bool *)user = true;
}

struct one_detail {
	uint32_t uid;
	bool is_done;
};

static void check_details(void *user, const struct store_details *details)
{
	struct one_detail *one = user;

	one->is_done = true;
	if (details && details->has_head) {
		g_autofree char *want = g_strdup_printf("subject of %u", one->uid);

		g_assert_cmpstr(details->head.subject, ==, want);
		g_assert_cmpstr(details->head.from, ==, "Ann <ann@example.org>");
	}
	if (details && details->remote_id) {
		g_autofree char *want = g_strdup_printf("M%u", one->uid);

		g_assert_cmpstr(details->remote_id, ==, want);
	}
}

/* Nothing wrong is told, whatever is missing. */
static bool check_all(void)
{
	bool is_whole = is_box_whole(), is_done = false;

	store_load_names(cache.store, box, 0, 1000, check_names, &is_done);
	run_until(&is_done);
	for (uint32_t uid = 1; uid <= 10; uid++) {
		struct one_detail one = { .uid = uid };

		store_load_details(cache.store, box, uid, check_details, &one);
		run_until(&one.is_done);
	}
	for (uint32_t uid = 1; uid <= BODIES; uid++)
		check_whole(cache.store, box, uid, BODY_SIZE);
	return is_whole;
}

static bool is_all_right(void)
{
	bool is_right = !store_is_broken(cache.store) && try_fill();

	cache_reopen(&cache);
	is_right = is_right && check_all();
	for (uint32_t uid = 1; is_right && uid <= BODIES; uid++)
		is_right = check_whole(cache.store, box, uid, BODY_SIZE) == 0;
	return is_right;
}

/* What reading did not notice, writing does, or reading what was written. The next open heals. */
static void assert_works_again(void)
{
	for (int opens = 0; !is_all_right(); opens++)
		g_assert_cmpint(opens, <, 3);
}

/* ---- bodies -------------------------------------------------------------------------------- */

static char *body_path(uint32_t uid)
{
	return g_strdup_printf("%s/bodies/%06x/%u", cache.dir, box, uid);
}

static void flip(const char *path, long at, uint8_t mask)
{
	int fd = open(path, O_RDWR);
	uint8_t byte;

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
	byte ^= mask;
	g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
	close(fd);
}

static void assert_damage_is_noticed(uint32_t uid)
{
	struct body *body;

	cache_open(&cache);
	g_assert_cmpint(check_whole(cache.store, box, uid, BODY_SIZE), ==, MAILFS_ERROR_DISK);
	body = open_body(cache.store, box, uid);
	g_assert_false(body_is_complete(body));
	g_assert_cmpuint(body_covered_until(body, 0), ==, 0);
	body_unref(body);
	g_assert_cmpint(add_alone(cache.store, box, uid, BODY_SIZE), ==, 0);
	g_assert_cmpint(check_whole(cache.store, box, uid, BODY_SIZE), ==, 0);
	cache_close(&cache);
}

static void a_flip_of_any_byte_of_a_body_is_noticed(void)
{
	g_autofree char *path = NULL;

	setup();
	path = body_path(1);
	cache_close(&cache);
	for (long at = 0; at < (long)BODY_SIZE; at += at < 16 ? 1 : 7) {
		flip(path, at, (uint8_t)(1u << (at % 8)));
		assert_damage_is_noticed(1);
	}
	cache_open(&cache);
	cache_done(&cache);
}

static void a_body_cut_at_any_length_is_noticed(void)
{
	g_autofree char *path = NULL;

	setup();
	path = body_path(1);
	cache_close(&cache);
	for (long len = 0; len < (long)BODY_SIZE; len += 13) {
		g_assert_cmpint(truncate(path, len), ==, 0);
		assert_damage_is_noticed(1);
	}
	g_assert_cmpint(unlink(path), ==, 0);
	assert_damage_is_noticed(1);
	cache_open(&cache);
	cache_done(&cache);
}

static void damage_in_one_extent_leaves_the_others(void)
{
	enum { BIG = 3 << 20 };
	g_autofree char *path = NULL;
	g_autoptr(GBytes) bytes = content(9, BIG);
	g_autoptr(GBytes) middle = g_bytes_new_from_bytes(bytes, 1 << 20, 1 << 20);
	struct read_result result = { 0 };
	struct body *body;

	setup();
	g_assert_cmpint(add_alone(cache.store, box, 9, BIG), ==, 0);
	path = body_path(9);
	cache_close(&cache);
	flip(path, (1 << 20) + 77, 1);
	cache_open(&cache);
	body = open_body(cache.store, box, 9);
	body_read(body, (struct mailfs_range){ 1 << 20, 100 }, on_read, &result);
	run_until(&result.is_done);
	g_assert_cmpint(result.code, ==, MAILFS_ERROR_DISK);
	g_assert_false(body_is_complete(body));
	g_assert_cmpuint(body_covered_until(body, 0), ==, 1 << 20);
	g_assert_true(body_covers(body, (struct mailfs_range){ 2 << 20, 1 << 20 }));
	g_assert_cmpint(add_bytes(body, 1 << 20, middle), ==, 0);
	body_complete(body, BIG);
	body_unref(body);
	cache_reopen(&cache);
	g_assert_cmpint(check_whole(cache.store, box, 9, BIG), ==, 0);
	cache_done(&cache);
}

static void bodies_deleted_under_the_mount_come_again(void)
{
	g_autofree char *bodies = NULL;

	setup();
	bodies = cache_path(&cache, "bodies");
	cache_reopen(&cache);
	nftw(bodies, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	g_assert_false(path_exists(bodies));
	for (uint32_t uid = 1; uid <= BODIES; uid++) {
		g_assert_cmpint(check_whole(cache.store, box, uid, BODY_SIZE), ==, MAILFS_ERROR_DISK);
		g_assert_cmpint(add_alone(cache.store, box, uid, BODY_SIZE), ==, 0);
		g_assert_cmpint(check_whole(cache.store, box, uid, BODY_SIZE), ==, 0);
	}
	cache_done(&cache);
}

static void a_piece_for_a_body_whose_file_is_gone_begins_a_new_one(void)
{
	g_autoptr(GBytes) bytes = content(9, 3000);
	g_autoptr(GBytes) first = g_bytes_new_from_bytes(bytes, 0, 1000);
	g_autoptr(GBytes) second = g_bytes_new_from_bytes(bytes, 1000, 2000);
	g_autofree char *path = NULL;
	struct body *body;

	setup();
	body = open_body(cache.store, box, 9);
	g_assert_cmpint(add_bytes(body, 0, first), ==, 0);
	body_unref(body);
	path = body_path(9);
	cache_reopen(&cache);
	g_assert_cmpint(unlink(path), ==, 0);
	body = open_body(cache.store, box, 9);
	g_assert_cmpint(add_bytes(body, 1000, second), ==, 0);
	g_assert_cmpuint(body_covered_until(body, 0), ==, 0);
	g_assert_cmpint(add_bytes(body, 0, first), ==, 0);
	body_complete(body, 3000);
	body_unref(body);
	cache_reopen(&cache);
	g_assert_cmpint(check_whole(cache.store, box, 9, 3000), ==, 0);
	cache_done(&cache);
}

/* ---- the index ----------------------------------------------------------------------------- */

/* The files of a closed cache, to begin each round from. */
struct snapshot {
	uint32_t box;
	char *index;
	gsize index_len;
	GBytes *bodies[BODIES];
};

static void snapshot_take(struct snapshot *snapshot)
{
	g_autofree char *path = cache_path(&cache, "index.db");

	snapshot->box = box;
	g_assert_true(g_file_get_contents(path, &snapshot->index, &snapshot->index_len, NULL));
	for (uint32_t i = 0; i < BODIES; i++)
		snapshot->bodies[i] = content(i + 1, BODY_SIZE);
}

static void snapshot_restore(const struct snapshot *snapshot)
{
	g_autofree char *path = cache_path(&cache, "index.db");
	g_autofree char *wal = cache_path(&cache, "index.db-wal");
	g_autofree char *box_dir = g_strdup_printf("%s/bodies/%06x", cache.dir, snapshot->box);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	box = snapshot->box; /* another, when the row that gave it was damaged */
	g_assert_cmpint(write(fd, snapshot->index, snapshot->index_len), ==,
		(ssize_t)snapshot->index_len);
	close(fd);
	unlink(wal);
	g_mkdir_with_parents(box_dir, 0700);
	for (uint32_t i = 0; i < BODIES; i++) {
		g_autofree char *body = body_path(i + 1);
		int body_fd = open(body, O_WRONLY | O_CREAT, 0600);

		g_assert_cmpint(write(body_fd, g_bytes_get_data(snapshot->bodies[i], NULL), BODY_SIZE),
			==, BODY_SIZE);
		close(body_fd);
	}
}

static void snapshot_done(struct snapshot *snapshot)
{
	g_free(snapshot->index);
	for (uint32_t i = 0; i < BODIES; i++)
		g_bytes_unref(snapshot->bodies[i]);
}

static void a_flip_in_the_index_never_shows_anything_wrong(void)
{
	/* Always the same: there are too many to try all of them. */
	g_autoptr(GRand) random = g_rand_new_with_seed(1);
	struct snapshot snapshot;
	g_autofree char *path = NULL;
	unsigned harmless = 0;

	setup();
	cache_close(&cache);
	snapshot_take(&snapshot);
	path = cache_path(&cache, "index.db");
	for (int i = 0; i < 400; i++) {
		/* The first pages hold the header and the schema: look there more often. */
		long range = i % 4 == 0 ? 4096 : (long)snapshot.index_len;
		long at = g_rand_int_range(random, 0, (gint32)range);

		snapshot_restore(&snapshot);
		flip(path, at, (uint8_t)(1u << g_rand_int_range(random, 0, 8)));
		cache_open(&cache);
		harmless += check_all();
		if (i % 20 == 0)
			assert_works_again();
		cache_close(&cache);
	}
	g_assert_cmpuint(harmless, >, 0);
	g_assert_cmpuint(harmless, <, 400);
	snapshot_done(&snapshot);
	cache_open(&cache);
	cache_done(&cache);
}

/* A row with another key than its neighbours allow can be read, but not found. */
static void a_flip_in_a_key_heals(void)
{
	struct snapshot snapshot;
	g_autofree char *path = NULL;
	unsigned found = 0;
	uint8_t key[4];

	setup();
	cache_close(&cache);
	snapshot_take(&snapshot);
	path = cache_path(&cache, "index.db");
	key[0] = (uint8_t)(box >> 16); /* as SQLite stores it, followed by a small UID */
	key[1] = (uint8_t)(box >> 8);
	key[2] = (uint8_t)box;
	key[3] = 3;
	for (gsize at = 0; at + sizeof(key) <= snapshot.index_len; at++) {
		if (memcmp(snapshot.index + at, key, sizeof(key)) != 0)
			continue;
		found++;
		for (unsigned bit = 0; bit < 32; bit++) {
			snapshot_restore(&snapshot);
			flip(path, (long)(at + bit / 8), (uint8_t)(1u << bit % 8));
			cache_open(&cache);
			check_all();
			assert_works_again();
			cache_close(&cache);
		}
	}
	g_assert_cmpuint(found, ==, 5); /* message, name, detail with its index, body */
	snapshot_done(&snapshot);
	cache_open(&cache);
	cache_done(&cache);
}

static void a_page_of_zeros_or_noise_never_shows_anything_wrong(void)
{
	struct snapshot snapshot;
	g_autofree char *path = NULL;

	setup();
	cache_close(&cache);
	snapshot_take(&snapshot);
	path = cache_path(&cache, "index.db");
	for (gsize at = 0; at < snapshot.index_len; at += 2048) {
		g_autoptr(GBytes) noise = content((uint32_t)at + 3, 2048);
		static const uint8_t zeros[2048];
		int fd;

		snapshot_restore(&snapshot);
		fd = open(path, O_WRONLY);
		g_assert_cmpint(pwrite(fd, at % 4096 ? g_bytes_get_data(noise, NULL) : zeros, 2048,
					(off_t)at),
			==, 2048);
		close(fd);
		cache_open(&cache);
		check_all();
		assert_works_again();
		cache_close(&cache);
	}
	snapshot_done(&snapshot);
	cache_open(&cache);
	cache_done(&cache);
}

static void an_index_cut_at_any_length_never_shows_anything_wrong(void)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(1);
	struct snapshot snapshot;
	g_autofree char *path = NULL;

	setup();
	cache_close(&cache);
	snapshot_take(&snapshot);
	path = cache_path(&cache, "index.db");
	for (int i = 0; i < 60; i++) {
		long len = i < 30 ? i * 37 : g_rand_int_range(random, 0, (gint32)snapshot.index_len);

		snapshot_restore(&snapshot);
		g_assert_cmpint(truncate(path, len), ==, 0);
		cache_open(&cache);
		check_all();
		if (i % 10 == 0)
			assert_works_again();
		cache_close(&cache);
	}
	snapshot_done(&snapshot);
	cache_open(&cache);
	cache_done(&cache);
}

static void assert_set_aside(void)
{
	g_autofree char *damaged = cache_path(&cache, "index.db.damaged");
	g_autofree char *body = body_path(1);

	cache_open(&cache);
	g_assert_true(path_exists(damaged));
	g_assert_false(path_exists(body));
	g_assert_cmpuint(store_folders(cache.store)->len, ==, 0);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 0);
	assert_works_again();
	for (int i = 0; i < 10; i++) {
		g_autofree char *hidden = NULL;

		settle(cache.store);
		hidden = cache_path(&cache, "bodies.gone.0");
		if (i == 9)
			g_assert_false(path_exists(hidden));
	}
	cache_done(&cache);
}

static void a_foreign_file_is_set_aside(void)
{
	g_autofree char *path = NULL;

	setup();
	cache_close(&cache);
	path = cache_path(&cache, "index.db");
	g_assert_true(g_file_set_contents(path, "this is a letter, not a database\n", -1, NULL));
	assert_set_aside();
}

static void sql_on_index(const char *sql)
{
	g_autofree char *path = cache_path(&cache, "index.db");
	sqlite3 *db;

	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
}

static void a_database_of_another_program_is_set_aside(void)
{
	setup();
	cache_close(&cache);
	sql_on_index("PRAGMA application_id=1");
	assert_set_aside();
}

static void a_newer_schema_is_set_aside(void)
{
	setup();
	cache_close(&cache);
	sql_on_index("PRAGMA user_version=999");
	assert_set_aside();
}

static void a_missing_table_is_set_aside(void)
{
	setup();
	cache_close(&cache);
	sql_on_index("DROP TABLE message");
	assert_set_aside();
}

/* Each can be read and written, but not both without harm. */
static void tables_that_share_their_pages_are_set_aside(void)
{
	setup();
	cache_close(&cache);
	sql_on_index("PRAGMA writable_schema=1; UPDATE sqlite_schema SET rootpage="
		     "(SELECT rootpage FROM sqlite_schema WHERE name='detail') WHERE name='message'");
	assert_set_aside();
}

static void an_index_that_says_it_is_for_reading_only_is_set_aside(void)
{
	g_autofree char *path = NULL;

	setup();
	cache_close(&cache);
	path = cache_path(&cache, "index.db");
	flip(path, 18, 0x80); /* the format that writers must know */
	assert_set_aside();
}

/* SEC-41 */
static void the_cache_of_another_identity_is_set_aside(void)
{
	struct store_config config = { .identity = "imap://me@other.example:993", .max_bytes = 1 << 20 };
	GError *error = NULL;

	setup();
	cache_close(&cache);
	config.dir = cache.dir;
	cache.store = store_open(&config, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(store_folders(cache.store)->len, ==, 0);
	g_assert_cmpint(check_whole(cache.store, box, 1, BODY_SIZE), ==, -1);
	cache_close(&cache);
	assert_set_aside(); /* and back again */
}

static void a_directory_in_place_of_the_index_is_set_aside(void)
{
	g_autofree char *path = NULL;

	setup();
	cache_close(&cache);
	path = cache_path(&cache, "index.db");
	for (int i = 0; i < 2; i++) {
		g_assert_cmpint(unlink(path), ==, 0);
		g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
		cache_open(&cache);
		cache_close(&cache);
	}
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
	assert_set_aside();
}

static void leftover_logs_of_another_index_do_no_harm(void)
{
	g_autofree char *wal = NULL, *shm = NULL, *index = NULL;

	setup();
	wal = cache_path(&cache, "index.db-wal");
	shm = cache_path(&cache, "index.db-shm");
	index = cache_path(&cache, "index.db");
	cache_close(&cache);
	g_assert_true(g_file_set_contents(wal, "garbage", -1, NULL));
	g_assert_true(g_file_set_contents(shm, "garbage", -1, NULL));
	cache_open(&cache);
	g_assert_true(check_all());
	cache_close(&cache);

	g_assert_true(g_file_set_contents(wal, "garbage", -1, NULL));
	g_assert_cmpint(unlink(index), ==, 0);
	cache_open(&cache);
	g_assert_cmpuint(store_folders(cache.store)->len, ==, 0);
	assert_works_again();
	cache_done(&cache);
}

static void any_file_deleted_under_the_mount_costs_only_bandwidth(void)
{
	static const char *const names[] = { "index.db", "index.db-wal", "lock", "bodies" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = NULL;

		setup();
		path = cache_path(&cache, names[i]);
		nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
		check_all();
		list_one(cache.store, "INBOX"); /* a write, good or not */
		add_alone(cache.store, box, 50, BODY_SIZE);
		check_whole(cache.store, box, 50, BODY_SIZE);
		cache_reopen(&cache);
		check_all();
		assert_works_again();
		cache_done(&cache);
	}
}

static void the_whole_cache_deleted_under_the_mount_costs_only_bandwidth(void)
{
	setup();
	nftw(cache.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	check_all();
	g_assert_cmpint(add_alone(cache.store, box, 50, BODY_SIZE), !=, 0);
	cache_reopen(&cache);
	assert_works_again();
	cache_done(&cache);
}

/* ---- the index fails while running --------------------------------------------------------- */

static void an_index_that_cannot_grow_is_broken_but_reads(void)
{
	struct rlimit before, limit;
	struct store_batch *batch;

	setup();
	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
	limit = before;
	limit.rlim_cur = 4096;
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	batch = store_batch_new(cache.store, box);
	for (uint32_t uid = 100; uid <= 400; uid++)
		put_message(batch, uid);
	g_assert_cmpint(commit(batch), !=, 0);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);

	g_assert_true(store_is_broken(cache.store));
	g_assert_cmpuint(store_pending_rows(cache.store), ==, 0);
	g_assert_true(check_all());
	g_assert_cmpint(check_whole(cache.store, box, 1, BODY_SIZE), ==, 0);
	g_assert_cmpint(add_alone(cache.store, box, 50, BODY_SIZE), ==, MAILFS_ERROR_DISK);
	g_assert_cmpint(check_whole(cache.store, box, 50, BODY_SIZE), ==, -1);
	g_assert_cmpuint(body_pending_bytes(cache.store), ==, 0);
	batch = store_batch_new(cache.store, box);
	put_message(batch, 100);
	g_assert_cmpint(commit(batch), ==, MAILFS_ERROR_DISK);

	cache_reopen(&cache);
	g_assert_false(store_is_broken(cache.store));
	g_assert_true(check_all());
	cache_done(&cache);
}

static void a_store_that_failed_on_damage_is_rebuilt_at_the_next_open(void)
{
	g_autofree char *mark = NULL;

	setup();
	mark = cache_path(&cache, "index.db.suspect");
	cache_close(&cache);
	g_assert_true(g_file_set_contents(mark, "", 0, NULL));
	assert_set_aside();
}

/* ---- SEC-40: who else may write here ------------------------------------------------------- */

static int open_code(const char *dir)
{
	struct store_config config = { dir, IDENTITY, 1 << 20 };
	g_autoptr(GError) error = NULL;
	struct store *store = store_open(&config, &error);
	int code = error ? error->code : 0;

	store_close(store);
	return code;
}

static void only_a_private_directory_of_ours_will_do(void)
{
	g_autofree char *link = NULL;

	setup();
	cache_close(&cache);
	g_assert_cmpint(chmod(cache.dir, 0777), ==, 0);
	g_assert_cmpint(open_code(cache.dir), ==, MAILFS_ERROR_DENIED);
	g_assert_cmpint(chmod(cache.dir, 0720), ==, 0);
	g_assert_cmpint(open_code(cache.dir), ==, MAILFS_ERROR_DENIED);
	g_assert_cmpint(chmod(cache.dir, 0755), ==, 0);
	g_assert_cmpint(open_code(cache.dir), ==, 0); /* and is 0700 now */
	link = g_build_filename(cache.root, "link", NULL);
	g_assert_cmpint(symlink(cache.dir, link), ==, 0);
	g_assert_cmpint(open_code(link), ==, MAILFS_ERROR_DENIED);
	if (geteuid() == 0) {
		g_assert_cmpint(chown(cache.dir, 12345, 12345), ==, 0);
		g_assert_cmpint(open_code(cache.dir), ==, MAILFS_ERROR_DENIED);
		g_assert_cmpint(chown(cache.dir, 0, 0), ==, 0);
	}
	cache_open(&cache);
	cache_done(&cache);
}

static void a_parent_may_be_a_link_of_ours_but_not_of_others(void)
{
	g_autofree char *link = NULL, *through = NULL, *open_dir = NULL, *below = NULL;

	setup();
	cache_close(&cache);
	link = g_build_filename(cache.root, "link", NULL);
	through = g_build_filename(link, "cache", NULL);
	g_assert_cmpint(symlink(".", link), ==, 0);
	g_assert_cmpint(open_code(through), ==, 0);
	if (geteuid() == 0) {
		g_assert_cmpint(lchown(link, 12345, 12345), ==, 0);
		g_assert_cmpint(open_code(through), ==, MAILFS_ERROR_DENIED);
	}
	open_dir = g_build_filename(cache.root, "open", NULL);
	below = g_build_filename(open_dir, "cache", NULL);
	g_assert_cmpint(g_mkdir(open_dir, 0700), ==, 0);
	g_assert_cmpint(chmod(open_dir, 0777), ==, 0);
	g_assert_cmpint(open_code(below), ==, MAILFS_ERROR_DENIED);
	g_assert_cmpint(unlink(link), ==, 0);
	g_assert_cmpint(symlink("link", link), ==, 0); /* to itself */
	g_assert_cmpint(open_code(through), !=, 0);
	cache_open(&cache);
	cache_done(&cache);
}

static void links_in_the_cache_lead_nowhere(void)
{
	static const char *const names[] = { "index.db", "bodies", "bodies/BOX", "bodies/BOX/1" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *victim = NULL, *victim_file = NULL, *where = NULL, *text = NULL;
		g_autoptr(GString) name = g_string_new(names[i]);
		char hex[8];

		setup();
		g_snprintf(hex, sizeof(hex), "%06x", box);
		g_string_replace(name, "BOX", hex, 0);
		victim = g_build_filename(cache.root, "victim", NULL);
		victim_file = g_build_filename(victim, "1", NULL);
		where = cache_path(&cache, name->str);
		cache_close(&cache);
		g_assert_cmpint(g_mkdir(victim, 0700), ==, 0);
		g_assert_true(g_file_set_contents(victim_file, "precious", -1, NULL));
		nftw(where, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
		g_assert_cmpint(
			symlink(i == 0 || i == 3 ? victim_file : victim, where), ==, 0);

		cache_open(&cache);
		check_all();
		add_alone(cache.store, box, 1, BODY_SIZE);
		add_alone(cache.store, box, 2, BODY_SIZE);
		for (int j = 0; j < 10; j++)
			settle(cache.store);
		cache_reopen(&cache);
		for (int j = 0; j < 10; j++)
			settle(cache.store);
		g_assert_true(g_file_get_contents(victim_file, &text, NULL, NULL));
		g_assert_cmpstr(text, ==, "precious");
		cache_done(&cache);
	}
}

static void a_pipe_in_place_of_a_body_does_not_hang(void)
{
	g_autofree char *path = NULL;

	setup();
	path = body_path(1);
	cache_close(&cache);
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_cmpint(mkfifo(path, 0600), ==, 0);
	assert_damage_is_noticed(1);
	cache_open(&cache);
	cache_done(&cache);
}

/* ---- kill -9 ------------------------------------------------------------------------------- */

static char *program;

/* The child: writes messages and bodies and kills itself in the middle. */
static int write_until_killed(const char *dir, const char *seed)
{
	g_autoptr(GRand) random = g_rand_new_with_seed((guint32)g_ascii_strtoull(seed, NULL, 10));
	unsigned turns = (unsigned)g_rand_int_range(random, 1, 500);
	uint32_t uid = (uint32_t)g_rand_int_range(random, 1, 50);

	post_workers_start(2);
	cache.dir = g_strdup(dir);
	cache.max_bytes = 60 * KILL_SIZE; /* so that eviction runs too */
	cache_open(&cache);
	list_one(cache.store, "INBOX");
	box = store_box_id(cache.store, "INBOX", VALIDITY);
	for (unsigned turn = 0;; turn++, uid++) {
		struct store_batch *batch = store_batch_new(cache.store, box);
		struct body *body = body_open(cache.store, box, uid);
		g_autoptr(GBytes) bytes = content(uid, KILL_SIZE);
		g_autoptr(GBytes) first = g_bytes_new_from_bytes(bytes, 0, KILL_SIZE / 2);
		g_autoptr(GBytes) second =
			g_bytes_new_from_bytes(bytes, KILL_SIZE / 2, KILL_SIZE - KILL_SIZE / 2);

		put_message(batch, uid);
		store_batch_commit(batch, NULL, NULL);
		body_add(body, 0, first, NULL, NULL);
		g_main_context_iteration(NULL, FALSE);
		body_add(body, KILL_SIZE / 2, second, NULL, NULL);
		body_complete(body, KILL_SIZE);
		if (uid % 7 == 0)
			body_drop(body);
		body_unref(body);
		g_main_context_iteration(NULL, uid % 3 == 0);
		if (turn == turns)
			kill(getpid(), SIGKILL);
	}
	return 0;
}

static unsigned check_after_kill(void)
{
	g_autofree char *damaged = cache_path(&cache, "index.db.damaged");
	struct mailbox *loaded;
	unsigned whole = 0;

	g_assert_false(path_exists(damaged)); /* no damage, only less */
	g_assert_cmpuint(store_folders(cache.store)->len, <=, 1);
	if (store_folders(cache.store)->len == 0)
		return 0;
	box = ((const struct store_folder *)store_folders(cache.store)->pdata[0])->box_id;
	loaded = box != 0 ? load_box(cache.store, box) : NULL;
	for (uint32_t uid = 1; box != 0 && uid < 560; uid++) {
		int code = check_whole(cache.store, box, uid, KILL_SIZE);

		/* A row never claims what the file does not have. */
		g_assert_true(code == 0 || code == -1);
		whole += code == 0;
	}
	mailbox_free(loaded);
	return whole;
}

static void a_killed_process_leaves_a_cache_that_is_right(void)
{
	unsigned whole = 0;

	cache_init(&cache);
	for (unsigned round = 0; round < 20; round++) {
		run_killed_child(program, cache.dir, (unsigned)g_test_rand_int_range(0, G_MAXINT));
		cache_open(&cache);
		whole += check_after_kill();
		cache_close(&cache);
	}
	g_assert_cmpuint(whole, >, 0);
	cache_open(&cache);
	cache_done(&cache);
}

/* SEC-43 */
static void a_huge_header_field_is_just_a_row(void)
{
	g_autofree char *huge = g_strnfill(10 << 20, 'x');
	struct message message = message_of(1);
	struct mailfs_head head = { .message_id = huge, .subject = "subject of 1" };
	struct store_message row = { .message = &message, .head = &head };
	struct store_batch *batch;

	setup();
	batch = store_batch_new(cache.store, box);
	store_batch_put(batch, &row);
	g_assert_cmpint(commit(batch), ==, 0);
	cache_reopen(&cache);
	g_assert_false(store_is_broken(cache.store));
	cache_done(&cache);
}

#define ADD(name, fn) g_test_add_func("/store/damage/" name, fn)

int main(int argc, char **argv)
{
	int r;

	log_set_level(LOG_ERROR - 1);
	if (argc == 4 && strcmp(argv[1], WRITE_UNTIL_KILLED) == 0)
		return write_until_killed(argv[2], argv[3]);
	program = argv[0];
	g_test_init(&argc, &argv, NULL);
	post_workers_start(2);
	ADD("SEC-42 a flip of any byte of a body is noticed",
		a_flip_of_any_byte_of_a_body_is_noticed);
	ADD("SEC-42 a body cut at any length is noticed", a_body_cut_at_any_length_is_noticed);
	ADD("damage in one extent leaves the others", damage_in_one_extent_leaves_the_others);
	ADD("bodies deleted under the mount come again", bodies_deleted_under_the_mount_come_again);
	ADD("a piece for a body whose file is gone",
		a_piece_for_a_body_whose_file_is_gone_begins_a_new_one);
	ADD("SEC-42 a flip in the index shows nothing wrong",
		a_flip_in_the_index_never_shows_anything_wrong);
	ADD("SEC-42 a flip in a key heals", a_flip_in_a_key_heals);
	ADD("SEC-42 zeros and noise show nothing wrong",
		a_page_of_zeros_or_noise_never_shows_anything_wrong);
	ADD("SEC-42 a cut index shows nothing wrong",
		an_index_cut_at_any_length_never_shows_anything_wrong);
	ADD("a foreign file is set aside", a_foreign_file_is_set_aside);
	ADD("a database of another program is set aside",
		a_database_of_another_program_is_set_aside);
	ADD("a newer schema is set aside", a_newer_schema_is_set_aside);
	ADD("a missing table is set aside", a_missing_table_is_set_aside);
	ADD("SEC-42 tables that share pages are set aside",
		tables_that_share_their_pages_are_set_aside);
	ADD("SEC-42 an index for reading only is set aside",
		an_index_that_says_it_is_for_reading_only_is_set_aside);
	ADD("SEC-41 the cache of another identity is set aside",
		the_cache_of_another_identity_is_set_aside);
	ADD("a directory in place of the index is set aside",
		a_directory_in_place_of_the_index_is_set_aside);
	ADD("leftover logs of another index do no harm", leftover_logs_of_another_index_do_no_harm);
	ADD("any file deleted under the mount costs only bandwidth",
		any_file_deleted_under_the_mount_costs_only_bandwidth);
	ADD("the whole cache deleted costs only bandwidth",
		the_whole_cache_deleted_under_the_mount_costs_only_bandwidth);
	ADD("an index that cannot grow is broken but reads",
		an_index_that_cannot_grow_is_broken_but_reads);
	ADD("one that failed on damage is rebuilt at the next open",
		a_store_that_failed_on_damage_is_rebuilt_at_the_next_open);
	ADD("SEC-40 only a private directory of ours will do",
		only_a_private_directory_of_ours_will_do);
	ADD("SEC-40 a parent may be a link of ours, not of others",
		a_parent_may_be_a_link_of_ours_but_not_of_others);
	ADD("SEC-40 links in the cache lead nowhere", links_in_the_cache_lead_nowhere);
	ADD("a pipe in place of a body does not hang", a_pipe_in_place_of_a_body_does_not_hang);
	ADD("a killed process leaves a cache that is right",
		a_killed_process_leaves_a_cache_that_is_right);
	ADD("SEC-43 a huge header field is just a row", a_huge_header_field_is_just_a_row);
	r = g_test_run();
	post_workers_stop();
	return r;
}
