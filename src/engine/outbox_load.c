/* SPDX-License-Identifier: MIT */
/* The outbox as a former process left it. */
#include "engine/outbox_impl.h"

#include <string.h>

static void load_state(struct outbox_item *item, const struct journal_draft *row)
{
	uint64_t size = row->size;
	bool is_settled;
	bool has_bytes = spool_has(item->outbox->journal, row->id, &size);

	item->draft.state = row->state;
	item->draft.size = size;
	item->content = 1;
	item->synced = row->state == DRAFT_OPEN ? 0 : 1;
	/* What was written after the last flush may be torn, but it is all there is. */
	is_settled = row->successor != 0 && row->state == DRAFT_STORED &&
		     (row->uid != 0 || row->wire_size == 0);
	if (!is_settled && (row->state >= DRAFT_UPLOADING || row->wire_size != 0) &&
		row->state != DRAFT_FAILED)
		outbox_set_phase(item, OUTBOX_LOST);
	item->is_stale = row->wire_size != 0 && row->state < DRAFT_UPLOADING;
	if (has_bytes || row->state == DRAFT_STORED || item->phase == OUTBOX_LOST)
		return;
	if (row->size == 0) {
		/* Killed before the file was made. */
		item->file = spool_file_open(item->outbox->journal, row->id, true);
		spool_sync(item->file, NULL, NULL);
		outbox_close_file(item);
		return;
	}
	item->draft.state = DRAFT_FAILED;
	outbox_set_reason(item, "its bytes are missing in the spool");
}

static void on_row(void *user, const struct journal_draft *row)
{
	struct outbox *outbox = user;
	struct outbox_item *item = outbox_add(outbox, row->id, row->folder, row->name);
	struct draft *draft = &item->draft;

	draft->mtime_ns = row->mtime_ns;
	draft->ctime_ns = row->ctime_ns;
	draft->mode = row->mode;
	draft->flags = row->flags;
	if (row->keywords) {
		g_free(draft->keywords);
		draft->keywords = g_strdup(row->keywords);
	}
	outbox_set_reason(item, row->reason);
	item->wire.uidvalidity = row->uidvalidity;
	item->wire.uid_floor = row->uid_floor;
	item->wire.size = row->wire_size;
	item->wire.folder = g_strdup(row->folder);
	memcpy(item->wire.sha256, row->wire_sha256, sizeof(item->wire.sha256));
	item->uid = row->uid;
	item->successor = row->successor;
	outbox_set_replaces(item, row->replaces_uidvalidity, row->replaces_uid);
	load_state(item, row);
}

/* Whose successor is no more: it was dropped by somebody, or has landed. */
static void link_successor(struct outbox *outbox, struct outbox_item *item)
{
	struct outbox_item *successor;

	if (item->successor == 0)
		return;
	successor = g_hash_table_lookup(outbox->by_id, &item->successor);
	if (successor)
		g_ptr_array_add(successor->predecessors, item);
	else
		outbox_drop(item);
}

static void show_loaded(struct outbox *outbox, struct outbox_item *item)
{
	if (item->successor != 0)
		return;
	/* A rename over another one whose row was not dropped yet: the later one has the name. */
	if (outbox_find(outbox, item->draft.folder, item->draft.name)) {
		g_autofree char *other =
			g_strdup_printf("%s.%" G_GUINT64_FORMAT, item->draft.name, item->draft.id);

		outbox_rename(item, item->draft.folder, other);
	}
	outbox_show(item);
}

static void load(struct outbox *outbox)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_autoptr(GPtrArray) items = NULL;

	journal_visit(outbox->journal, &(struct journal_visitor){ .draft = on_row }, outbox);
	items = outbox_items(outbox);
	for (guint i = 0; i < items->len; i++)
		g_array_append_val(ids, ((struct draft *)items->pdata[i])->id);
	vault_add_ids(outbox->engine->vault, ids);
	spool_sweep(outbox->journal, (const uint64_t *)(void *)ids->data, ids->len);
	for (guint i = 0; i < items->len; i++)
		show_loaded(outbox, items->pdata[i]);
	for (guint i = 0; i < items->len; i++)
		outbox_hold(items->pdata[i]);
	for (guint i = 0; i < items->len; i++)
		link_successor(outbox, items->pdata[i]);
	for (guint i = 0; i < items->len; i++) {
		outbox_plan(items->pdata[i], outbox->engine->config.upload_delay_ms);
		outbox_release(items->pdata[i]);
	}
}

void outbox_start(struct outbox *outbox)
{
	if (outbox->journal)
		load(outbox);
}
