/* SPDX-License-Identifier: MIT */
/*
 * The bytes and the clocks of a stream: socket - layers - input. Reports nothing; failures and the
 * end are kept for the turn in stream.c. Loop thread.
 */
#include "net/stream_private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define INPUT_MAX (1024u * 1024)
#define TURN_MAX  (256u * 1024)
#define TURN_MIN  (16u * 1024)
#define SEND_MAX  (1024u * 1024)

/* ---- small questions ----------------------------------------------------------------------- */

bool stream_can_read(const struct stream *stream)
{
	switch (stream->state) {
	case STREAM_UP:
		return !stream->is_held && stream->input.len <= INPUT_MAX;
	case STREAM_HANDSHAKE:
	case STREAM_FINISHING:
		return true;
	default:
		return false;
	}
}

static bool stream_is_connected(const struct stream *stream)
{
	return stream->fd >= 0 && stream->state != STREAM_DEAD;
}

bool stream_can_push(const struct stream *stream)
{
	return stream->state == STREAM_UP && stream->layers.plain.len > 0;
}

bool stream_can_send(const struct stream *stream)
{
	return stream_is_connected(stream) && stream->layers.wire.len > 0 && !stream->is_blocked;
}

bool stream_is_at_end(const struct stream *stream)
{
	return stream->has_ended && stream_can_read(stream) && !stream->has_backlog;
}

void stream_fail_take(struct stream *stream, GError *error)
{
	if (stream->failure || stream->state == STREAM_DEAD)
		g_error_free(error);
	else
		stream->failure = error;
}

void stream_set_deadline(struct stream *stream, unsigned ms)
{
	stream->deadline_us = clock_monotonic_us() + (int64_t)ms * 1000;
}

void stream_heard(struct stream *stream)
{
	stream->heard_us = clock_monotonic_us();
}

/* ---- clocks -------------------------------------------------------------------------------- */

static bool silence_is_watched(const struct stream *stream)
{
	return stream->is_expecting && stream->state == STREAM_UP && stream->silence_timeout_ms > 0;
}

int64_t stream_next_deadline(struct stream *stream)
{
	int64_t next = stream->deadline_us;
	bool is_reading = stream_can_read(stream);
	int64_t silence_us;

	if (is_reading && !stream->was_reading)
		stream_heard(stream);
	stream->was_reading = is_reading;
	if (!is_reading || !silence_is_watched(stream))
		return next;
	silence_us = stream->heard_us + (int64_t)stream->silence_timeout_ms * 1000;
	return next == 0 ? silence_us : MIN(next, silence_us);
}

void stream_check_clocks(struct stream *stream)
{
	int64_t deadline_us = stream_next_deadline(stream);
	int code = MAILFS_ERROR_TIMEOUT;
	const char *what = "no answer in time";

	if (deadline_us == 0 || clock_monotonic_us() < deadline_us)
		return;
	if (stream->state == STREAM_HANDSHAKE) {
		what = "the TLS handshake took too long";
	} else if (stream->state == STREAM_FINISHING) {
		code = MAILFS_ERROR_CONNECTION_LOST;
		what = "closed; the server did not close its side";
	}
	stream_fail_take(stream, g_error_new(MAILFS_ERROR, code, "%s: %s", stream->host, what));
}

/* ---- sending ------------------------------------------------------------------------------- */

static void stream_send_step(struct stream *stream)
{
	struct bytebuf *wire = &stream->layers.wire;
	ssize_t sent = send(stream->fd, bytebuf_bytes(wire), MIN(wire->len, SEND_MAX),
		MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent >= 0) {
		/* Passwords pass here, and what comes later may be shorter. */
		if (!stream->layers.tls && sent > 0)
			explicit_bzero(wire->data + wire->start, (size_t)sent);
		bytebuf_consume(wire, (size_t)sent);
		stream->bytes_out += (uint64_t)sent;
	} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
		stream->is_blocked = true;
	} else if (errno != EINTR) {
		/* What the server said before it hung up is still to be read; then comes the end. */
		bytebuf_clear(wire);
	}
}

void stream_send(struct stream *stream)
{
	GError *error = NULL;
	bool was_stuck = stream->layers.wire.len > 0;
	uint64_t before = stream->bytes_out;

	if (stream_can_push(stream) && !layers_push(&stream->layers, &error)) {
		stream_fail_take(stream, error);
		return;
	}
	if (stream_can_send(stream))
		stream_send_step(stream);
	/* A server that takes a long upload is not silent. */
	if (was_stuck && stream->bytes_out > before)
		stream_heard(stream);
}

void stream_send_fin(struct stream *stream)
{
	if (stream->state != STREAM_FINISHING || stream->is_fin_sent || stream->layers.wire.len > 0)
		return;
	stream->is_fin_sent = true;
	(void)shutdown(stream->fd, SHUT_WR);
}

/* ---- receiving ----------------------------------------------------------------------------- */

static void stream_receive_end(struct stream *stream, const char *how)
{
	stream->has_ended = true;
	stream->end = how;
}

/* Large steps for streams that fill them; a quiet connection needs no large buffers. */
static size_t next_step(size_t step, size_t got)
{
	if (got == step)
		return MIN(step * 2, TURN_MAX);
	return got < step / 4 ? MAX(step / 2, TURN_MIN) : step;
}

static void stream_recv(struct stream *stream, struct bytebuf *into)
{
	size_t step = MAX(stream->recv_step, TURN_MIN);
	ssize_t got = recv(stream->fd, bytebuf_reserve(into, step), step, MSG_DONTWAIT);

	if (got > 0) {
		stream->recv_step = next_step(step, (size_t)got);
		bytebuf_commit(into, (size_t)got);
		stream->bytes_in += (uint64_t)got;
		stream->has_backlog = true;
		stream_heard(stream);
	} else if (got == 0) {
		stream_receive_end(stream, "the server closed the connection");
	} else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
		stream_receive_end(stream, g_strerror(errno));
	}
}

static void stream_handshake(struct stream *stream)
{
	GError *error = NULL;

	switch (tls_handshake(stream->layers.tls, &stream->layers.wire, &error)) {
	case TLS_OK:
		stream->state = STREAM_UP;
		stream->deadline_us = 0;
		stream->is_open_due = stream->is_implicit_tls;
		stream->is_secured_due = !stream->is_implicit_tls;
		stream_heard(stream);
		return;
	case TLS_WANT_READ:
		stream->has_backlog = false;
		return;
	default:
		stream_fail_take(stream, error);
	}
}

static void stream_pull(struct stream *stream)
{
	GError *error = NULL;

	switch (layers_pull(&stream->layers, &stream->input, TURN_MAX, &error)) {
	case LAYERS_MORE:
		return;
	case LAYERS_CLOSED:
		stream_receive_end(stream, "the server closed the connection");
		break;
	case LAYERS_FAILED:
		stream_fail_take(stream, error);
		break;
	default:
		break;
	}
	stream->has_backlog = false;
}

/* After stream_finish() nobody listens, but unread bytes would turn our FIN into a reset. */
static void stream_drop_input(struct stream *stream)
{
	struct bytebuf nowhere = { 0 };

	stream_recv(stream, &nowhere);
	stream->has_backlog = false;
	bytebuf_done(&nowhere);
}

void stream_receive(struct stream *stream, GIOCondition ready)
{
	bool is_readable = (ready & (G_IO_IN | G_IO_HUP | G_IO_ERR)) != 0 && !stream->has_ended;

	if (!stream_can_read(stream))
		return;
	if (stream->state == STREAM_FINISHING) {
		if (is_readable)
			stream_drop_input(stream);
		return;
	}
	/* What waits in the layers goes first: that is what bounds them. */
	if (is_readable && !stream->has_backlog)
		stream_recv(stream, layers_socket_end(&stream->layers, &stream->input));
	if (!stream->has_backlog)
		return;
	if (stream->state == STREAM_HANDSHAKE)
		stream_handshake(stream);
	else
		stream_pull(stream);
}

void stream_check_end(struct stream *stream)
{
	const char *during = stream->state == STREAM_HANDSHAKE ? " during the TLS handshake" : "";

	if (stream_is_at_end(stream))
		stream_fail_take(stream, g_error_new(MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST,
			"%s: %s%s", stream->host, stream->end, during));
}
