/* SPDX-License-Identifier: MIT */
/*
 * The tables of the journal as data: which columns there are, and where they lie in the structs of
 * journal.h. So that copying, writing, reading and checking a row is written once. Pure; any
 * thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/journal.h"

enum journal_kind {
	JOURNAL_KIND_FLAGS,
	JOURNAL_KIND_MOVE,
	JOURNAL_KIND_DRAFT,
	JOURNAL_KIND_NAME,
	JOURNAL_KIND_KEPT,
	JOURNAL_KINDS,
};

enum journal_type {
	JOURNAL_U32,  /* also unsigned and enums */
	JOURNAL_64,   /* signed or not */
	JOURNAL_BOOL,
	JOURNAL_TEXT, /* NULL is kept */
	JOURNAL_SHA256,
};

struct journal_column {
	const char *name;
	enum journal_type type;
	size_t offset;
	bool is_folder; /* follows a rename */
	int since;      /* version of the file; 0 = the first. Such a one is a number, and 0 in rows of
			 * before; 0 is not in the sum, so that theirs still holds. */
};

struct journal_table {
	const char *name;
	const char *key; /* SQL constraint */
	size_t row_size;
	const struct journal_column *columns;
	size_t column_count;
	bool has_id; /* the first column */
	int since;   /* version of the file; 0 = the first */
};
extern const struct journal_table journal_tables[JOURNAL_KINDS];

/* Deep. */
void *journal_row_copy(enum journal_kind kind, const void *row);
void journal_row_free(enum journal_kind kind, void *row);
uint32_t journal_row_sum(enum journal_kind kind, const void *row);

/* Where the column is in the row. */
static inline void *journal_field(void *row, const struct journal_column *column)
{
	return (char *)row + column->offset;
}

static inline const void *journal_field_const(const void *row, const struct journal_column *column)
{
	return (const char *)row + column->offset;
}
