/* SPDX-License-Identifier: MIT */
/*
 * Which UIDs of a range exist, by the plainest means that the server has: UID SEARCH RETURN (ALL),
 * else UID SEARCH, else UID FETCH (UID). Success is judged by what came, not by the OK (EX-4).
 * Loop thread.
 */
#pragma once

#include <stdint.h>

#include "backend/imap/uidlist.h"

struct mailfs_session;
struct request;

struct search {
	struct request *request;
	const char *box; /* borrowed from the request */
	bool has_uidvalidity;
	uint32_t uidvalidity;
	uint32_t first, last; /* UINT32_MAX: to the end */
	/* The list is whole: `found` holds it, clipped to the range. Or it is not. */
	void (*then)(struct request *request, const GError *error);
	struct uidlist found;

	unsigned means; /* the search's own */
};

/* The search lives in its request, which calls search_done() when it is freed. */
void search_init(struct search *search);
/* The box should be open: its size decides how to ask. */
void search_start(struct search *search);
void search_done(struct search *search);
