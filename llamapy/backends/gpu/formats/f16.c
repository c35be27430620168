/* Half precision. */
DEVICE void decode32(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL ushort *numbers = (const GLOBAL ushort *)row;
    for (int i = 0; i < 32; i++) w[i] = at + i < columns ? HALF_TO_FLOAT(numbers[at + i]) : 0.0f;
}

DEVICE float decode(const GLOBAL uchar *row, int i) {
    return HALF_TO_FLOAT(((const GLOBAL ushort *)row)[i]);
}
