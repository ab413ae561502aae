/* SPDX-License-Identifier: MIT */
/*
 * 2024-01-02_1430_Ann-Lee_Re-Budget-Q1.1234.eml: the date first, so that any sort is by time; the
 * UID last, so that names never collide.
 */
#include <glib.h>

#include "view/pieces.h"
#include "view/views.h"

static const struct piece human_pieces[] = {
	{ .kind = PIECE_DATE },
	{ .kind = PIECE_WORD, .word = "_" },
	{ .kind = PIECE_TIME },
	{ .kind = PIECE_WORD, .word = "_" },
	{ .kind = PIECE_FROM, .width = 40 },
	{ .kind = PIECE_WORD, .word = "_" },
	{ .kind = PIECE_SUBJECT },
	{ .kind = PIECE_WORD, .word = "." },
	{ .kind = PIECE_UID },
	{ .kind = PIECE_WORD, .word = ".eml" },
};

static void human_write(const struct mailfs_view *view, const struct mailfs_name_input *input,
	char ret_name[MAILFS_NAME_MAX + 1])
{
	pieces_write(human_pieces, G_N_ELEMENTS(human_pieces), input, ret_name);
}

const struct mailfs_view human_view = {
	.name = "human",
	.needs_head = true,
	.write_name = human_write,
};
