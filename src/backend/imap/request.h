/* SPDX-License-Identifier: MIT */
/* The requests of a mailbox: list, sync, uids, fetch, poll, watch, status and all changes. Loop thread;
 * owned by the session. */
#pragma once

#include "backend/session.h"

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
