/*
 * What the disk asks of any agent: one message into an mbox and a Maildir, written and synced as
 * mdeliver does, and nothing else: no rule, no lock, no name that is safe from others.
 *
 *     floor HOME < MESSAGE
 *
 * Syncs the letter and a line of a journal; then the mbox and the Maildir's directory `new`. Status
 * 0, or 1 where anything fails: it measures, and no more.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST (16 << 20)
#define LINE 480

static char octets[MOST];
static char line[LINE];

static int done(int right)
{
    if (!right)
        exit(1);
    return right;
}

static int put(const char *path, int flags, const char *from, size_t size)
{
    int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0600);

    done(fd >= 0 && write(fd, from, size) == (ssize_t)size);
    /* As mdeliver does: the disk begins while the next file is written. */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return fd;
}

int main(int count, char **arguments)
{
    char letter[64], final[64];
    size_t size = 0;
    ssize_t got;

    done(count == 2 && chdir(arguments[1]) == 0);
    while ((got = read(0, octets + size, MOST - size)) > 0)
        size += (size_t)got;
    done(got == 0);
    snprintf(letter, sizeof letter, "Maildir/tmp/%ld.%d", (long)time(NULL), getpid());
    snprintf(final, sizeof final, "Maildir/new/%s", letter + strlen("Maildir/tmp/"));
    memset(line, 'x', sizeof line);

    int copy = put(letter, O_WRONLY | O_EXCL, octets, size);
    int journal = put("journal", O_WRONLY | O_APPEND, line, sizeof line);
    done(fsync(copy) == 0 && fdatasync(journal) == 0);
    int mbox = put("mbox", O_WRONLY | O_APPEND, octets, size);
    done(rename(letter, final) == 0 && fsync(mbox) == 0);
    int new = open("Maildir/new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return !done(new >= 0 && fsync(new) == 0);
}
