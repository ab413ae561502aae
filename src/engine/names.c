/* SPDX-License-Identifier: MIT */
/*
 * The names that people gave to messages on this mount: in memory by UID and by name, in the
 * journal for the next mount. They go with their message, and with the UIDVALIDITY. Loop thread.
 */
#include <string.h>

#include "engine/change_impl.h"

#define NAME_BYTES_MAX 255u

struct name_place {
	struct place place;   /* UID → char * */
	GHashTable *by_name;  /* the same char * → UID */
};

struct names {
	struct engine *engine;
	struct place_map *map;
	GPtrArray *waiting; /* struct name_wait *: the journal was asked */
};

/* Somebody who waits for the journal. */
struct name_wait {
	struct engine_waiter waiter;
	struct names *names; /* NULL: nobody is left to tell */
	engine_done_fn done;
	void *user;
};

static void place_done(struct place *place)
{
	g_hash_table_unref(((struct name_place *)place)->by_name);
}

struct names *names_new(struct engine *engine)
{
	struct names *names = g_new0(struct names, 1);

	names->engine = engine;
	names->map = place_map_new(sizeof(struct name_place), g_free, place_done);
	names->waiting = g_ptr_array_new();
	return names;
}

/* Those whom the journal has not answered free themselves when it does. */
void names_free(struct names *names)
{
	for (guint i = 0; i < names->waiting->len; i++)
		((struct name_wait *)g_ptr_array_index(names->waiting, i))->names = NULL;
	g_ptr_array_unref(names->waiting);
	place_map_free(names->map);
	g_free(names);
}

/* ---- in memory --------------------------------------------------------------------------------- */

static struct name_place *get_place(struct names *names, const char *folder, uint32_t uidvalidity)
{
	struct name_place *place =
		(struct name_place *)place_get(names->map, folder, uidvalidity);

	if (!place->by_name)
		place->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	return place;
}

static void forget(struct name_place *place, uint32_t uid)
{
	const char *name = place_item(&place->place, uid);

	if (!name)
		return;
	g_hash_table_remove(place->by_name, name);
	place_drop(&place->place, uid);
}

static void remember(struct name_place *place, uint32_t uid, const char *name)
{
	char *copy = g_strdup(name); /* `name` may be the one that goes */
	uint32_t former = GPOINTER_TO_UINT(g_hash_table_lookup(place->by_name, copy));

	if (former != 0)
		forget(place, former);
	forget(place, uid);
	place_put(&place->place, uid, copy);
	g_hash_table_insert(place->by_name, copy, GUINT_TO_POINTER(uid));
}

void names_on_row(void *user, const struct journal_name *row)
{
	struct change_start *start = user;

	remember(get_place(start->engine->names, row->folder, row->uidvalidity), row->uid, row->name);
}

static struct name_place *of_box(const struct engine *engine, uint32_t box_id)
{
	const struct folder *folder = tree_by_box(engine->tree, box_id);

	return folder ? (struct name_place *)place_of(engine->names->map, folder) : NULL;
}

const char *engine_given_name(const struct engine *engine, uint32_t box_id, uint32_t uid)
{
	struct name_place *place = of_box(engine, box_id);

	return place ? place_item(&place->place, uid) : NULL;
}

uint32_t engine_given_uid(const struct engine *engine, uint32_t box_id, const char *name)
{
	struct name_place *place = of_box(engine, box_id);

	return place ? GPOINTER_TO_UINT(g_hash_table_lookup(place->by_name, name)) : 0;
}

/* After a kill the journal may know more than the index, which did not hear of the box in time. */
bool engine_may_be_given(const struct engine *engine, const struct folder *folder,
	const char *name)
{
	g_autoptr(GPtrArray) places =
		folder->name ? place_former(engine->names->map, folder, 0) : g_ptr_array_new();

	for (guint i = 0; i < places->len; i++) {
		struct name_place *place = g_ptr_array_index(places, i);

		if (g_hash_table_contains(place->by_name, name))
			return true;
	}
	return false;
}

bool engine_has_given(const struct engine *engine, uint32_t box_id)
{
	struct name_place *place = of_box(engine, box_id);

	return place && g_hash_table_size(place->place.items) > 0;
}

/* ---- given and journalled ---------------------------------------------------------------------- */

static void wait_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	((struct name_wait *)waiter)->done = NULL;
}

static void wait_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct name_wait *wait = (struct name_wait *)waiter;
	engine_done_fn done = wait->done;

	wait->done = NULL;
	done(wait->user, error);
}

static const struct engine_waiter_class wait_class = {
	.cancel = wait_cancel,
	.fail = wait_fail,
};

static void on_journalled(void *user, const GError *error)
{
	struct name_wait *wait = user;

	if (wait->names) {
		g_ptr_array_remove_fast(wait->names->waiting, wait);
		if (wait->done) {
			engine_waiter_remove(wait->names->engine, &wait->waiter);
			wait->done(wait->user, error);
		}
	}
	g_free(wait);
}

static struct name_wait *wait_new(struct names *names, engine_done_fn done, void *user)
{
	struct name_wait *wait = g_new0(struct name_wait, 1);

	wait->names = names;
	wait->done = done;
	wait->user = user;
	engine_waiter_add(names->engine, &wait->waiter, &wait_class);
	g_ptr_array_add(names->waiting, wait);
	return wait;
}

/* Without UIDVALIDITY a UID is nothing to write down. */
static engine_ticket set(struct names *names, const struct journal_name *row, engine_done_fn done,
	void *user)
{
	struct journal *journal = names->engine->config.journal;
	struct name_place *place = get_place(names, row->folder, row->uidvalidity);
	struct name_wait *wait = NULL;
	uint32_t former = row->name ?
		GPOINTER_TO_UINT(g_hash_table_lookup(place->by_name, row->name)) : 0;

	if (row->name)
		remember(place, row->uid, row->name);
	else
		forget(place, row->uid);
	if (former != 0 && former != row->uid && row->uidvalidity != 0)
		journal_drop_name(journal, row->folder, row->uidvalidity, former);
	if (row->uidvalidity == 0 || !row->name) {
		if (row->uidvalidity != 0)
			journal_drop_name(journal, row->folder, row->uidvalidity, row->uid);
		if (done)
			done(user, NULL);
		return 0;
	}
	if (done)
		wait = wait_new(names, done, user);
	journal_put_name(journal, row, wait ? on_journalled : NULL, wait);
	return wait ? wait->waiter.ticket : 0;
}

void names_set(struct names *names, const char *folder, uint32_t uidvalidity, uint32_t uid,
	const char *name, engine_done_fn done, void *user)
{
	set(names,
		&(struct journal_name){
			.folder = folder,
			.uidvalidity = uidvalidity,
			.uid = uid,
			.name = name,
		},
		done, user);
}

static bool is_good_name(const char *name)
{
	return *name != '\0' && strlen(name) <= NAME_BYTES_MAX && !strchr(name, '/') &&
		strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool may_give(const struct engine *engine, const struct folder *folder, uint32_t uid,
	const char *name, GError **error)
{
	uint32_t other;

	if (engine->config.is_read_only || !engine->config.journal) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_READ_ONLY, "the mount is read-only");
		return false;
	}
	if (!folder || !folder->box || !mailbox_find(folder->box, uid)) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_GONE, "the message is no more");
		return false;
	}
	if (name && !is_good_name(name)) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "not a name for a file");
		return false;
	}
	other = name ? engine_given_uid(engine, folder->box->id, name) : 0;
	if (other != 0 && other != uid) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_EXISTS, "another message has the name");
		return false;
	}
	return true;
}

engine_ticket engine_give_name(struct engine *engine, uint32_t box_id, uint32_t uid,
	const char *name, engine_done_fn done, void *user)
{
	struct folder *folder = tree_by_box(engine->tree, box_id);
	g_autoptr(GError) error = NULL;
	struct journal_name row;
	engine_ticket ticket;

	if (!may_give(engine, folder, uid, name, &error)) {
		done(user, error);
		return 0;
	}
	row = (struct journal_name){
		.folder = folder->name,
		.uidvalidity = folder->box->uidvalidity,
		.uid = uid,
		.name = name,
	};
	ticket = set(engine->names, &row, done, user);
	changes_touch_listing(engine, folder);
	return ticket;
}

/* ---- what the others tell ---------------------------------------------------------------------- */

void names_box_is(struct names *names, const struct folder *folder, uint32_t uidvalidity)
{
	g_autoptr(GPtrArray) former = place_former(names->map, folder, uidvalidity);

	if (former->len == 0)
		return;
	for (guint i = 0; i < former->len; i++)
		place_remove(names->map, g_ptr_array_index(former, i));
	journal_drop_names(names->engine->config.journal, folder->name, uidvalidity);
}

void names_message_gone(struct names *names, const struct folder *folder, uint32_t uid)
{
	struct name_place *place = (struct name_place *)place_of(names->map, folder);

	if (!place || !place_item(&place->place, uid))
		return;
	forget(place, uid);
	if (place->place.uidvalidity != 0)
		journal_drop_name(names->engine->config.journal, folder->name,
			place->place.uidvalidity, uid);
}

void names_folder_renamed(struct names *names, const char *from, const char *to, char delimiter)
{
	place_map_rename(names->map, from, to, delimiter);
}
