/* SPDX-License-Identifier: MIT */
/*
 * A mailbox as the journal knows it: wire name and UIDVALIDITY. What people want of its messages
 * hangs on it by UID, whether the folder is loaded, listed, or not there at all. Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "model/tree.h"

/* Embedded first in whatever the owner keeps per mailbox. */
struct place {
	char *folder;
	uint32_t uidvalidity;
	GHashTable *items; /* UID → the owner's */
};

struct place_map;

/* `size` of the struct around; `item_free` and `place_done` (what is around, not the struct itself)
 * may be NULL. */
struct place_map *place_map_new(size_t size, GDestroyNotify item_free,
	void (*place_done)(struct place *place));
void place_map_free(struct place_map *map);

/* Places live until the map ends, or place_remove(). */
struct place *place_get(struct place_map *map, const char *folder, uint32_t uidvalidity);
struct place *place_find(const struct place_map *map, const char *folder, uint32_t uidvalidity);
/* Of what the folder is now. */
struct place *place_of(const struct place_map *map, const struct folder *folder);
void place_remove(struct place_map *map, struct place *place);
/* All of them; the caller frees the array, not what is in it. */
GPtrArray *place_all(const struct place_map *map);
/* Those of the folder that have another UIDVALIDITY; likewise. */
GPtrArray *place_former(const struct place_map *map, const struct folder *folder,
	uint32_t uidvalidity);

void *place_item(const struct place *place, uint32_t uid);
void place_put(struct place *place, uint32_t uid, void *item);
void place_drop(struct place *place, uint32_t uid);  /* frees it */
void place_steal(struct place *place, uint32_t uid); /* does not */
/* The UIDs that have something, ascending; uint32_t. */
GArray *place_uids(const struct place *place);

/* Folders were renamed: `from` and all below. */
void place_map_rename(struct place_map *map, const char *from, const char *to, char delimiter);
/* What a name becomes by that; NULL = it stays. g_free() it. */
char *place_renamed(const char *name, const char *from, const char *to, char delimiter);
