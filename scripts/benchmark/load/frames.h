/* The frames that a WebSocket client sends (RFC 6455, section 5). */
#ifndef FRAMES_H
#define FRAMES_H

#include "revisions.h"

/* Any mask but 0 makes the server unmask. The same one each time lets the template be masked only once. */
static const unsigned char MASK[4] = {0x9d, 0x3b, 0x52, 0xe6};

static inline void frame_append(Buffer *out, int opcode, const char *payload, size_t length) {
  unsigned char head[14] = {(unsigned char)(0x80 | opcode)};
  size_t size = 2;
  if (length < 126) {
    head[1] = (unsigned char)(0x80 | length);
  } else if (length < 65536) {
    head[1] = 0x80 | 126;
    head[size++] = (unsigned char)(length >> 8);
    head[size++] = (unsigned char)length;
  } else {
    head[1] = 0x80 | 127;
    for (int shift = 56; shift >= 0; shift -= 8) head[size++] = (unsigned char)((uint64_t)length >> shift);
  }
  memcpy(head + size, MASK, 4);
  buffer_append(out, head, size + 4);
  buffer_reserve(out, length);
  for (size_t i = 0; i < length; i++) out->data[out->length++] = (char)(payload[i] ^ MASK[i & 3]);
}

/* A masked frame in which only the time stamp is still to be filled in. */
typedef struct {
  Buffer frame;
  size_t stamp_at; /* offset in the frame */
  size_t payload_at;
} Template;

static inline Template template_make(const Revision *revision, const char *type, size_t padding) {
  Template template = {0};
  Buffer packet = {0}, text = {0};
  message_append(&packet, revision, type, padding);
  packet_append(&text, revision->messages, (Text){packet.data, packet.length});
  frame_append(&template.frame, 1, text.data, text.length);
  template.payload_at = template.frame.length - text.length;
  template.stamp_at = template.payload_at + stamp_find(text.data, text.length);
  buffer_free(&packet);
  buffer_free(&text);
  return template;
}

static inline void template_append(Buffer *out, const Template *template, uint64_t now) {
  size_t start = out->length;
  buffer_append(out, template->frame.data, template->frame.length);
  char *stamp = out->data + start + template->stamp_at;
  stamp_write(stamp, now);
  for (size_t i = 0; i < STAMP_SIZE; i++) stamp[i] ^= (char)MASK[(template->stamp_at - template->payload_at + i) & 3];
}

#endif
