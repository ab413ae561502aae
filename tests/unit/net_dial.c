/* SPDX-License-Identifier: MIT */
/* Dialling: what the socket is like, and which error stands for which mishap. */
#include <errno.h>
#include <fcntl.h>

#include <gio/gio.h>

#include "net/dial.h"
#include "net_server.h"

/* ---- a resolver under the test's control --------------------------------------------------- */

#define FAKE_TYPE_RESOLVER (fake_resolver_get_type())
G_DECLARE_FINAL_TYPE(FakeResolver, fake_resolver, FAKE, RESOLVER, GResolver)

struct _FakeResolver {
	GResolver parent;
};

G_DEFINE_TYPE(FakeResolver, fake_resolver, G_TYPE_RESOLVER)

/* A lookup that nobody answers before the test ends. */
static GTask *stalled;

/* Names: "nowhere.test" is unknown, "stall.test" is never answered (not even when cancelled),
 * "both.test" has an address that refuses before one that works. */
static void lookup(GResolver *resolver, const char *name, GResolverNameLookupFlags flags,
	GCancellable *cancel, GAsyncReadyCallback callback, gpointer data)
{
	GTask *task;

	task = g_task_new(resolver, NULL, callback, data);
	if (g_str_equal(name, "stall.test") && !stalled) {
		stalled = task;
		return;
	}
	if (g_str_equal(name, "both.test") && flags != G_RESOLVER_NAME_LOOKUP_FLAGS_IPV6_ONLY) {
		GList *list = g_list_append(NULL, g_inet_address_new_from_string("127.0.0.2"));

		list = g_list_append(list, g_inet_address_new_from_string("127.0.0.1"));
		g_task_return_pointer(task, list, NULL);
	} else {
		g_task_return_new_error(task, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "no %s", name);
	}
	g_object_unref(task);
}

static void lookup_plain(GResolver *resolver, const char *name, GCancellable *cancel,
	GAsyncReadyCallback callback, gpointer data)
{
	lookup(resolver, name, G_RESOLVER_NAME_LOOKUP_FLAGS_DEFAULT, cancel, callback, data);
}

static GList *lookup_finish(GResolver *resolver, GAsyncResult *result, GError **error)
{
	return g_task_propagate_pointer(G_TASK(result), error);
}

static void fake_resolver_class_init(FakeResolverClass *class)
{
	GResolverClass *base = G_RESOLVER_CLASS(class);

	base->lookup_by_name_async = lookup_plain;
	base->lookup_by_name_finish = lookup_finish;
	base->lookup_by_name_with_flags_async = lookup;
	base->lookup_by_name_with_flags_finish = lookup_finish;
}

static void fake_resolver_init(FakeResolver *resolver)
{
}

/* ---- one dial ------------------------------------------------------------------------------ */

struct outcome {
	unsigned done;
	struct dial_peer peer;
	GError *error;
};

static void on_done(void *user, const struct dial_peer *peer, const GError *error)
{
	struct outcome *outcome = user;

	outcome->done++;
	g_assert_true((peer != NULL) != (error != NULL));
	if (peer)
		outcome->peer = *peer;
	if (error)
		outcome->error = g_error_copy(error);
}

static gboolean on_late(gpointer unused)
{
	g_error("the test took too long");
	return G_SOURCE_REMOVE;
}

static void settle(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void dial_and_wait(const char *host, uint16_t port, unsigned timeout_ms,
	struct outcome *outcome)
{
	guint late = g_timeout_add_seconds(30, on_late, NULL);
	struct dial *dial;

	*outcome = (struct outcome){ .peer.fd = -1 };
	dial = dial_new(host, port, timeout_ms, on_done, outcome);
	g_assert_cmpuint(outcome->done, ==, 0); /* never from inside the call */
	while (outcome->done == 0)
		g_main_context_iteration(NULL, TRUE);
	dial_free(dial);
	settle();
	g_assert_cmpuint(outcome->done, ==, 1);
	g_source_remove(late);
}

static void expect_error(const char *host, uint16_t port, unsigned timeout_ms, int code)
{
	struct outcome outcome;

	dial_and_wait(host, port, timeout_ms, &outcome);
	g_assert_error(outcome.error, MAILFS_ERROR, code);
	g_assert_nonnull(strstr(outcome.error->message, host));
	g_clear_error(&outcome.error);
}

static int int_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	g_assert_cmpint(getsockopt(fd, level, name, &value, &len), ==, 0);
	return value;
}

/* ---- tests --------------------------------------------------------------------------------- */

static void socket_is_ready_for_use(void)
{
	struct outcome outcome;
	uint16_t port;
	int listen_fd = server_listen(&port, 8);
	int fd;

	dial_and_wait("127.0.0.1", port, 20000, &outcome);
	g_assert_no_error(outcome.error);
	fd = outcome.peer.fd;
	g_assert_true(outcome.peer.is_loopback);
	g_assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	g_assert_cmpint(int_option(fd, IPPROTO_TCP, TCP_NODELAY), ==, 1);
	g_assert_cmpint(int_option(fd, SOL_SOCKET, SO_KEEPALIVE), ==, 1);
	g_assert_cmpint(int_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), ==, 60);
	g_assert_cmpint(int_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), ==, 20);
	g_assert_cmpint(int_option(fd, IPPROTO_TCP, TCP_KEEPCNT), ==, 3);
	g_assert_cmpint(int_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), ==, 60000);
	close(fd);
	close(listen_fd);
}

static void unknown_name_is_no_host(void)
{
	expect_error("nowhere.test", 993, 20000, MAILFS_ERROR_NO_HOST);
	expect_error("", 993, 20000, MAILFS_ERROR_NO_HOST);
	expect_error("a b\n", 993, 20000, MAILFS_ERROR_NO_HOST);
}

static void closed_port_is_refused(void)
{
	uint16_t port;
	int fd = server_listen(&port, -1); /* bound, so that nobody else takes it */

	expect_error("127.0.0.1", port, 20000, MAILFS_ERROR_REFUSED);
	close(fd);
}

static void second_address_is_tried(void)
{
	struct outcome outcome;
	uint16_t port;
	int listen_fd = server_listen(&port, 8); /* at 127.0.0.1 only */

	dial_and_wait("both.test", port, 20000, &outcome);
	g_assert_no_error(outcome.error);
	close(outcome.peer.fd);
	close(listen_fd);
}

static void name_that_is_never_answered_times_out(void)
{
	expect_error("stall.test", 993, 30, MAILFS_ERROR_TIMEOUT);

	/* An answer that comes later than late reaches nobody. */
	g_assert_nonnull(stalled);
	g_task_return_new_error(stalled, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "late");
	g_clear_object(&stalled);
	settle();
}

/* A listener with a full queue drops further SYNs: as silent as a firewall. */
static void connection_that_is_never_answered_times_out(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fillers[8];
	uint16_t port;
	int listen_fd = server_listen(&port, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(port);
	for (size_t i = 0; i < G_N_ELEMENTS(fillers); i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
	}
	expect_error("127.0.0.1", port, 30, MAILFS_ERROR_TIMEOUT);
	for (size_t i = 0; i < G_N_ELEMENTS(fillers); i++)
		close(fillers[i]);
	close(listen_fd);
}

static void freed_dial_is_silent(void)
{
	struct outcome outcome = { .peer.fd = -1 };
	uint16_t port;
	int listen_fd = server_listen(&port, 8);
	struct dial *dial = dial_new("127.0.0.1", port, 20000, on_done, &outcome);
	struct outcome other;

	g_main_context_iteration(NULL, FALSE);
	dial_free(dial);
	dial_and_wait("127.0.0.1", port, 20000, &other); /* the loop has run long enough */
	g_assert_cmpuint(outcome.done, ==, 0);
	close(other.peer.fd);
	close(listen_fd);
}

int main(int argc, char **argv)
{
	GResolver *resolver;
	int r;

	g_test_init(&argc, &argv, NULL);
	resolver = g_object_new(FAKE_TYPE_RESOLVER, NULL);
	g_resolver_set_default(resolver);
	g_test_add_func("/net/dial/CN-1 socket options", socket_is_ready_for_use);
	g_test_add_func("/net/dial/unknown name", unknown_name_is_no_host);
	g_test_add_func("/net/dial/closed port", closed_port_is_refused);
	g_test_add_func("/net/dial/second address", second_address_is_tried);
	g_test_add_func("/net/dial/CN-4 name stalls", name_that_is_never_answered_times_out);
	g_test_add_func("/net/dial/CN-4 connection stalls", connection_that_is_never_answered_times_out);
	g_test_add_func("/net/dial/free", freed_dial_is_silent);
	r = g_test_run();
	g_object_unref(resolver);
	return r;
}
