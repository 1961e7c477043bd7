/* What both load generators share: time, buffers, latency samples, connections and the lines that the driver reads.
 *
 * A generator is one process with one epoll loop. It speaks just enough of one revision of the protocols (revisions.h)
 * to play many clients, trusts nothing it receives (an answer that is not the expected one is counted as an error), and
 * prints one JSON object per line: {"event":"ready"}, {"event":"start"}, {"event":"stop"} and {"event":"result", ...}.
 * The driver reads the server's CPU time when "start" and "stop" arrive, so nothing may be printed late: "stop" goes
 * out before the samples are sorted.
 */
#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Rounds of the loop handle this many sockets; more would only delay the checks of the clock in between. */
#define EVENTS_PER_ROUND 512
/* Connections that are being set up at a time; far below any listen backlog. */
#define CONNECTING_AT_ONCE 100
/* A server that makes no progress for this long while clients connect is given up. */
#define STALL_US 20000000

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

/* ---- time: microseconds of the monotonic clock ---- */

static inline uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* CPU time of this process, user and system. */
static inline uint64_t own_cpu_us(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
         (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* ---- time stamps inside messages ----
 *
 * Every message carries the second at which it was sent as a JSON number of exactly STAMP_SIZE characters, counted from
 * 1000 at the start of the process: its length never changes (for two hours), so a message is a template in which only
 * these characters are replaced. Servers may write the number shorter ("1234.5"); the value is the same.
 */

#define STAMP_SIZE 11
#define STAMP_BLANK "0000.000000"

static uint64_t stamp_origin_us;

static inline void stamp_write(char *at, uint64_t us) {
  uint64_t value = us - stamp_origin_us + 1000000000;
  for (int i = STAMP_SIZE - 1; i >= 0; i--) {
    if (i == 4) {
      at[i] = '.';
      continue;
    }
    at[i] = (char)('0' + value % 10);
    value /= 10;
  }
}

/* Where the time stamp of a template is to be written. */
static inline size_t stamp_find(const char *text, size_t length) {
  return (size_t)((const char *)memmem(text, length, STAMP_BLANK, STAMP_SIZE) - text);
}

/* The time stamp in a message, or 0 where there is none. `text` must be followed by a byte that ends a number. */
static inline uint64_t stamp_read(const char *text, size_t length) {
  const char *key = memmem(text, length, "\"t\":", 4);
  if (!key) return 0;
  return (uint64_t)llround(strtod(key + 4, NULL) * 1e6) - 1000000000 + stamp_origin_us;
}

/* ---- buffers ---- */

typedef struct {
  char *data;
  size_t length, capacity;
} Buffer;

static inline void buffer_reserve(Buffer *buffer, size_t more) {
  if (buffer->length + more <= buffer->capacity) return;
  buffer->capacity = (buffer->length + more) * 2;
  buffer->data = realloc(buffer->data, buffer->capacity);
  if (!buffer->data) die("out of memory");
}

static inline void buffer_append(Buffer *buffer, const void *data, size_t length) {
  buffer_reserve(buffer, length);
  memcpy(buffer->data + buffer->length, data, length);
  buffer->length += length;
}

static inline void buffer_consume(Buffer *buffer, size_t length) {
  buffer->length -= length;
  if (buffer->length) memmove(buffer->data, buffer->data + length, buffer->length);
}

/* Thousands of idle clients should not cost the generator memory that the machine may need for the server. */
static inline void buffer_free(Buffer *buffer) {
  free(buffer->data);
  *buffer = (Buffer){0};
}

/* ---- latency samples ---- */

typedef struct {
  uint32_t *us;
  size_t count, capacity;
} Samples;

static inline void samples_add(Samples *samples, uint64_t us) {
  if (samples->count == samples->capacity) {
    samples->capacity = samples->capacity ? samples->capacity * 2 : 1 << 16;
    samples->us = realloc(samples->us, samples->capacity * sizeof *samples->us);
    if (!samples->us) die("out of memory");
  }
  samples->us[samples->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static inline int samples_compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static inline void samples_sort(Samples *samples) {
  if (samples->count) qsort(samples->us, samples->count, sizeof *samples->us, samples_compare);
}

/* Milliseconds below which `share` (0 to 1) of the sorted samples lie. */
static inline double samples_quantile_ms(const Samples *samples, double share) {
  if (!samples->count) return 0;
  return samples->us[(size_t)((double)(samples->count - 1) * share)] / 1e3;
}

/* ---- connections ---- */

/* Start a connection to 127.0.0.1. It is established when the socket becomes writable.
 *
 * Each connection comes from the next of 250 local addresses: a client that closes first leaves a port in TIME_WAIT for
 * a minute, and at thousands of connections per second one address would run out of ports.
 */
static inline int connect_to(int port) {
  static unsigned next_source;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("cannot open a socket: %s", strerror(errno));
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + next_source++ % 250)};
  bind(fd, (struct sockaddr *)&source, sizeof source);
  struct sockaddr_in target = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS)
    die("cannot connect: %s", strerror(errno));
  return fd;
}

static inline bool connect_failed(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) || error;
}

static inline void watch(int epoll, int operation, int fd, uint32_t events, void *owner) {
  struct epoll_event event = {.events = events, .data.ptr = owner};
  if (epoll_ctl(epoll, operation, fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

/* Send as much of `out` as the kernel takes; false when the connection is gone. */
static inline bool send_some(int fd, Buffer *out) {
  size_t done = 0;
  while (done < out->length) {
    ssize_t sent = send(fd, out->data + done, out->length - done, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      return false;
    }
    done += (size_t)sent;
  }
  buffer_consume(out, done);
  return true;
}

/* ---- HTTP ---- */

/* The value of a header of the answer that ends at `end`, or NULL. */
static inline const char *header(const char *head, const char *end, const char *name) {
  const char *found = strcasestr(head, name);
  return found && found < end ? found + strlen(name) : NULL;
}

/* ---- options and lines for the driver ---- */

typedef struct {
  const char *mode, *revision;
  int port, clients, window;
  size_t payload; /* characters of padding in each message */
  double warmup, seconds;
} Options;

static inline Options options_parse(int argc, char **argv) {
  static const struct option known[] = {
      {"mode", required_argument, 0, 'm'},   {"port", required_argument, 0, 'p'},
      {"clients", required_argument, 0, 'c'}, {"window", required_argument, 0, 'w'},
      {"payload", required_argument, 0, 'b'}, {"warmup", required_argument, 0, 'u'},
      {"seconds", required_argument, 0, 's'}, {"revision", required_argument, 0, 'r'},
      {0}};
  Options options = {
      .mode = "echo", .revision = "4", .clients = 100, .window = 1, .payload = 16, .warmup = 1, .seconds = 3};
  for (int letter; (letter = getopt_long(argc, argv, "", known, NULL)) != -1;) switch (letter) {
      case 'm': options.mode = optarg; break;
      case 'p': options.port = atoi(optarg); break;
      case 'c': options.clients = atoi(optarg); break;
      case 'w': options.window = atoi(optarg); break;
      case 'b': options.payload = strtoul(optarg, NULL, 10); break;
      case 'u': options.warmup = atof(optarg); break;
      case 's': options.seconds = atof(optarg); break;
      case 'r': options.revision = optarg; break;
      default: exit(2);
    }
  if (!options.port || options.clients < 1 || options.window < 1) die("--port, and --clients and --window above 0");
  stamp_origin_us = now_us();
  return options;
}

static inline uint64_t seconds_us(double seconds) { return (uint64_t)(seconds * 1e6); }

static inline void announce(const char *event) {
  printf("{\"event\":\"%s\"}\n", event);
  fflush(stdout);
}

/* What was measured: `units` done in `wall_us`, while this process used `cpu_us`. */
static inline void announce_result(uint64_t units, uint64_t wall_us, uint64_t cpu_us, uint64_t errors,
                                   Samples *latency) {
  samples_sort(latency);
  printf("{\"event\":\"result\",\"units\":%lu,\"seconds\":%.6f,\"load_share\":%.3f,\"errors\":%lu,"
         "\"median_ms\":%.3f,\"p99_ms\":%.3f}\n",
         (unsigned long)units, (double)wall_us / 1e6, (double)cpu_us / (double)wall_us, (unsigned long)errors,
         samples_quantile_ms(latency, 0.5), samples_quantile_ms(latency, 0.99));
  fflush(stdout);
}

#endif
