/* SPDX-License-Identifier: MIT */
/*
 * Everything about every message, in chunks of UIDs. Where the chunks begin and end is reckoned
 * where the UIDs lie dense, else it is asked first, by sequence number; it only cuts the work, so a
 * wrong answer costs nothing. Loop thread.
 */
#include <string.h>

#include "backend/imap/session.h"
#include "backend/imap/sync_impl.h"
#include "base/clock.h"

/*
 * Messages in one command: each asks for twice as many as the one before, so that the first are
 * answered soon and there is something to list. So many commands are ahead that neither the server
 * nor the line ever idles: a server makes 200,000 plain lines a second, a third of that with headers,
 * and its first answer takes some round trips to come through a line that starts slowly. Where a chunk
 * takes its time, few, so that others get in between.
 */
#define CHUNK_FIRST 1000u
#define CHUNK_PLAIN 8000u
#define CHUNK_HEADS 4000u
#define CHUNKS_FAST QUEUE_PIPELINE_MAX
#define CHUNKS_SLOW 2
#define SLOW_US     (250 * 1000)
#define SPARSE_MAX  4    /* UIDs per message: then a chunk may hold four times the messages */
#define BORDERS_MAX 100  /* sequence numbers in one command */

static bool on_swept(struct command *command, const struct imap_fetch *line)
{
	struct sync *sync = (struct sync *)command->request;

	return (line->has & IMAP_FETCH_UID) != 0 && sync_take_full(sync, line);
}

static void sweep_more(struct sync *sync);

/* Servers may answer pipelined commands in any order. */
static void note_answered(struct sync *sync, guint chunk)
{
	guint before = sync->complete;

	sync->answered->data[chunk] = 1;
	while (sync->complete < sync->borders->len && sync->answered->data[sync->complete] != 0)
		sync->complete++;
	if (sync->complete == before || !sync->args.complete || sync->args.known.uid_max != 0)
		return;
	sync_report_flush(sync);
	if (!sync->request.is_cancelled)
		sync->args.complete(sync->args.user,
			g_array_index(sync->borders, uint32_t, sync->complete - 1));
}

static void note_pace(struct sync *sync)
{
	int64_t now = clock_monotonic_us();

	sync->chunks_max = sync->chunk_us < now - SLOW_US ? CHUNKS_SLOW : CHUNKS_FAST;
	sync->chunk_us = now;
}

static void on_chunk_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct sync *sync = (struct sync *)command->request;

	if (error) {
		request_finish(&sync->request, error);
		return;
	}
	sync->open--;
	note_pace(sync);
	sweep_more(sync);
	note_answered(sync, GPOINTER_TO_UINT(command->user));
	if (sync->open == 0)
		sync_check(sync);
}

static void sweep_chunk(struct sync *sync)
{
	static const struct command_hooks hooks = {
		.untagged = sync_on_vanished, .fetch = on_swept, .done = on_chunk_done,
	};
	g_autofree char *items = sync_items(sync->request.session);
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");
	guint i = sync->next_chunk++;
	uint32_t first = i == 0 ? 1 : g_array_index(sync->borders, uint32_t, i - 1) + 1;

	if (i < sync->borders->len)
		imap_cmd_rawf(cmd, "%u:%u %s", first, g_array_index(sync->borders, uint32_t, i), items);
	else if (sync->sweep_last != UINT32_MAX)
		imap_cmd_rawf(cmd, "%u:%u %s", first, sync->sweep_last, items);
	else
		imap_cmd_rawf(cmd, "%u:* %s", first, items);
	sync_add_command(sync, cmd, &hooks, true)->user = GUINT_TO_POINTER(i);
}

static void sweep_more(struct sync *sync)
{
	if (sync->answered->len == 0) {
		g_byte_array_set_size(sync->answered, sync->borders->len + 1);
		memset(sync->answered->data, 0, sync->answered->len);
	}
	while (sync->open < sync->chunks_max && sync->next_chunk <= sync->borders->len)
		sweep_chunk(sync);
}

static gint compare_uids(gconstpointer a, gconstpointer b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* The borders only cut the work: whatever they are, the chunks cover every UID once. */
static void sort_borders(struct sync *sync)
{
	guint kept = 0;

	g_array_sort(sync->borders, compare_uids);
	for (guint i = 0; i < sync->borders->len; i++) {
		uint32_t uid = g_array_index(sync->borders, uint32_t, i);

		if (uid >= sync->sweep_last || uid == UINT32_MAX)
			break;
		if (kept == 0 || uid > g_array_index(sync->borders, uint32_t, kept - 1))
			g_array_index(sync->borders, uint32_t, kept++) = uid;
	}
	g_array_set_size(sync->borders, kept);
}

static bool on_border(struct command *command, const struct imap_fetch *line)
{
	struct sync *sync = (struct sync *)command->request;
	uint32_t uid = line->uid;

	if ((line->has & IMAP_FETCH_UID) == 0 || line->seq % CHUNK_FIRST != 0 ||
		(line->has & IMAP_FETCH_FLAGS) != 0)
		return false;
	if (uid != 0 && sync->borders->len < sync->borders_before + BORDERS_MAX)
		g_array_append_val(sync->borders, uid);
	return true;
}

static uint32_t next_border(const struct sync *sync, uint32_t seq)
{
	uint32_t most = sync->request.session->life.config.want_head ? CHUNK_HEADS : CHUNK_PLAIN;
	uint32_t step = MIN(MIN(seq, most) + CHUNK_FIRST, most);

	return seq > UINT32_MAX - step ? UINT32_MAX : seq + step;
}

static bool ask_borders(struct sync *sync);

static void on_borders_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct sync *sync = (struct sync *)command->request;

	/* Refused borders cost nothing but the cutting. */
	if (error && !response) {
		request_finish(&sync->request, error);
		return;
	}
	sync->open--;
	/* A server that tells none in a whole turn is not asked on and on. */
	if (!error && sync->borders->len > sync->borders_before && ask_borders(sync))
		return;
	sort_borders(sync);
	sweep_more(sync);
}

/* False: there are none (left). FETCH by number: no EXPUNGE may come while it runs. */
static bool ask_borders(struct sync *sync)
{
	static const struct command_hooks hooks = {
		.untagged = sync_on_vanished, .fetch = on_border, .done = on_borders_done,
	};
	g_autoptr(GString) set = g_string_new(NULL);
	uint32_t exists = sync->request.session->box.exists;
	struct imap_cmd *cmd;

	for (int i = 0; i < BORDERS_MAX && sync->border_seq < exists; i++) {
		g_string_append_printf(set, "%s%u", set->len > 0 ? "," : "", sync->border_seq);
		sync->border_seq = next_border(sync, sync->border_seq);
	}
	if (set->len == 0)
		return false;
	sync->borders_before = sync->borders->len;
	cmd = imap_cmd_new("FETCH");
	imap_cmd_rawf(cmd, "%s (UID)", set->str);
	sync_add_command(sync, cmd, &hooks, false);
	return true;
}

/* False: there are many holes between the UIDs, or UIDNEXT cannot be true. */
static bool reckon_borders(struct sync *sync)
{
	const struct box *box = &sync->request.session->box;
	uint64_t exists = box->exists, span = (uint64_t)box->uidnext - 1;

	if (box->uidnext == 0 || span < exists || span > SPARSE_MAX * exists)
		return false;
	for (uint32_t seq = next_border(sync, 0); seq < exists; seq = next_border(sync, seq)) {
		uint32_t border = (uint32_t)(seq * span / exists);

		if (border < sync->sweep_last)
			g_array_append_val(sync->borders, border);
	}
	return true;
}

void sync_sweep(struct sync *sync, uint32_t last)
{
	sync->did_sweep = true;
	sync->sweep_last = last;
	sync->border_seq = next_border(sync, 0);
	sync->next_chunk = 0;
	sync->chunks_max = CHUNKS_FAST;
	sync->chunk_us = INT64_MAX; /* the first one knows no pace */
	sync->complete = 0;
	g_array_set_size(sync->borders, 0);
	g_byte_array_set_size(sync->answered, 0);
	if (reckon_borders(sync) || !ask_borders(sync))
		sweep_more(sync);
}
