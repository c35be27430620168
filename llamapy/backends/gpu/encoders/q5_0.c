/* A scale for 32 values, by which the largest becomes -16; fifth bits in a word of their own. */
DEVICE void store32(GLOBAL uchar *row, int at, int columns, const float *w) {
    GLOBAL uchar *block = row + ROW_BYTES(at);
    float largest = 0.0f;
    for (int i = 0; i < 32; i++)
        if (fabs(w[i]) > fabs(largest)) largest = w[i]; /* the first of equals */
    const float d = largest / -16.0f, by = d != 0.0f ? 1.0f / d : 0.0f;
    *(GLOBAL ushort *)block = FLOAT_TO_HALF(d);
    uint high = 0;
    for (int i = 0; i < 16; i++) {
        const uint a = level_of(TIMES(w[i], by) + 16.5f, 31u);
        const uint b = level_of(TIMES(w[16 + i], by) + 16.5f, 31u);
        high |= (a >> 4) << i | (b >> 4) << (16 + i);
        block[6 + i] = (uchar)((a & 15u) | b << 4);
    }
    for (int i = 0; i < 4; i++) block[2 + i] = (uchar)(high >> (8 * i));
}

DEVICE void decode4(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL uchar *block = row + at / 32 * BLOCK_BYTES, *q = block + 6 + at % 16;
    const uint both = ushort_at(q) | (uint)ushort_at(q + 2) << 16;
    const uint high = (uint)ushort_at(block + 2 + at % 32 / 16 * 2) >> at % 16;
    const uint four = ((at % 32 < 16 ? both : both >> 4) & 0x0f0f0f0fu) | bytes_of(high) << 4;
    const float d = half_at(block);
    for (int i = 0; i < 4; i++) w[i] = d * ((int)(four >> (8 * i) & 255) - 16);
}
