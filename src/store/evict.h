/* SPDX-License-Identifier: MIT */
/*
 * Making room: whole bodies, least recently used first, never one that is held, pinned or being
 * written. And sweeping what nobody knows any more. Loop thread; the store thread finds and
 * removes, the loop says what is held.
 */
#pragma once

#include <stdint.h>

struct store;

/* Begins when there is more than max_bytes. */
void evict_if_needed(struct store *store);
/* The disk is full: removes bodies of about `bytes`, then runs fn from the loop, whatever came of
 * it; at once when the store is closed before. */
typedef void (*evict_fn)(struct store *store, void *user);
void evict_make_room(struct store *store, uint64_t bytes, evict_fn fn, void *user);
/* For pack_compact.c: what it could free is free. */
void evict_room_made(struct store *store);
void evict_done(struct store *store);

/* Files without a row, and what was set aside: removed bit by bit. sweep.c */
void evict_sweep_garbage(struct store *store);
