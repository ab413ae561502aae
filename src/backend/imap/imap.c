/* SPDX-License-Identifier: MIT */
/* The slots of mailfs/backend.h for IMAP. Loop thread. */
#include "backend/imap/request.h"
#include "backend/imap/session.h"

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

static const struct mailfs_wanted wanted[] = {
	{ "QRESYNC", "a changed folder is compared with CONDSTORE or by listing all UIDs and flags" },
	{ "CONDSTORE", "changes of flags are found by fetching the flags of all messages" },
	{ "IDLE", "new mail is found by asking every poll=SECONDS" },
	{ "MOVE", "messages are moved by copying and removing" },
	{ "UIDPLUS", "an uploaded message is found by searching for it, one folder has to be expunged whole" },
	{ "LIST-STATUS", "folders are asked one by one for what is new" },
	{ "SPECIAL-USE", "roles such as \\Trash are not known" },
	{ "ENABLE", "no QRESYNC, no UTF-8 names" },
	{ "ID", "the server is not asked what it is" },
	{ "COMPRESS=DEFLATE", "compress=yes has no effect" },
	{ NULL, NULL },
};

const struct mailfs_backend imap_backend = {
	.name = "imap",
	.wanted = wanted,
	.open = imap_session_open,
	.close = session_close,
	.free = imap_session_free,
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
	.watch = idle_start,
	.status = status_start,
	.cancel = session_cancel,
	.hold = hold,
	.traffic = traffic,
	.compress = compress_start,
};
