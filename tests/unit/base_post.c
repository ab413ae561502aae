/* SPDX-License-Identifier: MIT */
/* Posting between threads. Waits are iterations of the loop, never sleeps. */
#include "base/post.h"

#include <glib.h>

#define POSTS 1000

static GThread *loop_thread;
static int seen[POSTS];
static int seen_count;

static void wait_for_posts(int count)
{
	while (seen_count < count)
		g_main_context_iteration(NULL, TRUE);
}

static void on_loop(void *data)
{
	g_assert_true(g_thread_self() == loop_thread);
	seen[seen_count++] = GPOINTER_TO_INT(data);
}

static gpointer post_all(gpointer data)
{
	for (int i = 0; i < POSTS; i++)
		post_to_loop(on_loop, GINT_TO_POINTER(i));
	return NULL;
}

static void posts_to_the_loop_run_there_in_order(void)
{
	GThread *thread = g_thread_new("poster", post_all, NULL);

	seen_count = 0;
	wait_for_posts(POSTS);
	g_thread_join(thread);
	for (int i = 0; i < POSTS; i++)
		g_assert_cmpint(seen[i], ==, i);
}

static void a_post_from_the_loop_does_not_run_at_once(void)
{
	seen_count = 0;
	post_to_loop(on_loop, NULL);
	g_assert_cmpint(seen_count, ==, 0);
	wait_for_posts(1);
	g_assert_cmpint(seen_count, ==, 1);
	g_assert_false(g_main_context_pending(NULL));
}

static void count_up(void *data)
{
	g_assert_true(g_thread_self() != loop_thread);
	g_atomic_int_inc((int *)data);
}

static void stopping_the_workers_waits_for_their_jobs(void)
{
	int count = 0;

	post_workers_start(2);
	for (int i = 0; i < POSTS; i++)
		post_to_worker(count_up, &count);
	post_workers_stop();
	g_assert_cmpint(count, ==, POSTS);
	post_workers_stop();
}

static void answer(void *data)
{
	post_to_loop(on_loop, data);
}

static void a_worker_answers_to_the_loop(void)
{
	seen_count = 0;
	post_workers_start(1);
	post_to_worker(answer, GINT_TO_POINTER(42));
	wait_for_posts(1);
	g_assert_cmpint(seen[0], ==, 42);
	post_workers_stop();
}

static void note(void *data)
{
	g_assert_true(g_thread_self() != loop_thread);
	seen[seen_count++] = GPOINTER_TO_INT(data);
}

static void a_thread_runs_its_posts_in_order_before_it_ends(void)
{
	struct post_thread *thread = post_thread_new("test");

	seen_count = 0;
	for (int i = 0; i < POSTS; i++)
		post_to_thread(thread, note, GINT_TO_POINTER(i));
	post_thread_join(thread);
	g_assert_cmpint(seen_count, ==, POSTS);
	for (int i = 0; i < POSTS; i++)
		g_assert_cmpint(seen[i], ==, i);
}

struct chain {
	struct post_thread *thread;
	int left;
};

static void post_again(void *data)
{
	struct chain *chain = data;

	if (--chain->left > 0)
		post_to_thread(chain->thread, post_again, chain);
}

/* The end is asked for while the chain runs, so most of it is posted behind the end. */
static void what_a_threads_last_jobs_post_to_it_runs_too(void)
{
	struct chain chain = { post_thread_new("test"), 200000 };

	post_to_thread(chain.thread, post_again, &chain);
	post_thread_join(chain.thread);
	g_assert_cmpint(chain.left, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	loop_thread = g_thread_self();
	g_test_add_func("/base/post/posts to the loop run there in order",
		posts_to_the_loop_run_there_in_order);
	g_test_add_func("/base/post/a post from the loop does not run at once",
		a_post_from_the_loop_does_not_run_at_once);
	g_test_add_func("/base/post/stopping the workers waits for their jobs",
		stopping_the_workers_waits_for_their_jobs);
	g_test_add_func("/base/post/a worker answers to the loop", a_worker_answers_to_the_loop);
	g_test_add_func("/base/post/a thread runs its posts in order before it ends",
		a_thread_runs_its_posts_in_order_before_it_ends);
	g_test_add_func("/base/post/what a thread's last jobs post to it runs too",
		what_a_threads_last_jobs_post_to_it_runs_too);
	return g_test_run();
}
