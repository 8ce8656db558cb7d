/* Makes fdatasync and fsync of the Raft log fail once the file named by FAIL_TRIGGER exists, as a
 * disk that dies would. Loaded into a real node by LD_PRELOAD; see fsync_failure.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int is_raft_log(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "/raft/") != NULL;
}

/* Notes when the first sync failed: nanoseconds of CLOCK_MONOTONIC. */
static void note_failure(const char *file) {
    int fd = open(file, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0) return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    dprintf(fd, "%lld", (long long)now.tv_sec * 1000000000LL + now.tv_nsec);
    close(fd);
}

static int must_fail(int fd) {
    const char *trigger = getenv("FAIL_TRIGGER");
    const char *noted = getenv("FAIL_NOTED");
    if (!trigger || !noted || access(trigger, F_OK) != 0 || !is_raft_log(fd)) return 0;
    note_failure(noted);
    return 1;
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (must_fail(fd)) { errno = EIO; return -1; }
    return real(fd);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (must_fail(fd)) { errno = EIO; return -1; }
    return real(fd);
}
