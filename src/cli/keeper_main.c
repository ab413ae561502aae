/* SPDX-License-Identifier: MIT */
/* The keeper process. One thread, one order after the other; a program runs beside it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/keeper.h"
#include "cli/keyring.h"
#include "cli/mountpoint.h"

static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1, SIGUSR2, SIGPIPE };

static void set_signals(void (*handler)(int))
{
	for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
		signal(signals[i], handler);
}

/* ---- programs ---------------------------------------------------------------------------------- */

static void tell_status(int to, int status)
{
	if (write(to, &status, sizeof(status)) < 0)
		return; /* nobody wants to know any more */
}

/* What is run: a program, or (`argv` is NULL) the keyring asked. */
struct job {
	char **argv;
	const char *account;
	int out, status;
};

static void G_GNUC_NORETURN become(const struct job *job)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (!isatty(STDIN_FILENO) && null >= 0)
		dup2(null, STDIN_FILENO);
	if (!job->argv)
		keyring_tell(job->account, job->out);
	if (dup2(job->out, STDOUT_FILENO) >= 0 && chdir("/") == 0)
		execvp(job->argv[0], job->argv);
	tell_status(job->status, -errno);
	_exit(127);
}

/* True: it has ended by itself. False: whoever wanted to know how has gone. */
static bool wait_for_end(pid_t pid, int status)
{
	SCOPED(fd_closep) int process = pidfd_open(pid, 0);
	struct pollfd poll_fds[] = { { .fd = process, .events = POLLIN }, { .fd = status } };

	while (poll(poll_fds, 2, -1) < 0 && errno == EINTR)
		;
	return (poll_fds[1].revents & POLLERR) == 0;
}

/* Its own process: the keeper goes on meanwhile. */
static void G_GNUC_NORETURN supervise(const struct job *job)
{
	pid_t pid;
	int how = 0;

	set_signals(SIG_DFL);
	pid = fork();
	if (pid == 0)
		become(job);
	close(job->out);
	if (pid < 0) {
		tell_status(job->status, -errno);
		_exit(1);
	}
	signal(SIGPIPE, SIG_IGN);
	if (!wait_for_end(pid, job->status))
		kill(pid, SIGKILL);
	while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
		;
	tell_status(job->status, how);
	_exit(0);
}

static struct account *find_account(const struct keeper_config *config, const char *name)
{
	for (size_t i = 0; i < config->account_count; i++) {
		if (strcmp(config->accounts[i]->name, name) == 0)
			return config->accounts[i];
	}
	return NULL;
}

/* Init takes care of who supervises. */
static void fork_supervisor(int socket, const struct job *job)
{
	pid_t pid = fork();

	if (pid == 0) {
		close(socket);
		pid = fork();
		if (pid == 0)
			supervise(job);
		if (pid < 0)
			tell_status(job->status, -errno);
		_exit(0);
	}
	if (pid < 0)
		tell_status(job->status, -errno);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void run(int socket, const struct keeper_config *config, const struct keeper_order *order,
	const int fds[2])
{
	const struct account *account = find_account(config, order->account);
	struct job job = { .account = order->account, .out = fds[0], .status = fds[1] };
	const char *command = account ? secret_command(account->secret) : NULL;
	g_auto(GStrv) argv = NULL;

	if (job.out < 0 || job.status < 0)
		return;
	if (order->verb == KEEPER_RUN && command && g_shell_parse_argv(command, NULL, &argv, NULL))
		job.argv = argv;
	if (account && (job.argv || order->verb == KEEPER_KEYRING))
		fork_supervisor(socket, &job);
	else
		tell_status(job.status, -EINVAL);
}

/* ---- the mount --------------------------------------------------------------------------------- */

/* Whoever answers for a mount that is closed gets this long to be gone altogether. */
#define DEATH_SECONDS 10u

static struct {
	bool is_there;
	bool is_taken; /* by a daemon that answers for it */
	char *id;      /* NULL = unknown */
} made;

static char *find_id(const struct mounter *mounter)
{
	g_autoptr(GPtrArray) table = mount_table_read();
	const struct mount_entry *entry = mount_table_find(table, mounter->mountpoint);

	return entry ? g_strdup(entry->id) : NULL;
}

/* Only what we have mounted: there may have been something before, and another mount since. */
static int unmount_it(const struct mounter *mounter)
{
	g_autofree char *id = find_id(mounter);

	if (!made.is_there || (made.id && g_strcmp0(id, made.id) != 0))
		return 0;
	if (geteuid() == 0 && umount2(mounter->mountpoint, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
		return 0;
	return mountpoint_unmount(mounter->mountpoint, true, NULL) ? 0 : EIO;
}

static void mount_it(int socket, const struct mounter *mounter)
{
	SCOPED(fd_closep) int fd = made.is_there ? -1 : mounter_mount(mounter);
	const int fds[2] = { fd, -1 };
	const int error = fd < 0 ? EIO : 0;

	if (fd >= 0) {
		made.is_there = true;
		made.id = find_id(mounter);
	}
	/* Nobody is there any more. */
	if (!keeper_send(socket, &error, sizeof(error), fds) && fd >= 0) {
		unmount_it(mounter);
		made.is_there = false;
	}
}

/* The daemon has gone, or is going. Another's mount may lie there by now. */
static void leave_nothing(const struct mounter *mounter)
{
	g_autofree char *id = NULL;
	struct statvfs fs;

	if (!made.is_there || made.is_taken)
		return;
	id = find_id(mounter);
	if (!id || g_strcmp0(id, made.id) != 0)
		return;
	/* Waits while somebody might answer. */
	alarm(DEATH_SECONDS);
	if (statvfs(mounter->mountpoint, &fs) < 0 && (errno == ENOTCONN || errno == ECONNABORTED))
		unmount_it(mounter);
}

/* ---- orders ------------------------------------------------------------------------------------ */

/* What the file says of passwords is the daemon's. */
static void forget_secrets(const struct keeper_config *config)
{
	for (size_t i = 0; i < config->account_count; i++)
		account_forget_secret(config->accounts[i]);
	log_secrets_clear();
}

static void reload(const struct keeper_config *config)
{
	/* What is wrong with it is told by the daemon. */
	for (size_t i = 0; i < config->account_count; i++)
		account_reload(config->accounts[i], NULL);
	forget_secrets(config);
}

static void tell_name(const char *pid, int out)
{
	char path[48], name[16];
	SCOPED(fd_closep) int fd = -1;
	uint32_t number;
	ssize_t got;

	if (!parse_u32(pid, strlen(pid), &number))
		return;
	g_snprintf(path, sizeof(path), "/proc/%u/comm", number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd >= 0 ? read(fd, name, sizeof(name)) : 0;
	/* Without the end of line. */
	if (got > 1 && write(out, name, (size_t)got - 1) < 0)
		return; /* nobody wants to know any more */
}

static void detach(void)
{
	SCOPED(fd_closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	log_detach();
}

static void carry_out(int socket, const struct keeper_config *config, const struct keeper_order *order,
	const int fds[2])
{
	int error;

	switch (order->verb) {
	case KEEPER_MOUNT:
		mount_it(socket, &config->mounter);
		break;
	case KEEPER_TAKEN:
		made.is_taken = true;
		break;
	case KEEPER_UNMOUNT:
	case KEEPER_ABANDON:
		error = unmount_it(&config->mounter);
		if (order->verb == KEEPER_UNMOUNT)
			keeper_send(socket, &error, sizeof(error), (const int[]){ -1, -1 });
		break;
	case KEEPER_RUN:
	case KEEPER_KEYRING:
		run(socket, config, order, fds);
		break;
	case KEEPER_NAME:
		tell_name(order->account, fds[0]);
		break;
	case KEEPER_RELOAD:
		reload(config);
		break;
	case KEEPER_DETACH:
		detach();
		break;
	default:
		break;
	}
}

/* Files of the daemon's, one to read a password from among them, are not ours. */
static int leave_files(int socket)
{
	const int own = STDERR_FILENO + 1;

	if (socket != own)
		dup3(socket, own, O_CLOEXEC);
	close_range((unsigned)own + 1, ~0u, 0);
	return own;
}

void keeper_serve(int fd, const struct keeper_config *config)
{
	int socket = leave_files(fd), fds[2];
	struct keeper_order order;

	/* Whoever tells the daemon to end does not mean us: we end with it. */
	set_signals(SIG_IGN);
	prctl(PR_SET_NAME, KEEPER_PROGRAM);
	forget_secrets(config);
	if (chdir("/") < 0)
		_exit(1);
	while (keeper_receive(socket, &order, sizeof(order), fds) == sizeof(order)) {
		order.account[sizeof(order.account) - 1] = '\0';
		carry_out(socket, config, &order, fds);
		fd_closep(&fds[0]);
		fd_closep(&fds[1]);
	}
	leave_nothing(&config->mounter);
	_exit(0);
}
