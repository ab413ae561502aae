/* SPDX-License-Identifier: MIT */
/*
 * What list, sync, uids, fetch, poll, watch, status and all changes have in common: a ticket, and an end that comes once.
 * Embedded as first member of each kind. Loop thread; owned by the session.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "mailfs/backend.h"

struct request {
	struct mailfs_session *session;
	mailfs_ticket ticket;
	bool is_started, is_cancelled;
	/* Queues the first commands; from the loop, once the session is ready. */
	void (*start)(struct request *request);
	/* The input that came in one go was handled: report what was gathered. May be NULL. */
	void (*flush)(struct request *request);
	/* Calls `done` of the caller. */
	void (*done)(struct request *request, const GError *error);
	void (*free)(struct request *request);
};

/* Takes the request over. */
mailfs_ticket request_add(struct mailfs_session *s, struct request *request);
/* The end: commands are detached, `done` is called, memory is freed. From the loop only, and
 * nothing of the request may be touched afterwards. */
void request_finish(struct request *request, const GError *error);
void request_fail(struct request *request, enum mailfs_error code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

mailfs_ticket folders_list(struct mailfs_session *s, const struct mailfs_list_request *args);
mailfs_ticket sync_start(struct mailfs_session *s, const struct mailfs_sync_request *args);
mailfs_ticket uids_start(struct mailfs_session *s, const struct mailfs_uids_request *args);
mailfs_ticket fetch_start(struct mailfs_session *s, const struct mailfs_fetch_request *args);
mailfs_ticket store_start(struct mailfs_session *s, const struct mailfs_store_request *args);
mailfs_ticket append_start(struct mailfs_session *s, const struct mailfs_append_request *args);
void append_give(struct mailfs_session *s, mailfs_ticket append, GBytes *bytes);
void append_run(struct mailfs_session *s); /* from the kick: asks for bytes, ends the literal */
mailfs_ticket move_start(struct mailfs_session *s, const struct mailfs_move_request *args);
mailfs_ticket remove_start(struct mailfs_session *s, const struct mailfs_remove_request *args);
mailfs_ticket folder_change_start(struct mailfs_session *s,
	const struct mailfs_folder_request *args);
mailfs_ticket poll_start(struct mailfs_session *s, unsigned patience_ms, mailfs_done_fn done,
	void *user);
mailfs_ticket idle_start(struct mailfs_session *s, const struct mailfs_watch_request *args);
mailfs_ticket notify_start(struct mailfs_session *s, const struct mailfs_watch_request *args);
mailfs_ticket status_start(struct mailfs_session *s, const struct mailfs_status_request *args);
