/* SPDX-License-Identifier: MIT */
/*
 * The store thread and the way back from workers. Jobs that write join the open transaction; a
 * commit job, posted behind what is queued when a transaction begins, ends it, so that many small
 * batches cost one commit.
 */
#include "store/thread.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/post.h"
#include "mailfs/error.h"
#include "store/store_impl.h"

/* A transaction ends here even while more is queued, so that answers do not wait for long. */
#define ROWS_PER_COMMIT 20000

struct store_thread {
	struct post_thread *thread;
	struct index *index;
	struct store_dir *dir;
	struct store_link *link;

	GAsyncQueue *reached; /* gets one word when a sync or the end is reached */
	bool is_broken;

	/* since the last commit */
	bool is_open, is_commit_posted;
	unsigned rows;
	GPtrArray *answers; /* struct store_job *, run */
};

/* ---- link ---------------------------------------------------------------------------------- */

struct store_link *store_link_new(struct store *store)
{
	struct store_link *link = g_atomic_rc_box_new0(struct store_link);

	link->store = store;
	link->results = g_async_queue_new();
	return link;
}

struct store_link *store_link_ref(struct store_link *link)
{
	return g_atomic_rc_box_acquire(link);
}

static void link_clear(gpointer data)
{
	struct store_link *link = data;

	g_async_queue_unref(link->results);
}

void store_link_unref(struct store_link *link)
{
	g_atomic_rc_box_release_full(link, link_clear);
}

/* ---- answers ------------------------------------------------------------------------------- */

struct answers {
	struct store_link *link;
	GPtrArray *jobs;
	bool is_broken;
};

static void job_free(struct store_job *job)
{
	g_clear_error(&job->error);
	if (job->free)
		job->free(job);
	else
		g_free(job);
}

static void answers_deliver(void *data)
{
	struct answers *answers = data;

	for (guint i = 0; i < answers->jobs->len; i++) {
		struct store_job *job = g_ptr_array_index(answers->jobs, i);
		struct store *store = answers->link->store; /* an answer may close it */

		if (store && answers->is_broken)
			store->is_broken = true;
		if (store && job->answer)
			job->answer(store, job, job->error);
		job_free(job);
	}
	g_ptr_array_unref(answers->jobs);
	store_link_unref(answers->link);
	g_free(answers);
}

/* Takes `jobs`. */
static void send_answers(struct store_thread *thread, GPtrArray *jobs)
{
	struct answers *answers = g_new(struct answers, 1);

	*answers = (struct answers){
		.link = store_link_ref(thread->link),
		.jobs = jobs,
		.is_broken = thread->is_broken,
	};
	post_to_loop(answers_deliver, answers);
}

static void flush_answers(struct store_thread *thread)
{
	if (thread->answers->len == 0)
		return;
	for (guint i = 0; i < thread->answers->len; i++) {
		struct store_job *job = g_ptr_array_index(thread->answers, i);

		if (job->after)
			job->after(thread, job);
	}
	send_answers(thread, g_steal_pointer(&thread->answers));
	thread->answers = g_ptr_array_new();
}

/* ---- transactions -------------------------------------------------------------------------- */

static bool is_damage(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_NOMEM:
	case SQLITE_BUSY:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
		return false;
	default:
		return true;
	}
}

static void set_error(struct store_job *job, int rc, const char *text)
{
	int code = (rc & 0xff) == SQLITE_FULL ? MAILFS_ERROR_NO_SPACE : MAILFS_ERROR_DISK;

	if (!job->error)
		g_set_error(&job->error, MAILFS_ERROR, code, "cache index: %s", text);
}

/* Everything since the last commit is lost, and nothing more is written: what follows might build
 * on what was lost. */
static void thread_break(struct store_thread *thread, int rc)
{
	g_autofree char *why = g_strdup(index_error(thread->index));

	if (thread->is_open)
		index_rollback(thread->index);
	for (guint i = 0; i < thread->answers->len; i++) {
		struct store_job *job = g_ptr_array_index(thread->answers, i);

		if (job->is_write)
			set_error(job, rc, why);
	}
	if (!thread->is_broken)
		log_warn("store", "index %s failed (%s): nothing more is cached until the next mount",
			store_dir_index_path(thread->dir), why);
	if (is_damage(rc))
		store_dir_mark_suspect(thread->dir);
	thread->is_broken = true;
	thread->is_open = false;
	thread->rows = 0;
}

static void thread_commit(struct store_thread *thread)
{
	int rc;

	if (thread->is_open) {
		rc = fault_is_full("index: commit") ? SQLITE_FULL : index_commit(thread->index);
		if (rc != SQLITE_OK)
			thread_break(thread, rc);
		thread->is_open = false;
		thread->rows = 0;
	}
	flush_answers(thread);
}

static void on_commit(void *data)
{
	struct store_thread *thread = data;

	thread->is_commit_posted = false;
	thread_commit(thread);
}

static int thread_begin(struct store_thread *thread)
{
	int rc;

	if (thread->is_open)
		return SQLITE_OK;
	rc = index_begin(thread->index);
	if (rc != SQLITE_OK)
		return rc;
	thread->is_open = true;
	if (!thread->is_commit_posted)
		post_to_thread(thread->thread, on_commit, thread);
	thread->is_commit_posted = true;
	return SQLITE_OK;
}

static void answer_early(struct store_thread *thread, struct store_job *job)
{
	GPtrArray *jobs = g_ptr_array_new();

	g_ptr_array_set_size(thread->answers, (gint)thread->answers->len - 1);
	g_ptr_array_add(jobs, job);
	send_answers(thread, jobs);
}

static void run_job(void *data)
{
	struct store_job *job = data;
	struct store_thread *thread = job->thread;
	int rc = SQLITE_OK;

	g_ptr_array_add(thread->answers, job);
	if (job->is_write && thread->is_broken)
		set_error(job, SQLITE_IOERR, "failed before");
	else if (job->is_write)
		rc = thread_begin(thread);

	if (rc == SQLITE_OK && !job->error)
		rc = job->run(thread, job);
	if (rc != SQLITE_OK) {
		set_error(job, rc, index_error(thread->index));
		thread_break(thread, rc);
	}

	if (job->is_early && rc == SQLITE_OK) {
		answer_early(thread, job);
		return;
	}
	thread->rows += job->rows;
	if (!thread->is_open || thread->rows >= ROWS_PER_COMMIT)
		thread_commit(thread);
}

void store_thread_post(struct store_thread *thread, struct store_job *job)
{
	job->thread = thread;
	post_to_thread(thread->thread, run_job, job);
}

/* ---- life ---------------------------------------------------------------------------------- */

struct index *store_thread_index(struct store_thread *thread)
{
	return thread->index;
}

struct store_dir *store_thread_dir(struct store_thread *thread)
{
	return thread->dir;
}

struct store_thread *store_thread_new(struct index *index, struct store_dir *dir,
	struct store_link *link)
{
	struct store_thread *thread = g_new0(struct store_thread, 1);

	thread->index = index;
	thread->dir = store_dir_ref(dir);
	thread->link = store_link_ref(link);
	thread->answers = g_ptr_array_new();
	thread->reached = g_async_queue_new();
	thread->thread = post_thread_new("store");
	return thread;
}

static void on_sync(void *data)
{
	struct store_thread *thread = data;

	thread_commit(thread);
	g_async_queue_push(thread->reached, thread);
}

void store_thread_sync(struct store_thread *thread)
{
	post_to_thread(thread->thread, on_sync, thread);
	g_async_queue_pop(thread->reached);
}

static void on_close(void *data)
{
	struct store_thread *thread = data;

	thread_commit(thread);
	g_clear_pointer(&thread->index, index_close);
	g_async_queue_push(thread->reached, thread);
}

void store_thread_join(struct store_thread *thread)
{
	/* Two steps: the last jobs may have posted an on_commit behind on_close. */
	post_to_thread(thread->thread, on_close, thread);
	g_async_queue_pop(thread->reached);
	post_thread_join(thread->thread);
	g_async_queue_unref(thread->reached);
	g_ptr_array_unref(thread->answers);
	store_dir_unref(thread->dir);
	store_link_unref(thread->link);
	g_free(thread);
}

/* ---- workers ------------------------------------------------------------------------------- */

static void finish_one(struct store_link *link, struct disk_job *job)
{
	link->store->jobs_out--;
	store_link_unref(job->link); /* `link` is held by the caller */
	job->finish(link->store, job);
}

static void on_result(void *data)
{
	struct store_link *link = data;
	/* Empty: store_close() has taken it. */
	struct disk_job *job = g_async_queue_try_pop(link->results);

	if (job)
		finish_one(link, job);
	store_link_unref(link);
}

static void run_disk_job(void *data)
{
	struct disk_job *job = data;
	struct store_link *link = store_link_ref(job->link);

	job->run(job);
	g_async_queue_push(link->results, job);
	post_to_loop(on_result, link);
}

void disk_job_post(struct store *store, struct disk_job *job)
{
	job->link = store_link_ref(store->link);
	store->jobs_out++;
	post_to_worker(run_disk_job, job);
}

void disk_jobs_drain(struct store *store)
{
	while (store->jobs_out > 0)
		finish_one(store->link, g_async_queue_pop(store->link->results));
}
