/* 256 weights, 8 a point of the codebook, 32 with a scale: w = d * (2s + 1) * (level + 1/8), or
 * - 1/8. The codebook has 8 * level + 112, so that bytes do not run over into each other. */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint points;
    words_at(block + 2 + 4 * group, 1, BLOCK_ALIGNED, &points);
    const uint high = ushort_at(block + 34 + 2 * group);
    const uint offset = high >> 15 ? 0x0f0f0f0fu : 0x11111111u;
    for (int i = 0; i < 4; i++) {
        const uint point = ((points >> (8 * i)) & 255u) | ((high >> (3 * i)) & 7u) << 8;
        q[2 * i] = (CODEBOOK[2 * point] + offset) ^ 0x80808080u;
        q[2 * i + 1] = (CODEBOOK[2 * point + 1] + offset) ^ 0x80808080u;
    }
    d[0] = half_at(block) * (2 * ((high >> 12) & 7) + 1) * 0.125f;
}
