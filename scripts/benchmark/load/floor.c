/* What the kernel alone takes to send a small message to many TCP connections of this machine, one send() for each: the
 * least that a broadcast costs a server, in whatever language, that writes to every connection by itself.
 *
 *   floor CLIENTS BYTES SECONDS CORE
 *
 * Start it on the core of the servers; the half of it that receives moves to CORE. As in the row of the benchmark, a
 * round of messages begins when the one before has arrived. The result is microseconds of CPU time per send().
 */
#include "load.h"

#include <sched.h>
#include <sys/wait.h>

static int clients;
static size_t size;

/* Write a byte to `arrived` each time that all clients have got a message, until they are disconnected. */
static void receive(int port, int core, int arrived) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (sched_setaffinity(0, sizeof cores, &cores)) die("there is no core %d", core);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int *fds = calloc((size_t)clients, sizeof *fds);
  for (int i = 0; i < clients; i++) {
    fds[i] = connect_to(port);
    watch(epoll, EPOLL_CTL_ADD, fds[i], EPOLLIN, &fds[i]);
  }
  for (size_t got = 0;;) {
    struct epoll_event events[EVENTS_PER_ROUND];
    char data[4096];
    int count = epoll_wait(epoll, events, EVENTS_PER_ROUND, -1);
    for (int i = 0; i < count; i++) {
      ssize_t length = recv(*(int *)events[i].data.ptr, data, sizeof data, 0);
      if (length == 0 || (length < 0 && errno != EAGAIN)) _exit(0);
      if (length > 0) got += (size_t)length;
    }
    if (got == (size_t)clients * size) {
      got = 0;
      if (write(arrived, "", 1) != 1) _exit(1);
    }
  }
}

/* Send rounds for so many seconds; returns CPU time per send. */
static double send_rounds(const int *fds, const char *message, int arrived, double seconds) {
  uint64_t end = now_us() + seconds_us(seconds), cpu_before = own_cpu_us(), sends = 0;
  do {
    for (int i = 0; i < clients; i++)
      if (send(fds[i], message, size, MSG_NOSIGNAL) != (ssize_t)size) die("cannot send: %s", strerror(errno));
    char byte;
    if (read(arrived, &byte, 1) != 1) die("the receiving half has ended");
    sends += (uint64_t)clients;
  } while (now_us() < end);
  return (double)(own_cpu_us() - cpu_before) / (double)sends;
}

int main(int argc, char **argv) {
  if (argc != 5 || (clients = atoi(argv[1])) < 1 || (size = strtoul(argv[2], NULL, 10)) < 1)
    die("usage: floor CLIENTS BYTES SECONDS CORE");
  double seconds = atof(argv[3]);
  int listener = socket(AF_INET, SOCK_STREAM, 0), pipes[2];
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, clients) || pipe(pipes) ||
      getsockname(listener, (struct sockaddr *)&address, &length))
    die("cannot listen: %s", strerror(errno));
  pid_t receiver = fork();
  if (!receiver) {
    close(listener);
    receive(ntohs(address.sin_port), atoi(argv[4]), pipes[1]);
  }
  close(pipes[1]); /* so that the end of the receiving half is noticed */
  int *fds = calloc((size_t)clients, sizeof *fds), on = 1;
  for (int i = 0; i < clients; i++) {
    fds[i] = accept(listener, NULL, NULL);
    if (fds[i] < 0) die("cannot accept: %s", strerror(errno));
    setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  char *message = malloc(size);
  memset(message, 'x', size);
  send_rounds(fds, message, pipes[0], seconds / 4); /* to warm up */
  printf("{\"event\":\"result\",\"cost\":%.3f}\n", send_rounds(fds, message, pipes[0], seconds));
  fflush(stdout);
  for (int i = 0; i < clients; i++) close(fds[i]);
  waitpid(receiver, NULL, 0);
  return 0;
}
