/*
 * The system calls of the fuse on Linux, without libc: x86_64 and aarch64.
 *
 * Every call returns its result or -errno. The kernel's interface is stable; the numbers are from
 * its headers, which come with any compiler package that can build programs at all.
 */

#ifndef __linux__
#error "this platform layer is for Linux"
#endif

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#define SIGPIPE_ 13
#define SIGALRM_ 14
#define SIGCHLD_ 17
#define SIG_SETMASK_ 2

#if defined(__x86_64__)

static inline long system_call(long number, long a, long b, long c, long d, long e)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

__asm__(".globl _start\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    mov %rsp, %rdi\n"
        "    and $-16, %rsp\n"
        "    call start\n");

#elif defined(__aarch64__)

static inline long system_call(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;

    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory");
    return x0;
}

__asm__(".globl _start\n"
        "_start:\n"
        "    mov x29, #0\n"
        "    mov x30, #0\n"
        "    mov x0, sp\n"
        "    bl start\n");

#else
#error "no system call layer for this processor: build with platform_libc.h"
#endif

static void __attribute__((noreturn)) sys_exit(int status)
{
    for (;;)
        system_call(__NR_exit_group, status, 0, 0, 0, 0);
}

static long sys_read(int descriptor, char *buffer, unsigned long size)
{
    return system_call(__NR_read, descriptor, (long) buffer, (long) size, 0, 0);
}

static long sys_write(int descriptor, const char *bytes, unsigned long count)
{
    return system_call(__NR_write, descriptor, (long) bytes, (long) count, 0, 0);
}

static void sys_close(int descriptor)
{
    system_call(__NR_close, descriptor, 0, 0, 0, 0);
}

static long sys_open_null(void)
{
    return system_call(__NR_openat, AT_FDCWD, (long) "/dev/null", O_RDWR, 0, 0);
}

static long sys_pipe(int ends[2])
{
    return system_call(__NR_pipe2, (long) ends, O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
}

static long sys_dup2(int from, int to)
{
    return system_call(__NR_dup3, from, to, 0, 0, 0);
}

static long sys_fork(void)
{
    return system_call(__NR_clone, SIGCHLD_, 0, 0, 0, 0);
}

static long sys_execve(const char *path, char **arguments, char **environment)
{
    return system_call(__NR_execve, (long) path, (long) arguments, (long) environment, 0, 0);
}

static long sys_wait(long child, int *wait_status)
{
    return system_call(__NR_wait4, child, (long) wait_status, 0, 0, 0);
}

static void sys_alarm(long seconds)
{
    /* struct itimerval: interval, then value, each in seconds and microseconds. ITIMER_REAL is 0. */
    long timer[4] = { 0, 0, seconds, 0 };

    system_call(__NR_setitimer, 0, (long) timer, 0, 0, 0);
}

/* The kernel's own struct sigaction; its mask has 8 bytes. */
static void set_signal(int signal, unsigned long handler)
{
    unsigned long action[4] = { handler, 0, 0, 0 };

    system_call(__NR_rt_sigaction, signal, (long) action, 0, 8, 0);
}

static void sys_default_signals(void)
{
    unsigned long none = 0;

    set_signal(SIGCHLD_, 0);
    set_signal(SIGALRM_, 0);
    system_call(__NR_rt_sigprocmask, SIG_SETMASK_, (long) &none, 0, 8, 0);
}

static void sys_ignore_sigpipe(void)
{
    set_signal(SIGPIPE_, 1);
}

/* From the kernel's socket headers, which have no part of the C library's. */
#define AF_UNIX_ 1
#define SOCK_STREAM_ 1
#define SOL_SOCKET_ 1
#define SO_PEERCRED_ 17
#define SO_RCVTIMEO_ 20
#define SCM_RIGHTS_ 1
#define SOCKET_PATH_BYTES 108

/* A connection without waiting for one: a server whose queue is full is busy. */
static long sys_connect(const char *path)
{
    struct { unsigned short family; char path[SOCKET_PATH_BYTES]; } address;
    unsigned long n = 0;
    long connection, error;

    address.family = AF_UNIX_;
    do {
        if (n == SOCKET_PATH_BYTES)
            return -ENAMETOOLONG;
        address.path[n] = path[n];
    } while (path[n++] != '\0');
    connection = system_call(__NR_socket, AF_UNIX_, SOCK_STREAM_ | O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
    if (connection < 0)
        return connection;
    error = system_call(__NR_connect, connection, (long) &address, (long) (2 + n), 0, 0);
    if (error < 0) {
        sys_close((int) connection);
        return error;
    }
    return connection;
}

/* Who listens at the other end: struct ucred is process, user and group. */
static long sys_peer(int connection, unsigned int *user)
{
    unsigned int peer[3], size = sizeof peer;
    long error = system_call(__NR_getsockopt, connection, SOL_SOCKET_, SO_PEERCRED_, (long) peer,
                             (long) &size);

    *user = peer[1];
    return error;
}

/* A read(2) fails with EAGAIN after SECONDS; 0 for no limit. Kernel: seconds and microseconds. */
static long sys_limit_reads(int connection, long seconds)
{
    long limit[2] = { seconds, 0 };

    return system_call(__NR_setsockopt, connection, SOL_SOCKET_, SO_RCVTIMEO_, (long) limit,
                       sizeof limit);
}

static long sys_own_user(void)
{
    return system_call(__NR_geteuid, 0, 0, 0, 0, 0);
}

static long sys_make_blocking(int descriptor)
{
    return system_call(__NR_fcntl, descriptor, F_SETFL, 0, 0, 0);
}

/* The kernel's struct iovec. */
struct piece {
    const char *bytes;
    unsigned long length;
};

/* COUNT pieces, and the right to descriptor 0 with them (unix(7), SCM_RIGHTS). The kernel's struct
 * user_msghdr and struct cmsghdr on 64-bit machines. */
static long sys_send_with_input(int connection, struct piece *pieces, unsigned long count)
{
    struct { unsigned long length; int level, type, descriptor, padding; } rights = {
        20, SOL_SOCKET_, SCM_RIGHTS_, 0, 0
    };
    struct {
        void *name; int name_length; void *pieces; unsigned long piece_count;
        void *control; unsigned long control_length; unsigned int flags;
    } message = { 0, 0, pieces, count, &rights, sizeof rights, 0 };

    return system_call(__NR_sendmsg, connection, (long) &message, 0, 0, 0);
}

/* With /proc the path has no symbolic link in it; without, it is what the caller wrote. */
static long sys_own_path(char *buffer, unsigned long size, const char *executed_as)
{
    unsigned long n = 0;
    long length = system_call(__NR_readlinkat, AT_FDCWD, (long) "/proc/self/exe", (long) buffer,
                              (long) size, 0);

    if (length >= 0 || executed_as == 0)
        return length;
    while (executed_as[n] != '\0' && n < size) {
        buffer[n] = executed_as[n];
        n++;
    }
    return (long) n;
}

static int fuse(int argc, char **argv, char **environment, const char *executed_as);

/* The stack as execve leaves it: argc, argv, 0, environment, 0, pairs of auxiliary values. */
void __attribute__((noreturn, used)) start(long *stack)
{
    int argc = (int) stack[0];
    char **argv = (char **) (stack + 1), **environment = argv + argc + 1, **end = environment;
    const char *executed_as = 0;
    long *pair;

    while (*end != 0)
        end++;
    for (pair = (long *) (end + 1); pair[0] != 0; pair += 2)
        if (pair[0] == 31 /* AT_EXECFN: the path that was given to execve */)
            executed_as = (const char *) pair[1];
    sys_exit(fuse(argc, argv, environment, executed_as));
}
