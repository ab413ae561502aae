/* SPDX-License-Identifier: MIT */
/* By direct system calls: the library knows none, and the headers of Debian 12 not all of it. */
#include "cli/landlock.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <glib.h>
#include <linux/landlock.h>

#include "base/cleanup.h"

/* As of ABI 6; older kernels take a shorter one. */
struct ruleset {
	uint64_t files;
	uint64_t net;   /* ABI 4 */
	uint64_t scope; /* ABI 6 */
};

#define NET_BIND_TCP UINT64_C(1)
#define SCOPE_SOCKET UINT64_C(1)
#define SCOPE_SIGNAL UINT64_C(2)
#define TRUNCATE     (UINT64_C(1) << 14) /* ABI 3 */

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* No devices, sockets or fifos. */
#define WRITE                                                                                      \
	(READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                    \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                     \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER)
#define OF_FILES                                                                                   \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)
#define EVERYTHING                                                                                 \
	(WRITE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                       \
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                      \
		LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

struct landlock {
	int fd;
	uint64_t truncate; /* 0 = the kernel does not ask */
};

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

struct landlock *landlock_new(bool needs_abstract)
{
	int abi = landlock_abi();
	struct ruleset ruleset = {
		.files = EVERYTHING,
		.net = NET_BIND_TCP,
		.scope = SCOPE_SIGNAL | (needs_abstract ? 0 : SCOPE_SOCKET),
	};
	size_t size = abi >= 6 ? sizeof(ruleset) : abi >= 4 ? offsetof(struct ruleset, scope)
							    : offsetof(struct ruleset, net);
	struct landlock *landlock;
	long fd;

	if (abi < LANDLOCK_ABI_MIN)
		return NULL;
	ruleset.files |= abi >= 3 ? TRUNCATE : 0;
	fd = syscall(SYS_landlock_create_ruleset, &ruleset, size, 0); /* close-on-exec */
	if (fd < 0)
		return NULL;
	landlock = g_new(struct landlock, 1);
	*landlock = (struct landlock){ .fd = (int)fd, .truncate = abi >= 3 ? TRUNCATE : 0 };
	return landlock;
}

static void allow(struct landlock *landlock, const char *path, uint64_t access)
{
	SCOPED(fd_closep) int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= OF_FILES;
	/* What fails here stays forbidden. */
	(void)syscall(SYS_landlock_add_rule, landlock->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

void landlock_allow_read(struct landlock *landlock, const char *path)
{
	allow(landlock, path, READ);
}

void landlock_allow_write(struct landlock *landlock, const char *path)
{
	allow(landlock, path, WRITE | landlock->truncate);
}

bool landlock_enforce(const struct landlock *landlock)
{
	return syscall(SYS_landlock_restrict_self, landlock->fd, 0) == 0;
}

void landlock_free(struct landlock *landlock)
{
	if (!landlock)
		return;
	close(landlock->fd);
	g_free(landlock);
}
