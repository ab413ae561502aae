/* SPDX-License-Identifier: MIT */
/* The one place where an error becomes an errno for a program. Pure. */
#pragma once

#include <glib.h>

int errno_of(const GError *error); /* positive; 0 for NULL */
