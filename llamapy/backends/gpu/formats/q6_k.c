/* 256 weights, 16 with a scale of 8 bits: w = d * scale * (q - 32); the high 2 bits of q lie
 * apart. */
#define HAS_LOW
#define HAS_HALVES
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint high[8];
    words_at(block + group / 4 * 64 + group % 2 * 32, 8, BLOCK_ALIGNED, q);
    words_at(block + 128 + group / 4 * 32, 8, BLOCK_ALIGNED, high);
    const int by = group % 4 / 2 * 4, by_high = group % 4 * 2;
    for (int i = 0; i < 8; i++)
        q[i] = ((q[i] >> by) & 0x0f0f0f0fu) | ((high[i] >> by_high) & 0x03030303u) << 4;
    const uint scales = ushort_at(block + 192 + 2 * group);
    d[0] = half_at(block + 208) * (schar)scales;
    d[1] = half_at(block + 208) * (schar)(scales >> 8);
    for (int i = 0; i < 2; i++) low[i] = -32.0f * d[i];
}
