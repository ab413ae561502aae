/* SPDX-License-Identifier: MIT */
/* Commands in order: sending, literals, answers by tag. Loop thread. RFC 9051 §5.5. */
#include "backend/imap/queue.h"

#include <string.h>

#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "backend/imap/verdict.h"
#include "base/log.h"
#include "base/parse.h"

#define UNHEARD_MAX (256ull << 20) /* on one connection */

/* ---- life ------------------------------------------------------------------------------------ */

static void random_prefix(char prefix[9])
{
	for (int i = 0; i < 8; i++)
		prefix[i] = (char)('a' + g_random_int_range(0, 26));
	prefix[8] = '\0';
}

void queue_init(struct queue *queue, struct mailfs_session *session)
{
	*queue = (struct queue){ .session = session, .limit = QUEUE_PIPELINE_MAX };
	g_queue_init(&queue->foreground);
	g_queue_init(&queue->background);
	g_queue_init(&queue->in_flight);
	random_prefix(queue->prefix);
}

struct command *command_new(struct imap_cmd *cmd, const struct command_hooks *hooks,
	struct request *request, const char *what)
{
	struct command *command = g_new0(struct command, 1);

	*command = (struct command){
		.hooks = hooks, .cmd = cmd, .request = request, .what = what, .phase = VERDICT_READ,
	};
	return command;
}

static void command_free(struct command *command)
{
	if (command->user_free)
		command->user_free(command->user);
	imap_cmd_free(command->cmd);
	g_free(command->box);
	g_free(command);
}

static void command_end(struct command *command, const struct imap_response *response,
	const GError *error)
{
	command->hooks->done(command, response, error);
	command_free(command);
}

static void clear(GQueue *commands)
{
	struct command *command;

	while ((command = g_queue_pop_head(commands)))
		command_free(command);
}

void queue_done(struct queue *queue)
{
	clear(&queue->foreground);
	clear(&queue->background);
	clear(&queue->in_flight);
	queue->unsent = NULL;
	queue->streaming = NULL;
}

/* What a detached command does with the rest of its answer: nothing. */
static void deaf_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
}

static bool deaf_begin(struct command *command, const struct imap_fetch *fetch)
{
	return false;
}

static const struct command_hooks deaf_hooks = { .begin = deaf_begin, .done = deaf_done };

static void detach_waiting(GQueue *commands, const struct request *request)
{
	for (GList *link = commands->head, *next; link; link = next) {
		struct command *command = link->data;

		next = link->next;
		if (command->request == request) {
			g_queue_delete_link(commands, link);
			command_free(command);
		}
	}
}

static bool has_own_literal(const struct command *command)
{
	return command->hooks->literal != NULL;
}

void queue_detach(struct queue *queue, const struct request *request)
{
	detach_waiting(&queue->foreground, request);
	detach_waiting(&queue->background, request);
	for (GList *link = queue->in_flight.head; link; link = link->next) {
		struct command *command = link->data;

		if (command->request != request)
			continue;
		command->request = NULL;
		if (queue->unsent == command && has_own_literal(command))
			session_fail(queue->session, MAILFS_ERROR_CANCELLED,
				"an upload was given up halfway");
		/* A SELECT still decides which box is open, and an IDLE is to be left. */
		if (!command->is_select && !command->is_idle)
			command->hooks = &deaf_hooks;
		if (queue->streaming == command)
			queue->streaming = NULL;
	}
}

bool queue_is_quiet(const struct queue *queue)
{
	return queue->in_flight.length == 0;
}

bool queue_has_waiting(const struct queue *queue)
{
	return queue->foreground.length + queue->background.length > 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

void queue_add(struct queue *queue, struct command *command)
{
	command->serial = ++queue->last_serial;
	g_queue_push_tail(command->is_background ? &queue->background : &queue->foreground, command);
	session_kick(queue->session);
}

void queue_add_first(struct queue *queue, struct command *command)
{
	command->serial = ++queue->last_serial;
	g_queue_push_head(&queue->foreground, command);
	session_kick(queue->session);
}

static void log_sent(const struct command *command)
{
	g_autofree char *text = NULL;

	if (!log_is_on(LOG_WIRE))
		return;
	text = imap_cmd_describe(command->cmd);
	log_write(LOG_WIRE, "imap", "C: %s %s", command->tag, text);
}

static void send_segment(struct queue *queue, struct command *command)
{
	struct imap_segment segment = imap_cmd_segment(command->cmd, command->sent++);

	stream_write(queue->session->stream, segment.bytes, segment.len);
	queue->unsent = command->sent < command->segments ? command : NULL;
	if (!queue->unsent && command->hooks->sent)
		command->hooks->sent(command);
}

/* The literal that comes next is not in the segments: it is the hook's. */
static bool is_literal_due(const struct command *command)
{
	return has_own_literal(command) && command->sent == command->segments - 1;
}

void queue_end_literal(struct queue *queue, struct command *command)
{
	g_assert(queue->unsent == command && queue->is_in_literal);
	queue->is_in_literal = false;
	queue->is_owing = false;
	send_segment(queue, command);
}

void queue_send_now(struct queue *queue, struct command *command)
{
	g_snprintf(command->tag, sizeof(command->tag), "%s%" G_GUINT64_FORMAT, queue->prefix,
		++queue->last_tag);
	command->segments = imap_cmd_finish(command->cmd, command->tag);
	g_queue_push_tail(&queue->in_flight, command);
	if (command->is_select)
		select_on_sent(queue->session, command);
	log_sent(command);
	send_segment(queue, command);
}

static GQueue *waiting(struct queue *queue)
{
	return g_queue_is_empty(&queue->foreground) ? &queue->background : &queue->foreground;
}

/* The head needs its box first. */
static void send_select(struct queue *queue, const struct command *head)
{
	struct command *select = select_new(queue->session, head->box, NULL, NULL);

	if (select) {
		queue_send_now(queue, select);
	} else {
		g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_INVALID,
			"no server takes this folder name");
		g_autofree char *name = g_strdup(head->box);

		queue_fail_box(queue, name, error);
	}
}

static bool may_follow(const struct queue *queue, const struct command *head)
{
	const GList *last = queue->in_flight.tail;

	if (!last)
		return true;
	if (((const struct command *)last->data)->is_along)
		return head->is_select && queue->in_flight.length == 1;
	return head->is_pipelined && ((const struct command *)last->data)->is_pipelined &&
		queue->in_flight.length < queue->limit;
}

static bool is_stale(const struct queue *queue, const struct command *command)
{
	return command->has_uidvalidity &&
		queue->session->box.uidvalidity != command->uidvalidity;
}

static void fail_stale(struct command *command)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_STALE,
		"%s: the folder has another UIDVALIDITY now", command->what);

	command_end(command, NULL, error);
}

/* One turn; false when nothing more can be sent now. */
static bool pump_one(struct queue *queue)
{
	struct mailfs_session *s = queue->session;
	struct command *head = g_queue_peek_head(waiting(queue));

	if (!head || !may_follow(queue, head))
		return false;
	if (head->box && !head->is_select && !box_is(&s->box, head->box)) {
		if (!queue_is_quiet(queue))
			return false;
		send_select(queue, head);
		return true;
	}
	g_queue_pop_head(waiting(queue));
	if (head->may_skip && box_is(&s->box, head->box)) {
		command_end(head, NULL, NULL);
		return true;
	}
	if (is_stale(queue, head)) {
		fail_stale(head);
		return true;
	}
	queue_send_now(queue, head);
	return true;
}

void queue_pump(struct queue *queue)
{
	struct mailfs_session *s = queue->session;

	if (s->life.state != SESSION_READY || s->life.failure)
		return;
	while (!queue->unsent && !s->life.failure && pump_one(queue))
		;
	if (s->life.failure)
		return;
	idle_pump(s);
	stream_expect(s->stream, !queue_is_quiet(queue) && !queue->is_owing && !idle_is_silent(s));
}

void queue_fail_box(struct queue *queue, const char *box, const GError *error)
{
	GQueue *both[] = { &queue->foreground, &queue->background };
	uint64_t newest = queue->last_serial;

	for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
		GList *link = both[i]->head;

		while (link) {
			struct command *command = link->data;

			if (command->is_select || command->serial > newest || !command->box ||
				strcmp(command->box, box) != 0) {
				link = link->next;
				continue;
			}
			g_queue_delete_link(both[i], link);
			command_end(command, NULL, error);
			link = both[i]->head; /* the hook may have changed the queue */
		}
	}
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct command *find_tag(const struct queue *queue, const char *tag)
{
	for (GList *link = queue->in_flight.head; link; link = link->next) {
		struct command *command = link->data;

		if (strcmp(command->tag, tag) == 0)
			return command;
	}
	return NULL;
}

/* A tag that we sent and that was answered before: once is forgiven (PX-14). */
static bool was_answered(const struct queue *queue, const char *tag)
{
	size_t len = strlen(queue->prefix);
	uint64_t number;

	return strncmp(tag, queue->prefix, len) == 0 &&
		parse_u64(tag + len, strlen(tag + len), &number) && number >= 1 &&
		number <= queue->last_tag;
}

static void on_stray_tag(struct queue *queue, const struct imap_response *response)
{
	struct mailfs_session *s = queue->session;

	if (s->life.state != SESSION_LOGIN && was_answered(queue, response->tag) && queue->strays++ == 0) {
		log_info("imap", "an answer came twice");
		return;
	}
	session_fail(s, MAILFS_ERROR_PROTOCOL, "an answer came to a command that was not sent");
}

/* The last octets of its literal are still here: of no use any more, and perhaps taken for commands. */
static bool is_flowing(const struct queue *queue, const struct command *command)
{
	return has_own_literal(command) && stream_unsent(queue->session->stream) > 0;
}

/* The rest of a refused command is never sent (CN-6); OK without all of it is a lie. */
static GError *answer_early(struct queue *queue, const struct imap_response *response)
{
	bool was_in_literal = queue->is_in_literal || !queue->unsent;
	GError *error = NULL;

	queue->is_in_literal = queue->is_owing = false;
	queue->unsent = NULL;
	if (response->status == IMAP_OK) {
		error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
			"a command was answered before it was sent");
		session_fail_take(queue->session, g_error_copy(error));
	} else if (was_in_literal) {
		/* Who knows whether the server waits for the rest of the literal (WR-3)? */
		session_fail(queue->session, MAILFS_ERROR_CONNECTION_LOST,
			"the server refused a message that was half sent");
	}
	return error;
}

void queue_on_tagged(struct queue *queue, const struct imap_response *response)
{
	struct command *command = find_tag(queue, response->tag);
	g_autoptr(GError) error = NULL;

	if (!command) {
		on_stray_tag(queue, response);
		return;
	}
	if (response->status != IMAP_OK && response->status != IMAP_NO &&
		response->status != IMAP_BAD) {
		session_fail(queue->session, MAILFS_ERROR_PROTOCOL, "a tagged answer without a status");
		return;
	}
	if (queue->unsent == command || is_flowing(queue, command))
		error = answer_early(queue, response);
	if (response->status != IMAP_OK)
		error = verdict_error(response, (enum verdict_phase)command->phase, command->what);
	g_queue_remove(&queue->in_flight, command);
	if (queue->streaming == command)
		queue->streaming = NULL;
	command_end(command, response, error);
}

void queue_on_continuation(struct queue *queue, const struct imap_response *response)
{
	struct command *unsent = queue->unsent;

	if (unsent && is_literal_due(unsent) && !queue->is_in_literal) {
		queue->is_in_literal = true;
		unsent->hooks->literal(unsent);
	} else if (unsent && !is_literal_due(unsent))
		send_segment(queue, unsent);
	else if (!idle_on_continuation(queue->session))
		session_fail(queue->session, MAILFS_ERROR_PROTOCOL,
			"the server asks to go on with nothing");
}

bool queue_on_untagged(struct queue *queue, const struct imap_response *response)
{
	for (GList *link = queue->in_flight.head; link; link = link->next) {
		struct command *command = link->data;

		if (command->hooks->untagged && command->hooks->untagged(command, response))
			return true;
	}
	return false;
}

/* A body that somebody asked for and nobody wants any more may be dense too, within a bound. */
static void excuse_unheard(struct queue *queue, uint64_t len)
{
	for (GList *link = queue->in_flight.head; link; link = link->next) {
		const struct command *command = link->data;

		if (command->hooks != &deaf_hooks || command->bodies == 0)
			continue;
		len = MIN(len, UNHEARD_MAX - queue->unheard);
		queue->unheard += len;
		stream_excuse(queue->session->stream, len);
		return;
	}
}

bool queue_on_fetch(struct queue *queue, const struct imap_fetch *fetch)
{
	struct command *streaming = queue->streaming;

	if (queue->is_streaming) {
		queue->is_streaming = false;
		queue->streaming = NULL;
		if (streaming)
			return streaming->hooks->fetch && streaming->hooks->fetch(streaming, fetch);
	}
	for (GList *link = queue->in_flight.head; link; link = link->next) {
		struct command *command = link->data;

		if (command->hooks->fetch && command->hooks->fetch(command, fetch))
			return true;
	}
	if (fetch->body && fetch->body->type == IMAP_NODE_STRING)
		excuse_unheard(queue, fetch->body->len);
	return false;
}

void queue_on_data_begin(struct queue *queue, const struct imap_fetch *fetch)
{
	queue->is_streaming = true;
	queue->streaming = NULL;
	for (GList *link = fetch ? queue->in_flight.head : NULL; link; link = link->next) {
		struct command *command = link->data;

		if (command->hooks->begin && command->hooks->begin(command, fetch)) {
			/* The hook may have ended its request and so detached the command. */
			queue->streaming = command->hooks->data ? command : NULL;
			return;
		}
	}
}

void queue_on_data(struct queue *queue, const uint8_t *bytes, size_t len)
{
	if (queue->streaming)
		queue->streaming->hooks->data(queue->streaming, bytes, len);
	else
		excuse_unheard(queue, len);
}
