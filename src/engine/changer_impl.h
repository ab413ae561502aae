/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of the changer share: changer.c takes wishes in and shows them, changer_send.c
 * brings them to the server. Loop thread.
 *
 * A wish is what the user wants of one message: rows of the journal, in their order. What is shown
 * is what the server said last (`base`) with the rows on top; the index only ever learns the former.
 */
#pragma once

#include "base/backoff.h"
#include "engine/change_impl.h"
#include "engine/delta.h"

enum row_state {
	ROW_WRITING, /* not in the journal yet */
	ROW_READY,
	ROW_SENT, /* part of the batch of its wish */
};

/* One change that somebody made. */
struct wish_row {
	struct engine_waiter waiter; /* while `done` is set */
	engine_done_fn done;
	void *user;
	struct changer *changer; /* NULL: the engine is gone, the journal has not answered */
	struct wish *wish;       /* NULL: given up before the journal answered */
	uint64_t id;
	struct delta delta;
	enum row_state state;
};

struct wish {
	struct flag_place *place; /* NULL: given up while its batch is under way */
	uint32_t uid;
	GQueue rows; /* struct wish_row *, by id */
	bool is_ready;             /* in place->ready */
	struct flag_batch *batch;  /* under way */

	bool has_base;
	unsigned base;
	char *base_words;

	/* of the batch: what the server says now */
	bool has_answer;
	unsigned answer;
	char *answer_words;
};

struct flag_place {
	struct place place; /* UID → struct wish * */
	struct changer *changer;
	GQueue ready;       /* struct wish *, with rows to send and no batch */
	unsigned in_flight; /* batches */
	unsigned threshold; /* changes that are sent without waiting for more */
	int64_t first_us;   /* when the first of `ready` came; 0 = none */
	guint timer;        /* collecting, or waiting for the next try */
	bool is_paused;     /* until the account is online, or the timer */
	unsigned doubts;    /* answers in a row that made no sense */
	struct backoff backoff;
};

/* One STORE: the same delta for many. */
struct flag_batch {
	struct pool_job job;
	struct flag_place *place;
	char *folder;
	uint32_t uidvalidity;
	struct delta delta;
	GPtrArray *wishes; /* by UID */
};

struct changer {
	struct engine *engine;
	struct place_map *map;
	GHashTable *batches; /* struct flag_batch *, under way */
	GHashTable *writing; /* struct wish_row * that the journal has not answered */
	unsigned wishes;
};

/* ---- changer.c ---- */

extern const struct engine_waiter_class changer_waiter_class; /* of rows */
/* A row with its delta becomes part of the message's wish: shown, and on its way to the journal. */
void changer_add(struct engine *engine, const struct folder *folder, const struct message *message,
	struct wish_row *row);
/* The folder, if its mailbox is loaded and still the one of the place. */
struct folder *changer_folder(const struct flag_place *place);
/* The model shows base and rows now. */
void changer_show(struct wish *wish);
/* What the server said. */
void changer_set_base(struct wish *wish, unsigned flags, const char *words);
/* All rows in that state as one. */
struct delta changer_compose(const struct wish *wish, enum row_state state);
/* Takes the rows in that state out: off the journal, into `rows`. */
void changer_take_rows(struct wish *wish, bool sent_only, GPtrArray *rows);
/* Their waiters are told; they are freed, and the array. */
void changer_answer_rows(struct changer *changer, GPtrArray *rows, const GError *error);
/* It has no rows any more, or is given up. */
void changer_end_wish(struct wish *wish);
void changer_wish_free(struct wish *wish);
/* All of the place are given up; one reason. */
void changer_give_up(struct flag_place *place, const GError *error);

/* ---- changer_send.c ---- */

/* The wish has something to send. */
void changer_want(struct wish *wish);
/* Sends, or waits for more, or for better times. */
void changer_go(struct flag_place *place, bool is_urgent);
void changer_batch_free(struct flag_batch *batch);
