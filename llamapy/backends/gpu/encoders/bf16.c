/* The upper half of a float32, the nearest. Writes 32 values of a row, those that are within its columns. */
DEVICE void store32(GLOBAL uchar *row, int at, int columns, const float *w) {
    GLOBAL ushort *numbers = (GLOBAL ushort *)row;
    for (int i = 0; i < 32; i++)
        if (at + i < columns) numbers[at + i] = FLOAT_TO_BF16(w[i]);
}

DEVICE void decode4(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL ushort *numbers = (const GLOBAL ushort *)row + at;
    if (columns % 4 == 0 && at < columns) {
        const uint2 four = *(const GLOBAL uint2 *)numbers;
        w[0] = BF16_TO_FLOAT((ushort)four.x);
        w[1] = BF16_TO_FLOAT((ushort)(four.x >> 16));
        w[2] = BF16_TO_FLOAT((ushort)four.y);
        w[3] = BF16_TO_FLOAT((ushort)(four.y >> 16));
    } else {
        for (int i = 0; i < 4; i++) w[i] = at + i < columns ? BF16_TO_FLOAT(numbers[i]) : 0.0f;
    }
}

DEVICE void decode8(const GLOBAL uchar *row, int at, int columns, float *w) {
    if (columns % 8 == 0) {
        const uint4 four = *(const GLOBAL uint4 *)(row + 2 * at);
        w[0] = BF16_TO_FLOAT((ushort)four.x);
        w[1] = BF16_TO_FLOAT((ushort)(four.x >> 16));
        w[2] = BF16_TO_FLOAT((ushort)four.y);
        w[3] = BF16_TO_FLOAT((ushort)(four.y >> 16));
        w[4] = BF16_TO_FLOAT((ushort)four.z);
        w[5] = BF16_TO_FLOAT((ushort)(four.z >> 16));
        w[6] = BF16_TO_FLOAT((ushort)four.w);
        w[7] = BF16_TO_FLOAT((ushort)(four.w >> 16));
    } else {
        decode4(row, at, columns, w);
        decode4(row, at + 4, columns, w + 4);
    }
}
