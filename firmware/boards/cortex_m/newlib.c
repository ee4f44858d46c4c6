/* What newlib and C++ objects ask of a system, for firmware that links TensorFlow Lite Micro. There is no heap, no file and no exit: a
 * program that asks for one has come to where it must not be, and stops in the fault handler, which says where. */
#include <stddef.h>

_Noreturn void abort(void);
_Noreturn void _exit(int status);
_Noreturn void __cxa_pure_virtual(void);
_Noreturn void __assert_func(const char *file, int line, const char *function, const char *expression);
void *_sbrk(ptrdiff_t bytes);

/* operator delete(void *) and operator delete(void *, size_t), as the Itanium C++ ABI names them: a destructor that is virtual refers to
 * them, and there is nothing that new could have made. */
void _ZdlPv(void *object);
void _ZdlPvj(void *object, size_t bytes);

/* Objects with static storage are never destroyed; their destructors are registered under this handle all the same. */
void *__dso_handle;
int __aeabi_atexit(void *object, void (*destroy)(void *), void *handle);
int atexit(void (*function)(void));

_Noreturn void abort(void)
{
    for (;;)
        __asm volatile("udf #0");
}

_Noreturn void _exit(int status)
{
    (void)status;
    abort();
}

_Noreturn void __cxa_pure_virtual(void)
{
    abort();
}

_Noreturn void __assert_func(const char *file, int line, const char *function, const char *expression)
{
    (void)file;
    (void)line;
    (void)function;
    (void)expression;
    abort();
}

void _ZdlPv(void *object)
{
    (void)object;
    abort();
}

void _ZdlPvj(void *object, size_t bytes)
{
    (void)object;
    (void)bytes;
    abort();
}

/* malloc finds that there is no memory. */
void *_sbrk(ptrdiff_t bytes)
{
    (void)bytes;
    return (void *)-1;
}

int __aeabi_atexit(void *object, void (*destroy)(void *), void *handle)
{
    (void)object;
    (void)destroy;
    (void)handle;
    return 0;
}

int atexit(void (*function)(void))
{
    (void)function;
    return 0;
}
