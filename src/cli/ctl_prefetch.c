/* SPDX-License-Identifier: MIT */
/*
 * mailfsctl prefetch: the daemon is asked to fetch everything, and its status read until it has. It
 * does so whether anybody looks or not; asked again, it goes on with what is missing.
 */
#include "cli/ctl_prefetch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/ctl.h"
#include "cli/exit_code.h"
#include "cli/progress.h"

#define LOOK_FIRST_MS 20
#define LOOK_MS       400
#define OFFLINE_US    (5 * G_USEC_PER_SEC) /* then it is not for a moment only */

/* ---- status.json ------------------------------------------------------------------------------- */

struct account {
	bool is_offline, is_by_request, is_refused;
	bool is_running, is_full;
	uint64_t total, done, bytes;
};

static bool is_text(const char *line, const char *key, const char *text)
{
	const char *value = ctl_json_value(line, key);
	size_t len = strlen(text);

	return value && *value == '"' && strncmp(value + 1, text, len) == 0 && value[1 + len] == '"';
}

static void read_number(const char *line, const char *key, uint64_t *number)
{
	const char *value = ctl_json_value(line, key);

	if (value)
		parse_u64(value, strspn(value, "0123456789"), number);
}

static void read_line(const char *line, struct account *account)
{
	account->is_offline |= is_text(line, "state", "offline");
	account->is_refused |= is_text(line, "state", "login refused");
	account->is_by_request |= is_text(line, "offline-by", "request");
	account->is_running |= is_text(line, "prefetch", "running") || is_text(line, "prefetch", "paused");
	account->is_full |= is_text(line, "prefetch", "full");
	read_number(line, "prefetch-total", &account->total);
	read_number(line, "prefetch-done", &account->done);
	read_number(line, "prefetch-bytes", &account->bytes);
}

static void add(struct prefetch_view *view, const struct account *account)
{
	view->total += account->total;
	view->done += account->done;
	view->bytes += account->bytes;
	view->full += account->is_full;
	if (!account->is_running)
		return;
	if (account->is_refused) {
		view->refused++;
	} else if (account->is_by_request) {
		view->offline++;
	} else {
		view->running++;
		view->waiting += account->is_offline;
	}
}

void prefetch_view_read(const char *json, struct prefetch_view *ret_view)
{
	struct account account = { 0 };

	*ret_view = (struct prefetch_view){ 0 };
	for (const char *line = json; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (ctl_json_value(line, "account")) {
			add(ret_view, &account);
			account = (struct account){ 0 };
		}
		read_line(line, &account);
	}
	add(ret_view, &account);
}

/* ---- following it ------------------------------------------------------------------------------ */

struct prefetch {
	const char *mountpoint;
	struct progress progress;
	struct prefetch_view view, before; /* before: of folders that were done while others were asked for */
	int64_t offline_us; /* since when; 0 = it is not */
};

static volatile sig_atomic_t got_signal;

static void on_signal(int number)
{
	got_signal = number;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static bool look(struct prefetch *prefetch, GError **error)
{
	g_autofree char *json = ctl_read_now(prefetch->mountpoint, "status.json", error);
	struct progress *progress = &prefetch->progress;

	if (!json)
		return false;
	prefetch_view_read(json, &prefetch->view);
	progress->count = prefetch->before.done + prefetch->view.done;
	progress->count_max = prefetch->before.total + prefetch->view.total;
	progress->bytes = prefetch->before.bytes + prefetch->view.bytes;
	return true;
}

/* A lost connection is replaced soon, mostly. */
static bool is_over(struct prefetch *prefetch)
{
	const struct prefetch_view *view = &prefetch->view;
	int64_t now_us = g_get_monotonic_time();

	if (view->waiting < view->running)
		prefetch->offline_us = 0;
	else if (prefetch->offline_us == 0)
		prefetch->offline_us = now_us;
	return view->running == 0 ||
		(prefetch->offline_us != 0 && now_us - prefetch->offline_us >= OFFLINE_US);
}

static bool follow(struct prefetch *prefetch, GError **error)
{
	int wait_ms = LOOK_FIRST_MS;
	bool is_good = look(prefetch, error);

	progress_begin(&prefetch->progress);
	while (is_good && got_signal == 0 && !is_over(prefetch)) {
		progress_update(&prefetch->progress);
		poll(NULL, 0, wait_ms); /* a signal ends it */
		wait_ms = MIN(wait_ms * 2, LOOK_MS);
		is_good = look(prefetch, error);
	}
	progress_end(&prefetch->progress);
	return is_good;
}

static int tell(const struct prefetch *prefetch)
{
	const struct progress *progress = &prefetch->progress;
	const struct prefetch_view *view = &prefetch->view;
	g_autofree char *size = g_format_size_full(progress->bytes, G_FORMAT_SIZE_IEC_UNITS);

	printf("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " messages are in the cache, %s fetched\n",
		progress->count, progress->count_max, size);
	if (view->refused > 0)
		return ctl_fail(EX_NOPERM, "%s: the server refused the login", prefetch->mountpoint);
	if (view->offline > 0)
		return ctl_fail(EX_TEMPFAIL, "%s: offline, until 'mailfsctl online'", prefetch->mountpoint);
	if (view->running > 0)
		return ctl_fail(EX_TEMPFAIL, "%s: offline; it goes on when the server is back",
			prefetch->mountpoint);
	if (view->full > 0)
		return ctl_fail(EX_TEMPFAIL, "%s: the cache is full (cache-size)", prefetch->mountpoint);
	return 0;
}

/* ---- asking ------------------------------------------------------------------------------------ */

static int ask(const char *mountpoint, const char *folder)
{
	g_autofree char *line = folder ? g_strdup_printf("prefetch %s\n", folder) : g_strdup("prefetch\n");
	int r = ctl_write(mountpoint, line);

	if (r == -ENOENT && folder)
		return ctl_fail(EX_NOINPUT, "%s: there is no folder %s", mountpoint, folder);
	return r < 0 ? ctl_fail(EX_TEMPFAIL, "%s: %s", mountpoint, g_strerror(-r)) : 0;
}

/* A folder that is done when the next one is asked for is not counted with it. */
static int ask_all(struct prefetch *prefetch, int count, char **folders)
{
	int code = ask(prefetch->mountpoint, count > 0 ? folders[0] : NULL);

	for (int i = 1; i < count && code == 0; i++) {
		if (look(prefetch, NULL) && prefetch->view.running == 0) {
			prefetch->before.total += prefetch->view.total;
			prefetch->before.done += prefetch->view.done;
			prefetch->before.bytes += prefetch->view.bytes;
		}
		code = ask(prefetch->mountpoint, folders[i]);
	}
	return code;
}

int ctl_prefetch(int argc, char **argv)
{
	struct prefetch prefetch = { 0 };
	g_autofree char *mountpoint = NULL;
	g_autoptr(GError) error = NULL;
	int code;

	if (argc < 2 || argv[1][0] == '-')
		return ctl_usage(argv[0]);
	for (int i = 2; i < argc; i++) {
		if (strchr(argv[i], '\n'))
			return ctl_fail(EX_USAGE, "prefetch: a folder's name has no line breaks");
	}
	mountpoint = ctl_find_mount(argv[1]);
	if (!mountpoint)
		return EX_NOINPUT;
	prefetch.mountpoint = mountpoint;
	catch_signals();
	code = ask_all(&prefetch, argc - 2, argv + 2);
	if (code != 0)
		return code;
	if (!follow(&prefetch, &error) && got_signal == 0)
		return ctl_fail_error(error);
	if (got_signal != 0)
		return ctl_fail(EX_TEMPFAIL, "not waited for: it goes on in the background");
	return tell(&prefetch);
}
