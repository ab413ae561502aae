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

static void flags_told_before_the_change_are_told_over_by_the_result(void)
{
	/* The answer of the FETCH may come before the OK of the STORE. */
	CHECK(SCRIPT(LOGIN(""), OPEN_RW("1"), STORE_SEEN, "S: * 1 FETCH (UID 7 MODSEQ (9))",
		      "S: * 1 FETCH (UID 7 FLAGS (\\Seen))", "S: %u OK", "S: %t OK"),
		do_store, "ready|f7=1|store OK|", UIDS(7), .add = MAILFS_FLAG_SEEN);
	/* Not silent, of another message, without a name. */
	CHECK(SCRIPT(LOGIN(""), OPEN_RW("3"), STORE_SEEN, "S: * 1 FETCH (UID 7 FLAGS (\\Draft))",
		      "S: %u OK [MODIFIED 7] some", "S: * 1 FETCH (UID 7 FLAGS (\\Seen))", "S: %t OK"),
		do_store, "ready|f7=16|f7=1|store OK|", UIDS(7), .add = MAILFS_FLAG_SEEN);
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

/* ---- removals -------------------------------------------------------------------------------- */

static void on_removed(void *user, uint32_t uid)
{
	g_string_append_printf(((struct play *)user)->log, "r%u|", uid);
}

static void on_remove_done(void *user, const GError *error)
{
	finish(user, "remove", error);
}

static void do_remove(struct play *play)
{
	struct mailfs_remove_request request = {
		.folder = "INBOX", .uidvalidity = 9, .uids = change.uids, .uid_count = change.count,
		.removed = on_removed, .done = on_remove_done, .user = play,
	};

	play->open++;
	play->ticket = imap_backend.remove(play->session, &request);
}

#define MARK(set)                                                                                  \
	"C: UID STORE " set " +FLAGS.SILENT (\\Deleted)", "S: %t OK", "C: UID FETCH " set " (UID FLAGS)"
#define MARKED_7 "S: * 1 FETCH (UID 7 FLAGS (\\Deleted))"
#define MARKED_8 "S: * 2 FETCH (UID 8 FLAGS (\\Deleted \\Seen))"

static void removal_is_by_uid_and_verified(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), MARK("7:8"), MARKED_7, MARKED_8, "S: %t OK",
		      "C: UID EXPUNGE 7:8", "S: * 2 EXPUNGE", "S: * 1 EXPUNGE", "S: %t OK",
		      "C: UID FETCH 7:8 (UID FLAGS)", "S: %t OK"),
		do_remove, "ready|changed INBOX|r7|r8|remove OK|", UIDS(7, 8));
}

static void vanished_is_proof_of_a_removal(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), MARK("7:8"), MARKED_7, MARKED_8, "S: %t OK",
		      "C: UID EXPUNGE 7:8", "S: * VANISHED 1:4294967295", "S: %t OK"),
		do_remove, "ready|changed INBOX|r7|r8|remove OK|", UIDS(7, 8));
}

static void what_is_gone_already_is_removed(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), MARK("7:8"), "S: %t OK"), do_remove,
		"ready|r7|r8|remove OK|", UIDS(7, 8));
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), MARK("7:8"), MARKED_8, "S: %t OK",
		      "C: UID EXPUNGE 8", "S: * VANISHED 8", "S: %t OK"),
		do_remove, "ready|r7|changed INBOX|r8|remove OK|", UIDS(7, 8));
}

static void what_is_not_marked_is_not_expunged(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), MARK("7"), "S: * 1 FETCH (UID 7 FLAGS ())",
		      "S: %t OK"),
		do_remove, "ready|remove PROTOCOL|", UIDS(7));
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), "C: UID STORE 7 *",
		      "S: %t NO [NOPERM] no", "C: UID FETCH 7 (UID FLAGS)", "S: * 1 FETCH (UID 7 FLAGS ())",
		      "S: %t OK"),
		do_remove, "ready|remove DENIED|", UIDS(7));
}

static void what_is_still_there_was_not_removed(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("3"), MARK("7:8"), MARKED_7, MARKED_8, "S: %t OK",
		      "C: UID EXPUNGE 7:8", "S: * 3 EXPUNGE", "S: %t OK", "C: UID FETCH 7:8 (UID FLAGS)",
		      MARKED_7, "S: %t OK"),
		do_remove, "ready|changed INBOX|r8|remove PROTOCOL|", UIDS(7, 8));
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("3"), MARK("7"), MARKED_7, "S: %t OK",
		      "C: UID EXPUNGE 7", "S: %t NO [NOPERM] no", "C: UID FETCH 7 (UID FLAGS)", MARKED_7,
		      "S: %t OK"),
		do_remove, "ready|remove DENIED|", UIDS(7));
}

static void without_uidplus_exactly_ours_are_expunged(void)
{
	CHECK(SCRIPT(LOGIN(""), OPEN_RW("2"), MARK("7:8"), MARKED_7, MARKED_8, "S: %t OK",
		      "C: UID SEARCH DELETED", "S: * SEARCH 8 7", "S: %t OK", "C: EXPUNGE",
		      "S: * 1 EXPUNGE", "S: * 1 EXPUNGE", "S: %t OK", "C: UID FETCH 7:8 (UID FLAGS)",
		      "S: %t OK"),
		do_remove, "ready|changed INBOX|r7|r8|remove OK|", UIDS(7, 8));
}

static void without_uidplus_nobody_elses_messages_go(void)
{
	static const char *const found[] = { "S: * SEARCH 7 8 9", "S: * SEARCH 1 7 8", "S: * SEARCH 7 9" };

	for (size_t i = 0; i < G_N_ELEMENTS(found); i++)
		CHECK(SCRIPT(LOGIN(""), OPEN_RW("2"), MARK("7:8"), MARKED_7, MARKED_8, "S: %t OK",
			      "C: UID SEARCH DELETED", found[i], "S: %t OK"),
			do_remove, "ready|remove NOT_POSSIBLE|", UIDS(7, 8));
}

static void servers_that_do_not_search_are_asked_otherwise(void)
{
	static const char *const answers[] = { "S: %t BAD what", "S: %t NO", "S: %t OK" };

	for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
		CHECK(SCRIPT(LOGIN(""), OPEN_RW("2"), MARK("7"), MARKED_7, "S: %t OK",
			      "C: UID SEARCH DELETED", answers[i], "C: UID FETCH 1:* (UID FLAGS)", MARKED_7,
			      "S: * 2 FETCH (UID 8 FLAGS (\\Seen))", "S: %t OK", "C: EXPUNGE", "S: %t OK",
			      "C: UID FETCH 7 (UID FLAGS)", "S: %t OK"),
			do_remove, "ready|r7|remove OK|", UIDS(7));
		CHECK(SCRIPT(LOGIN(""), OPEN_RW("2"), MARK("7"), MARKED_7, "S: %t OK",
			      "C: UID SEARCH DELETED", answers[i], "C: UID FETCH 1:* (UID FLAGS)", MARKED_7,
			      MARKED_8, "S: %t OK"),
			do_remove, "ready|remove NOT_POSSIBLE|", UIDS(7));
	}
}

static void uid_expunge_that_is_not_understood_becomes_a_careful_expunge(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), MARK("7"), MARKED_7, "S: %t OK",
		      "C: UID EXPUNGE 7", "S: %t BAD what", "C: UID SEARCH DELETED", "S: * SEARCH 7 8",
		      "S: %t OK"),
		do_remove, "ready|remove NOT_POSSIBLE|", UIDS(7));
}

static void do_remove_of_no_uidvalidity(struct play *play)
{
	struct mailfs_remove_request request = {
		.folder = "INBOX", .uids = change.uids, .uid_count = change.count,
		.removed = on_removed, .done = on_remove_done, .user = play,
	};

	play->open++;
	imap_backend.remove(play->session, &request);
}

static void uids_that_do_not_last_remove_nothing(void)
{
	CHECK(SCRIPT(LOGIN("")), do_remove_of_no_uidvalidity, "ready|remove READ_ONLY|", UIDS(7));
}

static void a_read_only_mount_removes_nothing(void)
{
	change = (struct change){ UIDS(7) };
	check(SCRIPT(LOGIN("")), do_remove, "ready|remove READ_ONLY|");
}

/* ---- moves ----------------------------------------------------------------------------------- */

static void on_copied(void *user, uint32_t uid, uint32_t uidvalidity, uint32_t target)
{
	g_string_append_printf(((struct play *)user)->log, "c%u>%u:%u|", uid, uidvalidity, target);
}

static void on_moved(void *user, uint32_t uid, uint32_t uidvalidity, uint32_t target)
{
	g_string_append_printf(((struct play *)user)->log, "m%u>%u:%u|", uid, uidvalidity, target);
}

static void on_move_done(void *user, bool is_outcome_known, const GError *error)
{
	struct play *play = user;

	if (!is_outcome_known)
		g_string_append(play->log, "unknown ");
	finish(play, "move", error);
}

static void do_move(struct play *play)
{
	struct mailfs_move_request request = {
		.folder = "INBOX", .uidvalidity = 9, .uids = change.uids, .uid_count = change.count,
		.target = change.target ? change.target : "Box", .copied = on_copied, .moved = on_moved,
		.done = on_move_done, .user = play,
	};

	play->open++;
	play->ticket = imap_backend.move(play->session, &request);
}

#define MOVE_78 "C: UID MOVE 7:8 \"Box\""
#define LOOK_78 "C: NOOP", "S: %t OK", "C: UID FETCH 7:8 (UID FLAGS)"

static void move_tells_where_messages_went(void)
{
	/* As many EXPUNGEs as pairs: nothing is left to ask. */
	CHECK(SCRIPT(LOGIN(" MOVE UIDPLUS"), OPEN_RW("2"), MOVE_78, "S: * OK [COPYUID 5 7:8 20:21] moved",
		      "S: * 1 EXPUNGE", "S: * 1 EXPUNGE", "S: %t OK done"),
		do_move, "ready|changed INBOX|m7>5:20|m8>5:21|move OK|", UIDS(7, 8));
	CHECK(SCRIPT(LOGIN(" MOVE UIDPLUS"), OPEN_RW("2"), MOVE_78, "S: * VANISHED 7:8",
		      "S: %t OK [COPYUID 5 7:8 20:21] done"),
		do_move, "ready|changed INBOX|m7>5:20|m8>5:21|move OK|", UIDS(7, 8));
}

static void a_move_without_proof_is_looked_after(void)
{
	static const char *const codes[] = {
		"S: * OK nothing", "S: * OK [COPYUID 14  ] moved", "S: * OK [COPYUID 5 7:8 20:22] moved",
		"S: * OK [COPYUID 5 7:8 21:20] moved", "S: * OK [COPYUID 5 7:9 20:22] moved",
		"S: * OK [COPYUID 5 8,7 20:21] moved",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
		CHECK(SCRIPT(LOGIN(" MOVE"), OPEN_RW("2"), MOVE_78, codes[i], "S: * 1 EXPUNGE",
			      "S: * 1 EXPUNGE", "S: %t OK", LOOK_78, "S: %t OK"),
			do_move, "ready|changed INBOX|m7>0:0|m8>0:0|move OK|", UIDS(7, 8));
}

static void expunges_that_were_not_told_yet_are_asked_for(void)
{
	/* It lists messages that are gone until it has said so. */
	CHECK(SCRIPT(LOGIN(" MOVE UIDPLUS"), OPEN_RW("2"), MOVE_78, "S: %t OK [COPYUID 5 7:8 20:21] moved",
		      "C: NOOP", "S: * 1 EXPUNGE", "S: * 1 EXPUNGE", "S: %t OK",
		      "C: UID FETCH 7:8 (UID FLAGS)", "S: %t OK"),
		do_move, "ready|changed INBOX|m7>5:20|m8>5:21|move OK|", UIDS(7, 8));
}

static void a_move_that_does_not_move_fails(void)
{
	CHECK(SCRIPT(LOGIN(" MOVE"), OPEN_RW("2"), MOVE_78, "S: * OK [COPYUID 5 7:8 20:21] moved",
		      "S: * 2 EXPUNGE", "S: %t OK", LOOK_78, "S: * 1 FETCH (UID 7 FLAGS ())", "S: %t OK"),
		do_move, "ready|changed INBOX|m8>5:21|move PROTOCOL|", UIDS(7, 8));
}

static void a_refusal_halfway_tells_what_was_moved(void)
{
	CHECK(SCRIPT(LOGIN(" MOVE"), OPEN_RW("2"), MOVE_78, "S: * OK [COPYUID 5 7 20] moved",
		      "S: * 1 EXPUNGE", "S: %t NO [OVERQUOTA] full", LOOK_78,
		      "S: * 1 FETCH (UID 8 FLAGS ())", "S: %t OK"),
		do_move, "ready|changed INBOX|m7>5:20|move QUOTA|", UIDS(7, 8));
	CHECK(SCRIPT(LOGIN(" MOVE"), OPEN_RW("2"), MOVE_78, "S: %t NO [TRYCREATE] no folder", LOOK_78,
		      "S: * 1 FETCH (UID 7 FLAGS ())", "S: * 1 FETCH (UID 8 FLAGS ())", "S: %t OK"),
		do_move, "ready|move GONE|", UIDS(7, 8));
}

static void many_moves_are_few_commands(void)
{
	g_autoptr(GString) want = g_string_new("ready|changed INBOX|");
	uint32_t uids[1500];

	for (uint32_t i = 0; i < G_N_ELEMENTS(uids); i++) {
		uids[i] = i + 1;
		g_string_append_printf(want, "m%u>5:%u|", i + 1, i + 5001);
	}
	g_string_append(want, "move OK|");
	change = (struct change){ .uids = uids, .count = G_N_ELEMENTS(uids) };
	check_change(SCRIPT(LOGIN(" MOVE"), OPEN_RW("1500"), "C: UID MOVE 1:1000 \"Box\"",
			     "S: * OK [COPYUID 5 1:1000 5001:6000]", "S: * VANISHED 1:1000", "S: %t OK",
			     "C: UID MOVE 1001:1500 \"Box\"", "S: * OK [COPYUID 5 1001:1500 6001:6500]",
			     "S: * VANISHED 1001:1500", "S: %t OK"),
		do_move, want->str);
}

#define STATUS_BOX "C: STATUS \"Box\" (MESSAGES UIDNEXT)"
#define COPY_78 "C: UID COPY 7:8 \"Box\""
#define SIZES_78                                                                                   \
	"C: UID FETCH 7:8 (UID RFC822.SIZE)", "S: * 1 FETCH (UID 7 RFC822.SIZE 100)",              \
		"S: * 2 FETCH (UID 8 RFC822.SIZE 200)", "S: %t OK"
#define OPEN_TARGET                                                                                \
	"C: SELECT \"Box\"", "S: * 6 EXISTS", "S: * OK [UIDVALIDITY 5] v", "S: %t OK [READ-WRITE]"
#define EXPUNGE_78                                                                                 \
	MARK("7:8"), MARKED_7, MARKED_8, "S: %t OK", "C: UID EXPUNGE 7:8", "S: * VANISHED 7:8", "S: %t OK"

static void without_move_messages_are_copied_and_then_removed(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), STATUS_BOX,
		      "S: * STATUS Box (MESSAGES 4 UIDNEXT 20)", "S: %t OK", COPY_78,
		      "S: %t OK [COPYUID 5 7:8 20:21]", EXPUNGE_78),
		do_move,
		"ready|c7>5:20|c8>5:21|changed INBOX|m7>5:20|m8>5:21|move OK|", UIDS(7, 8));
}

static void copies_without_copyuid_are_found_by_their_size(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), STATUS_BOX,
		      "S: * STATUS Box (MESSAGES 4 UIDNEXT 20)", "S: %t OK", COPY_78,
		      "S: %t OK [COPYUID 14  ]", SIZES_78, OPEN_TARGET,
		      "C: UID FETCH 20:* (UID RFC822.SIZE)", "S: * 5 FETCH (UID 20 RFC822.SIZE 200)",
		      "S: * 6 FETCH (UID 21 RFC822.SIZE 100)", "S: %t OK", OPEN_RW("2"), EXPUNGE_78),
		do_move, "ready|c7>0:21|c8>0:20|changed INBOX|m7>0:21|m8>0:20|move OK|", UIDS(7, 8));
	/* Only the number of messages is known. */
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), STATUS_BOX, "S: * STATUS Box (MESSAGES 4)",
		      "S: %t OK", COPY_78, "S: %t OK", SIZES_78, OPEN_TARGET,
		      "C: FETCH 5:* (UID RFC822.SIZE)", "S: * 5 FETCH (UID 20 RFC822.SIZE 200)",
		      "S: * 6 FETCH (UID 21 RFC822.SIZE 100)", "S: %t OK", OPEN_RW("2"), EXPUNGE_78),
		do_move, "ready|c7>0:21|c8>0:20|changed INBOX|m7>0:21|m8>0:20|move OK|", UIDS(7, 8));
}

static void copies_that_cannot_be_found_leave_both(void)
{
	/* One of the size is from before; one is missing; nothing is told of the target. */
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), STATUS_BOX,
		      "S: * STATUS Box (MESSAGES 4 UIDNEXT 20)", "S: %t OK", COPY_78, "S: %t OK", SIZES_78,
		      OPEN_TARGET, "C: UID FETCH 20:* (UID RFC822.SIZE)",
		      "S: * 4 FETCH (UID 19 RFC822.SIZE 200)", "S: * 6 FETCH (UID 21 RFC822.SIZE 100)",
		      "S: %t OK"),
		do_move, "ready|move PROTOCOL|", UIDS(7, 8));
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), STATUS_BOX, "S: * STATUS Box ()", "S: %t OK",
		      COPY_78, "S: %t OK", SIZES_78),
		do_move, "ready|move PROTOCOL|", UIDS(7, 8));
}

static void equal_copies_have_no_name(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), STATUS_BOX,
		      "S: * STATUS Box (MESSAGES 4 UIDNEXT 20)", "S: %t OK", COPY_78, "S: %t OK",
		      "C: UID FETCH 7:8 (UID RFC822.SIZE)", "S: * 1 FETCH (UID 7 RFC822.SIZE 100)",
		      "S: * 2 FETCH (UID 8 RFC822.SIZE 100)", "S: %t OK", OPEN_TARGET,
		      "C: UID FETCH 20:* (UID RFC822.SIZE)", "S: * 5 FETCH (UID 20 RFC822.SIZE 100)",
		      "S: * 6 FETCH (UID 21 RFC822.SIZE 100)", "S: %t OK", OPEN_RW("2"), EXPUNGE_78),
		do_move, "ready|c7>0:0|c8>0:0|changed INBOX|m7>0:0|m8>0:0|move OK|", UIDS(7, 8));
}

/* One of them is somebody else's new message: which, nobody knows. */
static void a_copy_among_others_of_its_size_has_no_name(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), STATUS_BOX,
		      "S: * STATUS Box (MESSAGES 4 UIDNEXT 20)", "S: %t OK", COPY_78, "S: %t OK", SIZES_78,
		      OPEN_TARGET, "C: UID FETCH 20:* (UID RFC822.SIZE)",
		      "S: * 5 FETCH (UID 20 RFC822.SIZE 100)", "S: * 6 FETCH (UID 21 RFC822.SIZE 100)",
		      "S: * 7 FETCH (UID 22 RFC822.SIZE 200)", "S: %t OK", OPEN_RW("2"), EXPUNGE_78),
		do_move, "ready|c7>0:0|c8>0:22|changed INBOX|m7>0:0|m8>0:22|move OK|", UIDS(7, 8));
}

static void without_uidplus_nothing_is_copied_that_cannot_be_removed(void) /* EX-1 */
{
	static const char *const foreign[] = { "5", "7:9", "1:8", "5 7 8", "9", "4294967295" };

	for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
		g_autofree char *found = g_strconcat("S: * SEARCH ", foreign[i], NULL);

		if (strchr(foreign[i], ':')) {
			g_free(found);
			found = g_strconcat("S: * ESEARCH (TAG \"%t\") UID ALL ", foreign[i], NULL);
		}
		CHECK(SCRIPT(LOGIN(""), OPEN_RW("2"), "C: UID SEARCH DELETED", found, "S: %t OK"), do_move,
			"ready|move NOT_POSSIBLE|", UIDS(7, 8));
	}
}

static void without_uidplus_what_is_marked_of_ours_may_be(void)
{
	CHECK(SCRIPT(LOGIN(""), OPEN_RW("2"), "C: UID SEARCH DELETED", "S: * SEARCH 8", "S: %t OK",
		      STATUS_BOX, "S: * STATUS Box (MESSAGES 4 UIDNEXT 20)", "S: %t OK", COPY_78,
		      "S: %t NO no"),
		do_move, "ready|move PROTOCOL|", UIDS(7, 8));
	CHECK(SCRIPT(LOGIN(""), OPEN_RW("2"), "C: UID SEARCH DELETED", "S: %t BAD what", STATUS_BOX,
		      "S: * STATUS Box (MESSAGES 4 UIDNEXT 20)", "S: %t OK", COPY_78, "S: %t NO no"),
		do_move, "ready|move PROTOCOL|", UIDS(7, 8));
}

static void a_refused_copy_removes_nothing(void)
{
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), STATUS_BOX,
		      "S: * STATUS Box (MESSAGES 4 UIDNEXT 20)", "S: %t OK", COPY_78,
		      "S: %t NO [OVERQUOTA] full"),
		do_move, "ready|move QUOTA|", UIDS(7, 8));
	CHECK(SCRIPT(LOGIN(" UIDPLUS"), OPEN_RW("2"), STATUS_BOX, "S: %t NO [NONEXISTENT] none"),
		do_move, "ready|move GONE|", UIDS(7, 8));
}

static void a_move_that_is_not_understood_becomes_a_copy(void)
{
	CHECK(SCRIPT(LOGIN(" MOVE UIDPLUS"), OPEN_RW("2"), MOVE_78, "S: %t BAD what", STATUS_BOX,
		      "S: * STATUS Box (MESSAGES 4 UIDNEXT 20)", "S: %t OK", COPY_78,
		      "S: %t OK [COPYUID 5 7:8 20:21]", EXPUNGE_78),
		do_move,
		"ready|c7>5:20|c8>5:21|changed INBOX|m7>5:20|m8>5:21|move OK|", UIDS(7, 8));
}

static void a_read_only_mount_moves_nothing(void)
{
	change = (struct change){ UIDS(7) };
	check(SCRIPT(LOGIN("")), do_move, "ready|move READ_ONLY|");
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

static size_t move_step; /* the step of the script that expects it */

static size_t step_of(const char *const *script, const char *step)
{
	size_t i = 0;

	while (strcmp(script[i], step) != 0)
		i++;
	return i;
}

/* Unknown is what was sent and not answered; told is only what was proven. */
static void judge_move(struct play *play)
{
	const char *log = play->log->str;

	g_assert_cmpuint(play->open, ==, 0);
	if (!play->is_ready || strstr(log, "move OK|"))
		return;
	g_assert_nonnull(strstr(log, "move LOST|dead LOST|"));
	/* The server has got the command that moves or copies, and nothing was told about all of it. */
	if (play->at > move_step && !strstr(log, "m8>"))
		g_assert_nonnull(strstr(log, "unknown move LOST|"));
	if (play->at <= move_step - 1)
		g_assert_null(strstr(log, "unknown"));
}

static void a_move_that_is_cut_anywhere_ends_once(void)
{
	const char *const script[] = { LOGIN(" MOVE"), OPEN_RW("2"), MOVE_78,
		"S: * OK [COPYUID 5 7:8 20:21] moved", "S: * 1 EXPUNGE", "S: * 1 EXPUNGE", "S: %t OK done",
		NULL };
	gsize sent, received;

	change = (struct change){ UIDS(7, 8) };
	move_step = step_of(script, MOVE_78);
	measure(script, do_move, "move OK|", &sent, &received);
	cut_everywhere(script, do_move, &sent, &received, judge_move);
}

static void a_copy_that_is_cut_anywhere_ends_once(void)
{
	const char *const script[] = { LOGIN(" UIDPLUS"), OPEN_RW("2"), STATUS_BOX,
		"S: * STATUS Box (MESSAGES 4 UIDNEXT 20)", "S: %t OK", COPY_78,
		"S: %t OK [COPYUID 5 7:8 20:21]", EXPUNGE_78, NULL };
	gsize sent, received;

	change = (struct change){ UIDS(7, 8) };
	move_step = step_of(script, COPY_78);
	measure(script, do_move, "move OK|", &sent, &received);
	cut_everywhere(script, do_move, &sent, &received, judge_move);
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
			flags_told_before_the_change_are_told_over_by_the_result },
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
		{ "/backend/change/remove/EX-1 WR-6 by UID and verified",
			removal_is_by_uid_and_verified },
		{ "/backend/change/remove/SEC-29 VANISHED is proof",
			vanished_is_proof_of_a_removal },
		{ "/backend/change/remove/AS-2 what is gone already is removed",
			what_is_gone_already_is_removed },
		{ "/backend/change/remove/WR-6 what is not marked is not expunged",
			what_is_not_marked_is_not_expunged },
		{ "/backend/change/remove/WR-6 what is still there was not removed",
			what_is_still_there_was_not_removed },
		{ "/backend/change/remove/EX-1 EX-3 exactly ours",
			without_uidplus_exactly_ours_are_expunged },
		{ "/backend/change/remove/EX-1 nobody else's messages go",
			without_uidplus_nobody_elses_messages_go },
		{ "/backend/change/remove/EX-3 servers that do not search",
			servers_that_do_not_search_are_asked_otherwise },
		{ "/backend/change/remove/EX-4 UID EXPUNGE not understood",
			uid_expunge_that_is_not_understood_becomes_a_careful_expunge },
		{ "/backend/change/remove/ID-2 UIDs that do not last remove nothing",
			uids_that_do_not_last_remove_nothing },
		{ "/backend/change/remove/a read-only mount removes nothing",
			a_read_only_mount_removes_nothing },
		{ "/backend/change/move/WR-7 tells where messages went",
			move_tells_where_messages_went },
		{ "/backend/change/move/ID-4 without proof is looked after",
			a_move_without_proof_is_looked_after },
		{ "/backend/change/move/AS-1 expunges not told yet",
			expunges_that_were_not_told_yet_are_asked_for },
		{ "/backend/change/move/EX-4 that does not move fails",
			a_move_that_does_not_move_fails },
		{ "/backend/change/move/WR-7 a refusal halfway",
			a_refusal_halfway_tells_what_was_moved },
		{ "/backend/change/move/many are few commands",
			many_moves_are_few_commands },
		{ "/backend/change/move/EX-2 copied and then removed",
			without_move_messages_are_copied_and_then_removed },
		{ "/backend/change/move/EX-2 copies found by their size",
			copies_without_copyuid_are_found_by_their_size },
		{ "/backend/change/move/EX-2 copies that cannot be found",
			copies_that_cannot_be_found_leave_both },
		{ "/backend/change/move/ID-4 equal copies have no name",
			equal_copies_have_no_name },
		{ "/backend/change/move/EX-2 a copy among others of its size",
			a_copy_among_others_of_its_size_has_no_name },
		{ "/backend/change/move/EX-1 nothing is copied that cannot be removed",
			without_uidplus_nothing_is_copied_that_cannot_be_removed },
		{ "/backend/change/move/EX-1 ours may be marked",
			without_uidplus_what_is_marked_of_ours_may_be },
		{ "/backend/change/move/EX-2 a refused copy removes nothing",
			a_refused_copy_removes_nothing },
		{ "/backend/change/move/EX-4 not understood becomes a copy",
			a_move_that_is_not_understood_becomes_a_copy },
		{ "/backend/change/move/a read-only mount moves nothing",
			a_read_only_mount_moves_nothing },
		{ "/backend/change/move/WR-5 cut anywhere ends once",
			a_move_that_is_cut_anywhere_ends_once },
		{ "/backend/change/move/WR-5 a copy cut anywhere ends once",
			a_copy_that_is_cut_anywhere_ends_once },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].path, tests[i].test);
	return g_test_run();
}
