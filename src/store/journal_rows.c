/* SPDX-License-Identifier: MIT */
/* The columns of the journal, and what can be done with any row. */
#include "store/journal_rows.h"

#include <string.h>

#include "store/sum.h"

#define COLUMNS(array) .columns = array, .column_count = G_N_ELEMENTS(array)

#define F(type, name)                                                                              \
	{                                                                                          \
#name, type, offsetof(struct journal_flags, name), false                           \
	}
static const struct journal_column flags_columns[] = {
	F(JOURNAL_64, id),
	{ "folder", JOURNAL_TEXT, offsetof(struct journal_flags, folder), true },
	F(JOURNAL_U32, uidvalidity),
	F(JOURNAL_U32, uid),
	{ "added", JOURNAL_U32, offsetof(struct journal_flags, add), false },
	{ "removed", JOURNAL_U32, offsetof(struct journal_flags, remove), false },
	F(JOURNAL_TEXT, add_keywords),
	F(JOURNAL_TEXT, remove_keywords),
};
#undef F

#define F(type, name)                                                                              \
	{                                                                                          \
#name, type, offsetof(struct journal_move, name), false                            \
	}
static const struct journal_column move_columns[] = {
	F(JOURNAL_64, id),
	F(JOURNAL_U32, kind),
	{ "folder", JOURNAL_TEXT, offsetof(struct journal_move, folder), true },
	F(JOURNAL_U32, uidvalidity),
	F(JOURNAL_U32, uid),
	{ "target", JOURNAL_TEXT, offsetof(struct journal_move, target), true },
	F(JOURNAL_U32, target_uidvalidity),
	F(JOURNAL_U32, target_floor),
	F(JOURNAL_U32, target_uid),
	F(JOURNAL_TEXT, name),
	F(JOURNAL_BOOL, is_promised),
	{ "size", JOURNAL_64, offsetof(struct journal_move, size), .since = 2 },
	{ "date", JOURNAL_64, offsetof(struct journal_move, date), .since = 2 },
};
#undef F

#define F(type, name)                                                                              \
	{                                                                                          \
#name, type, offsetof(struct journal_draft, name), false                           \
	}
static const struct journal_column draft_columns[] = {
	F(JOURNAL_64, id),
	F(JOURNAL_U32, state),
	{ "folder", JOURNAL_TEXT, offsetof(struct journal_draft, folder), true },
	F(JOURNAL_TEXT, name),
	F(JOURNAL_64, size),
	F(JOURNAL_64, mtime_ns),
	F(JOURNAL_64, ctime_ns),
	F(JOURNAL_U32, mode),
	F(JOURNAL_U32, flags),
	F(JOURNAL_TEXT, keywords),
	F(JOURNAL_TEXT, reason),
	F(JOURNAL_U32, uidvalidity),
	F(JOURNAL_U32, uid_floor),
	F(JOURNAL_64, wire_size),
	F(JOURNAL_SHA256, wire_sha256),
	F(JOURNAL_U32, uid),
	F(JOURNAL_U32, replaces_uidvalidity),
	F(JOURNAL_U32, replaces_uid),
	F(JOURNAL_64, successor),
};
#undef F

#define F(type, name)                                                                              \
	{                                                                                          \
#name, type, offsetof(struct journal_name, name), false                            \
	}
static const struct journal_column name_columns[] = {
	{ "folder", JOURNAL_TEXT, offsetof(struct journal_name, folder), true },
	F(JOURNAL_U32, uidvalidity),
	F(JOURNAL_U32, uid),
	F(JOURNAL_TEXT, name),
};
#undef F

#define F(type, name)                                                                              \
	{                                                                                          \
#name, type, offsetof(struct journal_kept, name), false                            \
	}
static const struct journal_column kept_columns[] = {
	F(JOURNAL_64, id),
	{ "folder", JOURNAL_TEXT, offsetof(struct journal_kept, folder), true },
	F(JOURNAL_U32, uid),
	{ "server_key", JOURNAL_TEXT, offsetof(struct journal_kept, key), false },
	F(JOURNAL_64, size),
	F(JOURNAL_SHA256, sha256),
	F(JOURNAL_64, date),
	F(JOURNAL_64, stored),
	F(JOURNAL_BOOL, is_gone),
	F(JOURNAL_TEXT, subject),
	{ "sender", JOURNAL_TEXT, offsetof(struct journal_kept, from), false },
	F(JOURNAL_TEXT, from_name),
	{ "recipient", JOURNAL_TEXT, offsetof(struct journal_kept, to), false },
	F(JOURNAL_TEXT, cc),
	F(JOURNAL_TEXT, message_id),
	F(JOURNAL_TEXT, sent),
};
#undef F

const struct journal_table journal_tables[JOURNAL_KINDS] = {
	[JOURNAL_KIND_FLAGS] = { "flags", "PRIMARY KEY(id)", sizeof(struct journal_flags),
		COLUMNS(flags_columns), .has_id = true },
	[JOURNAL_KIND_MOVE] = { "move", "PRIMARY KEY(id)", sizeof(struct journal_move),
		COLUMNS(move_columns), .has_id = true },
	[JOURNAL_KIND_DRAFT] = { "draft", "PRIMARY KEY(id)", sizeof(struct journal_draft),
		COLUMNS(draft_columns), .has_id = true },
	[JOURNAL_KIND_NAME] = { "name", "UNIQUE(folder, uidvalidity, uid)",
		sizeof(struct journal_name), COLUMNS(name_columns) },
	[JOURNAL_KIND_KEPT] = { "kept", "PRIMARY KEY(id)", sizeof(struct journal_kept),
		COLUMNS(kept_columns), .has_id = true, .since = 3 },
};

void *journal_row_copy(enum journal_kind kind, const void *row)
{
	const struct journal_table *table = &journal_tables[kind];
	void *copy = g_memdup2(row, table->row_size);

	for (size_t i = 0; i < table->column_count; i++) {
		const struct journal_column *column = &table->columns[i];

		if (column->type == JOURNAL_TEXT) {
			char **text = journal_field(copy, column);

			*text = g_strdup(*text);
		}
	}
	return copy;
}

void journal_row_free(enum journal_kind kind, void *row)
{
	const struct journal_table *table = &journal_tables[kind];

	for (size_t i = 0; i < table->column_count; i++) {
		if (table->columns[i].type == JOURNAL_TEXT)
			g_free(*(char **)journal_field(row, &table->columns[i]));
	}
	g_free(row);
}

static bool is_of_before(const struct journal_column *column, const void *field)
{
	return column->since > 0 && *(const uint64_t *)field == 0;
}

uint32_t journal_row_sum(enum journal_kind kind, const void *row)
{
	const struct journal_table *table = &journal_tables[kind];
	uint32_t sum = sum_numbers(0, (uint64_t)kind);

	for (size_t i = 0; i < table->column_count; i++) {
		const void *field = journal_field_const(row, &table->columns[i]);

		if (is_of_before(&table->columns[i], field))
			continue;
		switch (table->columns[i].type) {
		case JOURNAL_U32:
			sum = sum_bytes(sum, field, sizeof(uint32_t));
			break;
		case JOURNAL_BOOL:
			sum = sum_numbers(sum, *(const bool *)field);
			break;
		case JOURNAL_64:
			sum = sum_bytes(sum, field, sizeof(uint64_t));
			break;
		case JOURNAL_TEXT:
			sum = sum_text(sum, *(char *const *)field);
			break;
		case JOURNAL_SHA256:
			sum = sum_bytes(sum, field, 32);
			break;
		}
	}
	return sum;
}
