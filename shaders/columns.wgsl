// What kernels share that sum, compare or normalise along the middle axis of [outer, LEN, INNER].
//
// Computes: nothing by itself. A column is one (outer, inner) pair; a workgroup takes COLUMNS of them, each walked by SLICES
// invocations; slice s takes t = s, s + SLICES, .., and the slices' results meet in a tree. The order depends on LEN alone.
// Layout: element t of column q at start(q) + t INNER.
// Dispatch: ceil(COUNT / COLUMNS) workgroups of COLUMNS x SLICES; ADJACENT: the slices of a column are neighbours.

const BLOCK: u32 = 32u;

var<private> column: u32;
var<private> slice: u32;
var<private> alive: bool;
//@if TREE
var<workgroup> cells: array<f32, COLUMNS * SLICES>;
//@end

fn place(group: vec3<u32>, lane: u32) {
//@if ADJACENT
    let local = lane / SLICES;
    slice = lane % SLICES;
//@else
    let local = lane % COLUMNS;
    slice = lane / COLUMNS;
//@end
    column = (group.y * GRID_X + group.x) * COLUMNS + local;
    alive = column < COUNT;
    // Workgroups past the end walk the last column, so that barriers stay uniform, and store nothing.
    column = min(column, COUNT - 1u);
}

fn start() -> u32 {
    return column / INNER * (LEN * INNER) + column % INNER;
}

//@if TREE
fn cell(of_slice: u32) -> u32 {
//@if ADJACENT
    return of_slice;
//@else
    return of_slice * COLUMNS;
//@end
}

fn first_cell(lane: u32) -> u32 {
//@if ADJACENT
    return lane / SLICES * SLICES;
//@else
    return lane % COLUMNS;
//@end
}
//@end

// The larger; NaN on either side comes through.
fn largest(a: f32, b: f32) -> f32 {
    return select(b, a, a > b || a != a);
}

fn all_sum(lane: u32, mine: f32) -> f32 {
//@if TREE
    workgroupBarrier();
    cells[lane] = mine;
    for (var half = SLICES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (slice < half) {
            cells[lane] += cells[lane + cell(half)];
        }
    }
    workgroupBarrier();
    return cells[first_cell(lane)];
//@else
    return mine;
//@end
}

fn all_max(lane: u32, mine: f32) -> f32 {
//@if TREE
    workgroupBarrier();
    cells[lane] = mine;
    for (var half = SLICES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (slice < half) {
            cells[lane] = largest(cells[lane], cells[lane + cell(half)]);
        }
    }
    workgroupBarrier();
    return cells[first_cell(lane)];
//@else
    return mine;
//@end
}
