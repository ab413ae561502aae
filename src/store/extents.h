/* SPDX-License-Identifier: MIT */
/*
 * Which bytes of a body are here: a sorted array of struct extent without overlap. Pure; the owner
 * of the array calls.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/types.h"

#define EXTENT_MAX (1u << 20)

enum extent_state {
	EXTENT_MEMORY,    /* in `bytes`; on its way to the disk */
	EXTENT_UNCHECKED, /* on disk, as the index says */
	EXTENT_CHECKING,  /* a worker reads it */
	EXTENT_CHECKED,   /* written or checked by this process */
};

struct extent {
	uint64_t offset;
	uint32_t len; /* 1 … EXTENT_MAX */
	uint32_t crc; /* CRC-32; not known yet in EXTENT_MEMORY */
	enum extent_state state;
	GBytes *bytes; /* NULL unless EXTENT_MEMORY */
};

GArray *extents_new(void);
void extents_clear(GArray *extents); /* all gone */
/* The extent with this byte; NULL = not here. */
struct extent *extents_find(const GArray *extents, uint64_t offset);
/* Index of the first extent that ends behind `offset`; may be the count. */
guint extents_lower_bound(const GArray *extents, uint64_t offset);
uint64_t extents_covered_until(const GArray *extents, uint64_t offset);
void extents_insert(GArray *extents, const struct extent *extent); /* takes `bytes` */
void extents_remove(GArray *extents, uint64_t offset);             /* the one that begins there */
/* Joins checked neighbours up to EXTENT_MAX, so that many small pieces make a short list. */
void extents_merge(GArray *extents);
uint64_t extents_bytes(const GArray *extents, bool on_disk_only);
/* [0, size) and not a byte more. */
bool extents_are_whole(const GArray *extents, uint64_t size, bool on_disk_only);

/* Those on disk, for the index. */
GBytes *extents_encode(const GArray *extents);
/* Fills an empty array as EXTENT_UNCHECKED; false = nonsense. */
bool extents_decode(GArray *extents, GBytes *encoded);
