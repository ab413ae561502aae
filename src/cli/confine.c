/* SPDX-License-Identifier: MIT */
/* What the daemon may open. A list of what is allowed: whatever is forgotten here is forbidden. */
#include "cli/confine.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "cli/landlock.h"
#include "cli/notify.h"
#include "cli/storage.h"
#include "store/dir.h"

/* Libraries that name services and proxies load, what they are configured by, and certificates. All of
 * /etc, for files there are replaced while we run. */
static const char *const system_places[] = {
	"/usr", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix/store", "/gnu/store",
	"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/connman", "/run/netconfig",
	"/run/nscd", "/var/cache/nscd", "/run/current-system", "/run/systemd/machines", "/run/systemd/netif",
	"/sys/devices/system/cpu", "/dev/urandom", "/dev/random", "/proc/self", "/proc/sys", "/proc/net",
	"/proc/cpuinfo", "/proc/meminfo",
};

/* They may lead out of /etc; then what they lead to is replaced there. */
static const char *const links[] = {
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/localtime",
	"/etc/ssl/openssl.cnf", "/etc/ssl/cert.pem",
};

static const char *const link_directories[] = {
	"/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/ca-certificates",
};

static const char *const devices[] = { "/dev/null", "/dev/fuse" };

static const char *outcome = "none";
static bool has_landlock;

/* Does all that people have lie below it? */
static bool is_too_much(const char *directory)
{
	char *home = realpath(g_get_home_dir(), NULL);
	size_t len = strlen(directory);
	bool is_above = home && strncmp(home, directory, len) == 0 && (home[len] == '/' || home[len] == '\0');

	free(home);
	return is_above || strcmp(directory, "/") == 0;
}

/* The deepest directory on the way to it that exists. */
static char *place_of(const char *path)
{
	g_autofree char *directory = g_path_get_dirname(path);
	char *real;

	while (!(real = realpath(directory, NULL)) && strcmp(directory, "/") != 0) {
		char *parent = g_path_get_dirname(directory);

		g_free(directory);
		directory = parent;
	}
	return real;
}

/* A file, and what takes its place later: so its directory, unless that is too much. */
static void allow_file(struct landlock *landlock, const char *path)
{
	g_autofree char *target = NULL;
	char *directory = place_of(path);

	if (directory && !is_too_much(directory))
		landlock_allow_read(landlock, directory);
	free(directory);
	landlock_allow_read(landlock, path);
	target = g_file_read_link(path, NULL);
	if (target) {
		g_autofree char *from = g_path_get_dirname(path);
		g_autofree char *absolute = g_canonicalize_filename(target, from);

		directory = place_of(absolute);
		if (directory && !is_too_much(directory))
			landlock_allow_read(landlock, directory);
		free(directory);
	}
}

static void allow_system(struct landlock *landlock)
{
	g_autofree char *dconf = g_build_filename(g_get_user_config_dir(), "dconf", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(system_places); i++)
		landlock_allow_read(landlock, system_places[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(links); i++)
		allow_file(landlock, links[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(link_directories); i++)
		landlock_allow_read(landlock, link_directories[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(devices); i++)
		landlock_allow_write(landlock, devices[i]);
	/* The desktop's proxy. */
	landlock_allow_read(landlock, dconf);
}

static void allow_environment(struct landlock *landlock)
{
	static const char *const names[] = { "SSL_CERT_FILE", "SSL_CERT_DIR", "CREDENTIALS_DIRECTORY" };
#if defined(MAILFS_FAULTS) || defined(__SANITIZE_ADDRESS__)
	/* Builds for tests alone: what they report. */
	g_autofree char *reports = g_build_filename(g_get_home_dir(), "sanitizer", NULL);
	const char *notes = g_getenv("MAILFS_FAULT_NOTES");
	g_autofree char *place = g_path_get_dirname(notes ? notes : reports);

	landlock_allow_write(landlock, reports);
	if (notes)
		landlock_allow_write(landlock, place);
#endif
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const char *path = g_getenv(names[i]);

		if (path && *path)
			landlock_allow_read(landlock, path);
	}
}

static void allow_account(struct landlock *landlock, const struct account *account)
{
	g_autofree char *cache = storage_cache_dir(account);
	g_autofree char *state = storage_state_dir(account);

	/* Whoever opens them says what is wrong with them. */
	if (store_dir_make(cache) == 0)
		landlock_allow_write(landlock, cache);
	if (account->options.is_read_only || store_dir_make(state) == 0)
		landlock_allow_write(landlock, state);
	if (account->config_path)
		allow_file(landlock, account->config_path);
	if (account->options.tls_ca)
		landlock_allow_read(landlock, account->options.tls_ca);
}

static bool is_wanted(struct account *const *accounts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!accounts[i]->options.confine)
			return false;
	}
	return true;
}

static bool enforce(struct account *const *accounts, size_t count)
{
	struct landlock *landlock = landlock_new(notify_is_abstract());
	bool is_good = false;

	if (landlock) {
		allow_system(landlock);
		allow_environment(landlock);
		for (size_t i = 0; i < count; i++)
			allow_account(landlock, accounts[i]);
		is_good = landlock_enforce(landlock);
	}
	landlock_free(landlock);
	return is_good;
}

void confine(struct account *const *accounts, size_t count)
{
	if (!is_wanted(accounts, count)) {
		outcome = "off (confine=no)";
	} else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		outcome = "none: the kernel refuses it";
	} else if (enforce(accounts, count)) {
		has_landlock = true;
		outcome = "landlock, no new privileges";
	} else {
		outcome = "no new privileges; the kernel has no landlock";
		log_info("cli", "this kernel has no landlock, or too old a one");
	}
}

void confine_note_no_keeper(void)
{
	static char text[128];

	g_snprintf(text, sizeof(text), "%s; mailfs-keeper was killed", outcome);
	outcome = text;
}

bool confine_may_run(void)
{
	return !has_landlock;
}

const char *confine_describe(void)
{
	return outcome;
}
