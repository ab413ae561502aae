/* SPDX-License-Identifier: MIT */
/*
 * Commands to one server. Answers come in the order of the commands, so a command is known by its
 * place. Loop thread; owned by the session.
 *
 * Without PIPELINING one command is in flight, else as many as POP3_QUEUE_MAX, and no more than
 * POP3_QUEUE_BYTES of answers: who comes with something urgent waits for what is on its way.
 * Foreground goes before background; inside a class, first come, first sent.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "backend/pop3/verdict.h"
#include "mailfs/error.h"

#define POP3_QUEUE_MAX   500u /* headers are small: fewer would not fill a long line */
#define POP3_QUEUE_BYTES (2u * 1024 * 1024)

struct mailfs_session;
struct request;
struct pop3_command;

enum pop3_answer { POP3_ONE_LINE, POP3_MANY_LINES, POP3_OCTETS };

/* What comes back. Any member but `done` may be NULL. A hook may add commands and finish requests. */
struct pop3_hooks {
	void (*begin)(struct pop3_command *command); /* +OK: lines or octets follow */
	void (*line)(struct pop3_command *command, const char *text);
	void (*data)(struct pop3_command *command, const uint8_t *bytes, size_t len);
	/* The end, once: `text` is what stood behind +OK (one line), or error says why not. */
	void (*done)(struct pop3_command *command, const char *text, const GError *error);
};

struct pop3_command {
	const struct pop3_hooks *hooks;
	struct request *request; /* NULL = the session's own */
	void *user;
	GDestroyNotify user_free; /* with the command; NULL = the user stays */
	size_t index;       /* the caller's */
	enum pop3_answer answer;
	enum pop3_phase phase;
	const char *what;   /* static; for errors: "reading a message" */
	bool is_background;
	bool is_secret;     /* nothing of it is logged */
	uint64_t bytes;     /* of the answer, about */

	/* the queue's own */
	char *line;
};

struct pop3_queue {
	struct mailfs_session *session;
	GQueue foreground, background; /* not sent */
	GQueue in_flight;
	unsigned limit;
	uint64_t bytes; /* of what is in flight */
};

void pop3_queue_init(struct pop3_queue *queue, struct mailfs_session *session);
void pop3_queue_done(struct pop3_queue *queue); /* forgets all, without a word */

/* `line` has no line end. */
struct pop3_command *pop3_command_new(const struct pop3_hooks *hooks, enum pop3_answer answer,
	const char *what, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Takes the command over; it is sent by the next pump. */
void pop3_queue_add(struct pop3_queue *queue, struct pop3_command *command);
/* Sends what may be sent. */
void pop3_queue_pump(struct pop3_queue *queue);
/* Its commands are forgotten, or run out unheard. */
void pop3_queue_detach(struct pop3_queue *queue, const struct request *request);

/* An event of the reader but for challenges. False: nobody asked for it. */
bool pop3_queue_on_event(struct pop3_queue *queue, const struct pop3_event *event);
