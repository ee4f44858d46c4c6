/* MUL of tensors of one shape, int8, portable C.
 * This plain loop defines what is correct. */
#include "ec_mul_row.h"

void ec_mul_s8(const ec_mul_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out)
{
    ec_mul_row(p, a, 1, b, 1, count, out);
}
