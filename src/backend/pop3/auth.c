/* SPDX-License-Identifier: MIT */
/*
 * Proving who we are: the strongest SASL mechanism both sides know, else USER and PASS. Never APOP:
 * its MD5 gives the password away to who sits in between (P3-10). One try per credential: another
 * mechanism only when the server does not know the first one. Loop thread. RFC 5034, RFC 1939 §7.
 */
#include <string.h>

#include "backend/pop3/login.h"
#include "backend/pop3/session.h"

#define COMMAND_MAX 255 /* octets with CRLF; a longer initial response waits for "+". RFC 5034 §4 */
#define USER_MAX    1000 /* of a name or password as an argument */

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

static enum sasl_mech choose_mech(const struct pop3_login *l)
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

/* Offered, or the server does not tell what it has. */
static bool may_use_pass(const struct mailfs_session *s)
{
	enum mailfs_auth auth = s->life.config.auth;

	return (auth == MAILFS_AUTH_ANY || auth == MAILFS_AUTH_PLAINTEXT ||
		       auth == MAILFS_AUTH_LOGIN) &&
		(!s->caps.is_known || s->caps.user || s->caps.auth == 0) && may_send_plaintext(s);
}

/* ---- the word of the server ------------------------------------------------------------------ */

static enum pop3_step login_accepted(struct pop3_login *l)
{
	l->s->auth_name = l->mech == SASL_MECH_NONE ? "USER" : sasl_mech_name(l->mech);
	l->is_in = true;
	l->step = pop3_login_ask_capa;
	return POP3_STEP_AGAIN;
}

/* Did the server say that it lacks the mechanism, before it saw anything of the credential? All
 * else is a real refusal: another try could lock the account (SEC-19). */
static bool is_mech_unknown(const struct pop3_login *l)
{
	if (l->mech == SASL_MECH_NONE || l->has_shown ||
		l->error->code != MAILFS_ERROR_LOGIN)
		return false;
	return strcasestr(l->error->message, "[AUTH]") == NULL;
}

static enum pop3_step login_refused(struct pop3_login *l)
{
	const char *more = l->sasl ? sasl_error(l->sasl) : NULL;

	if (is_mech_unknown(l)) {
		l->refused |= (unsigned)l->mech;
		l->step = pop3_login_auth;
		return POP3_STEP_AGAIN;
	}
	if (!more)
		return pop3_login_fail_error(l);
	session_fail(l->s, (enum mailfs_error)l->error->code, "%s (%s)", l->error->message, more);
	return POP3_STEP_WAIT;
}

static enum pop3_step login_auth_reply(struct pop3_login *l)
{
	if (!l->is_answered)
		return POP3_STEP_WAIT;
	if (l->error)
		return login_refused(l);
	if (l->sasl && !sasl_may_succeed(l->sasl))
		return pop3_login_fail(l, MAILFS_ERROR_PROTOCOL,
			"the server lets us in without proof that it knows the password");
	return login_accepted(l);
}

/* ---- USER and PASS --------------------------------------------------------------------------- */

static bool is_argument(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= USER_MAX && !strpbrk(text, "\r\n");
}

static void send_wiped(struct pop3_login *l, char *line)
{
	pop3_login_send_secret(l, line);
	explicit_bzero(line, strlen(line));
	g_free(line);
}

static enum pop3_step login_user_reply(struct pop3_login *l)
{
	if (!l->is_answered)
		return POP3_STEP_WAIT;
	if (l->error)
		return pop3_login_fail_error(l);
	l->step = login_auth_reply;
	send_wiped(l, g_strconcat("PASS ", l->secret, NULL));
	return POP3_STEP_WAIT;
}

static enum pop3_step login_send_user(struct pop3_login *l)
{
	if (!is_argument(l->s->life.config.user) || !is_argument(l->secret))
		return pop3_login_fail(l, MAILFS_ERROR_INVALID,
			"this user name or password cannot be sent: it is empty, too long, or holds a line end");
	l->step = login_user_reply;
	send_wiped(l, g_strconcat("USER ", l->s->life.config.user, NULL));
	return POP3_STEP_WAIT;
}

/* ---- SASL ------------------------------------------------------------------------------------ */

static void new_sasl(struct pop3_login *l)
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
		.server_offers_plus = sasl_offers_plus(s->caps.auth, l->mech),
		.is_tls = stream_is_tls(s->stream),
	};

	g_clear_pointer(&l->sasl, sasl_free);
	l->sasl = sasl_new(l->mech, &params);
}

/* Appends the initial response where it fits. Tokens wait for "+" (some servers want two steps). */
static bool add_initial(struct pop3_login *l, struct bytebuf *line)
{
	struct bytebuf raw, text;
	bool is_good;

	if (!sasl_has_initial(l->mech) || ((unsigned)l->mech & SASL_MECHS_OAUTH) != 0 ||
		(l->secret && strlen(l->secret) + strlen(l->s->life.config.user) * 2 > COMMAND_MAX / 2))
		return true;
	bytebuf_init(&raw);
	bytebuf_init(&text);
	is_good = sasl_step(l->sasl, NULL, 0, &raw) != SASL_FAIL;
	if (is_good) {
		sasl_base64_encode(bytebuf_bytes(&raw), raw.len, &text);
		bytebuf_append_str(line, raw.len == 0 ? " =" : " ");
		bytebuf_append(line, bytebuf_bytes(&text), text.len);
		l->has_shown = true;
	}
	bytebuf_wipe(&raw);
	bytebuf_wipe(&text);
	return is_good;
}

static enum pop3_step login_send_sasl(struct pop3_login *l)
{
	struct bytebuf line;
	bool is_good;

	new_sasl(l);
	l->has_shown = false;
	bytebuf_init(&line);
	bytebuf_reserve(&line, 1024);
	bytebuf_append_str(&line, "AUTH ");
	bytebuf_append_str(&line, sasl_mech_name(l->mech));
	is_good = add_initial(l, &line);
	/* A refusal of the mechanism itself shows nothing of a password to anybody but SCRAM's name. */
	l->has_shown &= ((unsigned)l->mech & SASL_MECHS_CLEAR) != 0;
	bytebuf_append(&line, "", 1);
	l->step = login_auth_reply;
	if (is_good)
		pop3_login_send_secret(l, (const char *)bytebuf_bytes(&line));
	else
		pop3_login_fail(l, MAILFS_ERROR_INVALID,
			sasl_error(l->sasl) ? sasl_error(l->sasl) : "this password cannot be sent");
	bytebuf_wipe(&line);
	return POP3_STEP_WAIT;
}

static void send_sasl_line(struct pop3_login *l, const struct bytebuf *raw)
{
	struct bytebuf line;

	bytebuf_init(&line);
	if (raw->len > 0)
		sasl_base64_encode(bytebuf_bytes(raw), raw->len, &line);
	bytebuf_append_str(&line, "\r\n");
	stream_write(l->s->stream, bytebuf_bytes(&line), line.len);
	bytebuf_wipe(&line);
}

bool pop3_login_on_challenge(struct pop3_login *l, const char *text)
{
	struct bytebuf challenge, answer;
	enum sasl_result result = SASL_FAIL;

	if (l->step != login_auth_reply || !l->sasl || l->is_answered)
		return false;
	bytebuf_init(&challenge);
	bytebuf_init(&answer);
	l->has_shown = true;
	if (sasl_base64_decode(text, strlen(text), SASL_BASE64_TOLERANT, &challenge))
		result = sasl_step(l->sasl,
			challenge.len > 0 ? bytebuf_bytes(&challenge) : (const uint8_t *)"",
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
	return true;
}

/* ---- the secret ------------------------------------------------------------------------------ */

static enum pop3_step login_have_secret(struct pop3_login *l)
{
	return l->mech == SASL_MECH_NONE ? login_send_user(l) : login_send_sasl(l);
}

static void on_secret(void *user, const char *secret, const GError *error)
{
	struct pop3_secret_wait *wait = user;
	struct pop3_login *l = wait->login;

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
	pop3_login_timer_start(l);
	pop3_login_run(l);
}

static enum pop3_step login_ask_secret(struct pop3_login *l)
{
	struct mailfs_session *s = l->s;

	l->step = login_have_secret;
	if (l->secret || l->mech == SASL_MECH_EXTERNAL)
		return POP3_STEP_AGAIN;
	/* A person may have to type: the clocks stand. */
	pop3_login_timer_clear(l);
	stream_expect(s->stream, false);
	l->wait = g_new0(struct pop3_secret_wait, 1);
	l->wait->login = l;
	s->life.config.secret.get(s->life.config.secret.source_user, on_secret, l->wait);
	return POP3_STEP_WAIT;
}

enum pop3_step pop3_login_auth(struct pop3_login *l)
{
	struct mailfs_session *s = l->s;

	if (!l->is_answered)
		return POP3_STEP_WAIT; /* for the answer to UTF8 */
	l->binding_type = stream_channel_binding(s->stream, l->binding, sizeof(l->binding),
		&l->binding_len);
	l->mech = choose_mech(l);
	g_clear_pointer(&l->sasl, sasl_free);
	if (l->mech == SASL_MECH_NONE && !may_use_pass(s))
		return pop3_login_fail(l, MAILFS_ERROR_LOGIN, may_send_plaintext(s)
				? "the server offers no way to log in that is allowed here"
				: "the server takes passwords in clear only, and the connection is not encrypted");
	return login_ask_secret(l);
}
