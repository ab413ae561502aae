/* SPDX-License-Identifier: MIT */
/*
 * How many bytes of background work a session has on its way. Too few, and the line is idle for a
 * round trip between two answers; too many, and whoever comes with something urgent waits behind
 * them all. So the budget grows while answers come quickly, for the line, and shrinks when they
 * wait for each other: the server and the line set the pace. Loop thread.
 */
#include "base/clock.h"
#include "engine/pool_impl.h"

#define PACE_FIRST (512u * 1024)
#define PACE_MIN   (256u * 1024)
#define PACE_MAX   (8u * 1024 * 1024)
/* Beyond what the quickest answer took so far, twice and four times. */
#define PACE_GROW_US   (150 * 1000)
#define PACE_SHRINK_US (300 * 1000)

void pace_init(struct pool_session *ps)
{
	ps->budget = PACE_FIRST;
	ps->quickest_us = INT64_MAX / 8;
}

bool pace_allows(const struct pool_session *ps, const struct pool_job *job)
{
	return job->priority != POOL_BACKGROUND || ps->bytes < ps->budget;
}

void pace_started(struct pool_session *ps, struct pool_job *job)
{
	job->started_us = clock_monotonic_us();
	ps->bytes += job->bytes;
}

void pace_ended(struct pool_session *ps, const struct pool_job *job, bool is_good)
{
	int64_t took_us = clock_monotonic_us() - job->started_us;

	ps->bytes -= job->bytes;
	if (!is_good || job->bytes == 0)
		return;
	ps->quickest_us = MIN(ps->quickest_us, took_us);
	if (took_us < 2 * ps->quickest_us + PACE_GROW_US)
		ps->budget = MIN(ps->budget + job->bytes, PACE_MAX);
	else if (took_us > 4 * ps->quickest_us + PACE_SHRINK_US)
		ps->budget = MAX(ps->budget - ps->budget / 8, PACE_MIN);
}

uint64_t pool_appetite(const struct pool *pool)
{
	uint64_t bytes = 0;

	for (guint i = 0; i < pool->sessions->len; i++) {
		const struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		bytes += ps->state == SESSION_READY ? ps->budget : 0;
	}
	return bytes;
}
