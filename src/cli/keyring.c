/* SPDX-License-Identifier: MIT */
/* One question to the Secret Service, asked by a child that ends with it. */
#include "cli/keyring.h"

#ifdef HAVE_LIBSECRET

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libsecret/secret.h>

#include "base/cleanup.h"
#include "cli/secret.h"

#define TIMEOUT_US (60 * G_USEC_PER_SEC)

/* No keyring without a session: libsecret would try to start one. */
static bool has_session(void)
{
	const char *runtime = g_getenv("XDG_RUNTIME_DIR");
	g_autofree char *path = runtime ? g_build_filename(runtime, "bus", NULL) : NULL;

	return g_getenv("DBUS_SESSION_BUS_ADDRESS") || (path && access(path, F_OK) == 0);
}

void keyring_tell(const char *account, int to)
{
	static const SecretSchema schema = {
		.name = "org.mailfs.Password",
		.flags = SECRET_SCHEMA_DONT_MATCH_NAME,
		.attributes = { { "service", SECRET_SCHEMA_ATTRIBUTE_STRING },
			{ "account", SECRET_SCHEMA_ATTRIBUTE_STRING } },
	};
	char *password = has_session() ? secret_password_lookup_nonpageable_sync(&schema, NULL, NULL, "service",
						 "mailfs", "account", account, NULL)
				       : NULL;
	size_t len = password ? strlen(password) : 0;

	/* One write: a pipe takes it whole, or nobody is there. */
	if (len > 0 && len <= SECRET_MAX && write(to, password, len) == (ssize_t)len)
		secret_password_free(password);
	_exit(0);
}

/* Up to the end of file, or of the time. */
static size_t read_answer(int fd, char *text)
{
	gint64 deadline = g_get_monotonic_time() + TIMEOUT_US;
	size_t len = 0;

	while (len < SECRET_MAX) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		gint64 left_ms = (deadline - g_get_monotonic_time()) / 1000;
		ssize_t got;

		if (left_ms <= 0 || (poll(&poll_fd, 1, (int)left_ms) < 0 && errno != EINTR))
			return 0;
		got = (poll_fd.revents & (POLLIN | POLLHUP)) != 0 ? read(fd, text + len, SECRET_MAX - len) : -1;
		if (got == 0)
			break;
		len += got > 0 ? (size_t)got : 0;
	}
	return len;
}

char *keyring_lookup(const char *account)
{
	SCOPED(fd_closep) int from = -1;
	char *text, *secret = NULL;
	size_t len;
	pid_t pid;
	int fds[2];

	if (!has_session() || pipe2(fds, O_CLOEXEC) < 0)
		return NULL;
	from = fds[0];
	pid = fork();
	if (pid == 0)
		keyring_tell(account, fds[1]);
	close(fds[1]);
	if (pid < 0)
		return NULL;
	text = g_malloc0(SECRET_MAX + 1);
	len = read_answer(from, text);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (len > 0 && strlen(text) == len)
		secret = g_strdup(text);
	explicit_bzero(text, SECRET_MAX + 1);
	g_free(text);
	return secret;
}

bool keyring_is_there(void)
{
	return true;
}

#else

#include <stddef.h>
#include <unistd.h>

char *keyring_lookup(const char *account)
{
	return NULL;
}

void keyring_tell(const char *account, int to)
{
	_exit(0);
}

bool keyring_is_there(void)
{
	return false;
}

#endif
