/* SPDX-License-Identifier: MIT */
/* The IMAP backend: what it reads, how it logs in, how it lives and dies. */
#include "backend_play.h"
#include "base/clock.h"

/* ---- login ----------------------------------------------------------------------------------- */

static void login_uses_the_login_command_when_nothing_else_is_offered(void)
{
	check(SCRIPT(LOGIN("")), NULL, "ready|");
}

static void login_asks_for_capabilities_again_after_the_login(void)
{
	/* What the greeting offered is not believed afterwards: no ID, no NAMESPACE. */
	check(SCRIPT("S: * OK [CAPABILITY IMAP4rev1 ID NAMESPACE ENABLE QRESYNC LIST-EXTENDED] hi",
		      "C: LOGIN \"u\" \"p\"", "S: %t OK in", "C: CAPABILITY",
		      "S: * CAPABILITY IMAP4rev1", "S: %t OK", "C: LIST \"\" \"*\"", "S: %t NO"),
		do_list, "ready|list PROTOCOL|");
}

static void login_sends_extras_in_one_go(void)
{
	check(SCRIPT(LOGIN(" ID ENABLE CONDSTORE QRESYNC NAMESPACE"), "C: ID (*mailfs*)",
		      "C: ENABLE QRESYNC", "C: NAMESPACE", "S: * NAMESPACE ((\"\" \"/\")) NIL NIL",
		      "S: %v OK", "S: %u OK", "S: %t OK"),
		NULL, "ready|");
}

static void login_survives_refused_extras(void)
{
	check(SCRIPT(LOGIN(" ID"), "C: ID (*)", "S: %t BAD what"), NULL, "ready|");
	check(SCRIPT(LOGIN(" NAMESPACE"), "C: NAMESPACE", "S: %t NO"), NULL, "ready|");
	check(SCRIPT(LOGIN(" ENABLE CONDSTORE"), "C: ENABLE CONDSTORE", "S: %t BAD"), NULL, "ready|");
}

static void login_prefers_sasl_plain_to_the_login_command(void)
{
	/* NUL u NUL p */
	check(SCRIPT("S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi",
		      "C: AUTHENTICATE PLAIN AHUAcA==", "S: %t OK [CAPABILITY IMAP4rev1] in"),
		NULL, "ready|");
}

static void login_answers_a_bare_plus(void)
{
	check(SCRIPT("S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi", "C: AUTHENTICATE PLAIN",
		      "S: +", "L: AHUAcA==", "S: %t OK [CAPABILITY IMAP4rev1] in"),
		NULL, "ready|");
}

static void login_takes_the_next_mechanism_only_when_one_is_unknown(void)
{
	check(SCRIPT("S: * OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256 AUTH=PLAIN] hi",
		      "C: AUTHENTICATE SCRAM-SHA-256", "S: %t BAD unsupported mechanism", "C: CAPABILITY",
		      "S: * CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256 AUTH=PLAIN", "S: %t OK",
		      "C: AUTHENTICATE PLAIN", "S: + ", "L: AHUAcA==",
		      "S: %t OK [CAPABILITY IMAP4rev1] in"),
		NULL, "ready|");
}

static void login_refused_is_tried_once_only(void)
{
	check(SCRIPT("S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN SASL-IR] hi",
		      "C: AUTHENTICATE PLAIN *", "S: %t NO [AUTHENTICATIONFAILED] no"),
		NULL, "dead LOGIN|");
	check(SCRIPT("S: * OK [CAPABILITY IMAP4rev1] hi", "C: LOGIN *", "S: %t NO"), NULL,
		"dead LOGIN|");
}

static void login_reads_the_error_of_an_oauth_server(void)
{
	struct play play;

	play_init(&play, SCRIPT("S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi",
				"C: AUTHENTICATE XOAUTH2", "S: + ", "L: dXNlcj11AWF1dGg9QmVhcmVyIHABAQ==",
				"S: + eyJzdGF0dXMiOiI0MDAifQ==", "L: ",
				"S: %t NO [AUTHENTICATIONFAILED] no"));
	play.config.auth = MAILFS_AUTH_OAUTH;
	play_run(&play, "dead LOGIN|");
	g_assert_cmpuint(play.secrets, ==, 2); /* the same token again is not sent again */
	play_done(&play);
}

static void login_fails_for_authenticated_but_not_connected(void)
{
	check(SCRIPT(LOGIN(""), "C: LIST *", "S: %t BAD User is authenticated but not connected."),
		do_list, "ready|list TRY_LATER|");
}

static void connection_limits_are_no_wrong_password(void)
{
	check(SCRIPT("S: * OK [CAPABILITY IMAP4rev1] hi", "C: LOGIN *",
		      "S: %t NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded"),
		NULL, "dead LIMIT|");
	check(SCRIPT("S: * OK [CAPABILITY IMAP4rev1] hi", "C: LOGIN *",
		      "S: %t NO [ALERT] Too many simultaneous connections. (Failure)"),
		NULL, "dead LIMIT|");
	check(SCRIPT("S: * BYE Too many connections"), NULL, "dead LIMIT|");
	check(SCRIPT("S: * BYE go away"), NULL, "dead REFUSED|");
}

static void passwords_with_line_ends_are_not_sent(void)
{
	static const char *const bad[] = { "a\r\nb LOGOUT", "a\nb", "a\rb" };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct play play;

		play_init(&play, SCRIPT("S: * OK [CAPABILITY IMAP4rev1] hi"));
		play.password = bad[i];
		play_run(&play, "dead INVALID|");
		g_assert_cmpstr(play.extra->str, ==, "");
		play_done(&play);
	}
}

static void passwords_that_cannot_be_quoted_go_as_literals(void)
{
	struct play play;

	play_init(&play, SCRIPT("S: * OK [CAPABILITY IMAP4rev1] hi", "C: LOGIN \"u\" {3}", "S: + go",
				"L: \303\244\"", "S: %t OK [CAPABILITY IMAP4rev1] in"));
	play.password = "\303\244\"";
	play_run(&play, "ready|");
	play_done(&play);
}

static void a_literal_is_not_sent_after_a_refusal(void)
{
	struct play play;

	play_init(&play, SCRIPT("S: * OK [CAPABILITY IMAP4rev1] hi", "C: LOGIN \"u\" {2}",
				"S: %t NO no literals", "!stall"));
	play.password = "\303\244";
	play_run(&play, "dead LOGIN|");
	g_assert_cmpstr(play.extra->str, ==, "");
	play_done(&play);
}

/* ---- security of the greeting ---------------------------------------------------------------- */

static void play_config(const char *const *script, enum mailfs_tls tls, const char *want)
{
	struct play play;

	play_init(&play, script);
	play.config.tls = tls;
	play_run(&play, want);
	g_assert_cmpstr(play.log->str, ==, want);
	g_assert_cmpstr(play.extra->str, ==, "");
	g_assert_cmpuint(play.secrets, ==, 0);
	play_done(&play);
}

static void preauth_in_clear_is_refused_where_tls_is_due(void)
{
	play_config(SCRIPT("S: * PREAUTH [CAPABILITY IMAP4rev1] hi", "!stall"), MAILFS_TLS_STARTTLS,
		"dead TLS|");
}

static void preauth_on_a_loopback_tunnel_is_taken(void)
{
	play_config(SCRIPT("S: * PREAUTH [CAPABILITY IMAP4rev1] hi"), MAILFS_TLS_NONE, "ready|");
}

static void what_is_no_greeting_closes(void)
{
	static const char *const greetings[] = {
		"S: garbage", "S: A1 OK hi", "S: * NO hi", "S: * BAD hi", "S: + OK", "S: * 1 EXISTS",
		"S: +OK POP3 ready", "S: * OKAY hi",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(greetings); i++) {
		play_config(SCRIPT(greetings[i], "!stall"), MAILFS_TLS_STARTTLS, "dead PROTOCOL|");
		play_config(SCRIPT(greetings[i], "!stall"), MAILFS_TLS_NONE, "dead PROTOCOL|");
	}
	play_config(SCRIPT("S: ", "!close"), MAILFS_TLS_STARTTLS, "dead LOST|");
	play_config(SCRIPT("!close"), MAILFS_TLS_STARTTLS, "dead LOST|");
}

static void a_huge_greeting_closes(void)
{
	g_autofree char *huge = g_strnfill(3 * 1024 * 1024, 'x');
	g_autofree char *line = g_strconcat("S: * OK ", huge, NULL);

	play_config(SCRIPT(line, "!stall"), MAILFS_TLS_NONE, "dead PROTOCOL|");
}

static void answers_to_commands_that_were_not_sent_close(void)
{
	struct play play;

	play_init(&play, SCRIPT("R: * OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\nx1 OK\r\nx2 OK done\r\n",
				"!stall"));
	play.config.tls = MAILFS_TLS_STARTTLS;
	play_run(&play, "dead PROTOCOL|");
	g_assert_cmpuint(play.secrets, ==, 0);
	play_done(&play);
}

static void a_whole_session_before_any_command_closes(void)
{
	struct play play;

	play_init(&play, SCRIPT("R: * OK [CAPABILITY IMAP4rev1] hi\r\na1 OK [CAPABILITY IMAP4rev1] in\r\n"
				"* LIST () \"/\" evil\r\na2 OK\r\n",
				"!stall"));
	play_run(&play, "dead PROTOCOL|");
	g_assert_false(play.is_ready);
	play_done(&play);
}

static void starttls_that_is_missing_or_refused_ends_it(void)
{
	play_config(SCRIPT("S: * OK hi", "C: CAPABILITY", "S: * CAPABILITY IMAP4rev1", "S: %t OK",
			    "!stall"),
		MAILFS_TLS_STARTTLS, "dead TLS|");
	play_config(SCRIPT("S: * OK hi", "C: CAPABILITY", "S: * CAPABILITY IMAP4rev1 STARTTLS",
			    "S: %t OK", "C: STARTTLS", "S: %t NO", "!stall"),
		MAILFS_TLS_STARTTLS, "dead TLS|");
	play_config(SCRIPT("S: * OK hi", "C: CAPABILITY", "S: * CAPABILITY IMAP4rev1 STARTTLS",
			    "S: %t OK", "C: STARTTLS", "S: %t BAD", "!stall"),
		MAILFS_TLS_STARTTLS, "dead TLS|");
	play_config(SCRIPT("S: * OK hi", "C: CAPABILITY", "S: %t BAD", "!stall"), MAILFS_TLS_STARTTLS,
		"dead PROTOCOL|");
}

static void clear_text_behind_starttls_ends_it(void)
{
	static const char *const tails[] = {
		"R: %t OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", "R: %t OK go\r\n* BYE\r\n",
		"R: %t OK go\r\n* OK [ALERT] call 555\r\n", "R: %t OK go\r\nx", "R: %t OK go\r\n+ ",
		"R: %t OK go\r\n* 1 FETCH (BODY[] {5}\r\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(tails); i++)
		play_config(SCRIPT("S: * OK [ALERT] evil", "C: CAPABILITY",
				    "S: * CAPABILITY IMAP4rev1 STARTTLS", "S: %t OK", "C: STARTTLS",
				    tails[i], "!stall"),
			MAILFS_TLS_STARTTLS, "dead TLS|");
}

/* ---- list ------------------------------------------------------------------------------------ */

static void list_asks_for_everything_at_once_where_it_can(void)
{
	check(SCRIPT(LOGIN(" LIST-EXTENDED LIST-STATUS SPECIAL-USE"), "C: LIST \"\" \"*\" RETURN (*",
		      "S: * LIST (\\Subscribed) \"/\" inbox", "S: * STATUS INBOX (MESSAGES 3 UNSEEN 1)",
		      "S: * LIST (\\Noselect) \"/\" a", "S: * LIST (\\Sent) \"/\" \"a/Entw&APw-rfe\"",
		      "S: * LIST () \"/\" \"a/Entw&APw-rfe\"", "S: %t OK"),
		do_list,
		"ready|INBOX>INBOX subscribed inbox n=3|a>a noselect|a/Entw&APw-rfe>a/Entw\303\274rfe"
		"\\Sent|list OK|");
}

static void list_falls_back_to_the_plain_form(void)
{
	static const char *const answers[] = { "S: %t BAD what", "S: %t NO what", "S: %t OK nothing" };

	for (size_t i = 0; i < G_N_ELEMENTS(answers); i++)
		check(SCRIPT(LOGIN(" LIST-EXTENDED"), "C: LIST \"\" \"*\" RETURN *", answers[i],
			      "C: LIST \"\" \"*\"", "S: * LIST () \".\" INBOX",
			      "S: * LIST () NIL \"x\"", "S: %t OK", "C: LSUB \"\" \"*\"",
			      "S: * LSUB () \".\" x", "S: %t OK"),
			do_list, "ready|INBOX>INBOX inbox|x>x subscribed|list OK|");
}

static void list_without_lsub_lists_unsubscribed(void)
{
	check(SCRIPT(LOGIN(""), "C: LIST *", "S: * LIST () \"/\" INBOX", "S: %t OK", "C: LSUB *",
		      "S: %t BAD no"),
		do_list, "ready|INBOX>INBOX inbox|list OK|");
}

static void an_empty_list_is_an_error(void)
{
	check(SCRIPT(LOGIN(""), "C: LIST *", "S: %t OK", "C: LSUB *", "S: %t OK"), do_list,
		"ready|list PROTOCOL|");
}

static void globs_apply_to_the_decoded_path_and_what_is_inside(void)
{
	static const char *const include[] = { "INBOX", "W\303\266rk", NULL };
	static const char *const exclude[] = { "*/Old", NULL };
	struct play play;

	play_init(&play, SCRIPT(LOGIN(""), "C: LIST *", "S: * LIST () \".\" INBOX",
				"S: * LIST () \".\" W&APY-rk", "S: * LIST () \".\" W&APY-rk.A",
				"S: * LIST () \".\" W&APY-rk.Old", "S: * LIST () \".\" W&APY-rk.Old.B",
				"S: * LIST () \".\" Junk", "S: %t OK", "C: LSUB *", "S: %t OK"));
	play.config.include = include;
	play.config.exclude = exclude;
	play.act = do_list;
	play_run(&play, "list OK|");
	g_assert_cmpstr(play.log->str, ==,
		"ready|INBOX>INBOX inbox|W&APY-rk>W\303\266rk|W&APY-rk.A>W\303\266rk.A|list OK|");
	play_done(&play);
}

/* `rm` moves there whatever is shown; nothing else that is left out is told of. */
static void a_trash_that_is_left_out_is_hidden(void)
{
	static const char *const exclude[] = { "Bin", "Junk", NULL };
	struct play play;

	play_init(&play, SCRIPT(LOGIN(" SPECIAL-USE"), "C: LIST *", "S: * LIST () \"/\" INBOX",
				"S: * LIST (\\Trash) \"/\" Bin", "S: * LIST (\\Junk) \"/\" Junk", "S: %t OK",
				"C: LSUB *", "S: %t OK"));
	play.config.exclude = exclude;
	play.act = do_list;
	play_run(&play, "list OK|");
	g_assert_cmpstr(play.log->str, ==, "ready|INBOX>INBOX inbox|Bin>Bin hidden\\Trash|list OK|");
	play_done(&play);
}

static void only_the_personal_namespace_is_listed(void)
{
	check(SCRIPT(LOGIN(" NAMESPACE"), "C: NAMESPACE",
		      "S: * NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\")) NIL", "S: %t OK",
		      "C: LIST \"\" \"INBOX*\"", "S: * LIST () \".\" INBOX", "S: * LIST () \".\" INBOX.a",
		      "S: * LIST () \".\" user.eve", "S: %t OK", "C: LSUB *", "S: %t OK"),
		do_list, "ready|INBOX>INBOX inbox|INBOX.a>INBOX.a|list OK|");
}

/* ---- sync ------------------------------------------------------------------------------------ */

static void a_new_folder_is_swept(void)
{
	check(SCRIPT(LOGIN(""), OPEN("2"),
		      "C: UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS "
		      "(DATE FROM TO CC SUBJECT MESSAGE-ID)])",
		      "S: * 1 FETCH (UID 3 FLAGS (\\Seen x]y) RFC822.SIZE 10 BODY[HEADER.FIELDS (DATE FROM "
		      "TO CC SUBJECT MESSAGE-ID)] {16}\r\nSubject: hey\r\n\r\n)",
		      "S: * 2 FETCH (UID 8 FLAGS () RFC822.SIZE 20)", "S: %t OK"),
		do_sync, "ready|state v=9 n=2|m3 f1 s10 'hey' x]y|m8 f0 s20|modseq 0|sync OK|");
}

static void an_empty_folder_is_an_empty_listing(void)
{
	check(SCRIPT(LOGIN(""), OPEN("0")), do_sync, "ready|state v=9 n=0|modseq 0|sync OK|");
}

static void a_full_listing_without_messages_is_an_error(void)
{
	check(SCRIPT(LOGIN(""), OPEN("2"), "C: UID FETCH 1:* (*", "S: %t OK", "C: NOOP", "S: %t OK"), do_sync,
		"ready|state v=9 n=2|sync PROTOCOL|");
	check(SCRIPT(LOGIN(""), OPEN("2"), "C: UID FETCH *", "S: * 1 FETCH (UID 3 FLAGS () RFC822.SIZE 1)", "S: %t OK",
		      "C: NOOP", "S: %t OK"),
		do_sync, "ready|state v=9 n=2|m3 f0 s1|sync PROTOCOL|");
}

static void an_expunge_during_the_sweep_is_no_lie(void)
{
	check(SCRIPT(LOGIN(""), OPEN("2"), "C: UID FETCH *", "S: * 1 FETCH (UID 3 FLAGS () RFC822.SIZE 1)", "S: %t OK",
		      "C: NOOP", "S: * 2 EXPUNGE", "S: %t OK"),
		do_sync, "ready|state v=9 n=2|m3 f0 s1|changed INBOX|modseq 0|sync OK|");
}

static void without_condstore_all_flags_are_compared(void)
{
	check_known(SCRIPT(LOGIN(""), OPEN("2"), "C: UID FETCH 1:8 (UID FLAGS)",
			    "C: UID FETCH 9:* (UID FLAGS INTERNALDATE *", "S: * 1 FETCH (UID 3 FLAGS (\\Seen))",
			    "S: %u OK", "S: * 2 FETCH (UID 9 FLAGS () RFC822.SIZE 5)", "S: %t OK"),
		do_sync, &(struct mailfs_known){ .uidvalidity = 9, .uid_max = 8, .count = 2 },
		"ready|state v=9 n=2|m3 f1|m9 f0 s5|modseq 0|sync OK|");
}

static const struct mailfs_known known_modseq = {
	.uidvalidity = 9, .uid_max = 8, .count = 3, .modseq = 5,
};

static void nothing_is_asked_when_nothing_changed(void)
{
	check_known(SCRIPT(LOGIN(" CONDSTORE"), OPEN_MODSEQ("3", "5"), "!stall"), do_sync, &known_modseq,
		"ready|state v=9 n=3 delta|modseq 5|sync OK|");
}

static void another_uidvalidity_resets(void)
{
	check_known(SCRIPT(LOGIN(" CONDSTORE"), OPEN_MODSEQ("1", "5"), "C: UID FETCH 1:* (*",
			    "S: * 1 FETCH (UID 1 FLAGS () RFC822.SIZE 1)", "S: %t OK"),
		do_sync,
		&(struct mailfs_known){ .uidvalidity = 8, .uid_max = 8, .count = 3, .modseq = 5 },
		"ready|state v=9 n=1 reset|m1 f0 s1|modseq 5|sync OK|");
}

#define DELTA(modifier)                                                                            \
	"C: UID FETCH 1:8 (UID FLAGS) (CHANGEDSINCE 5" modifier ")", "C: UID FETCH 9:* (*"

static void condstore_asks_for_changes_only(void)
{
	check_known(SCRIPT(LOGIN(" CONDSTORE"), OPEN_MODSEQ("4", "7"), DELTA(""),
			    "S: * 1 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (6))", "S: %u OK",
			    "S: * 4 FETCH (UID 9 FLAGS () RFC822.SIZE 5 MODSEQ (7))", "S: %t OK"),
		do_sync, &known_modseq,
		"ready|state v=9 n=4 delta|m3 f1|m9 f0 s5|modseq 7|sync OK|");
}

static void condstore_lists_uids_when_the_numbers_differ(void)
{
	/* 3 were known, none is new, 2 are there: the gaps of the list are gone. */
	check_known(SCRIPT(LOGIN(" CONDSTORE"), OPEN_MODSEQ("2", "7"), DELTA(""), "S: %u OK",
			    "S: * 2 FETCH (UID 8 FLAGS () RFC822.SIZE 5)", "S: %t OK",
			    "C: UID SEARCH ALL", "S: * SEARCH 3 8", "S: %t OK"),
		do_sync, &known_modseq,
		"ready|state v=9 n=2 delta|gone 1:2|gone 4:7|modseq 7|sync OK|");
	check_known(SCRIPT(LOGIN(" CONDSTORE ESEARCH"), OPEN_MODSEQ("2", "7"), DELTA(""), "S: %u OK",
			    "S: %t OK", "C: UID SEARCH RETURN (ALL) ALL",
			    "S: * ESEARCH (TAG \"%t\") UID ALL 3,8", "S: %t OK"),
		do_sync, &known_modseq,
		"ready|state v=9 n=2 delta|gone 1:2|gone 4:7|modseq 7|sync OK|");
}

static void uid_lists_fall_back_from_esearch_to_search_to_fetch(void)
{
	check_known(SCRIPT(LOGIN(" CONDSTORE ESEARCH"), OPEN_MODSEQ("2", "7"), DELTA(""), "S: %u OK",
			    "S: %t OK", "C: UID SEARCH RETURN (ALL) ALL", "S: %t BAD",
			    "C: UID SEARCH ALL", "S: * SEARCH", "S: %t OK", "C: UID FETCH 1:* (UID)",
			    "S: * 2 FETCH (UID 8)", "S: * 1 FETCH (UID 3)", "S: * 1 FETCH (UID 3)",
			    "S: %t OK"),
		do_sync, &known_modseq,
		"ready|state v=9 n=2 delta|gone 1:2|gone 4:7|modseq 7|sync OK|");
}

static void messages_that_were_never_heard_of_are_swept(void)
{
	check_known(SCRIPT(LOGIN(" CONDSTORE"), OPEN_MODSEQ("4", "7"), DELTA(""), "S: %u OK",
			    "S: %t OK", "C: UID SEARCH ALL", "S: * SEARCH 3 4", "S: * SEARCH 8 5 5",
			    "S: %t OK", "C: UID FETCH 1:8 (UID FLAGS INTERNALDATE *",
			    "S: * 1 FETCH (UID 3 RFC822.SIZE 1)", "S: * 2 FETCH (UID 4 RFC822.SIZE 1)",
			    "S: %t OK"),
		do_sync, &known_modseq,
		"ready|state v=9 n=4 delta|m3 f0 s1|m4 f0 s1|gone 1:2|gone 6:7|modseq 7|sync OK|");
}

#define QRESYNC " CONDSTORE QRESYNC ENABLE"
#define ENABLED LOGIN(QRESYNC), "C: ENABLE QRESYNC", "S: %t OK"
#define OPEN_QRESYNC(exists, modseq)                                                               \
	"C: EXAMINE \"INBOX\"", BOX(exists), "S: * OK [HIGHESTMODSEQ " modseq "]",                 \
		"S: %t OK [READ-ONLY] open"

static void qresync_tells_what_vanished(void)
{
	check_known(SCRIPT(ENABLED, OPEN_QRESYNC("3", "7"), DELTA(" VANISHED"),
			    "S: * VANISHED (EARLIER) 4,6:7", "S: * 1 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (6))",
			    "S: %u OK", "S: * 3 FETCH (UID 9 FLAGS () RFC822.SIZE 5)", "S: %t OK"),
		do_sync, &known_modseq,
		"ready|state v=9 n=3 delta|m3 f1|m9 f0 s5|gone 4:4|gone 6:7|modseq 7|sync OK|");
}

static void vanished_of_everything_is_checked_and_never_expanded(void)
{
	check_known(SCRIPT(ENABLED, OPEN_QRESYNC("99", "7"),
			    "C: UID FETCH 1:4294967290 (UID FLAGS) (CHANGEDSINCE 5 VANISHED)",
			    "C: UID FETCH 4294967291:* (*", "S: * VANISHED (EARLIER) 1:4294967295",
			    "S: %u OK", "S: %t OK", "C: UID SEARCH ALL", "S: * SEARCH 1 4294967290",
			    "S: %t OK"),
		do_sync,
		&(struct mailfs_known){
			.uidvalidity = 9, .uid_max = 4294967290u, .count = 99, .modseq = 5 },
		"ready|state v=9 n=99 delta|gone 2:4294967289|modseq 7|sync OK|");
}

/* It names as many as are missing, so nothing else speaks against it. */
static void vanished_of_most_is_checked_against_the_uid_list(void)
{
	check_known(SCRIPT(ENABLED, OPEN_QRESYNC("5", "7"),
			    "C: UID FETCH 1:30 (UID FLAGS) (CHANGEDSINCE 5 VANISHED)",
			    "C: UID FETCH 31:* (*", "S: * VANISHED (EARLIER) 6:30", "S: %u OK", "S: %t OK",
			    "C: UID SEARCH ALL", "S: * SEARCH 1 2 3 4 30", "S: %t OK"),
		do_sync,
		&(struct mailfs_known){ .uidvalidity = 9, .uid_max = 30, .count = 30, .modseq = 5 },
		"ready|state v=9 n=5 delta|gone 5:29|modseq 7|sync OK|");
}

static void a_search_for_everything_is_an_error(void)
{
	check_known(SCRIPT(LOGIN(" CONDSTORE ESEARCH"), OPEN_MODSEQ("2", "7"), DELTA(""), "S: %u OK",
			    "S: %t OK", "C: UID SEARCH *", "S: * ESEARCH UID ALL 1:4294967295", "S: %t OK"),
		do_sync, &known_modseq, "ready|state v=9 n=2 delta|sync PROTOCOL|");
}

static void modseq_that_went_back_is_not_used(void)
{
	check_known(SCRIPT(LOGIN(" CONDSTORE"), OPEN_MODSEQ("3", "4"), "C: UID FETCH 1:8 (UID FLAGS)",
			    "C: UID FETCH 9:* (*", "S: * 1 FETCH (UID 1 FLAGS () MODSEQ (-1))",
			    "S: * 2 FETCH (UID 2 FLAGS () MODSEQ (18446744073709551616))",
			    "S: * 3 FETCH (UID 8 FLAGS () MODSEQ (0))", "S: %u OK", "S: %t OK"),
		do_sync, &known_modseq,
		"ready|state v=9 n=3|m1 f0|m2 f0|m8 f0|modseq 4|sync OK|");
	check_known(SCRIPT(LOGIN(" CONDSTORE"), "C: EXAMINE *", BOX("1"), "S: * OK [NOMODSEQ] none",
			    "S: %t OK", "C: UID FETCH 1:8 (UID FLAGS)", "C: UID FETCH 9:* (*",
			    "S: * 1 FETCH (UID 1 FLAGS ())", "S: %u OK", "S: %t OK"),
		do_sync, &known_modseq, "ready|state v=9 n=1|m1 f0|modseq 0|sync OK|");
}

static void changedsince_that_is_refused_is_not_used(void)
{
	check_known(SCRIPT(LOGIN(" CONDSTORE"), OPEN_MODSEQ("1", "7"), DELTA(""),
			    "S: %u BAD what is CHANGEDSINCE", "S: %t OK", "C: UID FETCH 1:8 (UID FLAGS)",
			    "S: * 1 FETCH (UID 3 FLAGS ())", "S: %t OK", "C: UID SEARCH ALL", "S: * SEARCH 3",
			    "S: %t OK"),
		do_sync, &known_modseq,
		"ready|state v=9 n=1 delta|m3 f0|gone 1:2|gone 4:8|modseq 7|sync OK|");
}

static void examine_with_condstore_that_is_refused_is_sent_plain(void)
{
	check(SCRIPT(LOGIN(" CONDSTORE"), "C: EXAMINE \"INBOX\" (CONDSTORE)", "S: %t BAD", OPEN("0")),
		do_sync, "ready|state v=9 n=0|modseq 0|sync OK|");
}

static void examine_without_exists_is_an_error(void)
{
	check(SCRIPT(LOGIN(""), "C: EXAMINE *", "S: * OK [UIDVALIDITY 9]", "S: %t OK"), do_sync,
		"ready|sync PROTOCOL|");
}

static void an_absurd_number_of_messages_is_an_error(void)
{
	check(SCRIPT(LOGIN(""), OPEN("4294967295")), do_sync, "ready|sync PROTOCOL|");
}

static void refusals_of_examine_have_their_errors(void)
{
	static const char *const cases[][2] = {
		{ "S: %t NO [NONEXISTENT] x", "ready|sync GONE|" },
		{ "S: %t NO Mailbox doesn't exist: x", "ready|sync GONE|" },
		{ "S: %t NO [NOPERM] x", "ready|sync DENIED|" },
		{ "S: %t NO [INUSE] x", "ready|sync IN_USE|" },
		{ "S: %t NO [UNAVAILABLE] x", "ready|sync TRY_LATER|" },
		{ "S: %t NO [REFERRAL imap://evil/] x", "ready|sync PROTOCOL|" },
		{ "S: %t NO \033[2Jx", "ready|sync PROTOCOL|" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		check(SCRIPT(LOGIN(""), "C: EXAMINE *", cases[i][0]), do_sync, cases[i][1]);
}

static void uids_may_come_in_any_order_and_twice(void)
{
	check(SCRIPT(LOGIN(""), OPEN("3"), "C: UID FETCH *", "S: * 3 FETCH (UID 9 FLAGS () RFC822.SIZE 1)",
		      "S: * 2 FETCH (UID 0 FLAGS () RFC822.SIZE 1)", "S: * 1 FETCH (UID 3 FLAGS () RFC822.SIZE 1)",
		      "S: * 1 FETCH (UID 3 FLAGS () RFC822.SIZE 1)", "S: * 2 FETCH (UID 5 FLAGS () RFC822.SIZE 1)", "S: %t OK"),
		do_sync, "ready|state v=9 n=3|m9 f0 s1|m3 f0 s1|m3 f0 s1|m5 f0 s1|modseq 0|sync OK|");
}

static void uidvalidity_beyond_32_bits_is_none(void)
{
	check(SCRIPT(LOGIN(""), "C: EXAMINE *", "S: * 0 EXISTS", "S: * OK [UIDVALIDITY 5000000000]",
		      "S: %t OK"),
		do_sync, "ready|state v=0 n=0|modseq 0|sync OK|");
}

static void big_folders_are_swept_in_chunks(void)
{
	check(SCRIPT(LOGIN(""), OPEN("6001"), "C: FETCH 1000,3000 (UID)",
		      "S: * 3000 FETCH (UID 20000)", "S: * 1000 FETCH (UID 10000)", "S: %t OK",
		      "C: UID FETCH 1:10000 (*", "C: UID FETCH 10001:20000 (*",
		      "C: UID FETCH 20001:* (*", "S: %u OK", "S: %t NO [UNAVAILABLE] busy"),
		do_sync, "ready|state v=9 n=6001|sync TRY_LATER|");
}

static void chunks_of_dense_uids_need_no_question(void)
{
	check(SCRIPT(LOGIN(""), "C: EXAMINE \"INBOX\"", "S: * 24000 EXISTS",
		      "S: * OK [UIDVALIDITY 9] v", "S: * OK [UIDNEXT 48001] n", "S: %t OK",
		      "C: UID FETCH 1:2000 (*", "C: UID FETCH 2001:6000 (*",
		      "C: UID FETCH 6001:14000 (*", "C: UID FETCH 14001:22000 (*",
		      "C: UID FETCH 22001:30000 (*", "C: UID FETCH 30001:38000 (*",
		      "C: UID FETCH 38001:46000 (*", "C: UID FETCH 46001:* (*", "S: %t NO [UNAVAILABLE] busy"),
		do_sync, "ready|state v=9 n=24000|sync TRY_LATER|");
}

#define OPEN_DENSE                                                                                 \
	"C: EXAMINE \"INBOX\"", "S: * 90000 EXISTS", "S: * OK [UIDVALIDITY 9] v",                    \
		"S: * OK [UIDNEXT 90001] n", "S: %t OK [READ-ONLY] open", "C: UID FETCH 1:1000 (*",        \
		"C: UID FETCH 1001:3000 (*", "C: UID FETCH 3001:7000 (*"

/* No time passes: each answer is followed by the next question. */
static void a_sweep_asks_far_ahead(void)
{
	struct play play;

	clock_fake(1000000);
	check(SCRIPT(LOGIN(""), OPEN_DENSE, "C: UID FETCH 7001:11000 (*", "C: UID FETCH 11001:*",
		      "C: UID FETCH 15001:*", "C: UID FETCH 19001:*", "C: UID FETCH 23001:*",
		      "C: UID FETCH 27001:*", "C: UID FETCH 31001:35000 (*", "S: %w OK",
		      "C: UID FETCH 35001:39000 (*", "S: %w OK", "C: UID FETCH 39001:43000 (*",
		      "S: %t NO [UNAVAILABLE] busy"),
		do_sync, "ready|state v=9 n=90000|sync TRY_LATER|");
	/* Lines without headers are short: more of them. */
	play_init(&play, SCRIPT(LOGIN(""), OPEN_DENSE, "C: UID FETCH 7001:15000 (*",
			  "C: UID FETCH 15001:23000 (*", "C: UID FETCH 23001:*", "C: UID FETCH 31001:*",
			  "C: UID FETCH 39001:*", "C: UID FETCH 47001:*", "C: UID FETCH 55001:63000 (*",
			  "S: %w OK", "C: UID FETCH 63001:71000 (*", "S: %t NO [UNAVAILABLE] busy"));
	play.config.want_head = false;
	play.act = do_sync;
	play_expect(&play, "ready|state v=9 n=90000|sync TRY_LATER|");
	clock_fake(0);
}

/* Whatever the order of the answers: what is told to be complete has no gap before it. */
static void a_sweep_tells_how_far_it_has_got(void)
{
	check(SCRIPT(LOGIN(""), "C: EXAMINE \"INBOX\"", "S: * 11000 EXISTS",
		      "S: * OK [UIDVALIDITY 9] v", "S: * OK [UIDNEXT 11001] n", "S: %t OK",
		      "C: UID FETCH 1:1000 (*", "C: UID FETCH 1001:3000 (*",
		      "C: UID FETCH 3001:7000 (*", "C: UID FETCH 7001:* (*", "S: %v OK",
		      "S: * 1 FETCH (UID 3 FLAGS () RFC822.SIZE 10)", "S: %w OK", "S: %u OK",
		      "S: %t NO [UNAVAILABLE] busy"),
		do_sync_in_parts,
		"ready|state v=9 n=11000|m3 f0 s10|up to 3000|up to 7000|sync TRY_LATER|");
}

static void what_the_server_cannot_say_hides_no_message(void)
{
	static const char *const sizes[] = {
		"", " RFC822.SIZE -1", " RFC822.SIZE NIL", " RFC822.SIZE 99999999999999999999999",
		" RFC822.SIZE 9.3736e+06", " RFC822.SIZE 0",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autofree char *line = g_strdup_printf(
			"S: * 1 FETCH (UID 3 FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 +0000\"%s)",
			sizes[i]);

		check(SCRIPT(LOGIN(""), OPEN("1"), "C: UID FETCH 1:* (*", line, "S: %t OK"), do_sync,
			"ready|state v=9 n=1|m3 f1 s0|modseq 0|sync OK|");
	}
}

static void a_message_in_two_lines_keeps_both(void)
{
	check(SCRIPT(LOGIN(""), OPEN("1"), "C: UID FETCH 1:* (*",
		      "S: * 1 FETCH (UID 3 FLAGS (\\Seen) RFC822.SIZE 10)",
		      "S: * 1 FETCH (UID 3 BODY[HEADER.FIELDS (SUBJECT)] {12}\r\nSubject: x\r\n)",
		      "S: %t OK"),
		do_sync, "ready|state v=9 n=1|m3 f1 s10|m3 'x'|modseq 0|sync OK|");
}

static void flags_changed_by_others_during_a_sweep_are_news(void)
{
	check(SCRIPT(LOGIN(""), OPEN("1"), "C: UID FETCH 1:* (*", "S: * 1 FETCH (UID 3 FLAGS (\\Seen))",
		      "S: * 1 FETCH (UID 3 FLAGS (\\Seen) RFC822.SIZE 10)", "S: %t OK"),
		do_sync, "ready|state v=9 n=1|changed INBOX|m3 f1 s10|modseq 0|sync OK|");
}

/* A fetch of one message gets in between the chunks of a sweep. */
static void do_sync_and_fetch(struct play *play)
{
	play->fetch_in_state = true;
	do_sync(play);
}

static void a_fetch_gets_between_the_chunks_of_a_sweep(void)
{
	check(SCRIPT(LOGIN(""), OPEN("6001"), "C: FETCH 1000,3000 (UID)", "S: * 1000 FETCH (UID 10000)",
		      "S: * 3000 FETCH (UID 20000)", "S: %t OK", "C: UID FETCH 7 (UID BODY*",
		      "C: UID FETCH 1:10000 (*", "C: UID FETCH 10001:20000 (*",
		      "C: UID FETCH 20001:* (*", "S: * 7 FETCH (UID 7 BODY[] \"a\")", "S: %w OK",
		      "S: %v OK", "S: %u NO [UNAVAILABLE] busy"),
		do_sync_and_fetch,
		"ready|state v=9 n=6001|begin 7 1|a|end 7|fetch OK|sync TRY_LATER|");
}

static void gmail_and_objectid_name_the_content(void)
{
	check(SCRIPT(LOGIN(" X-GM-EXT-1"), OPEN("1"), "C: UID FETCH 1:* (*X-GM-MSGID X-GM-THRID*",
		      "S: * 1 FETCH (UID 1 X-GM-THRID 5 X-GM-MSGID 1278455344230334865)", "S: %t OK"),
		do_sync, "ready|state v=9 n=1|m1 f0 s0 id=1278455344230334865|modseq 0|sync OK|");
	check(SCRIPT(LOGIN(" OBJECTID"), OPEN("1"), "C: UID FETCH 1:* (*EMAILID*",
		      "S: * 1 FETCH (UID 1 EMAILID (M6d99))", "S: %t OK"),
		do_sync, "ready|state v=9 n=1|m1 f0 s0 id=M6d99|modseq 0|sync OK|");
}

/* ---- uids, poll ------------------------------------------------------------------------------ */

static void uids_are_listed_plainly(void)
{
	/* n:* names the last one even if it is older. */
	check(SCRIPT(LOGIN(""), OPEN("3"), "C: UID SEARCH UID 5:*", "S: * SEARCH 7 5 6", "S: %t OK"),
		do_uids, "ready|u5|u6|u7|uids OK|");
	check(SCRIPT(LOGIN(""), OPEN("3"), "C: UID SEARCH UID 5:*", "S: * SEARCH 4", "S: %t OK"),
		do_uids, "ready|uids OK|");
}

static void do_sync_then_poll(struct play *play)
{
	do_sync(play);
	do_poll(play);
}

static void what_nobody_asked_for_is_told_once(void)
{
	check(SCRIPT(LOGIN(""), OPEN("0"), "C: NOOP", "S: * 1 EXISTS", "S: * 1 RECENT",
		      "S: * 1 FETCH (FLAGS (\\Seen))", "S: * 2 EXISTS", "S: * 1 EXPUNGE", "S: %t OK"),
		do_sync_then_poll,
		"ready|state v=9 n=0|modseq 0|sync OK|changed INBOX|poll OK|");
	check(SCRIPT(LOGIN(""), OPEN("0"), "C: NOOP", "S: * 0 EXISTS", "S: * 0 RECENT", "S: %t OK"),
		do_sync_then_poll, "ready|state v=9 n=0|modseq 0|sync OK|poll OK|");
}

/* ---- fetch ----------------------------------------------------------------------------------- */

#define FETCHING LOGIN(""), OPEN("3"), "C: UID FETCH 7 (UID BODY.PEEK*"

static void a_message_is_fetched_whole(void)
{
	check(SCRIPT(FETCHING, "S: * 1 FETCH (UID 7 BODY[] {5}\r\nhello)", "S: %t OK"), do_fetch,
		"ready|begin 7 5|hello|end 7|fetch OK|");
	check(SCRIPT(FETCHING, "S: * 1 FETCH (BODY[] {5}\r\nhello UID 7 FLAGS (\\Seen))", "S: %t OK"),
		do_fetch, "ready|begin 7 5|hello|end 7|fetch OK|");
	check(SCRIPT(FETCHING, "S: * 1 FETCH (UID 7 BODY[] ~{5}\r\nhello)", "S: %t OK"), do_fetch,
		"ready|begin 7 5|hello|end 7|fetch OK|");
}

static void fake_answers_inside_a_body_are_body(void)
{
	check(SCRIPT(FETCHING, "S: * 1 FETCH (UID 7 BODY[] {19}\r\n* 1 EXPUNGE\r\nx OK\r\n)",
		      "S: %t OK"),
		do_fetch, "ready|begin 7 19|* 1 EXPUNGE\r\nx OK\r\n|end 7|fetch OK|");
}

static void several_messages_go_in_one_command(void)
{
	check(SCRIPT(LOGIN(""), OPEN("3"), "C: UID FETCH 7:9 (UID BODY.PEEK*",
		      "S: * 2 FETCH (UID 8 BODY[] \"b\")", "S: * 1 FETCH (UID 7 BODY[] \"a\")",
		      "S: * 3 FETCH (UID 9 BODY[] \"c\")", "S: %t OK"),
		do_fetch_three,
		"ready|begin 8 1|b|end 8|begin 7 1|a|end 7|begin 9 1|c|end 9|fetch OK|");
}

static void no_line_and_not_listed_is_gone(void)
{
	check(SCRIPT(FETCHING, "S: %t OK", "C: NOOP", "S: %t OK", "C: UID FETCH 7 (UID FLAGS)",
		      "S: %t OK"),
		do_fetch, "ready|fetch OK|");
}

#define CONFIRM_7                                                                                  \
	"C: NOOP", "S: %t OK", "C: UID FETCH 7 (UID FLAGS)", "S: * 1 FETCH (UID 7 FLAGS ())", "S: %t OK"

static void no_body_though_it_is_listed_is_an_error(void)
{
	static const char *const missing[] = {
		"S: * OK nothing",
		"S: * 1 FETCH (UID 7)",
		"S: * 1 FETCH ()",
		"S: * 1 FETCH (UID 7 BODY[])",
		"S: * 1 FETCH (UID 8 BODY[] {5}\r\nhello)",
		"S: * 1 FETCH (UID 7 BODY[HEADER] {5}\r\nhello)",
	};
	static const char *const wrong[] = {
		"S: * 1 FETCH (UID 7 BODY[] NIL)",
		"S: * 1 FETCH (UID 7 BODY[]<0> {5}\r\nhello)",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(missing); i++)
		check(SCRIPT(FETCHING, missing[i], "S: %t OK", CONFIRM_7, "C: UID FETCH 7 (UID BODY.PEEK*",
			      missing[i], "S: %t OK", CONFIRM_7),
			do_fetch, "ready|fetch PROTOCOL|");
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		check(SCRIPT(FETCHING, wrong[i], "S: %t OK", CONFIRM_7), do_fetch, "ready|fetch PROTOCOL|");
}

/* It came by another connection, and this one has not told of it yet. */
static void a_message_that_is_news_to_the_connection_is_asked_for_again(void)
{
	check(SCRIPT(FETCHING, "S: %t OK", "C: NOOP", "S: * 4 EXISTS", "S: %t OK",
		      "C: UID FETCH 7 (UID FLAGS)", "S: * 4 FETCH (UID 7 FLAGS ())", "S: %t OK",
		      "C: UID FETCH 7 (UID BODY.PEEK*", "S: * 4 FETCH (UID 7 BODY[] {5}\r\nhello)", "S: %t OK"),
		do_fetch, "ready|changed INBOX|begin 7 5|hello|end 7|fetch OK|");
}

static void an_empty_body_needs_an_empty_message(void)
{
	check(SCRIPT(FETCHING, "S: * 1 FETCH (UID 7 BODY[] {0}\r\n)", "S: %t OK", "C: NOOP", "S: %t OK",
		      "C: UID FETCH 7 (UID RFC822.SIZE)", "S: * 1 FETCH (UID 7 RFC822.SIZE 0)", "S: %t OK"),
		do_fetch, "ready|begin 7 0|end 7|fetch OK|");
	check(SCRIPT(FETCHING, "S: * 1 FETCH (UID 7 BODY[] \"\")", "S: %t OK", "C: NOOP", "S: %t OK",
		      "C: UID FETCH 7 (UID RFC822.SIZE)", "S: * 1 FETCH (UID 7 RFC822.SIZE 5000)",
		      "S: %t OK"),
		do_fetch, "ready|fetch PROTOCOL|");
}

static void a_literal_that_is_too_long_kills_the_session(void)
{
	/* 5 are announced and 8 come, then 7: nothing of it is a message. */
	check(SCRIPT(FETCHING, "S: * 1 FETCH (UID 7 BODY[] {5}\r\nhello999)", "S: %t OK", "!stall"),
		do_fetch, "ready|fetch PROTOCOL|dead PROTOCOL|");
}

static void a_literal_that_is_too_short_is_no_message(void)
{
	struct play play;

	play_init(&play, SCRIPT(FETCHING, "R: * 1 FETCH (UID 7 BODY[] {50}\r\nhello)\r\n%t OK\r\n",
				"!close"));
	play.act = do_fetch;
	play_run(&play, "dead LOST|");
	g_assert_cmpstr(play.log->str, ==, "ready|fetch LOST|dead LOST|");
	play_done(&play);
}

static void a_stray_line_end_behind_the_literal_is_tolerated(void)
{
	check(SCRIPT(FETCHING, "S: * 1 FETCH (UID 7 BODY[] {5}\r\nhello\r\n)", "S: %t OK"), do_fetch,
		"ready|begin 7 5|hello|end 7|fetch OK|");
}

static void a_body_that_is_cut_anywhere_has_no_end(void)
{
	static const char answer[] = "* 1 FETCH (UID 7 FLAGS (\\Seen) BODY[] {40}\r\n"
				     "0123456789012345678901234567890123456789)\r\n";

	for (size_t len = 0; len < sizeof(answer) - 1; len++) {
		g_autofree char *cut = g_strdup_printf("R: %.*s", (int)len, answer);
		struct play play;

		play_init(&play, SCRIPT(FETCHING, cut, "!close"));
		play.act = do_fetch;
		play_run(&play, "dead LOST|");
		g_assert_nonnull(strstr(play.log->str, "fetch LOST|"));
		g_assert_null(strstr(play.log->str, "end 7|"));
		play_done(&play);
	}
}

static char *big_line(const char *before, const char *after)
{
	g_autofree char *body = g_strnfill(100000, 'x');

	return g_strconcat("S: * 1 FETCH (", before, "BODY[] {100000}\r\n", body, after, ")", NULL);
}

static void big_bodies_stream(void)
{
	g_autofree char *first = big_line("UID 7 ", "");
	g_autofree char *last = big_line("", " UID 7");
	g_autofree char *other = big_line("", " UID 8");

	check(SCRIPT(FETCHING, first, "S: %t OK"), do_fetch,
		"ready|begin 7 100000|end 7|fetch OK|");
	check(SCRIPT(FETCHING, last, "S: %t OK"), do_fetch,
		"ready|begin 7 100000|end 7|fetch OK|");
	/* It was not the message we took it for. */
	check(SCRIPT(FETCHING, other, "S: %t OK", "C: NOOP", "S: %t OK", "C: UID FETCH 7 (UID FLAGS)",
		      "S: * 1 FETCH (UID 7 FLAGS ())", "S: %t OK"),
		do_fetch, "ready|begin 7 100000|fetch PROTOCOL|");
}

static void a_big_body_that_is_cut_has_no_end(void)
{
	g_autofree char *line = big_line("UID 7 ", "");
	const size_t cuts[] = { 40, 65000, 70000, 100035, strlen(line) - 1 };

	for (size_t i = 0; i < G_N_ELEMENTS(cuts); i++) {
		g_autofree char *cut = g_strdup_printf("R%.*s", (int)cuts[i] - 1, line + 1);
		struct play play;

		play_init(&play, SCRIPT(FETCHING, cut, "!close"));
		play.act = do_fetch;
		play_run(&play, "dead LOST|");
		g_assert_cmpstr(play.log->str, ==, "ready|begin 7 100000|fetch LOST|dead LOST|");
		play_done(&play);
	}
}

static void big_bodies_without_a_name_are_fetched_alone(void)
{
	g_autofree char *late = big_line("", " UID 8");

	check(SCRIPT(LOGIN(""), OPEN("3"), "C: UID FETCH 7:9 (*", "S: * 1 FETCH (UID 7 BODY[] \"a\")", late,
		      "S: * 3 FETCH (UID 9 BODY[] \"c\")", "S: %t OK", "C: UID FETCH 8 (UID BODY*", late,
		      "S: %t OK"),
		do_fetch_three,
		"ready|begin 7 1|a|end 7|begin 9 1|c|end 9|begin 8 100000|end 8|fetch OK|");
}

static void ranges_are_checked_by_their_origin(void)
{
	static const char *const cases[][2] = {
		{ "S: * 1 FETCH (UID 7 BODY[]<2> \"llo\")", "ready|begin 7 3|llo|end 7|fetch OK|" },
		{ "S: * 1 FETCH (UID 7 BODY[]<2> \"l\")", "ready|begin 7 1|l|end 7|fetch OK|" },
		{ "S: * 1 FETCH (UID 7 BODY[]<2> \"\")", "ready|begin 7 0|end 7|fetch OK|" },
		/* The whole message where a part was asked for. */
		{ "S: * 1 FETCH (UID 7 BODY[] \"hello!!\")", "ready|begin 7 3|llo|end 7|fetch OK|" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		check(SCRIPT(LOGIN(""), OPEN("3"), "C: UID FETCH 7 (UID BODY.PEEK*<2.3>)", cases[i][0],
			      "S: %t OK"),
			do_fetch_range, cases[i][1]);
	check(SCRIPT(LOGIN(""), OPEN("3"), "C: UID FETCH 7 (*", "S: * 1 FETCH (UID 7 BODY[]<0> \"hel\")",
		      "S: %t OK", "C: NOOP", "S: %t OK", "C: UID FETCH 7 (UID FLAGS)",
		      "S: * 1 FETCH (UID 7 FLAGS ())", "S: %t OK"),
		do_fetch_range, "ready|fetch PROTOCOL|");
}

static void what_came_with_a_refusal_counts(void)
{
	check(SCRIPT(LOGIN(""), OPEN("3"), "C: UID FETCH 7:9 (*", "S: * 1 FETCH (UID 7 BODY[] \"a\")",
		      "S: * 2 FETCH (UID 8 BODY[] \"b\")", "S: %t NO [EXPUNGEISSUED] some are gone", "C: NOOP",
		      "S: * 3 EXPUNGE", "S: %t OK", "C: UID FETCH 9 (UID FLAGS)", "S: %t OK"),
		do_fetch_three,
		"ready|begin 7 1|a|end 7|begin 8 1|b|end 8|changed INBOX|fetch OK|");
}

static void refusals_of_fetch_have_their_errors(void)
{
	static const char *const cases[][2] = {
		{ "S: %t NO [UNAVAILABLE] x", "ready|fetch TRY_LATER|" },
		{ "S: %t NO [LIMIT] x", "ready|fetch TRY_LATER|" },
		{ "S: %t NO [OVERQUOTA] Account exceeded command or bandwidth limits",
			"ready|fetch TRY_LATER|" },
		{ "S: %t BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds",
			"ready|fetch TRY_LATER|" },
		{ "S: %t BAD User is authenticated but not connected.", "ready|fetch TRY_LATER|" },
		{ "S: %t NO [NOPERM] x", "ready|fetch DENIED|" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		check(SCRIPT(FETCHING, cases[i][0]), do_fetch, cases[i][1]);
}

static void another_uidvalidity_is_stale(void)
{
	check(SCRIPT(LOGIN(""), "C: EXAMINE *", "S: * 3 EXISTS", "S: * OK [UIDVALIDITY 10]", "S: %t OK"),
		do_fetch, "ready|fetch STALE|");
	/* In the middle of the fetch. */
	check(SCRIPT(FETCHING, "S: * OK [UIDVALIDITY 99] new",
		      "S: * 1 FETCH (UID 7 BODY[] \"a\")", "S: %t OK"),
		do_fetch, "ready|changed INBOX|begin 7 1|a|end 7|fetch STALE|");
}

static void sequence_numbers_name_nothing(void)
{
	check(SCRIPT(FETCHING, "S: * 0 FETCH (UID 7 BODY[] \"x\")", "S: * 4294967295 FETCH (FLAGS ())",
		      "S: * 0 EXPUNGE", "S: * 99 EXPUNGE", "S: * 1 FETCH (UID 7 BODY[] \"a\")", "S: %t OK"),
		do_fetch, "ready|changed INBOX|begin 7 1|a|end 7|fetch OK|");
}

static void bodies_that_nobody_asked_for_are_dropped(void)
{
	g_autofree char *big = big_line("UID 5 ", "");

	check(SCRIPT(FETCHING, "S: * 1 FETCH (UID 6 BODY[] \"evil\")", big,
		      "S: * 1 FETCH (UID 7 BODY[] \"a\")", "S: * 1 FETCH (UID 7 BODY[] \"b\")", "S: %t OK"),
		do_fetch, "ready|begin 7 1|a|end 7|fetch OK|");
}

static void noise_is_tolerated_everywhere(void)
{
	static const char *const noise[] = {
		"S: * OK still here", "S: * NO disk is nearly full", "S: * BAD what", "S: * 3 EXISTS",
		"S: * 0 RECENT", "S: * CAPABILITY IMAP4rev1 LOGINDISABLED", "S: * FLAGS (\\Seen)",
		"S: * SEARCH 1 2", "S: * X-UNKNOWN (a (b {3}\r\nabc))", "S: * LIST () \"/\" x",
		"S: * OK [COPYUID 1 2 3] x", "S: * STATUS x (MESSAGES 1)", "S: * ENABLED X",
		"S: * OK [X-CODE (a b] c", "S: * ID NIL",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(noise); i++)
		check(SCRIPT("S: * OK [CAPABILITY IMAP4rev1] hi", "C: LOGIN \"u\" \"p\"", noise[i],
			      "S: %t OK [CAPABILITY IMAP4rev1] in", noise[i], "C: EXAMINE *", BOX("3"),
			      noise[i], "S: %t OK", noise[i], "C: UID FETCH 7 *", noise[i],
			      "S: * 1 FETCH (UID 7 BODY[] \"a\")", noise[i], "S: %t OK"),
			do_fetch, "ready|begin 7 1|a|end 7|fetch OK|");
}

static void alerts_are_told(void)
{
	check(SCRIPT(LOGIN(""), "C: NOOP", "S: * OK [ALERT] disk \033[31mfull", "S: %t OK"), do_poll,
		"ready|alert disk ?[31mfull|poll OK|");
}

/* ---- the session ----------------------------------------------------------------------------- */

/* What it was sent for is not known to have failed: it goes to another connection (AS-4). */
static void a_reason_to_say_goodbye_is_none_to_refuse(void)
{
	static const char *const codes[] = { "PRIVACYREQUIRED", "NONEXISTENT", "EXPIRED", "CANNOT", "X-Y" };

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		g_autofree char *bye = g_strdup_printf("S: * BYE [%s] good night", codes[i]);

		check(SCRIPT(FETCHING, bye, "!close"), do_fetch,
			"ready|fetch LOST|dead LOST|");
	}
	check(SCRIPT(FETCHING, "S: * BYE [UNAVAILABLE] good night", "!close"), do_fetch,
		"ready|fetch TRY_LATER|dead TRY_LATER|");
}

static void bye_ends_the_session_at_once(void)
{
	check(SCRIPT(FETCHING, "S: * BYE Session expired, please login again.", "S: %t OK", "!stall"),
		do_fetch, "ready|fetch LOST|dead LOST|");
}

static void a_stream_of_byes_is_one(void)
{
	GString *byes = g_string_new("R: ");

	for (int i = 0; i < 10000; i++)
		g_string_append(byes, "* BYE\r\n");
	check(SCRIPT(LOGIN(""), byes->str, "!close"), NULL, "ready|dead LOST|");
	g_string_free(byes, TRUE);
}

static void an_answer_that_comes_twice_is_forgiven_once(void)
{
	check(SCRIPT(LOGIN(""), "C: NOOP", "S: %t OK", "S: %t OK"), do_poll, "ready|poll OK|");
	check(SCRIPT(LOGIN(""), "C: NOOP", "R: %t OK\r\n%t OK\r\n%t OK\r\n", "!stall"), do_poll,
		"ready|poll OK|dead PROTOCOL|");
}

static void an_answer_to_a_future_tag_closes(void)
{
	check(SCRIPT(LOGIN(""), "C: NOOP", "S: %t9 OK", "!stall"), do_poll,
		"ready|poll PROTOCOL|dead PROTOCOL|");
	check(SCRIPT(LOGIN(""), "C: NOOP", "S: a1 OK", "!stall"), do_poll,
		"ready|poll PROTOCOL|dead PROTOCOL|");
}

static void a_plus_that_is_not_due_closes(void)
{
	check(SCRIPT(LOGIN(""), "C: NOOP", "S: + go", "!stall"), do_poll,
		"ready|poll PROTOCOL|dead PROTOCOL|");
}

static void do_fetch_and_cancel(struct play *play)
{
	do_fetch(play);
	imap_backend.cancel(play->session, play->ticket);
	do_poll(play);
}

static void a_cancelled_request_is_not_sent(void)
{
	check(SCRIPT(LOGIN(""), "C: NOOP", "S: %t OK"), do_fetch_and_cancel,
		"ready|fetch CANCELLED|poll OK|");
}

static void a_request_cancelled_in_its_own_callback_ends(void)
{
	struct play play;

	play_init(&play, SCRIPT(FETCHING, "S: * 1 FETCH (UID 7 BODY[] \"a\")", "!stall"));
	play.act = do_fetch;
	play.cancel_in_data = true;
	play_run(&play, "fetch CANCELLED|");
	g_assert_cmpstr(play.log->str, ==, "ready|begin 7 1|a|fetch CANCELLED|");
	play_done(&play);
}

static void on_closed(void *user)
{
	g_string_append(((struct play *)user)->log, "closed|");
}

static void do_fetch_and_close(struct play *play)
{
	do_fetch(play);
	imap_backend.close(play->session, on_closed, play);
}

static void close_ends_requests_and_says_goodbye(void)
{
	check(SCRIPT(LOGIN(""), "C: LOGOUT", "S: * BYE", "S: %t OK", "!close"), do_fetch_and_close,
		"ready|fetch CANCELLED|closed|");
	check(SCRIPT(LOGIN(""), "C: LOGOUT", "!close"), do_fetch_and_close,
		"ready|fetch CANCELLED|closed|");
}

static void do_compress_and_fetch(struct play *play)
{
	imap_backend.compress(play->session);
	imap_backend.compress(play->session);
	do_fetch(play);
}

#define COMPRESSING LOGIN(" COMPRESS=DEFLATE"), "C: COMPRESS DEFLATE"
#define FETCHED     OPEN("3"), "C: UID FETCH 7 (*", "S: * 1 FETCH (UID 7 BODY[] \"a\")", "S: %t OK"

static void nothing_follows_compress_before_its_answer(void)
{
	check(SCRIPT(COMPRESSING, "S: * OK wait", "S: %t NO not today", FETCHED), do_compress_and_fetch,
		"ready|begin 7 1|a|end 7|fetch OK|");
}

static void compress_that_is_not_offered_is_not_asked_for(void)
{
	check(SCRIPT(LOGIN(""), FETCHED), do_compress_and_fetch, "ready|begin 7 1|a|end 7|fetch OK|");
}

/* LOGOUT could be read as compressed or not. */
static void do_compress_and_close(struct play *play)
{
	imap_backend.compress(play->session);
	imap_backend.close(play->session, on_closed, play);
}

static void nothing_is_said_to_a_server_that_may_compress_or_not(void)
{
	check(SCRIPT(LOGIN(" COMPRESS=DEFLATE"), "!stall"), do_compress_and_close, "ready|closed|");
}

static void do_compress(struct play *play)
{
	imap_backend.compress(play->session);
}

static void clear_text_behind_compress_ends_it(void)
{
	check(SCRIPT(COMPRESSING, "R: %t OK\r\n* 1 EXISTS\r\n* 2 EXISTS\r\n", "!stall"),
		do_compress, "ready|dead PROTOCOL|");
}

static void do_other_box(struct play *play)
{
	do_fetch(play);
	fetch_uids(play, "Work", (const uint32_t[]){ 1 }, 1, NULL);
	do_poll(play);
}

static void another_folder_waits_until_nothing_is_in_flight(void)
{
	check(SCRIPT(FETCHING, "S: * 1 FETCH (UID 7 BODY[] \"a\")", "S: %t OK", "C: EXAMINE \"Work\"",
		      BOX("1"), "S: %t OK", "C: UID FETCH 1 (*", "C: NOOP",
		      "S: * 1 FETCH (UID 1 BODY[] \"b\")", "S: %u OK", "S: %t OK"),
		do_other_box,
		"ready|begin 7 1|a|end 7|fetch OK|begin 1 1|b|end 1|fetch OK|poll OK|");
}

static void do_two_fetches(struct play *play)
{
	do_fetch(play);
	fetch_uids(play, "INBOX", (const uint32_t[]){ 8 }, 1, NULL);
}

/* SZ-2: whose it is, is told behind it, and each of two may be it. */
static void a_body_without_a_name_is_nobodys_while_two_are_due(void)
{
	g_autofree char *late = big_line("", " UID 8");
	struct play play;

	play_init(&play, SCRIPT(LOGIN(""), OPEN("3"), "C: UID FETCH 7 (*", "C: UID FETCH 8 (*", late,
				 "S: * 1 FETCH (UID 7 BODY[] \"a\")", "S: %u OK", "S: %t OK",
				 "C: UID FETCH 8 (UID BODY*", late, "S: %t OK"));
	play.act = do_two_fetches;
	play_run(&play, "end 8|fetch OK|");
	g_assert_cmpstr(play.log->str, ==,
		"ready|begin 7 1|a|end 7|fetch OK|begin 8 100000|end 8|fetch OK|");
	play_done(&play);
}

static void fetches_of_one_folder_are_pipelined(void)
{
	/* Both are there before the first is answered; answered in the other order. */
	check(SCRIPT(FETCHING, "C: UID FETCH 8 (*", "S: * 2 FETCH (UID 8 BODY[] \"b\")", "S: %t OK",
		      "S: * 1 FETCH (UID 7 BODY[] \"a\")", "S: %u OK"),
		do_two_fetches,
		"ready|begin 8 1|b|end 8|fetch OK|begin 7 1|a|end 7|fetch OK|");
}

/* ---- rules that hold whatever happens ------------------------------------------------------- */

static void a_secret_that_comes_too_late_is_dropped(void)
{
	struct play play;

	play_init(&play, SCRIPT("S: * OK [CAPABILITY IMAP4rev1] hi", "!stall"));
	play.password = NULL; /* a person is still typing */
	play_run(&play, "");
	while (play.secrets == 0)
		g_main_context_iteration(NULL, TRUE);
	server_close(&play);
	play_run(&play, "dead LOST|");
	play.late_secret(play.late_user, "p", NULL);
	play_done(&play);
}

static void no_secret_is_a_login_error(void)
{
	struct play play;

	play_init(&play, SCRIPT("S: * OK [CAPABILITY IMAP4rev1] hi", "!stall"));
	play.password = NULL;
	play_run(&play, "");
	while (play.secrets == 0)
		g_main_context_iteration(NULL, TRUE);
	play.late_secret(play.late_user, NULL, NULL);
	play_run(&play, "dead LOGIN|");
	g_assert_cmpstr(play.extra->str, ==, "");
	play_done(&play);
}

static void close_during_the_login_is_quiet(void)
{
	struct play play;

	play_init(&play, SCRIPT("S: * OK hi", "C: CAPABILITY", "!stall"));
	play_run(&play, "");
	while (play.at < 2)
		g_main_context_iteration(NULL, TRUE);
	do_list(&play);
	imap_backend.close(play.session, on_closed, &play);
	g_assert_cmpstr(play.log->str, ==, "");
	play_run(&play, "closed|");
	g_assert_cmpstr(play.log->str, ==, "list CANCELLED|closed|");
	play_done(&play);
}

static void requests_before_ready_wait_for_it(void)
{
	struct play play;

	play_init(&play, SCRIPT(LOGIN(""), "C: NOOP", "S: %t OK"));
	play_run(&play, "");
	do_poll(&play);
	play_run(&play, "poll OK|");
	g_assert_cmpstr(play.log->str, ==, "ready|poll OK|");
	play_done(&play);
}

static void free_at_any_time_calls_nobody(void)
{
	for (size_t len = 0; len < 60; len++) {
		struct play play;

		play_init(&play, SCRIPT(FETCHING, "S: * 1 FETCH (UID 7 BODY[] {5}\r\nhello)", "S: %t OK"));
		play.act = do_fetch;
		play_run(&play, "");
		for (size_t i = 0; i < len; i++)
			g_main_context_iteration(NULL, FALSE);
		g_string_truncate(play.log, 0);
		imap_backend.free(play.session);
		play.session = NULL;
		g_assert_cmpstr(play.log->str, ==, "");
		play_done(&play);
	}
}

static void do_everything(struct play *play)
{
	do_list(play);
	do_sync(play);
	do_uids(play);
	do_fetch_three(play);
	do_fetch_range(play);
	do_poll(play);
}

/* A server that breaks off when both sides are silent. */
static void run_bent(struct play *play)
{
	unsigned quiet = 0;

	play_run(play, "");
	while (!play->is_dead) {
		bool is_busy = g_main_context_iteration(NULL, !play->connection && play->input->len == 0 &&
			!play->readable && play->at == 0);

		quiet = is_busy ? 0 : quiet + 1;
		if (quiet > 200)
			server_close(play);
	}
	g_assert_cmpuint(play->open, ==, 0);
}

static void every_request_ends_once_whatever_the_server_says(void)
{
	static const struct mailfs_known known = {
		.uidvalidity = 9, .uid_max = 8, .count = 3, .modseq = 5,
	};
	guint32 count = g_getenv("MAILFS_TEST_SEEDS") ? (guint32)g_ascii_strtoull(g_getenv("MAILFS_TEST_SEEDS"), NULL, 10) : 150;

	for (guint32 seed = 1; seed <= count; seed++) {
		struct play play;

		play_init(&play,
			SCRIPT(ENABLED, "C: LIST*", "S: * LIST () \"/\" INBOX",
				"S: * LIST (\\Noselect) \".\" {3}\r\na.b", "S: %t OK", "C: LSUB *",
				"S: * LSUB () \"/\" INBOX", "S: %t OK", OPEN_QRESYNC("3", "7"),
				"C: UID FETCH 7:9 *", "C: UID FETCH 7 *", "C: NOOP",
				"S: * 1 FETCH (UID 7 BODY[] {3}\r\nabc)", "S: * 2 FETCH (UID 8 BODY[] \"b\")",
				"S: %v NO [EXPUNGEISSUED] x", "S: * 1 FETCH (UID 7 BODY[]<2> \"ab\")",
				"S: %u OK", "S: %t OK",
				"C: UID FETCH 1:8 *", "C: UID FETCH 9:*", "S: * VANISHED (EARLIER) 4,6:7",
				"S: * 1 FETCH (UID 3 FLAGS (\\Seen x) MODSEQ (6))", "S: %u OK",
				"S: * 3 FETCH (UID 9 FLAGS () RFC822.SIZE 5 BODY[HEADER.FIELDS (SUBJECT)] {12}\r\n"
				"Subject: x\r\n)",
				"S: %t OK", "C: UID SEARCH *", "S: * SEARCH 7 5", "S: %t OK", "C: NOOP",
				"S: %t OK", "C: UID FETCH 9 *", "S: * 1 FETCH (UID 9 FLAGS ())", "S: %t OK",
				"!stall"));
		play.mutator = g_rand_new_with_seed(seed);
		play.act = do_everything;
		play.known = known;
		run_bent(&play);
		g_rand_free(play.mutator);
		play_done(&play);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *path;
		void (*test)(void);
	} tests[] = {
		{ "/backend/imap/login/EX-3 uses LOGIN when nothing else is offered",
			login_uses_the_login_command_when_nothing_else_is_offered },
		{ "/backend/imap/login/EX-5 asks for capabilities again",
			login_asks_for_capabilities_again_after_the_login },
		{ "/backend/imap/login/login sends extras in one go",
			login_sends_extras_in_one_go },
		{ "/backend/imap/login/EX-4 survives refused extras",
			login_survives_refused_extras },
		{ "/backend/imap/login/login prefers sasl plain to the login command",
			login_prefers_sasl_plain_to_the_login_command },
		{ "/backend/imap/login/CN-5 answers a bare plus",
			login_answers_a_bare_plus },
		{ "/backend/imap/login/login takes the next mechanism only when one is unknown",
			login_takes_the_next_mechanism_only_when_one_is_unknown },
		{ "/backend/imap/login/CN-5 SEC-19 a refusal is tried once only",
			login_refused_is_tried_once_only },
		{ "/backend/imap/login/CN-5 reads the error of an OAuth server",
			login_reads_the_error_of_an_oauth_server },
		{ "/backend/imap/login/CN-5 authenticated but not connected is for later",
			login_fails_for_authenticated_but_not_connected },
		{ "/backend/imap/login/CN-2 connection limits are no wrong password",
			connection_limits_are_no_wrong_password },
		{ "/backend/imap/login/SEC-20 passwords with line ends are not sent",
			passwords_with_line_ends_are_not_sent },
		{ "/backend/imap/login/SEC-20 passwords that cannot be quoted go as literals",
			passwords_that_cannot_be_quoted_go_as_literals },
		{ "/backend/imap/login/SEC-20 a literal is not sent after a refusal",
			a_literal_is_not_sent_after_a_refusal },
		{ "/backend/imap/greeting/SEC-1 PREAUTH in clear is refused",
			preauth_in_clear_is_refused_where_tls_is_due },
		{ "/backend/imap/greeting/AS-5 PREAUTH on a loopback tunnel is taken",
			preauth_on_a_loopback_tunnel_is_taken },
		{ "/backend/imap/greeting/SEC-2 PX-16 what is no greeting closes",
			what_is_no_greeting_closes },
		{ "/backend/imap/greeting/PX-16 a huge greeting closes",
			a_huge_greeting_closes },
		{ "/backend/imap/greeting/SEC-4 answers to commands not sent close",
			answers_to_commands_that_were_not_sent_close },
		{ "/backend/imap/greeting/PX-18 a whole session before any command closes",
			a_whole_session_before_any_command_closes },
		{ "/backend/imap/greeting/SEC-5 STARTTLS missing or refused ends it",
			starttls_that_is_missing_or_refused_ends_it },
		{ "/backend/imap/greeting/SEC-3 clear text behind STARTTLS ends it",
			clear_text_behind_starttls_ends_it },
		{ "/backend/imap/list/list asks for everything at once where it can",
			list_asks_for_everything_at_once_where_it_can },
		{ "/backend/imap/list/EX-4 falls back to the plain form",
			list_falls_back_to_the_plain_form },
		{ "/backend/imap/list/EX-3 without LSUB lists unsubscribed",
			list_without_lsub_lists_unsubscribed },
		{ "/backend/imap/sync/an empty list is an error",
			an_empty_list_is_an_error },
		{ "/backend/imap/list/globs apply to the decoded path and what is inside",
			globs_apply_to_the_decoded_path_and_what_is_inside },
		{ "/backend/imap/list/a trash that is left out", a_trash_that_is_left_out_is_hidden },
		{ "/backend/imap/list/NM-6 only the personal namespace is listed",
			only_the_personal_namespace_is_listed },
		{ "/backend/imap/sync/a new folder is swept",
			a_new_folder_is_swept },
		{ "/backend/imap/sync/an empty folder is an empty listing",
			an_empty_folder_is_an_empty_listing },
		{ "/backend/imap/sync/EX-4 a full listing without messages is an error",
			a_full_listing_without_messages_is_an_error },
		{ "/backend/imap/sync/AS-1 an expunge during the sweep is no lie",
			an_expunge_during_the_sweep_is_no_lie },
		{ "/backend/imap/sync/EX-3 without CONDSTORE all flags are compared",
			without_condstore_all_flags_are_compared },
		{ "/backend/imap/sync/nothing is asked when nothing changed",
			nothing_is_asked_when_nothing_changed },
		{ "/backend/imap/sync/ID-1 another UIDVALIDITY resets",
			another_uidvalidity_resets },
		{ "/backend/imap/sync/condstore asks for changes only",
			condstore_asks_for_changes_only },
		{ "/backend/imap/sync/condstore lists uids when the numbers differ",
			condstore_lists_uids_when_the_numbers_differ },
		{ "/backend/imap/sync/EX-3 EX-4 UID lists fall back to FETCH",
			uid_lists_fall_back_from_esearch_to_search_to_fetch },
		{ "/backend/imap/sync/ID-4 messages never heard of are swept",
			messages_that_were_never_heard_of_are_swept },
		{ "/backend/imap/sync/qresync tells what vanished",
			qresync_tells_what_vanished },
		{ "/backend/imap/sync/ID-6 SEC-29 VANISHED of everything is checked, not expanded",
			vanished_of_everything_is_checked_and_never_expanded },
		{ "/backend/imap/sync/SEC-29 a SEARCH that names everything is an error",
			a_search_for_everything_is_an_error },
		{ "/backend/imap/sync/ID-6 VANISHED of most is checked",
			vanished_of_most_is_checked_against_the_uid_list },
		{ "/backend/imap/sync/ID-6 a MODSEQ that went back is not used",
			modseq_that_went_back_is_not_used },
		{ "/backend/imap/sync/EX-4 CHANGEDSINCE refused is not used",
			changedsince_that_is_refused_is_not_used },
		{ "/backend/imap/sync/EX-4 EXAMINE (CONDSTORE) refused is sent plain",
			examine_with_condstore_that_is_refused_is_sent_plain },
		{ "/backend/imap/sync/examine without exists is an error",
			examine_without_exists_is_an_error },
		{ "/backend/imap/sync/SZ-9 an absurd number of messages is an error",
			an_absurd_number_of_messages_is_an_error },
		{ "/backend/imap/sync/SEC-6 SEC-7 refusals of EXAMINE have their errors",
			refusals_of_examine_have_their_errors },
		{ "/backend/imap/sync/ID-4 UIDs come in any order and twice",
			uids_may_come_in_any_order_and_twice },
		{ "/backend/imap/sync/ID-2 UIDVALIDITY beyond 32 bits is none",
			uidvalidity_beyond_32_bits_is_none },
		{ "/backend/imap/sync/big folders are swept in chunks",
			big_folders_are_swept_in_chunks },
		{ "/backend/imap/sync/SZ-1 PX-7 what the server cannot say hides no message",
			what_the_server_cannot_say_hides_no_message },
		{ "/backend/imap/sync/PX-20 a message in two lines keeps both",
			a_message_in_two_lines_keeps_both },
		{ "/backend/imap/sync/AS-1 flags changed by others during a sweep are news",
			flags_changed_by_others_during_a_sweep_are_news },
		{ "/backend/imap/sync/chunks of dense UIDs need no question",
			chunks_of_dense_uids_need_no_question },
		{ "/backend/imap/sync/a sweep asks far ahead", a_sweep_asks_far_ahead },
		{ "/backend/imap/sync/a sweep tells how far it has got",
			a_sweep_tells_how_far_it_has_got },
		{ "/backend/imap/sync/a fetch gets between the chunks of a sweep",
			a_fetch_gets_between_the_chunks_of_a_sweep },
		{ "/backend/imap/sync/gmail and objectid name the content",
			gmail_and_objectid_name_the_content },
		{ "/backend/imap/uids/ID-3 UIDs are listed plainly",
			uids_are_listed_plainly },
		{ "/backend/imap/poll/AS-1 what nobody asked for is told once",
			what_nobody_asked_for_is_told_once },
		{ "/backend/imap/fetch/a message is fetched whole",
			a_message_is_fetched_whole },
		{ "/backend/imap/fetch/SZ-5 fake answers inside a body are body",
			fake_answers_inside_a_body_are_body },
		{ "/backend/imap/fetch/several messages go in one command",
			several_messages_go_in_one_command },
		{ "/backend/imap/fetch/SZ-2 no line and not listed is gone",
			no_line_and_not_listed_is_gone },
		{ "/backend/imap/fetch/SZ-2 SZ-3 no body though listed is an error",
			no_body_though_it_is_listed_is_an_error },
		{ "/backend/imap/fetch/SZ-2 news to the connection is asked for again",
			a_message_that_is_news_to_the_connection_is_asked_for_again },
		{ "/backend/imap/fetch/SZ-3 an empty body needs an empty message",
			an_empty_body_needs_an_empty_message },
		{ "/backend/imap/fetch/SZ-5 a literal too long kills the session",
			a_literal_that_is_too_long_kills_the_session },
		{ "/backend/imap/fetch/SZ-5 a literal too short is no message",
			a_literal_that_is_too_short_is_no_message },
		{ "/backend/imap/fetch/SZ-5 a stray line end behind the literal is tolerated",
			a_stray_line_end_behind_the_literal_is_tolerated },
		{ "/backend/imap/fetch/SZ-6 a body cut anywhere has no end",
			a_body_that_is_cut_anywhere_has_no_end },
		{ "/backend/imap/fetch/big bodies stream",
			big_bodies_stream },
		{ "/backend/imap/fetch/SZ-6 a big body that is cut has no end",
			a_big_body_that_is_cut_has_no_end },
		{ "/backend/imap/fetch/big bodies without a name are fetched alone",
			big_bodies_without_a_name_are_fetched_alone },
		{ "/backend/imap/fetch/SZ-2 a body without a name while two are due",
			a_body_without_a_name_is_nobodys_while_two_are_due },
		{ "/backend/imap/fetch/SZ-5 ranges are checked by their origin",
			ranges_are_checked_by_their_origin },
		{ "/backend/imap/fetch/AS-2 what came with a refusal counts",
			what_came_with_a_refusal_counts },
		{ "/backend/imap/fetch/CN-3 refusals of FETCH have their errors",
			refusals_of_fetch_have_their_errors },
		{ "/backend/imap/fetch/ID-1 another UIDVALIDITY is stale",
			another_uidvalidity_is_stale },
		{ "/backend/imap/fetch/ID-5 SEC-34 sequence numbers name nothing",
			sequence_numbers_name_nothing },
		{ "/backend/imap/fetch/PX-15 bodies nobody asked for are dropped",
			bodies_that_nobody_asked_for_are_dropped },
		{ "/backend/imap/session/AS-1 noise is tolerated everywhere",
			noise_is_tolerated_everywhere },
		{ "/backend/imap/session/SEC-7 alerts are told, cleaned",
			alerts_are_told },
		{ "/backend/imap/session/AS-4 BYE with a code",
			a_reason_to_say_goodbye_is_none_to_refuse },
		{ "/backend/imap/session/AS-4 BYE ends the session at once",
			bye_ends_the_session_at_once },
		{ "/backend/imap/session/AS-4 a stream of BYEs is one",
			a_stream_of_byes_is_one },
		{ "/backend/imap/session/PX-14 an answer that comes twice is forgiven once",
			an_answer_that_comes_twice_is_forgiven_once },
		{ "/backend/imap/session/PX-14 SEC-4 an answer to a future tag closes",
			an_answer_to_a_future_tag_closes },
		{ "/backend/imap/session/PX-2 a plus that is not due closes",
			a_plus_that_is_not_due_closes },
		{ "/backend/imap/session/a cancelled request is not sent",
			a_cancelled_request_is_not_sent },
		{ "/backend/imap/session/a request cancelled in its own callback ends",
			a_request_cancelled_in_its_own_callback_ends },
		{ "/backend/imap/session/close ends requests and says goodbye",
			close_ends_requests_and_says_goodbye },
		{ "/backend/imap/compress/CN-6 nothing behind it", nothing_follows_compress_before_its_answer },
		{ "/backend/imap/compress/not offered", compress_that_is_not_offered_is_not_asked_for },
		{ "/backend/imap/compress/CN-6 close", nothing_is_said_to_a_server_that_may_compress_or_not },
		{ "/backend/imap/compress/EX-6 clear text", clear_text_behind_compress_ends_it },
		{ "/backend/imap/session/CN-6 another folder waits",
			another_folder_waits_until_nothing_is_in_flight },
		{ "/backend/imap/session/CN-6 fetches of one folder are pipelined",
			fetches_of_one_folder_are_pipelined },
		{ "/backend/imap/session/a secret that comes too late is dropped",
			a_secret_that_comes_too_late_is_dropped },
		{ "/backend/imap/session/no secret is a login error", no_secret_is_a_login_error },
		{ "/backend/imap/session/close during the login is quiet", close_during_the_login_is_quiet },
		{ "/backend/imap/session/requests before ready wait for it",
			requests_before_ready_wait_for_it },
		{ "/backend/imap/session/free at any time calls nobody", free_at_any_time_calls_nobody },
		{ "/backend/imap/session/AS-1 every request ends once whatever the server says",
			every_request_ends_once_whatever_the_server_says },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].path, tests[i].test);
	return g_test_run();
}
