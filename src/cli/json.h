/* SPDX-License-Identifier: MIT */
/* Writes one JSON value. Keys are NULL inside arrays. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct json {
	GString *out;
	bool needs_comma;
};

void json_init(struct json *json);
void json_done(struct json *json);

void json_begin(struct json *json, const char *key, char bracket); /* '{' or '[' */
void json_end(struct json *json, char bracket);                    /* '}' or ']' */
void json_text(struct json *json, const char *key, const char *text); /* NULL: null */
void json_number(struct json *json, const char *key, uint64_t number);
void json_bool(struct json *json, const char *key, bool value);
