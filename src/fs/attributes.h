/* SPDX-License-Identifier: MIT */
/*
 * What extended attributes there are and how their values are made: one table for messages, one
 * for drafts, one for folders. Each ends with a NULL name. Loop thread.
 */
#pragma once

#include "fs/internal.h"

/* What a value is made from; `details` is NULL until the index was asked. */
struct subject {
	struct fs *fs;
	const struct folder *folder;
	const struct message *message; /* NULL: a draft, or the folder itself */
	const struct draft *draft;     /* or NULL */
	const struct store_details *details;
};

/* False: not set. `arg` is the table's. */
typedef bool (*value_fn)(const struct subject *subject, unsigned arg, GString *ret_value);

struct attribute {
	const char *name;
	value_fn value;
	unsigned arg;
	bool is_listed;
	bool needs_details;
};

extern const struct attribute message_attributes[];
extern const struct attribute draft_attributes[];
extern const struct attribute folder_attributes[];
