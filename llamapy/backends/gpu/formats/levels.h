/* What follows from a block's levels, for formats of whole numbers. */
#define HAS_LEVELS
#define BLOCK_AT(row, at) ((row) + (size_t)((at) / BLOCK) * BLOCK_BYTES)
#ifdef HAS_HALVES
#define HALF(i) ((i) / 16)
#else
#define HALF(i) 0
#endif
#ifdef HAS_LOW
#define LOW(i) low[HALF(i)]
#else
#define LOW(i) 0.0f
#endif

/* 32 weights from a column on, which is a multiple of 32 */
DEVICE void decode32(const GLOBAL uchar *row, int at, int columns, float *w) {
    uint q[8];
    float d[2], low[2];
    levels32(BLOCK_AT(row, at), at % BLOCK / 32, q, d, low);
    for (int i = 0; i < 32; i++)
        w[i] = d[HALF(i)] * (schar)(q[i / 4] >> (i % 4 * 8)) + LOW(i);
}

#ifndef HAS_DECODE
/* one weight of a row */
DEVICE float decode(const GLOBAL uchar *row, int i) {
    float w[32];
    decode32(row, i / 32 * 32, 0, w);
    return w[i % 32];
}
#endif

/* with 32 rounded activations: 8 words, their scale, and the sums of both halves */
DEVICE float dot32(const uint *q, const float *d, const float *low, const GLOBAL uchar *x) {
    const int4 a = ((const GLOBAL int4 *)x)[0], b = ((const GLOBAL int4 *)x)[1];
    const float4 scale = ((const GLOBAL float4 *)x)[2];
    int first = DOT4(q[3], a.w, DOT4(q[2], a.z, DOT4(q[1], a.y, DOT4(q[0], a.x, 0))));
#ifdef HAS_HALVES
    const int second = DOT4(q[7], b.w, DOT4(q[6], b.z, DOT4(q[5], b.y, DOT4(q[4], b.x, 0))));
    const float product = scale.x * (d[0] * first + d[1] * second);
#else
    first = DOT4(q[7], b.w, DOT4(q[6], b.z, DOT4(q[5], b.y, DOT4(q[4], b.x, first))));
    const float product = scale.x * d[0] * first;
#endif
#if defined(HAS_LOW) && defined(HAS_HALVES)
    return product + low[0] * scale.y + low[1] * scale.z;
#elif defined(HAS_LOW)
    return product + low[0] * (scale.y + scale.z);
#else
    return product;
#endif
}
#undef HALF
#undef LOW
