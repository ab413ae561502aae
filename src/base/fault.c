/* SPDX-License-Identifier: MIT */
/* Counting fault points; one atomic number, because workers and the journal come by too. */
#include "base/fault.h"

#ifdef MAILFS_FAULTS

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "base/parse.h"

static gint reached, written;

/* One line each, so that a test sees how many there are and what the last one was. */
static void note(const char *kind, gint number, const char *name)
{
	g_autofree char *line = g_strdup_printf("%s%d %s\n", kind, number, name);
	const char *path = g_getenv("MAILFS_FAULT_NOTES");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

	if (fd < 0)
		return;
	if (write(fd, line, strlen(line)) < 0)
		perror(path);
	close(fd);
}

static bool is_meant(const char *what, gint number)
{
	const char *fault = g_getenv("MAILFS_FAULT");
	uint32_t wanted;

	return fault && g_str_has_prefix(fault, what) &&
	       parse_u32(fault + strlen(what), strlen(fault + strlen(what)), &wanted) &&
	       (uint32_t)number == wanted;
}

void fault_point(const char *name)
{
	gint number = g_atomic_int_add(&reached, 1) + 1;

	note("", number, name);
	if (is_meant("kill:", number))
		raise(SIGKILL);
}

bool fault_is_full(const char *name)
{
	gint number = g_atomic_int_add(&written, 1) + 1;

	note("full ", number, name);
	return is_meant("full:", number);
}

uint32_t fault_number(const char *variable, uint32_t usual)
{
	const char *text = g_getenv(variable);
	uint32_t number;

	return text && parse_u32(text, strlen(text), &number) ? number : usual;
}

#endif
