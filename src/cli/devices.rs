//! `percuss devices`: adapters, features, measured rate.

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Args;
use percuss_kernels::{Device, DeviceInfo, DeviceKind};

use super::print;
use crate::Result;
use crate::graph::{Compiled, Graph, Phase, Shape, Uploads};
use crate::sweep::options::threads;

/// Side of the matrices that are multiplied to measure a device.
const SIDE: usize = 512;
/// How long a device is measured.
const MEASURED: Duration = Duration::from_millis(200);

/// Arguments of `percuss devices`.
#[derive(Args, Debug)]
pub struct DevicesCommand {
    /// Only list them, without measuring
    #[arg(long)]
    pub no_measure: bool,
    /// CPU threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs it. A device that fails while it is measured is listed with its error.
///
/// # Errors
/// Nothing but a closed output.
pub fn run(command: &DevicesCommand, out: &mut dyn Write) -> Result<()> {
    let threads = threads(command.threads.map(usize::from));
    let devices = Device::list(threads);
    let rates: Vec<Option<Result<f64>>> =
        devices.iter().map(|info| (!command.no_measure).then(|| gflops(info, threads))).collect();
    if !command.json {
        let text: String =
            devices.iter().zip(&rates).map(|(info, rate)| lines(info, rate.as_ref())).collect();
        return print(out, &text);
    }
    let rows: Vec<_> = devices.iter().zip(&rates).map(|(info, rate)| json(info, rate.as_ref())).collect();
    print(out, &format!("{:#}", serde_json::json!(rows)))
}

fn kind(info: &DeviceInfo) -> &'static str {
    match info.kind {
        DeviceKind::Cpu => "processor",
        DeviceKind::Gpu => "adapter",
        DeviceKind::Software => "software adapter, for testing shaders; auto never takes it",
    }
}

fn lines(info: &DeviceInfo, rate: Option<&Result<f64>>) -> String {
    let mut text = format!("{:<8} {} ({})\n", info.selector, info.name, kind(info));
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            text += &format!("         {name:<9} {value}\n");
        }
    };
    add("driver", info.driver.clone());
    add("features", info.features.join(", "));
    if info.max_binding > 0 {
        add("binding", format!("{} MiB at most", info.max_binding >> 20));
    }
    match rate {
        Some(Ok(gflops)) => add("f32", format!("{gflops:.0} GFLOP/s, {SIDE} x {SIDE} matrices")),
        Some(Err(error)) => add("f32", format!("not measured: {error}")),
        None => {}
    }
    text
}

fn json(info: &DeviceInfo, rate: Option<&Result<f64>>) -> serde_json::Value {
    serde_json::json!({
        "selector": info.selector,
        "name": info.name,
        "kind": match info.kind {
            DeviceKind::Cpu => "cpu",
            DeviceKind::Gpu => "gpu",
            DeviceKind::Software => "software",
        },
        "driver": info.driver,
        "features": info.features,
        "max_binding": info.max_binding,
        "gflops": rate.and_then(|rate| rate.as_ref().ok()),
    })
}

/// Measured rate of f32 matrix products in 1e9 operations a second.
fn gflops(info: &DeviceInfo, threads: usize) -> Result<f64> {
    let device = crate::device::open(&info.selector, threads, true)?;
    let mut graph = Graph::new();
    let a = graph.state("a", Shape::shared(&[SIDE, SIDE]));
    let b = graph.state("b", Shape::shared(&[SIDE, SIDE]));
    let c = graph.state("c", Shape::shared(&[SIDE, SIDE]));
    let (x, y) = (graph.load(a), graph.load(b));
    let product = graph.matmul(x, false, y, false);
    let mut phase = Phase::new();
    phase.assign(&mut graph, c, product);
    let compiled = Compiled::new(&graph, &[phase], 1)?;
    let mut executable = compiled.instantiate(&device, &mut Uploads::default(), threads)?;
    let values: Vec<f32> = (0..SIDE * SIDE).map(|i| (i % 7) as f32 - 3.0).collect();
    executable.write(a, &values)?;
    executable.write(b, &values)?;
    // The first run compiles and warms; a read waits for the device.
    executable.run(0, 1)?;
    executable.read(c)?;
    let began = Instant::now();
    let (mut runs, mut batch) = (0u64, 1);
    while began.elapsed() < MEASURED {
        executable.run(0, batch)?;
        executable.read(c)?;
        runs += batch as u64;
        batch = (batch * 2).min(256);
    }
    Ok(compiled.flops(0) as f64 * runs as f64 / began.elapsed().as_secs_f64() / 1e9)
}
