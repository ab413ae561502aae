/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes of messages and folders: what a script may rely on. Values are UTF-8 text
 * without a trailing NUL or newline. mailfs-xattr(7) is the manual.
 */
#pragma once

#define MAILFS_XATTR_FLAGS       "user.mailfs.flags" /* "$Forwarded \Answered \Seen work" */
#define MAILFS_XATTR_TAGS        "user.xdg.tags"     /* keywords without '$', comma separated */
#define MAILFS_XATTR_UID         "user.mailfs.uid"
#define MAILFS_XATTR_UIDVALIDITY "user.mailfs.uidvalidity"
#define MAILFS_XATTR_DATE        "user.mailfs.date" /* INTERNALDATE, RFC 3339, UTC */
#define MAILFS_XATTR_SUBJECT     "user.xdg.origin.email.subject"
#define MAILFS_XATTR_FROM        "user.xdg.origin.email.from"
#define MAILFS_XATTR_MESSAGE_ID  "user.xdg.origin.email.message-id"
#define MAILFS_XATTR_MIME_TYPE   "user.mime_type" /* "message/rfc822" */

/* Not listed; each "0" or "1". */
#define MAILFS_XATTR_SEEN      "user.mailfs.seen"
#define MAILFS_XATTR_FLAGGED   "user.mailfs.flagged"
#define MAILFS_XATTR_ANSWERED  "user.mailfs.answered"
#define MAILFS_XATTR_DRAFT     "user.mailfs.draft"
#define MAILFS_XATTR_DELETED   "user.mailfs.deleted"
#define MAILFS_XATTR_FORWARDED "user.mailfs.forwarded"
#define MAILFS_XATTR_JUNK      "user.mailfs.junk"

/* Not listed. */
#define MAILFS_XATTR_TO        "user.mailfs.to"
#define MAILFS_XATTR_CC        "user.mailfs.cc"
#define MAILFS_XATTR_SENT      "user.mailfs.sent" /* Date field, RFC 3339, UTC */
#define MAILFS_XATTR_SIZE      "user.mailfs.size"
#define MAILFS_XATTR_MODSEQ    "user.mailfs.modseq"
#define MAILFS_XATTR_EMAIL_ID  "user.mailfs.email-id"
#define MAILFS_XATTR_THREAD_ID "user.mailfs.thread-id"
#define MAILFS_XATTR_CACHED    "user.mailfs.cached" /* "no", "part", "yes", "pinned" */
#define MAILFS_XATTR_STATE     "user.mailfs.state"  /* "server" */

/* Folders; none is listed. */
#define MAILFS_XATTR_MESSAGES   "user.mailfs.messages"
#define MAILFS_XATTR_UNSEEN     "user.mailfs.unseen"
#define MAILFS_XATTR_ROLE       "user.mailfs.role"
#define MAILFS_XATTR_SUBSCRIBED "user.mailfs.subscribed"
#define MAILFS_XATTR_NAME       "user.mailfs.name" /* the server's name, decoded, when shown escaped */

/* All listed attributes of a message together stay under this; a header value is cut at VALUE. */
#define MAILFS_XATTR_LISTED_MAX 2048
#define MAILFS_XATTR_VALUE_MAX  400
