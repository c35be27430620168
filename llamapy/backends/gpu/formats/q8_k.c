/* 256 weights: w = d * q, q a signed byte; sums are there, too. */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    words_at(block + 4 + 32 * group, 8, BLOCK_ALIGNED, q);
    d[0] = *(const GLOBAL float *)block;
}
