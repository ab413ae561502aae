/* SPDX-License-Identifier: MIT */
/* The one path of all bytes: socket - TLS - DEFLATE - input. Loop thread. */
#include "net/layers.h"

#include <string.h>

void layers_done(struct layers *layers)
{
	g_clear_pointer(&layers->tls, tls_free);
	g_clear_pointer(&layers->deflate, deflate_free);
	bytebuf_done(&layers->packed);
	/* Passwords pass here. */
	bytebuf_wipe(&layers->plain);
	bytebuf_wipe(&layers->wire);
}

bool layers_start_tls(struct layers *layers, struct tls_config *config, const char *host,
	const struct bytebuf *input)
{
	if (layers->tls || layers->deflate || input->len > 0)
		return false;
	layers->tls = tls_new(config, host);
	return true;
}

bool layers_start_deflate(struct layers *layers, struct bytebuf *input, GError **error)
{
	if (layers->deflate) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL, "compression is on already");
		return false;
	}
	if (!layers_push(layers, error))
		return false;
	layers->deflate = deflate_new();
	if (input->len > 0)
		bytebuf_append(&layers->packed, bytebuf_bytes(input), input->len);
	bytebuf_clear(input);
	return true;
}

struct bytebuf *layers_socket_end(struct layers *layers, struct bytebuf *input)
{
	if (layers->tls)
		return tls_input(layers->tls);
	return layers->deflate ? &layers->packed : input;
}

static enum layers_result pull_tls(struct layers *layers, struct bytebuf *plain, size_t max,
	GError **error)
{
	switch (tls_read(layers->tls, plain, max, &layers->wire, error)) {
	case TLS_OK:
		return LAYERS_MORE;
	case TLS_WANT_READ:
		return LAYERS_DRAINED;
	case TLS_CLOSED:
		return LAYERS_CLOSED;
	default:
		return LAYERS_FAILED;
	}
}

enum layers_result layers_pull(struct layers *layers, struct bytebuf *input, size_t max,
	GError **error)
{
	enum layers_result below = LAYERS_DRAINED;
	struct bytebuf *plain = layers->deflate ? &layers->packed : input;

	/* Compressed bytes that wait already are enough for this turn. */
	if (layers->tls && layers->deflate && layers->packed.len >= max)
		below = LAYERS_MORE;
	else if (layers->tls)
		below = pull_tls(layers, plain, max, error);
	if (below == LAYERS_FAILED || !layers->deflate)
		return below;

	switch (deflate_unpack(layers->deflate, &layers->packed, input, max, error)) {
	case DEFLATE_MORE:
		return LAYERS_MORE;
	case DEFLATE_WANT_INPUT:
		return below;
	default:
		return LAYERS_FAILED;
	}
}

static bool push_tls(struct layers *layers, const struct bytebuf *bytes, GError **error)
{
	if (!layers->tls) {
		bytebuf_append(&layers->wire, bytebuf_bytes(bytes), bytes->len);
		return true;
	}
	return tls_write(layers->tls, bytebuf_bytes(bytes), bytes->len, &layers->wire, error) == TLS_OK;
}

bool layers_push(struct layers *layers, GError **error)
{
	struct bytebuf *plain = &layers->plain;
	struct bytebuf packed = { 0 };
	bool ok;

	if (plain->len == 0)
		return true;
	if (layers->deflate)
		deflate_pack(layers->deflate, bytebuf_bytes(plain), plain->len, &packed);
	ok = push_tls(layers, layers->deflate ? &packed : plain, error);
	explicit_bzero(plain->data + plain->start, plain->len);
	bytebuf_clear(plain);
	bytebuf_done(&packed);
	return ok;
}
