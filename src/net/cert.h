/* SPDX-License-Identifier: MIT */
/* What a person, a pin and SCRAM need to know of a certificate. Loop thread; inside net only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#define CERT_SHA256_SIZE 32

bool cert_sha256(const X509 *cert, uint8_t ret_hash[CERT_SHA256_SIZE]);
/* "sha256:HEX" with or without colons, any case. */
bool cert_parse_fingerprint(const char *text, uint8_t ret_hash[CERT_SHA256_SIZE]);

/* Why `ctx` failed for `host`, what is in the leaf, and its fingerprint: printable; g_free(). */
char *cert_refusal(X509_STORE_CTX *ctx, const char *host);
char *cert_pin_refusal(const X509 *leaf, const char *host);

/* The hash of tls-server-end-point, RFC 5929 §4.1. False: undefined for this certificate. */
bool cert_end_point(const X509 *leaf, uint8_t *ret_bytes, size_t size, size_t *ret_len);
