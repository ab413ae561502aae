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
#include <errno.h>
#include <string.h>

#include "fs/internal.h"

#define OFFSET_FOLDERS 3
#define OFFSET_UID     (1ll << 32)
#define OFFSET_DRAFT   (1ll << 60)
#define NAMES_PAGE     4096u

struct directory {
	uint64_t ino;
	GArray *folders; /* uint32_t dir_id */
	/* a page of stored names, ascending by UID */
	GArray *uids;
	GPtrArray *names;
	uint32_t box_id;
	uint32_t page_after; /* the page holds what has a higher UID … */
	uint32_t page_last;  /* … up to this one */
	bool has_page;
	unsigned reads_waiting; /* requests that wait with a pointer to this */
	bool is_released;
};

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

/* ---- handles ----------------------------------------------------------------------------------- */

static void directory_free(struct directory *directory)
{
	g_array_unref(directory->folders);
	g_array_unref(directory->uids);
	g_ptr_array_unref(directory->names);
	g_free(directory);
}

static struct directory *directory_of(struct fuse_file_info *fi)
{
	return (struct directory *)(uintptr_t)fi->fh;
}

static void directory_unref(struct directory *directory)
{
	if (directory->is_released && directory->reads_waiting == 0)
		directory_free(directory);
}

static void directory_close(struct fs *fs, struct directory *directory)
{
	g_hash_table_remove(fs->directories, directory);
	directory->is_released = true;
	directory_unref(directory);
}

void directory_close_all(struct fs *fs)
{
	g_autoptr(GList) directories = g_hash_table_get_keys(fs->directories);

	for (GList *at = directories; at; at = at->next)
		directory_close(fs, at->data);
}

bool directory_is_open(struct fs *fs, uint64_t ino)
{
	GHashTableIter iter;
	gpointer directory;

	g_hash_table_iter_init(&iter, fs->directories);
	while (g_hash_table_iter_next(&iter, &directory, NULL)) {
		if (((struct directory *)directory)->ino == ino)
			return true;
	}
	return false;
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	directory_close(fs_of(req), directory_of(fi));
	fuse_reply_err(req, 0);
}

static void snapshot_folders(struct directory *directory, const struct folder *folder)
{
	g_array_set_size(directory->folders, 0);
	for (guint i = 0; i < folder->children->len; i++) {
		const struct folder *child = g_ptr_array_index(folder->children, i);

		g_array_append_val(directory->folders, child->dir_id);
	}
}

/* The kernel keeps the listing it has if nothing changed since it was told to. */
static bool may_keep_cache(struct fs *fs, uint64_t ino, const struct folder *folder)
{
	uint64_t *seen = g_hash_table_lookup(fs->listed, &ino);
	uint64_t now = (uint64_t)folder->generation << 24 | (folder->box ? folder->box->id : 0);
	uint64_t *pair;

	if (seen && seen[1] == now)
		return true;
	pair = g_new(uint64_t, 2);
	pair[0] = ino;
	pair[1] = now;
	g_hash_table_replace(fs->listed, pair, pair);
	return false;
}

static void reply_directory(struct fs *fs, fuse_req_t req, uint64_t ino, const struct folder *folder)
{
	struct directory *directory = g_new0(struct directory, 1);
	struct fuse_file_info fi = { 0 };

	directory->ino = ino;
	directory->folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	directory->uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	directory->names = g_ptr_array_new_with_free_func(g_free);
	if (folder) {
		snapshot_folders(directory, folder);
		fi.cache_readdir = 1;
		fi.keep_cache = may_keep_cache(fs, ino, folder);
	}
	fi.fh = (uint64_t)(uintptr_t)directory;
	g_hash_table_add(fs->directories, directory);
	/* An interrupted open sends no release. */
	if (fuse_reply_open(req, &fi) == -ENOENT)
		directory_close(fs, directory);
}

/* ---- opendir ----------------------------------------------------------------------------------- */

struct opendir {
	struct op op;
	uint64_t ino;
};

static void opendir_reply(fuse_req_t req, void *data)
{
	struct fs *fs = fs_of(req);
	uint64_t ino = *(uint64_t *)data;
	struct folder *folder = fs_folder(fs, ino);

	if (folder)
		reply_directory(fs, req, ino, folder);
	else
		fuse_reply_err(req, ESTALE);
}

/* Offline, what is on its way is not shown. */
static void on_arrived(void *user, const GError *error)
{
	struct opendir *opendir = user;

	opendir->op.ticket = 0;
	op_finish(&opendir->op, opendir_reply, &opendir->ino);
}

/* What was moved here is listed here, though the move was answered early. */
static void on_opened(void *user, const GError *error)
{
	struct opendir *opendir = user;
	struct fs *fs = opendir->op.fs;
	struct folder *folder = fs_folder(fs, opendir->ino);
	engine_ticket ticket;

	opendir->op.ticket = 0;
	if (error) {
		op_finish_error(&opendir->op, error);
		return;
	}
	if (!folder) {
		op_finish_errno(&opendir->op, ESTALE);
		return;
	}
	ticket = engine_await_arrivals(fs->engine, folder, on_arrived, opendir);
	if (ticket != 0)
		opendir->op.ticket = ticket;
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct folder *folder = fs_folder(fs, ino);
	struct opendir *opendir;
	engine_ticket ticket;

	if (ino_split(ino).kind == INO_KIND_CONTROL) {
		reply_directory(fs, req, ino, NULL);
		return;
	}
	if (!folder) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	opendir = (struct opendir *)op_new(fs, req, sizeof(*opendir), NULL);
	if (!opendir)
		return;
	opendir->ino = ino;
	ticket = engine_open_folder(fs->engine, folder, on_opened, opendir);
	if (ticket != 0)
		opendir->op.ticket = ticket;
}

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

static const char *page_name(const struct directory *directory, uint32_t uid, guint *at)
{
	while (*at < directory->uids->len && g_array_index(directory->uids, uint32_t, *at) < uid)
		(*at)++;
	if (*at < directory->uids->len && g_array_index(directory->uids, uint32_t, *at) == uid)
		return g_ptr_array_index(directory->names, *at);
	return NULL;
}

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
			if (!directory->has_page || message->uid > directory->page_last ||
				message->uid <= directory->page_after) {
				*offset = OFFSET_UID + message->uid - 1;
				return 0;
			}
			name = page_name(directory, message->uid, &page_at);
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

static void page_fill(struct directory *directory, size_t count, const uint32_t *uids,
	const char *const *names)
{
	g_array_set_size(directory->uids, 0);
	g_ptr_array_set_size(directory->names, 0);
	g_array_append_vals(directory->uids, uids, (guint)count);
	for (size_t i = 0; i < count; i++)
		g_ptr_array_add(directory->names, g_strdup(names[i]));
	directory->has_page = true;
	directory->page_last = count < NAMES_PAGE ? UINT32_MAX : uids[count - 1];
}

static void on_names(void *user, size_t count, const uint32_t *uids, const char *const *names)
{
	struct readdir *readdir = (struct readdir *)op_ref_take(user);

	if (!readdir)
		return;
	/* The directory may have been asked for another page meanwhile. */
	readdir->directory->box_id = readdir->box_id;
	readdir->directory->page_after = readdir->page_after;
	page_fill(readdir->directory, count, uids, names);
	readdir_run(readdir->op.fs, readdir->op.req, readdir, readdir->directory, readdir->size,
		readdir->offset, readdir->is_plus);
}

static void readdir_release(struct op *op)
{
	struct readdir *readdir = (struct readdir *)op;

	readdir->directory->reads_waiting--;
	directory_unref(readdir->directory);
}

static void load_page(struct fs *fs, struct readdir *readdir, uint32_t after,
	const struct folder *folder)
{
	readdir->page_after = after;
	readdir->box_id = folder->box->id;
	engine_load_names(fs->engine, folder->box->id, after, NAMES_PAGE, on_names,
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
			snapshot_folders(directory, folder);
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
	if (folder->box && directory->box_id != folder->box->id)
		directory->has_page = false;
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
		directory->reads_waiting++;
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
