/* SPDX-License-Identifier: MIT */
/* Raw deflate both ways with zlib, and the bound against bombs. RFC 4978, RFC 1951. */
#include "net/deflate.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <zlib.h>

#define RATIO_MAX 200u
#define SLOT_SIZE (64u * 1024)
#define SLOTS     16u /* 1 MiB of output */
#define STEP_MAX  (1u << 30)

struct deflate {
	z_stream packer;
	z_stream unpacker;
	bool has_ended; /* the peer's final block came */

	/* How many bytes went in for each of the last 16 times 64 KiB that came out. */
	uint32_t slot_in[SLOTS];
	unsigned slot;
	unsigned slots_full;
	uint32_t slot_out;
	uint64_t excused; /* output that does not count */
};

struct deflate *deflate_new(void)
{
	struct deflate *deflate = g_new0(struct deflate, 1);
	int r;

	r = deflateInit2(&deflate->packer, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL,
		Z_DEFAULT_STRATEGY);
	g_assert(r == Z_OK);
	r = inflateInit2(&deflate->unpacker, -MAX_WBITS);
	g_assert(r == Z_OK);
	return deflate;
}

void deflate_free(struct deflate *deflate)
{
	if (!deflate)
		return;
	deflateEnd(&deflate->packer);
	inflateEnd(&deflate->unpacker);
	g_free(deflate);
}

/* Runs until zlib leaves room in the output: only then is everything out. */
static void pack_step(z_stream *packer, int flush, struct bytebuf *out)
{
	do {
		uInt room = (uInt)MIN(deflateBound(packer, packer->avail_in) + 64, STEP_MAX);

		packer->next_out = bytebuf_reserve(out, room);
		packer->avail_out = room;
		deflate(packer, flush);
		bytebuf_commit(out, room - packer->avail_out);
	} while (packer->avail_out == 0);
}

void deflate_pack(struct deflate *deflate, const void *bytes, size_t len, struct bytebuf *out)
{
	z_stream *packer = &deflate->packer;
	const uint8_t *next = bytes;

	while (len > 0) {
		size_t step = MIN(len, STEP_MAX);

		packer->next_in = (z_const Bytef *)next;
		packer->avail_in = (uInt)step;
		next += step;
		len -= step;
		pack_step(packer, len == 0 ? Z_SYNC_FLUSH : Z_NO_FLUSH, out);
	}
	packer->next_in = NULL;
}

/* What was excused counts on neither side: text that is dense must not pay for a bomb behind it. */
static void leave_out_excused(struct deflate *deflate, uint32_t *in, uint32_t *out)
{
	uint32_t excused = (uint32_t)MIN(deflate->excused, *out);

	if (excused == 0)
		return;
	*in = (uint32_t)((uint64_t)*in * (*out - excused) / *out);
	*out -= excused;
	deflate->excused -= excused;
}

/* Books one step; false when the last 1 MiB cost too little. */
static bool ratio_is_sane(struct deflate *deflate, uint32_t in, uint32_t out)
{
	uint64_t sum = 0;

	leave_out_excused(deflate, &in, &out);
	deflate->slot_in[deflate->slot] += in;
	deflate->slot_out += out;
	if (deflate->slot_out < SLOT_SIZE)
		return true;

	deflate->slots_full = MIN(deflate->slots_full + 1, SLOTS);
	for (unsigned i = 0; i < SLOTS; i++)
		sum += deflate->slot_in[i];
	deflate->slot = (deflate->slot + 1) % SLOTS;
	deflate->slot_in[deflate->slot] = 0;
	deflate->slot_out = 0;
	return deflate->slots_full < SLOTS || sum * RATIO_MAX >= SLOTS * SLOT_SIZE;
}

void deflate_excuse(struct deflate *deflate, uint64_t len)
{
	deflate->excused += len;
}

static enum deflate_result unpack_fail(GError **error, const char *why)
{
	g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL, "compressed stream: %s", why);
	return DEFLATE_FAILED;
}

static enum deflate_result unpack_check(struct deflate *deflate, int r, uint32_t in, uint32_t out,
	GError **error)
{
	if (r == Z_STREAM_END)
		deflate->has_ended = true;
	else if (r != Z_OK && r != Z_BUF_ERROR)
		return unpack_fail(error, "it is damaged");
	if (!ratio_is_sane(deflate, in, out))
		return unpack_fail(error, "it expands more than 200:1");
	return DEFLATE_MORE;
}

enum deflate_result deflate_unpack(struct deflate *deflate, struct bytebuf *packed,
	struct bytebuf *plain, size_t max, GError **error)
{
	z_stream *unpacker = &deflate->unpacker;

	while (!deflate->has_ended && max > 0) {
		uint32_t given = (uint32_t)MIN(packed->len, STEP_MAX);
		uint32_t room = (uint32_t)MIN(max, SLOT_SIZE - deflate->slot_out);
		uint32_t in, out;
		int r;

		unpacker->next_in = given > 0 ? (z_const Bytef *)bytebuf_bytes(packed) : NULL;
		unpacker->avail_in = given;
		unpacker->next_out = bytebuf_reserve(plain, room);
		unpacker->avail_out = room;
		r = inflate(unpacker, Z_SYNC_FLUSH);
		in = given - unpacker->avail_in;
		out = room - unpacker->avail_out;
		unpacker->next_in = NULL;

		bytebuf_consume(packed, in);
		bytebuf_commit(plain, out);
		max -= out;
		if (unpack_check(deflate, r, in, out, error) == DEFLATE_FAILED)
			return DEFLATE_FAILED;
		/* Room was left: zlib holds nothing back, so it wants more input. */
		if (out < room && packed->len == 0)
			break;
		if (in == 0 && out == 0 && !deflate->has_ended)
			return unpack_fail(error, "it is damaged");
	}
	if (deflate->has_ended && packed->len > 0)
		return unpack_fail(error, "there is text behind its end");
	return max == 0 && !deflate->has_ended ? DEFLATE_MORE : DEFLATE_WANT_INPUT;
}
