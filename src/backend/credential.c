/* SPDX-License-Identifier: MIT */
/* Mechanism, secret and exchange of a login. Loop thread. RFC 4422. */
#include "backend/credential.h"

#include <string.h>

/* The question outlives the login when the session dies meanwhile. */
struct credential_wait {
	struct credential *credential; /* NULL = nobody listens any more */
};

static void wipe(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	g_clear_pointer(secret, g_free);
}

void credential_init(struct credential *c, const struct mailfs_backend_config *config,
	void (*have)(void *user, const GError *error), void *user)
{
	*c = (struct credential){ .config = config, .have = have, .user = user };
}

void credential_done(struct credential *c)
{
	if (c->wait)
		c->wait->credential = NULL;
	c->wait = NULL;
	wipe(&c->secret);
	wipe(&c->refused_token);
	g_clear_pointer(&c->refusal, g_free);
	g_clear_pointer(&c->sasl, sasl_free);
	explicit_bzero(c->binding, sizeof(c->binding));
}

/* ---- which way ------------------------------------------------------------------------------- */

static bool may_send_plaintext(const struct credential *c, const struct stream *stream)
{
	return stream_is_tls(stream) || stream_is_loopback(stream) ||
		c->config->auth == MAILFS_AUTH_PLAINTEXT;
}

static unsigned allowed_mechs(enum mailfs_auth auth)
{
	static const unsigned allowed[] = {
		[MAILFS_AUTH_ANY] = SASL_MECHS_PASSWORD,
		[MAILFS_AUTH_PLAINTEXT] = SASL_MECHS_PASSWORD,
		[MAILFS_AUTH_SCRAM] = SASL_MECHS_SCRAM,
		[MAILFS_AUTH_PLAIN] = SASL_MECH_PLAIN,
		[MAILFS_AUTH_LOGIN] = 0,
		[MAILFS_AUTH_OAUTH] = SASL_MECHS_OAUTH,
		[MAILFS_AUTH_EXTERNAL] = SASL_MECH_EXTERNAL,
	};

	return allowed[auth];
}

static bool allows_command(enum mailfs_auth auth)
{
	return auth == MAILFS_AUTH_ANY || auth == MAILFS_AUTH_PLAINTEXT || auth == MAILFS_AUTH_LOGIN;
}

const char *credential_choose(struct credential *c, struct stream *stream, unsigned offered,
	bool has_command)
{
	bool may_be_plain = may_send_plaintext(c, stream);
	struct sasl_policy policy = {
		.allowed = allowed_mechs(c->config->auth) & ~c->refused,
		.is_tls = stream_is_tls(stream),
		.allow_plaintext = may_be_plain,
	};

	c->binding_type = stream_channel_binding(stream, c->binding, sizeof(c->binding),
		&c->binding_len);
	policy.has_cb = c->binding_type != NULL;
	c->mech = sasl_choose(offered, &policy);
	g_clear_pointer(&c->sasl, sasl_free);
	if (c->mech != SASL_MECH_NONE ||
		(has_command && allows_command(c->config->auth) && may_be_plain))
		return NULL;
	return may_be_plain
		? "the server offers no way to log in that is allowed here"
		: "the server takes passwords in clear only, and the connection is not encrypted";
}

/* ---- the secret ------------------------------------------------------------------------------ */

/* The same one again would be refused again, and count as an attack (SEC-19). */
static GError *check_renewed(struct credential *c)
{
	bool is_same = c->refused_token && strcmp(c->refused_token, c->secret) == 0;

	wipe(&c->refused_token);
	return is_same ? g_error_new_literal(MAILFS_ERROR, MAILFS_ERROR_LOGIN, c->refusal) : NULL;
}

static GError *take_secret(struct credential *c, const char *secret, const GError *error)
{
	if (!secret)
		return error ? g_error_copy(error)
			     : g_error_new(MAILFS_ERROR, MAILFS_ERROR_LOGIN, "no password");
	c->secret = g_strdup(secret);
	return check_renewed(c);
}

static void on_secret(void *user, const char *secret, const GError *error)
{
	struct credential_wait *wait = user;
	struct credential *c = wait->credential;
	g_autoptr(GError) failure = NULL;

	g_free(wait);
	if (!c)
		return;
	c->wait = NULL;
	failure = take_secret(c, secret, error);
	c->have(c->user, failure);
}

bool credential_ask(struct credential *c, struct stream *stream)
{
	if (c->secret || c->mech == SASL_MECH_EXTERNAL)
		return true;
	/* A person may have to type: the clock stands. */
	stream_expect(stream, false);
	c->wait = g_new0(struct credential_wait, 1);
	c->wait->credential = c;
	c->config->secret.get(c->config->secret.source_user, on_secret, c->wait);
	return false;
}

/* A token ends at its hour: whoever makes them is asked for another one, once. CN-5. */
bool credential_renew(struct credential *c, const GError *error)
{
	const char *more = credential_error(c);

	if (c->config->auth != MAILFS_AUTH_OAUTH || c->has_asked_again || !c->secret ||
		error->code != MAILFS_ERROR_LOGIN)
		return false;
	c->has_asked_again = true;
	c->refused_token = g_steal_pointer(&c->secret);
	c->refusal = more ? g_strdup_printf("%s (%s)", error->message, more)
			  : g_strdup(error->message);
	return true;
}

/* ---- the exchange ---------------------------------------------------------------------------- */

void credential_begin(struct credential *c, struct stream *stream, unsigned offered)
{
	struct sasl_params params = {
		.user = c->config->user,
		.secret = c->secret,
		.host = c->config->host,
		.port = c->config->port,
		.cb_type = c->binding_type,
		.cb_data = c->binding,
		.cb_len = c->binding_len,
		.server_offers_plus = sasl_offers_plus(offered, c->mech),
		.is_tls = stream_is_tls(stream),
	};

	g_clear_pointer(&c->sasl, sasl_free);
	c->sasl = sasl_new(c->mech, &params);
	c->has_shown = false;
}

bool credential_initial(struct credential *c, struct bytebuf *text)
{
	struct bytebuf raw;
	bool is_good;

	bytebuf_init(&raw);
	is_good = sasl_step(c->sasl, NULL, 0, &raw) != SASL_FAIL;
	if (is_good && raw.len == 0)
		bytebuf_append_str(text, "=");
	else if (is_good)
		sasl_base64_encode(bytebuf_bytes(&raw), raw.len, text);
	/* A refusal of the mechanism itself shows nothing but SCRAM's name to anybody. */
	c->has_shown = is_good && ((unsigned)c->mech & (SASL_MECHS_CLEAR | SASL_MECHS_OAUTH)) != 0;
	bytebuf_wipe(&raw);
	return is_good;
}

static void send_line(struct stream *stream, const struct bytebuf *raw)
{
	struct bytebuf line;

	bytebuf_init(&line);
	if (raw->len > 0)
		sasl_base64_encode(bytebuf_bytes(raw), raw->len, &line);
	bytebuf_append_str(&line, "\r\n");
	stream_write(stream, bytebuf_bytes(&line), line.len);
	bytebuf_wipe(&line);
}

const char *credential_answer(struct credential *c, struct stream *stream, const char *text)
{
	struct bytebuf challenge, answer;
	enum sasl_result result = SASL_FAIL;
	const char *why = NULL;

	bytebuf_init(&challenge);
	bytebuf_init(&answer);
	c->has_shown = true;
	if (sasl_base64_decode(text, strlen(text), SASL_BASE64_TOLERANT, &challenge))
		result = sasl_step(c->sasl,
			challenge.len > 0 ? bytebuf_bytes(&challenge) : (const uint8_t *)"",
			challenge.len, &answer);
	if (result == SASL_FAIL) {
		/* "*" ends the exchange; then the connection is of no use either. */
		stream_write(stream, "*\r\n", 3);
		why = credential_error(c) ? credential_error(c) : "the server's challenge makes no sense";
	} else {
		send_line(stream, &answer);
	}
	bytebuf_wipe(&challenge);
	bytebuf_wipe(&answer);
	return why;
}

bool credential_may_succeed(const struct credential *c)
{
	return !c->sasl || sasl_may_succeed(c->sasl);
}

const char *credential_error(const struct credential *c)
{
	return c->sasl ? sasl_error(c->sasl) : NULL;
}
