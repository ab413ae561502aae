/* SPDX-License-Identifier: MIT */
/*
 * One try for each credential: what the server has refused is not sent to it again by itself, for
 * providers lock accounts that are knocked at (CN-5, SEC-19). A gate stands between the sessions and
 * the source of the secret. It keeps no secret, only a keyed hash of the last one. Loop thread.
 */
#pragma once

#include <stdbool.h>

#include "mailfs/backend.h"

struct gate;

/* `inner` is borrowed for the call; what it points to must outlive the gate. */
struct gate *gate_new(const struct mailfs_secret_source *inner);
/* What was asked for and is not answered yet: CANCELLED, when the inner source answers. */
void gate_free(struct gate *gate); /* NULL is fine */

/* For sessions. A secret that was refused is LOGIN instead. */
struct mailfs_secret_source gate_source(struct gate *gate);

/* The server refused the secret that was given last. */
void gate_note_refused(struct gate *gate);
/* A person insists: whatever the secret is, it may be tried once more. */
void gate_insist(struct gate *gate);

/* Asks the inner source: is there another secret than the refused one? Answers from the loop, or never
 * if the gate goes. */
typedef void (*gate_news_fn)(void *user, bool is_other);
void gate_look(struct gate *gate, gate_news_fn fn, void *user);
