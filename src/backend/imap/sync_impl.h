/* SPDX-License-Identifier: MIT */
/* What the two halves of a sync share: sync.c (delta, compare, the count) and sweep.c. Loop
 * thread. */
#pragma once

#include <limits.h>

#include "backend/imap/queue.h"
#include "backend/imap/request.h"
#include "backend/imap/search.h"
#include "base/arena.h"

#define RIGHTS_UNKNOWN UINT_MAX

struct sync {
	struct request request;
	struct mailfs_sync_request args;
	char *folder;

	/* Set when the folder is open. */
	uint32_t uidvalidity;
	uint64_t modseq;
	unsigned rights; /* enum mailfs_right, of MYRIGHTS; or RIGHTS_UNKNOWN */
	bool is_full;  /* a full listing: `seen` must account for every message */
	bool is_delta;

	/* The sweep. */
	GArray *borders; /* uint32_t: last UIDs of chunks, ascending */
	uint32_t border_seq; /* next sequence number to ask for */
	guint borders_before, next_chunk;
	GByteArray *answered; /* of each chunk: 1 or 0 */
	guint complete;       /* so many chunks from the first on */
	unsigned chunks_max; /* commands under way at once */
	int64_t chunk_us;    /* when the last one was answered */
	uint32_t sweep_last; /* UINT32_MAX: to the end */
	bool did_sweep;

	unsigned open; /* commands without an answer */
	bool did_wait; /* the numbers were given a second chance */
	struct uidlist seen;
	uint64_t lines; /* that told about messages */
	struct uidlist vanished;
	bool has_vanished;
	struct search search;

	/* The report that is being gathered; reset by sync_report_flush(). */
	uint32_t last_uid; /* not reset: of the line before */
	GArray *batch; /* struct mailfs_message_info */
	GPtrArray *heads; /* struct head, lives as long as the batch */
	struct arena arena;
};

/* Of sync.c. */
/* Takes a line that should tell everything about a message. False: it tells only flags. */
bool sync_take_full(struct sync *sync, const struct imap_fetch *line);
bool sync_on_vanished(struct command *command, const struct imap_response *response);
struct command *sync_add_command(struct sync *sync, struct imap_cmd *cmd,
	const struct command_hooks *hooks, bool is_pipelined); /* borrowed */
char *sync_items(const struct mailfs_session *s); /* everything about a message; g_free() it */
void sync_check(struct sync *sync);               /* all commands were answered */

/* Of report.c. A full line has its gaps filled, so that the message shows. */
void sync_report_init(struct sync *sync);
void sync_report_done(struct sync *sync);
void sync_report_add(struct sync *sync, const struct imap_fetch *line, bool is_full);
void sync_report_flush(struct sync *sync);

/* Of sweep.c: everything about the UIDs 1 … last (UINT32_MAX: to the end), then sync_check(). */
void sync_sweep(struct sync *sync, uint32_t last);
