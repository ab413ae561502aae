/* SPDX-License-Identifier: MIT */
/* Blocks of 1024 bits in a hash table, by the upper bits of the UID. */
#include "store/uid_set.h"

#define BLOCK_BITS 10

struct block {
	uint64_t words[(1u << BLOCK_BITS) / 64];
};

G_STATIC_ASSERT(sizeof(struct block) == UID_SET_BLOCK_BYTES);

struct uid_set {
	GHashTable *blocks;
};

static gpointer key_of(uint32_t uid)
{
	return GUINT_TO_POINTER(uid >> BLOCK_BITS);
}

static uint64_t *word_of(struct block *block, uint32_t uid)
{
	return &block->words[(uid & ((1u << BLOCK_BITS) - 1)) / 64];
}

static uint64_t bit_of(uint32_t uid)
{
	return UINT64_C(1) << (uid % 64);
}

struct uid_set *uid_set_new(void)
{
	struct uid_set *set = g_new0(struct uid_set, 1);

	set->blocks = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return set;
}

void uid_set_free(struct uid_set *set)
{
	if (!set)
		return;
	g_hash_table_destroy(set->blocks);
	g_free(set);
}

void uid_set_add(struct uid_set *set, uint32_t uid)
{
	struct block *block = g_hash_table_lookup(set->blocks, key_of(uid));

	if (!block) {
		block = g_new0(struct block, 1);
		g_hash_table_insert(set->blocks, key_of(uid), block);
	}
	*word_of(block, uid) |= bit_of(uid);
}

void uid_set_remove(struct uid_set *set, uint32_t uid)
{
	struct block *block = g_hash_table_lookup(set->blocks, key_of(uid));

	if (block)
		*word_of(block, uid) &= ~bit_of(uid);
}

bool uid_set_has(const struct uid_set *set, uint32_t uid)
{
	struct block *block = g_hash_table_lookup(set->blocks, key_of(uid));

	return block && (*word_of(block, uid) & bit_of(uid)) != 0;
}

size_t uid_set_blocks(const struct uid_set *set)
{
	return g_hash_table_size(set->blocks);
}
