/* SPDX-License-Identifier: MIT */
/*
 * The daemon: from the confinement to the end of the last thread. Connects, lists, mounts, is ready;
 * then serves until somebody ends it.
 */
#pragma once

#include "cli/accounts.h"
#include "cli/daemon.h"

struct serve_config {
	const struct cmdline *line;
	bool is_helper;      /* called by mount(8): exit codes by its rules */
	GPtrArray *accounts; /* struct served *; empty in the end */
	const struct mounter *mounter; /* as the keeper has it */
	struct daemon *daemon;
};

/* Blocks; returns the exit code, what it is for has been told. */
int serve(const struct serve_config *config);
