/* ec_wide_tile_x86.h's functions for dot products of unsigned and signed bytes. It is included once for each encoding of that instruction:
 * EC_VNNI_TARGET, EC_VNNI_NAME and EC_VNNI_DOT say which. Inputs count as in + 128, which the unsigned bias takes out again. */
#ifdef EC_VNNI_NAME

EC_VNNI_TARGET static inline void EC_VNNI_NAME(ec_expand)(const int8_t *from, int32_t steps, int8_t *to)
{
    const __m256i flip = _mm256_set1_epi8(-128);
    int32_t i = 0;
    for (; i + 8 <= steps; i += 8)
        _mm256_storeu_si256((__m256i *)(void *)(to + 4 * i), _mm256_xor_si256(ec_step_weights(from + 4 * i), flip));
    for (; i < steps; i++)
        ((ec_wide_word *)(to + 4 * i))->word = ec_wide_load(from + 4 * i) ^ 0x80808080u;
}

EC_VNNI_TARGET EC_WIDE_INLINE void EC_VNNI_NAME(ec_sums)(
        const ec_wide_tile *t, const int32_t pixels, const int32_t eights, int32_t first, int32_t e)
{
    __m256i sums[EC_WIDE_PIXELS][EC_WIDE_PIXELS];
    const int32_t row = 4 * t->steps;
    const int8_t *x = t->scratch + first * row;
    const int8_t *w = t->weights + (ptrdiff_t)e * t->steps * EC_STEP_BYTES;
    for (int32_t k = 0; k < eights; k++)
        for (int32_t n = 0; n < pixels; n++)
            sums[n][k] = ec_load_eight(t->channels + (e + k) * EC_EIGHT_LEN + EC_EIGHT);
    for (int32_t step = 0; step < t->steps; step++, x += 4, w += EC_STEP_BYTES)
        for (int32_t k = 0; k < eights; k++)
            for (int32_t n = 0; n < pixels; n++)
                sums[n][k] = EC_VNNI_DOT(sums[n][k], ec_all_lanes(x + n * row), ec_step_weights(w + (ptrdiff_t)k * t->steps * EC_STEP_BYTES));
    for (int32_t k = 0; k < eights; k++)
        for (int32_t n = 0; n < pixels; n++)
            ec_wide_store_avx2(sums[n][k], t->channels + (e + k) * EC_EIGHT_LEN, t->output, t->filters - (e + k) * EC_EIGHT,
                               ec_tile_out(t, first + n, e + k));
}

EC_VNNI_TARGET EC_OUT_OF_LINE void EC_VNNI_NAME(ec_tile)(const ec_wide_tile *t)
{
    const int32_t eights = ec_wide_eights(t->filters);
    int32_t e = 0;
    for (int32_t n = 0; n < t->pixels; n++)
        EC_VNNI_NAME(ec_expand)(t->windows + n * t->window_stride, t->steps, t->scratch + n * 4 * t->steps);
    if (t->pixels == EC_WIDE_PIXELS) {
        for (; e + 2 <= eights; e += 2)
            EC_VNNI_NAME(ec_sums)(t, 4, 2, 0, e);
        if (e < eights)
            EC_VNNI_NAME(ec_sums)(t, 4, 1, 0, e);
        return;
    }
    for (; e + 4 <= eights; e += 4)
        for (int32_t n = 0; n < t->pixels; n++)
            EC_VNNI_NAME(ec_sums)(t, 1, 4, n, e);
    for (; e < eights; e++)
        for (int32_t n = 0; n < t->pixels; n++)
            EC_VNNI_NAME(ec_sums)(t, 1, 1, n, e);
}

#undef EC_VNNI_TARGET
#undef EC_VNNI_NAME
#undef EC_VNNI_DOT
#endif
