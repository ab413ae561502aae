/* SPDX-License-Identifier: MIT */
/* The arena and the byte queue. */
#include <stdbool.h>
#include <string.h>

#include <glib.h>

#include "base/arena.h"
#include "base/bytebuf.h"
#include "base/cleanup.h"

static bool is_zero(const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

static void arena_memory_is_zeroed_and_aligned(void)
{
	SCOPED(arena_done) struct arena arena;

	arena_init(&arena);
	for (int round = 0; round < 3; round++) {
		for (size_t size = 0; size < 300; size++) {
			unsigned char *memory = arena_alloc(&arena, size);

			g_assert_cmpuint((guintptr)memory % 8, ==, 0);
			g_assert_true(is_zero(memory, size));
			memset(memory, 0xff, size);
		}
		arena_reset(&arena);
	}
}

static void arena_pieces_do_not_overlap(void)
{
	static const size_t sizes[] = { 1, 7, 8, 9, 4000, 4096, 5000, 1, 70000, 3, 65536, 8 };
	SCOPED(arena_done) struct arena arena;
	unsigned char *pieces[G_N_ELEMENTS(sizes)];

	arena_init(&arena);
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		pieces[i] = arena_alloc(&arena, sizes[i]);
		memset(pieces[i], (int)i + 1, sizes[i]);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		for (size_t k = 0; k < sizes[i]; k++)
			g_assert_cmpuint(pieces[i][k], ==, i + 1);
	}
}

static void arena_copies_end_with_nul(void)
{
	SCOPED(arena_done) struct arena arena;
	char *copy;

	arena_init(&arena);
	memset(arena_alloc(&arena, 64), 0xff, 64);
	arena_reset(&arena);
	copy = arena_memdup(&arena, "a\0bc", 3);
	g_assert_true(memcmp(copy, "a\0b\0", 4) == 0);
	g_assert_cmpstr(arena_memdup(&arena, NULL, 0), ==, "");
	g_assert_cmpstr(arena_strdup(&arena, "12345678"), ==, "12345678");
}

static void arena_counts_what_it_hands_out(void)
{
	SCOPED(arena_done) struct arena arena;

	arena_init(&arena);
	g_assert_cmpuint(arena.used, ==, 0);
	arena_alloc(&arena, 1);
	arena_alloc(&arena, 8);
	g_assert_cmpuint(arena.used, ==, 16);
	arena_reset(&arena);
	g_assert_cmpuint(arena.used, ==, 0);
}

static void arena_keeps_a_small_block_and_drops_a_huge_one(void)
{
	SCOPED(arena_done) struct arena arena;
	void *first;

	arena_init(&arena);
	first = arena_alloc(&arena, 100);
	arena_reset(&arena);
	g_assert_true(arena_alloc(&arena, 100) == first);
	arena_alloc(&arena, 1u << 20);
	arena_reset(&arena);
	g_assert_null(arena.blocks);
}

static void assert_holds(const struct bytebuf *buf, const char *want)
{
	g_assert_cmpmem(bytebuf_bytes(buf), buf->len, want, strlen(want));
}

static void bytebuf_is_a_queue(void)
{
	SCOPED(bytebuf_done) struct bytebuf buf;

	bytebuf_init(&buf);
	bytebuf_append(&buf, "abc", 3);
	bytebuf_append_str(&buf, "def");
	bytebuf_append_printf(&buf, "%d%s", 42, "g");
	assert_holds(&buf, "abcdef42g");
	bytebuf_consume(&buf, 4);
	assert_holds(&buf, "ef42g");
	bytebuf_append(&buf, "", 0);
	bytebuf_consume(&buf, 5);
	assert_holds(&buf, "");
	bytebuf_append_str(&buf, "x");
	bytebuf_clear(&buf);
	assert_holds(&buf, "");
}

static void bytebuf_may_be_empty(void)
{
	SCOPED(bytebuf_done) struct bytebuf buf;

	bytebuf_init(&buf);
	g_assert_null(bytebuf_bytes(&buf));
	bytebuf_append(&buf, NULL, 0);
	bytebuf_consume(&buf, 0);
	bytebuf_clear(&buf);
	g_assert_nonnull(bytebuf_reserve(&buf, 0));
	bytebuf_commit(&buf, 0);
	g_assert_cmpuint(buf.len, ==, 0);
}

static void bytebuf_reserves_what_was_asked(void)
{
	SCOPED(bytebuf_done) struct bytebuf buf;

	bytebuf_init(&buf);
	for (size_t want = 1; want < 5000; want = want * 2 + 1) {
		size_t before = buf.len;

		memset(bytebuf_reserve(&buf, want), 'x', want);
		bytebuf_commit(&buf, want);
		g_assert_cmpuint(buf.len, ==, before + want);
		bytebuf_consume(&buf, want / 2);
	}
	for (size_t i = 0; i < buf.len; i++)
		g_assert_cmpint(bytebuf_bytes(&buf)[i], ==, 'x');
}

static void bytebuf_keeps_order_through_growth_and_moves(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);
	SCOPED(bytebuf_done) struct bytebuf buf;
	unsigned char in = 0, out = 0;

	bytebuf_init(&buf);
	for (int i = 0; i < 20000; i++) {
		unsigned char chunk[200];
		size_t len = (size_t)g_rand_int_range(rand, 0, 200);

		for (size_t k = 0; k < len; k++)
			chunk[k] = in++;
		bytebuf_append(&buf, chunk, len);
		len = (size_t)g_rand_int_range(rand, 0, 210);
		len = MIN(len, buf.len);
		for (size_t k = 0; k < len; k++)
			g_assert_cmpuint(bytebuf_bytes(&buf)[k], ==, out++);
		bytebuf_consume(&buf, len);
	}
	g_assert_cmpuint((unsigned char)(in - out), ==, buf.len % 256);
}

static void bytebuf_in_steady_use_does_not_grow(void)
{
	SCOPED(bytebuf_done) struct bytebuf buf;
	unsigned char chunk[1000] = { 0 };

	bytebuf_init(&buf);
	bytebuf_append(&buf, chunk, 500);
	for (int i = 0; i < 10000; i++) {
		bytebuf_append(&buf, chunk, sizeof(chunk));
		bytebuf_consume(&buf, sizeof(chunk));
	}
	g_assert_cmpuint(buf.cap, <=, 8192);
}

static void bytebuf_wipe_forgets(void)
{
	struct bytebuf buf;

	bytebuf_init(&buf);
	bytebuf_append_str(&buf, "secret");
	bytebuf_wipe(&buf);
	g_assert_null(buf.data);
	g_assert_cmpuint(buf.len, ==, 0);
	bytebuf_wipe(&buf);
}

#define ADD(name, fn) g_test_add_func("/base/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("arena/memory is zeroed and aligned", arena_memory_is_zeroed_and_aligned);
	ADD("arena/pieces do not overlap", arena_pieces_do_not_overlap);
	ADD("arena/copies end with NUL", arena_copies_end_with_nul);
	ADD("arena/counts what it hands out", arena_counts_what_it_hands_out);
	ADD("arena/keeps a small block and drops a huge one",
		arena_keeps_a_small_block_and_drops_a_huge_one);
	ADD("bytebuf/is a queue", bytebuf_is_a_queue);
	ADD("bytebuf/may be empty", bytebuf_may_be_empty);
	ADD("bytebuf/reserves what was asked", bytebuf_reserves_what_was_asked);
	ADD("bytebuf/keeps order through growth and moves",
		bytebuf_keeps_order_through_growth_and_moves);
	ADD("bytebuf/in steady use does not grow", bytebuf_in_steady_use_does_not_grow);
	ADD("bytebuf/wipe forgets", bytebuf_wipe_forgets);
	return g_test_run();
}
