/* SPDX-License-Identifier: MIT */
/*
 * One POP3 connection from dialling to death: what the modules of this directory share. Loop thread.
 * Everything asynchronous ends in pop3_session_kick(): calls from above only leave marks, and the
 * kick does the work from the loop (backend.h, callback rules).
 *
 * A connection sees the maildrop as it was at its login, and locks others out. So who wants news of
 * one that was used already makes it end: what runs runs out, QUIT, and another one is made for
 * whoever waits. Deletions take effect by QUIT: after a removal it is the same; when nobody waits
 * the session is over (`dead`, CANCELLED).
 */
#pragma once

#include <glib.h>

#include "backend/pop3/maildrop.h"
#include "backend/pop3/queue.h"
#include "backend/pop3/request.h"
#include "mailfs/backend.h"
#include "net/stream.h"
#include "wire/pop3_caps.h"
#include "wire/pop3_reader.h"

enum pop3_state {
	POP3_STATE_LOGIN,
	POP3_STATE_READY,
	POP3_STATE_ENDING, /* what runs runs out, then QUIT, then perhaps another connection */
	POP3_STATE_CLOSING, /* close() was called */
	POP3_STATE_OVER,   /* `dead` or `closed` was reported */
};

struct pop3_login;

struct mailfs_session {
	/* For life. */
	struct mailfs_backend_config config; /* own copies */
	struct mailfs_session_events events;
	void *user;
	struct tls_config *tls;
	struct stream *stream; /* NULL once closed */
	struct pop3_reader *reader;
	enum pop3_state state;

	/* What the server is. */
	struct pop3_login *login; /* NULL once ready */
	struct pop3_caps caps;
	bool no_capa;          /* it hung, or hung up, when it was asked (P3-4) */
	const char *auth_name; /* static: the mechanism that was used */

	struct pop3_queue queue;
	struct maildrop drop;
	bool is_used; /* somebody was told what is in the maildrop */

	/* Requests from above. */
	GQueue requests; /* struct pop3_request, oldest first */
	uint64_t last_ticket;

	/* Marks for the kick. */
	GSource *kick;
	GError *failure;   /* once set nothing is sent or read */
	bool is_switching; /* STLS under way: the input is not ours to read */
	bool is_redial_due;
	bool was_ready; /* `ready` was told */

	/* close() and the end */
	void (*closed)(void *user);
	void *closed_user;
	GSource *quit_timer;
	bool is_quit_sent, is_goodbye_done;
};

struct mailfs_session *pop3_session_open(const struct mailfs_backend_config *config,
	const struct mailfs_session_events *events, void *user);
void pop3_session_close(struct mailfs_session *s, void (*closed)(void *user), void *user);
void pop3_session_free(struct mailfs_session *s);

/* Does what is due, from the loop, soon. */
void pop3_session_kick(struct mailfs_session *s);

/* The connection is done for: requests end and `dead` comes from the loop. The first counts. */
void pop3_session_fail(struct mailfs_session *s, enum mailfs_error code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void pop3_session_fail_take(struct mailfs_session *s, GError *error);

/* The login is through. */
void pop3_session_ready(struct mailfs_session *s);
/* Another connection, on which CAPA is not asked for. From the loop, soon. */
void pop3_session_redial(struct mailfs_session *s);
/* The connection has served its purpose (see above). */
void pop3_session_end(struct mailfs_session *s);
/* QUIT was answered by +OK: there is nothing left to say. */
void pop3_session_has_quit(struct mailfs_session *s);

/* May text of the server be shown or believed? False before TLS is up where TLS is due. */
bool pop3_session_is_trusted(const struct mailfs_session *s);
