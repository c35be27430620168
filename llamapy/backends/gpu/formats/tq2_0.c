/* 256 weights: w = d * (q - 1), q of 2 bits; a byte holds weights that are 32 apart. */
#define HAS_LOW
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    words_at(block + group / 4 * 32, 8, BLOCK_ALIGNED, q);
    for (int i = 0; i < 8; i++) q[i] = (q[i] >> (group % 4 * 2)) & 0x03030303u;
    d[0] = half_at(block + 64);
    low[0] = -d[0];
}
