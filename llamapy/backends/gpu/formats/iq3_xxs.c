/* 256 weights, 4 a point of the codebook, 32 with a scale: w = d * (2s + 1) / 4 * sign * value. */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint points[2], packed;
    words_at(block + 2 + 8 * group, 2, BLOCK_ALIGNED, points);
    words_at(block + 66 + 4 * group, 1, BLOCK_ALIGNED, &packed);
    for (int i = 0; i < 8; i++) {
        const uint signs = even_signs(packed >> (i / 2 * 7)) >> (i % 2 * 4);
        q[i] = with_signs(CODEBOOK[(points[i / 4] >> (i % 4 * 8)) & 255u], signs);
    }
    d[0] = half_at(block) * (0.5f + (packed >> 28)) * 0.5f;
}
