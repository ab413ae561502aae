/* SPDX-License-Identifier: MIT */
/* The slots of mailfs/backend.h for IMAP. Loop thread. */
#include "backend/imap/request.h"
#include "backend/imap/session.h"

/* The request itself ends in the next kick: no callback comes from inside a call. */
static void cancel(struct mailfs_session *s, mailfs_ticket ticket)
{
	for (GList *link = s->requests.head; link; link = link->next) {
		struct request *request = link->data;

		if (request->ticket == ticket)
			request->is_cancelled = true;
	}
	session_kick(s);
}

static void hold(struct mailfs_session *s, bool is_held)
{
	if (s->stream)
		stream_hold(s->stream, is_held);
}

static void traffic(const struct mailfs_session *s, struct mailfs_traffic *ret_traffic)
{
	*ret_traffic = (struct mailfs_traffic){ .is_compressed = s->is_compressed };
	if (!s->stream)
		return;
	ret_traffic->wire = stream_bytes_in(s->stream);
	ret_traffic->plain = stream_bytes_plain(s->stream);
}

const struct mailfs_backend imap_backend = {
	.name = "imap",
	.open = session_open,
	.close = session_close,
	.free = session_free,
	.list = folders_list,
	.sync = sync_start,
	.uids = uids_start,
	.fetch = fetch_start,
	.store = store_start,
	.append = append_start,
	.give = append_give,
	.move = move_start,
	.remove = remove_start,
	.change_folder = folder_change_start,
	.poll = poll_start,
	.cancel = cancel,
	.hold = hold,
	.traffic = traffic,
	.compress = compress_start,
};
