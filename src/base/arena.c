/* SPDX-License-Identifier: MIT */
/* A bump allocator: blocks of at least 4 KiB, freed together. */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include <glib.h>

#define ARENA_BLOCK 4096u

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	uint8_t bytes[] __attribute__((aligned(8)));
};

void arena_init(struct arena *arena)
{
	*arena = (struct arena){ 0 };
}

static void free_chain(struct arena_block *block)
{
	while (block) {
		struct arena_block *next = block->next;

		g_free(block);
		block = next;
	}
}

void arena_done(struct arena *arena)
{
	free_chain(arena->blocks);
	arena_init(arena);
}

void arena_reset(struct arena *arena)
{
	struct arena_block *keep = arena->blocks;

	arena->used = 0;
	if (!keep)
		return;
	/* A block that one huge response needed must not stay for ever. */
	if (keep->size > 16 * ARENA_BLOCK) {
		arena_done(arena);
		return;
	}
	free_chain(keep->next);
	keep->next = NULL;
	keep->used = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->blocks;
	void *memory;

	g_assert(size <= SIZE_MAX / 2);
	size = (size + 7) & ~(size_t)7;
	if (!block || block->size - block->used < size) {
		size_t room = MAX(size, block ? MIN(block->size * 2, 16 * ARENA_BLOCK) : ARENA_BLOCK);

		block = g_malloc(sizeof(*block) + room);
		block->size = room;
		block->used = 0;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	memory = block->bytes + block->used;
	block->used += size;
	arena->used += size;
	memset(memory, 0, size);
	return memory;
}

char *arena_memdup(struct arena *arena, const void *bytes, size_t len)
{
	char *copy;

	g_assert(len < SIZE_MAX / 2);
	copy = arena_alloc(arena, len + 1);

	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_memdup(arena, text, strlen(text));
}
