/* SPDX-License-Identifier: MIT */
/* FETCH lines → reports of messages, in batches. Strings live as long as their batch. Loop thread. */
#include "backend/imap/session.h"
#include "backend/imap/sync_impl.h"
#include "wire/head.h"

#define BATCH 256 /* messages in one report */

static void head_free(gpointer head)
{
	head_done(head);
	g_free(head);
}

void sync_report_flush(struct sync *sync)
{
	if (sync->batch->len > 0 && !sync->request.is_cancelled)
		sync->args.messages(sync->args.user,
			&g_array_index(sync->batch, struct mailfs_message_info, 0),
			sync->batch->len);
	g_array_set_size(sync->batch, 0);
	g_ptr_array_set_size(sync->heads, 0);
	arena_reset(&sync->arena);
}

static const char *const *copy_keywords(struct sync *sync, const char *const *keywords)
{
	size_t count = 0;
	const char **copy;

	if (!keywords || !keywords[0])
		return NULL;
	while (keywords[count])
		count++;
	copy = arena_alloc(&sync->arena, (count + 1) * sizeof(*copy));
	for (size_t i = 0; i < count; i++)
		copy[i] = arena_strdup(&sync->arena, keywords[i]);
	return copy;
}

static void add_head(struct sync *sync, struct mailfs_message_info *info,
	const struct imap_fetch *line)
{
	struct head *head = g_new0(struct head, 1);

	head_parse(line->header, line->header_len, head);
	g_ptr_array_add(sync->heads, head);
	info->head = head->fields;
	info->fields |= MAILFS_INFO_HEAD;
}

static int64_t date_of_head(const struct mailfs_head *head)
{
	g_autoptr(GDateTime) date = head->date ? g_date_time_new_from_iso8601(head->date, NULL) : NULL;

	return date ? g_date_time_to_unix(date) : 0;
}

/* What a server cannot say about a message must not hide it (SZ-1, MD-1). A line that follows one
 * of the same message has the rest of it. */
static void fill_gaps(struct sync *sync, struct mailfs_message_info *info)
{
	if (info->uid == sync->last_uid)
		return;
	if ((info->fields & MAILFS_INFO_DATE) == 0)
		info->date = date_of_head(&info->head);
	info->fields |= MAILFS_INFO_FLAGS | MAILFS_INFO_DATE | MAILFS_INFO_SIZE;
}

void sync_report_add(struct sync *sync, const struct imap_fetch *line, bool is_full)
{
	static const struct {
		unsigned item, field;
	} same[] = {
		{ IMAP_FETCH_FLAGS, MAILFS_INFO_FLAGS }, { IMAP_FETCH_DATE, MAILFS_INFO_DATE },
		{ IMAP_FETCH_SIZE, MAILFS_INFO_SIZE },   { IMAP_FETCH_MODSEQ, MAILFS_INFO_MODSEQ },
		{ IMAP_FETCH_EMAIL_ID, MAILFS_INFO_REMOTE_ID },
	};
	struct mailfs_message_info info = {
		.uid = line->uid, .flags = line->flags, .date = line->date, .size = line->size,
		.modseq = line->modseq,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(same); i++)
		if ((line->has & same[i].item) != 0)
			info.fields |= same[i].field;
	info.keywords = copy_keywords(sync, line->keywords);
	if ((line->has & IMAP_FETCH_EMAIL_ID) != 0)
		info.remote_id = arena_strdup(&sync->arena, line->email_id);
	if ((line->has & IMAP_FETCH_THREAD_ID) != 0)
		info.thread_id = arena_strdup(&sync->arena, line->thread_id);
	if ((line->has & IMAP_FETCH_HEADER) != 0)
		add_head(sync, &info, line);
	if (is_full)
		fill_gaps(sync, &info);
	sync->last_uid = info.uid;
	g_array_append_val(sync->batch, info);
	if (sync->batch->len >= BATCH)
		sync_report_flush(sync);
}

void sync_report_init(struct sync *sync)
{
	sync->batch = g_array_new(FALSE, FALSE, sizeof(struct mailfs_message_info));
	sync->heads = g_ptr_array_new_with_free_func(head_free);
	arena_init(&sync->arena);
}

void sync_report_done(struct sync *sync)
{
	g_array_unref(sync->batch);
	g_ptr_array_unref(sync->heads);
	arena_done(&sync->arena);
}
