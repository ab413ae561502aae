/* SPDX-License-Identifier: MIT */
/* What the daemon has of its keeper: a socket. */
#include "cli/keeper.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "base/cleanup.h"

#define MOUNT_MS   20000
#define UNMOUNT_MS 1000 /* less than the alarm of shutdown.c */

static int keeper_fd = -1;
static guint watch_source;
static void (*watch_fn)(void *user);

static const int no_fds[2] = { -1, -1 };

bool keeper_start(const struct keeper_config *config)
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return false;
	pid = fork();
	if (pid == 0)
		keeper_serve(fds[1], config);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return false;
	}
	keeper_fd = fds[0];
	return true;
}

bool keeper_is_there(void)
{
	return keeper_fd >= 0;
}

static gboolean on_gone(gint fd, GIOCondition condition, gpointer user)
{
	watch_source = 0;
	fd_closep(&keeper_fd);
	watch_fn(user);
	return G_SOURCE_REMOVE;
}

void keeper_watch(void (*gone)(void *user), void *user)
{
	watch_fn = gone;
	watch_source = g_unix_fd_add(keeper_fd, G_IO_HUP | G_IO_ERR, on_gone, user);
}

void keeper_end(void)
{
	g_clear_handle_id(&watch_source, g_source_remove);
	fd_closep(&keeper_fd);
}

static bool order(int verb)
{
	const struct keeper_order order = { .verb = verb };

	return keeper_send(keeper_fd, &order, sizeof(order), no_fds);
}

/* 0 and perhaps a fd, or an error; no answer is one, too. */
static int wait_for_answer(int timeout_ms, int *ret_fd)
{
	struct pollfd poll_fd = { .fd = keeper_fd, .events = POLLIN };
	int error = EIO, ready, fds[2];

	do {
		ready = poll(&poll_fd, 1, timeout_ms);
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return ETIMEDOUT;
	if (keeper_receive(keeper_fd, &error, sizeof(error), fds) != sizeof(error))
		return EPIPE;
	fd_closep(&fds[1]);
	if (!ret_fd)
		fd_closep(&fds[0]);
	else
		*ret_fd = fds[0];
	return error;
}

int keeper_mount(void)
{
	int fd = -1;

	if (!order(KEEPER_MOUNT) || wait_for_answer(MOUNT_MS, &fd) != 0)
		fd_closep(&fd);
	return fd;
}

void keeper_taken(void)
{
	order(KEEPER_TAKEN);
}

void keeper_unmount(void)
{
	if (order(KEEPER_UNMOUNT))
		wait_for_answer(UNMOUNT_MS, NULL);
}

void keeper_abandon(void)
{
	order(KEEPER_ABANDON);
}

static bool order_for(int verb, const char *account, int out, int status)
{
	struct keeper_order order = { .verb = verb };
	const int fds[2] = { out, status };

	if (g_strlcpy(order.account, account, sizeof(order.account)) >= sizeof(order.account)) {
		errno = ENAMETOOLONG;
		return false;
	}
	return keeper_send(keeper_fd, &order, sizeof(order), fds);
}

bool keeper_name(pid_t pid, int out)
{
	struct keeper_order order = { .verb = KEEPER_NAME };
	const int fds[2] = { out, -1 };

	g_snprintf(order.account, sizeof(order.account), "%d", (int)pid);
	return keeper_send(keeper_fd, &order, sizeof(order), fds);
}

bool keeper_run(const char *account, int out, int status)
{
	return order_for(KEEPER_RUN, account, out, status);
}

bool keeper_ask_keyring(const char *account, int out, int status)
{
	return order_for(KEEPER_KEYRING, account, out, status);
}

void keeper_reload(void)
{
	order(KEEPER_RELOAD);
}

void keeper_detach(void)
{
	order(KEEPER_DETACH);
}

/* ---- packets, of both sides -------------------------------------------------------------------- */

bool keeper_send(int fd, const void *data, size_t size, const int fds[2])
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	struct iovec part = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	size_t count = fds[0] < 0 ? 0 : fds[1] < 0 ? 1 : 2;
	ssize_t put;

	if (count > 0) {
		struct cmsghdr *header = (struct cmsghdr *)control;

		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, count * sizeof(int));
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	do {
		/* It is asked from the loop, and when all else hangs: one that does not listen is not there. */
		put = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (put < 0 && errno == EINTR);
	return put == (ssize_t)size;
}

static void take_fds(struct msghdr *message, int ret_fds[2])
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fds, CMSG_DATA(header), MIN(header->cmsg_len - CMSG_LEN(0), 2 * sizeof(int)));
}

size_t keeper_receive(int fd, void *data, size_t size, int ret_fds[2])
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
	struct iovec part = { .iov_base = data, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control) };
	ssize_t got;

	ret_fds[0] = ret_fds[1] = -1;
	do {
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got <= 0)
		return 0;
	take_fds(&message, ret_fds);
	return (size_t)got;
}
