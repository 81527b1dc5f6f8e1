//! PGD-40 by percuss alone, on models with formula weights: one JSON line a model with sample-steps per second.
//!
//! `cargo bench --bench pgd40 -- [THREADS] [MODEL..]`, to compare commits; `benches/compare.py` compares tools.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

mod workload;

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use percuss::sweep::engine::{Engine, Goal, Job, Work};
use percuss_kernels::Device;

const STEPS: u64 = 40;
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let threads: usize = arguments.first().map_or(2, |a| a.parse().unwrap());
    for (name, config, n) in workload::MODELS {
        if arguments.len() > 1 && !arguments[1..].iter().any(|a| a == name) {
            continue;
        }
        let subject = workload::subject(config, n);
        let job = Job {
            settings: workload::settings(),
            eps: 0.03,
            beside: [].into(),
            step_size: 0.003,
            steps: STEPS,
            restarts: 1,
            random_start: true,
            stop_on_success: false,
            goal: Goal::Any,
            finding: 0,
            parameters: vec![],
            stream: "bench".into(),
            seed: 0,
            bisected: None,
            keeps_inputs: false,
        };
        let engine = Engine::new(Device::Cpu { threads }, threads);
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let began = Instant::now();
            let jobs = std::slice::from_ref(&job);
            engine
                .run(
                    &[Work { subject: &subject, jobs }],
                    &AtomicBool::new(false),
                    |_, _, _| Ok(()),
                    |_| Ok(()),
                )
                .unwrap();
            best = best.min(began.elapsed().as_secs_f64());
        }
        let rate = (n as u64 * STEPS) as f64 / best;
        println!(
            "{}",
            serde_json::json!({ "tool": "percuss", "model": name, "threads": threads, "sample_steps_per_second": rate })
        );
    }
}
