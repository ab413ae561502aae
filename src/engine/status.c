/* SPDX-License-Identifier: MIT */
/* What people are told: the reasons of failures, the status and its counters. */
#include "base/log.h"
#include "engine/fill.h"
#include "engine/internal.h"

#define REASONS_MAX 100u

void engine_add_reason(struct engine *engine, const char *format, ...)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
	g_autofree char *text = NULL;
	g_autofree char *safe = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	safe = log_safe(text, -1);
	if (engine->reasons->len >= REASONS_MAX)
		g_ptr_array_remove_index(engine->reasons, 0);
	g_ptr_array_add(engine->reasons, g_strdup_printf("%s %s", time, safe));
}

const GPtrArray *engine_reasons(const struct engine *engine)
{
	return engine->reasons;
}

static void count_loaded(const struct engine *engine, struct engine_status *status)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, engine->tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct folder *folder = value;

		if (folder->coming) {
			status->folders_coming++;
			status->messages_coming += mailbox_count(folder->coming);
			status->messages_expected += folder->coming_total;
		}
		if (!folder->box)
			continue;
		status->folders_loaded++;
		status->messages_loaded += mailbox_count(folder->box);
	}
}

void engine_get_status(struct engine *engine, struct engine_status *ret_status)
{
	struct vault_status kept = vault_status(engine->vault);

	g_free(engine->compression);
	engine->compression = link_describe(&engine->link, pool_is_compressed(engine->pool));
	*ret_status = (struct engine_status){
		.state = pool_state(engine->pool),
		.account = engine->config.account,
		.server = engine->server,
		.tls = engine->tls,
		.auth = engine->auth,
		.server_id = engine->server_id,
		.server_keeps = engine->server_keeps,
		.cache_dir = store_dir(engine->config.store),
		.compression = engine->compression,
		.sessions = pool_sessions(engine->pool),
		.sessions_max = pool_sessions_max(engine->pool),
		.waiting = pool_waiting(engine->pool),
		.folders = listing_count(engine->listing),
		.trust = store_get_trust(engine->config.store),
		.cache = store_usage(engine->config.store),
		.ahead_fetched = engine->ahead_fetched,
		.ahead_used = engine->ahead_used,
		.bodies_fetched = engine->bodies_fetched,
		.body_bytes_fetched = engine->body_bytes_fetched,
		.reads_from_cache = engine->reads_from_cache,
		.reads_fetched = engine->reads_fetched,
		.bytes_read = engine->bytes_read,
		.bytes_saved = engine->bytes_read - MIN(engine->bytes_read, engine->body_bytes_fetched),
		.syncs = engine->syncs,
		.sweeps = engine->sweeps,
		.online_since = engine->online_since,
		.last_sync = engine->last_sync,
		.watch = watch_describe(engine->watch),
		.last_check = watch_last_look(engine->watch),
		.retry_in_ms = pool_retry_in_ms(engine->pool),
	};
	ret_status->kept = kept.messages;
	ret_status->kept_gone = kept.gone;
	ret_status->kept_bytes = kept.bytes;
	fill_get_status(engine->fill, &ret_status->fill);
	count_loaded(engine, ret_status);
}

static const char *folder_state(const struct folder *folder)
{
	if (folder->box)
		return syncer_is_told_otherwise(folder) ? "behind" : "complete";
	if (folder->coming)
		return "listing";
	return folder->box_id != 0 ? "unloaded" : "unlisted";
}

void engine_get_folder_status(const struct engine *engine, const struct folder *folder,
	struct engine_folder_status *ret_status)
{
	uint32_t known = folder->box_id != 0 ? folder->messages : 0;

	if (folder->box)
		known = mailbox_count(folder->box);
	else if (folder->coming)
		known = mailbox_count(folder->coming);
	*ret_status = (struct engine_folder_status){
		.state = folder_state(folder),
		.known = known,
		.total = MAX(known, folder->coming ? folder->coming_total : folder->messages),
		.is_in_use = syncer_is_in_use(folder),
		.cache = store_counted(engine->config.store, folder->box_id),
	};
}
