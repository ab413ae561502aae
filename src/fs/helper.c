/* SPDX-License-Identifier: MIT */
/* The helper process: single-threaded, with a memory and an environment of its own. */
#include "fs/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"

#define FUSE_MAGIC 0x65735546
#define REAP_MS    500u

/* ---- in the daemon ----------------------------------------------------------------------------- */

static void G_GNUC_NORETURN become(int fd)
{
	static char *const argv[] = { (char *)HELPER_PROGRAM, NULL };
	static char *const environment[] = { NULL };
	int null = open("/dev/null", O_RDWR);

	dup2(fd, 0);
	dup2(null, 1);
	dup2(null, 2);
	close_range(3, ~0u, 0);
	execve("/proc/self/exe", argv, environment);
	_exit(127);
}

void helper_start(struct helper *helper)
{
	int fds[2];

	*helper = (struct helper){ .fd = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return;
	helper->pid = fork();
	if (helper->pid == 0)
		become(fds[1]);
	close(fds[1]);
	if (helper->pid < 0) {
		close(fds[0]);
		return;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	helper->fd = fds[0];
}

/* One that does not end is init's, some time. */
void helper_end(struct helper *helper)
{
	if (helper->fd < 0)
		return;
	close(helper->fd);
	helper->fd = -1;
	for (unsigned waited = 0; waited < REAP_MS && waitpid(helper->pid, NULL, WNOHANG) == 0; waited++)
		g_usleep(1000);
}

/* ---- the process ------------------------------------------------------------------------------- */

struct place {
	char mountpoint[PATH_MAX]; /* "" = not told yet */
	unsigned major, minor;
};

static bool device_of(int fd, unsigned *ret_major, unsigned *ret_minor)
{
	struct statx attr;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &attr) < 0)
		return false;
	*ret_major = attr.stx_dev_major;
	*ret_minor = attr.stx_dev_minor;
	return true;
}

/* A mount may go at any time, and what was below it come to light: nothing may be touched there. */
static bool is_ours(const struct place *place, int fd)
{
	unsigned major, minor;

	return device_of(fd, &major, &minor) && major == place->major && minor == place->minor;
}

static int take_mount(struct place *place, const struct helper_order *order)
{
	SCOPED(fd_closep) int fd = open(order->folder, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct statfs attr;

	if (fd < 0)
		return errno;
	if (fstatfs(fd, &attr) < 0 || attr.f_type != FUSE_MAGIC ||
		!device_of(fd, &place->major, &place->minor))
		return ENODEV;
	g_strlcpy(place->mountpoint, order->folder, sizeof(place->mountpoint));
	return faccessat(fd, HELPER_PROBE, F_OK, 0) < 0 && errno == ENOENT ? 0 : EINVAL;
}

static int touch(int folder, const char *name)
{
	/* Both, else it would be ACCESS or MODIFY. */
	const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };

	return *name != '\0' ? utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW)
			     : utimensat(folder, "", times, AT_EMPTY_PATH);
}

static int act(int folder, const struct helper_order *order)
{
	switch (order->verb) {
	case HELPER_CREATE:
		return mknodat(folder, order->name, S_IFREG | 0600, 0);
	case HELPER_UNLINK:
		return unlinkat(folder, order->name, 0);
	case HELPER_TOUCH:
		return touch(folder, order->name);
	case HELPER_MKDIR:
		return mkdirat(folder, order->name, 0700);
	case HELPER_RMDIR:
		return unlinkat(folder, order->name, AT_REMOVEDIR);
	default:
		errno = EINVAL;
		return -1;
	}
}

static int carry_out(struct place *place, const struct helper_order *order)
{
	SCOPED(fd_closep) int root = -1;
	SCOPED(fd_closep) int folder = -1;
	const char *below = *order->folder != '\0' ? order->folder : ".";

	/* Once: whoever takes the daemon over later leads it nowhere else. */
	if (order->verb == HELPER_MOUNT)
		return *place->mountpoint == '\0' ? take_mount(place, order) : EINVAL;
	if (*place->mountpoint == '\0')
		return EINVAL;
	root = open(place->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (root < 0)
		return errno;
	if (!is_ours(place, root))
		return EXDEV;
	folder = openat(root, below, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (folder < 0)
		return errno;
	if (!is_ours(place, folder))
		return EXDEV;
	return act(folder, order) < 0 ? errno : 0;
}

static void ignore_signals(void)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE };

	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
		signal(numbers[i], SIG_IGN);
}

int helper_main(void)
{
	static struct place place;
	static struct helper_order order;

	/* Whoever tells the daemon to end does not mean us: we end with it. */
	ignore_signals();
	prctl(PR_SET_NAME, HELPER_PROGRAM);
	if (chdir("/") < 0)
		return 1;
	while (recv(0, &order, sizeof(order), 0) == (ssize_t)sizeof(order)) {
		int error;

		order.folder[sizeof(order.folder) - 1] = '\0';
		order.name[sizeof(order.name) - 1] = '\0';
		error = carry_out(&place, &order);
		if (send(0, &error, sizeof(error), 0) < 0)
			break;
	}
	return 0;
}
