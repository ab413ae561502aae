/* SPDX-License-Identifier: MIT */
/*
 * Responses → structs, for what the IMAP backend uses. Pure functions over the node tree of
 * wire/imap_reader.h; results borrow from the reader's arena or live in a caller's arena.
 * Parsers are lenient about what does not matter and never fail a session for one bad item: a
 * malformed item is left out. RFC 9051 §7, RFC 5258, RFC 5819, RFC 6154, RFC 4731, RFC 7162.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "base/arena.h"
#include "mailfs/types.h"
#include "wire/imap_reader.h"

/* A FETCH response. `has` tells which members are set. */
enum imap_fetch_item {
	IMAP_FETCH_UID       = 1u << 0,
	IMAP_FETCH_FLAGS     = 1u << 1,
	IMAP_FETCH_DATE      = 1u << 2, /* INTERNALDATE, valid */
	IMAP_FETCH_SIZE      = 1u << 3,
	IMAP_FETCH_MODSEQ    = 1u << 4,
	IMAP_FETCH_EMAIL_ID  = 1u << 5, /* EMAILID or X-GM-MSGID */
	IMAP_FETCH_THREAD_ID = 1u << 6, /* THREADID or X-GM-THRID */
	IMAP_FETCH_HEADER    = 1u << 7, /* BODY[HEADER.FIELDS …] or BODY[HEADER] */
	IMAP_FETCH_BODY      = 1u << 8, /* BODY[] or BODY[]<o>: also when NIL */
};

struct imap_fetch {
	uint32_t seq;
	unsigned has;
	uint32_t uid;
	unsigned flags;              /* enum mailfs_flag */
	const char *const *keywords; /* NULL-terminated, in `arena`, bounded */
	int64_t date;
	uint64_t size;
	uint64_t modseq;
	const char *email_id;
	const char *thread_id;
	const char *header;
	size_t header_len;
	const struct imap_node *body; /* STRING, NIL or STREAMED */
	bool has_body_origin;         /* BODY[]<12>: body_origin = 12 */
	uint64_t body_origin;
};

/* Works on a partial response (IMAP_EVENT_DATA_BEGIN) too. False: not a FETCH, or unusable. */
bool imap_fetch_parse(const struct imap_response *response, struct arena *arena,
	struct imap_fetch *ret_fetch);

/* LIST, LSUB, XLIST; attributes and OLDNAME, CHILDINFO, STATUS tolerated. */
struct imap_list {
	const char *name; /* wire name, NUL-terminated; names with a NUL byte inside are refused */
	char delimiter;   /* 0 = NIL or not one ASCII character */
	unsigned flags;   /* enum mailfs_folder_flag; \NonExistent implies NOSELECT */
	const char *role; /* static "\\Sent"…; NULL */
};
bool imap_list_parse(const struct imap_response *response, struct imap_list *ret_list);

enum imap_status_item {
	IMAP_STATUS_MESSAGES      = 1u << 0,
	IMAP_STATUS_UNSEEN        = 1u << 1,
	IMAP_STATUS_UIDNEXT       = 1u << 2,
	IMAP_STATUS_UIDVALIDITY   = 1u << 3,
	IMAP_STATUS_HIGHESTMODSEQ = 1u << 4,
};
struct imap_status_resp {
	const char *name;
	unsigned has;
	uint32_t messages, unseen, uidnext, uidvalidity;
	uint64_t highestmodseq;
};
bool imap_status_parse(const struct imap_response *response, struct imap_status_resp *ret_status);

/* "* SEARCH 1 2 3" and "* ESEARCH (TAG "x") UID ALL 1:5,7": calls fn(first, last) for each range.
 * Returns false when it is neither, or when the set of an ESEARCH is malformed. Ranges are not checked
 * for order and are never expanded. A long SEARCH comes as several responses: merge them. */
typedef void (*imap_range_fn)(void *user, uint32_t first, uint32_t last);
bool imap_search_parse(const struct imap_response *response, imap_range_fn fn, void *user);

/* "* VANISHED (EARLIER) 1:5,7". */
bool imap_vanished_parse(const struct imap_response *response, bool *ret_is_earlier,
	imap_range_fn fn, void *user);

/* [APPENDUID 38505 3955], of the tagged OK or an untagged one. False when it is not there, not of
 * one message, or impossible (a 0). RFC 4315 §3. */
bool imap_appenduid_parse(const struct imap_response *response, uint32_t *ret_uidvalidity,
	uint32_t *ret_uid);

/*
 * [COPYUID 38505 304,319:320 3956:3958]: the n-th message of `source` became the n-th of `target`.
 * Only what can be paired without doubt counts (ID-4): both sets present, ascending and of equal
 * count. g_array_unref() both (struct imap_seqset_range of wire/imap_seqset.h). RFC 4315 §3.
 */
struct imap_copyuid {
	uint32_t uidvalidity;
	GArray *source, *target;
};
bool imap_copyuid_parse(const struct imap_response *response, struct imap_copyuid *ret_copyuid);

/* "* MYRIGHTS INBOX rwiptsldaex", and [MYRIGHTS "…"] of an untagged OK: enum mailfs_right. Rights
 * of RFC 2086 servers are translated. RFC 4314 §3.8. */
bool imap_myrights_parse(const struct imap_response *response, unsigned *ret_rights);

/* Flags of a list node, as in FETCH, FLAGS and PERMANENTFLAGS. `ret_has_star`: \* is in it. */
unsigned imap_flags_parse(const struct imap_node *list, struct arena *arena,
	const char *const **ret_keywords, bool *ret_has_star);

/* NAMESPACE: the first personal prefix and delimiter; false when NIL or malformed. */
bool imap_namespace_parse(const struct imap_response *response, const char **ret_prefix,
	char *ret_delimiter);

/* ID: "name version" of the server, in `arena`, raw; NULL when NIL. */
const char *imap_id_parse(const struct imap_response *response, struct arena *arena);
