/* SPDX-License-Identifier: MIT */
/* A copy of the configuration that lives as long as its session. */
#pragma once

#include "mailfs/backend.h"
#include "net/tls.h"

void config_copy(struct mailfs_backend_config *to, const struct mailfs_backend_config *from);
void config_done(struct mailfs_backend_config *config);

/* Connections of one account resume each other's TLS sessions: the last configuration is kept. A new
 * reference; NULL + error when a file or the fingerprint is bad. */
struct tls_config *config_tls(const struct mailfs_backend_config *config, const char *alpn,
	GError **error);
