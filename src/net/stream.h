/* SPDX-License-Identifier: MIT */
/*
 * A non-blocking byte stream to a server: TCP, then TLS and DEFLATE as layers switched on from
 * above. Loop thread only. Owns its fd, its write queue and its clocks.
 *
 * Events come from the loop only, never from inside a call made here. After `closed` nothing
 * more comes; free the stream. A TLS stream that ends without close_notify, or TCP without FIN in
 * order, reports MAILFS_ERROR_CONNECTION_LOST like every other end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytebuf.h"
#include "mailfs/error.h"
#include "net/tls.h"

#define STREAM_LOW (512u * 1024) /* bytes in the write queue */

struct stream;

struct stream_events {
	/* TCP (and TLS, if asked for at once) is up. */
	void (*open)(void *user);
	/* Bytes arrived in stream_input(); consume what can be used. Called again when more comes. */
	void (*input)(void *user);
	/* stream_start_tls() or stream_start_deflate() took effect. */
	void (*secured)(void *user);
	/* The end; `error` is never NULL. Errors: NO_HOST, REFUSED, TLS, TIMEOUT, CONNECTION_LOST, and
	 * PROTOCOL for compressed data that is damaged or a bomb. What was received before a plain end
	 * was reported by `input` first. */
	void (*closed)(void *user, const GError *error);
	/* The write queue was above STREAM_LOW and is not any more. May be NULL. */
	void (*sent)(void *user);
};

struct stream_target {
	const char *host;
	uint16_t port;
	bool is_tls;                  /* implicit TLS: verified before `open` */
	struct tls_config *tls;       /* borrowed, must outlive the stream; also used for STARTTLS */
	unsigned connect_timeout_ms;  /* name, TCP and TLS handshake, each; 0 = 30 s */
	/* While stream_expect(true): no byte received, nor any sent from a queue that was stuck, for
	 * so long. 0 = no limit. */
	unsigned silence_timeout_ms;
};

/* Starts to dial. `host` is copied. */
struct stream *stream_new(const struct stream_target *target, const struct stream_events *events,
	void *user);
/* At any time, also inside an event. Closes without ceremony; no event comes after it. */
void stream_free(struct stream *stream);

/* Received bytes. Reading pauses while more than 1 MiB is not consumed. */
struct bytebuf *stream_input(struct stream *stream);

/* Queues a copy. Never fails: a broken stream says so by `closed`. */
void stream_write(struct stream *stream, const void *bytes, size_t len);
size_t stream_unsent(const struct stream *stream);
/* After the queue is sent: TLS close_notify, FIN; then, once the server has closed too, `closed`
 * (CONNECTION_LOST). Bounded by 2 s. What arrives from now on is dropped. */
void stream_finish(struct stream *stream);

/* STARTTLS: fails with MAILFS_ERROR_TLS if a single byte is in the input (SEC-3). The certificate
 * is verified before `secured`. */
void stream_start_tls(struct stream *stream);
/* COMPRESS=DEFLATE in both directions, RFC 4978. What is in the input already counts as
 * compressed. Inflation is bounded: more than 200:1 over any 1 MiB of output closes (EX-6). */
void stream_start_deflate(struct stream *stream);
/* `len` bytes of the input just used were asked for, by a request that bounds them: they do not
 * count for that bound. Nothing without DEFLATE. */
void stream_excuse(struct stream *stream, uint64_t len);

/* An answer is due (true): the silence clock runs. */
void stream_expect(struct stream *stream, bool is_waiting);
/* Back pressure: true stops reading from the network. The silence clock stands still and starts
 * anew after it. The end of a connection is reported after the hold only; `input` comes again when
 * the hold ends and bytes are left. */
void stream_hold(struct stream *stream, bool is_held);

bool stream_is_tls(const struct stream *stream); /* handshake done and peer verified */
bool stream_is_loopback(const struct stream *stream); /* the peer's address is 127/8 or ::1 */
/* "TLSv1.3" and cipher; NULL without TLS. Valid while the stream lives. */
const char *stream_tls_version(const struct stream *stream);
const char *stream_tls_cipher(const struct stream *stream);
/* Channel binding for SCRAM-PLUS: tls-exporter (TLS 1.3) or tls-server-end-point. Returns its
 * name, NULL when there is none. RFC 9266, RFC 5929. */
const char *stream_channel_binding(struct stream *stream, uint8_t *ret_bytes, size_t size,
	size_t *ret_len);
uint64_t stream_bytes_in(const struct stream *stream);  /* on the wire, this connection */
uint64_t stream_bytes_out(const struct stream *stream);
uint64_t stream_bytes_plain(const struct stream *stream); /* that came out into the input */
