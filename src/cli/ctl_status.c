/* SPDX-License-Identifier: MIT */
/* mailfsctl status: of one mount, or of all that are ours. All are asked at the same time. */
#include <stdio.h>
#include <string.h>

#include "cli/ctl.h"
#include "cli/exit_code.h"
#include "cli/mountpoint.h"

static int print_answer(struct ctl_read *read)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = ctl_read_end(read, &error);

	if (!text)
		return ctl_fail_error(error);
	fputs(text, stdout);
	if (*text && !g_str_has_suffix(text, "\n"))
		putchar('\n');
	return 0;
}

static int print_all(const char *name, bool is_json)
{
	g_autoptr(GPtrArray) table = mount_table_read();
	g_autoptr(GPtrArray) reads = g_ptr_array_new();
	int worst = 0;

	for (guint i = 0; i < table->len; i++) {
		const struct mount_entry *entry = g_ptr_array_index(table, i);

		if (mount_entry_is_ours(entry))
			g_ptr_array_add(reads, ctl_read_begin(entry->path, name));
	}
	for (guint i = 0; i < reads->len; i++) {
		int code;

		if (!is_json && i > 0)
			putchar('\n');
		code = print_answer(g_ptr_array_index(reads, i));
		worst = code != 0 ? code : worst;
	}
	if (reads->len == 0)
		fputs("mailfsctl: you have no mailfs mounted\n", stderr);
	return worst;
}

int ctl_status(int argc, char **argv)
{
	g_autofree char *mountpoint = NULL;
	const char *path = NULL;
	bool is_json = false;
	const char *name;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			is_json = true;
		else if (argv[i][0] == '-' || path)
			return ctl_fail(EX_USAGE, "status: not understood: %s", argv[i]);
		else
			path = argv[i];
	}
	name = is_json ? "status.json" : "status";
	if (!path)
		return print_all(name, is_json);
	mountpoint = ctl_find_mount(path);
	return mountpoint ? print_answer(ctl_read_begin(mountpoint, name)) : EX_NOINPUT;
}
