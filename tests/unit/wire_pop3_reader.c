/* SPDX-License-Identifier: MIT */
/* The POP3 reader: first lines, listings, messages, in every chunking. */
#include "wire_pop3_dump.h"
#include "wire/limits.h"
#include "wire/pop3_caps.h"
#include "wire/sasl.h"

static void each_split(const char *follows, const char *bytes, size_t len, const char *expected)
{
	g_autofree char *whole = pop3_dump_pieces(follows, bytes, len, len, len);
	g_autofree char *single = pop3_dump_pieces(follows, bytes, len, 1, 1);

	g_assert_cmpstr(whole, ==, expected);
	g_assert_cmpstr(single, ==, expected);
	for (size_t at = 1; at < len && len <= 4096; at++) {
		g_autofree char *split = pop3_dump_pieces(follows, bytes, len, at, len);

		g_assert_cmpstr(split, ==, expected);
	}
}

/* Whole, byte by byte, and in two pieces for every place to cut. `bytes` is a string literal. */
#define EACH_SPLIT(follows, bytes, expected) each_split(follows, bytes, sizeof(bytes) - 1, expected)

/* ---- first lines ----------------------------------------------------------------------------- */

static void reader_reads_answers(void)
{
	EACH_SPLIT("", "+OK\r\n-ERR\r\n+OK 2 320\r\n-ERR no such message\r\n",
		"+OK | -ERR | +OK {2 320} | -ERR {no such message} | idle");
	EACH_SPLIT("", "+ok  many   spaces\r\n-err x\n", "+OK {many   spaces} | -ERR {x} | idle");
}

static void reader_reads_response_codes(void)
{
	EACH_SPLIT("", "-ERR [IN-USE] locked\r\n-ERR [sys/temp] x\r\n-ERR [AUTH]\r\n",
		"-ERR [IN-USE] {locked} | -ERR [SYS/TEMP] {x} | -ERR [AUTH] | idle");
	EACH_SPLIT("", "-ERR [no end\r\n-ERR [] x\r\n", "-ERR {[no end} | -ERR {[] x} | idle");
}

static void reader_reads_challenges(void)
{
	EACH_SPLIT("", "+ Zm9v\r\n+\r\n+ \r\n+OK\r\n", "+ {Zm9v} | + {} | + {} | +OK | idle");
}

static void reader_refuses_what_is_no_answer(void)
{
	EACH_SPLIT("", "+OKAY\r\n", "ERROR a line that is no answer of POP3");
	EACH_SPLIT("", "* OK IMAP\r\n+OK\r\n", "ERROR a line that is no answer of POP3");
	EACH_SPLIT("", "\r\n", "ERROR a line that is no answer of POP3");
	EACH_SPLIT("", "+OK\r\nhello", "+OK | more");
}

static void reader_refuses_endless_lines(void)
{
	g_autoptr(GString) bytes = g_string_new("+OK ");

	while (bytes->len <= WIRE_POP3_LINE_MAX)
		g_string_append_c(bytes, 'x');
	g_string_append(bytes, "\r\n");
	each_split("", bytes->str, bytes->len, "ERROR a line that does not end");
}

/* ---- listings -------------------------------------------------------------------------------- */

static void reader_reads_listings(void)
{
	EACH_SPLIT("ll", "+OK\r\n1 a\r\n2 b\r\n.\r\n+OK\r\n.\r\n",
		"+OK | L'1 a' | L'2 b' | END | +OK | END | idle");
	EACH_SPLIT("ll", "-ERR no\r\n+OK\r\n..x\r\n.y\r\n.\n", "-ERR {no} | +OK | L'.x' | L'y' | END | idle");
	EACH_SPLIT("l", "+OK\r\n1 a\r\n.", "+OK | L'1 a' | more");
}

/* ---- messages -------------------------------------------------------------------------------- */

static void messages_lose_one_dot_of_a_line(void)
{
	EACH_SPLIT("m", "+OK\r\na\r\n..\r\n..b\r\n...\r\nc.\r\n.\r\n+OK\r\n",
		"+OK | D'a\\r\\n.\\r\\n.b\\r\\n..\\r\\nc.\\r\\n' | END | +OK | idle");
	EACH_SPLIT("m", "+OK\r\n.x\r\n.\rz\r\n.\r\n", "+OK | D'x\\r\\n\\rz\\r\\n' | END | idle");
}

static void messages_may_be_empty(void)
{
	EACH_SPLIT("mm", "+OK\r\n.\r\n+OK\r\n\r\n.\r\n", "+OK | END | +OK | D'\\r\\n' | END | idle");
}

static void messages_end_with_a_dot_on_a_line_of_its_own(void)
{
	EACH_SPLIT("m", "+OK\r\na\r\n. \r\n.\r\n", "+OK | D'a\\r\\n \\r\\n' | END | idle");
	EACH_SPLIT("m", "+OK\r\na.\r\n", "+OK | D'a.\\r\\n' | more");
	EACH_SPLIT("m", "+OK\r\na\r\n.", "+OK | D'a\\r\\n' | more");
	EACH_SPLIT("m", "+OK\r\na\r\n.\r", "+OK | D'a\\r\\n' | more");
	EACH_SPLIT("m", "+OK\r\na\r\n.\n-ERR\r\n", "+OK | D'a\\r\\n' | END | -ERR | idle");
}

static void messages_cannot_end_themselves_with_a_bare_lf(void)
{
	EACH_SPLIT("m", "+OK\r\na\n.\n+OK\r\n.\r\n", "+OK | D'a\\n.\\n+OK\\r\\n' | END | idle");
	EACH_SPLIT("m", "+OK\r\na\n.\r\n+OK\r\n.\r\n", "+OK | D'a\\n.\\r\\n+OK\\r\\n' | END | idle");
	EACH_SPLIT("m", "+OK\r\na\r.\r\nb\r\n.\r\n", "+OK | D'a\\r.\\r\\nb\\r\\n' | END | idle");
}

static void servers_may_end_all_lines_with_lf(void)
{
	EACH_SPLIT("m", "+OK\na\n..b\n.\n+OK\n", "+OK | D'a\\n.b\\n' | END | +OK | idle");
}

static void messages_keep_every_octet(void)
{
	EACH_SPLIT("m", "+OK\r\na\0\r\r\n\377\r\n\n\r\n.\r\n",
		"+OK | D'a\\0\\r\\r\\n\377\\r\\n\\n\\r\\n' | END | idle");
}

static void answers_come_back_to_back(void)
{
	EACH_SPLIT("mxm", "+OK 1\r\na\r\n.\r\n-ERR gone\r\n+OK 3\r\nc\r\n.\r\n",
		"+OK {1} | D'a\\r\\n' | END | -ERR {gone} | +OK {3} | D'c\\r\\n' | END | idle");
}

static void stls_may_switch_only_where_nothing_is_left(void)
{
	struct pop3_reader *reader = pop3_reader_new();
	struct pop3_event event;
	struct bytebuf in;

	bytebuf_init(&in);
	bytebuf_append_str(&in, "+OK go\r\n+OK evil\r\n");
	pop3_reader_next(reader, &in, &event);
	g_assert_false(pop3_reader_is_idle(reader, &in));
	pop3_reader_next(reader, &in, &event);
	g_assert_true(pop3_reader_is_idle(reader, &in));
	pop3_reader_expect(reader, POP3_LISTING);
	g_assert_false(pop3_reader_is_idle(reader, &in));
	bytebuf_done(&in);
	pop3_reader_free(reader);
}

/* ---- capabilities ---------------------------------------------------------------------------- */

static void caps_are_read_line_by_line(void)
{
	static const char *const lines[] = { "TOP", "uidl", "  SASL  PLAIN x SCRAM-SHA-256", "STLS",
		"LOGIN-DELAY 900 USER", "EXPIRE NEVER", "IMPLEMENTATION a b", "", "X-NEW" };
	struct pop3_caps caps;

	pop3_caps_reset(&caps);
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
		pop3_caps_add(&caps, lines[i], NULL);
	g_assert_true(caps.top && caps.uidl && caps.stls && !caps.user && !caps.pipelining);
	g_assert_cmpuint(caps.auth, ==, SASL_MECH_PLAIN | SASL_MECH_SCRAM_SHA_256);
	g_assert_cmpuint(caps.login_delay, ==, 900);
	g_assert_true(caps.has_expire);
	g_assert_cmpuint(caps.expire, ==, UINT32_MAX);
	g_assert_cmpstr(caps.implementation, ==, "a b");
}

static void caps_may_be_disabled(void)
{
	static const char *const disable[] = { "top", "SASL=plain", NULL };
	struct pop3_caps caps;

	pop3_caps_reset(&caps);
	pop3_caps_add(&caps, "TOP", disable);
	pop3_caps_add(&caps, "SASL PLAIN LOGIN", disable);
	pop3_caps_add(&caps, "EXPIRE soon", disable);
	g_assert_false(caps.top || caps.has_expire);
	g_assert_cmpuint(caps.auth, ==, SASL_MECH_LOGIN);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func("/wire/pop3_reader/" name, test)
	ADD("answers", reader_reads_answers);
	ADD("codes", reader_reads_response_codes);
	ADD("challenges", reader_reads_challenges);
	ADD("P3-11/no-answer", reader_refuses_what_is_no_answer);
	ADD("endless", reader_refuses_endless_lines);
	ADD("listings", reader_reads_listings);
	ADD("P3-5/dots", messages_lose_one_dot_of_a_line);
	ADD("P3-5/empty", messages_may_be_empty);
	ADD("P3-5/end", messages_end_with_a_dot_on_a_line_of_its_own);
	ADD("P3-5/bare-lf", messages_cannot_end_themselves_with_a_bare_lf);
	ADD("P3-5/lf-server", servers_may_end_all_lines_with_lf);
	ADD("octets", messages_keep_every_octet);
	ADD("back-to-back", answers_come_back_to_back);
	ADD("SEC-3/idle", stls_may_switch_only_where_nothing_is_left);
	ADD("caps", caps_are_read_line_by_line);
	ADD("caps/disabled", caps_may_be_disabled);
	return g_test_run();
}
