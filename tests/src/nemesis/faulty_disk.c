/* Faults of one node's disk, and the address that its connections come from. Loaded into a real node
 * by LD_PRELOAD.
 *
 * NEMESIS_CONTROL names a file that is mapped here and changed from outside while the node runs:
 *
 *   byte  0  u32  error number that syncs fail with; 0 = they work
 *   byte  4  u32  error number that writes fail with; 0 = they work
 *   byte  8  u32  milliseconds that a sync takes longer
 *   byte 16  i64  when the first sync failed, in nanoseconds of CLOCK_MONOTONIC; 0 = none did
 *   byte 24  u64  syncs that failed
 *   byte 32  u64  writes that failed
 *   byte 40  u64  syncs that were slow
 *
 * Only files whose path contains NEMESIS_DATA are touched. While all three switches are off, a call
 * costs one read of memory. NEMESIS_SOURCE is an address in 127.0.0.0/8: connections to a loopback
 * address start from it, so that a proxy sees which node dials. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    volatile uint32_t sync_error, write_error, sync_delay_ms, unused;
    int64_t first_failed_ns;
    uint64_t failed_syncs, failed_writes, slow_syncs;
};

static struct control off;
static struct control *control = &off;
static const char *data_folder = "";

__attribute__((constructor)) static void start(void) {
    /* A node must not outlive the test that started it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *folder = getenv("NEMESIS_DATA"), *file = getenv("NEMESIS_CONTROL");
    if (!folder || !file) return;
    data_folder = folder;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof off, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) control = mapped;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int is_data(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, data_folder) != NULL;
}

static void note_failure(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t none = 0, ns = (int64_t)now.tv_sec * 1000000000LL + now.tv_nsec;
    __atomic_compare_exchange_n(&control->first_failed_ns, &none, ns, 0, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&control->failed_syncs, 1, __ATOMIC_SEQ_CST);
}

/* Waits as long as a slow disk would, but not longer than the disk stays slow. */
static void wait_for_disk(void) {
    __atomic_fetch_add(&control->slow_syncs, 1, __ATOMIC_SEQ_CST);
    for (uint32_t waited = 0; waited < control->sync_delay_ms; waited += 5) usleep(5000);
}

/* The error that this sync shall fail with, or 0. */
static int sync_fault(int fd) {
    if (!(control->sync_error | control->sync_delay_ms) || !is_data(fd)) return 0;
    if (control->sync_delay_ms) wait_for_disk();
    int error = (int)control->sync_error;
    if (error) note_failure();
    return error;
}

static int write_fault(int fd) {
    int error = (int)control->write_error;
    if (!error || !is_data(fd)) return 0;
    __atomic_fetch_add(&control->failed_writes, 1, __ATOMIC_SEQ_CST);
    return error;
}

#define FAIL_OR(fault, call) \
    int error = fault; \
    if (error) { errno = error; return -1; } \
    return call

int fdatasync(int fd) { REAL(fdatasync); FAIL_OR(sync_fault(fd), real(fd)); }
int fsync(int fd) { REAL(fsync); FAIL_OR(sync_fault(fd), real(fd)); }

ssize_t write(int fd, const void *from, size_t size) {
    REAL(write);
    FAIL_OR(write_fault(fd), real(fd, from, size));
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at) {
    REAL(pwrite);
    FAIL_OR(write_fault(fd), real(fd, from, size, at));
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
    REAL(pwrite64);
    FAIL_OR(write_fault(fd), real(fd, from, size, at));
}

ssize_t writev(int fd, const struct iovec *from, int count) {
    REAL(writev);
    FAIL_OR(write_fault(fd), real(fd, from, count));
}

int fallocate(int fd, int mode, off_t at, off_t size) {
    REAL(fallocate);
    FAIL_OR(write_fault(fd), real(fd, mode, at, size));
}

int fallocate64(int fd, int mode, off64_t at, off64_t size) {
    REAL(fallocate64);
    FAIL_OR(write_fault(fd), real(fd, mode, at, size));
}

int connect(int fd, const struct sockaddr *to, socklen_t size) {
    REAL(connect);
    const char *source = getenv("NEMESIS_SOURCE");
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)to;
    if (source && to->sa_family == AF_INET && (ntohl(v4->sin_addr.s_addr) >> 24) == 127) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        inet_pton(AF_INET, source, &from.sin_addr);
        int late_port = 1;
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late_port, sizeof late_port);
        /* A socket that is bound already keeps its address. */
        (void)!bind(fd, (struct sockaddr *)&from, sizeof from);
    }
    return real(fd, to, size);
}
