/* The parts of attention, for those who look at what is between them: a group for each head of a
 * token. Scores and shares have a column for every cell of its sequence's pages. */

#ifdef BLOCK
KERNEL scores(
    GLOBAL float *out, const GLOBAL float *q, const GLOBAL uchar *k, const GLOBAL int *sequences,
    const GLOBAL int *pages, const GLOBAL int *lengths, int page, int heads, int kv_heads, int size,
    int n_pages
) {
    const int token = GROUP / heads, kv_head = GROUP % heads / (heads / kv_heads);
    const int sequence = sequences[token], length = sequence < 0 ? 0 : lengths[sequence];
    const GLOBAL float *query = q + (size_t)GROUP * size;
    for (int at = LANE; at < n_pages * page; at += LANES) {
        float score = 0.0f;
        if (at < length) {
            const int cell = pages[sequence * n_pages + at / page] * page + at % page;
            const GLOBAL uchar *row = k + ((size_t)cell * kv_heads + kv_head) * ROW_BYTES(size);
            for (int i = 0; i < size; i += 4) {
                float keys[4];
                decode4(row, i, size, keys);
                for (int j = 0; j < 4 && i + j < size; j++) score += query[i + j] * keys[j];
            }
        }
        out[(size_t)GROUP * n_pages * page + at] = score;
    }
}

KERNEL attention_mix(
    GLOBAL float *out, const GLOBAL float *shares, const GLOBAL uchar *v,
    const GLOBAL int *sequences, const GLOBAL int *pages, const GLOBAL int *lengths, int page,
    int heads, int kv_heads, int size, int n_pages
) {
    const int token = GROUP / heads, kv_head = GROUP % heads / (heads / kv_heads);
    const int sequence = sequences[token], length = sequence < 0 ? 0 : lengths[sequence];
    for (int column = 4 * LANE; column < size; column += 4 * LANES) {
        float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (int at = 0; at < length; at++) {
            const float share = shares[(size_t)GROUP * n_pages * page + at];
            const int cell = pages[sequence * n_pages + at / page] * page + at % page;
            float values[4];
            if (share == 0.0f) continue;
            decode4(v + ((size_t)cell * kv_heads + kv_head) * ROW_BYTES(size), column, size, values);
            for (int j = 0; j < 4; j++) sums[j] += share * values[j];
        }
        for (int j = 0; j < 4 && column + j < size; j++)
            out[(size_t)GROUP * size + column + j] = sums[j];
    }
}
#else

KERNEL attention_softmax(
    GLOBAL float *out, const GLOBAL float *scores, const GLOBAL int *positions,
    const GLOBAL int *reach, const GLOBAL int *sequences, const GLOBAL int *cell_positions,
    const GLOBAL int *pages, const GLOBAL int *lengths, const GLOBAL float *sinks,
    const GLOBAL float *slopes, const GLOBAL float *bias, int page, float scale, int window,
    float softcap, int heads, int n_pages
) {
    LOCAL_VAR float room[LANES];
    const int token = GROUP / heads, head = GROUP % heads, count = n_pages * page;
    const int sequence = sequences[token], length = sequence < 0 ? 0 : lengths[sequence];
    const int here = positions[token];
    GLOBAL float *shares = out + (size_t)GROUP * count;
    const float sink = sinks ? sinks[head] : -INFINITY;
    float top = sink, total = 0.0f;
    for (int at = LANE; at < length; at += LANES) {
        const int there = cell_positions[pages[sequence * n_pages + at / page] * page + at % page];
        float x = -INFINITY;
        if (there >= 0 && there <= reach[token] && (window == 0 || there > here - window)) {
            x = scores[(size_t)GROUP * count + at] * scale;
            if (softcap > 0.0f) x = softcap * tanh(x / softcap);
            if (bias) x += bias[(size_t)GROUP * count + at];
            if (slopes) x -= slopes[head] * fabs((float)(here - there));
        }
        shares[at] = x;
        top = fmax(top, x);
    }
    top = group_max(top, room);
    for (int at = LANE; at < length; at += LANES) {
        shares[at] = shares[at] > -INFINITY ? exp(shares[at] - top) : 0.0f;
        total += shares[at];
    }
    total = group_sum(total, room) + (sink > -INFINITY ? exp(sink - top) : 0.0f);
    for (int at = LANE; at < count; at += LANES)
        shares[at] = at < length && total > 0.0f ? shares[at] / total : 0.0f;
}
#endif
