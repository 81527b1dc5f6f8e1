// A factor of a matrix product that lies in memory as a plain matrix.
//
// Computes: blocks of 4 rows (of A; columns of B) x 4 k, zero where k >= K. Rows past the end repeat the last one: what
// they yield is never stored.
// Layout: {OPERAND} of ALONG_K: element (r, k) at BASE + r LEADING + k, else at BASE + k LEADING + r. VECTOR: the axis that is
// contiguous, LEADING and BASE are multiples of 4 and memory is read in quads.
// {OPERAND}_at(i) is the i-th quad or element, whatever its type in memory.
// Dispatch: none of its own.

struct {OPERAND}_Row {
//@if ONE_START
    at: u32,
//@else
    at: vec4<u32>,
//@end
}

fn {OPERAND}_row(z: u32, r: u32) -> {OPERAND}_Row {
//@if ONE_START
    return {OPERAND}_Row({BASE} + min(r, {EXTENT}u - 4u));
//@else
    let rows = min(vec4<u32>(r, r + 1u, r + 2u, r + 3u), vec4<u32>({EXTENT}u - 1u));
//@if ALONG_K
    return {OPERAND}_Row(vec4<u32>({BASE}) + rows * {LEADING}u);
//@else
    return {OPERAND}_Row(vec4<u32>({BASE}) + rows);
//@end
//@end
}

fn {OPERAND}_load(row: {OPERAND}_Row, k: u32) -> mat4x4<f32> {
//@if ALONG_K
//@if VECTOR
//@if GUARD_K
    if (k >= K) {
        return mat4x4<f32>();
    }
//@end
    let at = (row.at + vec4<u32>(k)) / vec4<u32>(4u);
    return transpose(mat4x4<f32>({OPERAND}_at(at.x), {OPERAND}_at(at.y), {OPERAND}_at(at.z), {OPERAND}_at(at.w)));
//@else
    var block = mat4x4<f32>();
//@for s in 4
    if (!{GUARD_K} || k + {s}u < K) {
        let at = row.at + vec4<u32>(k + {s}u);
        block[{s}] = vec4<f32>({OPERAND}_at(at.x), {OPERAND}_at(at.y), {OPERAND}_at(at.z), {OPERAND}_at(at.w));
    }
//@end
    return block;
//@end
//@else
    var block = mat4x4<f32>();
//@for s in 4
    if (!{GUARD_K} || k + {s}u < K) {
//@if VECTOR
        block[{s}] = {OPERAND}_at((row.at + (k + {s}u) * {LEADING}u) / 4u);
//@else
        let at = row.at + vec4<u32>((k + {s}u) * {LEADING}u);
        block[{s}] = vec4<f32>({OPERAND}_at(at.x), {OPERAND}_at(at.y), {OPERAND}_at(at.z), {OPERAND}_at(at.w));
//@end
    }
//@end
    return block;
//@end
}
