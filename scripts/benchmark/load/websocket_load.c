/* Many Socket.IO clients over WebSocket (RFC 6455), without polling first.
 *
 *   websocket_load --mode MODE --port PORT --clients N --window N --payload BYTES --warmup SECONDS --seconds SECONDS
 *                  --revision NAME
 *
 * MODE:
 *   echo       every client keeps `window` messages in flight; a unit is one message that came back
 *   broadcast  the first client sends a message to all, and the next one when all have it; a unit is one delivery
 *   rooms      every client enters a room, ROOM_SIZE of them each; then `window` of the first SPEAKERS have a message sent
 *              to their room, and when one has its own, the next one's turn comes; a unit is one delivery
 *   churn      every client connects, joins the namespace "/", closes and starts again; a unit is one such cycle
 *   hold       all connect and stay, silent but for heartbeats, until standard input ends
 *   answer     all connect and idle for `warmup` seconds; then one broadcast that every client answers with an echo,
 *              several times; the result says how long the slowest client waited
 */
#include "frames.h"

/* Longest message that may come: the biggest payload of a row and room to spare. */
#define READ_SIZE (1 << 20)
#define ROUNDS_OF_ANSWERS 3
/* As in servers/ours.py. */
#define ROOM_SIZE 10
/* Always as many, however many rooms there are: more connections in use are more misses of the processor's caches, in
 * the kernel's send already (floor.c), which is not what the rooms cost. */
#define SPEAKERS 100
/* Between two pings of the clients, where those are theirs. Servers announce 25 s. */
#define PING_US 20000000

typedef enum { CLOSED, CONNECTING, SHAKING_HANDS, UPGRADING, JOINING, READY } State;

typedef struct {
  int fd;
  State state;
  Buffer in;  /* the beginning of a frame whose end has not come yet */
  Buffer out; /* what the kernel did not take */
  int in_flight;
  uint64_t connected_at, last_stamp, said_at;
} Client;

static Options options;
static const Revision *revision;
static enum { ECHO, BROADCAST, ROOMS, CHURN, HOLD, ANSWER } mode;
static int epoll;
static Client *clients;
static int ready;
static bool running;   /* the clients send: from the end of connecting to the end of the measurement */
static bool measuring; /* units and latencies count */
static uint64_t units, errors;
static Samples latency;
static int deliveries_due, answers_due; /* of the current broadcast */
static uint64_t broadcast_at, slowest_delivery_us, slowest_answer_us;

static int next_speaker;
static uint64_t said;
static bool silent; /* nobody speaks any more */

static Template echo_template, shout_template, enter_template, say_template;

/* ---- a client's connection ---- */

static void client_close(Client *client) {
  if (client->state == CLOSED) return;
  if (client->state == READY) ready--;
  close(client->fd);
  buffer_free(&client->in);
  buffer_free(&client->out);
  client->state = CLOSED;
}

static void client_fail(Client *client, const char *why) {
  if (errors++ < 5) fprintf(stderr, "client %d: %s\n", (int)(client - clients), why);
  client_close(client);
}

static void client_connect(Client *client) {
  *client = (Client){.fd = connect_to(options.port), .state = CONNECTING, .connected_at = now_us()};
  /* Edge-triggered: the kernel looks at each socket once per event, and what to wait for never changes. */
  watch(epoll, EPOLL_CTL_ADD, client->fd, EPOLLIN | EPOLLOUT | EPOLLET, client);
}

static void client_flush(Client *client) {
  if (!send_some(client->fd, &client->out)) {
    client_fail(client, "the server closed the connection while sending");
    return;
  }
  if (!client->out.length && mode != ECHO) buffer_free(&client->out);
}

static void client_send(Client *client, Text packet) {
  Buffer message = {0};
  packet_append(&message, revision->messages, packet);
  frame_append(&client->out, 1, message.data, message.length);
  buffer_free(&message);
}

static void client_request(Client *client, State state, const char *path, const char *headers) {
  char request[500];
  int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n", path, options.port,
                        headers);
  buffer_append(&client->out, request, (size_t)length);
  client->state = state;
}

static void client_request_upgrade(Client *client, const char *sid) {
  char path[200];
  snprintf(path, sizeof path, revision->websocket, sid);
  client_request(client, UPGRADING, path,
                 "Upgrade: websocket\r\n"
                 "Connection: Upgrade\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                 "Sec-WebSocket-Version: 13\r\n");
}

static void say(Client *client) {
  client->said_at = now_us();
  template_append(&client->out, &say_template, client->said_at);
  said++;
  client_flush(client);
}

static void say_next(void) {
  say(&clients[next_speaker]);
  next_speaker = (next_speaker + 1) % (options.clients < SPEAKERS ? options.clients : SPEAKERS);
}

/* ---- packets in ---- */

static void on_joined(Client *client) {
  client->state = READY;
  ready++;
  if (mode != CHURN) return;
  units++;
  if (measuring) samples_add(&latency, now_us() - client->connected_at);
  client_close(client); /* the loop starts it again after this round */
}

static void on_event(Client *client, const char *text, size_t length) {
  uint64_t now = now_us();
  uint64_t stamp = stamp_read(text, length);
  /* Two clients of a room may speak at a time: their messages need not come in the order of their stamps. */
  if (length < options.payload || (stamp < client->last_stamp && mode != ROOMS) || stamp > now) {
    client_fail(client, "an answer that is not the expected message, or out of order");
    return;
  }
  client->last_stamp = stamp;
  switch (mode) {
    case ECHO:
      if (client->in_flight-- == 0) {
        client_fail(client, "more answers than messages");
        return;
      }
      units++;
      if (measuring) samples_add(&latency, now - stamp);
      if (running) {
        template_append(&client->out, &echo_template, now);
        client->in_flight++;
      }
      break;
    case BROADCAST:
      units++;
      deliveries_due--;
      if (measuring) samples_add(&latency, now - stamp);
      break;
    case ROOMS:
      if (!running) {
        answers_due--; /* it has entered */
        break;
      }
      units++;
      if (measuring) samples_add(&latency, now - stamp);
      if (stamp == client->said_at && !silent) say_next();
      break;
    case ANSWER:
      if (client->in_flight) {
        client->in_flight = 0;
        answers_due--;
        if (now - broadcast_at > slowest_answer_us) slowest_answer_us = now - broadcast_at;
      } else {
        deliveries_due--;
        if (now - broadcast_at > slowest_delivery_us) slowest_delivery_us = now - broadcast_at;
        template_append(&client->out, &echo_template, now);
        client->in_flight = 1;
      }
      break;
    case CHURN:
    case HOLD: client_fail(client, "a message that nobody asked for");
  }
}

static void on_packet(Client *client, Text packet) {
  Kind kind = packet_kind(revision, packet, client->state == READY);
  switch (kind) {
    case OPEN:
    case HEARTBEAT: {
      Text answer = packet_answer(revision, packet, kind);
      if (answer.length) client_send(client, answer);
      break;
    }
    case JOINED: on_joined(client); break;
    case MESSAGE: on_event(client, packet.data, packet.length); break;
    case STRANGE: client_fail(client, "an unexpected packet");
  }
}

static void on_message(Client *client, Text message) {
  do on_packet(client, packet_next(revision->messages, &message));
  while (message.length && client->state != CLOSED);
}

/* Consume the answer to the handshake that goes before the upgrade; 0 while it is not complete. */
static size_t on_handshake(Client *client, const char *data, size_t length) {
  const char *end = memmem(data, length, "\r\n\r\n", 4);
  if (!end) return 0;
  const char *content_length = header(data, end, "\r\ncontent-length:");
  size_t size = (size_t)(end - data) + 4 + (content_length ? strtoul(content_length, NULL, 10) : 0);
  if (length < size) return 0;
  char sid[64];
  if (memcmp(data, "HTTP/1.1 200 ", 13) || sscanf(end + 4, revision->sid, sid) != 1) {
    if (!errors) fprintf(stderr, "%.*s\n", (int)length, data);
    client_fail(client, "no session id in the handshake");
    return 0;
  }
  client_request_upgrade(client, sid);
  return size;
}

/* Consume the answer to the upgrade request; 0 while it is not complete. */
static size_t on_upgrade(Client *client, const char *data, size_t length) {
  const char *end = memmem(data, length, "\r\n\r\n", 4);
  if (!end) return 0;
  size_t size = (size_t)(end - data) + 4;
  /* The Sec-WebSocket-Accept that RFC 6455, section 1.3, computes from the key above. */
  if (memcmp(data, "HTTP/1.1 101 ", 13) || !memmem(data, size, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28)) {
    if (!errors) fprintf(stderr, "%.*s\n", (int)length, data);
    client_fail(client, "the server did not upgrade to WebSocket");
    return 0;
  }
  client->state = JOINING;
  return size;
}

/* Handle what has come; returns how many bytes are done with. */
static size_t on_data(Client *client, const char *data, size_t length) {
  if (client->state == SHAKING_HANDS) return on_handshake(client, data, length);
  size_t at = client->state == UPGRADING ? on_upgrade(client, data, length) : 0;
  while (client->state >= JOINING && length - at >= 2) {
    const unsigned char *head = (const unsigned char *)data + at;
    size_t size = head[1] & 127, head_size = 2;
    if (size == 126) {
      head_size = 4;
      if (length - at < head_size) break;
      size = (size_t)head[2] << 8 | head[3];
    } else if (size == 127) {
      head_size = 10;
      if (length - at < head_size) break;
      size = 0;
      for (int i = 2; i < 10; i++) size = size << 8 | head[i];
    }
    if (length - at < head_size + size) break;
    const char *payload = data + at + head_size;
    at += head_size + size;
    switch (head[0]) {
      case 0x81: on_message(client, (Text){payload, size}); break;
      case 0x89: frame_append(&client->out, 10, payload, size); break;
      default: client_fail(client, (head[0] & 15) == 8 ? "the server closed the WebSocket" : "an unexpected frame");
    }
  }
  return at;
}

/* Read once; returns whether there may be more. */
static bool client_read(Client *client) {
  /* One buffer for all clients: an idle client has none of its own. One byte is kept for the end of the text. */
  static char data[READ_SIZE + 1];
  size_t held = client->in.length, room = READ_SIZE - held;
  if (held) memcpy(data, client->in.data, held);
  ssize_t got = recv(client->fd, data + held, room, 0);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) client_fail(client, "the server closed the connection");
    return false;
  }
  size_t length = held + (size_t)got;
  data[length] = 0;
  size_t done = on_data(client, data, length);
  if (client->state == CLOSED) return false;
  client->in.length = 0;
  if (done < length) buffer_append(&client->in, data + done, length - done);
  return (size_t)got == room;
}

static void client_ready(Client *client, uint32_t events) {
  if (client->state == CONNECTING) {
    if (connect_failed(client->fd)) {
      client_fail(client, "no connection");
      return;
    }
    if (revision->handshake)
      client_request(client, SHAKING_HANDS, revision->handshake, "");
    else
      client_request_upgrade(client, "");
  } else if (events & ~(uint32_t)EPOLLOUT) {
    /* epoll(7): an edge-triggered stream socket is read until a read comes back short. */
    while (client_read(client)) continue;
  }
  if (client->state != CLOSED && client->out.length) client_flush(client);
}

/* ---- the loop ---- */

static void round_of_events(void) {
  struct epoll_event events[EVENTS_PER_ROUND];
  int count = epoll_wait(epoll, events, EVENTS_PER_ROUND, 10);
  for (int i = 0; i < count; i++) {
    Client *client = events[i].data.ptr;
    if (client->state != CLOSED) client_ready(client, events[i].events);
  }
}

static void connect_all(void) {
  uint64_t progress_at = now_us();
  for (int started = 0, ready_before = 0; ready < options.clients;) {
    for (; started < options.clients && started - ready < CONNECTING_AT_ONCE; started++)
      client_connect(&clients[started]);
    round_of_events();
    if (ready != ready_before) {
      ready_before = ready;
      progress_at = now_us();
    }
    if (errors || now_us() - progress_at > STALL_US)
      die("%d of %d clients got through, with %lu errors", ready, options.clients, (unsigned long)errors);
  }
}

static void broadcast(void) {
  deliveries_due = ready;
  broadcast_at = now_us();
  template_append(&clients[0].out, &shout_template, broadcast_at);
  client_flush(&clients[0]);
}

static void ping_all(void) {
  for (int i = 0; i < options.clients; i++) {
    if (clients[i].state != READY) continue;
    client_send(&clients[i], (Text){revision->ping, strlen(revision->ping)});
    client_flush(&clients[i]);
  }
}

static void run_until(uint64_t end) {
  static uint64_t pinged_at;
  if (!pinged_at) pinged_at = now_us();
  while (now_us() < end) {
    round_of_events();
    if (revision->ping && now_us() - pinged_at > PING_US) {
      ping_all();
      pinged_at = now_us();
    }
    if (mode == BROADCAST && !deliveries_due) broadcast();
    if (mode == CHURN)
      for (int i = 0; i < options.clients; i++)
        if (clients[i].state == CLOSED) client_connect(&clients[i]);
    if (errors > 100) die("too many errors");
  }
}

/* One after the other, so that the speakers fill whole rooms. */
static void enter_all(void) {
  for (int i = 0; i < options.clients; i++) {
    answers_due = 1;
    template_append(&clients[i].out, &enter_template, now_us());
    client_flush(&clients[i]);
    for (uint64_t end = now_us() + STALL_US; answers_due && now_us() < end && !errors;) round_of_events();
    if (answers_due || errors) die("client %d could not enter a room", i);
  }
}

/* Everybody in a room must get its messages, and nobody else. */
static void check_deliveries(void) {
  uint64_t due = said * ROOM_SIZE;
  measuring = false;
  silent = true;
  for (uint64_t end = now_us() + STALL_US; units < due && now_us() < end;) round_of_events();
  if (units != due) {
    fprintf(stderr, "%lu deliveries of %lu messages\n", (unsigned long)units, (unsigned long)said);
    errors++;
  }
}

static void measure(void) {
  running = true;
  if (mode == ECHO)
    for (int i = 0; i < options.clients; i++) {
      for (clients[i].in_flight = 0; clients[i].in_flight < options.window; clients[i].in_flight++)
        template_append(&clients[i].out, &echo_template, now_us());
      client_flush(&clients[i]);
    }
  if (mode == ROOMS)
    for (int i = 0; i < options.window; i++) say_next();
  run_until(now_us() + seconds_us(options.warmup));
  announce("start");
  measuring = true;
  uint64_t units_before = units, cpu_before = own_cpu_us(), started = now_us();
  run_until(started + seconds_us(options.seconds));
  uint64_t wall = now_us() - started, cpu = own_cpu_us() - cpu_before, done = units - units_before;
  announce("stop");
  if (mode == ROOMS) check_deliveries();
  announce_result(done, wall, cpu, errors, &latency);
}

static void hold(void) {
  watch(epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, NULL);
  for (struct epoll_event event;;) {
    if (epoll_wait(epoll, &event, 1, -1) < 1) continue;
    Client *client = event.data.ptr;
    if (!client) break; /* standard input: the driver has read what it came for */
    if (client->state != CLOSED) client_ready(client, event.events);
  }
  printf("{\"event\":\"result\",\"clients\":%d,\"errors\":%lu}\n", ready, (unsigned long)errors);
}

static void answer(void) {
  run_until(now_us() + seconds_us(options.warmup));
  for (int i = 0; i < ROUNDS_OF_ANSWERS; i++) {
    answers_due = ready;
    broadcast();
    for (uint64_t end = now_us() + STALL_US; (deliveries_due || answers_due) && now_us() < end && !errors;)
      round_of_events();
    if (deliveries_due || answers_due || errors)
      die("%d deliveries and %d answers are missing", deliveries_due, answers_due);
  }
  printf("{\"event\":\"result\",\"clients\":%d,\"errors\":%lu,\"delivered_ms\":%.1f,\"answered_ms\":%.1f}\n", ready,
         (unsigned long)errors, (double)slowest_delivery_us / 1e3, (double)slowest_answer_us / 1e3);
}

int main(int argc, char **argv) {
  static const char *const names[] = {"echo", "broadcast", "rooms", "churn", "hold", "answer", NULL};
  options = options_parse(argc, argv);
  int name = 0;
  while (names[name] && strcmp(names[name], options.mode)) name++;
  if (!names[name]) die("unknown mode %s", options.mode);
  mode = name;
  revision = revision_named(options.revision);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  clients = calloc((size_t)options.clients, sizeof *clients);
  echo_template = template_make(revision, "echo", options.payload);
  shout_template = template_make(revision, "shout", options.payload);
  enter_template = template_make(revision, "enter", options.payload);
  say_template = template_make(revision, "say", options.payload);
  if (mode != CHURN) connect_all();
  if (mode == ROOMS) enter_all();
  announce("ready");
  if (mode == HOLD)
    hold();
  else if (mode == ANSWER)
    answer();
  else
    measure();
  return 0;
}
