/* SPDX-License-Identifier: MIT */
/*
 * A folder that is to be renamed or removed. Servers end the sessions that have it open then, and one
 * that opens it at that moment may make it anew. So the others leave it first, and nobody enters
 * before the change is through. Loop thread.
 */
#include <string.h>

#include "engine/pool_impl.h"

static bool is_vacated_by(const struct pool_job *job, const char *folder)
{
	size_t len = strlen(job->vacates);

	return folder && strncmp(job->vacates, folder, len) == 0 &&
		(folder[len] == '\0' || (job->vacates_below != 0 && folder[len] == job->vacates_below));
}

bool pool_is_vacated(const struct pool *pool, const char *folder)
{
	return pool->vacating && is_vacated_by(pool->vacating, folder);
}

bool pool_vacate(struct pool *pool, const struct pool_session *keep, const struct pool_job *job)
{
	bool is_empty = true;

	if (!job->vacates)
		return true;
	if (pool->vacating && pool->vacating != job)
		return false;
	pool->vacating = job;
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps == keep || !is_vacated_by(job, ps->folder))
			continue;
		is_empty = false;
		if (ps->state != SESSION_READY || ps->weight > 0)
			continue;
		ps->is_spare = true;
		pool_session_close(ps);
	}
	return is_empty;
}

void pool_vacated(struct pool *pool, const struct pool_job *job)
{
	if (pool->vacating != job)
		return;
	pool->vacating = NULL;
	pool_schedule(pool);
}
