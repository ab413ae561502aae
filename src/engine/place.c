/* SPDX-License-Identifier: MIT */
/* Mailboxes by name and UIDVALIDITY, and what hangs on their messages. Loop thread. */
#include "engine/place.h"

#include <string.h>

struct place_map {
	GHashTable *places; /* struct place *, by what they are */
	size_t size;
	GDestroyNotify item_free;
	void (*place_done)(struct place *place);
};

static guint place_hash(gconstpointer data)
{
	const struct place *place = data;

	return g_str_hash(place->folder) ^ place->uidvalidity;
}

static gboolean place_equal(gconstpointer a, gconstpointer b)
{
	const struct place *left = a;
	const struct place *right = b;

	return left->uidvalidity == right->uidvalidity && strcmp(left->folder, right->folder) == 0;
}

static void place_free(struct place_map *map, struct place *place)
{
	if (map->place_done)
		map->place_done(place);
	g_hash_table_unref(place->items);
	g_free(place->folder);
	g_free(place);
}

struct place_map *place_map_new(size_t size, GDestroyNotify item_free,
	void (*place_done)(struct place *place))
{
	struct place_map *map = g_new0(struct place_map, 1);

	map->places = g_hash_table_new(place_hash, place_equal);
	map->size = size;
	map->item_free = item_free;
	map->place_done = place_done;
	return map;
}

void place_map_free(struct place_map *map)
{
	g_autoptr(GPtrArray) all = place_all(map);

	g_hash_table_remove_all(map->places);
	for (guint i = 0; i < all->len; i++)
		place_free(map, g_ptr_array_index(all, i));
	g_hash_table_unref(map->places);
	g_free(map);
}

struct place *place_find(const struct place_map *map, const char *folder, uint32_t uidvalidity)
{
	struct place key = { .folder = (char *)folder, .uidvalidity = uidvalidity };

	if (!folder || g_hash_table_size(map->places) == 0)
		return NULL;
	return g_hash_table_lookup(map->places, &key);
}

struct place *place_get(struct place_map *map, const char *folder, uint32_t uidvalidity)
{
	struct place *place = place_find(map, folder, uidvalidity);

	if (place)
		return place;
	place = g_malloc0(map->size);
	place->folder = g_strdup(folder);
	place->uidvalidity = uidvalidity;
	place->items = g_hash_table_new_full(NULL, NULL, NULL, map->item_free);
	g_hash_table_add(map->places, place);
	return place;
}

struct place *place_of(const struct place_map *map, const struct folder *folder)
{
	return place_find(map, folder->name,
		folder->box ? folder->box->uidvalidity : folder->uidvalidity);
}

void place_remove(struct place_map *map, struct place *place)
{
	g_hash_table_remove(map->places, place);
	place_free(map, place);
}

GPtrArray *place_all(const struct place_map *map)
{
	GPtrArray *all = g_ptr_array_new();
	GHashTableIter iter;
	gpointer place;

	g_hash_table_iter_init(&iter, map->places);
	while (g_hash_table_iter_next(&iter, &place, NULL))
		g_ptr_array_add(all, place);
	return all;
}

GPtrArray *place_former(const struct place_map *map, const struct folder *folder,
	uint32_t uidvalidity)
{
	GPtrArray *former = g_ptr_array_new();
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, map->places);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		struct place *place = key;

		if (place->uidvalidity != uidvalidity && strcmp(place->folder, folder->name) == 0)
			g_ptr_array_add(former, place);
	}
	return former;
}

/* ---- items ------------------------------------------------------------------------------------- */

void *place_item(const struct place *place, uint32_t uid)
{
	return place ? g_hash_table_lookup(place->items, GUINT_TO_POINTER(uid)) : NULL;
}

void place_put(struct place *place, uint32_t uid, void *item)
{
	g_hash_table_replace(place->items, GUINT_TO_POINTER(uid), item);
}

void place_drop(struct place *place, uint32_t uid)
{
	g_hash_table_remove(place->items, GUINT_TO_POINTER(uid));
}

void place_steal(struct place *place, uint32_t uid)
{
	g_hash_table_steal(place->items, GUINT_TO_POINTER(uid));
}

static int by_uid(gconstpointer a, gconstpointer b)
{
	const uint32_t *left = a;
	const uint32_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

GArray *place_uids(const struct place *place)
{
	GArray *uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, place->items);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		uint32_t uid = GPOINTER_TO_UINT(key);

		g_array_append_val(uids, uid);
	}
	g_array_sort(uids, by_uid);
	return uids;
}

/* ---- renames ----------------------------------------------------------------------------------- */

char *place_renamed(const char *name, const char *from, const char *to, char delimiter)
{
	size_t len = strlen(from);

	if (strncmp(name, from, len) != 0)
		return NULL;
	if (name[len] != '\0' && (delimiter == 0 || name[len] != delimiter))
		return NULL;
	return g_strconcat(to, name + len, NULL);
}

void place_map_rename(struct place_map *map, const char *from, const char *to, char delimiter)
{
	g_autoptr(GPtrArray) all = place_all(map);

	for (guint i = 0; i < all->len; i++) {
		struct place *place = g_ptr_array_index(all, i);
		char *name = place_renamed(place->folder, from, to, delimiter);

		/* A place of that name that is there already is of a folder that is no more. */
		if (!name || place_find(map, name, place->uidvalidity)) {
			g_free(name);
			continue;
		}
		g_hash_table_remove(map->places, place);
		g_free(place->folder);
		place->folder = name;
		g_hash_table_add(map->places, place);
	}
}
