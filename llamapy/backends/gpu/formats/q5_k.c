/* 256 weights, 32 with a scale and a minimum of 6 bits: w = d * scale * q - dmin * min; the fifth
 * bits of q lie apart. */
#define HAS_LOW
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint head[4], high[8]; /* d and dmin; four scales; four minima; four more of both */
    words_at(block, 4, BLOCK_ALIGNED, head);
    words_at(block + 16, 8, BLOCK_ALIGNED, high);
    words_at(block + 48 + group / 2 * 32, 8, BLOCK_ALIGNED, q);
    for (int i = 0; i < 8; i++)
        q[i] = ((q[i] >> (group % 2 * 4)) & 0x0f0f0f0fu) | ((high[i] >> group) & 0x01010101u) << 4;
    const int by = group % 4 * 8;
    const uint scale = head[1] >> by, least = head[2] >> by, both = head[3] >> by;
    d[0] = HALF_TO_FLOAT((ushort)head[0]) *
           (group < 4 ? scale & 63 : (both & 15) | ((scale >> 2) & 48));
    low[0] = -HALF_TO_FLOAT((ushort)(head[0] >> 16)) *
             (group < 4 ? least & 63 : ((both >> 4) & 15) | ((least >> 2) & 48));
}
