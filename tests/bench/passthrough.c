/* SPDX-License-Identifier: MIT
 *
 * A plain FUSE file system that shows a directory, as one writes it with libfuse's low-level
 * interface and nothing clever: one thread, timeouts of one second, no keep_cache, bodies spliced
 * from the file. Read-only. What a FUSE mount costs, without mail in it.
 *
 *   passthrough SOURCE MOUNTPOINT
 *
 * It stays in the foreground until it is unmounted or gets a SIGTERM.
 */
#define FUSE_USE_VERSION 314
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve.h"

#define TIMEOUT 1.0

/* An inode that the kernel knows; the inode number is its address. */
struct node {
	char *path; /* below the source; "." is the root */
	uint64_t lookups;
};

static int source_fd;
static GHashTable *nodes; /* path → node */
static struct node root = { .path = ".", .lookups = 1 };

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &root : (struct node *)(uintptr_t)ino;
}

/* 0 or an errno; the kernel then knows the inode once more. */
static int enter(fuse_ino_t parent, const char *name, struct fuse_entry_param *ret_entry)
{
	struct node *dir = node_of(parent);
	g_autofree char *path = dir == &root ? g_strdup(name) :
		g_strconcat(dir->path, "/", name, NULL);
	struct fuse_entry_param entry = { .attr_timeout = TIMEOUT, .entry_timeout = TIMEOUT };
	struct node *node;

	if (fstatat(source_fd, path, &entry.attr, AT_SYMLINK_NOFOLLOW) < 0)
		return errno;
	node = g_hash_table_lookup(nodes, path);
	if (!node) {
		node = g_new0(struct node, 1);
		node->path = g_steal_pointer(&path);
		g_hash_table_insert(nodes, node->path, node);
	}
	node->lookups++;
	entry.ino = (uintptr_t)node;
	*ret_entry = entry;
	return 0;
}

static void forget(fuse_ino_t ino, uint64_t count)
{
	struct node *node = node_of(ino);

	if (node == &root)
		return;
	node->lookups -= count;
	if (node->lookups > 0)
		return;
	g_hash_table_remove(nodes, node->path);
	g_free(node->path);
	g_free(node);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry;
	int error = enter(parent, name, &entry);

	if (error)
		fuse_reply_err(req, error);
	else
		fuse_reply_entry(req, &entry);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	forget(ino, count);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct stat attr;

	(void)info;
	if (fstatat(source_fd, node_of(ino)->path, &attr, AT_SYMLINK_NOFOLLOW) < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_attr(req, &attr, TIMEOUT);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	int fd = openat(source_fd, node_of(ino)->path, (info->flags & ~O_NOFOLLOW) | O_CLOEXEC);

	if (fd < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	info->fh = (uint64_t)fd;
	fuse_reply_open(req, info);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *info)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(size);

	(void)ino;
	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = (int)info->fh;
	data.buf[0].pos = offset;
	fuse_reply_data(req, &data, FUSE_BUF_SPLICE_MOVE);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	close((int)info->fh);
	fuse_reply_err(req, 0);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	int fd = openat(source_fd, node_of(ino)->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		fuse_reply_err(req, errno);
		return;
	}
	info->fh = (uintptr_t)dir;
	fuse_reply_open(req, info);
}

static size_t add_entry(fuse_req_t req, fuse_ino_t ino, char *out, size_t room,
	const struct dirent *item)
{
	struct fuse_entry_param entry = { .attr = { .st_ino = item->d_ino,
		.st_mode = (mode_t)DTTOIF(item->d_type) } };
	bool is_dot = strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0;
	size_t used;

	if (!is_dot && enter(ino, item->d_name, &entry) != 0)
		return 0;
	used = fuse_add_direntry_plus(req, out, room, item->d_name, &entry, item->d_off);
	if (used > room && !is_dot)
		forget(entry.ino, 1);
	return used;
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *info)
{
	DIR *dir = (DIR *)(uintptr_t)info->fh;
	g_autofree char *out = g_malloc(size);
	struct dirent *item;
	size_t filled = 0;

	if (offset == 0)
		rewinddir(dir);
	else if (telldir(dir) != offset)
		seekdir(dir, offset);
	while ((item = readdir(dir))) {
		size_t used = add_entry(req, ino, out + filled, size - filled, item);

		if (used > size - filled)
			break;
		filled += used;
	}
	fuse_reply_buf(req, out, filled);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	closedir((DIR *)(uintptr_t)info->fh);
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.opendir = op_opendir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
};

int main(int argc, char **argv)
{
	char options[] = "ro,fsname=mailfs-bench,subtype=passthrough";

	if (argc != 3) {
		fprintf(stderr, "usage: passthrough SOURCE MOUNTPOINT\n");
		return 64;
	}
	source_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (source_fd < 0) {
		fprintf(stderr, "passthrough: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	nodes = g_hash_table_new(g_str_hash, g_str_equal);
	return serve(&ops, options, argv[2]);
}
