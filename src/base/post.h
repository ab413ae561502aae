/* SPDX-License-Identifier: MIT */
/*
 * The only way between threads: a function and a pointer that is given away. Posts to the loop or
 * to one thread keep their order; workers run at the same time. Only stop and join block.
 */
#pragma once

#include <stdbool.h>

typedef void (*post_fn)(void *data);

/* Run fn(data) on the loop thread, soon. Any thread. `data` is given away. */
void post_to_loop(post_fn fn, void *data);

/* The worker pool, for self-contained jobs that may block on the disk. Loop thread starts and
 * stops it; stop waits for the jobs that were posted. Any thread posts. Workers share nothing. */
void post_workers_start(unsigned count);
void post_workers_stop(void);
void post_to_worker(post_fn fn, void *data);

/* A thread with a queue of its own: the store, the notifier. */
struct post_thread;
struct post_thread *post_thread_new(const char *name);
void post_to_thread(struct post_thread *thread, post_fn fn, void *data);
/* Runs what was posted before, and what those jobs post to it, then ends the thread and frees it.
 * Not from the thread itself. */
void post_thread_join(struct post_thread *thread);
