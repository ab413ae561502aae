/* SPDX-License-Identifier: MIT */
/* fork(2) with a pipe of our own: fuse_daemonize() reports success before anything was tried. */
#include "cli/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/locked.h"
#include "base/log.h"

static pid_t child_pid;

/* Whoever stops the command means the mount that it is starting. */
static void pass_on(int number)
{
	kill(child_pid, number);
}

static void watch_child(int fd, int crash_code, const sigset_t *mask)
{
	struct sigaction action = { .sa_handler = pass_on, .sa_flags = SA_RESTART };
	unsigned char code;
	ssize_t got;
	int status;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	do {
		got = read(fd, &code, 1);
	} while (got < 0 && errno == EINTR);
	if (got == 1 && code == 0)
		_exit(0);
	if (waitpid(child_pid, &status, 0) != child_pid)
		_exit(crash_code);
	if (got == 1)
		_exit(code); /* and everything of the child is gone when we return */
	if (WIFSIGNALED(status))
		fprintf(stderr, "mailfs: died of signal %d before it had mounted\n", WTERMSIG(status));
	else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		_exit(WEXITSTATUS(status));
	_exit(crash_code);
}

void daemon_start(struct daemon *daemon, bool is_foreground, int crash_code)
{
	sigset_t stop, mask;
	pid_t parent = getpid();
	int fds[2];

	daemon->fd = -1;
	if (is_foreground)
		return;
	/* Until the parent can pass them on: else it would die of one, and the mount come up alone. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, &mask);
	if (pipe2(fds, O_CLOEXEC) < 0 || (child_pid = fork()) < 0) {
		fprintf(stderr, "mailfs: cannot go to the background: %s\n", strerror(errno));
		exit(crash_code);
	}
	if (child_pid > 0) {
		close(fds[1]);
		watch_child(fds[0], crash_code, &mask);
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	locked_after_fork();
	close(fds[0]);
	daemon->fd = fds[1];
	/* Nobody shall find a mount of a command that was killed, or whose terminal went away. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(crash_code);
}

static void tell(struct daemon *daemon, int code)
{
	unsigned char byte = (unsigned char)code;

	if (write(daemon->fd, &byte, 1) < 0)
		return; /* the parent was killed: nobody listens */
}

static void detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (null < 0)
		return;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
	log_detach();
}

void daemon_ready(struct daemon *daemon)
{
	if (daemon->fd < 0)
		return;
	prctl(PR_SET_PDEATHSIG, 0);
	detach();
	tell(daemon, 0);
	close(daemon->fd);
	daemon->fd = -1;
}

void daemon_failed(struct daemon *daemon, int code)
{
	if (daemon->fd < 0)
		return;
	tell(daemon, code);
	close(daemon->fd);
	daemon->fd = -1;
}
