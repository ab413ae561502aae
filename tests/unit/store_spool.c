/* SPDX-License-Identifier: MIT */
/* The spool: bytes of new messages, in order and durable, and the form in which they are sent. */
#include "store_test.h"

#include <fcntl.h>

#include "store/journal.h"
#include "store/spool.h"
#include "own_mounts.h"

struct fixture {
	char *root, *dir;
	struct journal *journal;
};

static struct fixture it;

static void open_it(void)
{
	GError *error = NULL;

	it.journal = journal_open(&(struct journal_config){ it.dir, IDENTITY, false }, &error);
	g_assert_no_error(error);
}

static void setup(void)
{
	if (!g_getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		g_setenv("TMPDIR", "/dev/shm", TRUE);
	it.root = g_dir_make_tmp("mailfs-spool-XXXXXX", NULL);
	it.dir = g_build_filename(it.root, "state", NULL);
	open_it();
}

static void close_it(void)
{
	journal_close(g_steal_pointer(&it.journal));
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void teardown(void)
{
	if (it.journal)
		close_it();
	nftw(it.root, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	g_free(it.root);
	g_free(it.dir);
}

static char *path_of(const char *name)
{
	return g_build_filename(it.dir, "spool", name, NULL);
}

static bool is_there(const char *name)
{
	g_autofree char *path = path_of(name);

	return path_exists(path);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int write_at(struct spool_file *file, uint64_t offset, const char *text)
{
	g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
	struct outcome outcome = { 0 };

	spool_write(file, offset, bytes, on_done, &outcome);
	run_until(&outcome.is_done);
	return outcome.code;
}

static int sync_it(struct spool_file *file)
{
	struct outcome outcome = { 0 };

	spool_sync(file, on_done, &outcome);
	run_until(&outcome.is_done);
	return outcome.code;
}

struct got_bytes {
	bool is_done;
	int code;
	char *text;
};

static void on_bytes(void *user, GBytes *bytes, const GError *error)
{
	struct got_bytes *reading = user;

	reading->is_done = true;
	reading->code = error ? error->code : 0;
	if (bytes)
		reading->text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static char *read_it(struct spool_file *file, bool is_wire)
{
	struct got_bytes reading = { 0 };

	if (is_wire)
		spool_read_wire(file, (struct mailfs_range){ 0, 1 << 20 }, on_bytes, &reading);
	else
		spool_read(file, (struct mailfs_range){ 0, 1 << 20 }, on_bytes, &reading);
	run_until(&reading.is_done);
	return reading.text;
}

#define assert_holds(file, is_wire, expected)                                                      \
	do {                                                                                       \
		g_autofree char *text_ = read_it(file, is_wire);                                   \
		g_assert_cmpstr(text_, ==, expected);                                              \
	} while (0)

struct making {
	bool is_done;
	int code;
	struct spool_wire wire;
};

static void on_wire(void *user, const struct spool_wire *wire, const GError *error)
{
	struct making *making = user;

	making->is_done = true;
	making->code = error ? error->code : 0;
	if (wire)
		making->wire = *wire;
}

static struct spool_wire make_wire(struct spool_file *file)
{
	struct making making = { 0 };

	spool_make_wire(file, on_wire, &making);
	run_until(&making.is_done);
	g_assert_cmpint(making.code, ==, 0);
	return making.wire;
}

/* ---- bytes -------------------------------------------------------------------------------------
 */

static void what_is_written_is_read_in_the_order_of_the_calls(void)
{
	g_autoptr(GBytes) a = g_bytes_new_static("aaaa", 4), b = g_bytes_new_static("bb", 2);
	struct got_bytes first = { 0 }, second = { 0 };
	struct spool_file *file;

	setup();
	file = spool_file_open(it.journal, 1, true);
	spool_write(file, 0, a, NULL, NULL);
	spool_read(file, (struct mailfs_range){ 0, 100 }, on_bytes, &first);
	spool_write(file, 3, b, NULL, NULL);
	spool_truncate(file, 4, NULL, NULL);
	g_assert_cmpuint(spool_file_size(file), ==, 4);
	spool_read(file, (struct mailfs_range){ 1, 100 }, on_bytes, &second);
	run_until(&second.is_done);
	g_assert_cmpstr(first.text, ==, "aaaa");
	g_assert_cmpstr(second.text, ==, "aab");
	g_free(first.text);
	g_free(second.text);
	spool_file_unref(file);
	teardown();
}

static void a_file_that_was_left_is_opened_again(void)
{
	struct spool_file *file;
	uint64_t size = 0;

	setup();
	file = spool_file_open(it.journal, 5, true);
	g_assert_cmpint(write_at(file, 0, "hello"), ==, 0);
	g_assert_cmpint(sync_it(file), ==, 0);
	spool_file_unref(file);
	/* As a killed process leaves it: with a row, or the journal would refuse to forget it. */
	close_it();
	open_it();
	g_assert_true(spool_has(it.journal, 5, &size));
	g_assert_cmpuint(size, ==, 5);
	g_assert_cmpuint(spool_bytes(it.journal), ==, 5);
	g_assert_cmpuint(journal_new_id(it.journal), >, 5);
	file = spool_file_open(it.journal, 5, false);
	g_assert_cmpuint(spool_file_size(file), ==, 5);
	assert_holds(file, false, "hello");
	spool_file_unref(file);
	teardown();
}

static void a_file_that_is_not_there_is_an_error(void)
{
	struct spool_file *file;

	setup();
	file = spool_file_open(it.journal, 5, false);
	g_assert_cmpint(sync_it(file), ==, MAILFS_ERROR_DISK);
	g_assert_false(is_there("5"));
	spool_file_unref(file);
	teardown();
}

static void a_removed_file_is_gone_and_still_read_by_its_holder(void)
{
	struct spool_file *file;
	uint64_t size;

	setup();
	file = spool_file_open(it.journal, 1, true);
	g_assert_cmpint(write_at(file, 0, "a\n"), ==, 0);
	g_free(make_wire(file).message_id);
	g_assert_true(is_there("1"));
	g_assert_true(is_there("1.wire"));
	spool_remove(it.journal, 1);
	assert_holds(file, false, "a\n");
	assert_holds(file, true, "a\r\n");
	g_assert_false(is_there("1"));
	g_assert_false(is_there("1.wire"));
	g_assert_false(spool_has(it.journal, 1, &size));
	g_assert_cmpuint(spool_bytes(it.journal), ==, 0);
	spool_file_unref(file);
	teardown();
}

static void closing_finishes_what_was_called(void)
{
	struct outcome outcome = { 0 };
	g_autoptr(GBytes) bytes = g_bytes_new_static("abc", 3);
	g_autofree char *path = NULL, *text = NULL;
	struct spool_file *file;

	setup();
	path = path_of("1");
	file = spool_file_open(it.journal, 1, true);
	for (unsigned i = 0; i < 50; i++)
		spool_write(file, 3 * i, bytes, NULL, NULL);
	spool_sync(file, on_done, &outcome);
	close_it();
	g_assert_true(outcome.is_done);
	spool_file_unref(file); /* later than the journal */
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpuint(strlen(text), ==, 150);
	teardown();
}

static void files_without_a_row_are_swept(void)
{
	const uint64_t known[] = { 2 };

	setup();
	for (uint64_t id = 1; id <= 3; id++) {
		struct spool_file *file = spool_file_open(it.journal, id, true);

		g_assert_cmpint(sync_it(file), ==, 0);
		spool_file_unref(file);
	}
	close_it();
	open_it();
	spool_sweep(it.journal, known, 1);
	close_it();
	g_assert_false(is_there("1"));
	g_assert_true(is_there("2"));
	g_assert_false(is_there("3"));
	teardown();
}

/* ---- the wire form -----------------------------------------------------------------------------
 */

static void check_wire(const char *bytes, size_t len, const char *expected)
{
	g_autoptr(GBytes) content = g_bytes_new(bytes, len);
	g_autofree char *sha = NULL;
	struct spool_file *file = spool_file_open(it.journal, journal_new_id(it.journal), true);
	struct spool_wire wire;
	GString *hex = g_string_new(NULL);

	spool_write(file, 0, content, NULL, NULL);
	wire = make_wire(file);
	sha = g_compute_checksum_for_string(G_CHECKSUM_SHA256, expected, -1);
	for (size_t i = 0; i < 32; i++)
		g_string_append_printf(hex, "%02x", wire.sha256[i]);
	g_assert_cmpuint(wire.size, ==, strlen(expected));
	g_assert_cmpstr(hex->str, ==, sha);
	g_assert_false(wire.has_nul);
	assert_holds(file, true, expected);
	g_free(wire.message_id);
	g_string_free(hex, TRUE);
	spool_file_unref(file);
}

#define CHECK(text, expected) check_wire(text, sizeof(text) - 1, expected)

static void line_ends_become_crlf_and_the_last_line_has_one(void)
{
	setup();
	CHECK("a: b\n\nc\n", "a: b\r\n\r\nc\r\n");
	CHECK("a: b\r\n\r\nc\r\n", "a: b\r\n\r\nc\r\n");
	CHECK("a: b\r\n\nc", "a: b\r\n\r\nc\r\n");
	CHECK("a\rb\r\r\n\n\r", "a\rb\r\r\n\r\n\r\n");
	CHECK("\n", "\r\n");
	CHECK("", "");
	teardown();
}

static void the_line_of_an_mbox_file_is_left_out(void)
{
	setup();
	CHECK("From me@x Tue Jan  2\na: b\n\nc\n", "a: b\r\n\r\nc\r\n");
	CHECK("From me@x Tue Jan  2\r\na: b\r\n\r\nFrom c\r\n", "a: b\r\n\r\nFrom c\r\n");
	CHECK("From : me@x\r\na: b\r\n", "From : me@x\r\na: b\r\n");
	CHECK("From: me@x\r\n\r\nFrom me@x\r\na: b\r\n", "From: me@x\r\n\r\nFrom me@x\r\na: b\r\n");
	CHECK("From me\nno header\n", "From me\r\nno header\r\n");
	teardown();
}

static void a_line_end_across_two_reads_is_seen(void)
{
	enum { CHUNK = 64 << 10 };
	g_autoptr(GString) text = g_string_new(NULL);

	setup();
	for (size_t before = CHUNK - 2; before <= CHUNK + 1; before++) {
		g_string_truncate(text, 0);
		g_string_append_printf(text, "%0*d\r\nx\r\n", (int)before, 0);
		check_wire(text->str, text->len, text->str);
	}
	teardown();
}

static void a_file_that_needs_no_change_is_not_copied(void)
{
	setup();
	CHECK("a: b\r\n", "a: b\r\n");
	g_assert_false(is_there("1.wire"));
	CHECK("a: b\n", "a: b\r\n");
	g_assert_true(is_there("2.wire"));
	teardown();
}

static void a_frozen_wire_form_does_not_follow_the_file(void)
{
	struct spool_file *file;
	struct outcome outcome = { 0 };
	struct making making = { 0 };

	setup();
	file = spool_file_open(it.journal, 1, true);
	g_assert_cmpint(write_at(file, 0, "a: b\r\n"), ==, 0);
	g_free(make_wire(file).message_id);
	spool_freeze_wire(file, on_done, &outcome);
	g_assert_cmpint(write_at(file, 0, "x: y\n\n"), ==, 0);
	g_assert_true(outcome.is_done);
	g_assert_cmpint(outcome.code, ==, 0);
	assert_holds(file, true, "a: b\r\n");
	spool_scan(file, on_wire, &making);
	run_until(&making.is_done);
	g_assert_cmpuint(making.wire.size, ==, 8);
	g_free(making.wire.message_id);
	assert_holds(file, true, "a: b\r\n");
	g_free(make_wire(file).message_id);
	assert_holds(file, true, "x: y\r\n\r\n");
	spool_file_unref(file);
	teardown();
}

static void a_nul_is_found(void)
{
	struct spool_file *file;
	struct spool_wire wire;

	setup();
	file = spool_file_open(it.journal, 1, true);
	g_assert_cmpint(write_at(file, 0, "a: b\r\n"), ==, 0);
	g_assert_cmpint(write_at(file, 1 << 20, "x"), ==, 0); /* zeros between */
	wire = make_wire(file);
	g_assert_true(wire.has_nul);
	g_free(wire.message_id);
	spool_file_unref(file);
	teardown();
}

static void check_id(const char *text, const char *expected)
{
	struct spool_file *file = spool_file_open(it.journal, journal_new_id(it.journal), true);
	struct spool_wire wire;

	g_assert_cmpint(write_at(file, 0, text), ==, 0);
	wire = make_wire(file);
	g_assert_cmpstr(wire.message_id, ==, expected);
	g_free(wire.message_id);
	spool_file_unref(file);
}

static void the_message_id_is_found_in_the_header_only(void)
{
	setup();
	check_id("A: b\nMessage-ID: <1@x>\n\n", "<1@x>");
	check_id("message-id:\r\n <1@x>\t\r\nB: c\r\n\r\n", "<1@x>");
	check_id("A: b\n\nMessage-ID: <1@x>\n", NULL);
	check_id("A: b\nX-Message-ID: <1@x>\n", NULL);
	check_id("Message-ID:", NULL);
	check_id("Message-ID", NULL);
	check_id("", NULL);
	teardown();
}

static void a_message_is_told_by_its_first_line(void)
{
	static const char *const good[] = { "A: b", "X-y:\n", "A :b", "\nbody", "\r\nbody",
		"From me today\nA: b\n" };
	static const char *const bad[] = { "", "hello", "hello world: x", " A: b", ":x",
		"\x89PNG: x", "From me today\nhello\n", "From me today", "\rx" };

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(spool_looks_like_message(good[i], strlen(good[i])));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(spool_looks_like_message(bad[i], strlen(bad[i])));
}

/* ---- a full disk -------------------------------------------------------------------------------
 */

static void nothing_of_a_write_counts_when_the_disk_is_full(void)
{
	g_autofree char *big = g_strnfill(2 << 20, 'x');
	struct spool_file *file;

	setup();
	close_it();
	if (mount("tmpfs", it.root, "tmpfs", 0, "size=1m,mode=0700") < 0) {
		g_test_skip("cannot mount a tmpfs");
		teardown();
		return;
	}
	open_it();
	file = spool_file_open(it.journal, 1, true);
	g_assert_cmpint(write_at(file, 0, "abc"), ==, 0);
	g_assert_cmpint(write_at(file, 3, big), ==, MAILFS_ERROR_NO_SPACE);
	g_assert_cmpuint(spool_file_size(file), ==, 3);
	assert_holds(file, false, "abc");
	g_assert_cmpint(write_at(file, 3, "def"), ==, 0);
	g_assert_cmpint(sync_it(file), ==, 0);
	assert_holds(file, false, "abcdef");
	spool_file_unref(file);
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
#define T(name) g_test_add_func("/store/spool/" #name, name)
	T(what_is_written_is_read_in_the_order_of_the_calls);
	T(a_file_that_was_left_is_opened_again);
	T(a_file_that_is_not_there_is_an_error);
	T(a_removed_file_is_gone_and_still_read_by_its_holder);
	T(closing_finishes_what_was_called);
	T(files_without_a_row_are_swept);
	T(line_ends_become_crlf_and_the_last_line_has_one);
	T(the_line_of_an_mbox_file_is_left_out);
	T(a_line_end_across_two_reads_is_seen);
	T(a_file_that_needs_no_change_is_not_copied);
	T(a_frozen_wire_form_does_not_follow_the_file);
	T(a_nul_is_found);
	T(the_message_id_is_found_in_the_header_only);
	T(a_message_is_told_by_its_first_line);
	T(nothing_of_a_write_counts_when_the_disk_is_full);
	r = g_test_run();
	post_workers_stop();
	return r;
}
