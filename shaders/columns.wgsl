// What kernels share that sum, compare or normalise along the middle axis of [outer, LEN, INNER].
//
// Computes: nothing by itself. A column is one (outer, inner) pair; a workgroup takes COLUMNS of them, each walked by SLICES
// invocations; slice s takes t = s, s + SLICES, .., and the slices' results meet in a tree, the last EXCHANGES levels of which
// need no workgroup memory where {MEET} neighbours are in one subgroup. The order depends on LEN alone.
// Layout: element t of column q at start(q) + t INNER.
// Dispatch: ceil(COUNT / COLUMNS) workgroups of COLUMNS x SLICES; ADJACENT: the slices of a column are neighbours.

const BLOCK: u32 = 32u;

var<private> column: u32;
var<private> slice: u32;
var<private> alive: bool;
//@if SHARED
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

//@if SHARED
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

//@if TREE
// The results of a column's slices that are left once they met in a tree down to {MEET} of them, one an invocation.
fn meet(lane: u32, mine: f32, sum: bool) -> f32 {
//@if SHARED
    workgroupBarrier();
    cells[lane] = mine;
    for (var half = SLICES / 2u; half >= {MEET}u; half /= 2u) {
        workgroupBarrier();
        if (slice < half) {
            let other = cells[lane + cell(half)];
            cells[lane] = select(largest(cells[lane], other), cells[lane] + other, sum);
        }
    }
    workgroupBarrier();
    return cells[first_cell(lane) + cell(slice % {MEET}u)];
//@else
    return mine;
//@end
}
//@end

// Pairs of slices at the same distances meet in the same order whether in memory or between invocations.
fn all_sum(lane: u32, mine: f32) -> f32 {
//@if TREE
    var v = meet(lane, mine, true);
//@for i in EXCHANGES
    v += subgroupShuffleXor(v, {MEET}u >> ({i}u + 1u));
//@end
    return v;
//@else
    return mine;
//@end
}

fn all_max(lane: u32, mine: f32) -> f32 {
//@if TREE
    var v = meet(lane, mine, false);
//@for i in EXCHANGES
    {
        let distance = {MEET}u >> ({i}u + 1u);
        let other = subgroupShuffleXor(v, distance);
        // Both of a pair compare in one order, so that they agree about NaN and the sign of 0.
        let first = (slice & distance) == 0u;
        v = largest(select(other, v, first), select(v, other, first));
    }
//@end
    return v;
//@else
    return mine;
//@end
}
