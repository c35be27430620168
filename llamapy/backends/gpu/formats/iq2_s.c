/* 256 weights, 8 a point of the codebook, 16 with a scale: w = d * (2s + 1) / 8 * sign * value. */
#define HAS_HALVES
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint points, signs;
    words_at(block + 2 + 4 * group, 1, BLOCK_ALIGNED, &points);
    words_at(block + 34 + 4 * group, 1, BLOCK_ALIGNED, &signs);
    const uint high = block[66 + group];
    for (int i = 0; i < 4; i++) {
        const uint point = ((points >> (8 * i)) & 255u) | ((high >> (2 * i)) & 3u) << 8;
        q[2 * i] = with_signs(CODEBOOK[2 * point], signs >> (8 * i));
        q[2 * i + 1] = with_signs(CODEBOOK[2 * point + 1], signs >> (8 * i + 4));
    }
    for (int i = 0; i < 2; i++)
        d[i] = half_at(block) * (0.5f + ((block[74 + group] >> (4 * i)) & 15)) * 0.25f;
}
