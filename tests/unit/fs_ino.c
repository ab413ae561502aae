/* SPDX-License-Identifier: MIT */
/* Inode numbers: what is put in comes out again, in a mount of one account and of several. */
#include "fs/ino.h"

#include <glib.h>

static const enum ino_kind kinds[] = { INO_KIND_FOLDER, INO_KIND_MESSAGE, INO_KIND_CONTROL, INO_KIND_DRAFT };

static void an_inode_comes_apart_as_it_was_made(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		struct ino ino = ino_split(ino_make(kinds[i], 0xfedcba, 0xffffffff));

		g_assert_cmpint(ino.kind, ==, kinds[i]);
		g_assert_cmpint(ino.round, ==, 0);
		g_assert_cmphex(ino.id, ==, 0xfedcba);
		g_assert_cmphex(ino.uid, ==, 0xffffffff);
	}
}

static void each_account_has_its_inodes(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		uint64_t plain = ino_make(kinds[i], 0xffffff, 0x80000001);

		for (unsigned account = 0; account <= INO_ACCOUNT_MASK; account++) {
			uint64_t value = ino_base(account) | plain;
			struct ino ino = ino_split(value);

			g_assert_cmpint(ino_account(value, INO_ACCOUNT_MASK), ==, account);
			g_assert_cmpint(ino.kind, ==, kinds[i]);
			g_assert_cmphex(ino.id, ==, 0xffffff);
			g_assert_cmphex(ino.uid, ==, 0x80000001);
		}
	}
}

static void the_largest_draft_does_not_reach_the_account(void)
{
	uint64_t value = ino_base(INO_ACCOUNT_MASK) | ino_draft(0xffffffffffffffffull);

	g_assert_cmpint(ino_account(value, INO_ACCOUNT_MASK), ==, INO_ACCOUNT_MASK);
	g_assert_cmphex(ino_draft_id(value), ==, 0xffffffffffffffull);
	g_assert_cmpint(ino_split(value).kind, ==, INO_KIND_DRAFT);
}

static void a_mount_of_one_account_has_all_rounds(void)
{
	uint64_t ino = ino_make(INO_KIND_MESSAGE, 1, 2);

	for (unsigned round = 0; round <= INO_ROUND_MAX; round++) {
		uint64_t value = ino_with_round(ino, round);

		g_assert_cmpint(ino_account(value, 0), ==, 0);
		g_assert_cmpint(ino_split(value).round, ==, round);
		g_assert_cmpint(ino_split(value).kind, ==, INO_KIND_MESSAGE);
		g_assert_cmphex(ino_with_round(value, 0), ==, ino);
	}
}

static void the_root_of_the_mount_is_no_accounts(void)
{
	g_assert_cmpint(ino_account(INO_ROOT, INO_ACCOUNT_MASK), ==, 0);
	g_assert_cmpint(ino_split(INO_ROOT).kind, ==, INO_KIND_ROOT);
	g_assert_cmphex(ino_base(1) | INO_ROOT, !=, INO_ROOT);
	g_assert_cmpint(ino_split(ino_base(7) | INO_ROOT).kind, ==, INO_KIND_ROOT);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fs/ino/an inode comes apart as it was made", an_inode_comes_apart_as_it_was_made);
	g_test_add_func("/fs/ino/each account has its inodes", each_account_has_its_inodes);
	g_test_add_func("/fs/ino/the largest draft does not reach the account",
		the_largest_draft_does_not_reach_the_account);
	g_test_add_func("/fs/ino/a mount of one account has all rounds", a_mount_of_one_account_has_all_rounds);
	g_test_add_func("/fs/ino/the root of the mount is no account's", the_root_of_the_mount_is_no_accounts);
	return g_test_run();
}
