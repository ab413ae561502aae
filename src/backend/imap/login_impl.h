/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of the login share: login.c (greeting, capabilities, TLS, extras) and auth.c
 * (AUTHENTICATE, LOGIN). Loop thread.
 */
#pragma once

#include "backend/credential.h"
#include "backend/imap/login.h"
#include "backend/imap/queue.h"
#include "backend/imap/verdict.h"

enum step { STEP_WAIT, STEP_AGAIN, STEP_DONE };

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
	struct credential credential;
};

/* Tools of login.c. Failing ends the session; both return STEP_WAIT. */
enum step login_fail(struct login *l, enum mailfs_error code, const char *text);
enum step login_fail_error(struct login *l); /* with the refusal in l->error */
void login_run(struct login *l);
void login_timer_start(struct login *l); /* anew */
void login_timer_clear(struct login *l);
void login_send(struct login *l, struct imap_cmd *cmd, const char *what);
void login_send_secret(struct login *l, struct imap_cmd *cmd);

/* Steps that the halves hand over to. */
enum step login_ask_caps(struct login *l);
enum step login_extras(struct login *l);
enum step login_auth(struct login *l);
enum step login_auth_reply(struct login *l); /* waits for the word of the server */

/* The secret is there, or there is none. */
void login_on_secret(void *login, const GError *error);
/* A "+" of the SASL exchange. */
void login_on_challenge(struct login *l, const struct imap_response *response);
