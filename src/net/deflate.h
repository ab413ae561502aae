/* SPDX-License-Identifier: MIT */
/*
 * COMPRESS=DEFLATE, RFC 4978: one raw deflate stream each way, for the life of a connection.
 * Pure; owner: whoever embeds it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytebuf.h"
#include "mailfs/error.h"

struct deflate;

struct deflate *deflate_new(void);
void deflate_free(struct deflate *deflate); /* NULL is fine */

/* Compresses and flushes, so that the peer can read all of it. Appends to `out`. */
void deflate_pack(struct deflate *deflate, const void *bytes, size_t len, struct bytebuf *out);

enum deflate_result {
	DEFLATE_WANT_INPUT, /* `packed` is spent */
	DEFLATE_MORE,       /* `max` is reached, more may be there */
	DEFLATE_FAILED,     /* `error` is set (MAILFS_ERROR_PROTOCOL); the stream is of no more use */
};

/* Consumes `packed`, appends at most `max` bytes to `plain`. Fails on damage, on bytes behind the
 * end of the deflate stream, and on more than 200:1 over 1 MiB of output (EX-6), less what was
 * excused. */
enum deflate_result deflate_unpack(struct deflate *deflate, struct bytebuf *packed,
	struct bytebuf *plain, size_t max, GError **error);

/* `len` bytes of the output, that came or will come, were asked for: a message may be as dense as it
 * likes. To be called as they are used and not on announcement, so that it never runs ahead. */
void deflate_excuse(struct deflate *deflate, uint64_t len);
