/* SPDX-License-Identifier: MIT */
/* Header blocks and dates: fields are fit to show, dates survive being written and read again. */
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "wire/head.h"
#include "wire/imap_date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_field(const char *text)
{
	if (!text)
		return;
	g_assert_cmpuint(strlen(text), <=, HEAD_FIELD_MAX);
	g_assert_true(g_utf8_validate(text, -1, NULL));
	for (const char *p = text; *p; p = g_utf8_next_char(p))
		g_assert_false(g_unichar_iscntrl(g_utf8_get_char(p)));
}

static void check_head(const uint8_t *data, size_t size)
{
	struct head head;

	head_parse(data, size, &head);
	check_field(head.fields.subject);
	check_field(head.fields.from);
	check_field(head.fields.from_name);
	check_field(head.fields.to);
	check_field(head.fields.cc);
	check_field(head.fields.message_id);
	g_assert_true(!head.fields.date || strlen(head.fields.date) == 20);
	g_assert_true(!head.fields.from_name || *head.fields.from_name != '\0');
	head_done(&head);
}

static void check_dates(const char *text, size_t len)
{
	int64_t epoch, again;
	g_autofree char *written = NULL;

	if (!imap_parse_internaldate(text, len, &epoch) && !head_parse_date(text, len, &epoch))
		return;
	written = imap_format_internaldate(epoch);
	if (!written)
		return; /* an offset moved it out of the years 0 … 9999 */
	g_assert_true(imap_parse_internaldate(written, strlen(written), &again));
	g_assert_cmpint(again, ==, epoch);
}

static void check_name(const char *text, size_t len)
{
	g_autofree char *name = head_parse_name(text, len);

	check_field(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_head(data, size);
	check_name((const char *)data, size);
	check_dates((const char *)data, size);
	return 0;
}
