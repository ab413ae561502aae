/* SPDX-License-Identifier: MIT */
/*
 * What list, sync, uids, fetch, remove and poll have in common: a ticket, and an end that comes once.
 * Embedded as first member of each kind. Loop thread; owned by the session.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "mailfs/backend.h"

struct pop3_request {
	struct mailfs_session *session;
	mailfs_ticket ticket;
	bool is_started; /* it has its place in the session */
	bool is_begun;   /* `start` was called */
	bool is_cancelled;
	bool needs_drop;  /* it starts when the maildrop was listed */
	bool wants_news;  /* … and not for somebody who came before it: else there is another connection */
	bool ends_session; /* it is alone in the session, and the last one */
	void (*start)(struct pop3_request *request);
	void (*done)(struct pop3_request *request, const GError *error);
	void (*free)(struct pop3_request *request);
};

/* Takes the request over. */
mailfs_ticket pop3_request_add(struct mailfs_session *s, struct pop3_request *request);
/* The end: commands are detached, `done` is called, memory is freed. From the loop only, and nothing
 * of the request may be touched afterwards. */
void pop3_request_finish(struct pop3_request *request, const GError *error);
void pop3_request_fail(struct pop3_request *request, enum mailfs_error code, const char *format,
	...) __attribute__((format(printf, 3, 4)));

mailfs_ticket pop3_sync(struct mailfs_session *s, const struct mailfs_sync_request *args);
mailfs_ticket pop3_fetch(struct mailfs_session *s, const struct mailfs_fetch_request *args);
mailfs_ticket pop3_remove(struct mailfs_session *s, const struct mailfs_remove_request *args);
