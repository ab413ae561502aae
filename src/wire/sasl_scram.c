/* SPDX-License-Identifier: MIT */
/*
 * SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC 7677), each with -PLUS (channel binding). Both
 * sides prove that they know the password; neither shows it. No thread; one step may burn up to
 * SASL_ITERATIONS_MAX rounds of HMAC.
 */
#include "wire/sasl.h"

#include <string.h>

#include <glib.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "wire/sasl_impl.h"

#define NONCE_BYTES 18u /* 24 characters of base64 */
#define NONCE_MAX   1024u
#define CB_MAX      1024u
#define HASH_MAX    EVP_MAX_MD_SIZE
#define SCRAM_MAX   (8u * 1024) /* a server's message */

/* "y" says: we could bind, the server said that it cannot. If that was a lie told by somebody in
 * between, the server sees it. RFC 5802 §6. */
#define GS2_NO_CB    "n,,"
#define GS2_STRIPPED "y,,"

struct sasl_scram {
	const EVP_MD *md;
	size_t hash_len;
	char *nonce;               /* ours */
	struct bytebuf binding;    /* gs2 header, then channel binding data: what "c=" carries */
	size_t gs2_len;            /* of the header alone */
	struct bytebuf first_bare; /* client-first-message-bare */
	uint8_t server_signature[HASH_MAX]; /* set by the second turn */
};

/* server-first-message, borrowed from the challenge but for the salt. */
struct scram_first {
	const char *nonce;
	size_t nonce_len;
	struct bytebuf salt;
	uint32_t iterations;
};

/* The keys of RFC 5802 §3; wiped by scope. */
struct scram_keys {
	uint8_t salted[HASH_MAX];
	uint8_t client[HASH_MAX];
	uint8_t stored[HASH_MAX];
	uint8_t server[HASH_MAX];
	uint8_t proof[HASH_MAX];
};

static void keys_wipe(struct scram_keys *keys)
{
	explicit_bzero(keys, sizeof(*keys));
}

static void first_done(struct scram_first *first)
{
	bytebuf_done(&first->salt);
}

void sasl_scram_free(struct sasl_scram *scram)
{
	if (!scram)
		return;
	g_free(scram->nonce);
	bytebuf_wipe(&scram->binding);
	bytebuf_done(&scram->first_bare);
	explicit_bzero(scram->server_signature, sizeof(scram->server_signature));
	g_free(scram);
}

/* ---- reading "a=value,b=value" ------------------------------------------------------------ */

struct field {
	char name; /* 0 = malformed, or the end */
	const char *value;
	size_t len;
};

/* What is left of a message; `is_ended` tells "nothing more" from "a comma and nothing". */
struct cursor {
	const char *at;
	const char *end;
	bool is_ended;
};

static struct field field_next(struct cursor *cursor)
{
	const char *start = cursor->at;
	const char *comma;

	if (cursor->is_ended)
		return (struct field){ 0 };
	comma = memchr(start, ',', (size_t)(cursor->end - start));
	cursor->is_ended = !comma;
	cursor->at = comma ? comma + 1 : cursor->end;
	if (!comma)
		comma = cursor->end;
	if (comma - start < 2 || !g_ascii_isalpha(start[0]) || start[1] != '=')
		return (struct field){ 0 };
	return (struct field){ start[0], start + 2, (size_t)(comma - start - 2) };
}

/* Extensions that we do not know may be ignored, but for "m" (RFC 5802 §5.1). A second field with
 * a meaning of ours is no extension. */
static bool has_only_extensions(struct cursor *cursor)
{
	while (!cursor->is_ended) {
		struct field field = field_next(cursor);

		if (field.name == 0 || strchr("acemnprsiv", field.name))
			return false;
	}
	return true;
}

static bool is_nonce(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x21 || text[i] > 0x7e || text[i] == ',')
			return false;
	return len > 0 && len <= NONCE_MAX;
}

static enum sasl_result fail_by_server(struct sasl *sasl, const struct field *field)
{
	g_autofree char *text = sasl_printable((const uint8_t *)field->value, field->len);

	return sasl_fail(sasl, "the server refuses: %s", text);
}

/* ---- server-first-message ----------------------------------------------------------------- */

static bool take_nonce(struct sasl *sasl, const struct field *field, struct scram_first *first)
{
	size_t own_len = strlen(sasl->scram->nonce);

	if (field->name != 'r' || !is_nonce(field->value, field->len)) {
		sasl_fail(sasl, "the server's SCRAM message has no nonce");
		return false;
	}
	/* A server that adds nothing could replay an old exchange. RFC 5802 §5.1. */
	if (field->len <= own_len || memcmp(field->value, sasl->scram->nonce, own_len) != 0) {
		sasl_fail(sasl, "the server's nonce does not extend ours");
		return false;
	}
	first->nonce = field->value;
	first->nonce_len = field->len;
	return true;
}

static bool take_salt(struct sasl *sasl, const struct field *field, struct scram_first *first)
{
	if (field->name != 's' || field->len == 0 ||
		!sasl_base64_decode(field->value, field->len, SASL_BASE64_STRICT, &first->salt)) {
		sasl_fail(sasl, "the server's SCRAM message has no valid salt");
		return false;
	}
	if (first->salt.len > SASL_SALT_MAX) {
		sasl_fail(sasl, "the server's salt is longer than %u bytes", SASL_SALT_MAX);
		return false;
	}
	return true;
}

static bool take_iterations(struct sasl *sasl, const struct field *field, struct scram_first *first)
{
	uint64_t count;

	if (field->name != 'i' || !parse_u64(field->value, field->len, &count) ||
		(field->value[0] == '0' && field->len > 1)) {
		sasl_fail(sasl, "the server's SCRAM message has no valid iteration count");
		return false;
	}
	if (count < SASL_ITERATIONS_MIN || count > SASL_ITERATIONS_MAX) {
		sasl_fail(sasl,
			"the server asks for %" G_GUINT64_FORMAT
			" SCRAM iterations; safe are %u to %u",
			count, SASL_ITERATIONS_MIN, SASL_ITERATIONS_MAX);
		return false;
	}
	first->iterations = (uint32_t)count;
	return true;
}

static bool take_first(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct scram_first *first)
{
	const char *text = (const char *)challenge;
	struct cursor cursor = { text, text + len, false };
	struct field field = field_next(&cursor);

	if (field.name == 'e') {
		fail_by_server(sasl, &field);
		return false;
	}
	if (field.name == 'm') {
		sasl_fail(sasl, "the server demands a SCRAM extension that is not known here");
		return false;
	}
	if (!take_nonce(sasl, &field, first))
		return false;
	field = field_next(&cursor);
	if (!take_salt(sasl, &field, first))
		return false;
	field = field_next(&cursor);
	if (!take_iterations(sasl, &field, first))
		return false;
	if (!has_only_extensions(&cursor)) {
		sasl_fail(sasl, "the server's SCRAM message is malformed");
		return false;
	}
	return true;
}

/* ---- keys --------------------------------------------------------------------------------- */

static bool hmac(const struct sasl_scram *scram, const uint8_t *key, const void *bytes, size_t len,
	uint8_t *ret_mac)
{
	return HMAC(scram->md, key, (int)scram->hash_len, bytes, len, ret_mac, NULL) != NULL;
}

/* RFC 5802 §3. `message` is the AuthMessage. Keeps the signature that the server must show. */
static bool derive(struct sasl *sasl, const struct scram_first *first,
	const struct bytebuf *message, struct scram_keys *keys)
{
	struct sasl_scram *scram = sasl->scram;
	const uint8_t *text = bytebuf_bytes(message);
	const uint8_t *salt = bytebuf_bytes(&first->salt);

	if (PKCS5_PBKDF2_HMAC(sasl->secret, (int)strlen(sasl->secret), salt, (int)first->salt.len,
		    (int)first->iterations, scram->md, (int)scram->hash_len, keys->salted) != 1)
		return false;
	if (!hmac(scram, keys->salted, "Client Key", 10, keys->client) ||
		!hmac(scram, keys->salted, "Server Key", 10, keys->server) ||
		EVP_Digest(keys->client, scram->hash_len, keys->stored, NULL, scram->md, NULL) !=
			1 ||
		!hmac(scram, keys->stored, text, message->len, keys->proof) ||
		!hmac(scram, keys->server, text, message->len, scram->server_signature))
		return false;

	for (size_t i = 0; i < scram->hash_len; i++)
		keys->proof[i] ^= keys->client[i];
	return true;
}

/* ---- turns -------------------------------------------------------------------------------- */

static enum sasl_result scram_verify(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	SCOPED(bytebuf_done) struct bytebuf signature = { 0 };
	const char *text = (const char *)challenge;
	struct cursor cursor = { text, text + len, false };
	struct field field;

	if (len > SCRAM_MAX)
		return sasl_fail(
			sasl, "the server's SCRAM message is longer than %u bytes", SCRAM_MAX);
	field = field_next(&cursor);
	if (field.name == 'e')
		return fail_by_server(sasl, &field);
	if (field.name != 'v' || !has_only_extensions(&cursor))
		return sasl_fail(sasl, "the server does not prove that it knows the password");
	if (!sasl_base64_decode(field.value, field.len, SASL_BASE64_STRICT, &signature) ||
		signature.len != sasl->scram->hash_len ||
		CRYPTO_memcmp(bytebuf_bytes(&signature), sasl->scram->server_signature,
			signature.len) != 0)
		return sasl_fail(
			sasl, "the server's proof is wrong: it does not know the password");

	return sasl_said_all(sasl);
}

static void append_final_without_proof(
	const struct sasl_scram *scram, const struct scram_first *first, struct bytebuf *out)
{
	bytebuf_append_str(out, "c=");
	sasl_base64_encode(bytebuf_bytes(&scram->binding), scram->binding.len, out);
	bytebuf_append_str(out, ",r=");
	bytebuf_append(out, first->nonce, first->nonce_len);
}

static enum sasl_result scram_prove(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	SCOPED(keys_wipe) struct scram_keys keys = { 0 };
	SCOPED(first_done) struct scram_first first = { 0 };
	SCOPED(bytebuf_done) struct bytebuf message = { 0 };
	SCOPED(bytebuf_done) struct bytebuf final = { 0 };
	struct sasl_scram *scram = sasl->scram;

	if (len > SCRAM_MAX)
		return sasl_fail(
			sasl, "the server's SCRAM message is longer than %u bytes", SCRAM_MAX);
	if (!take_first(sasl, challenge, len, &first))
		return SASL_FAIL;

	append_final_without_proof(scram, &first, &final);
	bytebuf_append(&message, bytebuf_bytes(&scram->first_bare), scram->first_bare.len);
	bytebuf_append_str(&message, ",");
	bytebuf_append(&message, challenge, len);
	bytebuf_append_str(&message, ",");
	bytebuf_append(&message, bytebuf_bytes(&final), final.len);
	if (!derive(sasl, &first, &message, &keys))
		return sasl_fail(
			sasl, "OpenSSL cannot compute %s here", sasl_mech_name(sasl->mech));

	sasl_secret_freep(&sasl->secret);
	bytebuf_append_str(&final, ",p=");
	sasl_base64_encode(keys.proof, scram->hash_len, &final);
	bytebuf_append(response, bytebuf_bytes(&final), final.len);
	sasl->step = scram_verify;
	return SASL_SEND;
}

static enum sasl_result scram_greet(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	const struct sasl_scram *scram = sasl->scram;

	bytebuf_reserve(response, scram->gs2_len + scram->first_bare.len);
	bytebuf_append(response, bytebuf_bytes(&scram->binding), scram->gs2_len);
	bytebuf_append(response, bytebuf_bytes(&scram->first_bare), scram->first_bare.len);
	sasl->step = scram_prove;
	return SASL_SEND;
}

/* ---- the beginning ------------------------------------------------------------------------ */

void sasl_append_saslname(struct bytebuf *out, const char *name)
{
	for (; *name; name++) {
		if (*name == ',')
			bytebuf_append_str(out, "=2C");
		else if (*name == '=')
			bytebuf_append_str(out, "=3D");
		else
			bytebuf_append(out, name, 1);
	}
}

static bool is_cb_type(const char *type)
{
	static const char *const types[] = { "tls-exporter", "tls-unique", "tls-server-end-point" };

	for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* The gs2 header. "n" only when it is true that we cannot bind, or when the server can and we were
 * told not to: "y" would then be refused. */
static bool begin_binding(struct sasl *sasl, const struct sasl_params *params)
{
	struct sasl_scram *scram = sasl->scram;
	bool wants_cb =
		(sasl->mech & (SASL_MECH_SCRAM_SHA_1_PLUS | SASL_MECH_SCRAM_SHA_256_PLUS)) != 0;
	bool has_cb = params->is_tls && params->cb_type && params->cb_data && params->cb_len > 0;

	if (wants_cb && (!has_cb || !is_cb_type(params->cb_type) || params->cb_len > CB_MAX)) {
		sasl_fail(sasl, "%s needs channel binding data of TLS", sasl_mech_name(sasl->mech));
		return false;
	}
	if (wants_cb)
		bytebuf_append_printf(&scram->binding, "p=%s,,", params->cb_type);
	else
		bytebuf_append_str(&scram->binding,
			has_cb && !params->server_offers_plus ? GS2_STRIPPED : GS2_NO_CB);
	scram->gs2_len = scram->binding.len;
	if (wants_cb)
		bytebuf_append(&scram->binding, params->cb_data, params->cb_len);
	return true;
}

static bool begin_nonce(struct sasl *sasl, const struct sasl_params *params)
{
	SCOPED(bytebuf_done) struct bytebuf text = { 0 };
	uint8_t bytes[NONCE_BYTES];

	if (params->test_nonce) {
		sasl->scram->nonce = g_strdup(params->test_nonce);
	} else {
		if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
			sasl_fail(sasl, "OpenSSL has no random numbers");
			return false;
		}
		sasl_base64_encode(bytes, sizeof(bytes), &text);
		sasl->scram->nonce = g_strndup((const char *)bytebuf_bytes(&text), text.len);
	}
	if (!is_nonce(sasl->scram->nonce, strlen(sasl->scram->nonce))) {
		sasl_fail(sasl, "the client nonce is not printable");
		return false;
	}
	return true;
}

/* The secret is replaced by its normal form; the user name goes into the first message. */
static bool begin_names(struct sasl *sasl)
{
	g_autofree char *user = NULL;
	const char *reason = NULL;
	char *secret;

	user = sasl_prep(sasl->user, &reason);
	if (!user) {
		sasl_fail(sasl, "the user name %s", reason);
		return false;
	}
	secret = sasl_prep(sasl->secret, &reason);
	if (!secret) {
		sasl_fail(sasl, "the password %s; PLAIN could send it", reason);
		return false;
	}
	sasl_secret_freep(&sasl->secret);
	sasl->secret = secret;

	bytebuf_append_str(&sasl->scram->first_bare, "n=");
	sasl_append_saslname(&sasl->scram->first_bare, user);
	bytebuf_append_str(&sasl->scram->first_bare, ",r=");
	bytebuf_append_str(&sasl->scram->first_bare, sasl->scram->nonce);
	return true;
}

void sasl_scram_begin(struct sasl *sasl, const struct sasl_params *params)
{
	bool is_sha1 = (sasl->mech & (SASL_MECH_SCRAM_SHA_1 | SASL_MECH_SCRAM_SHA_1_PLUS)) != 0;

	sasl->scram = g_malloc0(sizeof(*sasl->scram));
	sasl->scram->md = is_sha1 ? EVP_sha1() : EVP_sha256();
	sasl->scram->hash_len = (size_t)EVP_MD_get_size(sasl->scram->md);
	if (begin_binding(sasl, params) && begin_nonce(sasl, params) && begin_names(sasl))
		sasl->step = scram_greet;
}
