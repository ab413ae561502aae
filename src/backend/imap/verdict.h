/* SPDX-License-Identifier: MIT */
/* Refusals of the server → errors of mailfs: one table. RFC 5530, RFC 9051 §7.1. */
#pragma once

#include <glib.h>

#include "mailfs/error.h"
#include "wire/imap_reader.h"

enum verdict_phase {
	VERDICT_READ,  /* commands in an open box, LIST, NOOP */
	VERDICT_OPEN,  /* SELECT, EXAMINE */
	VERDICT_CHANGE, /* commands that change messages or folders */
	VERDICT_LOGIN, /* credentials were seen */
	VERDICT_HELLO, /* greeting, BYE */
};

/* A tagged NO or BAD, or a BYE, as an error whose text is printable. `what` was tried. */
GError *verdict_error(const struct imap_response *response, enum verdict_phase phase,
	const char *what);
