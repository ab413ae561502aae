/* SPDX-License-Identifier: MIT */
/*
 * Logging through GLib's structured log. Any thread. One failure is one line at warn, at the layer
 * that gives up. `wire` and `model` never log.
 *
 * Text from a server goes through log_safe() first: control and bidi characters and invalid UTF-8
 * are replaced and it is cut at 1 KiB, so that no server can write to the user's terminal.
 * Secrets that were registered with log_secret_add() are masked in every line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_WIRE };

void log_set_level(enum log_level level); /* default LOG_WARN */
enum log_level log_get_level(void);
bool log_is_on(enum log_level level);

/* Lines of LOG_WIRE go to this file, whatever the level, with the time; -1: no more. The fd stays the
 * caller's. Before other threads log. */
void log_wire_to(int fd);
/* Standard error leads nowhere from now on: lines go to the journal, if there is one. */
void log_detach(void);

void log_write(enum log_level level, const char *layer, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(layer, ...) log_write(LOG_ERROR, layer, __VA_ARGS__)
#define log_warn(layer, ...)  log_write(LOG_WARN, layer, __VA_ARGS__)
#define log_info(layer, ...)  log_write(LOG_INFO, layer, __VA_ARGS__)
#define log_debug(layer, ...)                                                                      \
	do {                                                                                       \
		if (log_is_on(LOG_DEBUG))                                                          \
			log_write(LOG_DEBUG, layer, __VA_ARGS__);                                  \
	} while (0)

/* Printable copy of server text, secrets masked; g_free() it. `len` < 0: up to NUL. */
char *log_safe(const char *text, long len);

/* Loop thread. A text of base/locked.h; takes a reference. Secrets under 4 bytes are not masked. */
void log_secret_add(const char *secret);
/* A secret that has been out of use for so long that no thread is writing a line with it any more. */
void log_secret_drop(const char *secret);
void log_secrets_clear(void); /* no other threads are left */
