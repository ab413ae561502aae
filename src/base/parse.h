/* SPDX-License-Identifier: MIT */
/*
 * Strict decimal numbers: digits only, no sign, no space, no overflow, at most 20 digits. Output
 * stays untouched on failure. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool parse_u32(const char *text, size_t len, uint32_t *ret_value);
bool parse_u64(const char *text, size_t len, uint64_t *ret_value);
/* "2G", "512M", "64k", "100" as bytes, powers of 1024; NUL-terminated text. */
bool parse_size(const char *text, uint64_t *ret_bytes);
