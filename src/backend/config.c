/* SPDX-License-Identifier: MIT */
/* Strings of the configuration, copied and freed. Loop thread. */
#include "backend/imap/config.h"

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
