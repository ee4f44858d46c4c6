#include "frame.h"

#include "ec_verbs.h"
#include "link.h"
#include "text.h"

enum { HEAD_CHARS = 11 /* "ec SS LLLL " */, TAIL_CHARS = 9 /* " CCCCCCCC" */, SEQUENCE_UNKNOWN = 0xff };

uint32_t ec_frame_crc32(uint32_t crc, const void *bytes, uint32_t count)
{
    /* Reflected polynomial 0xEDB88320, four bits at a time. */
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const uint8_t *at = bytes;
    crc = ~crc;
    while (count--) {
        crc ^= *at++;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
        ec_link_poll();
    }
    return ~crc;
}

static void send_frame(uint32_t sequence, const text_writer *body)
{
    char head[8];
    text_writer writer = {head, 0, sizeof head, false};
    ec_text_write_hex(&writer, sequence, 2);
    ec_text_put(&writer, ' ');
    ec_text_write_hex(&writer, body->length, 4);
    ec_text_put(&writer, ' ');
    const uint32_t crc = ec_frame_crc32(ec_frame_crc32(0, head, sizeof head), body->text, body->length);
    ec_link_send_text("m-ec-[");
    for (uint32_t i = 0; i < sizeof head; i++) {
        ec_link_send(head[i]);
    }
    for (uint32_t i = 0; i < body->length; i++) {
        ec_link_send(body->text[i]);
    }
    ec_link_send(' ');
    ec_link_send_hex(crc, 8);
    ec_link_send_text("]\r\n");
}

/* NULL when the frame is whole, else what is wrong with it. */
static const char *check_frame(const char *line, uint32_t length, uint32_t *sequence)
{
    uint32_t declared, crc;
    *sequence = SEQUENCE_UNKNOWN;
    if (length < HEAD_CHARS + TAIL_CHARS) {
        return "short";
    }
    if (!ec_text_read_hex(line + 3, 2, sequence) || line[5] != ' ' || !ec_text_read_hex(line + 6, 4, &declared) || line[10] != ' ') {
        *sequence = SEQUENCE_UNKNOWN;
        return "header";
    }
    if (declared > FRAME_BODY_BYTES || length != HEAD_CHARS + declared + TAIL_CHARS) {
        return "length";
    }
    if (!ec_text_read_hex(line + HEAD_CHARS + declared + 1, 8, &crc) || crc != ec_frame_crc32(0, line + 3, HEAD_CHARS - 3 + declared)) {
        return "crc";
    }
    return NULL;
}

void ec_frame_handle(char *line, uint32_t length)
{
    uint32_t sequence;
    const char *fault = check_frame(line, length, &sequence);
    /* The answer is written over the command: every verb reads its words before it writes. */
    text_writer body = {line, 0, FRAME_BODY_BYTES, false};
    if (fault) {
        ec_text_write(&body, "error frame ");
        ec_text_write(&body, fault);
    } else {
        line[length - TAIL_CHARS] = '\0';
        if (ec_verb_is_slow(line + HEAD_CHARS)) {
            static char running[] = "running";
            send_frame(sequence, &(text_writer){running, sizeof running - 1, sizeof running - 1, false});
        }
        ec_verb_handle(line + HEAD_CHARS, &body);
    }
    send_frame(sequence, &body);
}
