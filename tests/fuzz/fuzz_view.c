/* SPDX-License-Identifier: MIT */
/*
 * Names made of hostile bytes. First byte: what is tried. The promises of mailfs/view.h and
 * view/sanitize.h hold for every input, or this aborts.
 */
#include <string.h>

#include <glib.h>

#include "mailfs/view.h"
#include "view/sanitize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* abort() also where assertions are compiled out. */
static void require(bool holds, const char *what)
{
	if (!holds)
		g_error("broken promise: %s", what);
}

static void check_folder(const char *bytes, size_t len, unsigned flags)
{
	g_autofree char *shown = folder_component_escape(bytes, len, flags);
	g_autofree char *back = NULL;
	size_t shown_len = strlen(shown), back_len = 0;

	require(shown_len > 0 && shown_len <= FOLDER_COMPONENT_MAX, "1 … 255 bytes");
	require(strcmp(shown, ".") != 0 && strcmp(shown, "..") != 0, "not . or ..");
	require(!strchr(shown, '/'), "no slash");
	require(g_utf8_validate(shown, -1, NULL), "UTF-8");
	require(!g_str_has_suffix(shown, ".eml"), "no message");
	if ((flags & FOLDER_AT_ROOT) != 0)
		require(strcmp(shown, ".mailfs") != 0, "not reserved");
	back = folder_component_unescape(shown, &back_len);
	if (back)
		require(back_len == len && memcmp(back, bytes, len) == 0, "undone exactly");
	else
		require(len > FOLDER_COMPONENT_MAX / 3 && shown[shown_len - 17] == '~', "undone");
}

static void check_unescape(const char *text)
{
	size_t len = 0;
	g_autofree char *bytes = folder_component_unescape(text, &len);

	if (bytes)
		check_folder(bytes, len, 0);
}

static void check_name(const struct mailfs_view *view, const struct mailfs_name_input *input)
{
	uint32_t uids[VIEW_UIDS_MAX];
	char name[MAILFS_NAME_MAX + 1];
	g_autofree char *composed = NULL;
	bool is_found = false;
	size_t count;

	memset(name, 'x', sizeof(name));
	view_name(view, input, name);
	require(memchr(name, '\0', sizeof(name)) != NULL, "143 bytes");
	composed = g_utf8_normalize(name, -1, G_NORMALIZE_NFC);
	require(composed && strcmp(composed, name) == 0, "NFC");
	require(g_str_has_suffix(name, ".eml"), "extension");
	require(name[0] != '.' && name[0] != '-', "start");
	require(!strpbrk(name, " /\\:*?\"<>|'`$&;()[]{}!#~=^@%\n\r\t\x1b\x7f"), "bare");
	count = view_uid_candidates(name, uids, VIEW_UIDS_MAX);
	for (size_t i = 0; i < count; i++)
		is_found |= uids[i] == input->uid;
	require(is_found, "UID is found again");
	require(view_name_hash(name) != 0, "hash");
}

/* Lines of `text`: subject, sender's name, From, To, Message-ID, template. */
static void check_names(const char *text, uint32_t uid, int64_t date)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", 6);
	guint count = g_strv_length(lines);
	struct mailfs_head head = {
		.subject = count > 0 ? lines[0] : NULL,
		.from_name = count > 1 ? lines[1] : NULL,
		.from = count > 2 ? lines[2] : NULL,
		.to = count > 3 ? lines[3] : NULL,
		.message_id = count > 4 ? lines[4] : NULL,
	};
	struct mailfs_name_input input = { uid, date, &head };
	struct mailfs_view *view = NULL;

	check_name(view_find("human"), &input);
	check_name(view_find("uid"), &input);
	view = view_from_template(count > 5 ? lines[5] : "{from.addr}_{to}_{subject}_{msgid8}", NULL);
	if (view)
		check_name(view, &input);
	view_free(view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = NULL;
	int64_t date = 0;
	uint32_t uid = 1;

	if (size < 1)
		return 0;
	if (data[0] < 4) {
		check_folder((const char *)data + 1, size - 1, data[0]);
		return 0;
	}
	if (size < 1 + sizeof(date) + sizeof(uid))
		return 0;
	text = g_strndup((const char *)data + 13, size - 13);
	if (data[0] == 4) {
		check_unescape(text);
		return 0;
	}
	memcpy(&date, data + 1, sizeof(date));
	memcpy(&uid, data + 9, sizeof(uid));
	check_names(text, uid == 0 ? 1 : uid, date);
	return 0;
}
