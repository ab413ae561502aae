/* SPDX-License-Identifier: MIT */
/*
 * Secrets in memory of their own: pages that are not swapped or dumped, as far as the system allows, and
 * are wiped when the last reference goes. So that each secret is in one place only: take references,
 * not copies. Loop thread; what it points to never changes, and may be read by any.
 */
#pragma once

const char *locked_new(const char *text); /* a reference */
const char *locked_ref(const char *text); /* of such a text */
void locked_unref(const char *text);      /* NULL is fine */
/* A child does not inherit the locks: once after each fork(2). */
void locked_after_fork(void);
