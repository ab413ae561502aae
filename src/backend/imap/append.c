/* SPDX-License-Identifier: MIT */
/*
 * A new message: APPEND with one synchronising literal (WR-3), or UID REPLACE (RFC 8508) when it
 * takes the place of another and the server knows how. The server's "+" opens the literal; its
 * bytes are asked for piece by piece as the network takes them. What ends the request before the
 * last of them was handed over leaves nothing on the server; after that only the tagged answer
 * tells. Loop thread. RFC 9051 §6.3.12.
 */
#include <string.h>

#include "backend/imap/change.h"
#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "backend/imap/verdict.h"
#include "wire/imap_date.h"

#define PIECE_MAX  (256u * 1024)  /* asked for at a time */
#define QUEUED_MAX (1024u * 1024) /* in the stream */

/* Servers refuse dates outside of these; 1980-01-01 … 2037-12-31. */
#define DATE_MIN INT64_C(315532800)
#define DATE_MAX INT64_C(2145916799)

enum append_state {
	APPEND_IDLE,     /* the server has at most the announcement: nothing can have been stored */
	APPEND_LITERAL,  /* bytes flow; not all: nothing can have been stored */
	APPEND_SENT,     /* the server has all of it: only its answer tells */
	APPEND_ANSWERED,
};

struct append {
	struct request request;
	struct mailfs_append_request args;
	char *folder;
	char **keywords;

	enum append_state state;
	struct command *command; /* in flight with its literal open; NULL = not */
	uint64_t asked, given;
	bool is_pulling, is_replace;
	bool has_expunged; /* during a REPLACE */
	struct mailfs_append_result result;
};

/* ---- the literal ----------------------------------------------------------------------------- */

static void end_literal(struct append *append)
{
	struct mailfs_session *s = append->request.session;
	struct command *command = append->command;

	append->command = NULL;
	append->state = APPEND_SENT;
	s->upload = NULL;
	queue_end_literal(&s->queue, command);
}

static bool may_pull(const struct append *append)
{
	const struct mailfs_session *s = append->request.session;

	return append->command && !append->request.is_cancelled && !s->life.failure &&
		append->asked == append->given && append->given < append->args.size &&
		stream_unsent(s->stream) + PIECE_MAX <= QUEUED_MAX;
}

void append_run(struct mailfs_session *s)
{
	struct append *append = (struct append *)s->upload;

	while (append && may_pull(append)) {
		uint64_t offset = append->asked;
		size_t len = (size_t)MIN(append->args.size - offset, PIECE_MAX);

		append->asked += len;
		s->queue.is_owing = true;
		append->args.pull(append->args.user, offset, len);
	}
	if (append && append->command && append->given == append->args.size)
		end_literal(append);
}

void append_give(struct mailfs_session *s, mailfs_ticket ticket, GBytes *bytes)
{
	struct append *append = (struct append *)s->upload;
	g_autoptr(GBytes) given = bytes;
	size_t len = 0;
	const void *data = given ? g_bytes_get_data(given, &len) : NULL;

	if (!append || append->request.ticket != ticket || !append->command || s->life.failure)
		return;
	if (!given || append->asked == append->given || len != append->asked - append->given) {
		session_fail(s, MAILFS_ERROR_DISK, "a message that was being sent cannot be read");
		return;
	}
	stream_write(s->stream, data, len);
	append->given += len;
	s->queue.is_owing = false;
	session_kick(s);
}

static void on_literal(struct command *command)
{
	struct append *append = (struct append *)command->request;
	struct mailfs_session *s = append->request.session;

	append->command = command;
	append->state = APPEND_LITERAL;
	s->upload = &append->request;
	session_kick(s);
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* What is known of the folder must agree, else it is as if nothing was told (E.5, ID-1). */
static void take_uid(struct append *append, const struct imap_response *response)
{
	const struct box *box = &append->request.session->box;
	uint32_t known = append->args.uidvalidity, uidvalidity, uid;

	if (known == 0 && box_is(box, append->folder))
		known = box->uidvalidity;
	if (!imap_appenduid_parse(response, &uidvalidity, &uid) ||
		(known != 0 && known != uidvalidity))
		return;
	append->result.uidvalidity = uidvalidity;
	append->result.uid = uid;
}

static bool on_untagged(struct command *command, const struct imap_response *response)
{
	struct append *append = (struct append *)command->request;

	if (strcmp(response->name, "EXPUNGE") == 0 || strcmp(response->name, "VANISHED") == 0)
		append->has_expunged = true;
	if (response->status != IMAP_OK || !response->code ||
		strcmp(response->code, "APPENDUID") != 0)
		return false;
	take_uid(append, response);
	return true;
}

static void append_send(struct append *append);

static void on_refused(struct append *append, const struct imap_response *response,
	const GError *error)
{
	struct mailfs_session *s = append->request.session;

	if (append->is_replace && append->state == APPEND_IDLE && response->status == IMAP_BAD) {
		s->no_replace = true;
		append_send(append);
		return;
	}
	/* OK before it had everything: nobody knows what it stored. */
	append->state = response->status == IMAP_OK ? APPEND_SENT : APPEND_ANSWERED;
	append->result.is_refused = response->status == IMAP_NO || response->status == IMAP_BAD;
	request_finish(&append->request, error);
}

static void on_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct append *append = (struct append *)command->request;

	append->command = NULL;
	if (error && !response) {
		request_finish(&append->request, error); /* nothing was sent */
		return;
	}
	if (error) {
		on_refused(append, response, error);
		return;
	}
	append->state = APPEND_ANSWERED;
	take_uid(append, response);
	append->result.has_replaced = append->is_replace && append->has_expunged;
	request_finish(&append->request, NULL);
}

/* ---- the command ----------------------------------------------------------------------------- */

static void add_date(struct imap_cmd *cmd, int64_t date)
{
	g_autofree char *text =
		date >= DATE_MIN && date <= DATE_MAX ? imap_format_internaldate(date) : NULL;

	if (text)
		imap_cmd_rawf(cmd, "\"%s\"", text);
}

static struct imap_cmd *build(const struct append *append)
{
	struct imap_cmd *cmd = imap_cmd_new(append->is_replace ? "UID REPLACE" : "APPEND");
	const char *const *keywords = (const char *const *)append->keywords;
	bool is_fine;

	if (append->is_replace)
		imap_cmd_rawf(cmd, "%" G_GUINT32_FORMAT, append->args.replaces_uid);
	is_fine = imap_cmd_mailbox(cmd, append->folder);
	if (append->args.flags != 0 || (keywords && keywords[0]))
		is_fine = is_fine && imap_cmd_flags(cmd, append->args.flags, keywords);
	add_date(cmd, append->args.date);
	imap_cmd_literal(cmd, append->args.size);
	if (!is_fine)
		g_clear_pointer(&cmd, imap_cmd_free);
	return cmd;
}

static void append_send(struct append *append)
{
	static const struct command_hooks hooks = {
		.untagged = on_untagged, .literal = on_literal, .done = on_done,
	};
	struct mailfs_session *s = append->request.session;
	struct command *command;
	struct imap_cmd *cmd;

	append->is_replace = append->args.replaces_uid != 0 && s->caps.replace && !s->no_replace;
	cmd = build(append);
	if (!cmd) {
		request_fail(&append->request, MAILFS_ERROR_INVALID,
			"a folder or a keyword that no server takes");
		return;
	}
	command = command_new(cmd, &hooks, &append->request, "storing a message");
	command->phase = VERDICT_CHANGE;
	if (append->is_replace) {
		command->box = g_strdup(append->folder);
		command->has_uidvalidity = true;
		command->uidvalidity = append->args.uidvalidity;
	}
	queue_add(&s->queue, command);
}

static void append_begin(struct request *request)
{
	struct append *append = (struct append *)request;
	uint64_t limit = request->session->caps.append_limit;

	if (change_is_refused(request))
		return;
	if (limit != 0 && append->args.size > limit)
		request_fail(request, MAILFS_ERROR_TOO_BIG,
			"the server takes messages of up to %" G_GUINT64_FORMAT " octets", limit);
	else
		append_send(append);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void append_done(struct request *request, const GError *error)
{
	struct append *append = (struct append *)request;

	append->result.is_outcome_known = append->state != APPEND_SENT;
	append->args.done(append->args.user, &append->result, error);
}

static void append_free(struct request *request)
{
	struct append *append = (struct append *)request;

	if (request->session->upload == request)
		request->session->upload = NULL;
	g_free(append->folder);
	g_strfreev(append->keywords);
	g_free(append);
}

mailfs_ticket append_start(struct mailfs_session *s, const struct mailfs_append_request *args)
{
	struct append *append = g_new0(struct append, 1);

	append->request =
		(struct request){ .start = append_begin, .done = append_done, .free = append_free };
	append->args = *args;
	append->folder = g_strdup(args->folder);
	append->keywords = g_strdupv((char **)args->keywords);
	return request_add(s, &append->request);
}
