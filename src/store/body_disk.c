/* SPDX-License-Identifier: MIT */
/*
 * Body files. Each call walks from the fd of the cache directory, one component at a time, so that
 * neither a link nor a directory that was swapped leads elsewhere; and a user who deletes `bodies`
 * under a running mount loses bytes, nothing else.
 */
#include "store/body_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <zlib.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/parse.h"

#define BODIES "bodies"

/* Left free for the index: without room for its log nothing can be evicted either. */
#define RESERVE (UINT64_C(4) << 20)

/* ---- directories --------------------------------------------------------------------------- */

int body_disk_open_dir(int parent, const char *name, bool want_made, int flags, int *ret_fd)
{
	int fd = openat(parent, name, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && want_made) {
		if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(parent, name, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int open_box(struct store_dir *dir, uint32_t box, bool want_made, int flags, int *ret_fd)
{
	SCOPED(fd_closep) int bodies = -1;
	char name[16];
	int r = body_disk_open_dir(store_dir_fd(dir), BODIES, want_made, O_PATH, &bodies);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%06x", box & 0xffffff);
	return body_disk_open_dir(bodies, name, want_made, flags, ret_fd);
}

/* ---- files --------------------------------------------------------------------------------- */

static int try_create(struct store_dir *dir, uint32_t box, uint32_t uid, int *ret_fd)
{
	SCOPED(fd_closep) int box_fd = -1;
	char name[16];
	int r = open_box(dir, box, true, O_PATH, &box_fd);
	int fd;

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%u", uid);
	/* A new inode: who reads the old one keeps its bytes. */
	if (unlinkat(box_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(box_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int body_disk_create(struct store_dir *dir, uint32_t box, uint32_t uid, int *ret_fd)
{
	int r = try_create(dir, box, uid, ret_fd);

	/* The sweep may have removed the directory, empty as it was, just now. */
	return r == -ENOENT ? try_create(dir, box, uid, ret_fd) : r;
}

int body_disk_open_file(int parent, const char *name, int flags, int *ret_fd)
{
	SCOPED(fd_closep) int fd = -1;
	struct stat st;

	fd = openat(parent, name, flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		0600);
	if (fd < 0)
		return errno == ELOOP || errno == EISDIR || errno == ENXIO ? -ENOENT : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return -ENOENT;
	*ret_fd = fd_take(&fd);
	return 0;
}

int body_disk_open(struct store_dir *dir, uint32_t box, uint32_t uid, int *ret_fd)
{
	SCOPED(fd_closep) int box_fd = -1;
	char name[16];
	int r = open_box(dir, box, false, O_PATH, &box_fd);

	if (r == -ELOOP || r == -ENOTDIR)
		return -ENOENT;
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%u", uid);
	return body_disk_open_file(box_fd, name, 0, ret_fd);
}

int body_disk_write(int fd, uint64_t offset, const void *bytes, size_t len)
{
	const uint8_t *next = bytes;

	if (fault_is_full("body: write"))
		return -ENOSPC;
	while (len > 0) {
		ssize_t n = pwrite(fd, next, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		next += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int body_disk_check_room(int fd, uint64_t bytes)
{
	struct statvfs st;

	/* Where the file system does not know, writing will tell. */
	if (fstatvfs(fd, &st) < 0 || st.f_blocks == 0)
		return 0;
	return (uint64_t)st.f_bavail * st.f_frsize < bytes + RESERVE ? -ENOSPC : 0;
}

int body_disk_crc(int fd, uint64_t offset, size_t len, uint32_t *ret_crc)
{
	g_autofree uint8_t *chunk = g_malloc(64 * 1024);
	uLong crc = crc32_z(0, NULL, 0);

	while (len > 0) {
		ssize_t n = pread(fd, chunk, MIN(len, (size_t)64 * 1024), (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		crc = crc32_z(crc, chunk, (size_t)n);
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	*ret_crc = (uint32_t)crc;
	return 0;
}

GBytes *body_disk_read(int fd, uint64_t offset, size_t len, uint32_t crc)
{
	g_autofree uint8_t *bytes = g_malloc(len);

	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, bytes + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NULL;
		done += (size_t)n;
	}
	if (crc32_z(crc32_z(0, NULL, 0), bytes, len) != crc)
		return NULL;
	return g_bytes_new_take(g_steal_pointer(&bytes), len);
}

void body_disk_remove(struct store_dir *dir, uint32_t box, const uint32_t *uids, size_t count)
{
	SCOPED(fd_closep) int box_fd = -1;
	char name[16];

	if (count == 0 || open_box(dir, box, false, O_PATH, &box_fd) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%u", uids[i]);
		unlinkat(box_fd, name, 0);
	}
}

/* ---- listing, sweeping --------------------------------------------------------------------- */

static DIR *list_dir(int *fd)
{
	DIR *list = fdopendir(*fd);

	if (list)
		*fd = -1; /* closedir() closes it */
	return list;
}

static void closedirp(DIR **list)
{
	if (*list)
		closedir(*list);
}

static bool parse_box(const char *name, uint32_t *ret_box)
{
	if (strlen(name) != 6 || strspn(name, "0123456789abcdef") != 6)
		return false;
	*ret_box = (uint32_t)strtoul(name, NULL, 16);
	return true;
}

/* Of a mailbox: there are packs in the directory of box 0. */
static bool parse_box_in_use(const char *name, uint32_t *ret_box)
{
	uint32_t box;

	if (!parse_box(name, &box) || box == 0)
		return false;
	*ret_box = box;
	return true;
}

/* Exactly as we write it: no leading zero, not 0. */
bool body_disk_parse_number(const char *name, uint32_t *ret_uid)
{
	return name[0] != '0' && parse_u32(name, strlen(name), ret_uid);
}

static void list_numbers(int *fd, bool (*parse)(const char *, uint32_t *), GArray *numbers)
{
	SCOPED(closedirp) DIR *list = list_dir(fd);
	const struct dirent *entry;
	uint32_t number;

	while (list && (entry = readdir(list))) {
		if (parse(entry->d_name, &number))
			g_array_append_val(numbers, number);
	}
}

void body_disk_list_boxes(struct store_dir *dir, GArray *boxes)
{
	SCOPED(fd_closep) int fd = -1;

	if (body_disk_open_dir(store_dir_fd(dir), BODIES, false, O_RDONLY, &fd) == 0)
		list_numbers(&fd, parse_box_in_use, boxes);
}

void body_disk_list_uids(struct store_dir *dir, uint32_t box, GArray *uids)
{
	SCOPED(fd_closep) int fd = -1;

	if (open_box(dir, box, false, O_RDONLY, &fd) == 0)
		list_numbers(&fd, body_disk_parse_number, uids);
}

void body_disk_remove_box(struct store_dir *dir, uint32_t box)
{
	SCOPED(fd_closep) int bodies = -1;
	char name[16];

	if (body_disk_open_dir(store_dir_fd(dir), BODIES, false, O_PATH, &bodies) < 0)
		return;
	snprintf(name, sizeof(name), "%06x", box);
	unlinkat(bodies, name, AT_REMOVEDIR);
}

/* Removes files from the boxes and packs of a hidden tree; what is not ours stays. */
static unsigned sweep_box(int parent, const char *name, unsigned limit)
{
	SCOPED(fd_closep) int fd = -1;
	SCOPED(closedirp) DIR *list = NULL;
	const struct dirent *entry;
	unsigned removed = 0;
	uint32_t uid;

	if (body_disk_open_dir(parent, name, false, O_RDONLY, &fd) < 0)
		return 0;
	list = list_dir(&fd);
	while (list && removed < limit && (entry = readdir(list))) {
		if (body_disk_parse_number(entry->d_name, &uid) && unlinkat(dirfd(list), entry->d_name, 0) == 0)
			removed++;
	}
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
		removed++;
	return removed;
}

static unsigned sweep_tree(int parent, const char *name, unsigned limit)
{
	SCOPED(fd_closep) int fd = -1;
	SCOPED(closedirp) DIR *list = NULL;
	const struct dirent *entry;
	unsigned removed = 0;
	uint32_t box;

	if (body_disk_open_dir(parent, name, false, O_RDONLY, &fd) < 0) /* a link or a file in its place */
		return unlinkat(parent, name, 0) == 0;
	list = list_dir(&fd);
	while (list && removed < limit && (entry = readdir(list))) {
		if (parse_box(entry->d_name, &box))
			removed += sweep_box(dirfd(list), entry->d_name, limit - removed);
	}
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
		removed++;
	return removed;
}

bool body_disk_sweep_hidden(struct store_dir *dir, unsigned limit)
{
	SCOPED(fd_closep) int fd = -1;
	SCOPED(closedirp) DIR *list = NULL;
	const struct dirent *entry;
	unsigned removed = 0;

	if (body_disk_open_dir(store_dir_fd(dir), ".", false, O_RDONLY, &fd) < 0)
		return false;
	list = list_dir(&fd);
	while (list && removed < limit && (entry = readdir(list))) {
		if (g_str_has_prefix(entry->d_name, BODIES ".gone."))
			removed += sweep_tree(dirfd(list), entry->d_name, limit - removed);
	}
	return removed > 0;
}
