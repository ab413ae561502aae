/* SPDX-License-Identifier: MIT */
/*
 * A server on loopback for the tests of net: a thread that runs a script of blocking calls, one
 * connection after another. Every wait in it ends after 20 s by an abort.
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_certs.h"

struct server;
typedef void (*script_fn)(struct server *server, int fd);

struct server {
	script_fn script;
	unsigned connections; /* how many the script serves; 0 = 1 */
	SSL_CTX *ctx;         /* for serve_tls() */
	SSL_CTX *second_ctx;  /* for the second connection on; NULL = ctx */
	const void *arg;

	unsigned served;
	uint16_t port;
	int listen_fd;
	int gate[2]; /* the script waits for the test: serve_wait(), server_go() */
	GThread *thread;
};

static inline gpointer server_thread(gpointer data)
{
	struct server *server = data;
	struct timeval limit = { .tv_sec = 20 };
	int one = 1;

	for (; server->served < MAX(server->connections, 1); server->served++) {
		int fd = accept(server->listen_fd, NULL, NULL);

		g_assert_cmpint(fd, >=, 0);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		server->script(server, fd);
		close(fd);
	}
	return NULL;
}

static inline int server_listen(uint16_t *ret_port, int backlog)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	if (backlog >= 0)
		g_assert_cmpint(listen(fd, backlog), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &len), ==, 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static inline void server_start(struct server *server)
{
	server->listen_fd = server_listen(&server->port, 8);
	g_assert_cmpint(pipe(server->gate), ==, 0);
	server->thread = g_thread_new("server", server_thread, server);
}

static inline void server_go(struct server *server)
{
	g_assert_cmpint(write(server->gate[1], "x", 1), ==, 1);
}

static inline void server_stop(struct server *server)
{
	g_thread_join(server->thread);
	close(server->listen_fd);
	close(server->gate[0]);
	close(server->gate[1]);
	g_clear_pointer(&server->ctx, SSL_CTX_free);
	g_clear_pointer(&server->second_ctx, SSL_CTX_free);
}

/* ---- for scripts --------------------------------------------------------------------------- */

static inline void serve_wait(struct server *server)
{
	char byte;

	g_assert_cmpint(read(server->gate[0], &byte, 1), ==, 1);
}

static inline void serve_bytes(int fd, const void *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = send(fd, (const char *)bytes + done, len - done, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* the client hung up, which may be what the test wants */
		done += (size_t)n;
	}
}

static inline void serve_text(int fd, const char *text)
{
	serve_bytes(fd, text, strlen(text));
}

/* The client's next bytes are these. */
static inline void serve_expect(int fd, const char *text)
{
	char seen[256];
	size_t want = strlen(text);

	g_assert_cmpuint(want, <, sizeof(seen));
	g_assert_cmpint(recv(fd, seen, want, MSG_WAITALL), ==, want);
	g_assert_cmpmem(seen, want, text, want);
}

/* The client says nothing more. A reset is an end, too. */
static inline void serve_expect_end(int fd)
{
	char byte;

	g_assert_cmpint(recv(fd, &byte, 1, 0), <=, 0);
	g_assert_cmpint(errno, !=, EAGAIN);
}

/* NULL: the handshake failed. */
static inline SSL *serve_tls(struct server *server, int fd)
{
	SSL *ssl = SSL_new(server->served > 0 && server->second_ctx ? server->second_ctx : server->ctx);

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

static inline void serve_tls_text(SSL *ssl, const char *text)
{
	g_assert_cmpint(SSL_write(ssl, text, (int)strlen(text)), ==, (int)strlen(text));
}

static inline void serve_tls_expect(SSL *ssl, const char *text)
{
	char seen[256];
	size_t want = strlen(text), done = 0;

	while (done < want) {
		int n = SSL_read(ssl, seen + done, (int)(want - done));

		g_assert_cmpint(n, >, 0);
		done += (size_t)n;
	}
	g_assert_cmpmem(seen, want, text, want);
}
