/* SPDX-License-Identifier: MIT */
/*
 * Messages removed for ever: UIDL n once more, RETR n where its octets must be known ones, DELE n for
 * what still is what it was, QUIT, which makes it true (P3-7, P3-12). The request is alone in its
 * session, and the last one. What the listing does not have was gone before. Nothing counts as
 * removed before QUIT was answered by +OK: when that
 * answer is lost, or is a refusal, the next listing knows. What some servers keep as message 1, and is
 * none but their notes, stays (P3-13). Loop thread. RFC 1939 §5, §6.
 */
#include <string.h>

#include "backend/pop3/request.h"
#include "backend/pop3/session.h"

#define HEAD_MAX  (64u * 1024) /* of message 1 that is looked at */
#define BODY_ROOM (64ull * 1024 * 1024) /* that a message may have beyond twice what LIST claims */

enum fate {
	FATE_OPEN,
	FATE_GONE,
	FATE_NAMED,    /* it has the key */
	FATE_VERIFIED, /* … and the octets */
	FATE_DELETED,
	FATE_OTHER,    /* its octets are others */
	FATE_REFUSED,
};

struct victim {
	uint32_t uid, number;
	char *key;
	enum fate fate;
	uint64_t size; /* that LIST claims */
	uint64_t read;
	uint8_t sha256[32];
	GChecksum *sha; /* while it is read */
};

struct removal {
	struct request request;
	struct mailfs_remove_request args;
	struct victim *victims;
	size_t count;
	bool compares; /* octets as well */
	unsigned open;   /* commands without an answer */
	GString *head;   /* of message 1, when that is a victim */
	GError *refusal; /* the first one */
};

static void removal_go_on(struct removal *removal);

static void refuse(struct removal *removal, struct victim *victim, const GError *error)
{
	victim->fate = FATE_REFUSED;
	if (!removal->refusal)
		removal->refusal = g_error_copy(error);
}

static bool has(const struct removal *removal, enum fate fate)
{
	for (size_t i = 0; i < removal->count; i++) {
		if (removal->victims[i].fate == fate)
			return true;
	}
	return false;
}

static void tell(struct removal *removal, enum fate fate)
{
	for (size_t i = 0; i < removal->count; i++) {
		if (removal->victims[i].fate == fate)
			removal->args.removed(removal->args.user, removal->victims[i].uid);
	}
}

static void add_command(struct removal *removal, size_t index, const struct pop3_hooks *hooks,
	const char *verb)
{
	struct victim *victim = &removal->victims[index];
	struct pop3_command *command = pop3_command_new(hooks,
		hooks->data ? POP3_OCTETS : POP3_ONE_LINE, "removing a message", "%s %u", verb,
		victim->number);

	if (hooks->data) {
		victim->sha = g_checksum_new(G_CHECKSUM_SHA256);
		command->bytes = victim->size;
	}
	command->request = &removal->request;
	command->index = index;
	removal->open++;
	pop3_queue_add(&removal->request.session->queue, command);
}

static void answered(struct removal *removal)
{
	if (--removal->open == 0)
		removal_go_on(removal);
}

/* ---- TOP 1: is it one of the user's? --------------------------------------------------------- */

static void on_head(struct pop3_command *command, const uint8_t *bytes, size_t len)
{
	GString *head = ((struct removal *)command->request)->head;

	g_string_append_len(head, (const char *)bytes, (gssize)MIN(len, HEAD_MAX - head->len));
}

/* A server that cannot tell has none either. */
static void on_head_done(struct pop3_command *command, const char *text, const GError *error)
{
	answered((struct removal *)command->request);
}

static void look_at_first(struct removal *removal)
{
	static const struct pop3_hooks hooks = { .data = on_head, .done = on_head_done };
	struct mailfs_session *s = removal->request.session;
	struct pop3_command *command;

	if (s->caps.is_known && !s->caps.top)
		return;
	removal->head = g_string_new("\n");
	command = pop3_command_new(&hooks, POP3_OCTETS, "reading a header", "TOP 1 0");
	command->request = &removal->request;
	removal->open++;
	pop3_queue_add(&s->queue, command);
}

/* UW IMAP keeps what it knows of the folder in a message of this kind. */
static bool is_pseudo(const struct removal *removal, const struct victim *victim)
{
	const char *field, *end;

	if (victim->number != 1 || !removal->head)
		return false;
	end = strstr(removal->head->str, "\r\n\r\n");
	field = strcasestr(removal->head->str, "\nX-IMAP:");
	return field && (!end || field < end);
}

/* ---- UIDL n ---------------------------------------------------------------------------------- */

static bool is_still(const struct victim *victim, const char *text)
{
	g_autoptr(GString) key = g_string_new(NULL);
	uint32_t number;
	const char *rest;

	return maildrop_split(text, &number, &rest) && number == victim->number &&
		maildrop_key_of_uidl(rest, key) && strcmp(key->str, victim->key) == 0;
}

static void on_uidl(struct pop3_command *command, const char *text, const GError *error)
{
	struct removal *removal = (struct removal *)command->request;
	struct victim *victim = &removal->victims[command->index];
	g_autoptr(GError) other = NULL;

	if (!error && is_still(victim, text) && is_pseudo(removal, victim)) {
		other = g_error_new(MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE,
			"message 1 is none: the server keeps its own notes in it");
		refuse(removal, victim, other);
	} else if (!error && is_still(victim, text)) {
		victim->fate = removal->compares ? FATE_NAMED : FATE_VERIFIED;
	} else {
		other = g_error_new(MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
			"the server names message %u differently now", victim->number);
		refuse(removal, victim, error ? error : other);
	}
	answered(removal);
}

/* ---- RETR n ---------------------------------------------------------------------------------- */

static struct victim *victim_of(const struct pop3_command *command)
{
	return &((struct removal *)command->request)->victims[command->index];
}

static void on_octets(struct pop3_command *command, const uint8_t *bytes, size_t len)
{
	struct victim *victim = victim_of(command);

	g_checksum_update(victim->sha, bytes, (gssize)len);
	victim->read += len;
	if (victim->read / 2 > victim->size + BODY_ROOM / 2)
		session_fail(command->request->session, MAILFS_ERROR_PROTOCOL,
			"message %u has no end", victim->number);
}

static void on_retr(struct pop3_command *command, const char *text, const GError *error)
{
	struct removal *removal = (struct removal *)command->request;
	struct victim *victim = victim_of(command);
	uint8_t sha256[32];
	gsize len = sizeof(sha256);

	g_checksum_get_digest(victim->sha, sha256, &len);
	g_clear_pointer(&victim->sha, g_checksum_free);
	if (error)
		refuse(removal, victim, error);
	else
		victim->fate = memcmp(sha256, victim->sha256, len) == 0 ? FATE_VERIFIED : FATE_OTHER;
	answered(removal);
}

/* ---- DELE n ---------------------------------------------------------------------------------- */

static void on_dele(struct pop3_command *command, const char *text, const GError *error)
{
	struct removal *removal = (struct removal *)command->request;
	struct victim *victim = &removal->victims[command->index];

	if (error)
		refuse(removal, victim, error);
	else
		victim->fate = FATE_DELETED;
	answered(removal);
}

/* ---- QUIT ------------------------------------------------------------------------------------ */

static void on_quit(struct pop3_command *command, const char *text, const GError *error)
{
	struct removal *removal = (struct removal *)command->request;
	struct mailfs_session *s = removal->request.session;
	g_autoptr(GError) lost = NULL;

	session_parted(s);
	pop3_session_end(s);
	if (error) {
		/* Some may be gone, some not. RFC 1939 §6. */
		lost = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST,
			"what was deleted is not known: %s", error->message);
		request_finish(&removal->request, lost);
		return;
	}
	tell(removal, FATE_DELETED);
	request_finish(&removal->request, removal->refusal);
}

static void quit(struct removal *removal)
{
	static const struct pop3_hooks hooks = { .done = on_quit };
	struct pop3_command *command = pop3_command_new(&hooks, POP3_ONE_LINE, "QUIT", "QUIT");

	command->request = &removal->request;
	removal->request.session->life.is_part_sent = true;
	pop3_queue_add(&removal->request.session->queue, command);
}

/* ---- one after the other --------------------------------------------------------------------- */

static void command_each(struct removal *removal, enum fate fate, const struct pop3_hooks *hooks,
	const char *verb)
{
	for (size_t i = 0; i < removal->count; i++) {
		if (removal->victims[i].fate == fate)
			add_command(removal, i, hooks, verb);
	}
}

static void tell_others(struct removal *removal)
{
	for (size_t i = 0; i < removal->count; i++) {
		struct victim *victim = &removal->victims[i];

		if (victim->fate != FATE_OTHER)
			continue;
		victim->fate = FATE_REFUSED;
		removal->args.other(removal->args.user, victim->uid);
	}
}

static void removal_go_on(struct removal *removal)
{
	static const struct pop3_hooks retr = { .data = on_octets, .done = on_retr };
	static const struct pop3_hooks dele = { .done = on_dele };

	if (has(removal, FATE_NAMED)) {
		command_each(removal, FATE_NAMED, &retr, "RETR");
	} else if (has(removal, FATE_VERIFIED)) {
		tell_others(removal);
		command_each(removal, FATE_VERIFIED, &dele, "DELE");
	} else if (has(removal, FATE_DELETED)) {
		quit(removal);
	} else {
		tell_others(removal);
		request_finish(&removal->request, removal->refusal);
	}
}

static void find(struct removal *removal, struct victim *victim)
{
	const struct maildrop_entry *entry =
		maildrop_find(&removal->request.session->drop, victim->key);
	g_autoptr(GError) weak = NULL;

	if (!entry && removal->request.session->drop.is_cut) {
		weak = maildrop_beyond();
		refuse(removal, victim, weak);
	} else if (!entry) {
		victim->fate = FATE_GONE;
	} else if (entry->is_weak) {
		weak = g_error_new(MAILFS_ERROR, MAILFS_ERROR_READ_ONLY,
			"the server has no name (UIDL) for this message alone: it is not deleted");
		refuse(removal, victim, weak);
	} else {
		victim->number = entry->number;
		victim->size = entry->size;
	}
}

static void removal_begin(struct request *request)
{
	static const struct pop3_hooks hooks = { .done = on_uidl };
	struct removal *removal = (struct removal *)request;

	for (size_t i = 0; i < removal->count; i++)
		find(removal, &removal->victims[i]);
	tell(removal, FATE_GONE);
	removal->open = 1;
	for (size_t i = 0; i < removal->count; i++) {
		if (removal->victims[i].fate != FATE_OPEN)
			continue;
		if (removal->victims[i].number == 1)
			look_at_first(removal);
		add_command(removal, i, &hooks, "UIDL");
	}
	answered(removal);
}

static void removal_done(struct request *request, const GError *error)
{
	struct removal *removal = (struct removal *)request;

	removal->args.done(removal->args.user, error);
}

static void removal_free(struct request *request)
{
	struct removal *removal = (struct removal *)request;

	g_clear_error(&removal->refusal);
	if (removal->head)
		g_string_free(removal->head, TRUE);
	for (size_t i = 0; i < removal->count; i++) {
		g_free(removal->victims[i].key);
		if (removal->victims[i].sha)
			g_checksum_free(removal->victims[i].sha);
	}
	g_free(removal->victims);
	g_free(removal);
}

mailfs_ticket pop3_remove(struct mailfs_session *s, const struct mailfs_remove_request *args)
{
	struct removal *removal = g_new0(struct removal, 1);

	g_assert(!s->life.config.is_read_only);
	g_assert(args->keys || args->uid_count == 0);
	removal->request = (struct request){
		.marks = POP3_NEEDS_DROP | POP3_ENDS_SESSION, .start = removal_begin, .done = removal_done,
		.free = removal_free,
	};
	removal->args = *args;
	removal->args.folder = NULL;
	removal->args.uids = NULL;
	removal->args.keys = NULL;
	removal->args.sha256 = NULL;
	removal->compares = args->sha256 != NULL;
	removal->count = args->uid_count;
	removal->victims = g_new0(struct victim, args->uid_count + 1);
	for (size_t i = 0; i < args->uid_count; i++) {
		removal->victims[i].uid = args->uids[i];
		removal->victims[i].key = g_strdup(args->keys[i]);
		if (args->sha256)
			memcpy(removal->victims[i].sha256, args->sha256[i], sizeof(args->sha256[i]));
	}
	return request_add(s, &removal->request);
}
