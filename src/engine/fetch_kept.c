/* SPDX-License-Identifier: MIT */
/* A message that is kept for good (engine/vault.h) comes from the disk, in place of the server. */
#include "engine/fetch_impl.h"

#define KEPT_PIECE (256u * 1024)

static void read_next(struct fetch *fetch);

/* What the disk has lost the server may still have. */
static void kept_failed(struct fetch *fetch, const GError *error)
{
	const struct message *message = fetch_message(fetch, NULL);

	engine_add_reason(fetch->fetcher->engine, "UID %u, kept: %s", fetch->uid, error->message);
	if (!message || (message->bits & MESSAGE_LOCAL) != 0) {
		request_failed(fetch, error);
		return;
	}
	request_prepare(fetch, NULL);
	request_submit(fetch);
}

static void ended(struct fetch *fetch)
{
	const struct vault *vault = fetch->fetcher->engine->vault;
	g_autoptr(GError) damaged = NULL;
	uint8_t digest[32];
	gsize len = sizeof(digest);

	g_checksum_get_digest(fetch->kept, digest, &len);
	if (vault_matches(vault, fetch->uid, fetch->stored + fetch->buffer->len, digest)) {
		request_answered(fetch);
		return;
	}
	fetch->has_ended = false;
	damaged = g_error_new(MAILFS_ERROR, MAILFS_ERROR_DISK, "its file is damaged");
	kept_failed(fetch, damaged);
}

static void on_piece(void *user, GBytes *bytes, const GError *error)
{
	struct fetch *fetch = disk_read_end(user);
	gsize len = 0;
	const void *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;

	if (!fetch)
		return;
	if (error) {
		kept_failed(fetch, error);
	} else {
		request_data(fetch, data, len);
		g_checksum_update(fetch->kept, data, (gssize)len);
		fetch->has_ended = len < KEPT_PIECE;
		if (fetch->has_ended)
			ended(fetch);
		else
			read_next(fetch);
	}
	fetch_release(fetch);
}

static void read_next(struct fetch *fetch)
{
	struct vault *vault = fetch->fetcher->engine->vault;
	g_autoptr(GError) gone = NULL;

	/* Somebody may have removed it meanwhile. */
	if (!vault_can_read(vault, fetch->folder, fetch->uid)) {
		gone = g_error_new(MAILFS_ERROR, MAILFS_ERROR_GONE, "the message is no more");
		request_failed(fetch, gone);
		return;
	}
	vault_read(vault, fetch->uid,
		(struct mailfs_range){ fetch->stored + fetch->buffer->len, KEPT_PIECE }, on_piece,
		disk_read_new(fetch, NULL));
}

bool kept_start(struct fetch *fetch)
{
	if (!vault_can_read(fetch->fetcher->engine->vault, fetch->folder, fetch->uid))
		return false;
	fetch->is_whole = true;
	g_clear_pointer(&fetch->kept, g_checksum_free);
	fetch->kept = g_checksum_new(G_CHECKSUM_SHA256);
	request_begin(fetch, UINT64_MAX);
	read_next(fetch);
	return true;
}
