/* SPDX-License-Identifier: MIT */
/*
 * The scanner of response text. It works in place: every text ends where a delimiter stood, and
 * the NUL behind it takes the place of that delimiter, which `c` still remembers.
 */
#include "wire/imap_tree.h"

#include <string.h>

#include <glib.h>

#include "base/parse.h"

struct cursor {
	char *p;
	char *end; /* *end is 0 */
	char c;    /* what stood at p before a NUL was put there */
};

void imap_tree_begin(struct imap_tree *tree, struct arena *arena)
{
	tree->arena = arena;
	tree->root = NULL;
	tree->tail[0] = &tree->root;
	tree->last = NULL;
	tree->depth = 0;
	tree->no_sections = false;
	tree->error = NULL;
}

static struct imap_node *tree_add(struct imap_tree *tree, enum imap_node_type type,
	const char *text, uint64_t len)
{
	struct imap_node *node = arena_new(tree->arena, struct imap_node);

	node->type = type;
	node->text = text;
	node->len = len;
	*tree->tail[tree->depth] = node;
	tree->tail[tree->depth] = &node->next;
	tree->last = node;
	return node;
}

void imap_tree_add_literal(struct imap_tree *tree, const char *text, uint64_t len)
{
	tree_add(tree, text ? IMAP_NODE_STRING : IMAP_NODE_STREAMED, text, len);
}

static void cursor_go(struct cursor *cursor, char *p)
{
	cursor->p = p;
	cursor->c = *p;
}

static bool tree_fail(struct imap_tree *tree, const char *error)
{
	tree->error = error;
	return false;
}

static bool tree_open(struct imap_tree *tree, struct cursor *cursor)
{
	struct imap_node *list;

	if (tree->depth == WIRE_DEPTH_MAX)
		return tree_fail(tree, "lists nested too deep");
	list = tree_add(tree, IMAP_NODE_LIST, NULL, 0);
	tree->tail[++tree->depth] = &list->child;
	cursor_go(cursor, cursor->p + 1);
	return true;
}

static bool tree_close(struct imap_tree *tree, struct cursor *cursor)
{
	/* A ")" too many at the end of a line does no harm; fetchmail has met them. */
	if (tree->depth > 0)
		tree->depth--;
	cursor_go(cursor, cursor->p + 1);
	return true;
}

/* "…{123}" or "…{123+}" at the end of a line is how a literal starts. Where it does not stand alone
 * nobody can tell whether the server means one, and bytes of a mail would be read as responses.
 * The same goes for counts that are no numbers ("{-1}", "{1e2}"). */
static bool ends_as_literal(const char *start, const char *end)
{
	if (end == start || *--end != '}')
		return false;
	while (end > start && end[-1] != '\0' && strchr("0123456789+-.eE ", end[-1]))
		end--;
	return end > start && end[-1] == '{';
}

/* "{12}", "{12+}" and "~{12}" as the whole of p … end. */
static bool literal_size(const char *p, const char *end, uint64_t *ret_size)
{
	if (*p == '~')
		p++;
	if (*p != '{' || end - p < 3 || end[-1] != '}')
		return false;
	p++;
	end--;
	if (end[-1] == '+')
		end--;
	return parse_u64(p, (size_t)(end - p), ret_size);
}

/* A quote ends the string only where a string may end, so that the unescaped quotes of some
 * servers stay text; the end of the line ends it too. A backslash before anything but a quote or
 * a backslash is a backslash. */
static bool is_closing(const struct cursor *cursor, const char *p)
{
	return p + 1 == cursor->end || p[1] == ' ' || p[1] == ')';
}

static bool tree_quoted(struct imap_tree *tree, struct cursor *cursor)
{
	char *start = cursor->p + 1, *in = start, *out = start;

	while (in < cursor->end && !(*in == '"' && is_closing(cursor, in))) {
		if (*in == '\\' && in + 1 < cursor->end && (in[1] == '"' || in[1] == '\\'))
			in++;
		*out++ = *in++;
	}
	if (out - start > WIRE_QUOTED_MAX)
		return tree_fail(tree, "quoted string too long");
	if (in == cursor->end && ends_as_literal(start, out))
		return tree_fail(tree, "literal inside a quoted string");
	cursor_go(cursor, in < cursor->end ? in + 1 : in);
	*out = '\0';
	tree_add(tree, IMAP_NODE_STRING, start, (uint64_t)(out - start));
	return true;
}

/* The "]" that ends "[HEADER.FIELDS (A "B]")]"; `p` is behind the "[". NULL: there is none. */
static char *section_end(char *p, const char *end)
{
	bool is_quoted = false, in_list = false;

	for (; p < end; p++) {
		if (*p == '"')
			is_quoted = !is_quoted;
		else if (is_quoted)
			continue;
		else if (*p == '(')
			in_list = true;
		else if (*p == ')')
			in_list = false;
		else if (*p == ']' && !in_list)
			return p;
	}
	return NULL;
}

/* Delimiters of an atom; all else is part of it: "]", quotes, tabs, 8-bit, NUL. "[" is looked at. */
static const bool stops_atom[256] = { [' '] = true, ['('] = true, [')'] = true, ['['] = true };

static char *atom_end(struct imap_tree *tree, char *p, char *end)
{
	while (p < end) {
		char *bracket;

		while (p < end && !stops_atom[(unsigned char)*p])
			p++;
		if (p == end || *p != '[')
			return p;
		/* Sections stand in the list of a FETCH, not in its lists of flags: "a[b" is a flag. */
		bracket = tree->depth > 1 || tree->no_sections ? NULL : section_end(p + 1, end);
		if (!bracket && tree->depth <= 1)
			tree->no_sections = true;
		p = bracket ? bracket + 1 : p + 1;
	}
	return p;
}

static bool is_nil(const char *text, size_t len)
{
	return len == 3 && g_ascii_strncasecmp(text, "NIL", 3) == 0;
}

static bool tree_atom(struct imap_tree *tree, struct cursor *cursor)
{
	char *start = cursor->p, *stop = atom_end(tree, start, cursor->end);
	size_t len = (size_t)(stop - start);

	if (stop == cursor->end && ends_as_literal(start, stop))
		return tree_fail(tree, "literal inside an atom");
	cursor_go(cursor, stop);
	*stop = '\0';
	tree_add(tree, is_nil(start, len) ? IMAP_NODE_NIL : IMAP_NODE_ATOM, start, len);
	return true;
}

/* "{" or "~{" where a token starts. Sets *ret_done when the line announces a literal. */
static bool tree_brace(struct imap_tree *tree, struct cursor *cursor, uint64_t *ret_size,
	bool *ret_done)
{
	if (literal_size(cursor->p, cursor->end, ret_size)) {
		if (*ret_size >= WIRE_LITERAL_MAX)
			return tree_fail(tree, "literal too large");
		cursor_go(cursor, cursor->end);
		*ret_done = true;
		return true;
	}
	/* In the middle of a line this is an odd atom; at its end, a literal of unknown length. */
	if (cursor->end[-1] == '}' || !tree_atom(tree, cursor) || cursor->p == cursor->end)
		return tree_fail(tree, "bad literal");
	return true;
}

static bool is_brace(const struct cursor *cursor)
{
	return cursor->c == '{' || (cursor->c == '~' && cursor->p[1] == '{');
}

static bool tree_token(struct imap_tree *tree, struct cursor *cursor)
{
	switch (cursor->c) {
	case ' ':
		cursor_go(cursor, cursor->p + 1);
		return true;
	case '(':
		return tree_open(tree, cursor);
	case ')':
		return tree_close(tree, cursor);
	case '"':
		return tree_quoted(tree, cursor);
	default:
		return tree_atom(tree, cursor);
	}
}

enum imap_tree_result imap_tree_feed(struct imap_tree *tree, char *text, size_t len,
	uint64_t *ret_literal)
{
	struct cursor cursor = { .p = text, .end = text + len, .c = *text };
	bool is_literal = false, is_fine = true;
	uint64_t size = 0;

	tree->no_sections = false;
	while (is_fine && cursor.p < cursor.end) {
		if (tree->arena->used > WIRE_RESPONSE_MAX)
			is_fine = tree_fail(tree, "response too large");
		else if (G_UNLIKELY(is_brace(&cursor)))
			is_fine = tree_brace(tree, &cursor, &size, &is_literal);
		else
			is_fine = tree_token(tree, &cursor);
	}
	if (!is_fine)
		return IMAP_TREE_ERROR;
	if (is_literal) {
		*ret_literal = size;
		return IMAP_TREE_LITERAL;
	}
	if (tree->depth > 0) {
		tree->error = "list not closed";
		return IMAP_TREE_ERROR;
	}
	return IMAP_TREE_END;
}
