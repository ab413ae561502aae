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

/* ---- the word of the server ------------------------------------------------------------------ */

static enum pop3_step login_accepted(struct pop3_login *l)
{
	const struct credential *c = &l->credential;

	l->s->auth_name = c->mech == SASL_MECH_NONE ? "USER" : sasl_mech_name(c->mech);
	l->is_in = true;
	l->step = pop3_login_ask_capa;
	return POP3_STEP_AGAIN;
}

/* Did the server say that it lacks the mechanism, before it saw anything of the credential? All
 * else is a real refusal: another try could lock the account (SEC-19). */
static bool is_mech_unknown(const struct pop3_login *l)
{
	const struct credential *c = &l->credential;

	if (c->mech == SASL_MECH_NONE || c->has_shown || l->error->code != MAILFS_ERROR_LOGIN)
		return false;
	return strcasestr(l->error->message, "[AUTH]") == NULL;
}

static enum pop3_step login_refused(struct pop3_login *l)
{
	const char *more = credential_error(&l->credential);
	bool is_unknown = is_mech_unknown(l);

	if (is_unknown)
		l->credential.refused |= (unsigned)l->credential.mech;
	if (is_unknown || credential_renew(&l->credential, l->error)) {
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
	if (!credential_may_succeed(&l->credential))
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
	send_wiped(l, g_strconcat("PASS ", l->credential.secret, NULL));
	return POP3_STEP_WAIT;
}

static enum pop3_step login_send_user(struct pop3_login *l)
{
	if (!is_argument(l->s->life.config.user) || !is_argument(l->credential.secret))
		return pop3_login_fail(l, MAILFS_ERROR_INVALID,
			"this user name or password cannot be sent: it is empty, too long, or holds a line end");
	l->step = login_user_reply;
	send_wiped(l, g_strconcat("USER ", l->s->life.config.user, NULL));
	return POP3_STEP_WAIT;
}

/* ---- SASL ------------------------------------------------------------------------------------ */

/* Appends the initial response where it fits. Tokens wait for "+" (some servers want two steps). */
static bool add_initial(struct pop3_login *l, struct bytebuf *line)
{
	const struct credential *c = &l->credential;

	if (!sasl_has_initial(c->mech) || ((unsigned)c->mech & SASL_MECHS_OAUTH) != 0 ||
		(c->secret && strlen(c->secret) + strlen(c->config->user) * 2 > COMMAND_MAX / 2))
		return true;
	bytebuf_append_str(line, " ");
	return credential_initial(&l->credential, line);
}

static enum pop3_step login_send_sasl(struct pop3_login *l)
{
	struct bytebuf line;
	bool is_good;

	credential_begin(&l->credential, l->s->stream, l->s->caps.auth);
	bytebuf_init(&line);
	bytebuf_reserve(&line, 1024);
	bytebuf_append_str(&line, "AUTH ");
	bytebuf_append_str(&line, sasl_mech_name(l->credential.mech));
	is_good = add_initial(l, &line);
	bytebuf_append(&line, "", 1);
	l->step = login_auth_reply;
	if (is_good)
		pop3_login_send_secret(l, (const char *)bytebuf_bytes(&line));
	else
		pop3_login_fail(l, MAILFS_ERROR_INVALID,
			credential_error(&l->credential) ? credential_error(&l->credential)
							: "this password cannot be sent");
	bytebuf_wipe(&line);
	return POP3_STEP_WAIT;
}

bool pop3_login_on_challenge(struct pop3_login *l, const char *text)
{
	const char *why;

	if (l->step != login_auth_reply || !l->credential.sasl || l->is_answered)
		return false;
	why = credential_answer(&l->credential, l->s->stream, text);
	if (why)
		session_fail(l->s, MAILFS_ERROR_PROTOCOL, "login: %s", why);
	return true;
}

/* ---- the secret ------------------------------------------------------------------------------ */

static enum pop3_step login_have_secret(struct pop3_login *l)
{
	return l->credential.mech == SASL_MECH_NONE ? login_send_user(l) : login_send_sasl(l);
}

void pop3_login_on_secret(void *user, const GError *error)
{
	struct pop3_login *l = user;

	if (error) {
		session_fail_take(l->s, g_error_copy(error));
		return;
	}
	pop3_login_timer_start(l);
	pop3_login_run(l);
}

enum pop3_step pop3_login_auth(struct pop3_login *l)
{
	struct mailfs_session *s = l->s;
	const struct pop3_caps *caps = &s->caps;
	const char *why;

	if (!l->is_answered)
		return POP3_STEP_WAIT; /* for the answer to UTF8 */
	/* USER and PASS: offered, or the server does not tell what it has. */
	why = credential_choose(&l->credential, s->stream, caps->auth,
		!caps->is_known || caps->user || caps->auth == 0);
	if (why)
		return pop3_login_fail(l, MAILFS_ERROR_LOGIN, why);
	l->step = login_have_secret;
	if (credential_ask(&l->credential, s->stream))
		return POP3_STEP_AGAIN;
	pop3_login_timer_clear(l); /* a person may have to type */
	return POP3_STEP_WAIT;
}
