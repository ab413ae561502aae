/* SPDX-License-Identifier: MIT */
/*
 * Everything into the cache, before anybody asks: folder by folder, the newest messages first, in the
 * background. It waits while somebody else wants something of the server, never makes the cache evict,
 * and what is here already costs a question to the index. Loop thread.
 */
#pragma once

#include "engine/internal.h"

struct fill;

struct fill *fill_new(struct engine *engine);
void fill_free(struct fill *fill);

/* The folder and what is below it; NULL: all folders. `is_lasting`: new messages too, from now on. */
void fill_start(struct fill *fill, const struct folder *folder, bool is_lasting);
void fill_get_status(const struct fill *fill, struct engine_fill_status *ret_status);
