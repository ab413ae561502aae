/* SPDX-License-Identifier: MIT */
/*
 * Requests from the kernel, taken off its fd. Loop thread.
 *
 * A program that reads what is cached asks for one thing after the other (OPEN, RELEASE, OPEN …),
 * each some microseconds after the last answer. To sleep until then takes longer than to answer:
 * being woken is most of what a request costs. So while they come in quick succession we stay a
 * moment and look again; where that was in vain, less often. The network waits for no more than one
 * turn, and a machine with one CPU has no time for it.
 */
#include <errno.h>
#include <string.h>

#include <linux/fuse.h>

#include "base/clock.h"
#include "fs/internal.h"

#define REQUESTS_PER_TURN 64
#define BUFFER_KEPT       (64u * 1024) /* what a larger request has touched is given back */

#define QUICK_US    100 /* after the last answer: a request that came in quick succession */
#define LOITER_US   50
#define BUSY_US     20 /* instead, while messages come: whoever sends them needs the CPU too */
#define CALM_US     (100 * 1000)
#define HASTE_ENTER 16 /* so many more quick ones than … */
#define HASTE_MAX   64
#define HASTE_MISS  4 /* … this, each time that one was not */

static void note_haste(struct mount *mount, bool was_quick)
{
	if (was_quick)
		mount->haste = MIN(mount->haste + 1, HASTE_MAX);
	else
		mount->haste -= MIN(mount->haste, HASTE_MISS);
}

/* Another request will come within LOITER_US, most likely. */
static bool is_in_haste(const struct mount *mount)
{
	return mount->haste >= HASTE_ENTER && mount->has_cpus && !mount->is_ended;
}

/* The account that the request is for. */
static struct fs *fs_for(struct mount *mount, const struct fuse_buf *buf)
{
	struct fuse_in_header head;

	if (buf->size < sizeof(head))
		return mount->fs;
	memcpy(&head, buf->mem, sizeof(head));
	return mount_fs(mount, head.nodeid);
}

void requests_process(struct mount *mount, const struct fuse_buf *buf)
{
	const struct fuse_buf *outer_buf = mount->current;
	struct fs *outer = mount->fs;

	mount->fs = fs_for(mount, buf);
	mount->current = buf;
	fuse_session_process_buf(mount->session, buf);
	mount->current = outer_buf;
	mount->fs = outer;
}

static void process(struct mount *mount, int got)
{
	uint64_t last_op = mount->last_op;

	note_haste(mount, clock_monotonic_us() - mount->answered_us <= QUICK_US);
	mount->input.size = (size_t)got;
	if (!wait_for_box(fs_for(mount, &mount->input), &mount->input))
		requests_process(mount, &mount->input);
	/* Who waits for the network or a disk asks nothing more meanwhile. */
	if (mount->last_op != last_op)
		mount->haste = 0;
	mount->answered_us = clock_monotonic_us();
	if (got > (int)BUFFER_KEPT)
		g_clear_pointer(&mount->input.mem, free);
}

/* Nothing is there now. True: look again. */
static bool loiter(struct mount *mount)
{
	if (!is_in_haste(mount))
		return false;
	if (clock_monotonic_us() - mount->answered_us <
		(mount->answered_us - mount->came_us < CALM_US ? BUSY_US : LOITER_US))
		return true;
	note_haste(mount, false);
	return false;
}

bool requests_take(struct mount *mount)
{
	int turns = 0;

	while (turns < REQUESTS_PER_TURN && !fuse_session_exited(mount->session)) {
		int got = fuse_session_receive_buf(mount->session, &mount->input);

		if (got == -EAGAIN && !loiter(mount))
			break;
		if (got == -EAGAIN || got == -EINTR)
			continue;
		if (got <= 0)
			return false;
		turns++;
		process(mount, got);
	}
	return !fuse_session_exited(mount->session);
}

void requests_init(struct mount *mount)
{
	mount->has_cpus = g_get_num_processors() > 1;
}

void requests_done(struct mount *mount)
{
	g_clear_pointer(&mount->input.mem, free);
}
