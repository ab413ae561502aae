/* SPDX-License-Identifier: MIT */
/*
 * A growable byte queue: append at the end, consume at the front. Owner: whoever embeds it.
 * Offsets into it become invalid at the next append or consume. Growth aborts when out of memory,
 * so the caller bounds what a peer can make it hold.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bytebuf {
	uint8_t *data; /* allocation; valid bytes are data[start .. start + len) */
	size_t start;
	size_t len;
	size_t cap;
};

void bytebuf_init(struct bytebuf *buf);
void bytebuf_done(struct bytebuf *buf);
/*
 * Zero the whole allocation before freeing it: for secrets. Growing leaves copies behind, so
 * bytebuf_reserve() all that a secret needs before it is appended.
 */
void bytebuf_wipe(struct bytebuf *buf);

const uint8_t *bytebuf_bytes(const struct bytebuf *buf); /* never NULL when len > 0 */
void bytebuf_append(struct bytebuf *buf, const void *bytes, size_t len);
void bytebuf_append_str(struct bytebuf *buf, const char *text);
void bytebuf_append_printf(struct bytebuf *buf, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Room for at least `want` more bytes, never NULL; fill it, then call bytebuf_commit(). */
uint8_t *bytebuf_reserve(struct bytebuf *buf, size_t want);
void bytebuf_commit(struct bytebuf *buf, size_t len);
void bytebuf_consume(struct bytebuf *buf, size_t len); /* len <= buf->len */
void bytebuf_clear(struct bytebuf *buf);               /* keeps the allocation */
