/* SPDX-License-Identifier: MIT */
/*
 * What a server says during a login, to every mechanism. Input: one byte for the mechanism, one
 * for the parameters, then challenges separated by LF; the base64 decoders get all of it too.
 */
#include <string.h>

#include <glib.h>

#include "base/cleanup.h"
#include "wire/sasl.h"

#define MECHS          9
#define TURNS_MAX      8
#define DIGITS_MAX     5 /* in a row: keeps iteration counts, and so the time of a run, small */
#define OPTION_BINDING 1u
#define OPTION_OFFERED 2u
#define OPTION_INITIAL 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_costly(const uint8_t *data, size_t size)
{
	size_t run = 0;

	for (size_t i = 0; i < size; i++) {
		run = g_ascii_isdigit((char)data[i]) ? run + 1 : 0;
		if (run > DIGITS_MAX)
			return true;
	}
	return false;
}

static void check_base64(const uint8_t *data, size_t size)
{
	SCOPED(bytebuf_done) struct bytebuf strict = { 0 };
	SCOPED(bytebuf_done) struct bytebuf tolerant = { 0 };
	SCOPED(bytebuf_done) struct bytebuf again = { 0 };
	const char *text = (const char *)data;
	bool is_tolerable = sasl_base64_decode(text, size, SASL_BASE64_TOLERANT, &tolerant);

	if (!sasl_base64_decode(text, size, SASL_BASE64_STRICT, &strict))
		return;
	/* The strict form is the only form: it comes back byte for byte. */
	g_assert_true(is_tolerable && tolerant.len == strict.len);
	if (size == 0)
		return;
	sasl_base64_encode(bytebuf_bytes(&strict), strict.len, &again);
	g_assert_true(again.len == size && memcmp(bytebuf_bytes(&again), data, size) == 0);
}

static bool is_scram(enum sasl_mech mech)
{
	return (mech & SASL_MECHS_SCRAM) != 0;
}

/* False when the exchange is over. */
static bool feed(struct sasl *sasl, enum sasl_mech mech, const uint8_t *challenge, size_t len)
{
	SCOPED(bytebuf_wipe) struct bytebuf out = { 0 };
	enum sasl_result result = sasl_step(sasl, challenge, len, &out);
	const char *error = sasl_error(sasl);

	/* Nobody finds the signature by chance. */
	g_assert_false(is_scram(mech) && sasl_may_succeed(sasl));
	for (; error && *error; error++)
		g_assert_true(*error >= 0x20 && *error < 0x7f);
	if (result != SASL_FAIL)
		return true;
	g_assert_nonnull(sasl_error(sasl));
	g_assert_false(sasl_may_succeed(sasl));
	g_assert_cmpuint(out.len, ==, 0);
	return false;
}

static void run_login(enum sasl_mech mech, unsigned options, const uint8_t *data, size_t size)
{
	static const uint8_t cb_data[32] = { 1 };
	struct sasl_params params = {
		.user = "user",
		.secret = "pencil",
		.host = "mail.example.org",
		.port = 993,
		.is_tls = true,
		.cb_type = (options & OPTION_BINDING) != 0 ? "tls-exporter" : NULL,
		.cb_data = cb_data,
		.cb_len = sizeof(cb_data),
		.server_offers_plus = (options & OPTION_OFFERED) != 0,
		.test_nonce = "n",
	};
	struct sasl *sasl = sasl_new(mech, &params);
	bool goes_on = (options & OPTION_INITIAL) == 0 || feed(sasl, mech, NULL, 0);

	for (unsigned i = 0; goes_on && i < TURNS_MAX; i++) {
		const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
		size_t len = end ? (size_t)(end - data) : size;
		g_autofree uint8_t *copy = g_malloc(MAX(len, 1));

		/* A block of its own and of its size: reads past the end show. */
		if (len > 0)
			memcpy(copy, data, len);
		goes_on = feed(sasl, mech, copy, len) && end;
		data += MIN(size, len + 1);
		size -= MIN(size, len + 1);
	}
	sasl_free(sasl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_base64(data, size);
	if (size < 2 || is_costly(data, size))
		return 0;
	run_login((enum sasl_mech)(1u << data[0] % MECHS), data[1], data + 2, size - 2);
	return 0;
}
