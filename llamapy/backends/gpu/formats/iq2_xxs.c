/* 256 weights, 8 a point of the codebook, 32 with a scale: w = d * (2s + 1) / 8 * sign * value.
 * Of two words, one holds the points' numbers, the other their signs and s. */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint two[2];
    words_at(block + 2 + 8 * group, 2, BLOCK_ALIGNED, two);
    for (int i = 0; i < 4; i++) {
        const uint point = (two[0] >> (8 * i)) & 255u, signs = even_signs(two[1] >> (7 * i));
        q[2 * i] = with_signs(CODEBOOK[2 * point], signs);
        q[2 * i + 1] = with_signs(CODEBOOK[2 * point + 1], signs >> 4);
    }
    d[0] = half_at(block) * (0.5f + (two[1] >> 28)) * 0.25f;
}
