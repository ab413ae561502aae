/* SPDX-License-Identifier: MIT */
/* A growable byte queue. No thread of its own. */
#include "base/bytebuf.h"

#include <stdarg.h>
#include <string.h>

#include <glib.h>

void bytebuf_init(struct bytebuf *buf)
{
	*buf = (struct bytebuf){ 0 };
}

void bytebuf_done(struct bytebuf *buf)
{
	g_free(buf->data);
	bytebuf_init(buf);
}

void bytebuf_wipe(struct bytebuf *buf)
{
	if (buf->data)
		explicit_bzero(buf->data, buf->cap);
	bytebuf_done(buf);
}

const uint8_t *bytebuf_bytes(const struct bytebuf *buf)
{
	/* NULL + 0 is undefined in C. */
	return buf->data ? buf->data + buf->start : NULL;
}

uint8_t *bytebuf_reserve(struct bytebuf *buf, size_t want)
{
	size_t need;

	if (buf->data && buf->cap - buf->start - buf->len >= want)
		return buf->data + buf->start + buf->len;

	/* Moving down is cheap when at least half of the allocation is spent. */
	if (buf->start > buf->cap / 2 && buf->cap - buf->len >= want) {
		memmove(buf->data, buf->data + buf->start, buf->len);
		buf->start = 0;
		return buf->data + buf->len;
	}

	g_assert(want <= SIZE_MAX / 4 && buf->len <= SIZE_MAX / 4);
	need = MAX(buf->len + want, buf->len + buf->len / 2);
	need = MAX(need, 256);
	if (buf->start == 0) {
		buf->data = g_realloc(buf->data, need);
	} else {
		uint8_t *grown = g_malloc(need);

		memcpy(grown, buf->data + buf->start, buf->len);
		g_free(buf->data);
		buf->data = grown;
		buf->start = 0;
	}
	buf->cap = need;
	return buf->data + buf->len;
}

void bytebuf_commit(struct bytebuf *buf, size_t len)
{
	g_assert(buf->start + buf->len + len <= buf->cap);
	buf->len += len;
}

void bytebuf_append(struct bytebuf *buf, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	memcpy(bytebuf_reserve(buf, len), bytes, len);
	buf->len += len;
}

void bytebuf_append_str(struct bytebuf *buf, const char *text)
{
	bytebuf_append(buf, text, strlen(text));
}

void bytebuf_append_printf(struct bytebuf *buf, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	bytebuf_append_str(buf, text);
}

void bytebuf_consume(struct bytebuf *buf, size_t len)
{
	g_assert(len <= buf->len);
	buf->start += len;
	buf->len -= len;
	if (buf->len == 0)
		buf->start = 0;
}

void bytebuf_clear(struct bytebuf *buf)
{
	buf->start = 0;
	buf->len = 0;
}
