/* SPDX-License-Identifier: MIT */
/* getopt_long(3) for the letters, options.c for what stands behind -o. */
#include "cli/cmdline.h"

#include <getopt.h>

#include "cli/exit_code.h"

#define USAGE                                                                                      \
	"usage: mailfs [options] SOURCE MOUNTPOINT\n"                                              \
	"       mailfs [options] --all MOUNTPOINT\n"                                               \
	"\n"                                                                                       \
	"Mounts a mailbox: folders are directories, messages are files. SOURCE is a URL,\n"        \
	"imaps://USER@HOST[:PORT][/FOLDER] (imap:// for STARTTLS), or the name of an account in\n" \
	"the configuration file.\n"                                                                \
	"\n"                                                                                       \
	"        --all                       all accounts of the configuration, one directory each\n" \
	"    -f, --foreground                do not go to the background\n"                        \
	"    -d, --debug                     as -f, and log everything, the wire and FUSE too\n"   \
	"    -v, --verbose                   log more; twice: more still\n"                        \
	"    -q, --quiet                     log errors only\n"                                    \
	"    -F, --config FILE               read FILE, not ~/.config/mailfs/mailfs.conf\n"        \
	"    -o OPTION[,OPTION...]           see below\n"                                          \
	"    -h, --help                      this text\n"                                          \
	"    -V, --version                   the version\n"                                        \
	"\n"

#define LETTER_ALL 256 /* there is no letter */

static const struct option long_options[] = {
	{ "all", no_argument, NULL, LETTER_ALL },
	{ "foreground", no_argument, NULL, 'f' },
	{ "debug", no_argument, NULL, 'd' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "config", required_argument, NULL, 'F' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static void init(struct cmdline *line)
{
	*line = (struct cmdline){ .level = LOG_WARN };
	options_init(&line->options);
	optind = 0; /* glibc: start afresh */
	opterr = 0;
}

static bool refuse(GError **error, const char *format, const char *what)
{
	g_autofree char *text = g_strdup_printf("%s %s", format, what);

	g_set_error_literal(error, CLI_ERROR, EX_USAGE, text);
	return false;
}

static bool take_letter(struct cmdline *line, int letter, char **argv, GError **error)
{
	char unknown[] = { '-', (char)optopt, '\0' };

	switch (letter) {
	case LETTER_ALL:
		line->is_all = true;
		return true;
	case 'f':
		line->is_foreground = true;
		return true;
	case 'd':
		line->options.debug = true;
		return true;
	case 'v':
		if (line->level < LOG_WIRE)
			line->level++;
		return true;
	case 'q':
		line->level = LOG_ERROR;
		return true;
	case 'F':
		g_free(line->config_path);
		line->config_path = g_strdup(optarg);
		return true;
	case 'o':
		return options_parse(&line->options, optarg, false, error);
	case 'h':
		line->want_help = true;
		return true;
	case 'V':
		line->want_version = true;
		return true;
	case ':':
		return refuse(error, "a value is missing behind", argv[optind - 1]);
	default:
		return refuse(error, "unknown option:", optopt != 0 ? unknown : argv[optind - 1]);
	}
}

/*
 * mount(8) makes a path of an account's name if there happens to be such a file where it was started:
 * "home" becomes "/home" at boot. No account has a name with a slash in it.
 */
static char *undo_path(const char *source)
{
	return *source == '/' ? g_path_get_basename(source) : g_strdup(source);
}

static bool take_names(struct cmdline *line, int argc, char **argv, bool is_check, GError **error)
{
	int wanted = is_check ? 1 : 2;

	if (argc - optind > wanted)
		return refuse(error, "one word too many:", argv[optind + wanted]);
	if (argc - optind < 1)
		return refuse(error, "SOURCE is missing:", "a URL or the name of an account");
	if (argc - optind < wanted)
		return refuse(error, "MOUNTPOINT is missing:", "a directory");
	line->source = is_check ? g_strdup(argv[optind]) : undo_path(argv[optind]);
	line->mountpoint = is_check ? NULL : g_strdup(argv[optind + 1]);
	return true;
}

/* Behind --all. */
static bool take_mountpoint(struct cmdline *line, int argc, char **argv, bool is_check, GError **error)
{
	if (is_check)
		return refuse(error, "unknown option:", "--all");
	if (argc - optind > 1)
		return refuse(error, "one word too many (--all takes no SOURCE):", argv[optind]);
	if (argc - optind < 1)
		return refuse(error, "MOUNTPOINT is missing:", "a directory");
	if (line->options.passfd != OPTION_UNSET)
		return refuse(error, "with --all there is not one password:", "passfd");
	line->mountpoint = g_strdup(argv[optind]);
	return true;
}

static void finish(struct cmdline *line)
{
	if (!line->options.debug)
		return;
	line->level = LOG_WIRE;
	line->is_foreground = true;
}

bool cmdline_parse(struct cmdline *line, int argc, char **argv, bool is_check, GError **error)
{
	int letter;

	init(line);
	while ((letter = getopt_long(argc, argv, ":fdvqF:o:hV", long_options, NULL)) != -1) {
		if (!take_letter(line, letter, argv, error))
			return false;
		if (line->want_help || line->want_version)
			return true;
	}
	finish(line);
	if (line->is_all)
		return take_mountpoint(line, argc, argv, is_check, error);
	return take_names(line, argc, argv, is_check, error);
}

/* -s (sloppy) may stand behind -o, so it is looked for first. */
static bool is_sloppy(int argc, char **argv)
{
	bool found = false;
	int letter;

	while ((letter = getopt(argc, argv, ":sfnvt:N:o:")) != -1)
		found = found || letter == 's';
	optind = 0;
	return found;
}

bool cmdline_parse_helper(struct cmdline *line, int argc, char **argv, GError **error)
{
	bool sloppy;
	int letter;

	init(line);
	sloppy = is_sloppy(argc, argv);
	while ((letter = getopt(argc, argv, ":sfnvt:N:o:")) != -1) {
		if (letter == 'f')
			line->is_fake = true;
		else if (letter == 'v')
			line->level = LOG_INFO;
		else if (letter == 'o' && !options_parse(&line->options, optarg, sloppy, error))
			return false;
		else if (letter == '?' || letter == ':')
			return take_letter(line, letter, argv, error);
	}
	finish(line);
	return take_names(line, argc, argv, false, error);
}

void cmdline_done(struct cmdline *line)
{
	options_done(&line->options);
	g_free(line->config_path);
	g_free(line->source);
	g_free(line->mountpoint);
}

/* The -o part. */
static char *options_help(void)
{
	GString *help = g_string_new(NULL);

	for (size_t i = 0; i < option_count; i++) {
		const struct option_info *info = &option_table[i];
		g_autofree char *left = g_strconcat(info->name, info->value, NULL);

		if ((info->places & OPTION_IN_O) != 0)
			g_string_append_printf(help, "    -o %-27s %s\n", left, info->help);
	}
	return g_string_free(help, FALSE);
}

char *cmdline_help(void)
{
	g_autofree char *options = options_help();

	return g_strconcat(USAGE, options, "\nmailfs(1) and mailfs.conf(5) say more.\n", NULL);
}
