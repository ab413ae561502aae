/* SPDX-License-Identifier: MIT */
/* A line on the terminal that tells how far something is; nothing where stderr is none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool is_shown;
	int64_t begun_us, drawn_us;
	uint64_t count, count_max; /* messages */
	uint64_t bytes;
	uint64_t count_before, bytes_before; /* what was done when we began to look: not part of the rate */
};

void progress_begin(struct progress *progress);
/* Draws, ten times a second at most. */
void progress_update(struct progress *progress);
/* Removes the line. */
void progress_end(struct progress *progress);
/* The line itself, for tests: "[###---] 3/7  1.0 MiB  512 KiB/s  0:02 left". g_free() it. */
char *progress_text(const struct progress *progress, int64_t now_us, unsigned columns);
