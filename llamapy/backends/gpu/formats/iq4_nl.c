/* 32 weights: w = d * step, of 16 uneven steps. */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint halves[4];
    words_at(block + 2, 4, BLOCK_ALIGNED, halves);
    for (int i = 0; i < 4; i++) LOOK_UP_IQ4(halves[i], &q[i], &q[4 + i]);
    d[0] = half_at(block);
}
