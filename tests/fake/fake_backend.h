/* SPDX-License-Identifier: MIT */
/*
 * A backend without network, for tests of the engine: folders and messages in memory, answers, delays
 * and accidents as the test wants them. It keeps the callback rules of mailfs/backend.h and asserts
 * that its user does. There is one server at a time. Everything comes from the main loop.
 */
#pragma once

#include <glib.h>

#include "mailfs/backend.h"

struct fake_message {
	uint32_t uid;
	unsigned flags;
	char *keywords; /* space separated; NULL = none */
	int64_t date;
	uint64_t claimed; /* RFC822.SIZE */
	GBytes *body;
	char *subject;
	char *message_id; /* NULL = none */
	uint64_t modseq;
	bool is_absent;    /* fetch: OK and nothing; sync still lists it */
	bool is_nil;       /* fetch: PROTOCOL */
	bool is_restless;  /* other bytes at every fetch (SZ-7) */
	uint64_t send_cut; /* octets that fetch leaves out at the end, announced or not */
};

struct fake_folder {
	char *name;
	char delimiter;
	unsigned flags;
	const char *role; /* static; NULL = none */
	bool has_status;
	uint32_t uidvalidity;
	uint32_t uid_floor; /* UIDs up to here were given, whether they are there or not */
	uint64_t modseq;
	/* what it allows */
	bool is_read_only;
	unsigned rights, permanent_flags;
	bool keywords_refused; /* PERMANENTFLAGS has no \* */
	bool forgets_flags;    /* STORE is OK and changes nothing (FL-1) */
	GPtrArray *messages; /* struct fake_message *, ascending */
	GArray *removed;     /* uint32_t pairs: uid, modseq */
};

/* Where an accident happens, and what it is. */
enum fake_point {
	FAKE_DIAL,
	FAKE_LIST,       /* before the first folder */
	FAKE_LIST_MID,   /* after half of them */
	FAKE_SYNC,       /* before the state */
	FAKE_SYNC_STATE, /* after the state */
	FAKE_SYNC_MID,   /* after half of the messages */
	FAKE_SYNC_END,   /* before done */
	FAKE_UIDS,
	FAKE_FETCH,      /* before begin */
	FAKE_FETCH_MID,  /* after half of the bytes */
	FAKE_FETCH_END,  /* after end, before done */
	FAKE_STORE,      /* before anything is changed */
	FAKE_STORE_END,  /* all is changed and told, before done */
	FAKE_APPEND,     /* before the first byte */
	FAKE_APPEND_MID, /* after half of them */
	FAKE_APPEND_SENT, /* after the last byte, nothing is stored */
	FAKE_APPEND_END, /* it is stored, before done */
	FAKE_MOVE,       /* before anything is moved */
	FAKE_MOVE_COPIED, /* the copies are there and told; not with has_move */
	FAKE_MOVE_LEFT,  /* all has moved, nothing is told */
	FAKE_MOVE_END,   /* all is told, before done */
	FAKE_REMOVE,
	FAKE_REMOVE_LEFT,
	FAKE_REMOVE_END,
	FAKE_FOLDER,
	FAKE_FOLDER_END,
	FAKE_WATCH,
	FAKE_STATUS,
	FAKE_POLL,
	FAKE_POINTS,
};

struct fake_fault {
	enum fake_point point;
	unsigned skip;  /* so many pass unharmed first */
	unsigned times; /* 0 = for ever */
	int code;       /* enum mailfs_error */
	bool is_death;  /* of the whole session; else the request fails alone */
};

struct fake_server {
	GPtrArray *folders; /* struct fake_folder * */
	GPtrArray *sessions;
	GArray *faults; /* struct fake_fault */

	bool is_down;         /* dialling is refused */
	bool refuses_login;
	unsigned session_max; /* the next one dies with LIMIT; 0 = no limit */
	bool is_stalled;      /* nothing is answered */
	bool is_empty_list;
	bool cannot_range, cannot_delta;
	bool is_deaf_to_close; /* `closed` never comes */
	unsigned delay;       /* turns before each request begins */
	bool sends_descending;
	size_t chunk; /* body bytes per turn; 0 = 64 KiB */
	bool cannot_compress;
	bool can_idle, can_notify;
	bool never_begins;    /* to idle: there is no "+" */
	bool is_mute;         /* IDLE tells nothing of what was there before it */
	bool hides_status;    /* LIST tells no STATUS */
	bool is_dead_late;    /* `dead` comes a turn after the last `done` */
	/* Reports in place of the real thing, between state and done; NULL = none. */
	void (*sync_hook)(struct fake_server *server, const struct mailfs_sync_request *request);
	void (*uids_hook)(struct fake_server *server, const struct mailfs_uids_request *request);
	bool sync_is_full;    /* never a delta */
	bool has_move;        /* UID MOVE; else copies, then removes */
	uint64_t append_limit;
	bool hides_appended;  /* no APPENDUID */
	bool alters_appended; /* stores other bytes than it was given (WR-4) */
	bool has_replace;
	bool hides_copies;    /* target UIDs are not told */
	/* Just before a STORE, a move, or a removal acts; NULL = none. */
	void (*change_hook)(struct fake_server *server, struct fake_folder *folder);

	/* What was asked of it. */
	unsigned compressed_dials, compressions; /* at the login; later */
	unsigned dials, lists, syncs, sweeps, uids, fetches, ranges, cancels, holds;
	unsigned appends; /* begun */
	unsigned appended;
	unsigned stores, moves, removes, folder_changes;
	unsigned watches, notifies; /* begun; those of the account among them */
	unsigned statuses;          /* folders that were asked for */
	unsigned polls, impatient_polls;
	unsigned changed_uids; /* in stores, moves and removes */
	unsigned open_max;   /* sessions at one time */
	uint64_t bytes_sent; /* of bodies */
	uint64_t range_max;  /* longest range that was asked for */
	struct mailfs_known last_known;
};

extern const struct mailfs_backend fake_backend;

struct fake_server *fake_server_new(void); /* becomes the one that fake_backend talks to */
void fake_server_free(struct fake_server *server); /* no session may be left */

struct fake_folder *fake_folder_add(struct fake_server *server, const char *name, uint32_t uidvalidity);
struct fake_folder *fake_folder_find(struct fake_server *server, const char *name);
void fake_folder_remove(struct fake_server *server, const char *name);
/* A message of `size` octets that depend on the UID; claimed rightly. */
struct fake_message *fake_message_add(struct fake_folder *folder, uint32_t uid, size_t size);
void fake_messages_add(struct fake_folder *folder, uint32_t first, uint32_t last, size_t size);
struct fake_message *fake_message_find(struct fake_folder *folder, uint32_t uid);
void fake_message_remove(struct fake_folder *folder, uint32_t uid);
void fake_message_flag(struct fake_folder *folder, uint32_t uid, unsigned flags);
void fake_message_tag(struct fake_folder *folder, uint32_t uid, const char *keywords);
void fake_folder_clear(struct fake_folder *folder, uint32_t uidvalidity);

/* Once, at this point. */
void fake_fail(struct fake_server *server, enum fake_point point, enum mailfs_error code);
void fake_die(struct fake_server *server, enum fake_point point, enum mailfs_error code);
void fake_fault(struct fake_server *server, const struct fake_fault *fault);
/* Every session ends now, from the loop. */
void fake_kill(struct fake_server *server, enum mailfs_error code);
/* The server tells of a change that nobody asked for. */
void fake_tell_changed(struct fake_server *server, const char *folder);
/* Those who watch the folder, or the account, hear that something happened in it. */
void fake_notice(struct fake_server *server, const char *folder);
void fake_notice_tree(struct fake_server *server); /* the same of folders that come and go */
bool fake_is_idling(const struct fake_server *server, const char *folder); /* NULL = NOTIFY */
unsigned fake_sessions(const struct fake_server *server); /* that live */
bool fake_is_held(const struct fake_server *server);
