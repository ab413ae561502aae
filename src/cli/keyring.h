/* SPDX-License-Identifier: MIT */
/*
 * The desktop's keyring, by libsecret where this was built with it: attributes service=mailfs,
 * account=NAME, as `secret-tool store service mailfs account NAME` writes them.
 */
#pragma once

#include <stdbool.h>

/*
 * NULL = it has none, or there is no keyring. Wipe and g_free() it. Blocks for at most a minute: the
 * keyring may ask a person to unlock it. In a child process, for D-Bus starts threads: before the fork.
 */
char *keyring_lookup(const char *account);
/* Was it built in? */
/* The whole life of a child process: writes it to the fd, and ends. */
void keyring_tell(const char *account, int to) __attribute__((noreturn));
bool keyring_is_there(void);
