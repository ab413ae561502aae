/* SPDX-License-Identifier: MIT */
/* The command encoder. */
#include "wire/imap_cmd.h"

#include <string.h>

#include <glib.h>

/* Segments, each with " | " between. Frees the command. */
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
	imap_cmd_free(cmd);
	return g_string_free(out, FALSE);
}

static void assert_string(const char *bytes, size_t len, const char *expected)
{
	struct imap_cmd *cmd = imap_cmd_new("X");
	g_autofree char *text = NULL;

	g_assert_true(imap_cmd_string(cmd, bytes, len, true));
	text = encode(cmd);
	g_assert_cmpstr(text, ==, expected);
}

#define STRING(bytes, expected) assert_string(bytes, sizeof(bytes) - 1, expected)

static void cmd_is_name_and_pieces(void)
{
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");
	g_autofree char *text = NULL;

	imap_cmd_raw(cmd, "1:5");
	imap_cmd_rawf(cmd, "(UID BODY.PEEK[]<%d.%u>)", 0, 10u);
	text = encode(cmd);
	g_assert_cmpstr(text, ==, "A1 UID FETCH 1:5 (UID BODY.PEEK[]<0.10>)\r\n");
}

static void cmd_without_arguments_is_a_line(void)
{
	g_autofree char *text = encode(imap_cmd_new("NOOP"));

	g_assert_cmpstr(text, ==, "A1 NOOP\r\n");
}

static void cmd_can_be_finished_again(void)
{
	struct imap_cmd *cmd = imap_cmd_new("SELECT");
	g_autofree char *text = NULL;

	g_assert_true(imap_cmd_mailbox(cmd, "a\xff"));
	g_assert_cmpuint(imap_cmd_finish(cmd, "LONGTAG9"), ==, 2);
	text = encode(cmd);
	g_assert_cmpstr(text, ==, "A1 SELECT {2}\r\n|a\xff\r\n");
}

static void nm11_names_are_never_atoms(void)
{
	static const char *const names[][2] = {
		{ "INBOX", "A1 SELECT \"INBOX\"\r\n" }, { "tr ", "A1 SELECT \"tr \"\r\n" },
		{ "NIL", "A1 SELECT \"NIL\"\r\n" }, { "", "A1 SELECT \"\"\r\n" },
		{ "a\"b\\c", "A1 SELECT \"a\\\"b\\\\c\"\r\n" },
		{ "[G]/x]", "A1 SELECT \"[G]/x]\"\r\n" }, { "T*%", "A1 SELECT \"T*%\"\r\n" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		struct imap_cmd *cmd = imap_cmd_new("SELECT");
		g_autofree char *text = NULL;

		g_assert_true(imap_cmd_mailbox(cmd, names[i][0]));
		text = encode(cmd);
		g_assert_cmpstr(text, ==, names[i][1]);
	}
}

static void wr3_what_cannot_be_quoted_is_a_synchronising_literal(void)
{
	STRING("\xc3\xa4", "A1 X {2}\r\n|\xc3\xa4\r\n");
	STRING("a\tb", "A1 X {3}\r\n|a\tb\r\n");
	STRING("\x7f", "A1 X {1}\r\n|\x7f\r\n");
}

static void cmd_literals_cut_the_line(void)
{
	struct imap_cmd *cmd = imap_cmd_new("LOGIN");
	g_autofree char *text = NULL;

	g_assert_true(imap_cmd_string(cmd, "\xe4", 1, false));
	g_assert_true(imap_cmd_string(cmd, "q", 1, false));
	g_assert_true(imap_cmd_string(cmd, "\xf6\xfc", 2, false));
	imap_cmd_raw(cmd, "()");
	text = encode(cmd);
	g_assert_cmpstr(text, ==, "A1 LOGIN {1}\r\n|\xe4 \"q\" {2}\r\n|\xf6\xfc ()\r\n");
}

static void sec44_line_ends_live_in_literals_only(void)
{
	struct imap_cmd *cmd = imap_cmd_new("CREATE");
	g_autofree char *text = NULL;

	STRING("a\r\nx DELETE INBOX", "A1 X {17}\r\n|a\r\nx DELETE INBOX\r\n");
	g_assert_true(imap_cmd_mailbox(cmd, "a\nb"));
	text = encode(cmd);
	g_assert_cmpstr(text, ==, "A1 CREATE {3}\r\n|a\nb\r\n");
}

static void sec20_bytes_that_cannot_be_sent_are_refused(void)
{
	struct imap_cmd *cmd = imap_cmd_new("LOGIN");
	g_autofree char *huge = g_strnfill(64 * 1024 + 1, 'x');
	g_autofree char *text = NULL;

	g_assert_false(imap_cmd_string(cmd, "a\0b", 3, true));
	g_assert_false(imap_cmd_string(cmd, "a\rb", 3, false));
	g_assert_false(imap_cmd_string(cmd, "a\n", 2, false));
	g_assert_false(imap_cmd_string(cmd, huge, 64 * 1024 + 1, true));
	text = encode(cmd);
	g_assert_cmpstr(text, ==, "A1 LOGIN\r\n");
}

static void sec20_long_passwords_keep_every_byte(void)
{
	g_autofree char *secret = g_strnfill(10000, '"');
	g_autofree char *expected = g_strdup_printf("A1 X {10000}\r\n|%s\r\n", secret);

	assert_string(secret, 10000, expected);
}

static void sec45_names_that_end_like_literals_are_quoted(void)
{
	STRING("x{3}", "A1 X \"x{3}\"\r\n");
	STRING("{3+}", "A1 X \"{3+}\"\r\n");
	STRING("~{3}", "A1 X \"~{3}\"\r\n");
}

static void describe_shows_one_printable_line(void)
{
	struct imap_cmd *cmd = imap_cmd_new("SELECT");
	g_autofree char *text = NULL;

	imap_cmd_mailbox(cmd, "a b");
	imap_cmd_mailbox(cmd, "\x1b\xe4");
	text = imap_cmd_describe(cmd);
	g_assert_cmpstr(text, ==, "SELECT \"a b\" {2}????");
	imap_cmd_free(cmd);
}

static void sec52_secrets_are_masked(void)
{
	struct imap_cmd *login = imap_cmd_new("LOGIN");
	struct imap_cmd *auth = imap_cmd_new("AUTHENTICATE");
	struct imap_cmd *joined = imap_cmd_new("AUTHENTICATE PLAIN");
	g_autofree char *login_text = NULL, *auth_text = NULL, *joined_text = NULL;

	imap_cmd_string(login, "me", 2, false);
	imap_cmd_string(login, "hunter2", 7, false);
	imap_cmd_set_secret(login);
	login_text = imap_cmd_describe(login);
	g_assert_cmpstr(login_text, ==, "LOGIN *** ***");

	imap_cmd_set_secret(auth);
	imap_cmd_raw(auth, "PLAIN AGh1bnRlcjI=");
	imap_cmd_raw(auth, "AGh1bnRlcjI=");
	auth_text = imap_cmd_describe(auth);
	g_assert_cmpstr(auth_text, ==, "AUTHENTICATE PLAIN *** ***");

	imap_cmd_set_secret(joined);
	imap_cmd_raw(joined, "AGh1bnRlcjI=");
	joined_text = imap_cmd_describe(joined);
	g_assert_cmpstr(joined_text, ==, "AUTHENTICATE PLAIN ***");
	imap_cmd_free(login);
	imap_cmd_free(auth);
	imap_cmd_free(joined);
}

static void sec44_trusted_text_must_be_one_line(void)
{
	if (g_test_subprocess()) {
		struct imap_cmd *cmd = imap_cmd_new("X");

		imap_cmd_raw(cmd, "a\r\nb");
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_failed();
}

#define ADD(path, fn) g_test_add_func("/wire/imap_cmd/" path, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("name and pieces", cmd_is_name_and_pieces);
	ADD("no arguments", cmd_without_arguments_is_a_line);
	ADD("can be finished again", cmd_can_be_finished_again);
	ADD("NM-11 names are never atoms", nm11_names_are_never_atoms);
	ADD("WR-3 literals", wr3_what_cannot_be_quoted_is_a_synchronising_literal);
	ADD("literals cut the line", cmd_literals_cut_the_line);
	ADD("SEC-44 line ends live in literals", sec44_line_ends_live_in_literals_only);
	ADD("SEC-44 trusted text is one line", sec44_trusted_text_must_be_one_line);
	ADD("SEC-20 refused bytes", sec20_bytes_that_cannot_be_sent_are_refused);
	ADD("SEC-20 long passwords", sec20_long_passwords_keep_every_byte);
	ADD("SEC-45 names like literals", sec45_names_that_end_like_literals_are_quoted);
	ADD("describe is printable", describe_shows_one_printable_line);
	ADD("SEC-52 secrets are masked", sec52_secrets_are_masked);
	return g_test_run();
}
