/* SPDX-License-Identifier: MIT */
/* The index: folders and ids, messages, names, details, migrations, locking. */
#include "store_test.h"

#include <sys/wait.h>

#include <sqlite3.h>

#include "store/schema.h"
#include "store/store_impl.h"

static struct cache cache;

static void setup(void)
{
	cache_init(&cache);
	cache_open(&cache);
}

static const struct store_folder *folder(const char *name)
{
	const GPtrArray *folders = store_folders(cache.store);

	for (guint i = 0; i < folders->len; i++) {
		const struct store_folder *found = g_ptr_array_index(folders, i);

		if (strcmp(found->name, name) == 0)
			return found;
	}
	return NULL;
}

static struct message message_of(uint32_t uid)
{
	return (struct message){ .uid = uid,
		.name_hash = uid * 7,
		.seen_time = uid * 3,
		.date = (int64_t)uid * 1000 - 5000,
		.ctime_ns = -(int64_t)uid,
		.size = (1ull << 40) + uid,
		.flags = uid % 2 ? MAILFS_FLAG_SEEN : MAILFS_FLAG_FLAGGED,
		.bits = MESSAGE_SIZE_EXACT };
}

static void put(struct store_batch *batch, uint32_t uid, const char *keywords)
{
	struct message message = message_of(uid);
	struct store_message row = { .message = &message, .keywords = keywords };

	store_batch_put(batch, &row);
}

static void assert_same(const struct message *got, const struct message *want)
{
	g_assert_cmpuint(got->uid, ==, want->uid);
	g_assert_cmpuint(got->name_hash, ==, want->name_hash);
	g_assert_cmpuint(got->seen_time, ==, want->seen_time);
	g_assert_cmpint(got->date, ==, want->date);
	g_assert_cmpint(got->ctime_ns, ==, want->ctime_ns);
	g_assert_cmpuint(got->size, ==, want->size);
	g_assert_cmpuint(got->flags, ==, want->flags);
	g_assert_cmpuint(got->bits, ==, want->bits);
}

/* ---- folders ------------------------------------------------------------------------------- */

static void folders_survive_reopening_as_they_were(void)
{
	struct mailfs_folder_info infos[] = {
		{ .name = "INBOX", .path = "INBOX", .delimiter = '/', .flags = MAILFS_FOLDER_INBOX },
		{ .name = "Entw&APw-rfe", .path = "Entwürfe", .delimiter = '.', .role = "\\Drafts" },
		{ .name = "raw\xff", .path = "raw\xff" },
	};
	uint32_t ids[3];

	setup();
	store_set_folders(cache.store, infos, G_N_ELEMENTS(infos));
	for (size_t i = 0; i < 3; i++)
		ids[i] = folder(infos[i].name)->dir_id;
	cache_reopen(&cache);
	g_assert_cmpuint(store_folders(cache.store)->len, ==, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct store_folder *known = folder(infos[i].name);

		g_assert_nonnull(known);
		g_assert_cmpuint(known->dir_id, ==, ids[i]);
		g_assert_cmpstr(known->path, ==, infos[i].path);
		g_assert_cmpint(known->delimiter, ==, infos[i].delimiter);
		g_assert_cmpuint(known->flags, ==, infos[i].flags);
		g_assert_cmpstr(known->role, ==, infos[i].role);
		g_assert_cmpuint(known->box_id, ==, 0);
	}
	cache_done(&cache);
}

static void ids_are_the_same_in_a_new_cache(void)
{
	uint32_t dir_id, box_id, other_id;

	setup();
	list_one(cache.store, "INBOX");
	dir_id = folder("INBOX")->dir_id;
	box_id = store_box_id(cache.store, "INBOX", 77);
	cache_done(&cache);
	setup();
	list_one(cache.store, "INBOX");
	g_assert_cmpuint(folder("INBOX")->dir_id, ==, dir_id);
	g_assert_cmpuint(store_box_id(cache.store, "INBOX", 77), ==, box_id);
	other_id = store_box_id(cache.store, "INBOX", 78);
	g_assert_cmpuint(other_id, !=, box_id);
	g_assert_cmpuint(box_id, >, 0);
	g_assert_cmpuint(box_id, <=, 0xffffff);
	cache_done(&cache);
}

static void many_folders_have_distinct_ids(void)
{
	enum { COUNT = 20000 }; /* some dozen collide in 24 bits */
	g_autofree struct mailfs_folder_info *infos = g_new0(struct mailfs_folder_info, COUNT);
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

	setup();
	for (size_t i = 0; i < COUNT; i++)
		infos[i].name = infos[i].path = g_strdup_printf("f%zu", i);
	store_set_folders(cache.store, infos, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		uint32_t id = ((struct store_folder *)store_folders(cache.store)->pdata[i])->dir_id;

		g_assert_cmpuint(id, >, 0);
		g_assert_cmpuint(id, <=, 0xffffff);
		g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(id)));
		g_free((char *)infos[i].name);
	}
	cache_done(&cache);
}

static void a_listing_writes_what_it_changes(void)
{
	struct mailfs_folder_info infos[] = {
		{ .name = "a", .path = "a" }, { .name = "b", .path = "b" }, { .name = "c", .path = "c" },
	};

	setup();
	store_set_folders(cache.store, infos, 3);
	g_assert_cmpuint(cache.store->folder_rows, ==, 3);
	store_set_folders(cache.store, infos, 3);
	g_assert_cmpuint(cache.store->folder_rows, ==, 3);
	store_box_id(cache.store, "b", 7);
	g_assert_cmpuint(cache.store->folder_rows, ==, 4);
	infos[1].role = "\\Drafts";
	infos[2].name = infos[2].path = "d";
	store_set_folders(cache.store, infos, 2);
	g_assert_cmpuint(cache.store->folder_rows, ==, 6); /* c is gone: all anew */
	infos[0].flags = MAILFS_FOLDER_NOSELECT;
	store_set_folders(cache.store, infos, 3);
	g_assert_cmpuint(cache.store->folder_rows, ==, 8); /* a, d */
	cache_reopen(&cache);
	g_assert_cmpuint(store_folders(cache.store)->len, ==, 3);
	g_assert_cmpuint(folder("a")->flags, ==, MAILFS_FOLDER_NOSELECT);
	g_assert_cmpuint(folder("b")->uidvalidity, ==, 7);
	g_assert_cmpstr(folder("b")->role, ==, "\\Drafts");
	g_assert_null(folder("c"));
	g_assert_nonnull(folder("d"));
	cache_done(&cache);
}

static void a_folder_listed_twice_is_one(void)
{
	struct mailfs_folder_info infos[] = { { .name = "INBOX", .path = "INBOX" },
		{ .name = "INBOX", .path = "INBOX" } };

	setup();
	store_set_folders(cache.store, infos, 2);
	g_assert_cmpuint(store_folders(cache.store)->len, ==, 1);
	cache_done(&cache);
}

static void a_folder_that_is_not_listed_any_more_is_forgotten_with_its_mail(void)
{
	struct store_batch *batch;
	uint32_t box;

	setup();
	list_one(cache.store, "old");
	box = store_box_id(cache.store, "old", 1);
	batch = store_batch_new(cache.store, box);
	put(batch, 1, NULL);
	g_assert_cmpint(commit(batch), ==, 0);
	g_assert_cmpint(add_whole(cache.store, box, 1, 100), ==, 0);
	list_one(cache.store, "new");
	g_assert_null(folder("old"));
	g_assert_null(load_box(cache.store, box));
	g_assert_cmpuint(store_usage(cache.store).body_bytes, ==, 0);
	list_one(cache.store, "old");
	g_assert_cmpuint(folder("old")->box_id, ==, 0);
	g_assert_cmpint(check_whole(cache.store, box, 1, 100), ==, -1);
	cache_done(&cache);
}

/* SEC-41: bytes of one UIDVALIDITY are never shown under another. */
static void a_new_uidvalidity_forgets_messages_and_bodies(void)
{
	struct store_batch *batch;
	struct body *body;
	uint32_t old, new;

	setup();
	list_one(cache.store, "INBOX");
	old = store_box_id(cache.store, "INBOX", 1);
	batch = store_batch_new(cache.store, old);
	put(batch, 1, NULL);
	store_batch_set_state(batch, 99, 5, 1, 0);
	g_assert_cmpint(commit(batch), ==, 0);
	g_assert_cmpint(add_whole(cache.store, old, 1, 100), ==, 0);
	body = open_body(cache.store, old, 1);
	g_assert_true(body_is_complete(body));

	new = store_box_id(cache.store, "INBOX", 2);
	g_assert_cmpuint(new, !=, old);
	/* Who holds it reads on; nobody else finds it, under neither identity. */
	g_assert_true(body_is_complete(body));
	g_assert_cmpint(check_whole(cache.store, new, 1, 100), ==, -1);
	g_assert_cmpuint(folder("INBOX")->modseq, ==, 0);
	g_assert_cmpuint(folder("INBOX")->messages, ==, 0);
	g_assert_null(load_box(cache.store, old));
	g_assert_cmpint(check_whole(cache.store, old, 1, 100), ==, -1);
	body_unref(body);
	cache_reopen(&cache);
	g_assert_cmpuint(folder("INBOX")->box_id, ==, new);
	g_assert_cmpuint(folder("INBOX")->uidvalidity, ==, 2);
	cache_done(&cache);
}

static void the_trust_of_an_account_is_remembered(void)
{
	setup();
	g_assert_cmpuint(store_get_trust(cache.store).proven, ==, 0);
	store_put_trust(cache.store, (struct store_trust){ 31, true, false });
	cache_reopen(&cache);
	g_assert_cmpuint(store_get_trust(cache.store).proven, ==, 31);
	g_assert_true(store_get_trust(cache.store).is_liar);
	g_assert_false(store_get_trust(cache.store).is_range_unstable);
	store_put_trust(cache.store, (struct store_trust){ 1000, false, true });
	g_assert_cmpuint(store_get_trust(cache.store).proven, ==, 32);
	cache_done(&cache);
}

/* ---- messages ------------------------------------------------------------------------------ */

static void an_unknown_mailbox_loads_as_none(void)
{
	setup();
	g_assert_null(load_box(cache.store, 0x123456));
	cache_done(&cache);
}

static void messages_load_as_they_were_put(void)
{
	struct store_batch *batch;
	struct mailbox *box;
	uint32_t id;

	setup();
	list_one(cache.store, "INBOX");
	id = store_box_id(cache.store, "INBOX", 5);
	batch = store_batch_new(cache.store, id);
	put(batch, 10, "work");
	put(batch, UINT32_MAX, NULL);
	put(batch, 2, "$Junk a"); /* out of order */
	put(batch, 3, "work");
	store_batch_set_state(batch, 1234567890123, -42, 4, 2);
	g_assert_cmpint(commit(batch), ==, 0);
	cache_reopen(&cache);

	box = load_box(cache.store, id);
	g_assert_nonnull(box);
	g_assert_cmpuint(box->id, ==, id);
	g_assert_cmpuint(box->uidvalidity, ==, 5);
	g_assert_cmpuint(box->modseq, ==, 1234567890123);
	g_assert_cmpint(box->listing_ns, ==, -42);
	g_assert_cmpuint(mailbox_count(box), ==, 4);
	g_assert_cmpuint(box->unseen, ==, 2);
	for (size_t i = 0; i < 4; i++) {
		struct message want = message_of(mailbox_at(box, i)->uid);

		assert_same(mailbox_at(box, i), &want);
	}
	g_assert_cmpstr(mailbox_keywords(box, mailbox_find(box, 2)->keywords), ==, "$Junk a");
	g_assert_cmpuint(mailbox_find(box, 10)->keywords, ==, mailbox_find(box, 3)->keywords);
	g_assert_cmpuint(mailbox_find(box, UINT32_MAX)->keywords, ==, 0);
	mailbox_free(box);

	g_assert_cmpuint(folder("INBOX")->modseq, ==, 1234567890123);
	g_assert_cmpint(folder("INBOX")->listing_ns, ==, -42);
	g_assert_cmpuint(folder("INBOX")->messages, ==, 4);
	g_assert_cmpuint(folder("INBOX")->unseen, ==, 2);
	cache_done(&cache);
}

static void rows_are_replaced_and_removed_in_order(void)
{
	struct store_batch *batch;
	struct mailbox *box;
	uint32_t id;

	setup();
	list_one(cache.store, "INBOX");
	id = store_box_id(cache.store, "INBOX", 5);
	for (int round = 0; round < 3; round++) { /* counts must stay right over rounds */
		batch = store_batch_new(cache.store, id);
		for (uint32_t uid = 1; uid <= 9; uid++)
			put(batch, uid, round == 1 ? "x" : NULL);
		store_batch_remove(batch, 4, 6);
		put(batch, 5, NULL);
		store_batch_remove(batch, 9, UINT32_MAX);
		store_batch_remove(batch, 7, 6);
		g_assert_cmpint(commit(batch), ==, 0);
		if (round == 1)
			cache_reopen(&cache);
		box = load_box(cache.store, id);
		g_assert_nonnull(box);
		g_assert_cmpuint(mailbox_count(box), ==, 6);
		g_assert_null(mailbox_find(box, 4));
		g_assert_nonnull(mailbox_find(box, 5));
		g_assert_null(mailbox_find(box, 9));
		g_assert_cmpstr(mailbox_keywords(box, mailbox_find(box, 1)->keywords), ==,
			round == 1 ? "x" : "");
		mailbox_free(box);
	}
	cache_done(&cache);
}

struct details_copy {
	bool is_done, is_known, has_head, is_complete;
	char *subject, *date, *name, *remote_id, *thread_id;
	uint64_t modseq, body_bytes;
};

static void on_details(void *user, const struct store_details *details)
{
	struct details_copy *copy = user;

	copy->is_done = true;
	copy->is_known = details != NULL;
	if (!details)
		return;
	copy->has_head = details->has_head;
	copy->subject = g_strdup(details->head.subject);
	copy->date = g_strdup(details->head.date);
	copy->name = g_strdup(details->name);
	copy->remote_id = g_strdup(details->remote_id);
	copy->thread_id = g_strdup(details->thread_id);
	copy->modseq = details->modseq;
	copy->body_bytes = details->body_bytes;
	copy->is_complete = details->is_body_complete;
}

static struct details_copy load_details(uint32_t box, uint32_t uid)
{
	struct details_copy copy = { 0 };

	store_load_details(cache.store, box, uid, on_details, &copy);
	run_until(&copy.is_done);
	return copy;
}

static void details_free(struct details_copy *copy)
{
	g_free(copy->subject);
	g_free(copy->date);
	g_free(copy->name);
	g_free(copy->remote_id);
	g_free(copy->thread_id);
}

static void what_a_put_does_not_mention_stays(void)
{
	struct mailfs_head head = { .subject = "Grüße", .date = "2026-01-02T03:04:05Z" };
	struct message message = message_of(1);
	struct store_message full = { &message, "", "a name.eml", &head, "M1", NULL, 50 };
	struct store_message flags = { .message = &message };
	struct store_message thread = { .message = &message, .thread_id = "T1", .modseq = 60 };
	struct store_batch *batch;
	struct details_copy got;
	uint32_t id;

	setup();
	list_one(cache.store, "INBOX");
	id = store_box_id(cache.store, "INBOX", 5);
	batch = store_batch_new(cache.store, id);
	store_batch_put(batch, &full);
	store_batch_put(batch, &flags);
	g_assert_cmpint(commit(batch), ==, 0);
	got = load_details(id, 1);
	g_assert_true(got.has_head);
	g_assert_cmpstr(got.subject, ==, "Grüße");
	g_assert_cmpstr(got.date, ==, "2026-01-02T03:04:05Z");
	g_assert_cmpstr(got.name, ==, "a name.eml");
	g_assert_cmpstr(got.remote_id, ==, "M1");
	g_assert_null(got.thread_id);
	g_assert_cmpuint(got.modseq, ==, 50);
	details_free(&got);

	batch = store_batch_new(cache.store, id);
	store_batch_put(batch, &thread);
	g_assert_cmpint(commit(batch), ==, 0);
	g_assert_cmpint(add_whole(cache.store, id, 1, 321), ==, 0);
	got = load_details(id, 1);
	g_assert_cmpstr(got.remote_id, ==, "M1");
	g_assert_cmpstr(got.thread_id, ==, "T1");
	g_assert_cmpuint(got.modseq, ==, 60);
	g_assert_cmpuint(got.body_bytes, ==, 321);
	g_assert_true(got.is_complete);
	details_free(&got);
	got = load_details(id, 2);
	g_assert_false(got.is_known);
	cache_done(&cache);
}

static void removed_messages_take_names_details_and_bodies_along(void)
{
	struct mailfs_head head = { .subject = "s" };
	struct message message = message_of(1);
	struct store_message full = { &message, "", "n", &head, "M1", "T1", 50 };
	struct store_batch *batch;
	struct details_copy got;
	struct body *body;
	uint32_t id;

	setup();
	list_one(cache.store, "INBOX");
	id = store_box_id(cache.store, "INBOX", 5);
	batch = store_batch_new(cache.store, id);
	store_batch_put(batch, &full);
	g_assert_cmpint(commit(batch), ==, 0);
	g_assert_cmpint(add_whole(cache.store, id, 1, 10), ==, 0);
	body = open_body(cache.store, id, 1);

	batch = store_batch_new(cache.store, id);
	store_batch_remove(batch, 1, 1);
	g_assert_cmpint(commit(batch), ==, 0);
	/* Who holds it reads on; nobody else finds it. */
	g_assert_true(body_is_complete(body));
	g_assert_cmpint(check_whole(cache.store, id, 1, 10), ==, -1);
	body_unref(body);
	g_assert_cmpuint(store_usage(cache.store).bodies, ==, 0);

	full = (struct store_message){ .message = &message };
	batch = store_batch_new(cache.store, id);
	store_batch_put(batch, &full);
	g_assert_cmpint(commit(batch), ==, 0);
	got = load_details(id, 1);
	g_assert_true(got.is_known);
	g_assert_false(got.has_head);
	g_assert_null(got.name);
	g_assert_null(got.remote_id);
	g_assert_cmpuint(got.body_bytes, ==, 0);
	details_free(&got);
	cache_done(&cache);
}

struct names {
	bool is_done;
	GString *text;
};

static void on_names(void *user, size_t count, const uint32_t *uids, const char *const *names)
{
	struct names *got = user;

	for (size_t i = 0; i < count; i++)
		g_string_append_printf(got->text, "%u=%s ", uids[i], names[i]);
	got->is_done = true;
}

static void assert_names(uint32_t box, uint32_t after, size_t limit, const char *want)
{
	struct names got = { false, g_string_new(NULL) };

	store_load_names(cache.store, box, after, limit, on_names, &got);
	run_until(&got.is_done);
	g_assert_cmpstr(got.text->str, ==, want);
	g_string_free(got.text, TRUE);
}

static void names_load_in_pages(void)
{
	static const char *const names[] = { "a", NULL, "c", "d" };
	struct store_batch *batch;
	uint32_t id;

	setup();
	list_one(cache.store, "INBOX");
	id = store_box_id(cache.store, "INBOX", 5);
	batch = store_batch_new(cache.store, id);
	for (uint32_t i = 0; i < 4; i++) {
		struct message message = message_of(i + 1);
		struct store_message row = { .message = &message, .name = names[i] };

		store_batch_put(batch, &row);
	}
	g_assert_cmpint(commit(batch), ==, 0);
	assert_names(id, 0, 2, "1=a 3=c ");
	assert_names(id, 3, 2, "4=d ");
	assert_names(id, 0, SIZE_MAX, "1=a 3=c 4=d ");
	assert_names(id + 1, 0, 9, "");
	cache_done(&cache);
}

static void rows_count_as_pending_until_they_are_committed(void)
{
	struct outcome outcome = { 0 };
	struct store_batch *batch;

	setup();
	list_one(cache.store, "INBOX");
	batch = store_batch_new(cache.store, store_box_id(cache.store, "INBOX", 5));
	put(batch, 1, NULL);
	put(batch, 2, NULL);
	g_assert_cmpuint(store_pending_rows(cache.store), ==, 0);
	store_batch_commit(batch, on_done, &outcome);
	g_assert_false(outcome.is_done);
	g_assert_cmpuint(store_pending_rows(cache.store), ==, 2);
	run_until(&outcome.is_done);
	g_assert_cmpuint(store_pending_rows(cache.store), ==, 0);
	cache_done(&cache);
}

struct order {
	GString *text;
	const char *what;
};

static void order_done(void *user, const GError *error)
{
	struct order *order = user;

	g_string_append(order->text, order->what);
}

static void order_box(void *user, struct mailbox *box)
{
	struct order *order = user;

	g_string_append_printf(order->text, "%s%u ", order->what, box ? mailbox_count(box) : 0);
	mailbox_free(box);
}

static void answers_come_in_the_order_of_the_calls(void)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct order commits = { text, "commit " }, loads = { text, "load" };
	struct store_batch *batch;
	uint32_t id;

	setup();
	list_one(cache.store, "INBOX");
	id = store_box_id(cache.store, "INBOX", 5);
	for (uint32_t uid = 1; uid <= 3; uid++) {
		batch = store_batch_new(cache.store, id);
		put(batch, uid, NULL);
		store_batch_commit(batch, order_done, &commits);
		store_load_box(cache.store, id, order_box, &loads);
	}
	settle(cache.store);
	g_assert_cmpstr(text->str, ==, "commit load1 commit load2 commit load3 ");
	cache_done(&cache);
}

static void a_batch_of_a_forgotten_mailbox_leaves_nothing(void)
{
	struct store_batch *batch;
	uint32_t old;

	setup();
	list_one(cache.store, "INBOX");
	old = store_box_id(cache.store, "INBOX", 1);
	batch = store_batch_new(cache.store, old);
	put(batch, 1, NULL);
	store_box_id(cache.store, "INBOX", 2);
	g_assert_cmpint(commit(batch), ==, 0);
	g_assert_null(load_box(cache.store, old));
	cache_done(&cache);
}

static void closing_commits_what_was_given(void)
{
	struct store_batch *batch;
	struct mailbox *box;
	uint32_t id;

	setup();
	list_one(cache.store, "INBOX");
	id = store_box_id(cache.store, "INBOX", 5);
	batch = store_batch_new(cache.store, id);
	put(batch, 1, NULL);
	store_batch_commit(batch, NULL, NULL);
	cache_reopen(&cache);
	box = load_box(cache.store, id);
	g_assert_cmpuint(mailbox_count(box), ==, 1);
	mailbox_free(box);
	cache_done(&cache);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void parents_are_made(void)
{
	struct stat st;

	cache_init(&cache);
	g_free(cache.dir);
	cache.dir = g_build_filename(cache.root, "a", "b/", "c//", NULL);
	cache_open(&cache);
	g_assert_cmpint(lstat(cache.dir, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0777, ==, 0700);
	cache_done(&cache);
}

/* In a child: 0 = IN_USE with advice, as it should be. */
static int try_second_open(void)
{
	struct store_config config = { cache.dir, IDENTITY, 1 << 20 };
	GError *error = NULL;
	struct store *store = store_open(&config, &error);

	if (store || !g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_IN_USE))
		return 1;
	return strstr(error->message, "unmount") ? 0 : 2;
}

static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0)
		_exit(fn());
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_second_mount_is_told_that_it_is_in_use(void)
{
	g_autofree char *lock = NULL;

	setup();
	g_assert_cmpint(in_child(try_second_open), ==, 0);
	lock = cache_path(&cache, "lock");
	g_assert_cmpint(unlink(lock), ==, 0); /* no second door */
	g_assert_cmpint(in_child(try_second_open), ==, 0);
	cache_reopen(&cache);
	cache_done(&cache);
}

static void migrations_run_once_and_keep_the_rows(void)
{
	const size_t count = schema_step_count + 1;
	g_autofree const char **steps = g_new0(const char *, count);
	g_autofree char *path = NULL;
	struct store_batch *batch;
	sqlite3_stmt *stmt;
	sqlite3 *db;
	uint32_t id;

	memcpy(steps, schema_steps, schema_step_count * sizeof(*steps));
	steps[count - 1] = "ALTER TABLE message ADD COLUMN extra INTEGER NOT NULL DEFAULT 7;"
			   "CREATE TABLE later(x INTEGER);";
	setup();
	list_one(cache.store, "INBOX");
	id = store_box_id(cache.store, "INBOX", 5);
	batch = store_batch_new(cache.store, id);
	put(batch, 4, NULL);
	g_assert_cmpint(commit(batch), ==, 0);
	cache_close(&cache);

	path = cache_path(&cache, "index.db");
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(schema_apply(db, steps, count), ==, SCHEMA_OK);
	g_assert_cmpint(schema_apply(db, steps, count), ==, SCHEMA_OK);
	g_assert_cmpint(
		sqlite3_prepare_v2(db, "SELECT uid, extra FROM message", -1, &stmt, NULL), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_step(stmt), ==, SQLITE_ROW);
	g_assert_cmpint(sqlite3_column_int(stmt, 0), ==, 4);
	g_assert_cmpint(sqlite3_column_int(stmt, 1), ==, 7);
	sqlite3_finalize(stmt);
	g_assert_cmpint(schema_apply(db, steps, count - 1), ==, SCHEMA_NEWER);
	sqlite3_close(db);
	cache_open(&cache); /* a newer one is set aside */
	g_assert_cmpuint(store_folders(cache.store)->len, ==, 0);
	cache_done(&cache);
}

static void a_failed_migration_changes_nothing(void)
{
	const char *const steps[] = { schema_steps[0], "CREATE TABLE later(x INTEGER); nonsense;" };
	sqlite3 *db;

	g_assert_cmpint(sqlite3_open(":memory:", &db), ==, SQLITE_OK);
	g_assert_cmpint(schema_apply(db, steps, 1), ==, SCHEMA_OK);
	g_assert_cmpint(schema_apply(db, steps, 2), ==, SCHEMA_FAILED);
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	g_assert_cmpint(schema_apply(db, steps, 1), ==, SCHEMA_OK);
	g_assert_cmpint(sqlite3_exec(db, "SELECT * FROM later", NULL, NULL, NULL), ==, SQLITE_ERROR);
	sqlite3_close(db);
}

#define ADD(name, fn) g_test_add_func("/store/index/" name, fn)

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	log_set_level(LOG_ERROR);
	post_workers_start(2);
	ADD("folders survive reopening", folders_survive_reopening_as_they_were);
	ADD("ids are the same in a new cache", ids_are_the_same_in_a_new_cache);
	ADD("many folders have distinct ids", many_folders_have_distinct_ids);
	ADD("a listing writes what it changes", a_listing_writes_what_it_changes);
	ADD("a folder listed twice is one", a_folder_listed_twice_is_one);
	ADD("a folder not listed any more is forgotten",
		a_folder_that_is_not_listed_any_more_is_forgotten_with_its_mail);
	ADD("SEC-41 a new uidvalidity forgets all", a_new_uidvalidity_forgets_messages_and_bodies);
	ADD("trust is remembered", the_trust_of_an_account_is_remembered);
	ADD("an unknown mailbox loads as none", an_unknown_mailbox_loads_as_none);
	ADD("messages load as they were put", messages_load_as_they_were_put);
	ADD("rows are replaced and removed in order", rows_are_replaced_and_removed_in_order);
	ADD("what a put does not mention stays", what_a_put_does_not_mention_stays);
	ADD("removed messages take all along", removed_messages_take_names_details_and_bodies_along);
	ADD("names load in pages", names_load_in_pages);
	ADD("rows are pending until committed", rows_count_as_pending_until_they_are_committed);
	ADD("answers come in the order of the calls", answers_come_in_the_order_of_the_calls);
	ADD("a batch of a forgotten mailbox leaves nothing",
		a_batch_of_a_forgotten_mailbox_leaves_nothing);
	ADD("closing commits what was given", closing_commits_what_was_given);
	ADD("parents are made", parents_are_made);
	ADD("a second mount is told: in use", a_second_mount_is_told_that_it_is_in_use);
	ADD("migrations run once, keep the rows", migrations_run_once_and_keep_the_rows);
	ADD("a failed migration changes nothing", a_failed_migration_changes_nothing);
	r = g_test_run();
	post_workers_stop();
	return r;
}
