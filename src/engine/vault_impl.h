/* SPDX-License-Identifier: MIT */
/* What the files of the vault share. Loop thread. */
#pragma once

#include "engine/internal.h"
#include "engine/vault.h"

#define VAULT_BATCH 64u          /* messages in one request */
#define VAULT_PIECE (256u * 1024) /* read or written at once */

struct vault_work;

/* What is done with messages, a few at a time. */
struct vault_task {
	const char *name; /* in a reason */
	bool (*takes)(const struct vault *vault, const struct folder *folder,
		const struct message *message);
	/* Ends in vault_work_submit(), now or later. */
	void (*begin)(struct vault_work *work);
	/* Asks the server; vault_work_done() is its `done`, with the work. */
	mailfs_ticket (*start)(struct vault_work *work, struct mailfs_session *session,
		const char *const *keys);
	void (*end)(struct vault_work *work); /* the server has said all */
};

/* In this order. */
enum { VAULT_STORE, VAULT_CLEAR, VAULT_TASKS };

struct vault {
	struct engine *engine;
	struct journal *journal; /* NULL: there is none that may be written */
	bool is_on;              /* messages are stored and deleted from the server */
	GHashTable *items;       /* UID → struct journal_kept, owned */
	GHashTable *endless;     /* UIDs of which more came than can be: not asked for again */
	struct vault_work *work; /* the one under way; NULL = none */
	uint32_t tried[VAULT_TASKS]; /* since the last look, up to this UID */
	uint64_t pending;        /* bytes on their way to the disk */
	GPtrArray *drops;        /* struct vault_drop *, of rows that are about to go */
};

struct vault_drop {
	struct vault *vault; /* NULL: it is no more, and the next start sweeps the file */
	uint64_t id;
};

/* A few messages on their way into the vault, or from the server. When the vault goes before the last
 * answer of the disk, it frees itself. */
struct vault_work {
	struct vault *vault; /* NULL: it is no more */
	unsigned task;       /* VAULT_STORE … */
	struct pool_job job;
	char *folder;
	uint32_t uidvalidity, box_id;
	GArray *uids;      /* uint32_t, ascending */
	unsigned open;     /* answers that are due */
	bool has_job;      /* … that of the job is one of them */
	/* vault_store.c */
	struct arrival *coming; /* the message whose bytes come; NULL = none */
	GQueue arrivals;        /* all that are on their way */
	bool is_cut;            /* one had no end; nothing more is heard */
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

/* ---- vault_work.c ---- */

/* Begins what is to be done, if nothing is under way. */
void vault_work_next(struct vault *vault, struct folder *folder);
/* The server is asked for what is left of the UIDs; without any, the work has its answer. */
void vault_work_submit(struct vault_work *work);
void vault_work_done(void *work, const GError *error);
/* One answer less; after the last one the next work begins. */
void vault_work_answered(struct vault_work *work);
/* The vault goes. */
void vault_work_forget(struct vault_work *work);

/* ---- vault_store.c, vault_clear.c ---- */

extern const struct vault_task vault_store, vault_clear;
/* The vault goes: nothing of the spool is touched from now on. */
void vault_forget_arrivals(struct vault_work *work);
