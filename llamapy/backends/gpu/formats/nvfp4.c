/* 64 weights, 16 with an 8-bit float as scale: w = scale / 2 * (a 4-bit float, doubled). */
#define HAS_HALVES
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint halves[4];
    words_at(block + 4 + 16 * group, 4, BLOCK_ALIGNED, halves);
    for (int i = 0; i < 2; i++) {
        LOOK_UP_FP4(halves[2 * i], &q[4 * i], &q[4 * i + 2]);
        LOOK_UP_FP4(halves[2 * i + 1], &q[4 * i + 1], &q[4 * i + 3]);
        const uint byte = block[2 * group + i], bits = byte & 127u;
        const float tiny = (bits & 7u) * 0.0009765625f;
        const float scale = bits < 8u ? tiny : BITS_FLOAT((bits << 20) + (119u << 23));
        d[i] = byte == 127u ? 0.0f : scale; /* where a NaN would be */
    }
}
