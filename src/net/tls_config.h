/* SPDX-License-Identifier: MIT */
/* What tls.c and tls_config.c share: the structs, and who is accepted. Loop thread. */
#pragma once

#include <openssl/ssl.h>

#include "net/cert.h"
#include "net/tls.h"

struct tls_config {
	unsigned refs;
	SSL_CTX *ctx;
	char *alpn; /* NULL = none is offered */
	bool has_pin;
	uint8_t pin[CERT_SHA256_SIZE];

	/* The latest session to resume, and whose it is; NULL = none. */
	SSL_SESSION *session;
	char *session_host;
};

struct tls {
	struct tls_config *config;
	SSL *ssl;
	char *host; /* as it is verified: ASCII, no final dot, no zone */
	struct bytebuf in;
	struct bytebuf *out; /* the caller's, during a call */

	bool is_verified;
	char *refusal; /* why the peer is not accepted, printable; NULL = it is, so far */
};

/* Sets what is expected of the peer: name, SNI, ALPN, a session to resume. */
void tls_config_prepare(struct tls *tls, const char *host);
/* After the handshake: one last look, resumed sessions included. False: tls->refusal says why. */
bool tls_config_confirm(struct tls *tls);
/* Forgets the session to resume. */
void tls_config_forget(struct tls_config *config);
