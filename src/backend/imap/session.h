/* SPDX-License-Identifier: MIT */
/*
 * One IMAP connection from dialling to death: what the modules of this directory share. Loop
 * thread. How it goes on and ends: backend/session.h.
 */
#pragma once

#include <glib.h>

#include "base/arena.h"
#include "backend/imap/quirks.h"
#include "backend/imap/queue.h"
#include "backend/imap/select.h"
#include "backend/imap/watch.h"
#include "backend/session.h"
#include "wire/imap_caps.h"
#include "wire/imap_reader.h"
#include "wire/imap_resp.h"

struct login;

struct mailfs_session {
	struct life life; /* first */
	struct stream *stream; /* NULL once closed */
	struct imap_reader *reader;
	struct arena arena; /* scratch of one event */

	/* What the server is. */
	struct login *login; /* NULL once ready */
	struct imap_caps caps;
	unsigned quirks; /* enum quirk */
	bool has_enabled_condstore, has_enabled_qresync;
	bool is_compressed, is_compressing; /* the latter: COMPRESS waits, or its answer is due */
	const char *auth_name; /* static: the mechanism that was used */
	char *greeting;        /* printable */
	char *server_id;       /* printable, or NULL */
	char *namespace_prefix;
	char namespace_delimiter; /* 0 = not told, or none */

	/* Rejected once on this connection: not tried again (EX-4). */
	bool no_list_return, no_condstore_examine, no_esearch, no_search, no_myrights;
	bool no_move, no_uid_expunge, no_replace, no_unselect;
	bool no_compress, no_idle, no_notify;
	bool is_uid_late; /* FETCH lines name the UID after the body: one message at a time */

	struct queue queue;
	struct box box;

	struct request *upload; /* the append whose literal is open; NULL = none */
	struct idling idling;
	struct request *notify; /* the watch of the account, once the server has agreed; NULL = none */

	bool is_switching; /* STARTTLS or COMPRESS under way: the input is not ours to read */
};

struct mailfs_session *imap_session_open(const struct mailfs_backend_config *config,
	const struct mailfs_session_events *events, void *user);
void imap_session_free(struct mailfs_session *s);

/* The login is through. */
void session_ready(struct mailfs_session *s);

/* ---- compress.c ---- */

void compress_start(struct mailfs_session *s);
/* COMPRESS was accepted: from the next byte on, in both directions. */
void compress_begin(struct mailfs_session *s);

/* ---- dispatch.c ---- */

/* Takes what the stream has: bytes came, or may be read again. */
void session_on_input(void *session);

/* Something changed in the open box that no request covers: told once until its next sync, or each
 * time while it is watched. */
void session_box_changed(struct mailfs_session *s);

/* Passes an [ALERT] on, if it may be shown. */
void session_alert(struct mailfs_session *s, const struct imap_response *response);
/* May text of the server be shown or believed? False before TLS is up where TLS is due. */
bool session_is_trusted(const struct mailfs_session *s);
