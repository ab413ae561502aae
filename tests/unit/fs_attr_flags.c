/* SPDX-License-Identifier: MIT */
/* Flags as attribute text, errors as errnos, inode numbers. */
#include <errno.h>

#include <glib.h>

#include "fs/attr_flags.h"
#include "fs/errno_map.h"
#include "fs/ino.h"
#include "mailfs/error.h"
#include "mailfs/types.h"

static void assert_flags(unsigned flags, const char *keywords, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);

	attr_flags_format(flags, keywords, text);
	g_assert_cmpstr(text->str, ==, expected);
}

static void flags_and_keywords_are_sorted_together(void)
{
	assert_flags(0, "", "");
	assert_flags(MAILFS_FLAG_SEEN, "", "\\Seen");
	assert_flags(MAILFS_FLAG_SEEN | MAILFS_FLAG_ANSWERED, "$Forwarded work",
		"$Forwarded \\Answered \\Seen work");
	assert_flags(0x1f, "", "\\Answered \\Deleted \\Draft \\Flagged \\Seen");
}

static void assert_tags(const char *keywords, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);

	attr_tags_format(keywords, text);
	g_assert_cmpstr(text->str, ==, expected);
}

static void tags_are_keywords_without_dollar_and_comma(void)
{
	assert_tags("", "");
	assert_tags("$Forwarded $Junk", "");
	assert_tags("$Forwarded later work", "later,work");
	assert_tags("a,b work", "work");
}

static void keywords_are_found_in_any_case(void)
{
	g_assert_true(attr_has_keyword("$forwarded work", "$Forwarded"));
	g_assert_false(attr_has_keyword("$forwarded2 work", "$Forwarded"));
	g_assert_false(attr_has_keyword("", "$Forwarded"));
}

static void every_error_has_an_errno(void)
{
	for (int code = MAILFS_ERROR_GONE; code <= MAILFS_ERROR_CANCELLED; code++) {
		g_autoptr(GError) error = g_error_new_literal(MAILFS_ERROR, code, "x");

		g_assert_cmpint(errno_of(error), >, 0);
		/* Never what a program would take for a dead daemon, or for "try again at once". */
		g_assert_cmpint(errno_of(error), !=, ENOTCONN);
		g_assert_cmpint(errno_of(error), !=, EAGAIN);
		g_assert_cmpint(errno_of(error), !=, ENOSYS);
	}
}

static void errors_map_as_the_manual_says(void)
{
	static const struct {
		enum mailfs_error code;
		int number;
	} rows[] = {
		{ MAILFS_ERROR_GONE, ENOENT },         { MAILFS_ERROR_STALE, ESTALE },
		{ MAILFS_ERROR_OFFLINE, EHOSTUNREACH }, { MAILFS_ERROR_TIMEOUT, ETIMEDOUT },
		{ MAILFS_ERROR_PROTOCOL, EIO },        { MAILFS_ERROR_LOGIN, EACCES },
		{ MAILFS_ERROR_READ_ONLY, EROFS },     { MAILFS_ERROR_QUOTA, EDQUOT },
		{ MAILFS_ERROR_NOT_EMPTY, ENOTEMPTY }, { MAILFS_ERROR_IN_USE, EBUSY },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = g_error_new_literal(MAILFS_ERROR, (int)rows[i].code, "x");

		g_assert_cmpint(errno_of(error), ==, rows[i].number);
	}
	g_assert_cmpint(errno_of(NULL), ==, 0);
}

static void errors_of_others_are_eio(void)
{
	g_autoptr(GError) foreign = g_error_new_literal(G_FILE_ERROR, 1, "x");
	g_autoptr(GError) unknown = g_error_new_literal(MAILFS_ERROR, 9999, "x");

	g_assert_cmpint(errno_of(foreign), ==, EIO);
	g_assert_cmpint(errno_of(unknown), ==, EIO);
}

static void inodes_split_into_what_they_were_made_of(void)
{
	struct ino what = ino_split(ino_make(INO_KIND_MESSAGE, 0xabcdef, 4294967295u));

	g_assert_cmpint(what.kind, ==, INO_KIND_MESSAGE);
	g_assert_cmpuint(what.id, ==, 0xabcdef);
	g_assert_cmpuint(what.uid, ==, 4294967295u);
	g_assert_cmpint(ino_split(INO_ROOT).kind, ==, INO_KIND_ROOT);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fs/attr_flags/sorted", flags_and_keywords_are_sorted_together);
	g_test_add_func("/fs/attr_flags/tags", tags_are_keywords_without_dollar_and_comma);
	g_test_add_func("/fs/attr_flags/case", keywords_are_found_in_any_case);
	g_test_add_func("/fs/errno_map/every error", every_error_has_an_errno);
	g_test_add_func("/fs/errno_map/table", errors_map_as_the_manual_says);
	g_test_add_func("/fs/errno_map/foreign", errors_of_others_are_eio);
	g_test_add_func("/fs/ino/split", inodes_split_into_what_they_were_made_of);
	return g_test_run();
}
