/* SPDX-License-Identifier: MIT */
/* The IMAP backend: folders made, renamed, removed. */
#include "backend_play.h"

static struct mailfs_folder_request change; /* of the test that runs */

static void on_folder_done(void *user, const char *name, const GError *error)
{
	struct play *play = user;

	if (name)
		g_string_append_printf(play->log, "'%s' ", name);
	finish(play, "folder", error);
}

static void do_change(struct play *play)
{
	struct mailfs_folder_request request = change;

	request.done = on_folder_done;
	request.user = play;
	play->open++;
	play->ticket = imap_backend.change_folder(play->session, &request);
}

#define CHECK(script, want, ...)                                                                   \
	do {                                                                                       \
		change = (struct mailfs_folder_request){ __VA_ARGS__ };                            \
		check_change(script, do_change, want);                                             \
	} while (0)

#define CREATE(text) .verb = MAILFS_FOLDER_CREATE, .component = text
#define DELETE(text) .verb = MAILFS_FOLDER_DELETE, .folder = text
#define RENAME(old, text) .verb = MAILFS_FOLDER_RENAME, .folder = old, .component = text

/* ---- CREATE ---------------------------------------------------------------------------------- */

static void a_folder_is_made_and_subscribed(void)
{
	CHECK(SCRIPT(LOGIN(""), "C: CREATE \"a/b\"", "S: %t OK", "C: SUBSCRIBE \"a/b\"", "S: %t OK"),
		"ready|'a/b' folder OK|", CREATE("b"), .parent = "a", .delimiter = '/');
}

static void a_refused_subscription_is_no_error(void)
{
	CHECK(SCRIPT(LOGIN(""), "C: CREATE \"b\"", "S: %t OK", "C: SUBSCRIBE \"b\"", "S: %t NO no"),
		"ready|'b' folder OK|", CREATE("b"), .delimiter = '/');
}

static void names_are_encoded(void)
{
	CHECK(SCRIPT(LOGIN(""), "C: CREATE \"Entw&APw-rfe\"", "S: %t OK", "C: SUBSCRIBE *", "S: %t OK"),
		"ready|'Entw&APw-rfe' folder OK|", CREATE("Entw\303\274rfe"), .delimiter = '/');
	CHECK(SCRIPT(LOGIN(""), "C: CREATE \"&AGE-/a&-b {3}\\\"\\\\\"", "S: %t OK", "C: SUBSCRIBE *",
		      "S: %t OK"),
		"ready|'&AGE-/a&-b {3}\"\\' folder OK|", CREATE("a&b {3}\"\\"), .parent = "&AGE-",
		.delimiter = '/');
}

static void names_that_no_server_takes_are_not_sent(void)
{
	static const char *const bad[] = {
		"", ".", "..", "a/b", "a\r\nx DELETE INBOX", "a\nb", "a\177", "\377", "\033[2J",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		CHECK(SCRIPT(LOGIN("")), "ready|folder INVALID|", CREATE(bad[i]), .delimiter = '/');
		CHECK(SCRIPT(LOGIN("")), "ready|folder INVALID|", RENAME("old", bad[i]),
			.delimiter = '/');
	}
}

static void a_dot_is_legal_where_it_parts_nothing(void)
{
	CHECK(SCRIPT(LOGIN(""), "C: CREATE \"a.b\"", "S: %t OK", "C: SUBSCRIBE *", "S: %t OK"),
		"ready|'a.b' folder OK|", CREATE("a.b"), .delimiter = '/');
	CHECK(SCRIPT(LOGIN("")), "ready|folder INVALID|", CREATE("a.b"), .delimiter = '.');
}

static void the_top_is_the_personal_namespace(void)
{
	CHECK(SCRIPT(LOGIN(" NAMESPACE"), "C: NAMESPACE", "S: * NAMESPACE ((\"INBOX.\" \".\")) NIL NIL",
		      "S: %t OK", "C: CREATE \"INBOX.b\"", "S: %t OK", "C: SUBSCRIBE \"INBOX.b\"",
		      "S: %t OK"),
		"ready|'INBOX.b' folder OK|", CREATE("b"));
	CHECK(SCRIPT(LOGIN(" NAMESPACE"), "C: NAMESPACE", "S: * NAMESPACE ((\"INBOX.\" \".\")) NIL NIL",
		      "S: %t OK"),
		"ready|folder INVALID|", CREATE("b.c"));
}

static void a_delimiter_that_is_not_known_is_asked_for(void)
{
	CHECK(SCRIPT(LOGIN(""), "C: LIST \"\" \"\"", "S: * LIST (\\Noselect) \".\" \"\"", "S: %t OK",
		      "C: CREATE \"a.b\"", "S: %t OK", "C: SUBSCRIBE *", "S: %t OK"),
		"ready|'a.b' folder OK|", CREATE("b"), .parent = "a");
	CHECK(SCRIPT(LOGIN(""), "C: LIST \"\" \"\"", "S: * LIST (\\Noselect) NIL \"\"", "S: %t OK"),
		"ready|folder NOT_POSSIBLE|", CREATE("b"), .parent = "a");
}

static void there_is_one_inbox(void)
{
	CHECK(SCRIPT(LOGIN("")), "ready|folder EXISTS|", CREATE("inbox"), .delimiter = '/');
	CHECK(SCRIPT(LOGIN("")), "ready|folder NOT_POSSIBLE|", DELETE("Inbox"));
	CHECK(SCRIPT(LOGIN("")), "ready|folder NOT_POSSIBLE|", RENAME("INBOX", "x"));
}

static void refusals_have_their_errors(void)
{
	static const struct {
		const char *answer, *want;
	} cases[] = {
		{ "S: %t NO [ALREADYEXISTS] there", "EXISTS" },
		{ "S: %t NO Mailbox already exists", "EXISTS" },
		{ "S: %t NO [CANNOT] bad name", "INVALID" },
		{ "S: %t NO Invalid mailbox name", "INVALID" },
		{ "S: %t NO Folder name is reserved.", "INVALID" },
		{ "S: %t NO [NOPERM] no", "DENIED" },
		{ "S: %t NO Permission denied", "DENIED" },
		{ "S: %t NO [OVERQUOTA] full", "QUOTA" },
		{ "S: %t NO [UNAVAILABLE] later", "TRY_LATER" },
		{ "S: %t BAD what", "PROTOCOL" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *want = g_strdup_printf("ready|folder %s|", cases[i].want);

		CHECK(SCRIPT(LOGIN(""), "C: CREATE \"b\"", cases[i].answer), want, CREATE("b"),
			.delimiter = '/');
	}
}

/* ---- DELETE ---------------------------------------------------------------------------------- */

#define LIST_T "C: LIST \"\" \"T\"", "S: * LIST () \"/\" T", "S: %t OK"
#define OPEN_T(count)                                                                              \
	"C: SELECT \"T\"", "S: * " count " EXISTS", "S: * OK [UIDVALIDITY 5] v", "S: %t OK [READ-WRITE]"

static void an_empty_folder_is_left_and_deleted(void)
{
	CHECK(SCRIPT(LOGIN(" UNSELECT"), LIST_T, "C: LIST \"\" \"T/*\"", "S: %t OK", OPEN_T("0"),
		      "C: UNSELECT", "S: %t OK", "C: DELETE \"T\"", "S: %t OK", "C: UNSUBSCRIBE \"T\"",
		      "S: %t NO"),
		"ready|folder OK|", DELETE("T"));
}

static void without_unselect_another_folder_is_opened(void)
{
	CHECK(SCRIPT(LOGIN(""), LIST_T, "C: LIST *", "S: %t OK", OPEN_T("0"), "C: SELECT \"INBOX\"",
		      "S: * 3 EXISTS", "S: %t OK", "C: DELETE \"T\"", "S: %t OK", "C: UNSUBSCRIBE *",
		      "S: %t OK"),
		"ready|folder OK|", DELETE("T"));
	CHECK(SCRIPT(LOGIN(" UNSELECT"), LIST_T, "C: LIST *", "S: %t OK", OPEN_T("0"), "C: UNSELECT",
		      "S: %t BAD what", "C: SELECT \"INBOX\"", "S: * 3 EXISTS", "S: %t OK",
		      "C: DELETE \"T\"", "S: %t OK", "C: UNSUBSCRIBE *", "S: %t OK"),
		"ready|folder OK|", DELETE("T"));
}

static void a_folder_with_something_in_it_stays(void)
{
	CHECK(SCRIPT(LOGIN(""), LIST_T, "C: LIST *", "S: %t OK", OPEN_T("1")),
		"ready|folder NOT_EMPTY|", DELETE("T"));
	CHECK(SCRIPT(LOGIN(""), LIST_T, "C: LIST *", "S: * LIST () \"/\" T/x", "S: %t OK"),
		"ready|folder NOT_EMPTY|", DELETE("T"));
	CHECK(SCRIPT(LOGIN(""), LIST_T, "C: LIST *", "S: %t NO sorry"), "ready|folder PROTOCOL|",
		DELETE("T"));
}

static void wildcards_in_names_match_nothing_else(void)
{
	/* "T*" is asked for; Tx and what is in it are others. */
	CHECK(SCRIPT(LOGIN(" UNSELECT"), "C: LIST \"\" \"T*\"", "S: * LIST () \"/\" Tx",
		      "S: * LIST () \"/\" \"T*\"", "S: * LIST () \"/\" Tx/y", "S: %t OK", "C: LIST *",
		      "S: * LIST () \"/\" Tx/y", "S: %t OK", "C: SELECT \"T*\"", "S: * 0 EXISTS", "S: %t OK",
		      "C: UNSELECT", "S: %t OK", "C: DELETE \"T*\"", "S: %t OK", "C: UNSUBSCRIBE *",
		      "S: %t OK"),
		"ready|folder OK|", DELETE("T*"));
	CHECK(SCRIPT(LOGIN(""), "C: LIST \"\" \"T*\"", "S: * LIST () \"/\" Tx", "S: %t OK"),
		"ready|folder GONE|", DELETE("T*"));
}

static void a_parent_without_messages_is_deleted_unopened(void)
{
	CHECK(SCRIPT(LOGIN(""), "C: LIST \"\" \"T\"", "S: * LIST (\\Noselect) \"/\" T", "S: %t OK",
		      "C: LIST *", "S: %t OK", "C: DELETE \"T\"", "S: %t OK", "C: UNSUBSCRIBE *",
		      "S: %t OK"),
		"ready|folder OK|", DELETE("T"));
}

static void refused_deletions_have_their_errors(void)
{
	CHECK(SCRIPT(LOGIN(" UNSELECT"), LIST_T, "C: LIST *", "S: %t OK", OPEN_T("0"), "C: UNSELECT",
		      "S: %t OK", "C: DELETE \"T\"", "S: %t NO [HASCHILDREN] no"),
		"ready|folder NOT_EMPTY|", DELETE("T"));
	CHECK(SCRIPT(LOGIN(""), LIST_T, "C: LIST *", "S: %t OK", "C: SELECT \"T\"",
		      "S: %t NO [NONEXISTENT] no"),
		"ready|folder GONE|", DELETE("T"));
}

/* ---- RENAME ---------------------------------------------------------------------------------- */

static void a_folder_is_renamed_and_its_subscription_follows(void)
{
	CHECK(SCRIPT(LOGIN(""), "C: NOOP", "S: %t OK", "C: RENAME \"a/b\" \"c/d\"", "S: * OK child",
		      "S: %t OK", "C: SUBSCRIBE \"c/d\"", "S: %t OK", "C: UNSUBSCRIBE \"a/b\"", "S: %t OK"),
		"ready|'c/d' folder OK|", RENAME("a/b", "d"), .parent = "c", .delimiter = '/');
}

static void do_fetch_of_box_then_change(struct play *play)
{
	fetch_uids(play, "Box", (const uint32_t[]){ 7 }, 1, NULL);
	do_change(play);
}

static void a_folder_that_is_open_is_left_before_it_is_renamed(void)
{
	/* The fetch fails, and so leaves the folder open. */
	change = (struct mailfs_folder_request){ RENAME("Box", "d"), .delimiter = '/' };
	check_change(SCRIPT(LOGIN(" UNSELECT"), "C: SELECT \"Box\"", "S: * 0 EXISTS",
			     "S: * OK [UIDVALIDITY 5] v", "S: %t OK", "C: NOOP", "S: %t OK", "C: UNSELECT",
			     "S: %t OK", "C: RENAME \"Box\" \"d\"", "S: %t OK", "C: SUBSCRIBE *", "S: %t OK",
			     "C: UNSUBSCRIBE *", "S: %t OK"),
		do_fetch_of_box_then_change, "ready|fetch STALE|'d' folder OK|");
}

static void a_folder_does_not_move_into_itself_or_onto_another(void)
{
	CHECK(SCRIPT(LOGIN("")), "ready|folder INVALID|", RENAME("a", "b"), .parent = "a",
		.delimiter = '/');
	CHECK(SCRIPT(LOGIN("")), "ready|folder INVALID|", RENAME("a", "b"), .parent = "a/c",
		.delimiter = '/');
	CHECK(SCRIPT(LOGIN(""), "C: NOOP", "S: %t OK", "C: RENAME \"a\" \"b\"",
		      "S: %t NO [ALREADYEXISTS] there"),
		"ready|folder EXISTS|", RENAME("a", "b"), .delimiter = '/');
	CHECK(SCRIPT(LOGIN("")), "ready|'a' folder OK|", RENAME("a", "a"), .delimiter = '/');
}

static void subscriptions_are_changed(void)
{
	CHECK(SCRIPT(LOGIN(""), "C: SUBSCRIBE \"a\"", "S: %t OK"), "ready|folder OK|",
		.verb = MAILFS_FOLDER_SUBSCRIBE, .folder = "a");
	CHECK(SCRIPT(LOGIN(""), "C: UNSUBSCRIBE \"a\"", "S: %t NO [NONEXISTENT] no"),
		"ready|folder GONE|", .verb = MAILFS_FOLDER_UNSUBSCRIBE, .folder = "a");
}

static void a_read_only_mount_changes_no_folder(void)
{
	for (unsigned verb = MAILFS_FOLDER_CREATE; verb <= MAILFS_FOLDER_UNSUBSCRIBE; verb++) {
		change = (struct mailfs_folder_request){ .verb = (enum mailfs_folder_verb)verb,
			.folder = "a", .component = "b", .delimiter = '/' };
		check(SCRIPT(LOGIN("")), do_change, "ready|folder READ_ONLY|");
	}
}

static void a_change_that_is_cut_anywhere_ends_once(void)
{
	const char *const script[] = { LOGIN(" UNSELECT"), LIST_T, "C: LIST *", "S: %t OK", OPEN_T("0"),
		"C: UNSELECT", "S: %t OK", "C: DELETE \"T\"", "S: %t OK", "C: UNSUBSCRIBE \"T\"", "S: %t OK",
		NULL };
	gsize sent;
	struct play play;

	change = (struct mailfs_folder_request){ DELETE("T") };
	play_init(&play, script);
	play.config.is_read_only = false;
	play.act = do_change;
	play_run(&play, "folder OK|");
	sent = play.sent;
	play_done(&play);
	for (gsize at = 1; at < sent; at++) {
		play_init(&play, script);
		play.config.is_read_only = false;
		play.act = do_change;
		play.cut_out = at;
		play_run(&play, "dead LOST|");
		g_assert_cmpuint(play.open, ==, 0);
		play_done(&play);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *path;
		void (*test)(void);
	} tests[] = {
		{ "/backend/folder/WR-8 made and subscribed", a_folder_is_made_and_subscribed },
		{ "/backend/folder/WR-8 a refused subscription is no error",
			a_refused_subscription_is_no_error },
		{ "/backend/folder/NM-2 names are encoded", names_are_encoded },
		{ "/backend/folder/SEC-44 SEC-45 names that no server takes are not sent",
			names_that_no_server_takes_are_not_sent },
		{ "/backend/folder/NM-5 a dot is legal where it parts nothing",
			a_dot_is_legal_where_it_parts_nothing },
		{ "/backend/folder/NM-6 the top is the personal namespace",
			the_top_is_the_personal_namespace },
		{ "/backend/folder/NM-5 a delimiter that is not known is asked for",
			a_delimiter_that_is_not_known_is_asked_for },
		{ "/backend/folder/NM-4 NM-9 there is one INBOX", there_is_one_inbox },
		{ "/backend/folder/WR-8 refusals have their errors", refusals_have_their_errors },
		{ "/backend/folder/WR-6 an empty folder is left and deleted",
			an_empty_folder_is_left_and_deleted },
		{ "/backend/folder/EX-3 without UNSELECT another folder is opened",
			without_unselect_another_folder_is_opened },
		{ "/backend/folder/WR-6 a folder with something in it stays",
			a_folder_with_something_in_it_stays },
		{ "/backend/folder/NM-8 SEC-48 wildcards in names match nothing else",
			wildcards_in_names_match_nothing_else },
		{ "/backend/folder/NM-7 a parent without messages is deleted unopened",
			a_parent_without_messages_is_deleted_unopened },
		{ "/backend/folder/WR-8 refused deletions have their errors",
			refused_deletions_have_their_errors },
		{ "/backend/folder/NM-9 renamed, and its subscription follows",
			a_folder_is_renamed_and_its_subscription_follows },
		{ "/backend/folder/AS-3 left before it is renamed",
			a_folder_that_is_open_is_left_before_it_is_renamed },
		{ "/backend/folder/NM-9 not into itself, not onto another",
			a_folder_does_not_move_into_itself_or_onto_another },
		{ "/backend/folder/subscriptions are changed", subscriptions_are_changed },
		{ "/backend/folder/a read-only mount changes no folder",
			a_read_only_mount_changes_no_folder },
		{ "/backend/folder/WR-5 cut anywhere ends once",
			a_change_that_is_cut_anywhere_ends_once },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].path, tests[i].test);
	return g_test_run();
}
