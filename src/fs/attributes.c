/* SPDX-License-Identifier: MIT */
/* The values of extended attributes. */
#include "fs/attributes.h"

#include <string.h>

#include "fs/attr_flags.h"
#include "mailfs/xattr.h"

/* ---- values of messages ------------------------------------------------------------------------ */

static const char *keywords_of(const struct subject *subject)
{
	if (subject->draft)
		return subject->draft->keywords;
	return mailbox_keywords(subject->folder->box, subject->message->keywords);
}

static unsigned flags_of(const struct subject *subject)
{
	return subject->draft ? subject->draft->flags : subject->message->flags;
}

static bool value_flags(const struct subject *subject, unsigned arg, GString *ret_value)
{
	attr_flags_format(flags_of(subject), keywords_of(subject), ret_value);
	return true;
}

static bool value_tags(const struct subject *subject, unsigned arg, GString *ret_value)
{
	attr_tags_format(keywords_of(subject), ret_value);
	return ret_value->len > 0;
}

static bool value_uid(const struct subject *subject, unsigned arg, GString *ret_value)
{
	g_string_append_printf(ret_value, "%u", subject->message->uid);
	return true;
}

static bool value_uidvalidity(const struct subject *subject, unsigned arg, GString *ret_value)
{
	if (subject->folder->uidvalidity == 0)
		return false;
	g_string_append_printf(ret_value, "%u", subject->folder->uidvalidity);
	return true;
}

static bool value_date(const struct subject *subject, unsigned arg, GString *ret_value)
{
	g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(subject->message->date);
	g_autofree char *text = date ? g_date_time_format(date, "%Y-%m-%dT%H:%M:%SZ") : NULL;

	if (text)
		g_string_append(ret_value, text);
	return text != NULL;
}

static bool value_mime_type(const struct subject *subject, unsigned arg, GString *ret_value)
{
	g_string_append(ret_value, "message/rfc822");
	return true;
}

static bool value_flag(const struct subject *subject, unsigned arg, GString *ret_value)
{
	g_string_append_c(ret_value, (flags_of(subject) & arg) != 0 ? '1' : '0');
	return true;
}

static bool value_keyword(const struct subject *subject, unsigned arg, GString *ret_value)
{
	static const char *const keywords[] = { "$Forwarded", "$Junk" };

	g_string_append_c(ret_value, attr_has_keyword(keywords_of(subject), keywords[arg]) ? '1' : '0');
	return true;
}

static bool value_size(const struct subject *subject, unsigned arg, GString *ret_value)
{
	uint64_t size = subject->draft ? subject->draft->size : subject->message->size;

	g_string_append_printf(ret_value, "%" G_GUINT64_FORMAT, (guint64)size);
	return true;
}

static bool value_state(const struct subject *subject, unsigned arg, GString *ret_value)
{
	static const char *const states[] = {
		[DRAFT_OPEN] = "draft", [DRAFT_SPOOLED] = "spooled", [DRAFT_UPLOADING] = "uploading",
		[DRAFT_STORED] = "server", [DRAFT_FAILED] = "failed: ",
	};
	const struct draft *draft = subject->draft;

	if (!draft && (subject->message->bits & MESSAGE_LOCAL) != 0)
		g_string_append(ret_value, "local");
	else
		g_string_append(ret_value, draft ? states[draft->state] : "server");
	if (draft && draft->state == DRAFT_FAILED)
		g_string_append(ret_value, draft->reason ? draft->reason : "refused");
	return true;
}

static void append_cut(GString *ret_value, const char *text, size_t max)
{
	size_t len = strlen(text);

	if (len > max) {
		const char *end = text + max;

		/* Back to the start of the character that does not fit. */
		while (end > text && (*end & 0xc0) == 0x80)
			end--;
		len = (size_t)(end - text);
	}
	g_string_append_len(ret_value, text, (gssize)len);
}

enum head_field { HEAD_SUBJECT, HEAD_FROM, HEAD_MESSAGE_ID, HEAD_TO, HEAD_CC, HEAD_SENT };

static bool value_head(const struct subject *subject, unsigned arg, GString *ret_value)
{
	const struct mailfs_head *head = &subject->details->head;
	const char *const fields[] = {
		[HEAD_SUBJECT] = head->subject, [HEAD_FROM] = head->from,
		[HEAD_MESSAGE_ID] = head->message_id, [HEAD_TO] = head->to,
		[HEAD_CC] = head->cc, [HEAD_SENT] = head->date,
	};

	if (!fields[arg])
		return false;
	append_cut(ret_value, fields[arg], arg >= HEAD_TO ? 4096 : MAILFS_XATTR_VALUE_MAX);
	return true;
}

static bool value_modseq(const struct subject *subject, unsigned arg, GString *ret_value)
{
	if (subject->details->modseq == 0)
		return false;
	g_string_append_printf(ret_value, "%" G_GUINT64_FORMAT, (guint64)subject->details->modseq);
	return true;
}

static bool value_remote_id(const struct subject *subject, unsigned arg, GString *ret_value)
{
	const char *id = arg == 0 ? subject->details->remote_id : subject->details->thread_id;

	if (id)
		g_string_append(ret_value, id);
	return id != NULL;
}

static bool value_cached(const struct subject *subject, unsigned arg, GString *ret_value)
{
	const struct store_details *details = subject->details;

	if (details->is_pinned)
		g_string_append(ret_value, "pinned");
	else if (details->is_body_complete)
		g_string_append(ret_value, "yes");
	else
		g_string_append(ret_value, details->body_bytes > 0 ? "part" : "no");
	return true;
}

const struct attribute message_attributes[] = {
	{ MAILFS_XATTR_FLAGS, value_flags, 0, true, false },
	{ MAILFS_XATTR_TAGS, value_tags, 0, true, false },
	{ MAILFS_XATTR_UID, value_uid, 0, true, false },
	{ MAILFS_XATTR_UIDVALIDITY, value_uidvalidity, 0, true, false },
	{ MAILFS_XATTR_DATE, value_date, 0, true, false },
	{ MAILFS_XATTR_SUBJECT, value_head, HEAD_SUBJECT, true, true },
	{ MAILFS_XATTR_FROM, value_head, HEAD_FROM, true, true },
	{ MAILFS_XATTR_MESSAGE_ID, value_head, HEAD_MESSAGE_ID, true, true },
	{ MAILFS_XATTR_MIME_TYPE, value_mime_type, 0, true, false },
	{ MAILFS_XATTR_SEEN, value_flag, MAILFS_FLAG_SEEN, false, false },
	{ MAILFS_XATTR_FLAGGED, value_flag, MAILFS_FLAG_FLAGGED, false, false },
	{ MAILFS_XATTR_ANSWERED, value_flag, MAILFS_FLAG_ANSWERED, false, false },
	{ MAILFS_XATTR_DRAFT, value_flag, MAILFS_FLAG_DRAFT, false, false },
	{ MAILFS_XATTR_DELETED, value_flag, MAILFS_FLAG_DELETED, false, false },
	{ MAILFS_XATTR_FORWARDED, value_keyword, 0, false, false },
	{ MAILFS_XATTR_JUNK, value_keyword, 1, false, false },
	{ MAILFS_XATTR_TO, value_head, HEAD_TO, false, true },
	{ MAILFS_XATTR_CC, value_head, HEAD_CC, false, true },
	{ MAILFS_XATTR_SENT, value_head, HEAD_SENT, false, true },
	{ MAILFS_XATTR_SIZE, value_size, 0, false, false },
	{ MAILFS_XATTR_MODSEQ, value_modseq, 0, false, true },
	{ MAILFS_XATTR_EMAIL_ID, value_remote_id, 0, false, true },
	{ MAILFS_XATTR_THREAD_ID, value_remote_id, 1, false, true },
	{ MAILFS_XATTR_CACHED, value_cached, 0, false, true },
	{ MAILFS_XATTR_STATE, value_state, 0, false, false },
	{ NULL, NULL, 0, false, false },
};

const struct attribute draft_attributes[] = {
	{ MAILFS_XATTR_FLAGS, value_flags, 0, true, false },
	{ MAILFS_XATTR_TAGS, value_tags, 0, true, false },
	{ MAILFS_XATTR_MIME_TYPE, value_mime_type, 0, true, false },
	{ MAILFS_XATTR_SEEN, value_flag, MAILFS_FLAG_SEEN, false, false },
	{ MAILFS_XATTR_FLAGGED, value_flag, MAILFS_FLAG_FLAGGED, false, false },
	{ MAILFS_XATTR_ANSWERED, value_flag, MAILFS_FLAG_ANSWERED, false, false },
	{ MAILFS_XATTR_DRAFT, value_flag, MAILFS_FLAG_DRAFT, false, false },
	{ MAILFS_XATTR_DELETED, value_flag, MAILFS_FLAG_DELETED, false, false },
	{ MAILFS_XATTR_FORWARDED, value_keyword, 0, false, false },
	{ MAILFS_XATTR_JUNK, value_keyword, 1, false, false },
	{ MAILFS_XATTR_SIZE, value_size, 0, false, false },
	{ MAILFS_XATTR_STATE, value_state, 0, false, false },
	{ NULL, NULL, 0, false, false },
};

/* ---- values of folders ------------------------------------------------------------------------- */

enum folder_number { FOLDER_MESSAGES, FOLDER_UNSEEN, FOLDER_SUBSCRIBED };

static bool value_folder_number(const struct subject *subject, unsigned arg, GString *ret_value)
{
	const struct folder *folder = subject->folder;

	if (arg == FOLDER_SUBSCRIBED)
		g_string_append_c(ret_value, (folder->flags & MAILFS_FOLDER_SUBSCRIBED) != 0 ? '1' : '0');
	else
		g_string_append_printf(ret_value, "%u",
			arg == FOLDER_MESSAGES ? folder->messages : folder->unseen);
	return folder->name != NULL;
}

static bool value_uidnext(const struct subject *subject, unsigned arg, GString *ret_value)
{
	if (!subject->folder->box)
		return false;
	g_string_append_printf(ret_value, "%u", mailbox_uid_max(subject->folder->box) + 1);
	return true;
}

static bool value_role(const struct subject *subject, unsigned arg, GString *ret_value)
{
	if (subject->folder->role)
		g_string_append(ret_value, subject->folder->role);
	return subject->folder->role != NULL;
}

static bool value_name(const struct subject *subject, unsigned arg, GString *ret_value)
{
	if (subject->folder->path)
		append_cut(ret_value, subject->folder->path, 4096);
	return subject->folder->path != NULL;
}

static bool value_folder_state(const struct subject *subject, unsigned arg, GString *ret_value)
{
	static const char *const states[] = {
		[ENGINE_CONNECTING] = "connecting", [ENGINE_ONLINE] = "online",
		[ENGINE_OFFLINE] = "offline", [ENGINE_LOGIN_REFUSED] = "login refused",
		[ENGINE_STOPPED] = "stopped",
	};

	g_string_append(ret_value, states[engine_state(subject->fs->engine)]);
	return true;
}

const struct attribute folder_attributes[] = {
	{ MAILFS_XATTR_MESSAGES, value_folder_number, FOLDER_MESSAGES, false, false },
	{ MAILFS_XATTR_UNSEEN, value_folder_number, FOLDER_UNSEEN, false, false },
	{ MAILFS_XATTR_UIDVALIDITY, value_uidvalidity, 0, false, false },
	{ "user.mailfs.uidnext", value_uidnext, 0, false, false },
	{ MAILFS_XATTR_ROLE, value_role, 0, false, false },
	{ MAILFS_XATTR_SUBSCRIBED, value_folder_number, FOLDER_SUBSCRIBED, false, false },
	{ MAILFS_XATTR_STATE, value_folder_state, 0, false, false },
	{ MAILFS_XATTR_NAME, value_name, 0, false, false },
	{ NULL, NULL, 0, false, false },
};
