/* SPDX-License-Identifier: MIT */
/* The IMAP backend: new messages. */
#include "backend_play.h"

#define BODY "Subject: x\r\n\r\nx1 DELETE INBOX\r\n" /* 31 octets */
#define BODY_LINES "L: Subject: x", "L: ", "L: x1 DELETE INBOX", "L: "
#define APPEND_X "C: APPEND \"Box\" {31}"

enum give { GIVE_AT_ONCE, GIVE_LATER, GIVE_NOTHING, GIVE_SHORT, GIVE_NEVER, GIVE_CANCEL };

/* Of the test that runs. */
static struct {
	struct mailfs_append_request request; /* what differs from do_append()'s */
	const char *body;
	enum give give;
	size_t pieces;
} upload;

/* ---- what tests do --------------------------------------------------------------------------- */

struct later {
	struct play *play;
	GBytes *bytes;
};

static gboolean give_later(gpointer user)
{
	struct later *later = user;

	imap_backend.give(later->play->session, later->play->ticket, later->bytes);
	g_free(later);
	return G_SOURCE_REMOVE;
}

static void on_pull(void *user, uint64_t offset, size_t len)
{
	struct play *play = user;
	GBytes *bytes = g_bytes_new(upload.body + offset, len);

	g_assert_cmpuint(len, <=, 256 * 1024);
	g_assert_cmpuint(offset + len, <=, upload.request.size);
	upload.pieces++;
	switch (upload.give) {
	case GIVE_AT_ONCE:
		imap_backend.give(play->session, play->ticket, bytes);
		return;
	case GIVE_LATER:
		g_idle_add_full(G_PRIORITY_LOW, give_later,
			g_memdup2(&(struct later){ play, bytes }, sizeof(struct later)), NULL);
		return;
	case GIVE_SHORT:
		imap_backend.give(play->session, play->ticket, g_bytes_new(upload.body, len - 1));
		break;
	case GIVE_NOTHING:
		imap_backend.give(play->session, play->ticket, NULL);
		break;
	case GIVE_CANCEL:
		imap_backend.cancel(play->session, play->ticket);
		break;
	case GIVE_NEVER:
		break;
	}
	g_bytes_unref(bytes);
}

static void on_append_done(void *user, const struct mailfs_append_result *result,
	const GError *error)
{
	struct play *play = user;

	if (result->uid != 0)
		g_string_append_printf(play->log, "v%u u%u ", result->uidvalidity, result->uid);
	if (result->has_replaced)
		g_string_append(play->log, "replaced ");
	if (!result->is_outcome_known)
		g_string_append(play->log, "unknown ");
	finish(play, "append", error);
}

static void do_append(struct play *play)
{
	struct mailfs_append_request request = upload.request;

	request.folder = request.folder ? request.folder : "Box";
	request.pull = on_pull;
	request.done = on_append_done;
	request.user = play;
	play->open++;
	play->ticket = imap_backend.append(play->session, &request);
}

static void do_append_then_list(struct play *play)
{
	do_append(play);
	do_list(play);
}

static void do_append_and_close(struct play *play);

static void play_append(struct play *play, const char *const *script,
	void (*act)(struct play *play), const char *want)
{
	const char *last = want + strlen(want) - 1;

	while (last > want && last[-1] != '|')
		last--;
	if (!upload.body)
		upload.body = BODY;
	if (upload.request.size == 0)
		upload.request.size = strlen(upload.body);
	if (upload.request.date == 0)
		upload.request.date = INT64_MIN;
	upload.pieces = 0;
	play_init(play, script);
	play->config.is_read_only = false;
	play->act = act;
	play_run(play, last);
	g_assert_cmpstr(play->log->str, ==, want);
}

/* Like check(); the session may change things, and no octet is said that was not expected. */
static void check_append(const char *const *script, void (*act)(struct play *play), const char *want)
{
	struct play play;

	play_append(&play, script, act, want);
	g_assert_cmpstr(play.extra->str, ==, "");
	play_done(&play);
}

#define CHECK(script, act, want, ...)                                                              \
	do {                                                                                       \
		memset(&upload, 0, sizeof(upload));                                                \
		upload.request = (struct mailfs_append_request){ __VA_ARGS__ };                    \
		check_append(script, act, want);                                                   \
	} while (0)

/* ---- what is sent ---------------------------------------------------------------------------- */

static void nothing_is_sent_before_the_plus(void)
{
	CHECK(SCRIPT(LOGIN(" LITERAL+ UIDPLUS"), APPEND_X, "S: * OK still here", "S: * 3 EXISTS",
		      "S: + go", BODY_LINES, "S: %t OK [APPENDUID 5 7] stored"),
		do_append, "ready|v5 u7 append OK|");
}

static void flags_and_the_date_go_along(void)
{
	static const char *const words[] = { "todo", "$Junk", NULL };

	CHECK(SCRIPT(LOGIN(""),
		      "C: APPEND \"Box\" (\\Seen \\Draft todo $Junk) \"14-Nov-2023 22:13:20 +0000\" {31}",
		      "S: + go", BODY_LINES, "S: %t OK stored"),
		do_append, "ready|append OK|", .flags = MAILFS_FLAG_SEEN | MAILFS_FLAG_DRAFT,
		.keywords = words, .date = 1700000000);
}

static void dates_that_servers_refuse_are_left_out(void)
{
	static const int64_t dates[] = { -1, 1, 315532799, 2145916800, INT64_MAX, INT64_MIN };

	for (size_t i = 0; i < G_N_ELEMENTS(dates); i++)
		CHECK(SCRIPT(LOGIN(""), APPEND_X, "S: + go", BODY_LINES, "S: %t OK stored"),
			do_append, "ready|append OK|", .date = dates[i]);
}

static void names_that_cannot_be_quoted_are_literals_of_their_own(void)
{
	CHECK(SCRIPT(LOGIN(" LITERAL+"), "C: APPEND {20}", "S: + name", "L: a", "L: x DELETE INBOX{3} {31}",
		      "S: + body", BODY_LINES, "S: %t OK stored"),
		do_append, "ready|append OK|", .folder = "a\r\nx DELETE INBOX{3}");
	CHECK(SCRIPT(LOGIN(" LITERAL+"), "C: APPEND \"b{5+}\" {31}", "S: + body", BODY_LINES,
		      "S: %t OK stored"),
		do_append, "ready|append OK|", .folder = "b{5+}");
}

static void words_that_are_no_keywords_are_refused_here(void)
{
	static const char *const bad[] = { "a) {1}", NULL };

	CHECK(SCRIPT(LOGIN("")), do_append, "ready|append INVALID|", .keywords = bad);
}

static void what_is_too_big_is_refused_here(void)
{
	CHECK(SCRIPT(LOGIN(" APPENDLIMIT=30")), do_append, "ready|append TOO_BIG|", .flags = 0);
	CHECK(SCRIPT(LOGIN(" APPENDLIMIT=31"), APPEND_X, "S: + go", BODY_LINES, "S: %t OK stored"),
		do_append, "ready|append OK|", .flags = 0);
}

static void a_read_only_mount_sends_no_message(void)
{
	struct play play;

	memset(&upload, 0, sizeof(upload));
	upload.body = BODY;
	upload.request.size = strlen(BODY);
	play_init(&play, SCRIPT(LOGIN("")));
	play.act = do_append;
	play_run(&play, "append READ_ONLY|");
	g_assert_cmpstr(play.extra->str, ==, "");
	play_done(&play);
}

static void no_other_command_gets_into_a_literal(void)
{
	CHECK(SCRIPT(LOGIN(""), APPEND_X, "S: + go", BODY_LINES, "S: %t OK stored", "C: LIST *", "S: %t NO"),
		do_append_then_list, "ready|append OK|list PROTOCOL|", .flags = 0);
}

static void big_messages_flow_in_pieces(void)
{
	const size_t size = 5 * 1024 * 1024 + 17;
	g_autofree char *body = g_malloc(size);
	g_autofree char *command = g_strdup_printf("C: APPEND \"Box\" {%zu}", size);
	g_autofree char *all = g_strdup_printf("B: %zu", size);
	const char *const script[] = { LOGIN(""), command, "S: + go", all, "L: ", "S: %t OK stored",
		NULL };

	memset(body, 'x', size);
	for (int i = 0; i < 2; i++) {
		memset(&upload, 0, sizeof(upload));
		upload.body = body;
		upload.request.size = size;
		upload.give = i == 0 ? GIVE_AT_ONCE : GIVE_LATER;
		check_append(script, do_append, "ready|append OK|");
		g_assert_cmpuint(upload.pieces, ==, 21);
	}
}

static void an_empty_message_is_no_special_case(void)
{
	struct play play;

	memset(&upload, 0, sizeof(upload));
	upload.request.date = INT64_MIN;
	play_init(&play, SCRIPT(LOGIN(""), "C: APPEND \"Box\" {0}", "S: + go", "L: ", "S: %t OK"));
	play.config.is_read_only = false;
	play.act = do_append;
	play_run(&play, "append OK|");
	g_assert_cmpuint(upload.pieces, ==, 0);
	play_done(&play);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void a_refusal_instead_of_the_plus_sends_no_octet(void)
{
	static const struct {
		const char *answer, *want;
	} cases[] = {
		{ "S: %t NO [OVERQUOTA] full", "QUOTA" },
		{ "S: %t NO [TRYCREATE] no such folder", "GONE" },
		{ "S: %t NO [TOOBIG] too much", "TOO_BIG" },
		{ "S: %t NO [LIMIT] Mail size is larger than the maximum", "TOO_BIG" },
		{ "S: %t NO [NOPERM] no", "DENIED" },
		{ "S: %t NO [UNAVAILABLE] later", "TRY_LATER" },
		{ "S: %t NO [LIMIT] Rate limit hit", "TRY_LATER" },
		{ "S: %t NO Server Unavailable. 15", "QUOTA" },
		{ "S: %t NO Message contains NUL characters", "INVALID" },
		{ "S: %t NO Message contains bare newlines", "INVALID" },
		{ "S: %t NO Message contains invalid header", "INVALID" },
		{ "S: %t BAD Command Argument Error 11", "INVALID" },
		{ "S: %t BAD [CLIENTBUG] what", "PROTOCOL" },
		{ "S: %t NO", "PROTOCOL" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *want =
			g_strdup_printf("ready|append %s|list PROTOCOL|", cases[i].want);

		/* The session goes on; the command behind proves that no octet came between. */
		CHECK(SCRIPT(LOGIN(" LITERAL+"), APPEND_X, cases[i].answer, "C: LIST *", "S: %t NO"),
			do_append_then_list, want, .flags = 0);
	}
}

static void a_refusal_of_the_whole_message_is_known(void)
{
	CHECK(SCRIPT(LOGIN(""), APPEND_X, "S: + go", BODY_LINES, "S: %t NO [OVERQUOTA] full"), do_append,
		"ready|append QUOTA|", .flags = 0);
}

static void a_refusal_within_the_literal_ends_the_session(void)
{
	struct play play;

	/* Whatever came of the rest would be commands, or the tail of a message. */
	memset(&upload, 0, sizeof(upload));
	upload.give = GIVE_NEVER;
	play_append(&play, SCRIPT(LOGIN(""), APPEND_X, "S: + go", "S: %t NO [OVERQUOTA] full", "!stall"),
		do_append, "ready|append QUOTA|dead LOST|");
	play_done(&play);
}

/* The kernel takes little of what is written: it stays in the queue of the stream. */
static void do_append_slowly(struct play *play)
{
	const int room = 8192;

	for (int fd = 3; fd < 64; fd++) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_port == htons(play->port))
			g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), ==, 0);
	}
	do_append(play);
}

static void an_answer_before_the_last_octet_ends_the_session(void) /* WR-3 */
{
	static const char *const answers[][2] = {
		{ "S: %t NO [OVERQUOTA] full", "ready|append QUOTA|dead LOST|" },
		{ "S: %t BAD no", "ready|append PROTOCOL|dead LOST|" },
		{ "S: %t OK stored", "ready|unknown append PROTOCOL|dead PROTOCOL|" },
	};
	const size_t size = 1000 * 1024; /* all of it fits into the queue of the stream */
	g_autofree char *body = g_malloc(size);
	g_autofree char *command = g_strdup_printf("C: APPEND \"Box\" {%zu}", size);

	memset(body, 'x', size);
	for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
		const char *const script[] = { LOGIN(""), command, "S: + go", "B: 1000", answers[i][0],
			"!stall", NULL };
		struct play play;

		memset(&upload, 0, sizeof(upload));
		upload.body = body;
		upload.request.size = size;
		play_append(&play, script, do_append_slowly, answers[i][1]);
		play_done(&play);
	}
}

static void ok_before_the_message_is_a_lie(void)
{
	struct play play;

	memset(&upload, 0, sizeof(upload));
	play_append(&play, SCRIPT(LOGIN(""), APPEND_X, "S: %t OK [APPENDUID 5 7] stored", "!stall"),
		do_append, "ready|unknown append PROTOCOL|dead PROTOCOL|");
	play_done(&play);
	memset(&upload, 0, sizeof(upload));
	upload.give = GIVE_NEVER;
	play_append(&play, SCRIPT(LOGIN(""), APPEND_X, "S: + go", "S: %t OK stored", "!stall"), do_append,
		"ready|unknown append PROTOCOL|dead PROTOCOL|");
	play_done(&play);
}

static void a_second_plus_ends_the_session(void)
{
	struct play play;

	memset(&upload, 0, sizeof(upload));
	upload.give = GIVE_NEVER;
	play_append(&play, SCRIPT(LOGIN(""), APPEND_X, "S: + go", "S: + go on", "!stall"), do_append,
		"ready|append PROTOCOL|dead PROTOCOL|");
	play_done(&play);
	memset(&upload, 0, sizeof(upload));
	play_append(&play, SCRIPT(LOGIN(""), APPEND_X, "S: + go", BODY_LINES, "S: + and?", "!stall"),
		do_append, "ready|unknown append PROTOCOL|dead PROTOCOL|");
	play_done(&play);
}

/* ---- where it went --------------------------------------------------------------------------- */

static void an_impossible_appenduid_is_none(void)
{
	static const char *const answers[] = {
		"S: %t OK stored", "S: %t OK [APPENDUID 5 0] stored", "S: %t OK [APPENDUID 0 7] stored",
		"S: %t OK [APPENDUID 6 7] stored", "S: %t OK [APPENDUID 5 7:8] stored",
		"S: %t OK [APPENDUID] stored",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(answers); i++)
		CHECK(SCRIPT(LOGIN(""), APPEND_X, "S: + go", BODY_LINES, answers[i]), do_append,
			"ready|append OK|", .uidvalidity = 5);
}

static void bye_behind_the_answer_changes_nothing(void)
{
	struct play play;

	memset(&upload, 0, sizeof(upload));
	play_append(&play, SCRIPT(LOGIN(""), APPEND_X, "S: + go", BODY_LINES,
				   "R: %t OK [APPENDUID 5 7] stored\r\n* BYE tired\r\n", "!close"),
		do_append, "ready|v5 u7 append OK|dead LOST|");
	play_done(&play);
}

/* ---- ends from our side ---------------------------------------------------------------------- */

static void octets_that_cannot_be_read_end_the_session(void)
{
	static const enum give ways[] = { GIVE_NOTHING, GIVE_SHORT };

	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
		struct play play;

		memset(&upload, 0, sizeof(upload));
		upload.give = ways[i];
		play_append(&play, SCRIPT(LOGIN(""), APPEND_X, "S: + go", "!stall"), do_append,
			"ready|append DISK|dead DISK|");
		play_done(&play);
	}
}

static void a_message_that_is_given_up_halfway_ends_the_session(void)
{
	struct play play;

	memset(&upload, 0, sizeof(upload));
	upload.give = GIVE_CANCEL;
	play_append(&play, SCRIPT(LOGIN(""), APPEND_X, "S: + go", "!stall"), do_append,
		"ready|append CANCELLED|dead CANCELLED|");
	play_done(&play);
}

static void on_closed(void *user)
{
	g_string_append(((struct play *)user)->log, "closed|");
}

static void do_append_and_close(struct play *play)
{
	do_append(play);
	imap_backend.close(play->session, on_closed, play);
}

static void a_message_that_was_not_begun_is_known_to_be_nowhere(void)
{
	CHECK(SCRIPT(LOGIN(""), "C: LOGOUT", "S: * BYE", "S: %t OK"), do_append_and_close,
		"ready|append CANCELLED|closed|", .flags = 0);
}

/* ---- REPLACE --------------------------------------------------------------------------------- */

#define OPEN_BOX                                                                                   \
	"C: SELECT \"Box\"", "S: * 2 EXISTS", "S: * OK [UIDVALIDITY 5] v", "S: %t OK [READ-WRITE]"

static void replace_takes_the_place_of_a_message(void)
{
	CHECK(SCRIPT(LOGIN(" REPLACE UIDPLUS"), OPEN_BOX, "C: UID REPLACE 3 \"Box\" (\\Seen) {31}",
		      "S: + go", BODY_LINES, "S: * OK [APPENDUID 5 7] new", "S: * 3 EXISTS",
		      "S: * 1 EXPUNGE", "S: %t OK replaced"),
		do_append, "ready|changed Box|v5 u7 replaced append OK|", .flags = MAILFS_FLAG_SEEN,
		.replaces_uid = 3, .uidvalidity = 5);
}

static void a_replace_that_removed_nothing_has_not_replaced(void)
{
	CHECK(SCRIPT(LOGIN(" REPLACE UIDPLUS"), OPEN_BOX, "C: UID REPLACE 3 \"Box\" {31}", "S: + go",
		      BODY_LINES, "S: %t OK [APPENDUID 5 7] replaced"),
		do_append, "ready|v5 u7 append OK|", .replaces_uid = 3, .uidvalidity = 5);
}

static void replace_that_is_not_understood_becomes_append(void)
{
	CHECK(SCRIPT(LOGIN(" REPLACE"), OPEN_BOX, "C: UID REPLACE 3 \"Box\" {31}", "S: %t BAD what",
		      APPEND_X, "S: + go", BODY_LINES, "S: %t OK [APPENDUID 5 7]"),
		do_append, "ready|v5 u7 append OK|", .replaces_uid = 3, .uidvalidity = 5);
	CHECK(SCRIPT(LOGIN(""), APPEND_X, "S: + go", BODY_LINES, "S: %t OK [APPENDUID 5 7]"), do_append,
		"ready|v5 u7 append OK|", .replaces_uid = 3, .uidvalidity = 5);
}

static void a_replace_in_another_uidvalidity_is_not_sent(void)
{
	CHECK(SCRIPT(LOGIN(" REPLACE"), OPEN_BOX), do_append, "ready|append STALE|",
		.replaces_uid = 3, .uidvalidity = 6);
}

/* ---- the connection is cut ------------------------------------------------------------------- */

/* What the server had when it hung up decides what may be said of the outcome. */
static void run_cut(const char *const *script, gsize cut_out, gsize cut_in, gsize whole)
{
	struct play play;
	bool is_known;

	memset(&upload, 0, sizeof(upload));
	upload.body = BODY;
	upload.request.size = strlen(BODY);
	upload.request.date = INT64_MIN;
	play_init(&play, script);
	play.config.is_read_only = false;
	play.act = do_append;
	play.cut_out = cut_out;
	play.cut_in = cut_in;
	play_run(&play, "dead LOST|");
	is_known = !strstr(play.log->str, "unknown");
	if (play.is_ready && !strstr(play.log->str, "append OK|")) {
		g_assert_nonnull(strstr(play.log->str, "append LOST|dead LOST|"));
		/* Known means: not stored. A server that has all of it may have stored it. */
		if (play.received >= whole)
			g_assert_false(is_known);
		/* Before the server asked for it nothing can have been stored. */
		if (upload.pieces == 0)
			g_assert_true(is_known);
	}
	play_done(&play);
}

static void an_append_that_is_cut_anywhere_ends_once(void)
{
	const char *const script[] = { LOGIN(""), APPEND_X, "S: + go", BODY_LINES,
		"S: %t OK [APPENDUID 5 7] stored", NULL };
	gsize sent, received;
	struct play play;

	memset(&upload, 0, sizeof(upload));
	play_append(&play, script, do_append, "ready|v5 u7 append OK|");
	sent = play.sent;
	received = play.received;
	play_done(&play);
	for (gsize at = 1; at < sent; at++)
		run_cut(script, at, 0, received);
	for (gsize at = 1; at <= received; at++)
		run_cut(script, 0, at, received);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *path;
		void (*test)(void);
	} tests[] = {
		{ "/backend/append/WR-3 nothing is sent before the plus",
			nothing_is_sent_before_the_plus },
		{ "/backend/append/flags and the date go along", flags_and_the_date_go_along },
		{ "/backend/append/MD-1 dates that servers refuse are left out",
			dates_that_servers_refuse_are_left_out },
		{ "/backend/append/SEC-44 SEC-45 names that cannot be quoted are literals",
			names_that_cannot_be_quoted_are_literals_of_their_own },
		{ "/backend/append/SEC-47 words that are no keywords are refused here",
			words_that_are_no_keywords_are_refused_here },
		{ "/backend/append/WR-2 what is too big is refused here",
			what_is_too_big_is_refused_here },
		{ "/backend/append/a read-only mount sends no message",
			a_read_only_mount_sends_no_message },
		{ "/backend/append/CN-6 no other command gets into a literal",
			no_other_command_gets_into_a_literal },
		{ "/backend/append/SZ-9 big messages flow in pieces", big_messages_flow_in_pieces },
		{ "/backend/append/an empty message is no special case",
			an_empty_message_is_no_special_case },
		{ "/backend/append/WR-2 WR-3 SEC-46 a refusal instead of the plus sends no octet",
			a_refusal_instead_of_the_plus_sends_no_octet },
		{ "/backend/append/WR-2 a refusal of the whole message is known",
			a_refusal_of_the_whole_message_is_known },
		{ "/backend/append/WR-3 SEC-46 a refusal within the literal ends the session",
			a_refusal_within_the_literal_ends_the_session },
		{ "/backend/append/WR-3 an answer before the last octet",
			an_answer_before_the_last_octet_ends_the_session },
		{ "/backend/append/WR-5 OK before the message is a lie", ok_before_the_message_is_a_lie },
		{ "/backend/append/WR-3 PX-2 a second plus ends the session",
			a_second_plus_ends_the_session },
		{ "/backend/append/ID-1 an impossible APPENDUID is none",
			an_impossible_appenduid_is_none },
		{ "/backend/append/AS-4 BYE behind the answer changes nothing",
			bye_behind_the_answer_changes_nothing },
		{ "/backend/append/WR-5 octets that cannot be read end the session",
			octets_that_cannot_be_read_end_the_session },
		{ "/backend/append/WR-5 a message that is given up halfway ends the session",
			a_message_that_is_given_up_halfway_ends_the_session },
		{ "/backend/append/WR-5 a message that was not begun is known to be nowhere",
			a_message_that_was_not_begun_is_known_to_be_nowhere },
		{ "/backend/append/WR-9 REPLACE takes the place of a message",
			replace_takes_the_place_of_a_message },
		{ "/backend/append/EX-4 a REPLACE that removed nothing has not replaced",
			a_replace_that_removed_nothing_has_not_replaced },
		{ "/backend/append/EX-4 REPLACE that is not understood becomes APPEND",
			replace_that_is_not_understood_becomes_append },
		{ "/backend/append/ID-1 a REPLACE in another UIDVALIDITY is not sent",
			a_replace_in_another_uidvalidity_is_not_sent },
		{ "/backend/append/WR-5 cut anywhere ends once",
			an_append_that_is_cut_anywhere_ends_once },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].path, tests[i].test);
	return g_test_run();
}
