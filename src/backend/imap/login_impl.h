/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of the login share: login.c (greeting, capabilities, TLS, extras) and auth.c
 * (AUTHENTICATE, LOGIN). Loop thread.
 */
#pragma once

#include "backend/imap/login.h"
#include "backend/imap/queue.h"
#include "backend/imap/verdict.h"
#include "wire/sasl.h"

enum step { STEP_WAIT, STEP_AGAIN, STEP_DONE };

/* The question for the secret outlives the login when the session dies meanwhile. */
struct secret_wait {
	struct login *login; /* NULL = nobody listens any more */
};

struct login {
	struct mailfs_session *s;
	enum step (*step)(struct login *l);
	GSource *timer;

	/* Reset by login_send(): the answer that the step waits for. */
	unsigned pending; /* commands without an answer */
	const struct imap_response *answer;
	const GError *error;

	bool may_learn_caps; /* an untagged CAPABILITY is expected now */
	bool is_preauth, is_tls_begun;
	bool has_shown;      /* the server saw something of the credential: a refusal is real */
	enum sasl_mech mech; /* NONE = the LOGIN command */
	unsigned refused;    /* mechanisms that the server turned out not to have */
	struct sasl *sasl;
	struct secret_wait *wait;
	char *secret; /* wiped when the login is through */
	bool has_asked_again;
	char *refused_token; /* while another one is asked for */
	char *refusal;       /* what the server said to it */
	uint8_t binding[256];
	size_t binding_len;
	const char *binding_type;
};

/* Tools of login.c. Failing ends the session; both return STEP_WAIT. */
enum step login_fail(struct login *l, enum mailfs_error code, const char *text);
enum step login_fail_error(struct login *l); /* with the refusal in l->error */
void login_run(struct login *l);
void login_timer_start(struct login *l); /* anew */
void login_timer_clear(struct login *l);
void login_send(struct login *l, struct imap_cmd *cmd, const char *what);
void login_send_secret(struct login *l, struct imap_cmd *cmd);
void login_wipe(char **secret); /* and frees it */

/* Steps that the halves hand over to. */
enum step login_ask_caps(struct login *l);
enum step login_extras(struct login *l);
enum step login_auth(struct login *l);
enum step login_auth_reply(struct login *l); /* waits for the word of the server */

/* A "+" of the SASL exchange. */
void login_on_challenge(struct login *l, const struct imap_response *response);
