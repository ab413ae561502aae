/* SPDX-License-Identifier: MIT */
/* What a POP3 server offers, line by line of CAPA. Forgotten whole at STLS and at login. RFC 2449,
 * RFC 5034, RFC 6856. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pop3_caps {
	bool is_known; /* the listing came to its end */
	bool user, stls, top, uidl, pipelining, resp_codes, utf8;
	uint32_t login_delay;  /* s between two logins; 0 = none */
	bool has_expire;       /* messages are removed after so many days … */
	uint32_t expire;       /* … UINT32_MAX = never */
	unsigned auth;         /* enum sasl_mech bits of wire/sasl.h */
	char implementation[256]; /* as sent, cut; "" = not told */
	char text[1024];       /* the names, space separated, cut; for people */
};

void pop3_caps_reset(struct pop3_caps *caps);
/* One line. `disable`: names to treat as not offered (case-insensitive, NULL-terminated), or NULL;
 * a mechanism is disabled as "SASL=NAME" or "AUTH=NAME". */
void pop3_caps_add(struct pop3_caps *caps, const char *line, const char *const *disable);
