/* SPDX-License-Identifier: MIT */
/*
 * Proving who we are: the strongest SASL mechanism both sides know, else the LOGIN command. One
 * try per credential: another mechanism only when the server does not know the first one. Loop
 * thread. RFC 9051 §6.2, RFC 4959.
 */
#include <string.h>

#include "backend/imap/login_impl.h"
#include "backend/imap/session.h"

/* Longer initial responses (tokens of some providers) wait for "+": servers limit the line. */
#define INITIAL_RESPONSE_MAX 2000

static enum step login_ask_secret(struct login *l);

static bool may_send_plaintext(const struct mailfs_session *s)
{
	return stream_is_tls(s->stream) || stream_is_loopback(s->stream) ||
		s->life.config.auth == MAILFS_AUTH_PLAINTEXT;
}

static unsigned allowed_mechs(enum mailfs_auth auth)
{
	static const unsigned allowed[] = {
		[MAILFS_AUTH_ANY] = SASL_MECHS_PASSWORD,   [MAILFS_AUTH_PLAINTEXT] = SASL_MECHS_PASSWORD,
		[MAILFS_AUTH_SCRAM] = SASL_MECHS_SCRAM,    [MAILFS_AUTH_PLAIN] = SASL_MECH_PLAIN,
		[MAILFS_AUTH_LOGIN] = 0,                   [MAILFS_AUTH_OAUTH] = SASL_MECHS_OAUTH,
		[MAILFS_AUTH_EXTERNAL] = SASL_MECH_EXTERNAL,
	};

	return allowed[auth];
}

static enum sasl_mech choose_mech(const struct login *l)
{
	const struct mailfs_session *s = l->s;
	struct sasl_policy policy = {
		.allowed = allowed_mechs(s->life.config.auth) & ~l->refused,
		.is_tls = stream_is_tls(s->stream),
		.allow_plaintext = may_send_plaintext(s),
		.has_cb = l->binding_type != NULL,
	};

	return sasl_choose(s->caps.auth, &policy);
}

static bool may_use_login_command(const struct mailfs_session *s)
{
	enum mailfs_auth auth = s->life.config.auth;

	return (auth == MAILFS_AUTH_ANY || auth == MAILFS_AUTH_PLAINTEXT ||
		       auth == MAILFS_AUTH_LOGIN) &&
		!s->caps.logindisabled && may_send_plaintext(s);
}

static enum step login_accepted(struct login *l)
{
	struct mailfs_session *s = l->s;

	s->auth_name = l->mech == SASL_MECH_NONE ? "LOGIN" : sasl_mech_name(l->mech);
	l->step = login_extras;
	if (s->caps.is_known)
		return STEP_AGAIN;
	login_send(l, imap_cmd_new("CAPABILITY"), "CAPABILITY");
	return STEP_WAIT;
}

/* Did the server say that it lacks the mechanism, before it saw anything of the credential? All
 * else is a real refusal: another try could lock the account (SEC-19). */
static bool is_mech_unknown(const struct login *l)
{
	const struct imap_response *r = l->answer;

	if (l->mech == SASL_MECH_NONE || l->has_shown || !r)
		return false;
	if (r->status == IMAP_BAD)
		return true;
	return (r->code && strcmp(r->code, "CANNOT") == 0) ||
		strcasestr(r->text, "unsupported") || strcasestr(r->text, "not supported") ||
		strcasestr(r->text, "unknown auth");
}

/* A token ends at its hour: whoever makes them is asked for another one, once. CN-5. */
static bool may_ask_again(const struct login *l)
{
	return l->s->life.config.auth == MAILFS_AUTH_OAUTH && !l->has_asked_again && l->secret &&
		l->error->code == MAILFS_ERROR_LOGIN;
}

static enum step ask_again(struct login *l, const char *more)
{
	l->has_asked_again = true;
	l->refused_token = g_steal_pointer(&l->secret);
	l->refusal = more ? g_strdup_printf("%s (%s)", l->error->message, more)
			  : g_strdup(l->error->message);
	return login_ask_secret(l);
}

static enum step login_refused(struct login *l)
{
	const char *more = l->sasl ? sasl_error(l->sasl) : NULL;

	if (is_mech_unknown(l)) {
		l->refused |= (unsigned)l->mech;
		l->step = login_auth;
		/* The capabilities were forgotten when the attempt began. */
		if (l->s->caps.is_known)
			return STEP_AGAIN;
		l->step = login_ask_caps;
		return STEP_AGAIN;
	}
	if (may_ask_again(l))
		return ask_again(l, more);
	if (more)
		session_fail(l->s, (enum mailfs_error)l->error->code, "%s (%s)", l->error->message, more);
	else
		login_fail_error(l);
	return STEP_WAIT;
}

enum step login_auth_reply(struct login *l)
{
	if (!l->answer)
		return STEP_WAIT;
	if (l->error)
		return login_refused(l);
	if (l->sasl && !sasl_may_succeed(l->sasl))
		return login_fail(l, MAILFS_ERROR_PROTOCOL,
			"the server lets us in without proof that it knows the password");
	return login_accepted(l);
}

/* What was offered before is void from here on; Gmail tells anew before its OK. */
static void begin_attempt(struct login *l)
{
	imap_caps_reset(&l->s->caps);
	l->may_learn_caps = true;
	l->step = login_auth_reply;
}

static enum step login_send_login(struct login *l)
{
	struct imap_cmd *cmd = imap_cmd_new("LOGIN");
	const char *user = l->s->life.config.user, *secret = l->secret;

	if (!imap_cmd_string(cmd, user, strlen(user), false) ||
		!imap_cmd_string(cmd, secret, strlen(secret), false)) {
		imap_cmd_free(cmd);
		return login_fail(l, MAILFS_ERROR_INVALID,
			"this user name or password cannot be sent: it holds a line end or is too long");
	}
	begin_attempt(l);
	login_send_secret(l, cmd);
	return STEP_WAIT;
}

static void new_sasl(struct login *l, unsigned offered)
{
	struct mailfs_session *s = l->s;
	struct sasl_params params = {
		.user = s->life.config.user,
		.secret = l->secret,
		.host = s->life.config.host,
		.port = s->life.config.port,
		.cb_type = l->binding_type,
		.cb_data = l->binding,
		.cb_len = l->binding_len,
		.server_offers_plus = sasl_offers_plus(offered, l->mech),
		.is_tls = stream_is_tls(s->stream),
	};

	g_clear_pointer(&l->sasl, sasl_free);
	l->sasl = sasl_new(l->mech, &params);
}

/* Adds the initial response where the server takes one in the command (RFC 4959). */
static bool add_initial(struct login *l, struct imap_cmd *cmd, bool has_sasl_ir)
{
	struct bytebuf raw, text;
	bool is_good = true;

	if (!has_sasl_ir || !sasl_has_initial(l->mech) ||
		(l->secret && strlen(l->secret) > INITIAL_RESPONSE_MAX))
		return true;
	bytebuf_init(&raw);
	bytebuf_init(&text);
	if (sasl_step(l->sasl, NULL, 0, &raw) == SASL_FAIL)
		is_good = false;
	else if (raw.len == 0)
		bytebuf_append_str(&text, "=");
	else
		sasl_base64_encode(bytebuf_bytes(&raw), raw.len, &text);
	if (is_good) {
		bytebuf_append(&text, "", 1);
		imap_cmd_raw(cmd, (const char *)bytebuf_bytes(&text));
		l->has_shown = ((unsigned)l->mech & (SASL_MECHS_CLEAR | SASL_MECHS_OAUTH)) != 0;
	}
	bytebuf_wipe(&raw);
	bytebuf_wipe(&text);
	return is_good;
}

static enum step login_send_sasl(struct login *l)
{
	struct imap_cmd *cmd = imap_cmd_new("AUTHENTICATE");
	bool has_sasl_ir = l->s->caps.sasl_ir;

	new_sasl(l, l->s->caps.auth);
	l->has_shown = false;
	imap_cmd_raw(cmd, sasl_mech_name(l->mech));
	if (!add_initial(l, cmd, has_sasl_ir)) {
		const char *why = sasl_error(l->sasl);

		imap_cmd_free(cmd);
		return login_fail(l, MAILFS_ERROR_INVALID, why ? why : "this password cannot be sent");
	}
	begin_attempt(l);
	login_send_secret(l, cmd);
	return STEP_WAIT;
}

/* The same one again would be refused again, and count as an attack (SEC-19). */
static enum step login_have_another(struct login *l)
{
	bool is_same = strcmp(l->refused_token, l->secret) == 0;

	login_wipe(&l->refused_token);
	if (is_same) {
		session_fail(l->s, MAILFS_ERROR_LOGIN, "%s", l->refusal);
		return STEP_WAIT;
	}
	l->step = l->s->caps.is_known ? login_auth : login_ask_caps;
	return STEP_AGAIN;
}

static enum step login_have_secret(struct login *l)
{
	if (l->refused_token)
		return login_have_another(l);
	return l->mech == SASL_MECH_NONE ? login_send_login(l) : login_send_sasl(l);
}

static void on_secret(void *user, const char *secret, const GError *error)
{
	struct secret_wait *wait = user;
	struct login *l = wait->login;

	g_free(wait);
	if (!l)
		return;
	l->wait = NULL;
	if (!secret) {
		session_fail(l->s, error ? (enum mailfs_error)error->code : MAILFS_ERROR_LOGIN, "%s",
			error ? error->message : "no password");
		return;
	}
	l->secret = g_strdup(secret);
	l->step = login_have_secret;
	login_timer_start(l);
	login_run(l);
}

static enum step login_ask_secret(struct login *l)
{
	struct mailfs_session *s = l->s;

	l->step = login_have_secret;
	if (l->secret || l->mech == SASL_MECH_EXTERNAL)
		return STEP_AGAIN;
	/* A person may have to type: the clocks stand. */
	login_timer_clear(l);
	stream_expect(s->stream, false);
	l->wait = g_new0(struct secret_wait, 1);
	l->wait->login = l;
	s->life.config.secret.get(s->life.config.secret.source_user, on_secret, l->wait);
	return STEP_WAIT;
}

enum step login_auth(struct login *l)
{
	struct mailfs_session *s = l->s;

	l->binding_type = stream_channel_binding(s->stream, l->binding, sizeof(l->binding),
		&l->binding_len);
	l->mech = choose_mech(l);
	if (l->mech == SASL_MECH_NONE && !may_use_login_command(s))
		return login_fail(l, MAILFS_ERROR_LOGIN, may_send_plaintext(s)
				? "the server offers no way to log in that is allowed here"
				: "the server takes passwords in clear only, and the connection is not encrypted");
	return login_ask_secret(l);
}

/* Writes a line of the SASL exchange. */
static void send_sasl_line(struct login *l, const struct bytebuf *raw)
{
	struct bytebuf line;

	bytebuf_init(&line);
	if (raw->len > 0)
		sasl_base64_encode(bytebuf_bytes(raw), raw->len, &line);
	bytebuf_append_str(&line, "\r\n");
	stream_write(l->s->stream, bytebuf_bytes(&line), line.len);
	bytebuf_wipe(&line);
}

void login_on_challenge(struct login *l, const struct imap_response *response)
{
	struct bytebuf challenge, answer;
	enum sasl_result result = SASL_FAIL;

	bytebuf_init(&challenge);
	bytebuf_init(&answer);
	l->has_shown = true;
	if (sasl_base64_decode(response->text, strlen(response->text), SASL_BASE64_TOLERANT,
		    &challenge))
		result = sasl_step(l->sasl, challenge.len > 0 ? bytebuf_bytes(&challenge)
							      : (const uint8_t *)"",
			challenge.len, &answer);
	if (result == SASL_FAIL) {
		const char *why = sasl_error(l->sasl);

		/* "*" ends the exchange; then the connection is of no use either. */
		stream_write(l->s->stream, "*\r\n", 3);
		session_fail(l->s, MAILFS_ERROR_PROTOCOL, "login: %s",
			why ? why : "the server's challenge makes no sense");
	} else {
		send_sasl_line(l, &answer);
	}
	bytebuf_wipe(&challenge);
	bytebuf_wipe(&answer);
}
