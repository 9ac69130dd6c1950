// A disk that fails, for one program: put before the C library by LD_PRELOAD.
//
// It looks at files under OPS_DISK_ROOT only, and does one of two things.
//
// Power cut (OPS_DISK_SHADOW=FOLDER): a sync of a file copies what the file holds at that moment to the shadow, a sync
// of a folder writes its list of entries there, and nothing is synced in truth. After the program was killed, what the
// shadow holds is what the disk would hold; `src/torture/disk.rs` puts it back. An inode is known by its number and its
// time of birth, since a number is used again.
//
// Faults (OPS_DISK_FAULT=KIND:N): the Nth call that writes or syncs fails, and where KIND says so all later ones too.
//   full      ENOSPC from the Nth write, new entry or growth on
//   broken    EIO at the Nth write or sync, and never again
//   dying     EIO from the Nth write or sync on
//   readonly  EROFS for every open for writing, new entry and removal from the Nth on
// The first failure makes the file OPS_DISK_HIT, so that a test knows when N is past the last call.
//
// Calls that the program makes without the C library are not seen.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { NONE, FULL, BROKEN, DYING, READONLY };
enum call { WRITE, SYNC, OPEN_TO_WRITE, CREATE, REMOVE };

static struct {
    const char *root, *shadow, *hit;
    size_t root_length;
    enum kind kind;
    long nth;
} disk;
static atomic_long calls;

__attribute__((constructor)) static void begin(void) {
    disk.root = getenv("OPS_DISK_ROOT");
    disk.root_length = disk.root ? strlen(disk.root) : 0;
    disk.shadow = getenv("OPS_DISK_SHADOW");
    disk.hit = getenv("OPS_DISK_HIT");
    const char *fault = getenv("OPS_DISK_FAULT"), *colon = fault ? strchr(fault, ':') : NULL;
    if (!colon) return;
    static const struct { const char *name; enum kind kind; } kinds[] = {
        {"full:", FULL}, {"broken:", BROKEN}, {"dying:", DYING}, {"readonly:", READONLY}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncmp(fault, kinds[i].name, strlen(kinds[i].name))) disk.kind = kinds[i].kind;
    disk.nth = atol(colon + 1);
}

static int path_is_ours(const char *path) {
    return disk.root_length && !strncmp(path, disk.root, disk.root_length) &&
           (path[disk.root_length] == '/' || path[disk.root_length] == 0);
}

static int is_ours(int fd) {
    if (!disk.root_length) return 0;
    char name[40], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int saved = errno;
    ssize_t length = readlink(name, path, sizeof path - 1);
    errno = saved;
    if (length <= 0) return 0;
    path[length] = 0;
    return path_is_ours(path);
}

// The error that this call ends with, or 0 where it may go on.
static int fault(enum call call) {
    int error;
    switch (disk.kind) {
        case FULL: error = call == WRITE || call == CREATE ? ENOSPC : 0; break;
        case BROKEN: case DYING: error = call == WRITE || call == SYNC ? EIO : 0; break;
        case READONLY: error = call == SYNC || call == WRITE ? 0 : EROFS; break;
        default: error = 0;
    }
    if (!error) return 0;
    long count = atomic_fetch_add(&calls, 1) + 1;
    if (count < disk.nth || (disk.kind == BROKEN && count > disk.nth)) return 0;
    if (disk.hit) {
        int fd = syscall(SYS_openat, AT_FDCWD, disk.hit, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0) syscall(SYS_close, fd);
    }
    return error;
}

// The C library's own function of this name.
#define NEXT(type, name, ...)                                         \
    static type (*next)(__VA_ARGS__);                                 \
    if (!next) next = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define FAIL_IF_OURS(ours, call)                                      \
    do {                                                              \
        if (disk.kind && (ours)) {                                    \
            int error = fault(call);                                  \
            if (error) { errno = error; return -1; }                  \
        }                                                             \
    } while (0)

// ---- power cut ----

static int identity(int at, const char *name, int flags, char *out, size_t size, struct statx *data) {
    if (statx(at, name, flags, STATX_BASIC_STATS | STATX_BTIME, data)) return -1;
    return snprintf(out, size, "%llu-%lld-%u", (unsigned long long)data->stx_ino,
                    (long long)data->stx_btime.tv_sec, data->stx_btime.tv_nsec);
}

static int put_all(int fd, const char *bytes, size_t length) {
    while (length) {
        ssize_t written = syscall(SYS_write, fd, bytes, length);
        if (written < 0) return -1;
        bytes += written, length -= written;
    }
    return 0;
}

static int copy_file(int from, int to) {
    // SQLite's locks on a file go when any descriptor of it is closed, so it is opened anew only where it must be.
    int reader = from;
    if ((fcntl(from, F_GETFL) & O_ACCMODE) == O_WRONLY) {
        char name[40];
        snprintf(name, sizeof name, "/proc/self/fd/%d", from);
        reader = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
        if (reader < 0) return -1;
    }
    static _Thread_local char buffer[1 << 16];
    off_t at = 0;
    ssize_t length;
    while ((length = syscall(SYS_pread64, reader, buffer, sizeof buffer, at)) > 0) {
        if (put_all(to, buffer, length)) break;
        at += length;
    }
    if (reader != from) syscall(SYS_close, reader);
    return length == 0 ? 0 : -1;
}

static int list_folder(int from, int to) {
    int again = syscall(SYS_openat, from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again < 0 ? NULL : fdopendir(again);
    if (!folder) return -1;
    struct dirent *entry;
    int failed = 0;
    while (!failed && (entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char id[80], line[400];
        struct statx data;
        if (identity(from, entry->d_name, AT_SYMLINK_NOFOLLOW, id, sizeof id, &data) < 0) continue;
        int length = snprintf(line, sizeof line, "%c %o %s %s\n", S_ISDIR(data.stx_mode) ? 'd' : 'f',
                              data.stx_mode & 07777, id, entry->d_name);
        failed = put_all(to, line, length);
    }
    closedir(folder);
    return failed;
}

static int keep(int fd) {
    char id[80], path[PATH_MAX], fresh[PATH_MAX];
    struct statx data;
    static atomic_int number;
    if (identity(fd, "", AT_EMPTY_PATH, id, sizeof id, &data) < 0) return -1;
    int is_folder = S_ISDIR(data.stx_mode);
    snprintf(path, sizeof path, "%s/%c-%s", disk.shadow, is_folder ? 'd' : 'f', id);
    snprintf(fresh, sizeof fresh, "%s/new-%d-%d", disk.shadow, getpid(), atomic_fetch_add(&number, 1));
    int to = syscall(SYS_openat, AT_FDCWD, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0) return -1;
    int failed = is_folder ? list_folder(fd, to) : copy_file(fd, to);
    syscall(SYS_close, to);
    // A kill in the middle of a sync leaves what was synced before.
    return failed ? -1 : syscall(SYS_renameat, AT_FDCWD, fresh, AT_FDCWD, path);
}

static int sync_with(int fd, int (*next)(int)) {
    if (!is_ours(fd)) return next(fd);
    FAIL_IF_OURS(1, SYNC);
    if (!disk.shadow) return 0;
    if (!keep(fd)) return 0;
    // A shadow with a hole would make the test say what is not so.
    abort();
}

int fsync(int fd) { NEXT(int, fsync, int); return sync_with(fd, next); }
int fdatasync(int fd) { NEXT(int, fdatasync, int); return sync_with(fd, next); }

// ---- faults ----

ssize_t write(int fd, const void *bytes, size_t length) {
    NEXT(ssize_t, write, int, const void *, size_t);
    FAIL_IF_OURS(is_ours(fd), WRITE);
    return next(fd, bytes, length);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    NEXT(ssize_t, pwrite, int, const void *, size_t, off_t);
    FAIL_IF_OURS(is_ours(fd), WRITE);
    return next(fd, bytes, length, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    NEXT(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    FAIL_IF_OURS(is_ours(fd), WRITE);
    return next(fd, bytes, length, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    NEXT(ssize_t, writev, int, const struct iovec *, int);
    FAIL_IF_OURS(is_ours(fd), WRITE);
    return next(fd, parts, count);
}
int ftruncate(int fd, off_t length) {
    NEXT(int, ftruncate, int, off_t);
    FAIL_IF_OURS(is_ours(fd), WRITE);
    return next(fd, length);
}
int ftruncate64(int fd, off64_t length) {
    NEXT(int, ftruncate64, int, off64_t);
    FAIL_IF_OURS(is_ours(fd), WRITE);
    return next(fd, length);
}

// Callers of this program give absolute paths.
#define OPENS(name)                                                                              \
    int name(const char *path, int flags, ...) {                                                 \
        NEXT(int, name, const char *, int, ...);                                                 \
        va_list rest;                                                                            \
        va_start(rest, flags);                                                                   \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                  \
        va_end(rest);                                                                            \
        if (disk.kind && path_is_ours(path)) {                                                   \
            if (flags & O_CREAT && access(path, F_OK)) FAIL_IF_OURS(1, CREATE);                  \
            else if ((flags & O_ACCMODE) != O_RDONLY) FAIL_IF_OURS(1, OPEN_TO_WRITE);            \
        }                                                                                        \
        return next(path, flags, mode);                                                          \
    }
OPENS(open)
OPENS(open64)

int mkdir(const char *path, mode_t mode) {
    NEXT(int, mkdir, const char *, mode_t);
    FAIL_IF_OURS(path_is_ours(path) && access(path, F_OK), CREATE);
    return next(path, mode);
}
int rename(const char *from, const char *to) {
    NEXT(int, rename, const char *, const char *);
    FAIL_IF_OURS(path_is_ours(to), CREATE);
    return next(from, to);
}
int unlink(const char *path) {
    NEXT(int, unlink, const char *);
    FAIL_IF_OURS(path_is_ours(path), REMOVE);
    return next(path);
}
int rmdir(const char *path) {
    NEXT(int, rmdir, const char *);
    FAIL_IF_OURS(path_is_ours(path), REMOVE);
    return next(path);
}
