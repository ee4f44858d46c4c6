/* The four functions that compilers call on their own. Word by word where both ends allow it, else byte by byte: small, and the same with
 * every toolchain, so that instruction counts compare kernels and not C libraries.
 *
 * Compiled with -fno-builtin, or a compiler would turn each loop into a call of the function that it is in. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

/* A word that may lie over objects of any type. */
typedef uint32_t __attribute__((may_alias)) word;

static int both_aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & 3u) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    if (both_aligned(t, f)) {
        for (; bytes >= 16; bytes -= 16, t += 16, f += 16) {
            const word a = ((const word *)f)[0], b = ((const word *)f)[1], c = ((const word *)f)[2], d = ((const word *)f)[3];
            ((word *)t)[0] = a;
            ((word *)t)[1] = b;
            ((word *)t)[2] = c;
            ((word *)t)[3] = d;
        }
        for (; bytes >= 4; bytes -= 4, t += 4, f += 4)
            *(word *)t = *(const word *)f;
    }
    while (bytes-- != 0)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    /* Upwards is safe unless `to` begins inside `from`. */
    if ((uintptr_t)t - (uintptr_t)f >= bytes) {
        if (both_aligned(t, f))
            for (; bytes >= 4; bytes -= 4, t += 4, f += 4)
                *(word *)t = *(const word *)f;
        while (bytes-- != 0)
            *t++ = *f++;
        return to;
    }
    t += bytes;
    f += bytes;
    if (both_aligned(t, f))
        for (; bytes >= 4; bytes -= 4) {
            t -= 4;
            f -= 4;
            *(word *)t = *(const word *)f;
        }
    while (bytes-- != 0)
        *--t = *--f;
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    uint8_t *t = to;
    const uint8_t byte = (uint8_t)value;
    for (; bytes != 0 && ((uintptr_t)t & 3u) != 0; bytes--)
        *t++ = byte;
    const uint32_t four = byte * 0x01010101u;
    for (; bytes >= 16; bytes -= 16, t += 16) {
        ((word *)t)[0] = four;
        ((word *)t)[1] = four;
        ((word *)t)[2] = four;
        ((word *)t)[3] = four;
    }
    while (bytes-- != 0)
        *t++ = byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a, *y = b;
    for (; bytes != 0; bytes--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

#if defined(__arm__)
/* The same under the names of the Run-time ABI for the Arm Architecture (IHI 0043), section 5.3.4. Mind memset's order. */
void __aeabi_memcpy(void *to, const void *from, size_t bytes);
void __aeabi_memmove(void *to, const void *from, size_t bytes);
void __aeabi_memset(void *to, size_t bytes, int value);
void __aeabi_memclr(void *to, size_t bytes);

void __aeabi_memcpy(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
void __aeabi_memcpy4(void *to, const void *from, size_t bytes) __attribute__((alias("__aeabi_memcpy")));
void __aeabi_memcpy8(void *to, const void *from, size_t bytes) __attribute__((alias("__aeabi_memcpy")));
void __aeabi_memmove(void *to, const void *from, size_t bytes) { memmove(to, from, bytes); }
void __aeabi_memmove4(void *to, const void *from, size_t bytes) __attribute__((alias("__aeabi_memmove")));
void __aeabi_memmove8(void *to, const void *from, size_t bytes) __attribute__((alias("__aeabi_memmove")));
void __aeabi_memset(void *to, size_t bytes, int value) { memset(to, value, bytes); }
void __aeabi_memset4(void *to, size_t bytes, int value) __attribute__((alias("__aeabi_memset")));
void __aeabi_memset8(void *to, size_t bytes, int value) __attribute__((alias("__aeabi_memset")));
void __aeabi_memclr(void *to, size_t bytes) { memset(to, 0, bytes); }
void __aeabi_memclr4(void *to, size_t bytes) __attribute__((alias("__aeabi_memclr")));
void __aeabi_memclr8(void *to, size_t bytes) __attribute__((alias("__aeabi_memclr")));
#endif
