/* To be preloaded: calls that write below a folder are counted and written down, and some of them fail.
 *
 * KUBESCRY_TRAP is `FOLDER:LOG:FIRST:SPAN:HOW`. SPAN calls fail from number FIRST (from 0) on; HOW is
 *   a number  the errno with which they fail
 *   full      the disk is full: half of what is written still fits, then nothing that needs room
 *   short     half of what is written is written
 *   kill      the process dies before the call
 *
 * Calls go to the kernel directly, so that nothing here depends on the order in which libraries are loaded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* What a call needs of the disk: room for bytes, for a name, or none. */
enum need { BYTES, NAME, NO_ROOM };
enum fate { PASS, FAIL, HALF };

static char folder[PATH_MAX], how[16];
static size_t folder_length;
static long first, span;
static int log_fd = -1;
static atomic_long calls;
static atomic_int is_full;

__attribute__((constructor)) static void begin(void)
{
	char log[PATH_MAX];
	const char *trap = getenv("KUBESCRY_TRAP");
	if (trap == NULL || sscanf(trap, "%4095[^:]:%4095[^:]:%ld:%ld:%15s", folder, log, &first, &span, how) != 5)
		return;
	folder_length = strlen(folder);
	log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static enum fate called(const char *name, const char *path, enum need need)
{
	char line[PATH_MAX + 64];
	if (log_fd < 0 || strncmp(path, folder, folder_length) != 0)
		return PASS;
	long call = atomic_fetch_add(&calls, 1);
	int length = snprintf(line, sizeof line, "%s %s\n", name, path + folder_length);
	syscall(SYS_write, log_fd, line, (size_t)length);
	if (call < first || call - first >= span)
		return PASS;
	if (strcmp(how, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(how, "short") == 0)
		return HALF;
	if (strcmp(how, "full") == 0) {
		if (need == NO_ROOM)
			return PASS;
		errno = ENOSPC;
		return need == BYTES && !atomic_exchange(&is_full, 1) ? HALF : FAIL;
	}
	errno = atoi(how);
	return FAIL;
}

static enum fate called_on(const char *name, int fd, enum need need)
{
	char link[64], path[PATH_MAX];
	if (log_fd < 0)
		return PASS;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
	if (length < 0)
		return PASS;
	path[length] = 0;
	return called(name, path, need);
}

/* Returns how much of a write takes place, or -1 if it fails. */
static ssize_t share(const char *name, int fd, size_t n)
{
	switch (called_on(name, fd, BYTES)) {
	case FAIL:
		return -1;
	case HALF:
		return n > 1 ? (ssize_t)(n / 2) : (ssize_t)n;
	default:
		return (ssize_t)n;
	}
}

ssize_t write(int fd, const void *from, size_t n)
{
	ssize_t most = share("write", fd, n);
	return most < 0 ? -1 : syscall(SYS_write, fd, from, (size_t)most);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at)
{
	ssize_t most = share("pwrite", fd, n);
	return most < 0 ? -1 : syscall(SYS_pwrite64, fd, from, (size_t)most, at);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
	return pwrite64(fd, from, n, at);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
	return called_on("writev", fd, BYTES) == FAIL ? -1 : syscall(SYS_writev, fd, parts, n);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t n, unsigned flags)
{
	ssize_t most = share("copy_file_range", to, n);
	return most < 0 ? -1 : syscall(SYS_copy_file_range, from, from_at, to, to_at, (size_t)most, flags);
}

int fsync(int fd)
{
	return called_on("fsync", fd, NO_ROOM) == FAIL ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return called_on("fdatasync", fd, NO_ROOM) == FAIL ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate64(int fd, off64_t length)
{
	return called_on("ftruncate", fd, NO_ROOM) == FAIL ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length)
{
	return ftruncate64(fd, length);
}

int fchmod(int fd, mode_t mode)
{
	return called_on("fchmod", fd, NO_ROOM) == FAIL ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

int chmod(const char *path, mode_t mode)
{
	return called("chmod", path, NO_ROOM) == FAIL ? -1 : (int)syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}

int rename(const char *from, const char *to)
{
	if (called("rename", to, NO_ROOM) == FAIL)
		return -1;
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
	return called("unlink", path, NO_ROOM) == FAIL ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int link(const char *from, const char *to)
{
	if (called("link", to, NAME) == FAIL)
		return -1;
	return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkdir(const char *path, mode_t mode)
{
	return called("mkdir", path, NAME) == FAIL ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT)) {
		enum need need = access(path, F_OK) == 0 ? NO_ROOM : NAME;
		if (called("open", path, need) == FAIL)
			return -1;
	}
	return (int)syscall(SYS_openat, at, path, flags, mode);
}

#define OPENS(at)                                                              \
	{                                                                      \
		va_list rest;                                                  \
		va_start(rest, flags);                                         \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
		va_end(rest);                                                  \
		return openat64(at, path, flags, mode);                         \
	}

int openat(int at, const char *path, int flags, ...) OPENS(at)
int open64(const char *path, int flags, ...) OPENS(AT_FDCWD)
int open(const char *path, int flags, ...) OPENS(AT_FDCWD)
