/* SPDX-License-Identifier: MIT */
/*
 * The kernel's mount table, and the directory that is going to be a mount point: found good, freed
 * of a dead mount of our own, unmounted. Blocks; not on the loop while something is mounted by it.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#define MOUNT_TYPE "fuse.mailfs"
#define MOUNT_SOURCE_ALL "mailfs-all:" /* of several accounts */

struct mount_entry {
	char *id;      /* of the mount and its device; no other that is there has it */
	char *path;
	char *type;
	char *source;  /* "user@host:" */
	char *options; /* of the file system: "rw,user_id=0,…" */
};

/* All mounts of this namespace, the topmost of a place last. struct mount_entry *; unref it. */
GPtrArray *mount_table_read(void);
GPtrArray *mount_table_parse(const char *text); /* of /proc/self/mountinfo */
/* What is mounted at `path` (canonical), the topmost; NULL = nothing. */
const struct mount_entry *mount_table_find(const GPtrArray *table, const char *path);
/* A mailfs that was mounted by this user? */
bool mount_entry_is_ours(const struct mount_entry *entry);

/* Absolute, links resolved as far as that works without touching the last component, which may
 * be a dead mount. g_free() it. */
char *mountpoint_canonical(const char *path);

/*
 * Makes sure that `path` can be mounted on: a directory, empty unless `may_have_files`, no mailfs
 * there. A dead mailfs mount of ours is taken away first. Error: EX_NOINPUT.
 */
bool mountpoint_prepare(const char *path, bool may_have_files, GError **error);

/* Does `path`, existing or not, lie in the directory `mountpoint`? SEC-55. */
bool mountpoint_holds(const char *mountpoint, const char *path);

/* fusermount3 -u, `is_lazy` with -z; by umount2(2) where root has no fusermount3. Error: EX_NOINPUT,
 * with what fusermount3 says on stderr. */
bool mountpoint_unmount(const char *path, bool is_lazy, GError **error);
