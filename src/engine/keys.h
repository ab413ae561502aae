/* SPDX-License-Identifier: MIT */
/*
 * The messages of a folder whose server knows them by keys (mailfs_key_fn): which UID each was
 * given. UIDs grow and are never given twice; the highest one ever is the folder's modseq, and the
 * pairs are rows of the index (remote_id). Pure. Loop thread; owned by the folder's sync.
 */
#pragma once

#include <stdint.h>

#include <glib.h>

struct keys;

struct keys *keys_new(void);
void keys_free(struct keys *keys); /* NULL is fine */
void keys_clear(struct keys *keys);

void keys_put(struct keys *keys, uint32_t uid, const char *key);
void keys_remove(struct keys *keys, uint32_t uid);
uint32_t keys_find(const struct keys *keys, const char *key); /* 0 = none */
const char *keys_of(const struct keys *keys, uint32_t uid);   /* NULL = none */
/* A new UID for a key that has none; 0: there are no more. */
uint32_t keys_allot(struct keys *keys, const char *key);
/* No UID up to this one is given from now on. */
void keys_note_last(struct keys *keys, uint32_t uid);
uint32_t keys_last(const struct keys *keys);
