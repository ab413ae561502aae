/* SPDX-License-Identifier: MIT */
/* IMAP responses → structs. */
#include "wire/imap_resp.h"

#include "mailfs/types.h"
#include "wire/limits.h"
#include "wire_imap_dump.h"

/* The first response of `bytes`, alive until free_one(). */
struct one {
	struct imap_reader *reader;
	struct bytebuf in;
	struct arena arena;
	struct imap_event event;
};

static const struct imap_response *read_len(struct one *one, const char *bytes, size_t len)
{
	one->reader = imap_reader_new();
	bytebuf_init(&one->in);
	arena_init(&one->arena);
	bytebuf_append(&one->in, bytes, len);
	imap_reader_next(one->reader, &one->in, &one->event);
	g_assert_true(one->event.type == IMAP_EVENT_RESPONSE ||
		one->event.type == IMAP_EVENT_DATA_BEGIN);
	return one->event.response;
}

static void free_one(struct one *one)
{
	imap_reader_free(one->reader);
	bytebuf_done(&one->in);
	arena_done(&one->arena);
}

#define READ(one, bytes) read_len(&(one), bytes, sizeof(bytes) - 1)

/* ---- FETCH ------------------------------------------------------------------------------------ */

static void dump_fetch(GString *out, const struct imap_fetch *fetch)
{
	g_string_append_printf(out, "%u:", fetch->seq);
	if (fetch->has & IMAP_FETCH_UID)
		g_string_append_printf(out, " uid=%u", fetch->uid);
	if (fetch->has & IMAP_FETCH_FLAGS) {
		g_string_append_printf(out, " flags=%x", fetch->flags);
		for (const char *const *k = fetch->keywords; *k; k++)
			g_string_append_printf(out, ",%s", *k);
	}
	if (fetch->has & IMAP_FETCH_DATE)
		g_string_append_printf(out, " date=%" G_GINT64_FORMAT, fetch->date);
	if (fetch->has & IMAP_FETCH_SIZE)
		g_string_append_printf(out, " size=%" G_GUINT64_FORMAT, fetch->size);
	if (fetch->has & IMAP_FETCH_MODSEQ)
		g_string_append_printf(out, " modseq=%" G_GUINT64_FORMAT, fetch->modseq);
	if (fetch->has & IMAP_FETCH_EMAIL_ID)
		g_string_append_printf(out, " id=%s", fetch->email_id);
	if (fetch->has & IMAP_FETCH_THREAD_ID)
		g_string_append_printf(out, " thread=%s", fetch->thread_id);
	if (fetch->has & IMAP_FETCH_HEADER) {
		g_string_append(out, " header=");
		dump_bytes(out, fetch->header, fetch->header_len);
	}
	if (fetch->has & IMAP_FETCH_BODY) {
		struct imap_node body = *fetch->body;

		body.next = NULL;
		g_string_append(out, " body=");
		dump_nodes(out, &body);
	}
	if (fetch->has_body_origin)
		g_string_append_printf(out, "@%" G_GUINT64_FORMAT, fetch->body_origin);
}

static void assert_fetch(const char *bytes, size_t len, const char *expected)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct imap_fetch fetch;
	struct one one;

	if (imap_fetch_parse(read_len(&one, bytes, len), &one.arena, &fetch))
		dump_fetch(out, &fetch);
	else
		g_string_append(out, "none");
	g_assert_cmpstr(out->str, ==, expected);
	free_one(&one);
}

#define FETCH(bytes, expected) assert_fetch(bytes "\r\n", sizeof(bytes) + 1, expected)

static void fetch_takes_items_in_any_order_and_case(void)
{
	FETCH("* 1 FETCH (UID 7 FLAGS (\\Seen \\draft) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" "
	      "RFC822.SIZE 4286 MODSEQ (624140003))",
		"1: uid=7 flags=11 date=837596665 size=4286 modseq=624140003");
	FETCH("* 1 Fetch (modseq (3) rfc822.size 1 flags () internaldate \" 1-Jan-1970 00:00:00 +0000\" "
	      "Uid 7)",
		"1: uid=7 flags=0 date=0 size=1 modseq=3");
}

static void fetch_takes_ids_of_both_kinds(void)
{
	FETCH("* 1 FETCH (UID 7 EMAILID (M6d99) THREADID (T64b))", "1: uid=7 id=M6d99 thread=T64b");
	FETCH("* 1 FETCH (UID 7 EMAILID (M6d99) THREADID NIL)", "1: uid=7 id=M6d99");
	FETCH("* 1 FETCH (X-GM-MSGID 1278455344230334865 X-GM-THRID 12 UID 7)",
		"1: uid=7 id=1278455344230334865 thread=12");
	FETCH("* 1 FETCH (EMAILID (M1) X-GM-MSGID 5)", "1: id=M1");
	FETCH("* 1 FETCH (X-GM-MSGID 5 EMAILID (M1))", "1: id=M1");
	FETCH("* 1 FETCH (UID 7 EMAILID () THREADID (\"a b\"))", "1: uid=7");
}

static void fetch_takes_bodies_and_origins(void)
{
	FETCH("* 1 FETCH (UID 7 BODY[] {3}\r\nabc)", "1: uid=7 body='abc'");
	FETCH("* 1 FETCH (UID 7 body[]<12> \"abc\")", "1: uid=7 body='abc'@12");
	FETCH("* 1 FETCH (UID 7 BODY[]<0> \"\")", "1: uid=7 body=''@0");
	FETCH("* 1 FETCH (UID 7 BODY[]<-1> \"\" FLAGS ())", "1: uid=7 flags=0");
	FETCH("* 1 FETCH (UID 7 BODY[1] \"x\" BODY[TEXT] \"y\" BODY (\"TEXT\"))", "1: uid=7");
}

static void fetch_works_on_a_partial_response(void)
{
	struct imap_fetch fetch;
	struct one one;
	const struct imap_response *response =
		READ(one, "* 4 FETCH (UID 7 FLAGS () BODY[] {70000}\r\nabc");

	g_assert_cmpint(one.event.type, ==, IMAP_EVENT_DATA_BEGIN);
	g_assert_true(imap_fetch_parse(response, &one.arena, &fetch));
	g_assert_cmpuint(fetch.has, ==, IMAP_FETCH_UID | IMAP_FETCH_FLAGS | IMAP_FETCH_BODY);
	g_assert_cmpint(fetch.body->type, ==, IMAP_NODE_STREAMED);
	g_assert_cmpuint(fetch.body->len, ==, 70000);
	free_one(&one);
}

static void sz2_an_item_without_value_shifts_nothing(void)
{
	FETCH("* 1 FETCH (BODY[] UID 7 FLAGS)", "1: uid=7");
	FETCH("* 1 FETCH (UID 7 BODY[])", "1: uid=7");
	FETCH("* 1 FETCH (BODY[] FLAGS (\\Seen) UID 7)", "1: uid=7 flags=1");
	FETCH("* 1 FETCH ()", "1:");
	FETCH("* 1 FETCH (FLAGS UID 7 RFC822.SIZE MODSEQ (4))", "1: uid=7 modseq=4");
}

static void sz3_nil_is_a_body_that_is_nil(void)
{
	FETCH("* 1 FETCH (UID 7 BODY[] NIL)", "1: uid=7 body=NIL");
	FETCH("* 1 FETCH (UID 7 BODY[] {0}\r\n)", "1: uid=7 body=''");
}

static void md2_the_list_of_fields_is_not_compared(void)
{
	FETCH("* 1 FETCH (BODY[HEADER.FIELDS (DATE FROM)] {4}\r\na: b)", "1: header=a: b");
	FETCH("* 1 FETCH (body[header.fields (\"from\" \"Date\" \"x]y\")] \"a: b\" UID 7)",
		"1: uid=7 header=a: b");
	FETCH("* 1 FETCH (BODY[HEADER.FIELDS(DATE)] \"a\" UID 7)", "1: uid=7 header=a");
	FETCH("* 1 FETCH (BODY[HEADER] \"a\")", "1: header=a");
	FETCH("* 1 FETCH (BODY[HEADER.FIELDS (A)] NIL UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (BODY[HEADER.FIELDS.NOT (A)] \"a\" UID 7)", "1: uid=7");
}

static void id4_uid_zero_is_unusable(void)
{
	FETCH("* 1 FETCH (UID 0 FLAGS ())", "none");
	FETCH("* 1 FETCH (UID -1 FLAGS ())", "none");
	FETCH("* 1 FETCH (UID 4294967296 FLAGS ())", "none");
	FETCH("* 1 FETCH (UID (7))", "none");
	FETCH("* 1 FETCH (UID 4294967295)", "1: uid=4294967295");
}

static void id5_sequence_zero_is_ignored(void)
{
	FETCH("* 0 FETCH (UID 7)", "none");
	FETCH("* FETCH (UID 7)", "none");
	FETCH("* 99999999999 FETCH (UID 7)", "none");
	FETCH("* 1 FETCH UID 7", "none");
	FETCH("* 1 FETCH", "none");
	FETCH("* 1 EXPUNGE", "none");
	FETCH("a OK FETCH", "none");
}

static void id6_odd_modseqs_are_left_out(void)
{
	FETCH("* 1 FETCH (MODSEQ (-1) UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (MODSEQ (18446744073709551616) UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (MODSEQ (9223372036854775808) UID 7)",
		"1: uid=7 modseq=9223372036854775808");
	FETCH("* 1 FETCH (MODSEQ 5 UID 7)", "1: uid=7 modseq=5");
	FETCH("* 1 FETCH (MODSEQ () UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (MODSEQ (0) UID 7)", "1: uid=7 modseq=0");
	FETCH("* 1 FETCH (UID 5MODSEQ (7))", "none");
}

static void px7_odd_sizes_are_left_out(void)
{
	FETCH("* 1 FETCH (RFC822.SIZE -1 UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (RFC822.SIZE 9.3736e+06 UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (RFC822.SIZE NIL UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (RFC822.SIZE \"5\" UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (RFC822.SIZE 18446744073709551615 UID 7)",
		"1: uid=7 size=18446744073709551615");
}

static void md1_odd_dates_are_left_out(void)
{
	FETCH("* 1 FETCH (INTERNALDATE \"00-Jan-0000 00:00:00 +0000\" UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (INTERNALDATE NIL UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (INTERNALDATE \"\" UID 7)", "1: uid=7");
}

static void fl2_odd_flags_are_kept_or_left_out(void)
{
	FETCH("* 1 FETCH (FLAGS (\\Recent a]b \"q\" NIL $Junk \\Forwarded \\FLAGGED {3}\r\nx\r\n \xff "
	      "\xc3\xa4))",
		"1: flags=4,a]b,q,$Junk,\\Forwarded,\xc3\xa4");
	FETCH("* 1 FETCH (FLAGS NIL)", "1: flags=0");
	FETCH("* 1 FETCH (FLAGS \\Seen UID 7)", "1: uid=7");
	FETCH("* 1 FETCH (FLAGS ((x) (\\Seen)))", "1: flags=0");
}

static void fl2_keywords_are_bounded(void)
{
	g_autoptr(GString) bytes = g_string_new("* 1 FETCH (FLAGS (");
	const char *const *keywords;
	struct one one;
	size_t count = 0;
	bool has_star;

	for (int i = 0; i < WIRE_KEYWORD_MAX + 1; i++)
		g_string_append_c(bytes, 'x');
	for (int i = 0; i < WIRE_KEYWORDS_MAX + 50; i++)
		g_string_append_printf(bytes, " k%d", i);
	g_string_append(bytes, " \\Seen))\r\n");
	read_len(&one, bytes->str, bytes->len);
	g_assert_cmpuint(imap_flags_parse(one.event.response->args->child->next, &one.arena, &keywords,
			&has_star), ==, MAILFS_FLAG_SEEN);
	g_assert_cmpstr(keywords[0], ==, "k0");
	while (keywords[count])
		count++;
	g_assert_cmpuint(count, ==, WIRE_KEYWORDS_MAX);
	g_assert_false(has_star);
	free_one(&one);
}

static void fl1_permanentflags_tell_the_star(void)
{
	const char *const *keywords;
	struct one one;
	bool has_star = false;

	READ(one, "* OK [PERMANENTFLAGS (\\Seen a]b \\*)] x\r\n");
	g_assert_cmpuint(imap_flags_parse(one.event.response->code_args, &one.arena, &keywords,
			&has_star), ==, MAILFS_FLAG_SEEN);
	g_assert_true(has_star);
	g_assert_cmpstr(keywords[0], ==, "a]b");
	g_assert_null(keywords[1]);
	free_one(&one);
	imap_flags_parse(NULL, &one.arena, &keywords, &has_star);
	g_assert_false(has_star);
	g_assert_null(keywords[0]);
}

static void sec24_fields_of_any_length_are_left_out(void)
{
	static const size_t lens[] = { 1000, 64000, 250000 };

	for (size_t i = 0; i < G_N_ELEMENTS(lens); i++) {
		g_autoptr(GString) bytes = g_string_new("* 1 FETCH (UID 7 RFC822.SIZE ");
		g_autofree char *field = g_strnfill(lens[i], '9');

		g_string_append_printf(bytes, "%s MODSEQ (%s) EMAILID (%s) FLAGS (%s)", field, field,
			field, field);
		if (lens[i] <= WIRE_QUOTED_MAX)
			g_string_append_printf(bytes, " INTERNALDATE \"%s\"", field);
		g_string_append(bytes, ")\r\n");
		assert_fetch(bytes->str, bytes->len, "1: uid=7 flags=0");
	}
}

/* ---- LIST, STATUS ----------------------------------------------------------------------------- */

static void assert_list(const char *bytes, size_t len, const char *expected)
{
	g_autofree char *text = NULL;
	struct imap_list list;
	struct one one;

	if (imap_list_parse(read_len(&one, bytes, len), &list))
		text = g_strdup_printf("%s %c %x %s", list.name, list.delimiter ? list.delimiter : '0',
			list.flags, list.role ? list.role : "-");
	g_assert_cmpstr(text, ==, expected);
	free_one(&one);
}

#define LIST(bytes, expected) assert_list(bytes "\r\n", sizeof(bytes) + 1, expected)

static void list_takes_attributes_and_roles(void)
{
	LIST("* LIST (\\HasNoChildren) \".\" INBOX.a", "INBOX.a . 0 -");
	LIST("* LIST (\\HasChildren \\sent) \"/\" \"Sent Items\"", "Sent Items / 0 \\Sent");
	LIST("* LIST (\\Subscribed \\NoInferiors) \"/\" a", "a / 6 -");
	LIST("* XLIST (\\AllMail) \"/\" \"[Gmail]/All\"", "[Gmail]/All / 0 \\All");
	LIST("* list () \"/\" inbox", "inbox / 8 -");
	LIST("* LIST (\\Noselect) \"/\" \"\"", " / 1 -");
}

static void nm7_nonexistent_implies_noselect(void)
{
	LIST("* LIST (\\NonExistent) \"/\" a", "a / 1 -");
	LIST("* LSUB () \"/\" a", "a / 4 -");
	LIST("* LSUB (\\Noselect) \"/\" a", "a / 1 -");
}

static void nm5_odd_delimiters_do_not_split(void)
{
	LIST("* LIST () NIL a", "a 0 0 -");
	LIST("* LIST () \"\" a", "a 0 0 -");
	LIST("* LIST () \"\\\\\" a", "a \\ 0 -");
	LIST("* LIST () \"//\" a", "a 0 0 -");
	LIST("* LIST () \"\xc3\xa4\" a", "a 0 0 -");
	LIST("* LIST () \"\xe4\" a", "a 0 0 -");
	LIST("* LIST () {1}\r\n/ a", "a / 0 -");
	LIST("* LIST () / a", "a / 0 -");
}

static void nm11_names_come_in_every_form(void)
{
	LIST("* LIST () \"/\" NIL", "NIL / 0 -");
	LIST("* LIST () \"/\" \"tr \"", "tr  / 0 -");
	LIST("* LIST () \"/\" \"a\\\"b\"", "a\"b / 0 -");
	LIST("* LIST () \"/\" \"a\"b\"", "a\"b / 0 -");
	LIST("* LIST () \"/\" [Gmail]/x]", "[Gmail]/x] / 0 -");
	LIST("* LIST () \"/\" {5}\r\na\r\nbc", "a\r\nbc / 0 -");
	LIST("* LIST () \"/\" a\tb", "a\tb / 0 -");
	LIST("* LIST NIL \"/\" a", "a / 0 -");
}

static void nm1_names_that_would_be_cut_are_refused(void)
{
	LIST("* LIST () \"/\" {3}\r\na\0b", NULL);
	LIST("* LIST () \"/\" My Folder", NULL);
	LIST("* LIST () \"/\"", NULL);
	LIST("* LIST ()", NULL);
	LIST("* LIST", NULL);
	LIST("* LIST () \"/\" (a)", NULL);
	LIST("* 5 LIST () \"/\" a", NULL);
	LIST("* FLAGS () \"/\" a", NULL);
}

static void list_tolerates_extended_items(void)
{
	LIST("* LIST () \"/\" a (CHILDINFO (\"SUBSCRIBED\") OLDNAME (\"b\") STATUS (MESSAGES 3))",
		"a / 0 -");
	LIST("* LIST () \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\")) ", "a / 0 -");
}

static void assert_status(const char *bytes, size_t len, const char *expected)
{
	struct imap_status_resp status;
	g_autofree char *text = NULL;
	struct one one;

	if (imap_status_parse(read_len(&one, bytes, len), &status))
		text = g_strdup_printf("%s %x %u %u %u %u %" G_GUINT64_FORMAT, status.name, status.has,
			status.messages, status.unseen, status.uidnext, status.uidvalidity,
			status.highestmodseq);
	g_assert_cmpstr(text, ==, expected);
	free_one(&one);
}

#define STATUS(bytes, expected) assert_status(bytes "\r\n", sizeof(bytes) + 1, expected)

static void status_takes_items_in_any_order(void)
{
	STATUS("* STATUS a (MESSAGES 1 UNSEEN 2 UIDNEXT 3 UIDVALIDITY 4 HIGHESTMODSEQ 5)",
		"a 1f 1 2 3 4 5");
	STATUS("* status \"a b\" (uidvalidity 4 RECENT 0 SIZE 99 messages 1)", "a b 9 1 0 0 4 0");
	STATUS("* STATUS {1}\r\na (MESSAGES 3) ", "a 1 3 0 0 0 0");
	STATUS("* STATUS NIL (MESSAGES 3)", "NIL 1 3 0 0 0 0");
}

static void id2_numbers_out_of_range_are_left_out(void)
{
	STATUS("* STATUS a (UIDVALIDITY 5000000000 UIDNEXT -1 HIGHESTMODSEQ -1 MESSAGES 2)",
		"a 1 2 0 0 0 0");
	STATUS("* STATUS a (UIDVALIDITY 0)", "a 8 0 0 0 0 0");
	STATUS("* STATUS INBOX ()", "INBOX 0 0 0 0 0 0");
	STATUS("* STATUS a (MESSAGES)", "a 0 0 0 0 0 0");
	STATUS("* STATUS a", NULL);
	STATUS("* STATUS", NULL);
	STATUS("* STATUS {3}\r\na\0b (MESSAGES 1)", NULL);
	STATUS("* STATUS My Folder (MESSAGES 1)", NULL);
}

/* ---- SEARCH, VANISHED ------------------------------------------------------------------------- */

static void dump_range(void *user, uint32_t first, uint32_t last)
{
	g_string_append_printf(user, "%u-%u ", first, last);
}

static void assert_ranges(const char *bytes, size_t len, const char *expected)
{
	g_autoptr(GString) out = g_string_new(NULL);
	bool is_earlier = false;
	struct one one;

	read_len(&one, bytes, len);
	if (imap_vanished_parse(one.event.response, &is_earlier, dump_range, out))
		g_string_append(out, is_earlier ? "earlier" : "now");
	else if (!imap_search_parse(one.event.response, dump_range, out))
		g_string_append(out, "none");
	g_assert_cmpstr(out->str, ==, expected);
	free_one(&one);
}

#define RANGES(bytes, expected) assert_ranges(bytes "\r\n", sizeof(bytes) + 1, expected)

static void px19_search_and_esearch_give_ranges(void)
{
	RANGES("* SEARCH 5 3 3 1", "5-5 3-3 3-3 1-1 ");
	RANGES("* SEARCH", "");
	RANGES("* SEARCH 1 2 (MODSEQ 917162500)", "1-1 2-2 ");
	RANGES("* ESEARCH (TAG \"a1\") UID MIN 1 MAX 7 ALL 1:5,7 COUNT 6", "1-5 7-7 ");
	RANGES("* ESEARCH (TAG \"a1\") UID", "");
	RANGES("* ESEARCH ALL 3", "3-3 ");
	RANGES("* esearch (tag \"a1\") uid partial (1:100 4,6)", "4-4 6-6 ");
	RANGES("* ESEARCH (TAG \"a1\") UID PARTIAL (1:100 NIL)", "");
	RANGES("* FLAGS (1)", "none");
	RANGES("* 5 SEARCH 1", "none");
}

static void id4_numbers_that_are_none_are_left_out(void)
{
	RANGES("* SEARCH 0 -1 x 4294967296 \"3\" 4 9.3e6 (5)", "4-4 ");
}

static void sec28_sets_that_are_none_are_left_out(void)
{
	static const char *const sets[] = { "1,", ",1", "1:", ":", "1:*:3", "1:2:3", "a", "-1", "0",
		"1:4294967296", "1,,2", "(1)", "\"1\"", "NIL" };

	for (size_t i = 0; i < G_N_ELEMENTS(sets); i++) {
		g_autofree char *bytes = g_strdup_printf("* VANISHED %s\r\n", sets[i]);

		assert_ranges(bytes, strlen(bytes), "now");
	}
	RANGES("* VANISHED", "now");
	RANGES("* VANISHED (EARLIER)", "earlier");
}

static void sec28_an_esearch_with_a_bad_set_is_no_answer(void)
{
	RANGES("* ESEARCH (TAG \"x\") UID ALL 1,", "none");
	RANGES("* ESEARCH (TAG \"x\") UID ALL NIL", "none");
	RANGES("* ESEARCH (TAG \"x\") UID PARTIAL (1:100)", "none");
	RANGES("* ESEARCH (TAG \"x\") UID PARTIAL 1:100", "none");
}

static void sec29_ranges_are_never_expanded(void)
{
	RANGES("* VANISHED (EARLIER) 1:4294967295", "1-4294967295 earlier");
	RANGES("* VANISHED 1:5,7", "1-5 7-7 now");
	RANGES("* vanished (earlier) 300:310", "300-310 earlier");
	RANGES("* ESEARCH (TAG \"x\") UID ALL 1:4294967295", "1-4294967295 ");
}

/* ---- NAMESPACE, ID ---------------------------------------------------------------------------- */

static void assert_namespace(const char *bytes, const char *expected)
{
	g_autofree char *text = NULL;
	const char *prefix;
	char delimiter;
	struct one one;

	if (imap_namespace_parse(read_len(&one, bytes, strlen(bytes)), &prefix, &delimiter))
		text = g_strdup_printf("%s %c", prefix, delimiter ? delimiter : '0');
	g_assert_cmpstr(text, ==, expected);
	free_one(&one);
}

static void nm6_namespace_gives_the_personal_prefix(void)
{
	assert_namespace("* NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\")) NIL\r\n", "INBOX. .");
	assert_namespace("* NAMESPACE ((\"\" \"/\")(\"x\" \"/\")) NIL NIL\r\n", " /");
	assert_namespace("* NAMESPACE ((\"\" NIL)) NIL NIL\r\n", " 0");
	assert_namespace("* NAMESPACE ((\"a\")) NIL NIL\r\n", "a 0");
	assert_namespace("* NAMESPACE NIL NIL ((\"\" \"/\"))\r\n", NULL);
	assert_namespace("* NAMESPACE (()) NIL NIL\r\n", NULL);
	assert_namespace("* NAMESPACE () NIL NIL\r\n", NULL);
	assert_namespace("* NAMESPACE (a) NIL NIL\r\n", NULL);
	assert_namespace("* NAMESPACE\r\n", NULL);
}

static void assert_id(const char *bytes, const char *expected)
{
	struct one one;

	read_len(&one, bytes, strlen(bytes));
	g_assert_cmpstr(imap_id_parse(one.event.response, &one.arena), ==, expected);
	free_one(&one);
}

static void id_gives_name_and_version(void)
{
	assert_id("* ID (\"name\" \"Dovecot\" \"version\" \"2.3\")\r\n", "Dovecot 2.3");
	assert_id("* ID (\"Version\" \"2.3\" \"NAME\" \"x\")\r\n", "x 2.3");
	assert_id("* ID (\"name\" \"Cyrus\" \"version\" NIL)\r\n", "Cyrus");
	assert_id("* ID NIL\r\n", NULL);
	assert_id("* ID ()\r\n", NULL);
	assert_id("* ID (\"name\")\r\n", NULL);
	assert_id("* ID (\"name\" NIL)\r\n", NULL);
	assert_id("* ID\r\n", NULL);
}

#define ADD(path, fn) g_test_add_func("/wire/imap_resp/" path, fn)

static void add_fetch(void)
{
	ADD("fetch/items in any order and case", fetch_takes_items_in_any_order_and_case);
	ADD("fetch/ids of both kinds", fetch_takes_ids_of_both_kinds);
	ADD("fetch/bodies and origins", fetch_takes_bodies_and_origins);
	ADD("fetch/partial responses", fetch_works_on_a_partial_response);
	ADD("fetch/SZ-2 item without value", sz2_an_item_without_value_shifts_nothing);
	ADD("fetch/SZ-3 NIL body", sz3_nil_is_a_body_that_is_nil);
	ADD("fetch/MD-2 list of fields", md2_the_list_of_fields_is_not_compared);
	ADD("fetch/ID-4 UID 0", id4_uid_zero_is_unusable);
	ADD("fetch/ID-5 sequence 0", id5_sequence_zero_is_ignored);
	ADD("fetch/ID-6 odd MODSEQ", id6_odd_modseqs_are_left_out);
	ADD("fetch/PX-7 SZ-1 odd sizes", px7_odd_sizes_are_left_out);
	ADD("fetch/MD-1 odd dates", md1_odd_dates_are_left_out);
	ADD("fetch/FL-2 odd flags", fl2_odd_flags_are_kept_or_left_out);
	ADD("fetch/FL-2 keywords are bounded", fl2_keywords_are_bounded);
	ADD("fetch/FL-1 PERMANENTFLAGS", fl1_permanentflags_tell_the_star);
	ADD("fetch/SEC-24 long fields", sec24_fields_of_any_length_are_left_out);
}

static void add_folders(void)
{
	ADD("list/attributes and roles", list_takes_attributes_and_roles);
	ADD("list/NM-7 NonExistent", nm7_nonexistent_implies_noselect);
	ADD("list/NM-5 delimiters", nm5_odd_delimiters_do_not_split);
	ADD("list/NM-11 SEC-25 forms of names", nm11_names_come_in_every_form);
	ADD("list/NM-1 cut names are refused", nm1_names_that_would_be_cut_are_refused);
	ADD("list/extended items", list_tolerates_extended_items);
	ADD("status/items", status_takes_items_in_any_order);
	ADD("status/ID-2 ID-3 ID-7 odd numbers", id2_numbers_out_of_range_are_left_out);
	ADD("namespace/NM-6", nm6_namespace_gives_the_personal_prefix);
	ADD("id/name and version", id_gives_name_and_version);
}

static void add_sets(void)
{
	ADD("search/PX-19", px19_search_and_esearch_give_ranges);
	ADD("search/ID-4 odd numbers", id4_numbers_that_are_none_are_left_out);
	ADD("vanished/SEC-28 odd sets", sec28_sets_that_are_none_are_left_out);
	ADD("search/SEC-28 a bad set is no answer", sec28_an_esearch_with_a_bad_set_is_no_answer);
	ADD("vanished/SEC-29 ID-6 never expanded", sec29_ranges_are_never_expanded);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_fetch();
	add_folders();
	add_sets();
	return g_test_run();
}
