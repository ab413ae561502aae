/* SPDX-License-Identifier: MIT */
/*
 * Messages that may leave the server because they are kept here, in the state directory, for good: of
 * an account that is one folder whose messages have keys (-o pop3-keep=no or DAYS). None is lost at
 * any point:
 *   bytes in the spool, fsync of file and directory → row in the journal, fsync → [DAYS] →
 *   read back: size and SHA-256 are right → the server gives the same bytes again → deleted there.
 * What fails on the way is tried again after the next listing. What is kept stays a message under its
 * UID whatever becomes of the server and of the cache, until somebody removes it by rm. Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "model/tree.h"
#include "store/journal.h"
#include "store/spool.h"

struct engine;
struct vault;

struct vault *vault_new(struct engine *engine);
void vault_free(struct vault *vault); /* after the pool */

/* Of the journal, at the start; the user is a struct change_start. */
void vault_on_row(void *start, const struct journal_kept *row);
/* Ids of the files that belong to somebody. */
void vault_add_ids(const struct vault *vault, GArray *ids);

bool vault_has(const struct vault *vault, const char *folder, uint32_t uid);
/* Bytes of this length and SHA-256 are what was stored. */
bool vault_matches(const struct vault *vault, uint32_t uid, uint64_t size, const uint8_t digest[32]);
/* … and it was deleted from the server: whoever has its key there is another message. */
bool vault_is_gone(const struct vault *vault, const struct folder *folder, uint32_t uid);
/* All that are kept of the folder, by UID. */
void vault_each(const struct vault *vault, const struct folder *folder,
	void (*fn)(void *user, const struct journal_kept *row), void *user);
/* Somebody removed the message: it goes here, too. */
void vault_message_gone(struct vault *vault, const char *folder, uint32_t uid);
/* The server is there: its folder is listed, though nobody looks at it. */
void vault_online(struct vault *vault);
/* The folder was just listed: what is new is stored, what is due leaves the server. */
void vault_look(struct vault *vault, struct folder *folder);
/* It is kept, and its bytes are to be had: not on a read-only mount beside one that writes. */
bool vault_can_read(const struct vault *vault, const char *folder, uint32_t uid);
/* Bytes of one that is. */
void vault_read(struct vault *vault, uint32_t uid, struct mailfs_range range, spool_read_fn done,
	void *user);

struct vault_status {
	uint32_t messages, gone; /* kept; of these no more on the server */
	uint64_t bytes;
};
struct vault_status vault_status(const struct vault *vault);
/* Bytes on their way to the disk: back pressure. */
uint64_t vault_pending_bytes(const struct vault *vault);
