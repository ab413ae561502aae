/* SPDX-License-Identifier: MIT */
/* What a server tells of changes, and how they are asked for. */
#include <string.h>

#include "mailfs/types.h"
#include "wire/imap_cmd.h"
#include "wire/imap_resp.h"
#include "wire/imap_seqset.h"
#include "wire_imap_dump.h"

static void dump_set(GString *out, GArray *ranges)
{
	for (guint i = 0; i < ranges->len; i++) {
		struct imap_seqset_range range = g_array_index(ranges, struct imap_seqset_range, i);

		g_string_append_printf(out, " %u-%u", range.first, range.last);
	}
	g_array_unref(ranges);
}

static void dump(GString *out, const struct imap_response *response)
{
	uint32_t uidvalidity, uid;
	struct imap_copyuid copyuid;
	unsigned rights;

	if (imap_appenduid_parse(response, &uidvalidity, &uid))
		g_string_append_printf(out, "append %u %u", uidvalidity, uid);
	if (imap_copyuid_parse(response, &copyuid)) {
		g_string_append_printf(out, "copy %u", copyuid.uidvalidity);
		dump_set(out, copyuid.source);
		g_string_append(out, " to");
		dump_set(out, copyuid.target);
	}
	if (imap_myrights_parse(response, &rights))
		g_string_append_printf(out, "rights %x", rights);
}

static void check(const char *line, const char *want)
{
	struct imap_reader *reader = imap_reader_new();
	g_autoptr(GString) out = g_string_new(NULL);
	struct imap_event event;
	struct bytebuf in;

	bytebuf_init(&in);
	bytebuf_append_str(&in, line);
	bytebuf_append_str(&in, "\r\n");
	imap_reader_next(reader, &in, &event);
	g_assert_true(event.type == IMAP_EVENT_RESPONSE);
	dump(out, event.response);
	g_assert_cmpstr(out->str, ==, want);
	bytebuf_done(&in);
	imap_reader_free(reader);
}

static void appenduid_is_of_one_message(void)
{
	check("a OK [APPENDUID 38505 3955] done", "append 38505 3955");
	check("* OK [appenduid 38505 3955] done", "append 38505 3955");
}

static void impossible_appenduids_are_none(void)
{
	check("a OK [APPENDUID 0 1]", "");
	check("a OK [APPENDUID 1 0]", "");
	check("a OK [APPENDUID 1]", "");
	check("a OK [APPENDUID]", "");
	check("a OK [APPENDUID 1 2:3]", "");
	check("a OK [APPENDUID 1 *]", "");
	check("a OK [APPENDUID -1 2]", "");
	check("a OK [APPENDUID 1 4294967296]", "");
	check("a OK [APPENDUID (1 2)]", "");
	check("a OK [APPENDUID 5000000000 2]", "");
	check("a NO [APPENDUID 1 2]", "");
}

static void copyuid_pairs_two_sets(void)
{
	check("a OK [COPYUID 38505 304,319:320 3956:3958] Done",
		"copy 38505 304-304 319-320 to 3956-3958");
	check("* OK [COPYUID 1 7 9]", "copy 1 7-7 to 9-9");
	check("* OK [COPYUID 1 1:4294967295 1:4294967295]", "copy 1 1-4294967295 to 1-4294967295");
}

static void what_cannot_be_paired_is_no_copyuid(void)
{
	/* Outlook.com leaves the sets out; others count down, or pair what does not fit. */
	check("a OK [COPYUID 14  ] ok", "");
	check("a OK [COPYUID 14]", "");
	check("a OK [COPYUID]", "");
	check("a OK [COPYUID 14 1:3]", "");
	check("a OK [COPYUID 14 1:3 5:6]", "");
	check("a OK [COPYUID 14 1:3 7:5]", "");
	check("a OK [COPYUID 14 3:1 5:7]", "");
	check("a OK [COPYUID 14 1,2,3 7,6,5]", "");
	check("a OK [COPYUID 14 1,1 5,6]", "");
	check("a OK [COPYUID 14 1:2,2:3 5:8]", "");
	check("a OK [COPYUID 14 1:* 5:7]", "");
	check("a OK [COPYUID 14 0 5]", "");
	check("a OK [COPYUID 0 1 5]", "");
	check("a OK [COPYUID 14 1: 5:6]", "");
	check("a OK [COPYUID 14 ,1 5]", "");
	check("a OK [COPYUID 14 (1) 5]", "");
	check("a NO [COPYUID 14 1 5]", "");
}

static void rights_are_letters(void)
{
	check("* MYRIGHTS INBOX lrswipkxtea", "rights 3f");
	check("* MYRIGHTS INBOX lr", "rights 0");
	check("* MYRIGHTS \"a b\" \"lrs\"", "rights 1");
	check("* MYRIGHTS INBOX lrwit", "rights 6"); /* t without e removes nothing */
	check("* MYRIGHTS {5}\r\nINBOX \"\"", "rights 0");
	check("* OK [MYRIGHTS \"lrte\"] told", "rights 8");
}

static void rights_of_old_servers_are_translated(void)
{
	check("* MYRIGHTS INBOX lrswipcda", "rights 3f");
	check("* MYRIGHTS INBOX lrd", "rights 8");
	check("* MYRIGHTS INBOX lrdt", "rights 0"); /* d beside t says nothing new */
}

static void what_is_no_right_is_none(void)
{
	check("* MYRIGHTS INBOX", "");
	check("* MYRIGHTS", "");
	check("* MYRIGHTS INBOX NIL", "");
	check("* MYRIGHTS INBOX (lr)", "");
	check("a OK [MYRIGHTS]", "");
}

/* ---- commands --------------------------------------------------------------------------------- */

static char *encode(struct imap_cmd *cmd)
{
	GString *out = g_string_new(NULL);
	size_t count = imap_cmd_finish(cmd, "A1");

	for (size_t i = 0; i < count; i++) {
		struct imap_segment segment = imap_cmd_segment(cmd, i);

		if (i > 0)
			g_string_append(out, "|");
		g_string_append_len(out, (const char *)segment.bytes, (gssize)segment.len);
	}
	return g_string_free(out, FALSE);
}

static void flags_are_a_list(void)
{
	static const char *const words[] = { "todo", "$Junk", "a:b", NULL };
	struct imap_cmd *cmd = imap_cmd_new("X");
	g_autofree char *text = NULL;

	g_assert_true(imap_cmd_flags(cmd, MAILFS_FLAGS_ALL, words));
	g_assert_true(imap_cmd_flags(cmd, 0, NULL));
	text = encode(cmd);
	g_assert_cmpstr(text, ==,
		"A1 X (\\Seen \\Answered \\Flagged \\Deleted \\Draft todo $Junk a:b) ()\r\n");
	imap_cmd_free(cmd);
}

static void words_that_are_no_atoms_are_not_sent(void)
{
	static const char *const bad[] = {
		"", " ", "a b", "a\r\nb", "{3}", "a{3+}", "~{3}", "(", ")", "\\Seen", "*", "%", "\"", "]",
		"\303\244", "\177", "\033",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		const char *const words[] = { "fine", bad[i], NULL };
		struct imap_cmd *cmd = imap_cmd_new("X");
		g_autofree char *text = NULL;

		g_assert_false(imap_is_keyword(bad[i]));
		g_assert_false(imap_cmd_flags(cmd, MAILFS_FLAG_SEEN, words));
		text = encode(cmd);
		g_assert_cmpstr(text, ==, "A1 X\r\n");
		imap_cmd_free(cmd);
	}
}

static void keywords_are_bounded(void)
{
	g_autofree char *longest = g_strnfill(64, 'k');
	g_autofree char *longer = g_strnfill(65, 'k');
	struct imap_cmd *cmd = imap_cmd_new("X");
	const char *many[102] = { NULL };

	g_assert_true(imap_is_keyword(longest));
	g_assert_false(imap_is_keyword(longer));
	for (int i = 0; i < 101; i++)
		many[i] = "k";
	g_assert_false(imap_cmd_flags(cmd, 0, many));
	many[100] = NULL;
	g_assert_true(imap_cmd_flags(cmd, 0, many));
	imap_cmd_free(cmd);
}

static void a_literal_of_the_caller_ends_the_command(void)
{
	struct imap_cmd *cmd = imap_cmd_new("APPEND");
	g_autofree char *text = NULL;

	g_assert_true(imap_cmd_mailbox(cmd, "\303\244"));
	imap_cmd_raw(cmd, "(\\Seen)");
	imap_cmd_literal(cmd, 5000000000);
	text = encode(cmd);
	g_assert_cmpstr(text, ==, "A1 APPEND {2}\r\n|\303\244 (\\Seen) {5000000000}\r\n|\r\n");
	imap_cmd_free(cmd);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *path;
		void (*test)(void);
	} tests[] = {
		{ "/wire/imap_change/appenduid/of one message", appenduid_is_of_one_message },
		{ "/wire/imap_change/appenduid/impossible ones are none",
			impossible_appenduids_are_none },
		{ "/wire/imap_change/copyuid/pairs two sets", copyuid_pairs_two_sets },
		{ "/wire/imap_change/copyuid/ID-4 what cannot be paired is none",
			what_cannot_be_paired_is_no_copyuid },
		{ "/wire/imap_change/myrights/FL-5 letters", rights_are_letters },
		{ "/wire/imap_change/myrights/FL-5 old servers", rights_of_old_servers_are_translated },
		{ "/wire/imap_change/myrights/what is none", what_is_no_right_is_none },
		{ "/wire/imap_change/flags/a list", flags_are_a_list },
		{ "/wire/imap_change/flags/SEC-45 SEC-47 FL-2 no atoms, not sent",
			words_that_are_no_atoms_are_not_sent },
		{ "/wire/imap_change/flags/FL-2 bounded", keywords_are_bounded },
		{ "/wire/imap_change/literal/WR-3 of the caller ends the command",
			a_literal_of_the_caller_ends_the_command },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].path, tests[i].test);
	return g_test_run();
}
