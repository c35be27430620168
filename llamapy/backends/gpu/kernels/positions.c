/* Positions: scores of distances, and what follows from where a token is. */

/* The bucket of a distance: near ones have their own, those further away share more and more. A
 * distance on the edge of a bucket is in the upper one, whichever way the logarithm is rounded. */
DEVICE int bucket_of(int distance, int count, int far) {
    const int exact = count / 2;
    if (distance < exact) return distance;
    const float share = log((float)distance / exact) / log((float)far / exact);
    const int bucket = (int)floor(exact + share * (count - exact) + 1e-5f);
    return bucket < count - 1 ? bucket : count - 1;
}

/* a lane for each cell of each token, which it scores for all heads; `around`: to both sides */
DEVICE void scores_of_distances(
    GLOBAL float *out, const GLOBAL float *w, const GLOBAL int *positions,
    const GLOBAL int *sequences, const GLOBAL int *cell_positions, const GLOBAL int *pages,
    const GLOBAL int *lengths, int page, int far, int buckets, int heads, int n, int n_pages,
    int around
) {
    const size_t i = INDEX;
    const int count = n_pages * page;
    if (i >= (size_t)n * count) return;
    const int token = i / count, at = i % count, sequence = sequences[token];
    int bucket = -1;
    if (sequence >= 0 && at < lengths[sequence]) {
        const int cell = pages[sequence * n_pages + at / page] * page + at % page;
        const int after = cell_positions[cell] - positions[token];
        if (around)
            bucket = bucket_of(after < 0 ? -after : after, buckets / 2, far) + (after > 0 ? buckets / 2 : 0);
        else
            bucket = bucket_of(after < 0 ? -after : 0, buckets, far);
    }
    for (int head = 0; head < heads; head++)
        out[((size_t)token * heads + head) * count + at] = bucket < 0 ? 0.0f : w[bucket * heads + head];
}

#define DISTANCES(name, around)                                                                    \
    KERNEL name(                                                                                   \
        GLOBAL float *out, const GLOBAL float *w, const GLOBAL int *positions,                     \
        const GLOBAL int *sequences, const GLOBAL int *cell_positions, const GLOBAL int *pages,    \
        const GLOBAL int *lengths, int page, int far, int buckets, int heads, int n, int cells,    \
        int rows, int n_pages                                                                      \
    ) {                                                                                            \
        scores_of_distances(                                                                       \
            out, w, positions, sequences, cell_positions, pages, lengths, page, far, buckets,      \
            heads, n, n_pages, around                                                              \
        );                                                                                         \
    }
DISTANCES(bias_behind, 0)
DISTANCES(bias_around, 1)

KERNEL chunk_ends(GLOBAL int *out, const GLOBAL int *positions, int length, int n) {
    const size_t i = INDEX;
    if (i >= n) return;
    const int before = positions[i] < 0 ? (positions[i] + 1) / length - 1 : positions[i] / length;
    out[i] = before * length + length - 1;
}

KERNEL grow_far(
    GLOBAL float *out, const GLOBAL float *q, const GLOBAL int *positions, float strength,
    float period, float offset, int n, int heads, int size
) {
    const size_t i = INDEX;
    if (i >= (size_t)n * heads * size) return;
    const float passed = floor(((float)positions[i / size / heads] + offset) / period);
    out[i] = q[i] * (log(passed + 1.0f) * strength + 1.0f);
}

KERNEL translate(GLOBAL int *out, const GLOBAL int *ids, const GLOBAL int *table, int n, int count) {
    const size_t i = INDEX;
    if (i < n) out[i] = table[ids[i]];
}

KERNEL mean_pool(
    GLOBAL float *out, const GLOBAL float *x, const GLOBAL int *sequences,
    const GLOBAL int *lengths, int n, int columns, int rows
) {
    const size_t i = INDEX;
    if (i >= (size_t)rows * columns) return;
    const int row = i / columns, length = lengths[row];
    float sum = 0.0f;
    for (int token = 0; token < n; token++)
        if (sequences[token] == row) sum += x[(size_t)token * columns + i % columns];
    out[i] = sum / (length > 1 ? length : 1);
}
