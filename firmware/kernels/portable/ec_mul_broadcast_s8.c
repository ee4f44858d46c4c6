/* MUL of tensors that broadcast, int8, portable C.
 * This plain loop defines what is correct. */
#include "ec_mul_row.h"
#include "ec_broadcast.h"

void ec_mul_broadcast_s8(const ec_mul_params *p, const ec_broadcast *shape, const int8_t *a, const int8_t *b, int8_t *out)
{
    ec_for_each_row_s8(shape, p, ec_mul_row, a, b, out);
}
