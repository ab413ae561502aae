/* SPDX-License-Identifier: MIT */
/*
 * Pack files. As with the files of single bodies, each call walks from the fd of the cache
 * directory, so that neither a link nor a directory that was swapped leads elsewhere. They lie
 * below `bodies` like those, so that hiding, sweeping and deleting takes them along.
 */
#include "store/pack_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/parse.h"
#include "store/body_disk.h"

#define PACKS           "000000" /* no mailbox has this id */
#define PIECES_PER_CALL 256

static int open_packs(struct store_dir *dir, bool want_made, int flags, int *ret_fd)
{
	SCOPED(fd_closep) int bodies = -1;
	int r = body_disk_open_dir(store_dir_fd(dir), "bodies", want_made, O_PATH, &bodies);

	return r < 0 ? r : body_disk_open_dir(bodies, PACKS, want_made, flags, ret_fd);
}

static int open_pack(struct store_dir *dir, uint32_t id, bool want_made, int *ret_fd)
{
	SCOPED(fd_closep) int packs = -1;
	char name[16];
	int r = open_packs(dir, want_made, O_PATH, &packs);

	if (r == -ELOOP || r == -ENOTDIR)
		return -ENOENT;
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%u", id);
	return body_disk_open_file(packs, name, want_made ? O_CREAT : 0, ret_fd);
}

int pack_disk_open(struct store_dir *dir, uint32_t id, int *ret_fd)
{
	return open_pack(dir, id, false, ret_fd);
}

int pack_disk_open_to_write(struct store_dir *dir, uint32_t id, int *ret_fd)
{
	return open_pack(dir, id, true, ret_fd);
}

void pack_disk_remove(struct store_dir *dir, uint32_t id)
{
	SCOPED(fd_closep) int packs = -1;
	char name[16];

	if (open_packs(dir, false, O_PATH, &packs) < 0)
		return;
	snprintf(name, sizeof(name), "%u", id);
	unlinkat(packs, name, 0);
}

static void closedirp(DIR **list)
{
	if (*list)
		closedir(*list);
}

void pack_disk_list(struct store_dir *dir, GArray *files)
{
	SCOPED(fd_closep) int fd = -1;
	SCOPED(closedirp) DIR *list = NULL;
	const struct dirent *entry;
	struct pack_file file;
	struct stat st;

	if (open_packs(dir, false, O_RDONLY, &fd) < 0)
		return;
	list = fdopendir(fd);
	if (list)
		fd = -1; /* closedir() closes it */
	while (list && (entry = readdir(list))) {
		if (!body_disk_parse_number(entry->d_name, &file.id) ||
			fstatat(dirfd(list), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		file.size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
		g_array_append_val(files, file);
	}
}

/* Drops what was written from the front. */
static struct iovec *advance(struct iovec *next, const struct iovec *end, size_t written)
{
	while (next < end && written >= next->iov_len)
		written -= (next++)->iov_len;
	if (next < end) {
		next->iov_base = (char *)next->iov_base + written;
		next->iov_len -= written;
	}
	return next;
}

static int write_some(int fd, uint64_t *offset, struct iovec *next, const struct iovec *end)
{
	if (fault_is_full("pack: write"))
		return -ENOSPC;
	while (next < end) {
		ssize_t n = pwritev(fd, next, (int)(end - next), (off_t)*offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		*offset += (uint64_t)n;
		next = advance(next, end, (size_t)n);
	}
	return 0;
}

int pack_disk_write(int fd, uint64_t offset, GBytes *const *pieces, size_t count)
{
	struct iovec vector[PIECES_PER_CALL];
	int r = 0;

	for (size_t done = 0, n; r == 0 && done < count; done += n) {
		n = MIN(count - done, PIECES_PER_CALL);
		for (size_t i = 0; i < n; i++) {
			gsize len;

			vector[i].iov_base = (void *)g_bytes_get_data(pieces[done + i], &len);
			vector[i].iov_len = len;
		}
		r = write_some(fd, &offset, vector, vector + n);
	}
	return r;
}
