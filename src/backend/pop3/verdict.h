/* SPDX-License-Identifier: MIT */
/* Refusals of the server → errors of mailfs: one table. RFC 2449 §8, RFC 3206. */
#pragma once

#include <glib.h>

#include "mailfs/error.h"
#include "wire/pop3_reader.h"

enum pop3_phase {
	POP3_PHASE_READ,  /* the maildrop is open */
	POP3_PHASE_LOGIN, /* credentials were seen */
	POP3_PHASE_HELLO, /* greeting, CAPA, STLS */
};

/* An -ERR as an error whose text is printable. `what` was tried. */
GError *pop3_verdict(const struct pop3_event *status, enum pop3_phase phase, const char *what);
