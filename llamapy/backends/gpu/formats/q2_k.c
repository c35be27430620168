/* 256 weights, 16 with a scale and a minimum of 4 bits: w = d * scale * q - dmin * min. */
#define HAS_LOW
#define HAS_HALVES
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    words_at(block + 16 + group / 4 * 32, 8, BLOCK_ALIGNED, q);
    for (int i = 0; i < 8; i++) q[i] = (q[i] >> (group % 4 * 2)) & 0x03030303u;
    for (int i = 0; i < 2; i++) {
        const int both = block[2 * group + i];
        d[i] = half_at(block + 80) * (both & 15);
        low[i] = -half_at(block + 82) * (both >> 4);
    }
}
