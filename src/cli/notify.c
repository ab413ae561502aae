/* SPDX-License-Identifier: MIT */
/* The protocol of sd_notify(3). */
#include "cli/notify.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/log.h"

#define STATUS_MAX 200 /* a line on a terminal */

static struct sockaddr_un address;
static socklen_t address_len; /* 0 = nobody listens */

void notify_init(void)
{
	const char *path = g_getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;

	address_len = 0;
	if (len > 1 && len < sizeof(address.sun_path) && (*path == '/' || *path == '@')) {
		address = (struct sockaddr_un){ .sun_family = AF_UNIX };
		memcpy(address.sun_path, path, len);
		/* "@name" is in the abstract name space: without a NUL at its end. */
		if (*path == '@')
			address.sun_path[0] = '\0';
		address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*path == '/'));
	}
	g_unsetenv("NOTIFY_SOCKET");
}

bool notify_is_abstract(void)
{
	return address_len > 0 && address.sun_path[0] == '\0';
}

/* A manager that does not listen is no reason to fail. */
void notify_send(const char *state)
{
	SCOPED(fd_closep) int fd = -1;

	if (address_len == 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
			       address_len) < 0)
		log_debug("cli", "the service manager does not listen");
}

void notify_status(const char *text)
{
	g_autofree char *safe = log_safe(text, -1);
	g_autofree char *cut = g_utf8_substring(safe, 0, MIN(g_utf8_strlen(safe, -1), STATUS_MAX));
	g_autofree char *state = g_strconcat("STATUS=", cut, NULL);

	notify_send(state);
}

void notify_reloading(void)
{
	g_autofree char *state = g_strdup_printf("RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT,
		g_get_monotonic_time());

	notify_send(state);
}
