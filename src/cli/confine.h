/* SPDX-License-Identifier: MIT */
/*
 * The daemon confines itself before it has threads, connections or passwords: it gets no new
 * privileges, and landlock lets it open only
 *   - cache and state of its accounts, to write;
 *   - their configuration files, CA certificates and systemd credentials, to read;
 *   - what names, certificates and libraries of the system need, to read: /usr, /etc, parts of /run.
 * It runs no program and mounts nothing: the keeper (keeper.h) does that for it, from outside.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli/account.h"

/* Once, before any thread. Makes the directories of cache and state. */
void confine(struct account *const *accounts, size_t count);
/* What came of it, for people; static. */
const char *confine_describe(void);
/* The keeper was killed: the description says so from now on. */
void confine_note_no_keeper(void);
/* Is what the keeper does allowed in here? */
bool confine_may_run(void);
