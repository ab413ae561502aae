/* SPDX-License-Identifier: MIT */
/* Everything into the cache, in the background. Loop thread. */
#include "engine/fill.h"

#include <string.h>

#include "base/clock.h"
#include "engine/fetch_impl.h"

#define BATCH_BYTES    (512u * 1024) /* so that nobody waits long behind it */
#define BATCH_MESSAGES 256u
#define BATCHES_OUT    2u
#define STEPS_MAX      8u            /* batches begun in one turn of the loop */
#define DEMAND_US      (1 * G_USEC_PER_SEC) /* since somebody wanted something of the server */
#define WAIT_MS        250u
#define NEWS_MS        30000u
#define TRIES_MAX      5u            /* that bring nothing new */
#define TRY_AGAIN_MS   500u

struct todo {
	char *name; /* wire name */
	uint32_t messages; /* as known when it was listed here */
};

struct fill {
	struct engine *engine;
	GQueue todo;          /* struct todo *; the first one is being worked on */
	GHashTable *reached;  /* box id → highest UID that was done, of folders that were finished */
	GHashTable *seen;     /* wire name → messages of the folder then, and 1 */
	char *root;           /* wire name; NULL = all */
	bool is_lasting;      /* what comes later too */
	bool is_started, is_full;
	engine_ticket opening;
	guint timer, source;

	/* the folder that is worked on; reset by folder_over() */
	uint32_t box_id;   /* 0 = not begun */
	uint32_t newest;   /* UID at the beginning */
	uint32_t below;    /* UIDs from here on are done, or on their way */
	uint32_t above;    /* UIDs up to here were done before */
	uint32_t alone;    /* from this UID upwards each is asked for alone; 0 = none */
	uint32_t here;     /* messages that are done */
	unsigned out;      /* batches on their way */
	uint32_t lowest;   /* UID so far */
	unsigned failures; /* since then */

	uint64_t total, done; /* messages; `done` of the folders that are over */
	uint64_t bytes;       /* that were fetched */
};

static void step_soon(struct fill *fill);

static void todo_free(gpointer data)
{
	struct todo *todo = data;

	g_free(todo->name);
	g_free(todo);
}

static const struct todo *current(const struct fill *fill)
{
	return g_queue_peek_head((GQueue *)&fill->todo);
}

static struct folder *current_folder(const struct fill *fill)
{
	const struct todo *todo = current(fill);

	return todo ? tree_by_name(fill->engine->tree, todo->name) : NULL;
}

/* ---- when -------------------------------------------------------------------------------------- */

static bool is_foreground_busy(const struct fill *fill)
{
	const struct engine *engine = fill->engine;

	return clock_monotonic_us() - engine->last_demand_us < DEMAND_US ||
		(fill->out == 0 && pool_waiting(engine->pool) > 0);
}

static bool must_wait(const struct fill *fill)
{
	const struct engine *engine = fill->engine;

	return pool_state(engine->pool) != ENGINE_ONLINE || engine->pressure_timer != 0 ||
		clock_monotonic_us() < engine->fetcher->calm_until_us || is_foreground_busy(fill);
}

/* Making room would throw out what was used. */
static bool has_room(const struct fill *fill, uint64_t bytes)
{
	struct store_usage usage = store_usage(fill->engine->config.store);
	uint64_t used = usage.body_bytes + usage.dead_bytes +
		body_pending_bytes(fill->engine->config.store);

	return used + (fill->out + 1) * (uint64_t)BATCH_BYTES + bytes <
		usage.max_bytes - usage.max_bytes / 16;
}

static gboolean on_timer(gpointer user);

static void wait_ms(struct fill *fill, unsigned ms)
{
	if (fill->timer == 0)
		fill->timer = g_timeout_add(ms, on_timer, fill);
}

/* ---- one folder -------------------------------------------------------------------------------- */

static void folder_over(struct fill *fill)
{
	const struct folder *folder = current_folder(fill);
	struct todo *todo = g_queue_pop_head(&fill->todo);

	if (folder)
		g_hash_table_insert(fill->seen, g_strdup(todo->name),
			GUINT_TO_POINTER(folder->messages + 1));
	if (fill->box_id != 0)
		g_hash_table_insert(fill->reached, GUINT_TO_POINTER(fill->box_id),
			GUINT_TO_POINTER(fill->newest));
	fill->total -= MIN(todo->messages, fill->total);
	fill->total += fill->here;
	fill->done += fill->here;
	fill->box_id = fill->newest = fill->below = fill->above = fill->alone = fill->here = 0;
	fill->failures = 0;
	todo_free(todo);
}

static void on_batch(void *user, enum fetcher_end end, uint32_t first, uint32_t last,
	uint64_t bytes)
{
	struct fill *fill = user;

	g_assert(fill->out > 0);
	fill->out--;
	fill->bytes += bytes;
	if (end == FETCHER_BAD && first < last) {
		/* One of them may have kept the others from coming. */
		fill->alone = fill->alone == 0 ? first : MIN(fill->alone, first);
		fill->below = MAX(fill->below, last + 1);
	} else if (end == FETCHER_LOST && ++fill->failures < TRIES_MAX) {
		fill->below = MAX(fill->below, last + 1);
		wait_ms(fill, TRY_AGAIN_MS);
	}
	step_soon(fill);
}

static int by_uid(gconstpointer a, gconstpointer b)
{
	const uint32_t *left = a;
	const uint32_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

static bool is_enough(const struct fill *fill, const struct message *next, uint64_t bytes)
{
	return bytes + next->size > BATCH_BYTES || (fill->alone > 0 && next->uid >= fill->alone);
}

/* The next ones, downwards; empty: the folder is done, or the cache is full. */
static GArray *gather(struct fill *fill, const struct mailbox *box)
{
	GArray *uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	size_t at = mailbox_lower_bound(box, fill->below);
	uint64_t bytes = 0;

	while (at > 0 && uids->len < BATCH_MESSAGES) {
		const struct message *message = mailbox_at(box, at - 1);

		if (message->uid <= fill->above || (uids->len > 0 && is_enough(fill, message, bytes)))
			break;
		if (!has_room(fill, bytes + message->size)) {
			fill->is_full = true;
			break;
		}
		bytes += message->size;
		g_array_append_val(uids, message->uid);
		fill->below = message->uid;
		at--;
	}
	if (at > 0 && mailbox_at(box, at - 1)->uid <= fill->above)
		at = 0;
	fill->here = mailbox_count(box) - (uint32_t)at;
	if (fill->below <= fill->alone)
		fill->alone = 0;
	g_array_sort(uids, by_uid);
	return uids;
}

static void folder_begin(struct fill *fill, const struct mailbox *box)
{
	uint32_t count = mailbox_count(box);

	fill->box_id = box->id;
	fill->newest = count > 0 ? mailbox_at(box, count - 1)->uid : 0;
	fill->below = fill->lowest = UINT32_MAX;
	fill->above = GPOINTER_TO_UINT(g_hash_table_lookup(fill->reached, GUINT_TO_POINTER(box->id)));
	fill->alone = fill->here = 0;
}

/* False: nothing of the folder is left to be begun. */
static bool begin_batch(struct fill *fill, struct folder *folder)
{
	g_autoptr(GArray) uids = NULL;

	if (fill->box_id != folder->box->id)
		folder_begin(fill, folder->box);
	uids = gather(fill, folder->box);
	if (fill->below < fill->lowest)
		fill->failures = 0;
	fill->lowest = MIN(fill->lowest, fill->below);
	if (uids->len == 0)
		return false;
	fill->out++;
	fetcher_fill(fill->engine->fetcher, folder,
		&(struct fetcher_wish){ (const uint32_t *)(void *)uids->data, uids->len, on_batch, fill });
	return true;
}

static void on_opened(void *user, const GError *error)
{
	struct fill *fill = user;

	fill->opening = 0;
	if (error && fill->out == 0 && current(fill) && ++fill->failures >= TRIES_MAX)
		folder_over(fill);
	else if (error)
		wait_ms(fill, TRY_AGAIN_MS);
	step_soon(fill);
}

/* ---- the steps --------------------------------------------------------------------------------- */

static void stop_full(struct fill *fill)
{
	while (current(fill))
		folder_over(fill);
}

/* False: nothing more can be done now. */
static bool step(struct fill *fill)
{
	struct folder *folder = current_folder(fill);

	if (!current(fill) || fill->opening != 0 || fill->out >= BATCHES_OUT || fill->timer != 0)
		return false;
	if (!folder || (folder->flags & MAILFS_FOLDER_NOSELECT) != 0) {
		if (fill->out == 0)
			folder_over(fill);
		return fill->out == 0;
	}
	if (must_wait(fill)) {
		wait_ms(fill, WAIT_MS);
		return false;
	}
	if (!folder->box) {
		fill->opening = engine_open_folder(fill->engine, folder, on_opened, fill);
		return false;
	}
	if (begin_batch(fill, folder))
		return true;
	if (fill->out > 0)
		return false; /* one that is on its way may fail yet */
	if (fill->is_full)
		stop_full(fill);
	else
		folder_over(fill);
	return true;
}

static gboolean on_step(gpointer user)
{
	struct fill *fill = user;
	unsigned steps = 0;

	fill->source = 0;
	while (steps < STEPS_MAX && step(fill))
		steps++;
	if (steps == STEPS_MAX)
		step_soon(fill);
	if (!current(fill) && fill->is_lasting)
		wait_ms(fill, NEWS_MS);
	return G_SOURCE_REMOVE;
}

/* Never from inside the call of somebody else. */
static void step_soon(struct fill *fill)
{
	if (fill->source == 0)
		fill->source = g_idle_add_full(G_PRIORITY_DEFAULT_IDLE, on_step, fill, NULL);
}

/* ---- what there is to do ----------------------------------------------------------------------- */

static void add_folder(struct fill *fill, const struct folder *folder)
{
	struct todo *todo;

	if ((folder->flags & MAILFS_FOLDER_NOSELECT) != 0 || !folder->name)
		return;
	for (GList *at = fill->todo.head; at; at = at->next) {
		if (strcmp(((const struct todo *)at->data)->name, folder->name) == 0)
			return;
	}
	todo = g_new(struct todo, 1);
	*todo = (struct todo){ g_strdup(folder->name), folder->messages };
	fill->total += folder->messages;
	g_queue_push_tail(&fill->todo, todo);
}

static void add_tree(struct fill *fill, const struct folder *folder)
{
	add_folder(fill, folder);
	for (guint i = 0; folder->children && i < folder->children->len; i++)
		add_tree(fill, g_ptr_array_index(folder->children, i));
}

static bool has_news(const struct fill *fill, const struct folder *folder)
{
	uint32_t count = folder->box ? mailbox_count(folder->box) : 0;

	if (!folder->box)
		return folder->name && folder->messages > 0 && folder->messages + 1 !=
			GPOINTER_TO_UINT(g_hash_table_lookup(fill->seen, folder->name));
	return count > 0 && mailbox_at(folder->box, count - 1)->uid >
		GPOINTER_TO_UINT(g_hash_table_lookup(fill->reached, GUINT_TO_POINTER(folder->box->id)));
}

static bool is_below(const struct fill *fill, const struct folder *folder)
{
	if (!fill->root)
		return true;
	for (; folder; folder = folder->parent) {
		if (g_strcmp0(folder->name, fill->root) == 0)
			return true;
	}
	return false;
}

static void look_for_news(struct fill *fill)
{
	GHashTableIter iter;
	gpointer folder;

	fill->is_full = false;
	g_hash_table_iter_init(&iter, fill->engine->tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &folder)) {
		if (!folder_is_hidden(folder) && is_below(fill, folder) && has_news(fill, folder))
			add_folder(fill, folder);
	}
}

static gboolean on_timer(gpointer user)
{
	struct fill *fill = user;

	fill->timer = 0;
	if (!current(fill) && fill->is_lasting)
		look_for_news(fill);
	step_soon(fill);
	return G_SOURCE_REMOVE;
}

/* ---- for the engine ---------------------------------------------------------------------------- */

void fill_start(struct fill *fill, const struct folder *folder, bool is_lasting)
{
	const struct folder *inbox = tree_by_name(fill->engine->tree, "INBOX");

	if (is_lasting) {
		fill->is_lasting = true;
		g_free(fill->root);
		fill->root = folder ? g_strdup(folder->name) : NULL;
	}
	if (!current(fill))
		fill->total = fill->done = fill->bytes = 0;
	fill->is_started = true;
	fill->is_full = false;
	if (inbox && (!folder || !folder->name))
		add_folder(fill, inbox);
	add_tree(fill, folder ? folder : fill->engine->tree->root);
	/* What was evicted since is wanted again. */
	g_hash_table_remove_all(fill->reached);
	g_hash_table_remove_all(fill->seen);
	g_clear_handle_id(&fill->timer, g_source_remove);
	step_soon(fill);
}

static const char *state_name(const struct fill *fill)
{
	if (!fill->is_started)
		return "off";
	if (!current(fill))
		return fill->is_full ? "full" : "done";
	return fill->timer != 0 && fill->out == 0 ? "paused" : "running";
}

void fill_get_status(const struct fill *fill, struct engine_fill_status *ret_status)
{
	const struct folder *folder = current_folder(fill);

	*ret_status = (struct engine_fill_status){
		.state = state_name(fill),
		.folder = folder ? folder->path : NULL,
		.total = fill->total,
		.done = fill->done + fill->here,
		.bytes = fill->bytes,
	};
	ret_status->total = MAX(ret_status->total, ret_status->done);
}

struct fill *fill_new(struct engine *engine)
{
	struct fill *fill = g_new0(struct fill, 1);

	fill->engine = engine;
	g_queue_init(&fill->todo);
	fill->reached = g_hash_table_new(NULL, NULL);
	fill->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return fill;
}

void fill_free(struct fill *fill)
{
	g_clear_handle_id(&fill->timer, g_source_remove);
	g_clear_handle_id(&fill->source, g_source_remove);
	g_queue_clear_full(&fill->todo, todo_free);
	g_hash_table_unref(fill->reached);
	g_hash_table_unref(fill->seen);
	g_free(fill->root);
	g_free(fill);
}
