/* SPDX-License-Identifier: MIT */
/*
 * What the sessions of a pool receive together, for link.c, and what follows from its word: all are
 * to be compressed, or none. Turning it on is a command to each; the way back is a new connection.
 * Loop thread.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/pool_impl.h"

#define LOOK_MS       200u
#define IDLE_PART_MAX 10 /* a tenth of the time without a request: it is not the link that is slow */

/* ---- what is received -------------------------------------------------------------------------- */

/* Adds what came since the last look. */
static void look_at(struct pool_session *ps, struct link_sample *sample, unsigned *packed,
	unsigned *others)
{
	struct mailfs_traffic now;

	ps->backend->traffic(ps->session, &now);
	sample->wire += now.wire - ps->traffic.wire;
	sample->plain += now.plain - ps->traffic.plain;
	/* What came before the switch and after it: neither. */
	sample->is_void |= now.is_compressed != ps->traffic.is_compressed;
	*(now.is_compressed ? packed : others) += 1;
	ps->traffic = now;
}

static struct link_sample look_at_all(struct pool *pool)
{
	struct link_sample sample = { 0 };
	unsigned packed = 0, others = 0;

	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state == SESSION_READY)
			look_at(ps, &sample, &packed, &others);
	}
	sample.is_packed = packed > 0;
	sample.is_void |= packed > 0 && others > 0;
	return sample;
}

static void note_idle(struct pool_meter *meter, int64_t now)
{
	if (meter->busy == 0)
		meter->idle_us += now - MAX(meter->idle_since_us, meter->look_us);
}

static gboolean on_look(gpointer user)
{
	struct pool *pool = user;
	struct pool_meter *meter = &pool->meter;
	int64_t now = clock_monotonic_us();
	struct link_sample sample = look_at_all(pool);

	note_idle(meter, now);
	sample.us = now - meter->look_us;
	sample.is_void |= meter->is_void || meter->syncs > 0 || pool->is_held ||
		meter->idle_us * IDLE_PART_MAX > sample.us;
	meter->look_us = now;
	meter->is_void = meter->syncs > 0;
	if (meter->busy == 0 && meter->idle_us >= sample.us)
		meter->timer = 0;
	meter->idle_us = 0;
	if (link_add(pool->config.link, &sample, now)) {
		g_autofree char *text = link_describe(pool->config.link, pool->config.link->is_on);

		log_info("engine", "compression: %s", text);
		pool->events.link(pool->user);
		pool_link_apply(pool);
		pool_schedule(pool);
	}
	return meter->timer != 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

void pool_meter_begin(struct pool *pool, const struct pool_job *job)
{
	struct pool_meter *meter = &pool->meter;
	int64_t now;

	if (job->priority == POOL_SYNC) {
		meter->syncs++;
		meter->is_void = true;
	}
	if (meter->busy++ > 0)
		return;
	now = clock_monotonic_us();
	if (meter->timer != 0) {
		meter->idle_us += now - MAX(meter->idle_since_us, meter->look_us);
		return;
	}
	if (!pool->config.backend->traffic || pool->config.link->mode != LINK_AUTO)
		return;
	(void)look_at_all(pool);
	meter->look_us = now;
	meter->idle_us = 0;
	meter->timer = g_timeout_add(LOOK_MS, on_look, pool);
}

void pool_meter_end(struct pool *pool, const struct pool_job *job)
{
	struct pool_meter *meter = &pool->meter;

	if (job->priority == POOL_SYNC)
		meter->syncs--;
	if (--meter->busy == 0)
		meter->idle_since_us = clock_monotonic_us();
}

/* ---- what follows ------------------------------------------------------------------------------ */

static bool is_compressed(const struct pool_session *ps)
{
	struct mailfs_traffic traffic;

	if (!ps->backend->traffic)
		return false;
	ps->backend->traffic(ps->session, &traffic);
	return traffic.is_compressed;
}

bool pool_is_compressed(const struct pool *pool)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		const struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state == SESSION_READY && is_compressed(ps))
			return true;
	}
	return false;
}

void pool_link_apply(struct pool *pool)
{
	const struct mailfs_backend *backend = pool->config.backend;

	if (!pool->config.link->is_on || !backend->compress)
		return;
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state == SESSION_READY)
			backend->compress(ps->session);
	}
}

void pool_retire(struct pool *pool)
{
	if (pool->config.link->is_on)
		return;
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state != SESSION_READY || !is_compressed(ps))
			continue;
		ps->is_retiring = true;
		if (ps->weight == 0)
			pool_session_close(ps);
	}
}

void pool_link_judge(struct pool *pool, const struct pool_session *ps, const GError *error)
{
	if (!g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL) ||
		!is_compressed(ps))
		return;
	link_break(pool->config.link);
	log_warn("engine", "no compression from now on: %s", error->message);
}
