/* SPDX-License-Identifier: MIT */
/* What the server tells by itself: IDLE of one folder, NOTIFY of all. Loop thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/types.h"
#include "wire/imap_reader.h"

struct mailfs_session;
struct command;
struct imap_status_resp;

/* The IDLE that is in flight; it may outlive its request by an answer. Owned by the session. */
struct idling {
	struct command *command; /* NULL = none */
	bool has_begun;          /* the "+" came */
	bool is_leaving;         /* DONE was sent */
	int64_t begun_us;
	unsigned late_ms;        /* the "+" */
	GSource *timer; /* the "+" is overdue; it is time to renew */
};

/* ---- watch.c ---- */

/* Leaves IDLE if something else is to be sent, or nobody wants it any more. From the loop. */
void idle_pump(struct mailfs_session *s);
/* Sends DONE, if the server idles. */
void idle_leave(struct mailfs_session *s);
bool idle_is_starting(const struct mailfs_session *s); /* IDLE was sent, its "+" is due */
bool idle_is_silent(const struct mailfs_session *s);   /* the server idles and may say nothing */
bool idle_on_continuation(struct mailfs_session *s);   /* false: it was not for an IDLE */
void idle_forget(struct mailfs_session *s);            /* the connection is no more */

/* ---- notify.c ---- */

struct mailfs_status watch_status(const struct imap_status_resp *from); /* without its folder */

/* An untagged STATUS is told; false: it is something else. `tell` may be NULL. */
typedef void (*watch_status_fn)(void *user, const struct mailfs_status *status);
bool watch_tell_status(const struct imap_response *response, watch_status_fn tell, void *user);

/* STATUS, LIST and the overflow that NOTIFY brings. */
void notify_on_untagged(struct mailfs_session *s, const struct imap_response *response);
