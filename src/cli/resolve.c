/* SPDX-License-Identifier: MIT */
/* A GResolver that reads a file. All its answers are ready at once. */
#include "cli/resolve.h"

#include <string.h>

#include <gio/gio.h>

#include "base/parse.h"

#define HTTPS_PORT 443u

static char **lines; /* of the file; NULL = the system's resolver is used */

typedef GResolver FileResolver;
typedef GResolverClass FileResolverClass;

GType file_resolver_get_type(void);

G_DEFINE_TYPE(FileResolver, file_resolver, G_TYPE_RESOLVER)

/* The words behind "NAME KIND", one array for each line. */
static GPtrArray *find(const char *name, const char *kind)
{
	GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);

	for (char **line = lines; *line; line++) {
		char **words = g_strsplit(*line, " ", 6);

		if (g_strv_length(words) > 2 && g_ascii_strcasecmp(words[0], name) == 0 &&
			strcmp(words[1], kind) == 0)
			g_ptr_array_add(found, words);
		else
			g_strfreev(words);
	}
	return found;
}

static GList *fail(const char *name, GError **error)
{
	g_set_error(error, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "%s: not in the file", name);
	return NULL;
}

static GList *lookup_name(const char *name, GResolverNameLookupFlags flags, GError **error)
{
	g_autoptr(GPtrArray) found = find(name, "A");
	GList *list = NULL;

	for (guint i = 0; i < found->len && flags != G_RESOLVER_NAME_LOOKUP_FLAGS_IPV6_ONLY; i++) {
		char **words = g_ptr_array_index(found, i);
		GInetAddress *address = g_inet_address_new_from_string(words[2]);

		if (address)
			list = g_list_append(list, address);
	}
	return list ? list : fail(name, error);
}

static GList *by_name(GResolver *self, const gchar *name, GCancellable *cancellable, GError **error)
{
	return lookup_name(name, G_RESOLVER_NAME_LOOKUP_FLAGS_DEFAULT, error);
}

static GList *by_name_flags(GResolver *self, const gchar *name, GResolverNameLookupFlags flags,
	GCancellable *cancellable, GError **error)
{
	return lookup_name(name, flags, error);
}

static void free_addresses(gpointer list)
{
	g_resolver_free_addresses(list);
}

static void by_name_flags_async(GResolver *self, const gchar *name, GResolverNameLookupFlags flags,
	GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user)
{
	g_autoptr(GTask) task = g_task_new(self, cancellable, callback, user);
	GError *error = NULL;
	GList *list = lookup_name(name, flags, &error);

	if (list)
		g_task_return_pointer(task, list, free_addresses);
	else
		g_task_return_error(task, error);
}

static void by_name_async(GResolver *self, const gchar *name, GCancellable *cancellable,
	GAsyncReadyCallback callback, gpointer user)
{
	by_name_flags_async(self, name, G_RESOLVER_NAME_LOOKUP_FLAGS_DEFAULT, cancellable, callback, user);
}

static GList *by_name_finish(GResolver *self, GAsyncResult *result, GError **error)
{
	return g_task_propagate_pointer(G_TASK(result), error);
}

static guint16 number(const char *text)
{
	uint32_t value = 0;

	return text && parse_u32(text, strlen(text), &value) ? (guint16)value : 0;
}

static GList *records(GResolver *self, const gchar *name, GResolverRecordType type,
	GCancellable *cancellable, GError **error)
{
	bool is_srv = type == G_RESOLVER_RECORD_SRV;
	g_autoptr(GPtrArray) found = find(name, is_srv ? "SRV" : "MX");
	GList *list = NULL;

	for (guint i = 0; i < found->len; i++) {
		char **w = g_ptr_array_index(found, i);
		GVariant *record = NULL;

		if (is_srv && g_strv_length(w) == 6)
			record = g_variant_new("(qqqs)", number(w[2]), number(w[3]), number(w[4]), w[5]);
		else if (!is_srv && g_strv_length(w) == 4)
			record = g_variant_new("(qs)", number(w[2]), w[3]);
		if (record)
			list = g_list_append(list, g_variant_ref_sink(record));
	}
	return list ? list : fail(name, error);
}

static void file_resolver_class_init(FileResolverClass *class)
{
	class->lookup_by_name = by_name;
	class->lookup_by_name_async = by_name_async;
	class->lookup_by_name_finish = by_name_finish;
	class->lookup_by_name_with_flags = by_name_flags;
	class->lookup_by_name_with_flags_async = by_name_flags_async;
	class->lookup_by_name_with_flags_finish = by_name_finish;
	class->lookup_records = records;
}

static void file_resolver_init(FileResolver *self)
{
}

void resolve_init(void)
{
	const char *path = g_getenv("MAILFS_RESOLVE");
	g_autofree char *text = NULL;
	g_autoptr(GResolver) resolver = NULL;

	if (!path)
		return;
	/* Not the system's by accident: a file that cannot be read knows nothing. */
	g_file_get_contents(path, &text, NULL, NULL);
	lines = g_strsplit(text ? text : "", "\n", -1);
	resolver = g_object_new(file_resolver_get_type(), NULL);
	g_resolver_set_default(resolver);
}

uint16_t resolve_https_port(void)
{
	for (char **line = lines; line && *line; line++) {
		if (g_str_has_prefix(*line, "https-port "))
			return number(*line + strlen("https-port "));
	}
	return HTTPS_PORT;
}
