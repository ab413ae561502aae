/* SPDX-License-Identifier: MIT */
/*
 * One POP3 connection from dialling to death: what the modules of this directory share. Loop thread.
 * How it goes on and ends: backend/session.h.
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
#include "backend/session.h"
#include "wire/pop3_caps.h"
#include "wire/pop3_reader.h"

struct pop3_login;

struct mailfs_session {
	struct life life; /* first */
	struct stream *stream; /* NULL once closed */
	struct pop3_reader *reader;

	/* What the server is. */
	struct pop3_login *login; /* NULL once ready */
	struct pop3_caps caps;
	bool no_capa;          /* it hung, or hung up, when it was asked (P3-4) */
	const char *auth_name; /* static: the mechanism that was used */

	struct pop3_queue queue;
	struct maildrop drop;
	bool is_used; /* somebody was told what is in the maildrop */

	/* Marks for the kick. */
	bool is_switching; /* STLS under way: the input is not ours to read */
	bool is_redial_due;
	bool was_ready; /* `ready` was told */
};

struct mailfs_session *pop3_session_open(const struct mailfs_backend_config *config,
	const struct mailfs_session_events *events, void *user);
void pop3_session_free(struct mailfs_session *s);

/* The login is through. */
void pop3_session_ready(struct mailfs_session *s);
/* Another connection, on which CAPA is not asked for. From the loop, soon. */
void pop3_session_redial(struct mailfs_session *s);
/* The connection has served its purpose (see above). */
void pop3_session_end(struct mailfs_session *s);
/* May text of the server be shown or believed? False before TLS is up where TLS is due. */
bool pop3_session_is_trusted(const struct mailfs_session *s);
