/* SPDX-License-Identifier: MIT */
/*
 * One connection as one GSource on the loop: its life, its events, its verbs. All events come from
 * the dispatch, which keeps them out of the caller's calls. Loop thread.
 *
 * A turn: send; report what took effect; receive at most 256 KiB; one `input`; send the answers;
 * look at the clocks; report the end.
 */
#include "net/stream_private.h"

#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "base/clock.h"

#define FINISH_MS          2000u
#define CONNECT_DEFAULT_MS 30000u

struct stream_source {
	GSource base;
	struct stream *stream;
};

/* ---- events -------------------------------------------------------------------------------- */

/* Returns whether the stream goes on. */
static bool stream_report_due(struct stream *stream)
{
	if (stream->is_open_due) {
		stream->is_open_due = false;
		stream->events.open(stream->user);
	}
	if (stream->is_secured_due && !stream->is_freed && !stream->failure) {
		stream->is_secured_due = false;
		stream->events.secured(stream->user);
	}
	if (stream->is_filled && stream_unsent(stream) <= STREAM_LOW && !stream->is_freed &&
		!stream->failure && stream->state == STREAM_UP) {
		stream->is_filled = false;
		if (stream->events.sent)
			stream->events.sent(stream->user);
	}
	return !stream->is_freed && !stream->failure;
}

static bool stream_report_input(struct stream *stream, size_t before)
{
	bool is_due = stream->is_input_due && stream->input.len > 0 && stream_can_read(stream);

	if (!is_due && stream->input.len <= before)
		return true;
	stream->is_input_due = false;
	stream->events.input(stream->user);
	return !stream->is_freed && !stream->failure;
}

static void stream_disconnect(struct stream *stream)
{
	stream->state = STREAM_DEAD;
	g_clear_pointer(&stream->dial, dial_free);
	g_source_destroy(stream->source);
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}

static void stream_report_closed(struct stream *stream)
{
	/* The alert that tells the server why. */
	if (stream->state == STREAM_HANDSHAKE)
		stream_send(stream);
	stream_disconnect(stream);
	stream->events.closed(stream->user, stream->failure);
}

static void stream_work(struct stream *stream, GIOCondition ready)
{
	size_t before;

	if (ready & (G_IO_OUT | G_IO_HUP | G_IO_ERR))
		stream->is_blocked = false;
	stream_send(stream);
	if (!stream_report_due(stream))
		return;
	before = stream->input.len;
	stream_receive(stream, ready);
	stream->bytes_plain += stream->input.len - before;
	if (!stream_report_input(stream, before))
		return;
	stream_send(stream);
	stream_send_fin(stream);
	stream_check_end(stream);
	stream_check_clocks(stream);
}

static void stream_unref(struct stream *stream)
{
	if (--stream->refs > 0)
		return;
	g_source_unref(stream->source);
	layers_done(&stream->layers);
	bytebuf_wipe(&stream->input);
	tls_config_unref(stream->tls_config);
	g_clear_error(&stream->failure);
	g_free(stream->host);
	g_free(stream);
}

/* ---- the source ---------------------------------------------------------------------------- */

static bool stream_has_work(struct stream *stream)
{
	int64_t deadline_us = stream_next_deadline(stream);

	if (stream->failure || stream->is_open_due || stream->is_secured_due)
		return true;
	if (stream->is_filled && stream->state == STREAM_UP && stream_unsent(stream) <= STREAM_LOW)
		return true;
	if (stream_can_push(stream) || stream_can_send(stream) || stream_is_at_end(stream))
		return true;
	if (stream_can_read(stream) &&
		(stream->has_backlog || (stream->is_input_due && stream->input.len > 0)))
		return true;
	if (stream->state == STREAM_FINISHING && !stream->is_fin_sent && stream->layers.wire.len == 0)
		return true;
	return deadline_us != 0 && clock_monotonic_us() >= deadline_us;
}

/* Polls for what is wanted now. An fd that nobody wants anything of is not polled at all: poll()
 * would report a hang-up again and again. */
static void stream_update_poll(struct stream *stream)
{
	GIOCondition want = 0;

	if (stream_can_read(stream) && !stream->has_ended)
		want |= G_IO_IN;
	if (stream->fd >= 0 && stream->layers.wire.len > 0)
		want |= G_IO_OUT;
	if (want == stream->poll_for)
		return;

	stream->poll_for = want;
	if (want == 0) {
		g_source_remove_unix_fd(stream->source, stream->poll_tag);
		stream->poll_tag = NULL;
	} else if (stream->poll_tag) {
		g_source_modify_unix_fd(stream->source, stream->poll_tag, want);
	} else {
		stream->poll_tag = g_source_add_unix_fd(stream->source, stream->fd, want);
	}
}

static gboolean source_prepare(GSource *source, int *ret_timeout_ms)
{
	struct stream *stream = ((struct stream_source *)source)->stream;
	int64_t deadline_us;

	*ret_timeout_ms = -1;
	if (stream_has_work(stream)) {
		*ret_timeout_ms = 0;
		stream_update_poll(stream);
		return TRUE;
	}
	stream_update_poll(stream);
	deadline_us = stream_next_deadline(stream);
	if (deadline_us != 0)
		*ret_timeout_ms =
			(int)MIN((deadline_us - clock_monotonic_us()) / 1000 + 1, (int64_t)G_MAXINT);
	return FALSE;
}

static GIOCondition source_ready(struct stream *stream)
{
	return stream->poll_tag ? g_source_query_unix_fd(stream->source, stream->poll_tag) : 0;
}

static gboolean source_check(GSource *source)
{
	struct stream *stream = ((struct stream_source *)source)->stream;

	return source_ready(stream) != 0 || stream_has_work(stream);
}

static gboolean source_dispatch(GSource *source, GSourceFunc unused, gpointer unused_data)
{
	struct stream *stream = ((struct stream_source *)source)->stream;

	stream->refs++;
	if (!stream->failure)
		stream_work(stream, source_ready(stream));
	if (!stream->is_freed && stream->failure)
		stream_report_closed(stream);
	stream_unref(stream);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {
	.prepare = source_prepare,
	.check = source_check,
	.dispatch = source_dispatch,
};

/* ---- life ---------------------------------------------------------------------------------- */

static void stream_begin_handshake(struct stream *stream)
{
	g_assert(stream->tls_config);
	if (!layers_start_tls(&stream->layers, stream->tls_config, stream->host, &stream->input)) {
		stream_fail_take(stream, g_error_new(MAILFS_ERROR, MAILFS_ERROR_TLS,
			"%s: the server sent something before TLS that must not be trusted", stream->host));
		return;
	}
	stream->state = STREAM_HANDSHAKE;
	stream->has_backlog = true; /* our side speaks first */
	stream_set_deadline(stream, stream->connect_timeout_ms);
}

static void on_dialled(void *user, const struct dial_peer *peer, const GError *error)
{
	struct stream *stream = user;

	g_clear_pointer(&stream->dial, dial_free);
	if (!peer) {
		stream_fail_take(stream, g_error_copy(error));
		return;
	}
	stream->fd = peer->fd;
	stream->is_loopback = peer->is_loopback;
	stream->state = STREAM_UP;
	stream_heard(stream);
	if (!stream->is_implicit_tls)
		stream->is_open_due = true;
	else
		stream_begin_handshake(stream);
}

struct stream *stream_new(const struct stream_target *target, const struct stream_events *events,
	void *user)
{
	struct stream *stream = g_new0(struct stream, 1);

	g_assert(target->tls || !target->is_tls);
	stream->refs = 1;
	stream->events = *events;
	stream->user = user;
	stream->host = g_strdup(target->host);
	stream->tls_config = target->tls ? tls_config_ref(target->tls) : NULL;
	stream->is_implicit_tls = target->is_tls;
	stream->connect_timeout_ms = target->connect_timeout_ms;
	if (stream->connect_timeout_ms == 0)
		stream->connect_timeout_ms = CONNECT_DEFAULT_MS;
	stream->silence_timeout_ms = target->silence_timeout_ms;
	stream->fd = -1;

	stream->source = g_source_new(&source_funcs, sizeof(struct stream_source));
	((struct stream_source *)stream->source)->stream = stream;
	g_source_set_static_name(stream->source, "mailfs stream");
	/* Else each dispatch takes its fd out of the poll and puts it back, and each of these wakes the
	 * loop: two system calls, and one turn more that does nothing. Nobody runs the loop in an event. */
	g_source_set_can_recurse(stream->source, TRUE);
	g_source_attach(stream->source, NULL);
	stream->dial =
		dial_new(target->host, target->port, stream->connect_timeout_ms, on_dialled, stream);
	return stream;
}

void stream_free(struct stream *stream)
{
	if (!stream || stream->is_freed)
		return;
	stream->is_freed = true;
	if (stream->state != STREAM_DEAD)
		stream_disconnect(stream);
	stream_unref(stream);
}

/* ---- verbs --------------------------------------------------------------------------------- */

struct bytebuf *stream_input(struct stream *stream)
{
	return &stream->input;
}

void stream_write(struct stream *stream, const void *bytes, size_t len)
{
	if (stream->state == STREAM_DEAD || stream->state == STREAM_FINISHING)
		return;
	bytebuf_append(&stream->layers.plain, bytes, len);
	stream->is_filled = stream->is_filled || stream_unsent(stream) > STREAM_LOW;
}

size_t stream_unsent(const struct stream *stream)
{
	return stream->layers.plain.len + stream->layers.wire.len;
}

void stream_finish(struct stream *stream)
{
	GError *error = NULL;

	if (stream->state == STREAM_DEAD || stream->state == STREAM_FINISHING)
		return;
	if (stream->state != STREAM_UP) {
		stream_fail_take(stream, g_error_new(MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST,
			"%s: closed before it was open", stream->host));
		return;
	}
	if (!layers_push(&stream->layers, &error)) {
		stream_fail_take(stream, error);
		return;
	}
	if (stream->layers.tls)
		tls_shutdown(stream->layers.tls, &stream->layers.wire);
	stream->state = STREAM_FINISHING;
	stream->has_backlog = false;
	stream_set_deadline(stream, FINISH_MS);
}

void stream_start_tls(struct stream *stream)
{
	GError *error = NULL;

	if (stream->state != STREAM_UP)
		return;
	/* The STARTTLS command itself, if it has not left yet; what comes later is encrypted. */
	if (!layers_push(&stream->layers, &error)) {
		stream_fail_take(stream, error);
		return;
	}
	stream_begin_handshake(stream);
}

void stream_start_deflate(struct stream *stream)
{
	GError *error = NULL;

	if (stream->state != STREAM_UP)
		return;
	if (!layers_start_deflate(&stream->layers, &stream->input, &error)) {
		stream_fail_take(stream, error);
		return;
	}
	stream->is_secured_due = true;
	stream->has_backlog = true;
}

void stream_excuse(struct stream *stream, uint64_t len)
{
	if (stream->layers.deflate)
		deflate_excuse(stream->layers.deflate, len);
}

void stream_expect(struct stream *stream, bool is_waiting)
{
	if (is_waiting && !stream->is_expecting)
		stream_heard(stream);
	stream->is_expecting = is_waiting;
}

void stream_hold(struct stream *stream, bool is_held)
{
	if (stream->is_held && !is_held) {
		stream->is_input_due = true;
		stream_heard(stream);
	}
	stream->is_held = is_held;
}

bool stream_is_tls(const struct stream *stream)
{
	return stream->layers.tls && tls_is_verified(stream->layers.tls);
}

bool stream_is_loopback(const struct stream *stream)
{
	return stream->is_loopback;
}

const char *stream_tls_version(const struct stream *stream)
{
	return stream_is_tls(stream) ? tls_version(stream->layers.tls) : NULL;
}

const char *stream_tls_cipher(const struct stream *stream)
{
	return stream_is_tls(stream) ? tls_cipher(stream->layers.tls) : NULL;
}

const char *stream_channel_binding(struct stream *stream, uint8_t *ret_bytes, size_t size,
	size_t *ret_len)
{
	if (!stream_is_tls(stream))
		return NULL;
	return tls_channel_binding(stream->layers.tls, ret_bytes, size, ret_len);
}

uint64_t stream_bytes_in(const struct stream *stream)
{
	return stream->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *stream)
{
	return stream->bytes_out;
}

uint64_t stream_bytes_plain(const struct stream *stream)
{
	return stream->bytes_plain;
}
