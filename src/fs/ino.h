/* SPDX-License-Identifier: MIT */
/*
 * Inode numbers are values: round:4 | kind:4 | id:24 | uid:32. Nothing is counted and nothing
 * forgotten. The ids are hashes that the index keeps, so that a message has the same inode after a
 * remount and after the cache was lost; another UIDVALIDITY is another id.
 *
 * What programs see as st_ino has round 0. What the kernel goes by may have another one: rounds.c.
 *
 * Where a mount has several accounts there are no rounds, and kinds need 3 bits: there it is
 * account:5 | kind:3 | id:24 | uid:32, account 0 being the top. So the account of an inode is a shift
 * and a mask (of 0 where there is one account).
 */
#pragma once

#include <stdint.h>

#define INO_ROOT 1ull /* FUSE_ROOT_ID */

enum ino_kind {
	INO_KIND_ROOT = 0,
	INO_KIND_FOLDER = 1,  /* id = folder->dir_id */
	INO_KIND_MESSAGE = 2, /* id = mailbox->id, uid */
	INO_KIND_CONTROL = 3, /* uid = enum control_file, id = which text of it */
	INO_KIND_DRAFT = 4,   /* id and uid: the 56 bits of the draft's id */
};

enum control_file {
	CONTROL_DIR = 1,
	CONTROL_STATUS,
	CONTROL_STATUS_JSON,
	CONTROL_CTL,
	CONTROL_PENDING,
	CONTROL_EVENTS,
};

#define INO_ROUND_MAX 15u

#define INO_ACCOUNT_SHIFT 59
#define INO_ACCOUNT_MASK  31u /* of a mount with several; else 0 */

static inline unsigned ino_account(uint64_t value, unsigned mask)
{
	return (unsigned)(value >> INO_ACCOUNT_SHIFT) & mask;
}

/* What all inodes of an account have in common. */
static inline uint64_t ino_base(unsigned account)
{
	return (uint64_t)account << INO_ACCOUNT_SHIFT;
}

struct ino {
	enum ino_kind kind;
	unsigned round;
	uint32_t id;
	uint32_t uid;
};

static inline uint64_t ino_make(enum ino_kind kind, uint32_t id, uint32_t uid)
{
	return (uint64_t)kind << 56 | (uint64_t)(id & 0xffffff) << 32 | uid;
}

static inline uint64_t ino_with_round(uint64_t ino, unsigned round)
{
	return (ino & ~(15ull << 60)) | (uint64_t)(round & 15) << 60;
}

static inline struct ino ino_split(uint64_t value)
{
	return (struct ino){
		.kind = (enum ino_kind)(value >> 56 & 7),
		.round = (unsigned)(value >> 60),
		.id = (uint32_t)(value >> 32) & 0xffffff,
		.uid = (uint32_t)value,
	};
}

static inline uint64_t ino_draft(uint64_t draft_id)
{
	return (uint64_t)INO_KIND_DRAFT << 56 | (draft_id & 0xffffffffffffffull);
}

static inline uint64_t ino_draft_id(uint64_t value)
{
	return value & 0xffffffffffffffull;
}
