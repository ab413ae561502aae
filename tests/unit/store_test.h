/* SPDX-License-Identifier: MIT */
/* Shared by the tests of the store: a cache in a temporary directory, and waiting on the loop. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "base/log.h"
#include "base/post.h"
#include "mailfs/error.h"
#include "store/body.h"
#include "store/store.h"

#define IDENTITY "imap://me@example.org:993"

struct cache {
	char *root;
	char *dir; /* root/cache */
	uint64_t max_bytes;
	struct store *store;
};

static inline void run_until(bool *is_done)
{
	while (!*is_done)
		g_main_context_iteration(NULL, TRUE);
}

static inline void cache_open(struct cache *cache)
{
	struct store_config config = { cache->dir, IDENTITY, cache->max_bytes };
	GError *error = NULL;

	cache->store = store_open(&config, &error);
	g_assert_no_error(error);
	g_assert_nonnull(cache->store);
}

static inline void cache_init(struct cache *cache)
{
	/* The tests close and open hundreds of times: spare them the disk. */
	if (!g_getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		g_setenv("TMPDIR", "/dev/shm", TRUE);
	*cache = (struct cache){ .max_bytes = 64 << 20 };
	cache->root = g_dir_make_tmp("mailfs-store-XXXXXX", NULL);
	g_assert_nonnull(cache->root);
	cache->dir = g_build_filename(cache->root, "cache", NULL);
}

static inline void cache_close(struct cache *cache)
{
	store_close(g_steal_pointer(&cache->store));
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static inline void cache_reopen(struct cache *cache)
{
	cache_close(cache);
	cache_open(cache);
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static inline void cache_done(struct cache *cache)
{
	cache_close(cache);
	nftw(cache->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	g_free(cache->dir);
	g_free(cache->root);
}

static inline char *cache_path(const struct cache *cache, const char *name)
{
	return g_build_filename(cache->dir, name, NULL);
}

static inline bool path_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* ---- waiting ------------------------------------------------------------------------------- */

struct outcome {
	bool is_done;
	int code; /* 0 = good */
};

static inline void on_done(void *user, const GError *error)
{
	struct outcome *outcome = user;

	g_assert_false(outcome->is_done);
	outcome->is_done = true;
	outcome->code = error ? error->code : 0;
}

static inline int commit(struct store_batch *batch)
{
	struct outcome outcome = { 0 };

	store_batch_commit(batch, on_done, &outcome);
	run_until(&outcome.is_done);
	return outcome.code;
}

/* Everything that was called before has been answered. */
static inline void settle(struct store *store)
{
	g_assert_cmpint(commit(store_batch_new(store, 0xfffff1)), ==, 0);
}

static inline void list_one(struct store *store, const char *name)
{
	struct mailfs_folder_info info = { .name = name, .path = name, .delimiter = '/' };

	store_set_folders(store, &info, 1);
}

struct loaded {
	bool is_done;
	struct mailbox *box;
};

static inline void on_box(void *user, struct mailbox *box)
{
	struct loaded *loaded = user;

	g_assert_false(loaded->is_done);
	loaded->is_done = true;
	loaded->box = box;
}

static inline struct mailbox *load_box(struct store *store, uint32_t id)
{
	struct loaded loaded = { 0 };

	store_load_box(store, id, on_box, &loaded);
	run_until(&loaded.is_done);
	return loaded.box;
}

/* ---- bodies -------------------------------------------------------------------------------- */

static inline void on_ready(void *user)
{
	*(bool *)user = true;
}

static inline struct body *open_body(struct store *store, uint32_t box, uint32_t uid)
{
	struct body *body = body_open(store, box, uid);
	bool is_ready = false;

	body_when_ready(body, on_ready, &is_ready);
	run_until(&is_ready);
	return body;
}

/* The bytes of a message, for every uid others, as 8-byte words. */
static inline GBytes *content(uint32_t uid, size_t size)
{
	uint8_t *bytes = g_malloc(size + 1);
	uint32_t state = uid * 2654435761u + 12345;

	for (size_t i = 0; i < size; i++) {
		state = state * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(state >> 24);
	}
	return g_bytes_new_take(bytes, size);
}

static inline int add_bytes(struct body *body, uint64_t offset, GBytes *bytes)
{
	struct outcome outcome = { 0 };

	body_add(body, offset, bytes, on_done, &outcome);
	run_until(&outcome.is_done);
	return outcome.code;
}

static inline int add_whole(struct store *store, uint32_t box, uint32_t uid, size_t size)
{
	struct body *body = open_body(store, box, uid);
	g_autoptr(GBytes) bytes = content(uid, size);
	struct outcome outcome = { 0 };

	body_add(body, 0, bytes, on_done, &outcome);
	body_complete(body, size);
	run_until(&outcome.is_done);
	body_unref(body);
	return outcome.code;
}

/* In two pieces, so that it gets a file of its own, however small it is. */
static inline int add_alone(struct store *store, uint32_t box, uint32_t uid, size_t size)
{
	struct body *body = open_body(store, box, uid);
	g_autoptr(GBytes) bytes = content(uid, size);
	g_autoptr(GBytes) first = g_bytes_new_from_bytes(bytes, 0, size / 2);
	g_autoptr(GBytes) rest = g_bytes_new_from_bytes(bytes, size / 2, size - size / 2);
	struct outcome outcome = { 0 };

	body_add(body, 0, first, NULL, NULL);
	body_add(body, size / 2, rest, on_done, &outcome);
	body_complete(body, size);
	run_until(&outcome.is_done);
	body_unref(body);
	return outcome.code;
}

struct read_result {
	bool is_done;
	int code;
	bool is_memory;
	size_t len;
	uint8_t *bytes;
};

static inline void on_read(void *user, const struct body_slice *slice, const GError *error)
{
	struct read_result *result = user;

	g_assert_false(result->is_done);
	result->is_done = true;
	if (error) {
		result->code = error->code;
		return;
	}
	g_assert_cmpuint(slice->len, >, 0);
	result->len = slice->len;
	result->bytes = g_malloc(slice->len);
	result->is_memory = slice->bytes != NULL;
	if (slice->bytes) {
		const uint8_t *data = g_bytes_get_data(slice->bytes, NULL);

		memcpy(result->bytes, data + slice->offset, slice->len);
	} else {
		g_assert_cmpint(pread(slice->fd, result->bytes, slice->len, (off_t)slice->offset), ==,
			(ssize_t)slice->len);
	}
}

/* Reads all of a complete body; NULL + code on error. */
static inline GBytes *read_whole(struct body *body, int *ret_code)
{
	GByteArray *all = g_byte_array_new();
	uint64_t size = body_size(body);

	while (all->len < size) {
		struct read_result result = { 0 };
		struct mailfs_range range = { all->len, size - all->len };

		body_read(body, range, on_read, &result);
		run_until(&result.is_done);
		if (result.code != 0) {
			*ret_code = result.code;
			g_byte_array_unref(all);
			return NULL;
		}
		g_byte_array_append(all, result.bytes, (guint)result.len);
		g_free(result.bytes);
	}
	*ret_code = 0;
	return g_byte_array_free_to_bytes(all);
}

/* 0: it is here and its bytes are right; -1: not complete; else the error of reading. */
static inline int check_whole(struct store *store, uint32_t box, uint32_t uid, size_t size)
{
	struct body *body = open_body(store, box, uid);
	g_autoptr(GBytes) want = content(uid, size);
	g_autoptr(GBytes) got = NULL;
	int code = -1;

	if (body_is_complete(body)) {
		got = read_whole(body, &code);
		g_assert_true(!got || g_bytes_equal(got, want));
	}
	body_unref(body);
	return code;
}
