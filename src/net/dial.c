/* SPDX-License-Identifier: MIT */
/* Connecting by GSocketClient (RFC 8305), with deadlines of its own. Loop thread. */
#include "net/dial.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <gio/gio.h>

#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 20
#define KEEPALIVE_COUNT      3
#define USER_TIMEOUT_MS      60000

/* One reference is the owner's, one the running operation's. */
struct dial {
	unsigned refs;
	dial_done_fn done; /* NULL after it was called, and after dial_free() */
	void *user;
	char *host;
	uint16_t port;
	unsigned timeout_ms;

	GSocketClient *client;
	GCancellable *cancel;
	GSource *timer;
	bool has_name;
	bool has_proxy;
};

static void dial_unref(struct dial *dial)
{
	if (--dial->refs > 0)
		return;
	g_object_unref(dial->client);
	g_object_unref(dial->cancel);
	g_free(dial->host);
	g_free(dial);
}

static void stop_timer(struct dial *dial)
{
	if (!dial->timer)
		return;
	g_source_destroy(dial->timer);
	g_clear_pointer(&dial->timer, g_source_unref);
}

static void dial_finish(struct dial *dial, const struct dial_peer *peer, const GError *error)
{
	dial_done_fn done = dial->done;

	stop_timer(dial);
	dial->done = NULL;
	if (done)
		done(dial->user, peer, error);
}

/* The operation itself ends later, unheard. */
static gboolean on_late(gpointer data)
{
	struct dial *dial = data;
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_TIMEOUT,
		dial->has_name ? "connecting to %s:%u took too long" : "looking up %s (port %u) took too long",
		dial->host, dial->port);

	dial->refs++;
	g_cancellable_cancel(dial->cancel);
	dial_finish(dial, NULL, error);
	dial_unref(dial);
	return G_SOURCE_REMOVE;
}

static void start_timer(struct dial *dial)
{
	stop_timer(dial);
	dial->timer = g_timeout_source_new(dial->timeout_ms);
	g_source_set_callback(dial->timer, on_late, dial, NULL);
	g_source_attach(dial->timer, NULL);
}

static void on_event(GSocketClient *client, GSocketClientEvent event, GSocketConnectable *target,
	GIOStream *connection, gpointer data)
{
	struct dial *dial = data;

	if (event == G_SOCKET_CLIENT_PROXY_NEGOTIATING)
		dial->has_proxy = true;
	/* The name gets its time once and the connection gets its time once, for all addresses. */
	if (event == G_SOCKET_CLIENT_CONNECTING && !dial->has_name && dial->done) {
		dial->has_name = true;
		start_timer(dial);
	}
}

/* ---- the outcome --------------------------------------------------------------------------- */

static GError *translate(const struct dial *dial, const GError *cause)
{
	if (cause->domain == G_RESOLVER_ERROR ||
		g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT))
		return g_error_new(MAILFS_ERROR, MAILFS_ERROR_NO_HOST, "cannot find the host %s: %s",
			dial->host, cause->message);
	if (g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
		return g_error_new(MAILFS_ERROR, MAILFS_ERROR_TIMEOUT, "connecting to %s:%u took too long",
			dial->host, dial->port);
	return g_error_new(MAILFS_ERROR, MAILFS_ERROR_REFUSED, "cannot connect to %s:%u: %s", dial->host,
		dial->port, cause->message);
}

static void set_option(int fd, int level, int name, int value)
{
	/* A refusal costs only comfort. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_options(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}

static bool is_loopback(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;

	if (getpeername(fd, (struct sockaddr *)&address, &len) != 0)
		return false;
	if (address.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	if (address.ss_family != AF_INET6)
		return false;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
		(IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127);
}

/* A copy of the descriptor, so that GIO's objects can go. -1: the bytes of this connection are
 * not those of the socket (a proxy that is spoken to in TLS). */
static int take_fd(GSocketConnection *connection)
{
	GIOStream *base = G_IO_STREAM(connection);
	int fd;

	if (G_IS_TCP_WRAPPER_CONNECTION(base))
		base = g_tcp_wrapper_connection_get_base_io_stream(G_TCP_WRAPPER_CONNECTION(base));
	if (!G_IS_SOCKET_CONNECTION(base))
		return -1;
	fd = g_socket_get_fd(g_socket_connection_get_socket(G_SOCKET_CONNECTION(base)));
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

static void finish_connected(struct dial *dial, GSocketConnection *connection)
{
	struct dial_peer peer = { .fd = take_fd(connection) };
	g_autoptr(GError) error = NULL;

	if (peer.fd < 0) {
		error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_REFUSED,
			"cannot connect to %s:%u: this kind of proxy is not possible", dial->host, dial->port);
		dial_finish(dial, NULL, error);
		return;
	}
	set_options(peer.fd);
	peer.is_loopback = !dial->has_proxy && is_loopback(peer.fd);
	dial_finish(dial, &peer, NULL);
}

static void on_connected(GObject *object, GAsyncResult *result, gpointer data)
{
	struct dial *dial = data;
	g_autoptr(GError) cause = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(GSocketConnection) connection =
		g_socket_client_connect_finish(G_SOCKET_CLIENT(object), result, &cause);

	if (!connection)
		error = translate(dial, cause);
	if (connection && dial->done)
		finish_connected(dial, connection);
	else
		dial_finish(dial, NULL, error);
	dial_unref(dial);
}

/* ---- life ---------------------------------------------------------------------------------- */

struct dial *dial_new(const char *host, uint16_t port, unsigned timeout_ms, dial_done_fn done,
	void *user)
{
	struct dial *dial = g_new0(struct dial, 1);
	g_autoptr(GSocketConnectable) target = g_network_address_new(host, port);

	dial->refs = 2;
	dial->done = done;
	dial->user = user;
	dial->host = g_strdup(host);
	dial->port = port;
	dial->timeout_ms = timeout_ms;
	dial->client = g_socket_client_new();
	dial->cancel = g_cancellable_new();
	g_signal_connect(dial->client, "event", G_CALLBACK(on_event), dial);
	start_timer(dial);
	g_socket_client_connect_async(dial->client, target, dial->cancel, on_connected, dial);
	return dial;
}

void dial_free(struct dial *dial)
{
	if (!dial)
		return;
	dial->done = NULL;
	stop_timer(dial);
	g_cancellable_cancel(dial->cancel);
	dial_unref(dial);
}
