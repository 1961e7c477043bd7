/* The two loops that are worth writing in C: over the bytes of a frame, and over the sockets of a broadcast.
 *
 * Optional: where this was not built, functions in Python do the same (protocol/websocket.py, evented/wire.py).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL /* macOS; Python ignores the signal anyway */
#define MSG_NOSIGNAL 0
#endif

static int takes(const char *function, Py_ssize_t expected, Py_ssize_t given) {
  if (given == expected) return 1;
  PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, %zd given", function, expected, given);
  return 0;
}

PyDoc_STRVAR(unmask_doc, "unmask(data, mask, /)\n--\n\n"
                         "The payload that was masked with these 4 bytes, or the other way round (RFC 6455, 5.3).");

static PyObject *unmask(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
  (void)module;
  Py_buffer data, mask;
  PyObject *result = NULL;
  if (!takes("unmask", 2, count) || PyObject_GetBuffer(arguments[0], &data, PyBUF_SIMPLE)) return NULL;
  if (PyObject_GetBuffer(arguments[1], &mask, PyBUF_SIMPLE)) goto release_data;
  if (mask.len != 4) {
    PyErr_SetString(PyExc_ValueError, "a mask has 4 bytes");
    goto release_mask;
  }
  result = PyBytes_FromStringAndSize(NULL, data.len);
  if (result) {
    const char *from = data.buf, *key = mask.buf;
    char *to = PyBytes_AS_STRING(result);
    Py_ssize_t at = 0;
    uint64_t keys;
    memcpy(&keys, key, 4);
    memcpy((char *)&keys + 4, key, 4);
    for (; data.len - at >= 8; at += 8) {
      uint64_t piece;
      memcpy(&piece, from + at, 8); /* the way to read at any address; compilers make one instruction of it */
      piece ^= keys;
      memcpy(to + at, &piece, 8);
    }
    for (; at < data.len; at++) to[at] = from[at] ^ key[at & 3];
  }
release_mask:
  PyBuffer_Release(&mask);
release_data:
  PyBuffer_Release(&data);
  return result;
}

PyDoc_STRVAR(send_all_doc, "send_all(fds, data, /)\n--\n\n"
                           "Send the same bytes to each of these sockets, which do not block.\n\n"
                           "Returns:\n"
                           "    For those that did not take all of it, the position in ``fds`` and the number of bytes\n"
                           "    that were taken, or ``-errno``.");

static PyObject *send_all(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
  (void)module;
  if (!takes("send_all", 2, count)) return NULL;
  if (!PyList_CheckExact(arguments[0]) || !PyBytes_CheckExact(arguments[1])) {
    PyErr_SetString(PyExc_TypeError, "send_all() takes a list of file descriptors and bytes");
    return NULL;
  }
  PyObject *fds = arguments[0], *rest = NULL;
  const char *data = PyBytes_AS_STRING(arguments[1]);
  const Py_ssize_t sockets = PyList_GET_SIZE(fds), size = PyBytes_GET_SIZE(arguments[1]);
  /* First the descriptors, then what each has taken. */
  Py_ssize_t *taken = PyMem_New(Py_ssize_t, (size_t)sockets + 1);
  if (!taken) return PyErr_NoMemory();
  for (Py_ssize_t i = 0; i < sockets; i++) {
    PyObject *fd = PyList_GET_ITEM(fds, i);
    /* Nothing that would run code of its own, which could change the list. */
    const long number = PyLong_CheckExact(fd) ? PyLong_AsLong(fd) : -2;
    if (number < -1 || number > INT_MAX) {
      PyErr_SetString(PyExc_TypeError, "send_all() takes file descriptors, and -1 for none");
      goto done;
    }
    if (number == -1 && PyErr_Occurred()) goto done;
    taken[i] = number;
  }
  Py_ssize_t short_of = 0;
  Py_BEGIN_ALLOW_THREADS
  for (Py_ssize_t i = 0; i < sockets; i++) {
    const int fd = (int)taken[i];
    do taken[i] = send(fd, data, (size_t)size, MSG_NOSIGNAL);
    while (taken[i] < 0 && errno == EINTR);
    if (taken[i] < 0) taken[i] = -errno;
    short_of += taken[i] != size;
  }
  Py_END_ALLOW_THREADS
  rest = PyList_New(0);
  for (Py_ssize_t i = 0; rest && short_of && i < sockets; i++) {
    if (taken[i] == size) continue;
    PyObject *pair = Py_BuildValue("(nn)", i, taken[i]);
    if (!pair || PyList_Append(rest, pair)) Py_CLEAR(rest);
    Py_XDECREF(pair);
  }
done:
  PyMem_Free(taken);
  return rest;
}

static PyMethodDef methods[] = {
    {"send_all", (PyCFunction)(void (*)(void))send_all, METH_FASTCALL, send_all_doc},
    {"unmask", (PyCFunction)(void (*)(void))unmask, METH_FASTCALL, unmask_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "pyramid_socketio._speedups",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__speedups(void) { return PyModuleDef_Init(&definition); }
