/* SPDX-License-Identifier: MIT */
/* Connections: how many, when, for whom; what happens when there is none. */
#include "engine/internal.h"
#include "engine/pool_impl.h"
#include "engine_world.h"

#include "base/clock.h"

static struct world *opened(void)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, 40, 300000);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

static unsigned sessions_max(struct world *world)
{
	struct engine_status status;

	engine_get_status(world->engine, &status);
	return status.sessions_max;
}

static unsigned retry_in_ms(struct world *world)
{
	struct engine_status status;

	engine_get_status(world->engine, &status);
	return status.retry_in_ms;
}

struct readings {
	struct reading *of[40];
	unsigned count;
};

static void read_many(struct world *world, struct readings *readings, unsigned count)
{
	readings->count = count;
	for (unsigned i = 0; i < count; i++)
		readings->of[i] = world_read_begin(world, i + 1, 0, 10);
}

static bool all_over(void *user)
{
	struct readings *readings = user;

	for (unsigned i = 0; i < readings->count; i++)
		if (!reading_is_over(readings->of[i]))
			return false;
	return true;
}

static void check_and_free(struct readings *readings, int code)
{
	for (unsigned i = 0; i < readings->count; i++) {
		g_assert_cmpint(readings->of[i]->code, ==, code);
		reading_free(readings->of[i]);
	}
}

/* ---- how many -------------------------------------------------------------------------------- */

static void one_connection_does_for_little_work(void)
{
	struct world *world = opened();

	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world_settle(world);
	g_assert_cmpuint(world->server->dials, ==, 1);
	world_free(world);
}

static void much_work_opens_more_up_to_the_limit(void)
{
	struct world *world = opened();
	struct readings readings;

	read_many(world, &readings, 40);
	world_until(all_over, &readings);
	check_and_free(&readings, WORLD_OK);
	g_assert_cmpuint(world->server->open_max, ==, 3);
	g_assert_cmpuint(world->server->fetches, ==, 40);
	world_free(world);
}

static unsigned opened_ahead;

static void count_opened_ahead(struct fake_server *server, const struct mailfs_uids_request *uids)
{
	g_assert_cmpstr(uids->folder, ==, "INBOX");
	opened_ahead += uids->first > uids->last;
}

static bool is_opened_everywhere(void *user)
{
	return opened_ahead == 2;
}

static void much_work_to_come_opens_its_folder_on_the_others(void)
{
	struct world *world = opened();

	opened_ahead = 0;
	world->server->uids_hook = count_opened_ahead;
	pool_warm(world->engine->pool, "INBOX");
	world_until(is_opened_everywhere, NULL);
	world_settle(world);
	g_assert_cmpuint(world->server->open_max, ==, 3);
	g_assert_cmpuint(opened_ahead, ==, 2);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world_free(world);
}

struct vacating {
	struct pool_job job;
	struct pool *pool;
	unsigned inside; /* sessions that had the folder open when it began */
	struct reading *late;
	bool is_over;
};

static unsigned count_inside(const struct pool *pool)
{
	unsigned count = 0;

	for (guint i = 0; i < pool->sessions->len; i++) {
		const struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		count += g_strcmp0(ps->folder, "INBOX") == 0;
	}
	return count;
}

static gboolean vacating_end(gpointer user)
{
	struct vacating *vacating = user;

	/* Who came meanwhile has waited. */
	g_assert_false(reading_is_over(vacating->late));
	g_assert_cmpuint(count_inside(vacating->pool), <=, 1);
	pool_done(vacating->pool, &vacating->job, NULL);
	pool_vacated(vacating->pool, &vacating->job);
	vacating->is_over = true;
	return G_SOURCE_REMOVE;
}

static mailfs_ticket vacating_start(struct pool_job *job, struct mailfs_session *session)
{
	struct vacating *vacating = (struct vacating *)job; /* its first member */

	vacating->inside = count_inside(vacating->pool);
	g_timeout_add(50, vacating_end, vacating);
	return 1;
}

static void vacating_fail(struct pool_job *job, const GError *error)
{
	g_assert_not_reached();
}

static bool is_vacated(void *user)
{
	return ((struct vacating *)user)->is_over;
}

static void check_vacating(const char *folder, char delimiter)
{
	struct world *world = opened();
	struct vacating vacating = {
		.job = { .priority = POOL_INTERACTIVE, .weight = 2, .vacates = folder,
			.vacates_below = delimiter, .start = vacating_start, .fail = vacating_fail },
		.pool = world->engine->pool,
	};

	opened_ahead = 0;
	world->server->uids_hook = count_opened_ahead;
	pool_warm(vacating.pool, "INBOX");
	world_until(is_opened_everywhere, NULL);
	world_settle(world);
	g_assert_cmpuint(count_inside(vacating.pool), ==, 3);
	pool_submit(vacating.pool, &vacating.job);
	while (!vacating.pool->vacating)
		g_main_context_iteration(NULL, TRUE);
	vacating.late = world_read_begin(world, 1, 0, 10);
	world_until(is_vacated, &vacating);
	g_assert_cmpuint(vacating.inside, <=, 1);
	/* What was learnt while they were there holds: ID-2. */
	g_assert_cmpuint(pool_losses(vacating.pool), ==, 0);
	world_until(reading_is_over, vacating.late);
	g_assert_cmpint(vacating.late->code, ==, WORLD_OK);
	reading_free(vacating.late);
	world_free(world);
}

static void who_has_a_folder_open_that_goes_leaves_it_first(void)
{
	check_vacating("INBOX", 0);
	check_vacating("INBOX", '/');
}

static void so_does_who_has_one_below_it(void)
{
	check_vacating("IN", 'B'); /* as if that were the delimiter */
}

static void a_refusal_shrinks_the_pool_and_time_grows_it(void)
{
	struct world *world = opened();
	struct readings readings;
	int64_t now = clock_monotonic_us() + 30 * G_USEC_PER_SEC; /* the first login is no news */

	clock_fake(now);
	world->server->session_max = 1;
	read_many(world, &readings, 20);
	world_until(all_over, &readings);
	check_and_free(&readings, WORLD_OK);
	g_assert_cmpuint(world->server->dials, ==, 2);
	g_assert_cmpuint(sessions_max(world), ==, 1);
	world->server->session_max = 0;
	/* Not yet. */
	clock_fake(now + 500 * G_USEC_PER_SEC);
	readings.count = 0;
	for (uint32_t uid = 21; uid <= 28; uid++)
		readings.of[readings.count++] = world_read_begin(world, uid, 0, 10);
	world_until(all_over, &readings);
	check_and_free(&readings, WORLD_OK);
	g_assert_cmpuint(world->server->dials, ==, 2);
	clock_fake(now + 700 * G_USEC_PER_SEC);
	readings.count = 0;
	for (uint32_t uid = 29; uid <= 40; uid++)
		readings.of[readings.count++] = world_read_begin(world, uid, 0, 10);
	world_until(all_over, &readings);
	check_and_free(&readings, WORLD_OK);
	g_assert_cmpuint(world->server->dials, >, 2);
	g_assert_cmpuint(sessions_max(world), ==, 3);
	world_free(world);
}

static void a_refused_login_of_a_further_connection_is_not_repeated(void)
{
	struct world *world = opened();
	struct readings readings;
	int64_t now = clock_monotonic_us() + 30 * G_USEC_PER_SEC; /* the first login is no news */

	clock_fake(now);
	world->server->refuses_login = true;
	read_many(world, &readings, 20);
	world_until(all_over, &readings);
	check_and_free(&readings, WORLD_OK);
	clock_fake(now + 1000 * G_USEC_PER_SEC);
	readings.count = 0;
	for (uint32_t uid = 21; uid <= 40; uid++)
		readings.of[readings.count++] = world_read_begin(world, uid, 0, 10);
	world_until(all_over, &readings);
	check_and_free(&readings, WORLD_OK);
	g_assert_cmpuint(world->server->dials, ==, 2);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_ONLINE);
	world_free(world);
}

/* ---- the start ------------------------------------------------------------------------------- */

static void a_start_that_fails_tells_why(void)
{
	struct world *world = world_new();

	fake_die(world->server, FAKE_DIAL, MAILFS_ERROR_NO_HOST);
	world_start(world);
	g_assert_cmpint(world->started_code, ==, MAILFS_ERROR_NO_HOST);
	g_assert_cmpuint(world->started, ==, 1);
	world_free(world);
}

static void a_refused_login_is_tried_once(void)
{
	struct world *world = world_new();

	world->server->refuses_login = true;
	world_start(world);
	g_assert_cmpint(world->started_code, ==, MAILFS_ERROR_LOGIN);
	world_settle(world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_LOGIN_REFUSED);
	g_assert_cmpuint(world->server->dials, ==, 1);
	g_assert_cmpuint(retry_in_ms(world), ==, 0);
	/* A refresh is one more try. */
	g_assert_cmpint(world_refresh(world, NULL), ==, MAILFS_ERROR_LOGIN);
	g_assert_cmpuint(world->server->dials, ==, 2);
	world->server->refuses_login = false;
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_ONLINE);
	world_free(world);
}

static void a_refused_login_with_a_warm_cache_is_told_too(void)
{
	struct world *world = opened();

	world_stop(world);
	world->server->refuses_login = true;
	world_start(world);
	g_assert_cmpint(world->started_code, ==, MAILFS_ERROR_LOGIN);
	g_assert_cmpuint(world->started, ==, 1);
	world_free(world);
}

static void a_warm_cache_starts_without_the_server(void)
{
	struct world *world = opened();

	world_stop(world);
	world->server->is_down = true;
	world_start(world);
	g_assert_cmpint(world->started_code, ==, WORLD_OK);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_OFFLINE);
	world->server->is_down = false;
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	world_settle(world);
	g_assert_cmpuint(world->started, ==, 1);
	world_free(world);
}

static void a_delayed_connect_starts_from_the_loop(void)
{
	struct world *world = opened();

	world_stop(world);
	world->delay_connect = true;
	world->server->is_stalled = true;
	world->started = 0;
	world_launch(world);
	g_assert_cmpuint(world->started, ==, 0);
	world_settle(world);
	g_assert_cmpuint(world->started, ==, 1);
	world->server->is_stalled = false;
	world_settle(world);
	g_assert_cmpuint(world->started, ==, 1);
	world_free(world);
}

static bool has_started(void *user)
{
	return ((struct world *)user)->started > 0;
}

static void a_server_that_says_nothing_does_not_hold_up_a_warm_start(void)
{
	struct world *world = opened();

	world_stop(world);
	world->server->is_stalled = true;
	world->started = 0;
	world_launch(world);
	world_until(has_started, world);
	g_assert_cmpint(world->started_code, ==, WORLD_OK);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_OFFLINE);
	/* Known to be offline: nobody waits. */
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_read(world, 9, 0, 10, NULL), ==, MAILFS_ERROR_OFFLINE);
	g_assert_cmpuint(world->server->dials, ==, 2);
	world->server->is_stalled = false;
	world_settle(world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_ONLINE);
	g_assert_cmpuint(world->started, ==, 1);
	world_free(world);
}

static void a_delayed_connect_starts_with_an_empty_cache_too(void)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, 3, 100);
	world->delay_connect = true;
	world->server->is_down = true;
	world_start(world);
	g_assert_cmpint(world->started_code, ==, WORLD_OK);
	world_settle(world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_OFFLINE);
	g_assert_null(tree_by_name(engine_tree(world->engine), "INBOX"));
	world->listings = 0;
	world->server->is_down = false;
	engine_go_online(world->engine);
	world_settle(world);
	g_assert_cmpuint(world->listings, >, 0);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world->started, ==, 1);
	world_free(world);
}

/* ---- by request ------------------------------------------------------------------------------ */

static void offline_by_request_has_no_sessions_and_makes_no_tries(void)
{
	struct world *world = opened();
	int64_t now = clock_monotonic_us();

	clock_fake(now);
	engine_go_offline(world->engine);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_OFFLINE);
	world_settle(world);
	g_assert_cmpuint(world->server->sessions->len, ==, 0);
	clock_fake(now + (int64_t)3600 * G_USEC_PER_SEC);
	g_assert_cmpint(world_read(world, 9, 0, 10, NULL), ==, MAILFS_ERROR_OFFLINE);
	g_assert_cmpint(world_refresh(world, NULL), ==, MAILFS_ERROR_OFFLINE);
	engine_network_changed(world->engine);
	world_settle(world);
	g_assert_cmpuint(world->server->dials, ==, 1);
	g_assert_cmpuint(retry_in_ms(world), ==, 0);
	fake_message_add(world->inbox, 41, 10);
	engine_go_online(world->engine);
	world_settle(world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_ONLINE);
	g_assert_nonnull(world_message(world, 41));
	g_assert_cmpint(world_cat(world, 9), ==, WORLD_OK);
	world_free(world);
}

static void what_is_under_way_may_end_before_it_is_offline(void)
{
	struct world *world = opened();
	struct reading *reading;

	world->server->is_stalled = true;
	reading = world_read_begin(world, 1, 0, 10);
	world_settle(world);
	engine_go_offline(world->engine);
	world_settle(world);
	g_assert_false(reading_is_over(reading));
	world->server->is_stalled = false;
	world_until(reading_is_over, reading);
	g_assert_cmpint(reading->code, ==, WORLD_OK);
	reading_free(reading);
	world_settle(world);
	g_assert_cmpuint(world->server->sessions->len, ==, 0);
	world_free(world);
}

static void who_is_wanted_again_at_once_is_online(void)
{
	struct world *world = opened();

	engine_go_offline(world->engine);
	engine_go_online(world->engine);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_ONLINE);
	world_settle(world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_ONLINE);
	g_assert_cmpint(world_cat(world, 9), ==, WORLD_OK);
	world_free(world);
}

/* … and who is wanted again while something is under way has a new connection when that is over,
 * though no more than one is allowed. */
static void who_is_wanted_again_soon_is_online_in_the_end(void)
{
	struct world *world = world_new();
	struct reading *reading;

	world->connections = 1;
	fake_messages_add(world->inbox, 1, 40, 3000);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	world->server->is_stalled = true;
	reading = world_read_begin(world, 1, 0, 10);
	world_settle(world);
	engine_go_offline(world->engine);
	world_settle(world);
	engine_go_online(world->engine);
	world_settle(world);
	world->server->is_stalled = false;
	world_until(reading_is_over, reading);
	g_assert_cmpint(reading->code, ==, WORLD_OK);
	reading_free(reading);
	world_settle(world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_ONLINE);
	g_assert_cmpuint(world->server->dials, ==, 2);
	g_assert_cmpint(world_cat(world, 9), ==, WORLD_OK);
	world_free(world);
}

static void what_does_not_end_is_offline_too(void)
{
	struct world *world = opened();
	struct reading *reading;

	world->server->is_stalled = true;
	reading = world_read_begin(world, 1, 0, 10);
	world_settle(world);
	engine_go_offline(world->engine);
	world->server->is_stalled = false; /* for the goodbye; the request was lost all the same */
	fake_die(world->server, FAKE_FETCH, MAILFS_ERROR_CANCELLED);
	world_until(reading_is_over, reading);
	g_assert_cmpint(reading->code, ==, MAILFS_ERROR_OFFLINE);
	reading_free(reading);
	world_free(world);
}

static void a_stop_while_offline_by_request_ends(void)
{
	struct world *world = opened();

	engine_go_offline(world->engine);
	world_stop(world);
	g_assert_true(world->is_stopped);
	world_free(world);
}

static void another_network_is_a_reason_to_try_at_once(void)
{
	struct world *world = opened();

	world->server->is_down = true;
	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_settle(world);
	g_assert_cmpuint(retry_in_ms(world), >, 500);
	world->server->is_down = false;
	engine_network_changed(world->engine);
	world_settle(world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_ONLINE);
	g_assert_cmpuint(world->server->dials, ==, 3);
	/* And none to lose what works. */
	engine_network_changed(world->engine);
	world_settle(world);
	g_assert_cmpuint(world->server->dials, ==, 3);
	world_free(world);
}

static void another_network_makes_no_refused_password_better(void)
{
	struct world *world = world_new();

	world->delay_connect = true;
	world->server->refuses_login = true;
	world_start(world);
	world_settle(world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_LOGIN_REFUSED);
	engine_network_changed(world->engine);
	world_settle(world);
	g_assert_cmpuint(world->server->dials, ==, 1);
	world_free(world);
}

/* ---- losses ---------------------------------------------------------------------------------- */

static void a_lost_connection_is_replaced_at_once(void)
{
	struct world *world = opened();

	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_settle(world);
	g_assert_cmpuint(world->server->dials, ==, 2);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_ONLINE);
	world_free(world);
}

static void connections_that_hardly_live_are_not_replaced_in_a_loop(void)
{
	struct world *world = opened();

	for (unsigned i = 0; i < 10; i++) {
		fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
		world_settle(world);
	}
	g_assert_cmpuint(world->server->dials, ==, 2);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_OFFLINE);
	g_assert_cmpuint(retry_in_ms(world), >, 500);
	world_free(world);
}

static void failed_dials_back_off(void)
{
	struct world *world = opened();
	int64_t now = clock_monotonic_us();

	clock_fake(now);
	world->server->is_down = true;
	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_settle(world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_OFFLINE);
	g_assert_cmpuint(retry_in_ms(world), >=, 750);
	g_assert_cmpuint(retry_in_ms(world), <=, 1250);
	g_assert_cmpuint(world->server->dials, ==, 2);
	/* Work does not hasten it, at first; later it does. */
	g_assert_cmpint(world_read(world, 9, 0, 10, NULL), ==, MAILFS_ERROR_OFFLINE);
	world_settle(world);
	g_assert_cmpuint(world->server->dials, ==, 2);
	clock_fake(now + 60 * G_USEC_PER_SEC);
	g_assert_cmpint(world_read(world, 9, 0, 10, NULL), ==, MAILFS_ERROR_OFFLINE);
	world_settle(world);
	g_assert_cmpuint(world->server->dials, ==, 3);
	g_assert_cmpuint(retry_in_ms(world), >=, 1500);
	world_free(world);
}

static bool is_online(void *user)
{
	return engine_state(((struct world *)user)->engine) == ENGINE_ONLINE;
}

static void it_comes_back_by_itself(void)
{
	struct world *world = opened();

	world->server->is_down = true;
	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_settle(world);
	world->server->is_down = false;
	world_until(is_online, world);
	g_assert_cmpint(world_cat(world, 3), ==, WORLD_OK);
	world_free(world);
}

static void changes_that_were_missed_are_seen_after_a_reconnect(void)
{
	struct world *world = opened();

	fake_message_add(world->inbox, 41, 10);
	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_settle(world);
	g_assert_nonnull(world_message(world, 41));
	world_free(world);
}

/* ---- fairness -------------------------------------------------------------------------------- */

static void note(void *user, const GError *error)
{
	*(bool *)user = true;
}

static bool is_set(void *flag)
{
	return *(bool *)flag;
}

static void a_sync_does_not_wait_behind_readers_for_ever(void)
{
	struct world *world = opened();
	bool is_synced = false;
	uint32_t uid = 1;
	struct readings readings = { .count = 0 };
	int64_t now = clock_monotonic_us();

	/* One connection, always full of reads. */
	world->server->session_max = 1;
	clock_fake(now);
	for (; uid <= 10; uid++)
		readings.of[readings.count++] = world_read_begin(world, uid, 0, 10);
	world_turns(3);
	engine_refresh(world->engine, world_folder(world, "INBOX"), note, &is_synced);
	for (; uid <= 40 && !is_synced; uid++) {
		unsigned before = world->server->fetches;

		readings.of[readings.count++] = world_read_begin(world, uid, 0, 10);
		now += G_USEC_PER_SEC / 4;
		clock_fake(now);
		while (world->server->fetches == before && !is_synced)
			g_main_context_iteration(NULL, TRUE);
	}
	world_until(is_set, &is_synced);
	/* Before the stream of reads ended, or before the last of them was answered. */
	g_assert_true(uid <= 40 || !all_over(&readings));
	world_until(all_over, &readings);
	check_and_free(&readings, WORLD_OK);
	world_free(world);
}

static void a_reader_of_another_folder_does_not_wait_for_a_long_sweep(void)
{
	struct world *world = world_new();
	struct fake_folder *big = fake_folder_add(world->server, "Big", 3);
	struct reading *reading;
	bool is_swept = false;

	world->connections = 1;
	fake_messages_add(world->inbox, 1, 3, 100);
	fake_messages_add(big, 1, 200, 10);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	world->server->is_stalled = true;
	engine_open_folder(world->engine, world_folder(world, "Big"), note, &is_swept);
	world_settle(world);
	reading = world_read_begin(world, 1, 0, 10);
	world_settle(world);
	g_assert_cmpuint(world->server->fetches, ==, 0);
	clock_fake(clock_monotonic_us() + G_USEC_PER_SEC);
	while (world->server->fetches == 0)
		g_main_context_iteration(NULL, TRUE);
	g_assert_false(is_swept);
	world->server->is_stalled = false;
	world_until(reading_is_over, reading);
	g_assert_cmpint(reading->code, ==, WORLD_OK);
	reading_free(reading);
	world_until(is_set, &is_swept);
	world_free(world);
}

static void a_request_lost_with_its_connection_goes_to_another(void)
{
	struct world *world = opened();

	world->server->is_dead_late = true;
	fake_die(world->server, FAKE_FETCH, MAILFS_ERROR_CONNECTION_LOST);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 2);
	world_free(world);
}

/* ---- compression ----------------------------------------------------------------------------- */

/* A start in a process that has found out before that the link is slow. */
static struct world *opened_on_slow_link(void)
{
	struct world *world = world_new();
	g_autofree char *text = g_strdup_printf("1 3 2000000 0 %" G_GINT64_FORMAT,
		clock_realtime_ns() / 1000000000);

	fake_messages_add(world->inbox, 1, 41, 300000);
	world->auto_compress = true;
	world_open_store(world);
	store_put_link(world->store, text);
	g_clear_pointer(&world->store, store_close);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

static struct world *opened_with_compression(void)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, 41, 300000);
	world->want_compress = true;
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

static const char *compression(struct world *world)
{
	struct engine_status status;

	engine_get_status(world->engine, &status);
	return status.compression;
}

static void nothing_is_compressed_by_itself(void)
{
	struct world *world = opened();

	g_assert_cmpuint(world->server->compressed_dials + world->server->compressions, ==, 0);
	g_assert_cmpstr(compression(world), ==, "off (as configured)");
	world_free(world);
	world = world_new();
	world->auto_compress = true;
	world_start(world);
	g_assert_cmpuint(world->server->compressed_dials + world->server->compressions, ==, 0);
	g_assert_cmpstr(compression(world), ==, "off (not measured yet)");
	world_free(world);
}

static void a_link_remembered_as_slow_is_compressed_at_once(void)
{
	struct world *world = opened_on_slow_link();

	g_assert_cmpuint(world->server->compressed_dials, ==, 1);
	g_assert_cmpstr(compression(world), ==, "on (2.0 MB/s without it)");
	world_free(world);
}

static void compression_that_is_not_offered_is_not_claimed(void)
{
	struct world *world = opened_on_slow_link();

	world->server->cannot_compress = true;
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_true(g_str_has_prefix(compression(world), "off (wanted"));
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world_free(world);
}

/* What came compressed could not be read: the message comes without compression (EX-6). */
static void check_fetched_without(struct world *world)
{
	g_assert_cmpuint(world->server->compressed_dials, ==, world->server->dials);
	fake_die(world->server, FAKE_FETCH_MID, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->dials, >, world->server->compressed_dials);
	g_assert_cmpstr(compression(world), ==, "off (it failed)");
	world_free(world);
}

static void what_fails_compressed_is_fetched_without(void)
{
	check_fetched_without(opened_on_slow_link());
	check_fetched_without(opened_with_compression());
}

static bool none_is_compressed(void *user)
{
	return strcmp(compression(user), "off (it failed)") == 0;
}

static void the_others_are_replaced_when_one_fails_compressed(void)
{
	struct world *world = opened_on_slow_link();
	struct readings readings;

	read_many(world, &readings, 40);
	world_until(all_over, &readings);
	check_and_free(&readings, WORLD_OK);
	g_assert_cmpuint(world->server->compressed_dials, ==, 3);
	fake_die(world->server, FAKE_FETCH_MID, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpint(world_read(world, 41, 0, 10, NULL), ==, WORLD_OK);
	world_until(none_is_compressed, world);
	g_assert_cmpuint(world->server->compressed_dials, ==, 3);
	world_free(world);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void a_stop_before_anything_happened_stops(void)
{
	for (unsigned turns = 0; turns < 12; turns++) {
		struct world *world = world_new();

		world_launch(world);
		world_turns(turns);
		world_stop(world);
		g_assert_cmpuint(world->states[ENGINE_STOPPED], ==, 1);
		world_free(world);
	}
}

static void a_server_that_does_not_say_goodbye_is_left_after_two_seconds(void)
{
	struct world *world = opened();
	struct reading *reading;

	world->server->is_stalled = true;
	world->server->is_deaf_to_close = true;
	reading = world_read_begin(world, 1, 0, 10);
	world_turns(10);
	world_stop(world);
	g_assert_cmpint(reading->code, ==, MAILFS_ERROR_CANCELLED);
	reading_free(reading);
	world_free(world);
}

static void note_stopped(void *user)
{
	*(bool *)user = true;
}

static void what_comes_after_a_stop_is_cancelled(void)
{
	struct world *world = opened();
	struct reading *reading;
	bool is_stopped = false;

	world->server->is_deaf_to_close = true;
	engine_stop(world->engine, note_stopped, &is_stopped);
	reading = world_read_begin(world, 1, 0, 10);
	world_until(reading_is_over, reading);
	g_assert_cmpint(reading->code, ==, MAILFS_ERROR_CANCELLED);
	g_assert_false(is_stopped);
	reading_free(reading);
	engine_free(world->engine);
	world->engine = NULL;
	world_free(world);
}

/* ---- how much is on its way ------------------------------------------------------------------ */

/* A megabyte in the background, answered after so long; the time is the clock's. */
static void fetch_mib(struct pool_session *ps, int64_t *now, int64_t took_us)
{
	struct pool_job job = { .priority = POOL_BACKGROUND, .bytes = 1u << 20 };

	pace_started(ps, &job);
	clock_fake(*now += took_us);
	pace_ended(ps, &job, true);
}

static void a_quick_line_gets_more_to_do_up_to_a_bound(void)
{
	struct pool_session ps = { 0 };
	int64_t now = G_USEC_PER_SEC;
	uint64_t first;

	clock_fake(now);
	pace_init(&ps);
	first = ps.budget;
	for (unsigned i = 0; i < 100; i++)
		fetch_mib(&ps, &now, 60000);
	g_assert_cmpuint(ps.budget, >, 4 * first);
	g_assert_cmpuint(ps.budget, <=, 8u << 20);
	g_assert_cmpuint(ps.bytes, ==, 0);
	clock_fake(0);
}

static void a_slow_line_is_not_stuffed(void)
{
	struct pool_session ps = { 0 };
	int64_t now = G_USEC_PER_SEC;

	clock_fake(now);
	pace_init(&ps);
	for (unsigned i = 0; i < 20; i++)
		fetch_mib(&ps, &now, 60000);
	for (unsigned i = 0; i < 100; i++)
		fetch_mib(&ps, &now, 2 * G_USEC_PER_SEC);
	g_assert_cmpuint(ps.budget, <=, 512u << 10);
	clock_fake(0);
}

static void only_background_work_waits_for_its_budget(void)
{
	struct pool_session ps = { 0 };
	struct pool_job ahead = { .priority = POOL_BACKGROUND, .bytes = 64u << 20 };
	struct pool_job read = { .priority = POOL_INTERACTIVE };

	pace_init(&ps);
	g_assert_true(pace_allows(&ps, &ahead)); /* one at least, however large */
	pace_started(&ps, &ahead);
	g_assert_false(pace_allows(&ps, &ahead));
	g_assert_true(pace_allows(&ps, &read));
}

/* The `session` of these is how many bytes it has received. */
static void tell_traffic(const struct mailfs_session *session, struct mailfs_traffic *ret_traffic)
{
	*ret_traffic = (struct mailfs_traffic){ .wire = *(const uint64_t *)(const void *)session };
}

static const struct mailfs_backend counting = { .traffic = tell_traffic };
static const struct mailfs_backend mute;

/* How many of `count` jobs a session gets before another one that has nothing to do. */
static unsigned started_before(struct pool_session *ps, const struct pool_session *other, unsigned count)
{
	struct pool_job job = { .priority = POOL_BACKGROUND, .weight = 1, .bytes = 64u << 10 };
	unsigned n = 0;

	for (; n < count && pace_cost(ps, &job) <= pace_cost(other, &job); n++) {
		pace_started(ps, &job);
		ps->weight += job.weight;
	}
	return n;
}

static void a_line_whose_window_is_open_gets_the_first_of_a_walk(void)
{
	uint64_t little = 10 << 10, much = 3 << 20;
	struct pool_session warm = { .backend = &counting, .session = (void *)&much };
	struct pool_session other = { .backend = &counting, .session = (void *)&much };
	struct pool_session cold = { .backend = &counting, .session = (void *)&little };
	struct pool_session silent = { .backend = &mute }, silent_too = silent;

	g_assert_cmpuint(started_before(&warm, &cold, 20), >=, 4);
	g_assert_cmpuint(warm.weight, <, 8); /* the other one gets some at once, to open its own */
	g_assert_cmpuint(started_before(&other, &warm, 20), >=, 4);
	g_assert_cmpuint(started_before(&silent, &silent_too, 20), ==, 1);
}

/* What nobody knows the length of counts by its weight. */
static void a_sync_keeps_a_session_busy(void)
{
	struct pool_session idle = { .backend = &mute }, syncing = { .backend = &mute };
	struct pool_job sync = { .priority = POOL_SYNC, .weight = 6 };
	struct pool_job ahead = { .priority = POOL_BACKGROUND, .weight = 1, .bytes = 64u << 10 };

	pace_started(&syncing, &sync);
	syncing.weight += sync.weight;
	g_assert_cmpuint(pace_cost(&syncing, &ahead), ==, pace_cost(&idle, &ahead) + 12);
	g_assert_cmpuint(pace_cost(&syncing, &sync), ==, 12);
	pace_ended(&syncing, &sync, true);
	syncing.weight -= sync.weight;
	g_assert_cmpuint(pace_cost(&syncing, &ahead), ==, pace_cost(&idle, &ahead));
	/* … and what is urgent goes where it need not wait. */
	pace_started(&idle, &ahead);
	g_assert_cmpuint(pace_cost(&idle, &sync), >, pace_cost(&syncing, &sync));
	pace_ended(&idle, &ahead, true);
	g_assert_cmpuint(idle.measured, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, fn) g_test_add_func("/engine/pool/" path, fn)
	T("one connection for little work", one_connection_does_for_little_work);
	T("more for much work", much_work_opens_more_up_to_the_limit);
	T("opened ahead of work", much_work_to_come_opens_its_folder_on_the_others);
	T("AS-3 left before it goes", who_has_a_folder_open_that_goes_leaves_it_first);
	T("AS-3 left below it", so_does_who_has_one_below_it);
	T("CN-2 LIMIT shrinks and grows", a_refusal_shrinks_the_pool_and_time_grows_it);
	T("CN-5 further login refused", a_refused_login_of_a_further_connection_is_not_repeated);
	T("a failed start tells why", a_start_that_fails_tells_why);
	T("CN-5 login refused, one try", a_refused_login_is_tried_once);
	T("CN-4 silent, warm cache", a_server_that_says_nothing_does_not_hold_up_a_warm_start);
	T("delayed, empty cache", a_delayed_connect_starts_with_an_empty_cache_too);
	T("offline by request", offline_by_request_has_no_sessions_and_makes_no_tries);
	T("offline, under way", what_is_under_way_may_end_before_it_is_offline);
	T("offline and back at once", who_is_wanted_again_at_once_is_online);
	T("offline and back soon", who_is_wanted_again_soon_is_online_in_the_end);
	T("offline, cut off", what_does_not_end_is_offline_too);
	T("offline, stop", a_stop_while_offline_by_request_ends);
	T("CN-1 network changed", another_network_is_a_reason_to_try_at_once);
	T("CN-5 network changed", another_network_makes_no_refused_password_better);
	T("CN-5 login refused, warm cache", a_refused_login_with_a_warm_cache_is_told_too);
	T("warm cache, no server", a_warm_cache_starts_without_the_server);
	T("delayed connect", a_delayed_connect_starts_from_the_loop);
	T("AS-4 a lost connection", a_lost_connection_is_replaced_at_once);
	T("AS-4 short lives", connections_that_hardly_live_are_not_replaced_in_a_loop);
	T("back-off", failed_dials_back_off);
	T("pace, open window first", a_line_whose_window_is_open_gets_the_first_of_a_walk);
	T("pace, syncs", a_sync_keeps_a_session_busy);
	T("not compressed by itself", nothing_is_compressed_by_itself);
	T("compressed at once", a_link_remembered_as_slow_is_compressed_at_once);
	T("compression not offered", compression_that_is_not_offered_is_not_claimed);
	T("EX-6 fetched without", what_fails_compressed_is_fetched_without);
	T("EX-6 others replaced", the_others_are_replaced_when_one_fails_compressed);
	T("comes back by itself", it_comes_back_by_itself);
	T("missed changes", changes_that_were_missed_are_seen_after_a_reconnect);
	T("a sync among readers", a_sync_does_not_wait_behind_readers_for_ever);
	T("a reader beside a sweep", a_reader_of_another_folder_does_not_wait_for_a_long_sweep);
	T("a lost request", a_request_lost_with_its_connection_goes_to_another);
	T("stop early", a_stop_before_anything_happened_stops);
	T("CN-4 no goodbye", a_server_that_does_not_say_goodbye_is_left_after_two_seconds);
	T("after a stop", what_comes_after_a_stop_is_cancelled);
	T("a quick line", a_quick_line_gets_more_to_do_up_to_a_bound);
	T("a slow line", a_slow_line_is_not_stuffed);
	T("urgent work does not wait", only_background_work_waits_for_its_budget);
	return g_test_run();
}
