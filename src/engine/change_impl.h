/* SPDX-License-Identifier: MIT */
/*
 * What changes.c tells the three that change messages: the changer (flags), the mover (places) and
 * the names. Loop thread.
 */
#pragma once

#include "engine/internal.h"
#include "engine/place.h"

/* How a failed change is taken. */
enum change_verdict {
	CHANGE_AGAIN,   /* the network, or the server's mood: later */
	CHANGE_MOOT,    /* what it was about is another mailbox, or none */
	CHANGE_DOUBT,   /* the server talks nonsense: once or twice again, no more */
	CHANGE_REFUSED, /* it said no */
	CHANGE_LEAVE,   /* we are ending: the journal keeps it */
};
enum change_verdict change_judge(const struct engine *engine, const GError *error);

/* The user of the journal's rows. */
struct change_start {
	struct engine *engine;
};

void changes_folder_renamed(struct engine *engine, const char *from, const char *to,
	char delimiter);

/* ---- changer.c ---- */

/* What the server says of a message becomes what is shown, with the user's wishes on top; the former
 * is remembered. False: there are no wishes. */
bool changer_overlay(struct changer *changer, const struct folder *folder, struct mailbox *box,
	uint32_t uid, unsigned *flags, uint32_t *keywords);
/* What the index is to know: the server's word alone. False: what is shown. */
bool changer_base(const struct changer *changer, const struct folder *folder,
	const struct mailbox *box, uint32_t uid, unsigned *ret_flags, const char **ret_words);

/* The message has wishes that are not on the server; they are sent now. */
bool changer_is_busy(struct changer *changer, const char *folder, uint32_t uidvalidity,
	uint32_t uid);
void changer_on_row(void *start, const struct journal_flags *row);
void changer_online(struct changer *changer);
void changer_box_is(struct changer *changer, const struct folder *folder, uint32_t uidvalidity);
void changer_message_gone(struct changer *changer, const struct folder *folder, uint32_t uid);
void changer_box_loaded(struct changer *changer, struct folder *folder);
void changer_folder_renamed(struct changer *changer, const char *from, const char *to,
	char delimiter);

/* ---- mover.c ---- */

void mover_on_row(void *start, const struct journal_move *row);
void mover_online(struct mover *mover);
void mover_box_is(struct mover *mover, const struct folder *folder, uint32_t uidvalidity);
void mover_message_gone(struct mover *mover, const struct folder *folder, uint32_t uid);
void mover_folder_renamed(struct mover *mover, const char *from, const char *to, char delimiter);

/* ---- names.c ---- */

void names_on_row(void *start, const struct journal_name *row);
void names_box_is(struct names *names, const struct folder *folder, uint32_t uidvalidity);
void names_message_gone(struct names *names, const struct folder *folder, uint32_t uid);
void names_folder_renamed(struct names *names, const char *from, const char *to, char delimiter);
