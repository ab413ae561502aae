/* SPDX-License-Identifier: MIT */
/*
 * wire/sasl.h: SCRAM. The exchanges are those of RFC 5802 §5 and RFC 7677 §3; the others were
 * computed with Python's hashlib for user "user", password "pencil", salt "saltsalt", 4096 rounds.
 */
#include "wire/sasl.h"

#include <string.h>

#include <glib.h>

#include "base/cleanup.h"

#define SHA1_NONCE   "fyko+d2lbbFgONRv9qkxdawL"
#define SHA1_FIRST   "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
#define SHA256_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SHA256_FIRST                                                                               \
	"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define SHA256_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
#define ABC_FIRST    "r=abcXYZ,s=c2FsdHNhbHQ=,i=4096"

static const uint8_t cb_data[32] = {
	0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
	16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
};

static const struct sasl_params pencil = {
	.user = "user",
	.secret = "pencil",
	.test_nonce = SHA256_NONCE,
	.is_tls = true,
};

static const struct sasl_params bound = {
	.user = "user",
	.secret = "pencil",
	.test_nonce = "abc",
	.is_tls = true,
	.cb_type = "tls-exporter",
	.cb_data = cb_data,
	.cb_len = sizeof(cb_data),
};

static void sasl_freep(struct sasl **sasl)
{
	sasl_free(*sasl);
}

static void turn_bytes(struct sasl *sasl, const char *challenge, size_t len, enum sasl_result want,
                       const char *response)
{
	SCOPED(bytebuf_wipe) struct bytebuf out = { 0 };
	enum sasl_result got = sasl_step(sasl, (const uint8_t *)challenge, len, &out);

	if (got != want)
		g_error("result %d, error %s", got, sasl_error(sasl));
	if (response)
		g_assert_cmpmem(bytebuf_bytes(&out), out.len, response, strlen(response));
}

/* One turn that must end with `want` and append `response` (NULL = whatever). */
static void turn(struct sasl *sasl, const char *challenge, enum sasl_result want,
                 const char *response)
{
	turn_bytes(sasl, challenge, challenge ? strlen(challenge) : 0, want, response);
}

static void assert_failed(struct sasl *sasl)
{
	g_assert_false(sasl_may_succeed(sasl));
	g_assert_nonnull(sasl_error(sasl));
	turn(sasl, SHA256_FIRST, SASL_FAIL, "");
	turn(sasl, SHA256_FINAL, SASL_FAIL, "");
	g_assert_false(sasl_may_succeed(sasl));
}

/* After a greeting with SHA256_NONCE the server's first message is refused. */
static void refuse_first(const char *first, size_t len)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &pencil);

	turn(s, NULL, SASL_SEND, NULL);
	g_test_message("first: %s", first);
	turn_bytes(s, first, len, SASL_FAIL, "");
	assert_failed(s);
}

/* All is well up to the server's last message, which is refused. */
static void refuse_final(const char *final, size_t len)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &pencil);

	turn(s, NULL, SASL_SEND, NULL);
	turn(s, SHA256_FIRST, SASL_SEND, NULL);
	g_test_message("final: %s", final);
	turn_bytes(s, final, len, SASL_FAIL, "");
	assert_failed(s);
}

#define REFUSE_FIRST(text) refuse_first(text, sizeof(text) - 1)
#define REFUSE_FINAL(text) refuse_final(text, sizeof(text) - 1)

/* ---- what works --------------------------------------------------------------------------- */

static void sha_1_exchange_of_rfc_5802_works(void)
{
	struct sasl_params params = pencil;
	SCOPED(sasl_freep) struct sasl *s = NULL;

	params.test_nonce = SHA1_NONCE;
	s = sasl_new(SASL_MECH_SCRAM_SHA_1, &params);
	turn(s, NULL, SASL_SEND, "n,,n=user,r=" SHA1_NONCE);
	turn(s, SHA1_FIRST, SASL_SEND,
	     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
	turn(s, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", SASL_SEND, "");
	g_assert_true(sasl_may_succeed(s));
	g_assert_null(sasl_error(s));
}

static void sha_256_exchange_of_rfc_7677_works(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &pencil);

	turn(s, "", SASL_SEND, "n,,n=user,r=" SHA256_NONCE);
	turn(s, SHA256_FIRST, SASL_SEND,
	     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	     "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
	turn(s, SHA256_FINAL, SASL_SEND, "");
	g_assert_true(sasl_may_succeed(s));
}

static void sha_256_plus_binds_to_tls_exporter(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256_PLUS, &bound);

	turn(s, NULL, SASL_SEND, "p=tls-exporter,,n=user,r=abc");
	turn(s, ABC_FIRST, SASL_SEND,
	     "c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,r=abcXYZ,"
	     "p=B/CYzxWujL2zt6Rir0Qfu4CqOZc8q+EW3hdgDr+09Gk=");
	turn(s, "v=bDiVIwT8CIXamfI2JyKee/esOh6ZiVBEdagcqapV89o=", SASL_SEND, "");
	g_assert_true(sasl_may_succeed(s));
}

static void sha_1_plus_binds_to_the_certificate(void)
{
	struct sasl_params params = bound;
	SCOPED(sasl_freep) struct sasl *s = NULL;

	params.cb_type = "tls-server-end-point";
	s = sasl_new(SASL_MECH_SCRAM_SHA_1_PLUS, &params);
	turn(s, NULL, SASL_SEND, "p=tls-server-end-point,,n=user,r=abc");
	turn(s, ABC_FIRST, SASL_SEND,
	     "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,r=abcXYZ,"
	     "p=zVHLCZdolXPmD8SrrlXKA1IiM1g=");
	turn(s, "v=f7trGwQZk+hDxGCGjf0rE+liPXs=", SASL_SEND, "");
	g_assert_true(sasl_may_succeed(s));
}

static void a_stripped_plus_is_reported_to_the_server(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &bound);

	turn(s, NULL, SASL_SEND, "y,,n=user,r=abc");
	turn(s, ABC_FIRST, SASL_SEND,
	     "c=eSws,r=abcXYZ,p=Zi7Bj3wJPRUD/S8lglUnJEc8H4uVRuI6eBhOgLg4Y+Q=");
	turn(s, "v=143QtxtOPaAu6Gcc/f+oq7EI0dOqKoCwXSt2maxcPu0=", SASL_SEND, "");
	g_assert_true(sasl_may_succeed(s));
}

static void plus_offered_and_not_used_is_no_lie(void)
{
	struct sasl_params params = bound;
	SCOPED(sasl_freep) struct sasl *s = NULL;

	params.server_offers_plus = true;
	s = sasl_new(SASL_MECH_SCRAM_SHA_256, &params);
	turn(s, NULL, SASL_SEND, "n,,n=user,r=abc");
}

static void the_user_name_is_escaped(void)
{
	struct sasl_params params = { .user = "a,b=c", .secret = "IX", .test_nonce = "abc" };
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &params);

	turn(s, NULL, SASL_SEND, "n,,n=a=2Cb=3Dc,r=abc");
	turn(s, ABC_FIRST, SASL_SEND,
	     "c=biws,r=abcXYZ,p=4zN3bYk0dgjcnMgF9yplCj423wlbydeGLbHy4DVL8Ek=");
	turn(s, "v=XxDX6RvhcqAL04ULw66QRGQHLTPFB+HjTRjyOxTPyJc=", SASL_SEND, "");
	g_assert_true(sasl_may_succeed(s));
}

static void extensions_without_a_meaning_are_ignored(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &bound);

	turn(s, NULL, SASL_SEND, NULL);
	turn(s, ABC_FIRST ",x=y,Z=1", SASL_SEND, NULL);
}

static void two_random_nonces_differ(void)
{
	struct sasl_params params = { .user = "u", .secret = "p" };
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &params);
	SCOPED(sasl_freep) struct sasl *t = sasl_new(SASL_MECH_SCRAM_SHA_256, &params);
	SCOPED(bytebuf_wipe) struct bytebuf one = { 0 };
	SCOPED(bytebuf_wipe) struct bytebuf two = { 0 };

	g_assert_cmpint(sasl_step(s, NULL, 0, &one), ==, SASL_SEND);
	g_assert_cmpint(sasl_step(t, NULL, 0, &two), ==, SASL_SEND);
	g_assert_cmpuint(one.len, ==, strlen("n,,n=u,r=") + 24);
	g_assert_cmpuint(two.len, ==, one.len);
	g_assert_true(memcmp(bytebuf_bytes(&one), bytebuf_bytes(&two), one.len) != 0);
}

/* ---- SEC-16: what a false server tries ---------------------------------------------------- */

static void ok_before_the_proof_is_refused(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &pencil);

	g_assert_false(sasl_may_succeed(s));
	turn(s, NULL, SASL_SEND, NULL);
	g_assert_false(sasl_may_succeed(s));
	turn(s, SHA256_FIRST, SASL_SEND, NULL);
	g_assert_false(sasl_may_succeed(s));
	turn(s, NULL, SASL_DONE, "");
	g_assert_false(sasl_may_succeed(s));
}

static void a_wrong_signature_is_refused(void)
{
	REFUSE_FINAL("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	REFUSE_FINAL("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G0=");
	REFUSE_FINAL("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
}

static void a_short_long_or_empty_signature_is_refused(void)
{
	REFUSE_FINAL("v=");
	REFUSE_FINAL("v=6rri");
	REFUSE_FINAL("v=6rriTRBi23WpRR/wtup+mMhUZUk=");
	REFUSE_FINAL("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5B");
	REFUSE_FINAL("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4");
	REFUSE_FINAL("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=\n");
	REFUSE_FINAL("v=!!!!");
}

static void a_missing_signature_is_refused(void)
{
	REFUSE_FINAL("");
	REFUSE_FINAL("v");
	REFUSE_FINAL("x=y");
	REFUSE_FINAL("x=y," SHA256_FINAL);
	REFUSE_FINAL("," SHA256_FINAL);
	REFUSE_FINAL("V=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	REFUSE_FINAL("\0");
	REFUSE_FINAL(SHA256_FIRST);
}

static void a_signature_and_more_of_ours_is_refused(void)
{
	REFUSE_FINAL(SHA256_FINAL ",e=other-error");
	REFUSE_FINAL(SHA256_FINAL "," SHA256_FINAL);
	REFUSE_FINAL(SHA256_FINAL ",");
	REFUSE_FINAL(SHA256_FINAL ",m=x");
}

static void an_error_of_the_server_is_told(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &pencil);

	turn(s, NULL, SASL_SEND, NULL);
	turn(s, SHA256_FIRST, SASL_SEND, NULL);
	turn(s, "e=invalid-proof\x1b", SASL_FAIL, "");
	g_assert_cmpstr(sasl_error(s), ==, "the server refuses: invalid-proof?");
	assert_failed(s);
}

static void an_early_error_of_the_server_is_told(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &pencil);

	turn(s, NULL, SASL_SEND, NULL);
	turn(s, "e=unknown-user", SASL_FAIL, "");
	g_assert_cmpstr(sasl_error(s), ==, "the server refuses: unknown-user");
	assert_failed(s);
}

static void a_signature_instead_of_the_first_message_is_refused(void)
{
	REFUSE_FIRST(SHA256_FINAL);
}

static void a_challenge_after_the_proof_is_refused(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &pencil);

	turn(s, NULL, SASL_SEND, NULL);
	turn(s, SHA256_FIRST, SASL_SEND, NULL);
	turn(s, SHA256_FINAL, SASL_SEND, "");
	turn(s, "", SASL_FAIL, "");
	assert_failed(s);
}

static void a_nonce_that_does_not_extend_ours_is_refused(void)
{
	REFUSE_FIRST("r=" SHA256_NONCE ",s=c2FsdHNhbHQ=,i=4096");
	REFUSE_FIRST("r=rOprNGfwEbeRWgbNEkq,s=c2FsdHNhbHQ=,i=4096");
	REFUSE_FIRST("r=XOprNGfwEbeRWgbNEkqOmore,s=c2FsdHNhbHQ=,i=4096");
	REFUSE_FIRST("r=more" SHA256_NONCE ",s=c2FsdHNhbHQ=,i=4096");
	REFUSE_FIRST("r=,s=c2FsdHNhbHQ=,i=4096");
}

static void a_nonce_that_is_not_printable_is_refused(void)
{
	REFUSE_FIRST("r=" SHA256_NONCE " x,s=c2FsdHNhbHQ=,i=4096");
	REFUSE_FIRST("r=" SHA256_NONCE "\0x,s=c2FsdHNhbHQ=,i=4096");
	REFUSE_FIRST("r=" SHA256_NONCE "\x7f,s=c2FsdHNhbHQ=,i=4096");
	REFUSE_FIRST("r=" SHA256_NONCE "\xc3\xa4,s=c2FsdHNhbHQ=,i=4096");
}

static void a_malformed_first_message_is_refused(void)
{
	REFUSE_FIRST("x");
	REFUSE_FIRST(",");
	REFUSE_FIRST("r=" SHA256_NONCE "x");
	REFUSE_FIRST("r=" SHA256_NONCE "x,s=c2FsdHNhbHQ=");
	REFUSE_FIRST("r=" SHA256_NONCE "x,i=4096,s=c2FsdHNhbHQ=");
	REFUSE_FIRST("s=c2FsdHNhbHQ=,r=" SHA256_NONCE "x,i=4096");
	REFUSE_FIRST("r=" SHA256_NONCE "x,s=c2FsdHNhbHQ=,i=4096,");
	REFUSE_FIRST("r=" SHA256_NONCE "x,s=c2FsdHNhbHQ=,i=4096,i=5000");
	REFUSE_FIRST("r=" SHA256_NONCE "x,s=c2FsdHNhbHQ=,i=4096,5=x");
	REFUSE_FIRST("r=" SHA256_NONCE "x,s=c2FsdHNhbHQ=,i=4096,x");
	REFUSE_FIRST("");
}

static void a_bad_salt_is_refused(void)
{
	REFUSE_FIRST("r=" SHA256_NONCE "x,s=,i=4096");
	REFUSE_FIRST("r=" SHA256_NONCE "x,s=c2FsdHNhbHQ,i=4096");
	REFUSE_FIRST("r=" SHA256_NONCE "x,s=!,i=4096");
}

static void an_endless_salt_is_refused(void)
{
	g_autofree char *salt = g_strnfill(SASL_SALT_MAX / 3 * 4 + 8, 'A');
	g_autofree char *first = g_strdup_printf("r=" SHA256_NONCE "x,s=%s,i=4096", salt);

	refuse_first(first, strlen(first));
}

static void endless_messages_are_refused(void)
{
	g_autofree char *more = g_strnfill(9000, 'x');
	g_autofree char *first = g_strconcat(SHA256_FIRST ",x=", more, NULL);
	g_autofree char *final = g_strconcat(SHA256_FINAL ",x=", more, NULL);

	refuse_first(first, strlen(first));
	refuse_final(final, strlen(final));
}

static void a_mandatory_extension_is_refused(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &pencil);

	turn(s, NULL, SASL_SEND, NULL);
	turn(s, "m=x," SHA256_FIRST, SASL_FAIL, "");
	g_assert_nonnull(strstr(sasl_error(s), "extension"));
	REFUSE_FIRST(SHA256_FIRST ",m=x");
}

/* ---- SEC-15 ------------------------------------------------------------------------------- */

static void iterations_out_of_bounds_are_refused(void)
{
	static const char *const bad[] = {
		"0", "1", "4095", "1000001", "2147483648", "4294967295", "4294971392",
		"18446744073709551616", "18446744073709555712", "99999999999999999999999",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *first = g_strdup_printf("r=" SHA256_NONCE "x,s=c2FsdHNhbHQ=,i=%s", bad[i]);

		refuse_first(first, strlen(first));
	}
}

static void iterations_that_are_no_number_are_refused(void)
{
	static const char *const bad[] = {
		"", "x", "-4096", "+4096", " 4096", "4096 ", "04096", "4e3", "0x1000",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *first = g_strdup_printf("r=" SHA256_NONCE "x,s=c2FsdHNhbHQ=,i=%s", bad[i]);

		refuse_first(first, strlen(first));
	}
}

static void too_few_iterations_are_named_in_the_error(void)
{
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &pencil);

	turn(s, NULL, SASL_SEND, NULL);
	turn(s, "r=" SHA256_NONCE "x,s=c2FsdHNhbHQ=,i=1000", SASL_FAIL, "");
	g_assert_cmpstr(sasl_error(s), ==,
	                "the server asks for 1000 SCRAM iterations; safe are 4096 to 1000000");
}

static void a_million_iterations_are_done(void)
{
	struct sasl_params params = { .user = "user", .secret = "pencil", .test_nonce = "abc" };
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_1, &params);

	turn(s, NULL, SASL_SEND, NULL);
	turn(s, "r=abcXYZ,s=c2FsdHNhbHQ=,i=1000000", SASL_SEND,
	     "c=biws,r=abcXYZ,p=jtHL5jHJV5wdgGFVWAAj9a/hteY=");
}

/* ---- channel binding ---------------------------------------------------------------------- */

static void plus_without_usable_binding_data_is_refused(void)
{
	struct sasl_params bad[] = { bound, bound, bound, bound, bound, bound };

	bad[0].cb_type = NULL;
	bad[1].cb_data = NULL;
	bad[2].cb_len = 0;
	bad[3].is_tls = false;
	bad[4].cb_type = "tls-exporter,,x";
	bad[5].cb_len = 1u << 20; /* refused before it is read */
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256_PLUS, &bad[i]);

		turn(s, NULL, SASL_FAIL, "");
		assert_failed(s);
	}
}

static void a_nonce_with_a_comma_cannot_be_given(void)
{
	struct sasl_params params = pencil;
	SCOPED(sasl_freep) struct sasl *s = NULL;

	params.test_nonce = "a,b";
	s = sasl_new(SASL_MECH_SCRAM_SHA_256, &params);
	turn(s, NULL, SASL_FAIL, "");
}

#define ADD(path, fn) g_test_add_func("/wire/sasl_scram/" path, fn)

static void add_good_tests(void)
{
	ADD("SHA-1 exchange of RFC 5802 works", sha_1_exchange_of_rfc_5802_works);
	ADD("SHA-256 exchange of RFC 7677 works", sha_256_exchange_of_rfc_7677_works);
	ADD("SHA-256-PLUS binds to tls-exporter", sha_256_plus_binds_to_tls_exporter);
	ADD("SHA-1-PLUS binds to the certificate", sha_1_plus_binds_to_the_certificate);
	ADD("SEC-14 a stripped PLUS is reported to the server",
	    a_stripped_plus_is_reported_to_the_server);
	ADD("PLUS offered and not used is no lie", plus_offered_and_not_used_is_no_lie);
	ADD("the user name is escaped", the_user_name_is_escaped);
	ADD("extensions without a meaning are ignored", extensions_without_a_meaning_are_ignored);
	ADD("two random nonces differ", two_random_nonces_differ);
}

static void add_refusal_tests(void)
{
	ADD("SEC-16 OK before the proof is refused", ok_before_the_proof_is_refused);
	ADD("SEC-16 a wrong signature is refused", a_wrong_signature_is_refused);
	ADD("SEC-16 a short, long or empty signature is refused",
	    a_short_long_or_empty_signature_is_refused);
	ADD("SEC-16 a missing signature is refused", a_missing_signature_is_refused);
	ADD("SEC-16 a signature and more of ours is refused", a_signature_and_more_of_ours_is_refused);
	ADD("SEC-16 an error of the server is told", an_error_of_the_server_is_told);
	ADD("SEC-16 an early error of the server is told", an_early_error_of_the_server_is_told);
	ADD("SEC-16 a signature instead of the first message is refused",
	    a_signature_instead_of_the_first_message_is_refused);
	ADD("SEC-16 a challenge after the proof is refused", a_challenge_after_the_proof_is_refused);
	ADD("SEC-16 a nonce that does not extend ours is refused",
	    a_nonce_that_does_not_extend_ours_is_refused);
	ADD("SEC-16 a nonce that is not printable is refused", a_nonce_that_is_not_printable_is_refused);
	ADD("SEC-16 a malformed first message is refused", a_malformed_first_message_is_refused);
	ADD("SEC-16 a bad salt is refused", a_bad_salt_is_refused);
	ADD("SEC-16 a mandatory extension is refused", a_mandatory_extension_is_refused);
	ADD("SEC-17 an endless salt is refused", an_endless_salt_is_refused);
	ADD("SEC-17 endless messages are refused", endless_messages_are_refused);
	ADD("SEC-15 iterations out of bounds are refused", iterations_out_of_bounds_are_refused);
	ADD("SEC-15 iterations that are no number are refused",
	    iterations_that_are_no_number_are_refused);
	ADD("SEC-15 too few iterations are named in the error",
	    too_few_iterations_are_named_in_the_error);
	ADD("SEC-15 a million iterations are done", a_million_iterations_are_done);
	ADD("PLUS without usable binding data is refused", plus_without_usable_binding_data_is_refused);
	ADD("a nonce with a comma cannot be given", a_nonce_with_a_comma_cannot_be_given);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_good_tests();
	add_refusal_tests();
	return g_test_run();
}
