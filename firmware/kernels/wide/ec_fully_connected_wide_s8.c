/* Dense layer, int8, for application processors: up to four rows of inputs against eights of outputs. */
#include "ec_wide.h"
#include "ec_wide_copy.h"
#include "ec_wide_tiles.h"

void ec_fully_connected_wide_s8(
        const ec_fc_params *p, const int8_t *in, const int8_t *weights, const int32_t *channels, int8_t *scratch, int8_t *out)
{
    const ec_tile_function sum_up = ec_find_tile();
    const int32_t steps = (p->in_len + 3) / 4, most = p->batches < EC_WIDE_PIXELS ? p->batches : EC_WIDE_PIXELS;
    const bool whole = (p->in_len & 3) == 0;
    ec_wide_tile tile = {
        .windows = scratch,
        .window_stride = whole ? p->in_len : 4 * steps,
        .steps = steps,
        .weights = weights,
        .channels = channels,
        .filters = p->out_len,
        .output = { 2 * p->out_zero_point + 1, p->out_min, p->out_max },
        .scratch = scratch + 4 * steps * most,
        .out = out,
        .out_stride = p->out_len,
    };
    for (int32_t row = 0; row < p->batches; row += tile.pixels, tile.out += tile.pixels * p->out_len) {
        tile.pixels = p->batches - row < EC_WIDE_PIXELS ? p->batches - row : EC_WIDE_PIXELS;
        if (whole)
            tile.windows = in + row * p->in_len;
        else
            for (int32_t n = 0; n < tile.pixels; n++)
                ec_wide_window_end(ec_wide_copy(scratch + 4 * steps * n, in + (row + n) * p->in_len, p->in_len), p->in_len);
        sum_up(&tile);
    }
}
