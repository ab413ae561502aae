/* SPDX-License-Identifier: MIT */
/* COMPRESS=DEFLATE: both ways, in every chunk size, and what a hostile peer can send (EX-6). */
#include <string.h>

#include <glib.h>
#include <zlib.h>

#include "net/deflate.h"

#define MIB (1024u * 1024)

/* What a peer would send for `plain`; `finish`: with a final block. */
static struct bytebuf pack(const void *plain, size_t len, int finish)
{
	struct bytebuf packed = { 0 };
	z_stream z = { 0 };

	deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
	z.next_in = (z_const Bytef *)plain;
	z.avail_in = (uInt)len;
	z.avail_out = (uInt)(deflateBound(&z, len) + 64);
	z.next_out = bytebuf_reserve(&packed, z.avail_out);
	deflate(&z, finish);
	bytebuf_commit(&packed, z.total_out);
	deflateEnd(&z);
	return packed;
}

/* Bytes that compress about `ratio`:1: runs with some noise between. */
static uint8_t *make_plain(size_t len, unsigned noise_every)
{
	uint8_t *plain = g_malloc(len);
	uint32_t seed = 1;

	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		plain[i] = noise_every > 0 && i % noise_every == 0 ? (uint8_t)(seed >> 24) : 'a';
	}
	return plain;
}

static void check_every_chunk_size(const struct bytebuf *packed, const void *plain, size_t len)
{
	static const size_t sizes[] = { 1, 2, 3, 7, 64, 1000, 1 << 20 };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes) * G_N_ELEMENTS(sizes); i++) {
		size_t in_step = sizes[i % G_N_ELEMENTS(sizes)];
		size_t out_step = sizes[i / G_N_ELEMENTS(sizes)];
		struct deflate *deflate = deflate_new();
		struct bytebuf in = { 0 }, out = { 0 };
		enum deflate_result r;

		for (size_t at = 0; at < packed->len; at += in_step) {
			bytebuf_append(&in, bytebuf_bytes(packed) + at, MIN(in_step, packed->len - at));
			do {
				size_t before = out.len;

				r = deflate_unpack(deflate, &in, &out, out_step, NULL);
				g_assert_cmpint(r, !=, DEFLATE_FAILED);
				g_assert_cmpuint(out.len - before, <=, out_step);
			} while (r == DEFLATE_MORE);
			g_assert_cmpuint(in.len, ==, 0);
		}
		g_assert_cmpmem(bytebuf_bytes(&out), out.len, plain, len);
		bytebuf_done(&in);
		bytebuf_done(&out);
		deflate_free(deflate);
	}
}

static void any_chunk_size_gives_the_same_text(void)
{
	g_autofree uint8_t *plain = make_plain(20000, 5);
	struct bytebuf packed = pack(plain, 20000, Z_SYNC_FLUSH);

	check_every_chunk_size(&packed, plain, 20000);
	bytebuf_done(&packed);
}

static void packed_text_can_be_read_at_once(void)
{
	struct deflate *mine = deflate_new();
	struct deflate *theirs = deflate_new();
	struct bytebuf wire = { 0 }, plain = { 0 };

	for (int i = 0; i < 100; i++) {
		g_autofree char *line = g_strdup_printf("a%d NOOP\r\n", i);

		deflate_pack(mine, line, strlen(line), &wire);
		g_assert_cmpint(deflate_unpack(theirs, &wire, &plain, 1000, NULL), ==, DEFLATE_WANT_INPUT);
		g_assert_cmpmem(bytebuf_bytes(&plain), plain.len, line, strlen(line));
		bytebuf_clear(&plain);
	}
	bytebuf_done(&wire);
	bytebuf_done(&plain);
	deflate_free(mine);
	deflate_free(theirs);
}

static void megabytes_go_through(void)
{
	struct deflate *mine = deflate_new();
	struct deflate *theirs = deflate_new();
	struct bytebuf wire = { 0 }, plain = { 0 };
	g_autofree uint8_t *bytes = make_plain(3 * MIB, 1);

	deflate_pack(mine, bytes, 3 * MIB, &wire);
	while (deflate_unpack(theirs, &wire, &plain, 100000, NULL) == DEFLATE_MORE)
		g_assert_cmpuint(plain.len % 100000, ==, 0);
	g_assert_cmpmem(bytebuf_bytes(&plain), plain.len, bytes, 3 * MIB);
	bytebuf_done(&wire);
	bytebuf_done(&plain);
	deflate_free(mine);
	deflate_free(theirs);
}

/* Unpacks all of it in one go. */
static enum deflate_result unpack_all(struct bytebuf *packed, struct bytebuf *plain, GError **error)
{
	struct deflate *deflate = deflate_new();
	enum deflate_result r;

	do
		r = deflate_unpack(deflate, packed, plain, 65536, error);
	while (r == DEFLATE_MORE);
	deflate_free(deflate);
	return r;
}

static void bomb_is_refused_after_a_mebibyte(void)
{
	g_autofree uint8_t *zeros = g_malloc0(16 * MIB);
	struct bytebuf packed = pack(zeros, 16 * MIB, Z_SYNC_FLUSH), plain = { 0 };
	GError *error = NULL;

	g_assert_cmpuint(packed.len * 1000, <, 17 * MIB); /* it is a bomb */
	g_assert_cmpint(unpack_all(&packed, &plain, &error), ==, DEFLATE_FAILED);
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpuint(plain.len, ==, MIB);
	g_clear_error(&error);
	bytebuf_done(&packed);
	bytebuf_done(&plain);
}

static void bomb_behind_honest_text_is_refused(void)
{
	g_autofree uint8_t *bytes = make_plain(16 * MIB, 1);
	struct bytebuf packed, plain = { 0 };
	GError *error = NULL;

	memset(bytes + 8 * MIB, 0, 8 * MIB);
	packed = pack(bytes, 16 * MIB, Z_SYNC_FLUSH);
	g_assert_cmpint(unpack_all(&packed, &plain, &error), ==, DEFLATE_FAILED);
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpuint(plain.len, >=, 8 * MIB);
	g_assert_cmpuint(plain.len, <=, 9 * MIB + 128 * 1024);
	g_clear_error(&error);
	bytebuf_done(&packed);
	bytebuf_done(&plain);
}

/* Unpacks a step at a time; of what came, so much in a thousand was asked for. */
static enum deflate_result unpack_excused(struct bytebuf *packed, uint64_t permille, size_t *ret_len)
{
	struct deflate *deflate = deflate_new();
	struct bytebuf plain = { 0 };
	enum deflate_result r;

	*ret_len = 0;
	do {
		r = deflate_unpack(deflate, packed, &plain, 65536, NULL);
		*ret_len += plain.len;
		deflate_excuse(deflate, plain.len * permille / 1000);
		bytebuf_clear(&plain);
	} while (r == DEFLATE_MORE);
	bytebuf_done(&plain);
	deflate_free(deflate);
	return r;
}

static void dense_text_that_was_asked_for_passes(void)
{
	g_autofree uint8_t *zeros = g_malloc0(16 * MIB);
	struct bytebuf packed = pack(zeros, 16 * MIB, Z_SYNC_FLUSH);
	size_t len;

	g_assert_cmpint(unpack_excused(&packed, 1000, &len), ==, DEFLATE_WANT_INPUT);
	g_assert_cmpuint(len, ==, 16 * MIB);
	bytebuf_done(&packed);
}

static void dense_text_of_which_half_was_asked_for_is_refused(void)
{
	g_autofree uint8_t *zeros = g_malloc0(16 * MIB);
	struct bytebuf packed = pack(zeros, 16 * MIB, Z_SYNC_FLUSH);
	size_t len;

	g_assert_cmpint(unpack_excused(&packed, 500, &len), ==, DEFLATE_FAILED);
	g_assert_cmpuint(len, <, 2 * MIB + 2 * 65536);
	bytebuf_done(&packed);
}

/* What was asked for, and was not dense, leaves nothing over for a bomb behind it. */
static void bomb_behind_much_that_was_asked_for_is_refused(void)
{
	struct deflate *deflate = deflate_new();
	g_autofree uint8_t *bytes = make_plain(16 * MIB, 1);
	struct bytebuf packed, plain = { 0 };
	size_t seen = 0;
	enum deflate_result r;

	memset(bytes + 8 * MIB, 0, 8 * MIB);
	packed = pack(bytes, 16 * MIB, Z_SYNC_FLUSH);
	do {
		r = deflate_unpack(deflate, &packed, &plain, 65536, NULL);
		if (seen < 8 * MIB)
			deflate_excuse(deflate, plain.len);
		seen += plain.len;
		bytebuf_clear(&plain);
	} while (r == DEFLATE_MORE);
	g_assert_cmpint(r, ==, DEFLATE_FAILED);
	g_assert_cmpuint(seen, <=, 10 * MIB);
	bytebuf_done(&packed);
	bytebuf_done(&plain);
	deflate_free(deflate);
}

static void dense_text_under_the_ratio_passes(void)
{
	g_autofree uint8_t *bytes = make_plain(8 * MIB, 500);
	struct bytebuf packed = pack(bytes, 8 * MIB, Z_SYNC_FLUSH), plain = { 0 };
	size_t packed_len = packed.len;
	GError *error = NULL;

	g_assert_cmpuint(8 * MIB / packed_len, >=, 50);
	g_assert_cmpuint(8 * MIB / packed_len, <, 200);
	g_assert_cmpint(unpack_all(&packed, &plain, &error), ==, DEFLATE_WANT_INPUT);
	g_assert_no_error(error);
	g_assert_cmpmem(bytebuf_bytes(&plain), plain.len, bytes, 8 * MIB);
	bytebuf_done(&packed);
	bytebuf_done(&plain);
}

static void less_than_a_mebibyte_of_zeros_passes(void)
{
	g_autofree uint8_t *zeros = g_malloc0(MIB - 1);
	struct bytebuf packed = pack(zeros, MIB - 1, Z_SYNC_FLUSH), plain = { 0 };

	g_assert_cmpint(unpack_all(&packed, &plain, NULL), ==, DEFLATE_WANT_INPUT);
	g_assert_cmpuint(plain.len, ==, MIB - 1);
	bytebuf_done(&packed);
	bytebuf_done(&plain);
}

static void text_behind_the_end_is_refused(void)
{
	struct bytebuf packed = pack("* OK\r\n", 6, Z_FINISH), plain = { 0 };
	GError *error = NULL;

	bytebuf_append_str(&packed, "* BYE in clear\r\n");
	g_assert_cmpint(unpack_all(&packed, &plain, &error), ==, DEFLATE_FAILED);
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL);
	g_assert_nonnull(strstr(error->message, "behind its end"));
	g_clear_error(&error);
	bytebuf_done(&packed);
	bytebuf_done(&plain);
}

static void text_that_comes_after_the_end_is_refused(void)
{
	struct deflate *deflate = deflate_new();
	struct bytebuf packed = pack("* OK\r\n", 6, Z_FINISH), plain = { 0 };
	GError *error = NULL;

	g_assert_cmpint(deflate_unpack(deflate, &packed, &plain, 100, NULL), ==, DEFLATE_WANT_INPUT);
	g_assert_cmpmem(bytebuf_bytes(&plain), plain.len, "* OK\r\n", 6);
	bytebuf_append_str(&packed, "x");
	g_assert_cmpint(deflate_unpack(deflate, &packed, &plain, 100, &error), ==, DEFLATE_FAILED);
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL);
	g_clear_error(&error);
	bytebuf_done(&packed);
	bytebuf_done(&plain);
	deflate_free(deflate);
}

static void clear_text_in_place_of_deflate_is_refused(void)
{
	struct bytebuf packed = { 0 }, plain = { 0 };
	GError *error = NULL;

	bytebuf_append_str(&packed, "* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (FLAGS ())\r\n");
	g_assert_cmpint(unpack_all(&packed, &plain, &error), ==, DEFLATE_FAILED);
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL);
	g_clear_error(&error);
	bytebuf_done(&packed);
	bytebuf_done(&plain);
}

/* A cut stream gives a prefix, never other bytes, and never success by an end. */
static void truncated_stream_gives_a_prefix(void)
{
	g_autofree uint8_t *bytes = make_plain(3000, 3);
	struct bytebuf packed = pack(bytes, 3000, Z_FINISH);

	for (size_t cut = 0; cut < packed.len; cut++) {
		struct bytebuf part = { 0 }, plain = { 0 };

		bytebuf_append(&part, bytebuf_bytes(&packed), cut);
		g_assert_cmpint(unpack_all(&part, &plain, NULL), ==, DEFLATE_WANT_INPUT);
		g_assert_cmpuint(plain.len, <=, 3000);
		if (plain.len > 0)
			g_assert_true(memcmp(bytebuf_bytes(&plain), bytes, plain.len) == 0);
		bytebuf_done(&part);
		bytebuf_done(&plain);
	}
	bytebuf_done(&packed);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/deflate/PX-17 any chunk size", any_chunk_size_gives_the_same_text);
	g_test_add_func("/net/deflate/readable at once", packed_text_can_be_read_at_once);
	g_test_add_func("/net/deflate/megabytes", megabytes_go_through);
	g_test_add_func("/net/deflate/EX-6 bomb", bomb_is_refused_after_a_mebibyte);
	g_test_add_func("/net/deflate/EX-6 late bomb", bomb_behind_honest_text_is_refused);
	g_test_add_func("/net/deflate/EX-6 dense text passes", dense_text_under_the_ratio_passes);
	g_test_add_func("/net/deflate/EX-6 asked for", dense_text_that_was_asked_for_passes);
	g_test_add_func("/net/deflate/EX-6 half asked for",
		dense_text_of_which_half_was_asked_for_is_refused);
	g_test_add_func("/net/deflate/EX-6 bomb behind", bomb_behind_much_that_was_asked_for_is_refused);
	g_test_add_func("/net/deflate/EX-6 small run passes", less_than_a_mebibyte_of_zeros_passes);
	g_test_add_func("/net/deflate/EX-6 trailing text", text_behind_the_end_is_refused);
	g_test_add_func("/net/deflate/EX-6 later text", text_that_comes_after_the_end_is_refused);
	g_test_add_func("/net/deflate/EX-6 clear text", clear_text_in_place_of_deflate_is_refused);
	g_test_add_func("/net/deflate/EX-6 truncated", truncated_stream_gives_a_prefix);
	return g_test_run();
}
