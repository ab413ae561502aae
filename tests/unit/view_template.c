/* SPDX-License-Identifier: MIT */
/* Templates of the configuration file: what they show, and what is refused and why. */
#include <string.h>

#include <glib.h>

#include "mailfs/error.h"
#include "mailfs/view.h"

static const struct mailfs_head sample = {
	.subject = "Re: Budget/Q1",
	.from = "\"Lee, Ann\" <ann.lee@example.org>",
	.from_name = "Lee, Ann",
	.to = "Bob Ray <bob@example.net>, Eve <eve@example.com>",
	.message_id = "<1@example.org>",
};

static char *render_with(const char *template, uint32_t uid, const struct mailfs_head *head)
{
	g_autoptr(GError) error = NULL;
	struct mailfs_view *view = view_from_template(template, &error);
	struct mailfs_name_input input = { uid, 1704205800, head };
	char *name = g_malloc(MAILFS_NAME_MAX + 1);

	g_assert_no_error(error);
	g_assert_nonnull(view);
	view_name(view, &input, name);
	view_free(view);
	return name;
}

static void expect(const char *template, const char *expected)
{
	g_autofree char *name = render_with(template, 1234, &sample);

	g_assert_cmpstr(name, ==, expected);
}

static void expect_to(const char *to, const char *expected)
{
	struct mailfs_head head = { .to = to };
	g_autofree char *name = render_with("{to}", 5, &head);

	g_assert_cmpstr(name, ==, expected);
}

static void expect_refusal(const char *template, const char *reason)
{
	g_autoptr(GError) error = NULL;
	struct mailfs_view *view = view_from_template(template, &error);

	if (view)
		g_test_message("accepted: %s", template);
	g_assert_null(view);
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID);
	if (!strstr(error->message, reason))
		g_test_message("%s: %s", template, error->message);
	g_assert_nonnull(strstr(error->message, reason));
}

static void every_field_is_shown(void)
{
	expect("{date}.{time}.{uid}.eml", "2024-01-02.1430.1234.eml");
	expect("{from}_{to}.{uid}.eml", "Lee-Ann_Bob-Ray.1234.eml");
	expect("{from.addr}.{uid}.eml", "ann.lee-example.org.1234.eml");
	expect("{subject}.{uid}.eml", "Re-Budget-Q1.1234.eml");
}

static void the_human_preset_is_the_template_of_the_manual(void)
{
	struct mailfs_name_input input = { 1234, 1704205800, &sample };
	g_autofree char *name = render_with("{date}_{time}_{from:40}_{subject}.{uid}.eml", 1234, &sample);
	char preset[MAILFS_NAME_MAX + 1];

	view_name(view_find("human"), &input, preset);
	g_assert_cmpstr(name, ==, preset);
}

static void uid_and_extension_are_added(void)
{
	expect("{date}", "2024-01-02.1234.eml");
	expect("{date}.eml", "2024-01-02.1234.eml");
	expect("{uid}", "1234.eml");
	expect("{uid}_{subject}", "1234_Re-Budget-Q1.eml");
}

static void words_stay_as_written(void)
{
	expect("Почта+{date}", "Почта+2024-01-02.1234.eml");
	expect("e\u0301_{date}", "\u00E9_2024-01-02.1234.eml");
}

static void widths_cut_texts(void)
{
	expect("{subject:9}", "Re-Budget.1234.eml");
	expect("{subject:10}", "Re-Budget.1234.eml"); /* no '-' at the end */
	expect("{subject:11}", "Re-Budget-Q.1234.eml");
}

static void message_ids_become_eight_digits(void)
{
	struct mailfs_head none = { .subject = "x" };
	g_autofree char *with = render_with("{msgid8}", 5, &sample);
	g_autofree char *without = render_with("{msgid8}", 5, &none);

	g_assert_true(g_regex_match_simple("^[0-9a-f]{8}\\.5\\.eml$", with, 0, 0));
	g_assert_cmpstr(without, ==, "no-msgid.5.eml");
}

static void missing_headers_have_words(void)
{
	g_autofree char *name = render_with("{from}_{from.addr}_{to}_{subject}", 5, NULL);

	g_assert_cmpstr(name, ==, "unknown_unknown_unknown_no-subject.5.eml");
}

static void first_addresses_are_found(void)
{
	expect_to("bob@example.net", "bob.5.eml");
	expect_to("<bob@example.net>", "bob.5.eml");
	expect_to("\"Ray, Bob\" <bob@example.net>", "Ray-Bob.5.eml");
	expect_to("\"a\\\"b, c\" <x@y>", "a-b-c.5.eml");
	expect_to("undisclosed-recipients:;", "undisclosed-recipients.5.eml");
	expect_to("a@b, c@d", "a.5.eml");
	expect_to("", "unknown.5.eml");
	expect_to("<", "unknown.5.eml");
	expect_to("\"", "unknown.5.eml");
	expect_to("\"x\\", "x.5.eml");
	expect_to(",", "unknown.5.eml");
}

static void only_templates_with_texts_need_heads(void)
{
	struct mailfs_view *plain = view_from_template("{date}_{time}", NULL);
	struct mailfs_view *texts = view_from_template("{date}_{msgid8}", NULL);

	g_assert_false(plain->needs_head);
	g_assert_true(texts->needs_head);
	g_assert_cmpstr(plain->name, ==, "template");
	view_free(plain);
	view_free(texts);
	view_free(NULL);
}

static void device_names_of_windows_get_a_prefix(void)
{
	static const char *const devices[] = { "con", "PRN", "Aux", "nul", "COM1", "lpt0", "com¹" };
	static const char *const others[] = { "cont", "co", "com", "com12", "lpta", "x" };

	for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
		struct mailfs_head head = { .subject = devices[i] };
		g_autofree char *name = render_with("{subject}", 5, &head);
		g_autofree char *expected = g_strdup_printf("_%s.5.eml", devices[i]);

		g_assert_cmpstr(name, ==, expected);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		struct mailfs_head head = { .subject = others[i] };
		g_autofree char *name = render_with("{subject}", 5, &head);
		g_autofree char *expected = g_strdup_printf("%s.5.eml", others[i]);

		g_assert_cmpstr(name, ==, expected);
	}
}

static void the_longest_texts_are_cut_to_fit(void)
{
	g_autofree char *text = g_strnfill(300, 'x');
	struct mailfs_head head = { .subject = text, .from = text, .from_name = "Ann", .to = text };
	g_autofree char *name = render_with("{from}_{to}_{subject}_{date}", UINT32_MAX, &head);
	g_autofree char *half = g_strnfill(55, 'x');
	g_autofree char *expected = g_strdup_printf("Ann_%s_%s_2024-01-02.4294967295.eml", half, half);

	g_assert_cmpstr(name, ==, expected);
	/* One byte more for each would be 143, but one is kept for the '_' of devices. */
	g_assert_cmpuint(strlen(name), ==, MAILFS_NAME_MAX - 2);
}

static void slashes_are_refused(void)
{
	expect_refusal("{date}/{subject}", "'/' cannot be part");
	expect_refusal("{date:%Y/%m}", "takes no width");
}

static void unknown_fields_are_refused_by_name(void)
{
	expect_refusal("{list}", "{list} is unknown; there are {date}");
	expect_refusal("{}", "{} is unknown");
	expect_refusal("{Subject}", "{Subject} is unknown");
	expect_refusal("{ subject}", "{ subject} is unknown");
}

static void unbalanced_braces_are_refused(void)
{
	expect_refusal("{date", "'{' without '}'");
	expect_refusal("date}_{uid}", "'}' without '{'");
	expect_refusal("{date}}", "'}' without '{'");
	expect_refusal("{", "'{' without '}'");
	expect_refusal("{from{uid}", "'{' without '}'");
}

static void bad_widths_are_refused(void)
{
	expect_refusal("{subject:}", "number from 8 to 120");
	expect_refusal("{subject:7}", "number from 8 to 120");
	expect_refusal("{subject:121}", "number from 8 to 120");
	expect_refusal("{subject:-9}", "number from 8 to 120");
	expect_refusal("{subject:9x}", "number from 8 to 120");
	expect_refusal("{uid:10}", "{uid} takes no width");
}

static void bad_characters_are_refused(void)
{
	expect_refusal("{date} {subject}", "no spaces");
	expect_refusal("{date}\t{subject}", "U+0009");
	expect_refusal("{date}\u202E{subject}", "U+202E");
	expect_refusal("{date}'{subject}", "U+0027");
	expect_refusal("{date}\u0301{subject}", "U+0301");
	expect_refusal("{date}\xff", "UTF-8");
}

static void bad_starts_are_refused(void)
{
	expect_refusal(".{subject}", "must not start with '.'");
	expect_refusal("-{subject}", "must not start with '-'");
}

static void templates_without_fields_are_refused(void)
{
	expect_refusal("", "at least one {field}");
	expect_refusal("humane", "at least one {field}");
}

static void templates_that_cannot_fit_are_refused(void)
{
	g_autofree char *word = g_strnfill(140, 'w');
	g_autofree char *long_word = g_strconcat(word, "{uid}", NULL);
	g_autofree char *huge = g_strnfill(100000, '{');
	GString *many = g_string_new("{uid}");

	for (int i = 0; i < 30; i++)
		g_string_append(many, "{from}");
	expect_refusal(long_word, "at most 143 bytes");
	expect_refusal(huge, "at most 512 bytes");
	expect_refusal(many->str, "at most 24 pieces");
	g_string_free(many, TRUE);
}

static void uids_that_touch_digits_are_refused(void)
{
	expect_refusal("{date}{uid}", "no digit on both sides");
	expect_refusal("v2{uid}", "no digit on both sides");
	expect_refusal("{uid}5_{subject}", "no digit on both sides");
	expect_refusal("{uid}{subject}", "no digit on both sides");
	expect_refusal("{uid}_{uid}", "twice");
}

static void uids_lost_between_texts_are_refused(void)
{
	/* "a" 1 "2-x" and "a-1" 2 "x" would both be a-1-2-x.eml. */
	expect_refusal("{from}-{uid}-{subject}", "needs a '_'");
	expect("{from}_{uid}-{subject}", "Lee-Ann_1234-Re-Budget-Q1.eml");
	expect("{from}-{uid}_{subject}", "Lee-Ann-1234_Re-Budget-Q1.eml");
	expect("{date}-{uid}-{subject}", "2024-01-02-1234-Re-Budget-Q1.eml");
	expect("{subject}-{uid}-{date}", "Re-Budget-Q1-1234-2024-01-02.eml");
}

/* Short texts of few characters, so that collisions would be frequent if there were any. */
static void two_uids_never_give_one_name(void)
{
	static const char *const templates[] = {
		"{subject}", "{uid}-{subject}", "{from}_{uid}.{subject}", "{from}.{uid}_{subject}",
		"{date}-{uid}-{from}{subject}", "{from}{subject}-{uid}-x", "_{subject}_{uid}-{from}",
		"com{uid}.{subject}", "{from}_{to}-{uid}_{subject}-{from}",
	};
	static const char alphabet[] = "12-._";
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);

	for (size_t t = 0; t < G_N_ELEMENTS(templates); t++) {
		g_autoptr(GHashTable) owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

		for (int round = 0; round < 4000; round++) {
			char texts[3][4] = { "" };
			struct mailfs_head head = { .subject = texts[0], .from_name = texts[1], .to = texts[2] };
			uint32_t uid = (uint32_t)g_rand_int_range(rand, 1, 23);
			char *name;
			uint32_t owner;

			for (int i = 0; i < 9; i++)
				texts[i / 3][i % 3] = alphabet[g_rand_int_range(rand, 0, 5)];
			name = render_with(templates[t], uid, &head);
			owner = GPOINTER_TO_UINT(g_hash_table_lookup(owners, name));
			if (owner != 0)
				g_assert_cmpuint(owner, ==, uid);
			g_hash_table_insert(owners, name, GUINT_TO_POINTER(uid));
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/view/template/fields", every_field_is_shown);
	g_test_add_func("/view/template/human", the_human_preset_is_the_template_of_the_manual);
	g_test_add_func("/view/template/added", uid_and_extension_are_added);
	g_test_add_func("/view/template/words", words_stay_as_written);
	g_test_add_func("/view/template/widths", widths_cut_texts);
	g_test_add_func("/view/template/msgid8", message_ids_become_eight_digits);
	g_test_add_func("/view/template/missing", missing_headers_have_words);
	g_test_add_func("/view/template/addresses", first_addresses_are_found);
	g_test_add_func("/view/template/needs head", only_templates_with_texts_need_heads);
	g_test_add_func("/view/template/devices", device_names_of_windows_get_a_prefix);
	g_test_add_func("/view/template/fit", the_longest_texts_are_cut_to_fit);
	g_test_add_func("/view/template/refused/slash", slashes_are_refused);
	g_test_add_func("/view/template/refused/field", unknown_fields_are_refused_by_name);
	g_test_add_func("/view/template/refused/braces", unbalanced_braces_are_refused);
	g_test_add_func("/view/template/refused/width", bad_widths_are_refused);
	g_test_add_func("/view/template/refused/character", bad_characters_are_refused);
	g_test_add_func("/view/template/refused/start", bad_starts_are_refused);
	g_test_add_func("/view/template/refused/no field", templates_without_fields_are_refused);
	g_test_add_func("/view/template/refused/too long", templates_that_cannot_fit_are_refused);
	g_test_add_func("/view/template/refused/UID and digits", uids_that_touch_digits_are_refused);
	g_test_add_func("/view/template/refused/UID between texts", uids_lost_between_texts_are_refused);
	g_test_add_func("/view/template/unique", two_uids_never_give_one_name);
	return g_test_run();
}
