/* SPDX-License-Identifier: MIT */
/* A copy of the configuration that lives as long as its session. */
#pragma once

#include "mailfs/backend.h"

void config_copy(struct mailfs_backend_config *to, const struct mailfs_backend_config *from);
void config_done(struct mailfs_backend_config *config);
