/* SPDX-License-Identifier: MIT */
/* One try for each credential. */
#include "engine/gate.h"

#include <string.h>

struct inner {
	const char *secret; /* NULL = it fails */
	unsigned asked;
	mailfs_secret_fn waiting; /* it answers later */
	void *waiting_user;
	bool is_late;
};

static void inner_answer(struct inner *inner, mailfs_secret_fn done, void *user)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_LOGIN, "the command failed");

	done(user, inner->secret, inner->secret ? NULL : error);
}

static void inner_get(void *source_user, mailfs_secret_fn done, void *user)
{
	struct inner *inner = source_user;

	inner->asked++;
	if (!inner->is_late) {
		inner_answer(inner, done, user);
		return;
	}
	inner->waiting = done;
	inner->waiting_user = user;
}

static struct gate *gate_on(struct inner *inner)
{
	return gate_new(&(struct mailfs_secret_source){ .get = inner_get, .source_user = inner });
}

struct got {
	unsigned count;
	char *secret;
	int code;
};

static void take(void *user, const char *secret, const GError *error)
{
	struct got *got = user;

	got->count++;
	g_free(got->secret);
	got->secret = g_strdup(secret);
	got->code = error ? error->code : -1;
}

/* "CODE" or the secret. */
static void check(struct gate *gate, const char *expected)
{
	struct mailfs_secret_source source = gate_source(gate);
	struct got got = { 0 };

	source.get(source.source_user, take, &got);
	g_assert_cmpuint(got.count, ==, 1);
	g_assert_cmpstr(got.secret, ==, expected);
	if (!expected)
		g_assert_cmpint(got.code, ==, MAILFS_ERROR_LOGIN);
	g_free(got.secret);
}

static void a_secret_goes_through_as_often_as_it_is_not_refused(void)
{
	struct inner inner = { .secret = "one" };
	struct gate *gate = gate_on(&inner);

	check(gate, "one");
	check(gate, "one");
	gate_free(gate);
}

static void a_refused_secret_is_not_given_again(void)
{
	struct inner inner = { .secret = "one" };
	struct gate *gate = gate_on(&inner);

	check(gate, "one");
	gate_note_refused(gate);
	check(gate, NULL);
	check(gate, NULL);
	/* Not even after a further failure, which was our own. */
	gate_note_refused(gate);
	check(gate, NULL);
	gate_free(gate);
}

static void another_secret_goes_through(void)
{
	struct inner inner = { .secret = "one" };
	struct gate *gate = gate_on(&inner);

	check(gate, "one");
	gate_note_refused(gate);
	inner.secret = "two";
	check(gate, "two");
	gate_free(gate);
}

static void a_person_may_insist_once(void)
{
	struct inner inner = { .secret = "one" };
	struct gate *gate = gate_on(&inner);

	check(gate, "one");
	gate_note_refused(gate);
	gate_insist(gate);
	check(gate, "one");
	gate_note_refused(gate);
	check(gate, NULL);
	gate_free(gate);
}

static void a_source_that_fails_has_not_been_refused(void)
{
	struct inner inner = { .secret = "one" };
	struct gate *gate = gate_on(&inner);

	check(gate, "one");
	inner.secret = NULL;
	check(gate, NULL);
	gate_note_refused(gate);
	inner.secret = "one";
	check(gate, "one");
	gate_free(gate);
}

static void note_news(void *user, bool is_other)
{
	*(int *)user = is_other;
}

static void a_look_tells_whether_there_is_another(void)
{
	struct inner inner = { .secret = "one" };
	struct gate *gate = gate_on(&inner);
	int news = -1;

	check(gate, "one");
	gate_note_refused(gate);
	gate_look(gate, note_news, &news);
	g_assert_cmpint(news, ==, 0);
	inner.secret = "two";
	gate_look(gate, note_news, &news);
	g_assert_cmpint(news, ==, 1);
	inner.secret = NULL;
	gate_look(gate, note_news, &news);
	g_assert_cmpint(news, ==, 0);
	gate_free(gate);
}

static void what_is_answered_after_the_end_is_no_secret(void)
{
	struct inner inner = { .secret = "one", .is_late = true };
	struct gate *gate = gate_on(&inner);
	struct mailfs_secret_source source = gate_source(gate);
	struct got got = { 0 };
	int news = -1;

	source.get(source.source_user, take, &got);
	gate_free(gate);
	inner_answer(&inner, inner.waiting, inner.waiting_user);
	g_assert_cmpuint(got.count, ==, 1);
	g_assert_null(got.secret);
	g_assert_cmpint(got.code, ==, MAILFS_ERROR_CANCELLED);
	gate = gate_on(&inner);
	gate_look(gate, note_news, &news);
	gate_free(gate);
	inner_answer(&inner, inner.waiting, inner.waiting_user);
	g_assert_cmpint(news, ==, -1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(name, fn) g_test_add_func("/engine/gate/" name, fn)
	T("passes", a_secret_goes_through_as_often_as_it_is_not_refused);
	T("CN-5 refused", a_refused_secret_is_not_given_again);
	T("CN-5 another", another_secret_goes_through);
	T("CN-5 insisted", a_person_may_insist_once);
	T("failing source", a_source_that_fails_has_not_been_refused);
	T("CN-5 look", a_look_tells_whether_there_is_another);
	T("end", what_is_answered_after_the_end_is_no_secret);
#undef T
	return g_test_run();
}
