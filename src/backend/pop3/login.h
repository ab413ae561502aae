/* SPDX-License-Identifier: MIT */
/*
 * From the greeting to a session that is ready: a chain of steps. Greeting, CAPA, STLS and CAPA
 * again, UTF8, AUTH or USER and PASS, CAPA. Loop thread; owned by the session until
 * pop3_session_ready(). RFC 1939 §4, RFC 2449 §5, RFC 2595 §4, RFC 5034, RFC 6856 §2.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "backend/credential.h"
#include "backend/pop3/queue.h"

struct mailfs_session;
struct pop3_login;

struct pop3_login *pop3_login_new(struct mailfs_session *s);
void pop3_login_free(struct pop3_login *login);

/* The connection stands: the greeting is due. */
void pop3_login_on_open(struct pop3_login *login);
/* False: it is the answer to a command. */
bool pop3_login_on_event(struct pop3_login *login, const struct pop3_event *event);
/* STLS took effect. */
void pop3_login_on_secured(struct pop3_login *login);
/* The connection ended. True: another one is made. */
bool pop3_login_on_closed(struct pop3_login *login);

/* ---- what login.c and auth.c share ---- */

enum pop3_step { POP3_STEP_WAIT, POP3_STEP_AGAIN, POP3_STEP_DONE };

struct pop3_login {
	struct mailfs_session *s;
	enum pop3_step (*step)(struct pop3_login *l);
	GSource *timer;

	/* Reset by pop3_login_send(): the answer that the step waits for. */
	bool is_answered;
	const char *answer; /* text of a +OK; NULL = -ERR */
	const GError *error;

	bool is_tls_begun, is_in; /* is_in: the password was accepted */
	bool is_asking_capa;
	bool was_utf8;       /* UTF8 was asked for */
	struct credential credential;
};

/* Failing ends the session; both return POP3_STEP_WAIT. */
enum pop3_step pop3_login_fail(struct pop3_login *l, enum mailfs_error code, const char *text);
enum pop3_step pop3_login_fail_error(struct pop3_login *l); /* with the refusal in l->error */
void pop3_login_run(struct pop3_login *l);
void pop3_login_timer_start(struct pop3_login *l); /* anew */
void pop3_login_timer_clear(struct pop3_login *l);
/* `line`: a command of one line for an answer. */
void pop3_login_send(struct pop3_login *l, const char *line, const char *what);
void pop3_login_send_secret(struct pop3_login *l, const char *line);

/* Steps that the halves hand over to. */
enum pop3_step pop3_login_ask_capa(struct pop3_login *l);
enum pop3_step pop3_login_auth(struct pop3_login *l);

/* The secret is there, or there is none. */
void pop3_login_on_secret(void *login, const GError *error);
/* A "+ …" of the SASL exchange. False: there is none. */
bool pop3_login_on_challenge(struct pop3_login *l, const char *text);
