/* Half precision. Rows need not divide into 32: what is beyond them is 0. */
DEVICE void decode32(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL ushort *numbers = (const GLOBAL ushort *)row + at;
    if (columns % 8 == 0 && at + 32 <= columns) {
        uint two[16];
        words_at((const GLOBAL uchar *)numbers, 16, 16, two);
        for (int i = 0; i < 32; i++) w[i] = HALF_TO_FLOAT((ushort)(two[i / 2] >> (i % 2 * 16)));
    } else {
        for (int i = 0; i < 32; i++) w[i] = at + i < columns ? HALF_TO_FLOAT(numbers[i]) : 0.0f;
    }
}

DEVICE float decode(const GLOBAL uchar *row, int i) {
    return HALF_TO_FLOAT(((const GLOBAL ushort *)row)[i]);
}
