/* SPDX-License-Identifier: MIT */
/* Each test is a child process: what landlock has forbidden stays forbidden. */
#include "cli/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "base/cleanup.h"

struct place {
	char *root, *open, *closed, *read, *file, *secret;
	int listener; /* in the abstract name space, by the name of `root` */
};

static struct sockaddr_un abstract(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	g_strlcpy(address.sun_path + 1, name, sizeof(address.sun_path) - 1);
	return address;
}

static void place_init(struct place *place)
{
	g_autoptr(GError) error = NULL;
	struct sockaddr_un address;

	place->root = g_dir_make_tmp("mailfs-landlock-XXXXXX", &error);
	g_assert_no_error(error);
	place->open = g_build_filename(place->root, "open", NULL);
	place->closed = g_build_filename(place->root, "closed", NULL);
	place->read = g_build_filename(place->root, "read", NULL);
	g_assert_cmpint(mkdir(place->open, 0700) | mkdir(place->closed, 0700) | mkdir(place->read, 0700), ==, 0);
	place->file = g_build_filename(place->read, "file", NULL);
	place->secret = g_build_filename(place->closed, "secret", NULL);
	g_assert_true(g_file_set_contents(place->file, "x", 1, NULL));
	g_assert_true(g_file_set_contents(place->secret, "x", 1, NULL));
	address = abstract(place->root);
	place->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(place->listener, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	g_assert_cmpint(listen(place->listener, 1), ==, 0);
}

static void place_done(struct place *place)
{
	g_autofree char *made = g_build_filename(place->open, "made", NULL);

	close(place->listener);
	unlink(made);
	unlink(place->file);
	unlink(place->secret);
	rmdir(place->open);
	rmdir(place->closed);
	rmdir(place->read);
	g_assert_cmpint(rmdir(place->root), ==, 0);
	g_free(place->root);
	g_free(place->open);
	g_free(place->closed);
	g_free(place->read);
	g_free(place->file);
	g_free(place->secret);
}

/* 0 or errno of an open in this process. */
static int try_open(const char *path, int flags)
{
	SCOPED(fd_closep) int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd < 0 ? errno : 0;
}

static void enforce(const struct place *place)
{
	struct landlock *landlock = landlock_new(false);

	landlock_allow_write(landlock, place->open);
	landlock_allow_read(landlock, place->read);
	landlock_allow_read(landlock, "/not/there");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !landlock_enforce(landlock))
		_exit(200);
	landlock_free(landlock);
}

static int reads_outside(const struct place *place)
{
	return try_open(place->secret, O_RDONLY);
}

static int lists_outside(const struct place *place)
{
	return try_open(place->closed, O_RDONLY | O_DIRECTORY);
}

static int reads_inside(const struct place *place)
{
	return try_open(place->file, O_RDONLY);
}

static int writes_what_may_be_read(const struct place *place)
{
	return try_open(place->file, O_WRONLY);
}

static int writes_inside(const struct place *place)
{
	g_autofree char *from = g_build_filename(place->open, "new", NULL);
	g_autofree char *to = g_build_filename(place->open, "made", NULL);
	int error = try_open(from, O_WRONLY | O_CREAT | O_TRUNC);

	return error != 0 ? error : rename(from, to) < 0 ? errno : 0;
}

static int moves_outside(const struct place *place)
{
	g_autofree char *to = g_build_filename(place->open, "made", NULL);

	return rename(place->secret, to) < 0 ? errno : 0;
}

static int runs_a_program(const struct place *place)
{
	execl("/bin/true", "true", NULL);
	return errno;
}

static int mounts(const struct place *place)
{
	return mount("none", place->root, "tmpfs", 0, NULL) < 0 ? errno : 0;
}

static int connects_to_an_abstract_socket(const struct place *place)
{
	SCOPED(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = abstract(place->root);

	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
}

static int signals_another(const struct place *place)
{
	return kill(getppid(), 0) < 0 ? errno : 0;
}

static gpointer in_thread(gpointer data)
{
	return GINT_TO_POINTER(reads_outside(data));
}

static int reads_outside_in_a_thread(const struct place *place)
{
	GThread *thread = g_thread_new("later", in_thread, (gpointer)place);

	return GPOINTER_TO_INT(g_thread_join(thread));
}

/* The errno of `act` behind the rules. */
static int act_confined(int (*act)(const struct place *place))
{
	struct place place;
	int status;
	pid_t pid;

	place_init(&place);
	pid = fork();
	if (pid == 0) {
		enforce(&place);
		_exit(act(&place));
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	place_done(&place);
	g_assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

struct row {
	const char *name;
	int (*act)(const struct place *place);
	int error;
	int abi; /* of the kernel that does so; 0 = each */
};

static const struct row rows[] = {
	{ "a-file-outside-is-not-read", reads_outside, EACCES },
	{ "a-directory-outside-is-not-listed", lists_outside, EACCES },
	{ "what-is-allowed-is-read", reads_inside, 0 },
	{ "what-may-be-read-is-not-written", writes_what_may_be_read, EACCES },
	{ "what-is-allowed-is-written", writes_inside, 0 },
	{ "nothing-is-taken-in-from-outside", moves_outside, EACCES },
	{ "no-program-is-run", runs_a_program, EACCES },
	{ "nothing-is-mounted", mounts, EPERM },
	{ "no-abstract-socket-is-connected", connects_to_an_abstract_socket, EPERM, 6 },
	{ "nobody-else-gets-a-signal", signals_another, EPERM, 6 },
	{ "threads-are-confined-too", reads_outside_in_a_thread, EACCES },
};

static void test_row(gconstpointer data)
{
	const struct row *row = data;

	if (landlock_abi() < MAX(LANDLOCK_ABI_MIN, row->abi)) {
		g_test_skip("no landlock in this kernel, or too old a one");
		return;
	}
	g_assert_cmpint(act_confined(row->act), ==, row->error);
}

static void no_landlock_in_the_kernel_is_null(void)
{
	struct landlock *landlock = landlock_new(false);

	g_assert_true((landlock != NULL) == (landlock_abi() >= LANDLOCK_ABI_MIN));
	landlock_free(landlock);
	landlock_free(NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *path = g_strconcat("/cli/landlock/", rows[i].name, NULL);

		g_test_add_data_func(path, &rows[i], test_row);
	}
	g_test_add_func("/cli/landlock/no-landlock-in-the-kernel-is-null", no_landlock_in_the_kernel_is_null);
	return g_test_run();
}
