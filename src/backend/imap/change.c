/* SPDX-License-Identifier: MIT */
/* UIDs of one request as sets of commands. Loop thread. RFC 9051 §6.4.6, CN-7. */
#include "backend/imap/change.h"

#include <string.h>

#include "backend/imap/request.h"
#include "backend/imap/session.h"
#include "backend/imap/verdict.h"
#include "wire/imap_seqset.h"
#include "wire/limits.h"

void targets_init(struct targets *targets, struct request *request, const char *folder,
	uint32_t uidvalidity, const uint32_t *uids, size_t count)
{
	*targets = (struct targets){
		.request = request, .folder = g_strdup(folder), .uidvalidity = uidvalidity,
		.uids = g_new(uint32_t, count + 1),
	};
	for (size_t i = 0; i < count; i++)
		if (uids[i] != 0 &&
			(targets->count == 0 || uids[i] > targets->uids[targets->count - 1]))
			targets->uids[targets->count++] = uids[i];
}

void targets_done(struct targets *targets)
{
	g_clear_pointer(&targets->folder, g_free);
	g_clear_pointer(&targets->uids, g_free);
	targets->count = 0;
}

size_t targets_lower(const struct targets *targets, uint32_t uid)
{
	size_t low = 0, high = targets->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (targets->uids[middle] < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

ssize_t targets_find(const struct targets *targets, uint32_t uid)
{
	size_t i = targets_lower(targets, uid);

	return i < targets->count && targets->uids[i] == uid ? (ssize_t)i : -1;
}

struct span targets_next(const struct targets *targets, size_t at, size_t max, char **ret_set)
{
	GString *set = g_string_new(NULL);
	size_t taken = imap_seqset_encode(targets->uids + at, MIN(targets->count - at, max),
		WIRE_SET_MAX, set);

	*ret_set = g_string_free(set, FALSE);
	return (struct span){ .from = at, .to = at + taken, .owner = targets->owner };
}

ssize_t span_find(const struct command *command, const struct targets *targets, uint32_t uid)
{
	const struct span *span = command->user;
	ssize_t i = targets_find(targets, uid);

	return i >= 0 && (size_t)i >= span->from && (size_t)i < span->to ? i : -1;
}

struct command *targets_command(const struct targets *targets, struct imap_cmd *cmd,
	const struct command_hooks *hooks, const struct span *span, const char *what)
{
	struct command *command = command_new(cmd, hooks, targets->request, what);

	command->box = g_strdup(targets->folder);
	command->has_uidvalidity = true;
	command->uidvalidity = targets->uidvalidity;
	command->phase = VERDICT_CHANGE;
	if (span) {
		command->user = g_memdup2(span, sizeof(*span));
		command->user_free = g_free;
	}
	return command;
}

void targets_add(const struct targets *targets, struct imap_cmd *cmd,
	const struct command_hooks *hooks, const struct span *span, const char *what)
{
	struct command *command = targets_command(targets, cmd, hooks, span, what);

	command->is_pipelined = true;
	queue_add(&targets->request->session->queue, command);
}

struct imap_cmd *change_store_cmd(const char *set, bool is_add, unsigned flags,
	const char *const *keywords)
{
	struct imap_cmd *cmd = imap_cmd_new("UID STORE");

	imap_cmd_rawf(cmd, "%s %cFLAGS.SILENT", set, is_add ? '+' : '-');
	if (!imap_cmd_flags(cmd, flags, keywords)) {
		imap_cmd_free(cmd);
		return NULL;
	}
	return cmd;
}

struct imap_cmd *change_ask_cmd(const char *set)
{
	struct imap_cmd *cmd = imap_cmd_new("UID FETCH");

	imap_cmd_rawf(cmd, "%s (UID FLAGS)", set);
	return cmd;
}

bool change_is_refused(struct request *request)
{
	if (!request->session->life.config.is_read_only)
		return false;
	request_fail(request, MAILFS_ERROR_READ_ONLY, "the account is mounted read-only");
	return true;
}

bool targets_are_refused(const struct targets *targets)
{
	if (change_is_refused(targets->request))
		return true;
	if (targets->uidvalidity != 0)
		return false;
	request_fail(targets->request, MAILFS_ERROR_READ_ONLY,
		"the server's UIDs do not last: nothing is removed by them");
	return true;
}
