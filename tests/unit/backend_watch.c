/* SPDX-License-Identifier: MIT */
/* The IMAP backend: what the server tells by itself (IDLE, NOTIFY), and asking it (STATUS, NOOP). */
#include "backend_play.h"

static void on_begun(void *user)
{
	g_string_append(((struct play *)user)->log, "begun|");
}

static void on_watch_done(void *user, const GError *error)
{
	finish(user, "watch", error);
}

static void listen_to(struct play *play, const char *folder, unsigned renew_s)
{
	play->open++;
	play->wants_status = true;
	play->ticket = imap_backend.watch(play->session, &(struct mailfs_watch_request){
		.folder = folder, .renew_s = renew_s, .begun = on_begun, .done = on_watch_done,
		.user = play,
	});
}

static void do_idle(struct play *play)
{
	listen_to(play, "INBOX", 300);
}

static void do_notify(struct play *play)
{
	listen_to(play, NULL, 300);
}

#define SELECTED "status INBOX n=3 next=10|"
#define IDLING LOGIN(" IDLE"), OPEN("3"), "C: IDLE", "S: + idling"

/* ---- IDLE ------------------------------------------------------------------------------------ */

static void each_change_is_told_while_idling(void)
{
	check(SCRIPT(IDLING, "S: * 4 EXISTS", "S: * 1 RECENT", "S: * OK Still here", "S: * 2 EXPUNGE",
		      "S: * 1 FETCH (FLAGS (\\Seen))", "S: * OK [ALERT] end"),
		do_idle,
		"ready|" SELECTED "begun|changed INBOX|changed INBOX|changed INBOX|alert end|");
}

static void news_before_the_plus_are_news(void)
{
	check(SCRIPT(LOGIN(" IDLE"), OPEN("3"), "C: IDLE", "S: * 4 EXISTS", "S: + idling",
		      "S: * 5 EXISTS", "S: * OK [ALERT] end"),
		do_idle, "ready|" SELECTED "changed INBOX|begun|changed INBOX|alert end|");
}

static void fetch_when_begun(struct play *play)
{
	do_idle(play);
}

static void what_is_asked_for_ends_idle_first(void)
{
	struct play play;

	play_init(&play, SCRIPT(IDLING, "L: DONE", "S: * 4 EXISTS", "S: %t OK idled",
				 "C: UID FETCH 7 (UID BODY.PEEK*", "S: * 1 FETCH (UID 7 BODY[] {1}\r\na)",
				 "S: %t OK"));
	play.act = fetch_when_begun;
	play_run(&play, "begun|");
	do_fetch(&play);
	play_run(&play, "fetch OK|");
	/* DONE was sent: what comes now is told once, for nobody watches. */
	g_assert_cmpstr(play.log->str, ==,
		"ready|" SELECTED "begun|changed INBOX|watch OK|begin 7 1|a|end 7|fetch OK|");
	play_done(&play);
}

static void nothing_follows_before_the_plus(void)
{
	struct play play;

	/* Whatever came before DONE would end the test. */
	play_init(&play, SCRIPT(LOGIN(" IDLE"), OPEN("3"), "C: IDLE", "S: * 4 EXISTS", "L: DONE",
				 "S: %t OK idled", "C: NOOP", "S: %t OK"));
	play.act = do_idle;
	play_run(&play, SELECTED "changed INBOX|");
	do_poll(&play);
	for (unsigned turn = 0; turn < 50; turn++)
		g_main_context_iteration(NULL, FALSE);
	server_send(&play, "+ idling\r\n", 10);
	play_run(&play, "poll OK|");
	g_assert_cmpstr(play.log->str, ==,
		"ready|" SELECTED "changed INBOX|begun|watch OK|poll OK|");
	play_done(&play);
}

static void a_cancelled_watch_is_left_in_good_order(void)
{
	struct play play;

	play_init(&play, SCRIPT(IDLING, "L: DONE", "S: %t OK idled", "C: NOOP", "S: %t OK"));
	play.act = do_idle;
	play_run(&play, "begun|");
	imap_backend.cancel(play.session, play.ticket);
	play_run(&play, "watch CANCELLED|");
	do_poll(&play);
	play_run(&play, "poll OK|");
	g_assert_cmpstr(play.extra->str, ==, "");
	play_done(&play);
}

static void idle_is_renewed(void)
{
	struct play play;

	play_init(&play, SCRIPT(IDLING, "L: DONE", "S: %t OK idled", "C: IDLE", "S: + again",
				 "S: * 4 EXISTS"));
	play.act = NULL;
	play_run(&play, "ready|");
	listen_to(&play, "INBOX", 1);
	play_run(&play, "changed INBOX|");
	g_assert_cmpstr(play.log->str, ==, "ready|" SELECTED "begun|changed INBOX|");
	play_done(&play);
}

static void a_refused_idle_is_not_tried_again(void)
{
	static const char *const answers[] = { "S: %t NO not here", "S: %t BAD what", "S: %t OK done" };

	for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
		struct play play;

		play_init(&play, SCRIPT(LOGIN(" IDLE"), OPEN("3"), "C: IDLE", answers[i]));
		play.act = do_idle;
		play_run(&play, "watch NOT_POSSIBLE|");
		do_idle(&play);
		play_run(&play, "watch NOT_POSSIBLE|watch NOT_POSSIBLE|");
		g_assert_cmpstr(play.extra->str, ==, "");
		play_done(&play);
	}
}

static void idle_that_the_server_ends_at_once_is_none(void)
{
	check(SCRIPT(IDLING, "S: %t OK that was it"), do_idle,
		"ready|" SELECTED "begun|watch NOT_POSSIBLE|");
}

static void without_idle_nothing_is_sent(void)
{
	check(SCRIPT(LOGIN("")), do_idle, "ready|watch NOT_POSSIBLE|");
}

static void a_throttled_idle_may_be_tried_later(void)
{
	check(SCRIPT(LOGIN(" IDLE"), OPEN("3"), "C: IDLE",
		      "S: %t BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds"),
		do_idle, "ready|" SELECTED "watch TRY_LATER|");
}

static void a_folder_that_is_gone_cannot_be_watched(void)
{
	check(SCRIPT(LOGIN(" IDLE"), "C: EXAMINE \"INBOX\"", "S: %t NO [NONEXISTENT] gone"), do_idle,
		"ready|watch GONE|");
}

static void bye_while_idling_ends_the_session(void)
{
	check(SCRIPT(IDLING, "S: * BYE Autologout", "S: * BYE Autologout", "S: * BYE Autologout"), do_idle,
		"ready|" SELECTED "begun|watch LOST|dead LOST|");
	check(SCRIPT(IDLING, "!close"), do_idle, "ready|" SELECTED "begun|watch LOST|dead LOST|");
}

static void on_closed_log(void *user)
{
	g_string_append(((struct play *)user)->log, "closed|");
}

static void a_session_that_idles_says_goodbye(void)
{
	struct play play;

	play_init(&play, SCRIPT(IDLING, "L: DONE", "C: LOGOUT", "S: * BYE bye", "S: %t OK"));
	play.act = do_idle;
	play_run(&play, "begun|");
	imap_backend.close(play.session, on_closed_log, &play);
	play_run(&play, "closed|");
	g_assert_cmpstr(play.log->str, ==, "ready|" SELECTED "begun|watch CANCELLED|closed|");
	g_assert_cmpstr(play.extra->str, ==, "");
	play_done(&play);
}

static void an_idle_that_is_cut_anywhere_ends_once(void)
{
	for (gsize cut = 1; cut < 420; cut++) {
		struct play play;

		play_init(&play, SCRIPT(IDLING, "S: * 4 EXISTS", "S: * 1 EXPUNGE", "!close"));
		play.act = do_idle;
		play.cut_out = cut;
		play_run(&play, "|");
		while (!play.is_dead)
			g_main_context_iteration(NULL, TRUE);
		g_assert_cmpuint(play.open, ==, 0);
		play_done(&play);
	}
}

/* ---- NOTIFY ---------------------------------------------------------------------------------- */

#define NOTIFYING LOGIN(" NOTIFY"), "C: NOTIFY SET STATUS (SELECTED *) (PERSONAL *)"

static void status_of_other_folders_is_told(void)
{
	check(SCRIPT(NOTIFYING, "S: * STATUS inbox (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 9)",
		      "S: * STATUS \"a\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 9)", "S: %t OK",
		      "S: * STATUS \"a\" (HIGHESTMODSEQ 12 UIDVALIDITY 9)",
		      "S: * STATUS \"a\" (MESSAGES 2 UIDNEXT 3 HIGHESTMODSEQ 13)"),
		do_notify,
		"ready|status INBOX n=3 next=4|status a n=1 next=2|begun|status a modseq=12|"
		"status a n=2 next=3 modseq=13|");
}

static void folders_that_come_and_go_are_told(void)
{
	check(SCRIPT(NOTIFYING, "S: %t OK", "S: * LIST (\\NonExistent) \"/\" a",
		      "S: * LIST () \"/\" b (\"OLDNAME\" (\"a\"))", "S: * OK [ALERT] end"),
		do_notify, "ready|begun|tree|tree|alert end|");
}

static void without_notify_such_lines_mean_nothing(void)
{
	check(SCRIPT(LOGIN(""), "C: NOOP", "S: * STATUS a (MESSAGES 9)", "S: * LIST () \"/\" b", "S: %t OK"),
		do_poll, "ready|poll OK|");
}

static void other_requests_run_beside_notify(void)
{
	struct play play;

	play_init(&play, SCRIPT(NOTIFYING, "S: %t OK", "C: EXAMINE \"INBOX\"", "S: * STATUS a (MESSAGES 9)",
				 BOX("3"), "S: %t OK", "C: UID FETCH 7 (*", "S: * STATUS a (MESSAGES 8)",
				 "S: * 1 FETCH (UID 7 BODY[] {1}\r\na)", "S: %t OK", "S: * 4 EXISTS",
				 "S: * 5 EXISTS"));
	play.act = do_notify;
	play_run(&play, "begun|");
	do_fetch(&play);
	play_run(&play, "changed INBOX|changed INBOX|");
	g_assert_cmpstr(play.log->str, ==, "ready|begun|status a n=9|" SELECTED "status a n=8|begin 7 1|a|end 7|"
					   "fetch OK|changed INBOX|changed INBOX|");
	play_done(&play);
}

static void a_refused_notify_is_not_tried_again(void)
{
	struct play play;

	play_init(&play, SCRIPT(NOTIFYING, "S: %t NO [BADEVENT (FlagChange)] no"));
	play.act = do_notify;
	play_run(&play, "watch NOT_POSSIBLE|");
	do_notify(&play);
	play_run(&play, "watch NOT_POSSIBLE|watch NOT_POSSIBLE|");
	g_assert_cmpstr(play.extra->str, ==, "");
	play_done(&play);
}

static void an_overflow_ends_the_watch(void)
{
	check(SCRIPT(NOTIFYING, "S: %t OK", "S: * OK [NOTIFICATIONOVERFLOW] too much"), do_notify,
		"ready|begun|watch TRY_LATER|");
}

static void notify_gives_a_sign_of_life(void)
{
	struct play play;

	play_init(&play, SCRIPT(NOTIFYING, "S: %t OK", "C: NOOP", "S: * STATUS a (MESSAGES 2)", "S: %t OK"));
	play.act = NULL;
	play_run(&play, "ready|");
	listen_to(&play, NULL, 1);
	play_run(&play, "status a n=2|");
	play_done(&play);
}

/* ---- STATUS and NOOP ------------------------------------------------------------------------- */

static void on_status(void *user, const struct mailfs_status *status)
{
	log_status(user, status);
}

static void on_status_done(void *user, const GError *error)
{
	finish(user, "asked", error);
}

static void do_status(struct play *play)
{
	static const char *const folders[] = { "a", "INBOX", "b", NULL };

	play->open++;
	imap_backend.status(play->session, &(struct mailfs_status_request){
		.folders = folders, .status = on_status, .done = on_status_done, .user = play,
	});
}

static void a_folder_costs_a_line(void)
{
	check(SCRIPT(LOGIN(""), "C: STATUS \"a\" (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)",
		      "C: STATUS \"INBOX\" (*", "C: STATUS \"b\" (*",
		      "S: * STATUS a (MESSAGES 1 UIDNEXT 2)", "S: %v OK", "S: * STATUS INBOX (MESSAGES 3)",
		      "S: %u OK", "S: %t NO [NONEXISTENT] gone"),
		do_status, "ready|status a n=1 next=2|status INBOX n=3|asked OK|");
}

static void sync_then_status(struct play *play)
{
	do_sync(play);
}

static void the_open_folder_gets_no_status(void)
{
	struct play play;

	play_init(&play, SCRIPT(LOGIN(""), OPEN("0"), "C: STATUS \"a\" *", "C: NOOP", "C: STATUS \"b\" *",
				 "S: * STATUS a (MESSAGES 1)", "S: %v OK", "S: * 1 EXISTS", "S: %u OK",
				 "S: * STATUS b (MESSAGES 2)", "S: %t OK"));
	play.act = sync_then_status;
	play_run(&play, "sync OK|");
	g_string_truncate(play.log, 0);
	do_status(&play);
	play_run(&play, "asked OK|");
	g_assert_cmpstr(play.log->str, ==, "status a n=1|changed INBOX|status b n=2|asked OK|");
	play_done(&play);
}

static void a_throttled_status_says_so(void)
{
	check(SCRIPT(LOGIN(""), "C: STATUS \"a\" *", "C: STATUS \"INBOX\" *", "C: STATUS \"b\" *",
		      "S: * STATUS a (MESSAGES 1)", "S: %v OK", "S: %u NO [UNAVAILABLE] later", "S: %t OK"),
		do_status, "ready|status a n=1|asked TRY_LATER|");
}

static void do_impatient_poll(struct play *play)
{
	play->open++;
	imap_backend.poll(play->session, 50, on_poll_done, play);
}

static void a_silent_server_is_given_up(void)
{
	check(SCRIPT(LOGIN(""), "C: NOOP", "!stall"), do_impatient_poll, "ready|poll LOST|dead LOST|");
}

static void nobody_answers_a_dead_idle(void)
{
	struct play play;

	play_init(&play, SCRIPT(IDLING, "L: DONE", "!stall"));
	play.act = do_idle;
	play_run(&play, "begun|");
	do_impatient_poll(&play);
	play_run(&play, "dead LOST|");
	g_assert_cmpstr(play.log->str, ==,
		"ready|" SELECTED "begun|watch LOST|poll LOST|dead LOST|");
	play_done(&play);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *path;
		void (*test)(void);
	} tests[] = {
		{ "/backend/watch/AS-1 each change is told while idling", each_change_is_told_while_idling },
		{ "/backend/watch/CN-1 news before the plus", news_before_the_plus_are_news },
		{ "/backend/watch/CN-6 what is asked for ends IDLE first",
			what_is_asked_for_ends_idle_first },
		{ "/backend/watch/CN-1 nothing follows before the plus", nothing_follows_before_the_plus },
		{ "/backend/watch/cancelled in good order", a_cancelled_watch_is_left_in_good_order },
		{ "/backend/watch/CN-1 IDLE is renewed", idle_is_renewed },
		{ "/backend/watch/EX-4 a refused IDLE is not tried again",
			a_refused_idle_is_not_tried_again },
		{ "/backend/watch/EX-4 IDLE that ends at once is none",
			idle_that_the_server_ends_at_once_is_none },
		{ "/backend/watch/EX-3 without IDLE nothing is sent", without_idle_nothing_is_sent },
		{ "/backend/watch/CN-3 throttled", a_throttled_idle_may_be_tried_later },
		{ "/backend/watch/AS-3 the folder is gone", a_folder_that_is_gone_cannot_be_watched },
		{ "/backend/watch/AS-4 BYE while idling", bye_while_idling_ends_the_session },
		{ "/backend/watch/goodbye", a_session_that_idles_says_goodbye },
		{ "/backend/watch/AS-4 cut anywhere ends once", an_idle_that_is_cut_anywhere_ends_once },
		{ "/backend/watch/notify/ID-7 status is told", status_of_other_folders_is_told },
		{ "/backend/watch/notify/folders that come and go", folders_that_come_and_go_are_told },
		{ "/backend/watch/notify/AS-1 without it such lines mean nothing",
			without_notify_such_lines_mean_nothing },
		{ "/backend/watch/notify/other requests run beside it", other_requests_run_beside_notify },
		{ "/backend/watch/notify/EX-4 refused once", a_refused_notify_is_not_tried_again },
		{ "/backend/watch/notify/an overflow ends it", an_overflow_ends_the_watch },
		{ "/backend/watch/notify/CN-1 a sign of life", notify_gives_a_sign_of_life },
		{ "/backend/watch/status/a folder costs a line", a_folder_costs_a_line },
		{ "/backend/watch/status/ID-7 none of the open folder", the_open_folder_gets_no_status },
		{ "/backend/watch/status/CN-3 throttled", a_throttled_status_says_so },
		{ "/backend/watch/poll/CN-1 a silent server is given up", a_silent_server_is_given_up },
		{ "/backend/watch/poll/CN-1 nobody answers DONE", nobody_answers_a_dead_idle },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].path, tests[i].test);
	return g_test_run();
}
