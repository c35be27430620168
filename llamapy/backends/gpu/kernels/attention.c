/* Attention with an online softmax. A group has some rows, each a head of a token, that share one
 * head of the cache, and a part of the cells, of which it takes as many at a time as it has lanes:
 *
 *   a lane scores one cell, for all rows
 *   32 lanes turn the scores of a row into shares
 *   32 lanes mix the values of some of the cells, for some of the rows: a lane has some columns */
#define WARPS (LANES / 32)
#define STRIDE (ROWS + 4) /* of a cell's scores: its neighbours' lie in other banks */
#define QUADS (VALUE_ROOM / 4)
#define ACROSS (QUADS < 32 ? QUADS : 32) /* lanes for the values of one cell */
#define EACH ((QUADS + 31) / 32)         /* times four columns, of a lane */
#define AT_ONCE (32 / ACROSS)            /* cells of 32 lanes */
#define OWN (EACH > 4 ? 2 : 4)           /* rows that 32 lanes mix values for */
#define SMALLER(a, b) ((a) < (b) ? (a) : (b))

KERNEL attend(
    GLOBAL float *out, GLOBAL float *parts, const GLOBAL float *q, const GLOBAL uchar *k,
    const GLOBAL uchar *v, const GLOBAL int *positions, const GLOBAL int *reach,
    const GLOBAL int *sequences, const GLOBAL int *cell_positions, const GLOBAL int *pages,
    const GLOBAL int *lengths, const GLOBAL float *sinks, const GLOBAL float *slopes,
    const GLOBAL float *bias, int page, float scale, int window, float softcap, int n, int heads,
    int kv_heads, int key_size, int value_size, int n_pages, int tokens_each, int heads_each,
    int splits
) {
    LOCAL_VAR float room[LANES];
    LOCAL_VAR float4 queries[ROWS * KEY_ROOM / 4];
    LOCAL_VAR float4 shares4[LANES * STRIDE / 4];
    LOCAL_VAR float tops[ROWS], totals[ROWS], fades[ROWS], slope[ROWS];
    LOCAL_VAR int cells[LANES], here[ROWS], farthest[ROWS], seen_at;
    LOCAL_PTR float *shares = (LOCAL_PTR float *)shares4;

    /* what is this group's: row r is head r % n_heads of token r / n_heads */
    const int split = GROUP % splits, shared = heads / kv_heads;
    const int head_groups = (shared + heads_each - 1) / heads_each;
    const int within = GROUP / splits % head_groups * heads_each;
    const int kv_head = GROUP / splits / head_groups % kv_heads;
    const int first_token = GROUP / splits / head_groups / kv_heads * tokens_each;
    const int first_head = kv_head * shared + within;
    const int n_heads = SMALLER(heads_each, shared - within);
    const int n_tokens = SMALLER(tokens_each, n - first_token), rows = n_tokens * n_heads;
#define ROW_OF(r) ((size_t)(first_token + (r) / n_heads) * heads + first_head + (r) % n_heads)

    for (int i = LANE; i < ROWS * KEY_ROOM; i += LANES) {
        const int r = i / KEY_ROOM, column = i % KEY_ROOM;
        const int is_there = r < rows && column < key_size;
        ((LOCAL_PTR float *)queries)[i] = is_there ? q[ROW_OF(r) * key_size + column] * scale : 0.0f;
    }
    if (LANE < ROWS) {
        const int head = first_head + LANE % n_heads;
        /* the sink is a score that gives nothing */
        tops[LANE] = sinks && split == 0 && LANE < rows ? sinks[head] : -INFINITY;
        totals[LANE] = tops[LANE] > -INFINITY ? 1.0f : 0.0f;
        fades[LANE] = 1.0f;
        slope[LANE] = slopes && LANE < rows ? slopes[head] : 0.0f;
    }
    if (LANE == 0) seen_at = -1;

    const int warp = LANE / 32, lane = LANE % 32;
    const int row_parts = rows <= OWN ? 1 : rows <= 2 * OWN ? 2 : WARPS;
    const int my_row = warp % row_parts * OWN;
    const int my_cell = warp / row_parts * AT_ONCE + lane / ACROSS;
    const int cell_step = WARPS / row_parts * AT_ONCE, my_column = lane % ACROSS * 4;
    float result[OWN][EACH * 4];
    UNROLLED(OWN)
    for (int r = 0; r < OWN; r++) {
        UNROLLED(EACH * 4)
        for (int i = 0; i < EACH * 4; i++) result[r][i] = 0.0f;
    }

    /* tokens that follow each other and are of one sequence look at the same cells */
    for (int token = 0, next; token < n_tokens; token = next) {
        const int sequence = sequences[first_token + token];
        int latest = -1, earliest = 0x7fffffff;
        for (next = token; next < n_tokens && sequences[first_token + next] == sequence; next++) {
            latest = latest > reach[first_token + next] ? latest : reach[first_token + next];
            earliest = SMALLER(earliest, positions[first_token + next]);
        }
        BARRIER;
        if (LANE < rows) {
            const int mine = LANE / n_heads;
            here[LANE] = positions[first_token + mine];
            farthest[LANE] = mine >= token && mine < next ? reach[first_token + mine] : -1;
        }
        BARRIER;
        const int length = sequence < 0 ? 0 : lengths[sequence];
        const int span = ((length + splits - 1) / splits + LANES - 1) / LANES * LANES;
        const int end = SMALLER(length, (split + 1) * span);
        for (int first = split * span; first < end; first += LANES) {
            int cell = -1, there = -1;
            if (first + LANE < end) {
                const int at = first + LANE;
                cell = pages[sequence * n_pages + at / page] * page + at % page;
                there = cell_positions[cell];
                if (there < 0 || there > latest || (window && there <= earliest - window)) cell = -1;
            }
            cells[LANE] = cell;
            if (cell >= 0) seen_at = first;
            BARRIER;
            if (seen_at == first) {
                /* scores */
                float score[ROWS];
                UNROLLED(ROWS)
                for (int r = 0; r < ROWS; r++) score[r] = 0.0f;
                if (cell >= 0) {
                    const GLOBAL uchar *row =
                        k + ((size_t)cell * kv_heads + kv_head) * ROW_BYTES(key_size);
                    UNROLLED(2 - EACH / 3)
                    for (int i = 0; i < key_size; i += 8) {
                        float x[8];
                        decode8(row, i, key_size, x);
                        UNROLLED(ROWS)
                        for (int r = 0; r < ROWS; r++) {
                            if (r < rows) {
                                const float4 a = queries[(r * KEY_ROOM + i) / 4];
                                const float4 b = queries[(r * KEY_ROOM + i) / 4 + 1];
                                score[r] += a.x * x[0] + a.y * x[1] + a.z * x[2] + a.w * x[3];
                                score[r] += b.x * x[4] + b.y * x[5] + b.z * x[6] + b.w * x[7];
                            }
                        }
                    }
                }
                UNROLLED(ROWS)
                for (int r = 0; r < ROWS; r++) {
                    float x = -INFINITY;
                    if (r < rows && cell >= 0 && there <= farthest[r] &&
                        (window == 0 || there > here[r] - window)) {
                        x = score[r];
                        if (softcap > 0.0f) x = softcap * tanh(x / softcap);
                        if (bias) x += bias[ROW_OF(r) * n_pages * page + first + LANE];
                        x -= slope[r] * fabs((float)(here[r] - there));
                    }
                    if (r < rows + 3) shares[LANE * STRIDE + r] = x;
                }
                BARRIER;
                /* shares; all lanes must come to what 32 lanes do together */
                for (int turn = 0; turn * WARPS < rows; turn++) {
                    const int r = turn * WARPS + warp;
                    float top = -INFINITY, total = 0.0f;
                    for (int i = lane; i < LANES; i += 32) top = fmax(top, shares[i * STRIDE + r]);
                    top = fmax(max_of_32(top, room), tops[r]);
                    for (int i = lane; i < LANES; i += 32) {
                        const float x = shares[i * STRIDE + r];
                        const float share = x > -INFINITY ? exp(x - top) : 0.0f;
                        shares[i * STRIDE + r] = share;
                        total += share;
                    }
                    total = sum_of_32(total, room);
                    if (lane == 0) {
                        fades[r] = tops[r] > -INFINITY ? exp(tops[r] - top) : 1.0f;
                        tops[r] = top;
                        totals[r] = totals[r] * fades[r] + total;
                    }
                }
                BARRIER;
                /* values */
                UNROLLED(OWN)
                for (int r = 0; r < OWN; r++) {
                    UNROLLED(EACH * 4)
                    for (int i = 0; i < EACH * 4; i++) result[r][i] *= fades[my_row + r];
                }
                UNROLLED(2 - EACH / 3)
                for (int i = my_cell; i < LANES; i += cell_step) {
                    if (cells[i] < 0) continue;
                    const GLOBAL uchar *row =
                        v + ((size_t)cells[i] * kv_heads + kv_head) * ROW_BYTES(value_size);
                    const float4 four = shares4[(i * STRIDE + my_row) / 4];
                    const int is_odd = OWN == 2 && my_row % 4; /* the other half of the four */
                    const float s0 = is_odd ? four.z : four.x, s1 = is_odd ? four.w : four.y;
                    UNROLLED(EACH)
                    for (int e = 0; e < EACH; e++) {
                        const int column = my_column + 128 * e;
                        if (column < value_size) {
                            float x[4];
                            decode4(row, column, value_size, x);
                            UNROLLED(4)
                            for (int c = 0; c < 4; c++) {
                                result[0][4 * e + c] += s0 * x[c];
                                result[1][4 * e + c] += s1 * x[c];
                                if (OWN == 2) continue;
                                result[2 % OWN][4 * e + c] += four.z * x[c];
                                result[3 % OWN][4 * e + c] += four.w * x[c];
                            }
                        }
                    }
                }
            }
            BARRIER;
        }
    }

    /* the results of those who had other cells, added: four columns at a time */
    UNROLLED(OWN)
    for (int r = 0; r < OWN; r++) {
        UNROLLED(EACH)
        for (int e = 0; e < EACH; e++) {
            BARRIER;
            for (int c = 0; c < 4; c++) shares[4 * LANE + c] = result[r][4 * e + c];
            BARRIER;
            for (int i = LANE; i < row_parts * ACROSS * 4; i += LANES) {
                const int part = i / (ACROSS * 4), at = i % (ACROSS * 4), column = at + 128 * e;
                const int row = part * OWN + r;
                if (row >= rows || column >= value_size) continue;
                float sum = 0.0f;
                for (int w = part; w < WARPS; w += row_parts)
                    for (int s = 0; s < AT_ONCE; s++) sum += shares[(w * 32 + s * ACROSS) * 4 + at];
                if (splits == 1)
                    out[ROW_OF(row) * value_size + column] = totals[row] > 0.0f ? sum / totals[row] : 0.0f;
                else
                    parts[(ROW_OF(row) * splits + split) * (value_size + 2) + 2 + column] = sum;
            }
        }
    }
    if (splits > 1 && LANE < rows) {
        GLOBAL float *part = parts + (ROW_OF(LANE) * splits + split) * (value_size + 2);
        part[0] = tops[LANE];
        part[1] = totals[LANE];
    }
}

/* what groups with other cells found, put together: a group for each head of each token */
KERNEL fold(GLOBAL float *out, const GLOBAL float *parts, int value_size, int splits) {
    const GLOBAL float *mine = parts + (size_t)GROUP * splits * (value_size + 2);
    float top = -INFINITY;
    for (int s = 0; s < splits; s++) top = fmax(top, mine[s * (value_size + 2)]);
    for (int column = LANE; column < value_size; column += LANES) {
        float sum = 0.0f, total = 0.0f;
        for (int s = 0; s < splits; s++) {
            const GLOBAL float *part = mine + s * (value_size + 2);
            if (part[0] == -INFINITY) continue;
            const float counts = exp(part[0] - top);
            total += counts * part[1];
            sum += counts * part[2 + column];
        }
        out[(size_t)GROUP * value_size + column] = total > 0.0f ? sum / total : 0.0f;
    }
}
