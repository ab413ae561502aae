/* SPDX-License-Identifier: MIT */
/* The presets, one file each; view.c lists them. */
#pragma once

#include "mailfs/view.h"

extern const struct mailfs_view human_view; /* human.c */
extern const struct mailfs_view uid_view;   /* uid.c */
