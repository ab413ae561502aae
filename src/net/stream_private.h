/* SPDX-License-Identifier: MIT */
/* What stream.c (life, events) and stream_io.c (bytes, clocks) share. Loop thread. */
#pragma once

#include <glib.h>

#include "net/dial.h"
#include "net/layers.h"
#include "net/stream.h"

enum stream_state {
	STREAM_DIALING,
	STREAM_HANDSHAKE,
	STREAM_UP,
	STREAM_FINISHING, /* stream_finish(): the queue, FIN, then the server's FIN */
	STREAM_DEAD,      /* `closed` was reported */
};

struct stream {
	/* for life */
	unsigned refs;
	bool is_freed;
	struct stream_events events;
	void *user;
	char *host;
	struct tls_config *tls_config;
	bool is_implicit_tls;
	unsigned connect_timeout_ms;
	unsigned silence_timeout_ms;

	/* the connection */
	enum stream_state state;
	struct dial *dial;
	int fd;
	bool is_loopback;
	GSource *source;
	gpointer poll_tag; /* NULL = the fd is not polled */
	GIOCondition poll_for;
	struct layers layers;
	struct bytebuf input;
	size_t recv_step; /* how much to ask the socket for */
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t bytes_plain; /* decrypted and inflated */

	/* what a turn has to do */
	bool is_open_due;
	bool is_secured_due;
	bool is_filled;     /* the write queue went above its mark: `sent` is due once below */
	bool is_input_due;  /* a hold ended over unconsumed bytes */
	bool has_backlog;   /* the layers may give more without the socket */
	bool is_blocked;    /* the socket takes no more for now */
	bool is_fin_sent;
	bool has_ended;     /* EOF or reset; `end` says which */
	const char *end;
	GError *failure;    /* the first one; reported by the next turn */

	/* clocks */
	bool is_expecting;
	bool is_held;
	bool was_reading; /* at the last look */
	int64_t heard_us;
	int64_t deadline_us; /* of the handshake or the finish; 0 = none */
};

/* ---- stream_io.c --------------------------------------------------------------------------- */

bool stream_can_read(const struct stream *stream);
bool stream_can_push(const struct stream *stream);
bool stream_can_send(const struct stream *stream);
/* Everything was read and reported that came before the end. */
bool stream_is_at_end(const struct stream *stream);

/* Keeps the first failure; the turn reports it. */
void stream_fail_take(struct stream *stream, GError *error);

void stream_heard(struct stream *stream);
void stream_set_deadline(struct stream *stream, unsigned ms);
/* The nearest deadline; 0 = none. A pause in reading starts the silence clock anew. */
int64_t stream_next_deadline(struct stream *stream);
void stream_check_clocks(struct stream *stream);

void stream_send(struct stream *stream);
void stream_send_fin(struct stream *stream);
/* `ready` is what poll() said. */
void stream_receive(struct stream *stream, GIOCondition ready);
void stream_check_end(struct stream *stream);
