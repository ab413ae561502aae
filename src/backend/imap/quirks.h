/* SPDX-License-Identifier: MIT */
/* What to avoid on servers known by their greeting or ID. One table. */
#pragma once

#include <stdbool.h>

enum quirk {
	QUIRK_NO_LIST_RETURN = 1u << 0, /* extended LIST fails or crashes the server */
	QUIRK_NO_NAMESPACE   = 1u << 1, /* NAMESPACE drops the connection */
	QUIRK_NO_RANGE       = 1u << 2, /* two fetches of one message do not fit together */
	QUIRK_NO_CONDSTORE   = 1u << 3, /* MODSEQ cannot be believed */
};

/* `greeting` and `id` (either may be NULL) are printable text. */
unsigned quirks_of(const char *greeting, const char *id);
