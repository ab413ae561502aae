/* SPDX-License-Identifier: MIT */
/* Capabilities. */
#include "wire/imap_caps.h"

#include "wire/sasl.h"
#include "wire_imap_dump.h"

static void parse(struct imap_caps *caps, const char *bytes, const char *const *disable)
{
	struct imap_reader *reader = imap_reader_new();
	struct imap_event event;
	struct bytebuf in;

	bytebuf_init(&in);
	bytebuf_append_str(&in, bytes);
	imap_reader_next(reader, &in, &event);
	g_assert_cmpint(event.type, ==, IMAP_EVENT_RESPONSE);
	imap_caps_parse(caps, event.response->code ? event.response->code_args : event.response->args,
		disable);
	bytebuf_done(&in);
	imap_reader_free(reader);
}

static void caps_of_a_response(void)
{
	struct imap_caps caps;

	parse(&caps, "* CAPABILITY IMAP4rev1 idle UIDPLUS CONDSTORE AUTH=PLAIN auth=scram-sha-256 "
		     "AUTH=X-NEW COMPRESS=DEFLATE APPENDLIMIT=35651584 X-GM-EXT-1 \r\n", NULL);
	g_assert_true(caps.is_known && caps.imap4rev1 && caps.idle && caps.uidplus && caps.condstore);
	g_assert_true(caps.compress_deflate && caps.gmail);
	g_assert_false(caps.imap4rev2 || caps.qresync || caps.starttls || caps.logindisabled);
	g_assert_cmpuint(caps.auth, ==, SASL_MECH_PLAIN | SASL_MECH_SCRAM_SHA_256);
	g_assert_cmpuint(caps.append_limit, ==, 35651584);
	g_assert_cmpstr(caps.text, ==, "IMAP4rev1 idle UIDPLUS CONDSTORE AUTH=PLAIN auth=scram-sha-256 "
		"AUTH=X-NEW COMPRESS=DEFLATE APPENDLIMIT=35651584 X-GM-EXT-1");
}

static void caps_of_a_code(void)
{
	struct imap_caps caps;

	parse(&caps, "a OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\r\n", NULL);
	g_assert_true(caps.is_known && caps.starttls && caps.logindisabled);
}

static void ex5_a_new_list_replaces_the_old(void)
{
	struct imap_caps caps;

	parse(&caps, "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED AUTH=PLAIN APPENDLIMIT=5\r\n", NULL);
	parse(&caps, "* CAPABILITY IMAP4rev1 IDLE\r\n", NULL);
	g_assert_true(caps.idle);
	g_assert_false(caps.starttls || caps.logindisabled);
	g_assert_cmpuint(caps.auth, ==, 0);
	g_assert_cmpuint(caps.append_limit, ==, 0);
	g_assert_cmpstr(caps.text, ==, "IMAP4rev1 IDLE");
	imap_caps_reset(&caps);
	g_assert_false(caps.is_known || caps.imap4rev1 || caps.idle);
	g_assert_cmpstr(caps.text, ==, "");
}

static void ex4_names_can_be_disabled(void)
{
	static const char *const disable[] = { "idle", "AUTH=PLAIN", "condstore", NULL };
	struct imap_caps caps;

	parse(&caps, "* CAPABILITY IMAP4rev2 IDLE QRESYNC AUTH=PLAIN AUTH=LOGIN\r\n", disable);
	g_assert_false(caps.idle || caps.condstore);
	g_assert_true(caps.qresync && caps.uidplus);
	g_assert_cmpuint(caps.auth, ==, SASL_MECH_LOGIN);
}

static void ex4_literal_plus_may_be_torn(void)
{
	struct imap_caps caps;

	parse(&caps, "* CAPABILITY LITERAL + ID\r\n", NULL);
	g_assert_true(caps.literal_plus && caps.id);
	parse(&caps, "* CAPABILITY LITERAL- ID\r\n", NULL);
	g_assert_true(caps.literal_minus && caps.id && !caps.literal_plus);
	parse(&caps, "* CAPABILITY ID LITERAL\r\n", NULL);
	g_assert_true(caps.id && !caps.literal_plus);
}

static void caps_rev2_implies_its_parts(void)
{
	struct imap_caps caps;

	parse(&caps, "* CAPABILITY IMAP4rev2\r\n", NULL);
	g_assert_true(caps.enable && caps.namespace_ && caps.move && caps.list_status);
	g_assert_false(caps.condstore || caps.literal_plus || caps.compress_deflate || caps.imap4rev1);
	parse(&caps, "* CAPABILITY IMAP4rev1 QRESYNC\r\n", NULL);
	g_assert_true(caps.qresync && caps.condstore);
	g_assert_false(caps.enable || caps.move);
}

static void sec33_odd_lists_are_lists(void)
{
	struct imap_caps caps;

	parse(&caps, "* CAPABILITY\r\n", NULL);
	g_assert_true(caps.is_known && !caps.imap4rev1);
	g_assert_cmpstr(caps.text, ==, "");
	parse(&caps, "* CAPABILITY (IDLE) NIL \"ID\" AUTH= APPENDLIMIT=x APPENDLIMIT= {2}\r\n\x1b[\r\n",
		NULL);
	g_assert_true(caps.id && !caps.idle);
	g_assert_cmpuint(caps.append_limit, ==, 0);
	g_assert_cmpstr(caps.text, ==, "NIL ID AUTH= APPENDLIMIT=x APPENDLIMIT= ?[");
}

static void sec33_the_text_is_bounded(void)
{
	g_autoptr(GString) bytes = g_string_new("* CAPABILITY");
	struct imap_caps caps;

	for (int i = 0; i < 20000; i++)
		g_string_append_printf(bytes, " X-%d", i);
	g_string_append(bytes, " IDLE\r\n");
	parse(&caps, bytes->str, NULL);
	g_assert_true(caps.idle);
	g_assert_cmpuint(strlen(caps.text), <, sizeof(caps.text));
	g_assert_cmpuint(strlen(caps.text), >, sizeof(caps.text) - 20);
	g_assert_true(g_str_has_prefix(caps.text, "X-0 X-1 X-2"));
}

#define ADD(path, fn) g_test_add_func("/wire/imap_caps/" path, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("of a response", caps_of_a_response);
	ADD("of a code", caps_of_a_code);
	ADD("EX-5 a new list replaces the old", ex5_a_new_list_replaces_the_old);
	ADD("EX-4 names can be disabled", ex4_names_can_be_disabled);
	ADD("EX-4 torn LITERAL+", ex4_literal_plus_may_be_torn);
	ADD("rev2 implies its parts", caps_rev2_implies_its_parts);
	ADD("SEC-33 odd lists", sec33_odd_lists_are_lists);
	ADD("SEC-33 the text is bounded", sec33_the_text_is_bounded);
	return g_test_run();
}
