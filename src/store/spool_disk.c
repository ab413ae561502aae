/* SPDX-License-Identifier: MIT */
/* Files of the spool, by the fd of its directory: what blocks. */
#include "store/spool_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"

#define READ_MAX (4u << 20)

int spool_disk_open_dir(int parent_fd, bool is_read_only, int *ret_fd)
{
	SCOPED(fd_closep) int fd = -1;
	struct stat st;

	if (!is_read_only && mkdirat(parent_fd, "spool", 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(parent_fd, "spool", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || (!is_read_only && fsync(parent_fd) < 0))
		return -errno;
	if (st.st_uid != geteuid())
		return -EACCES;
	if (!is_read_only && (st.st_mode & 077) != 0 && fchmod(fd, 0700) < 0)
		return -errno;
	*ret_fd = fd_take(&fd);
	return 0;
}

int spool_disk_open(struct spool_disk *disk)
{
	char name[32];
	int flags = O_NOFOLLOW | O_CLOEXEC | (disk->is_read_only ? O_RDONLY : O_RDWR) |
		(disk->is_new ? O_CREAT | O_EXCL : 0);

	if (disk->failed < 0)
		return disk->failed;
	if (disk->fd >= 0)
		return 0;
	if (disk->is_new && fault_is_full("spool: create"))
		return -ENOSPC;
	snprintf(name, sizeof(name), "%" G_GUINT64_FORMAT, disk->id);
	disk->fd = openat(disk->dir_fd, name, flags, 0600);
	if (disk->fd < 0)
		return -errno;
	disk->is_synced = !disk->is_new;
	disk->is_new = false;
	return 0;
}

void spool_disk_close(struct spool_disk *disk)
{
	fd_closep(&disk->fd);
	fd_closep(&disk->wire_fd);
}

int spool_disk_size(const struct spool_disk *disk, uint64_t *ret_size)
{
	struct stat st;

	if (fstat(disk->fd, &st) < 0)
		return -errno;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int write_all(int fd, const char *bytes, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, bytes, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int spool_disk_write(struct spool_disk *disk, uint64_t offset, GBytes *bytes)
{
	size_t len;
	const char *data = g_bytes_get_data(bytes, &len);
	uint64_t size;
	int r = spool_disk_size(disk, &size);

	if (offset > INT64_MAX - len)
		return -EFBIG;
	if (r < 0)
		return r;
	if (fault_is_full("spool: write"))
		r = write_all(disk->fd, data, len / 2, offset) < 0 ? -EIO : -ENOSPC;
	else
		r = write_all(disk->fd, data, len, offset);
	if (r < 0 && offset + len > size && ftruncate(disk->fd, (off_t)size) < 0)
		return r; /* the caller asks for the size anyway */
	return r;
}

int spool_disk_truncate(struct spool_disk *disk, uint64_t size)
{
	if (size > INT64_MAX)
		return -EFBIG;
	if (fault_is_full("spool: truncate"))
		return -ENOSPC;
	return ftruncate(disk->fd, (off_t)size) < 0 ? -errno : 0;
}

int spool_disk_sync(struct spool_disk *disk)
{
	fault_point("spool: before fsync");
	if (fault_is_full("spool: fsync")) {
		disk->failed = -ENOSPC;
		return disk->failed;
	}
	if (fsync(disk->fd) < 0 || (!disk->is_synced && fsync(disk->dir_fd) < 0)) {
		disk->failed = -errno;
		return disk->failed;
	}
	disk->is_synced = true;
	fault_point("spool: after fsync");
	return 0;
}

int spool_disk_read(int fd, struct mailfs_range range, GBytes **ret_bytes)
{
	size_t want = (size_t)MIN(range.len, READ_MAX), have = 0;
	struct stat st;
	g_autofree char *buffer = NULL;

	if (fstat(fd, &st) < 0)
		return -errno;
	want = (uint64_t)st.st_size > range.offset ? MIN(want, (uint64_t)st.st_size - range.offset)
						   : 0;
	buffer = g_malloc(want + 1);
	while (have < want) {
		ssize_t n = pread(fd, buffer + have, want - have, (off_t)(range.offset + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*ret_bytes = g_bytes_new_take(g_steal_pointer(&buffer), have);
	return 0;
}

void spool_disk_remove(const struct spool_disk *disk)
{
	char name[40];

	fault_point("spool: before unlink");
	snprintf(name, sizeof(name), "%" G_GUINT64_FORMAT ".wire", disk->id);
	unlinkat(disk->dir_fd, name, 0);
	snprintf(name, sizeof(name), "%" G_GUINT64_FORMAT, disk->id);
	unlinkat(disk->dir_fd, name, 0);
	fault_point("spool: after unlink");
}
