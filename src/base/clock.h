/* SPDX-License-Identifier: MIT */
/*
 * The time, injectable: tests set it with clock_fake(). Any thread may read; only a test's main
 * thread sets, before other threads start. `wire` and `model` never call this; they are told.
 */
#pragma once

#include <stdint.h>

int64_t clock_monotonic_us(void); /* CLOCK_MONOTONIC, stands still in suspend */
int64_t clock_boottime_us(void);  /* CLOCK_BOOTTIME, runs on in suspend */
int64_t clock_realtime_ns(void);  /* since 1970-01-01 UTC */

/* From now on all three stand at `us` (0 = real time again). */
void clock_fake(int64_t us);
/* From now on the machine has slept for `us` in all: CLOCK_BOOTTIME is so far ahead. */
void clock_fake_sleep(int64_t us);
