/* SPDX-License-Identifier: MIT */
/* SELECT and EXAMINE, and what untagged data says about the open box. Loop thread. */
#include "backend/imap/select.h"

#include <string.h>

#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "backend/imap/verdict.h"
#include "base/log.h"

void box_reset(struct box *box)
{
	g_free(box->name);
	g_strfreev(box->keywords);
	*box = (struct box){ .state = BOX_NONE };
}

bool box_is(const struct box *box, const char *name)
{
	return box->state == BOX_OPEN && strcmp(box->name, name) == 0;
}

/* ---- untagged data --------------------------------------------------------------------------- */

/* Another UIDVALIDITY while the box is open: every UID we hold is void (ID-1). */
static void on_uidvalidity(struct mailfs_session *s, const struct imap_node *node)
{
	uint32_t value = 0;

	imap_node_u32(node, &value);
	if (s->box.state == BOX_OPEN && value != s->box.uidvalidity) {
		log_info("imap", "the UIDVALIDITY changed while the folder was open");
		session_box_changed(s);
	}
	s->box.uidvalidity = value;
}

static void on_permanent_flags(struct mailfs_session *s, const struct imap_node *node)
{
	const char *const *keywords = NULL;
	bool has_star = false;

	s->box.permanent_flags = imap_flags_parse(node, &s->arena, &keywords, &has_star);
	s->box.has_permanent_flags = true;
	s->box.has_star = has_star;
	g_strfreev(s->box.keywords);
	s->box.keywords = g_strdupv((char **)keywords);
}

static void on_code(struct mailfs_session *s, const struct imap_response *response)
{
	const struct imap_node *arg = response->code_args;
	struct box *box = &s->box;

	if (!response->code)
		return;
	if (strcmp(response->code, "UIDVALIDITY") == 0)
		on_uidvalidity(s, arg);
	else if (strcmp(response->code, "UIDNEXT") == 0)
		imap_node_u32(arg, &box->uidnext);
	else if (strcmp(response->code, "HIGHESTMODSEQ") == 0 && box->state == BOX_OPENING)
		imap_node_u64(arg, &box->highestmodseq);
	else if (strcmp(response->code, "NOMODSEQ") == 0)
		box->highestmodseq = 0;
	else if (strcmp(response->code, "PERMANENTFLAGS") == 0)
		on_permanent_flags(s, arg);
	else if (strcmp(response->code, "READ-ONLY") == 0)
		box->is_read_only = true;
	else if (strcmp(response->code, "MYRIGHTS") == 0)
		box->has_rights = imap_myrights_parse(response, &box->rights) || box->has_rights;
	else if (strcmp(response->code, "UIDNOTSTICKY") == 0)
		box->has_loose_uids = true;
	else if (strcmp(response->code, "CLOSED") == 0)
		box->has_exists = false; /* what came before was about the box before */
}

static void on_exists(struct mailfs_session *s, uint32_t count)
{
	if (s->box.state == BOX_OPEN && count != s->box.exists)
		session_box_changed(s);
	s->box.exists = count;
	s->box.has_exists = true;
}

static void on_expunge(struct mailfs_session *s, uint32_t seq)
{
	/* Numbers that cannot be are noise (SEC-34): the next sync counts again. */
	if (s->box.state != BOX_OPEN)
		return;
	if (seq >= 1 && seq <= s->box.exists)
		s->box.exists--;
	session_box_changed(s);
}

static void count_range(void *user, uint32_t first, uint32_t last)
{
	uint64_t *count = user;

	*count += (uint64_t)last - first + 1;
}

static void on_vanished(struct mailfs_session *s, const struct imap_response *response)
{
	bool is_earlier = false;
	uint64_t count = 0;

	if (!imap_vanished_parse(response, &is_earlier, count_range, &count) || is_earlier)
		return;
	if (s->box.state != BOX_OPEN)
		return;
	s->box.exists -= (uint32_t)MIN(count, s->box.exists);
	session_box_changed(s);
}

bool box_on_untagged(struct mailfs_session *s, const struct imap_response *response)
{
	if (response->status == IMAP_OK) {
		if (s->box.state != BOX_NONE)
			on_code(s, response);
		return true;
	}
	if (s->box.state == BOX_NONE)
		return false;
	if (response->has_number && strcmp(response->name, "EXISTS") == 0)
		on_exists(s, response->number);
	else if (response->has_number && strcmp(response->name, "EXPUNGE") == 0)
		on_expunge(s, response->number);
	else if (strcmp(response->name, "VANISHED") == 0)
		on_vanished(s, response);
	else
		return false;
	return true;
}

/* ---- SELECT ---------------------------------------------------------------------------------- */

struct select {
	struct mailfs_session *session;
	select_fn then;
	bool is_condstore; /* the (CONDSTORE) parameter was sent */
};

static void select_failed(struct command *command, const GError *error)
{
	struct select *select = command->user;
	struct mailfs_session *s = select->session;

	box_reset(&s->box);
	queue_fail_box(&s->queue, command->box, error);
	if (command->request && select->then)
		select->then(command->request, error);
}

static bool wants_condstore(const struct mailfs_session *s)
{
	return s->caps.condstore && !s->has_enabled_condstore && !s->has_enabled_qresync &&
		!s->no_condstore_examine;
}

/* The server knows CONDSTORE by name only (EX-4): the same again without it. */
static void select_again(struct command *command)
{
	struct select *select = command->user;
	struct mailfs_session *s = select->session;
	struct command *plain;

	s->no_condstore_examine = true;
	plain = select_new(s, command->box, command->request, select->then);
	g_assert(plain);
	queue_send_now(&s->queue, plain);
}

/* A folder that was opened on the way to something else: is it still as it is known? */
void select_tell_status(const struct mailfs_session *s)
{
	const struct box *box = &s->box;
	struct mailfs_status status = {
		.folder = box->name,
		.has = MAILFS_STATUS_MESSAGES,
		.messages = box->exists,
		.uidnext = box->uidnext,
		.uidvalidity = box->uidvalidity,
		.modseq = box->highestmodseq,
	};

	status.has |= box->uidnext != 0 ? MAILFS_STATUS_UIDNEXT : 0u;
	status.has |= box->uidvalidity != 0 ? MAILFS_STATUS_UIDVALIDITY : 0u;
	status.has |= box->highestmodseq != 0 ? MAILFS_STATUS_MODSEQ : 0u;
	if (s->life.events.folder_status)
		s->life.events.folder_status(s->life.user, &status);
}

static void select_opened(struct command *command, bool is_fresh)
{
	struct select *select = command->user;

	if (is_fresh && !command->request)
		select_tell_status(select->session);
	if (command->request && select->then)
		select->then(command->request, NULL);
}

static void select_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct select *select = command->user;
	struct mailfs_session *s = select->session;
	g_autoptr(GError) failure = NULL;

	if (error && response && response->status == IMAP_BAD && select->is_condstore) {
		select_again(command);
		return;
	}
	if (error) {
		select_failed(command, error);
		return;
	}
	if (!response) {
		select_opened(command, false); /* skipped: it was open already */
		return;
	}
	if (response->code && strcmp(response->code, "READ-ONLY") == 0)
		s->box.is_read_only = true;
	if (!s->box.has_exists) {
		failure = g_error_new(MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
			"the server opened a folder without telling its size");
		select_failed(command, failure);
		return;
	}
	/* UIDs that do not last are as good as no UIDVALIDITY. */
	if (s->box.has_loose_uids)
		s->box.uidvalidity = 0;
	s->box.state = BOX_OPEN;
	select_opened(command, true);
}

static const struct command_hooks select_hooks = { .done = select_done };

struct command *select_new(struct mailfs_session *s, const char *name, struct request *request,
	select_fn then)
{
	struct imap_cmd *cmd = imap_cmd_new(s->life.config.is_read_only ? "EXAMINE" : "SELECT");
	struct command *command;
	struct select *select;

	if (!imap_cmd_mailbox(cmd, name)) {
		imap_cmd_free(cmd);
		return NULL;
	}
	select = g_new0(struct select, 1);
	*select = (struct select){ .session = s, .then = then, .is_condstore = wants_condstore(s) };
	if (select->is_condstore)
		imap_cmd_raw(cmd, "(CONDSTORE)");
	command = command_new(cmd, &select_hooks, request, "opening the folder");
	command->user = select;
	command->user_free = g_free;
	command->box = g_strdup(name);
	command->is_select = true;
	command->phase = VERDICT_OPEN;
	return command;
}

void select_on_sent(struct mailfs_session *s, const struct command *command)
{
	box_reset(&s->box);
	s->box.state = BOX_OPENING;
	s->box.name = g_strdup(command->box);
}

/* ---- MYRIGHTS -------------------------------------------------------------------------------- */

static bool on_rights(struct command *command, const struct imap_response *response)
{
	return response->status == IMAP_STATUS_NONE && command->request &&
		imap_myrights_parse(response, command->user);
}

/* A refusal leaves the rights unknown: the server has the last word about each change anyway. */
static void rights_done(struct command *command, const struct imap_response *response,
	const GError *error)
{
	struct request *request = command->request;

	if (request && response && response->status == IMAP_BAD)
		request->session->no_myrights = true;
}

struct command *select_rights_new(struct mailfs_session *s, const char *name,
	struct request *request, unsigned *ret_rights)
{
	static const struct command_hooks hooks = { .untagged = on_rights, .done = rights_done };
	struct imap_cmd *cmd;
	struct command *command;

	if (!s->caps.acl || s->life.config.is_read_only || s->no_myrights)
		return NULL;
	cmd = imap_cmd_new("MYRIGHTS");
	if (!imap_cmd_mailbox(cmd, name)) {
		imap_cmd_free(cmd);
		return NULL;
	}
	command = command_new(cmd, &hooks, request, "asking for rights");
	command->user = ret_rights;
	command->is_along = true;
	return command;
}
