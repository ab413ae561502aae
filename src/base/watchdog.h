/* SPDX-License-Identifier: MIT */
/*
 * How long the loop was busy between two polls. A dispatch of more than 20 ms is logged: while it
 * lasts, nobody's request is answered. Loop thread.
 */
#pragma once

#include <stdint.h>

void watchdog_start(void); /* on the default main context, before it runs */
int64_t watchdog_longest_us(void);
