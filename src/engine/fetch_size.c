/* SPDX-License-Identifier: MIT */
/* What it means that the size of a message was counted: trust, and distrust for ever. Loop thread. */
#include "engine/fetch_impl.h"

bool fetch_note_size(struct fetch *fetch, uint64_t size, bool is_fresh)
{
	struct engine *engine = fetch->fetcher->engine;
	struct store_trust trust = store_get_trust(engine->config.store);
	struct folder *folder;
	struct message *message = fetch_message(fetch, &folder);
	bool fits, was_exact;

	if (!message)
		return true;
	fits = message->size == size;
	/* Also a size that was counted before may be another one by now: the body left the cache, and the
	 * server sends another version (SZ-7). Cut at the old size it would be neither. */
	if (fits && (message->bits & MESSAGE_SIZE_EXACT) != 0)
		return true;
	was_exact = (message->bits & MESSAGE_SIZE_EXACT) != 0;
	message->bits |= MESSAGE_SIZE_EXACT;
	if (fits && is_fresh && trust.proven < STORE_TRUST_PROVEN && !engine_has_rough_sizes(engine)) {
		trust.proven++;
		store_put_trust(engine->config.store, trust);
	}
	if (!fits && !engine_has_rough_sizes(engine)) {
		engine_add_reason(engine, "%s: UID %u: the server claims %" G_GUINT64_FORMAT
			" octets and sends %" G_GUINT64_FORMAT, folder->path, fetch->uid,
			(guint64)message->size, size);
		engine_distrust(engine);
		trust.is_liar = true;
	}
	message->size = size;
	if (was_exact)
		engine_bytes_changed(engine, folder, fetch->uid);
	if (!fits && engine->events.message_resized)
		engine->events.message_resized(engine->user, folder, fetch->uid);
	/* A message without octets is shown in another way once that is proven. */
	if (!fits || size == 0)
		engine->events.message_changed(engine->user, folder, fetch->uid);
	if (!fits || trust.is_liar)
		syncer_put_row(engine, folder, message);
	return fits;
}

void fetch_fail_wrong_size(struct fetch *fetch)
{
	g_autoptr(GError) error = NULL;

	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
		"the message is not as long as the server said; the size is right from now on");
	fetch_fail_waiters(fetch, error, true);
}

void fetch_size_is_wrong(struct fetch *fetch)
{
	struct message *message = fetch_message(fetch, NULL);

	if (message)
		message->bits &= 0xffu & ~(unsigned)MESSAGE_SIZE_EXACT;
	nexts_spoil(fetch);
	body_drop(fetch->body);
	engine_distrust(fetch->fetcher->engine);
	fetch_fail_wrong_size(fetch);
	fetch_want_exact(fetch);
}

