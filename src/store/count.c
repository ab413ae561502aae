/* SPDX-License-Identifier: MIT */
/* What the cache holds of each mailbox: counted by the index when somebody asks. Loop thread. */
#include "store/store_impl.h"

struct count_job {
	struct store_job job;
	GArray *counts; /* struct store_count, by box */
	store_done_fn done;
	void *user;
};

static int count_run(struct store_thread *thread, struct store_job *base)
{
	return index_count_bodies(store_thread_index(thread), ((struct count_job *)base)->counts);
}

static void count_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct count_job *job = (struct count_job *)base;

	if (!error) {
		g_clear_pointer(&store->counts, g_array_unref);
		store->counts = g_array_ref(job->counts);
	}
	job->done(job->user, error);
}

static void count_free(struct store_job *base)
{
	struct count_job *job = (struct count_job *)base;

	g_array_unref(job->counts);
	g_free(job);
}

void store_count_bodies(struct store *store, store_done_fn done, void *user)
{
	struct count_job *job = g_new0(struct count_job, 1);

	job->job = (struct store_job){ .run = count_run, .answer = count_answer, .free = count_free };
	job->counts = g_array_new(FALSE, FALSE, sizeof(struct store_count));
	job->done = done;
	job->user = user;
	store_thread_post(store->thread, &job->job);
}

static int by_box(const void *a, const void *b)
{
	const struct store_count *left = a;
	const struct store_count *right = b;

	return left->box < right->box ? -1 : left->box > right->box;
}

struct store_count store_counted(const struct store *store, uint32_t box_id)
{
	struct store_count wanted = { .box = box_id };
	guint at;

	if (store->counts && g_array_binary_search(store->counts, &wanted, by_box, &at))
		return g_array_index(store->counts, struct store_count, at);
	return wanted;
}
