/* What differs between the revisions of the protocols, as data: a table with a row for each.
 *
 * In all of them a message is a packet: something, the JSON object {"type":...,"t":...,"pad":...}, something.
 */
#ifndef REVISIONS_H
#define REVISIONS_H

#include "load.h"

/* How packets are put together into a WebSocket message or an HTTP body.
 *
 * With `after`: each is `before`, its length, `after`, the packet. Without: they have a `separator` in between, or
 * there is only one. All text here is ASCII, so that it does not matter what a length counts.
 */
typedef struct {
  const char *before, *after;
  char separator;
  bool bare; /* a single packet goes as it is */
} Framing;

static const Framing WHOLE = {0};
static const Framing SEPARATED = {.separator = '\x1e'};
static const Framing COUNTED = {.before = "", .after = ":"};
static const Framing MARKED = {.before = "\xef\xbf\xbd", .after = "\xef\xbf\xbd", .bare = true};
static const Framing TILDES = {.before = "~m~", .after = "~m~"};

typedef struct {
  const char *name; /* as in the setting socketio.revisions */
  /* Paths of requests, with %s for the session id. */
  const char *handshake; /* asked before a transport is opened; NULL: the transport's first request opens the session */
  const char *websocket, *first_poll, *poll, *post;
  const char *sid; /* scanf format that finds the session id in the answer to the handshake or to the first poll */
  const Framing *messages, *payloads; /* of WebSocket messages, and of HTTP bodies */
  const char *form_field;  /* POSTs are a form with this field; NULL: the payload itself */
  const char *open, *join; /* the packet that opens a session, if there is one, and the client's answer, if any */
  const char *joined;      /* how the packet begins that lets the client in */
  const char *heartbeat;   /* how the server's begins */
  const char *answer;      /* to it; NULL: the same packet again; empty: none */
  const char *ping;        /* of the client, where the heartbeat is the client's */
  const char *message_start, *message_end; /* around the JSON */
} Revision;

static const Revision REVISIONS[] = {
    {.name = "4", /* Engine.IO 4, Socket.IO 5: clients 3.x and 4.x */
     .websocket = "/socket.io/?EIO=4&transport=websocket",
     .first_poll = "/socket.io/?EIO=4&transport=polling",
     .poll = "/socket.io/?EIO=4&transport=polling&sid=%s",
     .post = "/socket.io/?EIO=4&transport=polling&sid=%s",
     .sid = "%*[^{]{\"sid\":\"%63[^\"]",
     .messages = &WHOLE,
     .payloads = &SEPARATED,
     .open = "0{",
     .join = "40",
     .joined = "40{",
     .heartbeat = "2",
     .answer = "3",
     .message_start = "42[\"message\",",
     .message_end = "]"},
    {.name = "2", /* Engine.IO 3, Socket.IO 4: clients 1.x and 2.x */
     .websocket = "/socket.io/?EIO=3&transport=websocket",
     .first_poll = "/socket.io/?EIO=3&transport=polling",
     .poll = "/socket.io/?EIO=3&transport=polling&sid=%s",
     .post = "/socket.io/?EIO=3&transport=polling&sid=%s",
     .sid = "%*[^{]{\"sid\":\"%63[^\"]",
     .messages = &WHOLE,
     .payloads = &COUNTED,
     .open = "0{",
     .joined = "40",
     .heartbeat = "3",
     .answer = "",
     .ping = "2",
     .message_start = "42[\"message\",",
     .message_end = "]"},
    {.name = "0.9", /* clients 0.7 to 0.9 */
     .handshake = "/socket.io/1/?t=1290000000000",
     .websocket = "/socket.io/1/websocket/%s",
     .poll = "/socket.io/1/xhr-polling/%s?t=1290000000000",
     .post = "/socket.io/1/xhr-polling/%s?t=1290000000000",
     .sid = "%63[^:]",
     .messages = &MARKED,
     .payloads = &MARKED,
     .joined = "1::",
     .heartbeat = "2::",
     .message_start = "4:::",
     .message_end = ""},
    {.name = "0.6", /* clients 0.5 and 0.6; who has the session id, the first packet of all, is in */
     .websocket = "/socket.io/websocket",
     .first_poll = "/socket.io/xhr-polling//1290000000000",
     .poll = "/socket.io/xhr-polling/%s/1290000000000",
     .post = "/socket.io/xhr-polling/%s/send",
     .sid = "~m~%*u~m~%63[^~]",
     .messages = &TILDES,
     .payloads = &TILDES,
     .form_field = "data=",
     .joined = "",
     .heartbeat = "~h~",
     .message_start = "~j~",
     .message_end = ""},
};

static inline const Revision *revision_named(const char *name) {
  for (size_t i = 0; i < sizeof REVISIONS / sizeof *REVISIONS; i++)
    if (!strcmp(REVISIONS[i].name, name)) return &REVISIONS[i];
  die("unknown revision %s", name);
}

/* ---- packets in ---- */

typedef struct {
  const char *data;
  size_t length;
} Text;

static inline bool starts_with(Text text, const char *prefix) {
  size_t length = strlen(prefix);
  return text.length >= length && !memcmp(text.data, prefix, length);
}

static inline Text text_from(Text text, size_t start) { return (Text){text.data + start, text.length - start}; }

/* Take the first packet off `rest`; its `data` is NULL where it is not framed as it should be. */
static inline Text packet_next(const Framing *framing, Text *rest) {
  Text packet = *rest;
  size_t skip = 0;
  if (framing->after && (starts_with(*rest, framing->before) || !framing->bare)) {
    if (!starts_with(*rest, framing->before)) return (Text){0};
    char *end;
    packet = text_from(packet, strlen(framing->before));
    size_t length = strtoul(packet.data, &end, 10);
    packet = text_from(packet, (size_t)(end - packet.data));
    if (!starts_with(packet, framing->after)) return (Text){0};
    packet = text_from(packet, strlen(framing->after));
    if (packet.length < length) return (Text){0};
    packet.length = length;
  } else if (framing->separator) {
    const char *end = memchr(rest->data, framing->separator, rest->length);
    if (end) packet.length = (size_t)(end - rest->data), skip = 1;
  }
  *rest = text_from(*rest, (size_t)(packet.data - rest->data) + packet.length + skip);
  return packet;
}

typedef enum { STRANGE, OPEN, JOINED, MESSAGE, HEARTBEAT } Kind;

/* What a packet is to a client that has joined, or not yet. */
static inline Kind packet_kind(const Revision *revision, Text packet, bool joined) {
  if (!packet.data) return STRANGE;
  if (starts_with(packet, revision->heartbeat)) return HEARTBEAT;
  if (joined) return starts_with(packet, revision->message_start) ? MESSAGE : STRANGE;
  if (revision->open && starts_with(packet, revision->open)) return OPEN;
  return starts_with(packet, revision->joined) ? JOINED : STRANGE;
}

/* What is to be answered to an OPEN or HEARTBEAT packet; nothing where it is empty. */
static inline Text packet_answer(const Revision *revision, Text packet, Kind kind) {
  if (kind == HEARTBEAT && !revision->answer) return packet;
  const char *answer = kind == OPEN ? revision->join : revision->answer;
  return answer ? (Text){answer, strlen(answer)} : (Text){0};
}

/* ---- packets out ---- */

/* One packet as a whole WebSocket message or payload. */
static inline void packet_append(Buffer *out, const Framing *framing, Text packet) {
  char head[40];
  if (framing->after && !framing->bare) {
    int size = snprintf(head, sizeof head, "%s%zu%s", framing->before, packet.length, framing->after);
    buffer_append(out, head, (size_t)size);
  }
  buffer_append(out, packet.data, packet.length);
}

/* Text in a form, as JavaScript's encodeURIComponent has it. Time stamps stay as they are. */
static inline void form_append(Buffer *out, Text text) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()";
  for (size_t i = 0; i < text.length; i++) {
    char escape[4];
    int size = snprintf(escape, sizeof escape, strchr(plain, text.data[i]) ? "%c" : "%%%02X", text.data[i]);
    buffer_append(out, escape, (size_t)size);
  }
}

/* A packet as the body of a POST. */
static inline void post_append(Buffer *out, const Revision *revision, Text packet) {
  if (!revision->form_field) {
    packet_append(out, revision->payloads, packet);
    return;
  }
  Buffer payload = {0};
  packet_append(&payload, revision->payloads, packet);
  buffer_append(out, revision->form_field, strlen(revision->form_field));
  form_append(out, (Text){payload.data, payload.length});
  buffer_free(&payload);
}

/* A message with so many characters of padding, whose time stamp is still STAMP_BLANK. */
static inline void message_append(Buffer *out, const Revision *revision, const char *type, size_t padding) {
  buffer_reserve(out, padding + 200);
  char *at = out->data + out->length;
  at += sprintf(at, "%s{\"type\":\"%s\",\"t\":%s,\"pad\":\"", revision->message_start, type, STAMP_BLANK);
  memset(at, 'x', padding);
  at += padding;
  at += sprintf(at, "\"}%s", revision->message_end);
  out->length = (size_t)(at - out->data);
}

#endif
