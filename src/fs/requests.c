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

#include "base/clock.h"
#include "fs/internal.h"

#define REQUESTS_PER_TURN 64
#define BUFFER_KEPT       (64u * 1024) /* what a larger request has touched is given back */

#define QUICK_US    100 /* after the last answer: a request that came in quick succession */
#define LOITER_US   50
#define HASTE_ENTER 16 /* so many more quick ones than … */
#define HASTE_MAX   64
#define HASTE_MISS  4 /* … this, each time that one was not */

static void note_haste(struct fs *fs, bool was_quick)
{
	if (was_quick)
		fs->haste = MIN(fs->haste + 1, HASTE_MAX);
	else
		fs->haste -= MIN(fs->haste, HASTE_MISS);
}

/* Another request will come within LOITER_US, most likely. */
static bool is_in_haste(const struct fs *fs)
{
	return fs->haste >= HASTE_ENTER && fs->has_cpus && !fs->is_ended;
}

void requests_process(struct fs *fs, const struct fuse_buf *buf)
{
	fs->current = buf;
	fuse_session_process_buf(fs->session, buf);
	fs->current = NULL;
}

static void process(struct fs *fs, int got)
{
	uint64_t last_op = fs->last_op;

	note_haste(fs, clock_monotonic_us() - fs->answered_us <= QUICK_US);
	fs->input.size = (size_t)got;
	if (!wait_for_box(fs, &fs->input))
		requests_process(fs, &fs->input);
	/* Who waits for the network or a disk asks nothing more meanwhile. */
	if (fs->last_op != last_op)
		fs->haste = 0;
	fs->answered_us = clock_monotonic_us();
	if (got > (int)BUFFER_KEPT)
		g_clear_pointer(&fs->input.mem, free);
}

/* Nothing is there now. True: look again. */
static bool loiter(struct fs *fs)
{
	if (!is_in_haste(fs))
		return false;
	if (clock_monotonic_us() - fs->answered_us < LOITER_US)
		return true;
	note_haste(fs, false);
	return false;
}

bool requests_take(struct fs *fs)
{
	int turns = 0;

	while (turns < REQUESTS_PER_TURN && !fuse_session_exited(fs->session)) {
		int got = fuse_session_receive_buf(fs->session, &fs->input);

		if (got == -EAGAIN && !loiter(fs))
			break;
		if (got == -EAGAIN || got == -EINTR)
			continue;
		if (got <= 0)
			return false;
		turns++;
		process(fs, got);
	}
	return !fuse_session_exited(fs->session);
}

void requests_init(struct fs *fs)
{
	fs->has_cpus = g_get_num_processors() > 1;
}

void requests_done(struct fs *fs)
{
	g_clear_pointer(&fs->input.mem, free);
}
