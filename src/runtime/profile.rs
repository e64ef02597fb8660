//! What the nodes of one run took, filled by a run that is given a [`Profile`].
//!
//! On WebGPU each node is waited for, so that its time is its own; such a run takes longer
//! than others. The nodes of bodies count for the node that has the body.

use std::time::Duration;

use super::clock::Clock;
use super::plan::Step;
use crate::backend::DeviceKind;
use crate::ops::{Info, MultiplyAdds};

/// What one run took, node by node.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Of the whole run.
    pub duration: Duration,
    /// The nodes that ran, in order.
    pub nodes: Vec<NodeProfile>,
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
    }
}
