/* SPDX-License-Identifier: MIT */
/* Certificates in words and hashes. All text that a server wrote goes through log_safe(). */
#include "net/cert.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include <glib.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/log.h"

#define NAMES_MAX     8
#define NAME_LEN_MAX  128
#define TEXT_LEN_MAX  200

bool cert_sha256(const X509 *cert, uint8_t ret_hash[CERT_SHA256_SIZE])
{
	unsigned len = 0;

	return X509_digest(cert, EVP_sha256(), ret_hash, &len) == 1 && len == CERT_SHA256_SIZE;
}

bool cert_parse_fingerprint(const char *text, uint8_t ret_hash[CERT_SHA256_SIZE])
{
	uint8_t hash[CERT_SHA256_SIZE] = { 0 };
	unsigned digits = 0;

	if (g_ascii_strncasecmp(text, "sha256:", 7) != 0)
		return false;
	for (const char *p = text + 7; *p; p++) {
		int value = g_ascii_xdigit_value(*p);

		if (*p == ':')
			continue;
		if (value < 0 || digits == 2 * CERT_SHA256_SIZE)
			return false;
		hash[digits / 2] = (uint8_t)(hash[digits / 2] << 4 | value);
		digits++;
	}
	if (digits != 2 * CERT_SHA256_SIZE)
		return false;
	memcpy(ret_hash, hash, sizeof(hash));
	return true;
}

static char *fingerprint_text(const X509 *cert)
{
	uint8_t hash[CERT_SHA256_SIZE];
	GString *text = g_string_new("sha256:");

	if (!cert || !cert_sha256(cert, hash))
		return g_string_free(text, FALSE);
	for (size_t i = 0; i < sizeof(hash); i++)
		g_string_append_printf(text, "%02x", hash[i]);
	return g_string_free(text, FALSE);
}

static char *name_text(const GENERAL_NAME *name)
{
	char address[INET6_ADDRSTRLEN];
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
	const void *bytes;
	int len;

	if (type != GEN_DNS && type != GEN_IPADD)
		return NULL;
	bytes = ASN1_STRING_get0_data(value);
	len = ASN1_STRING_length(value);
	if (type == GEN_DNS)
		return log_safe(bytes, MIN(len, NAME_LEN_MAX));
	if (len != 4 && len != 16)
		return NULL;
	return g_strdup(inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, address, sizeof(address)));
}

/* "a.example, b.example, …"; NULL when there is no usable name. */
static char *names_text(const X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	g_autoptr(GString) text = g_string_new(NULL);
	unsigned count = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		g_autofree char *name = name_text(sk_GENERAL_NAME_value(names, i));

		if (!name)
			continue;
		if (count++ == NAMES_MAX) {
			g_string_append(text, ", …");
			break;
		}
		g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", name);
	}
	GENERAL_NAMES_free(names);
	return count > 0 ? g_strdup(text->str) : NULL;
}

static char *issuer_text(const X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes = NULL;
	char *text;
	long len;

	X509_NAME_print_ex(bio, X509_get_issuer_name(cert), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
	len = BIO_get_mem_data(bio, &bytes);
	text = log_safe(len > 0 ? bytes : "", MIN(len, TEXT_LEN_MAX));
	BIO_free(bio);
	return text;
}

static char *date_text(const ASN1_TIME *time)
{
	struct tm tm;
	char text[32];

	if (!time || ASN1_TIME_to_tm(time, &tm) != 1 ||
		strftime(text, sizeof(text), "%Y-%m-%d", &tm) == 0)
		return g_strdup("an unknown date");
	return g_strdup(text);
}

static char *mismatch_text(const X509 *cert)
{
	g_autofree char *names = cert ? names_text(cert) : NULL;

	if (!names)
		return g_strdup("it names no host (a common name alone does not count)");
	return g_strdup_printf("it is for %s", names);
}

static char *validity_text(const X509 *cert, const char *format_leaf, const char *format_chain,
	int depth, bool is_end)
{
	g_autofree char *date =
		date_text(is_end ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert));

	return g_strconcat(depth == 0 ? format_leaf : format_chain, date, NULL);
}

static char *issuer_refusal(const X509 *leaf)
{
	g_autofree char *issuer = issuer_text(leaf);

	return g_strdup_printf("it is signed by an authority that is not known here (%s)", issuer);
}

static char *reason_text(X509_STORE_CTX *ctx, const X509 *leaf)
{
	const X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
	int depth = X509_STORE_CTX_get_error_depth(ctx);
	int code = X509_STORE_CTX_get_error(ctx);

	if (!cert)
		cert = leaf;
	switch (code) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return mismatch_text(leaf);
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return validity_text(cert, "it expired on ", "one above it expired on ", depth, true);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return validity_text(cert, "it is not valid before ", "one above it is not valid before ",
			depth, false);
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return g_strdup("it is self-signed");
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return issuer_refusal(leaf);
	case X509_V_ERR_INVALID_PURPOSE:
		return g_strdup(depth == 0 ? "it is not meant for servers" :
									 "one above it may not sign for servers");
	default:
		return g_strdup(X509_verify_cert_error_string(code));
	}
}

static char *refusal_text(const X509 *leaf, const char *host, const char *reason)
{
	g_autofree char *fingerprint = fingerprint_text(leaf);

	return g_strdup_printf("the certificate of %s is refused: %s; its fingerprint is %s", host,
		reason, fingerprint);
}

char *cert_refusal(X509_STORE_CTX *ctx, const char *host)
{
	const X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
	g_autofree char *reason = NULL;

	if (!leaf)
		return g_strdup_printf("%s shows no certificate", host);
	reason = reason_text(ctx, leaf);
	return refusal_text(leaf, host, reason);
}

char *cert_pin_refusal(const X509 *leaf, const char *host)
{
	return refusal_text(leaf, host, "it is not the pinned one");
}

bool cert_end_point(const X509 *leaf, uint8_t *ret_bytes, size_t size, size_t *ret_len)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	const EVP_MD *digest;
	int nid = NID_undef;
	unsigned len;

	/* Ed25519 and the like name no hash: undefined by the RFC. */
	if (X509_get_signature_info((X509 *)leaf, &nid, NULL, NULL, NULL) != 1 || nid == NID_undef)
		return false;
	if (nid == NID_md5 || nid == NID_sha1)
		nid = NID_sha256;
	digest = EVP_get_digestbynid(nid);
	if (!digest || X509_digest(leaf, digest, hash, &len) != 1 || len > size)
		return false;
	memcpy(ret_bytes, hash, len);
	*ret_len = len;
	return true;
}
