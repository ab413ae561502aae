/* SPDX-License-Identifier: MIT */
/*
 * Names of hosts and services without a network, for tests and for machines behind odd ones: with
 * $MAILFS_RESOLVE=FILE, whatever is asked of GResolver is answered from FILE and from nowhere else.
 *
 *     imap.example.org A 127.0.0.1
 *     _imaps._tcp.example.org SRV 0 1 993 imap.example.org
 *     example.org MX 10 mx.example.org
 *     https-port 8443
 */
#pragma once

#include <stdint.h>

/* Does nothing without the variable. */
void resolve_init(void);
/* 443, or what the file says. */
uint16_t resolve_https_port(void);
