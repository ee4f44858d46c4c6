#include "mlperf.h"

#include "decimal.h"
#include "divide.h"
#include "ec_model.h"
#include "ec_port.h"
#include "energy.h"
#include "link.h"
#include "session.h"
#include "text.h"

static const char VENDOR[] = "edgecompress";
static const char FIRMWARE[] = "edgecompress serial harness 1";

enum { MOST_RUNS = 1000000, DEFAULT_WARM_UPS = 10, PRINT_PER_LINE = 8, WORD_SHOWN = 32 };

/* The db buffer: `expected` bytes were announced, `arrived` of them came. */
static struct {
    uint32_t expected, arrived;
    bool as_float;     /* four bytes of data for each byte of the input */
    uint32_t pattern;  /* the float32 that is arriving */
} db;

static void send_lines(const char *text)
{
    ec_link_send_text(text);
    ec_link_send_text("\r\n");
}

static void send_error(const char *text)
{
    ec_link_send_text("e-[");
    ec_link_send_text(text);
    send_lines("]");
}

static void send_number(const char *before, uint64_t number, const char *after)
{
    ec_link_send_text(before);
    ec_link_send_decimal(number);
    send_lines(after);
}

static void send_lap(uint64_t ticks)
{
    const uint32_t hz = ec_port_ticks_hz();
    uint32_t rest, ignored;
    const uint64_t seconds = ec_divide(ticks, hz, &rest);
    send_number("m-lap-us-", seconds * 1000000u + ec_divide((uint64_t)rest * 1000000u, hz, &ignored), "");
}

/* A printed time, or in energy mode a pulse. */
static void send_timestamp(void)
{
    if (ec_port_is_in_energy_mode()) {
        ec_energy_pulse();
    } else {
        send_lap(ec_port_ticks());
    }
}

void ec_mlperf_send_banner(void)
{
    send_lines(ec_port_is_in_energy_mode() ? "m-timestamp-mode-energy" : "m-timestamp-mode-performance");
    send_timestamp();
    send_lines("m-init-done");
}

/* ---- db: the input ---- */

static uint32_t all_input_bytes(void)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < ec_app_model.input_count; i++) {
        sum += ec_app_model.inputs[i].bytes;
    }
    return sum;
}

/* The copy's byte at `offset` of all inputs laid end to end; *tensor is the input that it belongs to. NULL behind the last. */
static uint8_t *input_byte(uint32_t offset, const ec_tensor_info **tensor)
{
    for (uint32_t i = 0; i < ec_app_model.input_count; i++) {
        if (offset < ec_app_model.inputs[i].bytes) {
            *tensor = &ec_app_model.inputs[i];
            return ec_session_input(i) + offset;
        }
        offset -= ec_app_model.inputs[i].bytes;
    }
    return NULL;
}

static bool takes_pixels(void)
{
    return ec_text_equal(ec_app_model.name, "ic01") || ec_text_equal(ec_app_model.name, "vww01");
}

static bool all_inputs_are_int8(void)
{
    for (uint32_t i = 0; i < ec_app_model.input_count; i++) {
        if (ec_app_model.inputs[i].dtype != EC_INT8) {
            return false;
        }
    }
    return true;
}

static void set_all_ready(bool ready)
{
    for (uint32_t i = 0; i < ec_app_model.input_count; i++) {
        ec_session_set_ready(i, ready);
    }
}

static void db_load(char *words)
{
    uint32_t count;
    const char *word = ec_text_next_word(&words);
    if (word == NULL) {
        send_error("Command 'db load' requires the # of bytes");
        return;
    }
    if (!ec_text_read_decimal(word, UINT32_MAX, &count) || count == 0) {
        send_error("Command 'db load' must be >0 bytes");
        return;
    }
    const uint32_t bytes = all_input_bytes();
    const bool as_float = all_inputs_are_int8() && count == 4 * bytes;
    if (count > bytes && !as_float) {
        ec_link_send_text("e-[Supplied buffer size ");
        ec_link_send_decimal(count);
        send_number(" exceeds maximum of ", bytes, "]");
        return;
    }
    db.expected = count;
    db.arrived = 0;
    db.as_float = as_float;
    set_all_ready(false);
    send_number("m-[Expecting ", count, " bytes]");
}

static void db_store(uint8_t byte)
{
    const ec_tensor_info *tensor;
    const uint32_t position = db.arrived++;
    uint8_t *to = input_byte(db.as_float ? position / 4 : position, &tensor);
    if (to == NULL) {
        return; /* db_load announces no more than there is */
    }
    if (!db.as_float) {
        *to = takes_pixels() && tensor->dtype == EC_INT8 ? byte ^ 0x80u : byte;
        return;
    }
    db.pattern = db.pattern >> 8 | (uint32_t)byte << 24;
    if (position % 4 == 3) {
        *to = (uint8_t)ec_decimal_quantize(db.pattern, tensor->scale_bits, tensor->zero_point);
    }
}

static void db_bytes(const char *digits)
{
    uint32_t count = 0;
    while (digits[count]) {
        count++;
    }
    if (count & 1u) {
        send_error("Insufficent number of hex digits"); /* spelled as the benchmark spells it */
        return;
    }
    for (; *digits && db.arrived < db.expected; digits += 2) {
        uint32_t byte;
        if (!ec_text_read_hex(digits, 2, &byte)) {
            send_error("Invalid hex digit");
            return;
        }
        db_store((uint8_t)byte);
        if (db.arrived == db.expected) {
            set_all_ready(db.as_float || db.expected == all_input_bytes());
            send_lines("m-load-done");
        }
    }
}

/* Bytes as the model's input holds them, after conversion. */
static void db_print(char *words)
{
    const uint32_t bytes = all_input_bytes();
    uint32_t count = bytes, offset = 0;
    const char *count_word = ec_text_next_word(&words);
    const char *offset_word = ec_text_next_word(&words);
    if ((count_word && !ec_text_read_decimal(count_word, UINT32_MAX, &count)) ||
        (offset_word && !ec_text_read_decimal(offset_word, bytes, &offset))) {
        send_error("db print takes a number of bytes and an offset");
        return;
    }
    if (count > bytes - offset) {
        count = bytes - offset;
    }
    for (uint32_t i = 0; i < count; i++) {
        const ec_tensor_info *tensor;
        ec_link_send_text(i % PRINT_PER_LINE ? "-" : "m-buffer-");
        ec_link_send_hex(*input_byte(offset + i, &tensor), 2);
        if (i % PRINT_PER_LINE == PRINT_PER_LINE - 1 || i == count - 1) {
            send_lines("");
        }
    }
}

static void handle_db(char *words)
{
    const char *word = ec_text_next_word(&words);
    if (word == NULL) {
        send_error("Command 'db' requires a subcommand");
    } else if (ec_text_equal(word, "load")) {
        db_load(words);
    } else if (ec_text_equal(word, "print")) {
        db_print(words);
    } else {
        db_bytes(word);
    }
}

/* ---- results ---- */

static void send_decimal(decimal number)
{
    if (number.negative) {
        ec_link_send('-');
    }
    if (number.thousandths == UINT64_MAX) {
        ec_link_send_text("inf");
        return;
    }
    uint32_t rest;
    ec_link_send_decimal(ec_divide(number.thousandths, 1000, &rest));
    ec_link_send('.');
    ec_link_send((char)('0' + rest / 100));
    ec_link_send((char)('0' + rest / 10 % 10));
    ec_link_send((char)('0' + rest % 10));
}

static uint32_t read_word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t element_bytes(enum ec_dtype dtype)
{
    return dtype == EC_FLOAT32 || dtype == EC_INT32 ? 4 : dtype == EC_INT16 ? 2 : 1;
}

static int32_t read_quantized(const uint8_t *at, enum ec_dtype dtype)
{
    switch (dtype) {
    case EC_INT8:
        return (int8_t)at[0];
    case EC_UINT8:
        return at[0];
    case EC_INT16:
        return (int16_t)(at[0] | at[1] << 8);
    default:
        return (int32_t)read_word(at);
    }
}

static decimal read_element(const uint8_t *at, const ec_tensor_info *tensor)
{
    if (tensor->dtype == EC_FLOAT32) {
        return ec_decimal_of_float(read_word(at));
    }
    return ec_decimal_dequantize((int64_t)read_quantized(at, tensor->dtype) - tensor->zero_point, tensor->scale_bits);
}

/* Mean of (output - input)^2 in fixed point; the input is the quantized one. A difference of 4096 or more saturates the score. */
static decimal anomaly_score(const uint8_t *output)
{
    const ec_tensor_info *in = &ec_app_model.inputs[0], *out = &ec_app_model.outputs[0];
    const uint8_t *input = ec_session_input(0);
    uint64_t sum = 0; /* 24 fractional bits */
    for (uint32_t i = 0; i < out->bytes; i++) {
        const int64_t difference = ec_decimal_fixed24((int8_t)output[i] - out->zero_point, out->scale_bits) -
                                   ec_decimal_fixed24((int8_t)input[i] - in->zero_point, in->scale_bits);
        const int64_t rounded = ((difference < 0 ? -difference : difference) + (1 << 11)) >> 12;
        if (rounded >= INT64_C(1) << 24) {
            return (decimal){false, UINT64_MAX};
        }
        sum += (uint64_t)rounded * (uint64_t)rounded; /* below 2^48 each, so 2^16 of them fit */
    }
    uint32_t ignored;
    const uint64_t mean = ec_divide(sum, out->bytes, &ignored);
    return (decimal){false, (mean * 1000 + (1u << 23)) >> 24};
}

static bool gives_anomaly_score(void)
{
    const ec_tensor_info *in = &ec_app_model.inputs[0], *out = &ec_app_model.outputs[0];
    return ec_text_equal(ec_app_model.name, "ad01") && ec_app_model.input_count == 1 && ec_app_model.output_count == 1 &&
           in->dtype == EC_INT8 && out->dtype == EC_INT8 && in->bytes == out->bytes && out->bytes < 1u << 16;
}

static void send_results(void)
{
    if (!ec_session_has_outputs()) {
        send_error("No results yet: run infer first");
        return;
    }
    const uint8_t *output = ec_app_model.output(ec_app_arena, 0);
    const ec_tensor_info *tensor = &ec_app_model.outputs[0];
    const uint32_t size = element_bytes(tensor->dtype);
    ec_link_send_text("m-results-[");
    if (gives_anomaly_score()) {
        send_decimal(anomaly_score(output));
    } else {
        for (uint32_t at = 0; at + size <= tensor->bytes; at += size) {
            if (at) {
                ec_link_send(',');
            }
            send_decimal(read_element(output + at, tensor));
        }
    }
    send_lines("]");
}

/* ---- infer ---- */

/* The second lap is the first plus the time of the runs alone: restoring the inputs in between does not count. Between the two pulses of
 * the energy pin, which is real time, it does. */
static int infer(uint32_t runs, uint32_t warm_ups)
{
    uint64_t ticks = 0, sum = 0;
    int status = EC_OK;
    send_number("m-warmup-start-", warm_ups, "");
    for (uint32_t i = 0; i < warm_ups && status == EC_OK; i++) {
        status = ec_session_run(&ticks);
    }
    send_lines("m-warmup-done");
    send_number("m-infer-start-", runs, "");
    const uint64_t start = ec_port_ticks();
    const bool prints = !ec_port_is_in_energy_mode();
    if (prints) {
        send_lap(start);
    }
    ec_energy_pulse();
    for (uint32_t i = 0; i < runs && status == EC_OK; i++) {
        status = ec_session_run(&ticks);
        sum += ticks;
    }
    ec_energy_pulse();
    if (prints) {
        send_lap(start + sum);
    }
    return status;
}

static void handle_infer(char *words)
{
    uint32_t runs = 1, warm_ups = DEFAULT_WARM_UPS;
    const char *runs_word = ec_text_next_word(&words);
    const char *warm_ups_word = ec_text_next_word(&words);
    if (runs_word && (!ec_text_read_decimal(runs_word, MOST_RUNS, &runs) || runs == 0)) {
        send_error("Inference iterations must be >0");
        return;
    }
    if (warm_ups_word && !ec_text_read_decimal(warm_ups_word, MOST_RUNS, &warm_ups)) {
        send_error("Inference warmup must be >=0");
        return;
    }
    if (!ec_session_ready()) {
        ec_link_send_text("e-[Input db has ");
        ec_link_send_decimal(db.arrived);
        send_number(" bytes, expected ", all_input_bytes(), "]");
        return;
    }
    const int status = infer(runs, warm_ups);
    if (status != EC_OK) {
        send_number("e-[Inference failed: ", (uint64_t)-(int64_t)status, "]");
        return;
    }
    send_lines("m-infer-done");
    send_results();
}

/* ---- the rest ---- */

static void send_help(void)
{
    send_lines(FIRMWARE);
    send_lines("");
    send_lines("name          who this is");
    send_lines("timestamp     the time in microseconds");
    send_lines("profile       version of this firmware, and its model");
    send_lines("db load N     N bytes of input follow");
    send_lines("db HH..       bytes of input, in hex");
    send_lines("db print [N] [OFFSET]");
    send_lines("infer [N] [W] N timed runs after W others (1, 10)");
    send_lines("results       outputs of the last run");
    send_lines("ec ...        checked frames: see docs/serial.md of edgecompress");
}

static void send_unknown(const char *word)
{
    ec_link_send_text("e-[Unknown command: ");
    for (int i = 0; word[i] && i < WORD_SHOWN; i++) {
        ec_link_send(word[i] > ' ' && word[i] < 127 && word[i] != ']' ? word[i] : '?');
    }
    send_lines("]");
}

void ec_mlperf_handle(char *command)
{
    const char *word = ec_text_next_word(&command);
    if (word == NULL) {
        return; /* a '%' alone: the host clears the line */
    }
    if (ec_text_equal(word, "name")) {
        ec_link_send_text("m-name-dut-[");
        ec_link_send_text(VENDOR);
        send_lines("]");
    } else if (ec_text_equal(word, "timestamp")) {
        send_timestamp();
    } else if (ec_text_equal(word, "profile")) {
        ec_link_send_text("m-profile-[");
        ec_link_send_text(FIRMWARE);
        ec_link_send_text("]\r\nm-model-[");
        ec_link_send_text(ec_app_model.name);
        send_lines("]");
    } else if (ec_text_equal(word, "help")) {
        send_help();
    } else if (ec_text_equal(word, "db")) {
        handle_db(command);
    } else if (ec_text_equal(word, "infer")) {
        handle_infer(command);
    } else if (ec_text_equal(word, "results")) {
        send_results();
    } else {
        send_unknown(word);
    }
}
