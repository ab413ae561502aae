/* SPDX-License-Identifier: MIT */
/*
 * The array of messages of a mailbox and its interned keyword sets. No thread of its own: the
 * store thread fills a new mailbox and gives it to the loop.
 */
#include "model/message.h"

#include <string.h>

/* About the square root of a large mailbox: then an insert moves as many here as there. */
#define MAILBOX_LATE_MAX 512u

G_STATIC_ASSERT(sizeof(struct message) == 40);

struct mailbox *mailbox_new(uint32_t id, uint32_t uidvalidity)
{
	struct mailbox *box = g_new0(struct mailbox, 1);

	box->id = id;
	box->uidvalidity = uidvalidity;
	box->messages = g_array_new(FALSE, TRUE, sizeof(struct message));
	box->late = g_array_new(FALSE, FALSE, sizeof(struct message));
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
	g_array_unref(box->late);
	g_free(box);
}

uint32_t mailbox_count(const struct mailbox *box)
{
	return box->messages->len + box->late->len;
}

/* Merged from the back, so that each message moves once. */
void mailbox_settle(struct mailbox *box)
{
	guint from = box->messages->len, left = box->late->len, to = from + left;
	struct message *messages;

	if (left == 0)
		return;
	g_array_set_size(box->messages, to);
	messages = (struct message *)(void *)box->messages->data;
	while (left > 0) {
		const struct message *late = &g_array_index(box->late, struct message, left - 1);

		if (from > 0 && messages[from - 1].uid > late->uid) {
			messages[--to] = messages[--from];
			box->moved++;
		} else {
			messages[--to] = *late;
			left--;
		}
	}
	g_array_set_size(box->late, 0);
}

struct message *mailbox_at(const struct mailbox *box, size_t index)
{
	mailbox_settle((struct mailbox *)box); /* the same messages as before */
	g_assert(index < box->messages->len);
	return &g_array_index(box->messages, struct message, index);
}

static uint32_t last_uid(const GArray *messages)
{
	return messages->len == 0 ? 0 : g_array_index(messages, struct message, messages->len - 1).uid;
}

uint32_t mailbox_uid_max(const struct mailbox *box)
{
	return MAX(last_uid(box->messages), last_uid(box->late));
}

static guint lower_bound(const GArray *messages, uint32_t uid)
{
	guint low = 0, high = messages->len;

	/* New mail comes at the end, and a sweep appends only. */
	if (uid > last_uid(messages))
		return high;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (g_array_index(messages, struct message, middle).uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t mailbox_lower_bound(const struct mailbox *box, uint32_t uid)
{
	mailbox_settle((struct mailbox *)box); /* the same messages as before */
	return lower_bound(box->messages, uid);
}

static struct message *find(const GArray *messages, uint32_t uid)
{
	guint index = lower_bound(messages, uid);
	struct message *message;

	if (index == messages->len)
		return NULL;
	message = &g_array_index(messages, struct message, index);
	return message->uid == uid ? message : NULL;
}

struct message *mailbox_find(const struct mailbox *box, uint32_t uid)
{
	struct message *message = find(box->messages, uid);

	return message ? message : find(box->late, uid);
}

static struct message *insert_sorted(struct mailbox *box, GArray *messages, uint32_t uid)
{
	struct message message = { .uid = uid };
	guint index = lower_bound(messages, uid);

	box->moved += messages->len - index;
	g_array_insert_val(messages, index, message);
	return &g_array_index(messages, struct message, index);
}

struct message *mailbox_insert(struct mailbox *box, uint32_t uid, bool *ret_is_new)
{
	struct message *message = mailbox_find(box, uid);

	*ret_is_new = !message;
	if (message)
		return message;

	box->unseen++;
	if (uid > mailbox_uid_max(box))
		return insert_sorted(box, box->messages, uid);
	if (box->late->len >= MAILBOX_LATE_MAX)
		mailbox_settle(box);
	return insert_sorted(box, box->late, uid);
}

static bool is_unseen(const struct message *message)
{
	return (message->flags & MAILFS_FLAG_SEEN) == 0;
}

size_t mailbox_remove_if(struct mailbox *box, message_test_fn is_gone, void *user)
{
	size_t count = mailbox_count(box), kept = 0;

	mailbox_settle(box);
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
