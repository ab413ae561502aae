/* SPDX-License-Identifier: MIT */
/* The life of a request. Loop thread. */
#include "backend/imap/request.h"

#include <stdarg.h>

#include "backend/imap/session.h"

mailfs_ticket request_add(struct mailfs_session *s, struct request *request)
{
	request->session = s;
	request->ticket = ++s->last_ticket;
	g_queue_push_tail(&s->requests, request);
	session_kick(s);
	return request->ticket;
}

void request_finish(struct request *request, const GError *error)
{
	struct mailfs_session *s = request->session;

	g_queue_remove(&s->requests, request);
	queue_detach(&s->queue, request);
	request->done(request, error);
	request->free(request);
	/* Detaching may have unblocked the queue, and the callback may have asked for more. */
	session_kick(s);
}

void request_fail(struct request *request, enum mailfs_error code, const char *format, ...)
{
	g_autoptr(GError) error = NULL;
	va_list args;

	va_start(args, format);
	error = g_error_new_valist(MAILFS_ERROR, (gint)code, format, args);
	va_end(args);
	request_finish(request, error);
}
