/* The outer loops of an op that broadcasts: everything but the innermost dimension, which is one call of `row`. */
#ifndef EC_BROADCAST_H
#define EC_BROADCAST_H

#include "ec_elementwise.h"

/* out[i] = op(a[i * a_step], b[i * b_step]) for i < count; steps are 0 or 1. `params` are the op's own. */
typedef void ec_row_s8(const void *params, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int32_t count, int8_t *out);
typedef void ec_row_s16(const void *params, const int16_t *a, int32_t a_step, const int16_t *b, int32_t b_step, int32_t count, int16_t *out);

#define EC_DEFINE_FOR_EACH_ROW(name, row_type, element) \
    static inline void name( \
            const ec_broadcast *shape, const void *params, row_type *row, const element *a, const element *b, element *out) \
    { \
        enum { LAST = EC_BROADCAST_RANK - 1 }; \
        const int32_t *n = shape->extents, *sa = shape->a_strides, *sb = shape->b_strides; \
        for (int32_t i = 0; i < n[0]; i++) \
            for (int32_t j = 0; j < n[1]; j++) \
                for (int32_t k = 0; k < n[2]; k++) \
                    for (int32_t l = 0; l < n[3]; l++) { \
                        row(params, a + i * sa[0] + j * sa[1] + k * sa[2] + l * sa[3], sa[LAST], \
                            b + i * sb[0] + j * sb[1] + k * sb[2] + l * sb[3], sb[LAST], n[LAST], out); \
                        out += n[LAST]; \
                    } \
    }

EC_DEFINE_FOR_EACH_ROW(ec_for_each_row_s8, ec_row_s8, int8_t)
EC_DEFINE_FOR_EACH_ROW(ec_for_each_row_s16, ec_row_s16, int16_t)

#endif
