/* SPDX-License-Identifier: MIT */
/* What may reach the user's terminal. */
#include "base/log.h"
#include "base/locked.h"

#include <string.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

static void add_secret(const char *text)
{
	const char *secret = locked_new(text);

	log_secret_add(secret);
	locked_unref(secret);
}

static void assert_safe(const char *text, const char *want)
{
	g_autofree char *safe = log_safe(text, -1);

	g_assert_cmpstr(safe, ==, want);
}

static void safe_text_stays(void)
{
	assert_safe("", "");
	assert_safe("NO [ALERT] Grüße, 日本語 🐄", "NO [ALERT] Grüße, 日本語 🐄");
	assert_safe("100%s %n", "100%s %n");
}

static void controls_are_replaced(void)
{
	assert_safe("a\x1b[31mb\r\nc\td\x7f", "a?[31mb??c?d?");
	assert_safe("\xc2\x9b" "31m", "??31m"); /* CSI as a C1 control */
	assert_safe("a\xe2\x80\xa8" "b", "a???b");
}

static void bidi_marks_are_replaced(void)
{
	assert_safe("\xe2\x80\xae" "gpj.exe", "???gpj.exe");
	assert_safe("\xe2\x81\xa6x\xe2\x81\xa9", "???x???");
	assert_safe("\xe2\x80\x8f\xe2\x80\x8e\xd8\x9c", "????????");
}

static void invalid_utf8_is_replaced(void)
{
	assert_safe("a\xff" "b\xc3", "a\xef\xbf\xbd" "b\xef\xbf\xbd");
}

static void nul_inside_is_replaced_and_len_obeyed(void)
{
	g_autofree char *safe = log_safe("a\0bcd", 3);
	g_autofree char *empty = log_safe("abc", 0);

	g_assert_true(g_utf8_validate(safe, -1, NULL));
	g_assert_true(g_str_has_prefix(safe, "a") && g_str_has_suffix(safe, "b"));
	g_assert_cmpstr(empty, ==, "");
}

static void is_cut_at_one_kilobyte(void)
{
	g_autofree char *ascii = g_strnfill(5000, 'a');
	g_autofree char *junk = g_strnfill(5000, '\xff');
	g_autofree char *safe_ascii = log_safe(ascii, -1);
	g_autofree char *safe_junk = log_safe(junk, -1);

	g_assert_cmpuint(strlen(safe_ascii), ==, 1024);
	g_assert_cmpuint(strlen(safe_junk), <=, 1024);
	g_assert_cmpuint(strlen(safe_junk), >, 1000);
	g_assert_true(g_utf8_validate(safe_junk, -1, NULL));
}

static void levels_are_ordered(void)
{
	log_set_level(LOG_INFO);
	g_assert_cmpint(log_get_level(), ==, LOG_INFO);
	g_assert_true(log_is_on(LOG_ERROR) && log_is_on(LOG_INFO));
	g_assert_false(log_is_on(LOG_DEBUG) || log_is_on(LOG_WIRE));
	log_set_level(LOG_WARN);
}

static void writes_only_what_is_on(void)
{
	if (g_test_subprocess()) {
		log_warn("net", "seen %d", 1);
		log_info("net", "hidden");
		log_set_level(LOG_DEBUG);
		log_debug("net", "seen too");
		log_write(LOG_WIRE, "net", "hidden");
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr("*mailfs: net: seen 1\n*mailfs: net: seen too\n*");
	g_test_trap_assert_stderr_unmatched("*hidden*");
}

static void secrets_are_masked_everywhere(void)
{
	if (g_test_subprocess()) {
		add_secret("hunter2");
		log_warn("net", "LOGIN ann hunter2 and hunter2hunter2, not hunter3");
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr_unmatched("*hunter2*");
	g_test_trap_assert_stderr("*LOGIN ann ******* and **************, not hunter3*");
}

static void secrets_may_overlap(void)
{
	if (g_test_subprocess()) {
		add_secret("abab");
		add_secret("ababXY");
		log_warn("net", "<abababXY>");
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr_unmatched("*XY*");
	g_test_trap_assert_stderr_unmatched("*ab*");
}

static void a_secret_of_stars_ends(void)
{
	if (g_test_subprocess()) {
		add_secret("****");
		log_warn("net", "x ****** y");
		return;
	}
	g_test_trap_subprocess(NULL, 10 * G_USEC_PER_SEC, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr("*x ?????? y*");
}

static void short_secrets_and_forgotten_ones_are_not_masked(void)
{
	if (g_test_subprocess()) {
		add_secret("abc");
		log_warn("net", "first abc");
		add_secret("wxyz");
		log_secrets_clear();
		log_warn("net", "second wxyz");
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr("*first abc*second wxyz*");
}

#define ADD(name, fn) g_test_add_func("/base/log/" name, fn)

static void safe_text_shows_no_secret_not_even_half_of_one(void)
{
	g_autofree char *lead = g_strnfill(1020, 'x');
	g_autofree char *text = g_strconcat(lead, "canary-4711", NULL);
	g_autofree char *safe = NULL;
	g_autofree char *inside = NULL;

	add_secret("canary-4711");
	safe = log_safe(text, -1);
	inside = log_safe("alert: canary-4711!", -1);
	g_assert_null(strstr(safe, "cana"));
	g_assert_null(strstr(inside, "canary"));
	g_assert_nonnull(strstr(inside, "alert: "));
	log_secrets_clear();
}

static void the_wire_has_a_file_of_its_own_with_secrets_masked(void)
{
	g_autofree char *path = NULL;
	g_autofree char *text = NULL;
	int fd = g_file_open_tmp("mailfs-XXXXXX", &path, NULL);

	g_assert_false(log_is_on(LOG_WIRE));
	log_wire_to(fd);
	g_assert_true(log_is_on(LOG_WIRE));
	g_assert_false(log_is_on(LOG_DEBUG));
	add_secret("canary-4711");
	log_write(LOG_WIRE, "imap", "C: a1 LOGIN me %s", "canary-4711");
	log_write(LOG_INFO, "imap", "not of the wire");
	log_wire_to(-1);
	log_write(LOG_WIRE, "imap", "after it");
	log_secrets_clear();
	close(fd);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_true(g_regex_match_simple(
		"^[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z imap: C: a1 LOGIN me \\*+\\n$", text, 0, 0));
	g_unlink(path);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("safe text stays", safe_text_stays);
	ADD("SEC-7 controls are replaced", controls_are_replaced);
	ADD("SEC-7 bidi marks are replaced", bidi_marks_are_replaced);
	ADD("SEC-31 invalid UTF-8 is replaced", invalid_utf8_is_replaced);
	ADD("NUL inside is replaced and len obeyed", nul_inside_is_replaced_and_len_obeyed);
	ADD("SEC-7 is cut at one kilobyte", is_cut_at_one_kilobyte);
	ADD("levels are ordered", levels_are_ordered);
	ADD("writes only what is on", writes_only_what_is_on);
	ADD("SEC-52 secrets are masked everywhere", secrets_are_masked_everywhere);
	ADD("SEC-52 secrets may overlap", secrets_may_overlap);
	ADD("a secret of stars ends", a_secret_of_stars_ends);
	ADD("short secrets and forgotten ones are not masked",
		short_secrets_and_forgotten_ones_are_not_masked);
	g_test_add_func("/base/log/SEC-52 safe text shows no secret",
		safe_text_shows_no_secret_not_even_half_of_one);
	g_test_add_func("/base/log/SEC-52 debug-wire",
		the_wire_has_a_file_of_its_own_with_secrets_masked);
	return g_test_run();
}
