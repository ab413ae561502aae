/* SPDX-License-Identifier: MIT */
/* What a server offers. Forgotten whole at STARTTLS and at login. RFC 9051 §6.1.1. Pure. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "wire/imap_reader.h"

struct imap_caps {
	bool is_known; /* a CAPABILITY was seen since the last reset */
	bool imap4rev1, imap4rev2;
	bool starttls, logindisabled, sasl_ir;
	bool id, enable, namespace_, idle, notify;
	bool uidplus, move, replace, unselect, acl;
	bool condstore, qresync;
	bool esearch, list_extended, list_status, special_use, status_size;
	bool literal_plus, literal_minus, binary;
	bool compress_deflate;
	bool objectid, gmail; /* EMAILID; X-GM-EXT-1 */
	bool partial, uidonly;
	bool utf8_accept;
	unsigned long long append_limit; /* 0 = none stated */
	unsigned auth;                   /* enum sasl_mech bits of wire/sasl.h */
	char text[2048];                 /* the list as sent, printable, cut; for people */
};

void imap_caps_reset(struct imap_caps *caps);
/* `nodes`: the arguments of a CAPABILITY response or of the [CAPABILITY …] code. Replaces all.
 * `disable`: names to treat as not offered (case-insensitive, NULL-terminated), or NULL. */
void imap_caps_parse(struct imap_caps *caps, const struct imap_node *nodes,
	const char *const *disable);
