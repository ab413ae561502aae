/* SPDX-License-Identifier: MIT */
/*
 * The cache directory, held by fd: opened component by component, locked, and the names inside.
 * Counted atomically, because jobs on other threads use it; the fds never change.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct store_dir;

/* Makes the directory and its parents (0700) when missing. No symlink is followed that belongs to
 * somebody else; the directory itself must be ours and writable to nobody else. Locked until
 * store_dir_unlock(). NULL + error: IN_USE, DENIED, NO_SPACE, DISK. */
struct store_dir *store_dir_new(const char *path, GError **error);
/* The same for a state directory, whose database is `file`. */
struct store_dir *store_dir_new_state(const char *path, const char *file, GError **error);
/* Only makes it, where that is safe: 0, or -1 and nothing was made where somebody else could have
 * led us. */
int store_dir_make(const char *path);
struct store_dir *store_dir_ref(struct store_dir *dir);
void store_dir_unref(struct store_dir *dir); /* NULL is fine */
void store_dir_unlock(struct store_dir *dir);

int store_dir_fd(const struct store_dir *dir);
/* Of the index, for SQLite, which wants a path. */
const char *store_dir_index_path(const struct store_dir *dir);

/* 0600 and empty when missing; leftovers of another index are removed then. False: there is
 * something at the place that is no file of ours. */
bool store_dir_prepare_index(struct store_dir *dir);
/* The index becomes index.db.damaged, the bodies are hidden and later swept. 0 or -errno. */
int store_dir_set_aside(struct store_dir *dir);

/* A mark that outlives the process: the index failed while running, set it aside at next open. */
void store_dir_mark_suspect(struct store_dir *dir);
bool store_dir_is_suspect(struct store_dir *dir);

/* DISK, NO_SPACE or DENIED, by -errno. */
int store_error_code(int r);
