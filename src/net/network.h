/* SPDX-License-Identifier: MIT */
/*
 * Tells when this machine's network becomes another one: an address or a route has come (Wi-Fi, VPN,
 * waking up elsewhere). Linux rtnetlink(7). Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct network_watch;

/* `changed` comes from the loop, half a second after the first of a series of changes, and at most
 * every 5 s. NULL: the kernel does not tell; nothing is lost but time. */
struct network_watch *network_watch_new(void (*changed)(void *user), void *user);
void network_watch_free(struct network_watch *watch); /* NULL is fine */

/* Pure: do these messages, as the kernel sends them, tell of something that has come? */
bool network_is_news(const void *bytes, size_t len);
