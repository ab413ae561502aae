/* SPDX-License-Identifier: MIT */
/*
 * The POP3 reader: how the bytes are cut changes nothing. Byte 0 chooses the way of cutting, byte 1
 * what the answers are, the rest is from the server.
 */
#include <stdint.h>

#include <glib.h>

#include "../unit/wire_pop3_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const follows[] = { "mmmmmmmm", "llllllll", "mlxmlxmlx", "xxlxmmmm" };
	g_autofree char *whole = NULL, *pieces = NULL;
	const char *kinds;
	size_t step;

	if (size < 3)
		return 0;
	step = 1 + data[0];
	kinds = follows[data[1] % G_N_ELEMENTS(follows)];
	data += 2;
	size -= 2;
	whole = pop3_dump_pieces(kinds, data, size, size, size);
	pieces = pop3_dump_pieces(kinds, data, size, size % step + 1, step);
	g_assert_cmpstr(whole, ==, pieces);
	return 0;
}
