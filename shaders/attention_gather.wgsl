// Adds to {SUMS} what the weights in {TILE_OF} sum up of the tokens of OTHER from `other` on. Weights past the end are 0.
fn gather_{SUMS}(lane: u32, other: u32) {
    let rows = lane / TILE * 4u;
    for (var step = 0u; step < TILE; step += 4u) {
//@for s in 4
        {
            let origin = token(min(other + step + {s}u, {OTHER_TOKENS} - 1u), {OTHER_TOKENS});
            let weights = vec4<f32>(
                {TILE_OF}[rows * LINE + step + {s}u],
                {TILE_OF}[(rows + 1u) * LINE + step + {s}u],
                {TILE_OF}[(rows + 2u) * LINE + step + {s}u],
                {TILE_OF}[(rows + 3u) * LINE + step + {s}u],
            );
//@for j in COLUMNS
            {SUMS}_{j} = fma(weights, vec4<f32>({OTHER}[origin + min(lane % TILE + {j}u * TILE, FEATURES - 1u)]), {SUMS}_{j});
//@end
        }
//@end
    }
}

//@for j in COLUMNS
var<private> {SUMS}_{j}: vec4<f32>;
//@end

// Stores row `r` of the invocation's four, each sum times a factor.
fn store_{SUMS}(lane: u32, factors: vec4<f32>) {
//@for r in 4
    {
        let row = first_row + lane / TILE * 4u + {r}u;
        if (row < {OWN_TOKENS}) {
            let to = token(row, {OWN_TOKENS});
//@for j in COLUMNS
            if (lane % TILE + {j}u * TILE < FEATURES) {
                {TO}[to + lane % TILE + {j}u * TILE] = {SUMS}_{j}[{r}] * factors[{r}];
            }
//@end
        }
    }
//@end
}
