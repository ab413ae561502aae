/* SPDX-License-Identifier: MIT */
/*
 * One TLS connection: OpenSSL between two byte queues. Whether a peer is accepted is decided in
 * tls_config.c. Loop thread. RFC 8446, RFC 5246, RFC 9266, RFC 5929.
 */
#include "net/tls.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "net/cert.h"
#include "net/tls_config.h"

#define RECORD_MAX 16384u
#define EXPORTER_SIZE 32u

/* ---- a BIO on byte queues: in from tls->in, out to the caller's queue ---------------------- */

static int queue_read(BIO *bio, char *bytes, int len)
{
	struct tls *tls = BIO_get_data(bio);
	size_t step = MIN((size_t)MAX(len, 0), tls->in.len);

	BIO_clear_retry_flags(bio);
	if (step == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(bytes, bytebuf_bytes(&tls->in), step);
	bytebuf_consume(&tls->in, step);
	return (int)step;
}

static int queue_write(BIO *bio, const char *bytes, int len)
{
	struct tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	bytebuf_append(tls->out, bytes, (size_t)len);
	return len;
}

static long queue_ctrl(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static int queue_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static const BIO_METHOD *queue_method(void)
{
	static BIO_METHOD *method;

	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mailfs queue");
	g_assert(method);
	BIO_meth_set_read(method, queue_read);
	BIO_meth_set_write(method, queue_write);
	BIO_meth_set_ctrl(method, queue_ctrl);
	BIO_meth_set_create(method, queue_create);
	return method;
}

/* ---- life ---------------------------------------------------------------------------------- */

struct tls *tls_new(struct tls_config *config, const char *host)
{
	struct tls *tls = g_new0(struct tls, 1);
	BIO *bio = BIO_new(queue_method());

	tls->config = tls_config_ref(config);
	bytebuf_init(&tls->in);
	tls->ssl = SSL_new(config->ctx);
	g_assert(bio && tls->ssl);
	BIO_set_data(bio, tls);
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	SSL_set_connect_state(tls->ssl);
	tls_config_prepare(tls, host);
	return tls;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	/* A lost connection is no reason to distrust its session: OpenSSL would spoil it, as TLS 1.0
	 * asked for. After failures of TLS itself tls_config_forget() was called. */
	if (tls->is_verified)
		SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(tls->ssl);
	bytebuf_done(&tls->in);
	g_free(tls->host);
	g_free(tls->refusal);
	tls_config_unref(tls->config);
	g_free(tls);
}

struct bytebuf *tls_input(struct tls *tls)
{
	return &tls->in;
}

void tls_feed(struct tls *tls, const void *bytes, size_t len)
{
	bytebuf_append(&tls->in, bytes, len);
}

/* ---- running ------------------------------------------------------------------------------- */

static const char *reason_hint(unsigned long code)
{
	switch (ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
		return "the server does not speak TLS here";
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		return "the server offers no TLS 1.2 or later";
	default:
		return NULL;
	}
}

/* Refused peers are TLS errors. What breaks later breaks only this connection. */
static enum tls_result tls_fail(struct tls *tls, GError **error)
{
	unsigned long code = ERR_peek_error();
	const char *reason = reason_hint(code);
	int kind = tls->is_verified ? MAILFS_ERROR_CONNECTION_LOST : MAILFS_ERROR_TLS;

	if (!reason && code != 0)
		reason = ERR_reason_error_string(code);
	if (tls->refusal)
		reason = tls->refusal;
	g_set_error(error, MAILFS_ERROR, kind, "TLS with %s: %s", tls->host,
		reason ? reason : "unknown failure");
	ERR_clear_error();
	tls_config_forget(tls->config);
	return TLS_FAILED;
}

/* After a call that did not succeed. */
static enum tls_result tls_why(struct tls *tls, int r, GError **error)
{
	switch (SSL_get_error(tls->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	default:
		return tls_fail(tls, error);
	}
}

enum tls_result tls_handshake(struct tls *tls, struct bytebuf *out, GError **error)
{
	enum tls_result result;
	int r;

	ERR_clear_error();
	if (tls->refusal)
		return tls_fail(tls, error);
	tls->out = out;
	r = SSL_do_handshake(tls->ssl);
	if (r == 1) {
		if (!tls_config_confirm(tls))
			return tls_fail(tls, error);
		tls->is_verified = true;
		return TLS_OK;
	}
	result = tls_why(tls, r, error);
	return result == TLS_CLOSED ? tls_fail(tls, error) : result;
}

enum tls_result tls_read(struct tls *tls, struct bytebuf *plain, size_t max, struct bytebuf *out,
	GError **error)
{
	g_assert(tls->is_verified);
	tls->out = out;
	bytebuf_reserve(plain, MIN(max, tls->in.len + RECORD_MAX));
	while (max > 0) {
		size_t want = MIN(max, RECORD_MAX);
		size_t got;
		int r;

		ERR_clear_error();
		r = SSL_read_ex(tls->ssl, bytebuf_reserve(plain, want), want, &got);
		if (r != 1)
			return tls_why(tls, r, error);
		bytebuf_commit(plain, got);
		max -= got;
	}
	return TLS_OK;
}

enum tls_result tls_write(struct tls *tls, const void *bytes, size_t len, struct bytebuf *out,
	GError **error)
{
	size_t done;
	int r;

	g_assert(tls->is_verified);
	if (len == 0)
		return TLS_OK;
	tls->out = out;
	ERR_clear_error();
	/* The queue takes everything: there is no partial write and no wish to read first. */
	r = SSL_write_ex(tls->ssl, bytes, len, &done);
	if (r == 1 && done == len)
		return TLS_OK;
	return tls_fail(tls, error);
}

void tls_shutdown(struct tls *tls, struct bytebuf *out)
{
	if (!tls->is_verified)
		return;
	tls->out = out;
	ERR_clear_error();
	SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

/* ---- what came out of it ------------------------------------------------------------------- */

bool tls_is_verified(const struct tls *tls)
{
	return tls->is_verified && SSL_is_init_finished(tls->ssl) &&
		SSL_get_verify_result(tls->ssl) == X509_V_OK;
}

bool tls_is_resumed(const struct tls *tls)
{
	return SSL_session_reused(tls->ssl) == 1;
}

const char *tls_version(const struct tls *tls)
{
	return SSL_get_version(tls->ssl);
}

const char *tls_cipher(const struct tls *tls)
{
	return SSL_get_cipher_name(tls->ssl);
}

const char *tls_channel_binding(struct tls *tls, uint8_t *ret_bytes, size_t size, size_t *ret_len)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	const X509 *leaf;

	if (!tls_is_verified(tls))
		return NULL;
	if (SSL_version(tls->ssl) < TLS1_3_VERSION) {
		leaf = SSL_get0_peer_certificate(tls->ssl);
		if (!leaf || !cert_end_point(leaf, ret_bytes, size, ret_len))
			return NULL;
		return "tls-server-end-point";
	}
	if (size < EXPORTER_SIZE ||
		SSL_export_keying_material(tls->ssl, ret_bytes, EXPORTER_SIZE, label, sizeof(label) - 1,
			(const uint8_t *)"", 0, 1) != 1)
		return NULL;
	*ret_len = EXPORTER_SIZE;
	return "tls-exporter";
}
