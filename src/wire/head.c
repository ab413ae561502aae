/* SPDX-License-Identifier: MIT */
/* Picks fields out of a header block, RFC 5322 §2.2, without trusting that it is one. Pure. */
#include "wire/head.h"

#include <string.h>

#include <glib.h>

#include "wire/civil.h"
#include "wire/rfc2047.h"

enum field { FIELD_SUBJECT, FIELD_FROM, FIELD_TO, FIELD_CC, FIELD_MESSAGE_ID, FIELD_DATE, FIELDS };

static const char *const field_names[FIELDS] = {
	[FIELD_SUBJECT] = "subject",       [FIELD_FROM] = "from", [FIELD_TO] = "to", [FIELD_CC] = "cc",
	[FIELD_MESSAGE_ID] = "message-id", [FIELD_DATE] = "date",
};

/* Still folded; borrowed. text == NULL: not seen. */
struct value {
	const char *text;
	size_t len;
};

/* The line at `pos` without its end; *pos moves to the next. */
static struct value next_line(const char *text, size_t len, size_t *pos)
{
	const char *start = text + *pos;
	const char *feed = memchr(start, '\n', len - *pos);
	struct value line = { .text = start, .len = feed ? (size_t)(feed - start) : len - *pos };

	*pos += line.len + (feed ? 1 : 0);
	while (line.len > 0 && start[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* FIELDS = none that is wanted; else *ret_value is what stands behind the colon. */
static enum field field_of(struct value line, struct value *ret_value)
{
	const char *colon = line.len > 0 ? memchr(line.text, ':', line.len) : NULL;
	size_t name_len = colon ? (size_t)(colon - line.text) : 0;

	/* RFC 5322 §4.5 knows space in front of the colon. */
	while (name_len > 0 && (line.text[name_len - 1] == ' ' || line.text[name_len - 1] == '\t'))
		name_len--;
	for (unsigned field = 0; field < FIELDS; field++) {
		if (strlen(field_names[field]) != name_len ||
			g_ascii_strncasecmp(line.text, field_names[field], name_len) != 0)
			continue;
		ret_value->text = colon + 1;
		ret_value->len = line.len - (size_t)(colon + 1 - line.text);
		return field;
	}
	return FIELDS;
}

static void pick(const char *text, size_t len, struct value values[FIELDS])
{
	struct value *open = NULL; /* takes continuation lines */
	unsigned missing = FIELDS;
	size_t pos = 0;

	while (pos < len) {
		struct value line = next_line(text, len, &pos);
		struct value value;
		enum field field;

		if (line.len == 0)
			return;
		if (line.text[0] == ' ' || line.text[0] == '\t') {
			if (open)
				open->len = (size_t)(line.text + line.len - open->text);
			continue;
		}
		open = NULL;
		if (missing == 0)
			return;
		field = field_of(line, &value);
		if (field == FIELDS || values[field].text)
			continue;
		open = &values[field];
		*open = value;
		missing--;
	}
}

static char *decode(struct value value)
{
	return value.text ? rfc2047_decode(value.text, value.len, HEAD_FIELD_MAX) : NULL;
}

/* printf() is half of the cost of a date. */
static void put_digits(char *at, unsigned count, int number)
{
	while (count-- > 0) {
		at[count] = (char)('0' + number % 10);
		number /= 10;
	}
}

static char *format_date(struct value value)
{
	struct civil civil;
	int64_t epoch;
	char *text;

	if (!value.text || !head_parse_date(value.text, value.len, &epoch) ||
		!civil_from_epoch(epoch, &civil))
		return NULL;
	text = g_strdup("0000-00-00T00:00:00Z");
	put_digits(text, 4, civil.year);
	put_digits(text + 5, 2, civil.month);
	put_digits(text + 8, 2, civil.day);
	put_digits(text + 11, 2, civil.hour);
	put_digits(text + 14, 2, civil.minute);
	put_digits(text + 17, 2, civil.second);
	return text;
}

void head_parse(const void *bytes, size_t len, struct head *head)
{
	struct value values[FIELDS] = { 0 };
	struct value from, id;

	pick(bytes, len, values);
	from = values[FIELD_FROM];
	id = values[FIELD_MESSAGE_ID];
	head->fields = (struct mailfs_head){
		.subject = decode(values[FIELD_SUBJECT]),
		.from = decode(from),
		.from_name = from.text ? head_parse_name(from.text, from.len) : NULL,
		.to = decode(values[FIELD_TO]),
		.cc = decode(values[FIELD_CC]),
		.message_id = id.text ? rfc2047_clean(id.text, id.len, HEAD_FIELD_MAX) : NULL,
		.date = format_date(values[FIELD_DATE]),
	};
}

void head_done(struct head *head)
{
	const struct mailfs_head *fields = &head->fields;
	const char *const owned[] = {
		fields->subject, fields->from,       fields->from_name, fields->to,
		fields->cc,      fields->message_id, fields->date,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(owned); i++)
		g_free((char *)owned[i]);
	*head = (struct head){ 0 };
}
