/* SPDX-License-Identifier: MIT */
/*
 * The array of messages of a mailbox and its interned keyword sets. No thread of its own: the
 * store thread fills a new mailbox and gives it to the loop.
 */
#include "model/message.h"

#include <string.h>

G_STATIC_ASSERT(sizeof(struct message) == 40);

struct mailbox *mailbox_new(uint32_t id, uint32_t uidvalidity)
{
	struct mailbox *box = g_new0(struct mailbox, 1);

	box->id = id;
	box->uidvalidity = uidvalidity;
	box->messages = g_array_new(FALSE, TRUE, sizeof(struct message));
	box->keywords = g_ptr_array_new_with_free_func(g_free);
	box->keyword_ids = g_hash_table_new(g_str_hash, g_str_equal);
	mailbox_intern_keyword_text(box, "");
	return box;
}

void mailbox_free(struct mailbox *box)
{
	if (!box)
		return;
	g_hash_table_destroy(box->keyword_ids);
	g_ptr_array_unref(box->keywords);
	g_array_unref(box->messages);
	g_free(box);
}

uint32_t mailbox_count(const struct mailbox *box)
{
	return box->messages->len;
}

struct message *mailbox_at(const struct mailbox *box, size_t index)
{
	g_assert(index < box->messages->len);
	return &g_array_index(box->messages, struct message, index);
}

uint32_t mailbox_uid_max(const struct mailbox *box)
{
	uint32_t count = mailbox_count(box);

	return count == 0 ? 0 : mailbox_at(box, count - 1)->uid;
}

size_t mailbox_lower_bound(const struct mailbox *box, uint32_t uid)
{
	size_t low = 0, high = box->messages->len;

	/* New mail comes at the end, and a sweep appends only. */
	if (high == 0 || uid > mailbox_at(box, high - 1)->uid)
		return high;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mailbox_at(box, middle)->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct message *mailbox_find(const struct mailbox *box, uint32_t uid)
{
	size_t index = mailbox_lower_bound(box, uid);
	struct message *message;

	if (index == box->messages->len)
		return NULL;
	message = mailbox_at(box, index);
	return message->uid == uid ? message : NULL;
}

struct message *mailbox_insert(struct mailbox *box, uint32_t uid, bool *ret_is_new)
{
	size_t index = mailbox_lower_bound(box, uid);
	struct message message = { .uid = uid };

	if (index < box->messages->len && mailbox_at(box, index)->uid == uid) {
		*ret_is_new = false;
		return mailbox_at(box, index);
	}

	g_array_insert_val(box->messages, (guint)index, message);
	box->unseen++;
	*ret_is_new = true;
	return mailbox_at(box, index);
}

static bool is_unseen(const struct message *message)
{
	return (message->flags & MAILFS_FLAG_SEEN) == 0;
}

size_t mailbox_remove_if(struct mailbox *box, message_test_fn is_gone, void *user)
{
	size_t count = box->messages->len, kept = 0;

	for (size_t i = 0; i < count; i++) {
		const struct message *message = mailbox_at(box, i);

		if (is_gone(message, user)) {
			box->unseen -= is_unseen(message);
			continue;
		}
		if (kept != i)
			*mailbox_at(box, kept) = *message;
		kept++;
	}
	g_array_set_size(box->messages, (guint)kept);
	return count - kept;
}

void mailbox_remove_range(struct mailbox *box, uint32_t first, uint32_t last)
{
	size_t low = mailbox_lower_bound(box, first);
	size_t high = low;

	/* The end is found by what is here: a range may span UIDs that never were. */
	while (high < box->messages->len && mailbox_at(box, high)->uid <= last) {
		box->unseen -= is_unseen(mailbox_at(box, high));
		high++;
	}
	if (high > low)
		g_array_remove_range(box->messages, (guint)low, (guint)(high - low));
}

static int compare_words(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

uint32_t mailbox_intern_keywords(struct mailbox *box, const char *const *keywords)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autoptr(GString) text = g_string_new(NULL);
	const char *last = "";

	for (; keywords && *keywords; keywords++)
		g_ptr_array_add(words, (gpointer)*keywords);
	g_ptr_array_sort(words, compare_words);

	for (guint i = 0; i < words->len; i++) {
		const char *word = g_ptr_array_index(words, i);

		/* Sorted, so that empty words come first and equal ones together. */
		if (strcmp(word, last) == 0)
			continue;
		if (text->len > 0)
			g_string_append_c(text, ' ');
		g_string_append(text, word);
		last = word;
	}
	return mailbox_intern_keyword_text(box, text->str);
}

uint32_t mailbox_intern_keyword_text(struct mailbox *box, const char *sorted_text)
{
	gpointer id;
	char *copy;

	if (g_hash_table_lookup_extended(box->keyword_ids, sorted_text, NULL, &id))
		return GPOINTER_TO_UINT(id);

	copy = g_strdup(sorted_text);
	id = GUINT_TO_POINTER(box->keywords->len);
	g_ptr_array_add(box->keywords, copy);
	g_hash_table_insert(box->keyword_ids, copy, id);
	return GPOINTER_TO_UINT(id);
}

const char *mailbox_keywords(const struct mailbox *box, uint32_t id)
{
	g_assert(id < box->keywords->len);
	return g_ptr_array_index(box->keywords, id);
}

bool mailbox_set_flags(struct mailbox *box, struct message *message, unsigned flags,
	uint32_t keywords)
{
	if (message->flags == flags && message->keywords == keywords)
		return false;

	box->unseen -= is_unseen(message);
	message->flags = (uint8_t)flags;
	message->keywords = keywords;
	box->unseen += is_unseen(message);
	return true;
}
