/* 256 weights, 4 a point of the codebook, 32 with a scale: w = d * (2s + 1) * sign * value. */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint points[2], signs;
    words_at(block + 2 + 8 * group, 2, BLOCK_ALIGNED, points);
    words_at(block + 74 + 4 * group, 1, BLOCK_ALIGNED, &signs);
    const uint high = block[66 + group];
    for (int i = 0; i < 8; i++) {
        const uint point = ((points[i / 4] >> (i % 4 * 8)) & 255u) | ((high >> i) & 1u) << 8;
        q[i] = with_signs(CODEBOOK[point], signs >> (4 * i));
    }
    d[0] = half_at(block) * (1 + 2 * ((block[106 + group / 2] >> (group % 2 * 4)) & 15));
}
