/* SPDX-License-Identifier: MIT */
/*
 * The login as a chain of steps. A step looks at the answer it waited for, sends, and names its
 * successor; the driver runs on while POP3_STEP_AGAIN. Nothing said before TLS survives TLS,
 * nothing offered before the login survives the login (EX-5, SEC-3). Loop thread.
 */
#include "backend/pop3/login.h"

#include <string.h>

#include "backend/pop3/session.h"
#include "base/log.h"

/* A server that cannot answer CAPA for so long is asked on another connection, without (P3-4). */
#define CAPA_WAIT_MS 10000u

/* ---- tools ----------------------------------------------------------------------------------- */

enum pop3_step pop3_login_fail(struct pop3_login *l, enum mailfs_error code, const char *text)
{
	session_fail(l->s, code, "%s", text);
	return POP3_STEP_WAIT;
}

/* What a server says before TLS may be anybody's: its text reaches nobody (SEC-7). */
enum pop3_step pop3_login_fail_error(struct pop3_login *l)
{
	if (pop3_session_is_trusted(l->s))
		session_fail_take(l->s, g_error_copy(l->error));
	else
		session_fail(l->s, (enum mailfs_error)l->error->code,
			"the server refuses a command before TLS");
	return POP3_STEP_WAIT;
}

void pop3_login_timer_clear(struct pop3_login *l)
{
	source_clear(&l->timer);
}

static bool may_redial(const struct pop3_login *l)
{
	return l->is_asking_capa && !l->is_in && !l->s->no_capa && stream_is_tls(l->s->stream) &&
		l->s->life.config.tls == MAILFS_TLS_IMPLICIT;
}

static gboolean on_timeout(gpointer user)
{
	struct pop3_login *l = user;

	if (may_redial(l)) {
		pop3_session_redial(l->s);
		return G_SOURCE_REMOVE;
	}
	session_fail(l->s, MAILFS_ERROR_TIMEOUT, "the server did not let us in within %u s",
		l->s->life.config.connect_timeout_ms / 1000);
	return G_SOURCE_REMOVE;
}

void pop3_login_timer_start(struct pop3_login *l)
{
	unsigned ms = l->s->life.config.connect_timeout_ms;

	source_clear(&l->timer);
	if (ms > 0)
		source_after(&l->timer, may_redial(l) ? MIN(ms, CAPA_WAIT_MS) : ms, on_timeout, l);
}

void pop3_login_run(struct pop3_login *l)
{
	struct mailfs_session *s = l->s;
	enum pop3_step result = POP3_STEP_AGAIN;

	while (!s->life.failure && result == POP3_STEP_AGAIN)
		result = l->step(l);
	if (s->life.failure || result != POP3_STEP_DONE)
		return;
	s->login = NULL;
	pop3_login_free(l);
	pop3_session_ready(s);
}

static void on_answer(struct pop3_command *command, const char *text, const GError *error)
{
	struct pop3_login *l = command->user;

	l->is_answered = true;
	l->answer = text;
	l->error = error;
	pop3_login_run(l);
}

static const struct pop3_hooks login_hooks = { .done = on_answer };

static void send(struct pop3_login *l, struct pop3_command *command, enum pop3_phase phase)
{
	l->is_answered = false;
	l->answer = NULL;
	l->error = NULL;
	command->user = l;
	command->phase = phase;
	pop3_queue_add(&l->s->queue, command);
	pop3_queue_pump(&l->s->queue);
}

void pop3_login_send(struct pop3_login *l, const char *line, const char *what)
{
	send(l, pop3_command_new(&login_hooks, POP3_ONE_LINE, what, "%s", line), POP3_PHASE_HELLO);
}

void pop3_login_send_secret(struct pop3_login *l, const char *line)
{
	struct pop3_command *command =
		pop3_command_new(&login_hooks, POP3_ONE_LINE, "login", "%s", line);

	command->is_secret = true;
	send(l, command, POP3_PHASE_LOGIN);
}

/* ---- greeting, capabilities, TLS ------------------------------------------------------------- */

static enum pop3_step login_greeting(struct pop3_login *l)
{
	if (!l->is_answered)
		return POP3_STEP_WAIT;
	if (l->error)
		return pop3_login_fail_error(l);
	pop3_login_timer_start(l);
	l->step = pop3_login_ask_capa;
	return POP3_STEP_AGAIN;
}

static void on_capa_line(struct pop3_command *command, const char *text)
{
	struct pop3_login *l = command->user;

	pop3_caps_add(&l->s->caps, text, l->s->life.config.disable);
}

static enum pop3_step login_stls_reply(struct pop3_login *l)
{
	struct mailfs_session *s = l->s;

	if (!l->is_answered)
		return POP3_STEP_WAIT;
	if (l->error)
		return pop3_login_fail(l, MAILFS_ERROR_TLS, "the server refuses STLS");
	/* A byte that came in clear after the answer would be read as if TLS had vouched for it. */
	if (!pop3_reader_is_idle(s->reader, stream_input(s->stream)))
		return pop3_login_fail(l, MAILFS_ERROR_TLS, "the server talks on in clear after STLS");
	l->is_tls_begun = true;
	l->step = pop3_login_ask_capa;
	s->is_switching = true;
	stream_start_tls(s->stream);
	return POP3_STEP_WAIT;
}

static enum pop3_step login_ready(struct pop3_login *l)
{
	return POP3_STEP_DONE;
}

/* Before the password: afterwards it is not allowed. A refusal does not matter. */
static enum pop3_step login_utf8(struct pop3_login *l)
{
	l->step = pop3_login_auth;
	if (!l->s->caps.utf8 || l->was_utf8)
		return POP3_STEP_AGAIN;
	l->was_utf8 = true;
	pop3_login_send(l, "UTF8", "UTF8");
	return POP3_STEP_WAIT;
}

static enum pop3_step login_have_capa(struct pop3_login *l)
{
	struct mailfs_session *s = l->s;

	if (!l->is_answered)
		return POP3_STEP_WAIT;
	l->is_asking_capa = false;
	pop3_login_timer_start(l);
	/* An old server has none; then all that is needed is tried (P3-4). */
	s->caps.is_known = !l->error;
	if (l->is_in) {
		l->step = login_ready;
		return POP3_STEP_AGAIN;
	}
	if (s->life.config.tls != MAILFS_TLS_STARTTLS || l->is_tls_begun) {
		l->step = login_utf8;
		return POP3_STEP_AGAIN;
	}
	if (!s->caps.stls)
		return pop3_login_fail(l, MAILFS_ERROR_TLS, "the server offers no STLS");
	l->step = login_stls_reply;
	pop3_login_send(l, "STLS", "STLS");
	return POP3_STEP_WAIT;
}

enum pop3_step pop3_login_ask_capa(struct pop3_login *l)
{
	static const struct pop3_hooks hooks = { .line = on_capa_line, .done = on_answer };
	struct mailfs_session *s = l->s;

	/* TLS that was begun and is not up would be our own mistake: never go on in clear. */
	if (l->is_tls_begun && !stream_is_tls(s->stream))
		return pop3_login_fail(l, MAILFS_ERROR_TLS, "TLS did not start");
	pop3_caps_reset(&s->caps);
	l->step = login_have_capa;
	if (s->no_capa) {
		l->is_answered = true;
		return POP3_STEP_AGAIN;
	}
	l->is_asking_capa = true;
	pop3_login_timer_start(l);
	send(l, pop3_command_new(&hooks, POP3_MANY_LINES, "CAPA", "CAPA"), POP3_PHASE_HELLO);
	return POP3_STEP_WAIT;
}

/* ---- input ----------------------------------------------------------------------------------- */

static void on_greeting(struct pop3_login *l, const struct pop3_event *event)
{
	g_autoptr(GError) error = NULL;

	if (!event->is_ok)
		error = pop3_verdict(event, POP3_PHASE_HELLO, "connection");
	l->is_answered = true;
	l->error = error;
	pop3_login_run(l); /* error is copied before it goes */
}

bool pop3_login_on_event(struct pop3_login *l, const struct pop3_event *event)
{
	if (l->step == login_greeting && event->type == POP3_EVENT_STATUS) {
		on_greeting(l, event);
		return true;
	}
	if (event->type == POP3_EVENT_CHALLENGE)
		return pop3_login_on_challenge(l, event->text);
	/* "+OK" where "+" is due (P3-11): only for what has to say something yet. */
	if (event->type == POP3_EVENT_STATUS && event->is_ok && l->credential.sasl &&
		!l->credential.has_shown && sasl_has_initial(l->credential.mech))
		return pop3_login_on_challenge(l, "");
	return false;
}

void pop3_login_on_open(struct pop3_login *l)
{
	pop3_login_timer_start(l);
	stream_expect(l->s->stream, true);
}

void pop3_login_on_secured(struct pop3_login *l)
{
	pop3_login_run(l);
}

bool pop3_login_on_closed(struct pop3_login *l)
{
	if (!may_redial(l))
		return false;
	pop3_session_redial(l->s);
	return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct pop3_login *pop3_login_new(struct mailfs_session *s)
{
	struct pop3_login *l = g_new0(struct pop3_login, 1);

	l->s = s;
	l->step = login_greeting;
	credential_init(&l->credential, &s->life.config, pop3_login_on_secret, l);
	return l;
}

void pop3_login_free(struct pop3_login *l)
{
	pop3_login_timer_clear(l);
	credential_done(&l->credential);
	g_free(l);
}
