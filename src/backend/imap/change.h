/* SPDX-License-Identifier: MIT */
/*
 * What changes of messages have in common: UIDs in sets that fit a command. Loop thread; embedded
 * in a request.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "backend/imap/queue.h"

struct request;

/* Messages of one folder, ascending; lives in its request. */
struct targets {
	struct request *request;
	void *owner; /* whom its commands' hooks find in their span; may be NULL */
	char *folder;
	uint32_t uidvalidity;
	uint32_t *uids;
	size_t count;
};

/* Copies; what is 0, twice or out of order is left out. */
void targets_init(struct targets *targets, struct request *request, const char *folder,
	uint32_t uidvalidity, const uint32_t *uids, size_t count);
void targets_done(struct targets *targets);
ssize_t targets_find(const struct targets *targets, uint32_t uid); /* its index, or -1 */
size_t targets_lower(const struct targets *targets, uint32_t uid); /* of the first not below it */

/* Which of the targets a command is about: `user` of the command. */
struct span {
	size_t from, to; /* indices into uids, `to` excluded */
	void *owner;     /* of the targets */
};

/* The next set: from index `at` on what fits, `max` messages at most. g_free() *ret_set. */
struct span targets_next(const struct targets *targets, size_t at, size_t max, char **ret_set);
/* The index of `uid` if the command is about it, or -1. */
ssize_t span_find(const struct command *command, const struct targets *targets, uint32_t uid);

/* A command in the folder of the targets, under their UIDVALIDITY; `span` (or NULL) is copied. */
struct command *targets_command(const struct targets *targets, struct imap_cmd *cmd,
	const struct command_hooks *hooks, const struct span *span, const char *what);
/* The same, pipelined and queued: for STORE and FETCH by UID. */
void targets_add(const struct targets *targets, struct imap_cmd *cmd,
	const struct command_hooks *hooks, const struct span *span, const char *what);

/* UID STORE SET +FLAGS.SILENT (…); NULL when a keyword is none. */
struct imap_cmd *change_store_cmd(const char *set, bool is_add, unsigned flags,
	const char *const *keywords);
/* UID FETCH SET (UID FLAGS): what there is, and how it is flagged. */
struct imap_cmd *change_ask_cmd(const char *set);

/* True: nothing may change in this session, and the request has ended. Asked first by all changes.
 */
bool change_is_refused(struct request *request);
/* The same, also where UIDs do not last: nobody knows what they would remove (ID-2). */
bool targets_are_refused(const struct targets *targets);
