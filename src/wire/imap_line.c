/* SPDX-License-Identifier: MIT */
/* First lines of responses. Works in place, like the tree. */
#include "wire/imap_line.h"

#include <string.h>

#include <glib.h>

#include "base/parse.h"

struct span {
	char *p;
	char *end; /* *end is 0 */
};

static enum imap_line_result line_fail(struct imap_tree *tree, const char *error)
{
	tree->error = error;
	return IMAP_LINE_ERROR;
}

static void skip_spaces(struct span *rest)
{
	while (rest->p < rest->end && *rest->p == ' ')
		rest->p++;
}

/* Up to a space or "(": some servers leave out the space before a list. */
static struct span take_word(struct span *rest)
{
	struct span word = { rest->p, rest->p };

	while (word.end < rest->end && *word.end != ' ' && *word.end != '(')
		word.end++;
	rest->p = word.end;
	return word;
}

/* Upper case, and no NUL inside that would make "FETCH\0x" look like FETCH. */
static char *upper_copy(struct arena *arena, struct span word)
{
	char *copy = arena_memdup(arena, word.p, (size_t)(word.end - word.p));

	for (char *p = copy; p < copy + (word.end - word.p); p++)
		*p = *p == '\0' ? '?' : g_ascii_toupper(*p);
	return copy;
}

static enum imap_status status_of(const char *name)
{
	static const struct {
		const char *name;
		enum imap_status status;
	} table[] = {
		{ "OK", IMAP_OK }, { "NO", IMAP_NO }, { "BAD", IMAP_BAD },
		{ "BYE", IMAP_BYE }, { "PREAUTH", IMAP_PREAUTH },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
		if (strcmp(name, table[i].name) == 0)
			return table[i].status;
	return IMAP_STATUS_NONE;
}

/* ---- response codes --------------------------------------------------------------------------- */

/* The "]" of "[PERMANENTFLAGS (\Seen a]b)]": outside lists and strings, with "[" "]" balanced. */
static char *code_end(char *p, const char *end)
{
	unsigned lists = 0, brackets = 0;
	bool is_quoted = false;

	for (; p < end; p++) {
		if (is_quoted && *p == '\\' && p + 1 < end)
			p++;
		else if (*p == '"')
			is_quoted = !is_quoted;
		else if (is_quoted)
			continue;
		else if (*p == '(')
			lists++;
		else if (*p == ')')
			lists -= lists > 0;
		else if (lists > 0)
			continue;
		else if (*p == '[')
			brackets++;
		else if (*p == ']' && brackets == 0)
			return p;
		else if (*p == ']')
			brackets--;
	}
	return NULL;
}

/* "[CODE args]" at rest->p; `rest` goes behind it. Without an end it is text. */
static bool take_code(struct span *rest, struct imap_tree *tree, struct imap_response *response)
{
	struct span code = { rest->p + 1, code_end(rest->p + 1, rest->end) };
	struct span word;
	uint64_t unused;

	/* Unbalanced: the first "]" is the best guess that is left. */
	if (!code.end)
		code.end = memchr(code.p, ']', (size_t)(rest->end - code.p));
	if (!code.end)
		return true;
	*code.end = '\0';
	rest->p = code.end + 1;
	skip_spaces(&code);
	word = take_word(&code);
	if (word.p == word.end)
		return true;
	response->code = upper_copy(tree->arena, word);

	switch (imap_tree_feed(tree, code.p, (size_t)(code.end - code.p), &unused)) {
	case IMAP_TREE_ERROR:
		/* The line is whole: bad arguments cost the code, not the session. */
		response->code = NULL;
		tree->error = NULL;
		break;
	case IMAP_TREE_LITERAL:
	case IMAP_TREE_END:
		response->code_args = tree->root;
		break;
	}
	imap_tree_begin(tree, tree->arena);
	return true;
}

static enum imap_line_result line_status(struct span rest, struct imap_tree *tree,
	struct imap_response *response)
{
	skip_spaces(&rest);
	if (rest.p < rest.end && *rest.p == '[' && take_code(&rest, tree, response))
		skip_spaces(&rest);
	response->text = rest.p;
	return IMAP_LINE_WHOLE;
}

/* ---- the three kinds -------------------------------------------------------------------------- */

/* "+", "+ text", "+text": Exchange leaves out the space. */
static enum imap_line_result line_continuation(struct span rest, struct imap_response *response)
{
	response->kind = IMAP_CONTINUATION;
	response->name = "";
	if (rest.p < rest.end && *rest.p == ' ')
		rest.p++;
	response->text = rest.p;
	return IMAP_LINE_WHOLE;
}

static enum imap_line_result line_untagged(struct span rest, struct imap_tree *tree,
	struct imap_response *response, char **ret_args)
{
	struct span word;

	response->kind = IMAP_UNTAGGED;
	response->name = "";
	skip_spaces(&rest);
	if (rest.p < rest.end && *rest.p == '[')
		return line_status(rest, tree, response);

	word = take_word(&rest);
	if (parse_u32(word.p, (size_t)(word.end - word.p), &response->number)) {
		response->has_number = true;
		skip_spaces(&rest);
		word = take_word(&rest);
	}
	response->name = upper_copy(tree->arena, word);
	if (!response->has_number)
		response->status = status_of(response->name);
	if (response->status != IMAP_STATUS_NONE)
		return line_status(rest, tree, response);
	*ret_args = rest.p;
	return IMAP_LINE_ARGS;
}

static bool is_tag(struct span word)
{
	if (word.p == word.end || word.end - word.p > WIRE_TAG_MAX)
		return false;
	for (const char *p = word.p; p < word.end; p++)
		if (!g_ascii_isgraph(*p) || strchr("(){%*\"\\+", *p))
			return false;
	return true;
}

/* Anything else than "TAG OK|NO|BAD…" is an error page, a banner, or a stream out of step. */
static enum imap_line_result line_tagged(struct span rest, struct imap_tree *tree,
	struct imap_response *response)
{
	struct span tag = take_word(&rest), word;

	if (!is_tag(tag))
		return line_fail(tree, "no response");
	skip_spaces(&rest);
	word = take_word(&rest);
	response->kind = IMAP_TAGGED;
	response->name = upper_copy(tree->arena, word);
	response->status = status_of(response->name);
	if (response->status == IMAP_STATUS_NONE)
		return line_fail(tree, "no response");
	response->tag = arena_memdup(tree->arena, tag.p, (size_t)(tag.end - tag.p));
	return line_status(rest, tree, response);
}

enum imap_line_result imap_line_parse(char *line, size_t len, struct imap_tree *tree,
	struct imap_response *response, char **ret_args)
{
	struct span rest = { line, line + len };

	response->text = "";
	if (*line == '+') {
		rest.p++;
		return line_continuation(rest, response);
	}
	if (*line == '*' && (len == 1 || line[1] == ' ')) {
		rest.p++;
		return line_untagged(rest, tree, response, ret_args);
	}
	return line_tagged(rest, tree, response);
}
