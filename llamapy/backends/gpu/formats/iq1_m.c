/* 256 weights, 8 a point of the codebook, 16 with a scale: w = d * (2s + 1) * (level + 1/8), or
 * - 1/8. The codebook has 8 * level + 112, so that bytes do not run over into each other; d is in
 * the high bits of the words of scales. */
#define HAS_HALVES
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint points, scales[2];
    words_at(block + 4 * group, 1, BLOCK_ALIGNED, &points);
    words_at(block + 48, 2, BLOCK_ALIGNED, scales);
    const uint high = ushort_at(block + 32 + 2 * group);
    for (int i = 0; i < 4; i++) {
        const uint four = high >> (4 * i), offset = four & 8u ? 0x0f0f0f0fu : 0x11111111u;
        const uint point = ((points >> (8 * i)) & 255u) | (four & 7u) << 8;
        q[2 * i] = (CODEBOOK[2 * point] + offset) ^ 0x80808080u;
        q[2 * i + 1] = (CODEBOOK[2 * point + 1] + offset) ^ 0x80808080u;
    }
    const uint bits = ((scales[0] >> 12) & 15u) | ((scales[0] >> 24) & 0xf0u) |
                      ((scales[1] >> 4) & 0xf00u) | ((scales[1] >> 16) & 0xf000u);
    const uint three = (group < 4 ? scales[0] : scales[1]) >> (group / 2 % 2 * 16 + group % 2 * 6);
    for (int i = 0; i < 2; i++)
        d[i] = HALF_TO_FLOAT((ushort)bits) * (2 * ((three >> (3 * i)) & 7) + 1) * 0.125f;
}
