/* SPDX-License-Identifier: MIT */
/*
 * One GET over https, for files of a few KiB: TLS verified as everywhere, redirects followed to https
 * only, at most 256 KiB in at most 15 s. Blocks (runs a loop); for mailfsctl only.
 */
#pragma once

#include <glib.h>

/* NULL + error: MAILFS_ERROR_GONE where the server says that there is no such file, or what a stream
 * ends with. g_free() the text, which has no NUL inside. */
char *https_get(const char *url, GError **error);
