/* SPDX-License-Identifier: MIT */
/* What the SASL mechanisms share. Private to src/wire/sasl*.c. */
#pragma once

#include "wire/sasl.h"

/* Takes a challenge (not for the first turn of a mechanism that speaks first), appends the
 * response, names its successor in sasl->step. */
typedef enum sasl_result (*sasl_step_fn)(struct sasl *sasl, const uint8_t *challenge, size_t len,
                                         struct bytebuf *response);

struct sasl_scram; /* sasl_scram.c */

struct sasl {
	enum sasl_mech mech;
	sasl_step_fn step; /* NULL: the mechanism expects nothing more */
	bool has_spoken;   /* the first turn is over */
	bool is_satisfied; /* an OK may be believed, unless has_failed */
	bool has_failed;
	char *error; /* owned; printable */

	/* Owned copies. `secret` is gone as soon as it was used. */
	char *user;
	char *secret;
	char *host;
	uint16_t port;
	struct sasl_scram *scram; /* SCRAM only */
};

/* Fails for good; the text is made printable. Always SASL_FAIL. */
enum sasl_result sasl_fail(struct sasl *sasl, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Copy of at most 160 bytes; whatever is not printable ASCII becomes '?'. */
char *sasl_printable(const uint8_t *bytes, size_t len);
void sasl_secret_free(char *secret); /* wipes a NUL-terminated string; NULL is fine */
void sasl_secret_freep(char **secret);
/* The last step was said: from here on an OK may be believed. */
enum sasl_result sasl_said_all(struct sasl *sasl);

/* sasl_scram.c */
void sasl_scram_begin(struct sasl *sasl, const struct sasl_params *params);
void sasl_scram_free(struct sasl_scram *scram);
void sasl_append_saslname(struct bytebuf *out, const char *name); /* ',' and '=' escaped */

/* sasl_oauth.c */
void sasl_oauth_begin(struct sasl *sasl, const struct sasl_params *params);

/* sasl_prep.c */
/*
 * SASLprep (RFC 4013) of a UTF-8 text as a query string. An owned string, or NULL and
 * *ret_reason (static) set: not UTF-8, a prohibited character, mixed directions, nothing left.
 */
char *sasl_prep(const char *text, const char **ret_reason);
