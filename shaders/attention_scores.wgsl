// Where the operands of attention are, and its scores.
//
// Computes: nothing by itself; a kernel sets `image` and `head` first.
// Layout: tokens [images, tokens, HEADS, FEATURES]; mask [images / SHARING, QUERIES if MASK_ROWS, KEYS].
// Dispatch: none.

var<private> image: u32;
var<private> head: u32;
var<private> scale_bits: u32 = {SCALE}u;

// Where a token's features start.
fn token(index: u32, tokens: u32) -> u32 {
    return ((image * tokens + index) * HEADS + head) * FEATURES;
}

// Scores of a product, after what the mask adds.
fn score(product: f32, row: u32, column: u32) -> f32 {
    let scale = bitcast<f32>(scale_bits);
//@if MASK
    let at = image / SHARING;
//@if MASK_ROWS
    return fma(product, scale, mask[(at * QUERIES + min(row, QUERIES - 1u)) * KEYS + min(column, KEYS - 1u)]);
//@else
    return fma(product, scale, mask[at * KEYS + min(column, KEYS - 1u)]);
//@end
//@else
    return product * scale;
//@end
}
