/* SPDX-License-Identifier: MIT */
/*
 * What the engine knows of the maildrop, brought up to date: the listing, and TOP for the headers of
 * what is new. A server without TOP, or one that refuses it for a message, gives the whole of it
 * (P3-3); what it refuses altogether is shown without a header. Also the plain list of UIDs.
 * Loop thread.
 */
#include <string.h>

#include "backend/pop3/request.h"
#include "backend/pop3/session.h"
#include "wire/head.h"

#define HEAD_MAX   (256u * 1024) /* of a header; what is behind that is not looked at */
#define HEAD_BYTES 4096u         /* of one, about */
#define BATCH      256u          /* messages in one report */
#define AHEAD      (2u * POP3_QUEUE_MAX) /* commands made at once */

struct want {
	uint32_t uid, number;
	uint64_t size;
	char *key;
	unsigned wanted;   /* enum mailfs_info_field */
	GByteArray *bytes; /* of its header, while it comes */
	bool is_top_refused;
};

struct sync {
	struct request request;
	struct mailfs_sync_request args;
	GArray *known;  /* uint32_t */
	GArray *wants;  /* struct want */
	guint next;     /* want to be asked for */
	unsigned open;  /* commands without an answer */
	GArray *infos;  /* struct mailfs_message_info, to be told */
	GPtrArray *heads; /* struct head, of these */
};

/* ---- telling --------------------------------------------------------------------------------- */

static void head_free(gpointer head)
{
	head_done(head);
	g_free(head);
}

static void flush(struct sync *sync)
{
	if (sync->infos->len > 0 && !sync->request.is_cancelled)
		sync->args.messages(sync->args.user,
			&g_array_index(sync->infos, struct mailfs_message_info, 0), sync->infos->len);
	g_array_set_size(sync->infos, 0);
	g_ptr_array_set_size(sync->heads, 0);
}

/* The end of a header field that begins at `at`, with its folded lines. */
static const char *field_end(const char *at, const char *end)
{
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));

		if (!lf)
			return end;
		at = lf + 1;
		if (at == end || (*at != ' ' && *at != '\t'))
			return at;
	}
	return end;
}

/* When it arrived: the date of the topmost Received field. */
static bool date_of_arrival(const GByteArray *bytes, int64_t *ret_date)
{
	static const char name[] = "Received:";
	const char *at = (const char *)bytes->data, *end = at + bytes->len;

	while (at < end && *at != '\r' && *at != '\n') {
		const char *next = field_end(at, end);
		const char *semicolon = memrchr(at, ';', (size_t)(next - at));

		if ((size_t)(next - at) > strlen(name) &&
			g_ascii_strncasecmp(at, name, strlen(name)) == 0)
			return semicolon &&
				head_parse_date(semicolon + 1, (size_t)(next - semicolon - 1), ret_date);
		at = next;
	}
	return false;
}

static int64_t date_of(const GByteArray *bytes, const struct mailfs_head *head)
{
	g_autoptr(GDateTime) date = NULL;
	int64_t arrival;

	if (date_of_arrival(bytes, &arrival))
		return arrival;
	date = head->date ? g_date_time_new_from_iso8601(head->date, NULL) : NULL;
	return date ? g_date_time_to_unix(date) : 0;
}

static void report(struct sync *sync, struct want *want)
{
	struct head *head = g_new0(struct head, 1);
	struct mailfs_message_info info = {
		.uid = want->uid,
		.fields = MAILFS_INFO_SIZE | MAILFS_INFO_HEAD | MAILFS_INFO_DATE | MAILFS_INFO_REMOTE_ID,
		.size = want->size,
		.remote_id = want->key,
	};

	head_parse(want->bytes->data, want->bytes->len, head);
	g_ptr_array_add(sync->heads, head);
	info.head = head->fields;
	info.date = date_of(want->bytes, &head->fields);
	/* The server has no flags; a message that is not known yet has none. */
	info.fields |= want->wanted & MAILFS_INFO_FLAGS;
	g_array_append_val(sync->infos, info);
	g_clear_pointer(&want->bytes, g_byte_array_unref);
	if (sync->infos->len >= BATCH)
		flush(sync);
}

static int by_value(gconstpointer a, gconstpointer b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static void finish(struct sync *sync)
{
	flush(sync);
	g_array_sort(sync->known, by_value);
	if (sync->known->len > 0 && !sync->request.is_cancelled)
		sync->args.uids(sync->args.user, (const uint32_t *)(void *)sync->known->data,
			sync->known->len);
	request_finish(&sync->request, NULL);
}

/* ---- headers --------------------------------------------------------------------------------- */

static void ask_more(struct sync *sync);
static void ask_one(struct sync *sync, guint index);

static struct want *want_of(struct pop3_command *command)
{
	struct sync *sync = (struct sync *)command->request;

	return &g_array_index(sync->wants, struct want, command->index);
}

static void on_begin(struct pop3_command *command)
{
	g_byte_array_set_size(want_of(command)->bytes, 0);
}

static void on_data(struct pop3_command *command, const uint8_t *bytes, size_t len)
{
	struct want *want = want_of(command);

	g_byte_array_append(want->bytes, bytes, (guint)MIN(len, HEAD_MAX - want->bytes->len));
}

static void on_done(struct pop3_command *command, const char *text, const GError *error)
{
	struct sync *sync = (struct sync *)command->request;
	struct want *want = want_of(command);

	sync->open--;
	if (error && !want->is_top_refused) {
		want->is_top_refused = true;
		ask_one(sync, (guint)command->index);
		return;
	}
	report(sync, want);
	ask_more(sync);
}

static void ask_one(struct sync *sync, guint index)
{
	static const struct pop3_hooks hooks = {
		.begin = on_begin, .data = on_data, .done = on_done,
	};
	struct mailfs_session *s = sync->request.session;
	struct want *want = &g_array_index(sync->wants, struct want, index);
	struct pop3_command *command;

	want->is_top_refused |= s->caps.is_known && !s->caps.top;
	command = pop3_command_new(&hooks, POP3_OCTETS, "reading a header",
		want->is_top_refused ? "RETR %u" : "TOP %u 0", want->number);
	command->request = &sync->request;
	command->index = index;
	command->bytes = want->is_top_refused ? want->size : HEAD_BYTES;
	if (!want->bytes)
		want->bytes = g_byte_array_new();
	sync->open++;
	pop3_queue_add(&s->queue, command);
}

/* A few at a time: a maildrop may hold a million. */
static void ask_more(struct sync *sync)
{
	while (sync->next < sync->wants->len && sync->open < AHEAD)
		ask_one(sync, sync->next++);
	if (sync->open == 0)
		finish(sync);
}

/* ---- the listing ----------------------------------------------------------------------------- */

static void tell_state(struct sync *sync)
{
	struct mailfs_session *s = sync->request.session;
	bool is_read_only = s->life.config.is_read_only;

	sync->args.state(sync->args.user, &(struct mailfs_sync_state){
		.uidvalidity = 1, /* keys: the engine has its own */
		.exists = s->drop.entries->len,
		.is_delta = s->drop.is_cut, /* nothing is gone by half a listing */
		.read_only = is_read_only,
		.rights = MAILFS_RIGHT_SEEN | MAILFS_RIGHT_FLAGS | MAILFS_RIGHT_DELETE,
		.keywords_allowed = true,
		.permanent_flags = MAILFS_FLAGS_ALL & ~(unsigned)MAILFS_FLAG_DELETED,
	});
}

static void take_entry(struct sync *sync, const struct maildrop_entry *entry)
{
	unsigned wanted = 0;
	struct want want = { .number = entry->number, .size = entry->size };

	if (!entry->key)
		return;
	want.uid = sync->args.uid_of_key(sync->args.user, entry->key, &wanted);
	if (want.uid == 0)
		return;
	if (wanted == 0) {
		g_array_append_val(sync->known, want.uid);
		return;
	}
	want.wanted = wanted;
	want.key = g_strdup(entry->key);
	g_array_append_val(sync->wants, want);
}

static void sync_begin(struct request *request)
{
	struct sync *sync = (struct sync *)request;
	const struct maildrop *drop = &request->session->drop;

	tell_state(sync);
	for (guint i = 0; i < drop->entries->len; i++)
		take_entry(sync, &g_array_index(drop->entries, struct maildrop_entry, i));
	ask_more(sync);
}

static void sync_done(struct request *request, const GError *error)
{
	struct sync *sync = (struct sync *)request;
	struct mailfs_sync_result result = { 0 };

	sync->args.done(sync->args.user, error ? NULL : &result, error);
}

static void want_clear(gpointer data)
{
	struct want *want = data;

	g_free(want->key);
	if (want->bytes)
		g_byte_array_unref(want->bytes);
}

static void sync_free(struct request *request)
{
	struct sync *sync = (struct sync *)request;

	g_array_unref(sync->known);
	g_array_unref(sync->wants);
	g_array_unref(sync->infos);
	g_ptr_array_unref(sync->heads);
	g_free(sync);
}

mailfs_ticket pop3_sync(struct mailfs_session *s, const struct mailfs_sync_request *args)
{
	struct sync *sync = g_new0(struct sync, 1);

	sync->request = (struct request){
		.marks = POP3_NEEDS_DROP | POP3_WANTS_NEWS, .start = sync_begin, .done = sync_done,
		.free = sync_free,
	};
	sync->args = *args;
	sync->args.folder = NULL;
	sync->known = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->wants = g_array_new(FALSE, FALSE, sizeof(struct want));
	g_array_set_clear_func(sync->wants, want_clear);
	sync->infos = g_array_new(FALSE, FALSE, sizeof(struct mailfs_message_info));
	sync->heads = g_ptr_array_new_with_free_func(head_free);
	return request_add(s, &sync->request);
}
