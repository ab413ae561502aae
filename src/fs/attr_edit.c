/* SPDX-License-Identifier: MIT */
/* The text of an attribute → a change of flags. Pure. RFC 9051 §9: keywords are atoms. */
#include <errno.h>
#include <string.h>

#include "fs/attr_flags.h"
#include "mailfs/types.h"

#define TEXT_MAX 4096u
#define KEYWORD_MAX 64u
#define KEYWORDS_MAX 100u

void attr_edit_init(struct attr_edit *edit)
{
	*edit = (struct attr_edit){
		.add_keywords = g_ptr_array_new_with_free_func(g_free),
		.remove_keywords = g_ptr_array_new_with_free_func(g_free),
	};
}

void attr_edit_done(struct attr_edit *edit)
{
	g_clear_pointer(&edit->add_keywords, g_ptr_array_unref);
	g_clear_pointer(&edit->remove_keywords, g_ptr_array_unref);
}

static unsigned flag_of(const char *word)
{
	static const struct {
		const char *name;
		unsigned flag;
	} names[] = {
		{ "\\Answered", MAILFS_FLAG_ANSWERED }, { "\\Deleted", MAILFS_FLAG_DELETED },
		{ "\\Draft", MAILFS_FLAG_DRAFT }, { "\\Flagged", MAILFS_FLAG_FLAGGED },
		{ "\\Seen", MAILFS_FLAG_SEEN },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (g_ascii_strcasecmp(word, names[i].name) == 0)
			return names[i].flag;
	}
	return 0;
}

static bool is_atom(const char *word)
{
	size_t len = strlen(word);

	if (len == 0 || len > KEYWORD_MAX)
		return false;
	for (const unsigned char *at = (const unsigned char *)word; *at != '\0'; at++) {
		if (*at <= 0x20 || *at >= 0x7f || strchr("(){%*\"\\]", *at))
			return false;
	}
	return true;
}

static int add_keyword(GPtrArray *keywords, const char *word)
{
	if (!is_atom(word))
		return EINVAL;
	if (keywords->len >= KEYWORDS_MAX)
		return E2BIG;
	g_ptr_array_add(keywords, g_strdup(word));
	return 0;
}

static int take_word(struct attr_edit *edit, const char *word, bool is_removal)
{
	unsigned flag;

	if (*word != '\\')
		return add_keyword(is_removal ? edit->remove_keywords : edit->add_keywords, word);
	flag = flag_of(word);
	if (flag == 0)
		return EINVAL;
	if (is_removal)
		edit->remove |= flag;
	else
		edit->add |= flag;
	return 0;
}

/* A copy of the text that can be cut up; NULL: it cannot be one. */
static char *text_of(const char *text, size_t len, int *ret_error)
{
	*ret_error = len > TEXT_MAX ? E2BIG : EINVAL;
	if (len > TEXT_MAX || (len > 0 && (memchr(text, '\0', len) || memchr(text, '\r', len) ||
		memchr(text, '\n', len))))
		return NULL;
	*ret_error = 0;
	return g_strndup(text, len);
}

static void terminate(struct attr_edit *edit)
{
	g_ptr_array_add(edit->add_keywords, NULL);
	g_ptr_array_add(edit->remove_keywords, NULL);
}

int attr_flags_parse(const char *text, size_t len, struct attr_edit *edit)
{
	int error;
	g_autofree char *copy = text_of(text, len, &error);
	g_auto(GStrv) words = copy ? g_strsplit(copy, " ", -1) : NULL;
	unsigned signed_words = 0, plain_words = 0;

	for (char **word = words; error == 0 && word && *word; word++) {
		bool is_signed = **word == '+' || **word == '-';

		if (**word == '\0')
			continue;
		if (is_signed)
			signed_words++;
		else
			plain_words++;
		error = take_word(edit, *word + is_signed, **word == '-');
	}
	if (error == 0 && signed_words > 0 && plain_words > 0)
		error = EINVAL;
	edit->is_replacement = signed_words == 0;
	terminate(edit);
	return error;
}

static bool holds(const GPtrArray *words, const char *word)
{
	for (guint i = 0; i < words->len; i++) {
		if (g_ascii_strcasecmp(g_ptr_array_index(words, i), word) == 0)
			return true;
	}
	return false;
}

int attr_tags_parse(const char *text, size_t len, const char *keywords, struct attr_edit *edit)
{
	int error;
	g_autofree char *copy = text_of(text, len, &error);
	g_auto(GStrv) tags = copy ? g_strsplit(copy, ",", -1) : NULL;
	g_auto(GStrv) present = g_strsplit(keywords, " ", -1);

	for (char **tag = tags; error == 0 && tag && *tag; tag++) {
		g_strstrip(*tag);
		if (**tag == '$')
			error = EINVAL;
		else if (**tag != '\0')
			error = add_keyword(edit->add_keywords, *tag);
	}
	for (char **word = present; error == 0 && *word; word++) {
		if (**word != '\0' && **word != '$' && !strchr(*word, ',') &&
			!holds(edit->add_keywords, *word))
			g_ptr_array_add(edit->remove_keywords, g_strdup(*word));
	}
	terminate(edit);
	return error;
}

int attr_bool_parse(const char *text, size_t len, bool *ret_value)
{
	if (len != 1 || (*text != '0' && *text != '1'))
		return EINVAL;
	*ret_value = *text == '1';
	return 0;
}
