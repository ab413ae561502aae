/* SPDX-License-Identifier: MIT */
/* Base64 (RFC 4648 §4) for SASL: strict for what is proved with it, tolerant for framing. */
#include "wire/sasl.h"

#include <glib.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* What is read of a text so far. `out` has room for every byte that the text can hold. */
struct base64_reader {
	uint8_t *out;
	size_t out_len;
	uint32_t bits;   /* of the unfinished group of four */
	unsigned count;  /* digits in it, 0 … 3 */
	unsigned padded; /* '=' seen */
};

void sasl_base64_encode(const void *bytes, size_t len, struct bytebuf *ret_text)
{
	const uint8_t *in = bytes;
	size_t out_len = (len / 3 + (len % 3 != 0)) * 4;
	char *out = out_len > 0 ? (char *)bytebuf_reserve(ret_text, out_len) : NULL;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t bits = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
				(left > 2 ? in[i + 2] : 0);

		*out++ = digits[bits >> 18];
		*out++ = digits[bits >> 12 & 63];
		*out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[bits & 63] : '=';
	}
	if (out_len > 0)
		bytebuf_commit(ret_text, out_len);
}

/* -1 = not a digit. */
static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

static bool reader_take(struct base64_reader *reader, char c)
{
	int value = digit_value(c);

	if (c == '=') {
		reader->padded++;
		return reader->count >= 2 && reader->count + reader->padded <= 4;
	}
	if (value < 0 || reader->padded > 0)
		return false;

	reader->bits = reader->bits << 6 | (uint32_t)value;
	if (++reader->count < 4)
		return true;
	reader->out[reader->out_len++] = (uint8_t)(reader->bits >> 16);
	reader->out[reader->out_len++] = (uint8_t)(reader->bits >> 8);
	reader->out[reader->out_len++] = (uint8_t)reader->bits;
	reader->bits = 0;
	reader->count = 0;
	return true;
}

/* The last, incomplete group: two digits are one byte, three are two. */
static bool reader_end(struct base64_reader *reader, enum sasl_base64 how)
{
	unsigned spare = reader->count == 2 ? 4 : 2;

	if (reader->count == 0)
		return true;
	if (reader->count == 1)
		return false;
	if (how == SASL_BASE64_STRICT && reader->count + reader->padded != 4)
		return false;
	if (how == SASL_BASE64_STRICT && (reader->bits & ((1u << spare) - 1)) != 0)
		return false;

	reader->bits >>= spare;
	if (reader->count == 3)
		reader->out[reader->out_len++] = (uint8_t)(reader->bits >> 8);
	reader->out[reader->out_len++] = (uint8_t)reader->bits;
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool sasl_base64_decode(
	const char *text, size_t len, enum sasl_base64 how, struct bytebuf *ret_bytes)
{
	struct base64_reader reader = { 0 };

	if (len == 0)
		return true;

	reader.out = bytebuf_reserve(ret_bytes, len / 4 * 3 + 3);
	for (size_t i = 0; i < len; i++) {
		if (how == SASL_BASE64_TOLERANT && is_space(text[i]))
			continue;
		if (!reader_take(&reader, text[i]))
			return false;
	}
	if (!reader_end(&reader, how))
		return false;

	bytebuf_commit(ret_bytes, reader.out_len);
	return true;
}
