/* SPDX-License-Identifier: MIT */
/*
 * The cache directory by fd. Loop thread for open, set-aside and unlock; the fd may be used by
 * any thread. A process of another user must not be able to make us write elsewhere, so no
 * component is opened by a path that somebody could swap.
 */
#include "store/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "mailfs/error.h"

#define SYMLINKS_MAX 32

#define INDEX         "index.db"
#define INDEX_DAMAGED "index.db.damaged"
#define INDEX_SUSPECT "index.db.suspect"

struct store_dir {
	int fd;
	int lock_fd;
	char *index_path;
};

int store_error_code(int r)
{
	switch (-r) {
	case ENOSPC:
	case EDQUOT:
		return MAILFS_ERROR_NO_SPACE;
	case EACCES:
	case EPERM:
	case EROFS:
		return MAILFS_ERROR_DENIED;
	default:
		return MAILFS_ERROR_DISK;
	}
}

static void set_errno(GError **error, const char *what, int r)
{
	g_set_error(error, MAILFS_ERROR, store_error_code(r), "%s: %s", what, g_strerror(-r));
}

static void set_denied(GError **error, const char *what, const char *why)
{
	g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_DENIED, "%s: %s", what, why);
}

/* ---- walking ------------------------------------------------------------------------------- */

struct walk {
	const char *what; /* for messages */
	int fd;           /* where we are */
	char *rest;       /* what is still to go; begins with a name or is empty */
	unsigned links;
	GError **error;
};

static void walk_skip_slashes(struct walk *walk)
{
	size_t skip = strspn(walk->rest, "/");

	memmove(walk->rest, walk->rest + skip, strlen(walk->rest + skip) + 1);
}

/* The next name; `rest` begins behind it. */
static char *walk_next(struct walk *walk)
{
	size_t len = strcspn(walk->rest, "/");
	char *name = g_strndup(walk->rest, len);

	memmove(walk->rest, walk->rest + len, strlen(walk->rest + len) + 1);
	walk_skip_slashes(walk);
	return name;
}

static bool walk_set(struct walk *walk, int fd)
{
	if (fd < 0) {
		set_errno(walk->error, walk->what, -errno);
		return false;
	}
	if (walk->fd >= 0)
		close(walk->fd);
	walk->fd = fd;
	return true;
}

/* A link of another user would let them choose where our files go. */
static bool walk_link(struct walk *walk, const char *name, const struct stat *st)
{
	char target[4096];
	char *rest;
	ssize_t len;

	if (walk->rest[0] == '\0' || (st->st_uid != 0 && st->st_uid != geteuid())) {
		set_denied(walk->error, walk->what, "a symbolic link is in the way");
		return false;
	}
	len = readlinkat(walk->fd, name, target, sizeof(target) - 1);
	if (len <= 0 || ++walk->links > SYMLINKS_MAX) {
		set_errno(walk->error, walk->what, len < 0 ? -errno : -ELOOP);
		return false;
	}
	target[len] = '\0';
	rest = g_strconcat(target, "/", walk->rest, NULL);
	g_free(walk->rest);
	walk->rest = rest;
	if (target[0] != '/')
		return true;
	walk_skip_slashes(walk);
	return walk_set(walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static bool walk_into(struct walk *walk, const char *name)
{
	bool is_last = walk->rest[0] == '\0';
	int flags = (is_last ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	struct stat st;

	if (!walk_set(walk, openat(walk->fd, name, flags)))
		return false;
	if (fstat(walk->fd, &st) < 0) {
		set_errno(walk->error, walk->what, -errno);
		return false;
	}
	/* In such a directory anybody may swap what we go into next. */
	if ((st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0) {
		set_denied(walk->error, walk->what,
			is_last ? "writable to others (chmod 700 it, or choose another)"
				: "a directory above it is writable to everybody");
		return false;
	}
	return true;
}

static bool walk_step(struct walk *walk)
{
	g_autofree char *name = walk_next(walk);
	struct stat st;
	int r = fstatat(walk->fd, name, &st, AT_SYMLINK_NOFOLLOW);

	if (r < 0 && errno == ENOENT && mkdirat(walk->fd, name, 0700) < 0 && errno != EEXIST) {
		set_errno(walk->error, walk->what, -errno);
		return false;
	}
	if (r < 0)
		r = fstatat(walk->fd, name, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0) {
		set_errno(walk->error, walk->what, -errno);
		return false;
	}
	return S_ISLNK(st.st_mode) ? walk_link(walk, name, &st) : walk_into(walk, name);
}

static int open_safely(const char *path, const char *what, GError **error)
{
	g_autofree char *cwd = g_get_current_dir();
	struct walk walk = { .what = what, .fd = -1, .error = error };
	bool is_good;

	walk.rest = path[0] == '/' ? g_strdup(path) : g_strconcat(cwd, "/", path, NULL);
	walk_skip_slashes(&walk);
	while (g_str_has_suffix(walk.rest, "/"))
		walk.rest[strlen(walk.rest) - 1] = '\0';

	is_good = walk_set(&walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	while (is_good && walk.rest[0] != '\0')
		is_good = walk_step(&walk);

	g_free(walk.rest);
	if (is_good)
		return walk.fd;
	if (walk.fd >= 0)
		close(walk.fd);
	return -1;
}

int store_dir_make(const char *path)
{
	SCOPED(fd_closep) int fd = open_safely(path, path, NULL);

	return fd < 0 ? -1 : 0;
}

/* ---- the directory ------------------------------------------------------------------------- */

static bool is_private(struct store_dir *dir, const char *what, GError **error)
{
	struct stat st;

	if (fstat(dir->fd, &st) < 0) {
		set_errno(error, what, -errno);
		return false;
	}
	if (st.st_uid != geteuid()) {
		set_denied(error, what, "belongs to another user");
		return false;
	}
	if ((st.st_mode & 022) != 0) {
		set_denied(error, what, "writable to others (chmod 700 it, or choose another)");
		return false;
	}
	if ((st.st_mode & 077) != 0 && fchmod(dir->fd, 0700) < 0) {
		set_errno(error, what, -errno);
		return false;
	}
	return true;
}

static bool is_locked_by_other(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* Both the file and the directory are locked: who deletes `lock` opens no second door. A file
 * system without flock() has to do without. */
static bool take_lock(struct store_dir *dir, const char *what, GError **error)
{
	char text[32] = "";
	ssize_t len;

	dir->lock_fd =
		openat(dir->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (dir->lock_fd < 0) {
		set_errno(error, what, -errno);
		return false;
	}
	if (is_locked_by_other(dir->lock_fd) || is_locked_by_other(dir->fd)) {
		len = pread(dir->lock_fd, text, sizeof(text) - 1, 0);
		text[len > 0 ? strspn(text, "0123456789") : 0] = '\0';
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_IN_USE,
			"the %s is used by another mount%s%s: unmount that one first "
			"(mailfsctl status shows it), or give this one a directory of its own",
			what, text[0] ? " of process " : "", text);
		return false;
	}
	len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(dir->lock_fd, 0) < 0 || pwrite(dir->lock_fd, text, (size_t)len, 0) < 0)
		return true; /* the number is for people only */
	return true;
}

/* SQLite resolves paths by itself; give it one without links, of the directory that we hold. */
static char *resolved_path(int fd, const char *path, const char *file)
{
	char proc[64], real[4096];
	ssize_t len;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	len = readlink(proc, real, sizeof(real) - 1);
	if (len <= 0)
		return g_build_filename(path, file, NULL);
	real[len] = '\0';
	return g_build_filename(real, file, NULL);
}

static void dir_clear(gpointer data)
{
	struct store_dir *dir = data;

	fd_closep(&dir->lock_fd);
	fd_closep(&dir->fd);
	g_free(dir->index_path);
}

static void hide_bodies(int fd)
{
	char name[64];

	for (unsigned i = 0; i < 1000; i++) {
		struct stat st;

		snprintf(name, sizeof(name), "bodies.gone.%u", i);
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			renameat(fd, "bodies", fd, name);
			return;
		}
	}
}

/* Something else in the place of our directory is hidden, as bodies of before are. */
static void check_bodies(int fd)
{
	struct stat st;

	if (fstatat(fd, "bodies", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		hide_bodies(fd);
}

static struct store_dir *dir_new(const char *path, const char *what, const char *file,
	GError **error)
{
	g_autofree char *label = g_strconcat(what, " ", path, NULL);
	struct store_dir *dir = g_atomic_rc_box_new0(struct store_dir);

	dir->lock_fd = -1;
	dir->fd = open_safely(path, label, error);
	if (dir->fd < 0 || !is_private(dir, label, error) || !take_lock(dir, label, error)) {
		store_dir_unref(dir);
		return NULL;
	}
	dir->index_path = resolved_path(dir->fd, path, file);
	return dir;
}

struct store_dir *store_dir_new(const char *path, GError **error)
{
	struct store_dir *dir = dir_new(path, "cache directory", INDEX, error);

	if (dir)
		check_bodies(dir->fd);
	return dir;
}

struct store_dir *store_dir_new_state(const char *path, const char *file, GError **error)
{
	return dir_new(path, "state directory", file, error);
}

struct store_dir *store_dir_ref(struct store_dir *dir)
{
	return g_atomic_rc_box_acquire(dir);
}

void store_dir_unref(struct store_dir *dir)
{
	if (dir)
		g_atomic_rc_box_release_full(dir, dir_clear);
}

void store_dir_unlock(struct store_dir *dir)
{
	flock(dir->fd, LOCK_UN);
	fd_closep(&dir->lock_fd);
}

int store_dir_fd(const struct store_dir *dir)
{
	return dir->fd;
}

const char *store_dir_index_path(const struct store_dir *dir)
{
	return dir->index_path;
}

/* ---- the index ----------------------------------------------------------------------------- */

static void remove_leftovers(int fd)
{
	static const char *const names[] = { INDEX "-wal", INDEX "-shm", INDEX "-journal" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		unlinkat(fd, names[i], 0);
}

bool store_dir_prepare_index(struct store_dir *dir)
{
	struct stat st, by_path;
	int fd;

	if (fstatat(dir->fd, INDEX, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
		remove_leftovers(dir->fd);
		fd = openat(dir->fd, INDEX, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			return errno == ENOSPC || errno == EDQUOT; /* SQLite will say so */
		close(fd);
		return true;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return false;
	if (st.st_size == 0)
		remove_leftovers(dir->fd);
	if ((st.st_mode & 077) != 0 && fchmodat(dir->fd, INDEX, 0600, 0) < 0)
		return false;
	/* Should the path lead elsewhere now, SQLite must not follow it. */
	return lstat(dir->index_path, &by_path) == 0 && by_path.st_ino == st.st_ino &&
		by_path.st_dev == st.st_dev;
}

int store_dir_set_aside(struct store_dir *dir)
{
	hide_bodies(dir->fd);
	/* What was set aside before may be a directory that somebody put there. */
	if (unlinkat(dir->fd, INDEX_DAMAGED, 0) < 0 && errno == EISDIR)
		unlinkat(dir->fd, INDEX_DAMAGED, AT_REMOVEDIR);
	unlinkat(dir->fd, INDEX_DAMAGED "-wal", 0);
	if (renameat(dir->fd, INDEX, dir->fd, INDEX_DAMAGED) < 0 && errno != ENOENT)
		return -errno;
	renameat(dir->fd, INDEX "-wal", dir->fd, INDEX_DAMAGED "-wal");
	remove_leftovers(dir->fd);
	unlinkat(dir->fd, INDEX_SUSPECT, 0);
	return 0;
}

void store_dir_mark_suspect(struct store_dir *dir)
{
	int fd = openat(dir->fd, INDEX_SUSPECT, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
}

bool store_dir_is_suspect(struct store_dir *dir)
{
	struct stat st;

	return fstatat(dir->fd, INDEX_SUSPECT, &st, AT_SYMLINK_NOFOLLOW) == 0;
}
