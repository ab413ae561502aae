/* SPDX-License-Identifier: MIT */
/* mailfsctl: the table of verbs. Data goes to stdout, everything else to stderr. */
#include "cli/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/exit_code.h"
#include "cli/mailfs.h"

const struct ctl_verb ctl_verbs[] = {
	{ "add", ctl_add, "[OPTIONS] ADDRESS", "find the server of a mail address, write mailfs.conf",
		"--name=NAME --source=URL --password-command=COMMAND --token-command=COMMAND "
		"--save-password --yes" },
	{ "status", ctl_status, "[MOUNTPOINT] [--json]", "state of the mounts" },
	{ "check", ctl_check, "[OPTIONS] [--json] SOURCE", "connect, log in, tell what the server can do" },
	{ "list", ctl_list, "[-F FILE]", "accounts of the configuration file" },
	{ "refresh", ctl_refresh, "MOUNTPOINT [FOLDER]", "look for new mail now" },
	{ "offline", ctl_line, "MOUNTPOINT", "no connections until 'online'" },
	{ "online", ctl_line, "MOUNTPOINT", "connect now, and stay connected" },
	{ "prefetch", ctl_prefetch, "MOUNTPOINT [FOLDER...]", "everything into the cache" },
	{ "cache", ctl_cache, "[--clear | --json] ACCOUNT", "what is in the cache, by folder; remove it" },
	{ "pending", ctl_pending, "MOUNTPOINT [--retry [ID] | --drop ID]",
		"what is not on the server yet" },
	{ "umount", ctl_umount, "MOUNTPOINT", "unmount, and wait for the end of the daemon" },
};
const size_t ctl_verb_count = G_N_ELEMENTS(ctl_verbs);

int ctl_fail(int code, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	fprintf(stderr, "mailfsctl: %s\n", text);
	return code;
}

int ctl_fail_error(const GError *error)
{
	return ctl_fail(exit_code(error, false), "%s", error->message);
}

static const struct ctl_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ctl_verb_count; i++) {
		if (strcmp(ctl_verbs[i].name, name) == 0)
			return &ctl_verbs[i];
	}
	return NULL;
}

int ctl_usage(const char *verb)
{
	return ctl_fail(EX_USAGE, "usage: mailfsctl %s %s", verb, find_verb(verb)->arguments);
}

/* In column 36, too, as many on a line as there is room for. */
static void print_options(const char *options)
{
	g_auto(GStrv) words = g_strsplit(options, " ", -1);
	size_t column = 0;

	for (char **word = words; *word; word++) {
		if (column > 0 && column + strlen(*word) > 99) {
			putchar('\n');
			column = 0;
		}
		column += (size_t)printf("%*s%s", column == 0 ? 36 : 1, "", *word);
	}
	putchar('\n');
}

/* The help of a verb begins in column 36, on a line of its own if the words reach that far. */
static void print_help(void)
{
	fputs("usage: mailfsctl VERB [ARGUMENTS]\n\n", stdout);
	for (size_t i = 0; i < ctl_verb_count; i++) {
		const struct ctl_verb *verb = &ctl_verbs[i];
		g_autofree char *left = g_strdup_printf("%s %s", verb->name, verb->arguments);

		if (strlen(left) > 31)
			printf("    %s\n%36s%s\n", left, "", verb->help);
		else
			printf("    %-31s %s\n", left, verb->help);
		if (verb->options)
			print_options(verb->options);
	}
	fputs("\n"
	      "    -h, --help                      this text\n"
	      "    -V, --version                   the version\n"
	      "\n"
	      "OPTIONS are those of mailfs(1). mailfsctl(1) says more.\n",
		stdout);
}

static int fail_bare(void)
{
	fputs("mailfsctl: a verb is missing:", stderr);
	for (size_t i = 0; i < ctl_verb_count; i++)
		fprintf(stderr, "%s %s", i == 0 ? "" : i + 1 < ctl_verb_count ? "," : " or",
			ctl_verbs[i].name);
	fputs("\nmailfsctl: see 'mailfsctl --help' or mailfsctl(1)\n", stderr);
	return EX_USAGE;
}

static bool is_word(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int ctl_main(int argc, char **argv)
{
	const struct ctl_verb *verb;

	if (argc < 2)
		return fail_bare();
	if (is_word(argv[1], "-h", "--help")) {
		print_help();
		return 0;
	}
	if (is_word(argv[1], "-V", "--version")) {
		puts("mailfsctl " MAILFS_VERSION);
		return 0;
	}
	verb = find_verb(argv[1]);
	if (!verb)
		return ctl_fail(EX_USAGE, "unknown verb: %s (see 'mailfsctl --help')", argv[1]);
	return verb->fn(argc - 1, argv + 1);
}
