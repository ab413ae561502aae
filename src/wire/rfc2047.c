/* SPDX-License-Identifier: MIT */
/*
 * Encoded words. RFC 2047 wants each word complete in itself; senders cut multibyte characters
 * and base64 groups between words all the same, so adjacent words of one charset are decoded to
 * bytes together, and only then converted.
 */
#include "wire/rfc2047.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "wire/charset.h"

#define CHARSET_LEN_MAX 64u

/* Points into the text that holds it. */
struct word {
	const char *charset;
	const char *text;
	size_t charset_len; /* without the language */
	size_t text_len;
	size_t len; /* of all of it */
	bool is_base64;
};

struct decoder {
	struct charsets charsets;
	GArray *run; /* struct word: adjacent, one charset, not yet converted */
	GString *bytes;
	GString *out;
};

static bool is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * Length of the encoded text, up to "?=". A lone `?` is taken in Q, as many senders leave it. The
 * start of a new word ends the search: so all searches together are linear.
 */
static bool find_text_end(const char *text, size_t left, bool is_base64, size_t *ret_len)
{
	for (size_t i = 0; i + 1 < left; i++) {
		if (text[i] != '?')
			continue;
		if (text[i + 1] == '=') {
			*ret_len = i;
			return true;
		}
		if (is_base64 || (i > 0 && text[i - 1] == '='))
			return false;
	}
	return false;
}

static bool word_parse(const char *at, size_t left, struct word *ret_word)
{
	struct word word = { .charset = at + 2 };
	size_t limit = MIN(left, CHARSET_LEN_MAX + 2);
	size_t pos = 2;
	char encoding;

	if (left < 2 || at[0] != '=' || at[1] != '?')
		return false;
	while (pos < limit && at[pos] > ' ' && at[pos] < 0x7f && at[pos] != '?' && at[pos] != '=')
		pos++;
	if (pos == 2 || left - pos < 3 || at[pos] != '?' || at[pos + 2] != '?')
		return false;

	encoding = g_ascii_toupper(at[pos + 1]);
	if (encoding != 'B' && encoding != 'Q')
		return false;
	word.is_base64 = encoding == 'B';
	word.charset_len = pos - 2;
	for (size_t i = 0; i < word.charset_len; i++) {
		if (word.charset[i] == '*')
			word.charset_len = i;
	}
	pos += 3;
	word.text = at + pos;
	if (!find_text_end(word.text, left - pos, word.is_base64, &word.text_len))
		return false;

	word.len = pos + word.text_len + 2;
	*ret_word = word;
	return true;
}

size_t rfc2047_word_len(const char *text, size_t len)
{
	struct word word;

	return word_parse(text, len, &word) ? word.len : 0;
}

static void decode_q(const struct word *word, GString *bytes)
{
	for (size_t i = 0; i < word->text_len; i++) {
		char c = word->text[i];
		int high, low;

		if (c == '_')
			c = ' ';
		if (c == '=' && word->text_len - i > 2) {
			high = g_ascii_xdigit_value(word->text[i + 1]);
			low = g_ascii_xdigit_value(word->text[i + 2]);
			if (high >= 0 && low >= 0) {
				c = (char)(high << 4 | low);
				i += 2;
			}
		}
		g_string_append_c(bytes, c);
	}
}

static int base64_value(char c)
{
	if (g_ascii_isupper(c))
		return c - 'A';
	if (g_ascii_islower(c))
		return c - 'a' + 26;
	if (g_ascii_isdigit(c))
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

struct base64 {
	uint32_t bits;
	unsigned count; /* digits since the last whole group */
};

/* Give out the whole bytes of an incomplete group. */
static void base64_flush(struct base64 *state, GString *bytes)
{
	if (state->count == 2)
		g_string_append_c(bytes, (char)(state->bits >> 4));
	if (state->count == 3) {
		g_string_append_c(bytes, (char)(state->bits >> 10));
		g_string_append_c(bytes, (char)(state->bits >> 2));
	}
	*state = (struct base64){ 0 };
}

static void base64_feed(struct base64 *state, const struct word *word, GString *bytes)
{
	for (size_t i = 0; i < word->text_len; i++) {
		int value = base64_value(word->text[i]);

		if (value < 0) {
			if (word->text[i] == '=')
				base64_flush(state, bytes);
			continue;
		}
		state->bits = state->bits << 6 | (uint32_t)value;
		if (++state->count < 4)
			continue;
		g_string_append_c(bytes, (char)(state->bits >> 16));
		g_string_append_c(bytes, (char)(state->bits >> 8));
		g_string_append_c(bytes, (char)state->bits);
		*state = (struct base64){ 0 };
	}
}

/* Digits and padding of one word; *is_padded tells of padding at its end. */
static size_t base64_count(const struct word *word, bool *is_padded)
{
	size_t count = 0;

	*is_padded = false;
	for (size_t i = 0; i < word->text_len; i++) {
		if (base64_value(word->text[i]) < 0 && word->text[i] != '=')
			continue;
		*is_padded = word->text[i] == '=';
		count++;
	}
	return count;
}

/*
 * Base64 words from `first` to the one with padding, or the last. If only their sum is whole
 * groups, the sender has cut one base64 text into words; else each has lost its padding.
 * Returns the position behind them.
 */
static guint decode_base64_words(const GArray *run, guint first, GString *bytes)
{
	struct base64 state = { 0 };
	bool is_padded = false;
	size_t total = 0;
	guint end = first;

	while (end < run->len && !is_padded) {
		const struct word *word = &g_array_index(run, struct word, end);

		if (!word->is_base64)
			break;
		total += base64_count(word, &is_padded);
		end++;
	}
	for (guint i = first; i < end; i++) {
		base64_feed(&state, &g_array_index(run, struct word, i), bytes);
		if (total % 4 != 0)
			base64_flush(&state, bytes);
	}
	base64_flush(&state, bytes);
	return end;
}

static void run_flush(struct decoder *decoder)
{
	GArray *run = decoder->run;
	const struct word *head;
	guint i = 0;

	if (run->len == 0)
		return;
	head = &g_array_index(run, struct word, 0);
	g_string_truncate(decoder->bytes, 0);
	while (i < run->len) {
		const struct word *word = &g_array_index(run, struct word, i);

		if (word->is_base64) {
			i = decode_base64_words(run, i, decoder->bytes);
		} else {
			decode_q(word, decoder->bytes);
			i++;
		}
	}
	charsets_append(&decoder->charsets, head->charset, head->charset_len, decoder->bytes->str,
		decoder->bytes->len, decoder->out);
	g_array_set_size(run, 0);
}

static void run_add(struct decoder *decoder, const struct word *word)
{
	if (decoder->run->len > 0) {
		const struct word *head = &g_array_index(decoder->run, struct word, 0);

		if (head->charset_len != word->charset_len ||
			g_ascii_strncasecmp(head->charset, word->charset, word->charset_len) != 0)
			run_flush(decoder);
	}
	g_array_append_vals(decoder->run, word, 1);
}

static bool is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!is_wsp(text[i]))
			return false;
	}
	return true;
}

/* Text between words: what is only white space between two words goes. RFC 2047 §6.2. */
static void gap_add(struct decoder *decoder, const char *text, size_t len, bool is_between)
{
	if (is_between && decoder->run->len > 0 && is_blank(text, len))
		return;
	run_flush(decoder);
	charset_append_unlabelled(text, len, decoder->out);
}

static void decode_words(const GString *line, GString *out)
{
	struct decoder decoder = {
		.run = g_array_new(FALSE, FALSE, sizeof(struct word)),
		.bytes = g_string_new(NULL),
		.out = out,
	};
	size_t pos = 0, gap = 0;

	charsets_init(&decoder.charsets);
	while (pos < line->len) {
		const char *at = memchr(line->str + pos, '=', line->len - pos);
		struct word word;

		if (!at)
			break;
		pos = (size_t)(at - line->str);
		if (!word_parse(at, line->len - pos, &word)) {
			pos++;
			continue;
		}
		gap_add(&decoder, line->str + gap, pos - gap, true);
		run_add(&decoder, &word);
		pos += word.len;
		gap = pos;
	}
	gap_add(&decoder, line->str + gap, line->len - gap, false);

	charsets_done(&decoder.charsets);
	g_array_unref(decoder.run);
	g_string_free(decoder.bytes, TRUE);
}

/* Not in the middle of a character: that would make all of the text look like no UTF-8. */
static size_t bound_input(const char *raw, size_t len)
{
	size_t cut = RFC2047_INPUT_MAX;

	if (len <= cut)
		return len;
	for (int i = 0; i < 3 && ((guchar)raw[cut] & 0xc0) == 0x80; i++)
		cut--;
	return cut;
}

/* RFC 5322 §2.2.3: a line end in front of white space is not part of the text. */
static GString *unfold(const char *raw, size_t raw_len)
{
	size_t len = bound_input(raw, raw_len);
	GString *line = g_string_sized_new(len);
	size_t pos = 0;

	while (pos < len) {
		char c = raw[pos++];

		if (c != '\r' && c != '\n') {
			g_string_append_c(line, c);
			continue;
		}
		while (pos < len && (raw[pos] == '\r' || raw[pos] == '\n'))
			pos++;
		if (pos == len || !is_wsp(raw[pos]))
			g_string_append_c(line, ' ');
	}
	return line;
}

static bool is_control(gunichar c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
}

/* Controls as spaces, trimmed, cut. */
static char *one_line(const GString *text, size_t max_bytes)
{
	GString *line = g_string_sized_new(MIN(text->len, max_bytes));
	const char *end = text->str + text->len;

	for (const char *p = text->str; p < end; p = g_utf8_next_char(p)) {
		gsize width = g_utf8_skip[(guchar)*p];
		bool is_space = is_control(g_utf8_get_char(p));

		if (line->len == 0 && (is_space || *p == ' '))
			continue;
		if (line->len + (is_space ? 1 : width) > max_bytes)
			break;
		if (is_space)
			g_string_append_c(line, ' ');
		else
			g_string_append_len(line, p, (gssize)width);
	}
	while (line->len > 0 && line->str[line->len - 1] == ' ')
		g_string_truncate(line, line->len - 1);
	return g_string_free(line, FALSE);
}

/* Nearly all values are ASCII on one line, without encoded words: they need only be trimmed and
 * cut. NULL = this is not one of them. */
static char *decode_plain(const char *raw, size_t len, size_t max_bytes, bool has_words)
{
	size_t start = 0;

	if (len > RFC2047_INPUT_MAX)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (raw[i] < ' ' || raw[i] == 0x7f)
			return NULL;
		if (has_words && raw[i] == '?' && i > 0 && raw[i - 1] == '=')
			return NULL;
	}
	while (start < len && raw[start] == ' ')
		start++;
	len = MIN(len - start, max_bytes);
	while (len > 0 && raw[start + len - 1] == ' ')
		len--;
	return g_strndup(raw + start, len);
}

static char *decode_any(const char *raw, size_t len, size_t max_bytes)
{
	g_autoptr(GString) line = unfold(raw, len);
	g_autoptr(GString) out = g_string_sized_new(line->len);

	decode_words(line, out);
	return one_line(out, max_bytes);
}

char *rfc2047_decode(const char *raw, size_t len, size_t max_bytes)
{
	char *plain = decode_plain(raw, len, max_bytes, true);

	return plain ? plain : decode_any(raw, len, max_bytes);
}

static char *clean_any(const char *raw, size_t len, size_t max_bytes)
{
	g_autoptr(GString) line = unfold(raw, len);
	g_autoptr(GString) out = g_string_sized_new(line->len);

	charset_append_unlabelled(line->str, line->len, out);
	return one_line(out, max_bytes);
}

char *rfc2047_clean(const char *raw, size_t len, size_t max_bytes)
{
	char *plain = decode_plain(raw, len, max_bytes, false);

	return plain ? plain : clean_any(raw, len, max_bytes);
}
