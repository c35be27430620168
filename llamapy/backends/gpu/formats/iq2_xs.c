/* 256 weights, 8 a point of the codebook, 16 with a scale: w = d * (2s + 1) / 8 * sign * value.
 * 16 bits hold a point's number and its signs. */
#define HAS_HALVES
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint two[2];
    words_at(block + 2 + 8 * group, 2, BLOCK_ALIGNED, two);
    for (int i = 0; i < 4; i++) {
        const uint both = (two[i / 2] >> (i % 2 * 16)) & 0xffffu;
        const uint point = both & 511u, signs = even_signs(both >> 9);
        q[2 * i] = with_signs(CODEBOOK[2 * point], signs);
        q[2 * i + 1] = with_signs(CODEBOOK[2 * point + 1], signs >> 4);
    }
    for (int i = 0; i < 2; i++)
        d[i] = half_at(block) * (0.5f + ((block[66 + group] >> (4 * i)) & 15)) * 0.25f;
}
