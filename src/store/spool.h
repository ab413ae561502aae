/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a message that is being written, in DIR/spool/ID of the journal's directory. Loop
 * thread; workers do the disk work, one after the other per file, so that the calls for one file
 * take effect in their order. Every callback comes once, from the loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/types.h"
#include "store/journal.h"

struct spool_file;

/* Of a journal that is read-only: only spool_has() and spool_read(), of what is there. */

/* A new, empty file (is_new) or one that a former process left. New reference; its first call
 * reports it if that cannot be done. */
struct spool_file *spool_file_open(struct journal *journal, uint64_t id, bool is_new);
struct spool_file *spool_file_ref(struct spool_file *file);
void spool_file_unref(struct spool_file *file); /* NULL is fine; closes with the last job */

/* Is there a file of that id, and how long it was when the journal was opened, or since. */
bool spool_has(const struct journal *journal, uint64_t id, uint64_t *ret_size);

uint64_t spool_file_size(const struct spool_file *file); /* after what was called so far; of one
                                                          * that was left: as the row says */
void spool_file_set_size(struct spool_file *file, uint64_t size); /* tells it what the row says */

/* Takes a reference to `bytes`. NO_SPACE, DISK: nothing of it counts. */
void spool_write(struct spool_file *file, uint64_t offset, GBytes *bytes, store_done_fn done,
	void *user);
void spool_truncate(struct spool_file *file, uint64_t size, store_done_fn done, void *user);
/* NULL + error, or at most range.len bytes; fewer only at the end. Borrowed. */
typedef void (*spool_read_fn)(void *user, GBytes *bytes, const GError *error);
void spool_read(struct spool_file *file, struct mailfs_range range, spool_read_fn done, void *user);
/* The file and its directory are on the disk (fsync). A failure is final: the file counts as
 * failed, since a second fsync would tell a lie. */
void spool_sync(struct spool_file *file, store_done_fn done, void *user);

/* The message as it goes to the server: every line end CRLF (bare LF gets its CR, a bare CR stays),
 * a final line end added. In spool/ID.wire if that differs from the file, else the file itself. */
struct spool_wire {
	uint64_t size;
	uint8_t sha256[32];
	bool has_nul;
	bool looks_like_message; /* begins with a header field, or with an empty line, or "From " and one */
	char *message_id;        /* of its header, trimmed; NULL = none; the receiver's: g_free() */
};
typedef void (*spool_wire_fn)(void *user, const struct spool_wire *wire, const GError *error);
void spool_make_wire(struct spool_file *file, spool_wire_fn done, void *user);
/* The same, but nothing is kept: what spool_read_wire() gives stays what it was. */
void spool_scan(struct spool_file *file, spool_wire_fn done, void *user);
/* What spool_read_wire() gives stays as it is now, whatever is written to the file from here on. */
void spool_freeze_wire(struct spool_file *file, store_done_fn done, void *user);
/* Octets of that form, after spool_make_wire() in this process. */
void spool_read_wire(struct spool_file *file, struct mailfs_range range, spool_read_fn done,
	void *user);

/* Of the first bytes of a file; pure. */
bool spool_looks_like_message(const char *bytes, size_t len);

/* Removes spool/ID and spool/ID.wire. Whoever holds the file can still read it. */
void spool_remove(struct journal *journal, uint64_t id);
/* Files without a row (ids given, ascending) go, but for those of damaged rows; after journal_visit(), before the first draft. */
void spool_sweep(struct journal *journal, const uint64_t *known_ids, size_t count);
/* Bytes of all files; for tests. */
uint64_t spool_bytes(const struct journal *journal);
