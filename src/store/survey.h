/* SPDX-License-Identifier: MIT */
/*
 * A cache that is not mounted, seen from outside: what is in it, and its removal. Blocks; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct store_survey {
	const char *path; /* of the folder, decoded, as the server has it */
	uint32_t messages, cached, pinned; /* cached: whole bodies */
	uint64_t bytes; /* of bodies, those in parts too */
};

/* Borrowed for the call. */
typedef void (*store_survey_fn)(void *user, const struct store_survey *row);

/* A call for each folder, by path. False + error: IN_USE (mounted), GONE (no cache there), DISK (cannot be read, or of
 * another version). */
bool store_survey(const char *dir, store_survey_fn fn, void *user, GError **error);

/* Removes index and bodies, and the directory if nothing else is in it. IN_USE: it is mounted; GONE,
 * DENIED, DISK. */
bool store_erase(const char *dir, GError **error);
