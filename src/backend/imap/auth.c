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

static enum step login_accepted(struct login *l)
{
	struct mailfs_session *s = l->s;

	s->auth_name = l->credential.mech == SASL_MECH_NONE ? "LOGIN" : sasl_mech_name(l->credential.mech);
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

	if (l->credential.mech == SASL_MECH_NONE || l->credential.has_shown || !r)
		return false;
	if (r->status == IMAP_BAD)
		return true;
	return (r->code && strcmp(r->code, "CANNOT") == 0) ||
		strcasestr(r->text, "unsupported") || strcasestr(r->text, "not supported") ||
		strcasestr(r->text, "unknown auth");
}

/* With the secret, `next`. */
static enum step ask(struct login *l, enum step (*next)(struct login *l))
{
	l->step = next;
	if (credential_ask(&l->credential, l->s->stream))
		return STEP_AGAIN;
	login_timer_clear(l); /* a person may have to type */
	return STEP_WAIT;
}

/* The capabilities were forgotten when the attempt began. */
static enum step login_another(struct login *l)
{
	l->step = l->s->caps.is_known ? login_auth : login_ask_caps;
	return STEP_AGAIN;
}

static enum step login_refused(struct login *l)
{
	const char *more = credential_error(&l->credential);

	if (is_mech_unknown(l)) {
		l->credential.refused |= (unsigned)l->credential.mech;
		return login_another(l);
	}
	if (credential_renew(&l->credential, l->error))
		return ask(l, login_another);
	if (!more)
		return login_fail_error(l);
	session_fail(l->s, (enum mailfs_error)l->error->code, "%s (%s)", l->error->message, more);
	return STEP_WAIT;
}

enum step login_auth_reply(struct login *l)
{
	if (!l->answer)
		return STEP_WAIT;
	if (l->error)
		return login_refused(l);
	if (!credential_may_succeed(&l->credential))
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
	const char *user = l->s->life.config.user, *secret = l->credential.secret;

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

/* Adds the initial response where the server takes one in the command (RFC 4959). */
static bool add_initial(struct login *l, struct imap_cmd *cmd)
{
	const struct credential *c = &l->credential;
	struct bytebuf text;
	bool is_good;

	if (!l->s->caps.sasl_ir || !sasl_has_initial(c->mech) ||
		(c->secret && strlen(c->secret) > INITIAL_RESPONSE_MAX))
		return true;
	bytebuf_init(&text);
	is_good = credential_initial(&l->credential, &text);
	bytebuf_append(&text, "", 1);
	if (is_good)
		imap_cmd_raw(cmd, (const char *)bytebuf_bytes(&text));
	bytebuf_wipe(&text);
	return is_good;
}

static enum step login_send_sasl(struct login *l)
{
	struct imap_cmd *cmd = imap_cmd_new("AUTHENTICATE");

	credential_begin(&l->credential, l->s->stream, l->s->caps.auth);
	imap_cmd_raw(cmd, sasl_mech_name(l->credential.mech));
	if (!add_initial(l, cmd)) {
		const char *why = credential_error(&l->credential);

		imap_cmd_free(cmd);
		return login_fail(l, MAILFS_ERROR_INVALID, why ? why : "this password cannot be sent");
	}
	begin_attempt(l);
	login_send_secret(l, cmd);
	return STEP_WAIT;
}

static enum step login_have_secret(struct login *l)
{
	return l->credential.mech == SASL_MECH_NONE ? login_send_login(l) : login_send_sasl(l);
}

void login_on_secret(void *user, const GError *error)
{
	struct login *l = user;

	if (error) {
		session_fail_take(l->s, g_error_copy(error));
		return;
	}
	login_timer_start(l);
	login_run(l);
}

enum step login_auth(struct login *l)
{
	struct mailfs_session *s = l->s;
	const char *why = credential_choose(&l->credential, s->stream, s->caps.auth,
		!s->caps.logindisabled);

	if (why)
		return login_fail(l, MAILFS_ERROR_LOGIN, why);
	return ask(l, login_have_secret);
}

void login_on_challenge(struct login *l, const struct imap_response *response)
{
	const char *why = credential_answer(&l->credential, l->s->stream, response->text);

	if (why)
		session_fail(l->s, MAILFS_ERROR_PROTOCOL, "login: %s", why);
}
