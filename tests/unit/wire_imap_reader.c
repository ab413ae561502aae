/* SPDX-License-Identifier: MIT */
/* The IMAP reader: framing and tree, in every chunking. */
#include "wire/imap_reader.h"

#include "wire/limits.h"
#include "wire_imap_dump.h"

static char *dump_string(const GString *bytes, size_t step)
{
	return dump_pieces(bytes->str, bytes->len, step, step, false);
}

/* ---- ordinary responses ----------------------------------------------------------------------- */

static void reader_reads_a_session(void)
{
	EACH_SPLIT("* OK [CAPABILITY IMAP4rev1 ID] Dovecot ready.\r\n"
		   "* 3 EXISTS\r\n"
		   "* FLAGS (\\Seen \\Draft)\r\n"
		   "+ idling\r\n"
		   "a1 OK [READ-WRITE] Select completed (0.001 secs).\r\n",
		"* OK [CAPABILITY IMAP4rev1 ID] {Dovecot ready.} | * 3 EXISTS | "
		"* FLAGS (\\Seen \\Draft) | + {idling} | "
		"a1 OK [READ-WRITE] {Select completed (0.001 secs).} | idle");
}

static void reader_reads_a_fetch_with_literals(void)
{
	EACH_SPLIT("* 1 FETCH (UID 7 BODY[] {3}\r\nabc FLAGS (\\Seen))\r\na OK x\r\n",
		"* 1 FETCH (UID 7 BODY[] 'abc' FLAGS (\\Seen)) | a OK {x} | idle");
}

static void reader_waits_for_lf_after_literal(void)
{
	EACH_SPLIT("* 1 FETCH (BODY[] {3}\r\nabc)\r\n", "* 1 FETCH (BODY[] 'abc') | idle");
	EACH_SPLIT("* 1 FETCH (BODY[] {3}\r\nabc)\r", "more");
	EACH_SPLIT("* 1 FETCH (BODY[] {3}\r\nab", "more");
}

static void reader_takes_literal8_and_non_synchronising_literals(void)
{
	EACH_SPLIT("* 1 FETCH (BINARY[] ~{4}\r\na\0\r\n BODY[1] {2+}\r\nhi X ~{1+}\r\n!)\r\n",
		"* 1 FETCH (BINARY[] 'a\\0\\r\\n' BODY[1] 'hi' X '!') | idle");
}

static void reader_unescapes_quoted_strings(void)
{
	EACH_SPLIT("* LIST (\\HasNoChildren) \"\\\\\" \"a \\\"b\\\" \\\\c\"\r\n",
		"* LIST (\\HasNoChildren) '\\' 'a \"b\" \\c' | idle");
	EACH_SPLIT("* LIST () \"/\" \"\"\r\n", "* LIST () '/' '' | idle");
}

static void reader_knows_nil_from_text(void)
{
	EACH_SPLIT("* X NIL nil \"NIL\" NILS {3}\r\nNIL\r\n", "* X NIL NIL 'NIL' NILS 'NIL' | idle");
}

static void reader_keeps_sections_in_one_atom(void)
{
	EACH_SPLIT("* 1 FETCH (BODY[HEADER.FIELDS (\"Date\" from)] \"x\" BODY[]<12> NIL)\r\n",
		"* 1 FETCH (BODY[HEADER.FIELDS_(\"Date\"_from)] 'x' BODY[]<12> NIL) | idle");
}

static void reader_names_continue_to_be_upper_case(void)
{
	EACH_SPLIT("* 1 fetch (uid 5)\r\na ok [read-only] x\r\n* bYe\r\n",
		"* 1 FETCH (uid 5) | a OK [READ-ONLY] {x} | * BYE | idle");
}

/* ---- streaming -------------------------------------------------------------------------------- */

static void reader_streams_bodies_on_request(void)
{
	EACH_SPLIT_STREAMED("* 1 FETCH (UID 7 BODY[] {5}\r\na\r\nbc FLAGS ())\r\n",
		"BEGIN * 1 FETCH (UID 7 BODY[] <5>) | DATA 'a\\r\\nbc' | "
		"* 1 FETCH (UID 7 BODY[] <5> FLAGS ()) | idle");
	EACH_SPLIT_STREAMED("* 1 FETCH (binary[1] ~{1}\r\nx)\r\n",
		"BEGIN * 1 FETCH (binary[1] <1>) | DATA 'x' | * 1 FETCH (binary[1] <1>) | idle");
}

static void reader_streams_nothing_else(void)
{
	EACH_SPLIT_STREAMED("* LIST () \"/\" {3}\r\nabc\r\n", "* LIST () '/' 'abc' | idle");
	EACH_SPLIT_STREAMED("* 1 FETCH (EMAILID ({1}\r\nx))\r\n", "* 1 FETCH (EMAILID ('x')) | idle");
	EACH_SPLIT_STREAMED("* 1 FETCH (RFC822.HEADER {1}\r\nx)\r\n",
		"* 1 FETCH (RFC822.HEADER 'x') | idle");
}

static void reader_streams_large_literals_anywhere(void)
{
	g_autoptr(GString) bytes = g_string_new("* LIST () \"/\" {65537}\r\n");
	g_autoptr(GString) expected = g_string_new("BEGIN * LIST () '/' <65537> | DATA '");

	for (int i = 0; i < 65537; i++) {
		g_string_append_c(bytes, 'x');
		g_string_append_c(expected, 'x');
	}
	g_string_append(bytes, "\r\n");
	g_string_append(expected, "' | * LIST () '/' <65537> | idle");
	each_split_len(bytes->str, bytes->len, expected->str, false);
}

static void reader_keeps_literals_of_the_inline_limit(void)
{
	g_autoptr(GString) bytes = g_string_new("* X {65536}\r\n");
	g_autofree char *dump = NULL;

	for (int i = 0; i < 65536; i++)
		g_string_append_c(bytes, 'x');
	g_string_append(bytes, "\r\n");
	dump = dump_string(bytes, 1);
	g_assert_true(g_str_has_prefix(dump, "* X 'xxx"));
}

static void reader_shows_the_streamed_node_last(void)
{
	static const char bytes[] = "* 1 FETCH (UID 7 BODY[] {5}\r\n";
	struct imap_reader *reader = imap_reader_new();
	const struct imap_node *node;
	struct imap_event event;
	struct bytebuf in;

	bytebuf_init(&in);
	imap_reader_stream_bodies(reader, true);
	bytebuf_append_str(&in, bytes);
	imap_reader_next(reader, &in, &event);
	g_assert_cmpint(event.type, ==, IMAP_EVENT_DATA_BEGIN);
	for (node = event.response->args->child; node->next;)
		node = node->next;
	g_assert_cmpint(node->type, ==, IMAP_NODE_STREAMED);
	g_assert_cmpuint(node->len, ==, 5);
	bytebuf_done(&in);
	imap_reader_free(reader);
}

/* ---- field deviations ------------------------------------------------------------------------- */

static void px1_lf_ends_a_line_cr_alone_does_not(void)
{
	EACH_SPLIT("* 1 EXISTS\n* X a\rb\r\n* 1 FETCH (BODY[] {1}\nx)\n",
		"* 1 EXISTS | * X a\\rb | * 1 FETCH (BODY[] 'x') | idle");
	EACH_SPLIT("* X a\r\r\n", "* X a\\r | idle");
}

static void px1_leading_nuls_are_skipped_and_bounded(void)
{
	g_autoptr(GString) bytes = g_string_new(NULL);
	g_autofree char *fine = NULL, *bad = NULL;

	EACH_SPLIT("\0\0\0* OK hi\r\n\0\0a OK x\r\n", "* OK {hi} | a OK {x} | idle");
	for (int i = 0; i < WIRE_LEADING_NUL_MAX; i++)
		g_string_append_c(bytes, '\0');
	g_string_append(bytes, "* OK hi\r\n");
	fine = dump_string(bytes, 7);
	g_assert_cmpstr(fine, ==, "* OK {hi} | idle");
	g_string_prepend_c(bytes, '\0');
	bad = dump_string(bytes, 7);
	g_assert_cmpstr(bad, ==, "ERROR too many NULs");
}

static void px2_bare_continuations_are_continuations(void)
{
	EACH_SPLIT("+\r\n", "+ | idle");
	EACH_SPLIT("+ \r\n", "+ | idle");
	EACH_SPLIT("+OK\r\n", "+ {OK} | idle");
	EACH_SPLIT("+ eyJzdGF0dXMiOiI0MDEifQ==\r\n", "+ {eyJzdGF0dXMiOiI0MDEifQ==} | idle");
}

static void px3_spaces_too_many_are_skipped(void)
{
	EACH_SPLIT("* STATUS  INBOX  (MESSAGES  3 ) \r\n* SEARCH \r\n* CAPABILITY A  B \r\n",
		"* STATUS INBOX (MESSAGES 3) | * SEARCH | * CAPABILITY A B | idle");
	EACH_SPLIT("*  2  EXISTS \r\na  OK  x\r\n", "* 2 EXISTS | a OK {x} | idle");
	EACH_SPLIT("\r\n* OK x\r\n\r\n", "* OK {x} | idle");
}

static void px4_text_may_be_missing(void)
{
	EACH_SPLIT("* OK [HIGHESTMODSEQ 1]\r\na OK\r\nb NO \r\n* BYE\r\n* OK []\r\n*\r\n* 5\r\n",
		"* OK [HIGHESTMODSEQ 1] | a OK | b NO | * BYE | * OK | * | * 5 | idle");
}

static void px5_a_code_without_status_is_no_status(void)
{
	EACH_SPLIT("* [COPYUID 1 2 3] done\r\n", "* [COPYUID 1 2 3] {done} | idle");
}

static void px6_lines_without_tag_are_errors(void)
{
	EACH_SPLIT("Server Unavailable.\r\n", "ERROR no response");
	EACH_SPLIT("* OK x\r\nHTTP/1.1 400 Bad Request\r\n* OK y\r\n",
		"* OK {x} | ERROR no response");
	EACH_SPLIT("*OK hi\r\n", "ERROR no response");
	EACH_SPLIT(" * OK hi\r\n", "ERROR no response");
	EACH_SPLIT("a\"b OK hi\r\n", "ERROR no response");
	EACH_SPLIT("\x1b]0;evil\a OK hi\r\n", "ERROR no response");
}

static void px7_odd_numbers_are_not_message_numbers(void)
{
	EACH_SPLIT("* -1 EXISTS\r\n* 9.3736e+06 EXISTS\r\n* 4294967296 EXISTS\r\n* +5 EXISTS\r\n"
		   "* 0x10 EXISTS\r\n* 007 EXISTS\r\n* 4294967295 EXISTS\r\n",
		"* -1 EXISTS | * 9.3736E+06 EXISTS | * 4294967296 EXISTS | * +5 EXISTS | "
		"* 0X10 EXISTS | * 7 EXISTS | * 4294967295 EXISTS | idle");
}

static void px8_empty_and_padded_counts_are_counts(void)
{
	EACH_SPLIT("* X {0}\r\n a\r\n", "* X '' a | idle");
	EACH_SPLIT("* X {00000000005}\r\nhello\r\n", "* X 'hello' | idle");
	EACH_SPLIT("* X {5+}\r\nhello\r\n", "* X 'hello' | idle");
}

static void px8_counts_that_are_none_end_the_session(void)
{
	EACH_SPLIT("* X {-1}\r\n", "ERROR bad literal");
	EACH_SPLIT("* X { 5}\r\nhello\r\n", "ERROR bad literal");
	EACH_SPLIT("* X {5\r\nhello\r\n", "ERROR bad literal");
	EACH_SPLIT("* X {}\r\n", "ERROR bad literal");
	EACH_SPLIT("* X {+}\r\n", "ERROR bad literal");
	EACH_SPLIT("* X ~{}\r\n", "ERROR bad literal");
	EACH_SPLIT("* X {1e2}\r\n", "ERROR bad literal");
	EACH_SPLIT("* X {18446744073709551615}\r\n", "ERROR literal too large");
	EACH_SPLIT("* X {18446744073709551616}\r\n", "ERROR bad literal");
	EACH_SPLIT("* X {4294967396}\r\n", "ERROR literal too large");
	EACH_SPLIT("* X {4294967296}\r\n", "ERROR literal too large");
}

static void px8_a_brace_in_the_middle_of_a_line_is_text(void)
{
	EACH_SPLIT("* X (BODY[] {100)\r\n", "* X (BODY[] {100) | idle");
	EACH_SPLIT("* X ({5} ~{5} {a)\r\n", "* X ({5} ~{5} {a) | idle");
	EACH_SPLIT("* OK see {5}\r\n", "* OK {see {5}} | idle");
}

static void px8_a_glued_count_ends_the_session(void)
{
	EACH_SPLIT("* 1 FETCH (BODY[]{5}\r\nhello)\r\n", "ERROR literal inside an atom");
	EACH_SPLIT("* 1 FETCH (BODY[]{-1}\r\nhello)\r\n", "ERROR literal inside an atom");
	EACH_SPLIT("* LIST () \"/\" \"a\"{3}\r\nabc\r\n", "ERROR literal inside a quoted string");
}

static void sec21_the_announced_size_is_not_allocated(void)
{
	g_autofree char *dump = NULL;
	GString *bytes = g_string_new("* X {4294967295}\r\nabc");

	dump = dump_string(bytes, 1);
	g_assert_cmpstr(dump, ==, "BEGIN * X <4294967295> | DATA 'abc more");
	g_string_free(bytes, TRUE);
}

static GString *nested(unsigned depth)
{
	GString *bytes = g_string_new("* X ");

	for (unsigned i = 0; i < depth; i++)
		g_string_append_c(bytes, '(');
	for (unsigned i = 0; i < depth; i++)
		g_string_append_c(bytes, ')');
	g_string_append(bytes, "\r\n");
	return bytes;
}

static void px9_lists_are_nested_to_a_bound(void)
{
	static const unsigned deep[] = { WIRE_DEPTH_MAX + 1, 100, 10000, 400000 };
	g_autoptr(GString) fine = nested(WIRE_DEPTH_MAX);
	g_autofree char *dump = dump_string(fine, 3);

	g_assert_true(g_str_has_prefix(dump, "* X (((((((((("));
	g_assert_true(g_str_has_suffix(dump, ")))))) | idle"));
	for (size_t i = 0; i < G_N_ELEMENTS(deep); i++) {
		g_autoptr(GString) bytes = nested(deep[i]);
		g_autofree char *bad = dump_string(bytes, 4096);

		g_assert_cmpstr(bad, ==, "ERROR lists nested too deep");
	}
}

static void px10_lines_are_bounded(void)
{
	g_autoptr(GString) bytes = g_string_new("* OK ");
	g_autofree char *fine = NULL, *bad = NULL, *single = NULL;

	while (bytes->len < WIRE_LINE_MAX - 1)
		g_string_append_c(bytes, 'x');
	g_string_append_c(bytes, '\n');
	fine = dump_string(bytes, 4096);
	g_assert_true(g_str_has_suffix(fine, "xxx} | idle"));

	g_string_insert_c(bytes, 5, 'x');
	bad = dump_string(bytes, bytes->len);
	g_assert_cmpstr(bad, ==, "ERROR line too long");
	single = dump_string(bytes, 1);
	g_assert_cmpstr(single, ==, "ERROR line too long");
}

static void px10_text_between_literals_is_bounded_too(void)
{
	g_autoptr(GString) bytes = g_string_new("* X {1}\r\na ");
	g_autofree char *bad = NULL, *single = NULL;

	for (unsigned i = 0; i < WIRE_LINE_MAX; i++)
		g_string_append_c(bytes, 'x');
	bad = dump_string(bytes, bytes->len);
	g_assert_cmpstr(bad, ==, "ERROR line too long");
	single = dump_string(bytes, 1);
	g_assert_cmpstr(single, ==, "ERROR line too long");
}

static void px10_tokens_of_a_response_are_bounded(void)
{
	g_autoptr(GString) bytes = g_string_new("* X");
	g_autofree char *bad = NULL;

	while (bytes->len < WIRE_LINE_MAX - 2)
		g_string_append(bytes, " a");
	g_string_append(bytes, "\n");
	bad = dump_string(bytes, 65536);
	g_assert_cmpstr(bad, ==, "ERROR response too large");
}

static void sec32_a_million_literals_are_linear_and_bounded(void)
{
	g_autoptr(GString) bytes = g_string_new("* X");
	g_autofree char *bad = NULL, *single = NULL;

	for (int i = 0; i < 1000000; i++)
		g_string_append(bytes, " {1}\r\na");
	bad = dump_string(bytes, bytes->len);
	g_assert_cmpstr(bad, ==, "ERROR response too large");
	single = dump_string(bytes, 1);
	g_assert_cmpstr(single, ==, "ERROR response too large");
}

static void sec32_literals_over_many_responses_are_linear(void)
{
	g_autoptr(GString) bytes = g_string_new(NULL);
	struct imap_reader *reader = imap_reader_new();
	struct imap_event event;
	struct bytebuf in;
	unsigned count = 0;

	for (int i = 0; i < 100000; i++)
		g_string_append(bytes, "* X {1}\r\na {0}\r\n ({2}\r\nbc)\r\n");
	bytebuf_init(&in);
	for (size_t i = 0; i < bytes->len; i++) {
		bytebuf_append(&in, bytes->str + i, 1);
		imap_reader_next(reader, &in, &event);
		count += event.type == IMAP_EVENT_RESPONSE;
	}
	g_assert_cmpuint(count, ==, 100000);
	bytebuf_done(&in);
	imap_reader_free(reader);
}

/* A scanner that looks for an end in vain from every "[" or "{" would need hours here. */
static void sec32_brackets_without_end_are_linear(void)
{
	static const char *const units[] = { "BODY[ ", "[", "{a) ", "\"a\"b", "BODY[\"", "(BODY[)" };

	for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
		g_autoptr(GString) bytes = g_string_new("* 1 FETCH ");
		g_autofree char *dump = NULL;

		while (bytes->len < WIRE_LINE_MAX - 10)
			g_string_append(bytes, units[i]);
		g_string_append(bytes, " x\r\n");
		dump = dump_string(bytes, bytes->len);
		g_assert_cmpuint(strlen(dump), >, 0);
	}
}

static void px11_unescaped_quotes_stay_text(void)
{
	EACH_SPLIT("* LIST () \"/\" \"a\"b\"\r\n", "* LIST () '/' 'a\"b' | idle");
	EACH_SPLIT("* X (\"a\"b\" \"c\")\r\n", "* X ('a\"b' 'c') | idle");
	EACH_SPLIT("* X \"a\\b\" \"\xc3\xa4\t\"\r\n", "* X 'a\\b' '\xc3\xa4\t' | idle");
}

static void px11_a_quoted_string_ends_with_its_line(void)
{
	EACH_SPLIT("* LIST () \"/\" \"abc\r\na OK x\r\n", "* LIST () '/' 'abc' | a OK {x} | idle");
	EACH_SPLIT("* LIST () \"/\" \"a\r\nb\"\r\n", "* LIST () '/' 'a' | ERROR no response");
	EACH_SPLIT("* 1 FETCH (BODY[] \"abc\r\ndef\")\r\n", "ERROR list not closed");
}

static void px11_quoted_strings_are_bounded(void)
{
	g_autoptr(GString) bytes = g_string_new("* X \"");
	g_autofree char *fine = NULL, *bad = NULL;

	for (int i = 0; i < WIRE_QUOTED_MAX; i++)
		g_string_append_c(bytes, 'x');
	g_string_append(bytes, "\"\r\n");
	fine = dump_string(bytes, 4096);
	g_assert_true(g_str_has_suffix(fine, "xxx' | idle"));
	g_string_insert_c(bytes, 6, 'x');
	bad = dump_string(bytes, 4096);
	g_assert_cmpstr(bad, ==, "ERROR quoted string too long");
}

static void px12_brackets_in_codes_are_balanced_outside_lists(void)
{
	EACH_SPLIT("* OK [PERMANENTFLAGS (\\Seen a]b c[d \\*)] Flags permitted.\r\n",
		"* OK [PERMANENTFLAGS (\\Seen a]b c[d \\*)] {Flags permitted.} | idle");
	EACH_SPLIT("* NO [REFERRAL imap://[::1]/a] gone\r\n",
		"* NO [REFERRAL imap://[::1]/a] {gone} | idle");
	EACH_SPLIT("* OK [MYRIGHTS \"l]r\"] x\r\n", "* OK [MYRIGHTS 'l]r'] {x} | idle");
}

static void px12_unbalanced_codes_lose_their_code_at_most(void)
{
	EACH_SPLIT("* OK [FOO a[b] text\r\n", "* OK [FOO a[b] {text} | idle");
	EACH_SPLIT("* OK [FOO (a] text\r\n", "* OK {text} | idle");
	EACH_SPLIT("* OK [FOO bar\r\n", "* OK {[FOO bar} | idle");
	EACH_SPLIT("* OK [FOO 5\"] text\r\n", "* OK [FOO 5\"] {text} | idle");
	EACH_SPLIT("* OK [ALERT] call [now] {5}\r\n", "* OK [ALERT] {call [now] {5}} | idle");
	EACH_SPLIT("* OK ]x[ y\r\n", "* OK {]x[ y} | idle");
}

static void fl2_odd_flags_are_atoms(void)
{
	EACH_SPLIT("* 1 FETCH (FLAGS (\\Seen a]b c[d foo$bar \\Forwarded NIL \"q f\"))\r\n",
		"* 1 FETCH (FLAGS (\\Seen a]b c[d foo$bar \\Forwarded NIL 'q f')) | idle");
	EACH_SPLIT("* FLAGS (BODY[x a\"b)\r\n", "* FLAGS (BODY[x a\"b) | idle");
	EACH_SPLIT("* 1 FETCH (FLAGS (c[d foo e]f) BODY[HEADER.FIELDS (A)] \"x\")\r\n",
		"* 1 FETCH (FLAGS (c[d foo e]f) BODY[HEADER.FIELDS_(A)] 'x') | idle");
}

static void px17_nul_and_8bit_bytes_are_data(void)
{
	g_autoptr(GString) bytes = g_string_new("* 1 FETCH (BODY[] {256}\r\n");
	g_autoptr(GString) expected = g_string_new("* 1 FETCH (BODY[] '");
	char all[256];

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	g_string_append_len(bytes, all, 256);
	g_string_append(bytes, ")\r\n");
	dump_bytes(expected, all, 256);
	g_string_append(expected, "') | idle");
	each_split_len(bytes->str, bytes->len, expected->str, false);
	EACH_SPLIT("* X a\0b \xff\xfe\r\n", "* X a\\0b \xff\xfe | idle");
	EACH_SPLIT("* FETCH\0 (A)\r\n", "* FETCH? (A) | idle");
}

static void sz5_a_literal_short_by_its_line_end_is_marked(void)
{
	EACH_SPLIT("* 1 FETCH (UID 7 BODY[] {3}\r\nabc\r\n)\r\na OK x\r\n",
		"* 1 FETCH (UID 7 BODY[] 'abc') !stray | a OK {x} | idle");
	EACH_SPLIT("* 1 FETCH (BODY[] {3}\r\nabc\n FLAGS ())\r\n",
		"* 1 FETCH (BODY[] 'abc' FLAGS ()) !stray | idle");
	EACH_SPLIT("* 1 FETCH (A {1}\r\na\r\n B {1}\r\nb\r\n)\r\n",
		"* 1 FETCH (A 'a' B 'b') !stray | idle");
}

static void sz5_a_literal_of_another_length_ends_the_session(void)
{
	static const char out_of_step[] = "ERROR literal has another size than announced";

	EACH_SPLIT("* 1 FETCH (BODY[] {3}\r\nabcd)\r\n", out_of_step);
	EACH_SPLIT("* 1 FETCH (BODY[] {3}\r\nabc\r\n\r\n)\r\n", out_of_step);
	EACH_SPLIT("* 1 FETCH (BODY[] {3}\r\nabc\r\na OK x\r\n", out_of_step);
	EACH_SPLIT("* 1 FETCH (BODY[] {3}\r\nabc\rx)\r\n", out_of_step);
	EACH_SPLIT("* 1 FETCH (BODY[] {4}\r\nabc)\r\na OK x\r\n", out_of_step);
	EACH_SPLIT("* 1 FETCH (BODY[] {6}\r\nabc)\r\na OK x\r\n", out_of_step);
	EACH_SPLIT("* 1 FETCH (BODY[] {9}\r\nabc)\r\na OK x\r\n", out_of_step);
	EACH_SPLIT("* LIST () \"/\" {3}\r\nabc)\r\n", out_of_step);
	EACH_SPLIT("* LIST () \"/\" {3}\r\nabcd\r\n", out_of_step);
}

static void sz5_a_response_that_is_not_closed_ends_the_session(void)
{
	EACH_SPLIT("* 1 FETCH (BODY[] {3}\r\nabc FLAGS ()\r\na OK x\r\n", "ERROR list not closed");
	EACH_SPLIT("* 1 FETCH (BODY[] From: x\r\n\r\nhello\r\n)\r\n", "ERROR list not closed");
	EACH_SPLIT("* 1 FETCH (UID 5))\r\n", "* 1 FETCH (UID 5) | idle");
}

static void sz8_the_list_may_end_right_behind_the_last_byte(void)
{
	EACH_SPLIT_STREAMED("* 1 FETCH (BODY[] ~{2}\r\n\0\n)\r\n",
		"BEGIN * 1 FETCH (BODY[] <2>) | DATA '\\0\\n' | * 1 FETCH (BODY[] <2>) | idle");
}

static void sec23_bodies_without_header_are_bodies(void)
{
	EACH_SPLIT_STREAMED("* 1 FETCH (BODY[] {2}\r\n\r\n)\r\n",
		"BEGIN * 1 FETCH (BODY[] <2>) | DATA '\\r\\n' | * 1 FETCH (BODY[] <2>) | idle");
	EACH_SPLIT("* 1 FETCH (BODY[] {1}\r\n\n)\r\n", "* 1 FETCH (BODY[] '\\n') | idle");
	EACH_SPLIT("* 1 FETCH (BODY[] {1}\r\n))\r\n", "* 1 FETCH (BODY[] ')') | idle");
}

static void sec25_names_are_literals_in_every_place(void)
{
	EACH_SPLIT("* STATUS {5}\r\nINBOX (MESSAGES 1)\r\n* LIST ({5}\r\n\\Sent) {1}\r\n/ {1}\r\na\r\n",
		"* STATUS 'INBOX' (MESSAGES 1) | * LIST ('\\Sent') '/' 'a' | idle");
	EACH_SPLIT("* NO\r\na NO\r\n", "* NO | a NO | idle");
}

static void sec27_empty_literals_are_empty_everywhere(void)
{
	EACH_SPLIT("* X {0}\r\n ({0}\r\n {0}\r\n) ~{0}\r\n\r\n", "* X '' ('' '') '' | idle");
	EACH_SPLIT_STREAMED("* 1 FETCH (BODY[] {0}\r\n)\r\n",
		"BEGIN * 1 FETCH (BODY[] <0>) | DATA '' | * 1 FETCH (BODY[] <0>) | idle");
}

static void sec35_lengths_add_up_at_the_limit(void)
{
	g_autoptr(GString) bytes = g_string_new("* X");
	g_autofree char *bad = NULL;

	for (int i = 0; i < 80; i++) {
		g_string_append(bytes, " {65536}\r\n");
		for (int k = 0; k < 65536; k++)
			g_string_append_c(bytes, 'x');
	}
	g_string_append(bytes, "\r\n");
	bad = dump_string(bytes, 65536);
	g_assert_cmpstr(bad, ==, "ERROR response too large");
}

static void px15_a_body_nobody_asked_for_is_skipped_by_its_length(void)
{
	EACH_SPLIT("* 9 FETCH (BODY[] {19}\r\na OK x\r\n* 1 EXPUNGE)\r\na OK y\r\n",
		"* 9 FETCH (BODY[] 'a OK x\\r\\n* 1 EXPUNGE') | a OK {y} | idle");
}

static void e17_a_body_that_looks_like_responses_is_a_body(void)
{
	EACH_SPLIT("* 9 FETCH (BODY[] {23}\r\na OK x\r\n* 1 EXPUNGE\r\n\r\n)\r\na OK y\r\n",
		"* 9 FETCH (BODY[] 'a OK x\\r\\n* 1 EXPUNGE\\r\\n\\r\\n') | a OK {y} | idle");
}

/* ---- long SEARCH lines ------------------------------------------------------------------------ */

/* `responses` * SEARCH nodes are the numbers from 1 on, each once. */
static unsigned count_numbers(GString *bytes, size_t step, unsigned *ret_responses)
{
	struct imap_reader *reader = imap_reader_new();
	unsigned count = 0, responses = 0;
	struct imap_event event;
	struct bytebuf in;

	bytebuf_init(&in);
	for (size_t at = 0; at < bytes->len; at += step) {
		bytebuf_append(&in, bytes->str + at, MIN(step, bytes->len - at));
		for (;;) {
			imap_reader_next(reader, &in, &event);
			if (event.type != IMAP_EVENT_RESPONSE)
				break;
			g_assert_cmpstr(event.response->name, ==, "SEARCH");
			responses++;
			for (const struct imap_node *n = event.response->args; n; n = n->next) {
				uint32_t number;

				g_assert_true(imap_node_u32(n, &number));
				g_assert_cmpuint(number, ==, ++count);
			}
		}
		g_assert_cmpint(event.type, ==, IMAP_EVENT_NEED_MORE);
	}
	g_assert_true(imap_reader_is_idle(reader));
	bytebuf_done(&in);
	imap_reader_free(reader);
	*ret_responses = responses;
	return count;
}

static void sz9_a_search_of_two_million_numbers_comes_in_pieces(void)
{
	g_autoptr(GString) bytes = g_string_new("* SEARCH");
	unsigned whole, pieces;

	for (int i = 1; i <= 2000000; i++)
		g_string_append_printf(bytes, " %d", i);
	g_string_append(bytes, "\r\n");
	g_assert_cmpuint(count_numbers(bytes, bytes->len, &whole), ==, 2000000);
	g_assert_cmpuint(count_numbers(bytes, 1000, &pieces), ==, 2000000);
	g_assert_cmpuint(whole, ==, pieces);
	g_assert_cmpuint(whole, >, 100);
}

static void px10_a_search_piece_never_cuts_a_list(void)
{
	g_autoptr(GString) bytes = g_string_new("* SEARCH");
	g_autofree char *dump = NULL, *single = NULL;

	while (bytes->len < WIRE_SEARCH_PIECE - 10)
		g_string_append(bytes, " 1");
	g_string_append(bytes, " (MODSEQ 5)\r\n");
	dump = dump_string(bytes, bytes->len);
	g_assert_true(g_str_has_suffix(dump, "1 1 | * SEARCH (MODSEQ 5) | idle"));
	single = dump_string(bytes, 1);
	g_assert_cmpstr(single, ==, dump);
}

static void px10_a_search_without_spaces_is_too_long(void)
{
	g_autoptr(GString) bytes = g_string_new("* SEARCH ");
	g_autofree char *dump = NULL;

	while (bytes->len < WIRE_SEARCH_PIECE + 10)
		g_string_append(bytes, "1");
	dump = dump_string(bytes, 100);
	g_assert_cmpstr(dump, ==, "ERROR line too long");
}

/* ---- state ------------------------------------------------------------------------------------ */

static bool is_idle_after(const char *bytes)
{
	struct imap_reader *reader = imap_reader_new();
	struct imap_event event;
	struct bytebuf in;
	bool is_idle;

	bytebuf_init(&in);
	bytebuf_append_str(&in, bytes);
	do {
		imap_reader_next(reader, &in, &event);
	} while (event.type != IMAP_EVENT_NEED_MORE && event.type != IMAP_EVENT_ERROR);
	is_idle = imap_reader_is_idle(reader);
	bytebuf_done(&in);
	imap_reader_free(reader);
	return is_idle;
}

static void reader_is_idle_only_between_responses(void)
{
	g_assert_true(is_idle_after(""));
	g_assert_true(is_idle_after("a OK x\r\n"));
	g_assert_false(is_idle_after("a OK x\r\n*"));
	g_assert_false(is_idle_after("* X {5}\r\n"));
	g_assert_false(is_idle_after("* X {5}\r\nabcde"));
	g_assert_false(is_idle_after("* X {99999}\r\nab"));
	g_assert_false(is_idle_after("garbage\r\n"));
}

static void reader_leaves_what_follows_a_response(void)
{
	struct imap_reader *reader = imap_reader_new();
	struct imap_event event;
	struct bytebuf in;

	bytebuf_init(&in);
	bytebuf_append_str(&in, "a OK begin TLS\r\n* OK injected\r\n");
	imap_reader_next(reader, &in, &event);
	g_assert_cmpint(event.type, ==, IMAP_EVENT_RESPONSE);
	g_assert_true(imap_reader_is_idle(reader));
	g_assert_cmpuint(in.len, ==, strlen("* OK injected\r\n"));
	bytebuf_done(&in);
	imap_reader_free(reader);
}

static void reader_stays_in_error(void)
{
	struct imap_reader *reader = imap_reader_new();
	struct imap_event event;
	struct bytebuf in;

	bytebuf_init(&in);
	bytebuf_append_str(&in, "garbage\r\n* OK x\r\n");
	for (int i = 0; i < 3; i++) {
		imap_reader_next(reader, &in, &event);
		g_assert_cmpint(event.type, ==, IMAP_EVENT_ERROR);
		g_assert_cmpstr(event.error, ==, "no response");
	}
	bytebuf_done(&in);
	imap_reader_free(reader);
}

static void nodes_are_read_by_type(void)
{
	struct imap_node atom = { .type = IMAP_NODE_ATOM, .text = "12", .len = 2 };
	struct imap_node nil = { .type = IMAP_NODE_NIL, .text = "nil", .len = 3 };
	struct imap_node string = { .type = IMAP_NODE_STRING, .text = "12", .len = 2 };
	struct imap_node list = { .type = IMAP_NODE_LIST };
	uint32_t u32 = 7;
	uint64_t u64 = 7;

	g_assert_true(imap_node_u32(&atom, &u32));
	g_assert_cmpuint(u32, ==, 12);
	g_assert_false(imap_node_u64(&string, &u64));
	g_assert_false(imap_node_u32(NULL, &u32));
	g_assert_cmpuint(u64, ==, 7);
	g_assert_true(imap_node_is(&atom, "12"));
	g_assert_false(imap_node_is(&string, "12"));
	g_assert_false(imap_node_is(NULL, "12"));
	g_assert_cmpstr(imap_node_text(&nil), ==, "nil");
	g_assert_null(imap_node_nstring(&nil));
	g_assert_cmpstr(imap_node_nstring(&string), ==, "12");
	g_assert_null(imap_node_text(&list));
	g_assert_null(imap_node_nstring(NULL));
}

#define ADD(path, fn) g_test_add_func("/wire/imap_reader/" path, fn)

static void add_plain(void)
{
	ADD("reads a session", reader_reads_a_session);
	ADD("reads a FETCH with literals", reader_reads_a_fetch_with_literals);
	ADD("waits for LF after a literal", reader_waits_for_lf_after_literal);
	ADD("WR-3 takes literal8 and {n+}", reader_takes_literal8_and_non_synchronising_literals);
	ADD("unescapes quoted strings", reader_unescapes_quoted_strings);
	ADD("NM-11 knows NIL from text", reader_knows_nil_from_text);
	ADD("MD-2 keeps sections in one atom", reader_keeps_sections_in_one_atom);
	ADD("PX-13 upper-cases names", reader_names_continue_to_be_upper_case);
	ADD("streams bodies on request", reader_streams_bodies_on_request);
	ADD("streams nothing else", reader_streams_nothing_else);
	ADD("streams large literals anywhere", reader_streams_large_literals_anywhere);
	ADD("keeps literals of the inline limit", reader_keeps_literals_of_the_inline_limit);
	ADD("shows the streamed node last", reader_shows_the_streamed_node_last);
	ADD("SEC-3 is idle only between responses", reader_is_idle_only_between_responses);
	ADD("SEC-3 leaves what follows a response", reader_leaves_what_follows_a_response);
	ADD("stays in error", reader_stays_in_error);
	ADD("nodes are read by type", nodes_are_read_by_type);
}

static void add_px(void)
{
	ADD("PX-1 LF ends a line", px1_lf_ends_a_line_cr_alone_does_not);
	ADD("PX-1 leading NULs are bounded", px1_leading_nuls_are_skipped_and_bounded);
	ADD("PX-2 bare continuations", px2_bare_continuations_are_continuations);
	ADD("PX-3 spaces too many", px3_spaces_too_many_are_skipped);
	ADD("PX-4 text may be missing", px4_text_may_be_missing);
	ADD("PX-5 code without status", px5_a_code_without_status_is_no_status);
	ADD("PX-6 PX-16 lines without tag", px6_lines_without_tag_are_errors);
	ADD("PX-7 odd numbers", px7_odd_numbers_are_not_message_numbers);
	ADD("PX-8 empty and padded counts", px8_empty_and_padded_counts_are_counts);
	ADD("PX-8 counts that are none", px8_counts_that_are_none_end_the_session);
	ADD("PX-8 braces in a line", px8_a_brace_in_the_middle_of_a_line_is_text);
	ADD("PX-8 glued counts", px8_a_glued_count_ends_the_session);
	ADD("PX-9 SEC-30 nesting is bounded", px9_lists_are_nested_to_a_bound);
	ADD("PX-10 lines are bounded", px10_lines_are_bounded);
	ADD("PX-10 text between literals is bounded", px10_text_between_literals_is_bounded_too);
	ADD("PX-10 tokens are bounded", px10_tokens_of_a_response_are_bounded);
	ADD("PX-10 a SEARCH piece never cuts a list", px10_a_search_piece_never_cuts_a_list);
	ADD("PX-10 a SEARCH without spaces", px10_a_search_without_spaces_is_too_long);
	ADD("PX-11 unescaped quotes", px11_unescaped_quotes_stay_text);
	ADD("PX-11 a string ends with its line", px11_a_quoted_string_ends_with_its_line);
	ADD("PX-11 strings are bounded", px11_quoted_strings_are_bounded);
	ADD("PX-12 balanced codes", px12_brackets_in_codes_are_balanced_outside_lists);
	ADD("PX-12 unbalanced codes", px12_unbalanced_codes_lose_their_code_at_most);
	ADD("PX-15 unasked bodies are skipped", px15_a_body_nobody_asked_for_is_skipped_by_its_length);
	ADD("PX-17 every byte is data", px17_nul_and_8bit_bytes_are_data);
}

static void add_others(void)
{
	ADD("FL-2 odd flags are atoms", fl2_odd_flags_are_atoms);
	ADD("SZ-5 short by a line end", sz5_a_literal_short_by_its_line_end_is_marked);
	ADD("SZ-5 another length", sz5_a_literal_of_another_length_ends_the_session);
	ADD("SZ-5 not closed", sz5_a_response_that_is_not_closed_ends_the_session);
	ADD("SZ-8 no final line end", sz8_the_list_may_end_right_behind_the_last_byte);
	ADD("SZ-9 two million numbers", sz9_a_search_of_two_million_numbers_comes_in_pieces);
	ADD("SZ-5 bodies like responses", e17_a_body_that_looks_like_responses_is_a_body);
	ADD("SEC-21 no allocation by announcement", sec21_the_announced_size_is_not_allocated);
	ADD("SEC-23 bodies without header", sec23_bodies_without_header_are_bodies);
	ADD("SEC-25 literals in every place", sec25_names_are_literals_in_every_place);
	ADD("SEC-27 empty literals", sec27_empty_literals_are_empty_everywhere);
	ADD("SEC-32 a million literals", sec32_a_million_literals_are_linear_and_bounded);
	ADD("SEC-32 literals of many responses", sec32_literals_over_many_responses_are_linear);
	ADD("SEC-32 brackets without end", sec32_brackets_without_end_are_linear);
	ADD("SEC-35 lengths at the limit", sec35_lengths_add_up_at_the_limit);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_plain();
	add_px();
	add_others();
	return g_test_run();
}
