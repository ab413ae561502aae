/* SPDX-License-Identifier: MIT */
/* The journal: rows survive, damage is never forgotten, a full disk is told and got over. */
#include "store_test.h"

#include <fcntl.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "store/journal.h"
#include "store/spool.h"
#include "own_mounts.h"

struct fixture {
	char *root, *dir, *file;
	struct journal *journal;
};

static struct fixture it;

static struct journal *try_open(bool is_read_only, GError **error)
{
	struct journal_config config = {
		.dir = it.dir, .identity = IDENTITY, .is_read_only = is_read_only
	};

	return journal_open(&config, error);
}

static void open_it(void)
{
	GError *error = NULL;

	it.journal = try_open(false, &error);
	g_assert_no_error(error);
	g_assert_nonnull(it.journal);
}

static void setup(void)
{
	if (!g_getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		g_setenv("TMPDIR", "/dev/shm", TRUE);
	it.root = g_dir_make_tmp("mailfs-journal-XXXXXX", NULL);
	it.dir = g_build_filename(it.root, "state", NULL);
	it.file = g_build_filename(it.dir, "journal.db", NULL);
	open_it();
}

static void close_it(void)
{
	journal_close(g_steal_pointer(&it.journal));
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void reopen(void)
{
	close_it();
	open_it();
}

static void teardown(void)
{
	close_it();
	nftw(it.root, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	g_free(it.root);
	g_free(it.dir);
	g_free(it.file);
}

/* What a killed process leaves: the files as they are, with a journal that was never closed. */
static void reopen_as_after_a_kill(void)
{
	g_autofree char *copy = g_build_filename(it.root, "copy", NULL);
	const char *argv[] = { "cp", "-a", it.dir, copy, NULL };
	int status = -1;

	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
		NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
	close_it();
	nftw(it.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	g_assert_cmpint(rename(copy, it.dir), ==, 0);
	open_it();
}

/* ---- waiting --------------------------------------------------------------------------------- */

struct result {
	bool is_done;
	int code; /* 0 = good */
	unsigned order;
};

static unsigned results;

static void on_result(void *user, const GError *error)
{
	struct result *result = user;

	g_assert_false(result->is_done);
	result->is_done = true;
	result->code = error ? error->code : 0;
	result->order = ++results;
}

static void put_draft(uint64_t id, const char *name, enum journal_durability durability)
{
	struct result result = { 0 };

	journal_put_draft(it.journal,
		&(struct journal_draft){
			.id = id, .folder = "INBOX", .name = name, .state = DRAFT_SPOOLED },
		durability, on_result, &result);
	run_until(&result.is_done);
	g_assert_cmpint(result.code, ==, 0);
}

/* ---- what is there, as text -------------------------------------------------------------------
 */

static void show_flags(void *user, const struct journal_flags *row)
{
	g_string_append_printf(user, "flags %" G_GUINT64_FORMAT " %s %u/%u +%u(%s) -%u(%s)\n",
		row->id, row->folder, row->uidvalidity, row->uid, row->add,
		row->add_keywords ? row->add_keywords : "", row->remove,
		row->remove_keywords ? row->remove_keywords : "");
}

static void show_move(void *user, const struct journal_move *row)
{
	g_string_append_printf(user,
		"move %" G_GUINT64_FORMAT " %u %s %u/%u -> %s %u floor %u uid %u as %s %d/%d%s\n", row->id,
		row->kind, row->folder, row->uidvalidity, row->uid, row->target ? row->target : "-",
		row->target_uidvalidity, row->target_floor, row->target_uid,
		row->name ? row->name : "-", (int)row->size, (int)row->date,
		row->is_promised ? " promised" : "");
}

static void show_draft(void *user, const struct journal_draft *row)
{
	g_string_append_printf(user,
		"draft %" G_GUINT64_FORMAT " %u %s/%s %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT
		" %" G_GINT64_FORMAT " %o %u (%s) %s %u %u %" G_GUINT64_FORMAT
		" %02x%02x %u %u/%u %" G_GUINT64_FORMAT "\n",
		row->id, row->state, row->folder, row->name, row->size, row->mtime_ns,
		row->ctime_ns, row->mode, row->flags, row->keywords ? row->keywords : "",
		row->reason ? row->reason : "-", row->uidvalidity, row->uid_floor, row->wire_size,
		row->wire_sha256[0], row->wire_sha256[31], row->uid, row->replaces_uidvalidity,
		row->replaces_uid, row->successor);
}

static void show_name(void *user, const struct journal_name *row)
{
	g_string_append_printf(
		user, "name %s %u/%u %s\n", row->folder, row->uidvalidity, row->uid, row->name);
}

static void show_kept(void *user, const struct journal_kept *row)
{
	g_string_append_printf(user, "kept %" G_GUINT64_FORMAT " %s/%u %s %" G_GUINT64_FORMAT
		" %02x..%02x at %" G_GINT64_FORMAT "%s '%s' by %s\n", (guint64)row->id, row->folder, row->uid,
		row->key, (guint64)row->size, row->sha256[0], row->sha256[31], (gint64)row->stored,
		row->is_gone ? " gone" : "", row->subject, row->from ? row->from : "-");
}

static char *shown(void)
{
	static const struct journal_visitor visitor = { .flags = show_flags, .move = show_move,
		.draft = show_draft, .kept = show_kept, .name = show_name };
	GString *text = g_string_new(NULL);

	journal_visit(it.journal, &visitor, text);
	return g_string_free(text, FALSE);
}

#define assert_shows(expected)                                                                     \
	do {                                                                                       \
		g_autofree char *text_ = shown();                                                  \
		g_assert_cmpstr(text_, ==, expected);                                              \
	} while (0)

/* ---- rows ------------------------------------------------------------------------------------ */

static void put_one_of_each(void)
{
	struct journal_draft draft = { .id = 3,
		.state = DRAFT_FAILED,
		.folder = "INBOX",
		.name = "a b.eml",
		.size = 1ull << 40,
		.mtime_ns = -5,
		.ctime_ns = INT64_MAX,
		.mode = 0640,
		.flags = 3,
		.keywords = "a b",
		.reason = "too big",
		.uidvalidity = 7,
		.uid_floor = UINT32_MAX,
		.wire_size = 12,
		.wire_sha256 = { 0xab },
		.uid = 9,
		.replaces_uidvalidity = 1,
		.replaces_uid = 2,
		.successor = 4 };

	draft.wire_sha256[31] = 0xcd;
	journal_put_flags(it.journal,
		&(struct journal_flags){ 1, "INBOX", 7, 8, 1, 2, "work", "$Junk x" }, JOURNAL_LAZY,
		NULL, NULL);
	journal_put_move(it.journal,
		&(struct journal_move){ 2, JOURNAL_MOVE, "a", 1, 2, "b", 3, 4, 5, "n", 77, -8, true },
		JOURNAL_SYNCED, NULL, NULL);
	journal_put_draft(it.journal, &draft, JOURNAL_LAZY, NULL, NULL);
	journal_put_name(it.journal, &(struct journal_name){ "INBOX", 7, 8, "näme" }, NULL, NULL);
}

#define ONE_OF_EACH                                                                                \
	"flags 1 INBOX 7/8 +1(work) -2($Junk x)\n"                                                 \
	"move 2 0 a 1/2 -> b 3 floor 4 uid 5 as n 77/-8 promised\n"                                               \
	"draft 3 4 INBOX/a b.eml 1099511627776 -5 9223372036854775807 640 3 (a b) too big 7 "      \
	"4294967295 12 abcd 9 1/2 4\n"                                                             \
	"name INBOX 7/8 näme\n"

static void rows_survive_as_they_were(void)
{
	setup();
	put_one_of_each();
	reopen();
	assert_shows(ONE_OF_EACH);
	assert_shows(""); /* visited once */
	teardown();
}

static void what_was_answered_survives_a_kill(void)
{
	struct result result = { 0 };

	setup();
	put_one_of_each();
	journal_put_name(
		it.journal, &(struct journal_name){ "INBOX", 7, 8, "näme" }, on_result, &result);
	run_until(&result.is_done);
	g_assert_cmpint(result.code, ==, 0);
	reopen_as_after_a_kill();
	assert_shows(ONE_OF_EACH);
	teardown();
}

static void answers_come_once_and_in_order(void)
{
	struct result result[100] = { 0 };

	setup();
	results = 0;
	for (size_t i = 0; i < G_N_ELEMENTS(result); i++)
		journal_put_flags(it.journal, &(struct journal_flags){ i + 1, "INBOX", 7, 8 },
			i % 7 == 0 ? JOURNAL_SYNCED : JOURNAL_LAZY, on_result, &result[i]);
	g_assert_cmpuint(journal_pending(it.journal), ==, G_N_ELEMENTS(result));
	run_until(&result[99].is_done);
	for (size_t i = 0; i < G_N_ELEMENTS(result); i++)
		g_assert_cmpuint(result[i].order, ==, i + 1);
	g_assert_cmpuint(journal_pending(it.journal), ==, 0);
	teardown();
}

static void a_later_row_of_an_id_wins(void)
{
	setup();
	for (unsigned uid = 1; uid < 5; uid++)
		journal_put_flags(it.journal, &(struct journal_flags){ 1, "INBOX", 7, uid },
			JOURNAL_LAZY, NULL, NULL);
	reopen();
	assert_shows("flags 1 INBOX 7/4 +0() -0()\n");
	teardown();
}

static void a_dropped_row_is_gone(void)
{
	const uint64_t ids[] = { 1, 2, 3, 99 };

	setup();
	put_one_of_each();
	journal_drop(it.journal, ids, G_N_ELEMENTS(ids), JOURNAL_LAZY, NULL, NULL);
	reopen();
	assert_shows("name INBOX 7/8 näme\n");
	teardown();
}

static void names_are_dropped_one_by_one_and_by_uidvalidity(void)
{
	setup();
	for (uint32_t uid = 1; uid <= 3; uid++) {
		journal_put_name(
			it.journal, &(struct journal_name){ "a", 7, uid, "old" }, NULL, NULL);
		journal_put_name(
			it.journal, &(struct journal_name){ "a", 8, uid, "new" }, NULL, NULL);
		journal_put_name(
			it.journal, &(struct journal_name){ "b", 7, uid, "other" }, NULL, NULL);
	}
	journal_drop_names(it.journal, "a", 8);
	journal_drop_names(it.journal, "b", 0);
	journal_drop_name(it.journal, "a", 8, 2);
	reopen();
	assert_shows("name a 8/1 new\nname a 8/3 new\n");
	teardown();
}

static void rows_follow_a_renamed_folder(void)
{
	static const char *const folders[] = { "a", "a/b", "ab", "x/a" };

	setup();
	for (uint64_t i = 0; i < G_N_ELEMENTS(folders); i++) {
		journal_put_flags(it.journal, &(struct journal_flags){ i + 1, folders[i], 7, 1 },
			JOURNAL_LAZY, NULL, NULL);
		journal_put_name(
			it.journal, &(struct journal_name){ folders[i], 7, 1, "n" }, NULL, NULL);
	}
	journal_put_move(it.journal,
		&(struct journal_move){ .id = 9, .folder = "q", .target = "a/b" }, JOURNAL_LAZY,
		NULL, NULL);
	journal_rename_folder(it.journal, "a", "z/y", '/', NULL, NULL);
	reopen();
	assert_shows("flags 1 z/y 7/1 +0() -0()\nflags 2 z/y/b 7/1 +0() -0()\n"
		     "flags 3 ab 7/1 +0() -0()\nflags 4 x/a 7/1 +0() -0()\n"
		     "move 9 0 q 0/0 -> z/y/b 0 floor 0 uid 0 as - 0/0\n"
		     "name ab 7/1 n\nname x/a 7/1 n\nname z/y 7/1 n\nname z/y/b 7/1 n\n");
	teardown();
}

static void an_id_is_never_given_twice(void)
{
	uint64_t last = 0;

	setup();
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t id = journal_new_id(it.journal);

		g_assert_cmpuint(id, >, last);
		last = id;
		if (i % 3000 == 0)
			reopen(); /* no row was left of it */
	}
	put_draft(1 << 30, "a", JOURNAL_SYNCED);
	reopen_as_after_a_kill();
	g_assert_cmpuint(journal_new_id(it.journal), >, 1 << 30);
	teardown();
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void assert_refused(int code, const char *word)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(try_open(false, &error));
	g_assert_error(error, MAILFS_ERROR, code);
	g_assert_nonnull(strstr(error->message, word));
	g_assert_nonnull(strstr(error->message, it.dir));
}

static void damage_at(off_t offset)
{
	int fd = open(it.file, O_RDWR);
	char garbage[64];

	memset(garbage, 0x5a, sizeof(garbage));
	g_assert_cmpint(pwrite(fd, garbage, sizeof(garbage), offset), ==, sizeof(garbage));
	close(fd);
}

static void a_journal_that_cannot_be_read_is_refused_and_kept(void)
{
	g_autofree char *before = NULL, *after = NULL;
	gsize before_len, after_len;

	setup();
	put_one_of_each();
	close_it();
	damage_at(0);
	g_assert_true(g_file_get_contents(it.file, &before, &before_len, NULL));
	assert_refused(MAILFS_ERROR_DISK, "journal.db");
	assert_refused(MAILFS_ERROR_DISK, "Move its directory away");
	g_assert_true(g_file_get_contents(it.file, &after, &after_len, NULL));
	g_assert_cmpmem(before, before_len, after, after_len);
	teardown();
}

static void a_journal_that_is_cut_off_is_refused(void)
{
	setup();
	put_one_of_each();
	close_it();
	g_assert_cmpint(truncate(it.file, 4096), ==, 0);
	assert_refused(MAILFS_ERROR_DISK, "cannot be used");
	g_assert_cmpint(truncate(it.file, 0), ==, 0);
	assert_refused(MAILFS_ERROR_DISK, "empty");
	teardown();
}

static void a_missing_journal_is_not_made_anew_beside_its_messages(void)
{
	g_autofree char *message = NULL;

	setup();
	message = g_build_filename(it.dir, "spool", "7", NULL);
	close_it();
	g_assert_true(g_file_set_contents(message, "x", 1, NULL));
	g_assert_cmpint(unlink(it.file), ==, 0);
	assert_refused(MAILFS_ERROR_DISK, "missing");
	g_assert_cmpint(unlink(message), ==, 0);
	open_it();
	teardown();
}

static void change_by_sql(const char *sql)
{
	sqlite3 *db;

	g_assert_cmpint(sqlite3_open(it.file, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
}

static int count_by_sql(const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	int count;

	g_assert_cmpint(sqlite3_open(it.file, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_step(stmt), ==, SQLITE_ROW);
	count = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return count;
}

static void show_all_of(struct journal *journal, GString *text)
{
	journal_visit(journal,
		&(struct journal_visitor){ .flags = show_flags, .move = show_move, .draft = show_draft,
			.name = show_name },
		text);
}

static void a_file_of_the_first_version_is_read_and_upgraded(void)
{
	g_autoptr(GString) seen = g_string_new(NULL);
	struct journal *reader;

	setup();
	journal_put_move(it.journal,
		&(struct journal_move){ .id = 1, .folder = "a", .target = "b", .is_promised = true },
		JOURNAL_LAZY, NULL, NULL);
	close_it();
	change_by_sql("ALTER TABLE move DROP COLUMN size; ALTER TABLE move DROP COLUMN date;"
		      "DROP TABLE kept; PRAGMA user_version=1");
	reader = try_open(true, NULL);
	show_all_of(reader, seen);
	g_assert_cmpstr(seen->str, ==, "move 1 0 a 0/0 -> b 0 floor 0 uid 0 as - 0/0 promised\n");
	journal_close(reader);
	open_it();
	journal_put_move(it.journal,
		&(struct journal_move){ .id = 2, .folder = "a", .target = "b", .size = 3, .date = 4 },
		JOURNAL_LAZY, NULL, NULL);
	reopen();
	assert_shows("move 1 0 a 0/0 -> b 0 floor 0 uid 0 as - 0/0 promised\n"
		     "move 2 0 a 0/0 -> b 0 floor 0 uid 0 as - 3/4\n");
	teardown();
}

static void put_kept(uint64_t id, uint32_t uid, bool is_gone)
{
	journal_put_kept(it.journal,
		&(struct journal_kept){ .id = id, .folder = "INBOX", .uid = uid, .key = "k", .size = 5,
			.sha256 = { 1, [31] = 0xff }, .stored = 9, .is_gone = is_gone, .subject = "hello" },
		JOURNAL_SYNCED, NULL, NULL);
}

static void kept_messages_come_back_as_they_were_put(void)
{
	setup();
	put_kept(3, 7, false);
	put_kept(4, 8, false);
	put_kept(4, 8, true);
	reopen();
	assert_shows("kept 3 INBOX/7 k 5 01..ff at 9 'hello' by -\n"
		     "kept 4 INBOX/8 k 5 01..ff at 9 gone 'hello' by -\n");
	journal_drop(it.journal, (const uint64_t[]){ 3 }, 1, JOURNAL_SYNCED, NULL, NULL);
	reopen();
	assert_shows("kept 4 INBOX/8 k 5 01..ff at 9 gone 'hello' by -\n");
	teardown();
}

static void a_file_from_before_messages_were_kept_gets_their_table(void)
{
	struct journal *reader;
	g_autoptr(GString) seen = g_string_new(NULL);

	setup();
	close_it();
	change_by_sql("DROP TABLE kept; PRAGMA user_version=2");
	reader = try_open(true, NULL);
	show_all_of(reader, seen);
	g_assert_cmpstr(seen->str, ==, "");
	journal_close(reader);
	open_it();
	put_kept(3, 7, false);
	reopen();
	assert_shows("kept 3 INBOX/7 k 5 01..ff at 9 'hello' by -\n");
	teardown();
}

static void a_damaged_row_is_set_aside_and_the_others_stay(void)
{
	setup();
	put_draft(5, "good", JOURNAL_SYNCED);
	put_draft(6, "bad", JOURNAL_SYNCED);
	put_draft(7, "good too", JOURNAL_SYNCED);
	close_it();
	change_by_sql("UPDATE draft SET name='evil' WHERE id=6");
	for (unsigned i = 0; i < 2; i++) {
		g_autofree char *text = NULL;

		open_it();
		text = shown();
		g_assert_nonnull(strstr(text, "INBOX/good "));
		g_assert_nonnull(strstr(text, "INBOX/good too "));
		g_assert_null(strstr(text, "evil"));
		close_it();
	}
	g_assert_cmpint(count_by_sql("SELECT count(*) FROM damaged WHERE kind='draft' AND id=6"
				     " AND content LIKE '%name=''evil''%'"),
		==, 1);
	g_assert_cmpint(count_by_sql("SELECT count(*) FROM draft"), ==, 2);
	teardown();
}

static void bytes_of_a_damaged_row_are_not_swept(void)
{
	g_autofree char *kept = NULL, *orphan = NULL;

	setup();
	kept = g_build_filename(it.dir, "spool", "6", NULL);
	orphan = g_build_filename(it.dir, "spool", "8", NULL);
	put_draft(6, "bad", JOURNAL_SYNCED);
	g_assert_true(g_file_set_contents(kept, "x", 1, NULL));
	g_assert_true(g_file_set_contents(orphan, "x", 1, NULL));
	close_it();
	change_by_sql("UPDATE draft SET sum=sum+1");
	open_it();
	spool_sweep(it.journal, NULL, 0);
	close_it();
	g_assert_cmpint(access(kept, F_OK), ==, 0);
	g_assert_cmpint(access(orphan, F_OK), !=, 0);
	teardown();
}

static void open_as_another(bool is_read_only, GError **error)
{
	it.journal = journal_open(&(struct journal_config){ .dir = it.dir,
		.identity = "imap://you@example.org:993", .is_read_only = is_read_only }, error);
}

static void changes_for_another_account_are_refused(void)
{
	g_autoptr(GError) error = NULL;

	setup();
	put_draft(1, "a", JOURNAL_SYNCED);
	close_it();
	open_as_another(false, &error);
	g_assert_null(it.journal);
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID);
	open_it();
	teardown();
}

static void kept_messages_are_of_one_account(void)
{
	g_autoptr(GError) error = NULL;

	setup();
	put_kept(3, 7, true);
	close_it();
	open_as_another(false, &error);
	g_assert_null(it.journal);
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID);
	open_it();
	teardown();
}

static void a_read_only_mount_sees_nothing_of_another_account(void)
{
	setup();
	put_draft(1, "a", JOURNAL_SYNCED);
	close_it();
	open_as_another(true, NULL);
	g_assert_nonnull(it.journal);
	assert_shows("");
	close_it();
	open_it();
	teardown();
}

static void an_idle_journal_serves_another_account(void)
{
	setup();
	journal_put_name(it.journal, &(struct journal_name){ "INBOX", 7, 8, "mine" }, NULL, NULL);
	close_it();
	open_as_another(false, NULL);
	g_assert_nonnull(it.journal);
	assert_shows("");
	close_it();
	open_it(); /* and back */
	teardown();
}

/* ---- one mount, safely -------------------------------------------------------------------------
 */

static void a_second_mount_is_refused(void)
{
	setup();
	assert_refused(MAILFS_ERROR_IN_USE, "another mount");
	teardown();
}

static void nobody_else_can_read_it(void)
{
	static const char *const names[] = { "journal.db", "journal.db-wal", "lock" };
	struct stat st;

	setup();
	put_draft(1, "a", JOURNAL_SYNCED);
	g_assert_cmpint(stat(it.dir, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0700);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(it.dir, names[i], NULL);

		g_assert_cmpint(stat(path, &st), ==, 0);
		g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
	}
	teardown();
}

static void read_only_makes_nothing_and_writes_nothing(void)
{
	g_autofree char *missing = NULL, *before = NULL, *after = NULL;
	struct result result = { 0 };
	gsize before_len, after_len;

	setup();
	missing = g_build_filename(it.root, "missing", NULL);
	put_one_of_each();
	close_it();
	g_assert_true(g_file_get_contents(it.file, &before, &before_len, NULL));
	it.journal = try_open(true, NULL);
	assert_shows(ONE_OF_EACH);
	journal_put_name(it.journal, &(struct journal_name){ "a", 1, 2, "b" }, on_result, &result);
	run_until(&result.is_done);
	g_assert_cmpint(result.code, ==, MAILFS_ERROR_READ_ONLY);
	close_it();
	g_assert_true(g_file_get_contents(it.file, &after, &after_len, NULL));
	g_assert_cmpmem(before, before_len, after, after_len);

	it.journal = journal_open(&(struct journal_config){ missing, IDENTITY, true }, NULL);
	g_assert_nonnull(it.journal);
	assert_shows("");
	g_assert_cmpint(access(missing, F_OK), !=, 0);
	teardown();
}

/* ---- a full disk -------------------------------------------------------------------------------
 */

static char *fill_disk(void)
{
	char *path = g_build_filename(it.root, "filler", NULL);
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	static char block[4096];

	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
	return path;
}

static int try_put(uint64_t id, const char *name)
{
	struct result result = { 0 };

	journal_put_draft(it.journal,
		&(struct journal_draft){ .id = id, .folder = "INBOX", .name = name },
		JOURNAL_SYNCED, on_result, &result);
	run_until(&result.is_done);
	return result.code;
}

/* A full disk, on a tmpfs of its own. */
static bool mount_small_disk(void)
{
	setup();
	close_it();
	if (mount("tmpfs", it.root, "tmpfs", 0, "size=1m,mode=0700") == 0)
		return true;
	g_test_skip("cannot mount a tmpfs");
	teardown();
	return false;
}

static void a_full_disk_is_told_and_got_over(void)
{
	const uint64_t dropped = 1;
	g_autofree char *big = g_strnfill(200000, 'x'), *filler = NULL, *text = NULL;
	struct result result = { 0 };

	if (!mount_small_disk())
		return;
	open_it();
	g_assert_cmpint(try_put(1, "first"), ==, 0);
	filler = fill_disk();
	g_assert_cmpint(try_put(2, big), ==, MAILFS_ERROR_NO_SPACE);
	g_assert_cmpint(try_put(3, big), ==, MAILFS_ERROR_NO_SPACE);
	journal_put_draft(it.journal,
		&(struct journal_draft){ .id = 4, .folder = "a", .name = big }, JOURNAL_LAZY, NULL,
		NULL);
	journal_drop(it.journal, &dropped, 1, JOURNAL_LAZY, on_result, &result);
	run_until(&result.is_done);
	g_assert_cmpint(result.code, ==, MAILFS_ERROR_NO_SPACE);
	g_assert_cmpint(unlink(filler), ==, 0);
	g_assert_cmpint(try_put(5, "later"), ==, 0);
	reopen();
	text = shown();
	g_assert_nonnull(strstr(text, "draft 5 0 INBOX/later "));
	g_assert_null(strstr(text, "draft 2 "));
	g_assert_null(strstr(text, "draft 3 "));
	g_assert_null(strstr(text, "draft 1 ")); /* the drop was made up for */
	g_assert_nonnull(strstr(text, "draft 4 ")); /* so was what nobody waited for */
	close_it();
	g_assert_cmpint(umount2(it.root, MNT_DETACH), ==, 0);
	teardown();
}

int main(int argc, char **argv)
{
	int r;

	own_mounts();
	g_test_init(&argc, &argv, NULL);
	log_set_level(LOG_ERROR);
	post_workers_start(2);
#define T(name) g_test_add_func("/store/journal/" #name, name)
	T(a_full_disk_is_told_and_got_over);
	T(rows_survive_as_they_were);
	T(what_was_answered_survives_a_kill);
	T(answers_come_once_and_in_order);
	T(a_later_row_of_an_id_wins);
	T(a_dropped_row_is_gone);
	T(names_are_dropped_one_by_one_and_by_uidvalidity);
	T(rows_follow_a_renamed_folder);
	T(an_id_is_never_given_twice);
	T(a_journal_that_cannot_be_read_is_refused_and_kept);
	T(a_journal_that_is_cut_off_is_refused);
	T(a_missing_journal_is_not_made_anew_beside_its_messages);
	T(a_file_of_the_first_version_is_read_and_upgraded);
	T(kept_messages_come_back_as_they_were_put);
	T(a_file_from_before_messages_were_kept_gets_their_table);
	T(kept_messages_are_of_one_account);
	T(a_damaged_row_is_set_aside_and_the_others_stay);
	T(bytes_of_a_damaged_row_are_not_swept);
	T(changes_for_another_account_are_refused);
	T(a_read_only_mount_sees_nothing_of_another_account);
	T(an_idle_journal_serves_another_account);
	T(a_second_mount_is_refused);
	T(nobody_else_can_read_it);
	T(read_only_makes_nothing_and_writes_nothing);
	r = g_test_run();
	post_workers_stop();
	return r;
}
