//! The memory of a sweep hardly grows with its cells.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, which knows how much is in use, and how much was at most.
struct Weighing;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grown(by: usize) {
    let now = IN_USE.fetch_add(by, Ordering::Relaxed) + by;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: everything is the system's own.
unsafe impl GlobalAlloc for Weighing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Weighing = Weighing;

/// The largest number of bytes in use during a sweep of so many cells on 100 patients.
fn peak(cells: usize) -> usize {
    let budgets = cells / 10;
    let fixture = support::sweeps::Fixture::new(&format!(
        r#"
name = "many"
[[data]]
id = "patients"
name = "support2"
split = "test"
limit = 100
[[model]]
id = "mlp"
path = "mlp"
data = ["patients"]
[[attack]]
kind = "pgd"
steps = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
step_size = {{ rel = 0.25 }}
budget = [ {{ norm = "linf", eps = {{ linspace = [{}, 0.5, {budgets}] }} }} ]
"#,
        0.5 / budgets as f64
    ));
    PEAK.store(IN_USE.load(Ordering::Relaxed), Ordering::Relaxed);
    let report = fixture.run("out", percuss::sweep::options::SweepOptions::default());
    assert_eq!(report.done, cells);
    PEAK.load(Ordering::Relaxed)
}

/// The only test of this program: what others use would be counted too.
#[test]
fn a_cell_more_costs_memory_for_its_configuration_and_none_for_its_rows() {
    // More rows than any buffer holds, and three times as many.
    let (some, many) = (peak(3_000), peak(9_000));
    let each = many.saturating_sub(some) / 6_000;
    // 100 rows take 24 kB, and as much again wherever they are copied.
    println!("{each} bytes a cell: {some} for 3,000, {many} for 9,000");
    assert!(each < 1200, "{each} bytes a cell: {some} for 3,000, {many} for 9,000");
}
