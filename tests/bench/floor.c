/* SPDX-License-Identifier: MIT
 *
 * What FUSE itself costs: one flat directory of files that never change, from one thread, with
 * everything cached by the kernel that it can cache, and nothing behind it. A request that is
 * answered here is answered with constants. Compare with mailfs' own warm path.
 *
 *   floor [--no-open] SOURCE MOUNTPOINT
 *
 * Opens are answered with keep_cache and noflush, as on a read-write mount of mailfs: OPEN and
 * RELEASE are all that a warm read costs. With --no-open they are answered ENOSYS, as on a
 * read-only mount. It stays in the foreground until it is unmounted or gets a SIGTERM.
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

#define TIMEOUT 86400.0
#define FIRST   2 /* inode of the first file */

struct file {
	char *name;
	struct stat attr;
};

static int source_fd;
static GArray *files;     /* struct file */
static GHashTable *inodes; /* name → inode */
static bool has_no_open;

static const struct file *file_of(fuse_ino_t ino)
{
	return &g_array_index(files, struct file, ino - FIRST);
}

static void op_init(void *user, struct fuse_conn_info *conn)
{
	(void)user;
	conn->want |= conn->capable & FUSE_CAP_READDIRPLUS;
	conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_AUTO_INVAL_DATA);
}

static void root_attr(struct stat *ret_attr)
{
	*ret_attr = (struct stat){ .st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR | 0755, .st_nlink = 2 };
}

static struct fuse_entry_param entry_of(fuse_ino_t ino)
{
	return (struct fuse_entry_param){
		.ino = ino,
		.attr = file_of(ino)->attr,
		.attr_timeout = TIMEOUT,
		.entry_timeout = TIMEOUT,
	};
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_ino_t ino = GPOINTER_TO_SIZE(g_hash_table_lookup(inodes, name));
	struct fuse_entry_param entry;

	(void)parent;
	if (ino == 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	entry = entry_of(ino);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct stat root;

	(void)info;
	root_attr(&root);
	fuse_reply_attr(req, ino == FUSE_ROOT_ID ? &root : &file_of(ino)->attr, TIMEOUT);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	if (has_no_open) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	info->keep_cache = 1;
	info->noflush = 1;
	fuse_reply_open(req, info);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	(void)info;
	fuse_reply_err(req, ENOSYS);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	(void)info;
	fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *info)
{
	int fd = openat(source_fd, file_of(ino)->name, O_RDONLY | O_CLOEXEC);
	g_autofree char *bytes = g_malloc(size);
	ssize_t got = fd < 0 ? -1 : pread(fd, bytes, size, offset);

	(void)info;
	if (got < 0)
		fuse_reply_err(req, EIO);
	else
		fuse_reply_buf(req, bytes, (size_t)got);
	if (fd >= 0)
		close(fd);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	info->cache_readdir = 1;
	info->keep_cache = 1;
	fuse_reply_open(req, info);
}

/* An offset is the number of entries before it. */
static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *info)
{
	g_autofree char *out = g_malloc(size);
	size_t filled = 0;

	(void)ino;
	(void)info;
	for (guint at = (guint)offset; at < files->len; at++) {
		struct fuse_entry_param entry = entry_of(FIRST + at);
		size_t used = fuse_add_direntry_plus(req, out + filled, size - filled,
			file_of(FIRST + at)->name, &entry, at + 1);

		if (used > size - filled)
			break;
		filled += used;
	}
	fuse_reply_buf(req, out, filled);
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.open = op_open,
	.flush = op_flush,
	.release = op_release,
	.read = op_read,
	.opendir = op_opendir,
	.readdirplus = op_readdirplus,
};

static bool load(const char *source)
{
	struct dirent *item;
	DIR *dir;

	source_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = source_fd < 0 ? NULL : fdopendir(dup(source_fd));
	if (!dir)
		return false;
	files = g_array_new(FALSE, FALSE, sizeof(struct file));
	inodes = g_hash_table_new(g_str_hash, g_str_equal);
	while ((item = readdir(dir))) {
		struct file file = { 0 };

		if (fstatat(source_fd, item->d_name, &file.attr, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(file.attr.st_mode))
			continue;
		file.name = g_strdup(item->d_name);
		g_hash_table_insert(inodes, file.name, GSIZE_TO_POINTER((gsize)FIRST + files->len));
		g_array_append_val(files, file);
	}
	closedir(dir);
	return true;
}

int main(int argc, char **argv)
{
	char options[] = "fsname=mailfs-bench,subtype=floor";

	has_no_open = argc == 4 && strcmp(argv[1], "--no-open") == 0;
	if (argc != 3 && !has_no_open) {
		fprintf(stderr, "usage: floor [--no-open] SOURCE MOUNTPOINT\n");
		return 64;
	}
	if (!load(argv[argc - 2])) {
		fprintf(stderr, "floor: %s: %s\n", argv[argc - 2], strerror(errno));
		return 1;
	}
	return serve(&ops, options, argv[argc - 1]);
}
