/* SPDX-License-Identifier: MIT */
/*
 * By which key each message of the maildrop is known, where UIDL does not say it (maildrop.h): by
 * its header, and where that is not enough by all of it. Loop thread.
 */
#include "backend/pop3/maildrop.h"

#include "backend/pop3/session.h"

#define TOP_BYTES 4096u                /* of a header, about */
#define AHEAD     (2u * POP3_QUEUE_MAX) /* commands made at once */

struct look {
	struct mailfs_session *s;
	GChecksum *sum;
};

static struct maildrop_entry *entry_at(struct maildrop *drop, size_t index)
{
	return &g_array_index(drop->entries, struct maildrop_entry, index);
}

/* ---- keys that are shared -------------------------------------------------------------------- */

/* Who shares a key has none; the first as well, or it would be the other one when it goes. */
static void drop_shared(struct maildrop *drop)
{
	g_autoptr(GHashTable) counts = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < drop->entries->len; i++) {
		const char *key = entry_at(drop, i)->key;

		if (key)
			g_hash_table_insert(counts, (gpointer)key, GUINT_TO_POINTER(
				GPOINTER_TO_UINT(g_hash_table_lookup(counts, key)) + 1));
	}
	for (guint i = 0; i < drop->entries->len; i++) {
		struct maildrop_entry *entry = entry_at(drop, i);

		if (entry->key && GPOINTER_TO_UINT(g_hash_table_lookup(counts, entry->key)) > 1)
			entry->key = NULL;
	}
}

/* What still shares a key is the same in every byte: any of them may be any other. */
static const char *numbered(struct maildrop *drop, const char *key, GHashTable *counts)
{
	guint count = GPOINTER_TO_UINT(g_hash_table_lookup(counts, key)) + 1;
	g_autofree char *other = NULL;

	g_hash_table_insert(counts, (gpointer)key, GUINT_TO_POINTER(count));
	if (count == 1)
		return key;
	other = g_strdup_printf("%s~%u", key, count);
	return g_string_chunk_insert(drop->texts, other);
}

static void index_keys(struct maildrop *drop)
{
	g_autoptr(GHashTable) counts = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < drop->entries->len; i++) {
		struct maildrop_entry *entry = entry_at(drop, i);

		if (!entry->key)
			continue;
		if (entry->is_weak)
			entry->key = numbered(drop, entry->key, counts);
		g_hash_table_insert(drop->by_key, (gpointer)entry->key, GUINT_TO_POINTER(i + 1));
	}
}

/* ---- looking --------------------------------------------------------------------------------- */

static void look_on(struct mailfs_session *s);

static void look_free(gpointer user)
{
	struct look *look = user;

	g_checksum_free(look->sum);
	g_free(look);
}

static void on_data(struct pop3_command *command, const uint8_t *bytes, size_t len)
{
	g_checksum_update(((struct look *)command->user)->sum, bytes, (gssize)len);
}

static void on_done(struct pop3_command *command, const char *text, const GError *error)
{
	struct look *look = command->user;
	struct maildrop *drop = &look->s->drop;
	struct maildrop_entry *entry = entry_at(drop, command->index);
	const char *hash = g_checksum_get_string(look->sum);
	g_autofree char *key = drop->is_by_body
		? g_strdup_printf("body:%s", hash)
		: g_strdup_printf("top:%s-%" G_GUINT64_FORMAT, hash, entry->size);

	if (!error)
		entry->key = g_string_chunk_insert(drop->texts, key);
	drop->open--;
	look_on(look->s);
}

static void look_at(struct mailfs_session *s, guint index)
{
	static const struct pop3_hooks hooks = { .data = on_data, .done = on_done };
	struct maildrop_entry *entry = entry_at(&s->drop, index);
	struct look *look = g_new0(struct look, 1);
	struct pop3_command *command = pop3_command_new(&hooks, POP3_OCTETS, "naming a message",
		s->drop.is_by_body ? "RETR %u" : "TOP %u 0", entry->number);

	entry->is_weak = s->drop.has_weak = true;
	look->s = s;
	look->sum = g_checksum_new(G_CHECKSUM_SHA256);
	command->user = look;
	command->user_free = look_free;
	command->index = index;
	command->bytes = s->drop.is_by_body ? entry->size : TOP_BYTES;
	s->drop.open++;
	pop3_queue_add(&s->queue, command);
}

static void look_begin(struct mailfs_session *s, bool is_by_body)
{
	s->drop.is_by_body = is_by_body;
	s->drop.next = 0;
	look_on(s);
}

/* Goes on with those that have no key, a few at a time; then with the next way, or it is done. */
static void look_on(struct mailfs_session *s)
{
	struct maildrop *drop = &s->drop;

	for (; drop->next < drop->entries->len && drop->open < AHEAD; drop->next++) {
		if (!entry_at(drop, drop->next)->key)
			look_at(s, drop->next);
	}
	if (drop->open > 0)
		return;
	if (drop->is_by_body) {
		index_keys(drop);
		maildrop_listed(s);
		return;
	}
	if (drop->has_weak)
		drop_shared(drop);
	look_begin(s, true);
}

void maildrop_name(struct mailfs_session *s)
{
	drop_shared(&s->drop);
	s->drop.has_weak = false;
	look_begin(s, s->caps.is_known && !s->caps.top);
}
