/* SPDX-License-Identifier: MIT */
/* The table of server oddities. Add a row and a scripted-server test. Pure. */
#include "backend/imap/quirks.h"

#include <string.h>

#include <glib.h>

struct quirk_row {
	const char *text; /* found anywhere in the greeting or the ID, case ignored */
	unsigned quirks;
};

static const struct quirk_row rows[] = {
	/* server                       what to avoid           why */
	/* Answers BAD to LIST with SPECIAL-USE selection or return options. */
	{ "Proton Mail Bridge",         QUIRK_NO_LIST_RETURN },
	{ "ProtonMail",                 QUIRK_NO_LIST_RETURN },
	/* Zimbra before 8 crashes on extended LIST, and glues UID and MODSEQ together. */
	{ "Zimbra 5.",                  QUIRK_NO_LIST_RETURN | QUIRK_NO_CONDSTORE },
	{ "Zimbra 6.",                  QUIRK_NO_LIST_RETURN },
	{ "Zimbra 7.",                  QUIRK_NO_LIST_RETURN },
	/* The 2003 release drops the connection on NAMESPACE in some languages. */
	{ "Microsoft Exchange Server 2003", QUIRK_NO_NAMESPACE },
	/* Writes other MIME boundaries at each fetch. */
	{ "Domino",                     QUIRK_NO_RANGE },
	/* MODSEQ is -1. */
	{ "Zoho",                       QUIRK_NO_CONDSTORE },
};

static bool contains(const char *text, const char *part)
{
	return text && strcasestr(text, part);
}

unsigned quirks_of(const char *greeting, const char *id)
{
	unsigned quirks = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (contains(greeting, rows[i].text) || contains(id, rows[i].text))
			quirks |= rows[i].quirks;
	return quirks;
}
