/*
 * mdeliver-lda: the fuse between Postfix and the delivery agent.
 *
 * NAME        mdeliver-lda - run "mdeliver deliver" so that nothing but an intended rejection bounces
 * SYNOPSIS    mailbox_command = /path/to/bin/mdeliver-lda [options of mdeliver deliver]
 *
 * Why         Postfix's local(8) defers on exit 71 and 75 only. Python's own 1, 2 and 120, a dynamic
 *             loader's 127 and a shell's 126 return the letter to its sender. So a program that
 *             cannot fail by itself stands between: it forks, the child becomes the agent, and
 *             nothing that the agent does by accident gets through.
 *
 * Two ways    Where `mdeliver lmtp` runs, the message goes to its worker for this user (server.h):
 *             most of a delivery's cost is Python's start. Where it does not, the direct path below.
 *             "--server PATH" as the first argument says where else it listens, "" that there is
 *             none to be asked.
 *
 * Guarantee   exit 0   only where the agent ended with AGENT_DONE, which no accident produces, or
 *                      the server answered so;
 *             exit 77  only where either ended with a status of the table `rejections` and a line
 *                      "5.S.N text";
 *             exit 75  in every other case, whatever happened;
 *             a signal where somebody or the deadline killed the fuse itself, which Postfix defers.
 *
 * The pipe    Postfix also reads the output: a first line "5.1.1 text" makes any failure permanent.
 *             Therefore the agent never has Postfix's descriptors 1 and 2, but a pipe. A report is a
 *             NUL byte and a line; the last NUL in the pipe counts. What stands before it (a warning
 *             of Python, a library's print, a loader's complaint) can be quoted in a line of ours,
 *             never be one. Only the fuse writes to Postfix: one line, on failure alone.
 *             The pipe never blocks a writer (O_NONBLOCK: noise beyond its capacity is dropped) and
 *             is read after the agent has ended, so that neither a loud agent nor a grandchild which
 *             keeps the pipe open can hold up a delivery.
 *
 * Environment What glibc drops where a program is setuid is dropped here too: a loader that obeys
 *             LD_PRELOAD would run whatever it names before our first line of Python. (-I sees to
 *             PYTHON*, and neither way asks a shell.)
 *
 * Start       Without libc (platform_linux_raw.h) there is no system call between execve and the
 *             first instruction here: no loader, no relocation, no thread storage, nothing to fail.
 *             Nor is there a variable outside the stack, for which the kernel would have a second
 *             segment to map and two more pages to find: 4 of 160 us.
 *
 * See also    sysexits.h, pipe_command(3) and local(8) of Postfix, RFC 3463, mdeliver/__main__.py
 */

#if defined(MDELIVER_RAW)
#include "platform_linux_raw.h"
#else
#include "platform_libc.h"
#endif

/* What the agent ends with; mdeliver/__main__.py has the same numbers, and a test compares them. */
#define AGENT_DONE 40

/* The statuses with which an agent may reject a message, and what Postfix is told. */
static const unsigned char rejections[] = { 77 /* EX_NOPERM */ };

#define EX_TEMPFAIL 75

/* Postfix bounces after command_time_limit (1000 s). The agent ends itself after 900 s; these end
 * an agent that cannot even do that, and a fuse whose agent cannot be killed (a dead NFS server). */
#ifndef AGENT_LIMIT_S
#define AGENT_LIMIT_S 950
#endif
#ifndef FUSE_LIMIT_S
#define FUSE_LIMIT_S 970
#endif

#define LINE_BYTES 1000   /* SMTP replies and logs take about this much */
#define PATH_BYTES 4096
#define ARGUMENTS 256

/* bootstrap.py as a string. */
static const char bootstrap[] =
#include "bootstrap.h"
    ;

#include "server.h"

/* --- one line of text ------------------------------------------------------------------------ */

struct line {
    unsigned long length;
    char text[LINE_BYTES + 1];   /* and a newline */
};

/* Control characters become '?': nobody's input may add a line to what Postfix reads. */
static void add_bytes(struct line *line, const char *bytes, unsigned long count)
{
    unsigned long i;

    for (i = 0; i < count && line->length < LINE_BYTES; i++) {
        unsigned char c = (unsigned char) bytes[i];

        line->text[line->length++] = (c < 0x20 || c == 0x7f) ? '?' : (char) c;
    }
}

static void add(struct line *line, const char *text)
{
    unsigned long length = 0;

    while (text[length] != '\0')
        length++;
    add_bytes(line, text, length);
}

static void add_number(struct line *line, unsigned long number)
{
    char digits[20];
    int at = sizeof digits;

    do {
        digits[--at] = (char) ('0' + number % 10);
        number /= 10;
    } while (number != 0);
    add_bytes(line, digits + at, sizeof digits - (unsigned long) at);
}

static void add_error(struct line *line, long error)
{
    add(line, ": ");
    switch (error) {
    case ENOENT: add(line, "no such file"); break;
    case EACCES: add(line, "permission denied"); break;
    case ENOMEM: add(line, "out of memory"); break;
    case EAGAIN: add(line, "too many processes"); break;
    case EMFILE: case ENFILE: add(line, "too many open files"); break;
    case E2BIG: add(line, "arguments or environment too long"); break;
    case ENOEXEC: add(line, "not a program for this machine"); break;
    default: add(line, "error "); add_number(line, (unsigned long) error);
    }
}

/* --- what the agent left in the pipe --------------------------------------------------------- */

/* The report's first bytes; or, where there is none, the last bytes of the noise: a traceback says
 * at its end what happened. */
struct output {
    int reported;
    unsigned long length;
    char bytes[2 * LINE_BYTES];
};

static void keep_byte(struct output *output, char byte)
{
    unsigned long half = sizeof output->bytes / 2, i;

    if (byte == '\0') {
        output->reported = 1;
        output->length = 0;
        return;
    }
    if (output->length == sizeof output->bytes) {
        if (output->reported)
            return;
        for (i = 0; i < half; i++)
            output->bytes[i] = output->bytes[i + half];
        output->length = half;
    }
    output->bytes[output->length++] = byte;
}

static void read_output(int descriptor, struct output *output)
{
    char piece[LINE_BYTES];
    long got, i;
    int interruptions = 0;

    output->reported = 0;
    output->length = 0;
    for (;;) {
        got = sys_read(descriptor, piece, sizeof piece);
        if (got == -EINTR && interruptions++ < 100)
            continue;
        if (got <= 0)   /* the end, or EAGAIN: a grandchild still holds the pipe open */
            return;
        for (i = 0; i < got; i++)
            keep_byte(output, piece[i]);
    }
}

static unsigned long first_line(const struct output *output)
{
    unsigned long end = 0;

    while (end < output->length && output->bytes[end] != '\n')
        end++;
    return end;
}

/* The last line that is not empty, of noise. */
static void find_noise(const struct output *output, const char **start, unsigned long *length)
{
    unsigned long at, end = output->length;

    while (end > 0 && (output->bytes[end - 1] == '\n' || output->bytes[end - 1] == ' '))
        end--;
    for (at = end; at > 0 && output->bytes[at - 1] != '\n'; at--)
        ;
    *start = output->bytes + at;
    *length = end - at;
}

static unsigned long count_digits(const char *text, unsigned long length)
{
    unsigned long n = 0;

    while (n < length && text[n] >= '0' && text[n] <= '9')
        n++;
    return n;
}

/* RFC 3463: class "." subject "." detail, one to three digits each, then a space and a text.
 * Returns the class, '4' or '5', or 0 where this is no such line. */
static char status_class(const char *text, unsigned long length)
{
    unsigned long at = 2, part, digits;

    if (length < 2 || (text[0] != '4' && text[0] != '5') || text[1] != '.')
        return 0;
    for (part = 0; part < 2; part++) {
        digits = count_digits(text + at, length - at);
        at += digits;
        if (digits < 1 || digits > 3 || at == length || text[at] != (part == 0 ? '.' : ' '))
            return 0;
        at++;
    }
    return at < length ? text[0] : 0;
}

/* --- how it ends ----------------------------------------------------------------------------- */

static int say(struct line *line, int status)
{
    line->text[line->length++] = '\n';
    sys_ignore_sigpipe();
    (void) sys_write(1, line->text, line->length);
    return status;
}

static int defer(const char *what, long error)
{
    struct line line;

    line.length = 0;
    add(&line, "4.3.0 mdeliver: ");
    add(&line, what);
    if (error < 0)
        add_error(&line, -error);
    add(&line, "; the message stays in the queue");
    return say(&line, EX_TEMPFAIL);
}

static int is_rejection(int exit_status)
{
    unsigned long i;

    for (i = 0; i < sizeof rejections; i++)
        if (rejections[i] == exit_status)
            return 1;
    return 0;
}

/* The server answered: what Postfix is told. */
static int conclude_answer(const struct answer *answer)
{
    struct line line;
    char class = status_class(answer->line, answer->length);

    if (answer->status == 0)
        return 0;
    line.length = 0;
    if (class == '5' && is_rejection(answer->status)) {
        add_bytes(&line, answer->line, answer->length);
        return say(&line, answer->status);
    }
    if (class != '4')
        add(&line, "4.3.0 ");
    if (answer->length == 0)
        add(&line, "mdeliver: the server gave no reason");
    add_bytes(&line, answer->line, answer->length);
    return say(&line, EX_TEMPFAIL);
}

/* The agent ended otherwise than with AGENT_DONE: what Postfix is told. */
static int conclude(int wait_status, const struct output *output)
{
    struct line line;
    const char *text;
    unsigned long length;
    int exited = (wait_status & 0x7f) == 0, exit_status = (wait_status >> 8) & 0xff;

    line.length = 0;
    if (output->reported && exited) {
        char class;

        text = output->bytes;
        length = first_line(output);
        class = status_class(text, length);

        if (class == '5' && is_rejection(exit_status)) {
            add_bytes(&line, text, length);
            return say(&line, exit_status);
        }
        if (class != '4')
            add(&line, "4.3.0 ");
        if (length == 0)
            text = "mdeliver: no reason given", length = 25;
        add_bytes(&line, text, length);
        return say(&line, EX_TEMPFAIL);
    }
    add(&line, "4.3.0 mdeliver: the delivery agent ended ");
    add(&line, exited ? "with status " : "by signal ");
    add_number(&line, (unsigned long) (exited ? exit_status : wait_status & 0x7f));
    add(&line, "; the message stays in the queue");
    if (output->reported)   /* killed after it had its line ready, which holds no longer */
        return say(&line, EX_TEMPFAIL);
    find_noise(output, &text, &length);
    if (length > 0) {
        add(&line, ": ");
        add_bytes(&line, text, length);
    }
    return say(&line, EX_TEMPFAIL);
}

/* --- the child ------------------------------------------------------------------------------- */

/* Becomes the agent, or reports why not. What it ends with here is never AGENT_DONE. */
static int become_agent(int report, const char *python, char **arguments, char **environment)
{
    struct line line;
    long error;

    /* Alarms outlive execve: this one also ends a Python that never comes to set its own. */
    sys_alarm(AGENT_LIMIT_S);
    error = sys_dup2(report, 1);
    if (error >= 0)
        error = sys_dup2(report, 2);
    if (error >= 0)
        error = sys_execve(python, arguments, environment);
    line.length = 0;
    add(&line, "4.3.0 mdeliver: cannot run ");
    add(&line, python);
    add_error(&line, -error);
    line.text[line.length++] = '\n';
    (void) sys_write(report, "", 1);
    (void) sys_write(report, line.text, line.length);
    return EX_TEMPFAIL;
}

/* --- the direct path -------------------------------------------------------------------------------- */

/* Cuts the last step off PATH, which is LENGTH long. Returns what is left, 0 if nothing is. */
static unsigned long parent_directory(char *path, unsigned long length)
{
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    path[length] = '\0';
    return length;
}

/* A pipe outside of 0 to 2. Where 1 or 2 came closed, /dev/null takes the place, or the agent's
 * mailbox would get that number and a stray print would go into it. */
static long open_pipe(int ends[2])
{
    long error = sys_pipe(ends);

    if (error < 0 || (ends[0] > 2 && ends[1] > 2))
        return error;
    if (ends[0] == 0 || ends[1] == 0)
        return -EBADF;
    sys_close(ends[0]);
    sys_close(ends[1]);
    do {
        error = sys_open_null();
        if (error < 0)
            return error;
    } while (error <= 2);
    sys_close((int) error);
    error = sys_pipe(ends);
    return error < 0 ? error : ends[0] > 2 && ends[1] > 2 ? 0 : -EBADF;
}

static int run_agent(int argc, char **argv, char **environment, const char *executed_as)
{
    char prefix[PATH_BYTES + 1], python[PATH_BYTES + 16];
    char *arguments[ARGUMENTS + 8];
    static const char interpreter[] = "/python3";
    struct output output;
    int ends[2], i, n = 0, wait_status = 0, interruptions = 0;
    unsigned long length, k;
    long error, child;

    error = sys_own_path(prefix, PATH_BYTES, executed_as);
    if (error <= 0 || error >= PATH_BYTES)
        return defer("cannot find its own directory", error);
    length = parent_directory(prefix, (unsigned long) error);
    for (k = 0; k < length; k++)
        python[k] = prefix[k];
    for (k = 0; k < sizeof interpreter; k++)
        python[length + k] = interpreter[k];
    length = parent_directory(prefix, length);

    if (argc > ARGUMENTS)
        return defer("too many arguments", 0);
    arguments[n++] = python;
    arguments[n++] = (char *) "-I";
    arguments[n++] = (char *) "-S";
    arguments[n++] = (char *) "-c";
    arguments[n++] = (char *) bootstrap;
    arguments[n++] = prefix;
    arguments[n++] = (char *) "deliver";
    for (i = 1; i < argc; i++)
        arguments[n++] = argv[i];
    arguments[n] = 0;

    error = open_pipe(ends);
    if (error < 0)
        return defer(error == -EBADF ? "standard input is closed" : "cannot make a pipe",
                     error == -EBADF ? 0 : error);
    child = sys_fork();
    if (child < 0)
        return defer("cannot start the delivery agent", child);
    if (child == 0)
        sys_exit(become_agent(ends[1], python, arguments, environment));
    sys_close(ends[1]);

    do
        error = sys_wait(child, &wait_status);
    while (error == -EINTR && interruptions++ < 10000);
    if (error != child)
        return defer("cannot wait for the delivery agent", error);
    if (wait_status == AGENT_DONE << 8)
        return 0;
    read_output(ends[0], &output);
    return conclude(wait_status, &output);
}

/* --- which way ------------------------------------------------------------------------------- */

/* The socket that the arguments name, or the usual one. */
static const char *server_path(int argc, char **argv)
{
    static const char option[] = "--server";
    unsigned long n = 0;

    if (argc < 2)
        return SERVER_PATH;
    while (option[n] != '\0' && argv[1][n] == option[n])
        n++;
    if (option[n] != '\0')
        return SERVER_PATH;
    if (argv[1][n] == '=')
        return argv[1] + n + 1;
    return argv[1][n] == '\0' && argc > 2 ? argv[2] : SERVER_PATH;
}

/* How entries begin that a loader, an allocator or libc obeys: those of unsecvars.h in glibc, and
 * Python's. One text, since a table of pointers would have to be relocated. */
static const char unsafe[] =
    "LD_\0" "PYTHON\0" "MALLOC_\0" "GLIBC_TUNABLES=\0" "GCONV_PATH=\0" "GETCONF_DIR=\0"
    "HOSTALIASES=\0" "LOCALDOMAIN=\0" "LOCPATH=\0" "NIS_PATH=\0" "NLSPATH=\0"
    "RESOLV_HOST_CONF=\0" "RES_OPTIONS=\0" "TMPDIR=\0" "TZDIR=\0";

static int is_unsafe(const char *entry)
{
    const char *beginning = unsafe;
    unsigned long n;

    while (*beginning != '\0') {
        for (n = 0; beginning[n] != '\0' && entry[n] == beginning[n]; n++)
            ;
        if (beginning[n] == '\0')
            return 1;
        while (*beginning++ != '\0')
            ;
    }
    return 0;
}

/* The entries that are kept move up in their own array: nothing here can fail. */
static void drop_unsafe(char **environment)
{
    char **kept = environment;

    for (; *environment != 0; environment++)
        if (!is_unsafe(*environment))
            *kept++ = *environment;
    *kept = 0;
}

static int fuse(int argc, char **argv, char **environment, const char *executed_as)
{
    struct answer answer;
    const char *server = server_path(argc, argv);

    drop_unsafe(environment);

    /* An ignored SIGCHLD would take the agent's status from us, a blocked SIGALRM the deadline. */
    sys_default_signals();
    sys_alarm(FUSE_LIMIT_S);

    if (server[0] != '\0' && argc > 0) {
        switch (ask_server(server, argv + 1, environment, &answer)) {
        case 1: return conclude_answer(&answer);
        case -1: return defer("the server ended in the middle of this delivery", 0);
        }
    }
    return run_agent(argc, argv, environment, executed_as);
}
