/* SPDX-License-Identifier: MIT */
/* Digests of messages on the server, a hundred at a time. */
#include "engine/digests.h"

#include "engine/internal.h"

#define BATCH_MAX 100u

struct digests {
	struct pool_job job;
	struct engine *engine;
	char *folder;
	uint32_t uidvalidity;
	GArray *uids;
	guint at, batch; /* of `uids`: where it is, and how many are asked for */
	GChecksum *sha;
	GHashTable *found; /* UID → uint8_t[DIGEST_BYTES] */
	engine_done_fn done;
	void *user;
};

static struct digests *of_job(struct pool_job *job)
{
	return (struct digests *)((char *)job - G_STRUCT_OFFSET(struct digests, job));
}

static void on_begin(void *user, uint32_t uid, uint64_t size)
{
	g_checksum_reset(((struct digests *)user)->sha);
}

static void on_data(void *user, uint32_t uid, const void *bytes, size_t len)
{
	g_checksum_update(((struct digests *)user)->sha, bytes, (gssize)len);
}

static void on_end(void *user, uint32_t uid)
{
	struct digests *digests = user;
	uint8_t *digest = g_malloc(DIGEST_BYTES);
	gsize len = DIGEST_BYTES;

	g_checksum_get_digest(digests->sha, digest, &len);
	g_hash_table_insert(digests->found, GUINT_TO_POINTER(uid), digest);
	g_checksum_reset(digests->sha);
}

static void on_fetched(void *user, const GError *error)
{
	struct digests *digests = user;
	struct pool *pool = digests->engine->pool;

	pool_done(pool, &digests->job, error);
	digests->at += digests->batch;
	if (!error && digests->at < digests->uids->len)
		pool_submit(pool, &digests->job);
	else
		digests->done(digests->user, error);
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct digests *digests = of_job(job);
	const uint32_t *uids = &g_array_index(digests->uids, uint32_t, digests->at);
	g_autofree const char **keys = NULL;

	digests->batch = MIN(digests->uids->len - digests->at, BATCH_MAX);
	keys = syncer_keys(digests->engine, digests->folder, uids, digests->batch);
	return digests->engine->config.backend->fetch(session, &(struct mailfs_fetch_request){
		.folder = digests->folder,
		.uidvalidity = digests->uidvalidity,
		.uids = uids,
		.keys = keys,
		.uid_count = digests->batch,
		.begin = on_begin,
		.data = on_data,
		.end = on_end,
		.done = on_fetched,
		.user = digests,
	});
}

static void job_fail(struct pool_job *job, const GError *error)
{
	struct digests *digests = of_job(job);

	digests->done(digests->user, error);
}

struct digests *digests_new(struct engine *engine, const char *folder, uint32_t uidvalidity,
	const GArray *uids, engine_done_fn done, void *user)
{
	struct digests *digests = g_new0(struct digests, 1);

	g_assert(uids->len > 0);
	digests->engine = engine;
	digests->folder = g_strdup(folder);
	digests->uidvalidity = uidvalidity;
	digests->uids = g_array_copy((GArray *)uids);
	digests->sha = g_checksum_new(G_CHECKSUM_SHA256);
	digests->found = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	digests->done = done;
	digests->user = user;
	digests->job = (struct pool_job){
		.priority = POOL_SYNC,
		.weight = 2,
		.folder = digests->folder,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(engine->pool, &digests->job);
	return digests;
}

void digests_free(struct digests *digests)
{
	if (!digests)
		return;
	g_hash_table_unref(digests->found);
	g_checksum_free(digests->sha);
	g_array_unref(digests->uids);
	g_free(digests->folder);
	g_free(digests);
}

const uint8_t *digests_of(const struct digests *digests, uint32_t uid)
{
	return g_hash_table_lookup(digests->found, GUINT_TO_POINTER(uid));
}
