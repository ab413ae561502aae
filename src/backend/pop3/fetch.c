/* SPDX-License-Identifier: MIT */
/*
 * Bodies by RETR, each whole. How long one is shows at its end: what LIST said may be wrong (P3-1).
 * What the listing does not have is gone; what it has and the server refuses is an error. Loop
 * thread. RFC 1939 §5.
 */
#include <string.h>

#include "backend/pop3/request.h"
#include "backend/pop3/session.h"

struct fetch {
	struct request request;
	struct mailfs_fetch_request args;
	uint32_t *uids;
	char **keys;
	size_t count;
	unsigned open; /* commands without an answer */
	GError *refusal; /* the first one */
};

static uint32_t uid_of(const struct pop3_command *command)
{
	return ((const struct fetch *)command->request)->uids[command->index];
}

static void on_begin(struct pop3_command *command)
{
	struct fetch *fetch = (struct fetch *)command->request;

	if (!fetch->request.is_cancelled)
		fetch->args.begin(fetch->args.user, uid_of(command), UINT64_MAX);
}

static void on_data(struct pop3_command *command, const uint8_t *bytes, size_t len)
{
	struct fetch *fetch = (struct fetch *)command->request;

	if (!fetch->request.is_cancelled)
		fetch->args.data(fetch->args.user, uid_of(command), bytes, len);
}

static void on_done(struct pop3_command *command, const char *text, const GError *error)
{
	struct fetch *fetch = (struct fetch *)command->request;

	if (!error && !fetch->request.is_cancelled)
		fetch->args.end(fetch->args.user, uid_of(command));
	if (error && !fetch->refusal)
		fetch->refusal = g_error_copy(error);
	if (--fetch->open == 0)
		request_finish(&fetch->request, fetch->refusal);
}

static void fetch_begin(struct request *request)
{
	static const struct pop3_hooks hooks = {
		.begin = on_begin, .data = on_data, .done = on_done,
	};
	struct fetch *fetch = (struct fetch *)request;
	struct mailfs_session *s = request->session;

	if (fetch->args.is_range) {
		request_fail(request, MAILFS_ERROR_NOT_POSSIBLE, "POP3 knows no ranges");
		return;
	}
	for (size_t i = 0; i < fetch->count; i++) {
		const struct maildrop_entry *entry = maildrop_find(&s->drop, fetch->keys[i]);
		struct pop3_command *command;

		if (!entry && s->drop.is_cut && !fetch->refusal)
			fetch->refusal = maildrop_beyond();
		if (!entry)
			continue;
		command = pop3_command_new(&hooks, POP3_OCTETS, "reading a message", "RETR %u",
			entry->number);
		command->request = request;
		command->index = i;
		command->bytes = entry->size;
		command->is_background = fetch->args.is_background;
		fetch->open++;
		pop3_queue_add(&s->queue, command);
	}
	if (fetch->open == 0)
		request_finish(request, fetch->refusal);
}

static void fetch_done(struct request *request, const GError *error)
{
	struct fetch *fetch = (struct fetch *)request;

	fetch->args.done(fetch->args.user, error);
}

static void fetch_free(struct request *request)
{
	struct fetch *fetch = (struct fetch *)request;

	g_clear_error(&fetch->refusal);
	for (size_t i = 0; i < fetch->count; i++)
		g_free(fetch->keys[i]);
	g_free(fetch->keys);
	g_free(fetch->uids);
	g_free(fetch);
}

mailfs_ticket pop3_fetch(struct mailfs_session *s, const struct mailfs_fetch_request *args)
{
	struct fetch *fetch = g_new0(struct fetch, 1);

	g_assert(args->keys || args->uid_count == 0);
	fetch->request = (struct request){
		.marks = POP3_NEEDS_DROP, .start = fetch_begin, .done = fetch_done, .free = fetch_free,
	};
	fetch->args = *args;
	fetch->args.folder = NULL;
	fetch->args.uids = NULL;
	fetch->args.keys = NULL;
	fetch->count = args->uid_count;
	fetch->uids = g_memdup2(args->uids, args->uid_count * sizeof(*args->uids));
	fetch->keys = g_new0(char *, args->uid_count + 1);
	for (size_t i = 0; i < args->uid_count; i++)
		fetch->keys[i] = g_strdup(args->keys[i]);
	return request_add(s, &fetch->request);
}
