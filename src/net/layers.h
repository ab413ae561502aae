/* SPDX-License-Identifier: MIT */
/*
 * What lies between the socket and the input: TLS, then DEFLATE, each or none. All bytes of a
 * connection pass here, in both directions. No fd, no clock. Owner: one stream.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/bytebuf.h"
#include "mailfs/error.h"
#include "net/deflate.h"
#include "net/tls.h"

struct layers {
	struct tls *tls;         /* NULL = clear text */
	struct deflate *deflate; /* NULL = not compressed */

	struct bytebuf packed; /* received: decrypted, still compressed */
	struct bytebuf plain;  /* to send: not yet compressed nor encrypted */
	struct bytebuf wire;   /* to send: as it goes to the socket */
};

void layers_done(struct layers *layers); /* on zeroed memory, too */

/* From here on: TLS, whose handshake the owner runs; no layers_push() or layers_pull() before it
 * is done. What is in `plain` goes out encrypted: push first what is to leave in clear. False:
 * something was received already, which must not be trusted later (SEC-3), or TLS is on. */
bool layers_start_tls(struct layers *layers, struct tls_config *config, const char *host,
	const struct bytebuf *input);
/* From here on: DEFLATE. Moves what is in `input` under it. False + error: it is on, or broken. */
bool layers_start_deflate(struct layers *layers, struct bytebuf *input, GError **error);

/* Where bytes from the socket are to be appended; then comes layers_pull(). */
struct bytebuf *layers_socket_end(struct layers *layers, struct bytebuf *input);

enum layers_result {
	LAYERS_DRAINED, /* nothing more without bytes from the socket */
	LAYERS_MORE,    /* `max` is reached: call again, once the input has room */
	LAYERS_CLOSED,  /* close_notify, and all before it is in the input */
	LAYERS_FAILED,  /* `error` is set */
};

/* Moves received bytes up, at most `max` of them into `input`. */
enum layers_result layers_pull(struct layers *layers, struct bytebuf *input, size_t max,
	GError **error);
/* Moves `plain` down to `wire`. */
bool layers_push(struct layers *layers, GError **error);
