/*
 * The way to the running server: standard input, arguments and environment go through the door of
 * `mdeliver lmtp` to a worker of this user, and its answer comes back. The protocol is in
 * mdeliver/lmtp/door.py.
 *
 * Before   the request is sent nothing is lost: where no server runs, where it is neither root's nor
 *          ours, where it declines, and where no worker says within SERVER_WAIT_S that it is ready,
 *          the direct path is taken.
 * Ready    nothing is sent before, standard input least of all: while it lies in a queue behind a
 *          slow delivery nobody reads it, and nobody can take it back. Postfix, which still writes
 *          into the pipe, would bounce the message after command_time_limit.
 * After    it is sent the message may be half read: what is no whole answer means 75.
 * Trust    the path is in a directory that only root writes to; still the kernel is asked who
 *          listens (SO_PEERCRED), since a stranger's "delivered" would lose the message.
 * Time     the fuse's alarm ends a wait for an answer that never comes, which Postfix defers.
 */

#ifndef SERVER_PATH
#define SERVER_PATH "/run/mdeliver/launcher"
#endif

/* With this, the direct path's own limits still end before the fuse's. */
#ifndef SERVER_WAIT_S
#define SERVER_WAIT_S 15
#endif

#define HEADER_BYTES 16
#define REQUEST_BYTES 131072   /* of arguments and environment */
#define PIECES 32
#define ANSWER_LINE_BYTES 1000
#define READY 254
#define DECLINED 255

struct answer {
    int status;
    unsigned long length;
    char line[ANSWER_LINE_BYTES];
};

static const char magic[4] = { 'M', 'D', 'L', '2' };

static void put_number(char *at, unsigned long number)
{
    int i;

    for (i = 0; i < 4; i++)
        at[i] = (char) (number >> 8 * i & 0xff);
}

/* What is sent: header and strings, each string from where execve has put it. They stand there one
 * behind the other, each with its NUL, so that they are few pieces: drop_unsafe leaves gaps. */
struct request {
    char header[HEADER_BYTES];
    struct piece pieces[PIECES];
    unsigned long piece_count, octets;
};

/* The strings of LIST into REQUEST, their number into COUNT. Returns 0 if they are too many. */
static int add_strings(struct request *request, char **list, unsigned long *count)
{
    for (*count = 0; *list != 0; list++, ++*count) {
        struct piece *last = &request->pieces[request->piece_count - 1];
        unsigned long length = 1;

        while ((*list)[length - 1] != '\0')
            length++;
        if (last->bytes + last->length != *list) {
            if (request->piece_count == PIECES)
                return 0;
            last = &request->pieces[request->piece_count++];
            last->bytes = *list;
            last->length = 0;
        }
        last->length += length;
        request->octets += length;
    }
    return 1;
}

/* Returns 0 if that is more than the server takes. */
static int make_request(struct request *request, char **arguments, char **environment)
{
    unsigned long argument_count, entry_count;
    int i;

    request->pieces[0].bytes = request->header;
    request->pieces[0].length = request->octets = HEADER_BYTES;
    request->piece_count = 1;
    if (!add_strings(request, arguments, &argument_count)
        || !add_strings(request, environment, &entry_count)
        || request->octets > HEADER_BYTES + REQUEST_BYTES)
        return 0;
    for (i = 0; i < 4; i++)
        request->header[i] = magic[i];
    put_number(request->header + 4, argument_count);
    put_number(request->header + 8, entry_count);
    put_number(request->header + 12, request->octets - HEADER_BYTES);
    return 1;
}

/* A connection to the server at PATH, or -1: then there is none for us. */
static int connect_to_server(const char *path)
{
    unsigned int owner = (unsigned int) -1;
    int connection = (int) sys_connect(path);

    if (connection < 0)
        return -1;
    if (sys_peer(connection, &owner) < 0 || (owner != 0 && owner != (unsigned int) sys_own_user())
        || sys_make_blocking(connection) < 0 || sys_limit_reads(connection, SERVER_WAIT_S) < 0) {
        sys_close(connection);
        return -1;
    }
    return connection;
}

static int read_exactly(int connection, char *bytes, unsigned long count)
{
    unsigned long had = 0;
    long now;
    int interruptions = 0;

    while (had < count) {
        now = sys_read(connection, bytes + had, count - had);
        if (now == -EINTR && interruptions++ < 100)
            continue;
        if (now <= 0)
            return 0;
        had += (unsigned long) now;
    }
    return 1;
}

static int read_answer(int connection, struct answer *answer)
{
    unsigned char header[8];
    int i;

    if (!read_exactly(connection, (char *) header, sizeof header))
        return 0;
    for (i = 0; i < 4; i++)
        if (header[i] != (unsigned char) magic[i])
            return 0;
    answer->status = header[4];
    answer->length = header[6] | (unsigned long) header[7] << 8;
    return header[5] == 0 && answer->length <= sizeof answer->line
        && read_exactly(connection, answer->line, answer->length);
}

/* Whether a worker is there and takes the message now. */
static int is_ready(int connection, struct answer *answer)
{
    return read_answer(connection, answer) && answer->status == READY
        && sys_limit_reads(connection, 0) >= 0;
}

/* Returns how many octets were sent, descriptor 0 with the first of them. Fewer than all of them are
 * so only where the server has gone, or somebody stops and continues us at that moment. */
static unsigned long send_request(int connection, struct request *request)
{
    long sent;
    int interruptions = 0;

    do
        sent = sys_send_with_input(connection, request->pieces, request->piece_count);
    while (sent == -EINTR && interruptions++ < 100);
    return sent < 0 ? 0 : (unsigned long) sent;
}

/* Asks the server at PATH to deliver. Returns 1 with its answer; 0 where the direct path is to be
 * taken; -1 where the message was handed over and no answer came. */
static int ask_server(const char *path, char **arguments, char **environment, struct answer *answer)
{
    struct request request;
    unsigned long sent;
    int connection, answered;

    if (!make_request(&request, arguments, environment))
        return 0;
    connection = connect_to_server(path);
    if (connection < 0)
        return 0;
    if (!is_ready(connection, answer)) {
        sys_close(connection);
        return 0;
    }
    sys_ignore_sigpipe();
    sent = send_request(connection, &request);
    if (sent == 0) {
        sys_close(connection);
        return 0;
    }
    answered = sent == request.octets && read_answer(connection, answer);
    sys_close(connection);
    if (!answered)
        return -1;
    return answer->status != DECLINED;
}
