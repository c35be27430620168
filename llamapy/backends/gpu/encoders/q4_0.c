/* A scale for 32 values, by which the largest becomes -8; the first 16 lie in the low halves. */
DEVICE void store32(GLOBAL uchar *row, int at, int columns, const float *w) {
    GLOBAL uchar *block = row + ROW_BYTES(at);
    float largest = 0.0f;
    for (int i = 0; i < 32; i++)
        if (fabs(w[i]) > fabs(largest)) largest = w[i]; /* the first of equals */
    const float d = largest / -8.0f, by = d != 0.0f ? 1.0f / d : 0.0f;
    *(GLOBAL ushort *)block = FLOAT_TO_HALF(d);
    for (int i = 0; i < 16; i++) {
        const uint low = level_of(TIMES(w[i], by) + 8.5f, 15u);
        block[2 + i] = (uchar)(low | level_of(TIMES(w[16 + i], by) + 8.5f, 15u) << 4);
    }
}

DEVICE void decode4(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL uchar *block = row + ROW_BYTES(at), *q = block + 2 + at % 16;
    const uint both = ushort_at(q) | (uint)ushort_at(q + 2) << 16;
    const uint four = (at % 32 < 16 ? both : both >> 4) & 0x0f0f0f0fu;
    const float d = half_at(block);
    for (int i = 0; i < 4; i++) w[i] = d * ((int)(four >> (8 * i) & 255) - 8);
}
