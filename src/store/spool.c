/* SPDX-License-Identifier: MIT */
/*
 * The spool on the loop: which files there are, and the queue of jobs of each. A file has one job
 * with a worker at most, so its order holds and its fds have one user.
 */
#include "store/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/post.h"
#include "mailfs/error.h"
#include "store/journal_impl.h"
#include "store/spool_disk.h"

#define ID_END (1ull << 56) /* ids are part of inode numbers */

struct spool {
	struct journal *journal;
	int dir_fd;
	GHashTable *sizes; /* uint64_t id → uint64_t size, of the files there are */
	GHashTable *files; /* id → struct spool_file *, that somebody holds or that have jobs */
	uint64_t bytes, max_id;
	GAsyncQueue *results; /* struct spool_job *, that workers are done with */
	unsigned jobs_out;
};

struct spool_file {
	struct spool *spool; /* NULL after spool_free() */
	unsigned refs;       /* jobs hold one each */
	uint64_t size;
	bool is_removed;
	GQueue jobs;            /* struct spool_job *; the first one is with a worker */
	struct spool_disk disk; /* its worker's while there are jobs */
};

enum verb {
	VERB_WRITE,
	VERB_TRUNCATE,
	VERB_READ,
	VERB_READ_WIRE,
	VERB_SYNC,
	VERB_SCAN,
	VERB_MAKE,
	VERB_FREEZE,
	VERB_REMOVE
};

struct spool_job {
	struct spool_file *file;
	GAsyncQueue *results;
	enum verb verb;
	struct mailfs_range range; /* .offset alone: WRITE, the size: TRUNCATE */
	GBytes *bytes;             /* to be written, or what was read */
	struct spool_wire wire;

	int r;
	uint64_t disk_size;
	bool has_size;

	store_done_fn done;
	spool_read_fn read_done;
	spool_wire_fn wire_done;
	void *user;
};

/* ---- what is there -----------------------------------------------------------------------------
 */

static void set_known_size(struct spool *spool, uint64_t id, uint64_t size)
{
	uint64_t *known = g_hash_table_lookup(spool->sizes, &id);

	if (!known) {
		known = g_new0(uint64_t, 1);
		g_hash_table_insert(spool->sizes, g_memdup2(&id, sizeof(id)), known);
	}
	spool->bytes += size - *known;
	*known = size;
	spool->max_id = MAX(spool->max_id, id);
}

static void forget_size(struct spool *spool, uint64_t id)
{
	const uint64_t *known = g_hash_table_lookup(spool->sizes, &id);

	if (!known)
		return;
	spool->bytes -= *known;
	g_hash_table_remove(spool->sizes, &id);
}

/* A wire form is made again when it is needed. */
static void note_file(struct spool *spool, int dir_fd, const char *name)
{
	struct stat st;
	uint64_t id;

	if (g_str_has_suffix(name, ".wire") && !spool->journal->is_read_only)
		unlinkat(dir_fd, name, 0);
	else if (parse_u64(name, strlen(name), &id) && id != 0 && id < ID_END &&
		 fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
		set_known_size(spool, id, (uint64_t)st.st_size);
}

static int list_files(struct spool *spool)
{
	int fd = openat(spool->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int r;

	if (!dir) {
		r = -errno;
		fd_closep(&fd);
		return r;
	}
	errno = 0;
	while ((entry = readdir(dir)))
		note_file(spool, spool->dir_fd, entry->d_name);
	r = -errno;
	closedir(dir);
	return r;
}

struct spool *spool_new(struct journal *journal, int parent_fd, GError **error)
{
	struct spool *spool = g_new0(struct spool, 1);
	int r;

	spool->journal = journal;
	spool->dir_fd = -1;
	spool->sizes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	spool->files = g_hash_table_new(g_int64_hash, g_int64_equal);
	spool->results = g_async_queue_new();
	r = spool_disk_open_dir(parent_fd, journal->is_read_only, &spool->dir_fd);
	if (r == 0)
		r = list_files(spool);
	if (r == 0)
		return spool;
	g_set_error(error, MAILFS_ERROR, store_error_code(r), "state directory %s/spool: %s",
		journal->path, g_strerror(-r));
	spool_free(spool);
	return NULL;
}

uint64_t spool_max_id(const struct spool *spool)
{
	return spool->max_id;
}

uint64_t spool_bytes(const struct journal *journal)
{
	return journal->spool ? journal->spool->bytes : 0;
}

bool spool_has(const struct journal *journal, uint64_t id, uint64_t *ret_size)
{
	const uint64_t *size =
		journal->spool ? g_hash_table_lookup(journal->spool->sizes, &id) : NULL;

	if (!size)
		return false;
	*ret_size = *size;
	return true;
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

static int run_verb(struct spool_job *job, struct spool_disk *disk)
{
	GBytes *bytes = NULL;
	int wire_fd = disk->is_wire_file ? disk->fd : disk->wire_fd;
	int r;

	switch (job->verb) {
	case VERB_WRITE:
		return spool_disk_write(disk, job->range.offset, job->bytes);
	case VERB_TRUNCATE:
		return spool_disk_truncate(disk, job->range.len);
	case VERB_SYNC:
		return spool_disk_sync(disk);
	case VERB_SCAN:
	case VERB_MAKE:
		return spool_disk_scan(disk, job->verb == VERB_MAKE, &job->wire);
	case VERB_FREEZE:
		return spool_disk_freeze(disk);
	case VERB_READ:
	case VERB_READ_WIRE:
		if (job->verb == VERB_READ)
			wire_fd = disk->fd;
		r = wire_fd < 0 ? -EBADF : spool_disk_read(wire_fd, job->range, &bytes);
		job->bytes = bytes;
		return r;
	case VERB_REMOVE:
		break;
	}
	return 0;
}

static void deliver(void *data);

static void run_job(void *data)
{
	struct spool_job *job = data;
	struct spool_disk *disk = &job->file->disk;
	GAsyncQueue *results = g_async_queue_ref(job->results);

	if (job->verb == VERB_REMOVE) {
		spool_disk_remove(disk);
	} else {
		job->r = spool_disk_open(disk);
		if (job->r == 0)
			job->r = run_verb(job, disk);
		job->has_size = disk->fd >= 0 && spool_disk_size(disk, &job->disk_size) == 0;
	}
	g_async_queue_push(results, job);
	post_to_loop(deliver, results);
}

static void post_job(struct spool_job *job)
{
	job->file->spool->jobs_out++;
	post_to_worker(run_job, job);
}

static void apply_size(struct spool_file *file, const struct spool_job *job)
{
	if (job->verb == VERB_WRITE)
		file->size = MAX(file->size, job->range.offset + g_bytes_get_size(job->bytes));
	else if (job->verb == VERB_TRUNCATE)
		file->size = job->range.len;
}

/* What was counted on did not happen: the size is the disk's, and then what is still to come. */
static void recount(struct spool_file *file, const struct spool_job *failed)
{
	file->size = failed->has_size ? failed->disk_size : 0;
	for (GList *link = file->jobs.head; link; link = link->next)
		apply_size(file, link->data);
}

static void answer(struct spool_job *job)
{
	g_autoptr(GError) error = NULL;

	if (job->r < 0)
		g_set_error(&error, MAILFS_ERROR, store_error_code(job->r), "spool: %s",
			g_strerror(-job->r));
	if (job->done)
		job->done(job->user, error);
	else if (job->read_done)
		job->read_done(job->user, error ? NULL : job->bytes, error);
	else if (job->wire_done)
		job->wire_done(job->user, error ? NULL : &job->wire, error);
	else
		g_free(job->wire.message_id);
}

static void note_result(struct spool *spool, struct spool_job *job)
{
	struct spool_file *file = job->file;

	g_queue_pop_head(&file->jobs);
	file->is_removed |= job->verb == VERB_REMOVE;
	if (file->is_removed)
		forget_size(spool, file->disk.id);
	else if (job->has_size)
		set_known_size(spool, file->disk.id, job->disk_size);
	if (job->r < 0 && (job->verb == VERB_WRITE || job->verb == VERB_TRUNCATE))
		recount(file, job);
}

static void finish(struct spool *spool, struct spool_job *job)
{
	struct spool_file *file = job->file;

	spool->jobs_out--;
	note_result(spool, job);
	if (!g_queue_is_empty(&file->jobs))
		post_job(g_queue_peek_head(&file->jobs));
	answer(job);
	if (job->bytes)
		g_bytes_unref(job->bytes);
	g_async_queue_unref(job->results);
	g_free(job);
	spool_file_unref(file);
}

static void deliver(void *data)
{
	GAsyncQueue *results = data;
	/* Empty: spool_free() has taken it. */
	struct spool_job *job = g_async_queue_try_pop(results);

	if (job)
		finish(job->file->spool, job);
	g_async_queue_unref(results);
}

static void push(struct spool_file *file, const struct spool_job *template)
{
	struct spool_job *job = g_memdup2(template, sizeof(*template));

	g_assert(file->spool);
	job->file = spool_file_ref(file);
	job->results = g_async_queue_ref(file->spool->results);
	apply_size(file, job);
	g_queue_push_tail(&file->jobs, job);
	if (file->jobs.length == 1)
		post_job(job);
}

void spool_close(struct spool *spool)
{
	while (spool->jobs_out > 0)
		finish(spool, g_async_queue_pop(spool->results));
}

void spool_free(struct spool *spool)
{
	GHashTableIter iter;
	gpointer file;

	g_hash_table_iter_init(&iter, spool->files);
	while (g_hash_table_iter_next(&iter, NULL, &file)) {
		((struct spool_file *)file)->spool = NULL;
		spool_disk_close(&((struct spool_file *)file)->disk);
	}
	g_hash_table_unref(spool->files);
	g_hash_table_unref(spool->sizes);
	g_async_queue_unref(spool->results);
	fd_closep(&spool->dir_fd);
	g_free(spool);
}

/* ---- files -------------------------------------------------------------------------------------
 */

struct spool_file *spool_file_open(struct journal *journal, uint64_t id, bool is_new)
{
	struct spool *spool = journal->spool;
	struct spool_file *file = g_hash_table_lookup(spool->files, &id);

	if (file)
		return spool_file_ref(file);
	file = g_new0(struct spool_file, 1);
	file->spool = spool;
	file->refs = 1;
	file->disk = (struct spool_disk){
		.dir_fd = spool->dir_fd, .id = id, .is_new = is_new, .fd = -1, .wire_fd = -1,
		.is_read_only = journal->is_read_only,
	};
	if (!is_new)
		spool_has(journal, id, &file->size);
	g_queue_init(&file->jobs);
	g_hash_table_insert(spool->files, &file->disk.id, file);
	return file;
}

struct spool_file *spool_file_ref(struct spool_file *file)
{
	file->refs++;
	return file;
}

void spool_file_unref(struct spool_file *file)
{
	if (!file || --file->refs > 0)
		return;
	if (file->spool)
		g_hash_table_remove(file->spool->files, &file->disk.id);
	spool_disk_close(&file->disk);
	g_free(file);
}

uint64_t spool_file_size(const struct spool_file *file)
{
	return file->size;
}

void spool_file_set_size(struct spool_file *file, uint64_t size)
{
	file->size = size;
}

/* ---- calls -------------------------------------------------------------------------------------
 */

void spool_write(
	struct spool_file *file, uint64_t offset, GBytes *bytes, store_done_fn done, void *user)
{
	push(file, &(struct spool_job){ .verb = VERB_WRITE,
			   .range.offset = offset,
			   .bytes = g_bytes_ref(bytes),
			   .done = done,
			   .user = user });
}

void spool_truncate(struct spool_file *file, uint64_t size, store_done_fn done, void *user)
{
	push(file, &(struct spool_job){
			   .verb = VERB_TRUNCATE, .range.len = size, .done = done, .user = user });
}

void spool_read(struct spool_file *file, struct mailfs_range range, spool_read_fn done, void *user)
{
	push(file, &(struct spool_job){
			   .verb = VERB_READ, .range = range, .read_done = done, .user = user });
}

void spool_sync(struct spool_file *file, store_done_fn done, void *user)
{
	push(file, &(struct spool_job){ .verb = VERB_SYNC, .done = done, .user = user });
}

void spool_make_wire(struct spool_file *file, spool_wire_fn done, void *user)
{
	push(file, &(struct spool_job){ .verb = VERB_MAKE, .wire_done = done, .user = user });
}

void spool_scan(struct spool_file *file, spool_wire_fn done, void *user)
{
	push(file, &(struct spool_job){ .verb = VERB_SCAN, .wire_done = done, .user = user });
}

void spool_freeze_wire(struct spool_file *file, store_done_fn done, void *user)
{
	push(file, &(struct spool_job){ .verb = VERB_FREEZE, .done = done, .user = user });
}

void spool_read_wire(
	struct spool_file *file, struct mailfs_range range, spool_read_fn done, void *user)
{
	push(file,
		&(struct spool_job){
			.verb = VERB_READ_WIRE, .range = range, .read_done = done, .user = user });
}

void spool_remove(struct journal *journal, uint64_t id)
{
	struct spool_file *file = spool_file_open(journal, id, false);

	push(file, &(struct spool_job){ .verb = VERB_REMOVE });
	spool_file_unref(file);
}

static bool is_in(const uint64_t *ids, size_t count, uint64_t id)
{
	for (size_t i = 0; i < count; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

void spool_sweep(struct journal *journal, const uint64_t *known_ids, size_t count)
{
	const GArray *damaged = journal->damaged_drafts;
	g_autoptr(GHashTable) known = g_hash_table_new(g_int64_hash, g_int64_equal);
	g_autoptr(GArray) orphans = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	GHashTableIter iter;
	gpointer key;

	if (!journal->spool)
		return;
	for (size_t i = 0; i < count; i++)
		g_hash_table_add(known, (gpointer)&known_ids[i]);
	g_hash_table_iter_init(&iter, journal->spool->sizes);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		if (!g_hash_table_contains(known, key) &&
			!is_in((const uint64_t *)(const void *)damaged->data, damaged->len,
				*(uint64_t *)key))
			g_array_append_val(orphans, *(uint64_t *)key);
	}
	for (guint i = 0; i < orphans->len; i++)
		spool_remove(journal, g_array_index(orphans, uint64_t, i));
}
