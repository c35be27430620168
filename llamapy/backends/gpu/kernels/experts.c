/* Which rows go to which expert: a group for each expert, and one for rows that go to none.
 *
 * `lists` gets, from `at` on, the rows in the order of their experts, and for each tile of up to
 * `size` of them its expert, its first place in that order, and how many it has. The tiles of an
 * expert begin at (its first place / size + its number), which leaves room for all that are not
 * full; those in between have no rows. */
KERNEL group_rows(
    GLOBAL int *lists, const GLOBAL int *ids, int at, int rows, int experts, int size
) {
    LOCAL_VAR int before[LANES];
    LOCAL_VAR int mine[LANES];
    const int expert = GROUP, share = (rows + LANES - 1) / LANES;
    const int begin = LANE * share, end = begin + share < rows ? begin + share : rows;
    int lower = 0, equal = 0;
    for (int i = begin; i < end; i++) {
        const int id = ids[i] < 0 ? experts : ids[i];
        lower += id < expert;
        equal += id == expert;
    }
    before[LANE] = lower;
    mine[LANE] = equal;
    BARRIER;
    int first = 0, count = 0, place = 0;
    for (int i = 0; i < LANES; i++) {
        first += before[i];
        count += mine[i];
        if (i < LANE) place += mine[i];
    }
    GLOBAL int *order = lists + at, *tiles = order + rows;
    place += first;
    for (int i = begin; i < end; i++)
        if ((ids[i] < 0 ? experts : ids[i]) == expert) order[place++] = i;
    const int tile = first / size + expert, next = (first + count) / size + expert + 1;
    for (int i = LANE; i < next - tile; i += LANES) {
        const int done = i * size;
        GLOBAL int *of_tile = tiles + 3 * (tile + i);
        of_tile[0] = expert < experts ? expert : -1;
        of_tile[1] = first + done;
        of_tile[2] = count - done < size ? count - done : size;
    }
}

/* ---- what is done with what experts gave: a lane for each value */

KERNEL add_expert_bias(
    GLOBAL float *out, const GLOBAL float *y, const GLOBAL float *b, const GLOBAL int *ids, int n,
    int c, int m, int e
) {
    const size_t i = INDEX;
    if (i < (size_t)n * c * m) out[i] = y[i] + b[(size_t)ids[i / m] * m + i % m];
}

KERNEL mul_expert_scale(
    GLOBAL float *out, const GLOBAL float *y, const GLOBAL float *b, const GLOBAL int *ids, int n,
    int c, int m, int e
) {
    const size_t i = INDEX;
    if (i < (size_t)n * c * m) out[i] = y[i] * b[ids[i / m]];
}

/* without weights, the sum alone */
DEVICE void sum_experts(
    GLOBAL float *out, const GLOBAL float *y, const GLOBAL float *weights, int n, int c, int m
) {
    const size_t i = INDEX, row = i / m;
    if (i >= (size_t)n * m) return;
    float total = 0.0f;
    for (int j = 0; j < c; j++)
        total += y[(row * c + j) * m + i % m] * (weights ? weights[row * c + j] : 1.0f);
    out[i] = total;
}

KERNEL expert_sum(
    GLOBAL float *out, const GLOBAL float *y, const GLOBAL float *weights, int n, int c, int m
) {
    sum_experts(out, y, weights, n, c, m);
}

KERNEL expert_total(GLOBAL float *out, const GLOBAL float *y, int n, int c, int m) {
    sum_experts(out, y, 0, n, c, m);
}
