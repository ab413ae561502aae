/* SPDX-License-Identifier: MIT */
/*
 * COMPRESS=DEFLATE on a session that is in use. The command is not pipelined: the queue sends it when
 * nothing is in flight, and nothing behind it before its answer. Loop thread. RFC 4978.
 */
#include "backend/imap/session.h"

void compress_begin(struct mailfs_session *s)
{
	if (!imap_reader_is_idle(s->reader)) {
		session_fail(s, MAILFS_ERROR_PROTOCOL, "the server talks on before compression");
		return;
	}
	s->is_compressed = true;
	s->is_switching = true;
	stream_start_deflate(s->stream);
}

static void on_answer(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct mailfs_session *s = command->user;

	s->is_compressing = false;
	s->no_compress = error != NULL;
	if (!error)
		compress_begin(s);
}

void compress_start(struct mailfs_session *s)
{
	static const struct command_hooks hooks = { .done = on_answer };
	struct command *command;

	if (s->life.state != SESSION_READY || s->life.failure || !s->caps.compress_deflate || s->no_compress ||
		s->is_compressed || s->is_compressing)
		return;
	s->is_compressing = true;
	command = command_new(imap_cmd_new("COMPRESS DEFLATE"), &hooks, NULL, "COMPRESS");
	command->user = s;
	queue_add(&s->queue, command);
}
