/* SPDX-License-Identifier: MIT */
/* What counts as another network. */
#include "net/network.h"

#include <string.h>

#include <glib.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/* A message of that type and, of routes, table. */
static size_t put(char *at, unsigned short type, unsigned char table)
{
	struct rtmsg route = { .rtm_table = table };
	struct nlmsghdr header = { .nlmsg_len = NLMSG_LENGTH(sizeof(route)), .nlmsg_type = type };

	memcpy(at, &header, sizeof(header));
	memcpy(at + NLMSG_HDRLEN, &route, sizeof(route));
	return NLMSG_ALIGN(header.nlmsg_len);
}

static bool tells(unsigned short type, unsigned char table)
{
	_Alignas(8) char bytes[256];

	return network_is_news(bytes, put(bytes, type, table));
}

static void what_comes_is_news_and_what_goes_is_none(void)
{
	g_assert_true(tells(RTM_NEWADDR, 0));
	g_assert_true(tells(RTM_NEWROUTE, RT_TABLE_MAIN));
	g_assert_false(tells(RTM_NEWROUTE, RT_TABLE_LOCAL));
	g_assert_false(tells(RTM_DELADDR, 0));
	g_assert_false(tells(RTM_DELROUTE, RT_TABLE_MAIN));
	g_assert_false(tells(RTM_NEWLINK, 0));
}

static void every_message_of_a_datagram_counts(void)
{
	_Alignas(8) char bytes[256];
	size_t len = put(bytes, RTM_DELADDR, 0);

	len += put(bytes + len, RTM_DELROUTE, RT_TABLE_MAIN);
	g_assert_false(network_is_news(bytes, len));
	len += put(bytes + len, RTM_NEWADDR, 0);
	g_assert_true(network_is_news(bytes, len));
}

static void what_is_cut_off_is_no_news(void)
{
	_Alignas(8) char bytes[256];
	size_t len = put(bytes, RTM_NEWROUTE, RT_TABLE_MAIN);

	for (size_t cut = 0; cut < len; cut++)
		g_assert_false(network_is_news(bytes, cut));
	memset(bytes, 0, sizeof(bytes));
	g_assert_false(network_is_news(bytes, sizeof(bytes)));
}

static void never(void *user)
{
	g_assert_not_reached();
}

static void a_watch_can_be_ended_at_once(void)
{
	struct network_watch *watch = network_watch_new(never, NULL);

	if (!watch) {
		g_test_skip("no netlink");
		return;
	}
	network_watch_free(watch);
	network_watch_free(NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/network/CN-1 news", what_comes_is_news_and_what_goes_is_none);
	g_test_add_func("/net/network/several", every_message_of_a_datagram_counts);
	g_test_add_func("/net/network/cut", what_is_cut_off_is_no_news);
	g_test_add_func("/net/network/end", a_watch_can_be_ended_at_once);
	return g_test_run();
}
