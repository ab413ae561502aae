/* SPDX-License-Identifier: MIT */
/*
 * Points at which a test may kill the process: before and after each step that must not be lost
 * half-way. Nothing, unless built with -Dfaults=true; then MAILFS_FAULT=kill:N kills at the Nth
 * point that is reached (SIGKILL). MAILFS_FAULT_NOTES=FILE: a line "N NAME" at each. Any thread.
 *
 * And writes to the disk that fail because it is full: MAILFS_FAULT=full:N, the Nth one alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef MAILFS_FAULTS
/* `name`: for people, "journal: before commit". */
void fault_point(const char *name);
/* This write is to fail with ENOSPC. They are counted by themselves. */
bool fault_is_full(const char *name);
/* A number of the environment, so that tests need not wait; without it, or without faults: `usual`. */
uint32_t fault_number(const char *variable, uint32_t usual);
#else
static inline void fault_point(const char *name)
{
}

static inline bool fault_is_full(const char *name)
{
	return false;
}

static inline uint32_t fault_number(const char *variable, uint32_t usual)
{
	return usual;
}
#endif
