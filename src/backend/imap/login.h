/* SPDX-License-Identifier: MIT */
/*
 * From the greeting to a session that is ready: a chain of steps. Greeting, CAPABILITY, STARTTLS
 * and CAPABILITY again, AUTHENTICATE or LOGIN, CAPABILITY, then ID, ENABLE and NAMESPACE in one go,
 * COMPRESS. Loop thread; owned by the session until session_ready(). RFC 9051 §3, §6.1–6.2.
 */
#pragma once

#include "wire/imap_reader.h"

struct mailfs_session;
struct login;

struct login *login_new(struct mailfs_session *s);
void login_free(struct login *login);

/* The connection stands: the greeting is due. */
void login_on_open(struct login *login);
/* Every response until the session is ready goes here first. */
void login_on_response(struct login *login, const struct imap_response *response);
/* STARTTLS or COMPRESS took effect. */
void login_on_secured(struct login *login);
