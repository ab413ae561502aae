/* SPDX-License-Identifier: MIT */
/* What the backends do with their configuration: copies of its strings, its TLS. Loop thread. */
#include "backend/config.h"

void config_copy(struct mailfs_backend_config *to, const struct mailfs_backend_config *from)
{
	*to = *from;
	to->host = g_strdup(from->host);
	to->tls_fingerprint = g_strdup(from->tls_fingerprint);
	to->tls_ca_file = g_strdup(from->tls_ca_file);
	to->user = g_strdup(from->user);
	to->disable = (const char *const *)g_strdupv((char **)from->disable);
	to->include = (const char *const *)g_strdupv((char **)from->include);
	to->exclude = (const char *const *)g_strdupv((char **)from->exclude);
}

void config_done(struct mailfs_backend_config *config)
{
	g_free((char *)config->host);
	g_free((char *)config->tls_fingerprint);
	g_free((char *)config->tls_ca_file);
	g_free((char *)config->user);
	g_strfreev((char **)config->disable);
	g_strfreev((char **)config->include);
	g_strfreev((char **)config->exclude);
}

struct tls_config *config_tls(const struct mailfs_backend_config *config, const char *alpn,
	GError **error)
{
	static struct tls_config *last;
	static char *last_key;
	g_autofree char *key = g_strdup_printf("%s %s:%u\n%s\n%s", alpn, config->host, config->port,
		config->tls_ca_file ? config->tls_ca_file : "",
		config->tls_fingerprint ? config->tls_fingerprint : "");
	struct tls_config *fresh;

	if (g_strcmp0(key, last_key) == 0)
		return tls_config_ref(last);
	fresh = tls_config_new(config->tls_ca_file, config->tls_fingerprint, alpn, error);
	if (!fresh)
		return NULL;
	g_clear_pointer(&last, tls_config_unref);
	g_free(last_key);
	last_key = g_steal_pointer(&key);
	last = tls_config_ref(fresh);
	return fresh;
}
