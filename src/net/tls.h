/* SPDX-License-Identifier: MIT */
/*
 * TLS on OpenSSL, through memory BIOs. TLS 1.2 or later, SNI, certificate chain and host name
 * verified on every connection, pinning, session reuse. Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytebuf.h"
#include "mailfs/error.h"

/* One per account: context, pin, sessions to resume. */
struct tls_config;

/* `ca_file`: further CA certificates (PEM), or NULL; SSL_CERT_FILE and SSL_CERT_DIR are honoured.
 * `fingerprint`: "sha256:HEX" (colons and case do not matter) of the leaf certificate: then this
 * certificate and no other is accepted, and the chain need not verify. `alpn`: "imap", "pop3" or
 * NULL. NULL + error (MAILFS_ERROR_TLS or INVALID) when a file or the fingerprint is bad. */
struct tls_config *tls_config_new(const char *ca_file, const char *fingerprint, const char *alpn,
	GError **error);
void tls_config_unref(struct tls_config *config);
struct tls_config *tls_config_ref(struct tls_config *config);

/* The TLS state of one connection; `host` is the name (or address) to verify. */
struct tls;
struct tls *tls_new(struct tls_config *config, const char *host);
void tls_free(struct tls *tls);

enum tls_result { TLS_OK, TLS_WANT_READ, TLS_CLOSED, TLS_FAILED };

/* Ciphertext that was received and not yet read: receive straight into it, or tls_feed(). */
struct bytebuf *tls_input(struct tls *tls);

/* Feeds ciphertext in; runs the handshake or decrypts into `plain` (at most `max` more bytes);
 * collects ciphertext to send in `out`. TLS_CLOSED: close_notify. TLS_FAILED: `error` is set, and
 * for a refused certificate says why and what is in it, printable. */
void tls_feed(struct tls *tls, const void *bytes, size_t len);
enum tls_result tls_handshake(struct tls *tls, struct bytebuf *out, GError **error);
enum tls_result tls_read(struct tls *tls, struct bytebuf *plain, size_t max, struct bytebuf *out,
	GError **error);
enum tls_result tls_write(struct tls *tls, const void *bytes, size_t len, struct bytebuf *out,
	GError **error);
void tls_shutdown(struct tls *tls, struct bytebuf *out);

/* The handshake is done and the peer is verified: the chain and the name, or the pin. */
bool tls_is_verified(const struct tls *tls);
bool tls_is_resumed(const struct tls *tls);
const char *tls_version(const struct tls *tls);
const char *tls_cipher(const struct tls *tls);
const char *tls_channel_binding(struct tls *tls, uint8_t *ret_bytes, size_t size, size_t *ret_len);
