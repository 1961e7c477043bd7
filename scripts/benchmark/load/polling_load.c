/* Many Socket.IO clients over HTTP long-polling, one kept-alive connection each.
 *
 *   polling_load --port PORT --clients N --payload BYTES --warmup SECONDS --seconds SECONDS --revision NAME
 *
 * Each client POSTs a message and, when that is answered, GETs until the echo comes; then the next one. A unit is one
 * such cycle: a POST, and one GET or more.
 */
#include "revisions.h"

#define READ_SIZE (1 << 18)

typedef struct {
  int fd;
  enum { CONNECTING, SHAKING_HANDS, POSTING, POLLING, CLOSED } state; /* which answer the client waits for */
  bool joined, waiting_for_echo;
  char sid[64];
  Buffer in; /* the beginning of an answer whose end has not come yet */
} Client;

static Options options;
static const Revision *revision;
static int epoll;
static Client *clients;
static Buffer message; /* the body that POSTs an echo, with room for its time stamp */
static size_t stamp_at;
static int joined;
static bool measuring;
static uint64_t units, errors;
static Samples latency;

static void client_fail(Client *client, const char *why) {
  if (errors++ < 5) fprintf(stderr, "client %d: %s\n", (int)(client - clients), why);
  close(client->fd);
  client->state = CLOSED;
}

/* ---- requests ---- */

/* Requests are far smaller than an empty socket buffer, so that one send takes them whole. */
static void request(Client *client, const Buffer *head, const Buffer *body) {
  static Buffer whole;
  whole.length = 0;
  buffer_append(&whole, head->data, head->length);
  if (body) buffer_append(&whole, body->data, body->length);
  if (!send_some(client->fd, &whole) || whole.length) client_fail(client, "a request could not be sent");
}

static void get(Client *client) {
  char path[200], text[400];
  const char *first = revision->handshake ? revision->handshake : revision->first_poll;
  snprintf(path, sizeof path, client->sid[0] ? revision->poll : first, client->sid);
  int size =
      snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", path, options.port);
  client->state = client->sid[0] ? POLLING : SHAKING_HANDS;
  request(client, &(Buffer){.data = text, .length = (size_t)size}, NULL);
}

static void post(Client *client, const Buffer *body) {
  char path[200], text[500];
  snprintf(path, sizeof path, revision->post, client->sid);
  const char *type = revision->form_field ? "application/x-www-form-urlencoded" : "text/plain";
  int size = snprintf(text, sizeof text,
                      "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                      "Content-Type: %s;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n",
                      path, options.port, type, body->length);
  client->state = POSTING;
  request(client, &(Buffer){.data = text, .length = (size_t)size}, body);
}

/* POST the next message when the last one has come back; else wait for what comes. */
static void go_on(Client *client) {
  if (!client->joined || client->waiting_for_echo) {
    get(client);
    return;
  }
  stamp_write(message.data + stamp_at, now_us());
  client->waiting_for_echo = true;
  post(client, &message);
}

/* ---- answers ---- */

static void on_echo(Client *client, const char *packet, size_t length) {
  uint64_t now = now_us(), stamp = stamp_read(packet, length);
  if (!client->waiting_for_echo || length < options.payload || !stamp || stamp > now) {
    client_fail(client, "an answer that is not the expected message");
    return;
  }
  client->waiting_for_echo = false;
  units++;
  if (measuring) samples_add(&latency, now - stamp);
}

/* Handle the packets of a GET's answer; then POST the answer to one of them, or go on. */
static void on_payload(Client *client, Text payload) {
  static Buffer reply;
  reply.length = 0;
  while (payload.length && client->state != CLOSED) {
    Text packet = packet_next(revision->payloads, &payload), answer;
    Kind kind = packet_kind(revision, packet, client->joined);
    switch (kind) {
      case OPEN:
      case HEARTBEAT:
        answer = packet_answer(revision, packet, kind);
        if (answer.length) post_append(&reply, revision, answer);
        break;
      case JOINED:
        client->joined = true;
        joined++;
        break;
      case MESSAGE: on_echo(client, packet.data, packet.length); break;
      case STRANGE: client_fail(client, "an unexpected packet");
    }
  }
  if (client->state == CLOSED) return;
  if (reply.length)
    post(client, &reply);
  else
    go_on(client);
}

static void on_handshake(Client *client, Text body) {
  if (sscanf(body.data, revision->sid, client->sid) != 1)
    client_fail(client, "no session id in the handshake");
  else if (revision->handshake)
    get(client); /* it was not a poll, and has no packets */
  else
    on_payload(client, body);
}

static void on_answer(Client *client, const char *head, Text body) {
  if (memcmp(head, "HTTP/1.1 200 ", 13)) {
    if (errors < 3) fprintf(stderr, "%.300s\n", head);
    client_fail(client, "an error was answered");
  } else if (client->state == SHAKING_HANDS) {
    on_handshake(client, body);
  } else if (client->state == POSTING) {
    go_on(client);
  } else {
    on_payload(client, body);
  }
}

/* Join the chunks of a chunked body (RFC 9112, section 7.1) into `whole`.
 * Returns the size of the coded body, or 0 while it is not complete. */
static size_t chunks_join(const char *body, size_t available, Buffer *whole) {
  size_t at = 0;
  for (whole->length = 0;;) {
    const char *line_end = memmem(body + at, available - at, "\r\n", 2);
    if (!line_end) return 0;
    size_t size = strtoul(body + at, NULL, 16);
    at = (size_t)(line_end - body) + 2;
    if (available - at < size + 2) return 0;
    buffer_append(whole, body + at, size);
    at += size + 2;
    if (!size) return at; /* the blank line after the last chunk; no server here sends trailers */
  }
}

/* Handle an answer at the start of `data` if it is complete; returns its size, or 0. */
static size_t on_data(Client *client, const char *data, size_t length) {
  static Buffer body;
  const char *end = memmem(data, length, "\r\n\r\n", 4);
  if (!end) return 0;
  size_t head_size = (size_t)(end - data) + 4, available = length - head_size, size;
  const char *content_length = header(data, end, "\r\ncontent-length:");
  if (content_length) {
    size = strtoul(content_length, NULL, 10);
    if (available < size) return 0;
    body.length = 0;
    buffer_append(&body, end + 4, size);
  } else if (header(data, end, "\r\ntransfer-encoding: chunked")) {
    size = chunks_join(end + 4, available, &body);
    if (!size) return 0;
  } else {
    client_fail(client, "an answer without a length");
    return 0;
  }
  buffer_append(&body, "", 1); /* a final 0, so that the text may be searched */
  on_answer(client, data, (Text){body.data, body.length - 1});
  return head_size + size;
}

static void client_read(Client *client) {
  static char data[READ_SIZE + 1];
  size_t held = client->in.length;
  if (held) memcpy(data, client->in.data, held);
  ssize_t got = recv(client->fd, data + held, READ_SIZE - held, 0);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) client_fail(client, "the server closed the connection");
    return;
  }
  size_t length = held + (size_t)got;
  data[length] = 0;
  /* One request is under way at a time, so that at most one answer is here. */
  size_t done = on_data(client, data, length);
  client->in.length = 0;
  if (client->state != CLOSED && done < length) buffer_append(&client->in, data + done, length - done);
}

/* ---- the loop ---- */

static void round_of_events(void) {
  struct epoll_event events[EVENTS_PER_ROUND];
  int count = epoll_wait(epoll, events, EVENTS_PER_ROUND, 10);
  for (int i = 0; i < count; i++) {
    Client *client = events[i].data.ptr;
    if (client->state != CONNECTING) {
      client_read(client);
    } else if (connect_failed(client->fd)) {
      client_fail(client, "no connection");
    } else {
      watch(epoll, EPOLL_CTL_MOD, client->fd, EPOLLIN, client);
      get(client);
    }
  }
  if (errors > 100) die("too many errors");
}

static void run_until(uint64_t end) {
  while (now_us() < end) round_of_events();
}

int main(int argc, char **argv) {
  options = options_parse(argc, argv);
  revision = revision_named(options.revision);
  Buffer packet = {0};
  message_append(&packet, revision, "echo", options.payload);
  post_append(&message, revision, (Text){packet.data, packet.length});
  stamp_at = stamp_find(message.data, message.length);
  buffer_free(&packet);

  epoll = epoll_create1(EPOLL_CLOEXEC);
  clients = calloc((size_t)options.clients, sizeof *clients);
  for (int i = 0; i < options.clients; i++) {
    clients[i].fd = connect_to(options.port);
    watch(epoll, EPOLL_CTL_ADD, clients[i].fd, EPOLLIN | EPOLLOUT, &clients[i]);
  }
  for (uint64_t end = now_us() + STALL_US; joined < options.clients && now_us() < end && !errors;) round_of_events();
  if (joined < options.clients) die("%d of %d clients got through", joined, options.clients);
  announce("ready");

  run_until(now_us() + seconds_us(options.warmup));
  announce("start");
  measuring = true;
  uint64_t units_before = units, cpu_before = own_cpu_us(), started = now_us();
  run_until(started + seconds_us(options.seconds));
  uint64_t wall = now_us() - started, cpu = own_cpu_us() - cpu_before, done = units - units_before;
  announce("stop");
  announce_result(done, wall, cpu, errors, &latency);
  return 0;
}
