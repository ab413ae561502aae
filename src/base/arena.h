/* SPDX-License-Identifier: MIT */
/*
 * A bump allocator for things that die together, such as one parsed response. Memory is zeroed,
 * aligned to 8 bytes. Owner: whoever embeds it; no thread rules of its own.
 */
#pragma once

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used;                /* bytes handed out since the last reset */
};

void arena_init(struct arena *arena);
void arena_done(struct arena *arena);
void arena_reset(struct arena *arena); /* everything handed out dies; keeps one block */

void *arena_alloc(struct arena *arena, size_t size);
/* A copy of `len` bytes with a NUL behind it (which is not counted). */
char *arena_memdup(struct arena *arena, const void *bytes, size_t len);
char *arena_strdup(struct arena *arena, const char *text);

#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
