/* SPDX-License-Identifier: MIT */
/* The mailbox array: order, counts, ranges, keyword sets. */
#include "model/message.h"

#include <string.h>

static struct message *add(struct mailbox *box, uint32_t uid)
{
	bool is_new = false;
	struct message *message = mailbox_insert(box, uid, &is_new);

	g_assert_true(is_new);
	g_assert_cmpuint(message->uid, ==, uid);
	return message;
}

static void assert_uids(const struct mailbox *box, const char *want)
{
	g_autoptr(GString) got = g_string_new(NULL);

	for (size_t i = 0; i < mailbox_count(box); i++)
		g_string_append_printf(got, "%u ", mailbox_at(box, i)->uid);
	g_assert_cmpstr(got->str, ==, want);
}

static void a_new_mailbox_is_empty(void)
{
	struct mailbox *box = mailbox_new(7, 9);

	g_assert_cmpuint(box->id, ==, 7);
	g_assert_cmpuint(box->uidvalidity, ==, 9);
	g_assert_cmpuint(mailbox_count(box), ==, 0);
	g_assert_cmpuint(mailbox_uid_max(box), ==, 0);
	g_assert_null(mailbox_find(box, 1));
	g_assert_cmpuint(mailbox_lower_bound(box, 1), ==, 0);
	g_assert_cmpstr(mailbox_keywords(box, 0), ==, "");
	mailbox_free(box);
}

static void messages_stay_in_uid_order(void)
{
	static const uint32_t uids[] = { 5, UINT32_MAX, 1, 9, 7, 2 };
	struct mailbox *box = mailbox_new(1, 1);

	for (size_t i = 0; i < G_N_ELEMENTS(uids); i++)
		add(box, uids[i])->size = uids[i];
	assert_uids(box, "1 2 5 7 9 4294967295 ");
	for (size_t i = 0; i < G_N_ELEMENTS(uids); i++)
		g_assert_cmpuint(mailbox_find(box, uids[i])->size, ==, uids[i]);
	g_assert_cmpuint(mailbox_uid_max(box), ==, UINT32_MAX);
	mailbox_free(box);
}

static void assert_ascending(const struct mailbox *box, uint32_t count)
{
	g_assert_cmpuint(mailbox_count(box), ==, count);
	for (size_t i = 1; i < count; i++)
		g_assert_cmpuint(mailbox_at(box, i - 1)->uid, <, mailbox_at(box, i)->uid);
}

static void a_descending_sweep_moves_little(void)
{
	struct mailbox *box = mailbox_new(1, 1);

	for (uint32_t uid = 100000; uid > 0; uid--)
		add(box, uid)->size = uid;
	assert_ascending(box, 100000);
	g_assert_cmpuint(mailbox_find(box, 77777)->size, ==, 77777);
	/* One by one at the front: 5,000,000,000. */
	g_assert_cmpuint(box->moved, <, 50000000);
	mailbox_free(box);
}

static void an_ascending_sweep_moves_nothing(void)
{
	struct mailbox *box = mailbox_new(1, 1);

	for (uint32_t uid = 1; uid <= 100000; uid++)
		add(box, uid);
	assert_ascending(box, 100000);
	g_assert_cmpuint(box->moved, ==, 0);
	mailbox_free(box);
}

/* 7919 is prime: each UID once, in no order. */
static void an_unordered_sweep_finds_each_of_them_meanwhile(void)
{
	struct mailbox *box = mailbox_new(1, 1);
	bool is_new = true;

	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t uid = 1 + i * 7919 % 5000;

		add(box, uid)->size = uid;
		g_assert_cmpuint(mailbox_count(box), ==, i + 1);
		g_assert_cmpuint(mailbox_find(box, uid)->size, ==, uid);
		g_assert_cmpuint(mailbox_insert(box, 1, &is_new)->size, ==, 1);
		g_assert_false(is_new);
	}
	g_assert_cmpuint(box->unseen, ==, 5000);
	g_assert_cmpuint(mailbox_uid_max(box), ==, 5000);
	assert_ascending(box, 5000);
	for (uint32_t uid = 1; uid <= 5000; uid++)
		g_assert_cmpuint(mailbox_find(box, uid)->size, ==, uid);
	mailbox_free(box);
}

static void what_came_late_can_be_removed(void)
{
	struct mailbox *box = mailbox_new(1, 1);

	add(box, 9);
	add(box, 4);
	add(box, 2);
	mailbox_remove_range(box, 3, 5);
	assert_uids(box, "2 9 ");
	add(box, 6);
	mailbox_remove_range(box, 9, 9);
	add(box, 8);
	assert_uids(box, "2 6 8 ");
	mailbox_free(box);
}

static void an_insert_of_a_known_uid_finds_it(void)
{
	struct mailbox *box = mailbox_new(1, 1);
	bool is_new = true;

	add(box, 3)->size = 33;
	add(box, 4);
	g_assert_cmpuint(mailbox_insert(box, 3, &is_new)->size, ==, 33);
	g_assert_false(is_new);
	g_assert_cmpuint(mailbox_count(box), ==, 2);
	g_assert_cmpuint(box->unseen, ==, 2);
	mailbox_free(box);
}

static void the_lower_bound_is_the_first_not_below(void)
{
	struct mailbox *box = mailbox_new(1, 1);

	add(box, 10);
	add(box, 20);
	g_assert_cmpuint(mailbox_lower_bound(box, 0), ==, 0);
	g_assert_cmpuint(mailbox_lower_bound(box, 10), ==, 0);
	g_assert_cmpuint(mailbox_lower_bound(box, 11), ==, 1);
	g_assert_cmpuint(mailbox_lower_bound(box, 20), ==, 1);
	g_assert_cmpuint(mailbox_lower_bound(box, 21), ==, 2);
	g_assert_null(mailbox_find(box, 15));
	mailbox_free(box);
}

static bool is_even(const struct message *message, void *user)
{
	return message->uid % 2 == 0;
}

static void remove_if_keeps_the_order_and_the_unseen_count(void)
{
	struct mailbox *box = mailbox_new(1, 1);

	for (uint32_t uid = 1; uid <= 6; uid++)
		mailbox_set_flags(box, add(box, uid), uid <= 2 ? MAILFS_FLAG_SEEN : 0, 0);
	g_assert_cmpuint(box->unseen, ==, 4);
	g_assert_cmpuint(mailbox_remove_if(box, is_even, NULL), ==, 3);
	assert_uids(box, "1 3 5 ");
	g_assert_cmpuint(box->unseen, ==, 2);
	mailbox_free(box);
}

static void a_range_may_span_uids_that_never_were(void)
{
	struct mailbox *box = mailbox_new(1, 1);

	add(box, 1);
	add(box, 5);
	add(box, 4000000000u);
	mailbox_remove_range(box, 2, 3);
	assert_uids(box, "1 5 4000000000 ");
	mailbox_remove_range(box, 9, 6);
	assert_uids(box, "1 5 4000000000 ");
	mailbox_remove_range(box, 2, UINT32_MAX);
	assert_uids(box, "1 ");
	g_assert_cmpuint(box->unseen, ==, 1);
	mailbox_remove_range(box, 0, UINT32_MAX);
	assert_uids(box, "");
	g_assert_cmpuint(box->unseen, ==, 0);
	mailbox_free(box);
}

static void flags_keep_the_unseen_count_right(void)
{
	struct mailbox *box = mailbox_new(1, 1);
	struct message *message = add(box, 1);

	g_assert_cmpuint(box->unseen, ==, 1);
	g_assert_true(mailbox_set_flags(box, message, MAILFS_FLAG_SEEN, 0));
	g_assert_cmpuint(box->unseen, ==, 0);
	g_assert_true(mailbox_set_flags(box, message, MAILFS_FLAG_SEEN | MAILFS_FLAG_DRAFT, 0));
	g_assert_cmpuint(box->unseen, ==, 0);
	g_assert_true(mailbox_set_flags(box, message, 0, 0));
	g_assert_cmpuint(box->unseen, ==, 1);
	mailbox_free(box);
}

static void flags_that_are_set_already_are_no_change(void)
{
	struct mailbox *box = mailbox_new(1, 1);
	struct message *message = add(box, 1);
	uint32_t id = mailbox_intern_keyword_text(box, "work");

	g_assert_true(mailbox_set_flags(box, message, MAILFS_FLAG_FLAGGED, id));
	g_assert_false(mailbox_set_flags(box, message, MAILFS_FLAG_FLAGGED, id));
	g_assert_true(mailbox_set_flags(box, message, MAILFS_FLAG_FLAGGED, 0));
	mailbox_free(box);
}

static void keyword_sets_are_sorted_and_without_doubles(void)
{
	static const char *const some[] = { "work", "$Junk", "work", "", "a", NULL };
	static const char *const same[] = { "a", "work", "$Junk", NULL };
	static const char *const none[] = { NULL };
	struct mailbox *box = mailbox_new(1, 1);
	uint32_t id = mailbox_intern_keywords(box, some);

	g_assert_cmpstr(mailbox_keywords(box, id), ==, "$Junk a work");
	g_assert_cmpuint(mailbox_intern_keywords(box, same), ==, id);
	g_assert_cmpuint(mailbox_intern_keyword_text(box, "$Junk a work"), ==, id);
	g_assert_cmpuint(mailbox_intern_keywords(box, none), ==, 0);
	g_assert_cmpuint(mailbox_intern_keywords(box, NULL), ==, 0);
	g_assert_cmpuint(box->keywords->len, ==, 2);
	mailbox_free(box);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/model/mailbox/a new one is empty", a_new_mailbox_is_empty);
	g_test_add_func("/model/mailbox/messages stay in uid order", messages_stay_in_uid_order);
	g_test_add_func("/model/mailbox/a descending sweep moves little", a_descending_sweep_moves_little);
	g_test_add_func("/model/mailbox/an ascending sweep moves nothing",
		an_ascending_sweep_moves_nothing);
	g_test_add_func("/model/mailbox/an unordered sweep",
		an_unordered_sweep_finds_each_of_them_meanwhile);
	g_test_add_func("/model/mailbox/late ones can be removed", what_came_late_can_be_removed);
	g_test_add_func("/model/mailbox/an insert of a known uid finds it",
		an_insert_of_a_known_uid_finds_it);
	g_test_add_func("/model/mailbox/the lower bound is the first not below",
		the_lower_bound_is_the_first_not_below);
	g_test_add_func("/model/mailbox/remove_if keeps order and unseen",
		remove_if_keeps_the_order_and_the_unseen_count);
	g_test_add_func("/model/mailbox/a range may span uids that never were",
		a_range_may_span_uids_that_never_were);
	g_test_add_func("/model/mailbox/flags keep unseen right", flags_keep_the_unseen_count_right);
	g_test_add_func("/model/mailbox/flags set already are no change",
		flags_that_are_set_already_are_no_change);
	g_test_add_func("/model/mailbox/keyword sets are sorted, no doubles",
		keyword_sets_are_sorted_and_without_doubles);
	return g_test_run();
}
