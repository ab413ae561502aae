/* SPDX-License-Identifier: MIT */
/*
 * wire/sasl.h: what SCRAM makes of user names and passwords (SASLprep, RFC 4013). The proofs were
 * computed with Python's hashlib for user "user", salt "saltsalt", 4096 rounds.
 */
#include "wire/sasl.h"

#include <string.h>

#include <glib.h>

#include "base/cleanup.h"

#define ABC_FIRST "r=abcXYZ,s=c2FsdHNhbHQ=,i=4096"

static void sasl_freep(struct sasl **sasl)
{
	sasl_free(*sasl);
}

/* The proof for a password, with the nonce "abc" and ABC_FIRST; NULL if it is refused. */
static char *proof_for(const char *secret)
{
	struct sasl_params params = { .user = "user", .secret = secret, .test_nonce = "abc" };
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &params);
	SCOPED(bytebuf_wipe) struct bytebuf out = { 0 };

	if (sasl_step(s, NULL, 0, &out) == SASL_FAIL) {
		g_assert_nonnull(strstr(sasl_error(s), "password"));
		return NULL;
	}
	bytebuf_clear(&out);
	g_assert_cmpint(sasl_step(s, (const uint8_t *)ABC_FIRST, strlen(ABC_FIRST), &out), ==, SASL_SEND);
	return g_strndup((const char *)bytebuf_bytes(&out), out.len);
}

static void a_password_of_10_kb_is_used_whole(void)
{
	g_autofree char *secret = g_strnfill(10240, 'x');
	g_autofree char *proof = proof_for(secret);

	g_assert_cmpstr(proof, ==, "c=biws,r=abcXYZ,p=0CMMVs97Vov9vBCE7hAW1IBD2J0mTtToKnetSII7ttM=");
}

static void a_password_is_normalised(void)
{
	/* a + combining diaeresis, no-break space, one half, a key (newer than Unicode 3.2). */
	g_autofree char *proof = proof_for("pa\xcc\x88\xc2\xa0\xc2\xbd\xf0\x9f\x94\x91");

	g_assert_cmpstr(proof, ==, "c=biws,r=abcXYZ,p=0QjJnzdcTbiz0pUBIR5lioXVCKDC9ddrtRSvnpYrSUk=");
}

static void examples_of_rfc_4013_are_equal(void)
{
	g_autofree char *plain = proof_for("IX");
	g_autofree char *soft_hyphen = proof_for("I\xc2\xadX");
	g_autofree char *roman = proof_for("\xe2\x85\xa8");
	g_autofree char *other_case = proof_for("ix");

	g_assert_nonnull(plain);
	g_assert_cmpstr(soft_hyphen, ==, plain);
	g_assert_cmpstr(roman, ==, plain);
	g_assert_cmpstr(other_case, !=, plain);
}

static void a_password_that_cannot_be_prepared_fails_cleanly(void)
{
	static const char *const bad[] = {
		"a\r\nb", "\x07", "a\tb", "\x7f",
		"\xff",                  /* not UTF-8 */
		"a\xc3",                 /* cut */
		"\xc2\x85",              /* C1 control */
		"\xee\x80\x80",          /* private use */
		"\xef\xbf\xbe",          /* U+FFFE */
		"\xf0\x9f\xbf\xbe",      /* U+1FFFE */
		"\xe2\x80\xae" "a",      /* direction override */
		"\xd8\xa7" "1",          /* RFC 4013 §3, example 7: ends in no Arabic letter */
		"\xd7\x90" "a\xd7\x90",  /* Hebrew around Latin */
		"\xc2\xad",              /* nothing left */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *proof = proof_for(bad[i]);

		if (proof)
			g_error("password %zu was taken", i);
	}
}

static void one_right_to_left_word_is_fine(void)
{
	g_autofree char *proof = proof_for("\xd7\x90" "1\xd7\x90");

	g_assert_nonnull(proof);
}

static void a_user_name_that_cannot_be_prepared_fails_cleanly(void)
{
	struct sasl_params params = { .user = "a\nb", .secret = "x" };
	SCOPED(bytebuf_wipe) struct bytebuf out = { 0 };
	SCOPED(sasl_freep) struct sasl *s = sasl_new(SASL_MECH_SCRAM_SHA_256, &params);

	g_assert_cmpint(sasl_step(s, NULL, 0, &out), ==, SASL_FAIL);
	g_assert_nonnull(strstr(sasl_error(s), "user name"));
}

#define ADD(path, fn) g_test_add_func("/wire/sasl_prep/" path, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("SEC-20 a password of 10 kB is used whole", a_password_of_10_kb_is_used_whole);
	ADD("a password is normalised", a_password_is_normalised);
	ADD("examples of RFC 4013 are equal", examples_of_rfc_4013_are_equal);
	ADD("SEC-20 a password that cannot be prepared fails cleanly",
	    a_password_that_cannot_be_prepared_fails_cleanly);
	ADD("one right-to-left word is fine", one_right_to_left_word_is_fine);
	ADD("SEC-20 a user name that cannot be prepared fails cleanly",
	    a_user_name_that_cannot_be_prepared_fails_cleanly);
	return g_test_run();
}
