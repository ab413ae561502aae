/* SPDX-License-Identifier: MIT */
/* Strict decimal numbers. */
#include "base/parse.h"

#include <string.h>

bool parse_u64(const char *text, size_t len, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (len == 0 || len > 20)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned char)text[i] - '0';

		if (digit > 9 || __builtin_mul_overflow(value, 10u, &value) ||
			__builtin_add_overflow(value, digit, &value))
			return false;
	}
	*ret_value = value;
	return true;
}

bool parse_u32(const char *text, size_t len, uint32_t *ret_value)
{
	uint64_t value;

	if (!parse_u64(text, len, &value) || value > UINT32_MAX)
		return false;
	*ret_value = (uint32_t)value;
	return true;
}

bool parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "kmgt";
	size_t len = strlen(text);
	uint64_t value;
	unsigned shift = 0;

	if (len == 0)
		return false;
	if (text[len - 1] < '0' || text[len - 1] > '9') {
		const char *unit = strchr(units, text[len - 1] | 0x20);

		if (!unit || *unit == '\0')
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
		len--;
	}
	if (!parse_u64(text, len, &value) || value > UINT64_MAX >> shift)
		return false;
	*ret_bytes = value << shift;
	return true;
}
