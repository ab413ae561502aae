/* SPDX-License-Identifier: MIT */
/*
 * A message as it goes to the server: line ends are CRLF and the last line has one (RFC 9051
 * §6.3.12, RFC 5322 §2.3); the line of an mbox file before the header is left out. Worker threads.
 */
#include "store/spool_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"

#define CHUNK    (64u << 10)
#define HEAD_MAX (64u << 10) /* a Message-ID further down is not looked for */

/* ---- what the header says ----------------------------------------------------------------------
 */

/* Length of the field name at the beginning; 0 = there is no field. RFC 5322 §2.2, §4.5. */
static size_t field_name_len(const char *line, size_t len)
{
	size_t n = 0, blanks = 0;

	while (n < len && line[n] > ' ' && line[n] < 0x7f && line[n] != ':')
		n++;
	while (n + blanks < len && (line[n + blanks] == ' ' || line[n + blanks] == '\t'))
		blanks++;
	return n + blanks < len && line[n + blanks] == ':' ? n : 0;
}

bool spool_looks_like_message(const char *bytes, size_t len)
{
	const char *next;

	if (len == 0)
		return false;
	if (bytes[0] == '\n' || (len > 1 && bytes[0] == '\r' && bytes[1] == '\n'))
		return true;
	if (field_name_len(bytes, len) > 0)
		return true;
	if (len < 5 || memcmp(bytes, "From ", 5) != 0)
		return false;
	next = memchr(bytes, '\n', len);
	return next && field_name_len(next + 1, len - (size_t)(next + 1 - bytes)) > 0;
}

/* The value of the field that begins at `line`, unfolded and trimmed. */
static char *field_value(const char *line, const char *end)
{
	const char *p = memchr(line, ':', (size_t)(end - line));
	g_autoptr(GString) value = g_string_new(NULL);

	for (p++; p < end; p++) {
		if (*p == '\n' && (p + 1 >= end || (p[1] != ' ' && p[1] != '\t')))
			break;
		if (*p != '\r' && *p != '\n')
			g_string_append_c(value, *p);
	}
	g_strstrip(value->str);
	return value->str[0] != '\0' ? g_strdup(value->str) : NULL;
}

static char *find_message_id(const char *head, size_t len)
{
	static const char name[] = "Message-ID";
	const char *line = head, *end = head + len;

	while (line < end && *line != '\n' && *line != '\r') {
		size_t name_len = field_name_len(line, (size_t)(end - line));
		const char *next = memchr(line, '\n', (size_t)(end - line));

		if (name_len == strlen(name) && g_ascii_strncasecmp(line, name, name_len) == 0)
			return field_value(line, end);
		if (!next)
			break;
		line = next + 1;
	}
	return NULL;
}

/* ---- the conversion ----------------------------------------------------------------------------
 */

struct convert {
	GByteArray *out; /* of this chunk */
	GChecksum *sha;
	int fd; /* -1: only looked at */
	uint64_t size;
	char last; /* octet of the input; '\n' at the beginning */
	bool has_nul, differs;
};

static int convert_flush(struct convert *convert)
{
	size_t done = 0;

	g_checksum_update(convert->sha, convert->out->data, convert->out->len);
	convert->size += convert->out->len;
	if (convert->fd >= 0 && fault_is_full("spool: wire"))
		return -ENOSPC;
	while (convert->fd >= 0 && done < convert->out->len) {
		ssize_t n = write(convert->fd, convert->out->data + done, convert->out->len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	g_byte_array_set_size(convert->out, 0);
	return 0;
}

static int convert_chunk(struct convert *convert, const char *in, size_t len)
{
	convert->has_nul |= memchr(in, '\0', len) != NULL;
	while (len > 0) {
		const char *newline = memchr(in, '\n', len);
		size_t n = newline ? (size_t)(newline - in) : len;

		g_byte_array_append(convert->out, (const guint8 *)in, (guint)n);
		if (n > 0)
			convert->last = in[n - 1];
		if (!newline)
			break;
		if (convert->last != '\r') {
			g_byte_array_append(convert->out, (const guint8 *)"\r", 1);
			convert->differs = true;
		}
		g_byte_array_append(convert->out, (const guint8 *)"\n", 1);
		convert->last = '\n';
		in += n + 1;
		len -= n + 1;
	}
	return convert_flush(convert);
}

/* A last line that ends in CR gets its LF only. */
static int convert_end(struct convert *convert)
{
	const char *end = convert->last == '\r' ? "\n" : "\r\n";

	if (convert->last == '\n')
		return 0;
	convert->differs = true;
	g_byte_array_append(convert->out, (const guint8 *)end, (guint)strlen(end));
	return convert_flush(convert);
}

/* "From ann@example.org Tue Jan …", as programs that know mbox files write it before the header (mutt's
 * pipe-message): no part of the message. */
static size_t envelope_len(const char *bytes, size_t len)
{
	const char *end;

	if (len < 5 || memcmp(bytes, "From ", 5) != 0 || !spool_looks_like_message(bytes, len) ||
		field_name_len(bytes, len) > 0)
		return 0;
	end = memchr(bytes, '\n', len);
	return (size_t)(end + 1 - bytes);
}

/* A NUL ends it: such a file is never sent. */
static int convert_file(struct convert *convert, int fd, GByteArray *head)
{
	g_autofree char *buffer = g_malloc(CHUNK);
	off_t at = 0;

	convert->last = '\n';
	while (!convert->has_nul) {
		ssize_t n = pread(fd, buffer, CHUNK, at);
		size_t skipped;
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return at == 0 ? 0 : convert_end(convert);
		if (head && head->len < HEAD_MAX)
			g_byte_array_append(
				head, (const guint8 *)buffer, MIN((guint)n, HEAD_MAX - head->len));
		skipped = at == 0 ? envelope_len(buffer, (size_t)n) : 0;
		convert->differs |= skipped > 0;
		r = convert_chunk(convert, buffer + skipped, (size_t)n - skipped);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

static void convert_init(struct convert *convert, int fd)
{
	*convert = (struct convert){ .fd = fd };
	convert->out = g_byte_array_sized_new(2 * CHUNK);
	convert->sha = g_checksum_new(G_CHECKSUM_SHA256);
}

static void convert_done(struct convert *convert)
{
	g_byte_array_unref(convert->out);
	g_checksum_free(convert->sha);
}

/* A new inode: who reads the former wire form goes on reading that one. */
static int make_wire_file(struct spool_disk *disk)
{
	char name[40];

	fd_closep(&disk->wire_fd);
	snprintf(name, sizeof(name), "%" G_GUINT64_FORMAT ".wire", disk->id);
	if (unlinkat(disk->dir_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	disk->wire_fd = openat(
		disk->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return disk->wire_fd < 0 ? -errno : 0;
}

static int copy_to_wire(struct spool_disk *disk)
{
	struct convert convert;
	int r = make_wire_file(disk);

	if (r < 0)
		return r;
	convert_init(&convert, disk->wire_fd);
	r = convert_file(&convert, disk->fd, NULL);
	convert_done(&convert);
	return r;
}

static int keep_wire(struct spool_disk *disk, bool differs)
{
	disk->is_wire_file = !differs;
	if (differs)
		return copy_to_wire(disk);
	fd_closep(&disk->wire_fd);
	return 0;
}

int spool_disk_scan(struct spool_disk *disk, bool is_kept, struct spool_wire *ret_wire)
{
	g_autoptr(GByteArray) head = g_byte_array_new();
	struct spool_wire wire = { 0 };
	struct convert convert;
	gsize sha_len = sizeof(wire.sha256);
	int r;

	convert_init(&convert, -1);
	r = convert_file(&convert, disk->fd, head);
	wire.size = convert.size;
	wire.has_nul = convert.has_nul;
	g_checksum_get_digest(convert.sha, wire.sha256, &sha_len);
	convert_done(&convert);
	if (r == 0 && is_kept && !wire.has_nul)
		r = keep_wire(disk, convert.differs);
	if (r < 0)
		return r;
	wire.looks_like_message = spool_looks_like_message((const char *)head->data, head->len);
	wire.message_id = find_message_id((const char *)head->data, head->len);
	*ret_wire = wire;
	return 0;
}

int spool_disk_freeze(struct spool_disk *disk)
{
	int r;

	if (!disk->is_wire_file)
		return 0;
	/* It needs no conversion. */
	r = copy_to_wire(disk);
	if (r == 0)
		disk->is_wire_file = false;
	return r;
}
