/* SPDX-License-Identifier: MIT
 *
 * What the raw clients share: a verified TLS connection to config.host, and an end when anything goes
 * wrong. Included once by each program, after it has set RAW_NAME.
 */
#pragma once

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

__attribute__((noreturn)) static inline void die(const char *what)
{
	unsigned long code = ERR_get_error();

	fprintf(stderr, RAW_NAME ": %s: %s\n", what,
		code ? ERR_reason_error_string(code) : strerror(errno));
	exit(1);
}

static inline int dial(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int fd, on = 1;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		die("getaddrinfo");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	freeaddrinfo(found);
	return fd;
}

/* Reads `input` bytes ahead at once. */
static inline SSL_CTX *tls_context(const char *ca, size_t input)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	if (!tls || SSL_CTX_load_verify_locations(tls, ca, NULL) != 1)
		die(ca);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_read_ahead(tls, 1);
	SSL_CTX_set_default_read_buffer_len(tls, input);
	return tls;
}

static inline SSL *tls_dial(SSL_CTX *tls, const char *host, const char *port)
{
	SSL *ssl = SSL_new(tls);

	if (!ssl || SSL_set_fd(ssl, dial(host, port)) != 1 || SSL_set1_host(ssl, host) != 1 ||
		SSL_set_tlsext_host_name(ssl, host) != 1 || SSL_connect(ssl) != 1)
		die("TLS");
	return ssl;
}
