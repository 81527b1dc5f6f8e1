//! Matrix products in general: two loaders and a store around one of two main loops.

use super::super::Operands;
use super::super::template::Template;
use super::variants::{PADDING, Variant};
use super::{Adapter, Binding, Kernel, declare, element, grid, unroll};

/// `C[z] = A[z] B[z]` with whatever yields A and B.
pub(super) struct Gemm<'a> {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    /// Products.
    pub(super) z: usize,
    pub(super) a: Factor<'a>,
    pub(super) b: Factor<'a>,
    pub(super) c: Store,
    /// Constants of the loaders.
    pub(super) sizes: Vec<(&'a str, usize)>,
    pub(super) bindings: Vec<Binding>,
    /// Whether the loaders must check k even where the main loop's steps fit (the last part of a split sum is short).
    pub(super) guard_k: bool,
}

/// Where a factor's blocks come from.
pub(super) enum Factor<'a> {
    /// gemm_matrix.wgsl: a matrix with its base (WGSL in z), its leading dimension and whether k is contiguous.
    Matrix { base: String, leading: usize, along_k: bool, vector: bool },
    /// A file of its own, with its flags, all of which say where quads are read. B's text is empty where A's file defines both.
    Own { text: &'a str, flags: Vec<(&'a str, bool)>, vector: bool },
}

/// Where C goes and what is done to it before.
pub(super) struct Store {
    /// WGSL in z.
    pub(super) base: String,
    pub(super) leading: usize,
    pub(super) vector: bool,
    /// WGSL in z.
    pub(super) bias: Option<String>,
    pub(super) residual: bool,
    pub(super) relu: bool,
}

impl Gemm<'_> {
    /// The kernel for this adapter.
    pub(super) fn kernel(self, adapter: &Adapter) -> Kernel {
        if adapter.software { self.direct(adapter) } else { self.tiled(adapter) }
    }

    fn direct(self, adapter: &Adapter) -> Kernel {
        const SIZE: usize = 16;
        let quads = |extent: usize| if extent > 4 { 2 } else { 1 };
        let (qm, qn) = (quads(self.m), quads(self.n));
        let (row_tiles, column_tiles) = (self.m.div_ceil(4 * qm), self.n.div_ceil(4 * qn));
        let tiles = row_tiles * column_tiles * self.z;
        let workgroups = grid(tiles.div_ceil(SIZE), adapter);
        let unroll = unroll(self.k.div_ceil(4), adapter);
        let sizes = [
            ("SIZE", SIZE),
            ("GRID_X", workgroups[0] as usize),
            ("TILES", tiles),
            ("ROW_TILES", row_tiles),
            ("COLUMN_TILES", column_tiles),
            ("QM", qm),
            ("QN", qn),
            ("UNROLL", unroll),
        ];
        let main = Template::new(&[include_str!("../../../../shaders/gemm_direct.wgsl")])
            .sizes(&sizes)
            .word("ROUND", if adapter.operands == Operands::F32 { "" } else { "rounded_block" });
        self.finish(main, 4 * unroll, workgroups, adapter.operands)
    }

    fn tiled(mut self, adapter: &Adapter) -> Kernel {
        let variant = adapter
            .product
            .filter(|variant| variant.fits(adapter))
            .unwrap_or_else(|| Variant::likely([self.m, self.n, self.z], adapter));
        let Variant { block: [bm, bn], own: [tm, tn], step, double, quads, matrix } = variant;
        if !quads {
            self.read_singly();
        }
        let (row_blocks, column_blocks) = (self.m.div_ceil(bm), self.n.div_ceil(bn));
        let blocks = row_blocks * column_blocks * self.z;
        let workgroups = grid(blocks, adapter);
        let threads = variant.threads(adapter);
        let (a_units, b_units) = (bm / 4 * (step / 4), bn / 4 * (step / 4));
        let sizes = [
            ("GRID_X", workgroups[0] as usize),
            ("BLOCKS", blocks),
            ("ROW_BLOCKS", row_blocks),
            ("COLUMN_BLOCKS", column_blocks),
            ("BM", bm),
            ("BN", bn),
            ("BK", step),
            ("K_END", self.k.next_multiple_of(PADDING)),
            ("BUFFERS", if double { 2 } else { 1 }),
            ("QM", tm / matrix.max(4)),
            ("QN", tn / matrix.max(4)),
            ("ROW_THREADS", bm / tm),
            ("COLUMN_THREADS", bn / tn),
            ("THREADS", threads),
            ("A_SLOTS", a_units.div_ceil(threads)),
            ("B_SLOTS", b_units.div_ceil(threads)),
        ];
        if matrix > 0 {
            let lanes = adapter.matrix.map_or(1, |matrix| matrix.lanes);
            let main = Template::new(&[include_str!("../../../../shaders/gemm_cooperative.wgsl")])
                .sizes(&sizes)
                .sizes(&[("SIDE", matrix), ("LANES", lanes), ("COLUMN_PARTS", bn / tn)])
                .sizes(&[("K_TILES", step / matrix)]);
            let mut kernel = self.finish(main, PADDING, workgroups, adapter.operands);
            kernel.source.insert_str(0, "enable wgpu_cooperative_matrix;\n");
            return kernel;
        }
        let half = adapter.operands != Operands::F32;
        let split = a_units == b_units && a_units * 2 == threads;
        let main = Template::new(&[include_str!("../../../../shaders/gemm_tiled.wgsl")])
            .sizes(&sizes)
            .flags(&[("SPLIT", split), ("DOUBLE", double)])
            .word("TILE", if half { "vec4<f16>" } else { "vec4<f32>" })
            .word("ROUND", if half { "rounded" } else { "" });
        self.finish(main, PADDING, workgroups, adapter.operands)
    }

    /// Takes single elements where operands would allow quads.
    fn read_singly(&mut self) {
        for factor in [&mut self.a, &mut self.b] {
            match factor {
                Factor::Matrix { vector, .. } => *vector = false,
                Factor::Own { flags, vector, .. } => {
                    *vector = false;
                    flags.iter_mut().for_each(|(_, flag)| *flag = false);
                }
            }
        }
        self.c.vector = false;
    }

    /// Puts the loaders and the store behind the main loop, which takes `step` of k at a time.
    fn finish(mut self, main: Template, step: usize, workgroups: [u32; 3], operands: Operands) -> Kernel {
        let guard = self.guard_k || !self.k.is_multiple_of(step);
        let (kind_a, kind_b) = (element(self.a.vector()), element(self.b.vector()));
        let kept_b = match (operands, kind_b) {
            (Operands::Kept, "f32") => "f16",
            (Operands::Kept, _) => "vec4<f16>",
            _ => kind_b,
        };
        if operands == Operands::Kept {
            // The weights are the second operand of everything that has some.
            self.bindings.iter_mut().filter(|binding| **binding == Binding::Input(1)).for_each(|binding| {
                *binding = Binding::Half(1);
            });
        }
        let mut names = vec![("a", kind_a), ("b", kept_b)];
        if self.c.bias.is_some() {
            names.push(("bias", element(self.c.vector)));
        }
        if self.c.residual {
            names.push(("residual", element(self.c.vector)));
        }
        names.push(("c", element(self.c.vector)));
        let sizes = [("M", self.m), ("N", self.n), ("K", self.k)];
        let round = include_str!("../../../../shaders/gemm_round.wgsl");
        let source = [
            if operands == Operands::F32 { String::new() } else { format!("enable f16;\n{round}") },
            read("a", kind_a),
            read("b", kind_b),
            main.sizes(&sizes).sizes(&self.sizes).render(),
            declare(&names),
            self.a.render("a", self.m, guard),
            self.b.render("b", self.n, guard),
            self.c.render(),
        ];
        Kernel { source: source.concat(), entry: "main", bindings: self.bindings, workgroups }
    }
}

/// The function that reads an operand's quads or elements, whatever their type in memory.
fn read(operand: &str, kind: &str) -> String {
    format!("fn {operand}_at(i: u32) -> {kind} {{\n    return {kind}({operand}[i]);\n}}\n")
}

impl Factor<'_> {
    fn vector(&self) -> bool {
        match *self {
            Self::Matrix { vector, .. } | Self::Own { vector, .. } => vector,
        }
    }

    fn render(&self, operand: &str, extent: usize, guard: bool) -> String {
        match self {
            Self::Matrix { base, leading, along_k, vector } => {
                Template::new(&[include_str!("../../../../shaders/gemm_matrix.wgsl")])
                    .word("OPERAND", operand)
                    .word("BASE", base)
                    .word("LEADING", leading.to_string())
                    .word("EXTENT", extent.to_string())
                    .word("GUARD_K", guard.to_string())
                    .flags(&[
                        ("ALONG_K", *along_k),
                        ("VECTOR", *vector),
                        ("ONE_START", *vector && !along_k),
                        ("GUARD_K", guard),
                    ])
                    .render()
            }
            Self::Own { text, flags, .. } => {
                Template::new(&[text]).word("GUARD_K", guard.to_string()).flags(flags).render()
            }
        }
    }
}

impl Store {
    fn render(&self) -> String {
        Template::new(&[include_str!("../../../../shaders/gemm_store.wgsl")])
            .word("C_BASE", &self.base)
            .word("C_LEADING", self.leading.to_string())
            .word("BIAS_BASE", self.bias.as_deref().unwrap_or_default())
            .flags(&[
                ("VECTOR_C", self.vector),
                ("BIAS", self.bias.is_some()),
                ("RESIDUAL", self.residual),
                ("RELU", self.relu),
            ])
            .render()
    }
}
