/* SPDX-License-Identifier: MIT */
/*
 * CRC-32 over the fields of a row, so that a bit that flipped in the index is seen. In memory
 * order of this machine: a cache that moved to another byte order is rebuilt. Pure; any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <zlib.h>

static inline uint32_t sum_bytes(uint32_t sum, const void *bytes, size_t len)
{
	return len == 0 ? sum : (uint32_t)crc32_z(sum, bytes, len); /* NULL would reset it */
}

/* NULL differs from "", and neighbours cannot trade bytes. */
static inline uint32_t sum_text(uint32_t sum, const char *text)
{
	uint64_t len = text ? strlen(text) : UINT64_MAX;

	sum = sum_bytes(sum, &len, sizeof(len));
	return text ? sum_bytes(sum, text, strlen(text)) : sum;
}

#define sum_numbers(sum, ...)                                                                      \
	sum_bytes((sum), (const uint64_t[]){ __VA_ARGS__ }, sizeof((const uint64_t[]){ __VA_ARGS__ }))
