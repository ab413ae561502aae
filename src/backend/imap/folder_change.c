/* SPDX-License-Identifier: MIT */
/*
 * The tree changed: CREATE, DELETE, RENAME and subscriptions. Names from users are encoded here and
 * go out quoted or as literals; names of the server go back as they came. A folder is deleted only
 * after the server has shown, in this very session, that it has no message and nothing below it,
 * and never while it is open. Loop thread. RFC 9051 §6.3.4 … §6.3.8, NM-8, NM-9, WR-6, WR-8.
 */
#include <string.h>

#include "backend/imap/change.h"
#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "backend/imap/verdict.h"
#include "wire/utf7.h"

struct folder_change {
	struct request request;
	struct mailfs_folder_request args;
	char *folder, *parent, *component;
	char *name; /* the new wire name; told when it exists */
	char delimiter;
	bool exists; /* `name` does */

	/* Of LIST. */
	bool is_listed, is_noselect, has_children;
	char listed_delimiter;
};

static struct folder_change *change_of(const struct command *command)
{
	return (struct folder_change *)command->request;
}

static bool is_inbox(const char *name)
{
	return g_ascii_strcasecmp(name, "INBOX") == 0;
}

/* ---- commands -------------------------------------------------------------------------------- */

/* "VERB first second", either name may be NULL. `is_first`: nothing may get between the answer that
 * allowed it and this command. */
static void send(struct folder_change *change, struct imap_cmd *cmd, const char *names[2],
	const struct command_hooks *hooks, bool is_first)
{
	struct queue *queue = &change->request.session->queue;
	struct command *command;

	for (int i = 0; i < 2; i++) {
		if (names[i] && !imap_cmd_mailbox(cmd, names[i])) {
			imap_cmd_free(cmd);
			request_fail(&change->request, MAILFS_ERROR_INVALID,
				"no server takes this folder name");
			return;
		}
	}
	command = command_new(cmd, hooks, &change->request, "changing folders");
	command->phase = VERDICT_CHANGE;
	if (is_first)
		queue_add_first(queue, command);
	else
		queue_add(queue, command);
}

static void on_last_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	request_finish(command->request, error);
}

/* Subscription is no condition of what was done before it. */
static void on_optional_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	request_finish(command->request, NULL);
}

static const struct command_hooks last_hooks = { .done = on_last_done };
static const struct command_hooks optional_hooks = { .done = on_optional_done };

static void on_subscribed(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct folder_change *change = change_of(command);
	const char *names[2] = { change->folder };

	if (change->folder)
		send(change, imap_cmd_new("UNSUBSCRIBE"), names, &optional_hooks, false);
	else
		request_finish(&change->request, NULL);
}

/* The new name; then the old one, if there was one. */
static void subscribe(struct folder_change *change)
{
	static const struct command_hooks hooks = { .done = on_subscribed };
	const char *names[2] = { change->name };

	change->exists = true;
	send(change, imap_cmd_new("SUBSCRIBE"), names, &hooks, false);
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_fine(const struct folder_change *change, const char *wire)
{
	const char *component = change->component;

	if (component[0] == '\0' || strcmp(component, ".") == 0 || strcmp(component, "..") == 0)
		return false;
	for (const char *p = component; *p; p++)
		if (g_ascii_iscntrl(*p))
			return false;
	return change->delimiter == '\0' ||
		(!strchr(component, change->delimiter) && !strchr(wire, change->delimiter));
}

/* False: the request has ended. */
static bool make_name(struct folder_change *change)
{
	const char *prefix = change->request.session->namespace_prefix;
	g_autofree char *wire = utf7_encode(change->component);

	if (!wire || !is_fine(change, wire)) {
		request_fail(&change->request, MAILFS_ERROR_INVALID, "no server takes this folder name");
		return false;
	}
	if (change->parent && change->delimiter == '\0') {
		request_fail(&change->request, MAILFS_ERROR_NOT_POSSIBLE,
			"this server has no folders inside folders");
		return false;
	}
	change->name = change->parent
		? g_strdup_printf("%s%c%s", change->parent, change->delimiter, wire)
		: g_strconcat(prefix ? prefix : "", wire, NULL);
	if (is_inbox(change->name)) {
		request_fail(&change->request, MAILFS_ERROR_EXISTS, "there is one INBOX only");
		return false;
	}
	return true;
}

static bool on_root(struct command *command, const struct imap_response *response)
{
	struct folder_change *change = change_of(command);
	struct imap_list list;

	if (!imap_list_parse(response, &list))
		return false;
	if (change->delimiter == '\0')
		change->delimiter = list.delimiter;
	return true;
}

static void with_name(struct folder_change *change);

static void on_root_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	if (error)
		request_finish(command->request, error);
	else
		with_name(change_of(command));
}

/* LIST "" "" tells the delimiter and nothing else, RFC 9051 §6.3.9. */
static void ask_delimiter(struct folder_change *change)
{
	static const struct command_hooks hooks = { .untagged = on_root, .done = on_root_done };
	const char *names[2] = { "", "" };

	send(change, imap_cmd_new("LIST"), names, &hooks, false);
}

/* ---- leaving an open folder ------------------------------------------------------------------ */

static void when_left(struct folder_change *change);

static void on_other_opened(struct request *request, const GError *error)
{
	if (error)
		request_finish(request, error);
	else
		when_left((struct folder_change *)request);
}

/* Opening another one closes this one without expunging anything; CLOSE would. */
static void open_inbox(struct folder_change *change)
{
	queue_add_first(&change->request.session->queue,
		select_new(change->request.session, "INBOX", &change->request, on_other_opened));
}

static void on_unselected(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct folder_change *change = change_of(command);
	struct mailfs_session *s = change->request.session;

	if (error) {
		s->no_unselect = true;
		open_inbox(change);
		return;
	}
	box_reset(&s->box);
	when_left(change);
}

static bool is_inside(const struct folder_change *change, const char *name)
{
	size_t len = strlen(change->folder);
	char delimiter = change->listed_delimiter ? change->listed_delimiter : change->delimiter;

	return strncmp(name, change->folder, len) == 0 &&
		(name[len] == '\0' || (delimiter != '\0' && name[len] == delimiter));
}

/* Nothing is in flight here: what is open stays open until the next command. */
static void leave(struct folder_change *change)
{
	static const struct command_hooks hooks = { .done = on_unselected };
	const struct mailfs_session *s = change->request.session;
	const char *names[2] = { NULL };

	if (s->box.state != BOX_OPEN || !is_inside(change, s->box.name))
		when_left(change);
	else if (s->caps.unselect && !s->no_unselect)
		send(change, imap_cmd_new("UNSELECT"), names, &hooks, true);
	else
		open_inbox(change);
}

/* ---- DELETE ---------------------------------------------------------------------------------- */

static void on_deleted(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct folder_change *change = change_of(command);
	const char *names[2] = { change->folder };

	if (error)
		request_finish(command->request, error);
	else
		send(change, imap_cmd_new("UNSUBSCRIBE"), names, &optional_hooks, false);
}

static void on_renamed(struct command *command, const struct imap_response *response,
	const GError *error)
{
	if (error)
		request_finish(command->request, error);
	else
		subscribe(change_of(command));
}

static void when_left(struct folder_change *change)
{
	static const struct command_hooks delete_hooks = { .done = on_deleted };
	static const struct command_hooks rename_hooks = { .done = on_renamed };
	const char *names[2] = { change->folder, change->name };

	if (change->args.verb == MAILFS_FOLDER_DELETE)
		send(change, imap_cmd_new("DELETE"), names, &delete_hooks, true);
	else
		send(change, imap_cmd_new("RENAME"), names, &rename_hooks, true);
}

static void on_emptiness(struct request *request, const GError *error)
{
	if (error)
		request_finish(request, error);
	else if (request->session->box.exists > 0)
		request_fail(request, MAILFS_ERROR_NOT_EMPTY, "the folder has messages");
	else
		leave((struct folder_change *)request);
}

/* SELECT counts, STATUS guesses (ID-7). */
static void check_messages(struct folder_change *change)
{
	struct mailfs_session *s = change->request.session;
	struct command *command;

	if (change->is_noselect) {
		when_left(change);
		return;
	}
	command = select_new(s, change->folder, &change->request, on_emptiness);
	g_assert(command); /* LIST took the name */
	queue_add(&s->queue, command);
}

/* Never trust LIST to have filtered, and names may hold its wildcards (NM-8). */
static bool on_listed(struct command *command, const struct imap_response *response)
{
	struct folder_change *change = change_of(command);
	struct imap_list list;

	if (!imap_list_parse(response, &list))
		return false;
	if (strcmp(list.name, change->folder) == 0) {
		change->is_listed = true;
		change->is_noselect = (list.flags & MAILFS_FOLDER_NOSELECT) != 0;
		change->listed_delimiter = list.delimiter;
	} else if (is_inside(change, list.name)) {
		change->has_children = true;
	}
	return true;
}

static void on_children_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct folder_change *change = change_of(command);

	if (error)
		request_finish(command->request, error);
	else if (change->has_children)
		request_fail(command->request, MAILFS_ERROR_NOT_EMPTY, "the folder has folders inside");
	else
		check_messages(change);
}

static void list_children(struct folder_change *change)
{
	static const struct command_hooks hooks = { .untagged = on_listed, .done = on_children_done };
	g_autofree char *pattern =
		g_strdup_printf("%s%c%%", change->folder, change->listed_delimiter);
	const char *names[2] = { "", pattern };

	if (change->listed_delimiter == '\0')
		check_messages(change);
	else
		send(change, imap_cmd_new("LIST"), names, &hooks, false);
}

static void on_self_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct folder_change *change = change_of(command);

	if (error)
		request_finish(command->request, error);
	else if (!change->is_listed)
		request_fail(command->request, MAILFS_ERROR_GONE, "the server does not list the folder");
	else
		list_children(change);
}

static void begin_delete(struct folder_change *change)
{
	static const struct command_hooks hooks = { .untagged = on_listed, .done = on_self_done };
	const char *names[2] = { "", change->folder };

	send(change, imap_cmd_new("LIST"), names, &hooks, false);
}

/* ---- CREATE and RENAME ----------------------------------------------------------------------- */

static void on_created(struct command *command, const struct imap_response *response,
	const GError *error)
{
	if (error)
		request_finish(command->request, error);
	else
		subscribe(change_of(command));
}

static void on_quiet(struct command *command, const struct imap_response *response,
	const GError *error)
{
	if (error)
		request_finish(command->request, error);
	else
		leave(change_of(command));
}

static void rename_folder(struct folder_change *change)
{
	static const struct command_hooks hooks = { .done = on_quiet };
	const char *names[2] = { NULL };

	if (strcmp(change->name, change->folder) == 0) {
		change->exists = true;
		request_finish(&change->request, NULL);
	} else if (is_inside(change, change->name)) {
		request_fail(&change->request, MAILFS_ERROR_INVALID,
			"a folder cannot be moved into itself");
	} else {
		/* When it is answered nothing is in flight, and it is sure which folder is open. */
		send(change, imap_cmd_new("NOOP"), names, &hooks, false);
	}
}

static void with_name(struct folder_change *change)
{
	static const struct command_hooks hooks = { .done = on_created };
	const char *names[2] = { NULL };

	if (!make_name(change))
		return;
	names[0] = change->name;
	if (change->args.verb == MAILFS_FOLDER_CREATE)
		send(change, imap_cmd_new("CREATE"), names, &hooks, false);
	else
		rename_folder(change);
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool is_protected(const struct folder_change *change)
{
	enum mailfs_folder_verb verb = change->args.verb;

	return (verb == MAILFS_FOLDER_DELETE || verb == MAILFS_FOLDER_RENAME) &&
		is_inbox(change->folder);
}

static void change_begin(struct request *request)
{
	struct folder_change *change = (struct folder_change *)request;
	const char *names[2] = { change->folder };

	if (change_is_refused(request))
		return;
	if (is_protected(change)) {
		request_fail(request, MAILFS_ERROR_NOT_POSSIBLE, "INBOX stays");
		return;
	}
	if (change->delimiter == '\0')
		change->delimiter = request->session->namespace_delimiter;
	switch (change->args.verb) {
	case MAILFS_FOLDER_CREATE:
	case MAILFS_FOLDER_RENAME:
		if (change->delimiter == '\0')
			ask_delimiter(change);
		else
			with_name(change);
		break;
	case MAILFS_FOLDER_DELETE:
		begin_delete(change);
		break;
	case MAILFS_FOLDER_SUBSCRIBE:
		send(change, imap_cmd_new("SUBSCRIBE"), names, &last_hooks, false);
		break;
	case MAILFS_FOLDER_UNSUBSCRIBE:
		send(change, imap_cmd_new("UNSUBSCRIBE"), names, &last_hooks, false);
		break;
	}
}

static void change_done(struct request *request, const GError *error)
{
	struct folder_change *change = (struct folder_change *)request;

	change->args.done(change->args.user, !error && change->exists ? change->name : NULL, error);
}

static void change_free(struct request *request)
{
	struct folder_change *change = (struct folder_change *)request;

	g_free(change->folder);
	g_free(change->parent);
	g_free(change->component);
	g_free(change->name);
	g_free(change);
}

mailfs_ticket folder_change_start(struct mailfs_session *s,
	const struct mailfs_folder_request *args)
{
	struct folder_change *change = g_new0(struct folder_change, 1);

	change->request =
		(struct request){ .start = change_begin, .done = change_done, .free = change_free };
	change->args = *args;
	change->folder = g_strdup(args->folder);
	change->parent = args->parent && args->parent[0] ? g_strdup(args->parent) : NULL;
	change->component = g_strdup(args->component ? args->component : "");
	change->delimiter = args->delimiter;
	return request_add(s, &change->request);
}
