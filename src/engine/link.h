/* SPDX-License-Identifier: MIT */
/*
 * Does COMPRESS=DEFLATE pay on the way to this server? It saves bytes and costs the server's CPU: on
 * a fast link it makes everything slower. So the link is measured while it carries bodies, and what
 * was found is remembered per account.
 *
 * Off at first. A sustained transfer that stays below LINK_SLOW turns it on; with it on, a transfer
 * that is no faster than it was without turns it off for good (until the link is much slower), and
 * one that is fast, or moves more than the link was believed to carry, turns it off to measure again,
 * each time after a longer while; rarely where the link is seen to be full.
 *
 * Pure: told the time and what was received. Owner: the engine, loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes/s below which compression pays. A server packs 17 to 40 MB/s (one connection, four), so the
 * two meet there; 100 Mbit/s are 11.9. */
#define LINK_SLOW        13e6
#define LINK_PACKED_FAST 15e6 /* so fast with compression: perhaps it would be faster without */

enum link_mode { LINK_NEVER, LINK_AUTO, LINK_ALWAYS };

enum link_why {
	LINK_CHOSEN,   /* not ours to decide */
	LINK_UNKNOWN,  /* nothing was measured */
	LINK_FAST,     /* fast enough without */
	LINK_PAYS,     /* slow enough for it */
	LINK_NO_GAIN,  /* it was tried and was no faster */
	LINK_AGAIN,    /* to be measured anew */
	LINK_BROKEN,   /* what came compressed could not be used: not again in this process */
};

/* A stretch of time and what all connections received in it. */
struct link_sample {
	int64_t us;
	uint64_t wire;  /* bytes as they came */
	uint64_t plain; /* as they were meant */
	bool is_packed; /* all of them were compressed; false: none was */
	bool is_void;   /* some were, or it was not the link that was waited for */
};

struct link {
	enum link_mode mode;
	bool is_on; /* connections are to be compressed */
	enum link_why why;
	double rate;   /* bytes/s that the link carried without; 0 = unknown */
	double packed; /* plain bytes/s with it; 0 = unknown */

	/* against flapping */
	double no_gain_rate;
	unsigned bad_runs;
	int64_t again_at_us;
	int64_t again_wait_us;

	/* the transfer that is being measured: windows of some length, a run of some windows */
	struct link_window {
		int64_t us;
		uint64_t wire, plain;
	} window;
	int64_t run_us, heard_us;
	double run_wire, run_plain; /* of its best window */
	bool is_run_packed;
};

void link_init(struct link *link, enum link_mode mode);
/* True: the decision is another one: to be followed, and to be remembered. */
bool link_add(struct link *link, const struct link_sample *sample, int64_t now_us);
/* A compressed connection could not be understood. */
void link_break(struct link *link);

/* For the store; what is older than a week counts no more. `size` 64 is enough. */
void link_format(const struct link *link, int64_t now_s, char *text, size_t size);
void link_restore(struct link *link, const char *text, int64_t now_s, int64_t now_us);
/* For people: "on (4.0 MB/s with it, 2.1 without)"; g_free(). is_packed: what is the case. */
char *link_describe(const struct link *link, bool is_packed);
