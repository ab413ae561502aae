/* SPDX-License-Identifier: MIT */
/*
 * The first line of a response → struct imap_response: tag, number, name, status, code and text.
 * Private to the reader. RFC 9051 §7. Pure.
 */
#pragma once

#include <stddef.h>

#include "wire/imap_reader.h"
#include "wire/imap_tree.h"

enum imap_line_result {
	IMAP_LINE_WHOLE, /* that was all of it: continuation, status response, tagged */
	IMAP_LINE_ARGS,  /* arguments follow, at *ret_args: to be fed to the tree */
	IMAP_LINE_ERROR, /* tree->error */
};

/* `line` is not empty, lives in the tree's arena, ends before its line end, line[len] is 0.
 * `response` is zeroed; `tree` has begun. The code's arguments are made with `tree` and taken. */
enum imap_line_result imap_line_parse(char *line, size_t len, struct imap_tree *tree,
	struct imap_response *response, char **ret_args);
