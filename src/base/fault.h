/* SPDX-License-Identifier: MIT */
/*
 * Points at which a test may kill the process: before and after each step that must not be lost
 * half-way. Nothing, unless built with -Dfaults=true; then MAILFS_FAULT=kill:N kills at the Nth
 * point that is reached (SIGKILL), MAILFS_FAULT=count:FILE adds a line "N NAME" to FILE at each.
 * Any thread.
 */
#pragma once

#ifdef MAILFS_FAULTS
/* `name`: for people, "journal: before commit". */
void fault_point(const char *name);
#else
static inline void fault_point(const char *name)
{
}
#endif
