/* A scale for 32 values, by which the largest becomes -8; the first 16 lie in the low halves. */
DEVICE uint nearest4(float x, float by) { return (uint)fmin(fmax(TIMES(x, by) + 8.5f, 0.0f), 15.0f); }

DEVICE void store32(GLOBAL uchar *row, int at, int columns, const float *w) {
    GLOBAL uchar *block = row + ROW_BYTES(at);
    float largest = 0.0f;
    for (int i = 0; i < 32; i++)
        if (fabs(w[i]) > fabs(largest)) largest = w[i]; /* the first of equals */
    const float d = largest / -8.0f, by = d != 0.0f ? 1.0f / d : 0.0f;
    *(GLOBAL ushort *)block = FLOAT_TO_HALF(d);
    for (int i = 0; i < 16; i++)
        block[2 + i] = (uchar)(nearest4(w[i], by) | nearest4(w[16 + i], by) << 4);
}

DEVICE void decode4(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL uchar *block = row + ROW_BYTES(at), *q = block + 2 + at % 16;
    const uint both = ushort_at(q) | (uint)ushort_at(q + 2) << 16;
    const uint four = (at % 32 < 16 ? both : both >> 4) & 0x0f0f0f0fu;
    const float d = half_at(block);
    for (int i = 0; i < 4; i++) w[i] = d * ((int)(four >> (8 * i) & 255) - 8);
}

DEVICE void decode8(const GLOBAL uchar *row, int at, int columns, float *w) {
    decode4(row, at, columns, w);
    decode4(row, at + 4, columns, w + 4);
}
