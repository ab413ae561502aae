/* SPDX-License-Identifier: MIT */
/* UIDL and LIST, and what they say together. Loop thread. */
#include "backend/pop3/maildrop.h"

#include <string.h>

#include "backend/pop3/session.h"
#include "base/parse.h"
#include "wire/limits.h"

void maildrop_init(struct maildrop *drop)
{
	*drop = (struct maildrop){ .max = WIRE_POP3_MESSAGES_MAX };
	drop->entries = g_array_new(FALSE, FALSE, sizeof(struct maildrop_entry));
	drop->uidls = g_array_new(FALSE, FALSE, sizeof(struct maildrop_entry));
	drop->by_key = g_hash_table_new(g_str_hash, g_str_equal);
	drop->texts = g_string_chunk_new(16 * 1024);
}

void maildrop_done(struct maildrop *drop)
{
	g_array_unref(drop->entries);
	g_array_unref(drop->uidls);
	g_hash_table_unref(drop->by_key);
	g_string_chunk_free(drop->texts);
	g_clear_error(&drop->refusal);
}

void maildrop_forget(struct maildrop *drop)
{
	g_hash_table_remove_all(drop->by_key);
	g_array_set_size(drop->entries, 0);
	g_array_set_size(drop->uidls, 0);
	g_string_chunk_clear(drop->texts);
	g_clear_error(&drop->refusal);
	drop->state = MAILDROP_UNKNOWN;
	drop->is_cut = false;
	drop->open = 0;
}

const struct maildrop_entry *maildrop_find(const struct maildrop *drop, const char *key)
{
	guint at = GPOINTER_TO_UINT(g_hash_table_lookup(drop->by_key, key));

	return at > 0 ? &g_array_index(drop->entries, struct maildrop_entry, at - 1) : NULL;
}

GError *maildrop_beyond(void)
{
	return g_error_new(MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
		"the message is not in that part of the maildrop that is looked at");
}

/* ---- lines ----------------------------------------------------------------------------------- */

static const char *skip_spaces(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

bool maildrop_split(const char *line, uint32_t *ret_number, const char **ret_rest)
{
	size_t len;

	line = skip_spaces(line);
	if (g_ascii_strncasecmp(line, "+OK ", 4) == 0)
		line = skip_spaces(line + 4);
	len = strspn(line, "0123456789");
	if (!parse_u32(line, len, ret_number) || *ret_number == 0 ||
		(line[len] != '\0' && line[len] != ' ' && line[len] != '\t'))
		return false;
	*ret_rest = skip_spaces(line + len);
	return true;
}

bool maildrop_key_of_uidl(const char *uidl, GString *out)
{
	size_t len = strlen(uidl);
	bool is_safe;

	/* Trailing spaces are none of it; spaces inside are, whatever the RFC says. */
	while (len > 0 && (uidl[len - 1] == ' ' || uidl[len - 1] == '\t'))
		len--;
	if (len == 0)
		return false;
	is_safe = len <= WIRE_POP3_UIDL_MAX;
	for (size_t i = 0; i < len && is_safe; i++)
		is_safe = uidl[i] > 0x20 && uidl[i] < 0x7f;
	if (is_safe) {
		g_string_append_len(out, uidl, (gssize)len);
	} else {
		g_autofree char *hash = g_compute_checksum_for_data(G_CHECKSUM_SHA256,
			(const guchar *)uidl, len);

		g_string_append_printf(out, "sha256:%s", hash);
	}
	return true;
}

static void add(struct maildrop *drop, GArray *entries, const struct maildrop_entry *entry)
{
	if (entries->len < drop->max)
		g_array_append_val(entries, *entry);
	else
		drop->is_cut = true;
}

static void on_uidl_line(struct pop3_command *command, const char *text)
{
	struct mailfs_session *s = command->user;
	struct maildrop_entry entry = { 0 };
	g_autoptr(GString) key = g_string_new(NULL);
	const char *rest;

	if (!maildrop_split(text, &entry.number, &rest))
		return;
	if (s->drop.uidls->len < s->drop.max && maildrop_key_of_uidl(rest, key))
		entry.key = g_string_chunk_insert_len(s->drop.texts, key->str, (gssize)key->len);
	add(&s->drop, s->drop.uidls, &entry);
}

static void on_list_line(struct pop3_command *command, const char *text)
{
	struct mailfs_session *s = command->user;
	struct maildrop_entry entry = { 0 };
	const char *rest;

	if (!maildrop_split(text, &entry.number, &rest))
		return;
	/* Negative, absurd, missing: it is not known (P3-1). */
	if (!parse_u64(rest, strspn(rest, "0123456789"), &entry.size) || entry.size >= 1ull << 40)
		entry.size = 0;
	add(&s->drop, s->drop.entries, &entry);
}

/* ---- putting it together --------------------------------------------------------------------- */

static int by_number(gconstpointer a, gconstpointer b)
{
	const struct maildrop_entry *left = a, *right = b;

	return left->number < right->number ? -1 : left->number > right->number;
}

/* One for each number: the first counts. */
static void sort(GArray *entries)
{
	guint kept = 0;

	g_array_sort(entries, by_number); /* stable */
	for (guint i = 0; i < entries->len; i++) {
		const struct maildrop_entry *entry = &g_array_index(entries, struct maildrop_entry, i);

		if (kept == 0 ||
			g_array_index(entries, struct maildrop_entry, kept - 1).number != entry->number)
			g_array_index(entries, struct maildrop_entry, kept++) = *entry;
	}
	g_array_set_size(entries, kept);
}

/* Some servers give the number of the message as its UIDL: the next one has it tomorrow. */
static bool are_numbers(const GArray *uidls)
{
	for (guint i = 0; i < uidls->len; i++) {
		const struct maildrop_entry *entry = &g_array_index(uidls, struct maildrop_entry, i);
		uint32_t number;

		if (!entry->key || !parse_u32(entry->key, strlen(entry->key), &number) ||
			number != entry->number)
			return false;
	}
	return uidls->len > 0;
}

/* False: they do not agree about what is there. */
static bool join(struct maildrop *drop)
{
	sort(drop->entries);
	sort(drop->uidls);
	if (drop->no_uidl || are_numbers(drop->uidls))
		return true;
	if (drop->entries->len != drop->uidls->len)
		return false;
	for (guint i = 0; i < drop->entries->len; i++) {
		struct maildrop_entry *entry = &g_array_index(drop->entries, struct maildrop_entry, i);
		const struct maildrop_entry *uidl = &g_array_index(drop->uidls, struct maildrop_entry, i);

		if (entry->number != uidl->number)
			return false;
		entry->key = uidl->key;
	}
	return true;
}

/* The callbacks change the list. */
static struct request *next_waiting(struct mailfs_session *s)
{
	for (GList *at = s->life.requests.head; at; at = at->next) {
		struct request *request = at->data;

		if (request->is_started && (request->marks & POP3_NEEDS_DROP) != 0 &&
			(request->marks & POP3_IS_BEGUN) == 0)
			return request;
	}
	return NULL;
}

void maildrop_listed(struct mailfs_session *s)
{
	struct request *request;

	s->drop.state = MAILDROP_LISTED;
	s->is_used = true;
	/* One of them may have the maildrop listed anew. */
	while (!s->life.failure && s->drop.state == MAILDROP_LISTED && (request = next_waiting(s))) {
		request->marks |= POP3_IS_BEGUN;
		request->start(request);
	}
}

static void failed(struct mailfs_session *s, const GError *error)
{
	struct request *request;

	maildrop_forget(&s->drop);
	while ((request = next_waiting(s)))
		request_finish(request, error);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void tell_cut(struct mailfs_session *s)
{
	g_autofree char *text = g_strdup_printf("only the first %u messages of the maildrop are shown",
		s->drop.max);

	if (s->life.events.alert)
		s->life.events.alert(s->life.user, text);
}

static void on_both(struct mailfs_session *s)
{
	g_autoptr(GError) error = NULL;

	if (s->drop.is_cut)
		tell_cut(s);
	if (join(&s->drop)) {
		maildrop_name(s);
		return;
	}
	error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
		"UIDL and LIST disagree about what is in the maildrop (%u and %u messages)",
		s->drop.uidls->len, s->drop.entries->len);
	failed(s, error);
}

/* Who has UIDL and refuses it now would, without it, seem to have other messages: all would be new,
 * and those that are known gone. Who offers it and never gives it: -o disable=UIDL. */
static bool is_refusal_of_now(const struct mailfs_session *s, const GError *error)
{
	return s->caps.uidl || error->code != MAILFS_ERROR_PROTOCOL;
}

static void on_uidl_done(struct pop3_command *command, const char *text, const GError *error)
{
	struct mailfs_session *s = command->user;

	s->drop.no_uidl = error != NULL;
	g_clear_error(&s->drop.refusal);
	if (error && is_refusal_of_now(s, error))
		s->drop.refusal = g_error_copy(error);
}

static void on_list_done(struct pop3_command *command, const char *text, const GError *error)
{
	struct mailfs_session *s = command->user;
	g_autoptr(GError) refusal = g_steal_pointer(&s->drop.refusal);

	if (error)
		failed(s, error);
	/* Some refuse both while there is no message. */
	else if (refusal && s->drop.entries->len > 0)
		failed(s, refusal);
	else if (!s->life.failure)
		on_both(s);
}

/* LIST comes last: its answer is the end. */
bool maildrop_want(struct mailfs_session *s)
{
	static const struct pop3_hooks uidl = { .line = on_uidl_line, .done = on_uidl_done };
	static const struct pop3_hooks list = { .line = on_list_line, .done = on_list_done };
	struct pop3_command *command;

	if (s->drop.state != MAILDROP_UNKNOWN)
		return s->drop.state == MAILDROP_LISTED;
	s->drop.state = MAILDROP_ASKED;
	command = pop3_command_new(&uidl, POP3_MANY_LINES, "UIDL", "UIDL");
	command->user = s;
	pop3_queue_add(&s->queue, command);
	command = pop3_command_new(&list, POP3_MANY_LINES, "LIST", "LIST");
	command->user = s;
	pop3_queue_add(&s->queue, command);
	return false;
}
