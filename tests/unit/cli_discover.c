/* SPDX-License-Identifier: MIT */
#include "cli/discover.h"

#include <string.h>

#define SERVER(type, host, port, socket, user)                                                     \
	"<incomingServer type=\"" type "\"><hostname>" host "</hostname><port>" port "</port>"      \
	"<socketType>" socket "</socketType><username>" user "</username></incomingServer>"
#define FILE_OF(servers)                                                                           \
	"<?xml version=\"1.0\"?><clientConfig version=\"1.1\"><emailProvider id=\"x\">" servers     \
	"<outgoingServer type=\"smtp\"><hostname>smtp.x</hostname></outgoingServer>"               \
	"</emailProvider></clientConfig>"

static char *servers_of(const char *text)
{
	g_autoptr(GPtrArray) found = discoveries_new();
	g_autoptr(GError) error = NULL;
	GString *out = g_string_new(NULL);

	if (!autoconfig_parse(text, "me@example.org", found, &error))
		g_assert_nonnull(error);
	for (guint i = 0; i < found->len; i++) {
		const struct discovery *one = g_ptr_array_index(found, i);

		g_string_append_printf(out, "%s %s:%u %s|", one->is_implicit ? "imaps" : "imap", one->host,
			one->port, one->user ? one->user : "-");
	}
	return g_string_free(out, FALSE);
}

static void assert_servers(const char *text, const char *expected)
{
	g_autofree char *servers = servers_of(text);

	g_assert_cmpstr(servers, ==, expected);
}

static void imap_servers_of_the_file_are_found_in_order(void)
{
	assert_servers(FILE_OF(SERVER("pop3", "a", "995", "SSL", "u") SERVER("imap", "b.x", "993", "SSL",
			       "%EMAILADDRESS%") SERVER("imap", "c.x", "143", "STARTTLS", "%EMAILLOCALPART%")),
		"imaps b.x:993 me@example.org|imap c.x:143 me|");
	assert_servers(FILE_OF(SERVER("imap", "mail.%EMAILDOMAIN%", "993", "SSL", "u &amp; v")),
		"imaps mail.example.org:993 u & v|");
}

static void servers_without_encryption_are_left_out(void)
{
	assert_servers(FILE_OF(SERVER("imap", "b", "143", "plain", "u")), "");
	assert_servers(FILE_OF(SERVER("imap", "b", "143", "", "u")), "");
}

static void broken_servers_are_left_out(void)
{
	assert_servers(FILE_OF(SERVER("imap", "", "993", "SSL", "u")), "");
	assert_servers(FILE_OF(SERVER("imap", "b", "0", "SSL", "u")), "");
	assert_servers(FILE_OF(SERVER("imap", "b", "99999", "SSL", "u")), "");
	assert_servers(FILE_OF("<incomingServer type=\"imap\"/>"), "");
}

static void what_is_no_configuration_is_refused(void)
{
	assert_servers("", "");
	assert_servers("<html></html>", "");
	assert_servers("<clientConfig>", "");
	assert_servers("<clientConfig/>", "");
}

static void every_cut_of_a_file_is_survived(void)
{
	static const char text[] = FILE_OF(SERVER("imap", "b.x", "993", "SSL", "%EMAILADDRESS%"));

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		g_autofree char *cut = g_strndup(text, len);
		g_autofree char *servers = servers_of(cut);

		/* all of a server or nothing of it */
		g_assert_true(!*servers || strcmp(servers, "imaps b.x:993 me@example.org|") == 0);
	}
}

static void the_number_of_servers_is_bounded(void)
{
	g_autoptr(GPtrArray) found = discoveries_new();
	GString *text = g_string_new("<clientConfig>");

	for (unsigned i = 0; i < 100; i++)
		g_string_append(text, SERVER("imap", "b", "993", "SSL", "u"));
	g_string_append(text, "</clientConfig>");
	g_assert_true(autoconfig_parse(text->str, "a@b.c", found, NULL));
	g_assert_cmpuint(found->len, ==, 16);
	g_string_free(text, TRUE);
}

static void large_providers_are_known(void)
{
	static const char *const known[][2] = { { "gmail.com", "imap.gmail.com" },
		{ "aspmx.l.google.com", "imap.gmail.com" }, { "gmx.de", "imap.gmx.net" },
		{ "posteo.de", "posteo.de" } };

	for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
		g_autoptr(GPtrArray) found = discoveries_new();

		g_assert_true(provider_find(known[i][0], found));
		g_assert_cmpstr(((struct discovery *)g_ptr_array_index(found, 0))->host, ==, known[i][1]);
	}
}

static void names_that_only_end_alike_are_not_taken(void)
{
	static const char *const unknown[] = { "notgmail.com", "gmail.com.evil.org", "google.com.x", "mail.gmx.de",
		"xgoogle.com", "" };
	g_autoptr(GPtrArray) found = discoveries_new();

	for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
		g_assert_false(provider_find(unknown[i], found));
	g_assert_cmpuint(found->len, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cli/autoconfig/servers", imap_servers_of_the_file_are_found_in_order);
	g_test_add_func("/cli/autoconfig/clear text", servers_without_encryption_are_left_out);
	g_test_add_func("/cli/autoconfig/broken", broken_servers_are_left_out);
	g_test_add_func("/cli/autoconfig/other files", what_is_no_configuration_is_refused);
	g_test_add_func("/cli/autoconfig/cut", every_cut_of_a_file_is_survived);
	g_test_add_func("/cli/autoconfig/limit", the_number_of_servers_is_bounded);
	g_test_add_func("/cli/providers/known", large_providers_are_known);
	g_test_add_func("/cli/providers/similar", names_that_only_end_alike_are_not_taken);
	return g_test_run();
}
