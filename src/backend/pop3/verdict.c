/* SPDX-License-Identifier: MIT */
/* Which error a refusal is. Codes count more than texts. Pure. */
#include "backend/pop3/verdict.h"

#include <string.h>

#include "base/log.h"

static const struct {
	const char *code;
	enum mailfs_error error;
	enum mailfs_error login_error;
} codes[] = {
	{ "IN-USE", MAILFS_ERROR_IN_USE, MAILFS_ERROR_IN_USE },
	{ "LOGIN-DELAY", MAILFS_ERROR_TRY_LATER, MAILFS_ERROR_TRY_LATER },
	{ "SYS/TEMP", MAILFS_ERROR_TRY_LATER, MAILFS_ERROR_TRY_LATER },
	/* Somebody has to mend it: trying again and again does not. RFC 3206 §4. */
	{ "SYS/PERM", MAILFS_ERROR_DENIED, MAILFS_ERROR_LOGIN },
	{ "AUTH", MAILFS_ERROR_LOGIN, MAILFS_ERROR_LOGIN },
};

/* Of servers without codes (P3-11). A locked account is not among them: it stays locked longer when
 * one tries. */
static const struct {
	const char *text;
	enum mailfs_error error;
} texts[] = {
	{ "too many connections", MAILFS_ERROR_LIMIT },
	{ "too many simultaneous", MAILFS_ERROR_LIMIT },
	{ "connection limit", MAILFS_ERROR_LIMIT },
	{ "maildrop lock", MAILFS_ERROR_IN_USE },
	{ "lock maildrop", MAILFS_ERROR_IN_USE },
	{ "maildrop already", MAILFS_ERROR_IN_USE },
	{ "mailbox in use", MAILFS_ERROR_IN_USE },
	{ "mailbox is locked", MAILFS_ERROR_IN_USE },
	{ "lock mailbox", MAILFS_ERROR_IN_USE },
	{ "already in use", MAILFS_ERROR_IN_USE },
	{ "throttled", MAILFS_ERROR_TRY_LATER },
	{ "rate limit", MAILFS_ERROR_TRY_LATER },
	{ "login frequency", MAILFS_ERROR_TRY_LATER },
	{ "try again later", MAILFS_ERROR_TRY_LATER },
	{ "temporarily unavailable", MAILFS_ERROR_TRY_LATER },
};

static enum mailfs_error judge(const struct pop3_event *status, enum pop3_phase phase)
{
	for (size_t i = 0; status->code && i < G_N_ELEMENTS(codes); i++) {
		if (strcmp(status->code, codes[i].code) == 0)
			return phase == POP3_PHASE_READ ? codes[i].error : codes[i].login_error;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		if (strcasestr(status->text, texts[i].text))
			return texts[i].error;
	}
	if (phase == POP3_PHASE_LOGIN)
		return MAILFS_ERROR_LOGIN;
	return phase == POP3_PHASE_HELLO ? MAILFS_ERROR_REFUSED : MAILFS_ERROR_PROTOCOL;
}

GError *pop3_verdict(const struct pop3_event *status, enum pop3_phase phase, const char *what)
{
	g_autofree char *text = log_safe(status->text, -1);
	g_autofree char *code = status->code ? log_safe(status->code, -1) : NULL;

	return g_error_new(MAILFS_ERROR, (gint)judge(status, phase), "%s refused: %s%s%s%s", what,
		code ? "[" : "", code ? code : "", code ? "] " : "", text);
}
