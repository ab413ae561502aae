/* SPDX-License-Identifier: MIT */
/* The slots of mailfs/backend.h for POP3, and those requests that are next to nothing. Loop thread. */
#include "backend/pop3/request.h"
#include "backend/pop3/session.h"

#define FOLDER "INBOX"

/* ---- list: one folder, always the same ------------------------------------------------------- */

struct listing {
	struct request request;
	struct mailfs_list_request args;
};

static void listing_begin(struct request *request)
{
	struct listing *listing = (struct listing *)request;

	listing->args.folder(listing->args.user, &(struct mailfs_folder_info){
		.name = FOLDER, .path = FOLDER,
		.flags = MAILFS_FOLDER_INBOX | MAILFS_FOLDER_NOINFERIORS | MAILFS_FOLDER_SUBSCRIBED,
	});
	request_finish(request, NULL);
}

static void listing_done(struct request *request, const GError *error)
{
	struct listing *listing = (struct listing *)request;

	listing->args.done(listing->args.user, error);
}

static void request_free(struct request *request)
{
	g_free(request);
}

static mailfs_ticket list(struct mailfs_session *s, const struct mailfs_list_request *args)
{
	struct listing *listing = g_new0(struct listing, 1);

	listing->request = (struct request){
		.start = listing_begin, .done = listing_done, .free = request_free,
	};
	listing->args = *args;
	return request_add(s, &listing->request);
}

/* ---- uids: the listing, asked for anew ------------------------------------------------------- */

struct uids {
	struct request request;
	struct mailfs_uids_request args;
	bool is_fresh; /* the listing was made after it was asked for */
};

static int by_value(gconstpointer a, gconstpointer b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static void uids_tell(struct uids *uids)
{
	const struct maildrop *drop = &uids->request.session->drop;
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (guint i = 0; i < drop->entries->len; i++) {
		const char *key = g_array_index(drop->entries, struct maildrop_entry, i).key;
		unsigned wanted;
		uint32_t uid = key ? uids->args.uid_of_key(uids->args.user, key, &wanted) : 0;

		if (uid != 0 && uid >= uids->args.first && uid <= uids->args.last)
			g_array_append_val(found, uid);
	}
	g_array_sort(found, by_value);
	if (found->len > 0)
		uids->args.uids(uids->args.user, (const uint32_t *)(void *)found->data, found->len);
	request_finish(&uids->request, NULL);
}

static bool is_alone(const struct request *request)
{
	return g_queue_get_length(&request->session->life.requests) == 1;
}

/* Not what is known already: this is asked when that is doubted. */
static void uids_begin(struct request *request)
{
	struct uids *uids = (struct uids *)request;

	if (uids->is_fresh || !is_alone(request)) {
		uids_tell(uids);
		return;
	}
	uids->is_fresh = true;
	request->marks &= ~(unsigned)POP3_IS_BEGUN;
	maildrop_forget(&request->session->drop);
	maildrop_want(request->session);
}

static void uids_done(struct request *request, const GError *error)
{
	struct uids *uids = (struct uids *)request;

	uids->args.done(uids->args.user, error);
}

static mailfs_ticket uids(struct mailfs_session *s, const struct mailfs_uids_request *args)
{
	struct uids *uids = g_new0(struct uids, 1);

	uids->request = (struct request){
		.marks = POP3_NEEDS_DROP, .start = uids_begin, .done = uids_done, .free = request_free,
	};
	uids->args = *args;
	uids->args.folder = NULL;
	uids->is_fresh = s->drop.state != MAILDROP_LISTED;
	return request_add(s, &uids->request);
}

/* ---- poll: a sign of life -------------------------------------------------------------------- */

struct poll {
	struct request request;
	mailfs_done_fn done;
	void *user;
};

static void on_noop(struct pop3_command *command, const char *text, const GError *error)
{
	request_finish(command->request, error);
}

static void poll_begin(struct request *request)
{
	static const struct pop3_hooks hooks = { .done = on_noop };
	struct pop3_command *command = pop3_command_new(&hooks, POP3_ONE_LINE, "NOOP", "NOOP");

	command->request = request;
	pop3_queue_add(&request->session->queue, command);
}

static void poll_done(struct request *request, const GError *error)
{
	struct poll *poll = (struct poll *)request;

	poll->done(poll->user, error);
}

/* Sessions are short, and the silence clock runs whenever something is asked. */
static mailfs_ticket poll(struct mailfs_session *s, unsigned patience_ms, mailfs_done_fn done,
	void *user)
{
	struct poll *poll = g_new0(struct poll, 1);

	poll->request = (struct request){
		.start = poll_begin, .done = poll_done, .free = request_free,
	};
	poll->done = done;
	poll->user = user;
	return request_add(s, &poll->request);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void hold(struct mailfs_session *s, bool is_held)
{
	if (s->stream)
		stream_hold(s->stream, is_held);
}

static const struct mailfs_wanted wanted[] = {
	{ "UIDL", "messages are known by their headers, and cannot be removed" },
	{ "TOP", "each message is fetched whole for its name" },
	{ "PIPELINING", "one command at a time: a round trip for each message" },
	{ "RESP-CODES", "a locked maildrop may look like a wrong password" },
	{ NULL, NULL },
};

const struct mailfs_backend pop3_backend = {
	.name = "pop3",
	.wanted = wanted,
	.traits = MAILFS_TRAIT_KEYS | MAILFS_TRAIT_EXCLUSIVE | MAILFS_TRAIT_ROUGH_SIZES,
	.only_folder = FOLDER,
	.rest_ms = 4000,
	.poll_seconds = 300,
	.open = pop3_session_open,
	.close = session_close,
	.free = pop3_session_free,
	.list = list,
	.sync = pop3_sync,
	.uids = uids,
	.fetch = pop3_fetch,
	.remove = pop3_remove,
	.poll = poll,
	.cancel = session_cancel,
	.hold = hold,
};
