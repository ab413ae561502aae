/* SPDX-License-Identifier: MIT */
/*
 * Posting between threads, on GLib's queue, context and pool: the only primitives used. The loop
 * is the default main context.
 */
#include "base/post.h"

#include <glib.h>

struct job {
	post_fn fn;
	void *data;
};

struct post_thread {
	GThread *thread;
	GAsyncQueue *jobs;
};

static GAsyncQueue *loop_jobs; /* struct job */
static GThreadPool *workers;

static struct job *job_new(post_fn fn, void *data)
{
	struct job *job = g_new(struct job, 1);

	*job = (struct job){ .fn = fn, .data = data };
	return job;
}

static void job_run_free(struct job *job)
{
	job->fn(job->data);
	g_free(job);
}

/* ---- to the loop --------------------------------------------------------------------------- */

static gboolean loop_prepare(GSource *source, int *ret_timeout_ms)
{
	*ret_timeout_ms = -1;
	return g_async_queue_length(loop_jobs) > 0;
}

static gboolean loop_check(GSource *source)
{
	return g_async_queue_length(loop_jobs) > 0;
}

/* What is there now; what these jobs post comes in the next turn, behind all other sources. */
static gboolean loop_dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
	struct job *job;

	for (int left = g_async_queue_length(loop_jobs); left > 0; left--) {
		job = g_async_queue_try_pop(loop_jobs);
		if (!job)
			break; /* a job ran the loop itself */
		job_run_free(job);
	}
	return G_SOURCE_CONTINUE;
}

/* One source for ever: one per post would cost more than most jobs. */
static gpointer loop_init(gpointer data)
{
	static GSourceFuncs funcs = { loop_prepare, loop_check, loop_dispatch };
	GSource *source = g_source_new(&funcs, sizeof(GSource));

	loop_jobs = g_async_queue_new();
	g_source_set_static_name(source, "mailfs posts");
	g_source_set_can_recurse(source, TRUE);
	/* Default priority: results of other threads must not starve behind I/O. */
	g_source_attach(source, NULL);
	g_source_unref(source);
	return NULL;
}

void post_to_loop(post_fn fn, void *data)
{
	static GOnce once = G_ONCE_INIT;
	bool is_first;

	g_once(&once, loop_init, NULL);
	g_async_queue_lock(loop_jobs);
	is_first = g_async_queue_length_unlocked(loop_jobs) <= 0;
	g_async_queue_push_unlocked(loop_jobs, job_new(fn, data));
	g_async_queue_unlock(loop_jobs);
	/* The loop looks at the queue before it sleeps. */
	if (is_first && !g_main_context_is_owner(NULL))
		g_main_context_wakeup(NULL);
}

/* ---- to other threads ---------------------------------------------------------------------- */

static void on_worker(gpointer data, gpointer user)
{
	job_run_free(data);
}

void post_workers_start(unsigned count)
{
	g_assert(!workers);
	workers = g_thread_pool_new(on_worker, NULL, (int)count, FALSE, NULL);
}

void post_workers_stop(void)
{
	GThreadPool *stopping = g_steal_pointer(&workers);

	if (stopping)
		g_thread_pool_free(stopping, FALSE, TRUE);
}

void post_to_worker(post_fn fn, void *data)
{
	g_assert(workers);
	g_thread_pool_push(workers, job_new(fn, data), NULL);
}

static gpointer thread_main(gpointer data)
{
	struct post_thread *thread = data;

	struct job *job;

	while ((job = g_async_queue_pop(thread->jobs))->fn)
		job_run_free(job);
	g_free(job);
	/* What the last jobs posted to their own thread, else it would leak. */
	while ((job = g_async_queue_try_pop(thread->jobs)))
		job_run_free(job);
	return NULL;
}

struct post_thread *post_thread_new(const char *name)
{
	struct post_thread *thread = g_new0(struct post_thread, 1);

	thread->jobs = g_async_queue_new();
	thread->thread = g_thread_new(name, thread_main, thread);
	return thread;
}

void post_to_thread(struct post_thread *thread, post_fn fn, void *data)
{
	g_assert(fn);
	g_async_queue_push(thread->jobs, job_new(fn, data));
}

void post_thread_join(struct post_thread *thread)
{
	g_async_queue_push(thread->jobs, job_new(NULL, NULL));
	g_thread_join(thread->thread);
	g_async_queue_unref(thread->jobs);
	g_free(thread);
}
