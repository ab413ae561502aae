/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes, read. What memory does not hold (header fields, ids) is asked from the
 * index, never from the server. Attributes outside `user.` get EOPNOTSUPP: then ls and the kernel
 * stop asking for them.
 */
#include <errno.h>
#include <string.h>

#include "fs/attributes.h"

struct xattr_op {
	struct op op;
	uint64_t ino;
	const struct attribute *attribute; /* NULL: the list */
	size_t size;
	GBytes *expected; /* not NULL: nothing is read, the value is compared with this */
};

/* What goes back: bytes, or their number when the program asked for that with size 0; or whether
 * they are the expected ones. */
struct xattr_reply {
	const char *bytes;
	size_t len, size;
	GBytes *expected;
};

static void xattr_release(struct op *op)
{
	g_clear_pointer(&((struct xattr_op *)op)->expected, g_bytes_unref);
}

static bool subject_of(struct fs *fs, uint64_t ino, struct subject *ret_subject,
	const struct attribute **ret_table)
{
	struct folder *folder = NULL;
	const struct message *message = fs_message(fs, ino, &folder);
	const struct draft *draft = fs_draft(fs, ino);

	if (draft) {
		*ret_subject = (struct subject){ .fs = fs, .draft = draft };
		*ret_table = draft_attributes;
		return true;
	}
	if (!message)
		folder = fs_folder(fs, ino);
	if (!folder)
		return false;
	*ret_subject = (struct subject){ .fs = fs, .folder = folder, .message = message };
	*ret_table = message ? message_attributes : folder_attributes;
	return true;
}

static bool is_expected(const struct xattr_reply *reply)
{
	gsize len;
	const void *bytes = g_bytes_get_data(reply->expected, &len);

	return len == reply->len && (len == 0 || memcmp(bytes, reply->bytes, len) == 0);
}

static void reply_xattr(fuse_req_t req, void *data)
{
	const struct xattr_reply *reply = data;

	if (reply->expected)
		fuse_reply_err(req, is_expected(reply) ? 0 : EPERM);
	else if (reply->size == 0)
		fuse_reply_xattr(req, reply->len);
	else if (reply->len > reply->size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, reply->bytes, reply->len);
}

static void answer(struct fs *fs, fuse_req_t req, struct xattr_op *waiting, GString *value,
	size_t size, int error)
{
	struct xattr_reply reply = { value->str, value->len, size,
		waiting ? waiting->expected : NULL };

	if (waiting && error != 0)
		op_finish_errno(&waiting->op, error);
	else if (waiting)
		op_finish(&waiting->op, reply_xattr, &reply);
	else if (error != 0)
		fuse_reply_err(req, error);
	else
		reply_xattr(req, &reply);
}

static void append_names(const struct subject *subject, const struct attribute *table,
	GString *names)
{
	g_autoptr(GString) value = g_string_new(NULL);

	for (; table->name; table++) {
		g_string_truncate(value, 0);
		if (table->is_listed && table->value(subject, table->arg, value))
			g_string_append_len(names, table->name, (gssize)strlen(table->name) + 1);
	}
}

static void on_details(void *user, const struct store_details *details)
{
	static const struct store_details nothing;
	struct xattr_op *waiting = (struct xattr_op *)op_ref_take(user);
	g_autoptr(GString) value = g_string_new(NULL);
	const struct attribute *table;
	struct subject subject;
	int error = 0;

	if (!waiting)
		return;
	if (!subject_of(waiting->op.fs, waiting->ino, &subject, &table)) {
		op_finish_errno(&waiting->op, ESTALE);
		return;
	}
	subject.details = details ? details : &nothing;
	if (!waiting->attribute)
		append_names(&subject, table, value);
	else if (!waiting->attribute->value(&subject, waiting->attribute->arg, value))
		error = waiting->expected ? EPERM : ENODATA;
	answer(waiting->op.fs, waiting->op.req, waiting, value, waiting->size, error);
}

static void ask_index(struct fs *fs, fuse_req_t req, uint64_t ino,
	const struct attribute *attribute, size_t size, GBytes *expected)
{
	struct xattr_op *waiting = (struct xattr_op *)op_new(fs, req, sizeof(*waiting), xattr_release);
	struct ino what = ino_split(ino);

	if (!waiting)
		return;
	waiting->ino = ino;
	waiting->attribute = attribute;
	waiting->size = size;
	waiting->expected = expected ? g_bytes_ref(expected) : NULL;
	engine_load_details(fs->engine, what.id, what.uid, on_details, op_ref_new(&waiting->op));
}

static const struct attribute *find_attribute(const struct attribute *table, const char *name)
{
	for (; table->name; table++) {
		if (strcmp(table->name, name) == 0)
			return table;
	}
	return NULL;
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs *fs = fs_of(req);
	g_autoptr(GString) value = NULL;
	const struct attribute *table;
	struct subject subject;
	int error = 0;

	if (!g_str_has_prefix(name, "user.")) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (!subject_of(fs, ino, &subject, &table)) {
		fuse_reply_err(req, ino_split(ino).kind == INO_KIND_CONTROL ? ENODATA : ESTALE);
		return;
	}
	table = find_attribute(table, name);
	if (!table) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	if (table->needs_details) {
		ask_index(fs, req, ino, table, size, NULL);
		return;
	}
	value = g_string_new(NULL);
	if (!table->value(&subject, table->arg, value))
		error = ENODATA;
	answer(fs, req, NULL, value, size, error);
}

static void answer_draft_names(struct fs *fs, fuse_req_t req, const struct subject *subject,
	size_t size)
{
	g_autoptr(GString) names = g_string_new(NULL);

	append_names(subject, draft_attributes, names);
	answer(fs, req, NULL, names, size, 0);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs *fs = fs_of(req);
	g_autoptr(GString) nothing = g_string_new(NULL);
	const struct attribute *table;
	struct subject subject;

	if (ino_split(ino).kind == INO_KIND_CONTROL)
		answer(fs, req, NULL, nothing, size, 0);
	else if (!subject_of(fs, ino, &subject, &table))
		fuse_reply_err(req, ESTALE);
	else if (subject.draft)
		answer_draft_names(fs, req, &subject, size);
	else if (!subject.message)
		answer(fs, req, NULL, nothing, size, 0);
	else
		ask_index(fs, req, ino, NULL, size, NULL);
}

void xattr_compare(fuse_req_t req, fuse_ino_t ino, const char *name, GBytes *expected)
{
	struct fs *fs = fs_of(req);
	g_autoptr(GString) value = g_string_new(NULL);
	const struct attribute *table;
	struct subject subject;

	if (!subject_of(fs, ino, &subject, &table)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	table = find_attribute(table, name);
	if (table && table->needs_details) {
		ask_index(fs, req, ino, table, 0, expected);
		return;
	}
	if (!table || !table->value(&subject, table->arg, value)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	reply_xattr(req, &(struct xattr_reply){ value->str, value->len, 0, expected });
}
