/* SPDX-License-Identifier: MIT */
/*
 * Plain values that every layer shares. Strings are UTF-8 without NUL inside unless said
 * otherwise; pointers in these structs are borrowed for the call that passes them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* System flags, RFC 9051 §2.3.2. \Recent is ignored. */
enum mailfs_flag {
	MAILFS_FLAG_SEEN     = 1u << 0,
	MAILFS_FLAG_ANSWERED = 1u << 1,
	MAILFS_FLAG_FLAGGED  = 1u << 2,
	MAILFS_FLAG_DELETED  = 1u << 3,
	MAILFS_FLAG_DRAFT    = 1u << 4,
	MAILFS_FLAGS_ALL     = (1u << 5) - 1,
};

/* What a login may do in a folder, RFC 4314 §4. Without ACL a server allows all that its READ-ONLY
 * and PERMANENTFLAGS do not deny. */
enum mailfs_right {
	MAILFS_RIGHT_SEEN   = 1u << 0, /* s: set and clear \Seen */
	MAILFS_RIGHT_FLAGS  = 1u << 1, /* w: other flags and keywords, but \Deleted */
	MAILFS_RIGHT_INSERT = 1u << 2, /* i: APPEND, COPY into it */
	MAILFS_RIGHT_DELETE = 1u << 3, /* t and e: remove messages */
	MAILFS_RIGHT_CREATE = 1u << 4, /* k: folders below it */
	MAILFS_RIGHT_REMOVE = 1u << 5, /* x: the folder itself */
	MAILFS_RIGHTS_ALL   = (1u << 6) - 1,
};

/* Bytes [offset, offset + len) of a message. */
struct mailfs_range {
	uint64_t offset;
	uint64_t len;
};

/* Header fields, decoded to valid UTF-8, one line each; NULL = absent from the header. */
struct mailfs_head {
	const char *subject;
	const char *from;      /* "Ann Lee <ann@example.org>", all of the field */
	const char *from_name; /* display name of the first address, else its local part */
	const char *to;
	const char *cc;
	const char *message_id;
	const char *date; /* Date field as RFC 3339 UTC; NULL when absent or invalid */
};

/* Which members of struct mailfs_message_info a backend reports. */
enum mailfs_info_field {
	MAILFS_INFO_FLAGS     = 1u << 0, /* flags and keywords */
	MAILFS_INFO_DATE      = 1u << 1,
	MAILFS_INFO_SIZE      = 1u << 2,
	MAILFS_INFO_MODSEQ    = 1u << 3,
	MAILFS_INFO_REMOTE_ID = 1u << 4,
	MAILFS_INFO_HEAD      = 1u << 5,
};

/* What a sweep tells about one message. */
struct mailfs_message_info {
	uint32_t uid;    /* never 0 */
	unsigned fields; /* enum mailfs_info_field: what is set below */

	unsigned flags;              /* enum mailfs_flag */
	const char *const *keywords; /* NULL-terminated; NULL = none; atoms as the server wrote them */
	int64_t date;                /* INTERNALDATE, seconds since 1970 UTC */
	uint64_t size;               /* RFC822.SIZE in octets: what the server claims */
	uint64_t modseq;
	const char *remote_id; /* EMAILID, X-GM-MSGID or UIDL: equal id = equal bytes in an account */
	const char *thread_id;
	struct mailfs_head head;
};

enum mailfs_folder_flag {
	MAILFS_FOLDER_NOSELECT    = 1u << 0, /* a directory without messages */
	MAILFS_FOLDER_NOINFERIORS = 1u << 1,
	MAILFS_FOLDER_SUBSCRIBED  = 1u << 2,
	MAILFS_FOLDER_INBOX       = 1u << 3,
	MAILFS_FOLDER_HIDDEN      = 1u << 4, /* not shown: what is thrown away goes there all the same */
};

enum mailfs_status_item {
	MAILFS_STATUS_MESSAGES    = 1u << 0,
	MAILFS_STATUS_UNSEEN      = 1u << 1,
	MAILFS_STATUS_UIDNEXT     = 1u << 2,
	MAILFS_STATUS_UIDVALIDITY = 1u << 3,
	MAILFS_STATUS_MODSEQ      = 1u << 4,
	MAILFS_STATUS_ALL         = (1u << 5) - 1,
};

/* What a folder is like, without opening it: a hint to look, never the truth (ID-7). */
struct mailfs_status {
	const char *folder; /* wire name */
	unsigned has;       /* enum mailfs_status_item */
	uint32_t messages, unseen, uidnext, uidvalidity;
	uint64_t modseq;
};

/* What a listing tells about one folder. */
struct mailfs_folder_info {
	const char *name;  /* as on the wire: identity, sent back byte for byte; never shown */
	const char *path;  /* decoded, UTF-8 where the wire name decodes cleanly, else wire bytes */
	char delimiter;    /* in `path`; 0 = flat, no split */
	unsigned flags;    /* enum mailfs_folder_flag */
	const char *role;  /* special use as "\\Sent"; NULL = none. RFC 6154 */

	struct mailfs_status status; /* as far as `has` goes; without `folder` */
};
