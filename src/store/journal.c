/* SPDX-License-Identifier: MIT */
/*
 * The journal on the loop: opening it (blocks), rows read at open, calls turned into jobs for its
 * thread.
 */
#include "store/journal_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "mailfs/error.h"

#define FILE_NAME "journal.db"
#define FILE_NEW  "journal.db.new"

/* Ids are reserved so many at a time, so that one that was given out is not given again. */
#define ID_BLOCK 4096u

/* ---- the file -------------------------------------------------------------------------------- */

static bool fail_errno(GError **error, const char *path, int r)
{
	g_set_error(
		error, MAILFS_ERROR, store_error_code(r), "journal %s: %s", path, g_strerror(-r));
	return false;
}

static bool fail_unreadable(GError **error, const char *path, const char *why)
{
	g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_DISK,
		"the journal %s cannot be used: %s. It may hold changes and new messages that are not on "
		"the server yet (the files in spool/ beside it are whole messages). Move its directory "
		"away, keep it until nothing of it is missed, and mount again",
		path, why);
	return false;
}

static bool has_bytes(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
}

static void remove_new(int fd)
{
	static const char *const names[] = { FILE_NEW, FILE_NEW "-wal", FILE_NEW "-journal" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		unlinkat(fd, names[i], 0);
}

static bool fail_sql(GError **error, const char *path, int rc, const char *why)
{
	if (rc != SQLITE_FULL && rc != SQLITE_AUTH)
		return fail_unreadable(error, path, why);
	g_set_error(error, MAILFS_ERROR,
		rc == SQLITE_FULL ? MAILFS_ERROR_NO_SPACE : MAILFS_ERROR_INVALID, "journal %s: %s",
		path, why);
	return false;
}

/* Made aside and renamed, so that an empty file in its place is always damage. */
static bool make_file(
	struct journal *journal, const char *path, const char *identity, GError **error)
{
	int dir_fd = store_dir_fd(journal->dir);
	g_autofree char *new_path = g_strconcat(path, ".new", NULL);
	g_autofree char *why = NULL;
	int rc, fd;

	if (has_bytes(dir_fd, FILE_NAME "-wal") || spool_max_id(journal->spool) > 0)
		return fail_unreadable(
			error, path, "it is missing, but what belongs to it is here");
	remove_new(dir_fd);
	fd = openat(dir_fd, FILE_NEW, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_errno(error, path, -errno);
	close(fd);
	rc = journal_db_create(new_path, identity, &why);
	if (rc != SQLITE_OK) {
		remove_new(dir_fd);
		return fail_sql(error, path, rc, why);
	}
	unlinkat(dir_fd, FILE_NAME "-wal", 0); /* empty */
	if (renameat(dir_fd, FILE_NEW, dir_fd, FILE_NAME) < 0 || fsync(dir_fd) < 0)
		return fail_errno(error, path, -errno);
	return true;
}

/* Ours, and what SQLite will open by its path. */
static bool check_file(int dir_fd, const char *path, GError **error)
{
	struct stat st, by_path;

	if (fstatat(dir_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_errno(error, path, -errno);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return fail_unreadable(error, path, "it is not a file of this user");
	if (st.st_size == 0)
		return fail_unreadable(error, path, "it is empty");
	if ((st.st_mode & 077) != 0 && fchmodat(dir_fd, FILE_NAME, 0600, 0) < 0)
		return fail_errno(error, path, -errno);
	if (lstat(path, &by_path) < 0 || by_path.st_ino != st.st_ino || by_path.st_dev != st.st_dev)
		return fail_unreadable(error, path, "its path leads elsewhere");
	return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

static uint64_t max_row_id(const struct journal *journal)
{
	uint64_t max = 0;

	for (int kind = 0; kind < JOURNAL_KINDS; kind++) {
		for (guint i = 0; journal_tables[kind].has_id && i < journal->rows[kind]->len;
			i++) {
			const uint64_t *id = journal_field_const(
				journal->rows[kind]->pdata[i], &journal_tables[kind].columns[0]);

			max = MAX(max, *id);
		}
	}
	for (guint i = 0; i < journal->damaged_drafts->len; i++)
		max = MAX(max, g_array_index(journal->damaged_drafts, uint64_t, i));
	return max;
}

static int read_all(struct journal *journal, struct journal_db *db, const char *path)
{
	unsigned damaged = 0;
	int rc = journal_db_load(db, journal->rows, &damaged);

	if (rc == SQLITE_OK)
		rc = journal_db_damaged_drafts(db, journal->damaged_drafts);
	if (rc == SQLITE_OK)
		rc = journal_db_get_next_id(db, &journal->next_id);
	if (rc == SQLITE_OK && damaged > 0)
		log_warn("journal",
			"%s: %u rows are damaged; they are kept in its table 'damaged', and "
			"messages among them in %s/spool",
			path, damaged, journal->path);
	journal->next_id = MAX(journal->next_id, max_row_id(journal) + 1);
	return rc;
}

static bool open_file(
	struct journal *journal, const char *path, const char *identity, GError **error)
{
	struct journal_db *db = NULL;
	g_autofree char *why = NULL;
	int rc = journal_db_open(path, identity, journal->is_read_only, &db, &why);

	if (rc == SQLITE_AUTH && journal->is_read_only) {
		log_info("journal", "%s is not used: %s", path, why);
		return true;
	}
	if (rc != SQLITE_OK)
		return fail_sql(error, path, rc, why);
	rc = read_all(journal, db, path);
	if (rc != SQLITE_OK) {
		fail_sql(error, path, journal_db_is_full(db, rc) ? SQLITE_FULL : rc,
			journal_db_error(db));
		journal_db_close(db);
		return false;
	}
	if (journal->is_read_only)
		journal_db_close(db);
	else
		journal->thread = journal_thread_new(db, path, journal->link);
	return true;
}

static bool open_for_writing(
	struct journal *journal, const struct journal_config *config, GError **error)
{
	struct stat st;
	const char *path;

	journal->dir = store_dir_new_state(config->dir, FILE_NAME, error);
	if (!journal->dir)
		return false;
	path = store_dir_index_path(journal->dir);
	journal->spool = spool_new(journal, store_dir_fd(journal->dir), error);
	if (!journal->spool)
		return false;
	if (fstatat(store_dir_fd(journal->dir), FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
		errno == ENOENT && !make_file(journal, path, config->identity, error))
		return false;
	if (!check_file(store_dir_fd(journal->dir), path, error) ||
		!open_file(journal, path, config->identity, error))
		return false;
	journal->next_id = MAX(journal->next_id, spool_max_id(journal->spool) + 1);
	return true;
}

/* Takes what is there; another mount that writes has the lock, then there is nothing. */
static bool open_for_reading(
	struct journal *journal, const struct journal_config *config, GError **error)
{
	g_autofree char *path = g_build_filename(config->dir, FILE_NAME, NULL);
	SCOPED(fd_closep) int fd = open(config->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_autoptr(GError) no_spool = NULL;
	struct stat st;

	if (fd < 0 || fstatat(fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || fail_errno(error, path, -errno);
	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		log_info("journal", "%s is used by another mount: its names are not shown here",
			path);
		return true;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return fail_unreadable(error, path, "it is not a file of this user");
	journal->spool = spool_new(journal, fd, &no_spool);
	if (!journal->spool)
		log_info("journal", "what is kept cannot be read: %s", no_spool->message);
	return open_file(journal, path, config->identity, error);
}

static struct journal *journal_alloc(const struct journal_config *config)
{
	struct journal *journal = g_new0(struct journal, 1);

	journal->path = g_strdup(config->dir);
	journal->is_read_only = config->is_read_only;
	journal->link = journal_link_new(journal);
	journal->next_id = 1;
	journal->damaged_drafts = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	for (int kind = 0; kind < JOURNAL_KINDS; kind++)
		journal->rows[kind] = g_ptr_array_new();
	return journal;
}

struct journal *journal_open(const struct journal_config *config, GError **error)
{
	struct journal *journal = journal_alloc(config);
	bool is_open = config->is_read_only ? open_for_reading(journal, config, error)
					    : open_for_writing(journal, config, error);

	journal->reserved_id = journal->next_id;
	if (is_open)
		return journal;
	journal_close(journal);
	return NULL;
}

static void forget_rows(struct journal *journal, enum journal_kind kind)
{
	GPtrArray *rows = g_steal_pointer(&journal->rows[kind]);

	for (guint i = 0; rows && i < rows->len; i++)
		journal_row_free(kind, rows->pdata[i]);
	if (rows)
		g_ptr_array_unref(rows);
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->spool)
		spool_close(journal->spool);
	if (journal->thread)
		journal_thread_join(journal->thread);
	journal->thread = NULL;
	journal->is_closed = true;
	while (g_async_queue_length(journal->link->results) > 0)
		journal_link_deliver(journal->link);
	if (journal->spool)
		spool_free(journal->spool);
	for (int kind = 0; kind < JOURNAL_KINDS; kind++)
		forget_rows(journal, (enum journal_kind)kind);
	g_array_unref(journal->damaged_drafts);
	journal_link_unref(journal->link);
	store_dir_unref(journal->dir);
	g_free(journal->path);
	g_free(journal);
}

/* ---- reading --------------------------------------------------------------------------------- */

void journal_visit(struct journal *journal, const struct journal_visitor *visitor, void *user)
{
	const bool is_wanted[JOURNAL_KINDS] = {
		[JOURNAL_KIND_FLAGS] = visitor->flags != NULL,
		[JOURNAL_KIND_MOVE] = visitor->move != NULL,
		[JOURNAL_KIND_DRAFT] = visitor->draft != NULL,
		[JOURNAL_KIND_NAME] = visitor->name != NULL,
		[JOURNAL_KIND_KEPT] = visitor->kept != NULL,
	};

	for (int kind = 0; kind < JOURNAL_KINDS; kind++) {
		g_autoptr(GPtrArray) rows =
			is_wanted[kind] ? g_steal_pointer(&journal->rows[kind]) : NULL;

		for (guint i = 0; rows && i < rows->len; i++) {
			void *row = rows->pdata[i];

			if (kind == JOURNAL_KIND_FLAGS)
				visitor->flags(user, row);
			else if (kind == JOURNAL_KIND_MOVE)
				visitor->move(user, row);
			else if (kind == JOURNAL_KIND_DRAFT)
				visitor->draft(user, row);
			else if (kind == JOURNAL_KIND_KEPT)
				visitor->kept(user, row);
			else
				visitor->name(user, row);
			journal_row_free((enum journal_kind)kind, row);
		}
	}
}

/* ---- writing --------------------------------------------------------------------------------- */

static void post(struct journal *journal, const struct journal_job *template)
{
	struct journal_job *job = g_memdup2(template, sizeof(*template));

	g_assert(!journal->is_closed);
	journal->pending++;
	if (journal->thread) {
		journal_thread_post(journal->thread, job);
		return;
	}
	g_set_error(&job->error, MAILFS_ERROR, MAILFS_ERROR_READ_ONLY, "mounted read-only");
	journal_job_answer(job, journal->link);
}

void journal_answered(struct journal *journal, struct journal_job *job)
{
	journal->pending--;
	if (job->done)
		job->done(job->user, job->error);
}

static int run_next_id(struct journal_db *db, const struct journal_job *job)
{
	return journal_db_set_next_id(db, job->next_id);
}

uint64_t journal_new_id(struct journal *journal)
{
	if (journal->next_id >= journal->reserved_id) {
		journal->reserved_id = journal->next_id + ID_BLOCK;
		post(journal, &(struct journal_job){
				      .run = run_next_id, .next_id = journal->reserved_id });
	}
	return journal->next_id++;
}

static int run_put(struct journal_db *db, const struct journal_job *job)
{
	return journal_db_put(db, job->kind, job->row);
}

static void put(struct journal *journal, enum journal_kind kind, const void *row,
	enum journal_durability durability, store_done_fn done, void *user)
{
	post(journal, &(struct journal_job){ .run = run_put,
			      .is_synced = durability == JOURNAL_SYNCED,
			      .kind = kind,
			      .row = journal_row_copy(kind, row),
			      .done = done,
			      .user = user });
}

void journal_put_flags(struct journal *journal, const struct journal_flags *row,
	enum journal_durability durability, store_done_fn done, void *user)
{
	g_assert(row->id != 0 && row->folder);
	put(journal, JOURNAL_KIND_FLAGS, row, durability, done, user);
}

void journal_put_move(struct journal *journal, const struct journal_move *row,
	enum journal_durability durability, store_done_fn done, void *user)
{
	g_assert(row->id != 0 && row->folder);
	put(journal, JOURNAL_KIND_MOVE, row, durability, done, user);
}

void journal_put_draft(struct journal *journal, const struct journal_draft *row,
	enum journal_durability durability, store_done_fn done, void *user)
{
	g_assert(row->id != 0 && row->folder && row->name);
	put(journal, JOURNAL_KIND_DRAFT, row, durability, done, user);
}

struct journal_kept *journal_kept_copy(const struct journal_kept *row)
{
	return journal_row_copy(JOURNAL_KIND_KEPT, row);
}

void journal_kept_free(struct journal_kept *row)
{
	journal_row_free(JOURNAL_KIND_KEPT, row);
}

void journal_put_kept(struct journal *journal, const struct journal_kept *row,
	enum journal_durability durability, store_done_fn done, void *user)
{
	g_assert(row->id != 0 && row->folder && row->key);
	put(journal, JOURNAL_KIND_KEPT, row, durability, done, user);
}

void journal_put_name(
	struct journal *journal, const struct journal_name *row, store_done_fn done, void *user)
{
	g_assert(row->folder && row->name);
	put(journal, JOURNAL_KIND_NAME, row, JOURNAL_LAZY, done, user);
}

static int run_drop(struct journal_db *db, const struct journal_job *job)
{
	int rc = SQLITE_OK;

	for (guint i = 0; rc == SQLITE_OK && i < job->ids->len; i++)
		rc = journal_db_drop(db, g_array_index(job->ids, uint64_t, i));
	return rc;
}

void journal_drop(struct journal *journal, const uint64_t *ids, size_t count,
	enum journal_durability durability, store_done_fn done, void *user)
{
	GArray *copy = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	g_array_append_vals(copy, ids, (guint)count);
	post(journal, &(struct journal_job){ .run = run_drop,
			      .is_synced = durability == JOURNAL_SYNCED,
			      .ids = copy,
			      .done = done,
			      .user = user });
}

static int run_drop_name(struct journal_db *db, const struct journal_job *job)
{
	return journal_db_drop_name(db, job->folder, job->uidvalidity, job->uid);
}

void journal_drop_name(
	struct journal *journal, const char *folder, uint32_t uidvalidity, uint32_t uid)
{
	post(journal, &(struct journal_job){ .run = run_drop_name,
			      .folder = g_strdup(folder),
			      .uidvalidity = uidvalidity,
			      .uid = uid });
}

static int run_drop_names(struct journal_db *db, const struct journal_job *job)
{
	return journal_db_drop_names(db, job->folder, job->uidvalidity);
}

void journal_drop_names(struct journal *journal, const char *folder, uint32_t uidvalidity_kept)
{
	post(journal, &(struct journal_job){ .run = run_drop_names,
			      .folder = g_strdup(folder),
			      .uidvalidity = uidvalidity_kept });
}

static int run_rename(struct journal_db *db, const struct journal_job *job)
{
	return journal_db_rename_folder(db, job->folder, job->to, job->delimiter);
}

void journal_rename_folder(struct journal *journal, const char *from, const char *to,
	char delimiter, store_done_fn done, void *user)
{
	post(journal, &(struct journal_job){ .run = run_rename,
			      .is_synced = true,
			      .folder = g_strdup(from),
			      .to = g_strdup(to),
			      .delimiter = delimiter,
			      .done = done,
			      .user = user });
}

unsigned journal_pending(const struct journal *journal)
{
	return journal->pending;
}
