/* SPDX-License-Identifier: MIT */
/* An engine on a real store in a directory of its own, and a server in memory. */
#pragma once

#include "engine/changes.h"
#include "fake/fake_backend.h"

#define WORLD_OK (-1) /* no error */

struct world {
	struct fake_server *server;
	struct fake_folder *inbox;
	char *dir;
	struct store *store;
	struct journal *journal; /* in "state" below dir */
	struct engine *engine;
	unsigned connections;
	bool want_names, delay_connect;
	bool auto_compress, want_compress;
	bool is_read_only, is_flags_sync, confirms_each;
	enum engine_delete delete_mode;
	const struct mailfs_backend *backend; /* NULL = the fake one */
	size_t loaded_max;
	uint64_t cache_max; /* 0 = 1 GiB */
	unsigned upload_delay_ms;
	unsigned poll_seconds;
	const char *used; /* the folder of which something is open; NULL = none */
	bool want_prefetch; /* off: then the tests count what they asked for */
	bool keeps_bytes;   /* what is fetched ahead of a walk is read here, in `kept` */
	unsigned leaves_out; /* … but each so manieth of a request; 0 = none */
	GHashTable *kept;   /* UID → GBytes */

	/* what the engine told */
	unsigned started, listings, messages_changed, messages_gone, boxes_gone, bytes_changed;
	int started_code; /* WORLD_OK, or an error code */
	unsigned states[ENGINE_STOPPED + 1];
	uint32_t box_gone_id;
	bool is_stopped, is_freed;
	unsigned names_given;
};

struct world *world_new(void); /* INBOX with UIDVALIDITY 7, empty; nothing runs yet */
void world_free(struct world *world);
void world_open_store(struct world *world);
void world_launch(struct world *world); /* a new engine is told to start; no waiting */
void world_start(struct world *world);  /* … and has started */
void world_stop(struct world *world);   /* engine stopped and freed; store closed */
void world_restart(struct world *world);
/* The process dies and the next one starts: nothing is ended in good order. */
void world_crash(struct world *world);
void world_forget_index(struct world *world); /* while it is stopped */

/* Turns of the loop until the claim is true; fails the test when it does not become so. */
typedef bool (*world_claim_fn)(void *user);
void world_until(world_claim_fn claim, void *user);
void world_turns(unsigned count); /* non-blocking */
void world_settle(struct world *world); /* the loop and the store have nothing to do */

struct folder *world_folder(struct world *world, const char *path);
/* Waiting calls: WORLD_OK or an error code. */
int world_open(struct world *world, const char *path);
int world_refresh(struct world *world, const char *path); /* NULL: everything */
int world_exact(struct world *world, uint32_t uid);
struct message *world_message(struct world *world, uint32_t uid); /* of INBOX; NULL = none */
uint32_t world_count(struct world *world);

/* Somebody who waits: `count` answers, the last one's code. */
struct answer {
	unsigned count;
	int code;
};
void answer_take(void *answer, const GError *error);
bool answer_is_there(void *answer);
/* The last reason holds this text. */
bool world_has_reason(struct world *world, const char *text);

/* A read under way. */
struct reading {
	unsigned answers;
	int code;
	GByteArray *bytes;
	engine_ticket ticket;
};
struct reading *world_read_begin(struct world *world, uint32_t uid, uint64_t offset, uint64_t len);
bool reading_is_over(void *reading);
void reading_free(struct reading *reading);
/* One read of the engine, waited for; appends to `bytes` (may be NULL). */
int world_read(struct world *world, uint32_t uid, uint64_t offset, uint64_t len, GByteArray *bytes);
/* As cat does: asks for what is left until the end. The bytes must be those of the server. */
int world_cat(struct world *world, uint32_t uid);
/* 32 messages at UIDs from 900001 on are swept and read: sizes are believed. */
void world_earn_trust(struct world *world);
