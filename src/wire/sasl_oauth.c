/* SPDX-License-Identifier: MIT */
/*
 * OAUTHBEARER (RFC 7628) and its ancestor XOAUTH2: one message with the token. A server that does
 * not like the token sends its reason as JSON in a challenge and waits for an answer without
 * content before it says NO. No thread.
 */
#include "wire/sasl.h"

#include <string.h>

#include <glib.h>

#include "wire/sasl_impl.h"

#define CTRL_A "\x01" /* separates the fields of both messages */

/* A token is one word: this also finds the line end that a password command left behind. */
static bool is_word(const char *text)
{
	for (; *text; text++)
		if (*text < 0x21 || *text > 0x7e)
			return false;
	return true;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

/* The value of "status" in the JSON object, a string without escapes or a number; else false.
 * Nothing is decided by it: it is shown to the user. */
static bool find_status(const char *json, const char **ret_status, size_t *ret_len)
{
	const char *at = strstr(json, "\"status\"");
	size_t len;

	if (!at)
		return false;
	at += strlen("\"status\"");
	at += strspn(at, " \t\r\n");
	if (*at++ != ':')
		return false;
	at += strspn(at, " \t\r\n");

	if (*at == '"') {
		len = strcspn(++at, "\"\\");
		if (at[len] != '"')
			return false;
	} else {
		len = strspn(at, "0123456789");
	}
	if (len == 0)
		return false;
	*ret_status = at;
	*ret_len = len;
	return true;
}

static void remember_refusal(struct sasl *sasl, const uint8_t *challenge, size_t len)
{
	g_autofree char *json = g_strndup((const char *)challenge, len);
	g_autofree char *text = NULL;
	const char *status = NULL;
	size_t status_len = 0;

	g_free(sasl->error);
	if (find_status(json, &status, &status_len)) {
		text = sasl_printable((const uint8_t *)status, status_len);
		sasl->error = g_strdup_printf("the server refuses the token: status %s", text);
	} else if (len > 0) {
		text = sasl_printable(challenge, len);
		sasl->error = g_strdup_printf("the server refuses the token: %s", text);
	} else {
		sasl->error = g_strdup("the server refuses the token and does not say why");
	}
}

static enum sasl_result oauth_refused_again(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	g_autofree char *why = g_steal_pointer(&sasl->error);

	return sasl_fail(sasl, "%s", why);
}

/* Any challenge after the token is a refusal, whatever the final answer says. */
static enum sasl_result oauth_refused(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	remember_refusal(sasl, challenge, len);
	sasl->is_satisfied = false;
	sasl->step = oauth_refused_again;
	if (sasl->mech == SASL_MECH_OAUTHBEARER)
		bytebuf_append_str(response, CTRL_A); /* RFC 7628 §3.2.3 */
	return SASL_SEND;
}

static void append_xoauth2(struct sasl *sasl, struct bytebuf *out)
{
	bytebuf_append_str(out, "user=");
	bytebuf_append_str(out, sasl->user);
}

static void append_oauthbearer(struct sasl *sasl, struct bytebuf *out)
{
	bytebuf_append_str(out, "n,a=");
	sasl_append_saslname(out, sasl->user);
	bytebuf_append_str(out, ",");
	if (sasl->host) {
		bytebuf_append_str(out, CTRL_A "host=");
		bytebuf_append_str(out, sasl->host);
	}
	if (sasl->port != 0)
		bytebuf_append_printf(out, CTRL_A "port=%u", (unsigned)sasl->port);
}

static enum sasl_result oauth_say(
	struct sasl *sasl, const uint8_t *challenge, size_t len, struct bytebuf *response)
{
	struct bytebuf head;
	size_t secret_len = strlen(sasl->secret);

	bytebuf_init(&head);
	if (sasl->mech == SASL_MECH_XOAUTH2)
		append_xoauth2(sasl, &head);
	else
		append_oauthbearer(sasl, &head);
	bytebuf_append_str(&head, CTRL_A "auth=Bearer ");

	/* Room for all of it at once, so that no copy of the token stays behind in a smaller block.
	 */
	bytebuf_reserve(response, head.len + secret_len + 2);
	bytebuf_append(response, bytebuf_bytes(&head), head.len);
	bytebuf_append(response, sasl->secret, secret_len);
	bytebuf_append_str(response, CTRL_A CTRL_A);
	bytebuf_done(&head);

	sasl_secret_freep(&sasl->secret);
	sasl->is_satisfied = true;
	sasl->step = oauth_refused;
	return SASL_SEND;
}

void sasl_oauth_begin(struct sasl *sasl, const struct sasl_params *params)
{
	if (!is_word(sasl->secret))
		sasl_fail(sasl,
			"the token holds a character that no token has (a line end, a space?)");
	else if (has_control(sasl->user))
		sasl_fail(sasl, "the user name holds a control character");
	else if (sasl->host && !is_word(sasl->host))
		sasl_fail(sasl, "the host name holds a character that no host name has");
	else
		sasl->step = oauth_say;
}
