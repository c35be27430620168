/* Norms and softmax: a group for each row. */
#define ARRAY GLOBAL float *

KERNEL rms_norm(ARRAY out, const ARRAY xs, const ARRAY w, float eps, int rows, int columns) {
    LOCAL_VAR float room[LANES];
    const ARRAY x = xs + (size_t)GROUP * columns;
    ARRAY y = out + (size_t)GROUP * columns;
    float squares = 0.0f;
    for (int i = LANE; i < columns; i += LANES) squares += x[i] * x[i];
    const float by = 1.0f / sqrt(group_sum(squares, room) / columns + eps);
    for (int i = LANE; i < columns; i += LANES) y[i] = x[i] * by * (w ? w[i] : 1.0f);
}

/* a row brought to mean 0 and variance 1, with the weights of its kind */
DEVICE void layer_norm_row(
    ARRAY y, const ARRAY x, const ARRAY w, const ARRAY b, float eps, int columns,
    LOCAL_PTR float *room
) {
    float sum = 0.0f, squares = 0.0f;
    for (int i = LANE; i < columns; i += LANES) sum += x[i];
    const float mean = group_sum(sum, room) / columns;
    for (int i = LANE; i < columns; i += LANES) squares += (x[i] - mean) * (x[i] - mean);
    const float by = 1.0f / sqrt(group_sum(squares, room) / columns + eps);
    for (int i = LANE; i < columns; i += LANES)
        y[i] = (x[i] - mean) * by * (w ? w[i] : 1.0f) + (b ? b[i] : 0.0f);
}

KERNEL layer_norm(
    ARRAY out, const ARRAY x, const ARRAY w, const ARRAY b, float eps, int rows, int columns
) {
    LOCAL_VAR float room[LANES];
    const size_t at = (size_t)GROUP * columns;
    layer_norm_row(out + at, x + at, w, b, eps, columns, room);
}

KERNEL head_layer_norm(
    ARRAY out, const ARRAY x, const ARRAY w, const ARRAY b, float eps, int rows, int heads, int columns
) {
    LOCAL_VAR float room[LANES];
    const size_t at = (size_t)GROUP * columns;
    const int of_head = GROUP % heads * columns;
    layer_norm_row(
        out + at, x + at, w ? w + of_head : w, b ? b + of_head : b, eps, columns, room
    );
}

/* a group of lanes for each group of columns, over all rows */
KERNEL group_norm(
    ARRAY out, const ARRAY x, const ARRAY w, const ARRAY b, int groups, float eps, int rows,
    int columns
) {
    LOCAL_VAR float room[LANES];
    const int width = columns / groups, first = GROUP * width, count = rows * width;
    float sum = 0.0f, squares = 0.0f;
    for (int i = LANE; i < count; i += LANES)
        sum += x[(size_t)(i / width) * columns + first + i % width];
    const float mean = group_sum(sum, room) / count;
    for (int i = LANE; i < count; i += LANES) {
        const float away = x[(size_t)(i / width) * columns + first + i % width] - mean;
        squares += away * away;
    }
    const float by = 1.0f / sqrt(group_sum(squares, room) / count + eps);
    for (int i = LANE; i < count; i += LANES) {
        const int column = first + i % width;
        const size_t at = (size_t)(i / width) * columns + column;
        out[at] = (x[at] - mean) * by * (w ? w[column] : 1.0f) + (b ? b[column] : 0.0f);
    }
}

KERNEL softmax(ARRAY out, const ARRAY xs, int columns) {
    LOCAL_VAR float room[LANES];
    const ARRAY x = xs + (size_t)GROUP * columns;
    ARRAY y = out + (size_t)GROUP * columns;
    float top = -INFINITY, total = 0.0f;
    for (int i = LANE; i < columns; i += LANES) top = fmax(top, x[i]);
    top = group_max(top, room);
    for (int i = LANE; i < columns; i += LANES) total += exp(x[i] - top);
    total = group_sum(total, room);
    for (int i = LANE; i < columns; i += LANES) y[i] = exp(x[i] - top) / total;
}
