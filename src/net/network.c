/* SPDX-License-Identifier: MIT */
/* A netlink socket as a source of the loop. What goes away is no news: the connections tell. */
#include "net/network.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>
#include <glib.h>

#include "base/clock.h"

#define SETTLE_MS 500u                   /* addresses and routes come together */
#define REST_US   (5 * G_USEC_PER_SEC)   /* a network that flaps is told of so often */
#define TAKE_MAX  64u                    /* messages in one turn of the loop */

struct network_watch {
	int fd;
	guint source, timer;
	int64_t told_us;
	void (*changed)(void *user);
	void *user;
};

static bool is_news(const struct nlmsghdr *header)
{
	struct rtmsg route;

	if (header->nlmsg_type == RTM_NEWADDR)
		return true;
	if (header->nlmsg_type != RTM_NEWROUTE || header->nlmsg_len < NLMSG_LENGTH(sizeof(route)))
		return false;
	memcpy(&route, NLMSG_DATA(header), sizeof(route));
	return route.rtm_table == RT_TABLE_MAIN;
}

bool network_is_news(const void *bytes, size_t len)
{
	const char *at = bytes;
	struct nlmsghdr header;

	while (len >= sizeof(header)) {
		memcpy(&header, at, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > len)
			return false;
		if (is_news((const struct nlmsghdr *)(const void *)at))
			return true;
		if (NLMSG_ALIGN(header.nlmsg_len) >= len)
			return false;
		at += NLMSG_ALIGN(header.nlmsg_len);
		len -= NLMSG_ALIGN(header.nlmsg_len);
	}
	return false;
}

static gboolean on_settled(gpointer user)
{
	struct network_watch *watch = user;

	watch->timer = 0;
	watch->told_us = clock_monotonic_us();
	watch->changed(watch->user);
	return G_SOURCE_REMOVE;
}

static void tell_later(struct network_watch *watch)
{
	int64_t rest_us = watch->told_us == 0 ? 0 : watch->told_us + REST_US - clock_monotonic_us();

	if (watch->timer == 0)
		watch->timer = g_timeout_add(MAX(SETTLE_MS, (guint)(MAX(rest_us, 0) / 1000)), on_settled, watch);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer user)
{
	struct network_watch *watch = user;
	union {
		struct nlmsghdr header; /* for its alignment */
		char bytes[16384];
	} buffer;

	for (unsigned taken = 0; taken < TAKE_MAX; taken++) {
		ssize_t got = recv(fd, &buffer, sizeof(buffer), MSG_DONTWAIT);

		/* So much happened that the kernel could not keep it all. */
		if (got < 0 && errno == ENOBUFS)
			tell_later(watch);
		if (got <= 0)
			break;
		if (network_is_news(buffer.bytes, (size_t)got))
			tell_later(watch);
	}
	return G_SOURCE_CONTINUE;
}

struct network_watch *network_watch_new(void (*changed)(void *user), void *user)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	struct network_watch *watch;

	if (fd < 0)
		return NULL;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return NULL;
	}
	watch = g_new0(struct network_watch, 1);
	watch->fd = fd;
	watch->changed = changed;
	watch->user = user;
	watch->source = g_unix_fd_add(fd, G_IO_IN, on_readable, watch);
	return watch;
}

void network_watch_free(struct network_watch *watch)
{
	if (!watch)
		return;
	g_source_remove(watch->source);
	g_clear_handle_id(&watch->timer, g_source_remove);
	close(watch->fd);
	g_free(watch);
}
