/* SPDX-License-Identifier: MIT */
/* The programs of this binary. main() chooses by argv[0]. */
#pragma once

#include <stdbool.h>

/* mailfs [options] SOURCE MOUNTPOINT. `is_helper`: called by mount(8), by its rules. */
int mailfs_main(int argc, char **argv, bool is_helper);
/* mailfsctl VERB … */
int ctl_main(int argc, char **argv);

/* For both: no core dumps, no memory for other processes, private files, a sane HOME. */
void process_harden(void);
