/* SPDX-License-Identifier: MIT */
/* wire/sasl.h: names, the choice of a mechanism, and all mechanisms but SCRAM. */
#include "wire/sasl.h"

#include <string.h>

#include <glib.h>

#include "base/cleanup.h"

#define A "\x01"

static const struct sasl_params login = {
	.user = "tim@example.org",
	.secret = "tanstaaftanstaaf",
	.is_tls = true,
};

static void sasl_freep(struct sasl **sasl)
{
	sasl_free(*sasl);
}

/* One turn that must end with `want` and append exactly `response`. */
static void turn(struct sasl *sasl, const char *challenge, enum sasl_result want,
                 const char *response, size_t len)
{
	SCOPED(bytebuf_wipe) struct bytebuf out = { 0 };
	enum sasl_result got;

	got = sasl_step(sasl, (const uint8_t *)challenge, challenge ? strlen(challenge) : 0, &out);
	if (got != want)
		g_error("result %d, error %s", got, sasl_error(sasl));
	g_assert_cmpmem(bytebuf_bytes(&out), out.len, response, len);
}

#define TURN(sasl, challenge, want, response)                                                      \
	turn(sasl, challenge, want, response, sizeof(response) - 1)

/* ---- names -------------------------------------------------------------------------------- */

static void every_name_leads_to_its_bit_and_back(void)
{
	static const char *const names[] = {
		"PLAIN",         "LOGIN",              "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS",
		"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2",
		"EXTERNAL",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		unsigned mech = sasl_mech_from_name(names[i], strlen(names[i]));

		g_assert_cmpuint(mech, ==, 1u << i);
		g_assert_cmpstr(sasl_mech_name((enum sasl_mech)mech), ==, names[i]);
	}
}

static void case_of_a_name_is_ignored(void)
{
	g_assert_cmpuint(sasl_mech_from_name("scram-sha-256", 13), ==, SASL_MECH_SCRAM_SHA_256);
}

static void parts_and_extensions_of_names_are_unknown(void)
{
	g_assert_cmpuint(sasl_mech_from_name("PLAI", 4), ==, 0);
	g_assert_cmpuint(sasl_mech_from_name("PLAINX", 6), ==, 0);
	g_assert_cmpuint(sasl_mech_from_name("PLAIN\0", 6), ==, 0);
	g_assert_cmpuint(sasl_mech_from_name("", 0), ==, 0);
}

static void weak_challenge_mechanisms_do_not_exist(void)
{
	g_assert_cmpuint(sasl_mech_from_name("CRAM-MD5", 8), ==, 0);
	g_assert_cmpuint(sasl_mech_from_name("DIGEST-MD5", 10), ==, 0);
	g_assert_cmpuint(sasl_mech_from_name("NTLM", 4), ==, 0);
}

static void sets_of_mechanisms_have_no_name(void)
{
	g_assert_null(sasl_mech_name(SASL_MECH_NONE));
	g_assert_null(sasl_mech_name((enum sasl_mech)SASL_MECHS_CLEAR));
}

static void only_login_waits_for_the_server(void)
{
	for (unsigned mech = 1; mech <= SASL_MECH_EXTERNAL; mech <<= 1)
		g_assert_cmpint(sasl_has_initial((enum sasl_mech)mech), ==, mech != SASL_MECH_LOGIN);
}

/* ---- the choice --------------------------------------------------------------------------- */

static void the_strongest_goes_first(void)
{
	static const enum sasl_mech order[] = {
		SASL_MECH_SCRAM_SHA_256_PLUS, SASL_MECH_SCRAM_SHA_256, SASL_MECH_SCRAM_SHA_1_PLUS,
		SASL_MECH_SCRAM_SHA_1,        SASL_MECH_PLAIN,         SASL_MECH_LOGIN,
		SASL_MECH_NONE,
	};
	struct sasl_policy policy = { .allowed = SASL_MECHS_PASSWORD, .is_tls = true, .has_cb = true };
	unsigned offered = ~0u;

	for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
		g_assert_cmpuint(sasl_choose(offered, &policy), ==, order[i]);
		offered &= ~(unsigned)order[i];
	}
}

static void plain_text_is_not_chosen_in_clear(void)
{
	struct sasl_policy policy = { .allowed = SASL_MECHS_PASSWORD | SASL_MECHS_OAUTH };

	g_assert_cmpuint(sasl_choose(SASL_MECHS_CLEAR | SASL_MECHS_OAUTH, &policy), ==, SASL_MECH_NONE);
	g_assert_cmpuint(sasl_choose(SASL_MECHS_CLEAR | SASL_MECH_SCRAM_SHA_1, &policy), ==,
	                 SASL_MECH_SCRAM_SHA_1);
}

static void plain_text_in_clear_can_be_allowed(void)
{
	struct sasl_policy policy = { .allowed = SASL_MECHS_PASSWORD, .allow_plaintext = true };

	g_assert_cmpuint(sasl_choose(SASL_MECHS_CLEAR, &policy), ==, SASL_MECH_PLAIN);
}

static void scram_only_never_falls_to_plain(void)
{
	struct sasl_policy policy = {
		.allowed = SASL_MECHS_SCRAM,
		.is_tls = true,
		.allow_plaintext = true,
	};

	g_assert_cmpuint(sasl_choose(~SASL_MECHS_SCRAM, &policy), ==, SASL_MECH_NONE);
}

static void plus_needs_tls_and_binding_data(void)
{
	struct sasl_policy policy = { .allowed = SASL_MECHS_SCRAM, .is_tls = true, .has_cb = false };

	g_assert_cmpuint(sasl_choose(SASL_MECHS_SCRAM, &policy), ==, SASL_MECH_SCRAM_SHA_256);
	policy.is_tls = false;
	policy.has_cb = true;
	g_assert_cmpuint(sasl_choose(SASL_MECHS_SCRAM, &policy), ==, SASL_MECH_SCRAM_SHA_256);
}

static void tokens_prefer_oauthbearer_and_never_meet_plain(void)
{
	struct sasl_policy policy = { .allowed = SASL_MECHS_OAUTH, .is_tls = true };

	g_assert_cmpuint(sasl_choose(~0u, &policy), ==, SASL_MECH_OAUTHBEARER);
	g_assert_cmpuint(sasl_choose(~(unsigned)SASL_MECH_OAUTHBEARER, &policy), ==, SASL_MECH_XOAUTH2);
	g_assert_cmpuint(sasl_choose(~SASL_MECHS_OAUTH, &policy), ==, SASL_MECH_NONE);
}

static void plus_is_looked_up_for_the_same_hash(void)
{
	g_assert_true(sasl_offers_plus(SASL_MECH_SCRAM_SHA_256_PLUS, SASL_MECH_SCRAM_SHA_256));
	g_assert_false(sasl_offers_plus(SASL_MECH_SCRAM_SHA_1_PLUS, SASL_MECH_SCRAM_SHA_256));
	g_assert_true(sasl_offers_plus(SASL_MECH_SCRAM_SHA_1_PLUS, SASL_MECH_SCRAM_SHA_1));
	g_assert_false(sasl_offers_plus(~0u, SASL_MECH_PLAIN));
}

/* ---- PLAIN, LOGIN, EXTERNAL --------------------------------------------------------------- */

static void plain_says_all_at_once(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_PLAIN, &login);

	g_assert_false(sasl_may_succeed(s));
	TURN(s, NULL, SASL_SEND, "\0tim@example.org\0tanstaaftanstaaf");
	g_assert_true(sasl_may_succeed(s));
	g_assert_null(sasl_error(s));
}

static void the_empty_challenge_asks_for_the_initial_response(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_PLAIN, &login);

	TURN(s, "", SASL_SEND, "\0tim@example.org\0tanstaaftanstaaf");
	g_assert_true(sasl_may_succeed(s));
}

static void the_initial_response_is_given_once(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_PLAIN, &login);

	TURN(s, NULL, SASL_SEND, "\0tim@example.org\0tanstaaftanstaaf");
	TURN(s, NULL, SASL_DONE, "");
	g_assert_true(sasl_may_succeed(s));
}

static void a_challenge_after_the_end_is_a_failure(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_PLAIN, &login);

	TURN(s, NULL, SASL_SEND, "\0tim@example.org\0tanstaaftanstaaf");
	TURN(s, "more", SASL_FAIL, "");
	g_assert_false(sasl_may_succeed(s));
	g_assert_nonnull(sasl_error(s));
	TURN(s, NULL, SASL_FAIL, "");
}

static void plain_carries_hostile_passwords_exactly(void)
{
	struct sasl_params params = login;
	SCOPED(sasl_freep) struct sasl *s = NULL;

	params.secret = "a\r\nb\"\\{3}\xff\x80\xc3\xa4 ";
	s = sasl_new(SASL_MECH_PLAIN, &params);
	TURN(s, NULL, SASL_SEND, "\0tim@example.org\0a\r\nb\"\\{3}\xff\x80\xc3\xa4 ");
}

static void plain_carries_a_password_of_10_kb(void)
{
	g_autofree char *secret = g_strnfill(10240, 'x');
	g_autofree char *want = g_strdup_printf(".u.%s", secret);
	struct sasl_params params = { .user = "u", .secret = secret };
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_PLAIN, &params);

	want[0] = want[2] = '\0';
	turn(s, NULL, SASL_SEND, want, 10243);
}

static void login_answers_two_prompts_however_worded(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_LOGIN, &login);
	SCOPED(bytebuf_wipe) struct bytebuf out = { 0 };

	g_assert_cmpint(sasl_step(s, (const uint8_t *)"User Name\0", 10, &out), ==, SASL_SEND);
	g_assert_cmpmem(bytebuf_bytes(&out), out.len, "tim@example.org", 15);
	g_assert_false(sasl_may_succeed(s));
	TURN(s, "", SASL_SEND, "tanstaaftanstaaf");
	g_assert_true(sasl_may_succeed(s));
	TURN(s, "Password:", SASL_FAIL, "");
	g_assert_false(sasl_may_succeed(s));
}

static void login_has_nothing_to_say_first(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_LOGIN, &login);

	TURN(s, NULL, SASL_DONE, "");
	TURN(s, "Username:", SASL_SEND, "tim@example.org");
}

static void login_is_not_satisfied_before_the_password(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_LOGIN, &login);

	g_assert_false(sasl_may_succeed(s));
	TURN(s, "Username:", SASL_SEND, "tim@example.org");
	g_assert_false(sasl_may_succeed(s));
}

static void external_names_the_user_or_nobody(void)
{
	struct sasl_params nobody = { .is_tls = true };
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_EXTERNAL, &login);
	SCOPED(sasl_freep) struct sasl *t = sasl_new(SASL_MECH_EXTERNAL, &nobody);

	TURN(s, NULL, SASL_SEND, "tim@example.org");
	g_assert_true(sasl_may_succeed(s));
	TURN(t, NULL, SASL_SEND, "");
	g_assert_true(sasl_may_succeed(t));
}

/* ---- OAuth -------------------------------------------------------------------------------- */

static const struct sasl_params rfc_7628 = {
	.user = "user@example.com",
	.secret = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
	.host = "server.example.com",
	.port = 143,
	.is_tls = true,
};

static void oauthbearer_says_what_rfc_7628_says(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_OAUTHBEARER, &rfc_7628);

	TURN(s, NULL, SASL_SEND,
	     "n,a=user@example.com," A "host=server.example.com" A "port=143" A
	     "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==" A A);
	g_assert_true(sasl_may_succeed(s));
}

static void oauthbearer_escapes_the_user_and_omits_what_it_lacks(void)
{
	struct sasl_params params = { .user = "a,b=c", .secret = "t" };
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_OAUTHBEARER, &params);

	TURN(s, NULL, SASL_SEND, "n,a=a=2Cb=3Dc," A "auth=Bearer t" A A);
}

static void oauthbearer_error_is_answered_and_then_told(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_OAUTHBEARER, &rfc_7628);
	SCOPED(bytebuf_wipe) struct bytebuf out = { 0 };

	g_assert_cmpint(sasl_step(s, NULL, 0, &out), ==, SASL_SEND);
	TURN(s, "{\"status\":\"invalid_token\",\"scope\":\"example_scope\"}", SASL_SEND, A);
	g_assert_false(sasl_may_succeed(s));
	g_assert_cmpstr(sasl_error(s), ==, "the server refuses the token: status invalid_token");
	TURN(s, "", SASL_FAIL, "");
	g_assert_cmpstr(sasl_error(s), ==, "the server refuses the token: status invalid_token");
}

static void xoauth2_says_what_its_example_says(void)
{
	struct sasl_params params = {
		.user = "someuser@example.com",
		.secret = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg",
	};
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_XOAUTH2, &params);
	SCOPED(bytebuf_wipe) struct bytebuf out = { 0 };
	SCOPED(bytebuf_wipe) struct bytebuf text = { 0 };
	static const char want[] =
		"dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhk"
		"SFJoZG1semRHRXVZMjl0Q2cBAQ==";

	g_assert_cmpint(sasl_step(s, NULL, 0, &out), ==, SASL_SEND);
	sasl_base64_encode(bytebuf_bytes(&out), out.len, &text);
	g_assert_cmpmem(bytebuf_bytes(&text), text.len, want, sizeof(want) - 1);
	g_assert_true(sasl_may_succeed(s));
}

/* What sasl_error() says after this JSON; owned. */
static char *xoauth2_error(const char *json)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_XOAUTH2, &rfc_7628);
	SCOPED(bytebuf_wipe) struct bytebuf out = { 0 };

	g_assert_cmpint(sasl_step(s, NULL, 0, &out), ==, SASL_SEND);
	TURN(s, json, SASL_SEND, "");
	g_assert_false(sasl_may_succeed(s));
	return g_strdup(sasl_error(s));
}

static void xoauth2_error_is_answered_with_nothing(void)
{
	g_autofree char *text = xoauth2_error("{\"status\" : \"401\",\"schemes\":\"bearer mac\"}");

	g_assert_cmpstr(text, ==, "the server refuses the token: status 401");
}

static void a_status_may_be_a_number(void)
{
	g_autofree char *text = xoauth2_error("{\"schemes\":\"bearer\",\"status\":400}");

	g_assert_cmpstr(text, ==, "the server refuses the token: status 400");
}

static void an_error_that_is_no_json_is_shown_printable(void)
{
	g_autofree char *text = xoauth2_error("\x1b[2Jno\r\n\xff");
	g_autofree char *cut = xoauth2_error("{\"status\":\"40");
	g_autofree char *none = xoauth2_error("");

	g_assert_cmpstr(text, ==, "the server refuses the token: ?[2Jno???");
	g_assert_cmpstr(cut, ==, "the server refuses the token: {\"status\":\"40");
	g_assert_cmpstr(none, ==, "the server refuses the token and does not say why");
}

static void an_error_text_is_short_and_printable(void)
{
	g_autofree char *filler = g_strnfill(5000, '\x07');
	g_autofree char *json = g_strdup_printf("{\"status\":\"%s\"}", filler);
	g_autofree char *text = xoauth2_error(json);

	g_assert_cmpuint(strlen(text), <, 250);
	for (const char *at = text; *at; at++)
		g_assert_true(*at >= 0x20 && *at < 0x7f);
}

static void a_token_with_a_line_end_or_separator_is_refused(void)
{
	static const char *const bad[] = { "abc\n", "a b", "abc\x01", "abc\r", "\xc3\xa4", "a\x7f" };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct sasl_params params = rfc_7628;
		SCOPED(sasl_freep) struct sasl *s = NULL;
		SCOPED(sasl_freep) struct sasl *t = NULL;

		params.secret = bad[i];
		s = sasl_new(SASL_MECH_XOAUTH2, &params);
		t = sasl_new(SASL_MECH_OAUTHBEARER, &params);
		TURN(s, NULL, SASL_FAIL, "");
		TURN(t, NULL, SASL_FAIL, "");
	}
}

static void a_user_or_host_cannot_smuggle_a_field(void)
{
	struct sasl_params user = rfc_7628;
	struct sasl_params host = rfc_7628;
	SCOPED(sasl_freep) struct sasl *s = NULL;
	SCOPED(sasl_freep) struct sasl *t = NULL;

	user.user = "a" A "auth=Bearer x";
	host.host = "a" A "auth=Bearer x";
	s = sasl_new(SASL_MECH_XOAUTH2, &user);
	t = sasl_new(SASL_MECH_OAUTHBEARER, &host);
	TURN(s, NULL, SASL_FAIL, "");
	TURN(t, NULL, SASL_FAIL, "");
}

/* ---- parameters --------------------------------------------------------------------------- */

static void missing_or_endless_parameters_fail_cleanly(void)
{
	g_autofree char *endless = g_strnfill(SASL_SECRET_MAX + 1, 'x');
	const struct sasl_params bad[] = {
		{ .user = NULL, .secret = "x" }, { .user = "", .secret = "x" },
		{ .user = "x", .secret = NULL }, { .user = "x", .secret = "" },
		{ .user = "x", .secret = endless }, { .user = endless, .secret = "x" },
	};

	for (unsigned mech = 1; mech < SASL_MECH_EXTERNAL; mech <<= 1) {
		for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
			SCOPED(sasl_freep) struct sasl *s = sasl_new((enum sasl_mech)mech, &bad[i]);

			TURN(s, "", SASL_FAIL, "");
			g_assert_nonnull(sasl_error(s));
			g_assert_false(sasl_may_succeed(s));
		}
	}
}

static void an_unknown_mechanism_fails_cleanly(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_NONE, &login);

	TURN(s, "", SASL_FAIL, "");
}

static void an_endless_challenge_is_refused(void)
{
	g_autofree char *endless = g_strnfill(SASL_CHALLENGE_MAX + 1, 'x');
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_LOGIN, &login);

	TURN(s, endless, SASL_FAIL, "");
	g_assert_false(sasl_may_succeed(s));
}

#define ADD(path, fn) g_test_add_func("/wire/sasl/" path, fn)

static void add_choice_tests(void)
{
	ADD("every name leads to its bit and back", every_name_leads_to_its_bit_and_back);
	ADD("case of a name is ignored", case_of_a_name_is_ignored);
	ADD("parts and extensions of names are unknown", parts_and_extensions_of_names_are_unknown);
	ADD("SEC-17 weak challenge mechanisms do not exist", weak_challenge_mechanisms_do_not_exist);
	ADD("sets of mechanisms have no name", sets_of_mechanisms_have_no_name);
	ADD("only LOGIN waits for the server", only_login_waits_for_the_server);
	ADD("the strongest goes first", the_strongest_goes_first);
	ADD("SEC-14 plain text is not chosen in clear", plain_text_is_not_chosen_in_clear);
	ADD("plain text in clear can be allowed", plain_text_in_clear_can_be_allowed);
	ADD("SEC-14 scram only never falls to plain", scram_only_never_falls_to_plain);
	ADD("PLUS needs TLS and binding data", plus_needs_tls_and_binding_data);
	ADD("SEC-18 tokens prefer OAUTHBEARER and never meet PLAIN",
	    tokens_prefer_oauthbearer_and_never_meet_plain);
	ADD("PLUS is looked up for the same hash", plus_is_looked_up_for_the_same_hash);
}

static void add_mechanism_tests(void)
{
	ADD("PLAIN says all at once", plain_says_all_at_once);
	ADD("the empty challenge asks for the initial response",
	    the_empty_challenge_asks_for_the_initial_response);
	ADD("the initial response is given once", the_initial_response_is_given_once);
	ADD("a challenge after the end is a failure", a_challenge_after_the_end_is_a_failure);
	ADD("SEC-20 PLAIN carries hostile passwords exactly", plain_carries_hostile_passwords_exactly);
	ADD("SEC-20 PLAIN carries a password of 10 kB", plain_carries_a_password_of_10_kb);
	ADD("CN-5 LOGIN answers two prompts however worded", login_answers_two_prompts_however_worded);
	ADD("LOGIN has nothing to say first", login_has_nothing_to_say_first);
	ADD("LOGIN is not satisfied before the password", login_is_not_satisfied_before_the_password);
	ADD("EXTERNAL names the user or nobody", external_names_the_user_or_nobody);
	ADD("missing or endless parameters fail cleanly", missing_or_endless_parameters_fail_cleanly);
	ADD("an unknown mechanism fails cleanly", an_unknown_mechanism_fails_cleanly);
	ADD("an endless challenge is refused", an_endless_challenge_is_refused);
}

static void add_oauth_tests(void)
{
	ADD("OAUTHBEARER says what RFC 7628 says", oauthbearer_says_what_rfc_7628_says);
	ADD("OAUTHBEARER escapes the user and omits what it lacks",
	    oauthbearer_escapes_the_user_and_omits_what_it_lacks);
	ADD("CN-5 OAUTHBEARER error is answered and then told",
	    oauthbearer_error_is_answered_and_then_told);
	ADD("XOAUTH2 says what its example says", xoauth2_says_what_its_example_says);
	ADD("CN-5 XOAUTH2 error is answered with nothing", xoauth2_error_is_answered_with_nothing);
	ADD("a status may be a number", a_status_may_be_a_number);
	ADD("an error that is no JSON is shown printable", an_error_that_is_no_json_is_shown_printable);
	ADD("an error text is short and printable", an_error_text_is_short_and_printable);
	ADD("SEC-20 a token with a line end or separator is refused",
	    a_token_with_a_line_end_or_separator_is_refused);
	ADD("SEC-20 a user or host cannot smuggle a field", a_user_or_host_cannot_smuggle_a_field);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_choice_tests();
	add_mechanism_tests();
	add_oauth_tests();
	return g_test_run();
}
