/* Rows of a block format as plain numbers, which the libraries of makers of devices multiply: a
 * lane for 32 of them. NUMBERS is 32 for float32, 16 for bfloat16, 5 for halves, which have 5 bits
 * of exponent. */
KERNEL unpack(
    GLOBAL uchar *out, const GLOBAL uchar *w, int first_byte, int first_row, int rows, int columns
) {
    const int pieces = (columns + 31) / 32;
    const size_t i = INDEX, row = i / pieces;
    const int at = i % pieces * 32;
    if (row >= rows) return;
    float values[32];
    decode32(w + (first_row + row) * ROW_BYTES(columns), at, columns, values);
    GLOBAL uchar *to = out + first_byte;
    for (int j = 0; j < 32 && at + j < columns; j++) {
        const size_t place = row * columns + at + j;
#if NUMBERS == 32
        ((GLOBAL float *)to)[place] = values[j];
#elif NUMBERS == 16
        ((GLOBAL ushort *)to)[place] = FLOAT_TO_BF16(values[j]);
#else
        ((GLOBAL ushort *)to)[place] = FLOAT_TO_HALF(values[j]);
#endif
    }
}
