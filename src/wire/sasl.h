/* SPDX-License-Identifier: MIT */
/*
 * The client side of SASL (RFC 4422) as step objects without I/O, for IMAP and POP3 logins.
 * Bytes in, bytes out: framing, base64 and the protocol's own "*" to cancel are the caller's.
 * An object has one owner and no thread of its own; nothing here is shared, so a step may run on
 * any thread. One SCRAM step costs up to SASL_ITERATIONS_MAX rounds of HMAC (below one second).
 *
 * A login
 *   1. mech = sasl_choose(); s = sasl_new(mech, &params).
 *   2. With an initial response (SASL-IR, POP3 AUTH): if sasl_has_initial(mech), sasl_step(s, NULL,
 *      0, out). An empty initial response goes out as "=" (RFC 4959).
 *   3. For each challenge: sasl_step(s, decoded, len, out); out is sent base64-encoded, as an
 *      empty line when it is empty. The empty challenge that asks for the initial response is
 *      passed on like every other.
 *   4. The server says OK: log in only if sasl_may_succeed(s), else drop the connection: it did
 *      not prove that it knows the password. The server says NO: sasl_error(s), when not NULL,
 *      knows more than its text.
 *   5. sasl_free(s), bytebuf_wipe(out).
 *
 * Deliberately absent (broken, and a source of bugs elsewhere): DIGEST-MD5, NTLM, CRAM-MD5.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytebuf.h"

#define SASL_CHALLENGE_MAX  (64u * 1024)
#define SASL_USER_MAX       (4u * 1024)
#define SASL_SECRET_MAX     (64u * 1024)
#define SASL_SALT_MAX       1024u
#define SASL_ITERATIONS_MIN 4096u    /* RFC 5802 §5.1; fewer make a seen exchange cheap to crack */
#define SASL_ITERATIONS_MAX 1000000u /* more is an attack on our time */

/* ---- which mechanism ---------------------------------------------------------------------- */

/* Bits, for sets of mechanisms. */
enum sasl_mech {
	SASL_MECH_NONE                = 0,
	SASL_MECH_PLAIN               = 1u << 0, /* RFC 4616 */
	SASL_MECH_LOGIN               = 1u << 1, /* SASL LOGIN, not the IMAP command */
	SASL_MECH_SCRAM_SHA_1         = 1u << 2, /* RFC 5802 */
	SASL_MECH_SCRAM_SHA_1_PLUS    = 1u << 3,
	SASL_MECH_SCRAM_SHA_256       = 1u << 4, /* RFC 7677 */
	SASL_MECH_SCRAM_SHA_256_PLUS  = 1u << 5,
	SASL_MECH_OAUTHBEARER         = 1u << 6, /* RFC 7628 */
	SASL_MECH_XOAUTH2             = 1u << 7,
	SASL_MECH_EXTERNAL            = 1u << 8, /* RFC 4422 appendix A */
};

#define SASL_MECHS_SCRAM                                                                           \
	((unsigned)SASL_MECH_SCRAM_SHA_1 | SASL_MECH_SCRAM_SHA_1_PLUS | SASL_MECH_SCRAM_SHA_256 |      \
	 SASL_MECH_SCRAM_SHA_256_PLUS)
#define SASL_MECHS_CLEAR    ((unsigned)SASL_MECH_PLAIN | SASL_MECH_LOGIN)
#define SASL_MECHS_PASSWORD (SASL_MECHS_SCRAM | SASL_MECHS_CLEAR)
#define SASL_MECHS_OAUTH    ((unsigned)SASL_MECH_OAUTHBEARER | SASL_MECH_XOAUTH2)

/* 0 = unknown. Case is ignored; the name is all of text[0 .. len), without "AUTH=". */
unsigned sasl_mech_from_name(const char *name, size_t len);
const char *sasl_mech_name(enum sasl_mech mech); /* static; NULL for none, unknown and sets */
bool sasl_has_initial(enum sasl_mech mech);      /* the client speaks first */

/* What the configuration and the connection permit. */
struct sasl_policy {
	unsigned allowed;     /* mechanisms; a weaker one than these is never chosen */
	bool is_tls;          /* TLS with a verified certificate */
	bool allow_plaintext; /* the user accepts a secret on a clear connection */
	bool has_cb;          /* channel binding data can be given */
};

/*
 * The strongest permitted mechanism of `offered`, SASL_MECH_NONE if there is none: SCRAM-SHA-256-
 * PLUS, SCRAM-SHA-256, SCRAM-SHA-1-PLUS, SCRAM-SHA-1, PLAIN, LOGIN; then, if allowed, OAUTHBEARER,
 * XOAUTH2, EXTERNAL. What shows the secret to the server (PLAIN, LOGIN, tokens) needs TLS or
 * allow_plaintext; -PLUS needs TLS and has_cb.
 */
enum sasl_mech sasl_choose(unsigned offered, const struct sasl_policy *policy);
/* Does `offered` hold the -PLUS form of this SCRAM mechanism? For params.server_offers_plus. */
bool sasl_offers_plus(unsigned offered, enum sasl_mech mech);

/* ---- the exchange ------------------------------------------------------------------------- */

/* Borrowed until sasl_new() returns. */
struct sasl_params {
	const char *user;   /* EXTERNAL: who to act as; NULL = who the certificate says */
	const char *secret; /* password or token; a NUL inside it must be refused before */
	const char *host;   /* OAUTHBEARER: the configured name, not the resolved one; NULL = leave out */
	uint16_t port;      /* OAUTHBEARER; 0 = leave out */

	const char *cb_type; /* "tls-exporter", "tls-unique", "tls-server-end-point"; NULL = none */
	const uint8_t *cb_data;
	size_t cb_len;
	bool server_offers_plus; /* sasl_offers_plus(); decides between the flags "y" and "n" */
	bool is_tls;

	const char *test_nonce; /* NULL = random */
};

enum sasl_result {
	SASL_SEND, /* send what was appended, possibly nothing (an empty line) */
	SASL_DONE, /* nothing to send now: the word is with the server */
	SASL_FAIL, /* give up; the answer to a challenge is then "*". sasl_error() says why */
};

struct sasl;

/* Never NULL. Parameters that the mechanism cannot use make the first step fail. */
struct sasl *sasl_new(enum sasl_mech mech, const struct sasl_params *params);
void sasl_free(struct sasl *sasl); /* wipes the secrets; NULL is fine */
/*
 * One turn. `challenge` NULL asks for the initial response: SASL_DONE if there is none or it was
 * given already. A response is appended in one piece, and holds secrets: begin each turn with an
 * empty buffer. After SASL_FAIL every step fails. A challenge after the last one is a failure.
 */
enum sasl_result sasl_step(struct sasl *sasl, const uint8_t *challenge, size_t len,
                           struct bytebuf *response);
/*
 * May an OK of the server be believed? True when all was said that the mechanism has to say and,
 * for SCRAM, the server's signature was verified; false after any failure.
 */
bool sasl_may_succeed(const struct sasl *sasl);
/* Why it failed, or what an OAuth server said before its NO: printable ASCII, without secrets,
 * valid until the next step. NULL = nothing to say. */
const char *sasl_error(const struct sasl *sasl);

/* ---- base64 (RFC 4648 §4) ----------------------------------------------------------------- */

enum sasl_base64 {
	SASL_BASE64_STRICT,   /* the one canonical form */
	SASL_BASE64_TOLERANT, /* padding may be missing, white space is skipped, spare bits may be set */
};

void sasl_base64_encode(const void *bytes, size_t len, struct bytebuf *ret_text); /* appends */
/* Appends the bytes; false, and nothing appended, if this is not base64. */
bool sasl_base64_decode(const char *text, size_t len, enum sasl_base64 how,
                        struct bytebuf *ret_bytes);
