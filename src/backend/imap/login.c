/* SPDX-License-Identifier: MIT */
/*
 * The login as a chain of steps. A step looks at the answer it waited for, sends, and names its
 * successor; the driver runs on while STEP_AGAIN. Nothing said before TLS survives TLS, nothing
 * offered before the login survives the login (EX-5, SEC-3). Loop thread.
 */
#include "backend/imap/login_impl.h"

#include <string.h>

#include "backend/imap/session.h"
#include "base/log.h"

/* ---- tools ----------------------------------------------------------------------------------- */

enum step login_fail(struct login *l, enum mailfs_error code, const char *text)
{
	session_fail(l->s, code, "%s", text);
	return STEP_WAIT;
}

/* What a server says before TLS may be anybody's: its text reaches nobody (SEC-7). */
static void login_fail_told(struct login *l, const GError *error, const char *plain)
{
	if (session_is_trusted(l->s))
		session_fail_take(l->s, g_error_copy(error));
	else
		session_fail(l->s, (enum mailfs_error)error->code, "%s", plain);
}

/* The refusal in `l->error` ends it. */
enum step login_fail_error(struct login *l)
{
	login_fail_told(l, l->error, "the server refuses a command before TLS");
	return STEP_WAIT;
}

static void login_fail_bye(struct login *l, const struct imap_response *response)
{
	g_autoptr(GError) error = verdict_error(response, VERDICT_HELLO, "connection");

	login_fail_told(l, error, "the server ended the connection before TLS");
}

void login_timer_clear(struct login *l)
{
	source_clear(&l->timer);
}

static gboolean on_timeout(gpointer user)
{
	struct login *l = user;

	session_fail(l->s, MAILFS_ERROR_TIMEOUT, "the server did not let us in within %u s",
		l->s->life.config.connect_timeout_ms / 1000);
	return G_SOURCE_REMOVE;
}

void login_timer_start(struct login *l)
{
	unsigned ms = l->s->life.config.connect_timeout_ms;

	source_clear(&l->timer);
	if (ms > 0)
		source_after(&l->timer, ms, on_timeout, l);
}

void login_run(struct login *l)
{
	struct mailfs_session *s = l->s;
	enum step result = STEP_AGAIN;

	while (!s->life.failure && result == STEP_AGAIN)
		result = l->step(l);
	if (s->life.failure || result != STEP_DONE)
		return;
	s->login = NULL;
	login_free(l);
	session_ready(s);
}

static void on_answer(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct login *l = command->user;

	if (l->may_learn_caps && !error && response->code && strcmp(response->code, "CAPABILITY") == 0)
		imap_caps_parse(&l->s->caps, response->code_args, l->s->life.config.disable);
	if (--l->pending > 0)
		return;
	l->answer = response;
	l->error = error;
	login_run(l);
}

static const struct command_hooks login_hooks = { .done = on_answer };

static void login_send_hooked(struct login *l, struct imap_cmd *cmd, const char *what,
	enum verdict_phase phase, const struct command_hooks *hooks)
{
	struct command *command = command_new(cmd, hooks, NULL, what);

	command->user = l;
	command->phase = phase;
	l->pending++;
	l->answer = NULL;
	l->error = NULL;
	stream_expect(l->s->stream, true);
	queue_send_now(&l->s->queue, command);
}

void login_send(struct login *l, struct imap_cmd *cmd, const char *what)
{
	login_send_hooked(l, cmd, what, VERDICT_HELLO, &login_hooks);
}

void login_send_secret(struct login *l, struct imap_cmd *cmd)
{
	imap_cmd_set_secret(cmd);
	login_send_hooked(l, cmd, "login", VERDICT_LOGIN, &login_hooks);
}

/* ---- greeting, capabilities, TLS ------------------------------------------------------------- */

/* PREAUTH skips STARTTLS, so it is believed only where nobody can have forged it (SEC-1). */
static bool may_be_preauth(const struct mailfs_session *s)
{
	if (s->life.config.tls == MAILFS_TLS_IMPLICIT)
		return stream_is_tls(s->stream);
	return s->life.config.tls == MAILFS_TLS_NONE && stream_is_loopback(s->stream);
}

static enum step login_greeting(struct login *l)
{
	const struct imap_response *r = l->answer;
	struct mailfs_session *s = l->s;

	if (!r)
		return STEP_WAIT;
	if (r->kind != IMAP_UNTAGGED || (r->status != IMAP_OK && r->status != IMAP_PREAUTH))
		return login_fail(l, MAILFS_ERROR_PROTOCOL, "this is not the greeting of an IMAP server");
	if (r->status == IMAP_PREAUTH && !may_be_preauth(s))
		return login_fail(l, MAILFS_ERROR_TLS,
			"the server wants to skip the login on a connection that is not secure");
	l->is_preauth = r->status == IMAP_PREAUTH;
	if (session_is_trusted(s)) {
		s->greeting = log_safe(r->text, -1);
		if (r->code && strcmp(r->code, "CAPABILITY") == 0)
			imap_caps_parse(&s->caps, r->code_args, s->life.config.disable);
	}
	login_timer_start(l);
	l->step = login_ask_caps;
	return STEP_AGAIN;
}

static enum step login_starttls_reply(struct login *l)
{
	struct mailfs_session *s = l->s;

	if (!l->answer)
		return STEP_WAIT;
	if (l->error)
		return login_fail(l, MAILFS_ERROR_TLS, "the server refuses STARTTLS");
	/* A byte that came in clear after the answer would be read as if TLS had vouched for it. */
	if (!imap_reader_is_idle(s->reader) || stream_input(s->stream)->len > 0)
		return login_fail(l, MAILFS_ERROR_TLS, "the server talks on in clear after STARTTLS");
	imap_caps_reset(&s->caps);
	l->may_learn_caps = false;
	l->is_tls_begun = true;
	l->step = login_ask_caps;
	s->is_switching = true;
	stream_start_tls(s->stream);
	return STEP_WAIT;
}

static enum step login_have_caps(struct login *l)
{
	struct mailfs_session *s = l->s;

	if (l->error)
		return login_fail_error(l);
	if (!s->caps.is_known)
		return login_fail(l, MAILFS_ERROR_PROTOCOL, "the server does not tell its capabilities");
	if (!s->caps.imap4rev1 && !s->caps.imap4rev2)
		return login_fail(l, MAILFS_ERROR_PROTOCOL, "the server does not speak IMAP4rev1");
	if (s->life.config.tls != MAILFS_TLS_STARTTLS || l->is_tls_begun) {
		l->step = l->is_preauth ? login_extras : login_auth;
		return STEP_AGAIN;
	}
	if (!s->caps.starttls)
		return login_fail(l, MAILFS_ERROR_TLS, "the server offers no STARTTLS");
	l->may_learn_caps = false;
	l->step = login_starttls_reply;
	login_send(l, imap_cmd_new("STARTTLS"), "STARTTLS");
	return STEP_WAIT;
}

enum step login_ask_caps(struct login *l)
{
	/* TLS that was begun and is not up would be our own mistake: never go on in clear. */
	if (l->is_tls_begun && !stream_is_tls(l->s->stream))
		return login_fail(l, MAILFS_ERROR_TLS, "TLS did not start");
	l->step = login_have_caps;
	if (l->s->caps.is_known)
		return STEP_AGAIN;
	l->may_learn_caps = true;
	login_send(l, imap_cmd_new("CAPABILITY"), "CAPABILITY");
	return STEP_WAIT;
}

/* ---- after the login ------------------------------------------------------------------------- */

static enum step login_ready(struct login *l)
{
	return STEP_DONE;
}

static enum step login_compress_reply(struct login *l)
{
	struct mailfs_session *s = l->s;

	l->step = login_ready;
	if (l->error)
		return STEP_AGAIN;
	compress_begin(s);
	return STEP_WAIT;
}

static enum step login_compress(struct login *l)
{
	struct mailfs_session *s = l->s;

	/* What the extras brought is known now. */
	s->quirks = quirks_of(s->greeting, s->server_id);
	if ((s->quirks & QUIRK_NO_CONDSTORE) != 0)
		s->caps.condstore = s->caps.qresync = false;
	l->step = login_ready;
	if (!s->life.config.want_compress || !s->caps.compress_deflate)
		return STEP_AGAIN;
	l->step = login_compress_reply;
	login_send(l, imap_cmd_new("COMPRESS DEFLATE"), "COMPRESS");
	return STEP_WAIT;
}

/* The tagged OK counts: some servers send no untagged ENABLED (ID-6). */
static void on_enabled(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct login *l = command->user;

	if (!error) {
		l->s->has_enabled_condstore = true;
		l->s->has_enabled_qresync = l->s->caps.qresync;
	}
	on_answer(command, response, error);
}

static void send_enable(struct login *l)
{
	static const struct command_hooks hooks = { .done = on_enabled };
	const struct imap_caps *caps = &l->s->caps;

	if (!caps->enable || !(caps->qresync || caps->condstore))
		return;
	login_send_hooked(l, imap_cmd_new(caps->qresync ? "ENABLE QRESYNC" : "ENABLE CONDSTORE"),
		"ENABLE", VERDICT_HELLO, &hooks);
}

/* ID, ENABLE and NAMESPACE do not depend on each other: one round trip. Refusals do not matter. */
enum step login_extras(struct login *l)
{
	struct mailfs_session *s = l->s;

	if (l->error)
		return login_fail_error(l);
	if (!s->caps.is_known)
		return login_fail(l, MAILFS_ERROR_PROTOCOL, "the server does not tell its capabilities");
	l->may_learn_caps = false;
	l->step = login_compress;
	l->pending = 0;
	if (s->caps.id)
		login_send(l, imap_cmd_new("ID (\"name\" \"mailfs\" \"version\" \"" MAILFS_VERSION "\")"),
			"ID");
	send_enable(l);
	if (s->caps.namespace_ && (quirks_of(s->greeting, NULL) & QUIRK_NO_NAMESPACE) == 0)
		login_send(l, imap_cmd_new("NAMESPACE"), "NAMESPACE");
	return l->pending > 0 ? STEP_WAIT : STEP_AGAIN;
}

/* ---- input ----------------------------------------------------------------------------------- */

static void on_id(struct login *l, const struct imap_response *response)
{
	const char *id = imap_id_parse(response, &l->s->arena);

	g_clear_pointer(&l->s->server_id, g_free);
	if (id)
		l->s->server_id = log_safe(id, -1);
}

static void on_namespace(struct login *l, const struct imap_response *response)
{
	const char *prefix;
	char delimiter;

	if (!imap_namespace_parse(response, &prefix, &delimiter))
		return;
	g_free(l->s->namespace_prefix);
	l->s->namespace_prefix = g_strdup(prefix);
	l->s->namespace_delimiter = delimiter;
}

static void on_login_untagged(struct login *l, const struct imap_response *response)
{
	struct mailfs_session *s = l->s;

	session_alert(s, response);
	if (response->status == IMAP_BYE)
		login_fail_bye(l, response);
	else if (strcmp(response->name, "CAPABILITY") == 0 && l->may_learn_caps)
		imap_caps_parse(&s->caps, response->args, s->life.config.disable);
	else if (strcmp(response->name, "ID") == 0 && l->step == login_compress)
		on_id(l, response);
	else if (strcmp(response->name, "NAMESPACE") == 0 && l->step == login_compress)
		on_namespace(l, response);
}

void login_on_response(struct login *l, const struct imap_response *response)
{
	struct mailfs_session *s = l->s;

	if (l->step == login_greeting) {
		if (response->status == IMAP_BYE && response->kind == IMAP_UNTAGGED) {
			login_fail_bye(l, response);
			return;
		}
		l->answer = response;
		login_run(l);
		return;
	}
	if (response->kind == IMAP_UNTAGGED)
		on_login_untagged(l, response);
	else if (response->kind == IMAP_TAGGED)
		queue_on_tagged(&s->queue, response);
	else if (l->step == login_auth_reply && l->credential.sasl && l->pending > 0 && !s->queue.unsent)
		login_on_challenge(l, response);
	else
		queue_on_continuation(&s->queue, response);
}

void login_on_open(struct login *l)
{
	login_timer_start(l);
	stream_expect(l->s->stream, true);
}

void login_on_secured(struct login *l)
{
	login_run(l);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct login *login_new(struct mailfs_session *s)
{
	struct login *l = g_new0(struct login, 1);

	l->s = s;
	l->step = login_greeting;
	credential_init(&l->credential, &s->life.config, login_on_secret, l);
	return l;
}

void login_free(struct login *l)
{
	login_timer_clear(l);
	credential_done(&l->credential);
	g_free(l);
}
