/* SPDX-License-Identifier: MIT */
/*
 * Reads the index while nobody has it open (a mount has it for itself alone), and takes a cache away
 * under its lock. Removed are names that we make, by fd, without following links.
 */
#include "store/survey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "mailfs/error.h"
#include "store/dir.h"
#include "store/schema.h"

static const char query[] =
	"SELECT f.path, b.messages, SUM(d.is_complete), SUM(d.is_pinned), SUM(d.bytes)"
	" FROM folder f LEFT JOIN box b ON b.box = f.box AND f.box > 0 LEFT JOIN body d ON d.box = b.box"
	" GROUP BY f.dir_id ORDER BY f.path";

static int read_rows(sqlite3 *db, store_survey_fn fn, void *user)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, query, -1, &stmt, NULL);

	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *path = (const char *)sqlite3_column_text(stmt, 0);
		struct store_survey row = {
			.path = path ? path : "",
			.messages = (uint32_t)sqlite3_column_int64(stmt, 1),
			.cached = (uint32_t)sqlite3_column_int64(stmt, 2),
			.pinned = (uint32_t)sqlite3_column_int64(stmt, 3),
			.bytes = (uint64_t)sqlite3_column_int64(stmt, 4),
		};

		fn(user, &row);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

bool store_survey(const char *dir, store_survey_fn fn, void *user, GError **error)
{
	g_autofree char *path = g_build_filename(dir, "index.db", NULL);
	sqlite3 *db = NULL;
	struct stat st;
	int rc;

	if (lstat(path, &st) < 0) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_GONE, "%s: there is no cache", dir);
		return false;
	}
	rc = sqlite3_open_v2(path, &db,
		SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc == SQLITE_OK)
		rc = read_rows(db, fn, user);
	if (rc == SQLITE_BUSY)
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_IN_USE, "%s: in use", dir);
	else if (rc != SQLITE_OK)
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_DISK, "%s: %s", path,
			db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
	sqlite3_close(db);
	return rc == SQLITE_OK;
}

/* ---- removal ----------------------------------------------------------------------------------- */

static int erase_at(int parent, const char *name);

/* 0 or -errno; takes the fd. */
static int erase_inside(int fd, bool (*is_wanted)(const char *name))
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			(!is_wanted || is_wanted(entry->d_name)))
			r = erase_at(dirfd(dir), entry->d_name);
	}
	closedir(dir);
	return r;
}

/* Directories of ours are two levels deep; links are removed as what they are. */
static int erase_at(int parent, const char *name)
{
	int fd, r;

	if (unlinkat(parent, name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = erase_inside(fd, NULL);
	if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

static bool is_ours(const char *name)
{
	return g_str_has_prefix(name, "index.db") || g_str_has_prefix(name, "bodies");
}

bool store_erase(const char *path, GError **error)
{
	struct store_dir *dir;
	struct stat st;
	int fd, r;

	if (lstat(path, &st) < 0) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_GONE, "%s: there is no cache", path);
		return false;
	}
	dir = store_dir_new(path, error);
	if (!dir)
		return false;
	fd = openat(store_dir_fd(dir), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : erase_inside(fd, is_ours);
	if (r == 0)
		unlinkat(store_dir_fd(dir), "lock", 0);
	store_dir_unlock(dir);
	store_dir_unref(dir);
	if (r == 0) {
		rmdir(path); /* somebody's file may be in it */
		return true;
	}
	g_set_error(error, MAILFS_ERROR, store_error_code(r), "%s: %s", path, g_strerror(-r));
	return false;
}
