//! A step of an attack on the CPU allocates nothing once its program has run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "../benches/workload/mod.rs"]
mod workload;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use percuss::attacks::evasion::EvasionProgram;
use percuss::graph::{Compiled, Uploads};
use percuss_kernels::Device;

/// The system's allocator, which counts what it is asked for.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system's own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The only test of this program: another thread's allocations would be counted too.
#[test]
fn a_second_step_allocates_nothing() {
    let device = Device::select("cpu", 1).unwrap();
    for (name, config, _) in workload::MODELS {
        let subject = workload::subject(config, 1);
        let program = EvasionProgram::new(&subject.model, &workload::settings());
        let compiled = Compiled::new(&program.graph, &program.phases, 3).unwrap();
        let mut executable = compiled.instantiate(&device, &mut Uploads::default(), 1).unwrap();
        let before = COUNT.load(Ordering::Relaxed);
        executable.run(0, 1).unwrap();
        let first = COUNT.load(Ordering::Relaxed);
        assert!(first > before, "{name}: the first step makes its tables");
        executable.run(0, 1).unwrap();
        assert_eq!(COUNT.load(Ordering::Relaxed) - first, 0, "{name}: allocations of the second step");
    }
}
