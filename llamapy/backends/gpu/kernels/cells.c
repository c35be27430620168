/* Rows by number: a lane for 32 values of a row. */

#ifdef BLOCK
KERNEL lookup(
    GLOBAL float *out, const GLOBAL int *ids, const GLOBAL uchar *w, int n, int rows, int columns
) {
    const int pieces = (columns + 31) / 32;
    const size_t i = INDEX, row = i / pieces;
    const int at = i % pieces * 32;
    if (row >= (size_t)n * rows) return;
    const size_t from = (size_t)ids[row / rows] * rows + row % rows;
    float values[32];
    decode32(w + from * ROW_BYTES(columns), at, columns, values);
    for (int j = 0; j < 32 && at + j < columns; j++) out[row * columns + at + j] = values[j];
}
#endif

#ifdef HAS_STORE32
/* each token's key or value into its cell; a slot of -1 is no cell */
KERNEL store(
    const GLOBAL float *new_rows, GLOBAL uchar *cells, const GLOBAL int *slots, int n, int heads,
    int columns
) {
    const int pieces = (columns + 31) / 32;
    const size_t i = INDEX, row = i / pieces;
    const int at = i % pieces * 32;
    if (row >= (size_t)n * heads || slots[row / heads] < 0) return;
    const size_t to = (size_t)slots[row / heads] * heads + row % heads;
    float values[32];
    for (int j = 0; j < 32; j++) values[j] = at + j < columns ? new_rows[row * columns + at + j] : 0.0f;
    store32(cells + to * ROW_BYTES(columns), at, columns, values);
}
#endif

#ifndef BLOCK
/* a lane for so many bytes: 16, or 1 */
KERNEL copy_cells(
    GLOBAL uchar *cells, const GLOBAL int *sources, const GLOBAL int *targets, int n, int n_bytes,
    int wide
) {
    const size_t i = INDEX;
    const int lanes = n_bytes / wide, cell = i / lanes;
    if (cell >= n) return;
    const size_t at = i % lanes * wide, from = (size_t)sources[cell] * n_bytes + at;
    const size_t to = (size_t)targets[cell] * n_bytes + at;
    if (wide == 16)
        *(GLOBAL uint4 *)(cells + to) = *(GLOBAL uint4 *)(cells + from);
    else
        cells[to] = cells[from];
}

KERNEL place(const GLOBAL int *new_positions, GLOBAL int *positions, const GLOBAL int *slots, int n, int cells) {
    const size_t i = INDEX;
    if (i < n && slots[i] >= 0) positions[slots[i]] = new_positions[i];
}
#endif
