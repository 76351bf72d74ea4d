/* Preloaded into a process: kills it at a chosen write of files below a folder.
 *
 * FAULT_DISK    HOW:NTH:VICTIMS, e.g. torn:12:both
 *                 write  before the write
 *                 torn   after half of the write
 *                 lost   before the write, and what no sync has put on disk is gone
 *                 sync   before the sync, and what no sync has put on disk is gone
 * FAULT_UNDER   the folder, an absolute path
 * FAULT_MARKER  file that gets a line once it happened
 * FAULT_NODE    file with the process id of CometBFT
 *
 * Writes are write, pwrite, writev, rename, unlink and ftruncate. Not counted are files that hold
 * nothing of the state: the databases' own logs, locks, and shared indexes of the log.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 4096
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char how[16], victims[16];
static const char *under;
static long left = -1;
static off_t synced[FILES]; /* size on disk for sure, plus one; 0: not ours */

/* Called again by a forked process that wants another fault. */
__attribute__((constructor)) void configure_faults(void) {
    const char *told = getenv("FAULT_DISK");
    under = getenv("FAULT_UNDER");
    if (!told || !under || sscanf(told, "%15[^:]:%ld:%15s", how, &left, victims) != 3) left = -1;
}

static int is_state(const char *path) {
    size_t size = strlen(under);
    if (strncmp(path, under, size) || path[size] != '/') return 0;
    const char *name = strrchr(path, '/') + 1;
    size = strlen(name);
    return strncmp(name, "LOG", 3) && strcmp(name, "LOCK")
        && !(size > 4 && !strcmp(name + size - 4, "-shm"));
}

static int is_ours(int fd) {
    char link[64], path[4096];
    if (left < 0 || fd < 0 || fd >= FILES) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return is_state(path);
}

static void die(void) {
    int node, fd = open(getenv("FAULT_MARKER"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    char text[64];
    FILE *file = fopen(getenv("FAULT_NODE"), "r");
    int both = strcmp(victims, "both") == 0 && file && fscanf(file, "%d", &node) == 1;
    int size = snprintf(text, sizeof text, "disk.%s:0:%s\n", how, both ? "both" : "app");
    if (!strcmp(how, "lost") || !strcmp(how, "sync"))
        for (int each = 0; each < FILES; each++) {
            struct stat now;
            if (synced[each] && !fstat(each, &now) && now.st_size > synced[each] - 1)
                if (REAL(ftruncate)(each, synced[each] - 1)) abort();
        }
    if (REAL(write)(fd, text, size) != size) abort();
    if (both) kill(node, SIGKILL);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether this call of ours is the one to die at. Ours are made one at a time, so that no other
 * thread changes a file, or is told that it is synced, once the end has begun: the one to die keeps
 * the lock. */
static int strikes(int is_sync) {
    pthread_mutex_lock(&turn);
    return is_sync == !strcmp(how, "sync") && --left == 0;
}

static void done(int was_ours) {
    if (was_ours) pthread_mutex_unlock(&turn);
}

/* 0: not ours; 1: ours, to be written whole; 2: ours, to be torn. */
static int before_write(int fd) {
    struct stat now;
    if (!is_ours(fd)) return 0;
    int last = strikes(0);
    if (!synced[fd] && !fstat(fd, &now)) synced[fd] = now.st_size + 1;
    if (last && strcmp(how, "torn")) die();
    return 1 + last;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    int ours = before_write(fd);
    ssize_t written = REAL(write)(fd, bytes, ours == 2 ? size / 2 : size);
    if (ours == 2) die();
    done(ours);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    int ours = before_write(fd);
    ssize_t written = REAL(pwrite)(fd, bytes, ours == 2 ? size / 2 : size, at);
    if (ours == 2) die();
    done(ours);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at) {
    return pwrite(fd, bytes, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int ours = before_write(fd);
    ssize_t written = REAL(writev)(fd, parts, ours == 2 ? count / 2 : count);
    if (ours == 2) die();
    done(ours);
    return written;
}

int ftruncate(int fd, off_t size) {
    int ours = before_write(fd);
    if (ours == 2) die();
    int failed = REAL(ftruncate)(fd, size);
    if (ours && !failed && synced[fd] > size + 1) synced[fd] = size + 1;
    done(ours);
    return failed;
}

int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

int rename(const char *from, const char *to) {
    int ours = left >= 0 && is_state(to);
    if (ours && strikes(0)) die();
    int failed = REAL(rename)(from, to);
    done(ours);
    return failed;
}

int unlink(const char *path) {
    int ours = left >= 0 && is_state(path);
    if (ours && strikes(0)) die();
    int failed = REAL(unlink)(path);
    done(ours);
    return failed;
}

static int sync_by(int (*real)(int), int fd) {
    struct stat now;
    int ours = is_ours(fd);
    if (ours && strikes(1)) die();
    int known = ours && !fstat(fd, &now);
    int failed = real(fd);
    if (known && !failed) synced[fd] = now.st_size + 1;
    done(ours);
    return failed;
}

int fsync(int fd) { return sync_by(REAL(fsync), fd); }
int fdatasync(int fd) { return sync_by(REAL(fdatasync), fd); }

int close(int fd) {
    if (fd >= 0 && fd < FILES) synced[fd] = 0;
    return REAL(close)(fd);
}
