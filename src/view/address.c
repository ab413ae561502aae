/* SPDX-License-Identifier: MIT */
/* The first address of a field that was decoded already. */
#include "view/address.h"

#include <string.h>

#include <glib.h>

/* Where the text up to a character of `stops` ends; quoted strings hide those. */
static size_t span_until(const char *text, const char *stops)
{
	bool is_quoted = false;
	size_t i;

	for (i = 0; text[i] != '\0'; i++) {
		if (text[i] == '"')
			is_quoted = !is_quoted;
		else if (text[i] == '\\' && is_quoted && text[i + 1] != '\0')
			i++;
		else if (!is_quoted && strchr(stops, text[i]))
			break;
	}
	return i;
}

static struct slice strip(struct slice slice)
{
	while (slice.len > 0 && strchr(" \t\"'", slice.text[0])) {
		slice.text++;
		slice.len--;
	}
	while (slice.len > 0 && strchr(" \t\"'", slice.text[slice.len - 1]))
		slice.len--;
	return slice;
}

static struct slice local_part(struct slice spec)
{
	const char *at = spec.len > 0 ? memchr(spec.text, '@', spec.len) : NULL;

	return at ? (struct slice){ spec.text, (size_t)(at - spec.text) } : spec;
}

struct address address_first(const char *field)
{
	struct address address = { { NULL, 0 }, { NULL, 0 } };
	struct slice before;

	if (!field)
		return address;
	before = strip((struct slice){ field, span_until(field, "<,;") });
	if (field[span_until(field, "<,;")] == '<') {
		const char *spec = field + span_until(field, "<,;") + 1;

		address.spec = strip((struct slice){ spec, strcspn(spec, ">,;") });
		address.name = before;
	} else if (before.len > 0 && memchr(before.text, '@', before.len)) {
		address.spec = before;
	} else {
		address.name = before; /* "undisclosed-recipients:;", or no address at all */
	}
	if (address.name.len == 0)
		address.name = local_part(address.spec);
	return address;
}
