/* SPDX-License-Identifier: MIT */
/* What of the outbox people see and decide, and the last try at the unmount. */
#include "engine/outbox_impl.h"

#include "base/clock.h"
#include "base/log.h"

bool outbox_flush(struct outbox *outbox)
{
	g_autoptr(GPtrArray) items = outbox_items(outbox);
	bool is_idle = outbox->active == 0 && outbox->indexing == 0;

	for (guint i = 0; i < items->len; i++) {
		struct outbox_item *item = items->pdata[i];

		if (!outbox_may_send(item) || item->tries > 0)
			continue;
		is_idle = false;
		if (item->due_us > clock_monotonic_us())
			outbox_plan(item, 0);
	}
	outbox_run(outbox);
	return is_idle || !outbox_is_online(outbox);
}

static const char *state_text(const struct outbox_item *item)
{
	static const char *const names[] = { "draft", "spooled", "uploading", "uploading",
		"failed" };

	return names[item->draft.state];
}

void outbox_each(struct outbox *outbox, engine_pending_fn fn, void *user)
{
	g_autoptr(GPtrArray) items = outbox_items(outbox);

	for (guint i = 0; i < items->len; i++) {
		const struct outbox_item *item = items->pdata[i];
		const struct folder *folder = outbox_folder(item);
		g_autofree char *name = log_safe(item->draft.name, -1);

		if (!item->is_dropped && item->successor == 0 && item->phase != OUTBOX_LANDED)
			fn(user, &(struct engine_pending){
					 .id = item->draft.id,
					 .kind = "message",
					 .state = state_text(item),
					 .folder = folder ? folder->path : item->draft.folder,
					 .text = name,
					 .reason = item->draft.reason,
				 });
	}
}

static void on_retry(void *user, const GError *error)
{
	struct outbox_item *item = user;

	if (item->outbox && !error)
		outbox_plan(item, 0);
	outbox_release(item);
}

static void retry(struct outbox_item *item)
{
	uint64_t size;

	item->tries = item->doubts = 0;
	if (item->draft.state == DRAFT_FAILED &&
		spool_has(item->outbox->journal, item->draft.id, &size)) {
		item->draft.state = DRAFT_SPOOLED;
		outbox_set_reason(item, NULL);
		outbox_put_row(item, JOURNAL_LAZY, NULL, NULL);
		outbox_touch(item);
	}
	/* One that was never closed is taken as it is. */
	if (item->draft.state == DRAFT_OPEN && item->draft.handles == 0)
		outbox_flush_item(item, on_retry, outbox_hold(item));
	else if (item->planned || item->phase == OUTBOX_IDLE)
		outbox_plan(item, 0);
}

bool outbox_retry(struct outbox *outbox, uint64_t id)
{
	g_autoptr(GPtrArray) items = outbox_items(outbox);
	bool is_found = false;

	for (guint i = 0; i < items->len; i++) {
		struct outbox_item *item = items->pdata[i];

		if (item->draft.id == id || (id == 0 && item->draft.state != DRAFT_OPEN)) {
			is_found = true;
			retry(item);
		}
	}
	return is_found;
}

bool outbox_discard(struct outbox *outbox, uint64_t id)
{
	struct outbox_item *item = g_hash_table_lookup(outbox->by_id, &id);

	if (!item || item->is_dropped || item->successor != 0)
		return false;
	if (outbox_is_flying(item->phase) && item->phase != OUTBOX_LOST) {
		item->is_unlinking = true;
		return true;
	}
	outbox_set_phase(item, OUTBOX_IDLE);
	outbox_give_up(item);
	return true;
}
