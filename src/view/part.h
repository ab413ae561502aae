/* SPDX-License-Identifier: MIT */
/*
 * One part of a message name, made of free text such as a subject. Pure; any thread.
 *
 * Kept are letters, marks and digits of any script, symbols (emoji, currency) and '+'. Invisible
 * characters vanish. Anything else separates words: a run of it becomes one '-', or stays '.' when
 * it is a lone dot between two kept characters; none stands at either end. Hence no '_' and no
 * ".." inside a part. Marks without a letter before them vanish, so does any beyond 8 in a row.
 * The result is NFC.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text in the memory of somebody else; len 0 = none. */
struct slice {
	const char *text;
	size_t len;
};

/*
 * Writes a part of at most `limit` bytes (>= 8) and a NUL; returns its length, 0 = nothing was
 * left. Takes any bytes; linear in their number.
 */
size_t part_write(struct slice text, size_t limit, char *ret_part);

/* Cuts a part to at most `limit` bytes (>= 8) at the end of a character; returns its length. */
size_t part_cut(char *part, size_t len, size_t limit);

/* Is this character code part of a name just as it is (not '-', '.', '_')? */
bool part_is_plain(uint32_t code);
/* Does it belong to the character before it (combining marks, vowels of Hangul)? */
bool part_is_mark(uint32_t code);
