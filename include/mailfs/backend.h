/* SPDX-License-Identifier: MIT */
/*
 * What a mail protocol implements, and all that the engine knows of it.
 *
 * A session is one connection, from dialling to death. It dies whole: after `dead` it does
 * nothing more and the engine frees it and opens another. Everything here happens on the loop
 * thread; nothing blocks. Requests may be made as soon as `ready` was reported; they are queued and
 * pipelined by the backend, which also opens ("selects") the folder that a request names.
 *
 * Callback rules
 *   1. Each request ends with exactly one `done`, also when it is cancelled
 *      (MAILFS_ERROR_CANCELLED) and when the session dies (the error of the death). No other
 *      callback of the request comes after `done`.
 *   2. No callback is made from inside the call that starts the request, nor from inside close(),
 *      cancel() or free(); only from the loop.
 *   3. Inside a callback every function here may be called, close() too. free() may not.
 *   4. Pointers passed to a callback are borrowed for that call. Pointers inside a request struct
 *      are borrowed until the function returns: the backend copies what it keeps.
 *   5. `dead` comes after the `done` of every open request, and at most once.
 */
#pragma once

#include <glib.h>

#include "mailfs/error.h"
#include "mailfs/types.h"

/* ---- configuration ------------------------------------------------------------------------ */

enum mailfs_tls {
	MAILFS_TLS_IMPLICIT, /* imaps, pop3s */
	MAILFS_TLS_STARTTLS, /* imap, pop3: required, never optional */
	MAILFS_TLS_NONE,     /* only by -o tls=none */
};

enum mailfs_auth {
	MAILFS_AUTH_ANY,       /* the strongest that both sides know */
	MAILFS_AUTH_PLAINTEXT, /* as ANY, and plain text is allowed without TLS */
	MAILFS_AUTH_SCRAM,     /* nothing but SCRAM */
	MAILFS_AUTH_PLAIN,     /* SASL PLAIN only */
	MAILFS_AUTH_LOGIN,     /* LOGIN command only */
	MAILFS_AUTH_OAUTH,     /* OAUTHBEARER, then XOAUTH2: the secret is a token */
	MAILFS_AUTH_EXTERNAL,
};

/* The secret arrives: `secret` is borrowed and is wiped by the giver. NULL + error: none. */
typedef void (*mailfs_secret_fn)(void *user, const char *secret, const GError *error);

/* Asks for the password or token, at each login anew. Answers from the loop, exactly once. */
struct mailfs_secret_source {
	void (*get)(void *source_user, mailfs_secret_fn done, void *user);
	void *source_user;
};

struct mailfs_backend_config {
	const char *host;
	uint16_t port;
	enum mailfs_tls tls;
	const char *tls_fingerprint; /* "sha256:HEX" of the leaf certificate; NULL = none */
	const char *tls_ca_file;     /* a further CA file; NULL = none */
	const char *user;
	enum mailfs_auth auth;
	struct mailfs_secret_source secret;

	const char *const *disable; /* capabilities to treat as not offered; NULL-terminated or NULL */
	const char *const *include; /* folder globs on the decoded path; NULL = all */
	const char *const *exclude;
	bool subscribed_only;
	bool want_compress; /* COMPRESS=DEFLATE where offered, from the login on */
	bool want_head;     /* sweeps report MAILFS_INFO_HEAD */
	bool is_read_only;  /* folders are opened so that nothing can change (EXAMINE) */

	unsigned connect_timeout_ms; /* DNS, TCP, TLS, greeting and login, each */
	unsigned silence_timeout_ms; /* requests under way and not a byte: the connection is dead */
};

/* ---- events of a session ------------------------------------------------------------------ */

/* Known after login; strings are borrowed. For status and `mailfsctl check`. */
struct mailfs_server_info {
	const char *tls_version; /* "TLSv1.3"; NULL = clear text */
	const char *tls_cipher;
	const char *auth;         /* mechanism that was used */
	const char *server_id;    /* from ID, printable; NULL = unknown */
	const char *capabilities; /* space separated, after login */
	bool compressed;
	unsigned max_pipeline;  /* requests worth having in flight on one session */
	uint64_t append_limit;  /* octets; 0 = unknown */
	bool can_range;         /* fetches of a range are possible */
	bool can_delta;         /* sync of a known folder costs no full sweep */
	const char *keeps;      /* how long it keeps messages, for people; NULL = not told */
	unsigned login_delay;   /* s that the server wants between two logins; 0 = none */
	/* How changes can be heard of; none of them: by asking. */
	bool can_idle;          /* watch of the selected folder */
	bool can_notify;        /* watch of the whole account */
};

/* Received so far by a session. */
struct mailfs_traffic {
	uint64_t wire;  /* bytes as they came */
	uint64_t plain; /* after decryption and inflation */
	bool is_compressed;
};

struct mailfs_session_events {
	void (*ready)(void *user, const struct mailfs_server_info *info);
	/* Something changed in `folder` (wire name) that no request asked for: sync it soon. */
	void (*folder_changed)(void *user, const char *folder);
	/* What a watched folder is like now, told by itself or when its watch begins. NULL = nobody
	 * wants to know; so is the next one. */
	void (*folder_status)(void *user, const struct mailfs_status *status);
	/* Folders were made, renamed, removed or subscribed by somebody: list them soon. */
	void (*tree_changed)(void *user);
	/* Text that the server wants a person to see ([ALERT]); already printable. */
	void (*alert)(void *user, const char *text);
	/* The end. `error` is never NULL; after close() no `dead` comes. MAILFS_ERROR_CANCELLED: nothing
	 * is wrong, the session has served its purpose (of a protocol whose sessions are snapshots). */
	void (*dead)(void *user, const GError *error);
};

struct mailfs_session; /* the backend's own */

/* ---- requests ----------------------------------------------------------------------------- */

/*
 * Messages that are known by keys (MAILFS_TRAIT_KEYS): their servers have no UIDs. The engine gives
 * each key a UID of its own, growing, and keeps the pairs with the folder; UIDVALIDITY is the
 * engine's, too. A key is printable ASCII, at most 160 bytes. A backend with keys asks `uid_of_key`
 * for each message of a listing before it reports anything of it; to fetch or remove messages it
 * is given the `keys` along with the UIDs.
 *
 * Returns the UID, allotted when the key is new (0: none may be, leave the message out), and which
 * fields (enum mailfs_info_field) are to be reported of it; 0: mentioning it by `uids` will do.
 */
typedef uint32_t (*mailfs_key_fn)(void *user, const char *key, unsigned *ret_wanted);

/* Names a request until its done; 0 is none. */
typedef uint64_t mailfs_ticket;

typedef void (*mailfs_done_fn)(void *user, const GError *error);

struct mailfs_list_request {
	void (*folder)(void *user, const struct mailfs_folder_info *info);
	mailfs_done_fn done; /* success = the listing is whole */
	void *user;
};

/* What the index knows of a folder; uidvalidity 0 = nothing. */
struct mailfs_known {
	uint32_t uidvalidity;
	uint32_t uid_max; /* highest UID known; 0 = none */
	uint32_t count;
	uint64_t modseq; /* HIGHESTMODSEQ of the last complete sync; 0 = none */
};

struct mailfs_sync_state {
	uint32_t uidvalidity; /* 0 = the server gives none: nothing may be cached past the session */
	uint32_t uidnext;     /* 0 = not given */
	uint32_t exists;
	bool read_only;
	unsigned rights;              /* enum mailfs_right: what this login may do here */
	unsigned denied;              /* those that an ACL withholds; others are read-only's */
	bool keywords_allowed;        /* PERMANENTFLAGS has \* or is absent */
	unsigned permanent_flags;     /* enum mailfs_flag */
	const char *const *keywords;  /* of PERMANENTFLAGS; NULL-terminated or NULL */
	/* What the callbacks that follow mean for messages they do not mention. */
	bool is_delta;  /* true: unmentioned = unchanged. false: unmentioned = gone (full listing) */
	bool is_reset;  /* the UIDVALIDITY differs from the known one: forget all UIDs first */
};

struct mailfs_sync_result {
	uint64_t modseq; /* to be remembered once everything reported is stored; 0 = none */
};

/*
 * Brings the engine's knowledge of a folder up to date: `state` once, then any number of
 * `messages`, `uids` and `vanished`, then `done`. A UID may be mentioned more than once; the
 * later one counts. Without error, everything the server has was mentioned or is unchanged.
 */
struct mailfs_sync_request {
	const char *folder; /* wire name */
	struct mailfs_known known;
	void (*state)(void *user, const struct mailfs_sync_state *state);
	void (*messages)(void *user, const struct mailfs_message_info *infos, size_t count);
	/* These exist (unchanged as far as is known). Ascending. */
	void (*uids)(void *user, const uint32_t *uids, size_t count);
	/* UIDs first … last are gone; may span UIDs that never were. Never expand it. */
	void (*vanished)(void *user, uint32_t first, uint32_t last);
	mailfs_key_fn uid_of_key; /* for a backend with keys */
	/* Of a folder that was not known: all messages up to the UID `last` were told; more will follow.
	 * Ascending. NULL = nobody wants to know. */
	void (*complete)(void *user, uint32_t last);
	void (*done)(void *user, const struct mailfs_sync_result *result, const GError *error);
	void *user;
};

/* Which of the UIDs first … last exist now, by the plainest means (no delta, no cache). None at all
 * (first > last): the folder is opened, for requests that will come soon. */
struct mailfs_uids_request {
	const char *folder;
	uint32_t first, last; /* last = UINT32_MAX: to the end */
	void (*uids)(void *user, const uint32_t *uids, size_t count); /* ascending */
	mailfs_key_fn uid_of_key; /* for a backend with keys; allots nothing here */
	mailfs_done_fn done;
	void *user;
};

/*
 * The server tells of changes by itself from `begun` on, as events of the session.
 *
 * One folder (IDLE): it is opened, and nothing else can be done meanwhile. When another request
 * comes, the watch ends with a `done` without error, and the other one runs.
 * The account (NOTIFY): lasts beside all other requests until it is cancelled.
 *
 * MAILFS_ERROR_NOT_POSSIBLE: the server does not do it, whatever it offers. TRY_LATER: it gave up;
 * events were lost.
 */
struct mailfs_watch_request {
	const char *folder; /* wire name; NULL = the account */
	unsigned renew_s;   /* a sign of life after so long; CN-1: below 10 minutes */
	void (*begun)(void *user);
	mailfs_done_fn done;
	void *user;
};

/* The status of these folders, a line each; of one that this session has selected only its changes
 * come, as events. Folders that are refused are left out. */
struct mailfs_status_request {
	const char *const *folders; /* wire names; NULL-terminated */
	void (*status)(void *user, const struct mailfs_status *status);
	mailfs_done_fn done;
	void *user;
};

/*
 * Bodies, byte for byte. For each message that came whole: `begin`, `data` in order, `end`. What
 * was asked for and had no `end` before a `done` without error is gone from the server, verified
 * (MAILFS_ERROR_PROTOCOL otherwise: NIL, empty, wrong UID, literal out of step).
 * Never marks anything as read.
 */
struct mailfs_fetch_request {
	const char *folder;
	uint32_t uidvalidity;   /* the folder's, else MAILFS_ERROR_STALE */
	const uint32_t *uids;   /* ascending */
	const char *const *keys; /* theirs, for a backend with keys; "" = it has none any more */
	size_t uid_count;
	bool is_range;          /* one UID and `range`; else whole messages */
	struct mailfs_range range;
	bool is_background;     /* may wait behind other requests of the session */
	/* `size` octets follow, exactly, or (UINT64_MAX) so many as come before `end`. A range that
	 * reaches past the end is shorter than asked. */
	void (*begin)(void *user, uint32_t uid, uint64_t size);
	void (*data)(void *user, uint32_t uid, const void *bytes, size_t len);
	void (*end)(void *user, uint32_t uid);
	mailfs_done_fn done;
	void *user;
};

/*
 * Changes. Flags of messages: all `uids` get `add` and lose `remove` (disjoint). Idempotent: the
 * engine repeats it after a lost connection. RFC 9051 §6.4.6.
 */
struct mailfs_store_request {
	const char *folder;
	uint32_t uidvalidity; /* the folder's, else MAILFS_ERROR_STALE */
	const uint32_t *uids; /* ascending */
	size_t uid_count;
	unsigned add, remove; /* enum mailfs_flag */
	const char *const *add_keywords, *const *remove_keywords; /* atoms; NULL-terminated or NULL */
	/* What the server says now, read back after the change: once or more for each message that
	 * still exists, before a `done` without error. The caller compares (FL-1). */
	void (*flags)(void *user, uint32_t uid, unsigned flags, const char *const *keywords);
	mailfs_done_fn done;
	void *user;
};

/* Valid with and without error. Error and !is_outcome_known: the message may have been stored. */
struct mailfs_append_result {
	bool is_outcome_known; /* refused by a tagged answer, or not all of it was sent */
	bool is_refused;       /* by a tagged NO or BAD: never repeated blindly (WR-2) */
	uint32_t uidvalidity, uid; /* APPENDUID, plausible; 0 = not told */
	bool has_replaced; /* replaces_uid is gone in the same stroke */
};

/*
 * A new message. Nothing of it is sent before the server asks for it (WR-3), and nothing after a
 * refusal. It is asked for by `pull`, in order, as the network takes it; each pull is answered by
 * one give(). RFC 9051 §6.3.12, RFC 4315, RFC 7889.
 */
struct mailfs_append_request {
	const char *folder;
	uint64_t size;   /* octets, exactly; CRLF line ends, no NUL */
	unsigned flags;  /* enum mailfs_flag */
	const char *const *keywords; /* atoms; NULL-terminated or NULL */
	int64_t date;    /* INTERNALDATE, s since 1970; INT64_MIN = the server's clock */
	uint32_t replaces_uid; /* 0 = none; else REPLACE (RFC 8508) is used where offered */
	uint32_t uidvalidity;  /* of `folder`, for replaces_uid */
	void (*pull)(void *user, uint64_t offset, size_t len);
	void (*done)(void *user, const struct mailfs_append_result *result, const GError *error);
	void *user;
};

/*
 * Moves messages: UID MOVE, else COPY, verification, STORE \Deleted, UID EXPUNGE (EX-2, WR-7).
 * `copied` is told before anything is removed from the source where the two are separate steps.
 * `moved` is told for each message that has left the source for good, verified. On error those
 * not told of may have moved: outcome unknown unless is_outcome_known.
 */
struct mailfs_move_request {
	const char *folder;
	uint32_t uidvalidity;
	const uint32_t *uids; /* ascending */
	size_t uid_count;
	const char *target;
	/* target_uid 0 = not told or not credible (ID-4): look for it. */
	void (*copied)(void *user, uint32_t uid, uint32_t target_uidvalidity, uint32_t target_uid);
	void (*moved)(void *user, uint32_t uid, uint32_t target_uidvalidity, uint32_t target_uid);
	void (*done)(void *user, bool is_outcome_known, const GError *error);
	void *user;
};

/*
 * Removes messages for ever, these and no others: STORE \Deleted, verified, UID EXPUNGE. Without
 * UIDPLUS: a plain EXPUNGE only if exactly these are marked \Deleted just before, else they are
 * marked and the request fails with MAILFS_ERROR_NOT_POSSIBLE (EX-1). May be repeated.
 */
struct mailfs_remove_request {
	const char *folder;
	uint32_t uidvalidity;
	const uint32_t *uids; /* ascending */
	const char *const *keys; /* as in a fetch */
	size_t uid_count;
	/* For a backend with keys: each message is read once more, and only removed if these are its
	 * octets; NULL = it is known by its key well enough. */
	const uint8_t (*sha256)[32];
	void (*removed)(void *user, uint32_t uid); /* verified; also when it was gone before */
	void (*other)(void *user, uint32_t uid);   /* its octets are others, it stays; with sha256 */
	mailfs_done_fn done;
	void *user;
};

enum mailfs_folder_verb {
	MAILFS_FOLDER_CREATE, /* `component` below `parent`, and SUBSCRIBE */
	MAILFS_FOLDER_DELETE, /* only when it holds no message and no folder now: NOT_EMPTY */
	MAILFS_FOLDER_RENAME, /* to `component` below `parent`, with what is below it */
	MAILFS_FOLDER_SUBSCRIBE,
	MAILFS_FOLDER_UNSUBSCRIBE,
};

/* A change of the tree. Not idempotent: after a lost connection the caller lists and decides. */
struct mailfs_folder_request {
	enum mailfs_folder_verb verb;
	const char *folder;    /* wire name; NULL for CREATE */
	const char *parent;    /* wire name of the new parent; NULL = the top (personal prefix) */
	char delimiter;        /* of `parent`; 0 = not known: the server's own */
	const char *component; /* UTF-8, one component; INVALID when no server name can hold it */
	/* `name`: the wire name that now exists (CREATE, RENAME), else NULL. */
	void (*done)(void *user, const char *name, const GError *error);
	void *user;
};

/* What is peculiar to a protocol; nobody above asks which one it is. */
enum mailfs_trait {
	MAILFS_TRAIT_KEYS = 1u << 0, /* messages have keys: see mailfs_key_fn */
	/* A session keeps others out, also those of other programs: one at a time, opened when there is
	 * something to do and closed soon after it. It sees what was there when it was opened. */
	MAILFS_TRAIT_EXCLUSIVE = 1u << 1,
	/* Sizes are about right only, and that is nobody's lie: a message is read when it was counted. */
	MAILFS_TRAIT_ROUGH_SIZES = 1u << 2,
};

/* A capability that is good to have, and how it is without it, for people. */
struct mailfs_wanted {
	const char *name;
	const char *without;
};

/*
 * A protocol. All functions: loop thread. A slot of a change is NULL where the protocol cannot:
 * what would need it is read-only. Without `store` flags are not the server's at all: the cache
 * keeps them.
 */
struct mailfs_backend {
	const char *name; /* "imap" */
	unsigned traits;  /* enum mailfs_trait */
	const struct mailfs_wanted *wanted; /* the last one has no name */
	const char *only_folder; /* the account is this one folder; NULL = folders are listed */
	unsigned rest_ms;        /* EXCLUSIVE: a session without work is closed after that */
	unsigned poll_seconds;   /* how often to look, unless it was configured; 0 = as usual */

	struct mailfs_session *(*open)(const struct mailfs_backend_config *config,
		const struct mailfs_session_events *events, void *user);
	/* Ends every request (CANCELLED, from the loop), says goodbye, bounded; then the session may be
	 * freed: `closed` says when. No `dead` after this. */
	void (*close)(struct mailfs_session *session, void (*closed)(void *user), void *user);
	/* After `dead` or `closed`; at any time when the process ends. */
	void (*free)(struct mailfs_session *session);

	mailfs_ticket (*list)(struct mailfs_session *, const struct mailfs_list_request *);
	mailfs_ticket (*sync)(struct mailfs_session *, const struct mailfs_sync_request *);
	mailfs_ticket (*uids)(struct mailfs_session *, const struct mailfs_uids_request *);
	mailfs_ticket (*fetch)(struct mailfs_session *, const struct mailfs_fetch_request *);
	mailfs_ticket (*store)(struct mailfs_session *, const struct mailfs_store_request *);
	mailfs_ticket (*append)(struct mailfs_session *, const struct mailfs_append_request *);
	/* Answers `pull`: exactly the octets asked for; takes `bytes`. NULL: they cannot be read, the
	 * session dies before the server could take half a message for a whole one. Also from inside
	 * `pull`. Ignored after the append's done. */
	void (*give)(struct mailfs_session *, mailfs_ticket append, GBytes *bytes);
	mailfs_ticket (*move)(struct mailfs_session *, const struct mailfs_move_request *);
	mailfs_ticket (*remove)(struct mailfs_session *, const struct mailfs_remove_request *);
	mailfs_ticket (*change_folder)(struct mailfs_session *, const struct mailfs_folder_request *);
	/* Asks the server for a sign of life in the selected folder; changes come as events. If not a
	 * byte comes for `patience_ms` (0 = as long as for everything), the session dies with
	 * CONNECTION_LOST. */
	mailfs_ticket (*poll)(struct mailfs_session *, unsigned patience_ms, mailfs_done_fn done,
		void *user);
	/* NULL where all there is is to sync again. */
	mailfs_ticket (*watch)(struct mailfs_session *, const struct mailfs_watch_request *);
	mailfs_ticket (*status)(struct mailfs_session *, const struct mailfs_status_request *);

	/* The request ends with CANCELLED soon; what was sent already runs out unheard. */
	void (*cancel)(struct mailfs_session *, mailfs_ticket ticket);
	/* Stop (true) or go on (false) reading from the network: back pressure of the disk. */
	void (*hold)(struct mailfs_session *, bool is_held);

	/* Both may be NULL: a protocol without compression. */
	void (*traffic)(const struct mailfs_session *, struct mailfs_traffic *ret_traffic);
	/* Compress from now on, after what is under way; where it is not offered, or refused, nothing
	 * happens. For ready sessions; there is no way back. */
	void (*compress)(struct mailfs_session *);
};

extern const struct mailfs_backend imap_backend;
extern const struct mailfs_backend pop3_backend;
