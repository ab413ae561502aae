/* SPDX-License-Identifier: MIT */
/* Shared by index.c, index_message.c, index_body.c: the handle and its prepared statements. */
#pragma once

#include "store/index.h"

enum index_sql {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_META_GET,
	SQL_META_PUT,
	SQL_FOLDER_LOAD,
	SQL_FOLDER_CLEAR,
	SQL_FOLDER_PUT,
	SQL_BOX_GET,
	SQL_BOX_PUT,
	SQL_BOX_REMOVE,
	SQL_MESSAGE_MAX,
	SQL_MESSAGE_SUM,
	SQL_MESSAGE_PUT,
	SQL_MESSAGE_LOAD,
	SQL_MESSAGE_RANGE,
	SQL_MESSAGE_REMOVE,
	SQL_NAME_PUT,
	SQL_NAME_LOAD,
	SQL_KEY_LOAD,
	SQL_NAME_REMOVE,
	SQL_HEAD_PUT,
	SQL_REMOTE_PUT,
	SQL_DETAIL_GET,
	SQL_DETAIL_REMOVE,
	SQL_BODY_PUT,
	SQL_BODY_GET,
	SQL_BODY_TOUCH,
	SQL_BODY_REMOVE,
	SQL_BODY_RANGE,
	SQL_BODY_OLDEST,
	SQL_BODY_SCAN,
	SQL_BODY_UIDS,
	SQL_BODY_COUNT,
	SQL_BODY_OF_PACK,
	SQL_BODY_HAS_PACK,
	SQL_SAME_LIST,
	SQL_SAME_UIDS,
	SQL_MESSAGE_GET,
	SQL_COUNT,
};

struct index {
	sqlite3 *db;
	sqlite3_stmt *stmts[SQL_COUNT];
	const char *wrong; /* that SQLite has not noticed; NULL = nothing */
	GHashTable *boxes; /* box -> struct index_box: what the table has, and changes not in it yet */
};

struct index_box {
	uint32_t uidvalidity;
	struct index_state state;
	uint32_t row_count, row_xor;
	uint32_t uid_max; /* no row lies above */
	bool is_known;    /* has a row in `box` */
	bool is_damaged;  /* the row was wrong */
	bool is_dirty;    /* to be written at commit */
};

/* The cached box, read when needed; NULL + *ret_rc when SQLite fails. */
struct index_box *index_box(struct index *index, uint32_t box, int *ret_rc);
int index_write_boxes(struct index *index);

/* Reset and with its bindings gone. */
sqlite3_stmt *index_stmt(struct index *index, enum index_sql which);
/* SQLITE_CORRUPT, found by us. */
int index_corrupt(struct index *index);
/* For statements without rows; resets. */
int index_run(sqlite3_stmt *stmt);
/* After a loop over rows: SQLITE_DONE becomes SQLITE_OK; resets. */
int index_rows_end(sqlite3_stmt *stmt, int rc);
/* Of a mailbox, from a statement of one parameter and one column. */
int index_list_uids(struct index *index, enum index_sql sql, uint32_t box, GArray *uids);
/* The checksum of texts that belong to a message. */
uint32_t index_sum_texts(uint32_t box, uint32_t uid, const char *const *texts, size_t count);
/* `text` must live until the statement was run. NULL is NULL. */
void index_bind_text(sqlite3_stmt *stmt, int column, const char *text);
const char *index_text(sqlite3_stmt *stmt, int column);
