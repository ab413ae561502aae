/* SPDX-License-Identifier: MIT */
/*
 * Error codes of everything that can fail because of the outside world. They travel as
 * `const GError *` in this domain (NULL = success, borrowed for the call). Each code has exactly
 * one errno for programs that use the mount (src/fs/errno_map.c) and one exit code for a mount
 * that does not come up (src/cli/exit_code.c).
 */
#pragma once

#include <glib.h>

#define MAILFS_ERROR (mailfs_error_quark())
GQuark mailfs_error_quark(void);

enum mailfs_error {
	/*                               errno          meaning */
	MAILFS_ERROR_GONE = 1,        /* ENOENT         the message or folder is not there (any more) */
	MAILFS_ERROR_STALE,           /* ESTALE         an identity of an earlier UIDVALIDITY */
	MAILFS_ERROR_OFFLINE,         /* EHOSTUNREACH   known to be offline, not in the cache */
	MAILFS_ERROR_TIMEOUT,         /* ETIMEDOUT      the deadline passed */
	MAILFS_ERROR_PROTOCOL,        /* EIO            the server broke the protocol, or lied */
	MAILFS_ERROR_INTERRUPTED,     /* EINTR          the waiting program got a signal */
	MAILFS_ERROR_DENIED,          /* EACCES         [NOPERM], ACL right missing */
	MAILFS_ERROR_LOGIN,           /* EACCES         login refused; never retried by itself */
	MAILFS_ERROR_READ_ONLY,       /* EROFS */
	MAILFS_ERROR_NOT_POSSIBLE,    /* EPERM          has no meaning on mail */
	MAILFS_ERROR_QUOTA,           /* EDQUOT         [OVERQUOTA] on APPEND, COPY, MOVE, CREATE */
	MAILFS_ERROR_TOO_BIG,         /* EFBIG          APPENDLIMIT, [TOOBIG] */
	MAILFS_ERROR_NO_SPACE,        /* ENOSPC         local disk full, on write */
	MAILFS_ERROR_EXISTS,          /* EEXIST         [ALREADYEXISTS] */
	MAILFS_ERROR_NOT_EMPTY,       /* ENOTEMPTY      [HASCHILDREN] */
	MAILFS_ERROR_INVALID,         /* EINVAL         [CANNOT], a name the server cannot hold */
	MAILFS_ERROR_IN_USE,          /* EBUSY          [INUSE], maildrop locked */
	MAILFS_ERROR_DISK,            /* EIO            the cache failed and no way around it was left */
	MAILFS_ERROR_TRY_LATER,       /* ETIMEDOUT      [UNAVAILABLE], throttled: back off, then again */
	MAILFS_ERROR_CONNECTION_LOST, /* EHOSTUNREACH   reset, closed, silent: retriable elsewhere */
	MAILFS_ERROR_NO_HOST,         /* EHOSTUNREACH   the name does not resolve */
	MAILFS_ERROR_REFUSED,         /* EHOSTUNREACH   connection refused, greeting BYE */
	MAILFS_ERROR_TLS,             /* EIO            certificate, pin, STARTTLS: never retried in clear */
	MAILFS_ERROR_LIMIT,           /* ETIMEDOUT      too many connections; use fewer */
	MAILFS_ERROR_CANCELLED,       /* EINTR          asked for by our own side */
};
