/* SPDX-License-Identifier: MIT */
/*
 * Text of one response → nodes. Private to the reader. A response is fed line by line; between two
 * lines stands a literal. Iterative: the open lists are a fixed array, so that the stack does not
 * grow with what a server sends. RFC 9051 §4. Owner: the reader that embeds it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "wire/imap_reader.h"
#include "wire/limits.h"

struct imap_tree {
	struct arena *arena; /* where the nodes live; the text is given in and lives there too */

	/* reset by imap_tree_begin() */
	struct imap_node *root; /* the first node at depth 0 */
	struct imap_node **tail[WIRE_DEPTH_MAX + 1]; /* by depth: where the next node is hung */
	struct imap_node *last;                      /* by document order; the name of a body item */
	unsigned depth;
	bool no_sections; /* a "[" of this line has no end: no "[" after it has one */
	const char *error; /* static text */
};

enum imap_tree_result {
	IMAP_TREE_END,     /* the line ends here */
	IMAP_TREE_LITERAL, /* the line announces a literal */
	IMAP_TREE_ERROR,
};

void imap_tree_begin(struct imap_tree *tree, struct arena *arena);
/* `text`: a line without its end, in the arena; becomes the texts of the nodes. text[len] is 0. */
enum imap_tree_result imap_tree_feed(struct imap_tree *tree, char *text, size_t len,
	uint64_t *ret_literal);
/* The literal just announced; `text` is in the arena, with a NUL behind it; NULL = streamed. */
void imap_tree_add_literal(struct imap_tree *tree, const char *text, uint64_t len);
