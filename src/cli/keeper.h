/* SPDX-License-Identifier: MIT */
/*
 * A process beside the daemon that stays outside of its confinement (confine.h), for what cannot be
 * done from inside: it mounts and unmounts, and runs the programs that tell passwords. It is forked
 * before the first password is known, never sees what those programs write, and does only what the
 * command line and the configuration file say: an order names an account, never a program or a path.
 *
 * Ends with the daemon. One for each process; loop thread, but for keeper_abandon().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cli/account.h"
#include "fs/mounter.h"

#define KEEPER_PROGRAM     "mailfs-keeper" /* in ps */
#define KEEPER_ACCOUNT_MAX 1024u

struct keeper_config {
	struct mounter mounter;
	struct account *const *accounts; /* which it has copies of, by fork(2) */
	size_t account_count;
};

/* Before any thread, and before secret_prepare(). False: no process can be made; errno. */
bool keeper_start(const struct keeper_config *config);
/* Was started; it may have been killed meanwhile, and nobody noticed without keeper_watch(). */
bool keeper_is_there(void);
/* `gone` when it was killed, once; it is not there any more then. From the loop. */
void keeper_watch(void (*gone)(void *user), void *user);

/* The fd of the mount; -1: failed, and stderr says why. Blocks, as mounting does. Should the daemon
 * die before it calls keeper_taken(), the keeper unmounts. Later it does not: a dead mount tells who
 * reads from it, an empty directory looks like a mailbox without mail. */
int keeper_mount(void);
void keeper_taken(void);
/* What keeper_mount() has mounted, if anything. Lazily. Waits a moment for it. */
void keeper_unmount(void);
/* The same without waiting, for signal handlers. */
void keeper_abandon(void);

/* Runs the password-command or token-command of the account. Its standard output goes to `out`; then
 * an int is written to `status`: as of waitpid(2), or -errno: it could not be started. It is killed
 * when nobody reads from `status` any more. Both fds stay the caller's. False: errno. */
bool keeper_run(const char *account, int out, int status);
/* The same of what the keyring has for it. */
bool keeper_ask_keyring(const char *account, int out, int status);
/* Tells `out` what the program of that process is called (15 bytes of it), which the daemon may not
 * find out for itself. False: errno. */
bool keeper_name(pid_t pid, int out);
/* SIGHUP: reads the configuration file again, too. */
void keeper_reload(void);
/* Leaves terminal and session, as daemon_ready() does. */
void keeper_detach(void);
/* Lets it go. */
void keeper_end(void);

/* ---- keeper_main.c ---- */

enum keeper_verb {
	KEEPER_MOUNT,   /* answered by an int, and the fd */
	KEEPER_TAKEN,
	KEEPER_UNMOUNT, /* answered by an int */
	KEEPER_ABANDON,
	KEEPER_RUN,     /* comes with two fds */
	KEEPER_KEYRING, /* likewise */
	KEEPER_NAME,    /* comes with a fd; `account` is a process id */
	KEEPER_RELOAD,
	KEEPER_DETACH,
};

/* One order, one packet. */
struct keeper_order {
	int verb;
	char account[KEEPER_ACCOUNT_MAX];
};

/* The process: serves on `fd` until the daemon goes. */
void keeper_serve(int fd, const struct keeper_config *config) __attribute__((noreturn));

/* A packet and up to two fds (-1 = none), which stay the caller's. Async-signal-safe. */
bool keeper_send(int fd, const void *data, size_t size, const int fds[2]);
/* Its size; fds that did not come are -1. 0 = the other side is gone, or what came is none. */
size_t keeper_receive(int fd, void *data, size_t size, int ret_fds[2]);
