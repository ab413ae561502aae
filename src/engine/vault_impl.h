/* SPDX-License-Identifier: MIT */
/* What the files of the vault share. Loop thread. */
#pragma once

#include "engine/internal.h"
#include "engine/vault.h"

#define VAULT_BATCH 64u          /* messages in one request */
#define VAULT_PIECE (256u * 1024) /* read or written at once */

struct vault_work;

struct vault {
	struct engine *engine;
	struct journal *journal; /* NULL: there is none to write */
	bool is_on;              /* messages are stored and deleted from the server */
	GHashTable *items;       /* UID → struct journal_kept, owned */
	struct vault_work *work; /* the one under way; NULL = none */
	uint32_t cursor;         /* what was tried since the last look, up to this UID */
	uint32_t clear_cursor;   /* likewise */
	uint64_t pending;        /* bytes on their way to the disk */
};

/* A few messages on their way into the vault, or from the server. When the vault goes before the last
 * answer of the disk, it frees itself. */
struct vault_work {
	struct vault *vault; /* NULL: it is no more */
	struct pool_job job;
	char *folder;
	uint32_t uidvalidity, box_id;
	GArray *uids;      /* uint32_t, ascending */
	unsigned open;     /* answers that are due */
	bool has_job;      /* … that of the job is one of them */
	/* vault_store.c */
	struct arrival *coming; /* the message whose bytes come; NULL = none */
	GQueue arrivals;        /* all that are on their way */
	/* vault_clear.c */
	guint at;          /* the one that is being read */
	uint64_t offset;
	GChecksum *sha;
	uint8_t (*digests)[32]; /* of `uids` */
};

/* ---- vault.c ---- */

struct journal_kept *vault_find(const struct vault *vault, uint32_t uid);
/* Takes the row over. */
void vault_put(struct vault *vault, struct journal_kept *row);
/* Its bytes are not what they should be: it is forgotten, and stored again from the server. */
void vault_drop(struct vault *vault, uint32_t uid);
struct message *vault_message(const struct vault *vault, const char *folder, uint32_t uid,
	struct folder **ret_folder);

struct vault_work *vault_work_new(struct vault *vault, struct folder *folder, GArray *uids);
/* One answer less; after the last one the next work begins. */
void vault_work_answered(struct vault_work *work);

/* ---- vault_store.c, vault_clear.c: false: there is nothing to do ---- */

bool vault_store(struct vault *vault, struct folder *folder);
bool vault_clear(struct vault *vault, struct folder *folder);
/* The vault goes: nothing of the spool is touched from now on. */
void vault_forget_arrivals(struct vault_work *work);
