/* SPDX-License-Identifier: MIT */
/* Commands in order. Loop thread. RFC 1939 §3, RFC 2449 §6.6. */
#include "backend/pop3/queue.h"

#include <stdarg.h>
#include <string.h>

#include "backend/pop3/session.h"
#include "base/log.h"

/* ---- life ------------------------------------------------------------------------------------ */

void pop3_queue_init(struct pop3_queue *queue, struct mailfs_session *session)
{
	*queue = (struct pop3_queue){ .session = session, .limit = 1 };
	g_queue_init(&queue->foreground);
	g_queue_init(&queue->background);
	g_queue_init(&queue->in_flight);
}

static void command_free(struct pop3_command *command)
{
	if (command->user_free)
		command->user_free(command->user);
	explicit_bzero(command->line, strlen(command->line));
	g_free(command->line);
	g_free(command);
}

static void clear(GQueue *commands)
{
	struct pop3_command *command;

	while ((command = g_queue_pop_head(commands)))
		command_free(command);
}

void pop3_queue_done(struct pop3_queue *queue)
{
	clear(&queue->foreground);
	clear(&queue->background);
	clear(&queue->in_flight);
	queue->bytes = 0;
}

struct pop3_command *pop3_command_new(const struct pop3_hooks *hooks, enum pop3_answer answer,
	const char *what, const char *format, ...)
{
	struct pop3_command *command = g_new0(struct pop3_command, 1);
	va_list args;

	va_start(args, format);
	command->line = g_strdup_vprintf(format, args);
	va_end(args);
	command->hooks = hooks;
	command->answer = answer;
	command->what = what;
	return command;
}

/* ---- sending --------------------------------------------------------------------------------- */

void pop3_queue_add(struct pop3_queue *queue, struct pop3_command *command)
{
	g_queue_push_tail(command->is_background ? &queue->background : &queue->foreground, command);
}

static void send(struct pop3_queue *queue, struct pop3_command *command)
{
	struct stream *stream = queue->session->stream;

	if (log_is_on(LOG_WIRE))
		log_write(LOG_WIRE, "pop3", "C: %s", command->is_secret ? "(secret)" : command->line);
	stream_write(stream, command->line, strlen(command->line));
	stream_write(stream, "\r\n", 2);
	stream_expect(stream, true);
	queue->bytes += command->bytes;
	g_queue_push_tail(&queue->in_flight, command);
}

static bool has_room(const struct pop3_queue *queue)
{
	guint count = g_queue_get_length((GQueue *)&queue->in_flight);

	return count == 0 || (count < queue->limit && queue->bytes < POP3_QUEUE_BYTES);
}

void pop3_queue_pump(struct pop3_queue *queue)
{
	struct mailfs_session *s = queue->session;

	while (s->stream && !s->life.failure && !s->is_switching && has_room(queue)) {
		struct pop3_command *command = g_queue_pop_head(&queue->foreground);

		if (!command)
			command = g_queue_pop_head(&queue->background);
		if (!command)
			break;
		send(queue, command);
	}
	if (s->stream && g_queue_is_empty(&queue->in_flight))
		stream_expect(s->stream, false);
}

/* ---- forgetting ------------------------------------------------------------------------------ */

static void drop_unsent(GQueue *commands, const struct request *request)
{
	GList *next;

	for (GList *at = commands->head; at; at = next) {
		struct pop3_command *command = at->data;

		next = at->next;
		if (command->request != request)
			continue;
		g_queue_delete_link(commands, at);
		command_free(command);
	}
}

static void unheard(struct pop3_command *command, const char *text, const GError *error)
{
}

void pop3_queue_detach(struct pop3_queue *queue, const struct request *request)
{
	static const struct pop3_hooks nobody = { .done = unheard };

	drop_unsent(&queue->foreground, request);
	drop_unsent(&queue->background, request);
	for (GList *at = queue->in_flight.head; at; at = at->next) {
		struct pop3_command *command = at->data;

		if (command->request != request)
			continue;
		command->request = NULL;
		command->hooks = &nobody;
	}
}

/* ---- answers --------------------------------------------------------------------------------- */

static void finish(struct pop3_queue *queue, const char *text, const GError *error)
{
	struct pop3_command *command = g_queue_pop_head(&queue->in_flight);

	queue->bytes -= command->bytes;
	command->hooks->done(command, text, error);
	command_free(command);
}

static void on_status(struct pop3_queue *queue, struct pop3_command *command,
	const struct pop3_event *event)
{
	g_autoptr(GError) error = NULL;

	if (!event->is_ok) {
		error = pop3_verdict(event, command->phase, command->what);
		finish(queue, NULL, error);
		return;
	}
	if (command->answer == POP3_ONE_LINE) {
		finish(queue, event->text, NULL);
		return;
	}
	pop3_reader_expect(queue->session->reader,
		command->answer == POP3_OCTETS ? POP3_MESSAGE : POP3_LISTING);
	if (command->hooks->begin)
		command->hooks->begin(command);
}

bool pop3_queue_on_event(struct pop3_queue *queue, const struct pop3_event *event)
{
	struct pop3_command *command = g_queue_peek_head(&queue->in_flight);

	if (!command)
		return false;
	switch (event->type) {
	case POP3_EVENT_STATUS:
		on_status(queue, command, event);
		return true;
	case POP3_EVENT_LINE:
		if (command->hooks->line)
			command->hooks->line(command, event->text);
		return true;
	case POP3_EVENT_DATA:
		if (command->hooks->data)
			command->hooks->data(command, event->bytes, event->len);
		return true;
	case POP3_EVENT_END:
		finish(queue, "", NULL);
		return true;
	default:
		return false;
	}
}
