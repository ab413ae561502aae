/* SPDX-License-Identifier: MIT */
/*
 * The tables of the index and how older files become newer ones. Works on an open handle of the
 * calling thread.
 */
#pragma once

#include <stddef.h>

#include <sqlite3.h>

#define SCHEMA_APPLICATION_ID 0x6d616673 /* "mafs" */

enum schema_result {
	SCHEMA_OK,
	SCHEMA_FOREIGN, /* a database of another program */
	SCHEMA_NEWER,   /* made by a later version */
	SCHEMA_FAILED,  /* SQLite says why */
};

/* steps[n] turns version n into n + 1, each in a transaction of its own; version 0 is an empty
 * file. */
enum schema_result schema_apply(sqlite3 *db, const char *const *steps, size_t step_count);

extern const char *const schema_steps[];
extern const size_t schema_step_count;
