/* SPDX-License-Identifier: MIT */
/*
 * mailfsctl prefetch: reads every message that is not in the cache, in the order of the directory: the
 * daemon sees a program that walks, and fetches ahead of it. Nothing is remembered but what the cache
 * has: stopped at any time, the next run goes on where this one ended.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/ctl.h"
#include "cli/exit_code.h"
#include "cli/progress.h"

#define DEPTH_MAX     64 /* IMAP servers have their own, smaller limits */
#define COMPLAINTS_MAX 5u

struct prefetch {
	struct progress progress;
	GPtrArray *folders; /* char *: paths of directories */
	GHashTable *cached; /* inode numbers of what was in the cache before */
	uint64_t failures;
	bool is_over; /* offline, or asked to stop */
};

static volatile sig_atomic_t got_signal;

static void on_signal(int number)
{
	got_signal = number;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static bool is_cached(int dir, const char *name)
{
	char path[64 + NAME_MAX], value[8] = "";
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
	len = getxattr(path, "user.mailfs.cached", value, sizeof(value) - 1);
	return len > 0 && (strcmp(value, "yes") == 0 || strcmp(value, "pinned") == 0);
}

static void complain(struct prefetch *prefetch, const char *path, const char *name, int error)
{
	prefetch->failures++;
	if (error == EHOSTUNREACH || error == ENOTCONN)
		prefetch->is_over = true;
	if (prefetch->failures > COMPLAINTS_MAX)
		return;
	progress_end(&prefetch->progress);
	ctl_fail(0, "%s/%s: %s", path, name, g_strerror(error));
}

/* 0 or -errno. */
static int read_file(struct prefetch *prefetch, int dir, const char *name)
{
	static char buffer[256 * 1024];
	SCOPED(fd_closep) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, buffer, sizeof(buffer))) > 0 && got_signal == 0) {
		prefetch->progress.bytes += (uint64_t)got;
		progress_update(&prefetch->progress);
	}
	return got < 0 ? -errno : 0;
}

/* A message that was expunged meanwhile is none of our business. */
static void fetch(struct prefetch *prefetch, const char *path, int dir, const char *name)
{
	int r;

	r = read_file(prefetch, dir, name);
	if (r < 0 && r != -ENOENT && r != -ESTALE && r != -EINTR)
		complain(prefetch, path, name, -r);
	if (r == 0)
		prefetch->progress.count++;
}

/* What a pass does with each message. */
typedef void (*message_fn)(struct prefetch *prefetch, const char *path, int dir, const char *name);

static void count(struct prefetch *prefetch, const char *path, int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	prefetch->progress.count_max++;
	prefetch->progress.bytes_max += (uint64_t)st.st_size;
	if (!is_cached(dir, name))
		return;
	g_hash_table_add(prefetch->cached, (gpointer)(uintptr_t)st.st_ino);
	prefetch->progress.count++;
	prefetch->progress.bytes += (uint64_t)st.st_size;
	prefetch->progress.bytes_free += (uint64_t)st.st_size;
}

/* The daemon runs ahead of us: much has come by itself. */
static void fetch_missing(struct prefetch *prefetch, const char *path, int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		g_hash_table_contains(prefetch->cached, (gpointer)(uintptr_t)st.st_ino))
		return;
	if (!is_cached(dir, name)) {
		fetch(prefetch, path, dir, name);
		return;
	}
	prefetch->progress.count++;
	prefetch->progress.bytes += (uint64_t)st.st_size;
	progress_update(&prefetch->progress);
}

/* 0 or -errno. Finds directories only if `depth` is not negative. */
static int walk(struct prefetch *prefetch, const char *path, message_fn fn, int depth)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return -errno;
	if (depth >= 0)
		g_ptr_array_add(prefetch->folders, g_strdup(path));
	while (got_signal == 0 && !prefetch->is_over && (entry = readdir(dir))) {
		g_autofree char *below = NULL;

		if (entry->d_name[0] == '.')
			continue;
		if (entry->d_type == DT_REG)
			fn(prefetch, path, dirfd(dir), entry->d_name);
		if (entry->d_type != DT_DIR || depth < 0 || depth > DEPTH_MAX)
			continue;
		below = g_build_filename(path, entry->d_name, NULL);
		walk(prefetch, below, fn, depth + 1);
	}
	closedir(dir);
	return 0;
}

static void read_all(struct prefetch *prefetch)
{
	progress_begin(&prefetch->progress);
	for (guint i = 0; i < prefetch->folders->len && got_signal == 0 && !prefetch->is_over; i++)
		walk(prefetch, g_ptr_array_index(prefetch->folders, i), fetch_missing, -1);
	progress_end(&prefetch->progress);
}

static int tell(const struct prefetch *prefetch)
{
	const struct progress *progress = &prefetch->progress;
	g_autofree char *size = g_format_size_full(progress->bytes - progress->bytes_free,
		G_FORMAT_SIZE_IEC_UNITS);

	printf("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " messages are in the cache, %" G_GUINT64_FORMAT
	       " fetched now (%s)\n",
		progress->count, progress->count_max, progress->count - g_hash_table_size(prefetch->cached), size);
	if (got_signal != 0)
		return ctl_fail(EX_TEMPFAIL, "stopped; the next run goes on from here");
	if (prefetch->failures > 0)
		return ctl_fail(EX_TEMPFAIL, "%" G_GUINT64_FORMAT " messages could not be fetched",
			prefetch->failures);
	return 0;
}

static int count_folders(struct prefetch *prefetch, const char *mountpoint, int argc, char **argv)
{
	for (int i = 2; i < MAX(argc, 3); i++) {
		g_autofree char *path = argc > 2 ? g_build_filename(mountpoint, argv[i], NULL)
						 : g_strdup(mountpoint);
		int r = walk(prefetch, path, count, 0);

		if (r < 0)
			return ctl_fail(EX_NOINPUT, "%s: %s", path, g_strerror(-r));
	}
	return 0;
}

int ctl_prefetch(int argc, char **argv)
{
	g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GHashTable) cached = g_hash_table_new(NULL, NULL);
	struct prefetch prefetch = { .folders = folders, .cached = cached };
	g_autofree char *mountpoint = NULL;
	int code;

	if (argc < 2 || argv[1][0] == '-')
		return ctl_usage(argv[0]);
	mountpoint = ctl_find_mount(argv[1]);
	if (!mountpoint)
		return EX_NOINPUT;
	catch_signals();
	code = count_folders(&prefetch, mountpoint, argc, argv);
	if (code != 0)
		return code;
	read_all(&prefetch);
	return tell(&prefetch);
}
