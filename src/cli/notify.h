/* SPDX-License-Identifier: MIT */
/*
 * sd_notify(3) without its library: one datagram for each change of state, to the service manager that
 * has asked for it with $NOTIFY_SOCKET. Does nothing where nobody has. Never blocks. Loop thread.
 */
#pragma once

#include <stdbool.h>

/* First thing: remembers the socket and takes it out of the environment, so that no program that is
 * started later can speak in our name. */
void notify_init(void);

/* It has a name without a path, which landlock may forbid. */
bool notify_is_abstract(void);

/* "READY=1", "STOPPING=1" and the like; several with line breaks between them. */
void notify_send(const char *state);
/* What `systemctl status` shows. */
void notify_status(const char *text);
/* A reload begins; notify_send("READY=1") ends it. */
void notify_reloading(void);
