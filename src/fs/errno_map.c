/* SPDX-License-Identifier: MIT */
/* enum mailfs_error → errno; the table of include/mailfs/error.h. */
#include "fs/errno_map.h"

#include <errno.h>

#include "mailfs/error.h"

int errno_of(const GError *error)
{
	static const int table[] = {
		[MAILFS_ERROR_GONE] = ENOENT,
		[MAILFS_ERROR_STALE] = ESTALE,
		[MAILFS_ERROR_OFFLINE] = EHOSTUNREACH,
		[MAILFS_ERROR_TIMEOUT] = ETIMEDOUT,
		[MAILFS_ERROR_PROTOCOL] = EIO,
		[MAILFS_ERROR_INTERRUPTED] = EINTR,
		[MAILFS_ERROR_DENIED] = EACCES,
		[MAILFS_ERROR_LOGIN] = EACCES,
		[MAILFS_ERROR_READ_ONLY] = EROFS,
		[MAILFS_ERROR_NOT_POSSIBLE] = EPERM,
		[MAILFS_ERROR_QUOTA] = EDQUOT,
		[MAILFS_ERROR_TOO_BIG] = EFBIG,
		[MAILFS_ERROR_NO_SPACE] = ENOSPC,
		[MAILFS_ERROR_EXISTS] = EEXIST,
		[MAILFS_ERROR_NOT_EMPTY] = ENOTEMPTY,
		[MAILFS_ERROR_INVALID] = EINVAL,
		[MAILFS_ERROR_IN_USE] = EBUSY,
		[MAILFS_ERROR_DISK] = EIO,
		[MAILFS_ERROR_TRY_LATER] = ETIMEDOUT,
		[MAILFS_ERROR_CONNECTION_LOST] = EHOSTUNREACH,
		[MAILFS_ERROR_NO_HOST] = EHOSTUNREACH,
		[MAILFS_ERROR_REFUSED] = EHOSTUNREACH,
		[MAILFS_ERROR_TLS] = EIO,
		[MAILFS_ERROR_LIMIT] = ETIMEDOUT,
		[MAILFS_ERROR_CANCELLED] = EINTR,
	};

	if (!error)
		return 0;
	if (error->domain != MAILFS_ERROR || error->code <= 0 ||
		error->code >= (int)G_N_ELEMENTS(table) || table[error->code] == 0)
		return EIO;
	return table[error->code];
}
