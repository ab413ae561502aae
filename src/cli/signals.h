/* SPDX-License-Identifier: MIT */
/*
 * Signals of a running mount: TERM, INT, HUP, USR1, USR2 become calls on the loop. libfuse's own
 * handlers are not used (they take HUP for an exit).
 *
 * TERM and INT also arm an alarm: should the loop be stuck or an end take too long, the mount point
 * is given up lazily and the process ends. The steps of an end (shutdown.c) bring alarms of their own.
 */
#pragma once

#define SIGNALS_END_MS 4000u /* from TERM */

typedef void (*signals_fn)(void *user, int number);

void signals_start(signals_fn fn, void *user);
void signals_stop(void);
/* What the alarm unmounts; NULL = nothing. Borrowed until the next call. */
void signals_set_mountpoint(const char *mountpoint);
/* For an end that no signal began. A TERM that comes then is the first one. */
void signals_arm(void);
/* So long from now, whatever is left of the alarm before; not after a second TERM, which is in a hurry. */
void signals_arm_for(unsigned ms);
