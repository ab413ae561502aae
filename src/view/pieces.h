/* SPDX-License-Identifier: MIT */
/*
 * A name as a row of pieces: fixed words, numbers, and texts of varying length. Presets are rows
 * written by hand, templates are parsed into rows. Pure; any thread.
 */
#pragma once

#include "mailfs/view.h"

#define PIECES_MAX 24

enum piece_kind {
	PIECE_WORD, /* `word` as it is */
	PIECE_UID,
	PIECE_DATE,
	PIECE_TIME,
	PIECE_MSGID8,
	PIECE_FROM,
	PIECE_FROM_ADDR,
	PIECE_TO,
	PIECE_SUBJECT,
	PIECE_KINDS,
};

struct piece {
	enum piece_kind kind;
	unsigned width;   /* of a text: at most this many bytes; 0 = PIECE_WIDTH_MAX */
	const char *word; /* of PIECE_WORD */
};

#define PIECE_WIDTH_MIN 8
#define PIECE_WIDTH_MAX 120

/* What is known of a kind beforehand; a table by kind. */
struct piece_info {
	const char *field;  /* its name between braces; NULL for PIECE_WORD */
	unsigned fixed_len; /* bytes it takes, at most for PIECE_UID; 0 = a text, varies */
	bool needs_head;
};

extern const struct piece_info piece_infos[PIECE_KINDS];

/*
 * Joins the pieces to a name. The longest texts are cut, all to one length, until the name fits;
 * the pieces must leave PIECE_WIDTH_MIN for each (pieces_min_len() <= MAILFS_NAME_MAX).
 */
void pieces_write(const struct piece *pieces, size_t count, const struct mailfs_name_input *input,
	char ret_name[MAILFS_NAME_MAX + 1]);

/* Bytes of the shortest name that must fit. */
size_t pieces_min_len(const struct piece *pieces, size_t count);
