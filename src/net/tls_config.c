/* SPDX-License-Identifier: MIT */
/*
 * Who is accepted as peer: chain, purpose, name or pin, on every connection, resumed ones too.
 * Loop thread. RFC 9525 (names), RFC 7301 (ALPN).
 */
#include "net/tls_config.h"

#include <arpa/inet.h>
#include <string.h>

#include <gio/gio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/log.h"

/* ---- the decision -------------------------------------------------------------------------- */

static void refuse_take(struct tls *tls, char *why)
{
	g_free(tls->refusal);
	tls->refusal = why;
}

static bool pin_matches(const struct tls_config *config, const X509 *leaf)
{
	uint8_t hash[CERT_SHA256_SIZE];

	return leaf && cert_sha256(leaf, hash) && memcmp(hash, config->pin, sizeof(hash)) == 0;
}

/* The one place where a peer is judged. A pin stands for the chain and the name. */
static bool peer_is_good(struct tls *tls, X509_STORE_CTX *ctx)
{
	const X509 *leaf = X509_STORE_CTX_get0_cert(ctx);

	if (tls->config->has_pin) {
		if (pin_matches(tls->config, leaf)) {
			X509_STORE_CTX_set_error(ctx, X509_V_OK);
			return true;
		}
		X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
		if (leaf)
			refuse_take(tls, cert_pin_refusal(leaf, tls->host));
		return false;
	}
	if (X509_verify_cert(ctx) == 1 && X509_STORE_CTX_get_error(ctx) == X509_V_OK)
		return true;
	refuse_take(tls, cert_refusal(ctx, tls->host));
	return false;
}

/* From inside the handshake, in place of OpenSSL's own verification. */
static int on_verify(X509_STORE_CTX *ctx, void *unused)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());

	return peer_is_good(SSL_get_app_data(ssl), ctx) ? 1 : 0;
}

/* A resumed handshake shows no certificate: judge the one of the first handshake as of today. */
static bool resumed_is_good(struct tls *tls)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool good;

	g_assert(ctx);
	good = X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(tls->config->ctx),
			   SSL_get0_peer_certificate(tls->ssl), SSL_get_peer_cert_chain(tls->ssl)) == 1 &&
		X509_STORE_CTX_set_default(ctx, "ssl_server") == 1 &&
		X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(ctx), SSL_get0_param(tls->ssl)) == 1 &&
		peer_is_good(tls, ctx);
	X509_STORE_CTX_free(ctx);
	return good;
}

/* A server that picks another protocol is not the one that was dialled (SEC-13). */
static bool alpn_is_good(const struct tls *tls)
{
	const uint8_t *name;
	unsigned len;

	SSL_get0_alpn_selected(tls->ssl, &name, &len);
	if (len == 0)
		return true;
	return tls->config->alpn && strlen(tls->config->alpn) == len &&
		memcmp(name, tls->config->alpn, len) == 0;
}

static const char *confirm_why_not(struct tls *tls)
{
	const X509 *leaf = SSL_get0_peer_certificate(tls->ssl);

	if (!leaf)
		return "the server shows no certificate";
	if (tls_is_resumed(tls) && !resumed_is_good(tls))
		return "the resumed session is refused";
	if (!SSL_is_init_finished(tls->ssl) || SSL_get_verify_result(tls->ssl) != X509_V_OK)
		return "the certificate is not verified";
	if (tls->config->has_pin && !pin_matches(tls->config, leaf))
		return "the certificate is not the pinned one";
	if (!alpn_is_good(tls))
		return "the server speaks another protocol (ALPN)";
	return NULL;
}

bool tls_config_confirm(struct tls *tls)
{
	const char *why = confirm_why_not(tls);

	if (why && !tls->refusal)
		refuse_take(tls, g_strdup(why));
	return !why;
}

/* ---- before the handshake ------------------------------------------------------------------ */

/* NULL when it is no name that could be verified. "" would switch OpenSSL's check off, and a
 * leading dot would accept every host below. */
static char *host_to_verify(const char *host)
{
	g_autofree char *plain = g_strndup(host, strcspn(host, "%"));
	size_t len;

	if (g_hostname_is_ip_address(plain))
		return g_steal_pointer(&plain);
	g_clear_pointer(&plain, g_free);

	plain = g_hostname_to_ascii(host);
	if (!plain)
		return NULL;
	len = strlen(plain);
	if (len > 0 && plain[len - 1] == '.')
		plain[len - 1] = '\0';
	if (plain[0] == '\0' || plain[0] == '.')
		return NULL;
	return g_steal_pointer(&plain);
}

static bool expect_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(param,
		X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) != 1)
		return false;
	if (g_hostname_is_ip_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
	return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
		SSL_set_tlsext_host_name(ssl, host) == 1;
}

static void offer_alpn(SSL *ssl, const char *alpn)
{
	uint8_t list[256];
	size_t len = strlen(alpn);

	g_assert(len > 0 && len < sizeof(list));
	list[0] = (uint8_t)len;
	memcpy(list + 1, alpn, len);
	SSL_set_alpn_protos(ssl, list, (unsigned)len + 1);
}

void tls_config_prepare(struct tls *tls, const char *host)
{
	struct tls_config *config = tls->config;

	tls->host = host_to_verify(host);
	if (!tls->host) {
		tls->host = log_safe(host, -1);
		refuse_take(tls, g_strdup("this is no host name to verify"));
		return;
	}
	if (!expect_host(tls->ssl, tls->host)) {
		refuse_take(tls, g_strdup("the host name cannot be verified"));
		return;
	}
	if (config->alpn)
		offer_alpn(tls->ssl, config->alpn);
	/* The verdict of the first handshake holds for that name only. */
	if (config->session && strcmp(config->session_host, tls->host) == 0)
		SSL_set_session(tls->ssl, config->session);
}

/* ---- sessions ------------------------------------------------------------------------------ */

void tls_config_forget(struct tls_config *config)
{
	g_clear_pointer(&config->session, SSL_SESSION_free);
	g_clear_pointer(&config->session_host, g_free);
}

/* Returns 1 to keep the reference. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *tls = SSL_get_app_data(ssl);

	if (tls->refusal || SSL_get_verify_result(ssl) != X509_V_OK ||
		SSL_SESSION_is_resumable(session) != 1)
		return 0;
	tls_config_forget(tls->config);
	tls->config->session = session;
	tls->config->session_host = g_strdup(tls->host);
	return 1;
}

/* ---- life ---------------------------------------------------------------------------------- */

static SSL_CTX *context_new(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	g_assert(ctx);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(ctx, 0);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_clear_options(ctx,
		SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
			SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_new_session);
	return ctx;
}

static bool load_authorities(SSL_CTX *ctx, const char *ca_file, GError **error)
{
	unsigned long why;
	const char *reason;

	/* Honours SSL_CERT_FILE and SSL_CERT_DIR. */
	SSL_CTX_set_default_verify_paths(ctx);
	if (!ca_file || SSL_CTX_load_verify_file(ctx, ca_file) == 1) {
		ERR_clear_error();
		return true;
	}
	why = ERR_peek_error(); /* of several, the first is the cause */
	reason = ERR_SYSTEM_ERROR(why) ? g_strerror(ERR_GET_REASON(why)) : ERR_reason_error_string(why);
	g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_TLS, "no CA certificate could be read from %s%s%s",
		ca_file, reason ? ": " : "", reason ? reason : "");
	ERR_clear_error();
	return false;
}

struct tls_config *tls_config_new(const char *ca_file, const char *fingerprint, const char *alpn,
	GError **error)
{
	struct tls_config *config = g_new0(struct tls_config, 1);

	config->refs = 1;
	config->ctx = context_new();
	config->alpn = g_strdup(alpn);
	config->has_pin = fingerprint != NULL;
	if (fingerprint && !cert_parse_fingerprint(fingerprint, config->pin)) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID,
			"a TLS fingerprint is \"sha256:\" and 64 hexadecimal digits");
		tls_config_unref(config);
		return NULL;
	}
	if (!load_authorities(config->ctx, ca_file, error)) {
		tls_config_unref(config);
		return NULL;
	}
	return config;
}

struct tls_config *tls_config_ref(struct tls_config *config)
{
	config->refs++;
	return config;
}

void tls_config_unref(struct tls_config *config)
{
	if (!config || --config->refs > 0)
		return;
	tls_config_forget(config);
	SSL_CTX_free(config->ctx);
	g_free(config->alpn);
	g_free(config);
}
