/* SPDX-License-Identifier: MIT */
/* The text of an attribute becomes a change of flags. */
#include <errno.h>
#include <string.h>

#include <glib.h>

#include "fs/attr_flags.h"
#include "mailfs/types.h"

/* "=" or "+" , flags and keywords to add, flags and keywords to remove. */
static char *describe(const struct attr_edit *edit)
{
	GString *text = g_string_new(edit->is_replacement ? "=" : "~");

	g_string_append_printf(text, "%x", edit->add);
	for (guint i = 0; i + 1 < edit->add_keywords->len; i++)
		g_string_append_printf(text, " %s", (char *)g_ptr_array_index(edit->add_keywords, i));
	g_string_append_printf(text, " -%x", edit->remove);
	for (guint i = 0; i + 1 < edit->remove_keywords->len; i++)
		g_string_append_printf(text, " %s", (char *)g_ptr_array_index(edit->remove_keywords, i));
	return g_string_free(text, FALSE);
}

static void assert_flags(const char *text, const char *expected)
{
	struct attr_edit edit;
	g_autofree char *found = NULL;

	attr_edit_init(&edit);
	g_assert_cmpint(attr_flags_parse(text, strlen(text), &edit), ==, 0);
	found = describe(&edit);
	g_assert_cmpstr(found, ==, expected);
	attr_edit_done(&edit);
}

static void assert_refused(const char *text, size_t len, int error)
{
	struct attr_edit edit;

	attr_edit_init(&edit);
	g_assert_cmpint(attr_flags_parse(text, len, &edit), ==, error);
	attr_edit_done(&edit);
}

static void words_without_signs_are_the_whole_set(void)
{
	assert_flags("", "=0 -0");
	assert_flags("\\Seen work", "=1 work -0");
	assert_flags("  $Forwarded   \\answered ", "=2 $Forwarded -0");
}

static void words_with_signs_are_an_edit(void)
{
	assert_flags("+\\Flagged -\\Seen", "~4 -1");
	assert_flags("+work -play", "~0 work -0 play");
}

static void both_forms_at_once_are_refused(void)
{
	assert_refused("+\\Seen work", 11, EINVAL);
	assert_refused("\\Seen -work", 11, EINVAL);
}

static void what_is_no_flag_and_no_atom_is_refused(void)
{
	static const char *const wrong[] = { "\\Recent", "\\Nonsense", "a(b", "a)b", "a{3}", "a%b",
		"a*b", "a\"b", "a\\b", "a]b", "caf\xc3\xa9", "a\x7f", "+", "-" };

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_refused(wrong[i], strlen(wrong[i]), EINVAL);
}

static void control_characters_are_refused(void)
{
	assert_refused("work\r\nA1 DELETE INBOX", 21, EINVAL);
	assert_refused("work\n", 5, EINVAL);
	assert_refused("work\0more", 9, EINVAL);
	assert_refused("a\tb", 3, EINVAL);
}

static void long_and_many_keywords_are_refused(void)
{
	g_autofree char *atom = g_strnfill(65, 'a');
	g_autofree char *huge = g_strnfill(4097, 'a');
	g_autofree char *longest = NULL;
	g_autoptr(GString) many = g_string_new(NULL);

	for (int i = 0; i < 101; i++)
		g_string_append_printf(many, "k%d ", i);
	assert_refused(atom, 65, EINVAL);
	assert_refused(huge, 4097, E2BIG);
	assert_refused(many->str, many->len, E2BIG);
	atom[64] = '\0';
	longest = g_strdup_printf("=0 %s -0", atom);
	assert_flags(atom, longest);
}

static void assert_tags(const char *text, const char *present, const char *expected)
{
	struct attr_edit edit;
	g_autofree char *found = NULL;

	attr_edit_init(&edit);
	g_assert_cmpint(attr_tags_parse(text, strlen(text), present, &edit), ==, 0);
	found = describe(&edit);
	g_assert_cmpstr(found, ==, expected);
	attr_edit_done(&edit);
}

static void tags_replace_tags_and_leave_the_rest(void)
{
	assert_tags("a,b", "b c $Forwarded", "~0 a b -0 c");
	assert_tags("", "work $Junk", "~0 -0 work");
	assert_tags(" a , b ", "", "~0 a b -0");
}

static void a_tag_of_several_words_is_refused(void)
{
	struct attr_edit edit;

	attr_edit_init(&edit);
	g_assert_cmpint(attr_tags_parse("two words", 9, "", &edit), ==, EINVAL);
	attr_edit_done(&edit);
	attr_edit_init(&edit);
	g_assert_cmpint(attr_tags_parse("$Forwarded", 10, "", &edit), ==, EINVAL);
	attr_edit_done(&edit);
}

static void one_and_zero_are_all_the_bools(void)
{
	bool value = false;

	g_assert_cmpint(attr_bool_parse("1", 1, &value), ==, 0);
	g_assert_true(value);
	g_assert_cmpint(attr_bool_parse("0", 1, &value), ==, 0);
	g_assert_false(value);
	g_assert_cmpint(attr_bool_parse("yes", 3, &value), ==, EINVAL);
	g_assert_cmpint(attr_bool_parse("", 0, &value), ==, EINVAL);
	g_assert_cmpint(attr_bool_parse("1\n", 2, &value), ==, EINVAL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fs/attr_edit/words without signs are the whole set",
		words_without_signs_are_the_whole_set);
	g_test_add_func("/fs/attr_edit/words with signs are an edit", words_with_signs_are_an_edit);
	g_test_add_func("/fs/attr_edit/both forms at once are refused", both_forms_at_once_are_refused);
	g_test_add_func("/fs/attr_edit/FL-2 what is no flag and no atom is refused",
		what_is_no_flag_and_no_atom_is_refused);
	g_test_add_func("/fs/attr_edit/SEC-47 control characters are refused",
		control_characters_are_refused);
	g_test_add_func("/fs/attr_edit/FL-2 long and many keywords are refused",
		long_and_many_keywords_are_refused);
	g_test_add_func("/fs/attr_edit/tags replace tags and leave the rest",
		tags_replace_tags_and_leave_the_rest);
	g_test_add_func("/fs/attr_edit/a tag of several words is refused",
		a_tag_of_several_words_is_refused);
	g_test_add_func("/fs/attr_edit/one and zero are all the bools", one_and_zero_are_all_the_bools);
	return g_test_run();
}
