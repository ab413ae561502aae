/* SPDX-License-Identifier: MIT */
/* The life of a request. Loop thread. */
#include "backend/pop3/request.h"

#include <stdarg.h>

#include "backend/pop3/session.h"

mailfs_ticket pop3_request_add(struct mailfs_session *s, struct pop3_request *request)
{
	request->session = s;
	request->ticket = ++s->last_ticket;
	g_queue_push_tail(&s->requests, request);
	pop3_session_kick(s);
	return request->ticket;
}

void pop3_request_finish(struct pop3_request *request, const GError *error)
{
	struct mailfs_session *s = request->session;

	g_queue_remove(&s->requests, request);
	pop3_queue_detach(&s->queue, request);
	request->done(request, error);
	request->free(request);
	pop3_session_kick(s);
}

void pop3_request_fail(struct pop3_request *request, enum mailfs_error code, const char *format,
	...)
{
	g_autoptr(GError) error = NULL;
	va_list args;

	va_start(args, format);
	error = g_error_new_valist(MAILFS_ERROR, (gint)code, format, args);
	va_end(args);
	pop3_request_finish(request, error);
}
