/* SPDX-License-Identifier: MIT */
/*
 * Dates of the proleptic Gregorian calendar and seconds since 1970-01-01 UTC, without the C
 * library's time zones (which read files). What the date parsers of this layer share. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct civil {
	int year;  /* 0 … 9999 */
	int month; /* 1 … 12 */
	int day;   /* 1 … 31 */
	int hour, minute;
	int second; /* 60 is taken, as leap seconds are sent; it is the next minute's 0 */
};

/* False when there is no such day or time. `offset` is seconds east of UTC. */
bool civil_to_epoch(const struct civil *civil, int offset, int64_t *ret_epoch);

/* UTC. False outside the years 0 … 9999. */
bool civil_from_epoch(int64_t epoch, struct civil *ret_civil);

/* "jan…", any case, three letters count: 1 … 12, else 0. */
int civil_month(const char *name, size_t len);
const char *civil_month_name(int month); /* "Jan" */
