/* SPDX-License-Identifier: MIT */
/*
 * Group commit: a job that finds no batch begins one and posts the commit behind what is queued by
 * then; while one batch waits for its fsync, the next one gathers.
 */
#include "store/journal_thread.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/post.h"
#include "mailfs/error.h"

/* A transaction ends here even while more is queued. */
#define JOBS_PER_COMMIT 20000
/* Of those that nobody waits for, on a full disk. */
#define KEPT_MAX 10000

struct journal_thread {
	struct post_thread *thread;
	struct journal_db *db;
	char *path;
	struct journal_link *link;

	GPtrArray *batch; /* struct journal_job *, not run yet */
	GPtrArray *answers; /* of the transaction that runs */
	bool is_commit_posted;
	GArray *late_drops; /* uint64_t: rows that could not be dropped yet */
	bool is_full, is_broken;
};

/* ---- answers --------------------------------------------------------------------------------- */

struct journal_link *journal_link_new(struct journal *journal)
{
	struct journal_link *link = g_atomic_rc_box_new0(struct journal_link);

	link->journal = journal;
	link->results = g_async_queue_new();
	return link;
}

struct journal_link *journal_link_ref(struct journal_link *link)
{
	return g_atomic_rc_box_acquire(link);
}

static void link_clear(gpointer data)
{
	g_async_queue_unref(((struct journal_link *)data)->results);
}

void journal_link_unref(struct journal_link *link)
{
	g_atomic_rc_box_release_full(link, link_clear);
}

static void job_free(struct journal_job *job)
{
	if (job->row)
		journal_row_free(job->kind, job->row);
	if (job->ids)
		g_array_unref(job->ids);
	g_free(job->folder);
	g_free(job->to);
	g_clear_error(&job->error);
	g_free(job);
}

void journal_link_deliver(struct journal_link *link)
{
	/* Empty: journal_close() has taken it. */
	g_autoptr(GPtrArray) jobs = g_async_queue_try_pop(link->results);

	for (guint i = 0; jobs && i < jobs->len; i++) {
		struct journal_job *job = g_ptr_array_index(jobs, i);

		/* An answer must not close it. */
		journal_answered(link->journal, job);
		job_free(job);
	}
}

static void on_results(void *data)
{
	struct journal_link *link = data;

	journal_link_deliver(link);
	journal_link_unref(link);
}

/* Takes `jobs`. */
static void send_answers(struct journal_link *link, GPtrArray *jobs)
{
	g_async_queue_push(link->results, jobs);
	post_to_loop(on_results, journal_link_ref(link));
}

void journal_job_answer(struct journal_job *job, struct journal_link *link)
{
	GPtrArray *jobs = g_ptr_array_new();

	g_ptr_array_add(jobs, job);
	send_answers(link, jobs);
}

/* ---- a batch --------------------------------------------------------------------------------- */

static bool is_synced(const GPtrArray *batch)
{
	for (guint i = 0; i < batch->len; i++) {
		const struct journal_job *job = g_ptr_array_index(batch, i);

		if (job->is_synced)
			return true;
	}
	return false;
}

static int run_all(struct journal_thread *thread)
{
	int rc = SQLITE_OK;

	/* First: a row may have been put again since. */
	for (guint i = 0; rc == SQLITE_OK && i < thread->late_drops->len; i++)
		rc = journal_db_drop(thread->db, g_array_index(thread->late_drops, uint64_t, i));
	for (guint i = 0; rc == SQLITE_OK && i < thread->batch->len; i++) {
		const struct journal_job *job = g_ptr_array_index(thread->batch, i);

		rc = fault_is_full("journal: row") ? SQLITE_FULL : job->run(thread->db, job);
	}
	return rc;
}

static int run_transaction(struct journal_thread *thread)
{
	bool want_sync = is_synced(thread->batch);
	int rc = journal_db_begin(thread->db, want_sync);

	if (rc == SQLITE_OK)
		rc = run_all(thread);
	if (rc != SQLITE_OK)
		return rc;
	fault_point("journal: before commit");
	rc = fault_is_full("journal: commit") ? SQLITE_FULL : journal_db_commit(thread->db);
	fault_point("journal: after commit");
	return rc;
}

static void note_failure(struct journal_thread *thread, int rc, const char *why)
{
	bool is_full = journal_db_is_full(thread->db, rc);

	if (is_full && !thread->is_full)
		log_warn("journal", "%s: no space left on the disk: changes are refused",
			thread->path);
	if (!is_full)
		log_warn("journal", "%s failed (%s): changes are refused until the next mount",
			thread->path, why);
	thread->is_full = is_full;
	thread->is_broken = !is_full;
}

/* What nobody waits for is tried again, in its order, with the next transaction. */
static bool is_kept(const struct journal_thread *thread, const struct journal_job *job,
	const GPtrArray *kept)
{
	return thread->is_full && !job->done && kept->len < KEPT_MAX;
}

static void fail_all(struct journal_thread *thread, int code, const char *why)
{
	g_autoptr(GPtrArray) failed = g_steal_pointer(&thread->batch);

	thread->batch = g_ptr_array_new();
	for (guint i = 0; i < failed->len; i++) {
		struct journal_job *job = g_ptr_array_index(failed, i);

		if (is_kept(thread, job, thread->batch)) {
			g_ptr_array_add(thread->batch, job);
			continue;
		}
		g_ptr_array_add(thread->answers, job);
		g_set_error(&job->error, MAILFS_ERROR, code, "journal: %s", why);
		if (job->ids)
			g_array_append_vals(thread->late_drops, job->ids->data, job->ids->len);
	}
}

static void run_batch(struct journal_thread *thread)
{
	int rc;

	if (thread->batch->len == 0 && thread->late_drops->len == 0)
		return;
	thread->answers = g_ptr_array_new();
	if (thread->is_broken) {
		fail_all(thread, MAILFS_ERROR_DISK, "failed before");
	} else {
		rc = run_transaction(thread);
		if (rc == SQLITE_OK) {
			thread->is_full = false;
			g_array_set_size(thread->late_drops, 0);
			g_ptr_array_extend_and_steal(
				thread->answers, g_steal_pointer(&thread->batch));
			thread->batch = g_ptr_array_new();
		} else {
			g_autofree char *why = g_strdup(journal_db_error(thread->db));

			note_failure(thread, rc, why);
			journal_db_rollback(thread->db);
			fail_all(thread,
				thread->is_broken ? MAILFS_ERROR_DISK : MAILFS_ERROR_NO_SPACE, why);
		}
	}
	send_answers(thread->link, g_steal_pointer(&thread->answers));
}

static void on_commit(void *data)
{
	struct journal_thread *thread = data;

	thread->is_commit_posted = false;
	run_batch(thread);
}

static void on_job(void *data)
{
	struct journal_job *job = data;
	struct journal_thread *thread = job->thread;

	g_ptr_array_add(thread->batch, job);
	if (thread->batch->len >= JOBS_PER_COMMIT) {
		run_batch(thread);
		return;
	}
	if (!thread->is_commit_posted)
		post_to_thread(thread->thread, on_commit, thread);
	thread->is_commit_posted = true;
}

void journal_thread_post(struct journal_thread *thread, struct journal_job *job)
{
	job->thread = thread;
	post_to_thread(thread->thread, on_job, job);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct journal_thread *journal_thread_new(
	struct journal_db *db, const char *path, struct journal_link *link)
{
	struct journal_thread *thread = g_new0(struct journal_thread, 1);

	thread->db = db;
	thread->path = g_strdup(path);
	thread->link = journal_link_ref(link);
	thread->batch = g_ptr_array_new();
	thread->late_drops = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	thread->thread = post_thread_new("journal");
	return thread;
}

static void on_close(void *data)
{
	struct journal_thread *thread = data;

	run_batch(thread);
	/* The disk is still full. */
	thread->is_broken = true;
	run_batch(thread);
	g_clear_pointer(&thread->db, journal_db_close);
}

void journal_thread_join(struct journal_thread *thread)
{
	post_to_thread(thread->thread, on_close, thread);
	post_thread_join(thread->thread);
	g_array_unref(thread->late_drops);
	g_ptr_array_unref(thread->batch);
	journal_link_unref(thread->link);
	g_free(thread->path);
	g_free(thread);
}
