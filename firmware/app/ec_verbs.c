#include "ec_verbs.h"

#include "ec_model.h"
#include "ec_port.h"
#include "frame.h"
#include "session.h"

enum { PROTOCOL_VERSION = 1, MOST_WARM_UPS = 1000, STEPS_PER_ANSWER = 16 };

/* The input that is being loaded: bytes [0, load_next) of its copy have arrived. */
static uint32_t load_index = UINT32_MAX, load_next;

static void write_field(text_writer *to, const char *name, uint64_t value)
{
    ec_text_put(to, ' ');
    ec_text_write(to, name);
    ec_text_put(to, '=');
    ec_text_write_decimal(to, value);
}

static void write_word(text_writer *to, const char *name, const char *word)
{
    ec_text_put(to, ' ');
    ec_text_write(to, name);
    ec_text_put(to, '=');
    ec_text_write(to, word);
}

static void write_ticks(text_writer *to, uint64_t ticks)
{
    ec_text_put(to, ' ');
    ec_text_write_decimal(to, ticks);
}

static void refuse(text_writer *to, const char *reason)
{
    ec_text_write(to, "error ");
    ec_text_write(to, reason);
}

static void refuse_status(text_writer *to, int status)
{
    refuse(to, "model ");
    ec_text_write_signed(to, status);
}

static void answer_info(char *words, text_writer *to)
{
    (void)words;
    ec_text_write(to, "ok");
    write_field(to, "version", PROTOCOL_VERSION);
    write_word(to, "name", ec_app_model.name);
    write_word(to, "engine", ec_app_model.engine);
    write_word(to, "sha256", "");
    for (uint32_t i = 0; i < sizeof ec_app_model.sha256; i++) {
        ec_text_write_hex(to, ec_app_model.sha256[i], 2);
    }
    write_field(to, "arena", ec_app_model.arena_bytes);
    write_field(to, "inputs", ec_app_model.input_count);
    write_field(to, "outputs", ec_app_model.output_count);
    write_field(to, "steps", ec_app_model.step_count);
    write_field(to, "chunk", FRAME_CHUNK_BYTES);
    write_field(to, "window", FRAME_WINDOW);
    ec_text_write(to, " status=");
    ec_text_write_signed(to, ec_session_status());
}

static void answer_clock(char *words, text_writer *to)
{
    (void)words;
    ec_text_write(to, "ok");
    write_word(to, "target", ec_app_target);
    write_field(to, "ticks_hz", ec_port_ticks_hz());
    write_field(to, "clock_hz", ec_port_clock_hz());
}

/* The counter, for a comparison with the host's clock. */
static void answer_now(char *words, text_writer *to)
{
    (void)words;
    ec_text_write(to, "ok");
    write_ticks(to, ec_port_ticks());
}

static void answer_tensor(char *words, text_writer *to, const ec_tensor_info *tensors, uint32_t count)
{
    uint32_t index;
    if (count == 0 || !ec_text_read_decimal(ec_text_next_word(&words), count - 1, &index)) {
        refuse(to, "index");
        return;
    }
    const ec_tensor_info *tensor = &tensors[index];
    ec_text_write(to, "ok");
    write_field(to, "bytes", tensor->bytes);
    write_field(to, "dtype", (uint32_t)tensor->dtype);
    ec_text_write(to, " scale=");
    ec_text_write_hex(to, tensor->scale_bits, 8);
    ec_text_write(to, " zero_point=");
    ec_text_write_signed(to, tensor->zero_point);
}

static void answer_input(char *words, text_writer *to)
{
    answer_tensor(words, to, ec_app_model.inputs, ec_app_model.input_count);
}

static void answer_output(char *words, text_writer *to)
{
    answer_tensor(words, to, ec_app_model.outputs, ec_app_model.output_count);
}

/* begin INPUT: what follows is loaded from its first byte on. */
static void answer_begin(char *words, text_writer *to)
{
    uint32_t index;
    if (!ec_text_read_decimal(ec_text_next_word(&words), UINT32_MAX, &index) || ec_session_input(index) == NULL) {
        refuse(to, "index");
        return;
    }
    ec_session_set_ready(index, false);
    load_index = index;
    load_next = 0;
    ec_text_write(to, "ok 0");
}

/* load INPUT OFFSET BASE64: answers with the offset that comes next. A chunk that is there already is accepted again; one that lies
 * further on is refused, with the offset where the gap begins. */
static void answer_load(char *words, text_writer *to)
{
    uint32_t index, offset;
    uint8_t *const copy = ec_session_input(load_index);
    const bool numbers = ec_text_read_decimal(ec_text_next_word(&words), UINT32_MAX, &index) &&
                         ec_text_read_decimal(ec_text_next_word(&words), UINT32_MAX, &offset);
    if (!numbers || copy == NULL || index != load_index) {
        refuse(to, "index");
        return;
    }
    if (offset > load_next) {
        refuse(to, "gap");
        write_ticks(to, load_next);
        return;
    }
    const char *data = ec_text_next_word(&words);
    const uint32_t room = ec_app_model.inputs[index].bytes - offset;
    const int count = data ? ec_text_read_base64(data, copy + offset, room < FRAME_CHUNK_BYTES ? room : FRAME_CHUNK_BYTES) : -1;
    if (count < 0) {
        refuse(to, "data");
        return;
    }
    if (offset + (uint32_t)count > load_next) {
        load_next = offset + (uint32_t)count;
    }
    ec_text_write(to, "ok");
    write_ticks(to, load_next);
}

/* end INPUT CRC32: the input is complete and its bytes are what was sent. */
static void answer_end(char *words, text_writer *to)
{
    uint32_t index, crc;
    const bool known = ec_text_read_decimal(ec_text_next_word(&words), UINT32_MAX, &index) && ec_session_input(index) != NULL;
    const char *crc_word = ec_text_next_word(&words);
    if (!known || index != load_index || crc_word == NULL || !ec_text_read_hex(crc_word, 8, &crc)) {
        refuse(to, "index");
        return;
    }
    const uint32_t bytes = ec_app_model.inputs[index].bytes;
    if (load_next != bytes) {
        refuse(to, "gap");
        write_ticks(to, load_next);
        return;
    }
    if (ec_frame_crc32(0, ec_session_input(index), bytes) != crc) {
        refuse(to, "data");
        return;
    }
    ec_session_set_ready(index, true);
    ec_text_write(to, "ok");
}

/* run WARM_UPS: untimed runs, then a timed one. */
static void answer_run(char *words, text_writer *to)
{
    uint32_t warm_ups;
    if (!ec_text_read_decimal(ec_text_next_word(&words), MOST_WARM_UPS, &warm_ups)) {
        refuse(to, "number");
        return;
    }
    if (!ec_session_ready()) {
        refuse(to, "inputs");
        return;
    }
    uint64_t ticks = 0;
    int status = EC_OK;
    for (uint32_t i = 0; i <= warm_ups && status == EC_OK; i++) {
        status = ec_session_run(&ticks);
    }
    if (status != EC_OK) {
        refuse_status(to, status);
        return;
    }
    ec_text_write(to, "ok");
    write_ticks(to, ticks);
}

static void answer_overhead(char *words, text_writer *to)
{
    (void)words;
    uint64_t invoke_ticks, step_ticks;
    ec_session_overhead(&invoke_ticks, &step_ticks);
    ec_text_write(to, "ok");
    write_ticks(to, invoke_ticks);
    write_ticks(to, step_ticks);
}

/* steps FIRST: ticks of up to 16 steps from FIRST on, out of one whole inference. */
static void answer_steps(char *words, text_writer *to)
{
    uint32_t first;
    const uint32_t steps = ec_app_model.step_count;
    if (steps == 0 || !ec_text_read_decimal(ec_text_next_word(&words), steps - 1, &first)) {
        refuse(to, "number");
        return;
    }
    if (!ec_session_ready()) {
        refuse(to, "inputs");
        return;
    }
    uint64_t ticks[STEPS_PER_ANSWER];
    const uint32_t count = steps - first < STEPS_PER_ANSWER ? steps - first : STEPS_PER_ANSWER;
    const int status = ec_session_time_steps(first, count, ticks);
    if (status != EC_OK) {
        refuse_status(to, status);
        return;
    }
    ec_text_write(to, "ok");
    for (uint32_t i = 0; i < count; i++) {
        write_ticks(to, ticks[i]);
    }
}

static void answer_memory(char *words, text_writer *to)
{
    (void)words;
    if (!ec_session_ready()) {
        refuse(to, "inputs");
        return;
    }
    uint32_t stack_bytes, touched_bytes;
    const int status = ec_session_probe_memory(&stack_bytes, &touched_bytes);
    if (status != EC_OK) {
        refuse_status(to, status);
        return;
    }
    ec_text_write(to, "ok");
    write_field(to, "stack", stack_bytes);
    write_field(to, "arena_touched", touched_bytes);
}

/* read OUTPUT OFFSET COUNT: base64 of these bytes of the last run. */
static void answer_read(char *words, text_writer *to)
{
    uint32_t index, offset, count;
    const bool numbers = ec_text_read_decimal(ec_text_next_word(&words), UINT32_MAX, &index) &&
                         ec_text_read_decimal(ec_text_next_word(&words), UINT32_MAX, &offset) &&
                         ec_text_read_decimal(ec_text_next_word(&words), FRAME_CHUNK_BYTES, &count);
    if (!numbers || index >= ec_app_model.output_count || offset > ec_app_model.outputs[index].bytes ||
        count > ec_app_model.outputs[index].bytes - offset) {
        refuse(to, "index");
        return;
    }
    if (!ec_session_has_outputs()) {
        refuse(to, "outputs");
        return;
    }
    const uint8_t *output = ec_app_model.output(ec_app_arena, (int)index);
    ec_text_write(to, "ok ");
    ec_text_write_base64(to, output + offset, count);
}

typedef struct {
    const char *name;
    void (*handle)(char *words, text_writer *answer);
    bool slow;
} verb;

static const verb VERBS[] = {
    {"info", answer_info, false},         {"clock", answer_clock, false}, {"input", answer_input, false}, {"output", answer_output, false},
    {"begin", answer_begin, false},       {"load", answer_load, false},   {"end", answer_end, false},     {"read", answer_read, false},
    {"overhead", answer_overhead, false}, {"run", answer_run, true},      {"steps", answer_steps, true},  {"memory", answer_memory, true},
    {"now", answer_now, false},
};

static const verb *find_verb(const char *body)
{
    for (uint32_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++) {
        const char *a = VERBS[i].name, *b = body;
        while (*a && *a == *b) {
            a++, b++;
        }
        if (*a == '\0' && (*b == '\0' || *b == ' ')) {
            return &VERBS[i];
        }
    }
    return NULL;
}

bool ec_verb_is_slow(const char *body)
{
    const verb *found = find_verb(body);
    return found && found->slow;
}

void ec_verb_handle(char *body, text_writer *answer)
{
    const verb *found = find_verb(body);
    if (found == NULL) {
        refuse(answer, "verb");
        return;
    }
    ec_text_next_word(&body);
    found->handle(body, answer);
    if (answer->full) {
        answer->length = 0;
        refuse(answer, "answer too long");
    }
}
