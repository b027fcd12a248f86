/*
 * The system calls of the fuse by way of the C library, for every platform without a layer of its
 * own. Linked statically where that works. What is lost: the library's own start can fail, and
 * ends then by a signal or with its own status.
 *
 * Every call returns its result or -errno.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static long result(long returned)
{
    return returned < 0 ? -(long) errno : returned;
}

static void __attribute__((noreturn)) sys_exit(int status)
{
    _exit(status);
}

static long sys_read(int descriptor, char *buffer, unsigned long size)
{
    return result(read(descriptor, buffer, size));
}

static long sys_write(int descriptor, const char *bytes, unsigned long count)
{
    return result(write(descriptor, bytes, count));
}

static void sys_close(int descriptor)
{
    close(descriptor);
}

static long sys_open_null(void)
{
    return result(open("/dev/null", O_RDWR));
}

static long sys_pipe(int ends[2])
{
    int i;

    if (pipe(ends) < 0)
        return -errno;
    for (i = 0; i < 2; i++)
        if (fcntl(ends[i], F_SETFD, FD_CLOEXEC) < 0 || fcntl(ends[i], F_SETFL, O_NONBLOCK) < 0)
            return -errno;
    return 0;
}

static long sys_dup2(int from, int to)
{
    return result(dup2(from, to));
}

static long sys_fork(void)
{
    return result(fork());
}

static long sys_execve(const char *path, char **arguments, char **environment)
{
    return result(execve(path, arguments, environment));
}

static long sys_wait(long child, int *wait_status)
{
    return result(waitpid((pid_t) child, wait_status, 0));
}

static void sys_alarm(long seconds)
{
    alarm((unsigned) seconds);
}

static void sys_default_signals(void)
{
    sigset_t none;

    signal(SIGCHLD, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void sys_ignore_sigpipe(void)
{
    signal(SIGPIPE, SIG_IGN);
}

/* A connection without waiting for one: a server whose queue is full is busy. */
static long sys_connect(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int connection;

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    connection = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connection < 0)
        return -errno;
    if (fcntl(connection, F_SETFD, FD_CLOEXEC) < 0 || fcntl(connection, F_SETFL, O_NONBLOCK) < 0
        || connect(connection, (struct sockaddr *) &address, sizeof address) < 0) {
        int error = errno;

        close(connection);
        return -error;
    }
    return connection;
}

/* Who listens at the other end. */
static long sys_peer(int connection, unsigned int *user)
{
#ifdef SO_PEERCRED
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    *user = peer.uid;
    return 0;
#else
    uid_t uid;
    gid_t gid;

    if (getpeereid(connection, &uid, &gid) < 0)
        return -errno;
    *user = uid;
    return 0;
#endif
}

/* A read(2) fails with EAGAIN after SECONDS; 0 for no limit. */
static long sys_limit_reads(int connection, long seconds)
{
    struct timeval limit = { .tv_sec = seconds };

    return result(setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
}

static long sys_own_user(void)
{
    return (long) geteuid();
}

static long sys_make_blocking(int descriptor)
{
    return result(fcntl(descriptor, F_SETFL, 0));
}

struct piece {
    const char *bytes;
    unsigned long length;
};

/* COUNT pieces, and the right to descriptor 0 with them (unix(7), SCM_RIGHTS). */
static long sys_send_with_input(int connection, struct piece *pieces, unsigned long count)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } rights;
    struct iovec vector[count];
    struct msghdr message = { .msg_iov = vector, .msg_iovlen = count,
                              .msg_control = rights.room, .msg_controllen = sizeof rights.room };
    unsigned long n;
    int input = 0;

    for (n = 0; n < count; n++) {
        vector[n].iov_base = (void *) pieces[n].bytes;
        vector[n].iov_len = pieces[n].length;
    }
    memset(&rights, 0, sizeof rights);
    rights.header.cmsg_len = CMSG_LEN(sizeof input);
    rights.header.cmsg_level = SOL_SOCKET;
    rights.header.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&rights.header), &input, sizeof input);
    return result(sendmsg(connection, &message, 0));
}

/* Linux and NetBSD, FreeBSD, then what the caller wrote: Postfix calls by the full path. */
static long sys_own_path(char *buffer, unsigned long size, const char *executed_as)
{
    static const char *const links[] = { "/proc/self/exe", "/proc/curproc/file" };
    char resolved[PATH_MAX];
    unsigned i;

    for (i = 0; i < sizeof links / sizeof *links; i++) {
        ssize_t length = readlink(links[i], buffer, size);

        if (length > 0)
            return length;
    }
    if (executed_as == NULL || strchr(executed_as, '/') == NULL)
        return -ENOENT;
    if (realpath(executed_as, resolved) == NULL)
        return -errno;
    if (strlen(resolved) >= size)
        return -ENAMETOOLONG;
    strcpy(buffer, resolved);
    return (long) strlen(resolved);
}

static int fuse(int argc, char **argv, char **environment, const char *executed_as);

int main(int argc, char **argv, char **environment)
{
    _exit(fuse(argc, argv, environment, argc > 0 ? argv[0] : NULL));
}
