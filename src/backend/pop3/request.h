/* SPDX-License-Identifier: MIT */
/* The requests of a maildrop, and what is peculiar to each. Loop thread; owned by the session. */
#pragma once

#include "backend/session.h"

/* Marks of a request. */
enum pop3_mark {
	POP3_NEEDS_DROP   = 1u << 0, /* it starts when the maildrop was listed */
	POP3_WANTS_NEWS   = 1u << 1, /* … and not for somebody before it: else on another connection */
	POP3_ENDS_SESSION = 1u << 2, /* it is alone in the session, and the last one */
	POP3_IS_BEGUN     = 1u << 3, /* `start` was called */
};

mailfs_ticket pop3_sync(struct mailfs_session *s, const struct mailfs_sync_request *args);
mailfs_ticket pop3_fetch(struct mailfs_session *s, const struct mailfs_fetch_request *args);
mailfs_ticket pop3_remove(struct mailfs_session *s, const struct mailfs_remove_request *args);
