/* SPDX-License-Identifier: MIT */
/*
 * What programs do to a new message while it is one: write, cut, read, close, set attributes.
 *
 * Before the first change of content that was complete, the row says so again (a kill in the middle
 * must not leave half-changed bytes that would be uploaded), and an upload that is under way keeps
 * the former bytes for itself.
 */
#include "engine/outbox_impl.h"

#include <string.h>

#include "base/clock.h"
#include "engine/delta.h"

#define HEAD_BYTES 4096u      /* of a file, to tell whether it is a message */
#define WIRE_MAX   UINT32_MAX /* a literal of RFC 3501 */

void outbox_ignore(void *user, const GError *error)
{
}

/* ---- changing bytes ----------------------------------------------------------------------------
 */

struct edit {
	struct outbox_item *item;
	GBytes *bytes; /* NULL: truncate */
	uint64_t offset;
	engine_done_fn done;
	void *user;
};

static void edit_end(struct edit *edit, const GError *error)
{
	if (edit->item->outbox)
		edit->done(edit->user, error);
	outbox_release(edit->item);
	if (edit->bytes)
		g_bytes_unref(edit->bytes);
	g_free(edit);
}

/* A message with a hole or cut short is never sent: what could not be written must be written again,
 * or all of it cut off. Many programs tell of the error and leave what they have written. */
static void note_torn(struct outbox_item *item, uint64_t from, uint64_t to, bool is_failure)
{
	if (is_failure && item->torn_from == item->torn_to) {
		item->torn_from = from;
		item->torn_to = to;
	} else if (is_failure) {
		item->torn_from = MIN(item->torn_from, from);
		item->torn_to = MAX(item->torn_to, to);
	} else if (from <= item->torn_from && to > item->torn_from) {
		item->torn_from = MIN(to, item->torn_to);
	}
}

static void note_edit(const struct edit *edit, bool is_failure)
{
	struct outbox_item *item = edit->item;

	if (edit->bytes)
		note_torn(item, edit->offset, edit->offset + g_bytes_get_size(edit->bytes),
			is_failure);
	else if (!is_failure && edit->offset <= item->torn_from)
		item->torn_from = item->torn_to = 0;
}

static void on_edited(void *user, const GError *error)
{
	struct edit *edit = user;

	note_edit(edit, error != NULL);
	if (edit->item->file)
		edit->item->draft.size = spool_file_size(edit->item->file);
	edit_end(edit, error);
}

static void edit_run(struct edit *edit)
{
	struct outbox_item *item = edit->item;
	struct spool_file *file = outbox_file(item);

	item->content++;
	if (edit->bytes) {
		gsize len;
		const void *data = g_bytes_get_data(edit->bytes, &len);

		item->saw_nul |= edit->offset > item->draft.size ||
				 (len > 0 && memchr(data, '\0', len) != NULL);
		spool_write(file, edit->offset, edit->bytes, on_edited, edit);
	} else {
		item->saw_nul |= edit->offset > item->draft.size;
		spool_truncate(file, edit->offset, on_edited, edit);
	}
	item->draft.size = spool_file_size(file);
	item->draft.mtime_ns = item->draft.ctime_ns = clock_realtime_ns();
}

static void on_opened(void *user, const GError *error)
{
	struct edit *edit = user;

	if (error || !edit->item->outbox)
		edit_end(edit, error);
	else
		edit_run(edit);
}

static void on_frozen(void *user, const GError *error)
{
	struct edit *edit = user;
	struct outbox_item *item = edit->item;

	if (error || !item->outbox) {
		edit_end(edit, error);
		return;
	}
	if (item->phase == OUTBOX_LANDED)
		outbox_revive(item);
	else if (item->phase != OUTBOX_IDLE)
		item->is_stale = true;
	item->draft.state = DRAFT_OPEN;
	outbox_set_reason(item, NULL);
	outbox_put_row(item, JOURNAL_SYNCED, on_opened, edit);
}

static void edit_begin(struct edit *edit)
{
	struct outbox_item *item = edit->item;

	if (item->is_dropped || (item->draft.state == DRAFT_OPEN && item->phase == OUTBOX_IDLE) ||
		item->is_stale) {
		edit_run(edit);
		return;
	}
	if (item->phase == OUTBOX_IDLE)
		on_frozen(edit, NULL);
	else
		spool_freeze_wire(outbox_file(item), on_frozen, edit);
}

static bool is_too_big(
	const struct outbox_item *item, const char *name, uint64_t size, GError **error)
{
	uint64_t limit = item->outbox->engine->append_limit;

	if (limit == 0 || limit > WIRE_MAX)
		limit = WIRE_MAX;
	if (size <= limit || outbox_is_temporary(name))
		return false;
	g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_TOO_BIG,
		"the server takes messages of at most %" G_GUINT64_FORMAT " bytes", limit);
	return true;
}

static void edit_new(
	struct draft *draft, uint64_t offset, GBytes *bytes, engine_done_fn done, void *user)
{
	struct outbox_item *item = outbox_item(draft);
	struct edit *edit = g_new(struct edit, 1);
	uint64_t len = bytes ? g_bytes_get_size(bytes) : 0;
	g_autoptr(GError) error = NULL;

	*edit = (struct edit){ outbox_hold(item), bytes ? g_bytes_ref(bytes) : NULL, offset, done,
		user };
	if (offset > UINT64_MAX - len || is_too_big(item, draft->name, offset + len, &error)) {
		if (!error)
			g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_TOO_BIG, "beyond all sizes");
		edit_end(edit, error);
		return;
	}
	edit_begin(edit);
}

void engine_draft_write(struct engine *engine, struct draft *draft, uint64_t offset, GBytes *bytes,
	engine_done_fn done, void *user)
{
	edit_new(draft, offset, bytes, done, user);
}

void engine_draft_truncate(
	struct engine *engine, struct draft *draft, uint64_t size, engine_done_fn done, void *user)
{
	if (size == draft->size) {
		done(user, NULL);
		return;
	}
	edit_new(draft, size, NULL, done, user);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

struct draft_read {
	struct outbox_item *item;
	engine_bytes_fn done;
	void *user;
};

static void on_read(void *user, GBytes *bytes, const GError *error)
{
	struct draft_read *read = user;

	if (read->item->outbox)
		read->done(read->user, bytes, error);
	outbox_release(read->item);
	g_free(read);
}

void engine_draft_read(struct engine *engine, struct draft *draft, struct mailfs_range range,
	engine_bytes_fn done, void *user)
{
	struct draft_read *read = g_new(struct draft_read, 1);

	*read = (struct draft_read){ outbox_hold(outbox_item(draft)), done, user };
	spool_read(outbox_file(read->item), range, on_read, read);
}

/* ---- making it durable -------------------------------------------------------------------------
 */

struct flush {
	struct outbox_item *item;
	uint64_t content; /* when it began */
	bool is_inside;   /* asked by ourselves */
	engine_done_fn done;
	void *user;
};

static void flush_end(struct flush *flush, const GError *error)
{
	if (flush->item->outbox || flush->is_inside)
		flush->done(flush->user, error);
	outbox_release(flush->item);
	g_free(flush);
}

static bool is_full(const struct outbox_item *item)
{
	const int64_t *until = g_hash_table_lookup(item->outbox->quota, item->draft.folder);

	return until && clock_monotonic_us() < *until;
}

bool outbox_has_good_omens(const struct outbox_item *item, const char *name, GError **error)
{
	if (outbox_is_temporary(name) || item->draft.size == 0 || item->is_dropped)
		return true;
	if (is_too_big(item, name, item->draft.size, error))
		return false;
	if (item->has_nul || item->is_no_message)
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "%s",
			item->has_nul ? "a NUL is inside"
				      : "not a message: it begins with no header");
	else if (is_full(item))
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_QUOTA, "the mailbox is full");
	else
		return true;
	return false;
}

static bool is_torn(const struct outbox_item *item, GError **error)
{
	if (item->torn_from == item->torn_to || item->is_dropped)
		return false;
	g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_NO_SPACE,
		"some of it could not be written: it is not complete");
	return true;
}

static void flush_verdict(struct flush *flush)
{
	g_autoptr(GError) error = NULL;

	if (flush->item->outbox && !is_torn(flush->item, &error))
		outbox_has_good_omens(flush->item, flush->item->draft.name, &error);
	flush_end(flush, error);
}

static void on_row_synced(void *user, const GError *error)
{
	struct flush *flush = user;
	struct outbox_item *item = flush->item;

	if (error || !item->outbox) {
		flush_end(flush, error);
		return;
	}
	item->synced = MAX(item->synced, flush->content);
	flush_verdict(flush);
}

static void flush_row(struct flush *flush)
{
	struct outbox_item *item = flush->item;

	if (item->is_dropped) {
		flush_end(flush, NULL);
		return;
	}
	if (item->content == flush->content && item->draft.state == DRAFT_OPEN &&
		item->draft.size > 0 && item->torn_from == item->torn_to)
		item->draft.state = DRAFT_SPOOLED;
	outbox_put_row(item, JOURNAL_SYNCED, on_row_synced, flush);
}

static void on_scanned(void *user, const struct spool_wire *wire, const GError *error)
{
	struct flush *flush = user;

	if (error || !flush->item->outbox) {
		flush_end(flush, error);
		return;
	}
	flush->item->has_nul = flush->item->saw_nul = wire->has_nul;
	g_free(wire->message_id);
	flush_row(flush);
}

static void on_head(void *user, GBytes *bytes, const GError *error)
{
	struct flush *flush = user;
	struct outbox_item *item = flush->item;
	gsize len;
	const char *head;

	if (error || !item->outbox) {
		flush_end(flush, error);
		return;
	}
	head = g_bytes_get_data(bytes, &len);
	item->is_no_message = !spool_looks_like_message(head, len);
	item->has_nul = false;
	if (item->saw_nul)
		spool_scan(outbox_file(item), on_scanned, flush);
	else
		flush_row(flush);
}

static void on_bytes_synced(void *user, const GError *error)
{
	struct flush *flush = user;

	if (error || !flush->item->outbox)
		flush_end(flush, error);
	else
		spool_read(outbox_file(flush->item), (struct mailfs_range){ 0, HEAD_BYTES },
			on_head, flush);
}

/* An empty file is no promise: shells flush it before they write. */
static void flush_begin(struct outbox_item *item, bool is_inside, engine_done_fn done, void *user)
{
	struct flush *flush = g_new(struct flush, 1);

	*flush = (struct flush){ outbox_hold(item), item->content, is_inside, done, user };
	if (item->is_dropped || item->content == item->synced || item->draft.size == 0)
		flush_verdict(flush);
	else
		spool_sync(outbox_file(item), on_bytes_synced, flush);
}

void engine_draft_flush(struct engine *engine, struct draft *draft, engine_done_fn done, void *user)
{
	flush_begin(outbox_item(draft), false, done, user);
}

void outbox_flush_item(struct outbox_item *item, engine_done_fn done, void *user)
{
	flush_begin(item, true, done, user);
}

/* ---- attributes --------------------------------------------------------------------------------
 */

struct attribute {
	struct outbox_item *item;
	engine_done_fn done;
	void *user;
};

static void on_attribute(void *user, const GError *error)
{
	struct attribute *attribute = user;

	if (attribute->item->outbox && attribute->done)
		attribute->done(attribute->user, error);
	outbox_release(attribute->item);
	g_free(attribute);
}

/* The row of content that is being written follows with its flush. */
static void put_attributes(struct outbox_item *item, engine_done_fn done, void *user)
{
	struct attribute *attribute;

	item->draft.ctime_ns = clock_realtime_ns();
	if (item->is_dropped || item->phase == OUTBOX_LANDED) {
		if (done)
			done(user, NULL);
		return;
	}
	attribute = g_new(struct attribute, 1);
	*attribute = (struct attribute){ outbox_hold(item), done, user };
	outbox_put_row(item, JOURNAL_LAZY, on_attribute, attribute);
}

void engine_draft_set_mtime(struct engine *engine, struct draft *draft, int64_t mtime_ns,
	engine_done_fn done, void *user)
{
	draft->mtime_ns = mtime_ns;
	put_attributes(outbox_item(draft), done, user);
}

void engine_draft_set_mode(struct engine *engine, struct draft *draft, unsigned mode)
{
	draft->mode = mode;
	put_attributes(outbox_item(draft), NULL, NULL);
}

static bool are_keywords(const char *const *words, GError **error)
{
	for (; words && *words; words++) {
		if (keyword_is_valid(*words))
			continue;
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "not a keyword");
		return false;
	}
	return true;
}

void engine_draft_change_flags(struct engine *engine, struct draft *draft,
	const struct engine_flag_change *change, engine_done_fn done, void *user)
{
	g_autoptr(GError) error = NULL;
	struct delta delta;
	char *words;

	if (!are_keywords(change->add_keywords, &error)) {
		done(user, error);
		return;
	}
	delta = delta_make(change->add, change->remove, words_new(change->add_keywords),
		words_new(change->remove_keywords));
	words = g_strdup(change->is_replacement ? "" : draft->keywords);
	if (change->is_replacement)
		draft->flags = 0;
	delta_apply(&delta, &draft->flags, &words);
	delta_clear(&delta);
	if (words_count(words) > KEYWORDS_MAX) {
		g_free(words);
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "too many keywords");
		done(user, error);
		return;
	}
	g_free(draft->keywords);
	draft->keywords = words;
	put_attributes(outbox_item(draft), done, user);
}
