/* SPDX-License-Identifier: MIT */
/*
 * One session of the backend, without engine, cache or mount: logs in, lists, measures, says goodbye.
 * For `mailfsctl check` and `add`. Runs a loop of its own until the end; loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "cli/account.h"

#define PROBE_FOLDERS_MAX 10000u /* kept by name; all are counted */

struct probe_folder {
	char *path; /* printable */
	bool has_status;
	uint32_t messages, unseen;
};

struct probe {
	const struct mailfs_backend *backend;
	char *tls_version, *tls_cipher; /* NULL = clear text */
	char *auth, *server_id, *capabilities, *keeps; /* NULL = not told */
	bool is_compressed, can_range, can_delta;
	unsigned max_pipeline;
	uint64_t append_limit; /* 0 = not told */

	gint64 login_us;      /* from the first packet until logged in, list not counted */
	gint64 round_trip_us; /* the shortest of some; 0 = not measured */

	GPtrArray *folders; /* struct probe_folder * */
	GPtrArray *alerts;  /* char *, printable */
	unsigned folder_count;
	uint64_t message_count; /* of the folders with has_status */
	bool has_status;
};

/* The account's secret was prepared. False + error; *probe holds what was learnt until then: always
 * probe_done() it. */
bool probe_run(struct probe *probe, struct account *account, GError **error);
void probe_done(struct probe *probe);

/* What each missing capability means; calls back for those that the server does not have. */
typedef void (*probe_missing_fn)(void *user, const char *capability, const char *effect);
void probe_missing(const struct probe *probe, probe_missing_fn fn, void *user);
