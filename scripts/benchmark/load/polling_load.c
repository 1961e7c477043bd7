/* Many Socket.IO clients over HTTP long-polling (Engine.IO 4, Socket.IO 5), one kept-alive connection each.
 *
 *   polling_load --port PORT --clients N --payload BYTES --warmup SECONDS --seconds SECONDS
 *
 * Each client POSTs a message and, when that is answered, GETs until the echo comes; then the next one. A unit is one
 * such cycle: a POST, and one GET or more.
 */
#include "load.h"

#define READ_SIZE (1 << 18)
#define SEPARATOR '\x1e' /* between the packets of a payload: Engine.IO protocol 4, "HTTP long-polling" */

typedef struct {
  int fd;
  enum { CONNECTING, OPENING, POSTING, POLLING, CLOSED } state; /* which answer the client waits for */
  bool joined, waiting_for_echo;
  char sid[64];
  Buffer in; /* the beginning of an answer whose end has not come yet */
} Client;

static Options options;
static int epoll;
static Client *clients;
static char *message; /* the packet of an echo, with room for its time stamp */
static size_t message_size, stamp_at;
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
  char text[300];
  int size = snprintf(text, sizeof text,
                      "GET /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
                      client->sid[0] ? "&sid=" : "", client->sid, options.port);
  client->state = client->sid[0] ? POLLING : OPENING;
  request(client, &(Buffer){.data = text, .length = (size_t)size}, NULL);
}

static void post(Client *client, const Buffer *body) {
  char text[400];
  int size = snprintf(text, sizeof text,
                      "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                      "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n",
                      client->sid, options.port, body->length);
  client->state = POSTING;
  request(client, &(Buffer){.data = text, .length = (size_t)size}, body);
}

/* ---- answers ---- */

static void on_open(Client *client, const char *body, size_t length) {
  const char *sid = memmem(body, length, "\"sid\":\"", 7);
  const char *end = sid ? strchr(sid + 7, '"') : NULL;
  if (!end || (size_t)(end - sid - 7) >= sizeof client->sid) {
    client_fail(client, "no session id in the handshake");
    return;
  }
  memcpy(client->sid, sid + 7, (size_t)(end - sid - 7));
  post(client, &(Buffer){.data = "40", .length = 2});
}

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

/* Handle the packets of a GET's answer; then POST what is to be said (a pong, the next message), or GET again. */
static void on_payload(Client *client, const char *body, size_t length) {
  static Buffer reply;
  reply.length = 0;
  for (const char *packet = body, *end = body + length; packet < end;) {
    const char *next = memchr(packet, SEPARATOR, (size_t)(end - packet));
    size_t size = (size_t)((next ? next : end) - packet);
    if (size == 1 && packet[0] == '2') {
      buffer_append(&reply, "3", 1);
    } else if (size > 2 && !memcmp(packet, "40{", 3) && !client->joined) {
      client->joined = true;
      joined++;
    } else if (size > 2 && !memcmp(packet, "42[", 3)) {
      on_echo(client, packet, size);
    } else {
      client_fail(client, "an unexpected packet");
    }
    if (client->state == CLOSED) return;
    packet += size + 1;
  }
  if (client->joined && !client->waiting_for_echo) {
    if (reply.length) buffer_append(&reply, &(char){SEPARATOR}, 1);
    stamp_write(message + stamp_at, now_us());
    buffer_append(&reply, message, message_size);
    client->waiting_for_echo = true;
  }
  if (reply.length)
    post(client, &reply);
  else
    get(client);
}

static void on_answer(Client *client, const char *head, const char *body, size_t length) {
  if (memcmp(head, "HTTP/1.1 200 ", 13)) {
    if (errors < 3) fprintf(stderr, "%.300s\n", head);
    client_fail(client, "an error was answered");
  } else if (client->state == OPENING) {
    on_open(client, body, length);
  } else if (client->state == POSTING) {
    get(client);
  } else {
    on_payload(client, body, length);
  }
}

/* The value of a header of the answer that ends at `end`, or NULL. */
static const char *header(const char *head, const char *end, const char *name) {
  const char *found = strcasestr(head, name);
  return found && found < end ? found + strlen(name) : NULL;
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
  on_answer(client, data, body.data, body.length - 1);
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
  message = malloc(options.payload + 100);
  stamp_at = (size_t)sprintf(message, "42[\"message\",{\"type\":\"echo\",\"t\":");
  message_size = stamp_at + STAMP_SIZE;
  message_size += (size_t)sprintf(message + message_size, ",\"pad\":\"");
  memset(message + message_size, 'x', options.payload);
  message_size += options.payload;
  message_size += (size_t)sprintf(message + message_size, "\"}]");

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
