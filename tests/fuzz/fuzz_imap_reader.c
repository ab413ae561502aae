/* SPDX-License-Identifier: MIT */
/*
 * The IMAP reader and all that reads its trees: how the bytes are cut changes nothing, and every
 * parser takes every response. Byte 0 chooses the way of cutting, the rest is from the server.
 */
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "../unit/wire_imap_dump.h"
#include "wire/imap_caps.h"
#include "wire/imap_resp.h"
#include "wire/imap_seqset.h"
#include "wire/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_range(void *user, uint32_t first, uint32_t last)
{
	g_assert_cmpuint(first, <=, last);
	g_assert_cmpuint(first, >, 0);
}

static void check_fetch(const struct imap_response *response, struct arena *arena)
{
	struct imap_fetch fetch;

	if (!imap_fetch_parse(response, arena, &fetch))
		return;
	g_assert_cmpuint(fetch.seq, >, 0);
	g_assert_true(!(fetch.has & IMAP_FETCH_UID) || fetch.uid > 0);
	g_assert_true(!(fetch.has & IMAP_FETCH_BODY) == !fetch.body);
	g_assert_true(!(fetch.has & IMAP_FETCH_HEADER) == !fetch.header);
	g_assert_true(!(fetch.has & IMAP_FETCH_EMAIL_ID) == !fetch.email_id);
	if (fetch.has & IMAP_FETCH_FLAGS)
		g_assert_cmpuint(g_strv_length((char **)fetch.keywords), <=, WIRE_KEYWORDS_MAX);
}

static void check_folders(const struct imap_response *response, struct arena *arena)
{
	struct imap_status_resp status;
	struct imap_list list;
	const char *prefix;
	char delimiter;

	if (imap_list_parse(response, &list))
		g_assert_nonnull(list.name);
	if (imap_status_parse(response, &status))
		g_assert_nonnull(status.name);
	if (imap_namespace_parse(response, &prefix, &delimiter))
		g_assert_nonnull(prefix);
	imap_id_parse(response, arena);
}

static uint64_t count_ranges(GArray *ranges)
{
	uint64_t count = 0, last = 0;

	for (guint i = 0; i < ranges->len; i++) {
		struct imap_seqset_range range = g_array_index(ranges, struct imap_seqset_range, i);

		g_assert_cmpuint(range.first, >, last);
		last = range.last;
		count += last - range.first + 1;
	}
	g_array_unref(ranges);
	return count;
}

static void check_changes(const struct imap_response *response)
{
	uint32_t uidvalidity = 0, uid = 0;
	struct imap_copyuid copyuid;
	unsigned rights;

	if (imap_appenduid_parse(response, &uidvalidity, &uid))
		g_assert_true(uidvalidity > 0 && uid > 0);
	if (imap_copyuid_parse(response, &copyuid))
		g_assert_cmpuint(count_ranges(copyuid.source), ==, count_ranges(copyuid.target));
	if (imap_myrights_parse(response, &rights))
		g_assert_cmpuint(rights, <=, MAILFS_RIGHTS_ALL);
}

static void check_caps(const struct imap_node *nodes)
{
	static const char *const disable[] = { "IDLE", "AUTH=PLAIN", NULL };
	struct imap_caps caps;

	imap_caps_parse(&caps, nodes, disable);
	g_assert_true(caps.is_known && !caps.idle);
	g_assert_cmpuint(strnlen(caps.text, sizeof(caps.text)), <, sizeof(caps.text));
}

static void check_response(const struct imap_response *response)
{
	const char *const *keywords;
	struct arena arena;
	bool is_earlier, has_star;

	arena_init(&arena);
	check_fetch(response, &arena);
	check_folders(response, &arena);
	check_changes(response);
	check_caps(response->args);
	check_caps(response->code_args);
	imap_search_parse(response, on_range, NULL);
	imap_vanished_parse(response, &is_earlier, on_range, NULL);
	imap_flags_parse(response->args, &arena, &keywords, &has_star);
	imap_flags_parse(response->code_args, &arena, &keywords, &has_star);
	arena_done(&arena);
}

static void check_parsers(const uint8_t *data, size_t size)
{
	struct imap_reader *reader = imap_reader_new();
	struct imap_event event;
	struct bytebuf in;

	bytebuf_init(&in);
	bytebuf_append(&in, data, size);
	do {
		imap_reader_next(reader, &in, &event);
		if (event.response)
			check_response(event.response);
	} while (event.type != IMAP_EVENT_NEED_MORE && event.type != IMAP_EVENT_ERROR);
	bytebuf_done(&in);
	imap_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *whole = NULL, *pieces = NULL;
	bool stream_bodies;
	size_t step;

	if (size < 2)
		return 0;
	stream_bodies = data[0] & 1;
	step = 1 + (data[0] >> 1);
	data++;
	size--;
	whole = dump_pieces(data, size, size, size, stream_bodies);
	pieces = dump_pieces(data, size, size % step + 1, step, stream_bodies);
	g_assert_cmpstr(whole, ==, pieces);
	check_parsers(data, size);
	return 0;
}
