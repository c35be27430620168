/* Columns and streams, moved and mixed: a lane for each value of the result. */
#define ARRAY GLOBAL float *

KERNEL columns_(ARRAY out, const ARRAY x, int start, int count, int rows, int columns) {
    const size_t i = INDEX;
    if (i < (size_t)rows * count) out[i] = x[i / count * columns + start + i % count];
}

KERNEL fill_columns(
    ARRAY out, const ARRAY x, int start, int count, float value, int rows, int columns
) {
    const size_t i = INDEX;
    const int column = i % columns;
    if (i < (size_t)rows * columns) out[i] = column >= start && column < start + count ? value : x[i];
}

KERNEL join(ARRAY out, const ARRAY x, const ARRAY y, int rows, int left, int right) {
    const size_t i = INDEX, row = i / (left + right);
    const int column = i % (left + right);
    if (row < rows) out[i] = column < left ? x[row * left + column] : y[row * right + column - left];
}

KERNEL repeat_heads(ARRAY out, const ARRAY x, int times, int tokens, int heads, int size) {
    const size_t i = INDEX, head = i / size;
    if (head < (size_t)tokens * heads * times) out[i] = x[head / times * size + i % size];
}

KERNEL toward(ARRAY out, const ARRAY x, const ARRAY y, const ARRAY by, int rows, int columns) {
    const size_t i = INDEX;
    if (i < (size_t)rows * columns) out[i] = x[i] + (y[i] - x[i]) * by[i];
}

KERNEL toward_columns(ARRAY out, const ARRAY x, const ARRAY y, const ARRAY by, int rows, int columns) {
    const size_t i = INDEX;
    if (i < (size_t)rows * columns) out[i] = x[i] + (y[i] - x[i]) * by[i % columns];
}

KERNEL mix_streams(ARRAY out, const ARRAY x, const ARRAY by, int tokens, int from, int columns, int to) {
    const size_t i = INDEX, stream = i / columns, token = stream / to;
    if (token >= tokens) return;
    float sum = 0.0f;
    for (int a = 0; a < from; a++)
        sum += by[stream * from + a] * x[(token * from + a) * columns + i % columns];
    out[i] = sum;
}

/* ---- a group for each row */

KERNEL as_long_as(ARRAY out, const ARRAY x, const ARRAY like, int tokens, int streams, int columns) {
    LOCAL_VAR float room[LANES];
    const ARRAY row = x + (size_t)GROUP * columns;
    const ARRAY other = like + (size_t)(GROUP / streams) * columns;
    float squares = 0.0f, wanted = 0.0f;
    for (int i = LANE; i < columns; i += LANES) {
        squares += row[i] * row[i];
        wanted += other[i] * other[i];
    }
    squares = sqrt(group_sum(squares, room));
    wanted = sqrt(group_sum(wanted, room));
    for (int i = LANE; i < columns; i += LANES) out[(size_t)GROUP * columns + i] = row[i] * wanted / squares;
}

KERNEL excess(ARRAY out, const ARRAY x, float deviations, int rows, int columns) {
    LOCAL_VAR float room[LANES];
    const ARRAY row = x + (size_t)GROUP * columns;
    float sum = 0.0f, squares = 0.0f;
    for (int i = LANE; i < columns; i += LANES) sum += row[i];
    const float mean = group_sum(sum, room) / columns;
    for (int i = LANE; i < columns; i += LANES) squares += (row[i] - mean) * (row[i] - mean);
    const float above = mean + sqrt(group_sum(squares, room) / (columns - 1)) * deviations;
    for (int i = LANE; i < columns; i += LANES)
        out[(size_t)GROUP * columns + i] = fmax(row[i] - above, 0.0f);
}
