/* SPDX-License-Identifier: MIT */
/*
 * The first address of a decoded From or To field, for show only: decoding may have removed the
 * quotes that tell a comma in a name from one between two addresses. Pure; any thread.
 */
#pragma once

#include "view/part.h"

/* Both borrowed from the field; len 0 = none. */
struct address {
	struct slice name; /* display name, else the address up to the '@' */
	struct slice spec; /* ann@example.org */
};

struct address address_first(const char *field); /* NULL is fine */
