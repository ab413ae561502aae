/* SPDX-License-Identifier: MIT */
/*
 * The upload: when it is time, the wire form is made and checked, the row says that its bytes may
 * be on their way, and only then the first of them is sent. WR-1, WR-2, WR-5.
 */
#include "engine/outbox_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/fault.h"

#define TWIN_MS    200u
#define QUOTA_US   (60 * G_USEC_PER_SEC)
#define WIRE_MAX   UINT32_MAX /* a literal of RFC 3501 */
#define DATE_MIN   315532800  /* 1980 */
#define DATE_MAX   2145916799 /* the end of 2037 */
#define DOUBTS_MAX 2u

static void fail_as(struct outbox_item *item, const GError *error, bool is_refused)
{
	enum change_verdict verdict = change_judge(item->outbox->engine, error);

	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_QUOTA)) {
		int64_t until = clock_monotonic_us() + QUOTA_US;

		g_hash_table_insert(item->outbox->quota, g_strdup(item->draft.folder),
			g_memdup2(&until, sizeof(until)));
	}
	if (verdict == CHANGE_LEAVE)
		outbox_wait_and_see(item, error);
	else if (verdict == CHANGE_REFUSED ||
		 g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_GONE) ||
		 (verdict == CHANGE_DOUBT && (is_refused || ++item->doubts > DOUBTS_MAX)))
		outbox_refused(item, error);
	else
		outbox_again(item, error);
}

static void fail(struct outbox_item *item, const GError *error)
{
	fail_as(item, error, false);
}

static void fail_with(struct outbox_item *item, enum mailfs_error code, const char *text)
{
	g_autoptr(GError) error = g_error_new_literal(MAILFS_ERROR, (gint)code, text);

	fail(item, error);
}

/* ---- the bytes ---------------------------------------------------------------------------------
 */

struct pull {
	struct outbox_item *item;
	struct mailfs_session *session;
	mailfs_ticket ticket;
	size_t len;
};

static void on_wire_bytes(void *user, GBytes *bytes, const GError *error)
{
	struct pull *pull = user;
	struct outbox_item *item = pull->item;
	bool is_whole = bytes && g_bytes_get_size(bytes) == pull->len;

	/* The session may be gone by now. */
	if (item->outbox && item->session == pull->session && item->ticket == pull->ticket)
		item->outbox->engine->config.backend->give(
			pull->session, pull->ticket, is_whole ? g_bytes_ref(bytes) : NULL);
	outbox_release(item);
	g_free(pull);
}

static void on_pull(void *user, uint64_t offset, size_t len)
{
	struct outbox_item *item = user;
	struct pull *pull = g_new(struct pull, 1);

	*pull = (struct pull){ outbox_hold(item), item->session, item->ticket, len };
	spool_read_wire(
		outbox_file(item), (struct mailfs_range){ offset, len }, on_wire_bytes, pull);
}

static void on_append(void *user, const struct mailfs_append_result *result, const GError *error)
{
	struct outbox_item *item = user;

	fault_point("outbox: after append");
	item->session = NULL;
	pool_done(item->outbox->engine->pool, &item->job, error);
	if (error && result->is_outcome_known) {
		fail_as(item, error, result->is_refused);
		return;
	}
	if (error) {
		outbox_wait_and_see(item, error);
		return;
	}
	item->tries = item->doubts = 0;
	if (result->has_replaced && item->draft.replaces_uid == item->wire.replaces_uid)
		outbox_set_replaces(item, 0, 0);
	if (!item->is_stale)
		item->draft.state = DRAFT_STORED;
	if (result->uid > item->wire.uid_floor && result->uidvalidity == item->wire.uidvalidity)
		item->uid = result->uid;
	outbox_put_row(item, JOURNAL_LAZY, NULL, NULL);
	if (item->uid != 0)
		outbox_land(item);
	else
		outbox_look(item);
}

static int64_t internal_date(const struct draft *draft)
{
	int64_t seconds = draft->mtime_ns / 1000000000;

	return seconds >= DATE_MIN && seconds <= DATE_MAX ? seconds : INT64_MIN;
}

/* Only what the folder takes: more would be refused, with the message. */
static char **sent_keywords(const struct outbox_item *item)
{
	const struct folder *folder = outbox_folder(item);
	g_auto(GStrv) words = g_strsplit(item->wire.keywords, " ", -1);
	GPtrArray *sent = g_ptr_array_new();

	for (char **word = words; *word; word++) {
		bool is_taken =
			!folder || folder->keywords_allowed ||
			(folder->keywords &&
				g_strv_contains((const char *const *)folder->keywords, *word));

		if (**word != '\0' && is_taken)
			g_ptr_array_add(sent, g_strdup(*word));
	}
	g_ptr_array_add(sent, NULL);
	return (char **)g_ptr_array_free(sent, FALSE);
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct outbox_item *item =
		(struct outbox_item *)((char *)job - G_STRUCT_OFFSET(struct outbox_item, job));
	const struct folder *folder = outbox_folder(item);
	g_auto(GStrv) keywords = sent_keywords(item);
	struct mailfs_append_request request = {
		.folder = item->wire.folder,
		.size = item->wire.size,
		.flags = item->wire.flags & (folder ? folder->permanent_flags : MAILFS_FLAGS_ALL),
		.keywords = (const char *const *)keywords,
		.date = internal_date(&item->draft),
		.replaces_uid = item->wire.replaces_uid,
		.uidvalidity = item->wire.uidvalidity,
		.pull = on_pull,
		.done = on_append,
		.user = item,
	};

	fault_point("outbox: before append");
	item->session = session;
	item->ticket = item->outbox->engine->config.backend->append(session, &request);
	return item->ticket;
}

static void job_fail(struct pool_job *job, const GError *error)
{
	struct outbox_item *item =
		(struct outbox_item *)((char *)job - G_STRUCT_OFFSET(struct outbox_item, job));

	fail(item, error);
}

static void send_it(struct outbox_item *item)
{
	outbox_set_phase(item, OUTBOX_SENDING);
	item->job = (struct pool_job){
		.priority = item->is_urgent ? POOL_INTERACTIVE : POOL_SYNC,
		.weight = 2,
		.folder = item->wire.folder,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(item->outbox->engine->pool, &item->job);
}

/* ---- before it ---------------------------------------------------------------------------------
 */

/* The item that this call is about is still wanted; else it has been put back. */
static bool goes_on(struct outbox_item *item)
{
	if (!item->outbox || item->is_dropped || item->phase != OUTBOX_MAKING)
		return false;
	if (!item->is_stale && !outbox_is_temporary(item->draft.name) && item->successor == 0 &&
		!item->is_unlinking)
		return true;
	outbox_again(item, NULL);
	return false;
}

static void on_row(void *user, const GError *error)
{
	struct outbox_item *item = user;

	if (goes_on(item)) {
		if (error)
			outbox_again(item, error);
		else
			send_it(item);
	}
	outbox_release(item);
}

static void put_upload(struct outbox_item *item, const struct folder *folder)
{
	item->wire.uidvalidity = folder->box->uidvalidity;
	item->wire.uid_floor = mailbox_uid_max(folder->box);
	item->wire.replaces_uid = 0;
	if (item->replaces_uidvalidity == item->wire.uidvalidity)
		item->wire.replaces_uid = item->draft.replaces_uid;
	item->uid = 0;
	item->draft.state = DRAFT_UPLOADING;
	outbox_put_row(item, JOURNAL_SYNCED, on_row, outbox_hold(item));
}

static void on_folder(void *user, const GError *error)
{
	struct outbox_item *item = user;
	const struct folder *folder;

	if (goes_on(item)) {
		folder = outbox_folder(item);
		if (error)
			fail(item, error);
		else if (!folder || !folder->box)
			fail_with(item, MAILFS_ERROR_GONE, "the folder is no more");
		else
			put_upload(item, folder);
	}
}

/* Of equal bytes, or of one Message-ID, only one is under way: one that is looked for must not be
 * taken for the other. */
static bool has_twin(const struct outbox_item *item)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, item->outbox->flying);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const struct outbox_item *other = key;

		if (other == item || other->wire.size == 0 ||
			strcmp(other->wire.folder, item->wire.folder) != 0)
			continue;
		if (memcmp(other->wire.sha256, item->wire.sha256, sizeof(item->wire.sha256)) == 0 ||
			(other->wire.message_id &&
				g_strcmp0(other->wire.message_id, item->wire.message_id) == 0))
			return true;
	}
	return false;
}

/* As of a Maildir: "name:2,FS". */
static unsigned flags_of_name(const char *name)
{
	const char *info = strstr(name, ":2,");
	unsigned flags = 0;

	for (info = info ? info + 3 : ""; *info != '\0'; info++) {
		flags |= *info == 'S' ? MAILFS_FLAG_SEEN : 0;
		flags |= *info == 'F' ? MAILFS_FLAG_FLAGGED : 0;
		flags |= *info == 'R' ? MAILFS_FLAG_ANSWERED : 0;
		flags |= *info == 'D' ? MAILFS_FLAG_DRAFT : 0;
	}
	return flags;
}

static void take_wire(struct outbox_item *item, const struct spool_wire *wire)
{
	outbox_wire_clear(&item->wire);
	item->wire.size = wire->size;
	memcpy(item->wire.sha256, wire->sha256, sizeof(item->wire.sha256));
	item->wire.message_id = wire->message_id;
	item->wire.folder = g_strdup(item->draft.folder);
	item->draft.flags |= flags_of_name(item->draft.name);
	item->wire.flags = item->draft.flags;
	item->wire.keywords = g_strdup(item->draft.keywords);
}

static void yield(struct outbox_item *item)
{
	outbox_wire_clear(&item->wire);
	outbox_set_phase(item, OUTBOX_IDLE);
	outbox_close_file(item);
	outbox_plan(item, TWIN_MS);
	outbox_run(item->outbox);
}

static void check_wire(struct outbox_item *item, const struct spool_wire *wire)
{
	struct engine *engine = item->outbox->engine;
	struct folder *folder = outbox_folder(item);
	uint64_t limit = engine->append_limit != 0 ? engine->append_limit : WIRE_MAX;

	take_wire(item, wire);
	if (wire->has_nul)
		fail_with(item, MAILFS_ERROR_INVALID, "a NUL is inside");
	else if (!wire->looks_like_message)
		fail_with(item, MAILFS_ERROR_INVALID, "not a message: it begins with no header");
	else if (wire->size > MIN(limit, WIRE_MAX))
		fail_with(item, MAILFS_ERROR_TOO_BIG, "larger than the server takes");
	else if (!engine->config.backend->append)
		fail_with(item, MAILFS_ERROR_NOT_POSSIBLE, "the server takes no new messages");
	else if (!folder)
		fail_with(item, MAILFS_ERROR_GONE, "the folder is no more");
	else if (has_twin(item))
		yield(item);
	else
		syncer_open(engine, folder, on_folder, item);
}

static void on_wire(void *user, const struct spool_wire *wire, const GError *error)
{
	struct outbox_item *item = user;

	if (!goes_on(item)) {
		if (wire)
			g_free(wire->message_id);
	} else if (error && g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_NO_SPACE)) {
		outbox_again(item, error);
	} else if (error) {
		outbox_refused(item, error);
	} else {
		check_wire(item, wire);
	}
	outbox_release(item);
}

void outbox_send(struct outbox_item *item)
{
	item->is_stale = false;
	outbox_set_phase(item, OUTBOX_MAKING);
	spool_make_wire(outbox_file(item), on_wire, outbox_hold(item));
}
