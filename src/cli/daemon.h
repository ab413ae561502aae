/* SPDX-License-Identifier: MIT */
/*
 * Going to the background: the parent waits until the child is ready or has failed, and ends with
 * the child's exit code. The child keeps terminal, standard streams and session until it is ready,
 * so that its messages, and programs that ask for a password, reach the user. Before any thread.
 */
#pragma once

#include <stdbool.h>

struct daemon {
	int fd; /* to the parent; -1 = in the foreground, or told already */
};

/* Forks unless `is_foreground`; the parent does not return. */
void daemon_start(struct daemon *daemon, bool is_foreground, int crash_code);
/* Child: leaves session and terminal, then lets the parent end with 0. */
void daemon_ready(struct daemon *daemon);
/* Child: the parent ends with this code. The message was written already. */
void daemon_failed(struct daemon *daemon, int code);
