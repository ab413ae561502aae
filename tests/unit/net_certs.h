/* SPDX-License-Identifier: MIT */
/* Certificates for the tests of net, made with OpenSSL as they are needed. */
#pragma once

#include <string.h>

#include <glib.h>
#include <glib/gstdio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define DAY 86400L

struct cert_spec {
	const char *cn;
	const char *san;       /* in the words of x509v3_config(5); NULL = none */
	const char *usage;     /* extendedKeyUsage; NULL = serverAuth */
	bool has_nul_name;     /* SAN "good.test\0.evil.test" */
	bool is_ca;
	long from_days;        /* from now; 0 = a day ago */
	long to_days;          /* from now; 0 = in a year */
	const struct cert *issuer; /* NULL = self-signed */
	const char *key_type;  /* NULL = P-256 */
	const EVP_MD *digest;  /* NULL = SHA-256 */
};

struct cert {
	X509 *x509;
	EVP_PKEY *key;
};

static inline void cert_add(X509 *x509, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&ctx, issuer, x509, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	g_assert_nonnull(extension);
	g_assert_cmpint(X509_add_ext(x509, extension, -1), ==, 1);
	X509_EXTENSION_free(extension);
}

/* CVE-2009-2666: code that stops at the NUL takes this for good.test. */
static inline void cert_add_nul_name(X509 *x509)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	ASN1_STRING_set(text, "good.test\0.evil.test", 20);
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	sk_GENERAL_NAME_push(names, name);
	g_assert_cmpint(X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, 0), ==, 1);
	GENERAL_NAMES_free(names);
}

static inline EVP_PKEY *cert_make_key(const char *type)
{
	EVP_PKEY *key = type ? EVP_PKEY_Q_keygen(NULL, NULL, type) : EVP_EC_gen("P-256");

	g_assert_nonnull(key);
	return key;
}

static inline void cert_set_names(X509 *x509, const struct cert_spec *spec)
{
	X509_NAME *name = X509_get_subject_name(x509);

	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)spec->cn, -1, -1, 0);
	X509_set_issuer_name(x509, spec->issuer ? X509_get_subject_name(spec->issuer->x509) : name);
}

static inline struct cert cert_make(const struct cert_spec *spec)
{
	static long serial = 1;
	struct cert cert = { X509_new(), cert_make_key(spec->key_type) };
	X509 *issuer = spec->issuer ? spec->issuer->x509 : cert.x509;
	bool is_edwards = spec->key_type && g_str_equal(spec->key_type, "ED25519");

	X509_set_version(cert.x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert.x509), serial++);
	X509_gmtime_adj(X509_getm_notBefore(cert.x509), (spec->from_days ? spec->from_days : -1) * DAY);
	X509_gmtime_adj(X509_getm_notAfter(cert.x509), (spec->to_days ? spec->to_days : 365) * DAY);
	X509_set_pubkey(cert.x509, cert.key);
	cert_set_names(cert.x509, spec);
	cert_add(cert.x509, issuer, NID_basic_constraints, spec->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (!spec->is_ca)
		cert_add(cert.x509, issuer, NID_ext_key_usage, spec->usage ? spec->usage : "serverAuth");
	if (spec->san)
		cert_add(cert.x509, issuer, NID_subject_alt_name, spec->san);
	if (spec->has_nul_name)
		cert_add_nul_name(cert.x509);
	g_assert_cmpint(X509_sign(cert.x509, spec->issuer ? spec->issuer->key : cert.key,
		is_edwards ? NULL : spec->digest ? spec->digest : EVP_sha256()), >, 0);
	return cert;
}

static inline void cert_free(struct cert *cert)
{
	X509_free(cert->x509);
	EVP_PKEY_free(cert->key);
	*cert = (struct cert){ 0 };
}

/* "sha256:HEX"; g_free() it. */
static inline char *cert_pin(const struct cert *cert)
{
	uint8_t hash[32];
	GString *text = g_string_new("sha256:");
	unsigned len;

	X509_digest(cert->x509, EVP_sha256(), hash, &len);
	for (unsigned i = 0; i < len; i++)
		g_string_append_printf(text, "%02x", hash[i]);
	return g_string_free(text, FALSE);
}

/* The path of a PEM file with this certificate; g_unlink() and g_free() it. */
static inline char *cert_write(const struct cert *cert)
{
	char *path = NULL;
	int fd = g_file_open_tmp("mailfs-ca-XXXXXX", &path, NULL);
	FILE *file = fdopen(fd, "w");

	g_assert_nonnull(file);
	PEM_write_X509(file, cert->x509);
	fclose(file);
	return path;
}

/* A server with this certificate; `chain` may be NULL. */
static inline SSL_CTX *cert_server(const struct cert *cert, const struct cert *chain)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	g_assert_cmpint(SSL_CTX_use_certificate(ctx, cert->x509), ==, 1);
	g_assert_cmpint(SSL_CTX_use_PrivateKey(ctx, cert->key), ==, 1);
	if (chain)
		g_assert_cmpint(SSL_CTX_add1_chain_cert(ctx, chain->x509), ==, 1);
	SSL_CTX_set_session_id_context(ctx, (const uint8_t *)"test", 4);
	return ctx;
}
