/* SPDX-License-Identifier: MIT */
/* A session for looking at a server. */
#include "cli/probe.h"

#include "base/log.h"

#define ROUND_TRIPS 3u

struct run {
	struct probe *probe;
	struct mailfs_session *session;
	GMainLoop *loop;
	GError *error;
	gint64 begun_us;
	unsigned trips;
};

static bool has_capability(const char *capabilities, const char *name)
{
	g_auto(GStrv) words = g_strsplit(capabilities ? capabilities : "", " ", -1);

	for (char **word = words; *word; word++) {
		if (g_ascii_strcasecmp(*word, name) == 0)
			return true;
	}
	return false;
}

void probe_missing(const struct probe *probe, probe_missing_fn fn, void *user)
{
	for (const struct mailfs_wanted *wanted = probe->backend->wanted; wanted && wanted->name;
		wanted++) {
		if (!has_capability(probe->capabilities, wanted->name))
			fn(user, wanted->name, wanted->without);
	}
}

/* ---- the session ------------------------------------------------------------------------------- */

static void on_closed(void *user)
{
	struct run *run = user;

	g_main_loop_quit(run->loop);
}

static void say_goodbye(struct run *run, const GError *error)
{
	if (error && !run->error)
		run->error = g_error_copy(error);
	run->probe->backend->close(run->session, on_closed, run);
}

static void on_folder(void *user, const struct mailfs_folder_info *info)
{
	struct probe *probe = ((struct run *)user)->probe;
	bool has_status = info->status.has != 0;
	struct probe_folder *folder;

	probe->folder_count++;
	if (has_status) {
		probe->has_status = true;
		probe->message_count += info->status.messages;
	}
	if (probe->folders->len == PROBE_FOLDERS_MAX)
		return;
	folder = g_new(struct probe_folder, 1);
	*folder = (struct probe_folder){
		.path = log_safe(info->path, -1),
		.has_status = has_status,
		.messages = info->status.messages,
		.unseen = info->status.unseen,
	};
	g_ptr_array_add(probe->folders, folder);
}

static void on_listed(void *user, const GError *error)
{
	say_goodbye(user, error);
}

static void next_trip(struct run *run);

static void on_trip(void *user, const GError *error)
{
	struct run *run = user;
	gint64 took = g_get_monotonic_time() - run->begun_us;

	if (error) {
		say_goodbye(run, error);
		return;
	}
	if (run->probe->round_trip_us == 0 || took < run->probe->round_trip_us)
		run->probe->round_trip_us = MAX(took, 1);
	next_trip(run);
}

static void next_trip(struct run *run)
{
	if (run->trips++ < ROUND_TRIPS) {
		run->begun_us = g_get_monotonic_time();
		run->probe->backend->poll(run->session, 0, on_trip, run);
		return;
	}
	run->probe->backend->list(run->session,
		&(struct mailfs_list_request){ .folder = on_folder, .done = on_listed, .user = run });
}

static void on_ready(void *user, const struct mailfs_server_info *info)
{
	struct run *run = user;
	struct probe *probe = run->probe;

	probe->login_us = g_get_monotonic_time() - run->begun_us;
	probe->tls_version = g_strdup(info->tls_version);
	probe->tls_cipher = g_strdup(info->tls_cipher);
	probe->auth = g_strdup(info->auth);
	probe->server_id = g_strdup(info->server_id);
	probe->keeps = g_strdup(info->keeps);
	probe->capabilities = g_strdup(info->capabilities);
	probe->is_compressed = info->compressed;
	probe->can_range = info->can_range;
	probe->can_delta = info->can_delta;
	probe->max_pipeline = info->max_pipeline;
	probe->append_limit = info->append_limit;
	next_trip(run);
}

static void on_folder_changed(void *user, const char *folder)
{
}

static void on_alert(void *user, const char *text)
{
	struct probe *probe = ((struct run *)user)->probe;

	if (probe->alerts->len < 10)
		g_ptr_array_add(probe->alerts, log_safe(text, -1));
}

static void on_dead(void *user, const GError *error)
{
	struct run *run = user;

	if (!run->error)
		run->error = g_error_copy(error);
	g_main_loop_quit(run->loop);
}

static void folder_free(gpointer data)
{
	struct probe_folder *folder = data;

	g_free(folder->path);
	g_free(folder);
}

bool probe_run(struct probe *probe, struct account *account, GError **error)
{
	static const struct mailfs_session_events events = {
		.ready = on_ready,
		.folder_changed = on_folder_changed,
		.alert = on_alert,
		.dead = on_dead,
	};
	struct run run = { .probe = probe, .begun_us = g_get_monotonic_time() };
	struct mailfs_backend_config config;

	*probe = (struct probe){
		.backend = account->backend,
		.folders = g_ptr_array_new_with_free_func(folder_free),
		.alerts = g_ptr_array_new_with_free_func(g_free),
	};
	account_backend_config(account, &config);
	run.loop = g_main_loop_new(NULL, FALSE);
	run.session = probe->backend->open(&config, &events, &run);
	g_main_loop_run(run.loop);
	probe->backend->free(run.session);
	g_main_loop_unref(run.loop);
	if (!run.error)
		return true;
	g_propagate_error(error, run.error);
	return false;
}

void probe_done(struct probe *probe)
{
	g_free(probe->tls_version);
	g_free(probe->tls_cipher);
	g_free(probe->auth);
	g_free(probe->server_id);
	g_free(probe->keeps);
	g_free(probe->capabilities);
	g_clear_pointer(&probe->folders, g_ptr_array_unref);
	g_clear_pointer(&probe->alerts, g_ptr_array_unref);
	*probe = (struct probe){ 0 };
}
