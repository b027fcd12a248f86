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

#define AT_ONCE (128 << 10)
#define FLOW (2 << 20)
#define LINE 480

static char octets[AT_ONCE];

static int done(int right)
{
    if (!right)
        exit(1);
    return right;
}

static int made(const char *path, int flags)
{
    int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0600);

    done(fd >= 0);
    return fd;
}

/* All that follows in FROM; as with mdeliver the disk begins while the rest is written. */
static void copy(int from, int to)
{
    off_t started = lseek(to, 0, SEEK_END), written = started;
    ssize_t got;

    while ((got = read(from, octets, sizeof octets)) > 0) {
        if (written - started >= FLOW) {
            posix_fadvise(to, started, written - started, POSIX_FADV_DONTNEED);
            started = written;
        }
        done(write(to, octets, (size_t)got) == got);
        written += got;
    }
    done(got == 0);
    posix_fadvise(to, started, written - started, POSIX_FADV_DONTNEED);
}

int main(int count, char **arguments)
{
    char temporary[64], final[64], line[LINE];

    done(count == 2 && chdir(arguments[1]) == 0);
    snprintf(temporary, sizeof temporary, "Maildir/tmp/%ld.%d", (long)time(NULL), getpid());
    snprintf(final, sizeof final, "Maildir/new/%s", temporary + strlen("Maildir/tmp/"));
    memset(line, 'x', sizeof line);

    int letter = made(temporary, O_RDWR | O_EXCL);
    copy(0, letter);
    int journal = made("journal", O_WRONLY | O_APPEND);
    done(write(journal, line, sizeof line) == sizeof line);
    posix_fadvise(journal, 0, 0, POSIX_FADV_DONTNEED);
    done(fsync(letter) == 0 && fdatasync(journal) == 0);

    int mbox = made("mbox", O_WRONLY | O_APPEND);
    done(lseek(letter, 0, SEEK_SET) == 0);
    copy(letter, mbox);
    done(rename(temporary, final) == 0 && fsync(mbox) == 0);
    int new = open("Maildir/new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return !done(new >= 0 && fsync(new) == 0);
}
