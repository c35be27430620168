/* 128 weights: w = d where the bit is set, else -d. */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint bits;
    words_at(block + 2 + 4 * group, 1, BLOCK_ALIGNED, &bits);
    for (int i = 0; i < 8; i++) q[i] = bytes_of(~bits >> (4 * i)) * 255u | 0x01010101u;
    d[0] = half_at(block);
}
