/* SPDX-License-Identifier: MIT */
/*
 * SASL: the table of mechanisms, the choice among them, the life of an exchange, and the
 * mechanisms of one or two lines: PLAIN (RFC 4616), LOGIN, EXTERNAL (RFC 4422). No thread.
 */
#include "wire/sasl.h"

#include <stdarg.h>
#include <string.h>

#include <glib.h>

#include "wire/sasl_impl.h"

#define SASL_TEXT_MAX 160 /* of a server's text in an error */

typedef void (*sasl_begin_fn)(struct sasl *sasl, const struct sasl_params *params);

static void plain_begin(struct sasl *sasl, const struct sasl_params *params);
static void login_begin(struct sasl *sasl, const struct sasl_params *params);
static void external_begin(struct sasl *sasl, const struct sasl_params *params);

/* clang-format off */
/* Strongest first: sasl_choose() takes the first that is offered and permitted. */
static const struct sasl_mech_info {
	enum sasl_mech mech;
	const char *name;
	bool has_initial;
	bool shows_secret; /* to the server, and to the wire without TLS */
	bool needs_cb;
	sasl_begin_fn begin;
} sasl_mechs[] = {
	/* mech                         name                  initial shows  cb     begin */
	{ SASL_MECH_SCRAM_SHA_256_PLUS, "SCRAM-SHA-256-PLUS", true,   false, true,  sasl_scram_begin },
	{ SASL_MECH_SCRAM_SHA_256,      "SCRAM-SHA-256",      true,   false, false, sasl_scram_begin },
	{ SASL_MECH_SCRAM_SHA_1_PLUS,   "SCRAM-SHA-1-PLUS",   true,   false, true,  sasl_scram_begin },
	{ SASL_MECH_SCRAM_SHA_1,        "SCRAM-SHA-1",        true,   false, false, sasl_scram_begin },
	{ SASL_MECH_PLAIN,              "PLAIN",              true,   true,  false, plain_begin },
	{ SASL_MECH_LOGIN,              "LOGIN",              false,  true,  false, login_begin },
	{ SASL_MECH_OAUTHBEARER,        "OAUTHBEARER",        true,   true,  false, sasl_oauth_begin },
	{ SASL_MECH_XOAUTH2,            "XOAUTH2",            true,   true,  false, sasl_oauth_begin },
	{ SASL_MECH_EXTERNAL,           "EXTERNAL",           true,   false, false, external_begin },
};
/* clang-format on */

static const struct sasl_mech_info *sasl_mech_info(enum sasl_mech mech)
{
	for (size_t i = 0; i < G_N_ELEMENTS(sasl_mechs); i++)
		if (sasl_mechs[i].mech == mech)
			return &sasl_mechs[i];
	return NULL;
}

unsigned sasl_mech_from_name(const char *name, size_t len)
{
	for (size_t i = 0; i < G_N_ELEMENTS(sasl_mechs); i++)
		if (strlen(sasl_mechs[i].name) == len &&
			g_ascii_strncasecmp(sasl_mechs[i].name, name, len) == 0)
			return sasl_mechs[i].mech;
	return 0;
}

const char *sasl_mech_name(enum sasl_mech mech)
{
	const struct sasl_mech_info *info = sasl_mech_info(mech);

	return info ? info->name : NULL;
}

bool sasl_has_initial(enum sasl_mech mech)
{
	const struct sasl_mech_info *info = sasl_mech_info(mech);

	return info && info->has_initial;
}

static bool policy_permits(const struct sasl_policy *policy, const struct sasl_mech_info *info)
{
	if ((policy->allowed & info->mech) == 0)
		return false;
	if (info->shows_secret && !policy->is_tls && !policy->allow_plaintext)
		return false;
	if (info->needs_cb && !(policy->is_tls && policy->has_cb))
		return false;
	return true;
}

enum sasl_mech sasl_choose(unsigned offered, const struct sasl_policy *policy)
{
	for (size_t i = 0; i < G_N_ELEMENTS(sasl_mechs); i++)
		if ((offered & sasl_mechs[i].mech) != 0 && policy_permits(policy, &sasl_mechs[i]))
			return sasl_mechs[i].mech;
	return SASL_MECH_NONE;
}

bool sasl_offers_plus(unsigned offered, enum sasl_mech mech)
{
	switch (mech) {
	case SASL_MECH_SCRAM_SHA_1:
	case SASL_MECH_SCRAM_SHA_1_PLUS:
		return (offered & SASL_MECH_SCRAM_SHA_1_PLUS) != 0;
	case SASL_MECH_SCRAM_SHA_256:
	case SASL_MECH_SCRAM_SHA_256_PLUS:
		return (offered & SASL_MECH_SCRAM_SHA_256_PLUS) != 0;
	default:
		return false;
	}
}

/* ---- what the mechanisms share ------------------------------------------------------------ */

void sasl_secret_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	g_free(secret);
}

void sasl_secret_freep(char **secret)
{
	sasl_secret_free(*secret);
	*secret = NULL;
}

char *sasl_printable(const uint8_t *bytes, size_t len)
{
	size_t kept = MIN(len, SASL_TEXT_MAX);
	char *text = g_malloc(kept + 1);

	for (size_t i = 0; i < kept; i++)
		text[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?';
	text[kept] = '\0';
	return text;
}

enum sasl_result sasl_fail(struct sasl *sasl, const char *format, ...)
{
	va_list args;

	g_free(sasl->error);
	va_start(args, format);
	sasl->error = g_strdup_vprintf(format, args);
	va_end(args);

	sasl->has_failed = true;
	sasl->step = NULL;
	return SASL_FAIL;
}

enum sasl_result sasl_said_all(struct sasl *sasl)
{
	sasl->is_satisfied = true;
	sasl->step = NULL;
	return SASL_SEND;
}

/* ---- PLAIN -------------------------------------------------------------------------------- */

/* Any bytes go, also CR, LF and 8-bit: base64 carries them. Nothing is normalised, because servers
 * compare as they please. The identity to act as is left out: it is the user. RFC 4616 §2. */
static enum sasl_result plain_say(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	size_t user_len = strlen(sasl->user);
	size_t secret_len = strlen(sasl->secret);

	bytebuf_reserve(response, user_len + secret_len + 2);
	bytebuf_append(response, "", 1);
	bytebuf_append(response, sasl->user, user_len);
	bytebuf_append(response, "", 1);
	bytebuf_append(response, sasl->secret, secret_len);
	sasl_secret_freep(&sasl->secret);
	return sasl_said_all(sasl);
}

static void plain_begin(struct sasl *sasl, const struct sasl_params *params)
{
	sasl->step = plain_say;
}

/* ---- LOGIN -------------------------------------------------------------------------------- */

/* The prompts are not looked at: servers word them as they like, some with a NUL at the end; the
 * order is always the same. */
static enum sasl_result login_say_secret(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	bytebuf_append_str(response, sasl->secret);
	sasl_secret_freep(&sasl->secret);
	return sasl_said_all(sasl);
}

static enum sasl_result login_say_user(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	bytebuf_append_str(response, sasl->user);
	sasl->step = login_say_secret;
	return SASL_SEND;
}

static void login_begin(struct sasl *sasl, const struct sasl_params *params)
{
	sasl->step = login_say_user;
}

/* ---- EXTERNAL ----------------------------------------------------------------------------- */

static enum sasl_result external_say(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	if (sasl->user)
		bytebuf_append_str(response, sasl->user);
	return sasl_said_all(sasl);
}

static void external_begin(struct sasl *sasl, const struct sasl_params *params)
{
	sasl->step = external_say;
}

/* ---- life --------------------------------------------------------------------------------- */

static bool check_params(struct sasl *sasl, const struct sasl_params *params)
{
	bool is_external = sasl->mech == SASL_MECH_EXTERNAL;

	if (!is_external && (!params->user || params->user[0] == '\0'))
		sasl_fail(sasl, "no user name is given");
	else if (params->user && strlen(params->user) > SASL_USER_MAX)
		sasl_fail(sasl, "the user name is longer than %u bytes", SASL_USER_MAX);
	else if (!is_external && (!params->secret || params->secret[0] == '\0'))
		sasl_fail(sasl, "no password or token is given");
	else if (!is_external && strlen(params->secret) > SASL_SECRET_MAX)
		sasl_fail(sasl, "the password or token is longer than %u bytes", SASL_SECRET_MAX);
	return !sasl->has_failed;
}

struct sasl *sasl_new(enum sasl_mech mech, const struct sasl_params *params)
{
	const struct sasl_mech_info *info = sasl_mech_info(mech);
	struct sasl *sasl = g_malloc0(sizeof(*sasl));

	sasl->mech = mech;
	if (!info) {
		sasl_fail(sasl, "no such login mechanism");
		return sasl;
	}
	if (!check_params(sasl, params))
		return sasl;

	sasl->user = g_strdup(params->user);
	if (mech != SASL_MECH_EXTERNAL)
		sasl->secret = g_strdup(params->secret);
	sasl->host = g_strdup(params->host);
	sasl->port = params->port;
	info->begin(sasl, params);
	return sasl;
}

void sasl_free(struct sasl *sasl)
{
	if (!sasl)
		return;
	sasl_scram_free(sasl->scram);
	sasl_secret_free(sasl->secret);
	g_free(sasl->user);
	g_free(sasl->host);
	g_free(sasl->error);
	g_free(sasl);
}

enum sasl_result sasl_step(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	if (sasl->has_failed)
		return SASL_FAIL;
	if (!challenge && (sasl->has_spoken || !sasl_has_initial(sasl->mech)))
		return SASL_DONE;
	if (len > SASL_CHALLENGE_MAX)
		return sasl_fail(
			sasl, "the server's challenge is longer than %u bytes", SASL_CHALLENGE_MAX);
	if (!sasl->step)
		return sasl_fail(sasl, "the server goes on asking after the end of the login");

	sasl->has_spoken = true;
	return sasl->step(sasl, challenge, len, response);
}

bool sasl_may_succeed(const struct sasl *sasl)
{
	return sasl->is_satisfied && !sasl->has_failed;
}

const char *sasl_error(const struct sasl *sasl)
{
	return sasl->error;
}
