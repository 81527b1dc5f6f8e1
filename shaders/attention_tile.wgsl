// What the kernels of attention share: a workgroup has TILE rows (tokens that own the result) of one head of one image, and other tokens pass by in
// blocks of TILE.
//
// Computes: nothing by itself. product_*: scores of a block, four an invocation; gather_*: what the weights in a tile sum up.
// Layout: tokens [images, tokens, HEADS, FEATURES]; tiles are rows of LINE, one element of padding against bank conflicts.
// Dispatch: SIZE invocations, a quarter of a tile's elements. In products an invocation has rows and columns `SIDE` apart, in sums four rows
// and every TILE-th feature.

const LINE: u32 = TILE + 1u;
const SIDE: u32 = TILE / 2u;

var<workgroup> first_tile: array<f32, TILE * LINE>;
var<workgroup> second_tile: array<f32, TILE * LINE>;

// The first row of the workgroup.
var<private> first_row: u32;

// Takes the workgroup's place; false past the end.
fn place(group: vec3<u32>, row_blocks: u32) -> bool {
    let block = group.y * GRID_X + group.x;
    first_row = block % row_blocks * TILE;
    head = block / row_blocks % HEADS;
    image = block / row_blocks / HEADS;
    return block < BLOCKS;
}
