/* SPDX-License-Identifier: MIT */
/*
 * Every option and configuration key, in one table: the parser, --help and the checks of the manual
 * pages read it. Pure but for the table; loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#define OPTION_UNSET UINT32_MAX /* of uid, gid, umask, passfd, poll, keep */

enum option_prefetch { PREFETCH_AUTO, PREFETCH_OFF, PREFETCH_ALL };
enum option_compress { COMPRESS_AUTO, COMPRESS_NO, COMPRESS_YES };
enum option_flags { FLAGS_ASYNC, FLAGS_SYNC };
enum option_confirm { CONFIRM_BURST, CONFIRM_EACH };
enum option_vanished { VANISHED_KEEP, VANISHED_HIDE };
enum option_seen { SEEN_NEVER, SEEN_READ };
enum option_ctime { CTIME_CHANGE, CTIME_MTIME };
enum option_tls { TLS_REQUIRED, TLS_NONE };

/* What was asked for. Strings and lists are owned; NULL = not given. */
struct options {
	/* the account */
	char *source; /* configuration file only */
	char *user;
	uint32_t passfd;
	char *password_command; /* configuration file only, as the next two */
	char *token_command;
	char *password;

	/* the connection */
	uint32_t auth; /* enum mailfs_auth */
	uint32_t tls;  /* enum option_tls */
	char *tls_fingerprint;
	char *tls_ca;
	uint32_t timeout; /* s */
	uint32_t poll;    /* s; 0 = off */
	uint32_t connections;
	uint32_t compress; /* enum option_compress */
	char **disable;
	uint32_t prefetch; /* enum option_prefetch */
	bool delay_connect;
	bool inotify;

	/* what is shown */
	char *name;
	char **include, **exclude;
	bool subscribed;
	bool exact_size;
	uint32_t ctime; /* enum option_ctime */
	bool flag_bits;

	/* what is changed */
	uint32_t delete_mode; /* enum engine_delete */
	uint32_t flags;       /* enum option_flags */
	uint32_t confirm;     /* enum option_confirm */
	uint32_t seen;        /* enum option_seen */
	uint32_t vanished;    /* enum option_vanished */
	uint32_t keep;        /* days on the server; OPTION_UNSET = for ever */

	/* the mount */
	bool is_read_only;
	bool allow_other, default_permissions;
	uint32_t uid, gid, umask;
	bool nonempty;
	uint64_t cache_size;
	bool confine;
	bool debug;
	char *debug_wire; /* a file */

	uint64_t given; /* rows of the table that the command line has set: the file does not win */
};

void options_init(struct options *options); /* the defaults */
void options_done(struct options *options); /* frees; wipes the password */
void options_copy(struct options *options, const struct options *from); /* `options` is not set yet */

enum option_kind {
	OPTION_FLAG,   /* bool; "ro", or "ro = yes" in the file */
	OPTION_YES_NO, /* bool with a value */
	OPTION_NUMBER,
	OPTION_OCTAL,
	OPTION_SIZE, /* 2G */
	OPTION_TEXT,
	OPTION_FILE,        /* a path; relative to the place it was written in */
	OPTION_FINGERPRINT, /* sha256:HEX */
	OPTION_LIST,        /* a;b;c */
	OPTION_CHOICE,      /* index of the word in `choices` */
	OPTION_KEEP,        /* days; yes = OPTION_UNSET, no = 0 */
};

enum option_place {
	OPTION_IN_O      = 1u << 0, /* -o NAME */
	OPTION_IN_CONFIG = 1u << 1, /* NAME = VALUE */
};

struct option_info {
	const char *name;
	enum option_kind kind;
	unsigned places; /* enum option_place */
	size_t offset;   /* in struct options */
	const char *value;   /* for people: "=N"; NULL for flags */
	const char *choices; /* "a|b" */
	uint32_t min, max;   /* of numbers */
	const char *help;
};

extern const struct option_info option_table[];
extern const size_t option_count;

/* The row of that name in that place ('-' and '_' are one); NULL = unknown. */
const struct option_info *option_find(const char *name, enum option_place place);

/*
 * Takes one value. `value` NULL: none was written. A value from the file does not replace one of
 * the command line. `base_dir`: what relative paths start from. False: *error says what is wrong,
 * naming the option and never showing the value of a secret.
 */
bool options_set(struct options *options, const struct option_info *info, const char *value,
	enum option_place place, const char *base_dir, GError **error);

/* The text behind -o: "a,b=c", a comma in a value is written "\,". Generic words of mount(8) are
 * taken and ignored; unknown words are an error, or ignored too when `is_sloppy`. */
bool options_parse(struct options *options, const char *text, bool is_sloppy, GError **error);

/* Is it a word of mount(8) that means nothing here? */
bool option_is_generic(const char *word);
