/* SPDX-License-Identifier: MIT */
/* The IMAP backend: flags, moves and removals of messages. */
#include "backend_play.h"

#define OPEN_RW(exists) "C: SELECT \"INBOX\"", BOX(exists), "S: %t OK [READ-WRITE] open"

/* ---- what tests do --------------------------------------------------------------------------- */

struct change {
	const uint32_t *uids;
	size_t count;
	unsigned add, remove;
	const char *const *add_keywords, *const *remove_keywords;
	const char *target;
};

static struct change change; /* of the test that runs */

#define UIDS(...)                                                                                  \
	.uids = (const uint32_t[]){ __VA_ARGS__ },                                                 \
	.count = sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t)

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void on_flags(void *user, uint32_t uid, unsigned flags, const char *const *keywords)
{
	struct play *play = user;

	g_string_append_printf(play->log, "f%u=%u", uid, flags);
	for (size_t i = 0; keywords && keywords[i]; i++)
		g_string_append_printf(play->log, " %s", keywords[i]);
	g_string_append_c(play->log, '|');
}

static void on_store_done(void *user, const GError *error)
{
	finish(user, "store", error);
}

static void do_store(struct play *play)
{
	struct mailfs_store_request request = {
		.folder = "INBOX", .uidvalidity = 9, .uids = change.uids, .uid_count = change.count,
		.add = change.add, .remove = change.remove, .add_keywords = change.add_keywords,
		.remove_keywords = change.remove_keywords, .flags = on_flags, .done = on_store_done,
		.user = play,
	};

	play->open++;
	play->ticket = imap_backend.store(play->session, &request);
}

/* Like check(), of a session that may change things. */
static void check_change(const char *const *script, void (*act)(struct play *play), const char *want)
{
	const char *last = want + strlen(want) - 1;
	struct play play;

	while (last > want && last[-1] != '|')
		last--;
	play_init(&play, script);
	play.config.is_read_only = false;
	play.act = act;
	play_run(&play, last);
	g_assert_cmpstr(play.log->str, ==, want);
	g_assert_cmpstr(play.extra->str, ==, "");
	play_done(&play);
}

#define CHECK(script, act, want, ...)                                                              \
	do {                                                                                       \
		change = (struct change){ __VA_ARGS__ };                                           \
		check_change(script, act, want);                                                   \
	} while (0)

/* ---- rights ---------------------------------------------------------------------------------- */

static void on_rights_state(void *user, const struct mailfs_sync_state *state)
{
	g_string_append_printf(((struct play *)user)->log, "rights %x flags %x %s|", state->rights,
		state->permanent_flags, state->keywords_allowed ? "any" : "known");
}

static void do_rights(struct play *play)
{
	struct mailfs_sync_request request = {
		.folder = "INBOX", .state = on_rights_state, .messages = on_messages, .uids = on_uids,
		.vanished = on_vanished, .done = on_sync_done, .user = play,
	};

	play->open++;
	imap_backend.sync(play->session, &request);
}

#define EMPTY_BOX "S: * 0 EXISTS", "S: * OK [UIDVALIDITY 9] v"

static void all_is_allowed_where_nothing_else_is_said(void)
{
	check_change(SCRIPT(LOGIN(""), "C: SELECT \"INBOX\"", EMPTY_BOX, "S: %t OK [READ-WRITE]"),
		do_rights, "ready|rights 3f flags 1f any|modseq 0|sync OK|");
}

static void a_read_only_folder_gives_no_rights(void)
{
	check_change(SCRIPT(LOGIN(""), "C: SELECT \"INBOX\"", EMPTY_BOX, "S: %t OK [READ-ONLY]"),
		do_rights, "ready|rights 0 flags 1f any|modseq 0|sync OK|");
}

static void uids_that_do_not_last_give_no_rights(void)
{
	check_change(SCRIPT(LOGIN(""), "C: SELECT \"INBOX\"", "S: * 0 EXISTS", "S: %t OK"), do_rights,
		"ready|rights 0 flags 1f any|modseq 0|sync OK|");
}

static void rights_are_asked_for_along_with_the_folder(void)
{
	/* Both are out before the first answer. */
	check_change(SCRIPT(LOGIN(" ACL"), "C: MYRIGHTS \"INBOX\"", "C: SELECT \"INBOX\"",
			     "S: * MYRIGHTS INBOX lrsti", "S: %u OK", EMPTY_BOX, "S: %t OK"),
		do_rights, "ready|rights 5 flags 1f any|modseq 0|sync OK|");
	check_change(SCRIPT(LOGIN(" ACL"), "C: MYRIGHTS \"INBOX\"", "C: SELECT \"INBOX\"",
			     "S: * MYRIGHTS \"INBOX\" \"\"", "S: %u OK", EMPTY_BOX, "S: %t OK"),
		do_rights, "ready|rights 0 flags 1f any|modseq 0|sync OK|");
}

static void refused_rights_are_unknown_rights(void)
{
	check_change(SCRIPT(LOGIN(" ACL"), "C: MYRIGHTS \"INBOX\"", "C: SELECT \"INBOX\"",
			     "S: %u NO [NOPERM] no", EMPTY_BOX, "S: %t OK"),
		do_rights, "ready|rights 3f flags 1f any|modseq 0|sync OK|");
	check_change(SCRIPT(LOGIN(" ACL"), "C: MYRIGHTS \"INBOX\"", "C: SELECT \"INBOX\"",
			     "S: %u BAD what", EMPTY_BOX, "S: * OK [MYRIGHTS \"acdilrsw\"] told",
			     "S: %t OK"),
		do_rights, "ready|rights 3f flags 1f any|modseq 0|sync OK|");
}

static void a_read_only_mount_asks_for_no_rights(void)
{
	check(SCRIPT(LOGIN(" ACL"), "C: EXAMINE \"INBOX\"", EMPTY_BOX, "S: %t OK [READ-ONLY]"),
		do_rights, "ready|rights 0 flags 1f any|modseq 0|sync OK|");
}

static void permanent_flags_are_told(void)
{
	static const struct {
		const char *line, *want;
	} cases[] = {
		{ "S: * OK [PERMANENTFLAGS (\\Seen \\*)]", "flags 1 any" },
		{ "S: * OK [PERMANENTFLAGS (\\Seen todo)]", "flags 1 known" },
		{ "S: * OK [PERMANENTFLAGS (\\*)]", "flags 0 any" },
		{ "S: * OK [PERMANENTFLAGS ()]", "flags 1f known" },
		{ "S: * OK none", "flags 1f any" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *want =
			g_strdup_printf("ready|rights 3f %s|modseq 0|sync OK|", cases[i].want);

		check_change(SCRIPT(LOGIN(""), "C: SELECT \"INBOX\"", EMPTY_BOX, cases[i].line,
				     "S: %t OK [READ-WRITE]"),
			do_rights, want);
	}
}

/* ---- flags ----------------------------------------------------------------------------------- */

static void flags_are_stored_and_read_back_in_one_go(void)
{
	CHECK(SCRIPT(LOGIN(""), OPEN_RW("3"), "C: UID STORE 5,7:8 +FLAGS.SILENT (\\Seen todo)",
		      "C: UID STORE 5,7:8 -FLAGS.SILENT (\\Flagged done)", "C: UID FETCH 5,7:8 (UID FLAGS)",
		      "S: %v OK", "S: %u OK", "S: * 1 FETCH (UID 5 FLAGS (\\Seen todo))",
		      "S: * 2 FETCH (FLAGS (\\Seen) UID 7)", "S: * 3 FETCH (UID 8 FLAGS ())", "S: %t OK"),
		do_store, "ready|f5=1 todo|f7=1|f8=0|store OK|", UIDS(5, 7, 8),
		.add = MAILFS_FLAG_SEEN, .remove = MAILFS_FLAG_FLAGGED, .add_keywords = WORDS("todo"),
		.remove_keywords = WORDS("done"));
}

#define STORE_SEEN "C: UID STORE 7 +FLAGS.SILENT (\\Seen)", "C: UID FETCH 7 (UID FLAGS)"

static void flags_that_did_not_change_are_reported_as_they_are(void)
{
	CHECK(SCRIPT(LOGIN(""), OPEN_RW("1"), STORE_SEEN, "S: %u OK", "S: * 1 FETCH (UID 7 FLAGS ())",
		      "S: %t OK"),
		do_store, "ready|f7=0|store OK|", UIDS(7), .add = MAILFS_FLAG_SEEN);
}

static void flags_told_before_the_change_are_not_taken_for_the_result(void)
{
	/* Not silent, of another message, without a name. */
	CHECK(SCRIPT(LOGIN(""), OPEN_RW("3"), STORE_SEEN, "S: * 1 FETCH (UID 7 FLAGS (\\Draft))",
		      "S: %u OK [MODIFIED 7] some", "S: * 1 FETCH (UID 7 FLAGS (\\Seen))", "S: %t OK"),
		do_store, "ready|f7=1|store OK|", UIDS(7), .add = MAILFS_FLAG_SEEN);
	CHECK(SCRIPT(LOGIN(""), OPEN_RW("3"), STORE_SEEN, "S: * 1 FETCH (FLAGS (\\Seen))", "S: %u OK",
		      "S: * 2 FETCH (UID 8 FLAGS (\\Draft))", "S: * 1 FETCH (UID 7 FLAGS (\\Seen))",
		      "S: %t OK"),
		do_store, "ready|changed INBOX|f7=1|store OK|", UIDS(7), .add = MAILFS_FLAG_SEEN);
}

static void a_refused_store_is_read_back_and_fails(void)
{
	static const struct {
		const char *answer, *want;
	} cases[] = {
		{ "S: %u NO [CANNOT] no such keyword", "INVALID" }, { "S: %u NO sorry", "PROTOCOL" },
		{ "S: %u BAD what", "PROTOCOL" },                   { "S: %u NO [NOPERM] no", "DENIED" },
		{ "S: %u NO [OVERQUOTA] full", "QUOTA" },           { "S: %u NO [UNAVAILABLE]", "TRY_LATER" },
		{ "S: %u NO Mailbox is read-only", "READ_ONLY" },   { "S: %u NO [LIMIT] many", "TOO_BIG" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *want =
			g_strdup_printf("ready|f7=0|store %s|", cases[i].want);

		CHECK(SCRIPT(LOGIN(""), OPEN_RW("1"), STORE_SEEN, cases[i].answer,
			      "S: * 1 FETCH (UID 7 FLAGS ())", "S: %t OK"),
			do_store, want, UIDS(7), .add = MAILFS_FLAG_SEEN);
	}
}

static void a_store_among_expunged_messages_is_judged_by_what_is_there(void)
{
	CHECK(SCRIPT(LOGIN(""), OPEN_RW("2"), "C: UID STORE 7:8 +FLAGS.SILENT (\\Seen)",
		      "C: UID FETCH 7:8 (UID FLAGS)", "S: %u NO [EXPUNGEISSUED] some are gone",
		      "S: * 1 FETCH (UID 7 FLAGS (\\Seen))", "S: * 2 EXPUNGE", "S: %t OK"),
		do_store, "ready|f7=1|changed INBOX|store OK|", UIDS(7, 8), .add = MAILFS_FLAG_SEEN);
}

static void a_folder_with_another_uidvalidity_is_not_touched(void)
{
	CHECK(SCRIPT(LOGIN(""), "C: SELECT \"INBOX\"", "S: * 1 EXISTS", "S: * OK [UIDVALIDITY 10] v",
		      "S: %t OK"),
		do_store, "ready|store STALE|", UIDS(7), .add = MAILFS_FLAG_SEEN);
}

static void nothing_but_atoms_becomes_a_keyword(void)
{
	static const char *const bad[] = {
		"", "a b", "a)", "(a", "a{3}", "a{3+}", "a\r\nx DELETE INBOX", "a\"", "a\\", "\\Seen",
		"a]b", "100%", "a*", "\303\244", "a\177",
		"0123456789012345678901234567890123456789012345678901234567890123x",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		CHECK(SCRIPT(LOGIN("")), do_store, "ready|store INVALID|", UIDS(7),
			.add_keywords = WORDS("good", bad[i]));
		CHECK(SCRIPT(LOGIN("")), do_store, "ready|store INVALID|", UIDS(7),
			.add = MAILFS_FLAG_SEEN, .remove_keywords = WORDS(bad[i]));
	}
}

static void a_read_only_mount_stores_nothing(void)
{
	change = (struct change){ UIDS(7), .add = MAILFS_FLAG_SEEN };
	check(SCRIPT(LOGIN("")), do_store, "ready|store READ_ONLY|");
}

static void no_messages_need_no_command(void)
{
	CHECK(SCRIPT(LOGIN("")), do_store, "ready|store OK|", .add = MAILFS_FLAG_SEEN);
}

static void many_messages_go_in_short_commands(void)
{
	g_autoptr(GPtrArray) script = g_ptr_array_new();
	const char *const login[] = { LOGIN(""), OPEN_RW("1") };
	uint32_t uids[400]; /* every second one: 4 sets of 900 octets */

	for (uint32_t i = 0; i < G_N_ELEMENTS(uids); i++)
		uids[i] = 100000001 + 2 * i;
	for (size_t i = 0; i < G_N_ELEMENTS(login); i++)
		g_ptr_array_add(script, (gpointer)login[i]);
	for (int i = 0; i < 5; i++) {
		g_ptr_array_add(script, "C: UID STORE 1* +FLAGS.SILENT (\\Seen)");
		g_ptr_array_add(script, "C: UID FETCH 1* (UID FLAGS)");
		g_ptr_array_add(script, "S: %u OK");
		g_ptr_array_add(script, "S: %t OK");
	}
	g_ptr_array_add(script, NULL);
	change = (struct change){
		.uids = uids, .count = G_N_ELEMENTS(uids), .add = MAILFS_FLAG_SEEN,
	};
	check_change((const char *const *)script->pdata, do_store, "ready|store OK|");
}

/* ---- the connection is cut ------------------------------------------------------------------- */

/* Runs the script with a connection that ends after every octet, of either side. */
static void cut_everywhere(const char *const *script, void (*act)(struct play *play), gsize *sent,
	gsize *received, void (*judge)(struct play *play))
{
	for (int side = 0; side < 2; side++) {
		gsize all = side == 0 ? *sent : *received;

		for (gsize at = 1; at < all; at++) {
			struct play play;

			play_init(&play, script);
			play.config.is_read_only = false;
			play.act = act;
			play.cut_out = side == 0 ? at : 0;
			play.cut_in = side == 1 ? at : 0;
			play_run(&play, "dead LOST|");
			judge(&play);
			play_done(&play);
		}
	}
}

/* How much both sides say when nothing goes wrong. */
static void measure(const char *const *script, void (*act)(struct play *play), const char *last,
	gsize *ret_sent, gsize *ret_received)
{
	struct play play;

	play_init(&play, script);
	play.config.is_read_only = false;
	play.act = act;
	play_run(&play, last);
	*ret_sent = play.sent;
	*ret_received = play.received;
	play_done(&play);
}

static void judge_store(struct play *play)
{
	g_assert_cmpuint(play->open, ==, 0);
	if (play->is_ready && !strstr(play->log->str, "store OK|"))
		g_assert_nonnull(strstr(play->log->str, "store LOST|dead LOST|"));
}

static void a_store_that_is_cut_anywhere_ends_once(void)
{
	const char *const script[] = { LOGIN(""), OPEN_RW("1"), STORE_SEEN, "S: %u OK",
		"S: * 1 FETCH (UID 7 FLAGS (\\Seen))", "S: %t OK", NULL };
	gsize sent, received;

	change = (struct change){ UIDS(7), .add = MAILFS_FLAG_SEEN };
	measure(script, do_store, "store OK|", &sent, &received);
	cut_everywhere(script, do_store, &sent, &received, judge_store);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *path;
		void (*test)(void);
	} tests[] = {
		{ "/backend/change/rights/all where nothing else is said",
			all_is_allowed_where_nothing_else_is_said },
		{ "/backend/change/rights/FL-5 a read-only folder gives none",
			a_read_only_folder_gives_no_rights },
		{ "/backend/change/rights/ID-2 UIDs that do not last give none",
			uids_that_do_not_last_give_no_rights },
		{ "/backend/change/rights/FL-5 asked for along with the folder",
			rights_are_asked_for_along_with_the_folder },
		{ "/backend/change/rights/EX-4 refused rights are unknown",
			refused_rights_are_unknown_rights },
		{ "/backend/change/rights/a read-only mount asks for none",
			a_read_only_mount_asks_for_no_rights },
		{ "/backend/change/rights/FL-1 permanent flags", permanent_flags_are_told },
		{ "/backend/change/flags/stored and read back in one go",
			flags_are_stored_and_read_back_in_one_go },
		{ "/backend/change/flags/FL-1 reported as they are",
			flags_that_did_not_change_are_reported_as_they_are },
		{ "/backend/change/flags/AS-1 told before the change",
			flags_told_before_the_change_are_not_taken_for_the_result },
		{ "/backend/change/flags/a refused store is read back and fails",
			a_refused_store_is_read_back_and_fails },
		{ "/backend/change/flags/AS-2 a store among expunged messages",
			a_store_among_expunged_messages_is_judged_by_what_is_there },
		{ "/backend/change/flags/ID-1 another UIDVALIDITY is not touched",
			a_folder_with_another_uidvalidity_is_not_touched },
		{ "/backend/change/flags/SEC-45 SEC-47 FL-2 nothing but atoms becomes a keyword",
			nothing_but_atoms_becomes_a_keyword },
		{ "/backend/change/flags/a read-only mount stores nothing",
			a_read_only_mount_stores_nothing },
		{ "/backend/change/flags/no messages need no command", no_messages_need_no_command },
		{ "/backend/change/flags/CN-7 short commands", many_messages_go_in_short_commands },
		{ "/backend/change/flags/cut anywhere ends once",
			a_store_that_is_cut_anywhere_ends_once },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].path, tests[i].test);
	return g_test_run();
}
