/* SPDX-License-Identifier: MIT */
/* TLS against real OpenSSL servers, in memory: who is accepted, who is not, and what is said. */
#include <string.h>

#include <glib.h>
#include <openssl/err.h>

#include "net/tls_config.h"
#include "net_certs.h"

static struct cert ca, other_ca, middle;
static char *ca_path;

/* ---- a client and a server, back to back --------------------------------------------------- */

struct link {
	struct tls *tls;
	SSL *server;
	struct bytebuf out;   /* client to server */
	struct bytebuf plain; /* what the client read */
	size_t chunk;         /* bytes fed to the client at once; 0 = all there is */
	enum tls_result result;
	GError *error;
};

static void link_init(struct link *link, struct tls_config *config, SSL_CTX *ctx, const char *host)
{
	*link = (struct link){ .result = TLS_WANT_READ };
	link->tls = tls_new(config, host);
	link->server = SSL_new(ctx);
	SSL_set_bio(link->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_accept_state(link->server);
}

static void link_done(struct link *link)
{
	tls_free(link->tls);
	SSL_free(link->server);
	bytebuf_done(&link->out);
	bytebuf_done(&link->plain);
	g_clear_error(&link->error);
}

static void link_flush(struct link *link)
{
	if (link->out.len > 0)
		BIO_write(SSL_get_rbio(link->server), bytebuf_bytes(&link->out), (int)link->out.len);
	bytebuf_clear(&link->out);
}

/* Moves what the server wrote to the client, calling `step` after each chunk. */
static void link_fetch(struct link *link, void (*step)(struct link *))
{
	BIO *bio = SSL_get_wbio(link->server);
	char bytes[65536];
	int want = (int)(link->chunk ? link->chunk : sizeof(bytes));
	int got;

	while ((got = BIO_read(bio, bytes, want)) > 0) {
		tls_feed(link->tls, bytes, (size_t)got);
		step(link);
	}
}

static void step_handshake(struct link *link)
{
	if (link->result != TLS_WANT_READ)
		return;
	link->result = tls_handshake(link->tls, &link->out, &link->error);
}

static void step_read(struct link *link)
{
	g_clear_error(&link->error);
	link->result = tls_read(link->tls, &link->plain, 1 << 20, &link->out, &link->error);
}

static enum tls_result link_handshake(struct link *link)
{
	step_handshake(link);
	for (int i = 0; i < 10; i++) {
		link_flush(link);
		SSL_do_handshake(link->server);
		link_fetch(link, tls_is_verified(link->tls) ? step_read : step_handshake);
	}
	ERR_clear_error();
	if (link->result == TLS_WANT_READ && SSL_is_init_finished(link->server))
		return TLS_OK; /* the last step was a read of tickets */
	return link->result;
}

static struct tls_config *config_new(const char *ca_file, const char *pin, const char *alpn)
{
	GError *error = NULL;
	struct tls_config *config = tls_config_new(ca_file, pin, alpn, &error);

	g_assert_no_error(error);
	g_assert_nonnull(config);
	return config;
}

/* ---- who is accepted (SEC-8) --------------------------------------------------------------- */

struct verify_case {
	const char *name;
	const char *host;
	struct cert_spec spec;
	const char *why; /* part of the refusal; NULL = accepted */
	bool sends_middle;
};

static const struct verify_case verify_cases[] = {
	{ "right name", "good.test", { .cn = "x", .san = "DNS:good.test" }, NULL },
	{ "right name in other case, with final dot", "GOOD.test.",
		{ .cn = "x", .san = "DNS:good.TEST" }, NULL },
	{ "one of several names", "b.test", { .cn = "x", .san = "DNS:a.test,DNS:b.test" }, NULL },
	{ "international name", "b\xc3\xbc" "cher.test", { .cn = "x", .san = "DNS:xn--bcher-kva.test" },
		NULL },
	{ "other name", "good.test", { .cn = "x", .san = "DNS:evil.test,DNS:b.test" },
		"it is for evil.test, b.test" },
	{ "name of the parent", "mail.good.test", { .cn = "x", .san = "DNS:good.test" },
		"it is for good.test" },
	{ "wildcard", "a.good.test", { .cn = "x", .san = "DNS:*.good.test" }, NULL },
	{ "wildcard one level too high", "a.b.good.test", { .cn = "x", .san = "DNS:*.good.test" },
		"it is for *.good.test" },
	{ "wildcard for the bare domain", "good.test", { .cn = "x", .san = "DNS:*.good.test" },
		"it is for *.good.test" },
	{ "wildcard in the middle", "a.b.test", { .cn = "x", .san = "DNS:a.*.test" },
		"it is for a.*.test" },
	{ "partial wildcard", "mail1.good.test", { .cn = "x", .san = "DNS:mail*.good.test" },
		"it is for mail*.good.test" },
	{ "wildcard of everything", "good.test", { .cn = "x", .san = "DNS:*" }, "it is for *" },
	{ "CN only", "good.test", { .cn = "good.test" }, "it names no host" },
	{ "CN right, SAN other", "good.test", { .cn = "good.test", .san = "DNS:evil.test" },
		"it is for evil.test" },
	{ "CN right, SAN a mail address", "good.test", { .cn = "good.test", .san = "email:a@b.test" },
		"it names no host" },
	{ "NUL in the name", "good.test", { .cn = "x", .has_nul_name = true }, "it is for good.test" },
	{ "address", "192.0.2.1", { .cn = "x", .san = "IP:192.0.2.1" }, NULL },
	{ "address, version 6", "2001:db8::1", { .cn = "x", .san = "IP:2001:db8:0:0:0:0:0:1" }, NULL },
	{ "link-local address with zone", "fe80::1%lo", { .cn = "x", .san = "IP:fe80::1" }, NULL },
	{ "other address", "192.0.2.1", { .cn = "x", .san = "IP:192.0.2.2" }, "it is for 192.0.2.2" },
	{ "address as DNS name", "192.0.2.1", { .cn = "x", .san = "DNS:192.0.2.1" },
		"it is for 192.0.2.1" },
	{ "address as CN", "192.0.2.1", { .cn = "192.0.2.1" }, "it names no host" },
	{ "address under a wildcard", "192.0.2.1", { .cn = "x", .san = "DNS:*.0.2.1" },
		"it is for *.0.2.1" },
	{ "name against an address", "good.test", { .cn = "x", .san = "IP:192.0.2.1" },
		"it is for 192.0.2.1" },
	{ "expired", "good.test",
		{ .cn = "x", .san = "DNS:good.test", .from_days = -20, .to_days = -10 }, "it expired on 2" },
	{ "not yet valid", "good.test",
		{ .cn = "x", .san = "DNS:good.test", .from_days = 10, .to_days = 20 },
		"it is not valid before 2" },
	{ "wrong purpose", "good.test", { .cn = "x", .san = "DNS:good.test", .usage = "clientAuth" },
		"it is not meant for servers" },
	{ "self-signed", "good.test", { .cn = "x", .san = "DNS:good.test", .issuer = &(struct cert){ 0 } },
		"it is self-signed" },
	{ "unknown CA", "good.test", { .cn = "x", .san = "DNS:good.test", .issuer = &other_ca },
		"an authority that is not known here (CN=Other CA" },
	{ "intermediate sent", "good.test", { .cn = "x", .san = "DNS:good.test", .issuer = &middle },
		NULL, true },
	{ "intermediate missing", "good.test", { .cn = "x", .san = "DNS:good.test", .issuer = &middle },
		"an authority that is not known here (CN=Middle CA" },
	{ "empty host name", "", { .cn = "x", .san = "DNS:good.test" }, "no host name to verify" },
	{ "host name with leading dot", ".good.test", { .cn = "x", .san = "DNS:a.good.test" },
		"no host name to verify" },
	{ "host name of one dot", ".", { .cn = "x", .san = "DNS:good.test" }, "no host name to verify" },
};

static struct cert verify_case_cert(const struct verify_case *test)
{
	struct cert_spec spec = test->spec;

	/* No issuer in the table means the CA; an empty one means none. */
	if (!spec.issuer)
		spec.issuer = &ca;
	else if (!spec.issuer->x509)
		spec.issuer = NULL;
	return cert_make(&spec);
}

static void check_refusal(const struct link *link, const struct verify_case *test,
	const struct cert *cert)
{
	g_autofree char *pin = cert_pin(cert);

	g_assert_error(link->error, MAILFS_ERROR, MAILFS_ERROR_TLS);
	if (!strstr(link->error->message, test->why))
		g_error("\"%s\" lacks \"%s\"", link->error->message, test->why);
	if (strstr(test->why, "no host name"))
		return;
	g_assert_nonnull(strstr(link->error->message, pin));
	for (const char *p = link->error->message; *p; p++)
		g_assert_cmpint((unsigned char)*p, >=, 0x20);
}

static void peer_is_judged(gconstpointer data)
{
	const struct verify_case *test = data;
	struct cert cert = verify_case_cert(test);
	SSL_CTX *ctx = cert_server(&cert, test->sends_middle ? &middle : NULL);
	struct tls_config *config = config_new(ca_path, NULL, "imap");
	struct link link;

	link_init(&link, config, ctx, test->host);
	if (!test->why) {
		g_assert_cmpint(link_handshake(&link), ==, TLS_OK);
		g_assert_true(tls_is_verified(link.tls));
	} else {
		g_assert_cmpint(link_handshake(&link), ==, TLS_FAILED);
		g_assert_false(tls_is_verified(link.tls));
		g_assert_false(SSL_is_init_finished(link.server));
		check_refusal(&link, test, &cert);
	}
	link_done(&link);
	tls_config_unref(config);
	SSL_CTX_free(ctx);
	cert_free(&cert);
}

static void without_the_ca_file_the_ca_is_unknown(void)
{
	struct cert cert = cert_make(&(struct cert_spec){ "x", "DNS:good.test", .issuer = &ca });
	SSL_CTX *ctx = cert_server(&cert, NULL);
	struct tls_config *config = config_new(NULL, NULL, NULL);
	struct link link;

	link_init(&link, config, ctx, "good.test");
	g_assert_cmpint(link_handshake(&link), ==, TLS_FAILED);
	g_assert_error(link.error, MAILFS_ERROR, MAILFS_ERROR_TLS);
	link_done(&link);
	tls_config_unref(config);
	SSL_CTX_free(ctx);
	cert_free(&cert);
}

static void ssl_cert_file_is_honoured(void)
{
	struct cert cert = cert_make(&(struct cert_spec){ "x", "DNS:good.test", .issuer = &ca });
	SSL_CTX *ctx = cert_server(&cert, NULL);
	struct tls_config *config;
	struct link link;

	g_setenv("SSL_CERT_FILE", ca_path, TRUE);
	config = config_new(NULL, NULL, NULL);
	g_unsetenv("SSL_CERT_FILE");
	link_init(&link, config, ctx, "good.test");
	g_assert_cmpint(link_handshake(&link), ==, TLS_OK);
	link_done(&link);
	tls_config_unref(config);
	SSL_CTX_free(ctx);
	cert_free(&cert);
}

/* Names with escape sequences must not reach a terminal (SEC-7). */
static void hostile_names_are_made_printable(void)
{
	struct cert cert = cert_make(&(struct cert_spec){ "x", "DNS:\x1b[31mevil\x07.test", .issuer = &ca });
	SSL_CTX *ctx = cert_server(&cert, NULL);
	struct tls_config *config = config_new(ca_path, NULL, NULL);
	struct link link;

	link_init(&link, config, ctx, "good.test");
	g_assert_cmpint(link_handshake(&link), ==, TLS_FAILED);
	g_assert_nonnull(strstr(link.error->message, "it is for ?[31mevil?.test"));
	link_done(&link);
	tls_config_unref(config);
	SSL_CTX_free(ctx);
	cert_free(&cert);
}

/* ---- pins ---------------------------------------------------------------------------------- */

enum pin_kind { PIN_RIGHT, PIN_WRONG };

struct pin_case {
	const char *name;
	struct cert_spec spec;
	bool is_ca_signed;
	enum pin_kind pin;
};

static const struct pin_case pin_cases[] = {
	{ "match, self-signed", { .cn = "x", .san = "DNS:good.test" }, false, PIN_RIGHT },
	{ "match, other name and expired",
		{ .cn = "x", .san = "DNS:evil.test", .from_days = -9, .to_days = -3 }, false, PIN_RIGHT },
	{ "mismatch, self-signed", { .cn = "x", .san = "DNS:good.test" }, false, PIN_WRONG },
	{ "mismatch, though the chain is good", { .cn = "x", .san = "DNS:good.test" }, true, PIN_WRONG },
};

static char *scrambled(const char *pin)
{
	GString *text = g_string_new("SHA256:");

	for (size_t i = 7; pin[i]; i++) {
		if (i > 7 && (i - 7) % 2 == 0)
			g_string_append_c(text, ':');
		g_string_append_c(text, g_ascii_toupper(pin[i]));
	}
	return g_string_free(text, FALSE);
}

static void pin_decides_alone(gconstpointer data)
{
	const struct pin_case *test = data;
	struct cert_spec spec = test->spec;
	struct cert cert;
	g_autofree char *pin = NULL;
	g_autofree char *loose = NULL;
	SSL_CTX *ctx;
	struct tls_config *config;
	struct link link;

	spec.issuer = test->is_ca_signed ? &ca : NULL;
	cert = cert_make(&spec);
	pin = cert_pin(test->pin == PIN_RIGHT ? &cert : &other_ca);
	loose = scrambled(pin);
	ctx = cert_server(&cert, NULL);
	config = config_new(ca_path, loose, NULL);
	link_init(&link, config, ctx, "good.test");
	if (test->pin == PIN_RIGHT) {
		g_assert_cmpint(link_handshake(&link), ==, TLS_OK);
		g_assert_true(tls_is_verified(link.tls));
	} else {
		g_assert_cmpint(link_handshake(&link), ==, TLS_FAILED);
		g_assert_error(link.error, MAILFS_ERROR, MAILFS_ERROR_TLS);
		g_assert_nonnull(strstr(link.error->message, "not the pinned one"));
	}
	link_done(&link);
	tls_config_unref(config);
	SSL_CTX_free(ctx);
	cert_free(&cert);
}

static void bad_settings_are_refused(void)
{
	static const char *const bad[] = { "", "sha256:", "sha1:00", "sha256:zz",
		"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
		"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
	GError *error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_null(tls_config_new(NULL, bad[i], NULL, &error));
		g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID);
		g_clear_error(&error);
	}
	g_assert_null(tls_config_new("/nonexistent/ca.pem", NULL, NULL, &error));
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_TLS);
	g_assert_nonnull(strstr(error->message, "/nonexistent/ca.pem"));
	g_clear_error(&error);
	g_assert_null(tls_config_new("/dev/null", NULL, NULL, &error));
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_TLS);
	g_clear_error(&error);
}

/* ---- a usual server ------------------------------------------------------------------------ */

struct usual {
	struct cert cert;
	SSL_CTX *ctx;
	struct tls_config *config;
	struct link link;
};

static void usual_init(struct usual *usual)
{
	usual->cert = cert_make(&(struct cert_spec){ "x", "DNS:good.test,DNS:two.test", .issuer = &ca });
	usual->ctx = cert_server(&usual->cert, NULL);
	usual->config = config_new(ca_path, NULL, "imap");
}

static void usual_done(struct usual *usual)
{
	tls_config_unref(usual->config);
	SSL_CTX_free(usual->ctx);
	cert_free(&usual->cert);
}

static void usual_connect(struct usual *usual, const char *host)
{
	link_init(&usual->link, usual->config, usual->ctx, host);
	g_assert_cmpint(link_handshake(&usual->link), ==, TLS_OK);
}

/* ---- protocol floor (SEC-11) --------------------------------------------------------------- */

static void old_protocols_are_refused(void)
{
	static const int versions[] = { TLS1_VERSION, TLS1_1_VERSION };
	struct usual usual;

	usual_init(&usual);
	for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
		SSL_CTX_set_security_level(usual.ctx, 0);
		SSL_CTX_set_min_proto_version(usual.ctx, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(usual.ctx, versions[i]);
		link_init(&usual.link, usual.config, usual.ctx, "good.test");
		g_assert_cmpint(link_handshake(&usual.link), ==, TLS_FAILED);
		g_assert_error(usual.link.error, MAILFS_ERROR, MAILFS_ERROR_TLS);
		g_assert_nonnull(strstr(usual.link.error->message, "no TLS 1.2 or later"));
		link_done(&usual.link);
	}
	usual_done(&usual);
}

static void weak_ciphers_are_refused(void)
{
	static const char *const weak[] = { "aNULL:@SECLEVEL=0", "eNULL:@SECLEVEL=0" };
	struct usual usual;

	usual_init(&usual);
	for (size_t i = 0; i < G_N_ELEMENTS(weak); i++) {
		SSL_CTX_set_max_proto_version(usual.ctx, TLS1_2_VERSION);
		g_assert_cmpint(SSL_CTX_set_cipher_list(usual.ctx, weak[i]), ==, 1);
		link_init(&usual.link, usual.config, usual.ctx, "good.test");
		g_assert_cmpint(link_handshake(&usual.link), ==, TLS_FAILED);
		link_done(&usual.link);
	}
	usual_done(&usual);
}

static void renegotiation_is_refused(void)
{
	struct usual usual;
	char byte;

	usual_init(&usual);
	SSL_CTX_set_max_proto_version(usual.ctx, TLS1_2_VERSION);
	usual_connect(&usual, "good.test");
	g_assert_cmpint(SSL_renegotiate(usual.link.server), ==, 1);
	SSL_do_handshake(usual.link.server);
	link_fetch(&usual.link, step_read);
	link_flush(&usual.link);
	g_assert_cmpint(SSL_read(usual.link.server, &byte, 1), <=, 0);
	g_assert_cmpint(ERR_GET_REASON(ERR_peek_last_error()), ==, SSL_R_NO_RENEGOTIATION);
	ERR_clear_error();
	link_done(&usual.link);
	usual_done(&usual);
}

static void clear_text_is_recognised(void)
{
	struct usual usual;

	usual_init(&usual);
	link_init(&usual.link, usual.config, usual.ctx, "good.test");
	step_handshake(&usual.link);
	tls_feed(usual.link.tls, "* OK ready\r\n", 12);
	step_handshake(&usual.link);
	g_assert_cmpint(usual.link.result, ==, TLS_FAILED);
	g_assert_error(usual.link.error, MAILFS_ERROR, MAILFS_ERROR_TLS);
	g_assert_nonnull(strstr(usual.link.error->message, "does not speak TLS"));
	link_done(&usual.link);
	usual_done(&usual);
}

/* ---- SNI and ALPN (SEC-13) ----------------------------------------------------------------- */

static void sni_names_the_host_but_no_address(void)
{
	struct cert cert = cert_make(&(struct cert_spec){ "x", "DNS:good.test,IP:192.0.2.1", .issuer = &ca });
	SSL_CTX *ctx = cert_server(&cert, NULL);
	struct tls_config *config = config_new(ca_path, NULL, NULL);
	struct link link;

	link_init(&link, config, ctx, "good.test.");
	g_assert_cmpint(link_handshake(&link), ==, TLS_OK);
	g_assert_cmpstr(SSL_get_servername(link.server, TLSEXT_NAMETYPE_host_name), ==, "good.test");
	link_done(&link);
	link_init(&link, config, ctx, "192.0.2.1");
	g_assert_cmpint(link_handshake(&link), ==, TLS_OK);
	g_assert_null(SSL_get_servername(link.server, TLSEXT_NAMETYPE_host_name));
	link_done(&link);
	tls_config_unref(config);
	SSL_CTX_free(ctx);
	cert_free(&cert);
}

static int choose_alpn(SSL *ssl, const uint8_t **ret_name, uint8_t *ret_len, const uint8_t *offered,
	unsigned offered_len, void *arg)
{
	const char *mine = arg;

	*ret_name = (const uint8_t *)mine;
	*ret_len = (uint8_t)strlen(mine);
	return SSL_TLSEXT_ERR_OK;
}

static void alpn_is_offered_and_checked(void)
{
	struct usual usual;

	usual_init(&usual);
	SSL_CTX_set_alpn_select_cb(usual.ctx, choose_alpn, (void *)"imap");
	usual_connect(&usual, "good.test");
	link_done(&usual.link);

	SSL_CTX_set_alpn_select_cb(usual.ctx, choose_alpn, (void *)"h2");
	link_init(&usual.link, usual.config, usual.ctx, "good.test");
	g_assert_cmpint(link_handshake(&usual.link), ==, TLS_FAILED);
	g_assert_error(usual.link.error, MAILFS_ERROR, MAILFS_ERROR_TLS);
	link_done(&usual.link);
	usual_done(&usual);
}

/* ---- sessions ------------------------------------------------------------------------------ */

static void session_is_resumed(gconstpointer data)
{
	struct usual usual;

	usual_init(&usual);
	SSL_CTX_set_max_proto_version(usual.ctx, GPOINTER_TO_INT(data));
	usual_connect(&usual, "good.test");
	g_assert_false(tls_is_resumed(usual.link.tls));
	link_done(&usual.link);
	for (int i = 0; i < 3; i++) {
		usual_connect(&usual, "good.test");
		g_assert_true(tls_is_resumed(usual.link.tls));
		g_assert_true(tls_is_verified(usual.link.tls));
		link_done(&usual.link);
	}
	usual_done(&usual);
}

static void session_is_not_offered_to_another_name(void)
{
	struct usual usual;

	usual_init(&usual);
	usual_connect(&usual, "good.test");
	link_done(&usual.link);
	usual_connect(&usual, "two.test");
	g_assert_false(tls_is_resumed(usual.link.tls));
	link_done(&usual.link);
	link_init(&usual.link, usual.config, usual.ctx, "evil.test");
	g_assert_cmpint(link_handshake(&usual.link), ==, TLS_FAILED);
	link_done(&usual.link);
	usual_done(&usual);
}

/* The certificate runs out between two connections: resuming must not hide it. */
static void resumed_certificate_is_verified_as_of_today(void)
{
	struct usual usual;

	usual_init(&usual);
	usual_connect(&usual, "good.test");
	link_done(&usual.link);
	link_init(&usual.link, usual.config, usual.ctx, "good.test");
	X509_VERIFY_PARAM_set_time(SSL_get0_param(usual.link.tls->ssl), time(NULL) + 400 * DAY);
	g_assert_cmpint(link_handshake(&usual.link), ==, TLS_FAILED);
	g_assert_true(tls_is_resumed(usual.link.tls));
	g_assert_false(tls_is_verified(usual.link.tls));
	g_assert_nonnull(strstr(usual.link.error->message, "it expired on 2"));
	link_done(&usual.link);
	usual_done(&usual);
}

static void second_certificate_is_verified_too(void)
{
	struct usual usual;
	struct cert bad;

	usual_init(&usual);
	usual_connect(&usual, "good.test");
	link_done(&usual.link);

	/* The same server with another certificate and no memory of the session. */
	SSL_CTX_free(usual.ctx);
	bad = cert_make(&(struct cert_spec){ "x", "DNS:evil.test", .issuer = &ca });
	usual.ctx = cert_server(&bad, NULL);
	link_init(&usual.link, usual.config, usual.ctx, "good.test");
	g_assert_cmpint(link_handshake(&usual.link), ==, TLS_FAILED);
	g_assert_nonnull(strstr(usual.link.error->message, "it is for evil.test"));
	link_done(&usual.link);
	cert_free(&bad);
	usual_done(&usual);
}

/* ---- data ---------------------------------------------------------------------------------- */

static void records_of_one_byte_fed_bytewise_give_the_same(void)
{
	static const char text[] = "* 1 FETCH (BODY[] {3}\r\nabc)\r\n";
	struct usual usual;

	usual_init(&usual);
	link_init(&usual.link, usual.config, usual.ctx, "good.test");
	usual.link.chunk = 1;
	g_assert_cmpint(link_handshake(&usual.link), ==, TLS_OK);
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		g_assert_cmpint(SSL_write(usual.link.server, text + i, 1), ==, 1);
	link_fetch(&usual.link, step_read);
	g_assert_cmpmem(bytebuf_bytes(&usual.link.plain), usual.link.plain.len, text, sizeof(text) - 1);
	link_done(&usual.link);
	usual_done(&usual);
}

static void reading_stops_at_the_bound_and_goes_on(void)
{
	struct usual usual;
	struct link *link = &usual.link;
	g_autofree char *sent = g_malloc(50000);
	char bytes[60000];
	int got;

	usual_init(&usual);
	usual_connect(&usual, "good.test");
	memset(sent, 'x', 50000);
	g_assert_cmpint(SSL_write(link->server, sent, 50000), ==, 50000);
	got = BIO_read(SSL_get_wbio(link->server), bytes, sizeof(bytes));
	tls_feed(link->tls, bytes, (size_t)got);
	g_assert_cmpint(tls_read(link->tls, &link->plain, 1000, &link->out, NULL), ==, TLS_OK);
	g_assert_cmpuint(link->plain.len, ==, 1000);
	g_assert_cmpint(tls_read(link->tls, &link->plain, 60000, &link->out, NULL), ==, TLS_WANT_READ);
	g_assert_cmpmem(bytebuf_bytes(&link->plain), link->plain.len, sent, 50000);
	link_done(link);
	usual_done(&usual);
}

static void close_notify_ends_reading(void)
{
	struct usual usual;
	struct link *link = &usual.link;

	usual_init(&usual);
	usual_connect(&usual, "good.test");
	SSL_write(link->server, "bye", 3);
	SSL_shutdown(link->server);
	link_fetch(link, step_read);
	g_assert_cmpint(link->result, ==, TLS_CLOSED);
	g_assert_cmpmem(bytebuf_bytes(&link->plain), link->plain.len, "bye", 3);
	tls_shutdown(link->tls, &link->out);
	link_flush(link);
	g_assert_cmpint(SSL_shutdown(link->server), ==, 1);
	link_done(link);
	usual_done(&usual);
}

static void changed_record_breaks_the_connection(void)
{
	struct usual usual;
	struct link *link = &usual.link;
	char bytes[1000];
	int got;

	usual_init(&usual);
	usual_connect(&usual, "good.test");
	SSL_write(link->server, "abc", 3);
	got = BIO_read(SSL_get_wbio(link->server), bytes, sizeof(bytes));
	bytes[got - 1] ^= 1;
	tls_feed(link->tls, bytes, (size_t)got);
	step_read(link);
	g_assert_cmpint(link->result, ==, TLS_FAILED);
	g_assert_error(link->error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST);
	g_assert_cmpuint(link->plain.len, ==, 0);
	link_done(link);
	usual_done(&usual);
}

static void written_bytes_arrive(void)
{
	struct usual usual;
	struct link *link = &usual.link;
	g_autofree char *sent = g_malloc(100000);
	g_autofree char *seen = g_malloc(100000);
	size_t total = 0;

	usual_init(&usual);
	usual_connect(&usual, "good.test");
	for (size_t i = 0; i < 100000; i++)
		sent[i] = (char)(i * 7 % 251);
	g_assert_cmpint(tls_write(link->tls, sent, 100000, &link->out, NULL), ==, TLS_OK);
	link_flush(link);
	while (total < 100000) {
		int got = SSL_read(link->server, seen + total, (int)(100000 - total));

		g_assert_cmpint(got, >, 0);
		total += (size_t)got;
	}
	g_assert_cmpmem(seen, total, sent, 100000);
	link_done(link);
	usual_done(&usual);
}

/* ---- channel binding ----------------------------------------------------------------------- */

static void tls13_binds_by_exporter(void)
{
	struct usual usual;
	uint8_t mine[64], theirs[32];
	size_t len = 0;

	usual_init(&usual);
	usual_connect(&usual, "good.test");
	g_assert_cmpstr(tls_version(usual.link.tls), ==, "TLSv1.3");
	g_assert_nonnull(tls_cipher(usual.link.tls));
	g_assert_null(tls_channel_binding(usual.link.tls, mine, 16, &len));
	g_assert_cmpstr(tls_channel_binding(usual.link.tls, mine, sizeof(mine), &len), ==,
		"tls-exporter");
	SSL_export_keying_material(usual.link.server, theirs, 32, "EXPORTER-Channel-Binding", 24,
		(const uint8_t *)"", 0, 1);
	g_assert_cmpmem(mine, len, theirs, 32);
	link_done(&usual.link);
	usual_done(&usual);
}

struct binding_case {
	const char *name;
	const char *key_type;
	const EVP_MD *(*digest)(void);
	const EVP_MD *(*expect)(void); /* NULL = no binding */
};

static const struct binding_case binding_cases[] = {
	{ "SHA-256", NULL, EVP_sha256, EVP_sha256 },
	{ "SHA-384", NULL, EVP_sha384, EVP_sha384 },
	{ "SHA-512", NULL, EVP_sha512, EVP_sha512 },
	{ "SHA-1 becomes SHA-256", NULL, EVP_sha1, EVP_sha256 },
	{ "Ed25519 has none", "ED25519", NULL, NULL },
};

static void tls12_binds_by_certificate_hash(gconstpointer data)
{
	const struct binding_case *test = data;
	struct cert cert = cert_make(&(struct cert_spec){ "x", "DNS:good.test",
		.key_type = test->key_type, .digest = test->digest ? test->digest() : NULL });
	g_autofree char *pin = cert_pin(&cert);
	SSL_CTX *ctx;
	struct tls_config *config = config_new(NULL, pin, NULL);
	struct link link;
	uint8_t mine[64] = { 0 }, hash[EVP_MAX_MD_SIZE];
	size_t len = 0;
	unsigned hash_len;

	ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_use_certificate(ctx, cert.x509);
	SSL_CTX_use_PrivateKey(ctx, cert.key);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	link_init(&link, config, ctx, "good.test");
	g_assert_cmpint(link_handshake(&link), ==, TLS_OK);
	if (!test->expect) {
		g_assert_null(tls_channel_binding(link.tls, mine, sizeof(mine), &len));
	} else {
		g_assert_cmpstr(tls_channel_binding(link.tls, mine, sizeof(mine), &len), ==,
			"tls-server-end-point");
		X509_digest(cert.x509, test->expect(), hash, &hash_len);
		g_assert_cmpmem(mine, len, hash, hash_len);
	}
	link_done(&link);
	tls_config_unref(config);
	SSL_CTX_free(ctx);
	cert_free(&cert);
}

static void no_binding_before_the_peer_is_verified(void)
{
	struct usual usual;
	uint8_t bytes[64];
	size_t len;

	usual_init(&usual);
	link_init(&usual.link, usual.config, usual.ctx, "good.test");
	step_handshake(&usual.link);
	g_assert_null(tls_channel_binding(usual.link.tls, bytes, sizeof(bytes), &len));
	g_assert_false(tls_is_verified(usual.link.tls));
	link_done(&usual.link);
	usual_done(&usual);
}

/* ---- list ---------------------------------------------------------------------------------- */

static void add_case(const char *group, const char *name, const void *data, GTestDataFunc function)
{
	g_autofree char *path = g_strdup_printf("/net/tls/%s %s", group, name);

	g_test_add_data_func(path, data, function);
}

static void add_tables(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(verify_cases); i++)
		add_case("SEC-8", verify_cases[i].name, &verify_cases[i], peer_is_judged);
	for (size_t i = 0; i < G_N_ELEMENTS(pin_cases); i++)
		add_case("SEC-8 pin", pin_cases[i].name, &pin_cases[i], pin_decides_alone);
	for (size_t i = 0; i < G_N_ELEMENTS(binding_cases); i++)
		add_case("end point", binding_cases[i].name, &binding_cases[i],
			tls12_binds_by_certificate_hash);
	add_case("resumption", "TLS 1.2", GINT_TO_POINTER(TLS1_2_VERSION), session_is_resumed);
	add_case("resumption", "TLS 1.3", GINT_TO_POINTER(TLS1_3_VERSION), session_is_resumed);
}

static void add_tests(void)
{
	g_test_add_func("/net/tls/SEC-8 CA unknown without its file",
		without_the_ca_file_the_ca_is_unknown);
	g_test_add_func("/net/tls/SSL_CERT_FILE", ssl_cert_file_is_honoured);
	g_test_add_func("/net/tls/SEC-7 hostile names", hostile_names_are_made_printable);
	g_test_add_func("/net/tls/bad settings", bad_settings_are_refused);
	g_test_add_func("/net/tls/SEC-11 old protocols", old_protocols_are_refused);
	g_test_add_func("/net/tls/SEC-11 weak ciphers", weak_ciphers_are_refused);
	g_test_add_func("/net/tls/SEC-11 renegotiation", renegotiation_is_refused);
	g_test_add_func("/net/tls/clear text", clear_text_is_recognised);
	g_test_add_func("/net/tls/SNI", sni_names_the_host_but_no_address);
	g_test_add_func("/net/tls/SEC-13 ALPN", alpn_is_offered_and_checked);
	g_test_add_func("/net/tls/resumption other name", session_is_not_offered_to_another_name);
	g_test_add_func("/net/tls/resumption expired", resumed_certificate_is_verified_as_of_today);
	g_test_add_func("/net/tls/SEC-9 second certificate", second_certificate_is_verified_too);
	g_test_add_func("/net/tls/PX-17 one byte", records_of_one_byte_fed_bytewise_give_the_same);
	g_test_add_func("/net/tls/bound", reading_stops_at_the_bound_and_goes_on);
	g_test_add_func("/net/tls/close_notify", close_notify_ends_reading);
	g_test_add_func("/net/tls/changed record", changed_record_breaks_the_connection);
	g_test_add_func("/net/tls/write", written_bytes_arrive);
	g_test_add_func("/net/tls/exporter", tls13_binds_by_exporter);
	g_test_add_func("/net/tls/no early binding", no_binding_before_the_peer_is_verified);
}

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	ca = cert_make(&(struct cert_spec){ "Test CA", .is_ca = true });
	other_ca = cert_make(&(struct cert_spec){ "Other CA", .is_ca = true });
	middle = cert_make(&(struct cert_spec){ "Middle CA", .is_ca = true, .issuer = &ca });
	ca_path = cert_write(&ca);
	add_tables();
	add_tests();
	r = g_test_run();
	g_unlink(ca_path);
	g_free(ca_path);
	cert_free(&ca);
	cert_free(&other_ca);
	cert_free(&middle);
	return r;
}
