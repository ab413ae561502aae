/* SPDX-License-Identifier: MIT */
/* The POP3 backend: how it logs in, what it takes for a message, how it reads and removes. */
#include "backend/pop3/session.h"
#include "backend_play.h"

#define PASS   "S: +OK hi", "L: CAPA", "S: -ERR what", "L: USER u", "S: +OK", "L: PASS p", "S: +OK in"
#define LOGIN_CAPS(caps)                                                                           \
	"S: +OK hi", "L: CAPA", "S: +OK", "S: USER", "S: .", "L: USER u", "S: +OK", "L: PASS p",  \
		"S: +OK in", "L: CAPA", "R: +OK\r\n" caps ".\r\n"
#define LOGIN_TOP  LOGIN_CAPS("TOP\r\nUIDL\r\n")
#define UIDL(lines) "L: UIDL", "R: +OK\r\n" lines ".\r\n"
#define LIST(lines) "L: LIST", "R: +OK\r\n" lines ".\r\n"
/* Before message 1 is removed. */
#define LOOK "L: TOP 1 0", "R: +OK\r\nSubject: x\r\n\r\n.\r\n"
#define TOP(n, subject) "L: TOP " n " 0", "R: +OK\r\nSubject: " subject "\r\n\r\n.\r\n"

static void pop3_check_as(enum mailfs_auth auth, enum mailfs_tls tls, const char *const *script,
	void (*act)(struct play *play), const char *want)
{
	struct play play;

	play_init(&play, script);
	play.backend = &pop3_backend;
	play.config.auth = auth;
	play.config.tls = tls;
	play.config.is_read_only = false;
	play.act = act;
	play_expect(&play, want);
}

static void pop3_check(const char *const *script, void (*act)(struct play *play), const char *want)
{
	pop3_check_as(MAILFS_AUTH_ANY, MAILFS_TLS_NONE, script, act, want);
}

/* ---- acts ------------------------------------------------------------------------------------ */

static const uint32_t uids[] = { 7, 8, 9 };
static const char *const keys[] = { "a", "b", "c" };

static void fetch_some(struct play *play, size_t count)
{
	struct mailfs_fetch_request request = {
		.folder = "INBOX", .uids = uids, .keys = keys, .uid_count = count, .begin = on_begin,
		.data = on_data, .end = on_end, .done = on_fetch_done, .user = play,
	};

	play->open++;
	play->ticket = play->backend->fetch(play->session, &request);
}

static void fetch_one(struct play *play)
{
	fetch_some(play, 1);
}

static void fetch_three(struct play *play)
{
	fetch_some(play, 3);
}

static void fetch_then_sync(struct play *play)
{
	fetch_some(play, 1);
	do_sync(play);
}

static void sync_twice(struct play *play)
{
	do_sync(play);
	do_sync(play);
}

static void on_removed(void *user, uint32_t uid)
{
	g_string_append_printf(((struct play *)user)->log, "removed %u|", uid);
}

static void on_remove_done(void *user, const GError *error)
{
	finish(user, "remove", error);
}

static void remove_some(struct play *play, size_t count)
{
	struct mailfs_remove_request request = {
		.folder = "INBOX", .uids = uids, .keys = keys, .uid_count = count,
		.removed = on_removed, .done = on_remove_done, .user = play,
	};

	play->open++;
	play->backend->remove(play->session, &request);
}

static void on_other(void *user, uint32_t uid)
{
	g_string_append_printf(((struct play *)user)->log, "other %u|", uid);
}

/* Those whose octets are "hi" and a line end. */
static void remove_known(struct play *play)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	uint8_t sha256[2][32];
	gsize len = sizeof(sha256[0]);
	struct mailfs_remove_request request = {
		.folder = "INBOX", .uids = uids, .keys = keys, .uid_count = 2,
		.sha256 = (const uint8_t (*)[32])sha256, .removed = on_removed, .other = on_other,
		.done = on_remove_done, .user = play,
	};

	g_checksum_update(sum, (const guchar *)"hi\r\n", 4);
	g_checksum_get_digest(sum, sha256[0], &len);
	memcpy(sha256[1], sha256[0], len);
	play->open++;
	play->backend->remove(play->session, &request);
}

static void remove_one(struct play *play)
{
	remove_some(play, 1);
}

static void remove_two(struct play *play)
{
	remove_some(play, 2);
}

static void fetch_and_remove(struct play *play)
{
	fetch_some(play, 1);
	remove_some(play, 1);
	fetch_some(play, 1);
}

/* ---- login ----------------------------------------------------------------------------------- */

static void login_works_without_capabilities(void)
{
	pop3_check(SCRIPT(PASS, "L: CAPA", "S: -ERR what"), NULL, "ready|");
}

static void login_prefers_sasl(void)
{
	pop3_check(SCRIPT("S: +OK", "L: CAPA", "S: +OK", "S: SASL PLAIN LOGIN", "S: USER", "S: .",
			   "L: AUTH PLAIN AHUAcA==", "S: +OK", "L: CAPA", "S: +OK", "S: ."),
		NULL, "ready|");
}

static void login_takes_ok_for_a_challenge_of_plain(void)
{
	/* P3-11; a long user name has no room in the command. */
	struct play play;

	play_init(&play, SCRIPT("S: +OK", "L: CAPA", "S: +OK", "S: SASL PLAIN", "S: .", "L: AUTH PLAIN",
				"S: +OK go", "L: AHV1dXV1*", "S: +OK", "L: CAPA", "S: +OK", "S: ."));
	play.backend = &pop3_backend;
	play.config.user = "uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu";
	play_run(&play, "ready|");
	play_done(&play);
}

static void login_asks_for_another_token_once_and_sends_none_twice(void)
{
	struct play play;

	play_init(&play, SCRIPT("S: +OK", "L: CAPA", "S: +OK", "S: SASL XOAUTH2", "S: .",
				 "L: AUTH XOAUTH2", "S: + ", "L: dXNlcj11AWF1dGg9QmVhcmVyIHABAQ==",
				 "S: -ERR [AUTH] expired"));
	play.backend = &pop3_backend;
	play.config.auth = MAILFS_AUTH_OAUTH;
	play_run(&play, "dead LOGIN|");
	g_assert_cmpuint(play.secrets, ==, 2);
	g_assert_cmpstr(play.extra->str, ==, "");
	play_done(&play);
}

static void login_sends_tokens_in_two_steps(void)
{
	pop3_check_as(MAILFS_AUTH_OAUTH, MAILFS_TLS_NONE,
		SCRIPT("S: +OK", "L: CAPA", "S: +OK", "S: SASL XOAUTH2", "S: .", "L: AUTH XOAUTH2",
			"S: +", "L: dXNlcj11AWF1dGg9QmVhcmVyIHABAQ==", "S: + eyJzdGF0dXMiOiI0MDAifQ==",
			"L: ", "S: -ERR [AUTH] no"),
		NULL, "dead LOGIN|");
}

static void login_refused_is_tried_once_only(void)
{
	pop3_check(SCRIPT("S: +OK", "L: CAPA", "S: +OK", "S: SASL PLAIN LOGIN", "S: USER", "S: .",
			   "L: AUTH PLAIN *", "S: -ERR no"),
		NULL, "dead LOGIN|");
	pop3_check(SCRIPT("S: +OK", "L: CAPA", "S: -ERR", "L: USER u", "S: +OK", "L: PASS p",
			   "S: -ERR no"),
		NULL, "dead LOGIN|");
}

static void login_takes_the_next_mechanism_when_one_is_unknown(void)
{
	pop3_check(SCRIPT("S: +OK", "L: CAPA", "S: +OK", "S: SASL SCRAM-SHA-256 PLAIN", "S: .",
			   "L: AUTH SCRAM-SHA-256 *", "S: -ERR unknown mechanism",
			   "L: AUTH PLAIN AHUAcA==", "S: +OK", "L: CAPA", "S: -ERR"),
		NULL, "ready|");
}

static void login_never_uses_apop(void)
{
	pop3_check(SCRIPT("S: +OK <1896.697170952@example.org>", "L: CAPA", "S: +OK", "S: USER", "S: .",
			   "L: USER u", "S: +OK", "L: PASS p", "S: +OK", "L: CAPA", "S: -ERR"),
		NULL, "ready|");
}

static void login_tells_why_it_was_refused(void)
{
	static const char *const answers[][2] = {
		{ "S: -ERR [IN-USE] locked", "dead IN_USE|" },
		{ "S: -ERR [LOGIN-DELAY] wait", "dead TRY_LATER|" },
		{ "S: -ERR [SYS/TEMP] oops", "dead TRY_LATER|" },
		{ "S: -ERR [SYS/PERM] oops", "dead LOGIN|" },
		{ "S: -ERR [AUTH] no", "dead LOGIN|" },
		{ "S: -ERR unable to lock maildrop", "dead IN_USE|" },
		{ "S: -ERR your account is locked", "dead LOGIN|" },
		{ "S: -ERR too many connections", "dead LIMIT|" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(answers); i++)
		pop3_check(SCRIPT("S: +OK", "L: CAPA", "S: -ERR", "L: USER u", "S: +OK", "L: PASS p",
				   answers[i][0]),
			NULL, answers[i][1]);
	pop3_check(SCRIPT("S: -ERR go away \033[1m"), NULL, "dead REFUSED|");
	pop3_check(SCRIPT("S: * OK imap"), NULL, "dead PROTOCOL|");
}

static void utf8_is_asked_for_before_the_password(void)
{
	pop3_check(SCRIPT("S: +OK", "L: CAPA", "S: +OK", "S: UTF8", "S: USER", "S: .", "L: UTF8",
			   "S: -ERR no", "L: USER u", "S: +OK", "L: PASS p", "S: +OK", "L: CAPA",
			   "S: -ERR"),
		NULL, "ready|");
}

static void stls_that_is_missing_or_refused_ends_it(void)
{
	pop3_check_as(MAILFS_AUTH_ANY, MAILFS_TLS_STARTTLS, SCRIPT("S: +OK", "L: CAPA", "S: -ERR"), NULL,
		"dead TLS|");
	pop3_check_as(MAILFS_AUTH_ANY, MAILFS_TLS_STARTTLS,
		SCRIPT("S: +OK", "L: CAPA", "S: +OK", "S: USER", "S: ."), NULL, "dead TLS|");
	pop3_check_as(MAILFS_AUTH_ANY, MAILFS_TLS_STARTTLS,
		SCRIPT("S: +OK", "L: CAPA", "S: +OK", "S: STLS", "S: .", "L: STLS", "S: -ERR"), NULL,
		"dead TLS|");
	pop3_check_as(MAILFS_AUTH_ANY, MAILFS_TLS_STARTTLS,
		SCRIPT("S: +OK", "L: CAPA", "S: +OK", "S: STLS", "S: .", "L: STLS",
			"R: +OK\r\n+OK\r\n+OK\r\n"),
		NULL, "dead TLS|");
}

static void passwords_with_line_ends_are_not_sent(void)
{
	struct play play;

	play_init(&play, SCRIPT("S: +OK", "L: CAPA", "S: -ERR"));
	play.backend = &pop3_backend;
	play.password = "a\r\nDELE 1";
	play_run(&play, "dead INVALID|");
	g_assert_cmpstr(play.extra->str, ==, "");
	play_done(&play);
}

/* ---- sync ------------------------------------------------------------------------------------ */

static void sync_reads_headers_of_what_is_new(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 b\r\n"), LIST("1 120\r\n2 200\r\n"), TOP("1", "x"),
			   TOP("2", "y")),
		do_sync,
		"ready|state v=1 n=2|m1 f0 s120 'x' id=a|m2 f0 s200 'y' id=b|modseq 0|sync OK|");
}

static void sync_mentions_what_is_known(void)
{
	struct play play;

	play_init(&play, SCRIPT(LOGIN_TOP, UIDL("1 b\r\n2 new\r\n3 a\r\n"),
				LIST("1 120\r\n2 200\r\n3 5\r\n"), TOP("2", "y")));
	play.backend = &pop3_backend;
	g_hash_table_insert(play.keys, g_strdup("a"), GUINT_TO_POINTER(4));
	g_hash_table_insert(play.keys, g_strdup("b"), GUINT_TO_POINTER(9));
	play.last_uid = 9;
	play.act = do_sync;
	play_run(&play, "sync OK|");
	g_assert_cmpstr(play.log->str, ==,
		"ready|state v=1 n=3|m10 f0 s200 'y' id=new|u4|u9|modseq 0|sync OK|");
	play_done(&play);
}

static void sync_reads_whole_messages_where_top_fails(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 b\r\n"), LIST("1 1\r\n2 2\r\n"), "L: TOP 1 0",
			   "S: -ERR", TOP("2", "y"), "L: RETR 1", "R: +OK\r\nSubject: z\r\n\r\nbody\r\n.\r\n"),
		do_sync, "ready|state v=1 n=2|m2 f0 s2 'y' id=b|m1 f0 s1 'z' id=a|modseq 0|sync OK|");
	pop3_check(SCRIPT(LOGIN_CAPS("UIDL\r\n"), UIDL("1 a\r\n"), LIST("1 1\r\n"), "L: RETR 1",
			   "R: +OK\r\nSubject: z\r\n\r\nbody\r\n.\r\n"),
		do_sync, "ready|state v=1 n=1|m1 f0 s1 'z' id=a|modseq 0|sync OK|");
}

static void sync_tolerates_odd_listings(void)
{
	/* +OK in each line, many spaces, negative and huge sizes. */
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("+OK 1 a\r\n  2    b  \r\nrubbish\r\n"),
			   LIST("+OK 1  -5\r\n2 99999999999999999999\r\n"), TOP("1", "x"), TOP("2", "y")),
		do_sync, "ready|state v=1 n=2|m1 f0 s0 'x' id=a|m2 f0 s0 'y' id=b|modseq 0|sync OK|");
}

static void sync_hashes_unsafe_keys(void)
{
	struct play play;

	play_init(&play, SCRIPT(LOGIN_TOP, UIDL("1 ../x\r\n2 a b\r\n3 \303\244\r\n"
					"4 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
				LIST("1 1\r\n2 1\r\n3 1\r\n4 1\r\n"), TOP("1", "x"), TOP("2", "x"),
				TOP("3", "x"), TOP("4", "x")));
	play.backend = &pop3_backend;
	play.act = do_sync;
	play_run(&play, "sync OK|");
	g_assert_true(g_hash_table_contains(play.keys, "../x"));
	g_assert_cmpuint(g_hash_table_size(play.keys), ==, 4);
	g_assert_nonnull(strstr(play.log->str, "m2 f0 s1 'x' id=sha256:"));
	g_assert_nonnull(strstr(play.log->str, "m3 f0 s1 'x' id=sha256:"));
	g_assert_nonnull(strstr(play.log->str, "m4 f0 s1 'x' id=sha256:"));
	play_done(&play);
}

/* "top:HASH-SIZE" of TOP(n, subject). */
static char *top_key(const char *subject, unsigned size)
{
	g_autofree char *head = g_strdup_printf("Subject: %s\r\n\r\n", subject);
	g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, head, -1);

	return g_strdup_printf("top:%s-%u", hash, size);
}

static void check_keys(const char *const *script, const char *const *want)
{
	struct play play;

	play_init(&play, script);
	play.backend = &pop3_backend;
	play.act = do_sync;
	play_run(&play, "sync OK|");
	for (guint i = 0; want[i]; i++)
		g_assert_cmpuint(GPOINTER_TO_UINT(g_hash_table_lookup(play.keys, want[i])), ==, i + 1);
	play_done(&play);
}

static void messages_that_share_a_uidl_are_told_apart_by_their_headers(void)
{
	g_autofree char *x = top_key("x", 5), *y = top_key("x", 6), *z = top_key("z", 6);
	const char *const keys_of[] = { x, y, z, "b", NULL };

	check_keys(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 a\r\n3 a\r\n4 b\r\n"),
			   LIST("1 5\r\n2 6\r\n3 6\r\n4 7\r\n"), TOP("1", "x"), TOP("2", "x"),
			   TOP("3", "z"), TOP("1", "x"), TOP("2", "x"), TOP("3", "z"), TOP("4", "v")),
		keys_of);
}

#define BODY(n, text) "L: RETR " n, "R: +OK\r\n" text "\r\n.\r\n"

static void messages_that_share_headers_as_well_are_told_apart_by_all_of_them(void)
{
	g_autofree char *x = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "one\r\n", -1);
	g_autofree char *y = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "two\r\n", -1);
	g_autofree char *one = g_strconcat("body:", x, NULL), *two = g_strconcat("body:", y, NULL);
	g_autofree char *twin = g_strconcat(one, "~2", NULL);
	const char *const keys_of[] = { one, two, twin, NULL };

	check_keys(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 a\r\n3 a\r\n"), LIST("1 5\r\n2 5\r\n3 5\r\n"),
			   TOP("1", "x"), TOP("2", "x"), TOP("3", "x"), BODY("1", "one"), BODY("2", "two"),
			   BODY("3", "one"), TOP("1", "x"), TOP("2", "x"), TOP("3", "x")),
		keys_of);
}

static void messages_without_uidl_and_top_are_known_by_all_of_them(void)
{
	g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "one\r\n", -1);
	g_autofree char *key = g_strconcat("body:", hash, NULL);
	const char *const keys_of[] = { key, NULL };

	check_keys(SCRIPT(LOGIN_CAPS("USER\r\n"), "L: UIDL", "S: -ERR", LIST("1 5\r\n"),
			   BODY("1", "one"), BODY("1", "one")),
		keys_of);
	check_keys(SCRIPT(PASS, "L: CAPA", "S: -ERR", "L: UIDL", "S: -ERR", LIST("1 5\r\n"), "L: TOP 1 0",
			   "S: -ERR", BODY("1", "one"), "L: TOP 1 0", "S: -ERR", BODY("1", "one")),
		keys_of);
}

static void check_cut(const char *const *script, bool is_known, const char *want)
{
	struct play play;

	play_init(&play, script);
	play.backend = &pop3_backend;
	if (is_known) {
		g_hash_table_insert(play.keys, g_strdup("a"), GUINT_TO_POINTER(1));
		g_hash_table_insert(play.keys, g_strdup("c"), GUINT_TO_POINTER(2));
	}
	play.last_uid = 2;
	play_run(&play, "ready|");
	play.session->drop.max = 2;
	do_sync(&play);
	play_run(&play, "sync OK|");
	g_assert_cmpstr(play.log->str, ==, want);
	play_done(&play);
}

/* What is behind the bound is not gone. */
static void a_listing_too_long_is_cut_and_takes_nothing_away(void)
{
	check_cut(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 b\r\n3 c\r\n"), LIST("1 5\r\n2 6\r\n3 7\r\n"),
			  TOP("2", "y")),
		true,
		"ready|alert only the first 2 messages of the maildrop are shown|"
		"state v=1 n=2 delta|m3 f0 s6 'y' id=b|u1|modseq 0|sync OK|");
	check_cut(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 c\r\n"), LIST("1 5\r\n2 6\r\n")), true,
		"ready|state v=1 n=2|u1|u2|modseq 0|sync OK|");
}

static void what_is_beyond_the_bound_is_neither_gone_nor_removed(void)
{
	struct play play;

	play_init(&play, SCRIPT(LOGIN_TOP, UIDL("1 x\r\n2 a\r\n"), LIST("1 5\r\n2 6\r\n")));
	play.backend = &pop3_backend;
	play.config.is_read_only = false;
	play_run(&play, "ready|");
	play.session->drop.max = 1;
	fetch_one(&play);
	play_run(&play, "fetch PROTOCOL|");
	remove_one(&play);
	play_run(&play, "remove PROTOCOL|");
	g_assert_null(strstr(play.log->str, "removed"));
	play_done(&play);
}

/* All would seem new, and what is known gone. */
static void uidl_that_is_refused_though_offered_is_no_listing(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, "L: UIDL", "S: -ERR oops", LIST("1 5\r\n")), do_sync,
		"ready|sync PROTOCOL|");
	pop3_check(SCRIPT(PASS, "L: CAPA", "S: -ERR", "L: UIDL", "S: -ERR [SYS/TEMP] x", LIST("1 5\r\n")),
		do_sync, "ready|sync TRY_LATER|");
	pop3_check(SCRIPT(LOGIN_TOP, "L: UIDL", "S: -ERR no messages", LIST("")), do_sync,
		"ready|state v=1 n=0|modseq 0|sync OK|");
}

static void messages_without_uidl_are_known_by_their_header(void)
{
	static const char *const uidl[] = { "R: +OK\r\n1 1\r\n.\r\n", "R: +OK\r\n1\r\n.\r\n" };

	for (size_t i = 0; i < G_N_ELEMENTS(uidl); i++) {
		struct play play;

		play_init(&play, SCRIPT(LOGIN_TOP, "L: UIDL", uidl[i], LIST("1 5\r\n"), TOP("1", "x"),
					TOP("1", "x")));
		play.backend = &pop3_backend;
		play.act = do_sync;
		play_run(&play, "sync OK|");
		g_assert_nonnull(strstr(play.log->str, "id=top:"));
		play_done(&play);
	}
}

static void a_listing_without_end_is_no_listing(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, "L: UIDL", "R: +OK\r\n1 a\r\n", "!close"), do_sync,
		"ready|sync LOST|dead LOST|");
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 b\r\n"), "L: LIST", "R: +OK\r\n1 1\r\n", "!close"),
		do_sync, "ready|sync LOST|dead LOST|");
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 1\r\n2 1\r\n")), do_sync,
		"ready|sync PROTOCOL|");
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), "L: LIST", "S: -ERR [SYS/TEMP] x"), do_sync,
		"ready|sync TRY_LATER|");
}

/* Cut after each octet of both listings: no message is ever missing from a good sync. */
static void a_listing_that_is_cut_is_never_shorter(void)
{
	static const char *const script[] = { LOGIN_TOP, UIDL("1 a\r\n2 b\r\n"), LIST("1 5\r\n2 6\r\n"),
		TOP("1", "x"), TOP("2", "y"), NULL };

	for (gsize cut = 60;; cut++) {
		struct play play;
		bool is_whole;

		play_init(&play, script);
		play.backend = &pop3_backend;
		play.cut_out = cut;
		play.act = do_sync;
		play_run(&play, "|");
		while (!play.is_dead && !g_str_has_suffix(play.log->str, "sync OK|"))
			g_main_context_iteration(NULL, TRUE);
		is_whole = strstr(play.log->str, "sync OK|") != NULL;
		if (is_whole)
			g_assert_nonnull(strstr(play.log->str, "m1 f0 s5 'x' id=a|m2 f0 s6 'y' id=b|"));
		play_done(&play);
		if (is_whole)
			break;
	}
}

static void commands_are_pipelined_where_that_is_offered(void)
{
	pop3_check(SCRIPT(LOGIN_CAPS("TOP\r\nPIPELINING\r\n"), "L: UIDL", "L: LIST",
			   "R: +OK\r\n1 a\r\n2 b\r\n.\r\n+OK\r\n1 5\r\n2 6\r\n.\r\n", "L: TOP 1 0", "L: TOP 2 0",
			   "R: +OK\r\nSubject: x\r\n\r\n.\r\n+OK\r\nSubject: y\r\n\r\n.\r\n"),
		do_sync, "ready|state v=1 n=2|m1 f0 s5 'x' id=a|m2 f0 s6 'y' id=b|modseq 0|sync OK|");
}

static void news_are_asked_of_the_next_session(void)
{
	/* This one sees what was there when it was opened. */
	pop3_check(SCRIPT(LOGIN_TOP, UIDL(""), LIST(""), "L: QUIT", "S: +OK bye", "!close"), sync_twice,
		"ready|state v=1 n=0|modseq 0|sync OK|state v=1 n=0|modseq 0|sync OK|");
}

static void sync_of_a_used_connection_makes_another(void)
{
	struct play play;

	play_init(&play, SCRIPT(LOGIN_TOP, UIDL(""), LIST(""), "L: QUIT", "S: +OK bye", "!close",
				LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 5\r\n"), TOP("1", "x")));
	play.backend = &pop3_backend;
	play.accepts_again = true;
	play.act = do_sync;
	play_run(&play, "sync OK|");
	g_string_truncate(play.log, 0);
	do_sync(&play);
	play_run(&play, "sync OK|");
	g_assert_cmpstr(play.log->str, ==,
		"state v=1 n=1|m1 f0 s5 'x' id=a|modseq 0|sync OK|");
	play_done(&play);
}

static void servers_that_want_time_between_logins_get_it(void)
{
	struct play play;

	play_init(&play, SCRIPT(LOGIN_CAPS("TOP\r\nLOGIN-DELAY 60\r\n"), UIDL(""), LIST(""), "L: QUIT",
				"S: +OK bye", "!stall"));
	play.backend = &pop3_backend;
	play.act = do_sync;
	play_run(&play, "sync OK|");
	do_sync(&play);
	play_run(&play, "dead CANCELLED|");
	g_assert_true(g_str_has_suffix(play.log->str, "sync OK|sync LOST|dead CANCELLED|"));
	play_done(&play);
}

/* ---- fetch ----------------------------------------------------------------------------------- */

static void fetch_delivers_every_octet(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 999\r\n"), "L: RETR 1",
			   "R: +OK 999 octets\r\nx\r\n..\r\n.\r\n"),
		fetch_one, "ready|begin 7|x\r\n|.\r\n|end 7|fetch OK|");
}

static void what_is_not_listed_is_gone(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 c\r\n2 a\r\n"), LIST("1 1\r\n2 1\r\n"), "L: RETR 2",
			   "R: +OK\r\n.\r\n", "L: RETR 1", "R: +OK\r\n.\r\n"),
		fetch_three, "ready|begin 7|end 7|begin 9|end 9|fetch OK|");
}

static void what_is_listed_and_refused_is_an_error(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 b\r\n3 c\r\n"), LIST("1 1\r\n2 1\r\n3 1\r\n"),
			   "L: RETR 1", "R: +OK\r\n.\r\n", "L: RETR 2", "S: -ERR oops", "L: RETR 3",
			   "R: +OK\r\n.\r\n"),
		fetch_three, "ready|begin 7|end 7|begin 9|end 9|fetch PROTOCOL|");
}

static void a_body_that_is_cut_does_not_end(void)
{
	static const char body[] = "R: +OK\r\nx\r\n..\r\n.\r\n";

	for (size_t cut = 3; cut < sizeof(body) - 1; cut++) {
		g_autofree char *step = g_strndup(body, cut);
		struct play play;

		play_init(&play, SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 7\r\n"), "L: RETR 1", step,
					"!close"));
		play.backend = &pop3_backend;
		play.act = fetch_one;
		play_run(&play, "fetch LOST|dead LOST|");
		g_assert_null(strstr(play.log->str, "end"));
		play_done(&play);
	}
}

static void fetch_and_sync_share_a_listing_that_is_under_way(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 1\r\n"), "L: RETR 1", "R: +OK\r\n.\r\n",
			   TOP("1", "x")),
		fetch_then_sync,
		"ready|state v=1 n=1|begin 7|end 7|fetch OK|m1 f0 s1 'x' id=a|modseq 0|sync OK|");
}

/* ---- removal --------------------------------------------------------------------------------- */

static void removal_is_true_when_quit_was_answered(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 x\r\n2 a\r\n"), LIST("1 1\r\n2 1\r\n"), "L: UIDL 2",
			   "S: +OK 2 a", "L: DELE 2", "S: +OK", "L: QUIT", "S: +OK bye"),
		remove_one, "ready|removed 7|remove OK|dead CANCELLED|");
}

static void removal_whose_quit_is_refused_or_lost_is_in_doubt(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 1\r\n"), LOOK, "L: UIDL 1", "S: +OK 1 a",
			   "L: DELE 1", "S: +OK", "L: QUIT", "S: -ERR some not removed"),
		remove_one, "ready|remove LOST|dead CANCELLED|");
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 1\r\n"), LOOK, "L: UIDL 1", "S: +OK 1 a",
			   "L: DELE 1", "S: +OK", "L: QUIT", "!close"),
		remove_one, "ready|remove LOST|dead LOST|");
}

/* Cut after each octet of the server, or of ours: only what the server has confirmed is told. */
static void check_removal_cut(bool is_known, gsize cut_out, gsize cut_in, bool *ret_is_whole)
{
	struct play play;

	play_init(&play, is_known
			? SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 b\r\n"), LIST("1 1\r\n2 1\r\n"), LOOK, "L: UIDL 1",
				  "S: +OK 1 a", "L: UIDL 2", "S: +OK 2 c", "L: RETR 1",
				  "R: +OK\r\nhi\r\n.\r\n", "L: DELE 1", "S: +OK", "L: QUIT", "S: +OK bye")
			: SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 1\r\n"), LOOK, "L: UIDL 1", "S: +OK 1 a",
				  "L: DELE 1", "S: +OK", "L: QUIT", "S: +OK bye"));
	play.backend = &pop3_backend;
	play.config.is_read_only = false;
	play.cut_out = cut_out;
	play.cut_in = cut_in;
	play.act = is_known ? remove_known : remove_one;
	play_run(&play, "|");
	while (!play.is_dead)
		g_main_context_iteration(NULL, TRUE);
	*ret_is_whole = strstr(play.log->str, is_known
			? "removed 7|remove PROTOCOL|dead CANCELLED|" : "removed 7|remove OK|dead CANCELLED|") != NULL;
	if (!*ret_is_whole)
		g_assert_null(strstr(play.log->str, "removed"));
	else
		g_assert_null(play.script[play.at]);
	play_done(&play);
}

static void removal_of_known_octets_reads_them_once_more(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 b\r\n"), LIST("1 4\r\n2 4\r\n"), LOOK, "L: UIDL 1",
			   "S: +OK 1 a", "L: UIDL 2", "S: +OK 2 b", "L: RETR 1", "R: +OK\r\nhi\r\n.\r\n",
			   "L: RETR 2", "R: +OK\r\nhi\r\n.\r\n", "L: DELE 1", "S: +OK", "L: DELE 2",
			   "S: +OK", "L: QUIT", "S: +OK"),
		remove_known, "ready|removed 7|removed 8|remove OK|dead CANCELLED|");
}

static void removal_of_known_octets_leaves_others(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 b\r\n"), LIST("1 4\r\n2 4\r\n"), LOOK, "L: UIDL 1",
			   "S: +OK 1 a", "L: UIDL 2", "S: +OK 2 b", "L: RETR 1", "R: +OK\r\nho\r\n.\r\n",
			   "L: RETR 2", "R: +OK\r\nhi\r\n.\r\n", "L: DELE 2", "S: +OK", "L: QUIT",
			   "S: +OK"),
		remove_known, "ready|other 7|removed 8|remove OK|dead CANCELLED|");
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 4\r\n"), LOOK, "L: UIDL 1", "S: +OK 1 a",
			   "L: RETR 1", "R: +OK\r\nhi\r\n\r\n.\r\n"),
		remove_known, "ready|removed 8|other 7|remove OK|");
}

static void removal_of_what_cannot_be_read_is_refused(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 4\r\n"), LOOK, "L: UIDL 1", "S: +OK 1 a",
			   "L: RETR 1", "S: -ERR no"),
		remove_known, "ready|removed 8|remove PROTOCOL|");
}

static void removal_that_is_cut_tells_nothing_unconfirmed(void)
{
	bool is_whole = false;

	for (gsize cut = 60; !is_whole; cut++)
		check_removal_cut(false, cut, 0, &is_whole);
	is_whole = false;
	for (gsize cut = 30; !is_whole; cut++)
		check_removal_cut(false, 0, cut, &is_whole);
}

static void removal_of_known_octets_that_is_cut_tells_nothing_unconfirmed(void)
{
	bool is_whole = false;

	for (gsize cut = 60; !is_whole; cut++)
		check_removal_cut(true, cut, 0, &is_whole);
	is_whole = false;
	for (gsize cut = 30; !is_whole; cut++)
		check_removal_cut(true, 0, cut, &is_whole);
}

static void removal_of_what_is_gone_is_done(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 x\r\n"), LIST("1 1\r\n")), remove_one,
		"ready|removed 7|remove OK|");
}

static void removal_looks_at_the_name_once_more(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 b\r\n"), LIST("1 1\r\n2 1\r\n"), LOOK, "L: UIDL 1",
			   "S: +OK 1 z", "L: UIDL 2", "S: +OK 2 b", "L: DELE 2", "S: +OK", "L: QUIT",
			   "S: +OK"),
		remove_two, "ready|removed 8|remove PROTOCOL|dead CANCELLED|");
}

static void removal_needs_a_name_of_its_own(void)
{
	g_autofree char *key = top_key("x", 5);
	const char *weak = key;
	struct play play;
	struct mailfs_remove_request request = {
		.folder = "INBOX", .uids = uids, .keys = &weak, .uid_count = 1,
		.removed = on_removed, .done = on_remove_done, .user = &play,
	};

	play_init(&play, SCRIPT(LOGIN_TOP, UIDL("1 q\r\n2 q\r\n"), LIST("1 5\r\n2 6\r\n"),
				TOP("1", "x"), TOP("2", "x")));
	play.backend = &pop3_backend;
	play.config.is_read_only = false;
	play_run(&play, "ready|");
	play.open++;
	play.backend->remove(play.session, &request);
	play_run(&play, "remove READ_ONLY|");
	g_assert_null(play.script[play.at]);
	play_done(&play);
}

#define PSEUDO(head) "L: TOP 1 0", "R: +OK\r\n" head "\r\n.\r\n", "L: UIDL 1", "S: +OK 1 a"
#define ONE_OF_A LOGIN_TOP, UIDL("1 a\r\n2 b\r\n"), LIST("1 1\r\n2 2\r\n")

static void what_the_server_keeps_for_itself_is_not_removed(void)
{
	pop3_check(SCRIPT(ONE_OF_A, PSEUDO("Subject: x\r\nx-imap: 1 2\r\nStatus: RO\r\n")), remove_one,
		"ready|remove NOT_POSSIBLE|");
	pop3_check(SCRIPT(ONE_OF_A, PSEUDO("X-IMAP: 1 2\r\n"), "L: UIDL 2", "S: +OK 2 b", "L: DELE 2",
			   "S: +OK", "L: QUIT", "S: +OK"),
		remove_two, "ready|removed 8|remove NOT_POSSIBLE|dead CANCELLED|");
	/* In a text, or of another name, it is nothing. */
	pop3_check(SCRIPT(ONE_OF_A, PSEUDO("X-IMAPbase: 1 2\r\n\r\nX-IMAP: 1\r\n"), "L: DELE 1", "S: +OK",
			   "L: QUIT", "S: +OK"),
		remove_one, "ready|removed 7|remove OK|dead CANCELLED|");
	pop3_check(SCRIPT(ONE_OF_A, "L: TOP 1 0", "S: -ERR", "L: UIDL 1", "S: +OK 1 a", "L: DELE 1",
			   "S: +OK", "L: QUIT", "S: +OK"),
		remove_one, "ready|removed 7|remove OK|dead CANCELLED|");
}

static void removal_is_alone_and_the_last_one(void)
{
	struct play play;

	play_init(&play, SCRIPT(LOGIN_TOP, UIDL("1 a\r\n"), LIST("1 1\r\n"), "L: RETR 1",
				"R: +OK\r\n.\r\n", LOOK, "L: UIDL 1", "S: +OK 1 a", "L: DELE 1", "S: +OK", "L: QUIT",
				"S: +OK", "!close", LOGIN_TOP, UIDL("1 z\r\n"), LIST("1 1\r\n")));
	play.backend = &pop3_backend;
	play.config.is_read_only = false;
	play.accepts_again = true;
	play.act = fetch_and_remove;
	play_run(&play, "remove OK|fetch OK|");
	g_assert_cmpstr(play.log->str, ==,
		"ready|begin 7|end 7|fetch OK|removed 7|remove OK|fetch OK|");
	play_done(&play);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void the_maildrop_is_one_folder(void)
{
	pop3_check(SCRIPT(LOGIN_TOP), do_list, "ready|INBOX>INBOX subscribed inbox|list OK|");
}

static void uids_are_listed_anew(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, UIDL("1 a\r\n2 b\r\n"), LIST("1 1\r\n2 1\r\n")), do_uids,
		"ready|u1|u2|uids OK|");
}

static void on_closed(void *user)
{
	*(bool *)user = true;
}

static void close_says_quit(void)
{
	bool is_closed = false;
	struct play play;

	play_init(&play, SCRIPT(LOGIN_TOP, "L: QUIT", "S: +OK"));
	play.backend = &pop3_backend;
	play_run(&play, "ready|");
	play.backend->close(play.session, on_closed, &is_closed);
	while (!is_closed)
		g_main_context_iteration(NULL, TRUE);
	g_assert_null(play.script[play.at]);
	play_done(&play);
}

static void unasked_answers_end_it(void)
{
	pop3_check(SCRIPT(LOGIN_TOP, "S: +OK what"), NULL, "ready|");
	pop3_check(SCRIPT(LOGIN_TOP, UIDL(""), LIST(""), "S: +OK what"), do_sync,
		"ready|state v=1 n=0|modseq 0|sync OK|");
}

struct test {
	const char *name;
	void (*run)(void);
};

#define T(path, function) { path, function }

static const struct test tests[] = {
	T("P3-4/no-capa", login_works_without_capabilities),
	T("login/sasl", login_prefers_sasl),
	T("P3-11/ok-for-plus", login_takes_ok_for_a_challenge_of_plain),
	T("login/oauth", login_sends_tokens_in_two_steps),
	T("login/oauth-again", login_asks_for_another_token_once_and_sends_none_twice),
	T("SEC-19/once", login_refused_is_tried_once_only),
	T("login/next", login_takes_the_next_mechanism_when_one_is_unknown),
	T("P3-10/apop", login_never_uses_apop),
	T("P3-8/refused", login_tells_why_it_was_refused),
	T("login/utf8", utf8_is_asked_for_before_the_password),
	T("SEC-5/stls", stls_that_is_missing_or_refused_ends_it),
	T("login/line-ends", passwords_with_line_ends_are_not_sent),
	T("sync/new", sync_reads_headers_of_what_is_new),
	T("sync/known", sync_mentions_what_is_known),
	T("P3-3/top", sync_reads_whole_messages_where_top_fails),
	T("P3-1/sizes", sync_tolerates_odd_listings),
	T("P3-2/unsafe", sync_hashes_unsafe_keys),
	T("P3-2/shared", messages_that_share_a_uidl_are_told_apart_by_their_headers),
	T("P3-2/twins", messages_that_share_headers_as_well_are_told_apart_by_all_of_them),
	T("P3-2/nothing", messages_without_uidl_and_top_are_known_by_all_of_them),
	T("P3-15/cut", a_listing_too_long_is_cut_and_takes_nothing_away),
	T("P3-15/beyond", what_is_beyond_the_bound_is_neither_gone_nor_removed),
	T("P3-14/refused", uidl_that_is_refused_though_offered_is_no_listing),
	T("P3-2/none", messages_without_uidl_are_known_by_their_header),
	T("P3-14/no-end", a_listing_without_end_is_no_listing),
	T("P3-14/cut", a_listing_that_is_cut_is_never_shorter),
	T("sync/pipelining", commands_are_pipelined_where_that_is_offered),
	T("sync/twice", news_are_asked_of_the_next_session),
	T("sync/used", sync_of_a_used_connection_makes_another),
	T("P3-9/delay", servers_that_want_time_between_logins_get_it),
	T("fetch/octets", fetch_delivers_every_octet),
	T("fetch/gone", what_is_not_listed_is_gone),
	T("fetch/refused", what_is_listed_and_refused_is_an_error),
	T("P3-5/cut", a_body_that_is_cut_does_not_end),
	T("fetch/sync", fetch_and_sync_share_a_listing_that_is_under_way),
	T("P3-7/quit", removal_is_true_when_quit_was_answered),
	T("P3-7/doubt", removal_whose_quit_is_refused_or_lost_is_in_doubt),
	T("P3-7/cut", removal_that_is_cut_tells_nothing_unconfirmed),
	T("P3-7/remove-known", removal_of_known_octets_reads_them_once_more),
	T("P3-2/remove-known-others", removal_of_known_octets_leaves_others),
	T("P3-7/remove-known-cut", removal_of_known_octets_that_is_cut_tells_nothing_unconfirmed),
	T("remove/known-unreadable", removal_of_what_cannot_be_read_is_refused),
	T("remove/gone", removal_of_what_is_gone_is_done),
	T("P3-12/verify", removal_looks_at_the_name_once_more),
	T("P3-2/remove", removal_needs_a_name_of_its_own),
	T("P3-13/pseudo", what_the_server_keeps_for_itself_is_not_removed),
	T("P3-7/alone", removal_is_alone_and_the_last_one),
	T("list", the_maildrop_is_one_folder),
	T("uids", uids_are_listed_anew),
	T("close", close_says_quit),
	T("unasked", unasked_answers_end_it),
};

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strconcat("/backend/pop3/", tests[i].name, NULL);

		g_test_add_func(path, tests[i].run);
	}
	return g_test_run();
}
