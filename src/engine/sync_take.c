/* SPDX-License-Identifier: MIT */
/*
 * What the server tells of messages: into the mailbox at once, and as rows to the index.
 */
#include "base/clock.h"
#include "engine/change_impl.h"
#include "engine/sync_impl.h"

#define SYNC_BATCH_ROWS 512u
#define SYNC_SIZE_MAX   ((1ull << 48) - 1)
#define SYNC_DATE_MAX   4294967295ll /* 2106; further dates are clamped for file systems */

/* ---- rows to the index ------------------------------------------------------------------------- */

void sync_commit_rows(struct sync *sync)
{
	if (!sync->batch)
		return;
	store_batch_commit(g_steal_pointer(&sync->batch), NULL, NULL);
	sync->batch_rows = 0;
	engine_check_pressure(sync->engine);
}

struct store_batch *sync_batch(struct sync *sync)
{
	if (!sync->batch)
		sync->batch = store_batch_new(sync->engine->config.store, sync->target->id);
	return sync->batch;
}

static void put_row(struct sync *sync, const struct message *message,
	const struct mailfs_message_info *info, const char *name)
{
	const char *keywords = mailbox_keywords(sync->target, message->keywords);
	unsigned flags = message->flags;
	struct message row = *message;

	/* Without what the user wants and the server has not. */
	if (changer_base(sync->engine->changer, sync->folder, sync->target, message->uid, &flags,
		    &keywords))
		row.flags = (uint8_t)flags;
	store_batch_put(sync_batch(sync), &(struct store_message){
		.message = &row,
		.keywords = keywords,
		.name = name,
		.head = (info->fields & MAILFS_INFO_HEAD) != 0 ? &info->head : NULL,
		.remote_id = (info->fields & MAILFS_INFO_REMOTE_ID) != 0 ? info->remote_id : NULL,
		.thread_id = (info->fields & MAILFS_INFO_REMOTE_ID) != 0 ? info->thread_id : NULL,
		.modseq = (info->fields & MAILFS_INFO_MODSEQ) != 0 ? info->modseq : 0,
	});
	if (++sync->batch_rows >= SYNC_BATCH_ROWS)
		sync_commit_rows(sync);
}

/* ---- messages ---------------------------------------------------------------------------------- */

static bool is_complete_info(const struct mailfs_message_info *info)
{
	return (info->fields & MAILFS_INFO_SIZE) != 0 && (info->fields & MAILFS_INFO_FLAGS) != 0;
}

/* What the server says, and the user's wishes on top. `ret_changed`: something is shown otherwise.
 * True: the index may want to know. */
static bool set_flags(struct sync *sync, struct message *message,
	const struct mailfs_message_info *info, bool *ret_changed)
{
	uint32_t keywords = mailbox_intern_keywords(sync->target, info->keywords);
	unsigned flags = info->flags;
	bool has_wishes = changer_overlay(sync->engine->changer, sync->folder, sync->target,
		message->uid, &flags, &keywords);

	*ret_changed = mailbox_set_flags(sync->target, message, flags, keywords);
	return *ret_changed || has_wishes;
}

static void fill_new(struct sync *sync, struct message *message,
	const struct mailfs_message_info *info)
{
	int64_t date = (info->fields & MAILFS_INFO_DATE) != 0 ? info->date : 0;
	bool ignored;

	message->date = CLAMP(date, 0, SYNC_DATE_MAX);
	message->ctime_ns = message->date * 1000000000;
	message->size = MIN(info->size, SYNC_SIZE_MAX);
	set_flags(sync, message, info, &ignored);
}

/* True when attributes changed. */
static bool update_known(struct sync *sync, struct message *message,
	const struct mailfs_message_info *info)
{
	bool was_seen = (message->flags & MAILFS_FLAG_SEEN) != 0;
	uint64_t size = MIN(info->size, SYNC_SIZE_MAX);
	bool changed = false, is_other = false;

	if ((info->fields & MAILFS_INFO_SIZE) != 0 && (message->bits & MESSAGE_SIZE_EXACT) == 0 &&
		message->size != size) {
		message->size = size;
		if (sync->engine->events.message_resized)
			sync->engine->events.message_resized(sync->engine->user, sync->folder, info->uid);
		changed = true;
	}
	if ((info->fields & MAILFS_INFO_FLAGS) != 0)
		changed |= set_flags(sync, message, info, &is_other);
	if (is_other && !sync->is_new_box)
		engine_tell_news(sync->engine, ENGINE_NEWS_FLAGS, sync->folder, info->uid, NULL, false);
	if (is_other) {
		message->ctime_ns = MAX(clock_realtime_ns(), message->ctime_ns + 1);
		if (!was_seen && (message->flags & MAILFS_FLAG_SEEN) != 0)
			message->seen_time = (uint32_t)(message->ctime_ns / 1000000000);
		changed = true;
	}
	return changed;
}

static const char *give_name(struct sync *sync, struct message *message,
	const struct mailfs_message_info *info, char *name)
{
	const struct engine_config *config = &sync->engine->config;

	if (!config->name || message->name_hash != 0 || (info->fields & MAILFS_INFO_HEAD) == 0)
		return NULL;
	message->name_hash =
		config->name(config->name_user, message->uid, message->date, &info->head, name);
	return name;
}

/* A first sweep needs no list: what it does not mention was never there. */
static void note_mention(struct sync *sync, uint32_t uid)
{
	if (!sync->is_delta && !sync->is_new_box)
		g_array_append_val(sync->mentioned, uid);
	if (sync->vanished->len > 0)
		g_array_append_val(sync->revived, uid);
}

static void take(struct sync *sync, const struct mailfs_message_info *info)
{
	struct message *message = mailbox_find(sync->target, info->uid);
	const char *name;
	char name_space[256];
	bool is_new = !message;
	bool changed;

	note_mention(sync, info->uid);
	if (is_new && !is_complete_info(info)) {
		g_array_append_val(sync->unknown, info->uid);
		return;
	}
	if (is_new) {
		bool ignored;

		message = mailbox_insert(sync->target, info->uid, &ignored);
		fill_new(sync, message, info);
		sync->has_new = true;
		sync->is_late |= sync->is_new_box && info->uid <= sync->folder->coming_to;
		changed = true;
	} else {
		changed = update_known(sync, message, info);
	}
	name = give_name(sync, message, info, name_space);
	sync->has_new |= name != NULL;
	if (is_new && !sync->is_new_box) {
		engine_tell_news(sync->engine, ENGINE_NEWS_MESSAGE, sync->folder, info->uid, name, false);
		outbox_message_came(sync->engine, sync->folder, sync->target->uidvalidity, info->uid);
	}
	if ((info->fields & MAILFS_INFO_HEAD) != 0 && (message->bits & MESSAGE_HAS_HEAD) == 0) {
		message->bits |= MESSAGE_HAS_HEAD;
		changed = true;
	}
	if (!changed && !name)
		return;
	put_row(sync, message, info, name);
	if (is_new)
		return;
	if (sync->is_new_box)
		g_array_append_val(sync->retold, info->uid); /* it may have been listed */
	else
		sync->engine->events.message_changed(sync->engine->user, sync->folder, info->uid);
}

static bool is_same_message(const struct sync *sync, const struct message *message,
	const struct mailfs_message_info *info)
{
	const struct engine_config *config = &sync->engine->config;
	int64_t date = CLAMP(info->date, 0, SYNC_DATE_MAX);
	char name[256];

	if (date != message->date)
		return false;
	if (!config->name || message->name_hash == 0 || (info->fields & MAILFS_INFO_HEAD) == 0)
		return date != 0;
	return message->name_hash ==
		config->name(config->name_user, message->uid, date, &info->head, name);
}

/* No server has such a one: keys hold no spaces. */
static void take_key_away(struct sync *sync, const struct message *message)
{
	g_autofree char *key = g_strdup_printf("gone %u", message->uid);

	put_row(sync, message,
		&(struct mailfs_message_info){ .fields = MAILFS_INFO_REMOTE_ID, .remote_id = key }, NULL);
	keys_put(sync->keys, message->uid, key);
}

/* A key that is used again is another message (P3-2): the one that is no more lives on without. */
static void take_returned(struct sync *sync, struct message *message,
	const struct mailfs_message_info *info)
{
	struct mailfs_message_info copy = *info;

	if (is_same_message(sync, message, info)) {
		message->bits &= ~(unsigned)MESSAGE_LOCAL & 0xff;
		sync_put_bits(sync, message);
		copy.fields &= ~(unsigned)MAILFS_INFO_FLAGS; /* its own were kept */
	} else {
		take_key_away(sync, message);
		copy.uid = keys_allot(sync->keys, info->remote_id);
	}
	if (copy.uid != 0)
		take(sync, &copy);
}

static void take_info(struct sync *sync, const struct mailfs_message_info *info)
{
	struct message *message = sync->keys ? mailbox_find(sync->target, info->uid) : NULL;

	if (message && (message->bits & MESSAGE_LOCAL) != 0)
		take_returned(sync, message, info);
	else
		take(sync, info);
}

void sync_put_bits(struct sync *sync, const struct message *message)
{
	static const struct mailfs_message_info nothing = { 0 };

	put_row(sync, message, &nothing, NULL);
}

static void restore(struct sync *sync, const struct journal_kept *row)
{
	struct mailfs_message_info info = {
		.uid = row->uid,
		.fields = MAILFS_INFO_FLAGS | MAILFS_INFO_DATE | MAILFS_INFO_SIZE | MAILFS_INFO_REMOTE_ID |
			MAILFS_INFO_HEAD,
		.date = row->date,
		.size = row->size,
		.remote_id = row->key,
		.head = {
			.subject = row->subject,
			.from = row->from,
			.from_name = row->from_name,
			.to = row->to,
			.cc = row->cc,
			.message_id = row->message_id,
			.date = row->sent,
		},
	};

	keys_put(sync->keys, row->uid, row->key);
	take_info(sync, &info);
	if (row->is_gone)
		take_key_away(sync, mailbox_find(sync->target, row->uid));
	mailbox_find(sync->target, row->uid)->bits |= MESSAGE_SIZE_EXACT;
}

static void restore_kept(void *user, const struct journal_kept *row)
{
	struct sync *sync = user;
	struct message *message = mailbox_find(sync->target, row->uid);
	bool is_lost = !message;

	keys_note_last(sync->keys, row->uid);
	if (engine_is_hidden(sync->engine, sync->target->id, row->uid))
		return;
	if (is_lost)
		restore(sync, row);
	message = mailbox_find(sync->target, row->uid);
	/* If the server has it still, its listing says so. */
	if ((is_lost || row->is_gone) && (message->bits & MESSAGE_LOCAL) == 0) {
		message->bits |= MESSAGE_LOCAL;
		sync_put_bits(sync, message);
	}
}

void sync_restore_kept(struct sync *sync)
{
	if (!sync->keys)
		return;
	vault_each(sync->engine->vault, sync->folder, restore_kept, sync);
	if (!sync->is_new_box)
		mailbox_settle(sync->target);
}

uint32_t sync_find_key(void *user, const char *key, unsigned *ret_wanted)
{
	struct sync *sync = user;

	*ret_wanted = 0;
	return sync->folder ? keys_find(sync->keys, key) : 0;
}

uint32_t sync_uid_of_key(void *user, const char *key, unsigned *ret_wanted)
{
	struct sync *sync = user;
	uint32_t uid;
	struct message *message;

	*ret_wanted = 0;
	if (!sync->folder || !sync->target)
		return 0;
	uid = keys_find(sync->keys, key);
	message = uid != 0 ? mailbox_find(sync->target, uid) : NULL;
	/* It was deleted from the server: its key is another message's. */
	if (message && vault_is_gone(sync->engine->vault, sync->folder, uid)) {
		take_key_away(sync, message);
		message = NULL;
	}
	/* A message that is no more does not come back under its UID: the server may have given the key
	 * to another one (P3-2). */
	if (!message) {
		*ret_wanted = UINT32_MAX;
		return keys_allot(sync->keys, key);
	}
	/* It has come back, or another one has its key: its header tells. */
	if ((message->bits & MESSAGE_LOCAL) != 0)
		*ret_wanted = UINT32_MAX;
	else if (sync->engine->config.name && message->name_hash == 0)
		*ret_wanted = MAILFS_INFO_HEAD;
	return uid;
}

void sync_on_messages(void *user, const struct mailfs_message_info *infos, size_t count)
{
	struct sync *sync = user;

	if (!sync->folder || !sync->target)
		return;
	for (size_t i = 0; i < count; i++) {
		if (infos[i].uid != 0)
			take_info(sync, &infos[i]);
	}
	/* A new box is nobody's yet; it is settled once, when it is whole. */
	if (sync->is_new_box)
		return;
	mailbox_settle(sync->target);
	/* What can be listed now must have its name in the index, or it would be listed by its UID. */
	sync_commit_rows(sync);
}

/* Of a first sweep: what is there can be listed, its names are on their way to the index. */
void sync_on_complete(void *user, uint32_t last)
{
	struct sync *sync = user;
	struct folder *folder = sync->folder;

	if (!folder || !sync->target || !sync->is_new_box || last <= folder->coming_to)
		return;
	sync_commit_rows(sync);
	mailbox_settle(sync->target);
	if (!folder->coming)
		tree_set_coming(sync->engine->tree, folder, sync->target);
	folder->coming_to = last;
	sync_answer(sync, WHO_COMING, NULL);
}

void sync_on_uids(void *user, const uint32_t *uids, size_t count)
{
	struct sync *sync = user;

	if (!sync->folder || !sync->target)
		return;
	for (size_t i = 0; i < count; i++) {
		note_mention(sync, uids[i]);
		if (!mailbox_find(sync->target, uids[i]))
			g_array_append_val(sync->unknown, uids[i]);
	}
}
