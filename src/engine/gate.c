/* SPDX-License-Identifier: MIT */
/* Secrets pass through here; their hashes stay. */
#include "engine/gate.h"

#include <string.h>

#define HASH_LEN 32
#define KEY_LEN  32

struct gate {
	struct mailfs_secret_source inner;
	guint8 key[KEY_LEN]; /* of this process: the hashes are good for nothing else */
	guint8 last[HASH_LEN], refused[HASH_LEN];
	bool has_last, has_refused;
	unsigned refs; /* its owner and each question */
	bool is_over;
};

/* Of a session, or of a look (news). */
struct question {
	struct gate *gate;
	mailfs_secret_fn done;
	gate_news_fn news;
	void *user;
};

static void gate_unref(struct gate *gate)
{
	if (--gate->refs == 0)
		g_free(gate);
}

struct gate *gate_new(const struct mailfs_secret_source *inner)
{
	struct gate *gate = g_new0(struct gate, 1);

	gate->inner = *inner;
	gate->refs = 1;
	for (size_t i = 0; i < KEY_LEN; i++)
		gate->key[i] = (guint8)g_random_int_range(0, 256);
	return gate;
}

void gate_free(struct gate *gate)
{
	if (!gate)
		return;
	gate->is_over = true;
	gate_unref(gate);
}

static void hash(const struct gate *gate, const char *secret, guint8 *ret_hash)
{
	g_autoptr(GHmac) hmac = g_hmac_new(G_CHECKSUM_SHA256, gate->key, KEY_LEN);
	static const guchar nothing[128];
	gsize len = HASH_LEN;

	g_hmac_update(hmac, (const guchar *)secret, (gssize)strlen(secret));
	/* GLib frees its buffer as it is: two blocks of nothing take the place of the secret in it. */
	g_hmac_update(hmac, nothing, sizeof(nothing));
	g_hmac_get_digest(hmac, ret_hash, &len);
}

static bool is_refused(const struct gate *gate, const guint8 *value)
{
	return gate->has_refused && memcmp(gate->refused, value, HASH_LEN) == 0;
}

/* ---- for sessions ------------------------------------------------------------------------------ */

static void give(struct gate *gate, const struct question *question, const char *secret,
	const GError *error)
{
	g_autoptr(GError) refused = NULL;
	guint8 value[HASH_LEN];

	gate->has_last = false;
	if (secret) {
		hash(gate, secret, value);
		if (is_refused(gate, value)) {
			refused = g_error_new(MAILFS_ERROR, MAILFS_ERROR_LOGIN,
				"the server has refused this password or token; it is not tried again");
			question->done(question->user, NULL, refused);
			return;
		}
		memcpy(gate->last, value, HASH_LEN);
		gate->has_last = true;
	}
	question->done(question->user, secret, error);
}

static void on_secret(void *user, const char *secret, const GError *error)
{
	struct question *question = user;
	struct gate *gate = question->gate;
	g_autoptr(GError) over = NULL;

	if (gate->is_over) {
		over = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the mount is ending");
		question->done(question->user, NULL, over);
	} else {
		give(gate, question, secret, error);
	}
	gate_unref(gate);
	g_free(question);
}

static struct question *question_new(struct gate *gate, void *user)
{
	struct question *question = g_new0(struct question, 1);

	question->gate = gate;
	question->user = user;
	gate->refs++;
	return question;
}

static void get(void *source_user, mailfs_secret_fn done, void *user)
{
	struct gate *gate = source_user;
	struct question *question = question_new(gate, user);

	question->done = done;
	gate->inner.get(gate->inner.source_user, on_secret, question);
}

struct mailfs_secret_source gate_source(struct gate *gate)
{
	return (struct mailfs_secret_source){ .get = get, .source_user = gate };
}

/* ---- for the account --------------------------------------------------------------------------- */

void gate_note_refused(struct gate *gate)
{
	if (!gate->has_last)
		return;
	memcpy(gate->refused, gate->last, HASH_LEN);
	gate->has_refused = true;
}

void gate_insist(struct gate *gate)
{
	gate->has_refused = false;
}

static void on_look(void *user, const char *secret, const GError *error)
{
	struct question *question = user;
	struct gate *gate = question->gate;
	guint8 value[HASH_LEN];

	if (!gate->is_over) {
		if (secret)
			hash(gate, secret, value);
		question->news(question->user, secret && !is_refused(gate, value));
	}
	gate_unref(gate);
	g_free(question);
}

void gate_look(struct gate *gate, gate_news_fn fn, void *user)
{
	struct question *question = question_new(gate, user);

	question->news = fn;
	gate->inner.get(gate->inner.source_user, on_look, question);
}
