/* Routing: which experts a token goes to, and how much each of them counts. */

#ifdef EXPERTS
/* how many of n scores come before one: the larger ones, and of equals those before it */
DEVICE int rank_of(int i, const LOCAL_PTR float *scores, int n) {
    const float score = scores[i];
    int rank = 0;
    for (int j = 0; j < n; j++) rank += scores[j] > score || (scores[j] == score && j < i);
    return rank;
}

/* A group of lanes for each token. Of groups of experts, those count whose best two together are
 * the likeliest. */
KERNEL choose_experts(
    GLOBAL int *ids, const GLOBAL float *probabilities, const GLOBAL float *bias, int count,
    int groups, int groups_used, int experts
) {
    LOCAL_VAR float scores[EXPERTS];
    LOCAL_VAR float of_groups[EXPERTS];
    const size_t token = GROUP;
    const int members = experts / groups;
    for (int i = LANE; i < experts; i += LANES) {
        const float score = probabilities[token * experts + i] + (bias ? bias[i] : 0.0f);
        scores[i] = score == score ? score : -INFINITY; /* a NaN would have no rank */
    }
    BARRIER;
    for (int g = LANE; g < groups; g += LANES) {
        float first = -INFINITY, second = -INFINITY;
        for (int i = g * members; i < (g + 1) * members; i++) {
            second = fmax(second, fmin(first, scores[i]));
            first = fmax(first, scores[i]);
        }
        of_groups[g] = members > 1 ? second + first : first;
    }
    BARRIER;
    for (int i = LANE; i < experts; i += LANES)
        if (groups > 1 && rank_of(i / members, of_groups, groups) >= groups_used)
            scores[i] = -INFINITY;
    BARRIER;
    for (int i = LANE; i < experts; i += LANES) {
        const int rank = rank_of(i, scores, experts);
        if (rank < count) ids[token * count + rank] = i;
    }
}
#else

KERNEL expert_weights(
    GLOBAL float *out, const GLOBAL float *probabilities, const GLOBAL int *ids, int n, int e, int c
) {
    const size_t i = INDEX;
    if (i < (size_t)n * c) out[i] = probabilities[i / c * e + ids[i]];
}

KERNEL normalize_weights(GLOBAL float *out, const GLOBAL float *weights, int n, int c) {
    const size_t i = INDEX;
    if (i >= (size_t)n * c) return;
    float total = 0.0f;
    for (int j = 0; j < c; j++) total += weights[i / c * c + j];
    out[i] = weights[i] / fmax(total, 6.103515625e-05f);
}

KERNEL nearest_choice(GLOBAL int *out, const GLOBAL float *x, int highest, int n, int h, int d) {
    const size_t i = INDEX;
    if (i < (size_t)n * h) out[i] = (int)floor(fmin(fmax(x[i * d], 0.0f), (float)highest) + 0.5f);
}

KERNEL chunks_of_experts(GLOBAL int *out, const GLOBAL int *ids, float by, int count) {
    const size_t i = INDEX;
    if (i < count) out[i] = (int)(ids[i] * by);
}
#endif
