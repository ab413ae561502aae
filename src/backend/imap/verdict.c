/* SPDX-License-Identifier: MIT */
/* Which error a refusal is. Codes count more than texts, and texts more than NO or BAD. Pure. */
#include "backend/imap/verdict.h"

#include <string.h>

#include "base/log.h"

struct code_row {
	const char *code;
	enum mailfs_error error;
	enum mailfs_error login_error;  /* in the login and hello phases */
	enum mailfs_error change_error; /* 0 = as `error` */
};

/* RFC 5530 and others. OVERQUOTA while reading is bandwidth, never disk space (CN-3). A LIMIT that
 * says nothing of a rate is one of sizes or numbers: it will not pass (WR-2). */
static const struct code_row codes[] = {
	{ "AUTHENTICATIONFAILED", MAILFS_ERROR_LOGIN, MAILFS_ERROR_LOGIN, 0 },
	{ "AUTHORIZATIONFAILED", MAILFS_ERROR_LOGIN, MAILFS_ERROR_LOGIN, 0 },
	{ "EXPIRED", MAILFS_ERROR_LOGIN, MAILFS_ERROR_LOGIN, 0 },
	{ "PRIVACYREQUIRED", MAILFS_ERROR_TLS, MAILFS_ERROR_TLS, 0 },
	{ "CONTACTADMIN", MAILFS_ERROR_DENIED, MAILFS_ERROR_LOGIN, 0 },
	{ "NOPERM", MAILFS_ERROR_DENIED, MAILFS_ERROR_LOGIN, 0 },
	{ "UNAVAILABLE", MAILFS_ERROR_TRY_LATER, MAILFS_ERROR_TRY_LATER, 0 },
	{ "INUSE", MAILFS_ERROR_IN_USE, MAILFS_ERROR_TRY_LATER, 0 },
	{ "IN-USE", MAILFS_ERROR_IN_USE, MAILFS_ERROR_TRY_LATER, 0 },
	{ "LIMIT", MAILFS_ERROR_TRY_LATER, MAILFS_ERROR_LIMIT, MAILFS_ERROR_TOO_BIG },
	{ "OVERQUOTA", MAILFS_ERROR_TRY_LATER, MAILFS_ERROR_TRY_LATER, MAILFS_ERROR_QUOTA },
	{ "TOOBIG", MAILFS_ERROR_TOO_BIG, MAILFS_ERROR_TRY_LATER, 0 },
	{ "SERVERBUG", MAILFS_ERROR_TRY_LATER, MAILFS_ERROR_TRY_LATER, 0 },
	{ "NONEXISTENT", MAILFS_ERROR_GONE, MAILFS_ERROR_LOGIN, 0 },
	{ "TRYCREATE", MAILFS_ERROR_GONE, MAILFS_ERROR_LOGIN, 0 },
	{ "EXPUNGEISSUED", MAILFS_ERROR_GONE, MAILFS_ERROR_PROTOCOL, 0 },
	{ "CANNOT", MAILFS_ERROR_INVALID, MAILFS_ERROR_LOGIN, 0 },
	{ "ALREADYEXISTS", MAILFS_ERROR_EXISTS, MAILFS_ERROR_LOGIN, 0 },
	{ "HASCHILDREN", MAILFS_ERROR_NOT_EMPTY, MAILFS_ERROR_LOGIN, 0 },
	{ "READ-ONLY", MAILFS_ERROR_READ_ONLY, MAILFS_ERROR_LOGIN, 0 },
	{ "CORRUPTION", MAILFS_ERROR_PROTOCOL, MAILFS_ERROR_TRY_LATER, 0 },
};

struct text_row {
	const char *text;
	enum mailfs_error error;
};

/* Wherever they come. A connection limit has many spellings (CN-2), a throttle too (CN-3). */
static const struct text_row texts[] = {
	{ "number of connections", MAILFS_ERROR_LIMIT },
	{ "too many simultaneous", MAILFS_ERROR_LIMIT },
	{ "too many connections", MAILFS_ERROR_LIMIT },
	{ "too many concurrent", MAILFS_ERROR_LIMIT },
	{ "connection limit", MAILFS_ERROR_LIMIT },
	{ "authenticated but not connected", MAILFS_ERROR_TRY_LATER },
	{ "throttled", MAILFS_ERROR_TRY_LATER },
	{ "backoff time", MAILFS_ERROR_TRY_LATER },
	{ "rate limit", MAILFS_ERROR_TRY_LATER },
	{ "bandwidth limit", MAILFS_ERROR_TRY_LATER },
	{ "try again later", MAILFS_ERROR_TRY_LATER },
	{ "temporarily unavailable", MAILFS_ERROR_TRY_LATER },
};

/* Only for changes: servers without response codes (WR-2). */
static const struct text_row change_texts[] = {
	{ "already exists", MAILFS_ERROR_EXISTS },
	{ "has children", MAILFS_ERROR_NOT_EMPTY },
	{ "has inferior", MAILFS_ERROR_NOT_EMPTY },
	{ "quota", MAILFS_ERROR_QUOTA },
	{ "server unavailable. 15", MAILFS_ERROR_QUOTA },
	{ "too large", MAILFS_ERROR_TOO_BIG },
	{ "too big", MAILFS_ERROR_TOO_BIG },
	{ "larger than", MAILFS_ERROR_TOO_BIG },
	{ "exceeds the maximum", MAILFS_ERROR_TOO_BIG },
	{ "read-only", MAILFS_ERROR_READ_ONLY },
	{ "contains nul", MAILFS_ERROR_INVALID },
	{ "bare newlines", MAILFS_ERROR_INVALID },
	{ "invalid header", MAILFS_ERROR_INVALID },
	{ "invalid mailbox name", MAILFS_ERROR_INVALID },
	{ "name is reserved", MAILFS_ERROR_INVALID },
	{ "command argument error 11", MAILFS_ERROR_INVALID },
};

/* For changes and for opening: servers without response codes. */
static const struct text_row open_texts[] = {
	{ "doesn't exist", MAILFS_ERROR_GONE },
	{ "does not exist", MAILFS_ERROR_GONE },
	{ "non-existent", MAILFS_ERROR_GONE },
	{ "nonexistent", MAILFS_ERROR_GONE },
	{ "no such", MAILFS_ERROR_GONE },
	{ "unknown mailbox", MAILFS_ERROR_GONE },
	{ "not found", MAILFS_ERROR_GONE },
	{ "permission denied", MAILFS_ERROR_DENIED },
	{ "access denied", MAILFS_ERROR_DENIED },
};

static bool find_text(const struct text_row *rows, size_t count, const char *text,
	enum mailfs_error *ret_error)
{
	for (size_t i = 0; i < count; i++) {
		if (strcasestr(text, rows[i].text)) {
			*ret_error = rows[i].error;
			return true;
		}
	}
	return false;
}

static bool find_code(const char *code, enum verdict_phase phase, enum mailfs_error *ret_error)
{
	bool is_login = phase == VERDICT_LOGIN || phase == VERDICT_HELLO;

	for (size_t i = 0; code && i < G_N_ELEMENTS(codes); i++) {
		if (g_ascii_strcasecmp(code, codes[i].code) == 0) {
			*ret_error = is_login ? codes[i].login_error : codes[i].error;
			if (phase == VERDICT_CHANGE && codes[i].change_error != 0)
				*ret_error = codes[i].change_error;
			return true;
		}
	}
	return false;
}

/* A goodbye says nothing of the requests that it cuts off: they may be made again elsewhere, but for a
 * server that wants less of them. */
static enum mailfs_error goodbye(enum mailfs_error error)
{
	switch (error) {
	case MAILFS_ERROR_TRY_LATER:
	case MAILFS_ERROR_LIMIT:
	case MAILFS_ERROR_IN_USE:
		return error;
	default:
		return MAILFS_ERROR_CONNECTION_LOST;
	}
}

static enum mailfs_error verdict_code(const struct imap_response *response,
	enum verdict_phase phase)
{
	enum mailfs_error error;

	/* The text first for limits: [UNAVAILABLE] and [ALERT] are used for them too. */
	if (find_text(texts, G_N_ELEMENTS(texts), response->text, &error))
		return error;
	if (find_code(response->code, phase, &error))
		return response->status == IMAP_BYE && phase != VERDICT_HELLO ? goodbye(error) : error;
	if (phase == VERDICT_CHANGE &&
		find_text(change_texts, G_N_ELEMENTS(change_texts), response->text, &error))
		return error;
	if ((phase == VERDICT_OPEN || phase == VERDICT_CHANGE) &&
		find_text(open_texts, G_N_ELEMENTS(open_texts), response->text, &error))
		return error;
	if (phase == VERDICT_LOGIN && response->status == IMAP_NO)
		return MAILFS_ERROR_LOGIN;
	if (response->status == IMAP_BYE)
		return phase == VERDICT_HELLO ? MAILFS_ERROR_REFUSED : MAILFS_ERROR_CONNECTION_LOST;
	return MAILFS_ERROR_PROTOCOL;
}

GError *verdict_error(const struct imap_response *response, enum verdict_phase phase,
	const char *what)
{
	static const char *const verbs[] = {
		[IMAP_NO] = "refused", [IMAP_BAD] = "not understood", [IMAP_BYE] = "ended by the server",
	};
	enum imap_status status = response->status;
	const char *verb = status == IMAP_NO || status == IMAP_BAD || status == IMAP_BYE
		? verbs[status]
		: "answered oddly";
	g_autofree char *text = log_safe(response->text, -1);
	g_autofree char *code = response->code ? log_safe(response->code, -1) : NULL;

	return g_error_new(MAILFS_ERROR, (gint)verdict_code(response, phase), "%s %s: %s%s%s%s", what,
		verb, code ? "[" : "", code ? code : "", code ? "] " : "", text);
}
