/* SPDX-License-Identifier: MIT */
/* The one error domain. */
#include "mailfs/error.h"

G_DEFINE_QUARK(mailfs-error-quark, mailfs_error)
