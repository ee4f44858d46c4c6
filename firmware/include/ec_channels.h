/* Bias and scale of output channels for kernels on repacked weights. edgecompress/codegen/lower/channels.py writes what is unpacked here.
 *
 * The zero point of the inputs is folded into the bias: bias[o] = file's bias - in_zero_point * sum of o's weights, so that kernels multiply
 * raw inputs, and a padded tap counts as in_zero_point. */
#ifndef EC_CHANNELS_H
#define EC_CHANNELS_H

#include "ec_requantize.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bias and scale of every output channel. Either an array of ec_channel, or a stream of bits (lowest first) with, for each channel,
 *   23 bits    the mantissa m of its weight scale, less the leading one
 *   shift_bits its shift above shift_base
 *   bias_bits  its bias above bias_min.
 * (2^23 + m) * (ratio_high + ratio_low / 2^16) has 55 or 56 bits: rounded to 31 it is the multiplier, and a 56th bit takes one from the shift.
 * The generator has checked that each is exact. */
typedef struct {
    const void *data;                 /* readable up to 4 bytes beyond the stream */
    uint32_t ratio_high;
    int32_t bias_min;
    uint16_t ratio_low;
    uint8_t bias_bits;                /* 0: data is ec_channel[] */
    uint8_t shift_bits, shift_base;
} ec_channel_data;

/* Dense layers of kernels that read folded biases and shifts before the last where they stand. */
typedef struct {
    int32_t batches;
    int32_t in_len, out_len;
    int32_t scale_bytes;              /* from one output's scale to the next: 8, or 0 where the only one holds for all */
    int32_t out_zero_point;
    int32_t out_min, out_max;         /* clamp of the fused activation, within [-128, 127] */
} ec_dense_params;

typedef struct {
    uint32_t word;
} __attribute__((packed, may_alias)) ec_unaligned_word;

static inline uint32_t ec_load_word(const int8_t *at)
{
    return ((const ec_unaligned_word *)at)->word;
}

static inline uint32_t ec_field(const int8_t *data, int32_t bit, int32_t count)
{
    return ec_load_word(data + (bit >> 3)) >> (bit & 7) & ((1u << count) - 1);
}

/* The channel whose bits start at `bit`. */
static inline ec_channel ec_unpack_channel(const ec_channel_data *d, int32_t bit)
{
    const int8_t *const data = (const int8_t *)d->data;
    const uint32_t mantissa = ec_field(data, bit, 23) | 1u << 23;
    const uint64_t product = (uint64_t)mantissa * d->ratio_high + ((uint64_t)mantissa * d->ratio_low >> 16);
    const int32_t over = (int32_t)(product >> 55);
    const uint32_t twice = (uint32_t)(over != 0 ? product >> 24 : product >> 23);
    ec_channel channel;
    channel.multiplier = (int32_t)((twice >> 1) + (twice & 1));
    channel.shift_before_last = d->shift_base + (int32_t)ec_field(data, bit + 23, d->shift_bits) - over;
    channel.twice_bias = 2 * (d->bias_min + (int32_t)ec_field(data, bit + 23 + d->shift_bits, d->bias_bits));
    return channel;
}

/* Channels as kernels want them, each group padded to fours; returns their end. */
static inline ec_channel *ec_fill_channels(ec_channel *channels, const ec_channel_data *d, int32_t groups, int32_t filters)
{
    const ec_channel *plain = (const ec_channel *)d->data;
    int32_t bit = 0;
    for (; groups != 0; groups--) {
        EC_ROLLED
        for (int32_t i = 0; i < filters; i++, bit += 23 + d->shift_bits + d->bias_bits)
            *channels++ = d->bias_bits != 0 ? ec_unpack_channel(d, bit) : *plain++;
        EC_ROLLED
        for (int32_t i = filters; (i & 3) != 0; i++, channels++)
            channels->twice_bias = channels->multiplier = channels->shift_before_last = 0;
    }
    return channels;
}

/* A doubled sum to an output. */
static inline int8_t ec_channel_output(const ec_channel *channel, int32_t twice_sum, int32_t twice_zero_point)
{
    int32_t high = (int32_t)(((int64_t)(twice_sum + channel->twice_bias) * channel->multiplier + 0x80000000LL) >> 32);
    high += high >> 31;
    return (int8_t)ec_clamp(((high >> channel->shift_before_last) + twice_zero_point) >> 1, -128, 127);
}

#ifdef __cplusplus
}
#endif
#endif
