/* SPDX-License-Identifier: MIT */
#include "cli/options.h"

#include <string.h>

#include "cli/cmdline.h"
#include "cli/exit_code.h"
#include "mailfs/backend.h"

static struct options options;

static bool parse(const char *text)
{
	options_done(&options);
	return options_parse(&options, text, false, NULL);
}

/* The message of the refusal; g_free() it. */
static char *refusal(const char *text)
{
	g_autoptr(GError) error = NULL;

	options_done(&options);
	g_assert_false(options_parse(&options, text, false, &error));
	g_assert_error(error, CLI_ERROR, EX_USAGE);
	return g_strdup(error->message);
}

#define assert_refused(text, part)                                                                 \
	do {                                                                                       \
		g_autofree char *got = refusal(text);                                              \
		if (!strstr(got, part))                                                            \
			g_error("'%s' was refused with: %s", text, got);                           \
	} while (0)

static void defaults_are_those_of_the_manual(void)
{
	options_init(&options);
	g_assert_cmpuint(options.timeout, ==, 30);
	g_assert_cmpuint(options.poll, ==, OPTION_UNSET); /* the protocol's */
	g_assert_cmpuint(options.connections, ==, 3);
	g_assert_cmpuint(options.cache_size, ==, (uint64_t)2 << 30);
	g_assert_true(options.flag_bits);
	g_assert_false(options.is_read_only);
	g_assert_cmpuint(options.tls, ==, TLS_REQUIRED);
}

static void words_and_values_are_taken(void)
{
	g_assert_true(parse("ro,allow_other,name=uid,timeout=5,cache-size=10M,umask=027,flagbits=no"));
	g_assert_true(options.is_read_only);
	g_assert_true(options.allow_other);
	g_assert_cmpstr(options.name, ==, "uid");
	g_assert_cmpuint(options.timeout, ==, 5);
	g_assert_cmpuint(options.cache_size, ==, 10 << 20);
	g_assert_cmpuint(options.umask, ==, 027);
	g_assert_false(options.flag_bits);
}

static void auth_words_stand_for_the_methods_of_the_backend(void)
{
	g_assert_true(parse("auth=scram"));
	g_assert_cmpuint(options.auth, ==, MAILFS_AUTH_SCRAM);
	g_assert_true(parse("auth=plaintext"));
	g_assert_cmpuint(options.auth, ==, MAILFS_AUTH_PLAINTEXT);
	g_assert_true(parse("auth=oauth"));
	g_assert_cmpuint(options.auth, ==, MAILFS_AUTH_OAUTH);
	assert_refused("auth=none", "auth");
}

static void unknown_options_are_named(void)
{
	assert_refused("ro,nmae=uid", "unknown option: nmae");
	assert_refused("erase=trash", "unknown option: erase");
}

static void secrets_in_options_are_refused_and_not_repeated(void)
{
	g_autofree char *why = refusal("password=canary");

	g_assert_nonnull(strstr(why, "passfd"));
	g_assert_null(strstr(why, "canary"));
	assert_refused("pass=canary", "passfd");
}

static void keys_of_the_file_are_no_options(void)
{
	assert_refused("password-command=x", "configuration file");
	assert_refused("source=imaps://a@b", "configuration file");
}

static void generic_mount_words_mean_nothing(void)
{
	g_assert_true(parse("rw,noauto,user,_netdev,nofail,x-systemd.automount,dev,suid,nodev,nosuid,exec,"
			    "noexec,atime,noatime,relatime,comment=x,uhelper=udisks,defaults,ro"));
	g_assert_true(options.is_read_only);
	assert_refused("xfoo", "xfoo");
}

static void sloppy_ignores_what_is_unknown_but_not_what_is_wrong(void)
{
	options_done(&options);
	g_assert_true(options_parse(&options, "foo,bar=1,timeout=7", true, NULL));
	g_assert_cmpuint(options.timeout, ==, 7);
	g_assert_false(options_parse(&options, "timeout=x", true, NULL));
}

static void numbers_have_limits(void)
{
	assert_refused("timeout=0", "1 to 3600");
	assert_refused("timeout=-1", "timeout");
	assert_refused("timeout=5s", "timeout");
	assert_refused("connections=17", "1 to 16");
	assert_refused("uid=4294967295", "uid");
	assert_refused("umask=8", "umask");
	assert_refused("umask=1000", "umask");
	assert_refused("cache-size=many", "cache-size");
	g_assert_true(parse("poll=0,umask=0777,uid=4294967294"));
	g_assert_cmpuint(options.poll, ==, 0);
}

static void a_value_that_is_missing_is_told(void)
{
	assert_refused("timeout", "needs a value");
	assert_refused("name", "name=human|uid");
	assert_refused("name=", "name");
}

static void commas_in_values_are_escaped(void)
{
	g_assert_true(parse("exclude=a\\,b;c,user=x\\\\y"));
	g_assert_cmpstr(options.exclude[0], ==, "a,b");
	g_assert_cmpstr(options.exclude[1], ==, "c");
	g_assert_null(options.exclude[2]);
	g_assert_cmpstr(options.user, ==, "x\\y");
}

static void lists_are_split_and_trimmed(void)
{
	g_assert_true(parse("include= A/* ;;B ,disable=QRESYNC;CONDSTORE"));
	g_assert_cmpuint(g_strv_length(options.include), ==, 2);
	g_assert_cmpstr(options.include[0], ==, "A/*");
	g_assert_cmpstr(options.include[1], ==, "B");
	g_assert_cmpstr(options.disable[1], ==, "CONDSTORE");
}

static void the_last_of_two_counts(void)
{
	g_assert_true(parse("name=human,name=uid"));
	g_assert_cmpstr(options.name, ==, "uid");
}

static void dash_and_underscore_are_one(void)
{
	g_assert_true(parse("cache_size=1G,allow-other"));
	g_assert_cmpuint(options.cache_size, ==, 1 << 30);
	g_assert_true(options.allow_other);
}

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static void fingerprints_are_checked_and_made_plain(void)
{
	g_assert_true(parse("tls-fingerprint=sha256:" HEX64));
	g_assert_cmpstr(options.tls_fingerprint, ==,
		"sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
	g_assert_true(parse("tls-fingerprint=sha256:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:"
			    "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"));
	assert_refused("tls-fingerprint=" HEX64, "tls-fingerprint");
	assert_refused("tls-fingerprint=sha256:" HEX64 "00", "tls-fingerprint");
	assert_refused("tls-fingerprint=sha256:xyz", "tls-fingerprint");
}

static void files_become_absolute(void)
{
	g_autofree char *cwd = g_get_current_dir();
	g_autofree char *expected = g_build_filename(cwd, "ca.pem", NULL);

	g_assert_true(parse("tls-ca=ca.pem"));
	g_assert_cmpstr(options.tls_ca, ==, expected);
	g_assert_true(parse("tls-ca=/etc/../ca.pem"));
	g_assert_cmpstr(options.tls_ca, ==, "/ca.pem");
}

static void the_file_does_not_override_the_command_line(void)
{
	const struct option_info *timeout = option_find("timeout", OPTION_IN_CONFIG);

	g_assert_true(parse("timeout=5"));
	g_assert_true(options_set(&options, timeout, "9", OPTION_IN_CONFIG, "/", NULL));
	g_assert_cmpuint(options.timeout, ==, 5);
	g_assert_false(options_set(&options, timeout, "x", OPTION_IN_CONFIG, "/", NULL));
	options_done(&options);
	g_assert_true(options_set(&options, timeout, "9", OPTION_IN_CONFIG, "/", NULL));
	g_assert_cmpuint(options.timeout, ==, 9);
}

static void flags_of_the_file_can_be_no(void)
{
	const struct option_info *ro = option_find("ro", OPTION_IN_CONFIG);

	options_done(&options);
	g_assert_true(options_set(&options, ro, "yes", OPTION_IN_CONFIG, "/", NULL));
	g_assert_true(options.is_read_only);
	g_assert_true(options_set(&options, ro, "no", OPTION_IN_CONFIG, "/", NULL));
	g_assert_false(options.is_read_only);
	g_assert_false(options_set(&options, ro, "maybe", OPTION_IN_CONFIG, "/", NULL));
}

static void every_option_is_in_the_help(void)
{
	g_autofree char *help = cmdline_help();

	for (size_t i = 0; i < option_count; i++) {
		g_autofree char *line = g_strdup_printf("-o %s%s ", option_table[i].name,
			option_table[i].value ? option_table[i].value : "");

		g_assert_nonnull(option_table[i].help);
		g_assert_cmpint(strstr(help, line) != NULL, ==,
			(option_table[i].places & OPTION_IN_O) != 0);
	}
}

/* ---- command lines ----------------------------------------------------------------------------- */

static struct cmdline line;

static bool command(bool is_helper, GError **error, ...)
{
	char *argv[16] = { (char *)"mailfs" };
	int argc = 1;
	va_list args;

	cmdline_done(&line);
	line = (struct cmdline){ 0 };
	va_start(args, error);
	while ((argv[argc] = va_arg(args, char *)))
		argc++;
	va_end(args);
	return is_helper ? cmdline_parse_helper(&line, argc, argv, error)
			 : cmdline_parse(&line, argc, argv, false, error);
}

static void options_may_stand_anywhere(void)
{
	g_assert_true(command(false, NULL, "work", "-o", "ro,timeout=4", "/mnt", "-f", "-v", NULL));
	g_assert_cmpstr(line.source, ==, "work");
	g_assert_cmpstr(line.mountpoint, ==, "/mnt");
	g_assert_true(line.is_foreground);
	g_assert_cmpint(line.level, ==, LOG_INFO);
	g_assert_cmpuint(line.options.timeout, ==, 4);
}

static void debug_stays_in_the_foreground(void)
{
	g_assert_true(command(false, NULL, "-d", "work", "/mnt", NULL));
	g_assert_true(line.is_foreground);
	g_assert_true(line.options.debug);
	g_assert_cmpint(line.level, ==, LOG_WIRE);
}

static void long_options_and_config_are_known(void)
{
	g_assert_true(command(false, NULL, "--config", "x.conf", "--quiet", "a", "b", NULL));
	g_assert_cmpstr(line.config_path, ==, "x.conf");
	g_assert_cmpint(line.level, ==, LOG_ERROR);
	g_assert_true(command(false, NULL, "--help", NULL));
	g_assert_true(line.want_help);
	g_assert_true(command(false, NULL, "-V", NULL));
	g_assert_true(line.want_version);
}

static void wrong_command_lines_are_usage_errors(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(command(false, &error, "-x", "a", "b", NULL));
	g_assert_error(error, CLI_ERROR, EX_USAGE);
	g_assert_nonnull(strstr(error->message, "-x"));
	g_assert_false(command(false, NULL, "a", NULL));
	g_assert_false(command(false, NULL, "a", "b", "c", NULL));
	g_assert_false(command(false, NULL, "a", "b", "-o", NULL));
	g_assert_false(command(false, NULL, "--nothing", "a", "b", NULL));
	g_assert_false(command(false, NULL, NULL));
}

static void a_helper_takes_the_words_of_mount(void)
{
	g_assert_true(command(true, NULL, "work", "/mnt", "-s", "-n", "-v", "-o", "rw,user,_netdev,poll=9",
		NULL));
	g_assert_cmpstr(line.source, ==, "work");
	g_assert_cmpstr(line.mountpoint, ==, "/mnt");
	g_assert_cmpuint(line.options.poll, ==, 9);
	g_assert_false(line.is_foreground);
}

static void a_name_that_mount_made_a_path_of_is_a_name(void)
{
	g_assert_true(command(true, NULL, "/home", "/mnt", "-o", "rw", NULL));
	g_assert_cmpstr(line.source, ==, "home");
	g_assert_true(command(false, NULL, "/home", "/mnt", NULL));
	g_assert_cmpstr(line.source, ==, "home");
	g_assert_true(command(true, NULL, "imaps://a@h/b", "/mnt", NULL));
	g_assert_cmpstr(line.source, ==, "imaps://a@h/b");
}

static void a_helper_is_sloppy_wherever_s_stands(void)
{
	g_assert_true(command(true, NULL, "work", "/mnt", "-o", "foo", "-s", NULL));
	g_assert_false(command(true, NULL, "work", "/mnt", "-o", "foo", NULL));
}

static void f_of_a_helper_is_fake(void)
{
	g_assert_true(command(true, NULL, "work", "/mnt", "-f", "-t", "fuse.mailfs", NULL));
	g_assert_true(line.is_fake);
	g_assert_false(line.is_foreground);
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
	options_init(&options);
	g_test_add_func("/cli/options/defaults", defaults_are_those_of_the_manual);
	g_test_add_func("/cli/options/values", words_and_values_are_taken);
	g_test_add_func("/cli/options/auth", auth_words_stand_for_the_methods_of_the_backend);
	g_test_add_func("/cli/options/unknown", unknown_options_are_named);
	g_test_add_func("/cli/options/SEC-52 secrets", secrets_in_options_are_refused_and_not_repeated);
	g_test_add_func("/cli/options/file only", keys_of_the_file_are_no_options);
	g_test_add_func("/cli/options/generic", generic_mount_words_mean_nothing);
	g_test_add_func("/cli/options/sloppy", sloppy_ignores_what_is_unknown_but_not_what_is_wrong);
	g_test_add_func("/cli/options/limits", numbers_have_limits);
	g_test_add_func("/cli/options/missing value", a_value_that_is_missing_is_told);
	g_test_add_func("/cli/options/commas", commas_in_values_are_escaped);
	g_test_add_func("/cli/options/lists", lists_are_split_and_trimmed);
	g_test_add_func("/cli/options/last counts", the_last_of_two_counts);
	g_test_add_func("/cli/options/dashes", dash_and_underscore_are_one);
	g_test_add_func("/cli/options/fingerprint", fingerprints_are_checked_and_made_plain);
	g_test_add_func("/cli/options/files", files_become_absolute);
	g_test_add_func("/cli/options/precedence", the_file_does_not_override_the_command_line);
	g_test_add_func("/cli/options/flags in the file", flags_of_the_file_can_be_no);
	g_test_add_func("/cli/options/help", every_option_is_in_the_help);
	g_test_add_func("/cli/cmdline/anywhere", options_may_stand_anywhere);
	g_test_add_func("/cli/cmdline/debug", debug_stays_in_the_foreground);
	g_test_add_func("/cli/cmdline/long", long_options_and_config_are_known);
	g_test_add_func("/cli/cmdline/wrong", wrong_command_lines_are_usage_errors);
	g_test_add_func("/cli/cmdline/helper", a_helper_takes_the_words_of_mount);
	g_test_add_func("/cli/cmdline/helper path", a_name_that_mount_made_a_path_of_is_a_name);
	g_test_add_func("/cli/cmdline/helper sloppy", a_helper_is_sloppy_wherever_s_stands);
	g_test_add_func("/cli/cmdline/helper fake", f_of_a_helper_is_fake);
	code = g_test_run();
	options_done(&options);
	cmdline_done(&line);
	return code;
}
