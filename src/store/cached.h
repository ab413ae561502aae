/* SPDX-License-Identifier: MIT */
/*
 * Which messages have a row about their body, so that the many that have none are not asked for
 * one by one. Loop thread. A mailbox is read from the index when one of its bodies is opened for
 * the first time. What is said to be there may be gone; what is said to be absent is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/uid_set.h"

struct store;

void cached_init(struct store *store);
void cached_done(struct store *store);
/* True: the index has no row, no need to ask. False also while that is not known. */
bool cached_is_absent(struct store *store, uint32_t box, uint32_t uid);
/* A row is on its way to the index. */
void cached_add(struct store *store, uint32_t box, uint32_t uid);
/* Its row and its file are gone. */
void cached_remove(struct store *store, uint32_t box, uint32_t uid);
/* Another message may have its bytes, or has none like it. */
void cached_add_same(struct store *store, uint32_t box, uint32_t uid);
void cached_remove_same(struct store *store, uint32_t box, uint32_t uid);
