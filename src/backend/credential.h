/* SPDX-License-Identifier: MIT */
/*
 * The credential of a login, the same for every protocol: which way of proving who we are, the
 * secret that is asked for, the turns of the SASL exchange. Framing and the word of the server are the
 * protocol's. One try per credential: another mechanism only when the server does not know the
 * first one (SEC-19); a token only once more, and only another one (CN-5). Owned by the login; loop
 * thread.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "mailfs/backend.h"
#include "net/stream.h"
#include "wire/sasl.h"

struct credential_wait;

struct credential {
	const struct mailfs_backend_config *config;
	/* The secret is there (NULL), or there is none and the login fails. */
	void (*have)(void *user, const GError *error);
	void *user;

	enum sasl_mech mech; /* NONE = the protocol's own command */
	unsigned refused;    /* mechanisms that the server turned out not to have */
	bool has_shown;      /* the server saw something of the secret: a refusal is real */
	struct sasl *sasl;
	char *secret; /* wiped in the end */

	struct credential_wait *wait;
	bool has_asked_again;
	char *refused_token; /* while another one is asked for */
	char *refusal;       /* what the server said to it */
	uint8_t binding[256];
	size_t binding_len;
	const char *binding_type;
};

/* `config` outlives it. */
void credential_init(struct credential *c, const struct mailfs_backend_config *config,
	void (*have)(void *user, const GError *error), void *user);
void credential_done(struct credential *c); /* wipes; `have` will not be called */

/* The strongest of `offered` (enum sasl_mech) into c->mech; NULL, or why there is no way to log in.
 * `has_command`: the protocol's own command could be used, too. */
const char *credential_choose(struct credential *c, struct stream *stream, unsigned offered,
	bool has_command);

/* True: the secret is there, or none is needed. False: have() will be called. */
bool credential_ask(struct credential *c, struct stream *stream);
/* A refusal, by `error`: is it worth asking for another token? Then the next credential_ask() does. */
bool credential_renew(struct credential *c, const GError *error);

/* The exchange begins. */
void credential_begin(struct credential *c, struct stream *stream, unsigned offered);
/* Appends the initial response as text, "=" when it is empty. False: it cannot be made. */
bool credential_initial(struct credential *c, struct bytebuf *text);
/* Answers a challenge, on the stream. NULL, or why the exchange was broken off. */
const char *credential_answer(struct credential *c, struct stream *stream, const char *text);
/* The server says yes: may it be believed? */
bool credential_may_succeed(const struct credential *c);
/* What is known of a refusal beyond its text; NULL = nothing. */
const char *credential_error(const struct credential *c);
