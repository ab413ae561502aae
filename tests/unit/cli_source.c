/* SPDX-License-Identifier: MIT */
#include "cli/source.h"

#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "cli/exit_code.h"
#include "cli/mountpoint.h"

static struct source parse(const char *url)
{
	struct source source = { 0 };
	g_autoptr(GError) error = NULL;

	source_parse(url, &source, &error);
	g_assert_no_error(error);
	return source;
}

static void assert_refused(const char *url, const char *part)
{
	struct source source = { 0 };
	g_autoptr(GError) error = NULL;

	g_assert_false(source_parse(url, &source, &error));
	g_assert_error(error, CLI_ERROR, EX_USAGE);
	g_assert_null(source.host);
	if (!strstr(error->message, part))
		g_error("%s was refused with: %s", url, error->message);
}

static void the_scheme_says_port_and_encryption(void)
{
	static const struct {
		const char *url;
		bool is_imap, is_implicit;
		uint16_t port;
	} rows[] = {
		{ "imaps://a@h", true, true, 993 },
		{ "imap://a@h", true, false, 143 },
		{ "pop3s://a@h", false, true, 995 },
		{ "pop3://a@h", false, false, 110 },
		{ "IMAPS://a@h:1993", true, true, 1993 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct source source = parse(rows[i].url);

		g_assert_cmpint(source.is_imap, ==, rows[i].is_imap);
		g_assert_cmpint(source.is_implicit, ==, rows[i].is_implicit);
		g_assert_cmpuint(source.port, ==, rows[i].port);
		source_done(&source);
	}
}

static void parts_are_decoded(void)
{
	struct source source = parse("imaps://me%40example.org@IMAP.Example.org/Archive/B%C3%BCcher%20%231/");

	g_assert_cmpstr(source.user, ==, "me@example.org");
	g_assert_cmpstr(source.host, ==, "imap.example.org");
	g_assert_cmpstr(source.folder, ==, "Archive/Bücher #1");
	source_done(&source);
}

static void the_user_may_come_later(void)
{
	struct source source = parse("imaps://h");

	g_assert_null(source.user);
	g_assert_cmpstr(source.folder, ==, "");
	source_done(&source);
}

static void addresses_of_ipv6_stand_in_brackets(void)
{
	struct source source = parse("imap://a@[::1]:1143/x");

	g_assert_cmpstr(source.host, ==, "::1");
	g_assert_cmpuint(source.port, ==, 1143);
	source_done(&source);
	source = parse("imaps://a@[2001:DB8::1]");
	g_assert_cmpstr(source.host, ==, "2001:db8::1");
	g_assert_cmpuint(source.port, ==, 993);
	source_done(&source);
	assert_refused("imaps://a@[::1", "brackets");
	assert_refused("imaps://a@[::1]x", "brackets");
	assert_refused("imaps://a@[host]", "brackets");
	assert_refused("imaps://a@[::zz]", "host name");
}

static void passwords_are_refused_and_not_repeated(void)
{
	struct source source;
	g_autoptr(GError) error = NULL;

	assert_refused("imaps://me:canary@h", "passfd");
	assert_refused("imaps://me@x:canary@h", "password");
	g_assert_false(source_parse("imaps://me:canary@h", &source, &error));
	g_assert_null(strstr(error->message, "canary"));
}

static void a_colon_in_a_user_name_is_escaped(void)
{
	struct source source = parse("imaps://a%3Ab@h");

	g_assert_cmpstr(source.user, ==, "a:b");
	source_done(&source);
}

static void hosts_that_look_like_options_are_refused(void)
{
	assert_refused("imaps://a@-oProxyCommand=x", "host name");
	assert_refused("imaps://-h", "host name");
	assert_refused("imaps://a@", "host name");
	assert_refused("imaps://a@h%20x", "host name");
	assert_refused("imaps://a@h\tx", "host name");
	assert_refused("imaps://a@$(x)", "host name");
}

static void ports_are_numbers(void)
{
	assert_refused("imaps://a@h:", "port");
	assert_refused("imaps://a@h:0", "port");
	assert_refused("imaps://a@h:65536", "port");
	assert_refused("imaps://a@h:99x", "port");
}

static void bad_names_are_refused(void)
{
	assert_refused("imaps://@h", "user name");
	assert_refused("imaps://a%00b@h", "user name");
	assert_refused("imaps://a%0Ab@h", "user name");
	assert_refused("imaps://a%zz@h", "user name");
	assert_refused("imaps://a%FF@h", "user name");
	assert_refused("imaps://a@b@h", "%40");
	assert_refused("imaps://a@h/x%00", "folder");
	assert_refused("imaps://a@h/x?y", "folder");
}

static void other_schemes_are_refused(void)
{
	assert_refused("http://a@h", "imaps://");
	assert_refused("a@h", "imaps://");
	assert_refused("", "imaps://");
}

static void account_names_are_told_from_urls(void)
{
	g_assert_true(source_is_url("imaps://x"));
	g_assert_false(source_is_url("me@example.org"));
	g_assert_true(source_is_account_name("me@example.org"));
	g_assert_true(source_is_account_name("work_2+x-y"));
	g_assert_false(source_is_account_name(""));
	g_assert_false(source_is_account_name("."));
	g_assert_false(source_is_account_name(".x"));
	g_assert_false(source_is_account_name("-x"));
	g_assert_false(source_is_account_name("a/b"));
	g_assert_false(source_is_account_name("a b"));
	g_assert_false(source_is_account_name("ü"));
}

static void assert_identity(const char *url, const char *expected)
{
	struct source source = parse(url);
	g_autofree char *identity = source_identity(&source);

	g_assert_cmpstr(identity, ==, expected);
	source_done(&source);
}

static void identity_is_the_account_not_the_way_to_it(void)
{
	assert_identity("imaps://a@h", "imap://a@h");
	assert_identity("imap://a@H/INBOX", "imap://a@h");
	assert_identity("imaps://a@h:993", "imap://a@h");
	assert_identity("imaps://a@h:1993", "imap://a@h:1993");
	assert_identity("imaps://a%40b@[::1]:1", "imap://a%40b@[::1]:1");
	assert_identity("pop3s://a@h", "pop3://a@h");
}

static void assert_directory(const char *url, const char *expected)
{
	struct source source = parse(url);
	g_autofree char *directory = source_directory(&source);

	g_assert_cmpstr(directory, ==, expected);
	source_done(&source);
}

static void directories_are_one_safe_component(void)
{
	assert_directory("imaps://a@h", "a@h");
	assert_directory("imap://a@h:143", "a@h");
	assert_directory("imaps://a@h:1993", "a@h_1993");
	assert_directory("imaps://..%2F..%2Fetc@h", "%2E.%2F..%2Fetc@h");
	assert_directory("imaps://%C3%BC%25@[::1]", "%C3%BC%25@%3A%3A1");
}

static void long_directories_are_cut_and_stay_different(void)
{
	g_autofree char *a = g_strnfill(300, 'a');
	struct source one = { .is_imap = true, .is_implicit = true, .port = 993 };
	struct source other = one;
	g_autofree char *first = NULL;
	g_autofree char *second = NULL;

	one.user = g_strconcat(a, "1", NULL);
	other.user = g_strconcat(a, "2", NULL);
	one.host = g_strdup("h");
	other.host = g_strdup("h");
	first = source_directory(&one);
	second = source_directory(&other);
	g_assert_cmpuint(strlen(first), ==, 200);
	g_assert_cmpstr(first, !=, second);
	source_done(&one);
	source_done(&other);
}

static void fsname_holds_nothing_that_splits_options(void)
{
	struct source source = parse("imaps://a%2Cb%5Cc%20d@h");
	g_autofree char *name = source_fsname(&source);

	g_assert_cmpstr(name, ==, "a_b_c_d@h:");
	source_done(&source);
}

/* ---- the mount table --------------------------------------------------------------------------- */

static void mountinfo_is_read(void)
{
	g_autoptr(GPtrArray) table = mount_table_parse(
		"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		"90 22 0:50 / /home/a\\040b rw,nosuid shared:1 master:2 - fuse.mailfs a@h: rw,user_id=7\n"
		"91 22 0:51 / /x rw - autofs systemd-1 rw\n"
		"92 91 0:52 / /x rw - fuse.mailfs b@h: ro,user_id=8\n"
		"broken line\n");
	const struct mount_entry *entry;

	g_assert_cmpuint(table->len, ==, 4);
	entry = mount_table_find(table, "/home/a b");
	g_assert_nonnull(entry);
	g_assert_cmpstr(entry->type, ==, MOUNT_TYPE);
	g_assert_cmpstr(entry->source, ==, "a@h:");
	g_assert_cmpstr(entry->options, ==, "rw,user_id=7");
	g_assert_cmpstr(mount_table_find(table, "/x")->type, ==, MOUNT_TYPE);
	g_assert_null(mount_table_find(table, "/home"));
}

static void mounts_of_other_users_are_not_ours(void)
{
	static const char *const lines[] = {
		"90 22 0:50 / /x rw - fuse.mailfs a@h: rw,user_id=%u,group_id=0\n",
		"90 22 0:50 / /x rw - fuse.mailfs a@h: rw,user_id=%u1,group_id=0\n",
		"90 22 0:50 / /x rw - fuse.sshfs a@h: rw,user_id=%u,group_id=0\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_auto(GStrv) parts = g_strsplit(lines[i], "%u", 2);
		g_autofree char *line = g_strdup_printf("%s%u%s", parts[0], (unsigned)getuid(), parts[1]);
		g_autoptr(GPtrArray) table = mount_table_parse(line);

		g_assert_cmpint(mount_entry_is_ours(mount_table_find(table, "/x")), ==, i == 0);
	}
}

static void a_cache_inside_the_mount_point_is_seen(void)
{
	g_autofree char *dir = g_dir_make_tmp("mailfs-XXXXXX", NULL);
	g_autofree char *real = mountpoint_canonical(dir);
	g_autofree char *below = g_build_filename(dir, "not", "there", NULL);
	g_autofree char *around = g_build_filename(dir, "..", "there", NULL);
	g_autofree char *longer = g_strconcat(dir, "x/y", NULL);
	g_autofree char *missing = g_build_filename(real, "mnt", NULL);
	g_autofree char *in_missing = g_build_filename(dir, "mnt", "cache", NULL);

	g_assert_true(mountpoint_holds(real, dir));
	g_assert_true(mountpoint_holds(real, below));
	g_assert_false(mountpoint_holds(real, around));
	g_assert_false(mountpoint_holds(real, longer));
	g_assert_true(mountpoint_holds(missing, in_missing));
	g_assert_false(mountpoint_holds(missing, below));
	g_rmdir(dir);
}

static void assert_bad_mountpoint(const char *path, const char *part)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(mountpoint_prepare(path, false, &error));
	g_assert_error(error, CLI_ERROR, EX_NOINPUT);
	g_assert_nonnull(strstr(error->message, part));
}

static void mount_points_are_empty_directories(void)
{
	g_autofree char *dir = g_dir_make_tmp("mailfs-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(dir, "file", NULL);

	g_assert_true(mountpoint_prepare(dir, false, NULL));
	assert_bad_mountpoint(file, "No such file");
	g_assert_true(g_file_set_contents(file, "x", 1, NULL));
	assert_bad_mountpoint(file, "not a directory");
	assert_bad_mountpoint(dir, "nonempty");
	g_assert_true(mountpoint_prepare(dir, true, NULL));
	g_unlink(file);
	g_rmdir(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cli/source/scheme", the_scheme_says_port_and_encryption);
	g_test_add_func("/cli/source/decoded", parts_are_decoded);
	g_test_add_func("/cli/source/no user", the_user_may_come_later);
	g_test_add_func("/cli/source/ipv6", addresses_of_ipv6_stand_in_brackets);
	g_test_add_func("/cli/source/SEC-52 password", passwords_are_refused_and_not_repeated);
	g_test_add_func("/cli/source/colon", a_colon_in_a_user_name_is_escaped);
	g_test_add_func("/cli/source/SEC-38 host", hosts_that_look_like_options_are_refused);
	g_test_add_func("/cli/source/port", ports_are_numbers);
	g_test_add_func("/cli/source/bad names", bad_names_are_refused);
	g_test_add_func("/cli/source/other schemes", other_schemes_are_refused);
	g_test_add_func("/cli/source/account names", account_names_are_told_from_urls);
	g_test_add_func("/cli/source/identity", identity_is_the_account_not_the_way_to_it);
	g_test_add_func("/cli/source/directory", directories_are_one_safe_component);
	g_test_add_func("/cli/source/long directory", long_directories_are_cut_and_stay_different);
	g_test_add_func("/cli/source/SEC-49 fsname", fsname_holds_nothing_that_splits_options);
	g_test_add_func("/cli/mountpoint/mountinfo", mountinfo_is_read);
	g_test_add_func("/cli/mountpoint/others", mounts_of_other_users_are_not_ours);
	g_test_add_func("/cli/mountpoint/SEC-55 inside", a_cache_inside_the_mount_point_is_seen);
	g_test_add_func("/cli/mountpoint/directory", mount_points_are_empty_directories);
	return g_test_run();
}
