/* SPDX-License-Identifier: MIT */
/* The folder list of a store; the verbs for others are in store.h. Loop thread. */
#pragma once

#include "store/store.h"

/* After loading: rows that contradict each other go, names are indexed. */
void store_folders_check(struct store *store);
struct store_folder *store_folder_of_box(struct store *store, uint32_t box); /* NULL = none */
/* Its rows are damaged: forget them (not its bodies), so that a full sync fills them again. */
void store_reset_box(struct store *store, uint32_t box);
