/* SPDX-License-Identifier: MIT */
/*
 * mailfsctl. Mounts are found in the kernel's mount table, never by pid files; a mount is talked to
 * through its .mailfs directory. Data goes to stdout, everything else to stderr.
 */
#include "cli/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/config.h"
#include "cli/exit_code.h"
#include "cli/mailfs.h"
#include "cli/mountpoint.h"

#define END_WAIT_MS 5000 /* an unmounted daemon ends within this */

static const char usage_text[] =
	"usage: mailfsctl VERB [ARGUMENTS]\n"
	"\n"
	"    status [MOUNTPOINT] [--json]    state of the mounts\n"
	"    check [OPTIONS] SOURCE          connect, log in, tell what the server can do\n"
	"    list [-F FILE]                  accounts of the configuration file\n"
	"    refresh MOUNTPOINT [FOLDER]     look for new mail now\n"
	"    pending MOUNTPOINT [--retry [ID] | --drop ID]\n"
	"                                    what is not on the server yet\n"
	"    umount MOUNTPOINT               unmount, and wait for the end of the daemon\n"
	"\n"
	"    -h, --help                      this text\n"
	"    -V, --version                   the version\n"
	"\n"
	"OPTIONS are those of mailfs(1). mailfsctl(1) says more.\n";

int ctl_fail(int code, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	fprintf(stderr, "mailfsctl: %s\n", text);
	return code;
}

static int fail_error(const GError *error)
{
	return ctl_fail(exit_code(error, false), "%s", error->message);
}

/* ---- mounts ------------------------------------------------------------------------------------ */

/* The canonical path if a mailfs is there, else NULL and the complaint was made. g_free() it. */
static char *find_mount(const char *path)
{
	g_autofree char *canonical = mountpoint_canonical(path);
	g_autoptr(GPtrArray) table = mount_table_read();
	const struct mount_entry *entry = mount_table_find(table, canonical);

	if (entry && strcmp(entry->type, MOUNT_TYPE) == 0)
		return g_steal_pointer(&canonical);
	ctl_fail(EX_NOINPUT, "%s: no mailfs is mounted there", path);
	return NULL;
}

static char *control_path(const char *mountpoint, const char *name)
{
	return g_build_filename(mountpoint, ".mailfs", name, NULL);
}

/* "pid": 123 of status.json; 0 = not known. */
static pid_t find_pid(const char *mountpoint)
{
	g_autofree char *path = control_path(mountpoint, "status.json");
	g_autofree char *text = NULL;
	const char *at;
	uint32_t pid;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	at = strstr(text, "\"pid\":");
	if (!at)
		return 0;
	at += strlen("\"pid\":");
	at += strspn(at, " ");
	if (!parse_u32(at, strspn(at, "0123456789"), &pid) || pid > G_MAXINT32)
		return 0;
	return (pid_t)pid;
}

/* ---- status ------------------------------------------------------------------------------------ */

static int print_status(const char *mountpoint, bool is_json)
{
	g_autofree char *path = control_path(mountpoint, is_json ? "status.json" : "status");
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	gsize len = 0;

	if (!g_file_get_contents(path, &text, &len, &error))
		return ctl_fail(EX_UNAVAILABLE, "%s", error->message);
	fwrite(text, 1, len, stdout);
	if (len > 0 && text[len - 1] != '\n')
		putchar('\n');
	return 0;
}

static int print_all(bool is_json)
{
	g_autoptr(GPtrArray) table = mount_table_read();
	bool is_first = true;
	int worst = 0;

	for (guint i = 0; i < table->len; i++) {
		const struct mount_entry *entry = g_ptr_array_index(table, i);
		int code;

		if (!mount_entry_is_ours(entry))
			continue;
		if (!is_json && !is_first)
			putchar('\n');
		is_first = false;
		code = print_status(entry->path, is_json);
		worst = code != 0 ? code : worst;
	}
	if (is_first)
		fputs("mailfsctl: you have no mailfs mounted\n", stderr);
	return worst;
}

static int ctl_status(int argc, char **argv)
{
	g_autofree char *mountpoint = NULL;
	const char *path = NULL;
	bool is_json = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			is_json = true;
		else if (argv[i][0] == '-' || path)
			return ctl_fail(EX_USAGE, "status: not understood: %s", argv[i]);
		else
			path = argv[i];
	}
	if (!path)
		return print_all(is_json);
	mountpoint = find_mount(path);
	return mountpoint ? print_status(mountpoint, is_json) : EX_NOINPUT;
}

/* ---- list -------------------------------------------------------------------------------------- */

static int ctl_list(int argc, char **argv)
{
	bool has_file = argc == 3 && (strcmp(argv[1], "-F") == 0 || strcmp(argv[1], "--config") == 0);
	g_autofree char *path = has_file ? g_strdup(argv[2]) : config_default_path();
	g_autoptr(GError) error = NULL;
	struct config *config;

	if (argc > 1 && !has_file)
		return ctl_fail(EX_USAGE, "list: not understood: %s", argv[1]);
	config = config_load(path, has_file, &error);
	if (!config)
		return fail_error(error);
	for (guint i = 0; i < config->accounts->len; i++) {
		const struct config_account *account = g_ptr_array_index(config->accounts, i);
		const char *source = config_get(account, "source");

		printf("%s\t%s\n", account->name, source ? source : "");
	}
	if (config->accounts->len == 0)
		fprintf(stderr, "mailfsctl: no accounts in %s\n", path);
	config_free(config);
	return 0;
}

/* ---- refresh ----------------------------------------------------------------------------------- */

/* 0 or -errno; the write ends when the server has answered. */
static int write_ctl(const char *mountpoint, const char *text)
{
	g_autofree char *path = control_path(mountpoint, "ctl");
	SCOPED(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* A read-only mount takes no writes, not even there: a signal does the same for all folders. */
static int signal_refresh(const char *mountpoint)
{
	pid_t pid = find_pid(mountpoint);

	if (pid == 0 || kill(pid, SIGUSR1) < 0)
		return ctl_fail(EX_UNAVAILABLE, "%s: mounted read-only, and its process cannot be signalled",
			mountpoint);
	return 0;
}

static int ctl_refresh(int argc, char **argv)
{
	g_autofree char *mountpoint = NULL;
	g_autofree char *text = NULL;
	int r;

	if (argc < 2 || argc > 3)
		return ctl_fail(EX_USAGE, "usage: mailfsctl refresh MOUNTPOINT [FOLDER]");
	if (argc == 3 && strchr(argv[2], '\n'))
		return ctl_fail(EX_USAGE, "refresh: a folder's name has no line breaks");
	mountpoint = find_mount(argv[1]);
	if (!mountpoint)
		return EX_NOINPUT;
	text = argc == 3 ? g_strdup_printf("refresh %s\n", argv[2]) : g_strdup("refresh\n");
	r = write_ctl(mountpoint, text);
	if (r == -EROFS)
		return signal_refresh(mountpoint);
	if (r == -ENOENT && argc == 3)
		return ctl_fail(EX_NOINPUT, "%s: there is no folder %s", mountpoint, argv[2]);
	if (r < 0)
		return ctl_fail(EX_TEMPFAIL, "%s: %s", mountpoint, g_strerror(-r));
	return 0;
}

/* ---- pending ----------------------------------------------------------------------------------- */

static int print_pending(const char *mountpoint)
{
	g_autofree char *path = control_path(mountpoint, "pending");
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;

	if (!g_file_get_contents(path, &text, NULL, &error))
		return ctl_fail(EX_UNAVAILABLE, "%s", error->message);
	if (*text == '\0')
		fputs("mailfsctl: everything is on the server\n", stderr);
	fputs(text, stdout);
	return 0;
}

static int write_pending(const char *mountpoint, const char *verb, const char *id)
{
	g_autofree char *text = g_strdup_printf("%s %s\n", verb, id);
	int r = write_ctl(mountpoint, text);

	if (r == -ENOENT)
		return ctl_fail(EX_NOINPUT, "%s: nothing with the id %s waits", mountpoint, id);
	if (r == -EINVAL)
		return ctl_fail(EX_USAGE, "pending: not an id: %s", id);
	if (r < 0)
		return ctl_fail(EX_TEMPFAIL, "%s: %s", mountpoint, g_strerror(-r));
	return 0;
}

static int ctl_pending(int argc, char **argv)
{
	static const char usage[] = "usage: mailfsctl pending MOUNTPOINT [--retry [ID] | --drop ID]";
	g_autofree char *mountpoint = NULL;
	bool is_retry = argc > 2 && strcmp(argv[2], "--retry") == 0;
	bool is_drop = argc > 2 && strcmp(argv[2], "--drop") == 0;

	if (argc < 2 || argc > 4 || (argc > 2 && !is_retry && !is_drop) || (is_drop && argc != 4) ||
		(argc == 4 && strchr(argv[3], '\n')))
		return ctl_fail(EX_USAGE, "%s", usage);
	mountpoint = find_mount(argv[1]);
	if (!mountpoint)
		return EX_NOINPUT;
	if (argc == 2)
		return print_pending(mountpoint);
	return write_pending(mountpoint, is_retry ? "retry" : "drop", argc == 4 ? argv[3] : "all");
}

/* ---- umount ------------------------------------------------------------------------------------ */

/* So that a mount right after this one finds the cache unlocked. */
static void wait_for_end(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	if (pidfd >= 0 && poll(&poll_fd, 1, END_WAIT_MS) == 0)
		fputs("mailfsctl: unmounted; its process is still writing the cache\n", stderr);
}

static int ctl_umount(int argc, char **argv)
{
	g_autofree char *mountpoint = NULL;
	g_autoptr(GError) error = NULL;
	SCOPED(fd_closep) int pidfd = -1;
	pid_t pid;

	if (argc != 2)
		return ctl_fail(EX_USAGE, "usage: mailfsctl umount MOUNTPOINT");
	mountpoint = find_mount(argv[1]);
	if (!mountpoint)
		return EX_NOINPUT;
	pid = find_pid(mountpoint);
	pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
	if (!mountpoint_unmount(mountpoint, false, &error))
		return fail_error(error);
	wait_for_end(pidfd);
	return 0;
}

/* ---- main -------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	ctl_verb_fn fn;
} verbs[] = {
	{ "status", ctl_status },
	{ "check", ctl_check },
	{ "list", ctl_list },
	{ "refresh", ctl_refresh },
	{ "pending", ctl_pending },
	{ "umount", ctl_umount },
};

static bool is_word(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int ctl_main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("mailfsctl: a verb is missing: status, check, list, refresh, pending or umount\n"
		      "mailfsctl: see 'mailfsctl --help' or mailfsctl(1)\n",
			stderr);
		return EX_USAGE;
	}
	if (is_word(argv[1], "-h", "--help")) {
		fputs(usage_text, stdout);
		return 0;
	}
	if (is_word(argv[1], "-V", "--version")) {
		puts("mailfsctl " MAILFS_VERSION);
		return 0;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].fn(argc - 1, argv + 1);
	}
	return ctl_fail(EX_USAGE, "unknown verb: %s (see 'mailfsctl --help')", argv[1]);
}
