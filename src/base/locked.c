/* SPDX-License-Identifier: MIT */
/* One mapping for each: secrets are few. */
#include "base/locked.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <glib.h>

struct locked {
	struct locked *next;
	size_t size; /* of the mapping */
	unsigned refs;
	char text[];
};

static struct locked *all;

/* Over the limit for locked memory it is only kept out of dumps. */
static void protect(struct locked *locked)
{
	(void)mlock(locked, locked->size);
	(void)madvise(locked, locked->size, MADV_DONTDUMP);
}

static struct locked *locked_of(const char *text)
{
	return (struct locked *)(void *)(text - offsetof(struct locked, text));
}

const char *locked_new(const char *text)
{
	size_t len = strlen(text), size = sizeof(struct locked) + len + 1;
	struct locked *locked = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (locked == MAP_FAILED)
		g_error("out of memory");
	*locked = (struct locked){ .next = all, .size = size, .refs = 1 };
	all = locked;
	protect(locked);
	memcpy(locked->text, text, len + 1);
	return locked->text;
}

const char *locked_ref(const char *text)
{
	locked_of(text)->refs++;
	return text;
}

void locked_unref(const char *text)
{
	struct locked *locked = text ? locked_of(text) : NULL;
	struct locked **at = &all;

	if (!locked || --locked->refs > 0)
		return;
	while (*at != locked)
		at = &(*at)->next;
	*at = locked->next;
	explicit_bzero(locked->text, locked->size - sizeof(*locked));
	munmap(locked, locked->size);
}

void locked_after_fork(void)
{
	for (struct locked *locked = all; locked; locked = locked->next)
		protect(locked);
}
