/* 32 weights: w = d * q, q a signed byte; their sum is there, too. */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    words_at(block + 4, 8, BLOCK_ALIGNED, q);
    d[0] = half_at(block);
}
