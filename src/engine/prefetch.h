/* SPDX-License-Identifier: MIT */
/*
 * Fetches ahead of whoever walks through a folder, so that a walk is bound by bandwidth, not by a
 * round trip per message. Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct prefetch;

struct prefetch *prefetch_new(struct engine *engine);
void prefetch_free(struct prefetch *prefetch);

/* Somebody walks by this message, and has done so for a while: it is no chance any more. */
bool prefetch_is_sure(struct prefetch *prefetch, uint32_t box_id, uint32_t uid);

/* Somebody opened or read this message; `is_here`: it is cached. */
void prefetch_note(struct prefetch *prefetch, uint32_t box_id, uint32_t uid, bool is_here);
