/* SPDX-License-Identifier: MIT */
/* "{date}_{subject:60}" from the configuration file to a row of pieces, or to the reason why not. */
#include <string.h>

#include "base/parse.h"
#include "mailfs/error.h"
#include "view/part.h"
#include "view/pieces.h"

#define EXTENSION ".eml"
/* Nothing longer can be right; keeps the reasons readable. */
#define TEMPLATE_MAX 512

struct template_view {
	struct mailfs_view view; /* first: the two share an address */
	struct piece pieces[PIECES_MAX];
	size_t count;
};

__attribute__((format(printf, 2, 3)))
static bool refuse(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error && !*error)
		*error = g_error_new_valist(MAILFS_ERROR, MAILFS_ERROR_INVALID, format, args);
	va_end(args);
	return false;
}

static struct piece *add_piece(struct template_view *view, enum piece_kind kind, GError **error)
{
	struct piece *piece;

	if (view->count == PIECES_MAX) {
		refuse(error, "a template has at most %d pieces", PIECES_MAX);
		return NULL;
	}
	piece = &view->pieces[view->count++];
	*piece = (struct piece){ .kind = kind };
	return piece;
}

static enum piece_kind find_field(const char *name, size_t len)
{
	for (enum piece_kind kind = PIECE_WORD + 1; kind < PIECE_KINDS; kind++) {
		if (strlen(piece_infos[kind].field) == len &&
			memcmp(piece_infos[kind].field, name, len) == 0)
			return kind;
	}
	return PIECE_WORD;
}

/* `field` is what stands between the braces. */
static bool add_field(struct template_view *view, const char *field, size_t len, GError **error)
{
	const char *colon = memchr(field, ':', len);
	size_t name_len = colon ? (size_t)(colon - field) : len;
	enum piece_kind kind = find_field(field, name_len);
	struct piece *piece;
	uint32_t width = 0;

	if (kind == PIECE_WORD)
		return refuse(error, "{%.*s} is unknown; there are {date} {time} {from} {from.addr} {to} "
			"{subject} {uid} {msgid8}", (int)len, field);
	if (colon && piece_infos[kind].fixed_len != 0)
		return refuse(error, "{%.*s} takes no width", (int)name_len, field);
	if (colon && (!parse_u32(colon + 1, len - name_len - 1, &width) ||
		width < PIECE_WIDTH_MIN || width > PIECE_WIDTH_MAX))
		return refuse(error, "the width in {%.*s} must be a number from %d to %d",
			(int)len, field, PIECE_WIDTH_MIN, PIECE_WIDTH_MAX);

	piece = add_piece(view, kind, error);
	if (!piece)
		return false;
	piece->width = width;
	view->view.needs_head |= piece_infos[kind].needs_head;
	return true;
}

static bool check_word_char(gunichar code, bool is_first, GError **error)
{
	if (code == '/')
		return refuse(error, "'/' cannot be part of a file name");
	if (code == '}')
		return refuse(error, "'}' without '{'");
	if (code == '-' || code == '.' || code == '_' || part_is_plain(code))
		return true;
	/* A mark at the start would join what stands before it. */
	if (part_is_mark(code) && !is_first)
		return true;
	if (!g_unichar_isgraph(code))
		return refuse(error, "names hold no spaces and no invisible characters (U+%04X); "
			"use - or _", code);
	return refuse(error, "the character U+%04X needs quoting in a shell and is not allowed; "
		"use - or _", code);
}

static bool add_word(struct template_view *view, const char *word, size_t len, GError **error)
{
	struct piece *piece;

	for (const char *at = word; at < word + len; at = g_utf8_next_char(at)) {
		if (!check_word_char(g_utf8_get_char(at), at == word, error))
			return false;
	}
	piece = add_piece(view, PIECE_WORD, error);
	if (!piece)
		return false;
	piece->word = g_strndup(word, len);
	return true;
}

static bool parse(struct template_view *view, const char *text, GError **error)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "{");

		if (len > 0) {
			if (!add_word(view, text, len, error))
				return false;
			text += len;
			continue;
		}
		text++;
		len = strcspn(text, "{}");
		if (text[len] != '}')
			return refuse(error, "'{' without '}'");
		if (!add_field(view, text, len, error))
			return false;
		text += len + 1;
	}
	return true;
}

static bool all_fixed(const struct piece *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (pieces[i].kind != PIECE_WORD && piece_infos[pieces[i].kind].fixed_len == 0)
			return false;
	}
	return true;
}

/* The byte of a word that touches the UID; '\0' = nothing does; a digit = it cannot be told. */
static char byte_beside(const struct piece *piece, bool is_before)
{
	if (!piece)
		return '\0';
	if (piece->kind != PIECE_WORD)
		return '0';
	return is_before ? piece->word[strlen(piece->word) - 1] : piece->word[0];
}

/*
 * Two UIDs must never give one name. They do not where the place of the UID in a name is certain:
 * counted in bytes from an end (all there is fixed), or in '_', which no text holds.
 */
static bool check_uid(const struct template_view *view, GError **error)
{
	const struct piece *uid = NULL, *end = view->pieces + view->count;
	char before, after;

	for (const struct piece *piece = view->pieces; piece < end; piece++) {
		if (piece->kind != PIECE_UID)
			continue;
		if (uid)
			return refuse(error, "{uid} stands there twice");
		uid = piece;
	}
	g_assert(uid);
	before = byte_beside(uid > view->pieces ? uid - 1 : NULL, true);
	after = byte_beside(uid + 1 < end ? uid + 1 : NULL, false);
	if (g_ascii_isdigit(before) || g_ascii_isdigit(after))
		return refuse(error, "{uid} needs a character that is no digit on both sides, such as .{uid}.");
	if (before != '_' && after != '_' && !all_fixed(view->pieces, (size_t)(uid - view->pieces)) &&
		!all_fixed(uid + 1, (size_t)(end - uid - 1)))
		return refuse(error, "{uid} between two texts needs a '_' on one side, such as _{uid}");
	return true;
}

static bool check(const struct template_view *view, GError **error)
{
	if (view->pieces[0].kind == PIECE_WORD &&
		(view->pieces[0].word[0] == '.' || view->pieces[0].word[0] == '-'))
		return refuse(error, "a name must not start with '%c'", view->pieces[0].word[0]);
	if (!check_uid(view, error))
		return false;
	if (pieces_min_len(view->pieces, view->count) > MAILFS_NAME_MAX)
		return refuse(error, "too long: a file name has at most %d bytes", MAILFS_NAME_MAX);
	return true;
}

/* The text with ".{uid}" and ".eml" where they are missing; NULL = refused. */
static char *complete_text(const char *text, GError **error)
{
	g_autofree char *composed = NULL;
	size_t len = strlen(text);

	if (len > TEMPLATE_MAX || !g_utf8_validate(text, (gssize)len, NULL)) {
		refuse(error, "a template is UTF-8 of at most %d bytes", TEMPLATE_MAX);
		return NULL;
	}
	if (!strchr(text, '{')) {
		refuse(error, "a template needs at least one {field}, such as {subject}");
		return NULL;
	}
	composed = g_utf8_normalize(text, (gssize)len, G_NORMALIZE_NFC);
	if (g_str_has_suffix(composed, EXTENSION))
		composed[strlen(composed) - strlen(EXTENSION)] = '\0';
	return g_strconcat(composed, strstr(composed, "{uid}") ? "" : ".{uid}", EXTENSION, NULL);
}

static void template_write(const struct mailfs_view *view, const struct mailfs_name_input *input,
	char ret_name[MAILFS_NAME_MAX + 1])
{
	const struct template_view *self = (const struct template_view *)view;

	pieces_write(self->pieces, self->count, input, ret_name);
}

struct mailfs_view *view_from_template(const char *text, GError **error)
{
	struct template_view *view;
	g_autofree char *whole = complete_text(text, error);

	if (!whole)
		return NULL;
	view = g_new0(struct template_view, 1);
	view->view.name = "template";
	view->view.write_name = template_write;
	if (!parse(view, whole, error) || !check(view, error)) {
		view_free(&view->view);
		return NULL;
	}
	return &view->view;
}

void view_free(struct mailfs_view *view)
{
	struct template_view *self = (struct template_view *)view;

	if (!self)
		return;
	for (size_t i = 0; i < self->count; i++)
		g_free((char *)self->pieces[i].word);
	g_free(self);
}
