/* Attention with an online softmax: a group for each head of each token. It goes through the cells
 * of the token's sequence, as many at a time as it has lanes: each lane scores one, then all mix. */
#define MINE ((VALUE_SIZE + LANES - 1) / LANES) /* values of the result of a lane */

KERNEL attend(
    GLOBAL float *out, const GLOBAL float *q, const GLOBAL uchar *k, const GLOBAL uchar *v,
    const GLOBAL int *positions, const GLOBAL int *reach, const GLOBAL int *sequences,
    const GLOBAL int *cell_positions, const GLOBAL int *pages, const GLOBAL int *lengths,
    const GLOBAL float *sinks, const GLOBAL float *slopes, const GLOBAL float *bias, int page,
    float scale, int window, float softcap, int heads, int kv_heads, int n_pages
) {
    LOCAL_VAR float room[LANES];
    LOCAL_VAR float query[KEY_SIZE];
    LOCAL_VAR float shares[LANES];
    LOCAL_VAR int cells[LANES];
    const int token = GROUP / heads, head = GROUP % heads, kv_head = head / (heads / kv_heads);
    const int sequence = sequences[token], here = positions[token], farthest = reach[token];
    const int length = sequence < 0 ? 0 : lengths[sequence];
    GLOBAL float *mixed = out + (size_t)GROUP * VALUE_SIZE;
    for (int i = LANE; i < KEY_SIZE; i += LANES) query[i] = q[(size_t)GROUP * KEY_SIZE + i];
    BARRIER;
    /* the sink is a score that gives nothing */
    float top = sinks && sequence >= 0 ? sinks[head] : -INFINITY, total = top > -INFINITY ? 1.0f : 0.0f;
    float result[MINE];
    for (int i = 0; i < MINE; i++) result[i] = 0.0f;
    for (int first = 0; first < length; first += LANES) {
        const int at = first + LANE;
        float score = -INFINITY;
        int cell = 0;
        if (at < length) {
            cell = pages[sequence * n_pages + at / page] * page + at % page;
            const int there = cell_positions[cell];
            if (there >= 0 && there <= farthest && (window == 0 || there > here - window)) {
                const GLOBAL uchar *row = k + ((size_t)cell * kv_heads + kv_head) * ROW_BYTES(KEY_SIZE);
                score = 0.0f;
                for (int i = 0; i < KEY_SIZE; i += 32) {
                    float keys[32];
                    decode32(row, i, KEY_SIZE, keys);
                    for (int j = 0; j < 32 && i + j < KEY_SIZE; j++) score += query[i + j] * keys[j];
                }
                score *= scale;
                if (softcap > 0.0f) score = softcap * tanh(score / softcap);
                if (bias) score += bias[(size_t)GROUP * n_pages * page + at];
                if (slopes) score -= slopes[head] * fabs((float)(here - there));
            }
        }
        const float higher = fmax(top, group_max(score, room));
        const float share = score > -INFINITY ? exp(score - higher) : 0.0f;
        const float fades = top > -INFINITY ? exp(top - higher) : 0.0f;
        shares[LANE] = share;
        cells[LANE] = cell;
        total = total * fades + group_sum(share, room); /* and all shares are there */
        top = higher;
        for (int i = 0; i < MINE; i++) result[i] *= fades;
        for (int other = 0; other < LANES && first + other < length; other++) {
            if (shares[other] == 0.0f) continue;
            const GLOBAL uchar *row =
                v + ((size_t)cells[other] * kv_heads + kv_head) * second_ROW_BYTES(VALUE_SIZE);
            for (int i = 0; i < MINE; i++) {
                const int column = LANE + i * LANES;
                if (column < VALUE_SIZE) result[i] += shares[other] * second_decode(row, column);
            }
        }
        BARRIER;
    }
    for (int i = 0; i < MINE; i++) {
        const int column = LANE + i * LANES;
        if (column < VALUE_SIZE) mixed[column] = total > 0.0f ? result[i] / total : 0.0f;
    }
}
