/* SPDX-License-Identifier: MIT */
/* The list of presets, and the way back from a file name to the UIDs it may mean. */
#include "mailfs/view.h"

#include <string.h>

#include "base/parse.h"
#include "view/views.h"

static const struct mailfs_view *const presets[] = {
	&human_view,
	&uid_view,
};

const struct mailfs_view *view_find(const char *preset)
{
	for (size_t i = 0; i < G_N_ELEMENTS(presets); i++) {
		if (strcmp(presets[i]->name, preset) == 0)
			return presets[i];
	}
	return NULL;
}

void view_name(const struct mailfs_view *view, const struct mailfs_name_input *input,
	char ret_name[MAILFS_NAME_MAX + 1])
{
	view->write_name(view, input, ret_name);
}

/* Digits that are a UID in the one way we write it. */
static bool parse_uid(const char *digits, size_t len, uint32_t *ret_uid)
{
	return len > 0 && digits[0] != '0' && parse_u32(digits, len, ret_uid);
}

size_t view_uid_candidates(const char *name, uint32_t *ret_uids, size_t max)
{
	size_t end = strlen(name);
	size_t count = 0;

	while (end > 0 && count < max) {
		size_t start = end;

		while (start > 0 && g_ascii_isdigit(name[start - 1]))
			start--;
		if (parse_uid(name + start, end - start, &ret_uids[count]))
			count++;
		end = start > 0 ? start - 1 : 0;
	}
	return count;
}

uint32_t view_name_hash(const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++)
		hash = (hash ^ *at) * 16777619u;
	/* FNV leaves the high bits of short names alike: mix (finaliser of MurmurHash3). */
	hash = (hash ^ hash >> 16) * 0x85ebca6bu;
	hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
	hash ^= hash >> 16;
	return hash == 0 ? 1 : hash;
}

bool view_is_uid_name(const char *name, uint32_t *ret_uid)
{
	size_t len = strlen(name);

	return len > 4 && strcmp(name + len - 4, ".eml") == 0 && parse_uid(name, len - 4, ret_uid);
}
