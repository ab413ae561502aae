/* SPDX-License-Identifier: MIT */
/*
 * Directory listings. Offsets are identities, not positions, so that mail may come and go while a
 * listing is read:
 *
 *   1, 2                "." and ".."
 *   3 + n               the nth subfolder of a snapshot taken at offset 0
 *   OFFSET_UID + uid    a message; the next is the first with a higher UID
 *   OFFSET_DRAFT + id   a file that is not a message yet, likewise
 *
 * Names of messages are in the index; they are read a page at a time and kept in the handle. Names
 * that somebody gave are in memory.
 *
 * A folder that is listed for the first time is listed as it comes. A request waits for the next
 * messages, and fails when none come any more: no listing ends early as if that were all.
 */
#include <errno.h>

#include "fs/directory.h"

#define OFFSET_FOLDERS 3
#define OFFSET_UID     (1ll << 32)
#define OFFSET_DRAFT   (1ll << 60)

struct listing {
	fuse_req_t req;
	struct fs *fs;
	char *buffer;
	size_t size, used;
	bool is_plus;
};

struct readdir {
	struct op op;
	struct directory *directory;
	size_t size;
	off_t offset;
	bool is_plus;
	/* the page that it waits for */
	uint32_t box_id, page_after;
};

enum listed {
	LISTED_ALL,  /* or the buffer is full */
	NEEDS_NAMES, /* a page of names, of UIDs above the offset */
	NEEDS_MORE,  /* messages: the first listing of the folder is on its way */
};

/* ---- one entry --------------------------------------------------------------------------------- */

/* False: the buffer is full. `is_known` false: the kernel shall look the name up itself. */
static bool add_entry(struct listing *listing, const char *name, const struct stat *attr,
	off_t next, bool is_known)
{
	char *at = listing->buffer + listing->used;
	size_t room = listing->size - listing->used;
	struct fuse_entry_param entry = {
		.ino = is_known ? fs_node(listing->fs, attr->st_ino) : 0,
		.attr = *attr,
		.attr_timeout = fs_timeout(attr->st_ino),
		.entry_timeout = fs_timeout(attr->st_ino),
	};
	size_t size = listing->is_plus ?
		fuse_add_direntry_plus(listing->req, at, room, name, &entry, next) :
		fuse_add_direntry(listing->req, at, room, name, attr, next);

	if (size > room)
		return false;
	listing->used += size;
	return true;
}

static bool add_dots(struct listing *listing, uint64_t ino, off_t *offset)
{
	struct stat attr = { .st_ino = ino, .st_mode = S_IFDIR };

	if (*offset < 1) {
		if (!add_entry(listing, ".", &attr, 1, false))
			return false;
		*offset = 1;
	}
	if (*offset < 2) {
		if (!add_entry(listing, "..", &attr, 2, false))
			return false;
		*offset = 2;
	}
	return true;
}

static bool add_folders(struct listing *listing, const struct directory *directory, off_t *offset)
{
	guint at = *offset < OFFSET_FOLDERS ? 0 : (guint)(*offset - OFFSET_FOLDERS) + 1;

	for (; at < directory->folders->len; at++) {
		uint32_t dir_id = g_array_index(directory->folders, uint32_t, at);
		const struct folder *child = tree_by_id(engine_tree(listing->fs->engine), dir_id);
		struct stat attr;

		*offset = OFFSET_FOLDERS + (off_t)at;
		if (!child)
			continue;
		fs_folder_attr(listing->fs, child, &attr);
		if (!add_entry(listing, child->shown, &attr, *offset, true))
			return false;
	}
	*offset = OFFSET_UID;
	return true;
}

/* ---- messages ---------------------------------------------------------------------------------- */

/* NULL: it is in a page of names that is not here. `plain` has room for a name. */
static const char *name_of(struct listing *listing, const struct directory *directory,
	const struct mailbox *box, const struct message *message, guint *page_at, char *plain)
{
	const struct mailfs_view *view = listing->fs->config.view;
	struct engine *engine = listing->fs->engine;
	const char *name = NULL;

	if (engine_has_given(engine, box->id))
		name = engine_given_name(engine, box->id, message->uid);
	if (!name && view->needs_head && message->name_hash != 0) {
		if (!directory_has_page_of(directory, box->id, message->uid))
			return NULL;
		name = directory_name(directory, message->uid, page_at);
	}
	if (name)
		return name;
	/* Without a stored name the UID is one that always resolves. */
	view_name(view->needs_head ? view_find("uid") : view,
		&(struct mailfs_name_input){ .uid = message->uid, .date = message->date }, plain);
	return plain;
}

/* Sets *ret_is_full if there are more than fit into the buffer. */
static enum listed add_messages(struct listing *listing, const struct directory *directory,
	const struct folder *folder, off_t *offset, bool *ret_is_full)
{
	const struct mailbox *box = folder_listing(folder);
	uint64_t after = (uint64_t)(*offset - OFFSET_UID);
	size_t at = after >= UINT32_MAX ? mailbox_count(box) :
					  mailbox_lower_bound(box, (uint32_t)after + 1);
	uint32_t last = folder->box ? UINT32_MAX : folder->coming_to;
	guint page_at = 0;

	for (; at < mailbox_count(box); at++) {
		const struct message *message = mailbox_at(box, at);
		char plain[MAILFS_NAME_MAX + 1];
		const char *name;
		struct stat attr;

		if (message->uid > last)
			break;
		if (engine_is_hidden(listing->fs->engine, box->id, message->uid))
			continue;
		name = name_of(listing, directory, box, message, &page_at, plain);
		if (!name) {
			*offset = OFFSET_UID + message->uid - 1;
			return NEEDS_NAMES;
		}
		fs_message_attr(listing->fs, folder, message, &attr);
		*ret_is_full = !add_entry(listing, name, &attr, OFFSET_UID + message->uid,
			!directory->is_skimmed && !fs_lacks_size(listing->fs, message));
		if (*ret_is_full)
			return LISTED_ALL;
		*offset = OFFSET_UID + message->uid;
	}
	return folder->box ? LISTED_ALL : NEEDS_MORE;
}

/* ---- drafts ------------------------------------------------------------------------------------ */

struct draft_listing {
	struct listing *listing;
	uint64_t after; /* ids */
	bool is_full;
};

static void add_draft(void *user, struct draft *draft)
{
	struct draft_listing *drafts = user;
	struct stat attr;

	if (drafts->is_full || draft->id <= drafts->after)
		return;
	fs_draft_attr(drafts->listing->fs, draft, &attr);
	drafts->is_full = !add_entry(drafts->listing, draft->name, &attr,
		OFFSET_DRAFT + (off_t)draft->id, true);
}

static void add_drafts(struct listing *listing, const struct folder *folder, off_t offset)
{
	struct draft_listing drafts = {
		.listing = listing,
		.after = offset < OFFSET_DRAFT ? 0 : (uint64_t)(offset - OFFSET_DRAFT),
	};

	engine_each_draft(listing->fs->engine, folder, add_draft, &drafts);
}

/* ---- readdir ----------------------------------------------------------------------------------- */

static void readdir_run(struct fs *fs, fuse_req_t req, struct readdir *waiting,
	struct directory *directory, size_t size, off_t offset, bool is_plus);

static void on_names(void *user, size_t count, const uint32_t *uids, const char *const *names)
{
	struct readdir *readdir = (struct readdir *)op_ref_take(user);

	if (!readdir)
		return;
	/* The directory may have been asked for another page meanwhile. */
	directory_take_page(readdir->directory, readdir->box_id, readdir->page_after, count, uids, names);
	readdir_run(readdir->op.fs, readdir->op.req, readdir, readdir->directory, readdir->size,
		readdir->offset, readdir->is_plus);
}

static void readdir_release(struct op *op)
{
	directory_release(((struct readdir *)op)->directory);
}

static void load_page(struct fs *fs, struct readdir *readdir, uint32_t after,
	const struct folder *folder)
{
	readdir->page_after = after;
	readdir->box_id = folder_listing(folder)->id;
	engine_load_names(fs->engine, readdir->box_id, after, DIRECTORY_PAGE, on_names,
		op_ref_new(&readdir->op));
}

/* An error, for what was listed so far must not be taken for all there is. */
static void on_more(void *user, const GError *error)
{
	struct readdir *readdir = user;
	const struct folder *folder = fs_folder(readdir->op.fs, readdir->directory->ino);

	readdir->op.ticket = 0;
	if (error)
		op_finish_error(&readdir->op, error);
	else if (!folder || !folder_listing(folder))
		op_finish_errno(&readdir->op, ESTALE);
	else
		readdir_run(readdir->op.fs, readdir->op.req, readdir, readdir->directory, readdir->size,
			readdir->offset, readdir->is_plus);
}

static void await_more(struct fs *fs, struct readdir *readdir, struct folder *folder)
{
	engine_ticket ticket =
		engine_open_listing(fs->engine, folder, folder->coming_to, on_more, readdir);

	if (ticket != 0)
		readdir->op.ticket = ticket;
}

static void reply_listing(fuse_req_t req, void *data)
{
	struct listing *listing = data;

	fuse_reply_buf(req, listing->buffer, listing->used);
}

static void answer(struct listing *listing, struct readdir *waiting)
{
	if (waiting)
		op_finish(&waiting->op, reply_listing, listing);
	else
		reply_listing(listing->req, listing);
}

static void control_listing(struct listing *listing, off_t offset)
{
	const char *name;
	uint64_t ino;

	for (uint32_t at = offset < 2 ? 0 : (uint32_t)(offset - 2);
		(name = control_name(listing->fs, at, &ino)); at++) {
		struct stat attr;

		fs_attr(listing->fs, ino, &attr);
		/* What it leads to is decided when it is looked up. */
		if (!add_entry(listing, name, &attr, 3 + (off_t)at, false))
			return;
	}
}

/* What comes before the messages. False: the buffer is full, or that was all. */
static bool list_head(struct listing *listing, struct directory *directory,
	const struct folder *folder, off_t *offset)
{
	if (*offset == 0 && folder)
		directory_take_folders(directory, folder);
	if (!add_dots(listing, directory->ino, offset))
		return false;
	if (ino_split(directory->ino).kind == INO_KIND_CONTROL) {
		control_listing(listing, *offset);
		return false;
	}
	return add_folders(listing, directory, offset);
}

/* Where something is needed, it is what follows *offset. */
static enum listed list(struct listing *listing, struct directory *directory, off_t *offset)
{
	const struct folder *folder = fs_folder(listing->fs, directory->ino);
	enum listed listed = LISTED_ALL;
	bool is_full = false;

	if (*offset < OFFSET_UID && !list_head(listing, directory, folder, offset))
		return LISTED_ALL;
	if (!folder)
		return LISTED_ALL;
	if (*offset < OFFSET_DRAFT && folder_listing(folder))
		listed = add_messages(listing, directory, folder, offset, &is_full);
	else if (*offset < OFFSET_DRAFT && (folder->flags & MAILFS_FOLDER_NOSELECT) == 0)
		listed = NEEDS_MORE; /* it came, and what was there is gone again */
	if (listed == LISTED_ALL && !is_full)
		add_drafts(listing, folder, *offset);
	return listed;
}

static void readdir_run(struct fs *fs, fuse_req_t req, struct readdir *waiting,
	struct directory *directory, size_t size, off_t offset, bool is_plus)
{
	g_autofree char *buffer = g_malloc(size);
	struct listing listing = {
		.req = req,
		.fs = fs,
		.buffer = buffer,
		.size = size,
		.is_plus = is_plus,
	};
	off_t at = offset;
	struct readdir *readdir = waiting;
	enum listed listed = list(&listing, directory, &at);

	/* What is listed already is a good answer; the rest comes with the next request. */
	if (listed == LISTED_ALL || listing.used > 0) {
		answer(&listing, waiting);
		return;
	}
	if (!readdir) {
		readdir = (struct readdir *)op_new(fs, req, sizeof(*readdir), readdir_release);
		if (!readdir)
			return;
		readdir->directory = directory;
		readdir->size = size;
		readdir->offset = offset;
		readdir->is_plus = is_plus;
		directory_hold(directory);
	}
	if (listed == NEEDS_NAMES)
		load_page(fs, readdir, (uint32_t)(at - OFFSET_UID), fs_folder(fs, directory->ino));
	else
		await_more(fs, readdir, fs_folder(fs, directory->ino));
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	readdir_run(fs_of(req), req, NULL, directory_of(fi), size, offset, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	readdir_run(fs_of(req), req, NULL, directory_of(fi), size, offset, true);
}
