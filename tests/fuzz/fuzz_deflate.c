/* SPDX-License-Identifier: MIT */
/*
 * Inflating what a server sends. The first two bytes choose the step sizes. Whatever comes: no
 * crash, no more than asked for at once, no more than the ratio allows.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "net/deflate.h"

#define TOTAL_MAX (4u * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns whether more can be fed. */
static bool drain(struct deflate *deflate, struct bytebuf *packed, size_t step, uint64_t *total)
{
	struct bytebuf plain = { 0 };
	enum deflate_result r;

	do {
		g_autoptr(GError) error = NULL;

		r = deflate_unpack(deflate, packed, &plain, step, &error);
		g_assert((r == DEFLATE_FAILED) == (error != NULL));
		g_assert(plain.len <= step);
		g_assert(r != DEFLATE_MORE || plain.len == step);
		g_assert(r != DEFLATE_WANT_INPUT || packed->len == 0);
		*total += plain.len;
		bytebuf_clear(&plain);
	} while (r == DEFLATE_MORE && *total < TOTAL_MAX);
	bytebuf_done(&plain);
	return r == DEFLATE_WANT_INPUT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytebuf packed = { 0 };
	struct deflate *deflate;
	size_t in_step, out_step;
	uint64_t total = 0;

	if (size < 2)
		return 0;
	in_step = 1 + (size_t)data[0] * data[0];
	out_step = 1 + (size_t)data[1] * 300;
	data += 2;
	size -= 2;

	deflate = deflate_new();
	for (size_t at = 0; at < size; at += in_step) {
		bytebuf_append(&packed, data + at, MIN(in_step, size - at));
		if (!drain(deflate, &packed, out_step, &total))
			break;
	}
	/* The first 1 MiB is free, each slot of 64 KiB is booked when it is full. */
	g_assert(total <= (uint64_t)size * 200 + 2 * 1024 * 1024);
	bytebuf_done(&packed);
	deflate_free(deflate);
	return 0;
}
