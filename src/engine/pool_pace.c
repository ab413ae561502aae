/* SPDX-License-Identifier: MIT */
/*
 * How many bytes of background work a session has on its way, and which one brings them soonest.
 * Too few, and the line is idle for a round trip between two answers; too many, and whoever comes
 * with something urgent waits behind them all. So the budget grows while answers come quickly, for
 * the line, and shrinks when they wait for each other: the server and the line set the pace. Loop
 * thread.
 */
#include "base/clock.h"
#include "engine/pool_impl.h"

#define PACE_FIRST (512u * 1024)
#define PACE_MIN   (256u * 1024)
#define PACE_MAX   (8u * 1024 * 1024)
/* A line is slow to start: what it has carried tells how wide its window is. */
#define PACE_COLD (256u * 1024)
#define PACE_WARM (1024u * 1024)
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

static uint64_t received(const struct pool_session *ps)
{
	struct mailfs_traffic traffic = { 0 };

	if (ps->backend->traffic)
		ps->backend->traffic(ps->session, &traffic);
	return traffic.wire;
}

/* A job of unknown length counts by its weight, others by the time they take on this line: the first
 * ones of a walk, which are waited for, go where the window is open. */
unsigned pace_cost(const struct pool_session *ps, const struct pool_job *job)
{
	uint64_t width = PACE_COLD + MIN(received(ps), PACE_WARM);
	uint64_t bytes = MIN(ps->bytes + job->bytes, 1u << 30);

	return 2 * (ps->weight - ps->measured) + (unsigned)(bytes * 16 / width);
}

void pace_started(struct pool_session *ps, struct pool_job *job)
{
	job->started_us = clock_monotonic_us();
	ps->bytes += job->bytes;
	ps->measured += job->bytes > 0 ? job->weight : 0;
}

void pace_ended(struct pool_session *ps, const struct pool_job *job, bool is_good)
{
	int64_t took_us = clock_monotonic_us() - job->started_us;

	ps->bytes -= job->bytes;
	ps->measured -= job->bytes > 0 ? job->weight : 0;
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
