/* SPDX-License-Identifier: MIT */
/*
 * How a session goes on and how it ends, the same for every protocol: what was asked from above, the
 * kick, death, close() and the goodbye. Loop thread.
 *
 * Each protocol defines struct mailfs_session for itself, with struct life as its first member.
 * Everything asynchronous ends in session_kick(): calls from above only leave marks, and the kick
 * does the work from the loop (mailfs/backend.h, callback rules).
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "mailfs/backend.h"
#include "net/stream.h"

enum session_state {
	SESSION_LOGIN,  /* dialling, TLS and the login steps */
	SESSION_READY,  /* requests run */
	SESSION_ENDING, /* what runs runs out, then the goodbye; the protocol's own will */
	SESSION_LOGOUT, /* close() was called */
	SESSION_OVER,   /* `dead` or `closed` was reported */
};

/* What list, sync, uids, fetch, poll, watch, status and all changes have in common: a ticket, and an
 * end that comes once. Embedded as first member of each kind; owned by the session. */
struct request {
	struct mailfs_session *session;
	mailfs_ticket ticket;
	bool is_started, is_cancelled;
	unsigned marks; /* the protocol's own */
	/* Queues the first commands; from the loop, once the session is ready. */
	void (*start)(struct request *request);
	/* The input that came in one go was handled: report what was gathered. May be NULL. */
	void (*flush)(struct request *request);
	/* Calls `done` of the caller. */
	void (*done)(struct request *request, const GError *error);
	void (*free)(struct request *request);
};

/* What the protocol does. */
struct life_hooks {
	const char *name; /* in the log */
	/* The kick, while the session lives: do what is due. */
	void (*run)(struct mailfs_session *s);
	/* Commands of a request that ended are forgotten. */
	void (*detach)(struct mailfs_session *s, const struct request *request);
	/* The connection goes, and all that was sent on it: without a word. */
	void (*drop)(struct mailfs_session *s);
	/* Says goodbye; session_parted() is called when that is answered. False: it cannot be said. */
	bool (*part)(struct mailfs_session *s);
};

struct life {
	const struct life_hooks *hooks;
	struct mailfs_backend_config config; /* own copies */
	struct mailfs_session_events events;
	void *user;
	struct tls_config *tls; /* NULL until the first dial, and without TLS */
	enum session_state state;

	/* Requests from above. */
	GQueue requests; /* struct request, oldest first */
	uint64_t last_ticket;

	/* Marks for the kick. */
	GSource *kick;
	GError *failure; /* once set nothing is sent or read */

	/* close() and the goodbye */
	void (*closed)(void *user);
	void *closed_user;
	GSource *part_timer;
	bool is_part_sent, is_parted;
};

void life_init(struct mailfs_session *s, const struct life_hooks *hooks,
	const struct mailfs_backend_config *config, const struct mailfs_session_events *events,
	void *user);
/* The end of everything: the connection is dropped, requests are freed without a word. */
void life_done(struct mailfs_session *s);

/* A connection to the server of the configuration; `events` get the session. NULL: it failed, and
 * so has the session. `alpn` is static. */
struct stream *session_dial(struct mailfs_session *s, const char *alpn,
	const struct stream_events *events);

/* Does what is due, from the loop, soon. */
void session_kick(struct mailfs_session *s);
/* The connection is done for: requests end and `dead` comes from the loop. The first counts.
 * CANCELLED: it has served its purpose; then requests end with CONNECTION_LOST. */
void session_fail(struct mailfs_session *s, enum mailfs_error code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void session_fail_take(struct mailfs_session *s, GError *error);

/* Says goodbye unless that was done, bounded by 2 s. True: there is nothing to wait for any more. */
bool session_part(struct mailfs_session *s);
/* The goodbye was answered. */
void session_parted(struct mailfs_session *s);
/* As if it had never been said: for the next connection. */
void session_part_anew(struct mailfs_session *s);

/* Slots of the vtable. */
void session_close(struct mailfs_session *s, void (*closed)(void *user), void *user);
void session_cancel(struct mailfs_session *s, mailfs_ticket ticket);

/* Takes the request over. */
mailfs_ticket request_add(struct mailfs_session *s, struct request *request);
/* The end: commands are detached, `done` is called, memory is freed. From the loop only, and
 * nothing of the request may be touched afterwards. */
void request_finish(struct request *request, const GError *error);
void request_fail(struct request *request, enum mailfs_error code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Timers of this layer: a source is destroyed and forgotten; one is made, `ms` from now. */
void source_clear(GSource **source);
void source_after(GSource **source, unsigned ms, GSourceFunc fn, void *user);
