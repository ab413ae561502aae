/* SPDX-License-Identifier: MIT */
/*
 * Commands to one server: tags, order, pipelining, literals. Loop thread; owned by the session.
 *
 * Rules (CN-6): at most `limit` in flight; while something is in flight only pipelined commands
 * (UID FETCH and its like) of the open box follow it. A command that names another box waits until
 * nothing is in flight, then the queue inserts a SELECT. Foreground goes before background;
 * inside a class, first come, first sent: the head is never overtaken, so nothing starves.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/error.h"
#include "wire/imap_cmd.h"
#include "wire/imap_reader.h"
#include "wire/imap_resp.h"

#define QUEUE_PIPELINE_MAX 10

struct mailfs_session;
struct request;
struct command;

/*
 * What happens to a command in flight. Any member but `done` may be NULL. A hook may add commands
 * and finish requests; it may not free commands. Untagged data is offered to the commands in
 * flight, oldest first, until one returns true: it was meant for this one.
 */
struct command_hooks {
	/* Not FETCH. */
	bool (*untagged)(struct command *command, const struct imap_response *response);
	/* A complete FETCH line; a streamed body went through begin and data before. */
	bool (*fetch)(struct command *command, const struct imap_fetch *fetch);
	/* A body starts to stream. */
	bool (*begin)(struct command *command, const struct imap_fetch *fetch);
	void (*data)(struct command *command, const uint8_t *bytes, size_t len);
	/* All of it went out: from now on the server may act on it. */
	void (*sent)(struct command *command);
	/* The server asks for the literal that imap_cmd_literal() announced: its bytes may be written to
	 * the stream, and then queue_end_literal() is due. Nothing else is sent until then. */
	void (*literal)(struct command *command);
	/* The end, once. `response` is NULL when there was no tagged answer; error NULL = OK. */
	void (*done)(struct command *command, const struct imap_response *response,
		const GError *error);
};

struct command {
	/* Set by command_new() and by its caller before queue_add(). */
	const struct command_hooks *hooks;
	struct imap_cmd *cmd;
	struct request *request; /* NULL = the session's own */
	void *user;              /* of the hooks; user_free() frees it with the command */
	GDestroyNotify user_free;
	char *box;               /* must be open; NULL = any */
	bool has_uidvalidity;    /* the box must still have it, else MAILFS_ERROR_STALE */
	uint32_t uidvalidity;
	bool is_pipelined;
	bool is_background;
	bool is_select;          /* opens `box` itself */
	bool is_idle;            /* IDLE: ends when something else is to be sent */
	bool is_along;           /* a select may follow it at once: it does not care which box is open */
	bool may_skip;           /* a select that only wants the box open, whoever opened it */
	unsigned bodies;         /* message bodies that the answer holds */
	int phase;               /* enum verdict_phase: how a refusal is read */
	const char *what;        /* for error texts: "fetch" */

	/* The queue's. */
	char tag[24];
	uint64_t serial; /* of queueing */
	size_t segments, sent;
};

struct queue {
	struct mailfs_session *session;
	GQueue foreground, background, in_flight; /* struct command */
	char prefix[9]; /* random per connection (SEC-4) */
	uint64_t last_tag, last_serial;
	unsigned limit;
	bool is_owing;             /* the next bytes are ours: the server may be silent */
	bool is_in_literal;        /* `unsent` was asked for the literal that its hook sends */
	struct command *unsent;    /* waits for "+" between two segments: nothing else is sent */
	struct command *streaming; /* takes the body that streams now; NULL = nobody */
	bool is_streaming;
	unsigned strays; /* answers to tags that were answered before */
	uint64_t unheard; /* bytes of bodies that were asked for and came after their request ended */
};

void queue_init(struct queue *queue, struct mailfs_session *session);
/* Frees what is left without calling hooks. */
void queue_done(struct queue *queue);

/* `cmd` is given away. */
struct command *command_new(struct imap_cmd *cmd, const struct command_hooks *hooks,
	struct request *request, const char *what);
/* Gives the command away; nothing is sent before the next queue_pump(). */
void queue_add(struct queue *queue, struct command *command);
/* Before all others: what must not be parted from the answer that just came. */
void queue_add_first(struct queue *queue, struct command *command);
/* All of the literal was written: its command is ended. */
void queue_end_literal(struct queue *queue, struct command *command);
/* Sends what the rules allow. From the loop only: it may call hooks. */
void queue_pump(struct queue *queue);
/* Sends at once, whatever the rules say: LOGOUT and the login steps. Gives the command away. */
void queue_send_now(struct queue *queue, struct command *command);

/* The request is over: what it has not sent is dropped, what it has sent runs out unheard. A literal
 * that nobody will end ends the session. */
void queue_detach(struct queue *queue, const struct request *request);
/* Every waiting command for `box` fails. */
void queue_fail_box(struct queue *queue, const char *box, const GError *error);
bool queue_is_quiet(const struct queue *queue); /* nothing in flight */
bool queue_has_waiting(const struct queue *queue); /* something is to be sent */

/* Input, from the session's dispatcher. */
void queue_on_tagged(struct queue *queue, const struct imap_response *response);
void queue_on_continuation(struct queue *queue, const struct imap_response *response);
bool queue_on_untagged(struct queue *queue, const struct imap_response *response);
bool queue_on_fetch(struct queue *queue, const struct imap_fetch *fetch);
void queue_on_data_begin(struct queue *queue, const struct imap_fetch *fetch);
void queue_on_data(struct queue *queue, const uint8_t *bytes, size_t len);
