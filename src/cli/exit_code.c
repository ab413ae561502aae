/* SPDX-License-Identifier: MIT */
/* One table: error codes to sysexits. mount(8) has codes of its own. */
#include "cli/exit_code.h"

#include "mailfs/error.h"

#define MOUNT_EX_USAGE 1 /* mount(8), RETURN CODES */
#define MOUNT_EX_FAIL  32

G_DEFINE_QUARK(mailfs-cli-error, cli_error)

/* clang-format off */
static const unsigned char codes[] = {
	[MAILFS_ERROR_GONE]            = EX_NOINPUT,
	[MAILFS_ERROR_STALE]           = EX_TEMPFAIL,
	[MAILFS_ERROR_OFFLINE]         = EX_TEMPFAIL,
	[MAILFS_ERROR_TIMEOUT]         = EX_TEMPFAIL,
	[MAILFS_ERROR_PROTOCOL]        = EX_PROTOCOL,
	[MAILFS_ERROR_INTERRUPTED]     = EX_TEMPFAIL,
	[MAILFS_ERROR_DENIED]          = EX_NOPERM,
	[MAILFS_ERROR_LOGIN]           = EX_NOPERM,
	[MAILFS_ERROR_READ_ONLY]       = EX_UNAVAILABLE,
	[MAILFS_ERROR_NOT_POSSIBLE]    = EX_UNAVAILABLE,
	[MAILFS_ERROR_QUOTA]           = EX_TEMPFAIL,
	[MAILFS_ERROR_TOO_BIG]         = EX_TEMPFAIL,
	[MAILFS_ERROR_NO_SPACE]        = EX_TEMPFAIL,
	[MAILFS_ERROR_EXISTS]          = EX_UNAVAILABLE,
	[MAILFS_ERROR_NOT_EMPTY]       = EX_UNAVAILABLE,
	[MAILFS_ERROR_INVALID]         = EX_CONFIG,
	[MAILFS_ERROR_IN_USE]          = EX_TEMPFAIL,
	[MAILFS_ERROR_DISK]            = EX_TEMPFAIL,
	[MAILFS_ERROR_TRY_LATER]       = EX_TEMPFAIL,
	[MAILFS_ERROR_CONNECTION_LOST] = EX_TEMPFAIL,
	[MAILFS_ERROR_NO_HOST]         = EX_NOHOST,
	[MAILFS_ERROR_REFUSED]         = EX_UNAVAILABLE,
	[MAILFS_ERROR_TLS]             = EX_PROTOCOL,
	[MAILFS_ERROR_LIMIT]           = EX_TEMPFAIL,
	[MAILFS_ERROR_CANCELLED]       = EX_TEMPFAIL,
};
/* clang-format on */

static int sysexit(const GError *error)
{
	if (error->domain == CLI_ERROR)
		return error->code;
	if (error->domain == MAILFS_ERROR && error->code > 0 && error->code < (int)G_N_ELEMENTS(codes))
		return codes[error->code];
	return EX_TEMPFAIL;
}

int exit_code(const GError *error, bool is_helper)
{
	int code = error ? sysexit(error) : 0;

	if (!is_helper || code == 0)
		return code;
	return code == EX_USAGE ? MOUNT_EX_USAGE : MOUNT_EX_FAIL;
}

const char *exit_code_advice(const GError *error)
{
	if (error->domain != MAILFS_ERROR)
		return NULL;
	switch (error->code) {
	case MAILFS_ERROR_LOGIN:
		return "check user name and password, and the command that prints it, if any; there will be no "
		       "second attempt";
	case MAILFS_ERROR_NO_HOST:
		return "check the host name, and that the network is up";
	case MAILFS_ERROR_REFUSED:
		return "check host and port, and that the server is up";
	case MAILFS_ERROR_TLS:
		return "nothing was sent; -o tls-ca=FILE trusts a further CA, -o tls-fingerprint=sha256:HEX "
		       "one certificate";
	case MAILFS_ERROR_TIMEOUT:
	case MAILFS_ERROR_CONNECTION_LOST:
	case MAILFS_ERROR_OFFLINE:
		return "check that the network is up; -o timeout=SECONDS waits longer";
	default:
		return NULL;
	}
}
