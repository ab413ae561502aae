/* SPDX-License-Identifier: MIT */
/* The server in memory, and sessions with it: each does one step of its oldest request per turn. */
#include "fake/fake_backend.h"

#include <string.h>

#define CHUNK   (64u * 1024) /* body bytes per step */
#define INFOS   100u         /* messages per step */

static struct fake_server *the_server;

enum kind {
	KIND_LIST,
	KIND_SYNC,
	KIND_UIDS,
	KIND_FETCH,
	KIND_STORE,
	KIND_APPEND,
	KIND_MOVE,
	KIND_REMOVE,
	KIND_FOLDER,
	KIND_POLL,
	KIND_WATCH,
	KIND_STATUS,
};

struct fake_request {
	enum kind kind;
	mailfs_ticket ticket;
	bool is_cancelled;
	unsigned delay;
	unsigned step;

	struct mailfs_list_request list;
	struct mailfs_sync_request sync;
	struct mailfs_uids_request uids;
	struct mailfs_fetch_request fetch;
	struct mailfs_store_request store;
	struct mailfs_append_request append;
	struct mailfs_append_result appended;
	GByteArray *given;
	bool is_pulling;
	struct mailfs_move_request move;
	struct mailfs_remove_request remove;
	struct mailfs_folder_request change;
	struct mailfs_watch_request watch;
	struct mailfs_status_request status;
	bool is_begun; /* a watch: from now on it only ends */
	char **names;
	mailfs_done_fn poll_done;
	void *poll_user;

	char *folder;
	GArray *fetch_uids; /* of a change too */
	GArray *copies;     /* uint32_t, of a move: target UIDs, 0 = it was not there */
	char **add, **remove_;
	char *target, *parent, *component;
	bool is_sent; /* the server has, or may have, seen it */
	char *made;   /* name that exists now */
	guint at; /* message of a sync, UID of a fetch */
	GBytes *body;
	uint64_t sent, len;
	bool is_delta;
	uint64_t modseq;
};

enum state { STATE_DIALLING, STATE_READY, STATE_DYING, STATE_DEAD, STATE_CLOSING, STATE_CLOSED };

struct mailfs_session {
	struct mailfs_session_events events;
	void *user;
	enum state state;
	GQueue requests;
	mailfs_ticket last_ticket;
	guint source;
	unsigned depth; /* callbacks on the stack */
	bool is_held;
	GError *death;
	void (*closed)(void *user);
	void *closed_user;
	bool is_compressed;
	uint64_t received;
	bool is_no; /* a request fails by a tagged answer */
};

/* ---- the server ------------------------------------------------------------------------------ */

static void message_free(gpointer data)
{
	struct fake_message *message = data;

	g_bytes_unref(message->body);
	g_free(message->subject);
	g_free(message->message_id);
	g_free(message->keywords);
	g_free(message);
}

static void folder_free(gpointer data)
{
	struct fake_folder *folder = data;

	g_ptr_array_unref(folder->messages);
	g_array_unref(folder->removed);
	g_free(folder->name);
	g_free(folder);
}

struct fake_server *fake_server_new(void)
{
	struct fake_server *server = g_new0(struct fake_server, 1);

	server->folders = g_ptr_array_new_with_free_func(folder_free);
	server->sessions = g_ptr_array_new();
	server->faults = g_array_new(FALSE, FALSE, sizeof(struct fake_fault));
	the_server = server;
	return server;
}

void fake_server_free(struct fake_server *server)
{
	g_assert_cmpuint(server->sessions->len, ==, 0);
	g_ptr_array_unref(server->folders);
	g_ptr_array_unref(server->sessions);
	g_array_unref(server->faults);
	g_free(server);
	the_server = NULL;
}

struct fake_folder *fake_folder_add(struct fake_server *server, const char *name, uint32_t uidvalidity)
{
	struct fake_folder *folder = g_new0(struct fake_folder, 1);

	folder->name = g_strdup(name);
	folder->delimiter = '/';
	folder->uidvalidity = uidvalidity;
	folder->has_status = true;
	folder->modseq = 1;
	folder->rights = MAILFS_RIGHTS_ALL;
	folder->permanent_flags = MAILFS_FLAGS_ALL;
	folder->messages = g_ptr_array_new_with_free_func(message_free);
	folder->removed = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_ptr_array_add(server->folders, folder);
	return folder;
}

struct fake_folder *fake_folder_find(struct fake_server *server, const char *name)
{
	for (guint i = 0; i < server->folders->len; i++) {
		struct fake_folder *folder = g_ptr_array_index(server->folders, i);

		if (strcmp(folder->name, name) == 0)
			return folder;
	}
	return NULL;
}

void fake_folder_remove(struct fake_server *server, const char *name)
{
	g_ptr_array_remove(server->folders, fake_folder_find(server, name));
}

struct fake_message *fake_message_add(struct fake_folder *folder, uint32_t uid, size_t size)
{
	struct fake_message *message = g_new0(struct fake_message, 1);
	uint8_t *bytes = g_malloc(size + 1);
	guint at = folder->messages->len;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(uid * 31 + i * 7 + i / 251);
	folder->uid_floor = MAX(folder->uid_floor, uid);
	message->uid = uid;
	message->body = g_bytes_new_take(bytes, size);
	message->claimed = size;
	message->date = 1600000000 + uid;
	message->subject = g_strdup_printf("subject %u", uid);
	message->modseq = ++folder->modseq;
	while (at > 0 && ((struct fake_message *)g_ptr_array_index(folder->messages, at - 1))->uid > uid)
		at--;
	g_ptr_array_insert(folder->messages, (gint)at, message);
	return message;
}

void fake_messages_add(struct fake_folder *folder, uint32_t first, uint32_t last, size_t size)
{
	for (uint32_t uid = first; uid <= last; uid++)
		fake_message_add(folder, uid, size);
}

static guint find_index(const struct fake_folder *folder, uint32_t uid)
{
	guint low = 0, high = folder->messages->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		const struct fake_message *message = g_ptr_array_index(folder->messages, middle);

		if (message->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct fake_message *fake_message_find(struct fake_folder *folder, uint32_t uid)
{
	guint at = find_index(folder, uid);
	struct fake_message *message =
		at < folder->messages->len ? g_ptr_array_index(folder->messages, at) : NULL;

	return message && message->uid == uid ? message : NULL;
}

void fake_message_remove(struct fake_folder *folder, uint32_t uid)
{
	uint32_t pair[2] = { uid, (uint32_t)++folder->modseq };

	g_assert(fake_message_find(folder, uid));
	g_array_append_vals(folder->removed, pair, 2);
	g_ptr_array_remove_index(folder->messages, find_index(folder, uid));
}

void fake_message_flag(struct fake_folder *folder, uint32_t uid, unsigned flags)
{
	struct fake_message *message = fake_message_find(folder, uid);

	message->flags = flags;
	message->modseq = ++folder->modseq;
}

void fake_message_tag(struct fake_folder *folder, uint32_t uid, const char *keywords)
{
	struct fake_message *message = fake_message_find(folder, uid);

	g_free(message->keywords);
	message->keywords = g_strdup(keywords);
	message->modseq = ++folder->modseq;
}

void fake_folder_clear(struct fake_folder *folder, uint32_t uidvalidity)
{
	g_ptr_array_set_size(folder->messages, 0);
	g_array_set_size(folder->removed, 0);
	folder->uidvalidity = uidvalidity;
	folder->modseq = 1;
}

void fake_fault(struct fake_server *server, const struct fake_fault *fault)
{
	g_array_append_vals(server->faults, fault, 1);
}

void fake_fail(struct fake_server *server, enum fake_point point, enum mailfs_error code)
{
	fake_fault(server, &(struct fake_fault){ .point = point, .code = (int)code, .times = 1 });
}

void fake_die(struct fake_server *server, enum fake_point point, enum mailfs_error code)
{
	fake_fault(server, &(struct fake_fault){ .point = point, .code = (int)code, .times = 1,
		.is_death = true });
}

unsigned fake_sessions(const struct fake_server *server)
{
	unsigned count = 0;

	for (guint i = 0; i < server->sessions->len; i++)
		count += ((struct mailfs_session *)g_ptr_array_index(server->sessions, i))->state ==
			STATE_READY;
	return count;
}

bool fake_is_held(const struct fake_server *server)
{
	for (guint i = 0; i < server->sessions->len; i++)
		if (((struct mailfs_session *)g_ptr_array_index(server->sessions, i))->is_held)
			return true;
	return false;
}

/* ---- sessions -------------------------------------------------------------------------------- */

static gboolean on_turn(gpointer user);

static void session_kick(struct mailfs_session *s)
{
	if (s->source == 0)
		s->source = g_idle_add_full(G_PRIORITY_DEFAULT, on_turn, s, NULL);
}

static void request_free(struct fake_request *request)
{
	if (request->body)
		g_bytes_unref(request->body);
	if (request->fetch_uids)
		g_array_unref(request->fetch_uids);
	if (request->copies)
		g_array_unref(request->copies);
	g_strfreev(request->names);
	g_strfreev(request->add);
	g_strfreev(request->remove_);
	g_free(request->target);
	g_free(request->parent);
	g_free(request->component);
	g_free(request->made);
	if (request->given)
		g_byte_array_unref(request->given);
	g_free(request->folder);
	g_free(request);
}

static void request_end(struct mailfs_session *s, struct fake_request *request, const GError *error)
{
	struct mailfs_sync_result result = { .modseq = request->modseq };

	g_queue_remove(&s->requests, request);
	switch (request->kind) {
	case KIND_LIST:
		request->list.done(request->list.user, error);
		break;
	case KIND_SYNC:
		request->sync.done(request->sync.user, error ? NULL : &result, error);
		break;
	case KIND_UIDS:
		request->uids.done(request->uids.user, error);
		break;
	case KIND_FETCH:
		request->fetch.done(request->fetch.user, error);
		break;
	case KIND_STORE:
		request->store.done(request->store.user, error);
		break;
	case KIND_APPEND:
		/* Half of a message is none. */
		request->appended.is_outcome_known = !error || s->is_no || !request->is_sent;
		request->append.done(request->append.user, &request->appended, error);
		break;
	case KIND_MOVE:
		request->move.done(request->move.user, !error || !request->is_sent || s->is_no, error);
		break;
	case KIND_REMOVE:
		request->remove.done(request->remove.user, error);
		break;
	case KIND_FOLDER:
		request->change.done(request->change.user, error ? NULL : request->made, error);
		break;
	case KIND_POLL:
		request->poll_done(request->poll_user, error);
		break;
	case KIND_WATCH:
		request->watch.done(request->watch.user, error);
		break;
	case KIND_STATUS:
		request->status.done(request->status.user, error);
		break;
	}
	request_free(request);
}

static void request_fail(struct mailfs_session *s, struct fake_request *request, int code)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, code, "fake error %d", code);

	request_end(s, request, error);
}

static void session_fail(struct mailfs_session *s, int code)
{
	if (s->state != STATE_DIALLING && s->state != STATE_READY)
		return;
	s->state = STATE_DYING;
	s->death = g_error_new(MAILFS_ERROR, code, "fake death %d", code);
	session_kick(s);
}

void fake_kill(struct fake_server *server, enum mailfs_error code)
{
	for (guint i = 0; i < server->sessions->len; i++)
		session_fail(g_ptr_array_index(server->sessions, i), (int)code);
}

void fake_tell_changed(struct fake_server *server, const char *folder)
{
	struct mailfs_session *s = g_ptr_array_index(server->sessions, 0);

	s->depth++;
	s->events.folder_changed(s->user, folder);
	s->depth--;
}

static struct fake_request *begun_watch(const struct mailfs_session *s, const char *folder)
{
	for (GList *at = s->requests.head; at && s->state == STATE_READY; at = at->next) {
		struct fake_request *request = at->data;

		if (request->kind == KIND_WATCH && request->is_begun &&
			g_strcmp0(request->folder, folder) == 0)
			return request;
	}
	return NULL;
}

bool fake_is_idling(const struct fake_server *server, const char *folder)
{
	for (guint i = 0; i < server->sessions->len; i++)
		if (begun_watch(g_ptr_array_index(server->sessions, i), folder))
			return true;
	return false;
}

static struct mailfs_status status_of(const struct fake_folder *folder)
{
	struct mailfs_status status = {
		.folder = folder->name,
		.has = MAILFS_STATUS_MESSAGES | MAILFS_STATUS_UNSEEN | MAILFS_STATUS_UIDNEXT |
			MAILFS_STATUS_UIDVALIDITY,
		.messages = folder->messages->len,
		.uidnext = folder->uid_floor + 1,
		.uidvalidity = folder->uidvalidity,
	};

	for (guint i = 0; i < folder->messages->len; i++)
		status.unseen += (((struct fake_message *)g_ptr_array_index(folder->messages, i))->flags &
			MAILFS_FLAG_SEEN) == 0;
	if (!the_server->cannot_delta) {
		status.has |= MAILFS_STATUS_MODSEQ;
		status.modseq = folder->modseq;
	}
	return status;
}

void fake_notice(struct fake_server *server, const char *folder)
{
	struct fake_folder *found = fake_folder_find(server, folder);
	struct mailfs_status status = status_of(found);

	for (guint i = 0; i < server->sessions->len; i++) {
		struct mailfs_session *s = g_ptr_array_index(server->sessions, i);

		s->depth++;
		if (begun_watch(s, folder))
			s->events.folder_changed(s->user, folder);
		else if (begun_watch(s, NULL))
			s->events.folder_status(s->user, &status);
		s->depth--;
	}
}

void fake_notice_tree(struct fake_server *server)
{
	for (guint i = 0; i < server->sessions->len; i++) {
		struct mailfs_session *s = g_ptr_array_index(server->sessions, i);

		s->depth++;
		if (begun_watch(s, NULL))
			s->events.tree_changed(s->user);
		s->depth--;
	}
}

/* True: an accident happened, the request or the session is over. */
static bool strike(struct mailfs_session *s, struct fake_request *request, enum fake_point point)
{
	for (guint i = 0; i < the_server->faults->len; i++) {
		struct fake_fault *fault = &g_array_index(the_server->faults, struct fake_fault, i);
		struct fake_fault now = *fault;

		if (fault->point != point)
			continue;
		if (fault->skip > 0) {
			fault->skip--;
			continue;
		}
		if (fault->times == 1)
			g_array_remove_index(the_server->faults, i);
		else if (fault->times > 1)
			fault->times--;
		if (now.is_death || !request)
			session_fail(s, now.code);
		else {
			s->is_no = true;
			request_fail(s, request, now.code);
			s->is_no = false;
		}
		return true;
	}
	return false;
}

/* ---- steps of requests; true: go on with it in the next turn --------------------------------- */

static void tell_folder(struct fake_request *request, const struct fake_folder *folder)
{
	bool has_status = folder->has_status && !the_server->hides_status;
	uint32_t unseen = 0;

	for (guint i = 0; i < folder->messages->len; i++)
		unseen += (((struct fake_message *)g_ptr_array_index(folder->messages, i))->flags &
			MAILFS_FLAG_SEEN) == 0;
	request->list.folder(request->list.user, &(struct mailfs_folder_info){
		.name = folder->name,
		.path = folder->name,
		.delimiter = folder->delimiter,
		.flags = folder->flags,
		.role = folder->role,
		.status = {
			.has = has_status ? MAILFS_STATUS_ALL : 0,
			.messages = folder->messages->len,
			.unseen = unseen,
			.uidnext = folder->uid_floor + 1,
			.uidvalidity = folder->uidvalidity,
			.modseq = the_server->cannot_delta ? 0 : folder->modseq,
		},
	});
}

static void tell_all_status(struct mailfs_session *s)
{
	for (guint i = 0; i < the_server->folders->len; i++) {
		struct mailfs_status status = status_of(g_ptr_array_index(the_server->folders, i));

		s->events.folder_status(s->user, &status);
	}
}

static void step_watch(struct mailfs_session *s, struct fake_request *request)
{
	const struct fake_folder *folder =
		request->folder ? fake_folder_find(the_server, request->folder) : NULL;
	struct mailfs_status status;

	if (request->is_begun) {
		request_end(s, request, NULL); /* something else is to be done */
		return;
	}
	if (strike(s, request, FAKE_WATCH) || (request->folder && the_server->never_begins))
		return;
	if (request->folder ? !the_server->can_idle : !the_server->can_notify) {
		request_fail(s, request, MAILFS_ERROR_NOT_POSSIBLE);
		return;
	}
	if (request->folder && !folder) {
		request_fail(s, request, MAILFS_ERROR_GONE);
		return;
	}
	request->is_begun = true;
	the_server->watches++;
	the_server->notifies += !folder;
	if (folder && !the_server->is_mute) {
		status = status_of(folder);
		s->events.folder_status(s->user, &status);
	} else if (!folder) {
		tell_all_status(s);
	}
	request->watch.begun(request->watch.user);
}

static void step_status(struct mailfs_session *s, struct fake_request *request)
{
	if (strike(s, request, FAKE_STATUS))
		return;
	for (char **name = request->names; *name; name++) {
		const struct fake_folder *folder = fake_folder_find(the_server, *name);
		struct mailfs_status status;

		if (!folder)
			continue;
		status = status_of(folder);
		request->status.status(request->status.user, &status);
	}
	request_end(s, request, NULL);
}

static void step_list(struct mailfs_session *s, struct fake_request *request)
{
	GPtrArray *folders = the_server->folders;
	guint half = folders->len / 2;

	if (request->step++ == 0) {
		if (strike(s, request, FAKE_LIST))
			return;
		for (guint i = 0; i < half && !the_server->is_empty_list; i++)
			tell_folder(request, g_ptr_array_index(folders, i));
		return;
	}
	if (strike(s, request, FAKE_LIST_MID))
		return;
	for (guint i = half; i < folders->len && !the_server->is_empty_list; i++)
		tell_folder(request, g_ptr_array_index(folders, i));
	request_end(s, request, NULL);
}

static void tell_message(struct fake_request *request, const struct fake_message *message, bool is_full)
{
	struct mailfs_message_info info = {
		.uid = message->uid,
		.fields = MAILFS_INFO_FLAGS | MAILFS_INFO_MODSEQ,
		.flags = message->flags,
		.modseq = message->modseq,
	};
	g_auto(GStrv) keywords = message->keywords ? g_strsplit(message->keywords, " ", -1) : NULL;

	info.keywords = (const char *const *)keywords;
	if (is_full) {
		info.fields |= MAILFS_INFO_DATE | MAILFS_INFO_SIZE | MAILFS_INFO_HEAD;
		info.date = message->date;
		info.size = message->claimed;
		info.head.subject = message->subject;
		info.head.message_id = message->message_id;
	}
	request->sync.messages(request->sync.user, &info, 1);
}

static void tell_state(struct fake_request *request, const struct fake_folder *folder)
{
	const struct mailfs_known *known = &request->sync.known;
	bool is_known = known->uidvalidity != 0 && known->uidvalidity == folder->uidvalidity;

	request->is_delta = is_known && known->modseq != 0 && !the_server->cannot_delta &&
		!the_server->sync_is_full;
	request->modseq = the_server->cannot_delta ? 0 : folder->modseq;
	if (!is_known)
		request->sync.known = (struct mailfs_known){ 0 };
	request->sync.state(request->sync.user, &(struct mailfs_sync_state){
		.uidvalidity = folder->uidvalidity,
		.exists = folder->messages->len,
		.read_only = folder->is_read_only,
		.rights = folder->rights,
		.keywords_allowed = !folder->keywords_refused,
		.permanent_flags = folder->permanent_flags,
		.is_delta = request->is_delta,
		.is_reset = known->uidvalidity != 0 && !is_known,
	});
}

static void tell_removed(struct fake_request *request, const struct fake_folder *folder)
{
	for (guint i = 0; i + 1 < folder->removed->len; i += 2) {
		uint32_t uid = g_array_index(folder->removed, uint32_t, i);

		if (g_array_index(folder->removed, uint32_t, i + 1) > request->sync.known.modseq)
			request->sync.vanished(request->sync.user, uid, uid);
	}
}

static void tell_one(struct fake_request *request, const struct fake_message *message)
{
	const struct mailfs_known *known = &request->sync.known;

	if (message->uid > known->uid_max)
		tell_message(request, message, true);
	else if (!request->is_delta || message->modseq > known->modseq)
		tell_message(request, message, false);
}

static void tell_complete(struct fake_request *request, const struct fake_folder *folder)
{
	const struct fake_message *last = g_ptr_array_index(folder->messages, request->at - 1);

	if (request->sync.complete && request->sync.known.uid_max == 0 && !the_server->sends_descending)
		request->sync.complete(request->sync.user, last->uid);
}

static void step_sync(struct mailfs_session *s, struct fake_request *request)
{
	struct fake_folder *folder = fake_folder_find(the_server, request->folder);
	guint count = folder ? folder->messages->len : 0;

	if (!folder) {
		request_fail(s, request, MAILFS_ERROR_GONE);
		return;
	}
	if (request->step == 0) {
		if (strike(s, request, FAKE_SYNC))
			return;
		tell_state(request, folder);
		request->step++;
		return;
	}
	if (request->step == 1) {
		request->step++;
		if (strike(s, request, FAKE_SYNC_STATE))
			return;
		if (the_server->sync_hook) {
			the_server->sync_hook(the_server, &request->sync);
			request->at = count;
		}
	}
	for (guint n = 0; n < INFOS && request->at < count; n++) {
		guint at = request->at++;

		if (at == (count + 1) / 2 && strike(s, request, FAKE_SYNC_MID))
			return;
		at = the_server->sends_descending ? count - 1 - at : at;
		tell_one(request, g_ptr_array_index(folder->messages, at));
	}
	if (request->at < count) {
		tell_complete(request, folder);
		return;
	}
	if (request->is_delta && !the_server->sync_hook)
		tell_removed(request, folder);
	if (!strike(s, request, FAKE_SYNC_END))
		request_end(s, request, NULL);
}

static void step_uids(struct mailfs_session *s, struct fake_request *request)
{
	struct fake_folder *folder = fake_folder_find(the_server, request->folder);

	if (strike(s, request, FAKE_UIDS))
		return;
	if (the_server->uids_hook) {
		the_server->uids_hook(the_server, &request->uids);
	} else {
		for (guint i = 0; folder && i < folder->messages->len; i++) {
			const struct fake_message *message = g_ptr_array_index(folder->messages, i);

			if (message->uid >= request->uids.first && message->uid <= request->uids.last)
				request->uids.uids(request->uids.user, &message->uid, 1);
		}
	}
	request_end(s, request, NULL);
}

static GBytes *make_body(struct fake_message *message)
{
	g_autofree uint8_t *bytes = NULL;
	gsize size;
	const void *data = g_bytes_get_data(message->body, &size);
	static uint32_t nonce;

	if (!message->is_restless)
		return g_bytes_ref(message->body);
	bytes = g_memdup2(data, size);
	nonce++;
	for (gsize i = 0; i + sizeof(nonce) <= size; i += 1024)
		memcpy(bytes + i, &nonce, sizeof(nonce));
	return g_bytes_new_take(g_steal_pointer(&bytes), size);
}

/* False: this one gives nothing. */
static bool begin_body(struct fake_request *request, struct fake_message *message)
{
	uint64_t size, offset = 0, len;

	if (!message || message->is_absent)
		return false;
	request->body = make_body(message);
	size = g_bytes_get_size(request->body);
	size -= MIN(size, message->send_cut);
	len = size;
	if (request->fetch.is_range) {
		offset = MIN(request->fetch.range.offset, size);
		len = MIN(request->fetch.range.len, size - offset);
	}
	request->sent = offset;
	request->len = offset + len;
	request->fetch.begin(request->fetch.user, message->uid, len);
	return true;
}

static void step_fetch(struct mailfs_session *s, struct fake_request *request)
{
	struct fake_folder *folder = fake_folder_find(the_server, request->folder);
	struct fake_message *message = NULL;
	uint32_t uid;

	if (!folder || folder->uidvalidity != request->fetch.uidvalidity) {
		request_fail(s, request, MAILFS_ERROR_STALE);
		return;
	}
	if (request->at == request->fetch_uids->len) {
		if (!strike(s, request, FAKE_FETCH_END))
			request_end(s, request, NULL);
		return;
	}
	uid = g_array_index(request->fetch_uids, uint32_t, request->at);
	message = fake_message_find(folder, uid);
	if (!request->body) {
		if (strike(s, request, FAKE_FETCH))
			return;
		if (message && message->is_nil) {
			request_fail(s, request, MAILFS_ERROR_PROTOCOL);
			return;
		}
		if (!begin_body(request, message))
			request->at++;
		return;
	}
	if (request->sent < request->len) {
		uint64_t chunk = the_server->chunk != 0 ? the_server->chunk : CHUNK;
		uint64_t part = MIN(request->len - request->sent, chunk);

		if (request->len - request->sent < 2 * chunk && part > 1)
			part = (part + 1) / 2;
		the_server->bytes_sent += part;
		s->received += part;
		request->fetch.data(request->fetch.user, uid,
			(const uint8_t *)g_bytes_get_data(request->body, NULL) + request->sent, part);
		request->sent += part;
		strike(s, request, FAKE_FETCH_MID);
		return;
	}
	request->fetch.end(request->fetch.user, uid);
	g_clear_pointer(&request->body, g_bytes_unref);
	request->at++;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* By a tagged answer. */
static void request_refuse(struct mailfs_session *s, struct fake_request *request, int code)
{
	s->is_no = true;
	request_fail(s, request, code);
	s->is_no = false;
}

/* The folder that is to be changed; NULL: the request has failed. The hook has run. */
static struct fake_folder *folder_to_change(struct mailfs_session *s, struct fake_request *request,
	uint32_t uidvalidity)
{
	struct fake_folder *folder = fake_folder_find(the_server, request->folder);

	if (folder && the_server->change_hook)
		the_server->change_hook(the_server, folder);
	if (!folder)
		request_refuse(s, request, MAILFS_ERROR_GONE);
	else if (folder->uidvalidity != uidvalidity)
		request_refuse(s, request, MAILFS_ERROR_STALE);
	else
		return folder;
	return NULL;
}

static bool has_word(char **words, const char *word)
{
	for (; words && *words; words++) {
		if (g_ascii_strcasecmp(*words, word) == 0)
			return true;
	}
	return false;
}

static void change_keywords(struct fake_message *message, char **add, char **remove)
{
	g_auto(GStrv) before = g_strsplit(message->keywords ? message->keywords : "", " ", -1);
	g_autoptr(GString) text = g_string_new(NULL);

	for (char **word = before; *word; word++) {
		if (**word != '\0' && !has_word(remove, *word))
			g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", *word);
	}
	for (char **word = add; word && *word; word++) {
		if (**word != '\0' && !has_word(before, *word))
			g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", *word);
	}
	g_free(message->keywords);
	message->keywords = text->len > 0 ? g_strdup(text->str) : NULL;
}

static void store_one(struct fake_request *request, struct fake_folder *folder, uint32_t uid)
{
	struct fake_message *message = fake_message_find(folder, uid);
	g_auto(GStrv) now = NULL;

	if (!message)
		return;
	if (!folder->forgets_flags) {
		message->flags = (message->flags | request->store.add) & ~request->store.remove;
		change_keywords(message, request->add, request->remove_);
		message->modseq = ++folder->modseq;
	}
	now = g_strsplit(message->keywords ? message->keywords : "", " ", -1);
	request->store.flags(request->store.user, uid, message->flags, (const char *const *)now);
}

/* The field of the header, if it has one; g_free() it. */
static char *id_of(const GByteArray *bytes)
{
	g_autofree char *text = g_strndup((const char *)bytes->data, bytes->len);
	const char *at = strstr(text, "Message-ID: ");

	return at ? g_strndup(at + 12, strcspn(at + 12, "\r\n")) : NULL;
}

static void store_message(struct fake_request *request, struct fake_folder *folder)
{
	struct fake_message *message = fake_message_add(folder, ++folder->uid_floor, 0);
	static const char trace[] = "X-Altered: yes\r\n";

	the_server->appended++;
	message->message_id = id_of(request->given);
	if (the_server->alters_appended)
		g_byte_array_prepend(request->given, (const guint8 *)trace, sizeof(trace) - 1);
	g_bytes_unref(message->body);
	message->body = g_bytes_new(request->given->data, request->given->len);
	message->claimed = request->given->len;
	message->flags = request->append.flags;
	if (request->add && request->add[0])
		message->keywords = g_strjoinv(" ", request->add);
	if (request->append.date != INT64_MIN)
		message->date = request->append.date;
	request->appended.uidvalidity = the_server->hides_appended ? 0 : folder->uidvalidity;
	request->appended.uid = the_server->hides_appended ? 0 : message->uid;
	if (the_server->has_replace && request->append.replaces_uid != 0 &&
		fake_message_find(folder, request->append.replaces_uid)) {
		fake_message_remove(folder, request->append.replaces_uid);
		request->appended.has_replaced = true;
	}
}

/* A refusal stores nothing. */
static void end_append(struct mailfs_session *s, struct fake_request *request,
	struct fake_folder *folder)
{
	request->is_sent = true;
	if (strike(s, request, FAKE_APPEND_SENT))
		return;
	store_message(request, folder);
	if (!strike(s, request, FAKE_APPEND_END))
		request_end(s, request, NULL);
}

static void step_append(struct mailfs_session *s, struct fake_request *request)
{
	struct fake_folder *folder = fake_folder_find(the_server, request->folder);
	uint64_t chunk = the_server->chunk != 0 ? the_server->chunk : CHUNK;
	uint64_t size = request->append.size, have = request->given->len;

	if (request->is_pulling)
		return;
	if (request->step++ == 0 && strike(s, request, FAKE_APPEND))
		return;
	if (!folder) {
		s->is_no = true;
		request_fail(s, request, MAILFS_ERROR_GONE);
		s->is_no = false;
		return;
	}
	if (have >= size / 2 && have < size && !request->is_delta) {
		request->is_delta = true; /* once */
		if (strike(s, request, FAKE_APPEND_MID))
			return;
	}
	if (have < size) {
		request->is_pulling = true;
		request->append.pull(request->append.user, have, MIN(chunk, size - have));
		return;
	}
	g_assert_cmpuint(have, ==, size);
	end_append(s, request, folder);
}

static void step_store(struct mailfs_session *s, struct fake_request *request)
{
	struct fake_folder *folder;

	request->is_sent = true;
	if (strike(s, request, FAKE_STORE))
		return;
	folder = folder_to_change(s, request, request->store.uidvalidity);
	if (!folder)
		return;
	for (guint i = 0; i < request->fetch_uids->len; i++)
		store_one(request, folder, g_array_index(request->fetch_uids, uint32_t, i));
	if (!strike(s, request, FAKE_STORE_END))
		request_end(s, request, NULL);
}

static uint32_t copy_one(struct fake_folder *target, const struct fake_message *message)
{
	struct fake_message *copy = fake_message_add(target, target->uid_floor + 1, 1);

	g_bytes_unref(copy->body);
	copy->body = g_bytes_ref(message->body);
	copy->claimed = message->claimed;
	copy->date = message->date;
	copy->flags = message->flags;
	g_free(copy->subject);
	copy->subject = g_strdup(message->subject);
	copy->keywords = g_strdup(message->keywords);
	return copy->uid;
}

static void copy_all(struct fake_request *request, struct fake_folder *folder,
	struct fake_folder *target)
{
	request->copies = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	for (guint i = 0; i < request->fetch_uids->len; i++) {
		uint32_t uid = g_array_index(request->fetch_uids, uint32_t, i);
		const struct fake_message *message = fake_message_find(folder, uid);
		uint32_t copy = message ? copy_one(target, message) : 0;

		g_array_append_val(request->copies, copy);
		if (copy != 0 && !the_server->has_move)
			request->move.copied(request->move.user, uid,
				the_server->hides_copies ? 0 : target->uidvalidity,
				the_server->hides_copies ? 0 : copy);
	}
}

static void remove_all(struct fake_request *request, struct fake_folder *folder)
{
	for (guint i = 0; i < request->fetch_uids->len; i++) {
		uint32_t uid = g_array_index(request->fetch_uids, uint32_t, i);

		if (fake_message_find(folder, uid))
			fake_message_remove(folder, uid);
	}
}

static void tell_moved(struct fake_request *request, const struct fake_folder *target)
{
	for (guint i = 0; i < request->fetch_uids->len; i++) {
		uint32_t copy = g_array_index(request->copies, uint32_t, i);

		if (copy != 0)
			request->move.moved(request->move.user,
				g_array_index(request->fetch_uids, uint32_t, i),
				the_server->hides_copies ? 0 : target->uidvalidity,
				the_server->hides_copies ? 0 : copy);
	}
}

static void step_move(struct mailfs_session *s, struct fake_request *request)
{
	struct fake_folder *target = fake_folder_find(the_server, request->target);
	struct fake_folder *folder;

	if (request->step == 0) {
		request->step++;
		request->is_sent = true;
		if (strike(s, request, FAKE_MOVE))
			return;
		folder = folder_to_change(s, request, request->move.uidvalidity);
		if (!folder)
			return;
		if (!target) {
			request_refuse(s, request, MAILFS_ERROR_GONE);
			return;
		}
		copy_all(request, folder, target);
		if (!the_server->has_move) {
			strike(s, request, FAKE_MOVE_COPIED);
			return;
		}
	}
	folder = fake_folder_find(the_server, request->folder);
	remove_all(request, folder);
	if (strike(s, request, FAKE_MOVE_LEFT))
		return;
	tell_moved(request, target);
	if (!strike(s, request, FAKE_MOVE_END))
		request_end(s, request, NULL);
}

static void step_remove(struct mailfs_session *s, struct fake_request *request)
{
	struct fake_folder *folder;

	request->is_sent = true;
	if (strike(s, request, FAKE_REMOVE))
		return;
	folder = folder_to_change(s, request, request->remove.uidvalidity);
	if (!folder)
		return;
	remove_all(request, folder);
	if (strike(s, request, FAKE_REMOVE_LEFT))
		return;
	for (guint i = 0; i < request->fetch_uids->len; i++)
		request->remove.removed(request->remove.user,
			g_array_index(request->fetch_uids, uint32_t, i));
	if (!strike(s, request, FAKE_REMOVE_END))
		request_end(s, request, NULL);
}

static bool is_below(const char *name, const char *top)
{
	return g_str_has_prefix(name, top) && (name[strlen(top)] == '/' || name[strlen(top)] == '\0');
}

static void rename_all(const char *from, const char *to)
{
	for (guint i = 0; i < the_server->folders->len; i++) {
		struct fake_folder *folder = g_ptr_array_index(the_server->folders, i);
		char *name;

		if (!is_below(folder->name, from))
			continue;
		name = g_strconcat(to, folder->name + strlen(from), NULL);
		g_free(folder->name);
		folder->name = name;
	}
}

/* 0, or an error. */
static int change_tree(struct fake_request *request)
{
	struct fake_folder *folder =
		request->folder ? fake_folder_find(the_server, request->folder) : NULL;

	if (request->component)
		request->made = request->parent ?
			g_strdup_printf("%s/%s", request->parent, request->component) :
			g_strdup(request->component);
	if (!folder && request->change.verb != MAILFS_FOLDER_CREATE)
		return MAILFS_ERROR_GONE;
	if (request->made && fake_folder_find(the_server, request->made))
		return MAILFS_ERROR_EXISTS;
	switch (request->change.verb) {
	case MAILFS_FOLDER_CREATE:
		folder = fake_folder_add(the_server, request->made, 100 + the_server->folder_changes);
		folder->flags |= MAILFS_FOLDER_SUBSCRIBED;
		break;
	case MAILFS_FOLDER_DELETE:
		if (folder->messages->len > 0)
			return MAILFS_ERROR_NOT_EMPTY;
		fake_folder_remove(the_server, request->folder);
		break;
	case MAILFS_FOLDER_RENAME:
		rename_all(request->folder, request->made);
		break;
	case MAILFS_FOLDER_SUBSCRIBE:
		folder->flags |= MAILFS_FOLDER_SUBSCRIBED;
		break;
	case MAILFS_FOLDER_UNSUBSCRIBE:
		folder->flags &= ~(unsigned)MAILFS_FOLDER_SUBSCRIBED;
		break;
	}
	return 0;
}

static void step_folder(struct mailfs_session *s, struct fake_request *request)
{
	int code;

	request->is_sent = true;
	if (strike(s, request, FAKE_FOLDER))
		return;
	code = change_tree(request);
	if (code != 0)
		request_fail(s, request, code);
	else if (!strike(s, request, FAKE_FOLDER_END))
		request_end(s, request, NULL);
}

static void step(struct mailfs_session *s, struct fake_request *request)
{
	switch (request->kind) {
	case KIND_LIST:
		step_list(s, request);
		break;
	case KIND_SYNC:
		step_sync(s, request);
		break;
	case KIND_UIDS:
		step_uids(s, request);
		break;
	case KIND_FETCH:
		step_fetch(s, request);
		break;
	case KIND_STORE:
		step_store(s, request);
		break;
	case KIND_APPEND:
		step_append(s, request);
		break;
	case KIND_MOVE:
		step_move(s, request);
		break;
	case KIND_REMOVE:
		step_remove(s, request);
		break;
	case KIND_FOLDER:
		step_folder(s, request);
		break;
	case KIND_POLL:
		if (!strike(s, request, FAKE_POLL))
			request_end(s, request, NULL);
		break;
	case KIND_WATCH:
		step_watch(s, request);
		break;
	case KIND_STATUS:
		step_status(s, request);
		break;
	}
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void end_all(struct mailfs_session *s, int code)
{
	struct fake_request *request;

	while ((request = g_queue_peek_head(&s->requests)))
		request_fail(s, request, code);
}

static unsigned count_living(void)
{
	unsigned count = 0;

	for (guint i = 0; i < the_server->sessions->len; i++) {
		const struct mailfs_session *s = g_ptr_array_index(the_server->sessions, i);

		count += s->state == STATE_READY;
	}
	return count;
}

static void turn_dial(struct mailfs_session *s)
{
	unsigned living = count_living();

	if (the_server->is_stalled)
		return;
	if (the_server->is_down)
		session_fail(s, MAILFS_ERROR_REFUSED);
	else if (the_server->refuses_login)
		session_fail(s, MAILFS_ERROR_LOGIN);
	else if (the_server->session_max != 0 && living >= the_server->session_max)
		session_fail(s, MAILFS_ERROR_LIMIT);
	else if (!strike(s, NULL, FAKE_DIAL)) {
		s->state = STATE_READY;
		the_server->open_max = MAX(the_server->open_max, living + 1);
		s->events.ready(s->user, &(struct mailfs_server_info){
			.tls_version = "TLSv1.3",
			.tls_cipher = "FAKE",
			.auth = "PLAIN",
			.can_range = !the_server->cannot_range,
			.can_delta = !the_server->cannot_delta,
			.can_idle = the_server->can_idle,
			.can_notify = the_server->can_notify,
			.max_pipeline = 10,
			.append_limit = the_server->append_limit,
		});
	}
}

/* Whatever else is asked for ends the IDLE; NOTIFY goes on beside it. */
static struct fake_request *next_request(struct mailfs_session *s)
{
	struct fake_request *idle = NULL;

	for (GList *at = s->requests.head; at; at = at->next) {
		struct fake_request *request = at->data;

		if (request->kind != KIND_WATCH || !request->is_begun)
			return idle ? idle : request;
		if (request->folder)
			idle = request;
	}
	return NULL;
}

static void turn_ready(struct mailfs_session *s)
{
	struct fake_request *request = NULL;

	for (GList *at = s->requests.head; at; at = at->next) {
		struct fake_request *cancelled = at->data;

		if (cancelled->is_cancelled) {
			request_fail(s, cancelled, MAILFS_ERROR_CANCELLED);
			return;
		}
	}
	request = next_request(s);
	if (!request || s->is_held || the_server->is_stalled)
		return;
	if (request->delay > 0)
		request->delay--;
	else
		step(s, request);
}

static void turn_close(struct mailfs_session *s)
{
	end_all(s, MAILFS_ERROR_CANCELLED);
	if (the_server->is_deaf_to_close)
		return;
	s->state = STATE_CLOSED;
	s->closed(s->closed_user);
}

static void turn_die(struct mailfs_session *s)
{
	bool had_requests = !g_queue_is_empty(&s->requests);

	end_all(s, s->death->code);
	if (s->state != STATE_DYING || (had_requests && the_server->is_dead_late))
		return;
	s->state = STATE_DEAD;
	s->events.dead(s->user, s->death);
}

static bool has_cancelled(const struct mailfs_session *s)
{
	for (GList *at = s->requests.head; at; at = at->next)
		if (((struct fake_request *)at->data)->is_cancelled)
			return true;
	return false;
}

static gboolean on_turn(gpointer user)
{
	struct mailfs_session *s = user;

	s->source = 0;
	s->depth++;
	if (s->state == STATE_DYING)
		turn_die(s);
	else if (s->state == STATE_CLOSING)
		turn_close(s);
	else if (s->state == STATE_DIALLING)
		turn_dial(s);
	else if (s->state == STATE_READY)
		turn_ready(s);
	s->depth--;
	if (s->state == STATE_DYING || s->state == STATE_CLOSING || s->state == STATE_DIALLING ||
		(s->state == STATE_READY && (next_request(s) || has_cancelled(s))))
		session_kick(s);
	return G_SOURCE_REMOVE;
}

/* ---- the vtable ------------------------------------------------------------------------------ */

static struct mailfs_session *fake_open(const struct mailfs_backend_config *config,
	const struct mailfs_session_events *events, void *user)
{
	struct mailfs_session *s = g_new0(struct mailfs_session, 1);

	s->events = *events;
	s->user = user;
	g_queue_init(&s->requests);
	g_ptr_array_add(the_server->sessions, s);
	the_server->dials++;
	s->is_compressed = config->want_compress && !the_server->cannot_compress;
	the_server->compressed_dials += s->is_compressed;
	session_kick(s);
	return s;
}

static void fake_close(struct mailfs_session *s, void (*closed)(void *user), void *user)
{
	g_assert(s->state == STATE_DIALLING || s->state == STATE_READY || s->state == STATE_DYING);
	s->state = STATE_CLOSING;
	s->closed = closed;
	s->closed_user = user;
	session_kick(s);
}

static void fake_free(struct mailfs_session *s)
{
	struct fake_request *request;

	g_assert_cmpuint(s->depth, ==, 0); /* never from a callback */
	while ((request = g_queue_pop_head(&s->requests)))
		request_free(request);
	if (s->source != 0)
		g_source_remove(s->source);
	g_clear_error(&s->death);
	g_ptr_array_remove(the_server->sessions, s);
	g_free(s);
}

static struct fake_request *request_new(struct mailfs_session *s, enum kind kind, const char *folder)
{
	struct fake_request *request = g_new0(struct fake_request, 1);

	g_assert(s->state == STATE_READY || s->state == STATE_DYING);
	request->kind = kind;
	request->ticket = ++s->last_ticket;
	request->folder = g_strdup(folder);
	request->delay = the_server->delay;
	g_queue_push_tail(&s->requests, request);
	session_kick(s);
	return request;
}

static mailfs_ticket fake_list(struct mailfs_session *s, const struct mailfs_list_request *args)
{
	struct fake_request *request = request_new(s, KIND_LIST, NULL);

	the_server->lists++;
	request->list = *args;
	return request->ticket;
}

static mailfs_ticket fake_sync(struct mailfs_session *s, const struct mailfs_sync_request *args)
{
	struct fake_request *request = request_new(s, KIND_SYNC, args->folder);

	the_server->syncs++;
	the_server->sweeps += args->known.uidvalidity == 0;
	the_server->last_known = args->known;
	request->sync = *args;
	request->sync.folder = request->folder;
	return request->ticket;
}

static mailfs_ticket fake_uids(struct mailfs_session *s, const struct mailfs_uids_request *args)
{
	struct fake_request *request = request_new(s, KIND_UIDS, args->folder);

	the_server->uids++;
	request->uids = *args;
	return request->ticket;
}

static mailfs_ticket fake_fetch(struct mailfs_session *s, const struct mailfs_fetch_request *args)
{
	struct fake_request *request = request_new(s, KIND_FETCH, args->folder);

	the_server->fetches++;
	the_server->ranges += args->is_range;
	if (args->is_range)
		the_server->range_max = MAX(the_server->range_max, args->range.len);
	request->fetch = *args;
	request->fetch_uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_array_append_vals(request->fetch_uids, args->uids, (guint)args->uid_count);
	return request->ticket;
}

static void take_uids(struct fake_request *request, const uint32_t *uids, size_t count)
{
	g_assert_cmpuint(count, >, 0);
	for (size_t i = 1; i < count; i++)
		g_assert_cmpuint(uids[i - 1], <, uids[i]);
	the_server->changed_uids += (unsigned)count;
	request->fetch_uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_array_append_vals(request->fetch_uids, uids, (guint)count);
}

static mailfs_ticket fake_store(struct mailfs_session *s, const struct mailfs_store_request *args)
{
	struct fake_request *request = request_new(s, KIND_STORE, args->folder);

	g_assert_cmpuint(args->add & args->remove, ==, 0);
	the_server->stores++;
	request->store = *args;
	request->add = g_strdupv((char **)args->add_keywords);
	request->remove_ = g_strdupv((char **)args->remove_keywords);
	take_uids(request, args->uids, args->uid_count);
	return request->ticket;
}

static mailfs_ticket fake_append(struct mailfs_session *s, const struct mailfs_append_request *args)
{
	struct fake_request *request = request_new(s, KIND_APPEND, args->folder);

	the_server->appends++;
	request->append = *args;
	request->add = g_strdupv((char **)args->keywords);
	request->given = g_byte_array_new();
	return request->ticket;
}

static void fake_give(struct mailfs_session *s, mailfs_ticket ticket, GBytes *bytes)
{
	for (GList *at = s->requests.head; at; at = at->next) {
		struct fake_request *request = at->data;

		if (request->ticket != ticket)
			continue;
		g_assert(request->kind == KIND_APPEND && request->is_pulling);
		request->is_pulling = false;
		if (bytes)
			g_byte_array_append(request->given, g_bytes_get_data(bytes, NULL),
				(guint)g_bytes_get_size(bytes));
		else
			session_fail(s, MAILFS_ERROR_DISK);
		break;
	}
	if (bytes)
		g_bytes_unref(bytes);
	session_kick(s);
}

static mailfs_ticket fake_move(struct mailfs_session *s, const struct mailfs_move_request *args)
{
	struct fake_request *request = request_new(s, KIND_MOVE, args->folder);

	the_server->moves++;
	request->move = *args;
	request->target = g_strdup(args->target);
	take_uids(request, args->uids, args->uid_count);
	return request->ticket;
}

static mailfs_ticket fake_remove(struct mailfs_session *s, const struct mailfs_remove_request *args)
{
	struct fake_request *request = request_new(s, KIND_REMOVE, args->folder);

	the_server->removes++;
	request->remove = *args;
	take_uids(request, args->uids, args->uid_count);
	return request->ticket;
}

static mailfs_ticket fake_change_folder(struct mailfs_session *s,
	const struct mailfs_folder_request *args)
{
	struct fake_request *request = request_new(s, KIND_FOLDER, args->folder);

	the_server->folder_changes++;
	request->change = *args;
	request->parent = g_strdup(args->parent);
	request->component = g_strdup(args->component);
	return request->ticket;
}

static mailfs_ticket fake_watch(struct mailfs_session *s, const struct mailfs_watch_request *args)
{
	struct fake_request *request = request_new(s, KIND_WATCH, args->folder);

	g_assert_cmpuint(args->renew_s, >, 0);
	g_assert_cmpuint(args->renew_s, <=, 540);
	request->watch = *args;
	return request->ticket;
}

static mailfs_ticket fake_status(struct mailfs_session *s, const struct mailfs_status_request *args)
{
	struct fake_request *request = request_new(s, KIND_STATUS, NULL);

	the_server->statuses += g_strv_length((char **)args->folders);
	request->status = *args;
	request->names = g_strdupv((char **)args->folders);
	return request->ticket;
}

static mailfs_ticket fake_poll(struct mailfs_session *s, unsigned patience_ms, mailfs_done_fn done,
	void *user)
{
	struct fake_request *request = request_new(s, KIND_POLL, NULL);

	the_server->polls++;
	the_server->impatient_polls += patience_ms > 0;
	request->poll_done = done;
	request->poll_user = user;
	return request->ticket;
}

static void fake_cancel(struct mailfs_session *s, mailfs_ticket ticket)
{
	the_server->cancels++;
	for (GList *at = s->requests.head; at; at = at->next) {
		struct fake_request *request = at->data;

		if (request->ticket == ticket)
			request->is_cancelled = true;
	}
	session_kick(s);
}

static void fake_hold(struct mailfs_session *s, bool is_held)
{
	the_server->holds += is_held;
	s->is_held = is_held;
	session_kick(s);
}

/* Compressed it is half of what it was. */
static void fake_traffic(const struct mailfs_session *s, struct mailfs_traffic *ret_traffic)
{
	*ret_traffic = (struct mailfs_traffic){
		.wire = s->is_compressed ? s->received / 2 : s->received,
		.plain = s->received,
		.is_compressed = s->is_compressed,
	};
}

static void fake_compress(struct mailfs_session *s)
{
	g_assert(s->state == STATE_READY || s->state == STATE_DYING);
	if (the_server->cannot_compress || s->is_compressed)
		return;
	s->is_compressed = true;
	the_server->compressions++;
}

const struct mailfs_backend fake_backend = {
	.name = "fake",
	.open = fake_open,
	.close = fake_close,
	.free = fake_free,
	.list = fake_list,
	.sync = fake_sync,
	.uids = fake_uids,
	.fetch = fake_fetch,
	.store = fake_store,
	.append = fake_append,
	.give = fake_give,
	.move = fake_move,
	.remove = fake_remove,
	.change_folder = fake_change_folder,
	.poll = fake_poll,
	.watch = fake_watch,
	.status = fake_status,
	.cancel = fake_cancel,
	.hold = fake_hold,
	.traffic = fake_traffic,
	.compress = fake_compress,
};
