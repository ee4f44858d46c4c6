/* The few functions of a Java virtual machine that the native engine calls, strict where a real one may crash: it calls `invoke` as
 * NativeEngine.kt would, rightly and wrongly, and prints a line for each case. Cases.java prints the same lines from a real one.
 *
 * Standard input: the bytes of one golden input of the model `digits`, which has one input and one output. */
#include <jni.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"

enum kind { CLASS, HEAP_BUFFER, DIRECT_BUFFER, BYTES, ARRAYS };

typedef struct {
    enum kind kind;
    jlong length;
    void *data; // bytes; of ARRAYS: pointers to objects
} object;

typedef void (*invoke_function)(JNIEnv *, jobject, jobject, jobjectArray, jobjectArray);

static invoke_function registered;
static char thrown[256];
static int local_references;
static int class_is_missing;

static void stop(const char *what)
{
    fprintf(stderr, "a real virtual machine might have crashed here: %s\n", what);
    exit(1);
}

static object *as(jobject reference, enum kind kind)
{
    object *o = (object *)reference;
    if (o == NULL || o->kind != kind)
        stop("an object of another kind, or none");
    return o;
}

static void no_exception(void)
{
    if (thrown[0] != '\0')
        stop("a call while an exception is pending");
}

static jclass JNICALL find_class(JNIEnv *env, const char *name)
{
    static object classes[2] = { { .kind = CLASS, .length = 0, .data = NULL }, { .kind = CLASS, .length = 1, .data = NULL } };
    (void)env;
    no_exception();
    if (strcmp(name, "java/lang/IllegalArgumentException") == 0)
        return (jclass)&classes[0];
    if (strcmp(name, "com/acme/digits/NativeEngine") == 0 && !class_is_missing)
        return (jclass)&classes[1];
    snprintf(thrown, sizeof thrown, "NoClassDefFoundError: %s", name);
    return NULL;
}

static jint JNICALL throw_new(JNIEnv *env, jclass kind, const char *message)
{
    (void)env;
    no_exception();
    if (as(kind, CLASS)->length != 0)
        stop("throws what is no exception");
    snprintf(thrown, sizeof thrown, "IllegalArgumentException: %s", message);
    return 0;
}

static void *JNICALL direct_address(JNIEnv *env, jobject buffer)
{
    object *o = (object *)buffer;
    (void)env;
    no_exception();
    return o != NULL && o->kind == DIRECT_BUFFER ? o->data : NULL;
}

static jlong JNICALL direct_capacity(JNIEnv *env, jobject buffer)
{
    (void)env;
    no_exception();
    return as(buffer, DIRECT_BUFFER)->length;
}

static jsize JNICALL array_length(JNIEnv *env, jarray array)
{
    object *o = (object *)array;
    (void)env;
    no_exception();
    if (o == NULL || (o->kind != BYTES && o->kind != ARRAYS))
        stop("the length of no array");
    return (jsize)o->length;
}

static jobject JNICALL array_element(JNIEnv *env, jobjectArray array, jsize index)
{
    object *o = as(array, ARRAYS);
    (void)env;
    no_exception();
    if (index < 0 || index >= o->length)
        stop("an element outside of its array");
    local_references += ((object **)o->data)[index] != NULL;
    return (jobject)((object **)o->data)[index];
}

static void JNICALL delete_reference(JNIEnv *env, jobject reference)
{
    (void)env;
    local_references -= reference != NULL;
}

static uint8_t *region(jbyteArray array, jsize start, jsize count)
{
    object *o = as(array, BYTES);
    no_exception();
    if (start < 0 || count < 0 || (jlong)start + count > o->length)
        stop("a region outside of its array");
    return (uint8_t *)o->data + start;
}

static void JNICALL get_bytes(JNIEnv *env, jbyteArray array, jsize start, jsize count, jbyte *into)
{
    (void)env;
    memcpy(into, region(array, start, count), (size_t)count);
}

static void JNICALL set_bytes(JNIEnv *env, jbyteArray array, jsize start, jsize count, const jbyte *from)
{
    (void)env;
    memcpy(region(array, start, count), from, (size_t)count);
}

static jint JNICALL register_natives(JNIEnv *env, jclass kind, const JNINativeMethod *methods, jint count)
{
    (void)env;
    if (as(kind, CLASS)->length != 1 || count != 1 || strcmp(methods->name, "invoke") != 0)
        stop("registers what NativeEngine does not declare");
    if (strcmp(methods->signature, "(Ljava/nio/ByteBuffer;[[B[[B)V") != 0)
        stop("registers a method of another signature");
    registered = (invoke_function)methods->fnPtr;
    return JNI_OK;
}

static const struct JNINativeInterface_ functions = {
    .FindClass = find_class,
    .ThrowNew = throw_new,
    .GetDirectBufferAddress = direct_address,
    .GetDirectBufferCapacity = direct_capacity,
    .GetArrayLength = array_length,
    .GetObjectArrayElement = array_element,
    .DeleteLocalRef = delete_reference,
    .GetByteArrayRegion = get_bytes,
    .SetByteArrayRegion = set_bytes,
    .RegisterNatives = register_natives,
};
static JNIEnv environment = &functions;

static jint JNICALL get_env(JavaVM *vm, void **env, jint version)
{
    (void)vm;
    *env = &environment;
    return version == JNI_VERSION_1_6 ? JNI_OK : JNI_EVERSION;
}

static const struct JNIInvokeInterface_ invocation = { .GetEnv = get_env };
static JavaVM machine = &invocation;

static uint8_t golden[DIGITS_INPUT_0_BYTES];
static uint8_t input_data[DIGITS_INPUT_0_BYTES + 1], output_data[DIGITS_OUTPUT_0_BYTES + 1];
static _Alignas(64) uint8_t memory[DIGITS_ARENA_BYTES + 64];
static object arena = { DIRECT_BUFFER, DIGITS_ARENA_BYTES + 16, memory };
static object input = { BYTES, DIGITS_INPUT_0_BYTES, input_data }, output = { BYTES, DIGITS_OUTPUT_0_BYTES, output_data };
static object *input_list[2] = { &input, &input }, *output_list[2] = { &output, &output };
static object inputs = { ARRAYS, 1, input_list }, outputs = { ARRAYS, 1, output_list };

/* One call, and its line: what was thrown, or the output's bytes. */
static void call(const char *name, object *arena_given, object *inputs_given, object *outputs_given)
{
    memcpy(input_data, golden, sizeof golden);
    memset(output_data, 0x55, sizeof output_data);
    thrown[0] = '\0';
    local_references = 0;
    registered(&environment, NULL, (jobject)arena_given, (jobjectArray)inputs_given, (jobjectArray)outputs_given);
    printf("%s ", name);
    for (size_t i = 0; thrown[0] == '\0' && i < DIGITS_OUTPUT_0_BYTES; i++)
        printf("%02x", output_data[i]);
    printf("%s\n", thrown);
    if (local_references != 0)
        stop("local references are left");
    if (memcmp(input_data, golden, sizeof golden) != 0)
        stop("the input was written to");
    if (thrown[0] != '\0' && output_data[0] != 0x55)
        stop("an output was written in spite of an exception");
}

static void right_calls(void)
{
    call("golden", &arena, &inputs, &outputs);
    for (size_t shift = 0; shift < 16; shift++) { // no buffer is sure to begin at a multiple of 16
        arena.data = memory + shift;
        memset(memory, 0xa5, sizeof memory);
        call("shifted", &arena, &inputs, &outputs);
        if (memory[shift + DIGITS_ARENA_BYTES + 16] != 0xa5)
            stop("writes behind the arena");
    }
    arena.data = memory;
}

static void wrong_calls(void)
{
    object none = { ARRAYS, 0, input_list }, heap = { HEAP_BUFFER, DIGITS_ARENA_BYTES + 16, memory };
    arena.length = DIGITS_ARENA_BYTES - 1;
    call("small arena", &arena, &inputs, &outputs);
    arena.length = DIGITS_ARENA_BYTES + 16;
    call("heap arena", &heap, &inputs, &outputs);
    call("null arena", NULL, &inputs, &outputs);
    call("no inputs", &arena, &none, &outputs);
    call("null inputs", &arena, NULL, &outputs);
    inputs.length = 2;
    call("two inputs", &arena, &inputs, &outputs);
    inputs.length = 1;
    input_list[0] = NULL;
    call("null input", &arena, &inputs, &outputs);
    input_list[0] = &input;
    input.length--;
    call("short input", &arena, &inputs, &outputs);
    input.length += 2;
    call("long input", &arena, &inputs, &outputs);
    input.length--;
    output.length--;
    call("short output", &arena, &inputs, &outputs);
    output.length += 2;
    call("long output", &arena, &inputs, &outputs);
    output.length--;
    call("null outputs", &arena, &inputs, NULL);
    call("golden after all", &arena, &inputs, &outputs);
}

int main(void)
{
    if (fread(golden, 1, sizeof golden, stdin) != sizeof golden)
        stop("the golden input is cut off");
    class_is_missing = 1;
    if (JNI_OnLoad(&machine, NULL) != JNI_ERR)
        stop("loads without its class");
    class_is_missing = 0;
    thrown[0] = '\0';
    if (JNI_OnLoad(&machine, NULL) != JNI_VERSION_1_6 || registered == NULL)
        stop("does not load");
    right_calls();
    wrong_calls();
    return 0;
}
