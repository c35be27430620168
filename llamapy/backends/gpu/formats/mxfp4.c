/* 32 weights: w = 2 ** (e - 128) * (a 4-bit float, doubled). */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint halves[4];
    words_at(block + 1, 4, BLOCK_ALIGNED, halves);
    for (int i = 0; i < 4; i++) LOOK_UP_FP4(halves[i], &q[i], &q[4 + i]);
    const uint e = block[0]; /* the two smallest powers have no exponent of their own */
    d[0] = BITS_FLOAT(e < 2 ? 0x00200000u << e : (e - 1) << 23);
}
