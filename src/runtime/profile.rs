//! What the nodes of one run took, filled by a run that is given a [`Profile`].
//!
//! On WebGPU each node is waited for, so that its time is its own; such a run takes longer
//! than others. The nodes of bodies count for the node that has the body.

use std::time::Duration;

use super::clock::Clock;
use super::plan::Step;
use crate::backend::DeviceKind;
use crate::kernels::peak;
use crate::ops::{Info, MultiplyAdds};

/// The most multiply-adds that the CPU makes in a second: one thread, over registers alone, with
/// the instructions that the kernels are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Peak {
    pub float: f64,
    pub int8: f64,
}

impl Peak {
    /// Measures it, in about 20 ms.
    pub fn measure() -> Self {
        Self { float: quickest(peak::floats), int8: quickest(peak::bytes) }
    }
}

/// How much `work` does in a second, at best: others may use the machine too. It takes how many
/// rounds to make, and gives how much that was.
fn quickest(work: impl Fn(usize) -> u64) -> f64 {
    const TOGETHER: Duration = Duration::from_millis(10);
    let least = Clock::STEP * 20;
    let clock = Clock::start();
    let (mut best, mut rounds, mut measured) = (0.0f64, 1 << 8, 0);
    while measured < 3 || clock.elapsed() < TOGETHER {
        let start = clock.elapsed();
        let done = work(rounds);
        let took = clock.elapsed().saturating_sub(start);
        if took < least && rounds < 1 << 30 {
            rounds *= 2;
            continue;
        }
        best = best.max(done as f64 / took.as_secs_f64().max(1e-9));
        measured += 1;
    }
    best
}

/// What one run took, node by node.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Of the whole run.
    pub duration: Duration,
    /// The nodes that ran, in order.
    pub nodes: Vec<NodeProfile>,
    /// Measured after the run.
    pub peak: Peak,
}

/// What a node took.
#[derive(Debug, Clone)]
pub struct NodeProfile {
    pub name: String,
    /// The operator that ran.
    pub op_type: String,
    pub device: DeviceKind,
    /// Since the run began.
    pub start: Duration,
    /// With its inputs being brought to its device, and what nobody needs any more being freed.
    pub duration: Duration,
    pub multiply_adds: MultiplyAdds,
    /// Bytes of the inputs.
    pub bytes_read: u64,
    /// Bytes of the outputs.
    pub bytes_written: u64,
    /// Dtype and shape of each output; `None` of what is no tensor.
    pub outputs: Vec<Option<Info>>,
}

impl NodeProfile {
    /// The share of `peak` that its multiply-adds reach in `duration`; none where it has none, or
    /// runs elsewhere than on the CPU.
    pub fn share_of(&self, peak: &Peak, duration: Duration) -> Option<f64> {
        let MultiplyAdds { float, int8 } = self.multiply_adds;
        let counted = self.device == DeviceKind::Cpu && self.multiply_adds.total() > 0;
        let least = float as f64 / peak.float + int8 as f64 / peak.int8;
        counted.then(|| least / duration.as_secs_f64().max(1e-9))
    }
}

/// Fills a profile while a run goes on.
pub struct Recorder<'a> {
    profile: &'a mut Profile,
    clock: Clock,
}

impl<'a> Recorder<'a> {
    /// Starts the clock.
    pub fn start(profile: &'a mut Profile) -> Self {
        *profile = Profile::default();
        Self { profile, clock: Clock::start() }
    }

    /// A node begins.
    pub fn begin(&self, step: &Step) -> NodeProfile {
        NodeProfile {
            name: step.name.clone(),
            op_type: step.op_type.clone(),
            device: step.device,
            start: self.clock.elapsed(),
            duration: Duration::ZERO,
            multiply_adds: MultiplyAdds::default(),
            bytes_read: 0,
            bytes_written: 0,
            outputs: Vec::new(),
        }
    }

    /// It is done.
    pub fn end(&mut self, mut node: NodeProfile) {
        node.duration = self.clock.elapsed().saturating_sub(node.start);
        self.profile.nodes.push(node);
    }

    /// The run is over.
    pub fn finish(self) {
        self.profile.duration = self.clock.elapsed();
        self.profile.peak = Peak::measure();
    }
}
