/* SPDX-License-Identifier: MIT */
/*
 * What is to change in a message's flags and keywords, and words: a set of keywords as sorted,
 * space separated text, "" = none. Keywords are equal whatever their case (RFC 9051 §2.3.2). Pure.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#define KEYWORD_MAX  64u  /* bytes (FL-2) */
#define KEYWORDS_MAX 100u /* of one message */

/* ---- words: the results are new strings ---- */

char *words_new(const char *const *list); /* sorted, each once; NULL = none */
bool words_have(const char *words, const char *word);
unsigned words_count(const char *words);
char *words_plus(const char *words, const char *more);
char *words_minus(const char *words, const char *less);
bool words_include(const char *words, const char *all_of);
bool words_touch(const char *words, const char *any_of);

/* An atom that no server takes for anything else: what may follow STORE on the wire. */
bool keyword_is_valid(const char *word);

/* ---- deltas ---- */

struct delta {
	unsigned add, remove; /* enum mailfs_flag; disjoint */
	char *add_words, *remove_words; /* never NULL; disjoint */
};

/* What is in both is removed. Takes the words. */
struct delta delta_make(unsigned add, unsigned remove, char *add_words, char *remove_words);
void delta_clear(struct delta *delta);
struct delta delta_copy(const struct delta *delta);
bool delta_is_empty(const struct delta *delta);
/* The same as the one, then the other. */
struct delta delta_then(const struct delta *first, const struct delta *second);
/* To flags and words (a new string in its place). */
void delta_apply(const struct delta *delta, unsigned *flags, char **words);
/* Has it happened to what has these flags? */
bool delta_holds(const struct delta *delta, unsigned flags, const char *words);
guint delta_hash(gconstpointer delta);
gboolean delta_equal(gconstpointer a, gconstpointer b);
/* "+\Seen -work", for people; g_free() it. */
char *delta_text(const struct delta *delta);
