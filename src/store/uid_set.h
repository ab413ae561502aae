/* SPDX-License-Identifier: MIT */
/*
 * A set of UIDs: a bit each where they are dense, a small block per lonely one. Pure; the owner
 * calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#define UID_SET_BLOCK_BYTES 128u /* about that much memory per block */

struct uid_set;

struct uid_set *uid_set_new(void);
void uid_set_free(struct uid_set *set); /* NULL is fine */
void uid_set_add(struct uid_set *set, uint32_t uid);
void uid_set_remove(struct uid_set *set, uint32_t uid);
bool uid_set_has(const struct uid_set *set, uint32_t uid);
size_t uid_set_blocks(const struct uid_set *set);
