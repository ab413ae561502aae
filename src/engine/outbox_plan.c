/* SPDX-License-Identifier: MIT */
/* When an item is worked on, and how its upload ends. */
#include "engine/outbox_impl.h"

#include "base/clock.h"
#include "base/log.h"

#define BACKOFF_MS     1000u
#define BACKOFF_MAX_MS 300000u

/* ---- when --------------------------------------------------------------------------------------
 */

bool outbox_is_flying(enum outbox_phase phase)
{
	return phase > OUTBOX_IDLE && phase < OUTBOX_LANDED;
}

static bool is_active(enum outbox_phase phase)
{
	return outbox_is_flying(phase) && phase != OUTBOX_LOST;
}

void outbox_set_phase(struct outbox_item *item, enum outbox_phase phase)
{
	struct outbox *outbox = item->outbox;

	outbox->active += (unsigned)is_active(phase) - (unsigned)is_active(item->phase);
	item->phase = phase;
	if (outbox_is_flying(phase))
		g_hash_table_add(outbox->flying, item);
	else
		g_hash_table_remove(outbox->flying, item);
}

static bool are_predecessors_settled(const struct outbox_item *item)
{
	for (guint i = 0; i < item->predecessors->len; i++) {
		const struct outbox_item *former = item->predecessors->pdata[i];

		if (outbox_is_flying(former->phase))
			return false;
	}
	return true;
}

bool outbox_may_send(const struct outbox_item *item)
{
	const struct draft *draft = &item->draft;

	return draft->state == DRAFT_SPOOLED && item->phase == OUTBOX_IDLE && !item->is_dropped &&
	       item->successor == 0 && (draft->handles == 0 || item->is_urgent) &&
	       draft->size > 0 && item->content == item->synced &&
	       !outbox_is_temporary(draft->name) && are_predecessors_settled(item);
}

static gint by_due(gconstpointer a, gconstpointer b, gpointer user)
{
	const struct outbox_item *left = a, *right = b;

	if (left->due_us != right->due_us)
		return left->due_us < right->due_us ? -1 : 1;
	return left->draft.id < right->draft.id ? -1 : left->draft.id > right->draft.id;
}

void outbox_unplan(struct outbox_item *item)
{
	if (item->planned)
		g_sequence_remove(item->planned);
	item->planned = NULL;
}

static gboolean on_timer(gpointer user)
{
	struct outbox *outbox = user;

	outbox->timer = 0;
	outbox_run(outbox);
	return G_SOURCE_REMOVE;
}

static struct outbox_item *first_planned(const struct outbox *outbox)
{
	GSequenceIter *first = g_sequence_get_begin_iter(outbox->planned);

	return g_sequence_iter_is_end(first) ? NULL : g_sequence_get(first);
}

bool outbox_is_online(const struct outbox *outbox)
{
	/* Before the start the folders may not be known. */
	return outbox->engine->was_started && pool_state(outbox->engine->pool) == ENGINE_ONLINE;
}

static void arm(struct outbox *outbox)
{
	const struct outbox_item *first = first_planned(outbox);
	int64_t wait_us;

	g_clear_handle_id(&outbox->timer, g_source_remove);
	if (!first || !outbox_is_online(outbox) || outbox->active >= OUTBOX_UPLOADS_MAX)
		return;
	wait_us = MAX(first->due_us - clock_monotonic_us(), 0);
	outbox->timer = g_timeout_add((guint)((wait_us + 999) / 1000), on_timer, outbox);
}

void outbox_plan(struct outbox_item *item, unsigned delay_ms)
{
	struct outbox *outbox = item->outbox;

	outbox_unplan(item);
	if (item->is_dropped)
		return;
	item->due_us = clock_monotonic_us() + (int64_t)delay_ms * 1000;
	item->planned = g_sequence_insert_sorted(outbox->planned, item, by_due, NULL);
	arm(outbox);
}

static unsigned backoff_ms(struct outbox_item *item)
{
	unsigned ms = MIN(BACKOFF_MS << MIN(item->tries, 9u), BACKOFF_MAX_MS);

	item->tries++;
	return (unsigned)g_random_int_range((gint)(ms * 3 / 4), (gint)(ms * 5 / 4));
}

static void work(struct outbox_item *item)
{
	outbox_hold(item);
	if (item->phase == OUTBOX_LOST && item->uid != 0)
		outbox_land(item);
	else if (item->phase == OUTBOX_LOST)
		outbox_look(item);
	else if (outbox_may_send(item))
		outbox_send(item);
	outbox_release(item);
}

void outbox_run(struct outbox *outbox)
{
	struct outbox_item *item;
	int64_t now = clock_monotonic_us();

	while (outbox_is_online(outbox) && outbox->active < OUTBOX_UPLOADS_MAX &&
		(item = first_planned(outbox)) && item->due_us <= now) {
		outbox_unplan(item);
		work(item);
	}
	arm(outbox);
}

/* What waited for the network need not wait longer. */
void outbox_online(struct outbox *outbox)
{
	g_autoptr(GPtrArray) items = outbox_items(outbox);

	for (guint i = 0; i < items->len; i++) {
		struct outbox_item *item = items->pdata[i];

		if (item->planned && (item->tries > 0 || item->phase == OUTBOX_LOST))
			outbox_plan(item, 0);
	}
	arm(outbox);
}

/* ---- how it ends -------------------------------------------------------------------------------
 */

void outbox_wire_clear(struct outbox_wire *wire)
{
	g_free(wire->folder);
	g_free(wire->message_id);
	g_free(wire->keywords);
	*wire = (struct outbox_wire){ 0 };
}

/* True: it was only resolved, or goes. */
static bool end_of_former(struct outbox_item *item)
{
	struct outbox *outbox = item->outbox;
	struct outbox_item *successor;

	if (item->successor != 0) {
		item->draft.state = DRAFT_STORED;
		outbox_put_row(item, JOURNAL_LAZY, NULL, NULL);
		successor = g_hash_table_lookup(outbox->by_id, &item->successor);
		if (successor)
			outbox_plan(successor, 0);
		return true;
	}
	if (item->is_unlinking) {
		outbox_answer(item, NULL);
		outbox_give_up(item);
		return true;
	}
	return false;
}

/* It is not on the server. True: nothing more is to be done. */
static bool end_without(struct outbox_item *item)
{
	item->uid = 0;
	item->is_urgent = false;
	item->doubts = 0;
	outbox_wire_clear(&item->wire);
	outbox_set_phase(item, OUTBOX_IDLE);
	outbox_close_file(item);
	if (end_of_former(item))
		return true;
	if (!item->is_stale)
		return false;
	item->is_stale = false;
	outbox_put_row(item, JOURNAL_LAZY, NULL, NULL);
	outbox_plan(item, item->outbox->engine->config.upload_delay_ms);
	return true;
}

void outbox_refused(struct outbox_item *item, const GError *error)
{
	struct outbox *outbox = item->outbox;

	outbox_hold(item);
	outbox_touch(item); /* what might have been it is shown again */
	if (!end_without(item)) {
		item->draft.state = DRAFT_FAILED;
		item->draft.ctime_ns = clock_realtime_ns();
		outbox_set_reason(item, error->message);
		outbox_put_row(item, JOURNAL_SYNCED, NULL, NULL);
		log_warn("engine", "%s: a new message was not stored in %s: %s",
			outbox->engine->config.account, item->draft.folder, error->message);
		engine_add_reason(outbox->engine, "%s/%s: not stored: %s", item->draft.folder,
			item->draft.name, error->message);
		outbox_touch(item);
		outbox_answer(item, error);
	}
	outbox_release(item);
	outbox_run(outbox);
}

void outbox_again(struct outbox_item *item, const GError *error)
{
	struct outbox *outbox = item->outbox;

	outbox_hold(item);
	if (item->phase >= OUTBOX_SENDING)
		outbox_touch(item); /* what might have been it is shown again */
	if (!end_without(item)) {
		if (item->draft.state == DRAFT_UPLOADING || item->draft.state == DRAFT_STORED) {
			item->draft.state = DRAFT_SPOOLED;
			outbox_put_row(item, JOURNAL_LAZY, NULL, NULL);
		}
		outbox_plan(item, error ? backoff_ms(item) : 0);
		if (error)
			outbox_answer(item, error);
	}
	outbox_release(item);
	outbox_run(outbox);
}

void outbox_wait_and_see(struct outbox_item *item, const GError *error)
{
	struct outbox *outbox = item->outbox;

	outbox_hold(item);
	item->is_unlinking = false;
	outbox_set_phase(item, OUTBOX_LOST);
	outbox_plan(item, backoff_ms(item));
	outbox_answer(item, error);
	outbox_release(item);
	outbox_run(outbox);
}
