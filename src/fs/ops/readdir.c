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
 */
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

/* 1: all are listed; -1: the buffer is full; 0: names beyond the page are needed, of UIDs above *offset. */
static int add_messages(struct listing *listing, const struct directory *directory,
	const struct folder *folder, off_t *offset)
{
	const struct mailfs_view *view = listing->fs->config.view;
	uint64_t after = (uint64_t)(*offset - OFFSET_UID);
	size_t at = after >= UINT32_MAX ? mailbox_count(folder->box) :
					  mailbox_lower_bound(folder->box, (uint32_t)after + 1);
	struct engine *engine = listing->fs->engine;
	bool has_given = engine_has_given(engine, folder->box->id);
	guint page_at = 0;

	for (; at < mailbox_count(folder->box); at++) {
		const struct message *message = mailbox_at(folder->box, at);
		const char *name = NULL;
		char plain[MAILFS_NAME_MAX + 1];
		struct stat attr;

		if (engine_is_hidden(engine, folder->box->id, message->uid))
			continue;
		if (has_given)
			name = engine_given_name(engine, folder->box->id, message->uid);
		if (!name && view->needs_head && message->name_hash != 0) {
			if (!directory_has_page_of(directory, folder->box->id, message->uid)) {
				*offset = OFFSET_UID + message->uid - 1;
				return 0;
			}
			name = directory_name(directory, message->uid, &page_at);
		}
		/* Without a stored name the UID is one that always resolves. */
		if (!name) {
			const struct mailfs_view *how = view->needs_head ? view_find("uid") : view;

			view_name(how,
				&(struct mailfs_name_input){ .uid = message->uid, .date = message->date }, plain);
			name = plain;
		}
		fs_message_attr(listing->fs, folder, message, &attr);
		if (!add_entry(listing, name, &attr, OFFSET_UID + message->uid,
			!fs_lacks_size(listing->fs, message)))
			return -1;
		*offset = OFFSET_UID + message->uid;
	}
	return 1;
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
	readdir->box_id = folder->box->id;
	engine_load_names(fs->engine, folder->box->id, after, DIRECTORY_PAGE, on_names,
		op_ref_new(&readdir->op));
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
		(name = control_name(at, &ino)); at++) {
		struct stat attr;

		fs_attr(listing->fs, ino, &attr);
		/* What it leads to is decided when it is looked up. */
		if (!add_entry(listing, name, &attr, 3 + (off_t)at, false))
			return;
	}
}

/* True: the listing is as long as it can be; false: a page of names is needed at *offset. */
static bool list(struct listing *listing, struct directory *directory, off_t *offset)
{
	struct folder *folder = fs_folder(listing->fs, directory->ino);

	if (*offset < OFFSET_UID) {
		if (*offset == 0 && folder)
			directory_take_folders(directory, folder);
		if (!add_dots(listing, directory->ino, offset))
			return true;
		if (ino_split(directory->ino).kind == INO_KIND_CONTROL) {
			control_listing(listing, *offset);
			return true;
		}
		if (!add_folders(listing, directory, offset))
			return true;
	}
	if (!folder)
		return true;
	if (folder->box && *offset < OFFSET_DRAFT) {
		int state = add_messages(listing, directory, folder, offset);

		if (state != 1)
			return state < 0;
	}
	add_drafts(listing, folder, *offset);
	return true;
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

	/* What is listed already is a good answer; the page comes with the next request. */
	if (list(&listing, directory, &at) || listing.used > 0) {
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
	load_page(fs, readdir, (uint32_t)(at - OFFSET_UID), fs_folder(fs, directory->ino));
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
