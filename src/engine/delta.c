/* SPDX-License-Identifier: MIT */
/* Sets of keywords, and changes of flags. */
#include "engine/delta.h"

#include <string.h>

#include "mailfs/types.h"

/* ---- words ------------------------------------------------------------------------------------- */

static int by_text(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_in(const GPtrArray *words, const char *word)
{
	for (guint i = 0; i < words->len; i++) {
		if (g_ascii_strcasecmp(g_ptr_array_index(words, i), word) == 0)
			return true;
	}
	return false;
}

/* At most a few hundred: walked, not hashed. */
static void add_words(GPtrArray *to, char **list, const GPtrArray *but)
{
	for (; list && *list; list++) {
		if (**list != '\0' && !is_in(to, *list) && (!but || !is_in(but, *list)))
			g_ptr_array_add(to, *list);
	}
}

static char *join(GPtrArray *words)
{
	g_ptr_array_sort(words, by_text);
	g_ptr_array_add(words, NULL);
	return g_strjoinv(" ", (char **)words->pdata);
}

char *words_new(const char *const *list)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();

	add_words(words, (char **)list, NULL);
	return join(words);
}

bool words_have(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; *at != '\0';) {
		size_t part = strcspn(at, " ");

		if (part == len && g_ascii_strncasecmp(at, word, len) == 0)
			return true;
		at += part;
		at += *at == ' ';
	}
	return false;
}

unsigned words_count(const char *words)
{
	unsigned count = *words != '\0';

	for (; *words != '\0'; words++)
		count += *words == ' ';
	return count;
}

char *words_plus(const char *words, const char *more)
{
	g_auto(GStrv) left = g_strsplit(words, " ", -1);
	g_auto(GStrv) right = g_strsplit(more, " ", -1);
	g_autoptr(GPtrArray) all = g_ptr_array_new();

	add_words(all, left, NULL);
	add_words(all, right, NULL);
	return join(all);
}

char *words_minus(const char *words, const char *less)
{
	g_auto(GStrv) left = g_strsplit(words, " ", -1);
	g_auto(GStrv) right = g_strsplit(less, " ", -1);
	g_autoptr(GPtrArray) but = g_ptr_array_new();
	g_autoptr(GPtrArray) rest = g_ptr_array_new();

	add_words(but, right, NULL);
	add_words(rest, left, but);
	return join(rest);
}

static unsigned count_common(const char *words, const char *of)
{
	g_auto(GStrv) list = g_strsplit(of, " ", -1);
	unsigned count = 0;

	for (char **word = list; *word; word++)
		count += **word != '\0' && words_have(words, *word);
	return count;
}

bool words_include(const char *words, const char *all_of)
{
	return *all_of == '\0' || count_common(words, all_of) == words_count(all_of);
}

bool words_touch(const char *words, const char *any_of)
{
	return *any_of != '\0' && *words != '\0' && count_common(words, any_of) > 0;
}

/* RFC 9051: atom without "]", which some servers do not survive either (FL-2). */
bool keyword_is_valid(const char *word)
{
	size_t len = strlen(word);

	if (len == 0 || len > KEYWORD_MAX)
		return false;
	for (; *word != '\0'; word++) {
		if (*word <= ' ' || *word >= 0x7f || strchr("(){%*\"\\]", *word))
			return false;
	}
	return true;
}

/* ---- deltas ------------------------------------------------------------------------------------ */

struct delta delta_make(unsigned add, unsigned remove, char *add_words_, char *remove_words)
{
	g_autofree char *added = add_words_;

	return (struct delta){
		.add = add & ~remove & MAILFS_FLAGS_ALL,
		.remove = remove & MAILFS_FLAGS_ALL,
		.add_words = words_minus(added, remove_words),
		.remove_words = remove_words,
	};
}

void delta_clear(struct delta *delta)
{
	g_clear_pointer(&delta->add_words, g_free);
	g_clear_pointer(&delta->remove_words, g_free);
}

struct delta delta_copy(const struct delta *delta)
{
	return (struct delta){
		.add = delta->add,
		.remove = delta->remove,
		.add_words = g_strdup(delta->add_words),
		.remove_words = g_strdup(delta->remove_words),
	};
}

bool delta_is_empty(const struct delta *delta)
{
	return (delta->add | delta->remove) == 0 && *delta->add_words == '\0' &&
		*delta->remove_words == '\0';
}

struct delta delta_then(const struct delta *first, const struct delta *second)
{
	g_autofree char *added = words_minus(first->add_words, second->remove_words);
	g_autofree char *removed = words_minus(first->remove_words, second->add_words);

	return (struct delta){
		.add = (first->add & ~second->remove) | second->add,
		.remove = (first->remove & ~second->add) | second->remove,
		.add_words = words_plus(added, second->add_words),
		.remove_words = words_plus(removed, second->remove_words),
	};
}

void delta_apply(const struct delta *delta, unsigned *flags, char **words)
{
	*flags = (*flags | delta->add) & ~delta->remove;
	if (*delta->remove_words != '\0') {
		g_autofree char *before = *words;

		*words = words_minus(before, delta->remove_words);
	}
	if (*delta->add_words != '\0') {
		g_autofree char *before = *words;

		*words = words_plus(before, delta->add_words);
	}
}

bool delta_holds(const struct delta *delta, unsigned flags, const char *words)
{
	return (flags & delta->add) == delta->add && (flags & delta->remove) == 0 &&
		words_include(words, delta->add_words) && !words_touch(words, delta->remove_words);
}

guint delta_hash(gconstpointer data)
{
	const struct delta *delta = data;

	return (delta->add << 8 | delta->remove) ^ g_str_hash(delta->add_words) ^
		(g_str_hash(delta->remove_words) << 1);
}

gboolean delta_equal(gconstpointer a, gconstpointer b)
{
	const struct delta *left = a;
	const struct delta *right = b;

	return left->add == right->add && left->remove == right->remove &&
		strcmp(left->add_words, right->add_words) == 0 &&
		strcmp(left->remove_words, right->remove_words) == 0;
}

static void add_flags(GString *text, char sign, unsigned flags, const char *words)
{
	static const char *const names[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft" };
	g_auto(GStrv) list = g_strsplit(words, " ", -1);

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if ((flags & 1u << i) != 0)
			g_string_append_printf(text, "%s%c%s", text->len > 0 ? " " : "", sign, names[i]);
	}
	for (char **word = list; *word; word++) {
		if (**word != '\0')
			g_string_append_printf(text, "%s%c%s", text->len > 0 ? " " : "", sign, *word);
	}
}

char *delta_text(const struct delta *delta)
{
	GString *text = g_string_new(NULL);

	add_flags(text, '+', delta->add, delta->add_words);
	add_flags(text, '-', delta->remove, delta->remove_words);
	return g_string_free(text, FALSE);
}
