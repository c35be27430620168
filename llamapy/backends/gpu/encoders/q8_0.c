/* A scale for 32 values, and signed bytes, the nearest; halves away from zero. */
DEVICE void store32(GLOBAL uchar *row, int at, int columns, const float *w) {
    GLOBAL uchar *block = row + ROW_BYTES(at);
    float largest = 0.0f;
    for (int i = 0; i < 32; i++) largest = fmax(largest, fabs(w[i]));
    const float d = largest / 127.0f, by = d != 0.0f ? 1.0f / d : 0.0f;
    *(GLOBAL ushort *)block = FLOAT_TO_HALF(d);
    for (int i = 0; i < 32; i++) {
        const float x = w[i] * by, size = fabs(x), whole = floor(size);
        const int q = (int)whole + (size - whole >= 0.5f);
        block[2 + i] = (uchar)(x < 0.0f ? -q : q);
    }
}

DEVICE void decode4(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL uchar *block = row + at / 32 * BLOCK_BYTES, *q = block + 2 + at % 32;
    const uint low = ushort_at(q), high = ushort_at(q + 2);
    const float d = half_at(block);
    w[0] = d * (schar)low;
    w[1] = d * (schar)(low >> 8);
    w[2] = d * (schar)high;
    w[3] = d * (schar)(high >> 8);
}
