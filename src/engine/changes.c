/* SPDX-License-Identifier: MIT */
/*
 * What all that change have in common: rights, and what the others tell them: the state of a sync,
 * messages that go, mailboxes that come from the index, the network that is back.
 */
#include "base/clock.h"
#include "engine/change_impl.h"

/* ---- rights ------------------------------------------------------------------------------------ */

unsigned engine_rights(const struct engine *engine, const struct folder *folder)
{
	return engine->config.is_read_only || !engine->config.journal ? 0 : folder->rights;
}

/* What the protocol can do at all. */
static unsigned protocol_rights(const struct mailfs_backend *backend)
{
	unsigned rights = MAILFS_RIGHT_SEEN | MAILFS_RIGHT_FLAGS;

	if (backend->append || backend->move)
		rights |= MAILFS_RIGHT_INSERT;
	if (backend->remove || backend->move)
		rights |= MAILFS_RIGHT_DELETE;
	if (backend->change_folder)
		rights |= MAILFS_RIGHT_CREATE | MAILFS_RIGHT_REMOVE;
	return rights;
}

bool changes_allowed(const struct engine *engine, const struct folder *folder, unsigned rights,
	GError **error)
{
	unsigned have = engine_rights(engine, folder);
	/* An ACL is the better reason: the folder's READ-ONLY follows from it. */
	bool is_denied = !engine->config.is_read_only && (rights & folder->denied) != 0;

	if ((rights & ~protocol_rights(engine->config.backend)) != 0) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_READ_ONLY, "%s knows no such change",
			engine->config.backend->name);
		return false;
	}
	if (have == 0 && !is_denied)
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_READ_ONLY, "%s is read-only",
			engine->config.is_read_only || !folder->path ? "the mount" : folder->path);
	else if ((rights & ~have) != 0)
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_DENIED, "%s: the server does not allow it",
			folder->path ? folder->path : "the mount");
	return (rights & ~have) == 0 && have != 0;
}

/* The modes of the files tell it. */
static bool take_rights(struct folder *folder, const struct mailfs_sync_state *state)
{
	unsigned rights = state->read_only ? 0 : state->rights;
	bool changed = folder->rights != rights ||
		folder->permanent_flags != state->permanent_flags;

	folder->rights = rights;
	folder->denied = state->denied;
	folder->permanent_flags = state->permanent_flags;
	folder->keywords_allowed = state->keywords_allowed;
	g_strfreev(folder->keywords);
	folder->keywords = g_strdupv((char **)state->keywords);
	return changed;
}

/* ---- the listing ------------------------------------------------------------------------------- */

void changes_touch_listing(struct engine *engine, struct folder *folder)
{
	struct mailbox *box = folder->box;

	folder->listing_ns = MAX(clock_realtime_ns(), folder->listing_ns + 1);
	if (box) {
		box->listing_ns = folder->listing_ns;
		folder->messages = mailbox_count(box);
		folder->unseen = box->unseen;
	}
	if (box && box->uidvalidity != 0) {
		struct store_batch *batch = store_batch_new(engine->config.store, box->id);

		store_batch_set_state(batch, box->modseq, box->listing_ns, mailbox_count(box),
			box->unseen);
		store_batch_commit(batch, NULL, NULL);
	}
	folder->told_generation = ++folder->generation;
	engine->events.listing_changed(engine->user, folder);
}

/* ---- what the others tell ---------------------------------------------------------------------- */

void changes_start(struct engine *engine)
{
	struct change_start start = { engine };

	if (!engine->config.journal)
		return;
	journal_visit(engine->config.journal,
		&(struct journal_visitor){
			.flags = changer_on_row,
			.move = mover_on_row,
			.name = names_on_row,
			.kept = vault_on_row,
		},
		&start);
	outbox_start(engine->outbox);
	changes_online(engine);
}

void changes_online(struct engine *engine)
{
	changer_online(engine->changer);
	mover_online(engine->mover);
	outbox_online(engine->outbox);
	vault_online(engine->vault);
}

void changes_take_state(struct engine *engine, struct folder *folder,
	const struct mailfs_sync_state *state)
{
	bool changed = take_rights(folder, state);

	if (engine->config.is_read_only || !engine->config.journal)
		return;
	changer_box_is(engine->changer, folder, state->uidvalidity);
	mover_box_is(engine->mover, folder, state->uidvalidity);
	names_box_is(engine->names, folder, state->uidvalidity);
	if (changed && folder->box) {
		folder->told_generation = ++folder->generation;
		engine->events.listing_changed(engine->user, folder);
	}
}

void changes_message_gone(struct engine *engine, const struct folder *folder, uint32_t uid)
{
	changer_message_gone(engine->changer, folder, uid);
	mover_message_gone(engine->mover, folder, uid);
	names_message_gone(engine->names, folder, uid);
	vault_message_gone(engine->vault, folder->name, uid);
}

void changes_box_loaded(struct engine *engine, struct folder *folder)
{
	changer_box_loaded(engine->changer, folder);
}

void changes_folder_renamed(struct engine *engine, const char *from, const char *to, char delimiter)
{
	changer_folder_renamed(engine->changer, from, to, delimiter);
	mover_folder_renamed(engine->mover, from, to, delimiter);
	names_folder_renamed(engine->names, from, to, delimiter);
	outbox_folder_renamed(engine, from, to, delimiter);
}

/* ---- how a failure is taken -------------------------------------------------------------------- */

enum change_verdict change_judge(const struct engine *engine, const GError *error)
{
	if (pool_state(engine->pool) == ENGINE_STOPPED)
		return CHANGE_LEAVE;
	switch ((enum mailfs_error)error->code) {
	case MAILFS_ERROR_CANCELLED: /* the account went offline under it */
	case MAILFS_ERROR_OFFLINE:
	case MAILFS_ERROR_CONNECTION_LOST:
	case MAILFS_ERROR_NO_HOST:
	case MAILFS_ERROR_REFUSED:
	case MAILFS_ERROR_LOGIN:
	case MAILFS_ERROR_TLS:
	case MAILFS_ERROR_TIMEOUT:
	case MAILFS_ERROR_TRY_LATER:
	case MAILFS_ERROR_LIMIT:
	case MAILFS_ERROR_IN_USE:
		return CHANGE_AGAIN;
	case MAILFS_ERROR_STALE:
	case MAILFS_ERROR_GONE:
		return CHANGE_MOOT;
	case MAILFS_ERROR_PROTOCOL:
		return CHANGE_DOUBT;
	default:
		return CHANGE_REFUSED;
	}
}
