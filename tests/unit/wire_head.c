/* SPDX-License-Identifier: MIT */
/* The header picker, the name of a sender, and header dates. */
#include "wire/head.h"

#include <string.h>

#include <glib.h>

#include "wire/civil.h"

#define UNTOUCHED 424242

/* An exact copy without NUL behind it lets ASan see a read past the end. */
static struct mailfs_head parsed(struct head *head, const char *text, size_t len)
{
	g_autofree char *exact = g_memdup2(text, len);

	head_parse(exact, len, head);
	return head->fields;
}

#define PARSE(head, text) parsed((head), (text), sizeof(text) - 1)

static void picks_the_named_fields(void)
{
	struct head head;
	struct mailfs_head fields = PARSE(&head, "Received: by x\r\n"
						 "Date: Tue, 2 Jan 2024 14:30:05 +0000\r\n"
						 "From: Ann Lee <ann@example.org>\r\n"
						 "To: Bob <bob@example.org>\r\n"
						 "CC: c@example.org\r\n"
						 "Message-Id: <1@example.org>\r\n"
						 "SUBJECT:=?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
						 "\r\n"
						 "body");

	g_assert_cmpstr(fields.subject, ==, "Grüße");
	g_assert_cmpstr(fields.from, ==, "Ann Lee <ann@example.org>");
	g_assert_cmpstr(fields.from_name, ==, "Ann Lee");
	g_assert_cmpstr(fields.to, ==, "Bob <bob@example.org>");
	g_assert_cmpstr(fields.cc, ==, "c@example.org");
	g_assert_cmpstr(fields.message_id, ==, "<1@example.org>");
	g_assert_cmpstr(fields.date, ==, "2024-01-02T14:30:05Z");
	head_done(&head);
	g_assert_null(head.fields.subject);
}

static void absent_fields_are_null_and_empty_ones_are_empty(void)
{
	struct head head;
	struct mailfs_head fields = PARSE(&head, "Subject:\r\nFrom: \r\nDate:\r\n\r\n");

	g_assert_cmpstr(fields.subject, ==, "");
	g_assert_cmpstr(fields.from, ==, "");
	g_assert_null(fields.from_name);
	g_assert_null(fields.date);
	g_assert_null(fields.to);
	g_assert_null(fields.message_id);
	head_done(&head);
}

static void assert_subject_of(const char *text, size_t len, const char *want)
{
	struct head head;

	g_assert_cmpstr(parsed(&head, text, len).subject, ==, want);
	head_done(&head);
}

#define SUBJECT(text, want) assert_subject_of((text), sizeof(text) - 1, (want))

static void no_header_has_no_fields(void)
{
	struct head head;

	SUBJECT("", NULL);
	SUBJECT("\r", NULL);
	SUBJECT("\n", NULL);
	SUBJECT("\r\n", NULL);
	SUBJECT("\r\nSubject: body", NULL);
	SUBJECT("\nSubject: body", NULL);
	SUBJECT("\0", NULL);
	SUBJECT(":", NULL);
	SUBJECT(" ", NULL);
	SUBJECT("S", NULL);
	SUBJECT("Subject", NULL);
	head_parse(NULL, 0, &head);
	g_assert_null(head.fields.subject);
	head_done(&head);
}

static void a_header_may_end_anywhere(void)
{
	SUBJECT("Subject:", "");
	SUBJECT("Subject: a", "a");
	SUBJECT("Subject: a\r", "a");
	SUBJECT("Subject: a\n", "a");
	SUBJECT("Subject: a\r\n b", "a b");
	SUBJECT("Subject: a\r\n ", "a");
	SUBJECT("X: y\r\nSubject: a", "a");
}

static void stops_at_the_first_empty_line(void)
{
	SUBJECT("X: y\r\n\r\nSubject: body", NULL);
	SUBJECT("X: y\n\nSubject: body", NULL);
	SUBJECT("X: y\n \nSubject: head", "head"); /* white space only: a folded line */
}

static void joins_folded_lines(void)
{
	SUBJECT("Subject: a\r\n b\r\n\tc\r\nX: y\r\n z", "a b c");
	SUBJECT("Subject:\n a", "a");
	SUBJECT("Subject: =?utf-8?q?a?=\r\n =?utf-8?q?b?=\r\n\r\n", "ab");
	SUBJECT(" Subject: x\r\nSubject: a\r\n", "a"); /* continues nothing */
	SUBJECT("X\r\n y\r\nSubject: a", "a");
}

static void the_first_occurrence_counts(void)
{
	SUBJECT("Subject: a\r\nSubject: b\r\n c\r\n", "a");
	SUBJECT("Subject:\r\nSubject: b\r\n", "");
	SUBJECT("Subject: a\r\nX: y\r\n z\r\n", "a");
}

static void broken_lines_are_passed_over(void)
{
	SUBJECT("From ann@example.org Tue Jan  2 14:30:05 2024\nSubject: a\n", "a");
	SUBJECT(">From x\n: y\nno field\n\xff\xfe: z\nSubject : a\n", "a");
	SUBJECT("\rSubject: x\nSubject: a\n", "a");
	SUBJECT("Sub\0ject: x\nSubject: a\0b\n", "a b");
	SUBJECT("Subjects: x\nSubjec: y\nXSubject: z\n", NULL);
}

static void long_fields_are_cut_at_a_character(void)
{
	g_autoptr(GString) text = g_string_new("Subject: x");
	struct head head;

	for (int i = 0; i < 5000; i++)
		g_string_append(text, "ü");
	parsed(&head, text->str, text->len);
	g_assert_cmpuint(strlen(head.fields.subject), ==, HEAD_FIELD_MAX - 1);
	g_assert_true(g_utf8_validate(head.fields.subject, -1, NULL));
	head_done(&head);
}

/* `count` times `unit` between `before` and a Subject. */
static void assert_survives(const char *before, const char *unit, size_t count)
{
	g_autoptr(GString) text = g_string_new(before);
	struct head head;

	for (size_t i = 0; i < count; i++)
		g_string_append(text, unit);
	g_string_append(text, "\nSubject: a\n\n");
	head_parse(text->str, text->len, &head);
	g_assert_cmpstr(head.fields.subject, ==, "a");
	head_done(&head);
}

static void huge_headers_are_no_trouble(void)
{
	assert_survives("X: ", "0123456789", 1000000);
	assert_survives("X: y", "\r\nX: y", 1000000);
	assert_survives("To: ", "\r\n y", 1000000);
	assert_survives("Message-ID: ", "0123456789", 1000000);
	assert_survives("Date: ", "(", 1000000);
	assert_survives("Date: ", "Tue, ", 1000000);
	assert_survives("From: ", "\\\"", 1000000);
	assert_survives("From: \"", "\\\"", 1000000);
	assert_survives("From: ", " ,", 1000000);
	assert_survives("From: @", "(a):", 1000000);
	assert_survives("From: ", "=?a?q?", 1000000);
	assert_survives("From: ", "<", 1000000);
}

static void assert_name(const char *value, const char *want)
{
	size_t len = strlen(value);
	g_autofree char *exact = g_memdup2(value, len);
	g_autofree char *name = head_parse_name(exact ? exact : "", len);

	g_assert_cmpstr(name, ==, want);
}

static void name_is_the_display_name(void)
{
	assert_name("Ann Lee <ann@example.org>", "Ann Lee");
	assert_name("\"Lee, Ann\" <ann@example.org>", "Lee, Ann");
	assert_name("\"A \\\"B\\\" \\\\C\" <ann@example.org>", "A \"B\" \\C");
	assert_name("Ann \"the bee\" Lee<ann@example.org>", "Ann the bee Lee");
	assert_name("Ann\r\n Lee\r\n <ann@example.org>", "Ann Lee");
	assert_name("Ann A. Lee <ann@example.org>, Bob <bob@example.org>", "Ann A. Lee");
	assert_name("ann@work <ann@example.org>", "ann@work");
	assert_name("Gr\xfc\xdf <g@example.org>", "Grüß");
}

static void name_is_cut_before_it_is_decoded(void)
{
	assert_name("=?utf-8?q?Lee,_Ann?= <ann@example.org>", "Lee, Ann");
	assert_name("=?utf-8?q?Lee=2C_Ann_=3Cx=40y=3E?= <ann@example.org>", "Lee, Ann <x@y>");
	assert_name("=?utf-8?B?TGVlLCBBbm4=?= <ann@example.org>", "Lee, Ann");
	assert_name("=?utf-8?q?a?= =?utf-8?q?b?= <ann@example.org>", "ab");
	assert_name("\"=?utf-8?q?Lee,_Ann?=\" <ann@example.org>", "Lee, Ann");
	assert_name("=?utf-8?q?Re:_<you>?= <ann@example.org>", "Re: <you>");
}

static void name_may_be_a_comment(void)
{
	assert_name("ann@example.org (Ann Lee)", "Ann Lee");
	assert_name("<ann@example.org> (Ann Lee)", "Ann Lee");
	assert_name("ann@example.org (Ann (the \\) bee) Lee), b@example.org", "Ann (the ) bee) Lee");
	assert_name("ann@example.org (=?utf-8?q?Gr=C3=BC=C3=9F?=)", "Grüß");
	assert_name("ann@example.org (open", "open");
	assert_name("(Ann, Lee) ann@example.org", "Ann, Lee");
}

static void else_name_is_the_local_part(void)
{
	assert_name("ann@example.org", "ann");
	assert_name("<ann@example.org>", "ann");
	assert_name("\"\" <ann@example.org>", "ann");
	assert_name("=?utf-8?q?\?= <ann@example.org>", "ann");
	assert_name("\"ann lee\"@example.org", "ann lee");
	assert_name("<@a.example,@b.example:ann@example.org>", "ann");
	assert_name("a@b@example.org", "a@b");
	assert_name("root", "root");
	assert_name("<ann", "ann");
	assert_name(" , ,; ann@example.org", "ann");
}

static void groups_are_tolerated(void)
{
	assert_name("Friends: Ann Lee <ann@example.org>, b@example.org;", "Ann Lee");
	assert_name("Friends: ann@example.org;", "ann");
	assert_name("undisclosed-recipients:;", "undisclosed-recipients");
	assert_name("A:B:C:;", "C");
}

static void nothing_has_no_name(void)
{
	assert_name("", NULL);
	assert_name("  ", NULL);
	assert_name("<>", NULL);
	assert_name("<@>", NULL);
	assert_name(",;,", NULL);
	assert_name("()", NULL);
	assert_name("\"", "\"");
}

static int64_t date_of(const char *text, size_t len)
{
	g_autofree char *exact = g_memdup2(text, len);
	int64_t epoch = UNTOUCHED;
	bool is_good = head_parse_date(exact ? exact : "", len, &epoch);

	g_assert_true(is_good == (epoch != UNTOUCHED));
	return epoch;
}

static void assert_date(const char *text, int64_t want)
{
	int64_t epoch = date_of(text, strlen(text));

	if (epoch != want)
		g_error("\"%s\": %" G_GINT64_FORMAT " is not %" G_GINT64_FORMAT, text, epoch, want);
}

#define JAN_2 1704205805 /* 2024-01-02T14:30:05Z */

static void reads_dates_of_rfc_5322(void)
{
	assert_date("Tue, 2 Jan 2024 14:30:05 +0000", JAN_2);
	assert_date(" Tue, 02 Jan 2024 14:30:05 -0800 (PST)\r\n", JAN_2 + 8 * 3600);
	assert_date("2 Jan 2024 14:30:05 +0530", JAN_2 - 19800);
	assert_date("2 jan 2024 14:30 +0000", JAN_2 - 5);
	assert_date("Tue,\r\n 2 Jan\r\n 2024 14:30:05 +0000", JAN_2);
	assert_date("Sat, 31 Dec 2016 23:59:60 +0000", 1483228800);
}

static void reads_obsolete_dates(void)
{
	assert_date("Tue, 2 Jan 24 14:30:05 GMT", JAN_2);
	assert_date("Tue, 2 Jan 124 14:30:05 UT", JAN_2);
	assert_date("Wed, 2 Jan 85 00:00:00 Z", 473472000);
	assert_date("Tue, 2 Jan 2024 14:30:05 EST", JAN_2 + 5 * 3600);
	assert_date("Tue, 2 Jan 2024 14:30:05 pdt", JAN_2 + 7 * 3600);
	assert_date("Tue, 2 Jan 2024 14:30:05 K", JAN_2);
	assert_date("Tue, 2 Jan 2024 14:30:05 XYZ", JAN_2);
	assert_date("Tue (so (they) \\) say), 2 Jan (month) 2024 14:30:05 +0000", JAN_2);
}

static void reads_dates_that_other_programs_write(void)
{
	assert_date("Tue Jan  2 14:30:05 2024", JAN_2);
	assert_date("Tue Jan  2 14:30:05 EST 2024", JAN_2 + 5 * 3600);
	assert_date("Tue Jan  2 14:30:05 +0100 2024", JAN_2 - 3600);
	assert_date("Jan 2, 2024 14:30:05", JAN_2);
	assert_date("Tuesday, 02-Jan-24 14:30:05 GMT", JAN_2);
	assert_date("Tue, 2 Jan 2024 14:30:05", JAN_2);
	assert_date("Tue, 2 Jan 2024 14:30:05 GMT+0200", JAN_2 - 7200);
	assert_date("Tue, 2 Jan 2024 14:30:05 +01:00", JAN_2 - 3600);
	assert_date("Tue, 2 Jan 2024 14:30:05 +1", JAN_2 - 3600);
	assert_date("Tue, 2 Jan 2024 14.30.05 +0000", JAN_2);
	assert_date("Tue, 2 Jan 2024 14:30:05.123 +0000", JAN_2);
	assert_date("Tue, 2 Jan 2024 14:30:05 +0000 -- sent by x", JAN_2);
	assert_date("Mi\xe9, 2 January 2024 14:30:05 +0000", JAN_2);
}

static void absurd_zones_mean_utc(void)
{
	assert_date("Tue, 2 Jan 2024 14:30:05 +9999", JAN_2);
	assert_date("Tue, 2 Jan 2024 14:30:05 +2400", JAN_2);
	assert_date("Tue, 2 Jan 2024 14:30:05 -0060", JAN_2);
	assert_date("Tue, 2 Jan 2024 14:30:05 +", JAN_2);
	assert_date("Tue, 2 Jan 2024 14:30:05 +1400", JAN_2 - 14 * 3600);
}

static void refuses_what_is_no_date(void)
{
	static const char *const bad[] = {
		"", " ", "Tue", "Tue, 2 Jan 2024", "14:30:05", "30 Feb 2024 00:00:00 +0000",
		"2 Jan 2024 24:00:00 +0000", "2 Jan 2024 00:60:00 +0000", "2 Jan 2024 1:2:61 +0000",
		"0 Jan 2024 00:00:00 +0000", "2 Foo 2024 00:00:00 +0000", "2 Jan 02024 00:00:00 +0000",
		"2 Jan 2 00:00:00 +0000", "2 Jan 1899 00:00:00 +0000", "222 Jan 2024 00:00:00 +0000",
		"2 Jan 2024 123:00:00 +0000", "2 Jan 2024 00:123:00", "2 Jan 2024 00:00:123",
		"2 Jan 2024 00:", "2024-01-02T14:30:05Z", "2/1/2024 14:30", "1704205805", "garbage",
		"(2 Jan 2024 14:30:05", "2 Jan Feb 2024 14:30:05", "2 3 Jan 2024 14:30:05",
		"99999999999999999999 Jan 2024 14:30:05", "\xff\xfe", "2 Jan 2024 x 14:30:05",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_date(bad[i], UNTOUCHED);
	g_assert_cmpint(date_of("2 Jan\0 2024 14:30:05", 20), ==, UNTOUCHED);
}

static void any_date_written_is_read_back(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(17);

	for (int i = 0; i < 20000; i++) {
		int64_t epoch = (int64_t)(g_rand_double(rand) * 200e9);
		g_autofree char *text = NULL;
		struct civil civil;

		g_assert_true(civil_from_epoch(epoch, &civil));
		text = g_strdup_printf("%d %s %04d %02d:%02d:%02d +0000", civil.day,
			civil_month_name(civil.month), civil.year, civil.hour, civil.minute,
			civil.second);
		assert_date(text, epoch);
	}
}

#define ADD(name, fn) g_test_add_func("/wire/head/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("picks the named fields", picks_the_named_fields);
	ADD("absent fields are NULL and empty ones are empty",
		absent_fields_are_null_and_empty_ones_are_empty);
	ADD("SEC-23 no header has no fields", no_header_has_no_fields);
	ADD("SEC-23 a header may end anywhere", a_header_may_end_anywhere);
	ADD("stops at the first empty line", stops_at_the_first_empty_line);
	ADD("joins folded lines", joins_folded_lines);
	ADD("the first occurrence counts", the_first_occurrence_counts);
	ADD("broken lines are passed over", broken_lines_are_passed_over);
	ADD("MD-3 long fields are cut at a character", long_fields_are_cut_at_a_character);
	ADD("SEC-43 huge headers are no trouble", huge_headers_are_no_trouble);
	ADD("name is the display name", name_is_the_display_name);
	ADD("name is cut before it is decoded", name_is_cut_before_it_is_decoded);
	ADD("name may be a comment", name_may_be_a_comment);
	ADD("else name is the local part", else_name_is_the_local_part);
	ADD("groups are tolerated", groups_are_tolerated);
	ADD("nothing has no name", nothing_has_no_name);
	ADD("reads dates of RFC 5322", reads_dates_of_rfc_5322);
	ADD("reads obsolete dates", reads_obsolete_dates);
	ADD("reads dates that other programs write", reads_dates_that_other_programs_write);
	ADD("MD-1 absurd zones mean UTC", absurd_zones_mean_utc);
	ADD("refuses what is no date", refuses_what_is_no_date);
	ADD("any date written is read back", any_date_written_is_read_back);
	return g_test_run();
}
