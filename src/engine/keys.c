/* SPDX-License-Identifier: MIT */
/* Two hashes, one for each direction; the strings belong to the first. Loop thread. */
#include "engine/keys.h"

struct keys {
	GHashTable *by_key; /* key, owned → UID */
	GHashTable *by_uid; /* UID → key */
	uint32_t last;
};

struct keys *keys_new(void)
{
	struct keys *keys = g_new0(struct keys, 1);

	keys->by_key = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	keys->by_uid = g_hash_table_new(NULL, NULL);
	return keys;
}

void keys_free(struct keys *keys)
{
	if (!keys)
		return;
	g_hash_table_unref(keys->by_uid);
	g_hash_table_unref(keys->by_key);
	g_free(keys);
}

void keys_clear(struct keys *keys)
{
	g_hash_table_remove_all(keys->by_uid);
	g_hash_table_remove_all(keys->by_key);
	keys->last = 0;
}

void keys_remove(struct keys *keys, uint32_t uid)
{
	const char *key = keys_of(keys, uid);

	if (!key)
		return;
	g_hash_table_remove(keys->by_uid, GUINT_TO_POINTER(uid));
	g_hash_table_remove(keys->by_key, key);
}

void keys_put(struct keys *keys, uint32_t uid, const char *key)
{
	char *copy = g_strdup(key);

	keys_remove(keys, keys_find(keys, key));
	keys_remove(keys, uid);
	g_hash_table_insert(keys->by_key, copy, GUINT_TO_POINTER(uid));
	g_hash_table_insert(keys->by_uid, GUINT_TO_POINTER(uid), copy);
	keys_note_last(keys, uid);
}

uint32_t keys_find(const struct keys *keys, const char *key)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(keys->by_key, key));
}

const char *keys_of(const struct keys *keys, uint32_t uid)
{
	return g_hash_table_lookup(keys->by_uid, GUINT_TO_POINTER(uid));
}

uint32_t keys_allot(struct keys *keys, const char *key)
{
	if (keys->last == UINT32_MAX)
		return 0;
	keys_put(keys, keys->last + 1, key);
	return keys->last;
}

void keys_note_last(struct keys *keys, uint32_t uid)
{
	keys->last = MAX(keys->last, uid);
}

uint32_t keys_last(const struct keys *keys)
{
	return keys->last;
}
